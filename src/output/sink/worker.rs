//! The thread of one output: it takes frames from the queue, and writes them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::queue::{Item, Queue};
use super::{Policy, Room, Sink};
use crate::frame::Frame;
use crate::metrics;
use crate::output::artist::Artist;
use crate::output::debuts::Debuts;
use crate::output::lock::Lock;
use crate::output::{Flow, Output, Plan};

/// Readers at once of an output that many can read; a further one's connection is closed.
const READERS_MAX: usize = 64;

/// How long such an output's end waits for readers to take what is left.
const READERS_GRACE: Duration = Duration::from_secs(1);

/// How long a sink waits for its reader between two looks.
const ABSENT: Duration = Duration::from_millis(50);

/// How long a sink waits after a failure, and at most, when it has failed again and again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Says at its end, which may be a panic, that nobody takes from the queue any more.
struct Gone(Arc<Queue>);

impl Drop for Gone {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        while state.pop().is_some() {}
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
pub(super) struct Worker {
    pub(super) plan: Plan,
    pub(super) output: Option<Output>,
    /// Whether it is opened again when its reader goes.
    pub(super) lasting: bool,
    pub(super) metrics: metrics::Output,
    /// Has drawn nothing yet.
    pub(super) artist: Arc<Artist>,
    /// What it times reactions by.
    pub(super) debuts: Debuts,
    /// Draws what the sink is owed.
    pub(super) own: Option<(Artist, [Arc<Frame>; 1])>,
    pub(super) queue: Arc<Queue>,
    pub(super) lock: Option<Lock>,
    /// How often locked outputs had begun again when this one was opened.
    pub(super) generation: u64,
}

impl Worker {
    pub(super) fn run(mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let _gone = Gone(Arc::clone(&self.queue));
        work(&mut self)
    }

    /// Hands frames to sinks of its own, one for each reader.
    pub(super) fn share(&mut self) -> Result<()> {
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
                        self.warn(&error, "");
                    }
                    self.metrics.reopened.inc();
                }
                match self.plan.accept() {
                    Ok(Some(plan)) => self.admit(&mut readers, plan),
                    Ok(None) => {}
                    Err(error) => self.warn(&error, ""),
                }
                readers.iter().for_each(|reader| reader.give(item.clone()));
            }
        }
    }

    /// Starts the sink of a reader who has come.
    fn admit(&self, readers: &mut Vec<Sink>, plan: Plan) {
        if readers.len() == READERS_MAX {
            let (channel, output) = (&*self.metrics.channel, &*self.metrics.name);
            tracing::warn!(
                channel,
                output,
                "{plan} has {READERS_MAX} readers; another one is turned away"
            );
            return;
        }
        let (artist, debuts) = (Arc::clone(&self.artist), self.debuts.clone());
        match Sink::start(plan, Policy::Drop, self.metrics.clone(), artist, debuts) {
            Ok(sink) => readers.push(sink),
            Err(error) => self.warn(&error, ""),
        }
    }

    /// Says how the output stands.
    fn tell(&self, how: &str) {
        let (channel, output) = (&*self.metrics.channel, &*self.metrics.name);
        tracing::info!(channel, output, "{} {how}", self.plan);
    }

    /// Says what is wrong with the output, and what is done about it.
    fn warn(&self, error: &anyhow::Error, then: &str) {
        let (channel, output) = (&*self.metrics.channel, &*self.metrics.name);
        tracing::warn!(channel, output, "{error:#}{then}");
    }

    pub(super) fn work(&mut self) -> Result<()> {
        loop {
            let output = match self.output.take() {
                Some(output) => output,
                None => match self.wait_for(|worker| worker.plan.open())? {
                    Some(output) => output,
                    None => return Ok(()),
                },
            };
            let open = Open::new(&self.metrics);
            if self.lasting {
                self.tell("is open");
            }
            let result = self.deliver(output);
            drop(open);
            let flow = match result {
                Ok(Some(flow)) => {
                    if self.lasting {
                        self.tell("is closed, and waits for a reader");
                    }
                    flow
                }
                Ok(None) => return Ok(()),
                Err(error) if self.lasting => {
                    self.warn(&error, "; it is opened again");
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
        // The frame after the last that was written.
        let mut next = None;
        while let Some(item) = self.queue.next() {
            if !self.is_due(&item) {
                continue;
            }
            let index = item.index();
            let flow = match &item {
                Item::Again => Ok(Flow::Closed),
                Item::Drawn(index, frame) => {
                    if let Some((artist, _)) = &mut self.own {
                        artist.pass();
                    }
                    output.write(frame, *index)
                }
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
            if self.queue.lock().catches_up() {
                self.tell("has caught up");
            }
            if let Some(index) = index {
                let frames = next.unwrap_or(index)..=index;
                self.debuts.shown_in(&frames, |since| {
                    self.metrics.latency_seconds.observe(since.as_secs_f64());
                });
                next = Some(index + 1);
            }
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
            // That it is closed has been said.
            state.catches_up();
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
                        self.warn(&error, "; it is tried again");
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
