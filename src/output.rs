//! Where frames go.
//!
//! A [`Plan`] is a checked output: where to ([`Target`]), in what form ([`Spec`]). It is opened,
//! perhaps again and again, by a [`Sink`], which has a thread and a bounded queue of its own. A
//! [`Fanout`] draws each frame once and shares it among all sinks of a channel.

mod artist;
mod convert;
mod debuts;
#[cfg(feature = "ffmpeg")]
mod encode;
mod fanout;
mod form;
mod gif;
mod live;
mod lock;
mod matroska;
mod nut;
mod plan;
mod qtrle;
mod quicktime;
mod raw;
mod sink;
pub mod still;
mod stream;
mod target;

use std::fmt;
use std::sync::Arc;

use anyhow::Result;

pub use self::artist::{Artist, Moment};
pub use self::debuts::Debuts;
pub use self::fanout::{Fanout, Pace};
pub use self::form::{Codec, Container, Form, Quality, Speed};
pub use self::live::{Body, Form as FeedForm, Newest, Stamps};
pub use self::plan::Plan;
pub use self::sink::{Policy, Sink};
pub use self::target::{Role, Target, TargetError};
use crate::frame::{Alpha, Frame, FrameRate, PixelFormat, Scan, Size};

/// The codecs that can't be written here: all that FFmpeg's libraries are needed for, in a floatup
/// without them.
#[must_use]
pub fn missing_codecs() -> Vec<Codec> {
    #[cfg(feature = "ffmpeg")]
    let missing = encode::missing_codecs();
    #[cfg(not(feature = "ffmpeg"))]
    let missing = Codec::ALL.to_vec();
    missing
}

/// What all frames of one output have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Every frame's size.
    pub size: Size,
    /// Frame `n` has the time stamp `n * den / num` seconds.
    pub rate: FrameRate,
    /// How frames are scanned, which MOV, Matroska and some codecs say.
    pub scan: Scan,
    /// Of raw and of encoded frames; PNG sequences and GIF are always straight.
    pub alpha: Alpha,
    /// What they are written as.
    pub form: Form,
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
    /// A clear frame of this kind, to be drawn on again and again: all of its memory is taken now, so
    /// that what a channel takes does not grow for as long as sprites come to new places.
    #[must_use]
    pub fn frame(self) -> Frame {
        let mut frame = Frame::new(self.size, self.alpha, self.format);
        frame.settle();
        frame
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

/// An output that frames are being written to.
#[derive(Debug)]
pub enum Output {
    /// Frame after frame, without a header.
    Raw(raw::Raw),
    /// A numbered PNG file a frame.
    Stills(still::Sequence),
    /// An animated GIF.
    Gif(Box<gif::Gif>),
    /// Encoded video.
    #[cfg(feature = "ffmpeg")]
    Video(Box<encode::Video>),
    /// A live feed.
    Feed(live::Feed),
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
            Self::Gif(gif) => gif.write(frame, index),
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
            Self::Gif(gif) => gif.finish(),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.finish(),
        }
    }
}

fn cannot_write(name: impl fmt::Display) -> String {
    format!("cannot write {name}")
}
