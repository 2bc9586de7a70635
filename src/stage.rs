//! The sprites that are alive, and where each is at a given time.
//!
//! The stage sees no pixel and no clock: reactions come with the media time at which they appear,
//! and [`Stage::placements`] is a pure function of what was spawned and of the time asked for.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::Size;
use crate::motion::{Motion, Pose};
use crate::reaction::Reaction;
use crate::scatter::SpriteId;
use crate::sprite::{BoxSize, SpriteSheet};

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

/// One sprite in one frame: all that paint needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Which of the sheet's layers to draw.
    pub layer: u32,
    /// The whole pixel of the frame on which the top left corner of the sprite's box is.
    pub x: i32,
    /// The same, downwards.
    pub y: i32,
    /// In `0.0..=1.0`.
    pub opacity: f64,
    /// From the box to what is drawn: a point `(x, y)` from the box's top left goes to
    /// `(a x + c y + e, b x + d y + f)`.
    pub matrix: [f64; 6],
}

impl Placement {
    /// A sprite with its box at `left_px` and its pose's `bottom`, on a frame of `size`.
    ///
    /// Both are layout: Blink keeps them in 1/64 px, truncated, and snaps the sum to whole pixels
    /// when it paints.
    #[must_use]
    pub fn new(layer: u32, left_px: f64, pose: &Pose, box_size: BoxSize, size: Size) -> Self {
        const FAR_PX: f64 = 1e7;
        let layout = |px: f64| (px.clamp(-FAR_PX, FAR_PX) * 64.0).trunc() / 64.0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is beyond any frame was brought nearer"
        )]
        let snap = |px: f64| (px + 0.5).floor() as i32;
        Self {
            layer,
            x: snap(layout(left_px)),
            y: snap(f64::from(size.height()) - box_size.height - layout(pose.bottom_px)),
            opacity: pose.opacity,
            matrix: pose.matrix,
        }
    }
}

/// What a stage needs to know beforehand.
#[derive(Clone, Debug)]
pub struct StageSettings {
    /// The frame, which is the sprites' container.
    pub size: Size,
    /// Their curve.
    pub motion: Motion,
    /// Their pictures: a reaction with another emoji is not drawn.
    pub sheet: Arc<SpriteSheet>,
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
}

#[derive(Clone, Debug)]
struct Sprite {
    layer: u32,
    left_px: f64,
    spawned_at: Duration,
}

impl Stage {
    /// An empty stage.
    #[must_use]
    pub fn new(settings: StageSettings) -> Self {
        Self {
            settings,
            sprites: VecDeque::new(),
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
        let width = f64::from(self.settings.size.width());
        let font_size = self.settings.motion.font_size_px();
        let layers = reactions.iter().flat_map(|reaction| {
            let layer = self.settings.sheet.find(&reaction.emoji);
            std::iter::repeat_n(layer, reaction.count as usize)
        });
        let mut dropped = 0;
        for (index, layer) in (0..).zip(layers) {
            let Some(layer) = layer else { continue };
            if self.sprites.len() >= self.settings.sprites_max {
                dropped += 1;
                match self.settings.overflow {
                    Overflow::RetireOldest => drop(self.sprites.pop_front()),
                    Overflow::DropNewest => continue,
                }
            }
            let left_px = SpriteId {
                page,
                sequence,
                index,
            }
            .left_px(width, font_size);
            self.sprites.push_back(Sprite {
                layer,
                left_px,
                spawned_at: at,
            });
        }
        dropped
    }

    /// Lets those sprites go that are over at media time `now`.
    pub fn retire(&mut self, now: Duration) {
        let lifetime = self.settings.motion.lifetime();
        while self
            .sprites
            .front()
            .is_some_and(|s| s.spawned_at + lifetime <= now)
        {
            self.sprites.pop_front();
        }
    }

    /// Where every sprite that is alive at media time `pts` is, in order of drawing.
    ///
    /// Ages are whole microseconds, as a browser keeps them: so they are the same again from
    /// frame to frame, though media times are rounded to nanoseconds.
    pub fn placements(&self, pts: Duration) -> impl Iterator<Item = Placement> + '_ {
        let StageSettings {
            size,
            motion,
            sheet,
            ..
        } = &self.settings;
        let box_size = sheet.box_size();
        let height = f64::from(size.height());
        let mut last = None;
        self.sprites.iter().filter_map(move |sprite| {
            let age = whole_micros(pts.checked_sub(sprite.spawned_at)?);
            let pose = match last {
                Some((of, pose)) if of == age => pose,
                _ => motion.pose(age, height, (box_size.width, box_size.height)),
            };
            last = Some((age, pose));
            Some(Placement::new(
                sprite.layer,
                sprite.left_px,
                &pose?,
                box_size,
                *size,
            ))
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

/// To the nearest microsecond.
fn whole_micros(time: Duration) -> Duration {
    let micros = (time + Duration::from_nanos(500)).as_micros();
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::emoji::EmojiFonts;
    use crate::frame::FrameRate;
    use crate::reaction::Emoji;

    const CSS: &str = ".animated-emoji { bottom: 0; font-size: 30px; animation: k 2s linear } \
        @keyframes k { to { bottom: 100%; opacity: 0; transform: rotate(9deg) } }";

    fn sheet() -> SpriteSheet {
        let emoji = ["❤️", "🔥"].map(Emoji::new);
        SpriteSheet::new(&EmojiFonts::bundled(), 30.0, &emoji).unwrap()
    }

    fn stage(sprites_max: usize, overflow: Overflow) -> Stage {
        Stage::new(StageSettings {
            size: Size::new(640, 360).unwrap(),
            motion: Motion::from_css(CSS).unwrap(),
            sheet: sheet().into(),
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
        fn frame_rates_agree_where_they_meet(spawned in 0_u64..2_000_000, index in 0_u64..200) {
            let mut stage = stage(10, Overflow::RetireOldest);
            stage.spawn(1, 1, &hearts(1), Duration::from_micros(spawned));
            let (slow, fast) = (FrameRate::new(30, 1).unwrap(), FrameRate::new(60, 1).unwrap());
            prop_assert_eq!(slow.pts(index), fast.pts(2 * index));
            prop_assert_eq!(placed(&stage, slow.pts(index)), placed(&stage, fast.pts(2 * index)));
        }
    }
}
