//! One output on a thread of its own, behind a bounded queue.
//!
//! The frame loop offers each frame to every sink and waits for none, so that one that stalls,
//! fails or goes away touches neither the others nor the clock. What happens to a frame that finds
//! the queue full is the sink's [`Policy`].
//!
//! Frames are shared. A sink that falls behind by more than [`FRAMES_HELD`] of them is owed the
//! rest as what was on stage then, which is small, and draws it by itself when it gets there.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::artist::{Artist, Moment};
use super::lock::Lock;
use super::{Flow, Kind, Output, Plan};
use crate::frame::Frame;
use crate::metrics;

/// Drawn frames that wait for one sink, and are held for it. One more is owed, or waited for.
pub(super) const FRAMES_HELD: usize = 4;

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

/// Readers at once of an output that many can read; a further one's connection is closed.
const READERS_MAX: usize = 64;

/// How long such an output's end waits for readers to take what is left.
const READERS_GRACE: Duration = Duration::from_secs(1);

/// How long a sink waits for its reader between two looks.
const ABSENT: Duration = Duration::from_millis(50);

/// How long the frame loop waits for a sink until it looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// How long a sink waits after a failure, and at most, when it has failed again and again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

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

/// What a sink is given.
#[derive(Clone)]
pub(super) enum Item {
    /// The frame of this index.
    Drawn(u64, Arc<Frame>),
    /// What was on stage at a frame that the sink draws.
    Owed(Arc<Moment>),
    /// Of outputs that are locked: another has lost its reader, so that all begin again.
    Again,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Something was added, or everything has been.
    given: Condvar,
    /// Something was taken.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// The sprites of those that are owed.
    sprites: usize,
    /// There will be no more.
    ended: bool,
    /// The output is not open now.
    shut: bool,
    /// Of outputs that are locked: they have begun.
    admits: bool,
    /// The thread has ended, or is about to.
    gone: bool,
}

impl Sink {
    /// Starts the thread of an output that is open, or is to be opened as soon as its reader is
    /// there. An output that can be opened again is, when it fails or its reader goes.
    ///
    /// One that listens and may drop frames is for many readers at once: each has a sink of its own,
    /// with a stream that begins when it comes, and frames of its own that it is too slow for.
    ///
    /// # Errors
    /// It can't be opened, and never will be; there is no thread.
    pub fn start(
        plan: Plan,
        policy: Policy,
        metrics: metrics::Output,
        artist: Arc<Artist>,
    ) -> Result<Self> {
        let lasting = plan.reopens();
        Self::start_locked(plan, policy, metrics, artist, lasting, None)
    }

    /// Starts outputs that get the same frames, from the same one on. Each must have every frame.
    /// Only those that are `lasting` are opened again when their readers go.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_all(
        plans: Vec<(Plan, metrics::Output)>,
        artist: &Arc<Artist>,
        lasting: bool,
    ) -> Result<Vec<Self>> {
        let lock = Lock::default();
        let start = |(plan, metrics): (Plan, _)| {
            let lasting = lasting && plan.reopens();
            let (lock, artist) = (Some(lock.clone()), Arc::clone(artist));
            Self::start_locked(plan, Policy::Block, metrics, artist, lasting, lock)
        };
        plans.into_iter().map(start).collect()
    }

    fn start_locked(
        mut plan: Plan,
        policy: Policy,
        metrics: metrics::Output,
        artist: Arc<Artist>,
        lasting: bool,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let (name, kind, has_end) = (plan.to_string(), plan.kind(), plan.has_end());
        let shared = policy == Policy::Drop && plan.listens();
        let output = if shared {
            None
        } else {
            match plan.open() {
                Err(error) if plan.reopens() => {
                    tracing::warn!("{error:#}; it is tried again");
                    None
                }
                opened => opened?,
            }
        };
        let queue = Arc::new(Queue::default());
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
        drop(state);
        self.queue.given.notify_one();
        self.metrics.frames_dropped.inc_by(dropped);
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

impl Queue {
    /// No code under this lock leaves a change half made, so a poisoned value is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame, waited for; `None` after the last.
    fn next(&self) -> Option<Item> {
        let state = self.lock();
        let empty = |state: &mut State| state.items.is_empty() && !state.ended;
        let waited = self.given.wait_while(state, empty);
        let item = waited.unwrap_or_else(PoisonError::into_inner).pop();
        self.taken.notify_one();
        item
    }

    /// Waits, and says whether the end has come meanwhile, with nothing left to be written.
    fn ends_within(&self, time: Duration) -> bool {
        let over = |state: &State| state.ended && state.items.is_empty();
        let state = self.lock();
        let waited = self
            .given
            .wait_timeout_while(state, time, |state| !over(state));
        over(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Item {
    /// The sprites that it is owed.
    fn sprites(&self) -> usize {
        match self {
            Self::Drawn(..) | Self::Again => 0,
            Self::Owed(moment) => moment.sprites(),
        }
    }
}

impl State {
    /// Whether frames are taken. Of outputs that are locked, one that is shut takes those from
    /// which on another is open.
    fn takes(&self, locked: bool) -> bool {
        if locked { self.admits } else { !self.shut }
    }

    fn push(&mut self, item: Item) {
        self.sprites += item.sprites();
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.sprites -= item.sprites();
        Some(item)
    }
}

/// Says at its end, which may be a panic, that nobody takes from the queue any more.
struct Gone(Arc<Queue>);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        state.items.clear();
        drop(state);
        self.0.taken.notify_all();
    }
}

/// One more that is open, until it is dropped.
struct Open(metrics::Output);

impl Open {
    fn new(metrics: &metrics::Output) -> Self {
        metrics.open.inc();
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

/// The other end of the queue.
struct Worker {
    plan: Plan,
    output: Option<Output>,
    /// Whether it is opened again when its reader goes.
    lasting: bool,
    metrics: metrics::Output,
    /// Has drawn nothing yet.
    artist: Arc<Artist>,
    /// Draws what the sink is owed.
    own: Option<(Artist, [Arc<Frame>; 1])>,
    queue: Arc<Queue>,
    lock: Option<Lock>,
    /// How often locked outputs had begun again when this one was opened.
    generation: u64,
}

impl Worker {
    fn run(mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let _gone = Gone(Arc::clone(&self.queue));
        work(&mut self)
    }

    /// Hands frames to sinks of its own, one for each reader.
    fn share(&mut self) -> Result<()> {
        let mut readers = Vec::new();
        loop {
            let Some(first) = self.wait_for(|worker| worker.plan.accept())? else {
                return Ok(());
            };
            self.admit(&mut readers, first);
            while !readers.is_empty() {
                let Some(item) = self.queue.next() else {
                    readers.iter().for_each(Sink::end);
                    let mut grace = READERS_GRACE;
                    for reader in &readers {
                        // While one was waited for all others had as long.
                        if !reader.ends_within(grace) {
                            grace = Duration::ZERO;
                        }
                    }
                    return Ok(());
                };
                while let Some(at) = readers.iter().position(|r| r.room() == Room::Gone) {
                    if let Err(error) = readers.swap_remove(at).join() {
                        tracing::warn!("{error:#}");
                    }
                    self.metrics.reopened.inc();
                }
                match self.plan.accept() {
                    Ok(Some(plan)) => self.admit(&mut readers, plan),
                    Ok(None) => {}
                    Err(error) => tracing::warn!("{error:#}"),
                }
                readers.iter().for_each(|reader| reader.give(item.clone()));
            }
        }
    }

    /// Starts the sink of a reader who has come.
    fn admit(&self, readers: &mut Vec<Sink>, plan: Plan) {
        if readers.len() == READERS_MAX {
            tracing::warn!("{plan} has {READERS_MAX} readers; another one is turned away");
            return;
        }
        let artist = Arc::clone(&self.artist);
        match Sink::start(plan, Policy::Drop, self.metrics.clone(), artist) {
            Ok(sink) => readers.push(sink),
            Err(error) => tracing::warn!("{error:#}"),
        }
    }

    fn work(&mut self) -> Result<()> {
        loop {
            let output = match self.output.take() {
                Some(output) => output,
                None => match self.wait_for(|worker| worker.plan.open())? {
                    Some(output) => output,
                    None => return Ok(()),
                },
            };
            let open = Open::new(&self.metrics);
            let result = self.deliver(output);
            drop(open);
            let flow = match result {
                Ok(Some(flow)) => flow,
                Ok(None) => return Ok(()),
                Err(error) if self.lasting => {
                    tracing::warn!("{error:#}; it is opened again");
                    if self.queue.ends_within(BACKOFF.0) {
                        return Ok(());
                    }
                    Flow::Closed
                }
                Err(error) => return Err(error),
            };
            if flow == Flow::Closed && !self.lasting {
                return Ok(());
            }
            self.metrics.reopened.inc();
            if let Some(lock) = &self.lock {
                lock.lost(self.generation);
            }
        }
    }

    /// Writes frame after frame: until the last, which is `None`, or until the reader is gone.
    fn deliver(&mut self, mut output: Output) -> Result<Option<Flow>> {
        while let Some(item) = self.queue.next() {
            if !self.is_due(&item) {
                continue;
            }
            let flow = match &item {
                Item::Again => Ok(Flow::Closed),
                Item::Drawn(index, frame) => output.write(frame, *index),
                Item::Owed(moment) => {
                    let (artist, frame) = self.own.get_or_insert_with(|| {
                        let frame = Arc::new(self.plan.kind().frame());
                        ((*self.artist).clone(), [frame])
                    });
                    artist.draw(moment, frame);
                    output.write(&frame[0], moment.index)
                }
            };
            // The frame is free before the next is waited for.
            drop(item);
            if flow? == Flow::Closed {
                if let Err(error) = output.finish() {
                    tracing::debug!("{error:#}");
                }
                return Ok(Some(Flow::Closed));
            }
            self.metrics.frames.inc();
        }
        output.finish()?;
        Ok(None)
    }

    /// Whether this is for the output as it is open now, and not from before.
    fn is_due(&self, item: &Item) -> bool {
        let Some(lock) = &self.lock else { return true };
        match item {
            Item::Drawn(index, _) => lock.has(*index),
            Item::Owed(moment) => lock.has(moment.index),
            Item::Again => lock.generation() != self.generation,
        }
    }

    /// Opens something as soon as its reader is there; `None` if the end comes first.
    fn wait_for<T>(&mut self, open: impl Fn(&mut Self) -> Result<Option<T>>) -> Result<Option<T>> {
        {
            let mut state = self.queue.lock();
            state.shut = true;
            while self.lock.is_none() && state.pop().is_some() {
                self.metrics.frames_dropped.inc();
            }
        }
        self.queue.taken.notify_all();
        let mut backoff = BACKOFF.0;
        let mut said = false;
        loop {
            let wait = match open(self) {
                Ok(Some(opened)) => {
                    self.queue.lock().shut = false;
                    if let Some(lock) = &self.lock {
                        self.generation = lock.opened();
                    }
                    self.queue.taken.notify_all();
                    return Ok(Some(opened));
                }
                Ok(None) => ABSENT,
                Err(error) if self.plan.reopens() => {
                    if !said {
                        tracing::warn!("{error:#}; it is tried again");
                        said = true;
                    }
                    let wait = backoff;
                    backoff = (backoff * 2).min(BACKOFF.1);
                    wait
                }
                Err(error) => return Err(error),
            };
            if self.queue.ends_within(wait) {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emoji::EmojiFonts;
    use crate::frame::{Alpha, FrameRate, PixelFormat, Scan, Size};
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
        let start = Sink::start(plan, Policy::Block, metrics.clone(), artist.clone().into());
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
