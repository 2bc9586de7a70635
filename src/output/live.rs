//! A live feed: one reader's stream, joined at any time, in which each frame is shown when it
//! arrives.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::mpsc;

pub use super::matroska::Codec;
use super::{Flow, Spec, matroska, still};
use crate::frame::{Frame, FrameRate};

/// A clear frame after a clear frame is not written, but for one in this time: a reader that is
/// gone is noticed by it.
const CLEAR_AGAIN: Duration = Duration::from_secs(5);

/// The PNG of the newest frame, so that readers of one channel share it.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<Mutex<Option<(u64, Bytes)>>>);

impl Newest {
    /// The frame's PNG: that which another reader has made of it, or one that is made now.
    fn png(&self, frame: &Frame, index: u64) -> Result<Bytes> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, png)) = &*newest
            && *made == index
        {
            return Ok(png.clone());
        }
        let png = Bytes::from(still::png(frame)?);
        // One that is behind keeps nobody else from sharing.
        if newest.as_ref().is_none_or(|(made, _)| *made < index) {
            *newest = Some((index, png.clone()));
        }
        Ok(png)
    }
}

/// How a feed's time stamps advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamps {
    /// A millisecond a frame, so that a player never waits: it shows each when it arrives.
    #[default]
    Arrival,
    /// With the time that passes, for what records or mixes by time stamps.
    Media,
}

/// What is in a feed.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// What a frame is.
    pub codec: Codec,
    /// When it is shown.
    pub stamps: Stamps,
    /// Of the channel.
    pub newest: Newest,
}

/// The writing end of an answer's body: a few chunks long, so that a reader that is slow is waited
/// for, and frames give way in the sink's queue.
#[derive(Clone, Debug)]
pub struct Body(mpsc::Sender<Bytes>);

impl Body {
    /// Chunks that wait for the socket: the head of a frame and the frame.
    const CHUNKS: usize = 2;

    /// A body, and the end that its chunks come out of.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(Self::CHUNKS);
        (Self(sender), receiver)
    }

    fn send(&self, chunk: Bytes) -> io::Result<()> {
        let sent = self.0.blocking_send(chunk);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Bytes::copy_from_slice(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame as a chunk.
struct Shared(Arc<Frame>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A Matroska stream that is being written.
#[derive(Debug)]
pub struct Feed {
    body: Body,
    codec: Codec,
    stamps: Stamps,
    rate: FrameRate,
    newest: Newest,
    /// The first frame's index.
    first: Option<u64>,
    /// The last one's, and whether it was clear.
    last: Option<(u64, bool)>,
    written: u64,
}

impl Feed {
    pub(super) fn new(body: Body, form: &Form, spec: Spec) -> Self {
        // Whoever has gone already is noticed at the first frame.
        let header = matroska::header(form.codec, spec.size, spec.rate);
        drop(body.send(header.into()));
        Self {
            body,
            codec: form.codec,
            stamps: form.stamps,
            rate: spec.rate,
            newest: form.newest.clone(),
            first: None,
            last: None,
            written: 0,
        }
    }

    pub(super) fn write(&mut self, frame: &Arc<Frame>, index: u64) -> Result<Flow> {
        let clear = frame.is_clear();
        if clear
            && let Some((last, true)) = self.last
            && self.rate.pts(index.saturating_sub(last)) < CLEAR_AGAIN
        {
            return Ok(Flow::Open);
        }
        self.last = Some((index, clear));
        let first = *self.first.get_or_insert(index);
        let at = match self.stamps {
            Stamps::Arrival => Duration::from_millis(self.written),
            Stamps::Media => self.rate.pts(index - first),
        };
        self.written += 1;
        let picture = match self.codec {
            Codec::Png => self.newest.png(frame, index)?,
            Codec::Rgba => Bytes::from_owner(Shared(Arc::clone(frame))),
        };
        let head = matroska::cluster(at, picture.len());
        let sent = self.body.send(head.into());
        match sent.and_then(|()| self.body.send(picture)) {
            Ok(()) => Ok(Flow::Open),
            Err(_) => Ok(Flow::Closed),
        }
    }
}
