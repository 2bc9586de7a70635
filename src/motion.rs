//! How a sprite moves: a stylesheet's rules and `@keyframes`, as a function of the sprite's age.
//!
//! The curve is never integrated: [`Motion::pose`] is a closed form of age, so that 30 and 60
//! frames a second agree wherever both draw.
//! Timing follows CSS Animations Level 1, easing CSS Easing Functions Level 2, transforms CSS
//! Transforms Level 1, `calc()` CSS Values Level 4, `var()` CSS Custom Properties Level 1. Each
//! property has keyframes of its own: one that a keyframe does not name interpolates across it.
//!
//! # Variables
//!
//! A custom property of the sprite's own is one that the rule `.animated-emoji` gives a range to,
//! in a companion whose name ends in `-range` and whose value is a string:
//! `--sway: 20px; --sway-range: "10px..29px";`. Each sprite has a value of its own between the
//! two, and the declared one, if any, is for pages that know nothing of ranges.

pub mod css;
mod easing;
mod expression;
mod program;
mod range;
mod timing;
mod track;
mod transform;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use css::CssError;
use easing::Easing;
use expression::Space;
use program::{Edge, Program};
use range::Unit;
use timing::Timing;
use track::{ANIMATIONS_MAX, Moment, Progress, Property};

/// The font sizes that a sprite may have, in px.
pub const FONT_SIZE_PX: RangeInclusive<f64> = 1.0..=1_000.0;

/// What `assets/overlay.css` says, read and checked for every reaction and every variable; or
/// what the user's own stylesheet does.
#[derive(Clone, Debug, PartialEq)]
pub struct Stylesheet {
    /// Sorted by name.
    variables: Vec<Variable>,
    plain: Motion,
    /// Those reactions that the stylesheet names, sorted.
    reactions: Vec<(String, Motion)>,
}

/// A custom property that each sprite has its own value of.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Without the two dashes.
    pub name: String,
    /// What the values are from and to.
    pub range: Range,
}

/// From one value to another, both of one unit: `10px..29px`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    from: f64,
    to: f64,
    unit: Unit,
}

/// How one sprite moves. Cheap to copy.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    program: Arc<Program>,
    /// The values of the stylesheet's variables.
    variables: Arc<[f64]>,
    /// At most [`ANIMATIONS_MAX`].
    timings: Arc<[Timing]>,
    easings: Arc<[Easing]>,
    lifetime: Duration,
}

/// What a pose is measured against, in device px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surroundings {
    /// Width and height of what holds the sprites: the frame.
    pub container: (f64, f64),
    /// Width and height of the sprite's own box.
    pub box_size: (f64, f64),
    /// Device px per CSS px.
    pub scale: f64,
}

/// How far a sprite's box is from an edge of its container, in device px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Offset {
    /// The box's left edge from the container's left one, or its top edge from the top one.
    Start(f64),
    /// The box's right edge from the container's right one, or its bottom edge from the bottom.
    End(f64),
}

/// A sprite at one moment, in device px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// `left` or `right`; `None` leaves it to the sprite's own left.
    pub x: Option<Offset>,
    /// `top` or `bottom`.
    pub y: Offset,
    /// In `0.0..=1.0`.
    pub opacity: f64,
    /// `[a, b, c, d, e, f]`, column-major as CSS `matrix()`, with `transform-origin` applied: a
    /// point `(x, y)` from the box's top left goes to `(a x + c y + e, b x + d y + f)`.
    pub matrix: [f64; 6],
}

impl Stylesheet {
    /// Reads the rules for `.animated-emoji` and `.reaction-NAME`, and the keyframes that they
    /// name.
    ///
    /// # Errors
    /// What isn't CSS, or isn't supported, with its line and column.
    pub fn parse(css: &str) -> Result<Self, CssError> {
        css::parse(css)
    }

    fn new(variables: Vec<Variable>, plain: Program, reactions: Vec<(String, Program)>) -> Self {
        let middle: Vec<f64> = variables.iter().map(|v| v.range.at(0.5)).collect();
        let motion = |program| Motion::new(program, &middle);
        Self {
            plain: motion(plain),
            reactions: reactions
                .into_iter()
                .map(|(name, program)| (name, motion(program)))
                .collect(),
            variables,
        }
    }

    /// The variables and their ranges, sorted by name.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The motion of a sprite of `reaction`, which is the NAME of its class `reaction-NAME`; of a
    /// plain sprite for `None` and for a reaction that the stylesheet does not name.
    ///
    /// `shares` says how far each variable is from the beginning of its range to its end, in the
    /// order of [`variables`](Self::variables), each in `0.0..=1.0`; a missing one is 0.
    #[must_use]
    pub fn motion(&self, reaction: Option<&str>, shares: &[f64]) -> Motion {
        let motion = self.resolved(reaction);
        if !motion.program.varies() {
            return motion.clone();
        }
        let shares = shares.iter().copied().chain(std::iter::repeat(0.0));
        let values = self.variables.iter().zip(shares);
        let values = values.map(|(variable, share)| variable.range.at(share));
        motion.with(values.collect())
    }

    /// Whether the motion of a reaction's sprites depends on any variable.
    #[must_use]
    pub fn varies(&self, reaction: Option<&str>) -> bool {
        self.resolved(reaction).program.varies()
    }

    /// The font size of a reaction's sprites in px.
    #[must_use]
    pub fn font_size_px(&self, reaction: Option<&str>) -> f64 {
        self.resolved(reaction).font_size_px()
    }

    /// How many times its size a reaction's sprites grow to, as seen at moments all over their
    /// lives; less than 1 if they only shrink.
    #[must_use]
    pub fn growth(&self, reaction: Option<&str>) -> f64 {
        const MOMENTS: u32 = 120;
        let around = Surroundings {
            container: (1.0, 1.0),
            box_size: (1.0, 1.0),
            scale: 1.0,
        };
        let sizes = [0.0, 0.5, 1.0].into_iter().flat_map(|share| {
            let motion = self.motion(reaction, &vec![share; self.variables.len()]);
            let life = motion.lifetime();
            (0..MOMENTS).filter_map(move |n| motion.pose(life * n / MOMENTS, &around))
        });
        sizes.map(|pose| stretch(pose.matrix)).fold(0.0, f64::max)
    }

    /// The reaction's motion in the middle of all ranges.
    fn resolved(&self, reaction: Option<&str>) -> &Motion {
        let place = reaction.and_then(|reaction| {
            let name = |(name, _): &(String, Motion)| name.as_str().cmp(reaction);
            self.reactions.binary_search_by(name).ok()
        });
        place.map_or(&self.plain, |place| &self.reactions[place].1)
    }
}

/// The longest that a matrix makes a line of length 1: its larger singular value.
fn stretch([a, b, c, d, ..]: [f64; 6]) -> f64 {
    let (sum, difference) = ((a + d).hypot(b - c), (a - d).hypot(b + c));
    f64::midpoint(sum, difference)
}

impl Motion {
    fn new(program: Program, variables: &[f64]) -> Self {
        let timings = program.timings.iter().map(|t| t.at(variables));
        let easings = program.easings.iter().map(|e| e.at(variables));
        Self {
            timings: timings.collect(),
            easings: easings.collect(),
            variables: variables.into(),
            lifetime: Duration::ZERO,
            program: Arc::new(program),
        }
        .measured()
    }

    /// The same with other values of the variables.
    fn with(&self, variables: Arc<[f64]>) -> Self {
        let program = &self.program;
        let timings = if program.times_vary() {
            program.timings.iter().map(|t| t.at(&variables)).collect()
        } else {
            Arc::clone(&self.timings)
        };
        let easings = if program.easings_vary() {
            program.easings.iter().map(|e| e.at(&variables)).collect()
        } else {
            Arc::clone(&self.easings)
        };
        Self {
            program: Arc::clone(program),
            variables,
            timings,
            easings,
            lifetime: Duration::ZERO,
        }
        .measured()
    }

    fn measured(mut self) -> Self {
        let end_ms = self.timings.iter().map(Timing::end_ms).fold(0.0, f64::max);
        self.lifetime = Duration::from_secs_f64(end_ms / 1_000.0);
        self
    }

    /// The sprite's font size in CSS px.
    #[must_use]
    pub fn font_size_px(&self) -> f64 {
        self.program.font_size_px
    }

    /// How long the sprite lives: it is gone at this age, when the last of its animations ends.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The pose at `age`; `None` once the sprite is gone.
    #[must_use]
    pub fn pose(&self, age: Duration, around: &Surroundings) -> Option<Pose> {
        if age >= self.lifetime {
            return None;
        }
        let age_s = age.as_secs_f64();
        let mut progress: Progress = [None; ANIMATIONS_MAX];
        for (progress, timing) in progress.iter_mut().zip(self.timings.iter()) {
            *progress = timing.at(age_s);
        }
        let space = |whole| Space {
            variables: &self.variables,
            px: around.scale,
            whole,
            view: around.container,
        };
        let moment = |across, down| Moment {
            progress: &progress,
            easings: &self.easings,
            across,
            down,
        };
        let inside = moment(space(around.box_size.0), space(around.box_size.1));
        let numbers = Space::of_numbers(&self.variables);
        let offset = |(edge, property): &(Edge, Property<_>), whole| {
            let px = property.at(&moment(space(whole), space(whole)));
            match edge {
                Edge::Start => Offset::Start(px),
                Edge::End => Offset::End(px),
            }
        };
        let program = &self.program;
        Some(Pose {
            x: program.x.as_ref().map(|x| offset(x, around.container.0)),
            y: offset(&program.y, around.container.1),
            opacity: program
                .opacity
                .at(&moment(numbers, numbers))
                .clamp(0.0, 1.0),
            matrix: program
                .transform
                .at(&inside)
                .about(program.origin.at(&inside)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The motion of a stylesheet's plain sprites.
    fn plain(css: &str) -> Result<Motion, CssError> {
        Ok(Stylesheet::parse(css)?.motion(None, &[]))
    }

    const TUTORIAL: &str = ".animated-emoji { position: absolute; bottom: 0; font-size: 30px; \
        animation: floatUpAndOut 2s linear forwards; pointer-events: none; } \
        @keyframes floatUpAndOut { \
          0% { bottom: 0%; opacity: 1; transform: translateX(0) rotate(0deg); } \
          100% { bottom: 100%; opacity: 0; transform: translateX(20px) rotate(15deg); } }";

    fn pose(css: &str, age_ms: u64) -> Pose {
        let motion = plain(css).unwrap_or_else(|e| panic!("{e}\n{css}"));
        motion
            .pose(Duration::from_millis(age_ms), &AROUND)
            .expect("alive")
    }

    const AROUND: Surroundings = Surroundings {
        container: (500.0, 1_000.0),
        box_size: (40.0, 30.0),
        scale: 1.0,
    };

    fn bottom(pose: &Pose) -> f64 {
        match pose.y {
            Offset::End(px) => px,
            Offset::Start(_) => panic!("{pose:?}"),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn follows_the_tutorials_curve() {
        let p = pose(TUTORIAL, 500);
        assert!(near(bottom(&p), 250.0) && near(p.opacity, 0.75), "{p:?}");
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
        let motion = plain(TUTORIAL).unwrap();
        assert_eq!(motion.lifetime(), Duration::from_secs(2));
        assert!(motion.pose(Duration::from_millis(1_999), &AROUND).is_some());
        assert!(motion.pose(Duration::from_secs(2), &AROUND).is_none());
    }

    #[test]
    fn a_property_interpolates_across_keyframes_that_do_not_name_it() {
        let css = ".animated-emoji { bottom: 10px; font-size: 20px; animation: k 1s linear; } \
            @keyframes k { from { opacity: 1 } 20% { bottom: 50% } to { opacity: 0; bottom: 100% } }";
        let p = pose(css, 200);
        assert!(near(p.opacity, 0.8) && near(bottom(&p), 500.0), "{p:?}");
        // At 0 % `bottom` is the rule's own value.
        assert!(near(bottom(&pose(css, 100)), 255.0));
    }

    #[test]
    fn easing_belongs_to_the_keyframe_that_it_leads_from() {
        let css = ".animated-emoji { bottom: 0; font-size: 20px; animation: k 1s linear } \
            @keyframes k { 0% { bottom: 0; animation-timing-function: steps(2) } \
              50% { bottom: 100px } 100% { bottom: 200px } }";
        assert!(near(bottom(&pose(css, 240)), 0.0));
        assert!(near(bottom(&pose(css, 260)), 50.0));
        assert!(near(bottom(&pose(css, 750)), 150.0));
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
        assert!(near(bottom(&pose(css, 250)), 50.0));
        assert!(near(bottom(&pose(css, 500)), 700.0) && near(bottom(&pose(css, 750)), 750.0));
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
        let motion = plain(css).unwrap();
        let last = motion.lifetime() - Duration::from_nanos(1);
        let pose = motion.pose(last, &AROUND).expect("alive");
        assert!((bottom(&pose) - 100.0).abs() < 1e-3, "{pose:?}");
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
        assert!(near(bottom(&pose(&held, 100)), 0.0) && near(bottom(&pose(&held, 1_000)), 50.0));
        assert!(near(bottom(&pose(&css("k 1s 500ms linear"), 100)), 7.0));
        assert!(near(bottom(&pose(&css("1s -.25s linear k"), 0)), 25.0));
        let back = css("k 1s linear 2 alternate");
        assert!(near(bottom(&pose(&back, 900)), 90.0) && near(bottom(&pose(&back, 1_100)), 90.0));
        assert!(near(bottom(&pose(&css("k 1s linear reverse"), 250)), 75.0));
        let motion = plain(&css("k 1s .5s linear 2.5")).unwrap();
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

    #[test]
    fn at_a_scale_factor_every_length_is_so_much_longer() {
        let css = ".animated-emoji { bottom: 1em; left: calc(3px + 2vw); font-size: 10px; \
              transform-origin: 4px 50%; animation: k 1s linear } \
            @keyframes k { to { bottom: 50%; transform: translate(1em, 10%) matrix(1, 2, 3, 4, 5, 6) } }";
        let motion = plain(css).unwrap();
        let twice = Surroundings {
            container: (1_000.0, 2_000.0),
            box_size: (80.0, 60.0),
            scale: 2.0,
        };
        let at = |around| motion.pose(Duration::from_millis(400), around).unwrap();
        let (one, two) = (at(&AROUND), at(&twice));
        let px = |offset| match offset {
            Some(Offset::Start(px) | Offset::End(px)) => px,
            None => panic!("an offset"),
        };
        assert!(near(px(one.x), 13.0) && near(px(two.x), 26.0), "{two:?}");
        assert!(near(2.0 * px(Some(one.y)), px(Some(two.y))), "{two:?}");
        for (i, (a, b)) in one.matrix.into_iter().zip(two.matrix).enumerate() {
            assert!(near(if i < 4 { a } else { 2.0 * a }, b), "{one:?} {two:?}");
        }
    }

    proptest! {
        #[test]
        fn the_tutorials_curve_rises_fades_and_never_jumps(ms in 0_u64..1_999) {
            let (now, next) = (pose(TUTORIAL, ms), pose(TUTORIAL, ms + 1));
            prop_assert!(bottom(&next) > bottom(&now) && next.opacity < now.opacity);
            prop_assert!((0.0..=1.0).contains(&now.opacity));
            prop_assert!(bottom(&next) - bottom(&now) < 0.51);
        }
    }
}
