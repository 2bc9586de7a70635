//! How a sprite moves: a stylesheet's `@keyframes`, as a function of the sprite's age.
//!
//! The curve is never integrated: [`Motion::pose`] is a closed form of age, so that 30 and 60
//! frames a second agree wherever both draw.
//! Timing follows CSS Animations Level 1, easing CSS Easing Functions Level 1, transforms CSS
//! Transforms Level 1. Each property has keyframes of its own: one that a keyframe does not name
//! interpolates across it.

pub mod css;
mod easing;

use std::f64::consts::PI;
use std::ops::RangeInclusive;
use std::time::Duration;

use css::CssError;
use easing::Easing;

/// The font sizes that a sprite may have, in px.
pub const FONT_SIZE_PX: RangeInclusive<f64> = 1.0..=1_000.0;

/// What `assets/overlay.css` says, parsed; or what the user's own stylesheet does.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    font_size_px: f64,
    timing: Timing,
    bottom: Track<LengthPercentage>,
    opacity: Track<f64>,
    transform: Track<Vec<Function>>,
}

/// A sprite at one moment, in CSS px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// The `bottom` offset of the sprite's box from its container's lower edge.
    pub bottom_px: f64,
    /// In `0.0..=1.0`.
    pub opacity: f64,
    /// `[a, b, c, d, e, f]`, column-major as CSS `matrix()`, about the centre of the box: a
    /// point `(x, y)` from the box's top left goes to `(a x + c y + e, b x + d y + f)`.
    pub matrix: [f64; 6],
}

impl Motion {
    /// Reads the rule for `.animated-emoji` and the keyframes that it names.
    ///
    /// # Errors
    /// What isn't CSS, or isn't supported, with its line and column.
    pub fn from_css(stylesheet: &str) -> Result<Self, CssError> {
        css::parse(stylesheet)
    }

    /// The sprite's font size in px.
    #[must_use]
    pub fn font_size_px(&self) -> f64 {
        self.font_size_px
    }

    /// How long a sprite lives: it is gone at this age.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        let ms = self.timing.delay_ms + self.timing.duration_ms * self.timing.iterations;
        Duration::from_secs_f64(ms.max(0.0) / 1_000.0)
    }

    /// The pose at `age`, in a container `container_height_px` high, of a box `(width, height)`
    /// px; `None` once the sprite is gone.
    #[must_use]
    pub fn pose(
        &self,
        age: Duration,
        container_height_px: f64,
        (width, height): (f64, f64),
    ) -> Option<Pose> {
        if age >= self.lifetime() {
            return None;
        }
        let progress = self.timing.progress(age.as_secs_f64());
        let bottom = self.bottom.at(progress);
        let transform = self.transform.at(progress);
        let em = self.font_size_px;
        let centre = Matrix::translation(width / 2.0, height / 2.0);
        let uncentre = Matrix::translation(-width / 2.0, -height / 2.0);
        let matrix = transform
            .iter()
            .fold(centre, |m, function| {
                m.times(function.matrix(em, width, height))
            })
            .times(uncentre);
        Some(Pose {
            bottom_px: bottom.resolve(em, container_height_px),
            opacity: self.opacity.at(progress).clamp(0.0, 1.0),
            matrix: matrix.0,
        })
    }
}

/// `animation-*` of the sprite's rule.
#[derive(Clone, Debug, PartialEq)]
struct Timing {
    /// One iteration, in ms; above 0.
    duration_ms: f64,
    /// May be negative: the animation then starts part-way.
    delay_ms: f64,
    /// Finite: a sprite must end.
    iterations: f64,
    direction: Direction,
    /// Whether the first keyframe holds during the delay.
    fills_backwards: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Normal,
    Reverse,
    Alternate,
    AlternateReverse,
}

impl Timing {
    /// The share of the keyframes passed at an age before the end, or `None` where the animation
    /// has no effect yet (CSS Animations 1, 3.9 and 4.3).
    ///
    /// In seconds, as Chromium divides: at the edge of a step the last bit decides.
    fn progress(&self, age_s: f64) -> Option<f64> {
        let active = (age_s - self.delay_ms / 1_000.0) / (self.duration_ms / 1_000.0);
        if active < 0.0 && !self.fills_backwards {
            return None;
        }
        let active = active.max(0.0);
        let iteration = active.floor();
        let within = active - iteration;
        let odd = iteration % 2.0 >= 1.0;
        let reversed = match self.direction {
            Direction::Normal => false,
            Direction::Reverse => true,
            Direction::Alternate => odd,
            Direction::AlternateReverse => !odd,
        };
        Some(if reversed { 1.0 - within } else { within })
    }
}

/// One property's keyframes, and its value where no animation is in effect.
#[derive(Clone, Debug, PartialEq)]
struct Track<T> {
    base: T,
    /// By rising offset, the first at 0 and the last at 1; or empty: the property stands still.
    keyframes: Vec<Keyframe<T>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Keyframe<T> {
    /// In `0.0..=1.0`.
    offset: f64,
    value: T,
    /// From this keyframe to the next.
    easing: Easing,
}

impl<T: Interpolate> Track<T> {
    fn at(&self, progress: Option<f64>) -> T {
        let (Some(progress), false) = (progress, self.keyframes.is_empty()) else {
            return self.base.clone();
        };
        let last = self.keyframes.len() - 1;
        let next = self
            .keyframes
            .partition_point(|k| k.offset <= progress)
            .clamp(1, last);
        let (from, to) = (&self.keyframes[next - 1], &self.keyframes[next]);
        let span = to.offset - from.offset;
        let share = if span > 0.0 {
            (progress - from.offset) / span
        } else {
            1.0
        };
        from.value.interpolate(&to.value, from.easing.at(share))
    }
}

/// A value half-way between two others, or anywhere else on their line.
trait Interpolate: Clone {
    fn interpolate(&self, to: &Self, share: f64) -> Self;
}

impl Interpolate for f64 {
    fn interpolate(&self, to: &Self, share: f64) -> Self {
        self + (to - self) * share
    }
}

/// A CSS `<length-percentage>`: the sum of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct LengthPercentage {
    px: f64,
    em: f64,
    percent: f64,
}

impl LengthPercentage {
    fn resolve(self, em_px: f64, whole_px: f64) -> f64 {
        self.px + self.em * em_px + whole_px * self.percent / 100.0
    }
}

impl Interpolate for LengthPercentage {
    fn interpolate(&self, to: &Self, share: f64) -> Self {
        Self {
            px: self.px.interpolate(&to.px, share),
            em: self.em.interpolate(&to.em, share),
            percent: self.percent.interpolate(&to.percent, share),
        }
    }
}

/// A transform function, as the primitive that it interpolates as (CSS Transforms 1, 11).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Translate(LengthPercentage, LengthPercentage),
    /// In degrees, clockwise.
    Rotate(f64),
    Scale(f64, f64),
}

impl Function {
    fn matrix(self, em: f64, width: f64, height: f64) -> Matrix {
        match self {
            Self::Translate(x, y) => {
                Matrix::translation(x.resolve(em, width), y.resolve(em, height))
            }
            Self::Rotate(degrees) => {
                let (sin, cos) = (degrees * PI / 180.0).sin_cos();
                Matrix([cos, sin, -sin, cos, 0.0, 0.0])
            }
            Self::Scale(x, y) => Matrix([x, 0.0, 0.0, y, 0.0, 0.0]),
        }
    }

    /// The function of the same kind that does nothing.
    fn identity(self) -> Self {
        match self {
            Self::Translate(..) => {
                Self::Translate(LengthPercentage::default(), LengthPercentage::default())
            }
            Self::Rotate(_) => Self::Rotate(0.0),
            Self::Scale(..) => Self::Scale(1.0, 1.0),
        }
    }

    fn same_kind(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Interpolate for Vec<Function> {
    /// Function by function; the shorter list is filled up with identities. Parsing has refused
    /// lists that differ in kind.
    fn interpolate(&self, to: &Self, share: f64) -> Self {
        let pairs = self.len().max(to.len());
        (0..pairs)
            .filter_map(|i| {
                let from = self
                    .get(i)
                    .copied()
                    .or_else(|| Some(to.get(i)?.identity()))?;
                let to = to.get(i).copied().unwrap_or(from.identity());
                Some(match (from, to) {
                    (Function::Translate(x0, y0), Function::Translate(x1, y1)) => {
                        Function::Translate(x0.interpolate(&x1, share), y0.interpolate(&y1, share))
                    }
                    (Function::Rotate(a), Function::Rotate(b)) => {
                        Function::Rotate(a.interpolate(&b, share))
                    }
                    (Function::Scale(x0, y0), Function::Scale(x1, y1)) => {
                        Function::Scale(x0.interpolate(&x1, share), y0.interpolate(&y1, share))
                    }
                    (from, _) => from,
                })
            })
            .collect()
    }
}

/// A CSS `matrix(a, b, c, d, e, f)`.
#[derive(Clone, Copy, Debug)]
struct Matrix([f64; 6]);

impl Matrix {
    fn translation(x: f64, y: f64) -> Self {
        Self([1.0, 0.0, 0.0, 1.0, x, y])
    }

    /// This transform applied after `inner`.
    fn times(self, Self([a2, b2, c2, d2, e2, f2]): Self) -> Self {
        let Self([a, b, c, d, e, f]) = self;
        Self([
            a * a2 + c * b2,
            b * a2 + d * b2,
            a * c2 + c * d2,
            b * c2 + d * d2,
            a * e2 + c * f2 + e,
            b * e2 + d * f2 + f,
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TUTORIAL: &str = ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; \
        animation: floatUpAndOut 2s linear forwards; pointer-events: none; } \
        @keyframes floatUpAndOut { \
          0% { bottom: 0%; opacity: 1; transform: translateX(0) rotate(0deg); } \
          100% { bottom: 100%; opacity: 0; transform: translateX(20px) rotate(15deg); } }";

    fn pose(css: &str, age_ms: u64) -> Pose {
        let motion = Motion::from_css(css).unwrap_or_else(|e| panic!("{e}\n{css}"));
        motion
            .pose(Duration::from_millis(age_ms), 1_000.0, (40.0, 30.0))
            .expect("alive")
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn follows_the_tutorials_curve() {
        let p = pose(TUTORIAL, 500);
        assert!(near(p.bottom_px, 250.0) && near(p.opacity, 0.75), "{p:?}");
        let theta = 3.75_f64.to_radians();
        let [a, b, c, d, e, f] = p.matrix;
        assert!(
            near(a, theta.cos()) && near(b, theta.sin()) && near(c, -theta.sin()) && near(d, a)
        );
        // About the centre: (20, 15) goes to (25, 15), 5 px along the unrotated axis.
        assert!(near(a * 20.0 + c * 15.0 + e, 25.0) && near(b * 20.0 + d * 15.0 + f, 15.0));
    }

    #[test]
    fn a_sprite_is_gone_at_its_lifetime() {
        let motion = Motion::from_css(TUTORIAL).unwrap();
        assert_eq!(motion.lifetime(), Duration::from_secs(2));
        assert!(
            motion
                .pose(Duration::from_millis(1_999), 1.0, (1.0, 1.0))
                .is_some()
        );
        assert!(
            motion
                .pose(Duration::from_secs(2), 1.0, (1.0, 1.0))
                .is_none()
        );
    }

    #[test]
    fn a_property_interpolates_across_keyframes_that_do_not_name_it() {
        let css = ".animated-emoji { bottom: 10px; font-size: 20px; animation: k 1s linear; } \
            @keyframes k { from { opacity: 1 } 20% { bottom: 50% } to { opacity: 0; bottom: 100% } }";
        let p = pose(css, 200);
        assert!(near(p.opacity, 0.8) && near(p.bottom_px, 500.0), "{p:?}");
        // At 0 % `bottom` is the rule's own value.
        assert!(near(pose(css, 100).bottom_px, 255.0));
    }

    #[test]
    fn easing_belongs_to_the_keyframe_that_it_leads_from() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s linear } \
            @keyframes k { 0% { bottom: 0; animation-timing-function: steps(2) } \
              50% { bottom: 100px } 100% { bottom: 200px } }";
        assert!(near(pose(css, 240).bottom_px, 0.0));
        assert!(near(pose(css, 260).bottom_px, 50.0));
        assert!(near(pose(css, 750).bottom_px, 150.0));
    }

    #[test]
    fn a_value_that_a_beginning_leaves_out_has_that_keyframes_easing() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s linear } \
            @keyframes k { 0% { bottom: 0; animation-timing-function: step-end } \
              100% { bottom: 200px; opacity: 0 } }";
        assert!(near(pose(css, 990).opacity, 1.0));
    }

    #[test]
    fn keyframes_at_one_offset_with_different_easing_make_a_jump() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s linear } \
            @keyframes k { 50% { bottom: 100px; animation-timing-function: ease-in } \
              50% { bottom: 600px } 50% { bottom: 700px } to { bottom: 800px } }";
        assert!(near(pose(css, 250).bottom_px, 50.0));
        assert!(near(pose(css, 500).bottom_px, 700.0) && near(pose(css, 750).bottom_px, 750.0));
    }

    #[test]
    fn opacity_is_brought_into_range_after_interpolation() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s linear } \
            @keyframes k { from { opacity: 150% } to { opacity: -1 } }";
        assert!(near(pose(css, 0).opacity, 1.0) && near(pose(css, 400).opacity, 0.5));
        assert!(near(pose(css, 900).opacity, 0.0));
    }

    #[test]
    fn the_last_moment_belongs_to_the_last_iteration() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k .3s linear 3 } \
            @keyframes k { from { bottom: 0 } to { bottom: 100px } }";
        let motion = Motion::from_css(css).unwrap();
        let last = motion.lifetime() - Duration::from_nanos(1);
        let pose = motion.pose(last, 1.0, (1.0, 1.0)).expect("alive");
        assert!((pose.bottom_px - 100.0).abs() < 1e-3, "{pose:?}");
    }

    #[test]
    fn timing_takes_delay_iterations_direction_and_fill() {
        let css = |animation: &str| {
            format!(
                ".animated-emoji {{ bottom: 7px; font-size: 20px; animation: {animation} }} \
                @keyframes k {{ from {{ bottom: 0 }} to {{ bottom: 100px }} }}"
            )
        };
        let held = css("k 1s 500ms linear backwards");
        assert!(near(pose(&held, 100).bottom_px, 0.0) && near(pose(&held, 1_000).bottom_px, 50.0));
        assert!(near(pose(&css("k 1s 500ms linear"), 100).bottom_px, 7.0));
        assert!(near(pose(&css("1s -.25s linear k"), 0).bottom_px, 25.0));
        let back = css("k 1s linear 2 alternate");
        assert!(near(pose(&back, 900).bottom_px, 90.0) && near(pose(&back, 1_100).bottom_px, 90.0));
        assert!(near(pose(&css("k 1s linear reverse"), 250).bottom_px, 75.0));
        let motion = Motion::from_css(&css("k 1s .5s linear 2.5")).unwrap();
        assert_eq!(motion.lifetime(), Duration::from_secs(3));
    }

    #[test]
    fn a_shorter_transform_list_is_filled_up() {
        let css = ".animated-emoji { bottom: 0; font-size: 10px; animation: k 1s linear } @keyframes k { \
            from { transform: none } to { transform: translate(50%, 1em) scale(3) } }";
        let [a, _, _, d, e, f] = pose(css, 500).matrix;
        assert!(near(a, 2.0) && near(d, 2.0));
        // Half of 50 % of 40 px, and half of 1 em: the centre moves by (10, 5).
        assert!(near(a * 20.0 + e, 30.0) && near(d * 15.0 + f, 20.0));
    }

    proptest! {
        #[test]
        fn the_tutorials_curve_rises_fades_and_never_jumps(ms in 0_u64..1_999) {
            let (now, next) = (pose(TUTORIAL, ms), pose(TUTORIAL, ms + 1));
            prop_assert!(next.bottom_px > now.bottom_px && next.opacity < now.opacity);
            prop_assert!((0.0..=1.0).contains(&now.opacity));
            prop_assert!(next.bottom_px - now.bottom_px < 0.51);
        }
    }
}
