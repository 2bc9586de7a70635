//! Cues, read by libavformat.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::format::{self, context::Input};
use ffmpeg_next::{self as ffmpeg, Dictionary, Error, Packet, Rational, codec, media};
use id3::frame::Content;

use super::{Address, Cue};

/// How long an address may say nothing, in microseconds.
const SILENCE_MAX_US: &str = "10000000";

/// A tag longer than this is none that is for reactions, and passed over.
const TAG_BYTES_MAX: usize = 64 << 10;

/// What FFmpeg takes off a tag in a transport stream, for the header of a metadata access unit
/// that there is none of (libavformat's mpegts.c, stream type 0x15).
const CUT_OFF: &[u8] = b"ID3\x04\0";

/// Texts of one tag that are looked at.
const TEXTS_MAX: usize = 16;

/// Cues that come before it is known when the first picture is. Of more, the oldest go.
const EARLY_MAX: usize = 1_024;

/// Broken packets in a row, after which an input is given up.
const BROKEN_MAX: u32 = 1_000;

/// An input, read cue by cue.
pub struct Cues {
    input: Input,
    /// The streams of timed metadata.
    streams: Vec<usize>,
    /// The stream whose first time stamp is the beginning.
    clock: Option<usize>,
    begun: Option<Duration>,
    ready: VecDeque<Cue>,
    /// Their times are those of the container.
    early: VecDeque<Cue>,
    last: (Duration, u32),
}

impl std::fmt::Debug for Cues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cues")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Cues {
    /// Opens an input.
    ///
    /// # Errors
    /// It can't be read, or carries no timed metadata.
    pub fn open(address: &Address) -> Result<Self> {
        ffmpeg::init().context("FFmpeg's libraries don't start")?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let mut name = OsString::new();
        if !address.is_remote() {
            // So that no file's name is taken for another protocol's address.
            name.push("file:");
        }
        name.push(&address.0);
        let options: Dictionary<'_> = [("rw_timeout", SILENCE_MAX_US)].into_iter().collect();
        let input = format::input_with_dictionary(&name, options)?;
        let is_id3 = |stream: &ffmpeg::Stream<'_>| stream.parameters().id() == codec::Id::TIMED_ID3;
        let streams = input.streams().filter(is_id3);
        let streams: Vec<usize> = streams.map(|stream| stream.index()).collect();
        if streams.is_empty() {
            bail!("it carries no timed metadata (ID3)");
        }
        let best = |kind| input.streams().best(kind).map(|stream| stream.index());
        Ok(Self {
            clock: best(media::Type::Video).or_else(|| best(media::Type::Audio)),
            streams,
            input,
            begun: None,
            ready: VecDeque::new(),
            early: VecDeque::new(),
            last: (Duration::ZERO, 0),
        })
    }

    /// Whether it is under way, and so has no length.
    pub(super) fn is_live(&self) -> bool {
        self.input.duration() <= 0
    }

    /// The next cue, in the order of the input; `None` at its end. It may wait for a live input.
    ///
    /// # Errors
    /// The input can't be read on.
    pub fn next_cue(&mut self) -> Result<Option<Cue>> {
        let mut packet = Packet::empty();
        let mut broken = 0;
        loop {
            if let Some(cue) = self.ready.pop_front() {
                return Ok(Some(cue));
            }
            match packet.read(&mut self.input) {
                Ok(()) => {
                    broken = 0;
                    self.take(&packet);
                }
                // What is broken is left out: what follows may be whole.
                Err(Error::InvalidData) if broken < BROKEN_MAX => broken += 1,
                Err(Error::Eof) if self.early.is_empty() => return Ok(None),
                Err(Error::Eof) => {
                    let first = self.early.front().map(|cue| cue.at);
                    self.begin(first.unwrap_or_default());
                }
                Err(error) => return Err(error).context("it can't be read on"),
            }
        }
    }

    fn take(&mut self, packet: &Packet) {
        let index = packet.stream();
        let Some(stream) = self.input.stream(index) else {
            return;
        };
        let at = packet.pts().or(packet.dts());
        let at = at.and_then(|at| duration(at, stream.time_base()));
        let is_cue = self.streams.contains(&index);
        if self.begun.is_none() && self.clock.is_none_or(|clock| clock == index) {
            // Pictures may be stored in another order than they are shown in; a cue is not
            // placed to the frame.
            self.begin(at.unwrap_or_default());
        }
        let (true, Some(at), Some(tag)) = (is_cue, at, packet.data()) else {
            return;
        };
        let texts = texts(tag);
        if texts.is_empty() {
            return;
        }
        self.last = match self.last {
            (last, before) if last == at => (at, before + 1),
            _ => (at, 1),
        };
        let mut cue = Cue {
            at,
            stamp: self.last,
            texts,
        };
        match self.begun {
            Some(begun) => {
                cue.at = at.saturating_sub(begun);
                self.ready.push_back(cue);
            }
            None => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back(cue);
            }
        }
    }

    fn begin(&mut self, begun: Duration) {
        self.begun = Some(begun);
        self.ready.extend(self.early.drain(..).map(|cue| Cue {
            at: cue.at.saturating_sub(begun),
            ..cue
        }));
    }
}

/// A time stamp that is not before zero.
fn duration(at: i64, base: Rational) -> Option<Duration> {
    let seconds = f64::from(base);
    #[expect(
        clippy::cast_precision_loss,
        reason = "time stamps of some hours are exact to the microsecond"
    )]
    let at = at as f64 * seconds;
    Duration::try_from_secs_f64(at).ok()
}

/// The texts of a tag: whatever of its frames can have one.
fn texts(tag: &[u8]) -> Vec<String> {
    let tag = &tag[..tag.len().min(TAG_BYTES_MAX)];
    let begun = if tag.starts_with(b"ID3") {
        &b""[..]
    } else {
        CUT_OFF
    };
    let tag = match id3::Tag::read_from2(Cursor::new([begun, tag].concat())) {
        Ok(tag) => tag,
        Err(id3::Error {
            partial_tag: Some(tag),
            ..
        }) => tag,
        Err(_) => return Vec::new(),
    };
    let text = |content: &Content| match content {
        Content::Text(text) => Some(text.clone()),
        Content::ExtendedText(text) => Some(text.value.clone()),
        Content::Comment(comment) => Some(comment.text.clone()),
        Content::Private(private) => String::from_utf8(private.private_data.clone()).ok(),
        _ => None,
    };
    let texts = tag.frames().filter_map(|frame| text(frame.content()));
    let texts = texts.map(|text| text.trim_matches(['\0', ' ', '\n']).to_owned());
    texts
        .filter(|text| !text.is_empty())
        .take(TEXTS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use id3::frame::{ExtendedText, Private};
    use id3::{Encoder, Tag, TagLike as _, Version};

    use super::*;

    fn tag(fill: impl FnOnce(&mut Tag)) -> Vec<u8> {
        let (mut tag, mut bytes) = (Tag::new(), Vec::new());
        fill(&mut tag);
        let encoder = Encoder::new().version(Version::Id3v24);
        encoder.encode(&tag, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn texts_are_read_from_whatever_frame_has_one() {
        let bytes = tag(|tag| {
            tag.set_text("TIT2", "heart");
            tag.add_frame(ExtendedText {
                description: "any".into(),
                value: r#"{"r":{"fire":2}}"#.into(),
            });
            tag.add_frame(Private {
                owner_identifier: "x".into(),
                private_data: b"clap\0".to_vec(),
            });
            tag.add_frame(Private {
                owner_identifier: "binary".into(),
                private_data: vec![0xFF, 0],
            });
        });
        let mut texts = texts(&bytes);
        texts.sort();
        assert_eq!(texts, ["clap", "heart", r#"{"r":{"fire":2}}"#]);
    }

    #[test]
    fn what_is_no_tag_has_no_text() {
        let whole = tag(|tag| tag.set_text("TIT2", "heart"));
        for cut in 0..whole.len() {
            texts(&whole[..cut]);
        }
        for bytes in [&b""[..], b"heart", b"ID3", &[0xFF; 4_096]] {
            assert_eq!(texts(bytes), [""; 0], "{bytes:?}");
        }
        assert_eq!(texts(&whole), ["heart"]);
        assert_eq!(
            texts(&whole[CUT_OFF.len()..]),
            ["heart"],
            "as FFmpeg cuts it"
        );
    }
}
