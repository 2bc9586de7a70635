//! When the reactions came that are on stage for the first time in a frame.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Messages that are remembered until outputs have shown them: those of half a minute at 500 a
/// second. Beyond it the oldest is forgotten, so that an output that is as far behind as that does
/// not time it.
const REMEMBERED_MAX: usize = 16_384;

/// What a channel's outputs time reactions by. Clones are of one memory.
#[derive(Clone, Debug, Default)]
pub struct Debuts(Arc<Mutex<VecDeque<Debut>>>);

#[derive(Clone, Copy, Debug)]
struct Debut {
    /// The index of the first frame with it.
    frame: u64,
    came: Instant,
}

impl Debuts {
    /// A message that came then is on stage from this frame on. Frames must not go back from one call
    /// to the next.
    pub fn add(&self, frame: u64, came: Instant) {
        let mut debuts = self.lock();
        if debuts.len() == REMEMBERED_MAX {
            debuts.pop_front();
        }
        debuts.push_back(Debut { frame, came });
    }

    /// Tells how long ago those came that are on stage for the first time in one of these frames.
    pub(super) fn shown_in(&self, frames: &RangeInclusive<u64>, mut tell: impl FnMut(Duration)) {
        let debuts = self.lock();
        if debuts
            .back()
            .is_none_or(|newest| newest.frame < *frames.start())
        {
            return;
        }
        let first = debuts.partition_point(|debut| debut.frame < *frames.start());
        let shown = debuts.range(first..);
        let shown = shown.take_while(|debut| debut.frame <= *frames.end());
        let now = now();
        for debut in shown {
            tell(now.saturating_duration_since(debut.came));
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Debut>> {
        // No code under the lock leaves a change half made, so a poisoned value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an output times what it has written"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_debut_is_told_of_in_its_frame_or_in_the_first_after_it() {
        let debuts = Debuts::default();
        let came = now();
        for frame in [3, 3, 4, 7] {
            debuts.add(frame, came);
        }
        let shown = |frames| {
            let mut count = 0;
            debuts.shown_in(&frames, |_| count += 1);
            count
        };
        assert_eq!(
            [0..=2, 3..=3, 4..=6, 5..=6, 5..=9, 8..=9].map(shown),
            [0, 2, 1, 0, 1, 0]
        );
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let debuts = Debuts::default();
        let came = now();
        (0..2 * REMEMBERED_MAX as u64).for_each(|frame| debuts.add(frame, came));
        let mut count = 0;
        debuts.shown_in(&(0..=u64::MAX), |_| count += 1);
        assert_eq!(count, REMEMBERED_MAX);
    }
}
