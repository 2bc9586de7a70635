//! From the frame loop to every sink: each frame drawn once for each kind that is wanted, and
//! shared.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;

use super::Kind;
use super::artist::{Artist, Moment};
use super::sink::{Item, Room, Sink};
use crate::frame::Frame;

/// How frames and clock go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// `wall`: no sink is waited for.
    #[default]
    Clock,
    /// `output`: each frame waits until every sink that must have it can take it.
    Readers,
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "wall" => Ok(Self::Clock),
            "output" => Ok(Self::Readers),
            _ => Err(format!("clock {text:?}: expected wall or output")),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clock => "wall",
            Self::Readers => "output",
        })
    }
}

/// All sinks of a channel, and what draws for them.
#[derive(Debug)]
pub struct Fanout {
    artist: Artist,
    pace: Pace,
    pools: Vec<Pool>,
    sinks: Vec<Sink>,
    /// The frames of the moment at hand, one of each kind that is wanted.
    drawn: Vec<Arc<Frame>>,
    /// What was told of sinks that are gone.
    result: Result<()>,
}

/// Frames of one kind, used again and again.
#[derive(Debug)]
struct Pool {
    kind: Kind,
    frames: Vec<Arc<Frame>>,
}

impl Pool {
    /// A frame that nobody reads any more. A sink holds at most
    /// [`FRAMES_HELD`](super::sink::FRAMES_HELD) and the one that it writes, so that there are soon
    /// enough, and never more than that.
    fn take(&mut self) -> Arc<Frame> {
        // The newest, which is in the processor's cache if any is.
        let mut frames = self.frames.iter_mut();
        match frames.rposition(|frame| Arc::get_mut(frame).is_some()) {
            Some(free) => self.frames.swap_remove(free),
            None => Arc::new(self.kind.frame()),
        }
    }
}

impl Fanout {
    /// Without a sink.
    #[must_use]
    pub fn new(artist: Artist, pace: Pace) -> Self {
        Self {
            artist,
            pace,
            pools: Vec::new(),
            sinks: Vec::new(),
            drawn: Vec::new(),
            result: Ok(()),
        }
    }

    /// Adds a sink, from the next frame on.
    pub fn add(&mut self, sink: Sink) {
        let kind = sink.kind();
        if self.pools.iter().all(|pool| pool.kind != kind) {
            let frames = Vec::new();
            self.pools.push(Pool { kind, frames });
        }
        self.sinks.push(sink);
    }

    /// Whether no sink is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sinks.is_empty()
    }

    /// Gives a moment to every sink; in the pace of readers not before each that must have it has
    /// room for it, or `enough` says not to wait. A moment that is `late`, so that another is due
    /// already, is not drawn here: sinks that must have it draw it themselves.
    ///
    /// Returns whether a frame was drawn.
    pub fn give(&mut self, moment: &Moment, late: bool, enough: impl Fn() -> bool) -> bool {
        if self.pace == Pace::Readers {
            for sink in &self.sinks {
                sink.wait_for_room(&enough);
            }
        }
        self.bury();
        for sink in &mut self.sinks {
            sink.begin(moment.index);
        }
        for pool in &mut self.pools {
            let wants = |sink: &Sink| sink.kind() == pool.kind && sink.room() == Room::Drawn;
            if !late && self.sinks.iter().any(wants) {
                self.drawn.push(pool.take());
            }
        }
        if !self.drawn.is_empty() {
            self.artist.draw(moment, &mut self.drawn);
        }
        let mut owed = None;
        for sink in &self.sinks {
            let frame = self.drawn.iter().find(|frame| sink.kind().fits(frame));
            match (sink.room(), frame) {
                (Room::Drawn, Some(frame)) => sink.give(Item::Drawn(moment.index, frame.clone())),
                (Room::Drawn | Room::Owed, _) if sink.must_have() => {
                    let moment = owed.get_or_insert_with(|| Arc::new(moment.clone()));
                    sink.give(Item::Owed(Arc::clone(moment)));
                }
                _ => sink.miss(),
            }
        }
        let any = !self.drawn.is_empty();
        for frame in self.drawn.drain(..) {
            let pool = self.pools.iter_mut().find(|pool| pool.kind.fits(&frame));
            if let Some(pool) = pool {
                pool.frames.push(frame);
            }
        }
        any
    }

    /// Lets every output write what it still has to, and its end.
    ///
    /// # Errors
    /// The first output that could not be written or finished.
    pub fn finish(mut self) -> Result<()> {
        for sink in &self.sinks {
            sink.end();
        }
        for sink in self.sinks.drain(..) {
            let result = sink.join();
            self.result = self.result.and(result);
        }
        self.result
    }

    /// Takes away the sinks that are gone, with the memory that no other needs.
    fn bury(&mut self) {
        while let Some(at) = self.sinks.iter().position(|s| s.room() == Room::Gone) {
            let sink = self.sinks.swap_remove(at);
            let (channel, output) = sink.labels();
            let result = sink.join();
            if let Err(error) = &result {
                // Said now, since the service may go on for days.
                tracing::error!(channel = &*channel, output = &*output, "{error:#}");
            }
            let before = std::mem::replace(&mut self.result, Ok(()));
            self.result = before.and(result);
            let sinks = &self.sinks;
            let wanted = |pool: &mut Pool| sinks.iter().any(|sink| sink.kind() == pool.kind);
            self.pools.retain_mut(wanted);
        }
    }
}
