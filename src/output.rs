//! Where frames go. One open output writes whole frames, in order, and is finished once.

#[cfg(feature = "ffmpeg")]
mod encode;
mod raw;
pub mod still;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

#[cfg(feature = "ffmpeg")]
use anyhow::Context;
use anyhow::{Result, bail};

use crate::frame::{Alpha, FrameRate, PixelFormat, Size};
use crate::paint::Painting;

/// What all frames of one output have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Every frame's size.
    pub size: Size,
    /// Frame `n` has the time stamp `n * den / num` seconds.
    pub rate: FrameRate,
    /// Of raw and of encoded frames; PNG is always straight.
    pub alpha: Alpha,
    /// Of raw frames.
    pub format: PixelFormat,
}

/// Whether anybody still takes frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    Open,
    /// The reader went away: not an error, but the end.
    Closed,
}

/// Where frames are to go, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Raw frames on stdout: `-`.
    Stdout,
    /// A file whose ending says what is in it.
    File(PathBuf),
}

impl Target {
    /// `-` is stdout, all else a path.
    #[must_use]
    pub fn new(name: &OsStr) -> Self {
        if name == "-" {
            Self::Stdout
        } else {
            Self::File(name.into())
        }
    }
}

/// An output that frames are being written to.
#[derive(Debug)]
pub enum Output {
    /// Frame after frame, without a header.
    Raw(raw::Raw),
    /// A numbered PNG file a frame.
    Stills(still::Sequence),
    /// A video file.
    #[cfg(feature = "ffmpeg")]
    Video(Box<encode::Video>),
}

/// Endings of files with raw frames.
const RAW: &[&str] = &["rgba", "bgra", "argb", "abgr", "raw"];

impl Output {
    /// Opens the output that `target` names.
    ///
    /// # Errors
    /// An ending that is not known, with those that are; a file that can't be made.
    pub fn open(target: &Target, spec: Spec) -> Result<Self> {
        let path = match target {
            Target::Stdout => return Ok(Self::Raw(raw::Raw::stdout(spec)?)),
            Target::File(path) => path,
        };
        let ending = path
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        match ending.as_str() {
            ending if RAW.contains(&ending) => {
                let format = ending.parse().unwrap_or(spec.format);
                Ok(Self::Raw(raw::Raw::create(path, Spec { format, ..spec })?))
            }
            "png" => Ok(Self::Stills(still::Sequence::new(path, spec)?)),
            _ => Self::video(path, &ending, spec),
        }
    }

    #[cfg(feature = "ffmpeg")]
    fn video(path: &Path, ending: &str, spec: Spec) -> Result<Self> {
        let Some(recipe) = encode::Recipe::for_ending(ending) else {
            let known: Vec<_> = encode::Recipe::endings().collect();
            bail!(
                "{}: no format for the ending {ending:?}; expected {}, {}, or png with a number \
                 pattern such as frames-%05d.png",
                path.display(),
                known.join(", "),
                RAW.join(", "),
            );
        };
        let video = encode::Video::create(path, recipe, spec);
        Ok(Self::Video(Box::new(
            video.with_context(|| cannot_write(path))?,
        )))
    }

    #[cfg(not(feature = "ffmpeg"))]
    fn video(path: &Path, ending: &str, _: Spec) -> Result<Self> {
        bail!(
            "{}: no format for the ending {ending:?}; this floatup was built without FFmpeg, so \
             expected {}, or png with a number pattern such as frames-%05d.png",
            path.display(),
            RAW.join(", "),
        );
    }

    /// Draws the frame that is to be written next, in this output's own pixels.
    pub fn draw(&mut self, painting: &mut Painting<'_>) {
        painting.draw(match self {
            Self::Raw(raw) => raw.frame_mut(),
            Self::Stills(stills) => stills.frame_mut(),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.frame_mut(),
        });
    }

    /// Writes the frame that was drawn last, whole. Blocks until it is taken: every frame is
    /// delivered.
    ///
    /// # Errors
    /// The frame can't be written; a reader that is gone is [`Flow::Closed`] instead.
    pub fn write(&mut self) -> Result<Flow> {
        match self {
            Self::Raw(raw) => raw.write(),
            Self::Stills(stills) => stills.write(),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.write(),
        }
    }

    /// Writes what is still held back, and what ends a file.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Raw(raw) => raw.finish(),
            Self::Stills(_) => Ok(()),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.finish(),
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
