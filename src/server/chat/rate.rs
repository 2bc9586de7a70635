//! How often something may happen.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// At most so many in any one second.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// When each of the last second was, oldest first; at most as many as were allowed.
    taken: VecDeque<Instant>,
}

impl Rate {
    /// Takes one of `per_second`, if there is one left.
    pub(super) fn take(&mut self, per_second: usize, now: Instant) -> bool {
        while let Some(at) = self.taken.front()
            && now.duration_since(*at) >= WINDOW
        {
            self.taken.pop_front();
        }
        let free = self.taken.len() < per_second;
        if free {
            self.taken.push_back(now);
        }
        free
    }
}

/// At most so many in any one second, and of those so many for one of those who share them.
#[derive(Debug)]
pub(super) struct SharedRate<K> {
    /// When each of the last second was, and whose; at most as many as were allowed.
    taken: VecDeque<(Instant, K)>,
}

impl<K> Default for SharedRate<K> {
    fn default() -> Self {
        Self {
            taken: VecDeque::new(),
        }
    }
}

impl<K: PartialEq> SharedRate<K> {
    /// Takes one of `per_second` for one who may have `each` of them, if there is one left.
    pub(super) fn take(&mut self, of: K, each: usize, per_second: usize, now: Instant) -> bool {
        while let Some((at, _)) = self.taken.front()
            && now.duration_since(*at) >= WINDOW
        {
            self.taken.pop_front();
        }
        let own = self.taken.iter().filter(|(_, one)| *one == of).count();
        let free = self.taken.len() < per_second && own < each;
        if free {
            self.taken.push_back((now, of));
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_are_allowed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        let taken: Vec<bool> = [0, 0, 500, 500, 999, 1_000, 1_000, 1_001, 1_499, 1_500]
            .map(|ms| rate.take(3, at(ms)))
            .into();
        let t = true;
        let f = false;
        assert_eq!(taken, [t, t, t, f, f, t, t, f, f, t]);
        assert!(rate.taken.len() <= 3);
        // A limit that is lowered holds at once, and what was refused takes nothing.
        assert!(!rate.take(1, at(2_300)));
        assert!(rate.take(1, at(2_500)));
    }

    #[test]
    fn nobody_takes_what_is_of_all() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = SharedRate::default();
        let mut take = |of, ms| rate.take(of, 2, 3, at(ms));
        assert_eq!(
            [take('a', 0), take('a', 1), take('a', 2)],
            [true, true, false]
        );
        assert_eq!([take('b', 3), take('c', 4)], [true, false]);
        assert_eq!([take('a', 999), take('a', 1_000)], [false, true]);
        assert_eq!([take('c', 1_001), take('c', 1_002)], [true, false]);
    }
}
