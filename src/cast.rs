//! Everything that can appear on a frame, and where it is at an age: figures, their motions and
//! the frame that they move on, put together.
//!
//! Live channels, reaction logs and scenes all place sprites here, so that they agree.

use std::sync::Arc;
use std::time::Duration;

use crate::frame::Size;
use crate::motion::{Motion, Offset, Pose, Stylesheet, Surroundings};
use crate::reaction::Emoji;
use crate::scatter::{Lane, SpriteId};
use crate::sprite::{BoxSize, Figure, Sign, SpriteSheet};

/// Of a sprite's box: how high the digits are that are written over its corner.
const DIGIT_SHARE: f64 = 0.4;

/// Of the frame: how wide a row is at most, and how far above the bottom edge it ends.
const ROW_WIDTH_SHARE: f64 = 0.9;
const ROW_BOTTOM_SHARE: f64 = 0.05;

/// Of the box's height in a row: how high the digits are, and how wide the place for them: `×`, five
/// digits, and room before the next figure.
const ROW_DIGIT_SHARE: f64 = 0.5;
const ROW_NUMBER_SHARE: f64 = 2.8;

/// Of the digits' height: the room between a figure and its number.
const ROW_GAP: f64 = 0.3;

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

/// A sprite that has been cast: what it shows, and how it moves.
#[derive(Clone, Debug)]
pub struct Actor {
    part: u32,
    /// Its own `left`, in device px.
    left_px: f64,
    /// Its own motion, where sprites of its kind differ.
    motion: Option<Motion>,
}

/// Every figure of a sheet with its motion, on a frame. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cast {
    stylesheet: Arc<Stylesheet>,
    sheet: Arc<SpriteSheet>,
    size: Size,
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug)]
struct Part {
    /// Where every variable is at the beginning of its range.
    motion: Motion,
    /// Whether each sprite has a motion of its own.
    varies: bool,
    around: Surroundings,
    font_size_px: f64,
    /// The first part with the same motion of the same box.
    like: u32,
}

/// Poses of the age that was asked for last: sprites that appear together are one age.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastPose(Option<(u32, Duration, Option<Pose>)>);

impl Cast {
    /// The figures of `sheet` as `stylesheet` moves them, on a frame of `size` with `scale` device
    /// px per CSS px: the scale that the sheet was made at.
    #[must_use]
    pub fn new(
        stylesheet: Arc<Stylesheet>,
        sheet: Arc<SpriteSheet>,
        size: Size,
        scale: f64,
    ) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for (number, figure) in (0..).zip(sheet.figures()) {
            let reaction = figure.reaction.as_deref();
            let motion = stylesheet.motion(reaction, &[]);
            let BoxSize { width, height, .. } = figure.box_size;
            let around = Surroundings {
                container: (f64::from(size.width()), f64::from(size.height())),
                box_size: (width, height),
                scale,
            };
            let like = parts
                .iter()
                .find(|part| part.around == around && part.motion == motion)
                .map_or(number, |part| part.like);
            parts.push(Part {
                font_size_px: motion.font_size_px() * scale,
                varies: stylesheet.varies(reaction),
                motion,
                around,
                like,
            });
        }
        Self {
            stylesheet,
            sheet,
            size,
            parts: parts.into(),
        }
    }

    /// What the figures look like.
    #[must_use]
    pub fn sheet(&self) -> &Arc<SpriteSheet> {
        &self.sheet
    }

    /// A sprite of an emoji; `None` if the sheet hasn't it.
    #[must_use]
    pub fn actor(&self, emoji: &Emoji, id: SpriteId) -> Option<Actor> {
        let number = self.sheet.find(emoji)?;
        let part = &self.parts[number];
        let motion = part.varies.then(|| {
            let variables = self.stylesheet.variables().iter();
            let shares: Vec<f64> = variables
                .map(|variable| id.share(Lane::of(&variable.name)))
                .collect();
            let reaction = self.sheet.figures()[number].reaction.as_deref();
            self.stylesheet.motion(reaction, &shares)
        });
        Some(Actor {
            part: u32::try_from(number).ok()?,
            left_px: id.left_px(part.around.container.0, part.font_size_px),
            motion,
        })
    }

    /// The area of a sprite's box, in px².
    #[must_use]
    pub fn area_px(&self, actor: &Actor) -> f64 {
        let (_, figure) = self.part(actor);
        figure.box_size.width * figure.box_size.height
    }

    /// The area of the frame, in px².
    #[must_use]
    pub fn frame_area_px(&self) -> f64 {
        f64::from(self.size.width()) * f64::from(self.size.height())
    }

    /// The number of an emoji's figure on the sheet; `None` if the sheet hasn't it.
    #[must_use]
    pub fn figure(&self, emoji: &Emoji) -> Option<u32> {
        u32::try_from(self.sheet.find(emoji)?).ok()
    }

    /// How long a sprite lives.
    #[must_use]
    pub fn lifetime(&self, actor: &Actor) -> Duration {
        let (part, _) = self.part(actor);
        actor.motion.as_ref().unwrap_or(&part.motion).lifetime()
    }

    /// Where a sprite is at an age; `None` once it is gone.
    ///
    /// Ages are taken to the nearest microsecond, as a browser keeps them: so they are the same
    /// again from frame to frame, though media times are rounded to nanoseconds.
    #[must_use]
    pub fn place(&self, actor: &Actor, age: Duration, last: &mut LastPose) -> Option<Placement> {
        let (part, figure) = self.part(actor);
        let age = whole_micros(age);
        let pose = match (&actor.motion, last.0) {
            (Some(motion), _) => motion.pose(age, &part.around),
            (None, Some((like, at, pose))) if like == part.like && at == age => pose,
            (None, _) => {
                let pose = part.motion.pose(age, &part.around);
                last.0 = Some((part.like, age, pose));
                pose
            }
        }?;
        let layer = figure.layer_at(age);
        Some(Placement::new(
            layer,
            actor.left_px,
            &pose,
            figure.box_size,
            self.size,
        ))
    }

    /// The number of reactions that a sprite stands for, written over the lower right corner of its
    /// box, where that is drawn.
    pub fn badge(
        &self,
        actor: &Actor,
        placement: Placement,
        number: u32,
    ) -> impl Iterator<Item = Placement> + use<> {
        let BoxSize { width, height, .. } = self.part(actor).1.box_size;
        let digit_px = DIGIT_SHARE * height;
        let corner = (width + digit_px / 2.0, height - digit_px);
        let signs = self.sheet.number(number, digit_px, corner);
        signs.map(move |sign| placement.with_sign(sign))
    }

    /// Figures in a row at the bottom of the frame, each with a number: `(figure, number)`, of which
    /// those that the sheet hasn't are left out. Animated ones are of age `age`.
    #[must_use]
    pub fn row(&self, entries: &[(u32, u32)], age: Duration) -> Vec<Placement> {
        let figures = self.sheet.figures();
        let found = entries.iter().filter_map(|&(figure, number)| {
            let figure = figures.get(figure as usize)?;
            Some((figure, number))
        });
        let found: Vec<(&Figure, u32)> = found.collect();
        // The digits have room for five of them, so that nothing moves when a number grows.
        let side = |figure: &Figure| figure.box_size.height;
        let slot = |figure: &Figure| figure.box_size.width + ROW_NUMBER_SHARE * side(figure);
        let whole: f64 = found.iter().map(|(figure, _)| slot(figure)).sum();
        let (width, height) = (f64::from(self.size.width()), f64::from(self.size.height()));
        // It stays within the frame, however small that is.
        let scale = (ROW_WIDTH_SHARE * width / whole).min(1.0);
        let mut left = (width - whole * scale) / 2.0;
        let bottom = height * (1.0 - ROW_BOTTOM_SHARE);
        let mut row = Vec::new();
        for (figure, number) in found {
            let (own_width, own_height) = (figure.box_size.width, figure.box_size.height);
            let top = bottom - own_height * scale;
            let base = Placement {
                layer: figure.layer_at(age),
                x: 0,
                y: 0,
                opacity: 1.0,
                matrix: [scale, 0.0, 0.0, scale, left.round(), top.round()],
            };
            row.push(base);
            let digit_px = ROW_DIGIT_SHARE * own_height;
            let digits = f64::from(number.max(1).ilog10() + 2);
            let right = own_width + digit_px * (ROW_GAP + Sign::ASPECT * digits);
            let corner = (right, (own_height - digit_px) / 2.0);
            let signs = self.sheet.number(number, digit_px, corner);
            row.extend(signs.map(|sign| base.with_sign(sign)));
            left += slot(figure) * scale;
        }
        row
    }

    fn part(&self, actor: &Actor) -> (&Part, &Figure) {
        let number = actor.part as usize;
        (&self.parts[number], &self.sheet.figures()[number])
    }
}

impl Actor {
    /// The number of its figure on the sheet.
    #[must_use]
    pub fn figure(&self) -> u32 {
        self.part
    }

    /// The same sprite with another `left`, in device px.
    #[must_use]
    pub fn at_left(mut self, left_px: f64) -> Self {
        self.left_px = left_px;
        self
    }
}

impl Placement {
    /// A sign that lies on its box, and is turned and scaled with it.
    fn with_sign(self, sign: Sign) -> Self {
        let [a, b, c, d, e, f] = self.matrix;
        let Sign { scale, x, y, .. } = sign;
        let moved = [a * x + c * y + e, b * x + d * y + f];
        Self {
            layer: sign.layer,
            matrix: [
                a * scale,
                b * scale,
                c * scale,
                d * scale,
                moved[0],
                moved[1],
            ],
            ..self
        }
    }

    /// The same on a smaller frame, `scale` pixels of which are one, and not on whole pixels.
    #[must_use]
    pub fn shrunk(self, scale: f64) -> Self {
        let [a, b, c, d, e, f] = self.matrix;
        let (e, f) = (e + f64::from(self.x), f + f64::from(self.y));
        Self {
            x: 0,
            y: 0,
            matrix: [a, b, c, d, e, f].map(|value| value * scale),
            ..self
        }
    }

    /// The same on a frame whose pixels are not square: `across` and `down` of them to one.
    #[must_use]
    pub fn stretched(self, across: f64, down: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is too far is off the frame"
        )]
        let whole = |at: i32, by: f64| (f64::from(at) * by).round() as i32;
        let [a, b, c, d, e, f] = self.matrix;
        Self {
            x: whole(self.x, across),
            y: whole(self.y, down),
            matrix: [
                a * across,
                b * down,
                c * across,
                d * down,
                e * across,
                f * down,
            ],
            ..self
        }
    }

    /// A box in a pose, on a frame of `size`; `left_px` is the sprite's own `left` in device px,
    /// for a stylesheet that leaves it to the sprite.
    ///
    /// Offsets are layout: Blink keeps them in 1/64 px, truncated, and snaps the sum to whole
    /// pixels when it paints.
    #[must_use]
    pub fn new(layer: u32, left_px: f64, pose: &Pose, box_size: BoxSize, size: Size) -> Self {
        const FAR_PX: f64 = 1e7;
        let layout = |px: f64| (px.clamp(-FAR_PX, FAR_PX) * 64.0).trunc() / 64.0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is beyond any frame was brought nearer"
        )]
        let snap = |offset: Offset, whole: u32, own: f64| match offset {
            Offset::Start(px) => (layout(px) + 0.5).floor() as i32,
            Offset::End(px) => (f64::from(whole) - own - layout(px) + 0.5).floor() as i32,
        };
        let x = pose.x.unwrap_or(Offset::Start(left_px));
        Self {
            layer,
            x: snap(x, size.width(), box_size.width),
            y: snap(pose.y, size.height(), box_size.height),
            opacity: pose.opacity,
            matrix: pose.matrix,
        }
    }
}

/// To the nearest microsecond.
fn whole_micros(time: Duration) -> Duration {
    let micros = (time + Duration::from_nanos(500)).as_micros();
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
