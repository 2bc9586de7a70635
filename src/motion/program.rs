//! What a stylesheet says about one reaction's sprites, ready to be evaluated.

use super::easing::{Easing, Jump, Stop};
use super::expression::{Expression, Space};
use super::timing::{Direction, Fill, Timing};
use super::track::Property;
use super::transform::Declared;

/// Every property, with all expressions typed and checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    pub(super) font_size_px: f64,
    /// `left` or `right`, if the stylesheet has one.
    pub(super) x: Option<(Edge, Property<Expression>)>,
    /// `top` or `bottom`.
    pub(super) y: (Edge, Property<Expression>),
    pub(super) opacity: Property<Expression>,
    pub(super) transform: Property<Vec<Declared>>,
    pub(super) origin: Property<[Expression; 2]>,
    pub(super) timings: Vec<TimingExpression>,
    pub(super) easings: Vec<EasingExpression>,
}

/// The container's edge that an offset is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The left or the top one.
    Start,
    /// The right or the bottom one.
    End,
}

/// A [`Timing`] before the sprite's variables are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimingExpression {
    pub(super) duration_ms: Expression,
    pub(super) delay_ms: Expression,
    pub(super) iterations: Expression,
    pub(super) direction: Direction,
    pub(super) fill: Fill,
}

impl TimingExpression {
    pub(super) fn at(&self, variables: &[f64]) -> Timing {
        let space = Space::of_numbers(variables);
        Timing {
            duration_ms: self.duration_ms.at(&space),
            delay_ms: self.delay_ms.at(&space),
            iterations: self.iterations.at(&space),
            direction: self.direction,
            fill: self.fill,
        }
    }
}

/// An [`Easing`] before the sprite's variables are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EasingExpression {
    Linear,
    CubicBezier(Box<[Expression; 4]>),
    Steps { count: u32, jump: Jump },
    Points(Vec<(Expression, [Option<Expression>; 2])>),
}

impl EasingExpression {
    /// `ease`.
    pub(super) fn ease() -> Self {
        Self::bezier([0.25, 0.1, 0.25, 1.0])
    }

    pub(super) fn bezier(points: [f64; 4]) -> Self {
        Self::CubicBezier(Box::new(points.map(Expression::number)))
    }

    pub(super) fn at(&self, variables: &[f64]) -> Easing {
        let space = Space::of_numbers(variables);
        match self {
            Self::Linear => Easing::Linear,
            Self::CubicBezier(points) => {
                let [x1, y1, x2, y2] = points.each_ref().map(|point| point.at(&space));
                Easing::CubicBezier(x1.clamp(0.0, 1.0), y1, x2.clamp(0.0, 1.0), y2)
            }
            Self::Steps { count, jump } => Easing::Steps {
                count: *count,
                jump: *jump,
            },
            Self::Points(stops) => Easing::points(stops.iter().map(|(output, inputs)| {
                Stop {
                    output: output.at(&space),
                    inputs: inputs
                        .each_ref()
                        .map(|input| input.as_ref().map(|input| input.at(&space))),
                }
            })),
        }
    }

    fn varies(&self) -> bool {
        match self {
            Self::Linear | Self::Steps { .. } => false,
            Self::CubicBezier(points) => points.iter().any(Expression::varies),
            Self::Points(stops) => stops.iter().any(|(output, inputs)| {
                output.varies() || inputs.iter().flatten().any(Expression::varies)
            }),
        }
    }
}

impl Program {
    /// Whether anything depends on a variable.
    pub(super) fn varies(&self) -> bool {
        self.times_vary()
            || self.easings_vary()
            || self.x.as_ref().is_some_and(|(_, x)| x.varies())
            || self.y.1.varies()
            || self.opacity.varies()
            || self.transform.varies()
            || self.origin.varies()
    }

    pub(super) fn times_vary(&self) -> bool {
        self.timings
            .iter()
            .any(|t| t.duration_ms.varies() || t.delay_ms.varies() || t.iterations.varies())
    }

    pub(super) fn easings_vary(&self) -> bool {
        self.easings.iter().any(EasingExpression::varies)
    }
}
