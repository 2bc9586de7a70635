//! The sprites that are alive, and where each is at a given time.
//!
//! The stage sees no pixel and no clock: reactions come with the media time at which they appear,
//! and [`Stage::placements`] is a pure function of what was spawned and of the time asked for.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::cast::{Actor, Cast, LastPose, Placement};
use crate::reaction::Reaction;
use crate::scatter::SpriteId;

/// What gives way when the stage is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The oldest sprite goes, the new one comes.
    #[default]
    RetireOldest,
    /// The new sprite isn't drawn.
    DropNewest,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RetireOldest => "retire-oldest",
            Self::DropNewest => "drop-newest",
        })
    }
}

impl FromStr for Overflow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "retire-oldest" => Ok(Self::RetireOldest),
            "drop-newest" => Ok(Self::DropNewest),
            _ => Err(format!(
                "overflow {text:?}: expected retire-oldest or drop-newest"
            )),
        }
    }
}

/// What a stage needs to know beforehand.
#[derive(Clone, Debug)]
pub struct StageSettings {
    /// Who can appear: a reaction of another emoji is not drawn.
    pub cast: Cast,
    /// At most this many are alive.
    pub sprites_max: usize,
    /// What happens beyond that.
    pub overflow: Overflow,
}

/// Live sprites.
#[derive(Clone, Debug)]
pub struct Stage {
    settings: StageSettings,
    /// In order of spawning, which is the order of drawing: later on top. At most `sprites_max`;
    /// `overflow` says what goes when it is full.
    sprites: VecDeque<Sprite>,
    /// No sprite ends before this, so that until then there is nothing to look for.
    first_end: Duration,
}

#[derive(Clone, Debug)]
struct Sprite {
    /// The page and number of the item that asked for it.
    item: (u64, u64),
    actor: Actor,
    spawned_at: Duration,
    ends_at: Duration,
}

impl Stage {
    /// An empty stage.
    #[must_use]
    pub fn new(settings: StageSettings) -> Self {
        Self {
            settings,
            sprites: VecDeque::new(),
            first_end: Duration::MAX,
        }
    }

    /// Puts the sprites of one topic item on stage at media time `at`. Times must not go back from
    /// one call to the next; [`retire`](Self::retire) makes room.
    ///
    /// Returns how many sprites, new or old, had to give way.
    pub fn spawn(
        &mut self,
        page: u64,
        sequence: u64,
        reactions: &[Reaction],
        at: Duration,
    ) -> usize {
        let StageSettings {
            cast,
            sprites_max,
            overflow,
        } = &self.settings;
        let emoji = reactions
            .iter()
            .flat_map(|r| std::iter::repeat_n(&r.emoji, r.count as usize));
        let mut dropped = 0;
        for (index, emoji) in (0..).zip(emoji) {
            let id = SpriteId {
                page,
                sequence,
                index,
            };
            let Some(actor) = cast.actor(emoji, id) else {
                continue;
            };
            if self.sprites.len() >= *sprites_max {
                dropped += 1;
                match overflow {
                    Overflow::RetireOldest => drop(self.sprites.pop_front()),
                    Overflow::DropNewest => continue,
                }
            }
            let ends_at = at.saturating_add(cast.lifetime(&actor));
            self.first_end = self.first_end.min(ends_at);
            self.sprites.push_back(Sprite {
                item: (page, sequence),
                ends_at,
                actor,
                spawned_at: at,
            });
        }
        dropped
    }

    /// Takes the sprites of those items off the stage of which this is true, by page and number, and
    /// returns how many they were.
    pub fn retract(&mut self, is_retracted: impl Fn(u64, u64) -> bool) -> usize {
        let before = self.sprites.len();
        self.sprites
            .retain(|sprite| !is_retracted(sprite.item.0, sprite.item.1));
        before - self.sprites.len()
    }

    /// Lets those sprites go that are over at media time `now`.
    pub fn retire(&mut self, now: Duration) {
        if now < self.first_end {
            return;
        }
        self.sprites.retain(|sprite| sprite.ends_at > now);
        let ends = self.sprites.iter().map(|sprite| sprite.ends_at);
        self.first_end = ends.min().unwrap_or(Duration::MAX);
    }

    /// Where every sprite that is alive at media time `pts` is, in order of drawing.
    pub fn placements(&self, pts: Duration) -> impl Iterator<Item = Placement> + '_ {
        let mut last = LastPose::default();
        self.sprites.iter().filter_map(move |sprite| {
            let age = pts.checked_sub(sprite.spawned_at)?;
            self.settings.cast.place(&sprite.actor, age, &mut last)
        })
    }

    /// How many sprites are on stage, those included that have not been let go since they ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sprites.len()
    }

    /// Whether no sprite is on stage.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sprites.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::emoji::EmojiFonts;
    use crate::frame::{FrameRate, Size};
    use crate::motion::Stylesheet;
    use crate::reaction::Emoji;
    use crate::sprite::{SpriteSheet, Subject};

    const CSS: &str = ".animated-emoji { bottom: 0; font-size: 30px; animation: k 2s linear } \
        @keyframes k { to { bottom: 100%; opacity: 0; transform: rotate(9deg) } }";

    fn sheet() -> SpriteSheet {
        let emoji = ["❤️", "🔥"].map(Emoji::new);
        let subjects = emoji
            .iter()
            .zip(["heart", "fire"])
            .map(|(emoji, name)| Subject {
                emoji,
                reaction: Some(name),
                font_size_px: 30.0,
                growth: 1.0,
                artwork: None,
            });
        SpriteSheet::new(&EmojiFonts::bundled(), subjects).unwrap()
    }

    fn stage(sprites_max: usize, overflow: Overflow) -> Stage {
        stage_of(CSS, sprites_max, overflow)
    }

    fn stage_of(css: &str, sprites_max: usize, overflow: Overflow) -> Stage {
        let size = Size::new(640, 360).unwrap();
        let stylesheet = Stylesheet::parse(css).unwrap();
        Stage::new(StageSettings {
            cast: Cast::new(stylesheet.into(), sheet().into(), size, 1.0),
            sprites_max,
            overflow,
        })
    }

    fn hearts(count: u32) -> [Reaction; 1] {
        [Reaction {
            emoji: Emoji::new("❤️"),
            count,
        }]
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn placed(stage: &Stage, pts: Duration) -> Vec<Placement> {
        stage.placements(pts).collect()
    }

    #[test]
    fn every_sprite_is_gone_after_its_lifetime_and_absent_before_its_time() {
        let mut stage = stage(10, Overflow::RetireOldest);
        assert_eq!(stage.spawn(1, 1, &hearts(2), ms(1_000)), 0);
        assert_eq!(placed(&stage, ms(999)), []);
        assert_eq!(placed(&stage, ms(1_000)).len(), 2);
        assert_eq!(placed(&stage, ms(2_999)).len(), 2);
        assert_eq!(placed(&stage, ms(3_000)), []);
        stage.retire(ms(3_000));
        assert!(stage.is_empty());
    }

    #[test]
    fn the_cap_holds_and_the_policy_says_who_goes() {
        for (overflow, newest) in [
            (Overflow::RetireOldest, true),
            (Overflow::DropNewest, false),
        ] {
            let mut stage = stage(3, overflow);
            stage.spawn(1, 1, &hearts(3), ms(0));
            let before = placed(&stage, ms(0));
            assert_eq!(
                stage.spawn(
                    1,
                    2,
                    &[Reaction {
                        emoji: Emoji::new("🔥"),
                        count: 2
                    }],
                    ms(0)
                ),
                2
            );
            let after = placed(&stage, ms(0));
            assert_eq!(after.len(), 3);
            assert_eq!(
                after.iter().filter(|p| p.layer == 1).count(),
                if newest { 2 } else { 0 }
            );
            assert_eq!(after[0] == before[0], !newest);
        }
    }

    #[test]
    fn one_item_scatters_its_sprites_and_two_items_differ() {
        let mut stage = stage(100, Overflow::RetireOldest);
        stage.spawn(7, 1, &hearts(20), ms(0));
        stage.spawn(7, 2, &hearts(20), ms(0));
        let mut columns: Vec<_> = placed(&stage, ms(0)).iter().map(|p| p.x).collect();
        assert!(columns.iter().all(|x| (0..=610).contains(x)));
        columns.sort_unstable();
        columns.dedup();
        assert!(columns.len() > 35, "almost all differ: {columns:?}");
    }

    #[test]
    fn what_is_taken_back_leaves_the_stage_and_nothing_else_does() {
        let mut stage = stage(100, Overflow::RetireOldest);
        for sequence in 1..=4 {
            stage.spawn(7, sequence, &hearts(2), ms(0));
        }
        stage.spawn(8, 2, &hearts(2), ms(0));
        let kept = placed(&stage, ms(10));
        let items = |page, sequence| page == 7 && [2, 3, 9].contains(&sequence);
        assert_eq!(stage.retract(items), 4);
        let left = placed(&stage, ms(10));
        assert_eq!(left, [&kept[..2], &kept[6..]].concat());
        assert_eq!(stage.retract(items), 0);
        stage.retire(ms(2_000));
        assert!(stage.is_empty());
    }

    #[test]
    fn each_reaction_lives_as_long_as_its_class_says() {
        let css = format!("{CSS} .reaction-fire {{ animation-duration: 500ms }}");
        let mut stage = stage_of(&css, 10, Overflow::RetireOldest);
        let fire = Reaction {
            emoji: Emoji::new("🔥"),
            count: 1,
        };
        stage.spawn(1, 1, &hearts(1), ms(0));
        stage.spawn(1, 2, &[fire], ms(0));
        assert_eq!(placed(&stage, ms(499)).len(), 2);
        assert_eq!(placed(&stage, ms(500)).len(), 1);
        stage.retire(ms(500));
        assert_eq!(stage.len(), 1, "the heart came before the fire");
    }

    #[test]
    fn each_sprite_has_its_own_value_of_a_variable() {
        let css = format!(
            "{CSS} .animated-emoji {{ transform: rotate(var(--turn)); --turn-range: \"-90deg..90deg\" }} \
            @keyframes k {{ to {{ bottom: 100% }} }}"
        );
        let mut stage = stage_of(&css, 100, Overflow::RetireOldest);
        stage.spawn(1, 1, &hearts(50), ms(0));
        let mut matrices: Vec<_> = placed(&stage, ms(100)).iter().map(|p| p.matrix).collect();
        matrices.sort_by(|a, b| a[1].total_cmp(&b[1]));
        matrices.dedup();
        assert!((20..=50).contains(&matrices.len()), "{}", matrices.len());
        assert_eq!(placed(&stage, ms(100)), placed(&stage, ms(100)));
    }

    proptest! {
        #[test]
        fn placements_are_a_function_of_time_alone(
            spawns in prop::collection::vec((0_u64..5_000, 1_u32..4), 0..20),
            asked in prop::collection::vec(0_u64..7_000, 0..10),
            at in 0_u64..7_000,
        ) {
            let mut spawns = spawns;
            spawns.sort_unstable();
            let (mut fresh, mut used) = (stage(1_000, Overflow::RetireOldest), stage(1_000, Overflow::RetireOldest));
            for (n, (t, count)) in (1..).zip(&spawns) {
                for stage in [&mut fresh, &mut used] {
                    stage.spawn(3, n, &hearts(*count), ms(*t));
                }
            }
            for t in asked {
                placed(&used, ms(t));
            }
            prop_assert_eq!(placed(&fresh, ms(at)), placed(&used, ms(at)));
        }

        #[test]
        fn who_is_let_go_is_who_has_ended(
            spawns in prop::collection::vec((0_u64..5_000, any::<bool>()), 1..30),
            steps in prop::collection::vec(1_u64..900, 1..20),
            sprites_max in 3..40_usize,
        ) {
            let css = format!("{CSS} .reaction-fire {{ animation-duration: 500ms }}");
            let mut stage = stage_of(&css, sprites_max, Overflow::RetireOldest);
            let mut spawns = spawns;
            spawns.sort_unstable();
            let (mut spawns, mut now) = ((1..).zip(spawns).peekable(), 0);
            let mut ends = VecDeque::new();
            for step in steps {
                now += step;
                while let Some((n, (at, fire))) = spawns.next_if(|(_, (at, _))| *at <= now) {
                    let emoji = Emoji::new(if fire { "🔥" } else { "❤️" });
                    let dropped = stage.spawn(1, n, &[Reaction { emoji, count: 1 }], ms(at));
                    ends.drain(..dropped);
                    ends.push_back(at + if fire { 500 } else { 2_000 });
                }
                stage.retire(ms(now));
                ends.retain(|end| *end > now);
                prop_assert_eq!(stage.len(), ends.len(), "at {}", now);
            }
        }

        #[test]
        fn frame_rates_agree_where_they_meet(spawned in 0_u64..2_000_000, index in 0_u64..200) {
            let mut stage = stage(10, Overflow::RetireOldest);
            stage.spawn(1, 1, &hearts(1), Duration::from_micros(spawned));
            let (slow, fast) = (FrameRate::new(30, 1).unwrap(), FrameRate::new(60, 1).unwrap());
            prop_assert_eq!(slow.pts(index), fast.pts(2 * index));
            prop_assert_eq!(placed(&stage, slow.pts(index)), placed(&stage, fast.pts(2 * index)));
        }
    }
}
