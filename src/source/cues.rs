//! Timed metadata in a recording or a live stream: ID3 in MPEG transport streams and HLS.
//!
//! That is what Amazon IVS makes of `PutMetadata`, and what its player raises as
//! `TEXT_METADATA_CUE`: an `ID3v2` tag for each cue, in a stream of its own, with the time stamp of the
//! picture that it belongs to (Timed Metadata for HTTP Live Streaming, Apple; `ID3v2.4`). Which of the
//! tag's frames has the text is not documented, so all that can have one are read.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::address::AddressError;

/// An input with cues: `cues:rec.ts`, `cues:https://HOST/rec.m3u8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(OsString);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::new(
                "cues: expected a file or an address after it, such as cues:recording.ts",
            ));
        }
        Ok(Self::new(text.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What follows a ? may be a key to the stream.
        let text = self.0.to_string_lossy();
        let shown = text.split('?').next().unwrap_or_default();
        write!(f, "cues:{shown}")
    }
}

impl Address {
    /// A file or an address that libavformat opens.
    #[must_use]
    pub fn new(input: OsString) -> Self {
        Self(input)
    }
}

/// One cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it is due, from the first picture on, or the first sound where there is no picture.
    pub at: Duration,
    /// The texts of its tag.
    pub texts: Vec<String>,
}

#[cfg(feature = "ffmpeg")]
pub use self::reading::Cues;
#[cfg(feature = "ffmpeg")]
pub use self::reading::Replay;

#[cfg(feature = "ffmpeg")]
mod reading {
    use std::collections::VecDeque;
    use std::ffi::OsString;
    use std::io::Cursor;
    use std::time::Duration;

    use anyhow::{Context as _, Result, bail};
    use ffmpeg_next::format::{self, context::Input};
    use ffmpeg_next::{self as ffmpeg, Dictionary, Error, Packet, Rational, codec, media};
    use id3::frame::Content;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep_until};

    use super::{Address, Cue};
    use crate::reaction::Message;
    use crate::source::inbox::{Arrival, Inbox, State};

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

    /// Cues that are read ahead of their time; reading waits for room.
    const AHEAD_MAX: usize = 256;

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
            if !address.0.to_string_lossy().contains("://") {
                // So that no file's name is taken for another protocol's address.
                name.push("file:");
            }
            name.push(&address.0);
            let options: Dictionary<'_> = [("rw_timeout", SILENCE_MAX_US)].into_iter().collect();
            let input = format::input_with_dictionary(&name, options)?;
            let is_id3 =
                |stream: &ffmpeg::Stream<'_>| stream.parameters().id() == codec::Id::TIMED_ID3;
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
            })
        }

        /// The next cue, in the order of the input; `None` at its end. It may wait for a live input.
        ///
        /// # Errors
        /// The input can't be read on.
        pub fn next_cue(&mut self) -> Result<Option<Cue>> {
            let mut packet = Packet::empty();
            loop {
                if let Some(cue) = self.ready.pop_front() {
                    return Ok(Some(cue));
                }
                match packet.read(&mut self.input) {
                    Ok(()) => self.take(&packet),
                    // What is broken is left out: what follows may be whole.
                    Err(Error::InvalidData) => {}
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
            match self.begun {
                Some(begun) => self.ready.push_back(Cue {
                    at: at.saturating_sub(begun),
                    texts,
                }),
                None => {
                    if self.early.len() == EARLY_MAX {
                        self.early.pop_front();
                    }
                    self.early.push_back(Cue { at, texts });
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

    /// The cues of an input, each when it is due.
    #[derive(Debug)]
    pub struct Replay(pub(in crate::source) Address);

    impl Replay {
        /// Takes all cues, as the input plays, and returns at its end.
        pub(in crate::source) async fn follow(self, inbox: &Inbox) {
            let (ahead, mut cues) = mpsc::channel(AHEAD_MAX);
            let address = self.0;
            let reading = std::thread::Builder::new().name("cues".into());
            let reading = reading.spawn(move || {
                let told = read(&address, &ahead);
                if let Err(error) = told {
                    // Nobody is told any more when nobody follows.
                    drop(ahead.blocking_send(Err(format!("{error:#}"))));
                }
            });
            if let Err(error) = reading {
                inbox.set_state(State::Refused, &format!("cannot start a thread: {error}"));
                return std::future::pending().await;
            }
            let begun = Instant::now();
            while let Some(cue) = cues.recv().await {
                match cue {
                    Ok(None) => inbox.live(),
                    Ok(Some(Cue { at, texts })) => {
                        sleep_until(begun + at).await;
                        for text in &texts {
                            inbox.take(&Arrival::of(Message::payload(text)));
                        }
                    }
                    Err(why) => {
                        inbox.set_state(State::Refused, &why);
                        return std::future::pending().await;
                    }
                }
            }
            inbox.ended("the input is at its end");
        }
    }

    /// Sends `None` once it is open, then cue after cue, until nobody takes them.
    fn read(address: &Address, ahead: &mpsc::Sender<Result<Option<Cue>, String>>) -> Result<()> {
        let mut cues = Cues::open(address)?;
        let mut next = Some(None);
        while let Some(cue) = next {
            if ahead.blocking_send(Ok(cue)).is_err() {
                break;
            }
            next = cues.next_cue()?.map(Some);
        }
        Ok(())
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
}
