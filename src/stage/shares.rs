//! Who has how much of the stage, so that nobody hides the others.

use std::fmt;
use std::hash::BuildHasher as _;

use rustc_hash::{FxBuildHasher, FxHashMap};

/// Who sent a reaction, told from others by a hash of the name that the platform or the token gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publisher(u64);

impl Publisher {
    /// The publisher of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(FxBuildHasher.hash_one(name))
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What tells a sprite's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The number of its figure.
    pub(super) figure: u32,
    /// Who asked for it; `None` if that isn't known.
    pub(super) publisher: Option<Publisher>,
}

/// How many there are of each figure and of each publisher. Bounded by those that there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    figures: FxHashMap<u32, usize>,
    publishers: FxHashMap<Publisher, usize>,
    total: usize,
}

impl Shares {
    pub(super) fn add(&mut self, kind: Kind) {
        *self.figures.entry(kind.figure).or_default() += 1;
        if let Some(publisher) = kind.publisher {
            *self.publishers.entry(publisher).or_default() += 1;
        }
        self.total += 1;
    }

    pub(super) fn remove(&mut self, kind: Kind) {
        fn less<K: Eq + std::hash::Hash>(counts: &mut FxHashMap<K, usize>, key: K) {
            let Some(count) = counts.get_mut(&key) else {
                return;
            };
            *count -= 1;
            if *count == 0 {
                counts.remove(&key);
            }
        }
        less(&mut self.figures, kind.figure);
        if let Some(publisher) = kind.publisher {
            less(&mut self.publishers, publisher);
        }
        self.total = self.total.saturating_sub(1);
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Who has more than an even share of so many `places`.
    pub(super) fn uneven(&self, places: usize) -> Uneven<'_> {
        let over = |most: Option<&usize>, kinds: usize| {
            let even = (places / kinds.max(1)).max(1);
            most.is_some_and(|&most| most > even).then_some(even)
        };
        let known: usize = self.publishers.values().sum();
        // All who are not known are told from the others, and not from each other.
        let publishers = self.publishers.len() + usize::from(known < self.total);
        Uneven {
            shares: self,
            figure: over(self.figures.values().max(), self.figures.len()),
            publisher: over(self.publishers.values().max(), publishers),
        }
    }
}

/// Even shares, of publishers and of figures, where somebody has more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uneven<'a> {
    shares: &'a Shares,
    figure: Option<usize>,
    publisher: Option<usize>,
}

impl Uneven<'_> {
    /// Of candidates, the first of whom has too much: of a publisher that has, if there is one, and of
    /// those, of a figure that has. `None` only if there are no candidates.
    pub(super) fn first<T>(self, candidates: impl Iterator<Item = (T, Kind)>) -> Option<T> {
        let mut second_best = None;
        for (candidate, kind) in candidates {
            match (self.has_publisher(kind), self.has_figure(kind)) {
                (true, true) => return Some(candidate),
                (by_publisher, _) => {
                    let better = (by_publisher, candidate);
                    match &second_best {
                        Some((true, _)) => {}
                        Some((false, _)) if !by_publisher => {}
                        _ => second_best = Some(better),
                    }
                }
            }
        }
        second_best.map(|(_, candidate)| candidate)
    }

    /// Whether the publisher has too much, or nobody has.
    fn has_publisher(self, kind: Kind) -> bool {
        let Some(even) = self.publisher else {
            return true;
        };
        let count = kind.publisher.and_then(|p| self.shares.publishers.get(&p));
        count.is_some_and(|&count| count > even)
    }

    /// Whether the figure has too much, or none has.
    fn has_figure(self, kind: Kind) -> bool {
        let Some(even) = self.figure else {
            return true;
        };
        let count = self.shares.figures.get(&kind.figure);
        count.is_some_and(|&count| count > even)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(figure: u32, publisher: u64) -> Kind {
        Kind {
            figure,
            publisher: (publisher > 0).then_some(Publisher(publisher)),
        }
    }

    /// Which of these gives way, of so many places.
    fn first(kinds: &[Kind], places: usize) -> Option<usize> {
        let mut shares = Shares::default();
        kinds.iter().for_each(|&kind| shares.add(kind));
        let candidates = kinds.iter().copied().enumerate();
        shares.uneven(places).first(candidates)
    }

    #[test]
    fn whoever_has_most_gives_way_publishers_before_figures() {
        for (kinds, places, expected) in [
            (vec![], 4, None),
            // Even: the first of all.
            (
                vec![kind(0, 0), kind(1, 0), kind(0, 0), kind(1, 0)],
                4,
                Some(0),
            ),
            // More hearts than their half.
            (
                vec![kind(1, 0), kind(0, 0), kind(0, 0), kind(0, 0)],
                4,
                Some(1),
            ),
            // More of publisher 7 than its half, who has a figure like the others'.
            (
                vec![kind(0, 8), kind(0, 7), kind(1, 7), kind(1, 7)],
                4,
                Some(1),
            ),
            // Both: the figure of which there are most, among that publisher's.
            (
                vec![kind(0, 8), kind(1, 7), kind(0, 7), kind(0, 7), kind(0, 8)],
                4,
                Some(2),
            ),
            // Of 7 there is more than its half, but no figure of it has more than its own.
            (
                vec![kind(0, 0), kind(0, 0), kind(0, 0), kind(1, 7), kind(2, 7)],
                2,
                Some(3),
            ),
        ] {
            assert_eq!(first(&kinds, places), expected, "{kinds:?}");
        }
    }

    #[test]
    fn who_is_gone_has_no_share() {
        let mut shares = Shares::default();
        for figure in 0..3 {
            shares.add(kind(figure, u64::from(figure)));
        }
        shares.remove(kind(2, 2));
        shares.remove(kind(0, 0));
        assert_eq!((shares.total(), shares.figures.len()), (1, 1));
        assert_eq!(shares.publishers.len(), 1);
    }
}
