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
    /// At most one for each second of [`KEPT`], and those of a call; older ones are dropped.
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
    /// What it has of each pile, oldest first.
    parts: Vec<Pile>,
}

impl Batch {
    /// How many reactions it has.
    pub(super) fn sum(&self) -> u64 {
        let parts = self.parts.iter();
        parts.fold(0, |sum, pile| sum.saturating_add(pile.sum()))
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

    /// Adds, unless it is more than one call can have.
    fn try_add(&mut self, name: &str, count: u64) -> bool {
        let before = self.counts.len();
        self.add(name, count);
        let fits = self.bytes() <= room();
        if !fits {
            // One more digit may be too much as well as one more name.
            if self.counts.len() > before {
                self.counts.pop();
            } else if let Some((_, all)) = self.counts.iter_mut().find(|(n, _)| *n == name) {
                *all = all.saturating_sub(count);
            }
        }
        fits
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
        let mut all = Pile::new(now);
        let mut parts = Vec::new();
        while let Some(mut pile) = self.piles.pop_front() {
            let mut part = Pile::new(pile.begun);
            let mut left = Vec::new();
            for (name, count) in pile.counts.drain(..) {
                if all.try_add(&name, count) {
                    part.counts.push((name, count));
                } else {
                    left.push((name, count));
                }
            }
            if !part.counts.is_empty() {
                parts.push(part);
            }
            if !left.is_empty() {
                pile.counts = left;
                self.piles.push_front(pile);
                break;
            }
        }
        let pairs = all.counts.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, count)| format!("{name}:{count}"))
            .collect();
        let batch = (!parts.is_empty()).then(|| Batch {
            text: format!("{HEAD}{}{TAIL}", pairs.join(",")),
            parts,
        });
        (batch, dropped)
    }

    /// What could not be sent is the first to be sent again.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for mut part in batch.parts.into_iter().rev() {
            match self.piles.front_mut() {
                Some(rest) if rest.begun == part.begun => {
                    part.counts.append(&mut rest.counts);
                    *rest = part;
                }
                _ => self.piles.push_front(part),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction(emoji: &str, count: u32) -> Reaction {
        let mut all = Palette::default().decode(emoji).expect("an emoji");
        all[0].count = count;
        all.remove(0)
    }

    #[test]
    fn what_is_put_back_is_as_old_as_it_was() {
        let mut pending = Pending::new(&Palette::default());
        let begun = Instant::now();
        for second in 0..12 {
            let at = begun + Duration::from_secs(second);
            pending.add(&[reaction("🔥", 1)], at);
            if second % 3 == 0 {
                let (batch, dropped) = pending.take(at);
                assert_eq!(dropped, 0);
                pending.put_back(batch.expect("there is one"));
            }
        }
        // Two piles are more than 10 s old.
        let (batch, dropped) = pending.take(begun + Duration::from_millis(11_500));
        assert_eq!(dropped, 2);
        let batch = batch.expect("there is one");
        assert_eq!(batch.text, r#"{"r":{"fire":10}}"#);
        assert_eq!(batch.sum(), 10);
    }
}
