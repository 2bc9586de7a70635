//! The queue between the frame loop and one output's thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use super::FRAMES_HELD;
use crate::frame::Frame;
use crate::metrics;
use crate::output::artist::Moment;

/// What a sink is given.
#[derive(Clone)]
pub(in crate::output) enum Item {
    /// The frame of this index.
    Drawn(u64, Arc<Frame>),
    /// What was on stage at a frame that the sink draws.
    Owed(Arc<Moment>),
    /// Of outputs that are locked: another has lost its reader, so that all begin again.
    Again,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something was added, or everything has been.
    pub(super) given: Condvar,
    /// Something was taken.
    pub(super) taken: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) items: VecDeque<Item>,
    /// What counts them.
    metrics: metrics::Output,
    /// The sprites of those that are owed.
    pub(super) sprites: usize,
    /// There will be no more.
    pub(super) ended: bool,
    /// So many frames that wait and one more make it behind.
    frames_behind: usize,
    /// It has been said to be behind, and not that it has caught up.
    is_behind: bool,
    /// The output is not open now.
    pub(super) shut: bool,
    /// Of outputs that are locked: they have begun.
    pub(super) admits: bool,
    /// The thread has ended, or is about to.
    pub(super) gone: bool,
}

impl Queue {
    /// An empty one, whose frames are counted there; more of them than these are behind.
    pub(super) fn new(metrics: metrics::Output, frames_behind: usize) -> Self {
        Self {
            state: Mutex::new(State {
                metrics,
                frames_behind,
                ..State::default()
            }),
            ..Self::default()
        }
    }

    /// No code under this lock leaves a change half made, so a poisoned value is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame, waited for; `None` after the last.
    pub(super) fn next(&self) -> Option<Item> {
        let state = self.lock();
        let empty = |state: &mut State| state.items.is_empty() && !state.ended;
        let waited = self.given.wait_while(state, empty);
        let item = waited.unwrap_or_else(PoisonError::into_inner).pop();
        self.taken.notify_one();
        item
    }

    /// Waits, and says whether the end has come meanwhile, with nothing left to be written.
    pub(super) fn ends_within(&self, time: Duration) -> bool {
        let over = |state: &State| state.ended && state.items.is_empty();
        let state = self.lock();
        let waited = self
            .given
            .wait_timeout_while(state, time, |state| !over(state));
        over(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Item {
    /// The frame's, if it is one.
    pub(super) fn index(&self) -> Option<u64> {
        match self {
            Self::Drawn(index, _) => Some(*index),
            Self::Owed(moment) => Some(moment.index),
            Self::Again => None,
        }
    }

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
    pub(super) fn takes(&self, locked: bool) -> bool {
        if locked { self.admits } else { !self.shut }
    }

    /// Whether it is behind from now on.
    pub(super) fn falls_behind(&mut self) -> bool {
        let falls = !self.is_behind && self.items.len() > self.frames_behind;
        self.is_behind |= falls;
        falls
    }

    /// Whether it is behind no longer from now on.
    pub(super) fn catches_up(&mut self) -> bool {
        let catches_up = self.is_behind && self.items.len() < FRAMES_HELD;
        self.is_behind &= !catches_up;
        catches_up
    }

    pub(super) fn push(&mut self, item: Item) {
        self.sprites += item.sprites();
        if let Some(queued) = self.queued(&item) {
            queued.inc();
        }
        self.items.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.sprites -= item.sprites();
        if let Some(queued) = self.queued(&item) {
            queued.dec();
        }
        Some(item)
    }

    /// What counts the frames among which this is.
    fn queued(&self, item: &Item) -> Option<&Gauge> {
        match item {
            Item::Drawn(..) => Some(&self.metrics.queued_drawn),
            Item::Owed(_) => Some(&self.metrics.queued_owed),
            Item::Again => None,
        }
    }
}
