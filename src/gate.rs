//! Who may add to a channel's picture, and how often: rates, repetitions, and what is let in at all.
//!
//! A gate stands before the topic, so that pages and frames show the same. The time is an argument,
//! on a clock that never goes back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::reaction::{Emoji, Reaction};

/// Publishers that are remembered. The one that was let in longest ago is forgotten first, and begins
/// anew when it comes again: at 100 messages a second of as many publishers, that is after minutes.
const PUBLISHERS_MAX: usize = 20_000;

/// A publisher may send as many messages at once as in so long, and so may all together.
const BURST: Duration = Duration::from_secs(2);

/// What a gate lets in. All of it may change while it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Messages a second of each publisher that is known; `None` for no bound.
    pub publisher_rate: Option<f64>,
    /// Messages a second of all together; `None` for no bound.
    pub channel_rate: Option<f64>,
    /// A publisher's message that asks for what its last one did is not let in for so long.
    pub repeat: Duration,
    /// The only emoji that are let in; `None` for all of the palette.
    pub allow: Option<HashSet<Emoji>>,
    /// Emoji that are not let in.
    pub block: HashSet<Emoji>,
    /// Publishers that are not let in, by their names or ids.
    pub block_publishers: HashSet<String>,
    /// Whether nothing is let in.
    pub paused: bool,
}

/// Why a message isn't let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The channel is paused.
    Paused,
    /// All that it asks for is blocked.
    Blocked,
    /// Its publisher is blocked.
    BlockedPublisher,
    /// Its publisher sends too many.
    PublisherRate,
    /// All together send too many.
    ChannelRate,
    /// It is what its publisher asked for just now.
    Repeated,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Paused,
        Self::Blocked,
        Self::BlockedPublisher,
        Self::PublisherRate,
        Self::ChannelRate,
        Self::Repeated,
    ];

    /// The word for it, the same everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::BlockedPublisher => "blocked_publisher",
            Self::PublisherRate => "publisher_rate",
            Self::ChannelRate => "channel_rate",
            Self::Repeated => "repeated",
        }
    }
}

/// What stands before a channel's topic, or its stage.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Watch>);

#[derive(Debug, Default)]
struct Watch {
    rules: Rules,
    channel: Bucket,
    /// At most [`PUBLISHERS_MAX`].
    publishers: HashMap<Box<str>, Seen>,
    /// Who was seen when, oldest first; a publisher that has been seen again since has an older entry
    /// too. At most twice [`PUBLISHERS_MAX`].
    order: VecDeque<(Duration, Box<str>)>,
}

/// What is known of a publisher.
#[derive(Debug)]
struct Seen {
    bucket: Bucket,
    /// What its last message asked for, and when.
    last: Vec<Reaction>,
    at: Duration,
}

/// A token bucket: full at first.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// When it is full again.
    full_at: Duration,
}

impl Bucket {
    /// Takes one of `rate` a second, if there is one.
    fn take(&mut self, rate: Option<f64>, now: Duration) -> bool {
        let Some(rate) = rate else {
            return true;
        };
        let one = Duration::from_secs_f64(1.0 / rate);
        let full_at = self.full_at.max(now) + one;
        // A rate below one in that time still lets one in.
        let is_there = full_at.saturating_sub(now) <= BURST.max(one);
        if is_there {
            self.full_at = full_at;
        }
        is_there
    }
}

impl Gate {
    /// A gate with these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let watch = Watch {
            rules,
            ..Watch::default()
        };
        Self(Mutex::new(watch))
    }

    /// What it lets in.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.lock().rules.clone()
    }

    /// Changes what it lets in from now on.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.lock().rules);
    }

    /// What of a message is let in: all that it asks for, or, if some of that is blocked, the rest.
    ///
    /// # Errors
    /// Nothing of it is.
    pub fn admit(
        &self,
        publisher: Option<&str>,
        reactions: Vec<Reaction>,
        now: Duration,
    ) -> Result<Vec<Reaction>, Refusal> {
        let mut watch = self.lock();
        let watch = &mut *watch;
        if watch.rules.paused {
            return Err(Refusal::Paused);
        }
        if publisher.is_some_and(|name| watch.rules.block_publishers.contains(name)) {
            return Err(Refusal::BlockedPublisher);
        }
        let Rules { allow, block, .. } = &watch.rules;
        let is_let_in = |emoji: &Emoji| {
            !block.contains(emoji) && allow.as_ref().is_none_or(|only| only.contains(emoji))
        };
        let mut reactions = reactions;
        reactions.retain(|reaction| is_let_in(&reaction.emoji));
        if reactions.is_empty() {
            return Err(Refusal::Blocked);
        }
        if let Some(name) = publisher
            && (watch.rules.publisher_rate.is_some() || !watch.rules.repeat.is_zero())
        {
            watch.look_at(name, &reactions, now)?;
        }
        if !watch.channel.take(watch.rules.channel_rate, now) {
            return Err(Refusal::ChannelRate);
        }
        Ok(reactions)
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        // No code under the lock panics halfway through a change, so a poisoned value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Whether a known publisher may send this now.
    fn look_at(
        &mut self,
        name: &str,
        reactions: &[Reaction],
        now: Duration,
    ) -> Result<(), Refusal> {
        let Rules {
            publisher_rate,
            repeat,
            ..
        } = self.rules;
        if let Some(seen) = self.publishers.get_mut(name) {
            if !repeat.is_zero() && now < seen.at + repeat && seen.last == reactions {
                return Err(Refusal::Repeated);
            }
            if !seen.bucket.take(publisher_rate, now) {
                return Err(Refusal::PublisherRate);
            }
            seen.last = reactions.to_vec();
            seen.at = now;
        } else {
            self.make_room();
            let mut bucket = Bucket::default();
            bucket.take(publisher_rate, now);
            let last = reactions.to_vec();
            let at = now;
            let seen = Seen { bucket, last, at };
            self.publishers.insert(name.into(), seen);
        }
        self.order.push_back((now, name.into()));
        // Entries of those who have been seen again since are of no use.
        while self.order.len() > 2 * PUBLISHERS_MAX {
            self.forget_oldest();
        }
        Ok(())
    }

    fn make_room(&mut self) {
        while self.publishers.len() >= PUBLISHERS_MAX && !self.order.is_empty() {
            self.forget_oldest();
        }
    }

    /// Takes the oldest entry away, and its publisher if that has not been seen since.
    fn forget_oldest(&mut self) {
        let Some((at, name)) = self.order.pop_front() else {
            return;
        };
        if self.publishers.get(&name).is_some_and(|seen| seen.at == at) {
            self.publishers.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn one(emoji: &str) -> Vec<Reaction> {
        let emoji = Emoji::new(emoji);
        vec![Reaction { emoji, count: 1 }]
    }

    fn set(emoji: &[&str]) -> HashSet<Emoji> {
        emoji.iter().map(|emoji| Emoji::new(emoji)).collect()
    }

    #[test]
    fn a_gate_without_rules_lets_everything_in() {
        let gate = Gate::default();
        for n in 0..1_000 {
            assert_eq!(gate.admit(Some("ann"), one("❤️"), ms(n)), Ok(one("❤️")));
        }
    }

    #[test]
    fn what_is_blocked_is_left_out() {
        let gate = Gate::new(Rules {
            allow: Some(set(&["❤", "🔥"])),
            block: set(&["🔥"]),
            ..Rules::default()
        });
        let both = [one("❤️"), one("🔥"), one("👍")].concat();
        assert_eq!(gate.admit(None, both.clone(), ms(0)), Ok(one("❤️")));
        assert_eq!(gate.admit(None, one("🔥"), ms(0)), Err(Refusal::Blocked));
        gate.change(|rules| {
            rules.allow = None;
            rules.block.clear();
            rules.block_publishers.insert("bob".into());
        });
        assert_eq!(gate.admit(Some("ann"), both.clone(), ms(0)), Ok(both));
        let refused = gate.admit(Some("bob"), one("❤️"), ms(0));
        assert_eq!(refused, Err(Refusal::BlockedPublisher));
        gate.change(|rules| rules.paused = true);
        assert_eq!(gate.admit(None, one("❤️"), ms(0)), Err(Refusal::Paused));
    }

    #[test]
    fn one_publisher_may_send_as_often_as_is_set_and_the_others_too() {
        let gate = Gate::new(Rules {
            publisher_rate: Some(2.0),
            ..Rules::default()
        });
        let let_in = |name, at| gate.admit(Some(name), one("❤️"), at).is_ok();
        let at_once = (0..10).filter(|_| let_in("ann", ms(0))).count();
        assert_eq!(at_once, 4, "what is let in in two seconds");
        assert!(let_in("bob", ms(0)));
        assert!(!let_in("ann", ms(499)) && let_in("ann", ms(500)));
        let later = (0..100)
            .filter(|n| let_in("ann", ms(1_000 + 100 * n)))
            .count();
        assert!((19..=21).contains(&later), "{later} in ten seconds");
        // Who is not known is not told from others.
        assert!((0..100).all(|_| gate.admit(None, one("❤️"), ms(0)).is_ok()));
    }

    #[test]
    fn all_together_may_send_as_often_as_is_set() {
        let gate = Gate::new(Rules {
            channel_rate: Some(10.0),
            ..Rules::default()
        });
        let results: Vec<_> = (0..30)
            .map(|n| gate.admit(Some(&format!("p{n}")), one("❤️"), ms(0)))
            .collect();
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 20);
        assert_eq!(results[20], Err(Refusal::ChannelRate));
        // A rate of less than one in that time is one at a time.
        gate.change(|rules| rules.channel_rate = Some(0.1));
        assert!(gate.admit(None, one("❤️"), ms(20_000)).is_ok());
        assert!(gate.admit(None, one("❤️"), ms(29_999)).is_err());
        assert!(gate.admit(None, one("❤️"), ms(30_000)).is_ok());
    }

    #[test]
    fn the_same_again_is_let_in_after_a_while_and_something_else_at_once() {
        let gate = Gate::new(Rules {
            repeat: Duration::from_secs(1),
            ..Rules::default()
        });
        let send = |name, emoji, at| gate.admit(Some(name), one(emoji), at);
        assert!(send("ann", "❤️", ms(0)).is_ok());
        assert_eq!(send("ann", "❤️", ms(999)), Err(Refusal::Repeated));
        assert!(send("bob", "❤️", ms(999)).is_ok());
        assert!(send("ann", "❤️", ms(1_000)).is_ok());
        assert!(send("ann", "🔥", ms(1_001)).is_ok());
        assert!(send("ann", "❤️", ms(1_002)).is_ok());
    }

    #[test]
    fn the_publishers_that_were_let_in_longest_ago_are_forgotten() {
        let gate = Gate::new(Rules {
            publisher_rate: Some(0.01),
            ..Rules::default()
        });
        let let_in = |n: usize, at| gate.admit(Some(&format!("p{n}")), one("❤️"), at).is_ok();
        for n in 0..PUBLISHERS_MAX {
            assert!(let_in(n, ms(n as u64)));
        }
        assert!(!let_in(0, ms(30_000)), "it is known");
        assert!(let_in(PUBLISHERS_MAX, ms(30_000)));
        assert!(let_in(0, ms(30_001)), "it was forgotten for another");
        assert!(!let_in(2, ms(30_002)));
        let watch = gate.lock();
        assert_eq!(watch.publishers.len(), PUBLISHERS_MAX);
        assert!(watch.order.len() <= 2 * PUBLISHERS_MAX);
    }

    proptest! {
        #[test]
        fn no_more_are_let_in_than_the_rate_and_its_burst(
            rate in 0.2_f64..50.0,
            steps in prop::collection::vec(0_u64..300, 1..400),
        ) {
            let gate = Gate::new(Rules { publisher_rate: Some(rate), ..Rules::default() });
            let (mut now, mut let_in) = (0, 0_u32);
            for step in steps {
                now += step;
                let_in += u32::from(gate.admit(Some("ann"), one("❤️"), ms(now)).is_ok());
            }
            let most = rate * Duration::from_millis(now).as_secs_f64() + (rate * BURST.as_secs_f64()).max(1.0);
            prop_assert!(f64::from(let_in) <= most + 1e-6, "{let_in} of {most}");
        }
    }
}
