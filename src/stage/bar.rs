//! The counter bar, which a quiet stage shows in place of sprites: a row of emoji with how many
//! there were of each of late.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cast::{Cast, Placement};

/// Counts are of the last so many intervals that are over.
const INTERVALS: u32 = 20;

/// Numbers change this often, and so does not what can be read.
const INTERVAL: Duration = Duration::from_millis(500);

/// Emoji on the bar at most: those of which there were most.
const EMOJI_MAX: usize = 5;

/// Counts of each emoji in each interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Bar {
    /// Of each interval, by its number, the counts by figure; oldest first. At most
    /// [`INTERVALS`] and the one that is not over; each at most as long as the palette.
    intervals: VecDeque<(u32, Vec<(u32, u64)>)>,
}

impl Bar {
    /// Counts so many more of a figure. Times must not go back.
    pub(super) fn add(&mut self, figure: u32, count: u32, at: Duration) {
        let number = interval(at);
        self.forget(at);
        if self
            .intervals
            .back()
            .is_none_or(|(last, _)| *last != number)
        {
            self.intervals.push_back((number, Vec::new()));
        }
        let Some((_, counts)) = self.intervals.back_mut() else {
            return;
        };
        match counts.iter_mut().find(|(of, _)| *of == figure) {
            Some((_, sum)) => *sum += u64::from(count),
            None => counts.push((figure, count.into())),
        }
    }

    /// Forgets what is over for so long that no frame from `now` on counts it.
    pub(super) fn forget(&mut self, now: Duration) {
        let first = interval(now).saturating_sub(INTERVALS);
        while self.intervals.front().is_some_and(|(one, _)| *one < first) {
            self.intervals.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.intervals.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The figures of which there were most in the last ten seconds before `pts`, by their numbers on
    /// the sheet, and how many.
    fn counts(&self, pts: Duration) -> Vec<(u32, u32)> {
        let now = interval(pts);
        let counted = now.saturating_sub(INTERVALS)..now;
        let mut sums: Vec<(u32, u64)> = Vec::new();
        for (_, counts) in self.intervals.iter().filter(|(n, _)| counted.contains(n)) {
            for &(figure, count) in counts {
                match sums.iter_mut().find(|(of, _)| *of == figure) {
                    Some((_, sum)) => *sum += count,
                    None => sums.push((figure, count)),
                }
            }
        }
        sums.sort_by_key(|&(figure, count)| (std::cmp::Reverse(count), figure));
        sums.truncate(EMOJI_MAX);
        sums.sort_unstable();
        let shown = |(figure, count)| (figure, u32::try_from(count).unwrap_or(u32::MAX));
        sums.into_iter().map(shown).collect()
    }

    /// The bar at media time `pts`, in order of drawing.
    pub(super) fn placements(&self, cast: &Cast, pts: Duration) -> Vec<Placement> {
        match self.is_empty() {
            true => Vec::new(),
            false => cast.row(&self.counts(pts), pts),
        }
    }
}

/// The number of the interval that a time is in.
fn interval(at: Duration) -> u32 {
    u32::try_from(at.as_millis() / INTERVAL.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn counts_are_of_the_last_ten_seconds_and_change_twice_a_second() {
        let mut bar = Bar::default();
        bar.add(3, 2, ms(100));
        bar.add(1, 5, ms(400));
        bar.add(3, 1, ms(600));
        for (at, expected) in [
            (0, vec![]),
            (499, vec![]),
            (500, vec![(1, 5), (3, 2)]),
            (999, vec![(1, 5), (3, 2)]),
            (1_000, vec![(1, 5), (3, 3)]),
            (10_499, vec![(1, 5), (3, 3)]),
            (10_500, vec![(3, 1)]),
            (11_000, vec![]),
        ] {
            assert_eq!(bar.counts(ms(at)), expected, "at {at} ms");
        }
        bar.forget(ms(10_499));
        assert!(!bar.is_empty());
        bar.forget(ms(11_000));
        assert!(bar.is_empty());
    }

    #[test]
    fn the_bar_has_few_emoji_in_their_order_and_keeps_no_more_than_it_needs() {
        let mut bar = Bar::default();
        for figure in 0..40 {
            bar.add(figure, figure % 7, ms(0));
        }
        let counts = bar.counts(ms(500));
        assert_eq!(counts, [(6, 6), (13, 6), (20, 6), (27, 6), (34, 6)]);
        for at in 0..100_000 {
            bar.add(1, 1, ms(at));
        }
        assert_eq!(bar.intervals.len(), 21);
        assert_eq!(bar.counts(ms(100_000)), [(1, 10_000)]);
    }
}
