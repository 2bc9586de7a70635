//! A value that is not known until the sprite and what is around it are: CSS's lengths,
//! percentages and `calc()`, and the sprite's own variables in them.

use super::Range;

/// A sum of plain parts. Numbers, angles (in degrees) and times (in ms) are in `number`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Linear {
    pub(super) number: f64,
    pub(super) px: f64,
    pub(super) percent: f64,
    pub(super) vw: f64,
    pub(super) vh: f64,
}

/// What the parts are measured in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space<'a> {
    /// The values of the variables.
    pub(super) variables: &'a [f64],
    /// One CSS px, in device px.
    pub(super) px: f64,
    /// What 100% is.
    pub(super) whole: f64,
    /// What 100vw and 100vh are.
    pub(super) view: (f64, f64),
}

impl<'a> Space<'a> {
    /// For numbers, where a percentage is the number that it stands for: 50% is 0.5.
    pub(super) fn of_numbers(variables: &'a [f64]) -> Self {
        Self {
            variables,
            px: 1.0,
            whole: 1.0,
            view: (0.0, 0.0),
        }
    }
}

/// An expression, constants folded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Constant(Linear),
    /// A variable's number times its unit.
    Variable(usize, Linear),
    Sum(Box<(Self, Self)>),
    Product(Box<(Self, Self)>),
    Quotient(Box<(Self, Self)>),
    Min(Box<(Self, Self)>),
    Max(Box<(Self, Self)>),
    /// Of an angle in degrees.
    Sin(Box<Self>),
    Cos(Box<Self>),
}

impl Expression {
    pub(super) fn number(number: f64) -> Self {
        Self::Constant(Linear {
            number,
            ..Linear::default()
        })
    }

    pub(super) fn px(px: f64) -> Self {
        Self::Constant(Linear {
            px,
            ..Linear::default()
        })
    }

    pub(super) fn percent(percent: f64) -> Self {
        Self::Constant(Linear {
            percent,
            ..Linear::default()
        })
    }

    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(Linear {
                number: a.number + b.number,
                px: a.px + b.px,
                percent: a.percent + b.percent,
                vw: a.vw + b.vw,
                vh: a.vh + b.vh,
            }),
            (a, b) => Self::Sum(Box::new((a, b))),
        }
    }

    /// One of the two is a number.
    pub(super) fn times(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(match a.as_number() {
                Some(factor) => b.times(factor),
                None => a.times(b.number),
            }),
            (a, b) => Self::Product(Box::new((a, b))),
        }
    }

    /// The divisor is a number that is never 0.
    pub(super) fn over(self, divisor: Self) -> Self {
        match (self, divisor) {
            (Self::Constant(a), Self::Constant(b)) => Self::Constant(Linear {
                number: a.number / b.number,
                px: a.px / b.number,
                percent: a.percent / b.number,
                vw: a.vw / b.number,
                vh: a.vh / b.number,
            }),
            (a, b) => Self::Quotient(Box::new((a, b))),
        }
    }

    pub(super) fn min(self, other: Self) -> Self {
        match (self.as_number(), other.as_number()) {
            (Some(a), Some(b)) => Self::number(a.min(b)),
            _ => match (self.as_px(), other.as_px()) {
                (Some(a), Some(b)) => Self::px(a.min(b)),
                _ => Self::Min(Box::new((self, other))),
            },
        }
    }

    pub(super) fn max(self, other: Self) -> Self {
        match (self.as_number(), other.as_number()) {
            (Some(a), Some(b)) => Self::number(a.max(b)),
            _ => match (self.as_px(), other.as_px()) {
                (Some(a), Some(b)) => Self::px(a.max(b)),
                _ => Self::Max(Box::new((self, other))),
            },
        }
    }

    /// Of an angle in degrees.
    pub(super) fn sin(self) -> Self {
        match self.as_number() {
            Some(degrees) => Self::number(degrees.to_radians().sin()),
            None => Self::Sin(Box::new(self)),
        }
    }

    /// Of an angle in degrees.
    pub(super) fn cos(self) -> Self {
        match self.as_number() {
            Some(degrees) => Self::number(degrees.to_radians().cos()),
            None => Self::Cos(Box::new(self)),
        }
    }

    /// A percentage as the number that it stands for: 50% is 0.5.
    pub(super) fn of_one(self) -> Self {
        let linear = |linear: Linear| Linear {
            number: linear.number + linear.percent / 100.0,
            percent: 0.0,
            ..linear
        };
        let both = |both: Box<(Self, Self)>| Box::new((both.0.of_one(), both.1.of_one()));
        match self {
            Self::Constant(constant) => Self::Constant(linear(constant)),
            Self::Variable(index, unit) => Self::Variable(index, linear(unit)),
            Self::Sum(of) => Self::Sum(both(of)),
            Self::Product(of) => Self::Product(both(of)),
            Self::Quotient(of) => Self::Quotient(both(of)),
            Self::Min(of) => Self::Min(both(of)),
            Self::Max(of) => Self::Max(both(of)),
            Self::Sin(_) | Self::Cos(_) => self,
        }
    }

    /// A constant number.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Constant(linear) => linear.as_number(),
            _ => None,
        }
    }

    /// A constant length in px alone.
    pub(super) fn as_px(&self) -> Option<f64> {
        match self {
            Self::Constant(Linear {
                number: 0.0,
                px,
                percent: 0.0,
                vw: 0.0,
                vh: 0.0,
            }) => Some(*px),
            _ => None,
        }
    }

    pub(super) fn varies(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Variable(..) => true,
            Self::Sum(both)
            | Self::Product(both)
            | Self::Quotient(both)
            | Self::Min(both)
            | Self::Max(both) => both.0.varies() || both.1.varies(),
            Self::Sin(of) | Self::Cos(of) => of.varies(),
        }
    }

    pub(super) fn at(&self, space: &Space<'_>) -> f64 {
        match self {
            Self::Constant(linear) => linear.at(space),
            Self::Variable(index, unit) => {
                space.variables.get(*index).copied().unwrap_or(0.0) * unit.at(space)
            }
            Self::Sum(both) => both.0.at(space) + both.1.at(space),
            Self::Product(both) => both.0.at(space) * both.1.at(space),
            Self::Quotient(both) => both.0.at(space) / both.1.at(space),
            Self::Min(both) => both.0.at(space).min(both.1.at(space)),
            Self::Max(both) => both.0.at(space).max(both.1.at(space)),
            Self::Sin(of) => of.at(space).to_radians().sin(),
            Self::Cos(of) => of.at(space).to_radians().cos(),
        }
    }

    /// The least and the greatest value, whatever the variables are. Each part of a length is
    /// taken for its number of units in either direction: good enough to keep it finite.
    pub(super) fn bounds(&self, variables: &[Range]) -> (f64, f64) {
        match self {
            Self::Constant(linear) => linear.bounds(),
            Self::Variable(index, unit) => {
                let bounds = variables.get(*index).map_or((0.0, 0.0), Range::bounds);
                products(bounds, unit.bounds())
            }
            Self::Sum(both) => {
                let (a, b) = (both.0.bounds(variables), both.1.bounds(variables));
                (a.0 + b.0, a.1 + b.1)
            }
            Self::Product(both) => products(both.0.bounds(variables), both.1.bounds(variables)),
            Self::Quotient(both) => {
                let (low, high) = both.1.bounds(variables);
                products(both.0.bounds(variables), (1.0 / high, 1.0 / low))
            }
            Self::Min(both) => {
                let (a, b) = (both.0.bounds(variables), both.1.bounds(variables));
                (a.0.min(b.0), a.1.min(b.1))
            }
            Self::Max(both) => {
                let (a, b) = (both.0.bounds(variables), both.1.bounds(variables));
                (a.0.max(b.0), a.1.max(b.1))
            }
            Self::Sin(_) | Self::Cos(_) => (-1.0, 1.0),
        }
    }
}

impl Linear {
    fn as_number(&self) -> Option<f64> {
        let Self {
            number,
            px,
            percent,
            vw,
            vh,
        } = self;
        [px, percent, vw, vh]
            .iter()
            .all(|part| **part == 0.0)
            .then_some(*number)
    }

    fn times(&self, factor: f64) -> Self {
        Self {
            number: self.number * factor,
            px: self.px * factor,
            percent: self.percent * factor,
            vw: self.vw * factor,
            vh: self.vh * factor,
        }
    }

    fn at(&self, space: &Space<'_>) -> f64 {
        self.number
            + self.px * space.px
            + self.percent * space.whole / 100.0
            + (self.vw * space.view.0 + self.vh * space.view.1) / 100.0
    }

    fn bounds(&self) -> (f64, f64) {
        let length = self.px.abs() + self.percent.abs() + self.vw.abs() + self.vh.abs();
        (self.number - length, self.number + length)
    }
}

fn products(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let corners = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
    corners
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), corner| {
            (low.min(corner), high.max(corner))
        })
}
