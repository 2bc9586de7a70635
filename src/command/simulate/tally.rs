//! What became of each message so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::report::{Latencies, Refused, Report, Seen};
use super::{Due, Mark};
use crate::config::SimulateJob;
use crate::source::momento::PublishError;

/// The longest time that is told apart, an hour, in microseconds; what takes longer counts as that.
const TIME_MAX_US: u64 = 3_600_000_000;

/// Digits of a time that are told apart.
const DIGITS: u8 = 3;

/// The counts of one run. Its lock is held for a few steps of arithmetic.
#[derive(Debug)]
pub(super) struct Tally {
    begun: OnceLock<Instant>,
    state: Mutex<State>,
    /// Told when what was accepted has all been seen.
    all_seen: Notify,
}

#[derive(Debug)]
struct State {
    sent: u64,
    dropped: u64,
    accepted: Bits,
    /// By the status; at most as many as there are statuses.
    refused: BTreeMap<u16, Refused>,
    unanswered: Refused,
    seen: Bits,
    /// Accepted and not seen yet.
    missing: u64,
    duplicates: u64,
    out_of_order: u64,
    /// The newest number that has been seen of each publisher.
    newest: Vec<Option<u64>>,
    until_sent: Histogram<u64>,
    until_answered: Histogram<u64>,
    until_seen: Histogram<u64>,
}

/// A set of message numbers.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    fn new(length: u64) -> Self {
        let words = usize::try_from(length.div_ceil(64)).unwrap_or(usize::MAX);
        Self {
            words: vec![0; words],
            count: 0,
        }
    }

    fn place(number: u64) -> (usize, u64) {
        let word = usize::try_from(number / 64).unwrap_or(usize::MAX);
        (word, 1 << (number % 64))
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether it was not in there. What is no number of this run is always.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        let Some(word) = self.words.get_mut(word) else {
            return true;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }
}

impl Tally {
    pub(super) fn new(messages: u64, publishers: usize) -> Self {
        let times = || {
            let times = Histogram::new_with_bounds(1, TIME_MAX_US, DIGITS);
            times.expect("invariant: bounds that a histogram takes")
        };
        Self {
            begun: OnceLock::new(),
            all_seen: Notify::new(),
            state: Mutex::new(State {
                sent: 0,
                dropped: 0,
                accepted: Bits::new(messages),
                refused: BTreeMap::new(),
                unanswered: Refused::default(),
                seen: Bits::new(messages),
                missing: 0,
                duplicates: 0,
                out_of_order: 0,
                newest: vec![None; publishers],
                until_sent: times(),
                until_answered: times(),
                until_seen: times(),
            }),
        }
    }

    /// From here on times count.
    pub(super) fn begin(&self, now: Instant) {
        self.begun.get_or_init(|| now);
    }

    /// The time since the beginning; none before it.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    pub(super) fn dropped(&self) {
        self.state().dropped += 1;
    }

    pub(super) fn sent(&self, due: Due) {
        let late = self.since(due.at);
        let mut state = self.state();
        state.sent += 1;
        state.until_sent.saturating_record(late);
    }

    pub(super) fn answered(&self, due: Due, published: Result<(), PublishError>) {
        let late = self.since(due.at);
        let mut state = self.state();
        let error = match published {
            Ok(()) => {
                state.until_answered.saturating_record(late);
                state.accepted.insert(due.number);
                state.missing += u64::from(!state.seen.has(due.number));
                return;
            }
            Err(error) => error,
        };
        let why = match error.status() {
            Some(status) => {
                state.until_answered.saturating_record(late);
                state.refused.entry(status).or_default()
            }
            None => &mut state.unanswered,
        };
        why.count += 1;
        if why.first.is_empty() {
            why.first = error.to_string();
        }
    }

    /// A message of this run came by the topic.
    pub(super) fn saw(&self, mark: &Mark<'_>) {
        let late = self.since(Duration::from_micros(mark.due_us));
        let mut state = self.state();
        if !state.seen.insert(mark.number) {
            state.duplicates += 1;
            return;
        }
        state.until_seen.saturating_record(late);
        if let Some(newest) = state.newest.get_mut(mark.publisher) {
            let is_late = newest.is_some_and(|newest| newest > mark.number);
            *newest = (*newest).max(Some(mark.number));
            state.out_of_order += u64::from(is_late);
        }
        if state.accepted.has(mark.number) {
            state.missing -= 1;
            if state.missing == 0 {
                self.all_seen.notify_one();
            }
        }
    }

    /// Resolves when all that was accepted has been seen.
    pub(super) async fn all_seen(&self) {
        while self.state().missing > 0 {
            self.all_seen.notified().await;
        }
    }

    /// How many were sent, and what became of them, for the progress.
    pub(super) fn so_far(&self) -> (u64, String) {
        let state = self.state();
        let (accepted, seen) = (state.accepted.count, state.seen.count);
        (state.sent, format!("{accepted} accepted, {seen} seen"))
    }

    pub(super) fn report(&self, job: &SimulateJob, sending: Duration, is_cut: bool) -> Report {
        let state = self.state();
        Report {
            topic: job.address.to_string(),
            load: job.about.clone(),
            publishers: job.publishers,
            ended_early: is_cut,
            seconds: sending.as_secs_f64(),
            planned: job.schedule.count(),
            dropped: state.dropped,
            sent: state.sent,
            accepted: state.accepted.count,
            refused: state.refused.clone(),
            unanswered: state.unanswered.clone(),
            seen: job.follow.then(|| Seen {
                messages: state.seen.count,
                lost: state.missing,
                duplicates: state.duplicates,
                out_of_order: state.out_of_order,
            }),
            until_sent_ms: Latencies::of(&state.until_sent),
            until_answered_ms: Latencies::of(&state.until_answered),
            until_seen_ms: job.follow.then(|| Latencies::of(&state.until_seen)),
        }
    }

    /// Microseconds since a message was due.
    fn since(&self, due: Duration) -> u64 {
        let late = self.elapsed().saturating_sub(due);
        u64::try_from(late.as_micros()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
