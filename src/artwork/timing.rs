//! When which frame of an animation shows.

use std::num::NonZeroU32;
use std::time::Duration;

/// A frame that would show for this long or less ...
const TOO_SHORT: Duration = Duration::from_millis(10);
/// ... shows for this long instead.
const INSTEAD: Duration = Duration::from_millis(100);

/// The frames' durations, and how often they play.
///
/// A duration of up to 10 ms is 100 ms, whatever the format, as in Chromium
/// (`DeferredImageDecoder::FrameDurationAtIndex`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Of each frame, from the start of one play; ascending, at least one.
    ends: Vec<Duration>,
    /// Without end if `None`.
    plays: Option<NonZeroU32>,
}

impl Timing {
    /// One frame for good.
    pub(super) fn still() -> Self {
        Self::new([INSTEAD], None)
    }

    /// There is at least one duration.
    pub(super) fn new(
        shown_for: impl IntoIterator<Item = Duration>,
        plays: Option<NonZeroU32>,
    ) -> Self {
        let ends = shown_for.into_iter().scan(Duration::ZERO, |end, shown| {
            *end += if shown <= TOO_SHORT { INSTEAD } else { shown };
            Some(*end)
        });
        Self {
            ends: ends.collect(),
            plays,
        }
    }

    /// How many frames there are; at least 1.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.ends.len()
    }

    /// How often the frames play; `None` is without end.
    #[must_use]
    pub fn plays(&self) -> Option<NonZeroU32> {
        self.plays
    }

    /// For how long a frame shows, each time; nothing past the last.
    #[must_use]
    pub fn shown_for(&self, frame: usize) -> Duration {
        let end = |frame: usize| self.ends.get(frame).copied().unwrap_or_default();
        end(frame).saturating_sub(frame.checked_sub(1).map_or(Duration::ZERO, end))
    }

    /// The frame that shows `age` after the animation began. After the last play it is the last.
    #[must_use]
    pub fn frame_at(&self, age: Duration) -> usize {
        let last = self.ends.len() - 1;
        let play = self.ends[last].as_nanos();
        let plays = self.plays.map_or(u128::MAX, |plays| plays.get().into());
        if age.as_nanos() / play >= plays {
            return last;
        }
        let into = age.as_nanos() % play;
        self.ends.partition_point(|end| end.as_nanos() <= into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(millis: &[u64], plays: u32) -> Timing {
        let shown = millis.iter().map(|&ms| Duration::from_millis(ms));
        Timing::new(shown, NonZeroU32::new(plays))
    }

    fn at(timing: &Timing, millis: &[u64]) -> Vec<usize> {
        let ages = millis.iter().map(|&ms| Duration::from_millis(ms));
        ages.map(|age| timing.frame_at(age)).collect()
    }

    #[test]
    fn a_frame_shows_until_the_next_begins_and_the_last_until_the_first() {
        let forever = timing(&[20, 30, 50], 0);
        let ages = [0, 19, 20, 49, 50, 99, 100, 119, 120, 1_000_049, 1_000_050];
        assert_eq!(at(&forever, &ages), [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2]);
        assert_eq!(forever.frame_at(Duration::MAX), 2);
    }

    #[test]
    fn after_the_last_play_the_last_frame_stays() {
        let twice = timing(&[20, 30], 2);
        assert_eq!(
            at(&twice, &[0, 49, 50, 69, 70, 99, 100, 101, 1_000]),
            [0, 1, 0, 0, 1, 1, 1, 1, 1]
        );
        assert_eq!(timing(&[20, 30], u32::MAX).frame_at(Duration::MAX), 1);
    }

    #[test]
    fn ten_milliseconds_or_less_are_a_hundred() {
        let timing = timing(&[0, 10, 11], 0);
        let shown: Vec<_> = (0..4).map(|i| timing.shown_for(i).as_millis()).collect();
        assert_eq!(shown, [100, 100, 11, 0]);
        assert_eq!(
            at(&timing, &[99, 100, 199, 200, 210, 211]),
            [0, 1, 1, 2, 2, 0]
        );
    }

    #[test]
    fn a_still_is_its_one_frame_at_any_age() {
        let still = Timing::still();
        assert_eq!(still.frames(), 1);
        assert_eq!(at(&still, &[0, 99, 100, 1_000_000]), [0; 4]);
    }
}
