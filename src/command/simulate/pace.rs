//! When messages are due, by the clock.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Due;
use super::tally::Tally;
use crate::crowd::Schedule;

/// Above 4,000 messages a second, those of this time are due together: to be woken for each would
/// take what sending them takes.
const GRAIN: Duration = Duration::from_micros(250);

/// A thread that puts each message into the backlog when it is due: more exact than a runtime's
/// timer, which has whole milliseconds.
#[derive(Debug)]
pub(super) struct Pace(Arc<Stop>);

#[derive(Debug, Default)]
struct Stop {
    is_asked: Mutex<bool>,
    changed: Condvar,
}

impl Pace {
    pub(super) fn start(
        schedule: Schedule,
        backlog: mpsc::Sender<Due>,
        tally: Arc<Tally>,
    ) -> Result<Self> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let run = move || keep(&schedule, &backlog, &tally, &asked);
        let thread = std::thread::Builder::new().name("pace".into()).spawn(run);
        drop(thread.context("cannot start a thread")?);
        Ok(Self(stop))
    }

    /// No more messages.
    pub(super) fn stop(&self) {
        *self
            .0
            .is_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }
}

fn keep(schedule: &Schedule, backlog: &mpsc::Sender<Due>, tally: &Tally, stop: &Stop) {
    let mut now = tally.elapsed();
    for (number, at) in (0..).zip(schedule.times()) {
        if at > now {
            let until = at.max(now + GRAIN);
            if !stop.wait_until(|| tally.elapsed(), until) {
                return;
            }
            now = tally.elapsed();
        }
        match backlog.try_send(Due { number, at }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => tally.dropped(),
            Err(TrySendError::Closed(_)) => return,
        }
    }
}

impl Stop {
    /// Whether it goes on then.
    fn wait_until(&self, now: impl Fn() -> Duration, until: Duration) -> bool {
        let mut asked = self.is_asked.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_sub(now());
            if *asked || left.is_zero() {
                return !*asked;
            }
            let waited = self.changed.wait_timeout(asked, left);
            (asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
