//! Reactions that wait to be sent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::reaction::{Emoji, Palette, Reaction};

/// The longest metadata of one call, in bytes.
pub const METADATA_BYTES_MAX: usize = 1_024;

/// Reactions that have waited longer than this are dropped: they belong to another picture.
pub const KEPT: Duration = Duration::from_secs(10);

/// Reactions within this time wait as one.
const PILE: Duration = Duration::from_secs(1);

const HEAD: &str = r#"{"r":{"#;
const TAIL: &str = "}}";

/// Counts, oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    /// What each reaction is called there, as JSON.
    names: HashMap<Emoji, String>,
    /// At most one for each second of [`KEPT`], and one that was put back; older ones are dropped.
    piles: VecDeque<Pile>,
}

/// Counts of one second. At most one for each reaction of the palette.
#[derive(Debug)]
struct Pile {
    begun: Instant,
    /// By name as JSON, in the order in which they came.
    counts: Vec<(String, u64)>,
}

/// What one call sends.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) text: String,
    pile: Pile,
}

impl Batch {
    /// How many reactions it has.
    pub(super) fn sum(&self) -> u64 {
        self.pile.sum()
    }
}

impl Pile {
    fn new(begun: Instant) -> Self {
        Self {
            begun,
            counts: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, count: u64) {
        match self.counts.iter_mut().find(|(other, _)| other == name) {
            Some((_, all)) => *all = all.saturating_add(count),
            None => self.counts.push((name.to_owned(), count)),
        }
    }

    fn sum(&self) -> u64 {
        let counts = self.counts.iter();
        counts.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn bytes(&self) -> usize {
        let pairs = self.counts.iter();
        pairs.map(|(name, count)| pair_bytes(name, *count)).sum()
    }
}

impl Pending {
    pub(super) fn new(palette: &Palette) -> Self {
        let mut names = HashMap::new();
        for (name, emoji) in palette.entries() {
            let json = serde_json::Value::from(name).to_string();
            // A name that would fill a call alone is said as its emoji.
            let json = match pair_bytes(&json, u64::MAX) <= room() {
                true => json,
                false => serde_json::Value::from(emoji.as_str()).to_string(),
            };
            names.entry(emoji.clone()).or_insert(json);
        }
        Self {
            names,
            piles: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, reactions: &[Reaction], now: Instant) {
        let is_over = |pile: &Pile| now.saturating_duration_since(pile.begun) >= PILE;
        if self.piles.back().is_none_or(is_over) {
            self.piles.push_back(Pile::new(now));
        }
        let Some(pile) = self.piles.back_mut() else {
            return;
        };
        for reaction in reactions {
            if let Some(name) = self.names.get(&reaction.emoji) {
                pile.add(name, reaction.count.into());
            }
        }
        // Nobody takes any while a call is under way.
        let kept = KEPT.as_secs() + 2;
        while self.piles.len() as u64 > kept {
            self.merge_oldest();
        }
    }

    /// Two piles become one.
    fn merge_oldest(&mut self) {
        let Some(oldest) = self.piles.pop_front() else {
            return;
        };
        if let Some(next) = self.piles.front_mut() {
            next.begun = oldest.begun;
            for (name, count) in oldest.counts {
                next.add(&name, count);
            }
        }
    }

    /// As much as one call can have, the oldest first, and how many reactions were too old.
    pub(super) fn take(&mut self, now: Instant) -> (Option<Batch>, u64) {
        let mut dropped = 0_u64;
        while let Some(pile) = self.piles.front()
            && now.saturating_duration_since(pile.begun) > KEPT
        {
            dropped = dropped.saturating_add(pile.sum());
            self.piles.pop_front();
        }
        let mut taken: Option<Pile> = None;
        while let Some(pile) = self.piles.front_mut() {
            let taken = taken.get_or_insert_with(|| Pile::new(pile.begun));
            let mut left = Vec::new();
            for (name, count) in pile.counts.drain(..) {
                let before = taken.counts.len();
                taken.add(&name, count);
                if taken.bytes() > room() {
                    // One more digit may be too much as well as one more name.
                    if taken.counts.len() > before {
                        taken.counts.pop();
                    } else if let Some((_, all)) = taken.counts.iter_mut().find(|(n, _)| *n == name)
                    {
                        *all = all.saturating_sub(count);
                    }
                    left.push((name, count));
                }
            }
            if !left.is_empty() {
                pile.counts = left;
                break;
            }
            self.piles.pop_front();
        }
        let batch = taken.filter(|pile| !pile.counts.is_empty()).map(|pile| {
            let pairs = pile
                .counts
                .iter()
                .map(|(name, count)| format!("{name}:{count}"));
            let text = format!("{HEAD}{}{TAIL}", pairs.collect::<Vec<_>>().join(","));
            Batch { text, pile }
        });
        (batch, dropped)
    }

    /// What could not be sent is the first to be sent again.
    pub(super) fn put_back(&mut self, batch: Batch) {
        self.piles.push_front(batch.pile);
    }
}

/// The bytes that all pairs may have, with a comma each.
fn room() -> usize {
    METADATA_BYTES_MAX - HEAD.len() - TAIL.len()
}

fn pair_bytes(name: &str, count: u64) -> usize {
    let digits = count.checked_ilog10().unwrap_or(0) as usize + 1;
    name.len() + ":,".len() + digits
}
