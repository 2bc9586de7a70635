//! One output on a thread of its own, behind a bounded queue.
//!
//! The frame loop offers each frame to every sink and waits for none, so that one that stalls,
//! fails or goes away touches neither the others nor the clock. What happens to a frame that finds
//! the queue full is the sink's [`Policy`].
//!
//! Frames are shared. A sink that falls behind by more than [`FRAMES_HELD`] of them is owed the
//! rest as what was on stage then, which is small, and draws it by itself when it gets there.

mod queue;
mod worker;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

pub(super) use self::queue::Item;
use self::queue::{Queue, State};
use self::worker::Worker;
use super::artist::Artist;
use super::debuts::Debuts;
use super::lock::Lock;
use super::{Kind, Plan};
use crate::metrics;

/// Drawn frames that wait for one sink, and are held for it. One more is owed, or waited for.
pub(super) const FRAMES_HELD: usize = 3;

/// Drawn frames that wait for a sink that is itself waited for: the next one is drawn while one is
/// written, and two frames stay in the processor's cache where more would not.
const FRAMES_AHEAD: usize = 1;

/// Drawn frames that wait for a sink of [`Policy::Drop`]. One more takes the place of the oldest.
const FRAMES_LIVE: usize = 2;

/// Sprites of all the frames that one sink is owed: about 128 MiB. Beyond it the oldest owed
/// frames are dropped, and counted.
const SPRITES_OWED: usize = 2_000_000;

/// Frames that one sink is owed: ten minutes at 60 a second. Beyond it as above.
const FRAMES_OWED: usize = 36_000;

/// A sink for which frames of more than this time wait is said to be behind, once; and once that it
/// has caught up, when fewer than [`FRAMES_HELD`] do.
const BEHIND: Duration = Duration::from_secs(1);

/// How long the frame loop waits for a sink until it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// What happens to a frame that finds a sink's queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Every frame is delivered, late if need be: for files, and pipes that must have every frame.
    /// Only what is beyond [`SPRITES_OWED`] or [`FRAMES_OWED`] is dropped.
    #[default]
    Block,
    /// The newest frames are delivered, and those that they overtake are not: for live readers.
    Drop,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Drop => "drop",
        })
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "drop" => Ok(Self::Drop),
            _ => Err(format!("policy {text:?}: expected block or drop")),
        }
    }
}

/// What the frame loop knows of an output that has a thread of its own.
pub struct Sink {
    name: String,
    kind: Kind,
    has_end: bool,
    policy: Policy,
    metrics: metrics::Output,
    queue: Arc<Queue>,
    lock: Option<Lock>,
    /// The generation that the output was told of.
    told: u64,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What a sink can take of the frame that is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A drawn frame.
    Drawn,
    /// What was on stage.
    Owed,
    /// Nothing: it has no reader.
    Nothing,
    /// Nothing any more.
    Gone,
}

impl Sink {
    /// Starts the thread of an output that is open, or is to be opened as soon as its reader is
    /// there. An output that can be opened again is, when it fails or its reader goes.
    ///
    /// One that listens and may drop frames is for many readers at once: each has a sink of its own,
    /// with a stream that begins when it comes, and frames of its own that it is too slow for.
    ///
    /// By `debuts` it times how long reactions took until it had written them.
    ///
    /// # Errors
    /// It can't be opened, and never will be; there is no thread.
    pub fn start(
        plan: Plan,
        policy: Policy,
        metrics: metrics::Output,
        artist: Arc<Artist>,
        debuts: Debuts,
    ) -> Result<Self> {
        let lasting = plan.reopens();
        Self::start_locked(plan, policy, metrics, artist, debuts, lasting, None)
    }

    /// Starts outputs that get the same frames, from the same one on. Each must have every frame.
    /// Only those that are `lasting` are opened again when their readers go.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_all(
        plans: Vec<(Plan, metrics::Output)>,
        artist: &Arc<Artist>,
        debuts: &Debuts,
        lasting: bool,
    ) -> Result<Vec<Self>> {
        let lock = Lock::default();
        let start = |(plan, metrics): (Plan, _)| {
            let lasting = lasting && plan.reopens();
            let (lock, artist, debuts) = (Some(lock.clone()), Arc::clone(artist), debuts.clone());
            Self::start_locked(plan, Policy::Block, metrics, artist, debuts, lasting, lock)
        };
        plans.into_iter().map(start).collect()
    }

    fn start_locked(
        mut plan: Plan,
        policy: Policy,
        metrics: metrics::Output,
        artist: Arc<Artist>,
        debuts: Debuts,
        lasting: bool,
        lock: Option<Lock>,
    ) -> Result<Self> {
        plan.count_bytes(metrics.bytes.clone());
        let (name, kind, has_end) = (plan.to_string(), plan.kind(), plan.has_end());
        let shared = policy == Policy::Drop && plan.listens();
        let output = if shared {
            None
        } else {
            match plan.open() {
                Err(error) if plan.reopens() => {
                    let (channel, output) = (&*metrics.channel, &*metrics.name);
                    tracing::warn!(channel, output, "{error:#}; it is tried again");
                    None
                }
                opened => opened?,
            }
        };
        let frames_behind = usize::try_from(plan.rate().first_at_or_after(BEHIND));
        let frames_behind = frames_behind.unwrap_or(usize::MAX).max(FRAMES_HELD);
        let queue = Arc::new(Queue::new(metrics.clone(), frames_behind));
        {
            let mut state = queue.lock();
            state.items.reserve(FRAMES_HELD.max(FRAMES_LIVE) + 1);
            state.shut = output.is_none();
        }
        let generation = match (&lock, &output) {
            (Some(lock), Some(_)) => lock.opened(),
            _ => 0,
        };
        let worker = Worker {
            plan,
            output,
            lasting,
            lock: lock.clone(),
            generation,
            metrics: metrics.clone(),
            artist,
            debuts,
            own: None,
            queue: Arc::clone(&queue),
        };
        let thread = std::thread::Builder::new().name("output".into());
        let work = if shared { Worker::share } else { Worker::work };
        let thread = thread.spawn(move || worker.run(work));
        Ok(Self {
            name,
            kind,
            has_end,
            policy,
            metrics,
            queue,
            lock,
            told: 0,
            thread: Some(thread.context("cannot start a thread")?),
        })
    }

    /// The channel's name, and its own.
    pub(super) fn labels(&self) -> (Arc<str>, Arc<str>) {
        let metrics::Output { channel, name, .. } = &self.metrics;
        (Arc::clone(channel), Arc::clone(name))
    }

    /// What frames it takes.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Prepares it for the frame of an index, before any sink is given it.
    pub(super) fn begin(&mut self, index: u64) {
        let Some(lock) = &self.lock else { return };
        let generation = lock.generation();
        if generation != self.told {
            self.told = generation;
            self.queue.lock().push(Item::Again);
            self.queue.given.notify_one();
        }
        let admits = lock.admits(index);
        self.queue.lock().admits = admits;
    }

    /// What it can take of the next frame.
    pub(super) fn room(&self) -> Room {
        let state = self.queue.lock();
        if state.gone {
            Room::Gone
        } else if !state.takes(self.lock.is_some()) {
            Room::Nothing
        } else if self.policy == Policy::Drop || state.items.len() < FRAMES_HELD {
            Room::Drawn
        } else {
            Room::Owed
        }
    }

    /// Waits until a sink that must have every frame is open and has room for a drawn one, or
    /// until `enough` says so. Of those that are locked one that is open is enough.
    pub(super) fn wait_for_room(&self, enough: impl Fn() -> bool) {
        let absent = |shut| match &self.lock {
            Some(lock) => !lock.is_open(),
            None => shut,
        };
        let mut state = self.queue.lock();
        let full = |state: &mut State| {
            let behind = state.items.len() >= FRAMES_AHEAD && !state.shut;
            (behind || absent(state.shut)) && !(state.gone || state.ended)
        };
        while self.policy == Policy::Block && full(&mut state) && !enough() {
            let waited = self.queue.taken.wait_timeout_while(state, LOOK, full);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it must have every frame.
    pub(super) fn must_have(&self) -> bool {
        self.policy == Policy::Block
    }

    /// Adds a frame. What gives way is counted.
    pub(super) fn give(&self, item: Item) {
        let mut state = self.queue.lock();
        if state.gone || !state.takes(self.lock.is_some()) {
            drop(state);
            self.metrics.frames_dropped.inc();
            return;
        }
        state.push(item);
        let mut dropped = 0;
        match self.policy {
            Policy::Drop => {
                while state.items.len() > FRAMES_LIVE {
                    state.pop();
                    dropped += 1;
                }
            }
            Policy::Block => {
                while state.sprites > SPRITES_OWED || state.items.len() > FRAMES_OWED {
                    state.pop();
                    dropped += 1;
                }
            }
        }
        let fell_behind = state.falls_behind();
        drop(state);
        self.queue.given.notify_one();
        self.metrics.frames_dropped.inc_by(dropped);
        if fell_behind {
            let (channel, output) = (&*self.metrics.channel, &*self.metrics.name);
            tracing::warn!(
                channel,
                output,
                "{} is more than {} s behind; frames are kept for it, {FRAMES_OWED} at most",
                self.name,
                BEHIND.as_secs()
            );
        }
    }

    /// Counts a frame that it was not given.
    pub(super) fn miss(&self) {
        self.metrics.frames_dropped.inc();
    }

    /// Lets the output write what is in the queue, and its end. Doesn't wait for it.
    pub(super) fn end(&self) {
        self.queue.lock().ended = true;
        self.queue.given.notify_all();
        self.queue.taken.notify_all();
    }

    /// Waits until its thread has ended, or is about to, and says whether it has within this time.
    fn ends_within(&self, time: Duration) -> bool {
        let state = self.queue.lock();
        let there = |state: &mut State| !state.gone;
        let waited = self.queue.taken.wait_timeout_while(state, time, there);
        waited.unwrap_or_else(PoisonError::into_inner).0.gone
    }

    /// Waits for the output's end, if it has one: a reader who takes nothing keeps nobody.
    pub(super) fn join(mut self) -> Result<()> {
        self.end();
        let thread = self.thread.take();
        let waited_for = |_: &_| self.has_end || self.room() == Room::Gone;
        thread.filter(waited_for).map_or(Ok(()), |thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(anyhow!("the output {} panicked", self.name)))
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sink({}, {})", self.name, self.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emoji::EmojiFonts;
    use crate::frame::{Alpha, Frame, FrameRate, PixelFormat, Scan, Size};
    use crate::output::{Fanout, Form, Moment, Pace, Spec, Target};
    use crate::paint::Painter;
    use crate::sprite::SpriteSheet;

    /// What a PNG's encoder makes of a frame that is too small.
    #[test]
    fn an_output_that_panics_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size::new(4, 4).unwrap();
        let spec = Spec {
            scan: Scan::Progressive,
            size,
            rate: FrameRate::new(30, 1).unwrap(),
            alpha: Alpha::Straight,
            form: Form::default(),
        };
        let target = Target::File(folder.path().join("frame-%d.png"));
        let plan = Plan::new(target, spec).unwrap();
        let sheet = Arc::new(SpriteSheet::new(&EmojiFonts::bundled(), []).unwrap());
        let artist = Artist::new(Painter::new(sheet, size), Scan::Progressive, None);
        let metrics = metrics::Metrics::new().output("demo", "frame-%d.png");
        let (spare, debuts) = (Arc::new(artist.clone()), Debuts::default());
        let start = Sink::start(plan, Policy::Block, metrics.clone(), spare, debuts);
        let sink = start.unwrap();
        let small = Frame::new(Size::new(2, 2).unwrap(), Alpha::Straight, PixelFormat::Rgba);
        sink.give(Item::Drawn(0, Arc::new(small)));
        assert!(sink.ends_within(Duration::from_secs(30)));
        assert_eq!((sink.room(), metrics.open.get()), (Room::Gone, 0));
        // Who waits for room waits no longer.
        sink.wait_for_room(|| false);
        let mut fanout = Fanout::new(artist, Pace::Readers);
        fanout.add(sink);
        fanout.give(&Moment::default(), false, || false);
        assert!(fanout.is_empty());
        let error = fanout.finish().unwrap_err().to_string();
        assert!(error.contains("panicked"), "{error}");
    }
}
