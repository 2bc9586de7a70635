//! Connecting again: pauses that grow, and a slow knocking where nobody opens.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::sleep;

use super::inbox::{Inbox, State};
use super::since_epoch;

/// Pauses between attempts double from the first to the last, each cut at random by up to half,
/// so that the clients of a server that comes back don't all come at once.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The same after refusals that trying again does not mend: a person has to.
const REFUSED_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A connection that fails after it was held this long was with a server that works. The next
/// pause is the shortest again.
const HELD_WELL: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Why a source's connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What a person reads, without secrets.
    pub(super) why: String,
    /// Whether trying again does not mend it; then `why` says what does.
    pub(super) is_refused: bool,
    /// The pause that the server asks for.
    pub(super) pause: Option<Duration>,
}

impl Failure {
    /// What may be over with the next attempt.
    pub(super) fn passing(why: impl ToString) -> Self {
        Self {
            why: why.to_string(),
            is_refused: false,
            pause: None,
        }
    }

    /// What a person has to mend; `why` says how.
    pub(super) fn refused(why: impl ToString) -> Self {
        Self {
            is_refused: true,
            ..Self::passing(why)
        }
    }

    /// With the pause that the server asks for.
    pub(super) fn with_pause(self, pause: Option<Duration>) -> Self {
        Self { pause, ..self }
    }
}

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// How far the pause has grown.
    attempts: u32,
}

impl Backoff {
    /// Waits after a failure of what had been held for some time, as [`Inbox::lost`] says it.
    pub(super) async fn wait(&mut self, failure: &Failure, held: Duration) {
        let pause = self.pause(failure, held, &mut rand::rng());
        sleep(pause).await;
    }

    fn pause(&mut self, failure: &Failure, held: Duration, rng: &mut impl rand::Rng) -> Duration {
        if held >= HELD_WELL {
            self.attempts = 0;
        }
        let (first, last) = match failure.is_refused {
            true => REFUSED_BACKOFF,
            false => BACKOFF,
        };
        let full = first.saturating_mul(1 << self.attempts.min(16)).min(last);
        self.attempts = self.attempts.saturating_add(1);
        let ours = full.mul_f64(rng.random_range(0.5..=1.0));
        let asked = failure.pause.unwrap_or_default();
        ours.max(asked.min(ASKED_PAUSE_MAX))
    }

    /// All is well: the next pause is the shortest.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

impl Inbox {
    /// The connection is lost, or could not be had. Returns how long messages have come by it:
    /// nothing for one that never was live, however long that took to find out.
    pub(super) fn lost(&self, failure: &Failure) -> Duration {
        let held = self.up_for();
        let state = match failure.is_refused {
            true => State::Refused,
            false => State::Waiting,
        };
        self.set_state(state, &failure.why);
        held
    }

    /// How long messages have come.
    fn up_for(&self) -> Duration {
        let status = self.monitor().status;
        let status = status.borrow();
        match status.state.is_up() {
            true => since_epoch().saturating_sub(Duration::from_millis(status.since_ms)),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Metrics;
    use crate::reaction::{Palette, Rules};
    use crate::source::merge::Merge;

    #[test]
    fn pauses_grow_to_the_last_and_start_anew_after_what_was_held() {
        let mut backoff = Backoff::default();
        let mut pause = |held| {
            let failure = Failure::passing("away");
            backoff.pause(&failure, Duration::from_secs(held), &mut rand::rng())
        };
        for full_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let full = Duration::from_millis(full_ms);
            let pause = pause(0);
            assert!((full / 2..=full).contains(&pause), "{pause:?} of {full:?}");
        }
        assert!(pause(60) <= BACKOFF.0);
        assert!(pause(0) > BACKOFF.0 / 2, "and grow again");
        for _ in 0..40 {
            assert!(pause(0) <= BACKOFF.1);
        }
    }

    #[test]
    fn only_what_was_live_was_held() {
        let rules = Rules::new(Arc::new(Palette::default()));
        let merge = Arc::new(Merge::new(Box::new(()), 1));
        let inbox = Inbox::new("demo", "test", rules, merge, &Metrics::new());
        let failure = Failure::passing("no answer");
        // However long it took to connect, or to be refused.
        let some_time = || {
            let over = since_epoch() + Duration::from_millis(5);
            while since_epoch() < over {
                std::thread::yield_now();
            }
        };
        for _ in 0..2 {
            some_time();
            assert_eq!(inbox.lost(&failure), Duration::ZERO);
        }
        inbox.live();
        some_time();
        assert!(inbox.lost(&failure) >= Duration::from_millis(4));
        some_time();
        assert_eq!(inbox.lost(&failure), Duration::ZERO);
    }

    #[test]
    fn a_refusal_is_tried_slowly_and_a_server_may_ask_for_more_within_reason() {
        let mut backoff = Backoff::default();
        let refused = Failure::refused("no such room");
        for full in [1, 2, 4, 8, 16, 32, 60, 60] {
            let full = Duration::from_secs(full);
            let pause = backoff.pause(&refused, Duration::ZERO, &mut rand::rng());
            assert!((full / 2..=full).contains(&pause), "{pause:?} of {full:?}");
        }
        let pause = |failure: &Failure| {
            let mut backoff = Backoff::default();
            backoff.pause(failure, Duration::ZERO, &mut rand::rng())
        };
        for (asked, least, most) in [(0, 0, 1), (7, 7, 7), (60, 60, 60), (86_400, 300, 300)] {
            let failure = Failure::passing("busy").with_pause(Some(Duration::from_secs(asked)));
            let pause = pause(&failure).as_secs_f64();
            assert!(
                (f64::from(least)..=f64::from(most)).contains(&pause),
                "{pause}"
            );
        }
    }
}
