//! Numbers with their units, and `calc()` of them (CSS Values 4, 10).

use cssparser::SourceLocation;

use super::CssError;
use super::tokens::{Input, Kind, List, Token};
use crate::motion::Variable;
use crate::motion::expression::{Expression, Linear};
use crate::motion::range::{NUMBER_MAX, Unit};

/// No calculation may come beyond this.
const RESULT_MAX: f64 = 1e9;

/// What an expression is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Length,
    Percent,
    /// A sum of both.
    LengthPercent,
    /// In degrees.
    Angle,
    /// In ms.
    Time,
}

impl Type {
    pub(super) fn is_length(self) -> bool {
        matches!(self, Self::Length | Self::Percent | Self::LengthPercent)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Length => "a length",
            Self::Percent => "a percentage",
            Self::LengthPercent => "a length with a percentage",
            Self::Angle => "an angle",
            Self::Time => "a time",
        }
    }

    /// The type of a sum of the two.
    fn with(self, other: Self) -> Option<Self> {
        if self == other {
            Some(self)
        } else if self.is_length() && other.is_length() {
            Some(Self::LengthPercent)
        } else {
            None
        }
    }
}

/// What a class of sprites measures with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) variables: &'a [Variable],
    /// 1em, in px.
    pub(super) em_px: f64,
}

type Typed = (Type, Expression);

impl Scope<'_> {
    /// The least and the greatest value of an expression.
    pub(super) fn bounds(&self, expression: &Expression) -> (f64, f64) {
        let ranges: Vec<_> = self.variables.iter().map(|v| v.range).collect();
        expression.bounds(&ranges)
    }

    /// Whether what comes next is a quantity at all.
    pub(super) fn is_quantity(input: &Input<'_>) -> bool {
        input.peek().is_some_and(|token| match &token.kind {
            Kind::Numeric(..) | Kind::Variable(_) => true,
            Kind::Function(name, _) => FUNCTIONS.contains(&name.as_str()),
            _ => false,
        })
    }

    /// One quantity: a number with its unit, a variable, or a calculation.
    pub(super) fn quantity(&self, input: &mut Input<'_>, wanted: &str) -> Result<Typed, CssError> {
        let at = input.at();
        let expected = |wanted: &str| CssError::new(at, format!("expected {wanted}"));
        if !Self::is_quantity(input) {
            return Err(expected(wanted));
        }
        let Some(token) = input.next() else {
            return Err(expected(wanted));
        };
        let (of, value) = self.value(token, wanted)?;
        let (low, high) = self.bounds(&value);
        if low.abs() <= RESULT_MAX && high.abs() <= RESULT_MAX {
            Ok((of, value))
        } else {
            let message = format!("expected {wanted}, and no number beyond {RESULT_MAX}");
            Err(CssError::new(at, message))
        }
    }

    fn value(&self, token: &Token, wanted: &str) -> Result<Typed, CssError> {
        let refused = |message: String| Err(CssError::new(token.at, message));
        match &token.kind {
            Kind::Numeric(number, _) if number.abs() > NUMBER_MAX => refused(format!(
                "expected {wanted}, and no number beyond {NUMBER_MAX}"
            )),
            Kind::Numeric(number, unit) => match self.unit(unit) {
                Some((of, one)) => Ok((of, one.times(Expression::number(*number)))),
                None => refused(format!("expected {wanted}")),
            },
            Kind::Variable(index) => {
                let Some(variable) = self.variables.get(*index) else {
                    return refused(format!("expected {wanted}"));
                };
                let unit = match variable.range.unit() {
                    Unit::Number => "",
                    unit => unit.name(),
                };
                match self.unit(unit) {
                    Some((of, Expression::Constant(one))) => {
                        Ok((of, Expression::Variable(*index, one)))
                    }
                    _ => refused(format!("expected {wanted}")),
                }
            }
            Kind::Parentheses(inside) => self.sum_of(inside),
            Kind::Function(name, inside) => self.function(name, inside, token.at),
            Kind::Ident(word) if word.eq_ignore_ascii_case("pi") => {
                Ok((Type::Number, Expression::number(std::f64::consts::PI)))
            }
            Kind::Ident(word) if word.eq_ignore_ascii_case("e") => {
                Ok((Type::Number, Expression::number(std::f64::consts::E)))
            }
            _ => refused("calc(): expected a number, with or without a unit".into()),
        }
    }

    /// One of the unit.
    fn unit(&self, unit: &str) -> Option<Typed> {
        let zero = Linear::default();
        let length = |linear| Some((Type::Length, Expression::Constant(linear)));
        let number = |of, number| Some((of, Expression::number(number)));
        match unit {
            "" => number(Type::Number, 1.0),
            "px" => length(Linear { px: 1.0, ..zero }),
            "em" => length(Linear {
                px: self.em_px,
                ..zero
            }),
            "vw" => length(Linear { vw: 1.0, ..zero }),
            "vh" => length(Linear { vh: 1.0, ..zero }),
            "%" => Some((Type::Percent, Expression::percent(1.0))),
            "deg" => number(Type::Angle, 1.0),
            "grad" => number(Type::Angle, 0.9),
            "rad" => number(Type::Angle, 1.0_f64.to_degrees()),
            "turn" => number(Type::Angle, 360.0),
            "s" => number(Type::Time, 1_000.0),
            "ms" => number(Type::Time, 1.0),
            _ => None,
        }
    }

    fn function(&self, name: &str, inside: &List, at: SourceLocation) -> Result<Typed, CssError> {
        let refused = |message: &str| Err(CssError::new(at, format!("{name}(): {message}")));
        if name == "calc" {
            return self.sum_of(inside);
        }
        if !FUNCTIONS.contains(&name) {
            return refused(
                "not supported in a calculation; expected calc(), min(), max(), clamp(), sin() \
                 or cos()",
            );
        }
        let arguments = Input::new(inside).parts(name, |input| self.sum(input))?;
        match (name, &arguments[..]) {
            ("sin" | "cos", [(of @ (Type::Angle | Type::Number), angle)]) => {
                let degrees = match of {
                    Type::Number => {
                        let degree = Expression::number(1.0_f64.to_degrees());
                        angle.clone().times(degree)
                    }
                    _ => angle.clone(),
                };
                let value = if name == "sin" {
                    degrees.sin()
                } else {
                    degrees.cos()
                };
                Ok((Type::Number, value))
            }
            ("sin" | "cos", _) => refused("expected one angle or number"),
            ("clamp", [least, value, most]) => {
                let inner = self.pair(name, value, most, at, Expression::min)?;
                self.pair(name, least, &inner, at, Expression::max)
            }
            ("clamp", _) => refused("expected three values"),
            (_, [first, rest @ ..]) => {
                let fold = if name == "min" {
                    Expression::min
                } else {
                    Expression::max
                };
                rest.iter().try_fold(first.clone(), |all, one| {
                    self.pair(name, &all, one, at, fold)
                })
            }
            _ => refused("expected a value"),
        }
    }

    fn pair(
        &self,
        name: &str,
        a: &Typed,
        b: &Typed,
        at: SourceLocation,
        join: impl Fn(Expression, Expression) -> Expression,
    ) -> Result<Typed, CssError> {
        match a.0.with(b.0) {
            Some(of) => Ok((of, join(a.1.clone(), b.1.clone()))),
            None => Err(CssError::new(
                at,
                format!(
                    "{name}(): {} and {} do not go together",
                    a.0.name(),
                    b.0.name()
                ),
            )),
        }
    }

    fn sum_of(&self, inside: &List) -> Result<Typed, CssError> {
        let mut input = Input::new(inside);
        let sum = self.sum(&mut input)?;
        input.finish("calc()")?;
        Ok(sum)
    }

    fn sum(&self, input: &mut Input<'_>) -> Result<Typed, CssError> {
        let mut sum = self.product(input)?;
        while let Some(sign) = input
            .peek()
            .filter(|token| token.is_delim('+') || token.is_delim('-'))
        {
            input.next();
            if !sign.spaced || !input.peek().is_some_and(|token| token.spaced) {
                return Err(CssError::new(
                    sign.at,
                    "calc(): expected white space on both sides of + and -",
                ));
            }
            let mut term = self.product(input)?;
            if sign.is_delim('-') {
                term.1 = term.1.times(Expression::number(-1.0));
            }
            sum = self.pair("calc", &sum, &term, sign.at, Expression::plus)?;
        }
        Ok(sum)
    }

    fn product(&self, input: &mut Input<'_>) -> Result<Typed, CssError> {
        let mut product = self.factor(input)?;
        while let Some(sign) = input
            .peek()
            .filter(|token| token.is_delim('*') || token.is_delim('/'))
        {
            input.next();
            let factor = self.factor(input)?;
            product = if sign.is_delim('*') {
                match (product.0, factor.0) {
                    (of, Type::Number) | (Type::Number, of) => (of, product.1.times(factor.1)),
                    (a, b) => {
                        let message = format!(
                            "calc(): {} times {}; expected a number for one of them",
                            a.name(),
                            b.name()
                        );
                        return Err(CssError::new(sign.at, message));
                    }
                }
            } else {
                let (low, high) = self.bounds(&factor.1);
                if factor.0 != Type::Number || !(low > 0.0 || high < 0.0) {
                    return Err(CssError::new(
                        sign.at,
                        "calc(): expected to divide by a number that is never 0",
                    ));
                }
                (product.0, product.1.over(factor.1))
            };
        }
        Ok(product)
    }

    fn factor(&self, input: &mut Input<'_>) -> Result<Typed, CssError> {
        let at = input.at();
        match input.next() {
            Some(token) => self.value(token, "a number, with or without a unit that is known"),
            None => Err(CssError::new(at, "calc(): expected a value")),
        }
    }
}

const FUNCTIONS: &[&str] = &["calc", "min", "max", "clamp", "sin", "cos"];
