//! Where frames go.
//!
//! A [`Plan`] is a checked output: where to ([`Target`]), in what form ([`Spec`]). It is opened,
//! perhaps again and again, by a [`Sink`], which has a thread and a bounded queue of its own. A
//! [`Fanout`] draws each frame once and shares it among all sinks of a channel.

mod artist;
#[cfg(feature = "ffmpeg")]
mod encode;
mod fanout;
mod live;
mod lock;
mod matroska;
mod raw;
mod sink;
pub mod still;
mod stream;
mod target;

use std::fmt;
use std::path::Path;
#[cfg(feature = "ffmpeg")]
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

pub use self::artist::{Artist, Moment};
pub use self::fanout::{Fanout, Pace};
pub use self::live::{Body, Codec as FeedCodec, Form as FeedForm, Newest, Stamps};
pub use self::sink::{FRAMES_HELD, FRAMES_LIVE, Policy, Sink};
use self::stream::Door;
pub use self::target::{Role, Target, TargetError};
use crate::frame::{Alpha, Frame, FrameRate, PixelFormat, Size};

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

/// The frames that an output takes: those of one kind are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Their size.
    pub size: Size,
    /// How colour and alpha are related.
    pub alpha: Alpha,
    /// The order of a pixel's channels.
    pub format: PixelFormat,
}

impl Kind {
    /// A clear frame of this kind.
    #[must_use]
    pub fn frame(self) -> Frame {
        Frame::new(self.size, self.alpha, self.format)
    }

    /// Whether a frame is of this kind.
    #[must_use]
    pub fn fits(self, frame: &Frame) -> bool {
        let Self {
            size,
            alpha,
            format,
        } = self;
        (frame.size(), frame.alpha(), frame.format()) == (size, alpha, format)
    }
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

/// An output that can be opened: all that can be refused has been.
#[derive(Debug)]
pub struct Plan {
    target: Target,
    door: Door,
    content: Content,
    spec: Spec,
}

/// What is written.
#[derive(Debug)]
enum Content {
    /// Frame after frame, without a header.
    Raw,
    /// A numbered PNG file a frame.
    Stills(still::Pattern),
    /// A video file.
    #[cfg(feature = "ffmpeg")]
    Video(PathBuf, encode::Recipe),
    /// Live Matroska, until it is opened.
    Feed(Option<(Body, live::Form)>),
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
    /// Live Matroska.
    Feed(live::Feed),
}

/// Endings of files with raw frames.
const RAW: &[&str] = &["rgba", "bgra", "argb", "abgr", "raw"];

impl Plan {
    /// Plans an output: its target's ending picks what is written.
    ///
    /// # Errors
    /// An ending that is not known, with those that are.
    pub fn new(target: Target, mut spec: Spec) -> Result<Self> {
        let ending = target.ending();
        let content = match &target {
            Target::File(path) if target::is_fifo(path) && ending.is_empty() => Content::Raw,
            Target::File(path) => match ending.as_str() {
                ending if RAW.contains(&ending) => {
                    spec.format = ending.parse().unwrap_or(spec.format);
                    Content::Raw
                }
                "png" => Content::Stills(still::Pattern::new(path)?),
                _ => video(path, &ending)?,
            },
            Target::Stdout | Target::Tcp { .. } | Target::Unix { .. } => Content::Raw,
            Target::Url(_) | Target::Feed => bail!("{target}: not yet"),
        };
        Ok(Self {
            door: Door::new(target.clone()),
            target,
            content,
            spec,
        })
    }

    /// Plans a live feed to one reader.
    #[must_use]
    pub fn feed(body: Body, form: live::Form, spec: Spec) -> Self {
        Self {
            door: Door::new(Target::Feed),
            target: Target::Feed,
            content: Content::Feed(Some((body, form))),
            spec,
        }
    }

    /// The frames that it takes.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let Spec {
            size,
            alpha,
            format,
            ..
        } = self.spec;
        let (alpha, format) = match &self.content {
            Content::Raw => (alpha, format),
            Content::Stills(_) | Content::Feed(_) => (Alpha::Straight, PixelFormat::Rgba),
            #[cfg(feature = "ffmpeg")]
            Content::Video(_, recipe) => (alpha, recipe.source()),
        };
        Kind {
            size,
            alpha,
            format,
        }
    }

    /// Whether it can be opened again after its reader has gone.
    #[must_use]
    pub fn reopens(&self) -> bool {
        self.target.reopens()
    }

    /// Whether what it writes has an end that is worth waiting for. A live feed has none.
    #[must_use]
    pub fn has_end(&self) -> bool {
        !matches!(self.content, Content::Feed(_))
    }

    /// Opens it; `None` while its reader is not there.
    ///
    /// # Errors
    /// It can't be written to.
    pub fn open(&mut self) -> Result<Option<Output>> {
        let spec = self.spec;
        Ok(Some(match &mut self.content {
            Content::Feed(feed) => match feed.take() {
                Some((body, form)) => Output::Feed(live::Feed::new(body, &form, spec)),
                None => bail!("a feed's reader has gone"),
            },
            Content::Raw => {
                let stream = self.door.open();
                let Some(stream) = stream.with_context(|| cannot_write(&self.target))? else {
                    return Ok(None);
                };
                let bytes = spec.size.frame_bytes();
                Output::Raw(raw::Raw::new(self.target.to_string(), stream, bytes))
            }
            Content::Stills(pattern) => Output::Stills(still::Sequence::new(pattern.clone())),
            #[cfg(feature = "ffmpeg")]
            Content::Video(path, recipe) => {
                let video = encode::Video::create(path, *recipe, spec);
                let video = video.with_context(|| cannot_write(&self.target))?;
                Output::Video(Box::new(video))
            }
        }))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

#[cfg(feature = "ffmpeg")]
fn video(path: &Path, ending: &str) -> Result<Content> {
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
    Ok(Content::Video(path.into(), recipe))
}

#[cfg(not(feature = "ffmpeg"))]
fn video(path: &Path, ending: &str) -> Result<Content> {
    bail!(
        "{}: no format for the ending {ending:?}; this floatup was built without FFmpeg, so \
         expected {}, or png with a number pattern such as frames-%05d.png",
        path.display(),
        RAW.join(", "),
    );
}

impl Output {
    /// Writes the frame of an index, whole, and blocks until it is taken.
    ///
    /// # Errors
    /// The frame can't be written; a reader that is gone is [`Flow::Closed`] instead.
    pub fn write(&mut self, frame: &Arc<Frame>, index: u64) -> Result<Flow> {
        match self {
            Self::Raw(raw) => raw.write(frame),
            Self::Stills(stills) => stills.write(frame),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.write(frame, index),
            Self::Feed(feed) => feed.write(frame, index),
        }
    }

    /// Writes what is still held back, and what ends a file.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Raw(raw) => raw.finish(),
            Self::Stills(_) | Self::Feed(_) => Ok(()),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.finish(),
        }
    }
}

fn cannot_write(name: impl fmt::Display) -> String {
    format!("cannot write {name}")
}
