//! The sprites that are alive, and where each is at a given time.
//!
//! The stage sees no pixel and no clock: reactions come with the media time at which they appear,
//! and [`Stage::placements`] is a pure function of what was spawned and of the time asked for.
//!
//! What it takes on is bounded by [`Limits`]. Who gives way when it is full is one of those who have
//! more than an even share of it, so that no emoji and no publisher hides the others.

mod bar;
mod batch;
mod limits;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::iter;
use std::time::Duration;

pub use self::batch::shown;
pub use self::limits::{Limits, Overflow};
pub use self::shares::Publisher;

use self::bar::Bar;
use self::batch::Batches;
use self::shares::{Kind, Shares};
use crate::cast::{Actor, Cast, LastPose, Placement};
use crate::reaction::Reaction;
use crate::scatter::SpriteId;

/// How long a sprite that gives way takes to fade out.
const FADE: Duration = Duration::from_millis(200);

/// For how long a sprite takes others of its emoji into its number.
const AGGREGATED: Duration = Duration::from_millis(500);

/// What asks for sprites: one topic item.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// The topic's incarnation.
    pub page: u64,
    /// The item's number on it.
    pub sequence: u64,
    /// Who sent it, if that is known.
    pub publisher: Option<Publisher>,
    /// What it asks for.
    pub reactions: &'a [Reaction],
    /// The media time at which it comes.
    pub at: Duration,
}

/// What became of reactions. Each is in one of these, or waits; what made room is among those that
/// were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sprites that came on.
    pub shown: u64,
    /// For which another of the same message stands: see [`shown`].
    pub condensed: u64,
    /// Sprites that made room for others before their end.
    pub retired: u64,
    /// Sprites for which there was no room.
    pub dropped: u64,
    /// For which the number beside another sprite stands.
    pub aggregated: u64,
    /// That are counted on the bar of a quiet stage.
    pub on_bar: u64,
    /// Sprites for which there was no room in the queue.
    pub queue_full: u64,
    /// Sprites that waited too long.
    pub queue_stale: u64,
}

/// Live sprites.
#[derive(Clone, Debug)]
pub struct Stage {
    cast: Cast,
    limits: Limits,
    /// In order of spawning, which is the order of drawing: later on top. At most
    /// [`Limits::sprites_max`]; the overflow policy says what goes when it is full.
    sprites: VecDeque<Sprite>,
    /// What those take up that play.
    places: Places,
    /// Those that wait for room, oldest first. At most [`Limits::queue_max`].
    waiting: VecDeque<Waiting>,
    batches: Batches,
    bar: Bar,
    /// No sprite ends before this, so that until then there is nothing to look for.
    first_end: Duration,
    /// Sprites that have ended and may still be drawn at an earlier time.
    over: usize,
    tally: Tally,
}

#[derive(Clone, Debug)]
struct Sprite {
    /// The page and number of the item that asked for it.
    item: (u64, u64),
    kind: Kind,
    actor: Actor,
    spawned_at: Duration,
    ends_at: Duration,
    /// When it has faded out, if it does.
    gone_at: Duration,
    part: Part,
    /// How many reactions it stands for.
    stands_for: u32,
}

/// What a sprite does on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It has a place.
    Plays,
    /// It fades out.
    Leaves,
    /// It has ended.
    Over,
}

/// What sprites take up that play.
#[derive(Clone, Debug, Default)]
struct Places {
    shares: Shares,
    /// The area of their boxes.
    area_px: f64,
}

impl Places {
    fn take(&mut self, sprite: &Sprite, cast: &Cast) {
        self.shares.add(sprite.kind);
        self.area_px += cast.area_px(&sprite.actor);
    }

    fn leave(&mut self, sprite: &Sprite, cast: &Cast) {
        self.shares.remove(sprite.kind);
        self.area_px -= cast.area_px(&sprite.actor);
        if self.shares.total() == 0 {
            self.area_px = 0.0;
        }
    }
}

/// A sprite for which there was no room.
#[derive(Clone, Debug)]
struct Waiting {
    sprite: Sprite,
    since: Duration,
}

impl Stage {
    /// An empty stage for this cast: a reaction of another emoji is not drawn.
    #[must_use]
    pub fn new(cast: Cast, limits: Limits) -> Self {
        Self {
            cast,
            limits,
            sprites: VecDeque::new(),
            places: Places::default(),
            waiting: VecDeque::new(),
            batches: Batches::default(),
            bar: Bar::default(),
            first_end: Duration::MAX,
            over: 0,
            tally: Tally::default(),
        }
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other bounds, from media time `at` on: who is too many then gives way.
    pub fn set_limits(&mut self, limits: Limits, at: Duration) {
        self.limits = limits;
        self.settle(at);
        let places = match limits.quiet {
            true => 0,
            false => {
                self.bar.clear();
                limits.places()
            }
        };
        while self.places.shares.total() > places
            && let Some(number) = self.giving_way(None, false)
        {
            self.let_go(number, at);
        }
        self.keep_within(self.limits.sprites_max);
        let most = match limits.overflow {
            Overflow::Queue if !limits.quiet => limits.queue_max,
            _ => 0,
        };
        let too_many = self.waiting.len().saturating_sub(most);
        self.waiting.truncate(most);
        self.tally.queue_full += too_many as u64;
        self.settle(at);
    }

    /// Puts the sprites of one topic item on stage. Times must not go back from one call to the next;
    /// [`retire`](Self::retire) makes room.
    ///
    /// Of many reactions [fewer sprites](shown) are shown. The first of each emoji comes on at once,
    /// the others evenly until the next such message is to be expected: as long as since the one
    /// before, and at most [`Limits::spread`]. So batches don't come as waves.
    ///
    /// What gives way is in the [`tally`](Self::take_tally).
    pub fn spawn(&mut self, entrance: &Entrance<'_>) {
        let Entrance {
            page, sequence, at, ..
        } = *entrance;
        self.settle(at);
        if self.limits.quiet {
            for Reaction { emoji, count } in entrance.reactions {
                if let Some(figure) = self.cast.figure(emoji) {
                    self.bar.add(figure, *count, at);
                    self.tally.on_bar += u64::from(*count);
                }
            }
            return;
        }
        let counts = entrance.reactions.iter().map(|r| (&r.emoji, r.count));
        let counts = counts.map(|(emoji, count)| (emoji, count, shown(count)));
        let is_batch = counts.clone().any(|(.., shown)| shown > 1);
        let interval = match is_batch {
            true => self.batches.interval(at, self.limits.spread),
            false => Duration::ZERO,
        };
        let mut index = 0;
        for (emoji, count, shown) in counts {
            self.tally.condensed += u64::from(count - shown);
            for number in 0..shown {
                let id = SpriteId {
                    page,
                    sequence,
                    index,
                };
                index += 1;
                let Some(actor) = self.cast.actor(emoji, id) else {
                    continue;
                };
                let spawned_at = at.saturating_add(interval * number / shown);
                let sprite = Sprite {
                    item: (page, sequence),
                    kind: Kind {
                        figure: actor.figure(),
                        publisher: entrance.publisher,
                    },
                    spawned_at,
                    ends_at: spawned_at.saturating_add(self.cast.lifetime(&actor)),
                    actor,
                    gone_at: Duration::MAX,
                    part: Part::Plays,
                    stands_for: 1,
                };
                self.admit(sprite, at);
            }
        }
    }

    /// What has become of reactions since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Takes the sprites of those items off the stage of which this is true, by page and number, and
    /// returns how many they were.
    pub fn retract(&mut self, is_retracted: impl Fn(u64, u64) -> bool) -> usize {
        let is_retracted = |sprite: &Sprite| is_retracted(sprite.item.0, sprite.item.1);
        let before = self.sprites.len() + self.waiting.len();
        self.waiting
            .retain(|waiting| !is_retracted(&waiting.sprite));
        self.remove(is_retracted);
        before - self.sprites.len() - self.waiting.len()
    }

    /// Takes everything off the stage, what waits too, and returns how many they were.
    pub fn clear(&mut self) -> usize {
        self.bar.clear();
        self.retract(|_, _| true)
    }

    /// Lets those sprites go that are over at media time `now`, and those on that wait for room.
    pub fn retire(&mut self, now: Duration) {
        self.settle(now);
        self.bar.forget(now);
        if self.over > 0 {
            self.sprites
                .retain(|sprite| sprite.part != Part::Over || sprite.ends_at > now);
            let over = self.sprites.iter().filter(|one| one.part == Part::Over);
            self.over = over.count();
        }
    }

    /// Where every sprite that is alive at media time `pts` is, with the number that it stands for if
    /// that is not one, or the bar of a quiet stage; in order of drawing.
    pub fn placements(&self, pts: Duration) -> impl Iterator<Item = Placement> + '_ {
        let mut last = LastPose::default();
        let sprites = self.sprites.iter().filter_map(move |sprite| {
            let age = pts.checked_sub(sprite.spawned_at)?;
            let left = sprite.gone_at.saturating_sub(pts);
            let left = (left.as_secs_f64() / FADE.as_secs_f64()).min(1.0);
            let placement = self.cast.place(&sprite.actor, age, &mut last)?;
            let placement = Placement {
                opacity: placement.opacity * left,
                ..placement
            };
            (left > 0.0).then_some((sprite, placement))
        });
        let sprites = sprites.flat_map(|(sprite, placement)| {
            let number = (sprite.stands_for > 1).then_some(sprite.stands_for);
            let badge = number.map(|number| self.cast.badge(&sprite.actor, placement, number));
            iter::once(placement).chain(badge.into_iter().flatten())
        });
        sprites.chain(self.bar.placements(&self.cast, pts))
    }

    /// How many sprites are on stage, those included that have yet to come on, and those that have not
    /// been let go since they ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sprites.len()
    }

    /// How many sprites wait for room.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no sprite is on stage, none waits, and there is no bar.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sprites.is_empty() && self.waiting.is_empty() && self.bar.is_empty()
    }

    /// Brings the stage to media time `now`: who has ended has no place any more, and who waits takes
    /// it at the very time, whatever frames are drawn.
    fn settle(&mut self, now: Duration) {
        while !self.waiting.is_empty() && self.first_end <= now {
            let at = self.first_end;
            self.end_until(at);
            self.let_on(at);
        }
        self.end_until(now);
        self.let_on(now);
    }

    fn end_until(&mut self, now: Duration) {
        if now < self.first_end {
            return;
        }
        self.first_end = Duration::MAX;
        for sprite in &mut self.sprites {
            if sprite.part == Part::Over {
                continue;
            }
            if sprite.ends_at > now {
                self.first_end = self.first_end.min(sprite.ends_at);
                continue;
            }
            if sprite.part == Part::Plays {
                self.places.leave(sprite, &self.cast);
            }
            sprite.part = Part::Over;
            self.over += 1;
        }
    }

    /// Lets those on that wait, as far as there is room.
    fn let_on(&mut self, at: Duration) {
        while let Some(Waiting { sprite, since }) = self.waiting.front() {
            if at.saturating_sub(*since) > self.limits.queue_age {
                self.tally.queue_stale += 1;
            } else if self.has_room(sprite) {
                let mut sprite = sprite.clone();
                let late = at.saturating_sub(sprite.spawned_at);
                sprite.spawned_at += late;
                sprite.ends_at += late;
                self.put_on(sprite);
            } else {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// Puts a sprite on, or does with it what the overflow policy says.
    fn admit(&mut self, sprite: Sprite, at: Duration) {
        while !self.has_room(&sprite) {
            match self.limits.overflow {
                Overflow::RetireOldest => {}
                Overflow::DropNewest => match self.giving_way(Some(&sprite), true) {
                    Some(number) => {
                        self.let_go(number, at);
                        continue;
                    }
                    None => {
                        self.tally.dropped += 1;
                        return;
                    }
                },
                Overflow::Aggregate => {
                    let mut playing = self.sprites.iter_mut().rev();
                    let same = playing.find(|one| {
                        one.part == Part::Plays && one.kind.figure == sprite.kind.figure
                    });
                    // A number beside one that is soon over would hardly be read.
                    if let Some(same) = same.filter(|one| at < one.spawned_at + AGGREGATED) {
                        same.stands_for = same.stands_for.saturating_add(sprite.stands_for);
                        self.tally.aggregated += 1;
                        return;
                    }
                }
                Overflow::Queue => return self.queue(sprite, at),
            }
            match self.giving_way(Some(&sprite), false) {
                Some(number) => self.let_go(number, at),
                None => break,
            }
        }
        self.put_on(sprite);
    }

    /// Whether there is a place for it.
    fn has_room(&self, sprite: &Sprite) -> bool {
        let is_covered = self.limits.coverage_max.is_some_and(|most| {
            let area_px = self.places.area_px + self.cast.area_px(&sprite.actor);
            area_px > most * self.cast.frame_area_px()
        });
        let taken = self.places.shares.total();
        taken == 0 || taken < self.limits.places() && !is_covered
    }

    fn put_on(&mut self, sprite: Sprite) {
        // One place is for the sprite.
        self.keep_within(self.limits.sprites_max.saturating_sub(1));
        self.places.take(&sprite, &self.cast);
        self.tally.shown += 1;
        self.first_end = self.first_end.min(sprite.ends_at);
        self.sprites.push_back(sprite);
    }

    /// The number of the sprite that gives way to another: the oldest of those that have too much, or
    /// the newest; `None` if that is the other one itself, or none plays.
    fn giving_way(&mut self, newcomer: Option<&Sprite>, newest: bool) -> Option<usize> {
        if let Some(newcomer) = newcomer {
            self.places.shares.add(newcomer.kind);
        }
        let uneven = self.places.shares.uneven(self.limits.places());
        let playing = self.sprites.iter().enumerate();
        let playing = playing.filter(|(_, sprite)| sprite.part == Part::Plays);
        let playing = playing.map(|(number, sprite)| (Some(number), sprite.kind));
        let found = match newest {
            false => uneven.first(playing),
            true => {
                let itself = newcomer.map(|newcomer| (None, newcomer.kind));
                uneven.first(itself.into_iter().chain(playing.rev()))
            }
        };
        if let Some(newcomer) = newcomer {
            self.places.shares.remove(newcomer.kind);
        }
        found.flatten()
    }

    /// Lets a sprite that plays fade out.
    fn let_go(&mut self, number: usize, at: Duration) {
        let sprite = &mut self.sprites[number];
        self.places.leave(sprite, &self.cast);
        self.tally.retired += 1;
        // One that has yet to come on never does.
        sprite.gone_at = match sprite.spawned_at > at {
            true => at,
            false => at.saturating_add(FADE),
        };
        sprite.part = Part::Leaves;
        sprite.ends_at = sprite.ends_at.min(sprite.gone_at);
        self.first_end = self.first_end.min(sprite.ends_at);
    }

    /// Lets a sprite wait for room; if too many do, the newest of those that have too much goes.
    fn queue(&mut self, sprite: Sprite, since: Duration) {
        self.waiting.push_back(Waiting { sprite, since });
        if self.waiting.len() <= self.limits.queue_max {
            return;
        }
        let mut shares = Shares::default();
        let kinds = || self.waiting.iter().map(|waiting| waiting.sprite.kind);
        kinds().for_each(|kind| shares.add(kind));
        let candidates = self.waiting.iter().enumerate().rev();
        let candidates = candidates.map(|(number, waiting)| (number, waiting.sprite.kind));
        let number = shares.uneven(self.limits.queue_max).first(candidates);
        number.map(|number| self.waiting.remove(number));
        self.tally.queue_full += 1;
    }

    /// Takes off at once who has ended, and then who is nearest to the end of fading out, until there
    /// are no more than `most`; who plays stays.
    fn keep_within(&mut self, most: usize) {
        while self.sprites.len() > most {
            let leaving = self.sprites.iter().enumerate();
            let leaving = leaving.filter(|(_, sprite)| sprite.part != Part::Plays);
            let Some((number, _)) = leaving.min_by_key(|(_, sprite)| sprite.ends_at) else {
                return;
            };
            if let Some(gone) = self.sprites.remove(number)
                && gone.part == Part::Over
            {
                self.over -= 1;
            }
        }
    }

    /// Takes these sprites off at once.
    fn remove(&mut self, which: impl Fn(&Sprite) -> bool) {
        self.sprites.retain(|sprite| {
            let is_meant = which(sprite);
            match sprite.part {
                Part::Plays if is_meant => self.places.leave(sprite, &self.cast),
                Part::Over if is_meant => self.over -= 1,
                _ => {}
            }
            !is_meant
        });
    }
}
