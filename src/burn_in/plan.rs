//! What will happen to each stream, before anything is done.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};

use anyhow::{Result, bail};
use ffmpeg_next::{Codec, media};

use super::coding;
use super::decode;
use super::input::{Origin, Programme, StreamInfo};
use super::mux::Target;
use super::settings::OutputSettings;

/// One output, checked.
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) encoder: Codec,
    /// Streams that are copied.
    pub(super) kept: Vec<usize>,
    /// Streams that are left out, and why.
    left_out: Vec<(usize, String)>,
}

impl Plan {
    /// Checks an output: that there is a container, an encoder, and room for every stream.
    ///
    /// # Errors
    /// One of them is not there; a stream that the container can't hold, by its number.
    pub(super) fn new(
        settings: &OutputSettings,
        input: &OsStr,
        programme: &Programme,
        force: bool,
        drop_unsupported: bool,
    ) -> Result<Self> {
        let target = Target::new(settings, input, &programme.format, force)?;
        let codec = programme.main_video().parameters.id();
        let encoder = coding::choose(&settings.coding, codec, &target)?;
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for (number, answer) in target.takes(programme).into_iter().enumerate() {
            let stream = &programme.streams[number];
            match answer {
                _ if number == programme.video => {}
                // Its demuxer gives no packets of it: chapters' titles, which the muxer makes anew.
                _ if stream.properties.is_discarded => {
                    left_out.push((number, "it is made anew by the muxer".into()));
                }
                _ if is_made_anew(stream, &target) => {
                    left_out.push((number, "it is made anew by the muxer".into()));
                }
                Ok(()) => kept.push(number),
                Err(why) if drop_unsupported => {
                    let why = format!("{why:#}");
                    tracing::warn!(
                        "{}: stream {number} ({}) is left out: {why}",
                        target.name,
                        about(stream)
                    );
                    left_out.push((number, why));
                }
                Err(why) => bail!(
                    "{}: stream {number} ({}) has no room in it: {why:#}; --drop-unsupported \
                     leaves it out",
                    target.name,
                    about(stream)
                ),
            }
        }
        Ok(Self {
            target,
            encoder,
            kept,
            left_out,
        })
    }

    /// What will be done, a line for each stream.
    pub(super) fn tell(
        &self,
        settings: &OutputSettings,
        programme: &Programme,
    ) -> Result<String, fmt::Error> {
        let mut text = String::new();
        writeln!(text, "{} ({}):", self.target.name, self.target.container)?;
        for (number, stream) in programme.streams.iter().enumerate() {
            write!(text, "  stream {number}: {}: ", about(stream))?;
            let why = self
                .left_out
                .iter()
                .find(|(left_out, _)| *left_out == number);
            if number == programme.video {
                write!(
                    text,
                    "reactions are burned in; coded by {}",
                    self.encoder.name()
                )?;
                if let Some(size) = settings.size {
                    write!(text, ", {size} ({})", settings.fit)?;
                }
                writeln!(text)?;
            } else if let Some((_, why)) = why {
                writeln!(text, "left out: {why}")?;
            } else {
                writeln!(text, "copied")?;
            }
        }
        if !programme.chapters.is_empty() {
            writeln!(text, "  {} chapters: copied", programme.chapters.len())?;
        }
        Ok(text)
    }
}

/// Whether the muxer writes such a stream by itself: time code, from its tag.
fn is_made_anew(stream: &StreamInfo, target: &Target) -> bool {
    stream.tag_of_codec() == *b"tmcd"
        && stream.tag("timecode").is_some()
        && matches!(&*target.container, "mov" | "mp4")
}

/// What comes in, a line for a person.
pub(super) fn tell_input(origin: &Origin, programme: &Programme) -> String {
    let length = programme.duration.map_or_else(
        || "no end known".to_owned(),
        |duration| format!("{:.3} s", duration.as_secs_f64()),
    );
    format!("{origin} ({}, {length}):\n", programme.format)
}

/// A stream in a few words.
fn about(stream: &StreamInfo) -> String {
    let kind = match stream.medium {
        media::Type::Video => "video",
        media::Type::Audio => "audio",
        media::Type::Subtitle => "subtitles",
        media::Type::Attachment => "attachment",
        _ => "data",
    };
    let mut text = format!("{kind} {}", stream.parameters.id().name());
    if stream.medium == media::Type::Video
        && let Ok(decoder) = decode::open(stream)
    {
        let format = decoder.format().descriptor();
        let format = format.map_or("unknown", |format| format.name());
        text += &format!(" {}x{} {format}", decoder.width(), decoder.height());
        if let Some(rate) = stream.rate {
            text += &format!(" {:.3} fps", f64::from(rate));
        }
    }
    if stream.medium == media::Type::Attachment
        && let Some(name) = stream.tag("filename")
    {
        text = format!("{kind} {name}");
    }
    if let Some(language) = stream.tag("language") {
        text += &format!(" ({language})");
    }
    text
}
