//! The values of properties: lengths, keywords, easing and transform functions.

use cssparser::SourceLocation;

use super::CssError;
use super::math::{Scope, Type};
use super::tokens::{Input, Kind, List};
use crate::motion::FONT_SIZE_PX;
use crate::motion::easing::Jump;
use crate::motion::expression::Expression;
use crate::motion::program::EasingExpression;
use crate::motion::transform::{Declared, FUNCTIONS_MAX, Kind as Function};

type Read<T> = Result<T, CssError>;

fn refuse<T>(at: SourceLocation, message: impl Into<String>) -> Read<T> {
    Err(CssError::new(at, message))
}

pub(super) fn keyword<T: Copy>(
    input: &mut Input<'_>,
    property: &str,
    words: &[(&str, T)],
) -> Read<T> {
    let at = input.at();
    let word = input.ident().unwrap_or_default();
    let found = words.iter().find(|(w, _)| word.eq_ignore_ascii_case(w));
    if let Some((_, value)) = found {
        return Ok(*value);
    }
    let expected: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    refuse(
        at,
        format!("{property}: expected {}", expected.join(" or ")),
    )
}

/// A length or a percentage; a bare 0 is one too.
pub(super) fn length(scope: &Scope<'_>, input: &mut Input<'_>, property: &str) -> Read<Expression> {
    const WANTED: &str = "a length in px, em, vw or vh, or a percentage";
    let at = input.at();
    let bare = input
        .peek()
        .is_some_and(|token| matches!(token.kind, Kind::Numeric(..)));
    match scope.quantity(input, &format!("{property}: {WANTED}"))? {
        (of, value) if of.is_length() => Ok(value),
        (Type::Number, value) if bare && value.as_number() == Some(0.0) => Ok(value),
        _ => refuse(at, format!("{property}: expected {WANTED}")),
    }
}

/// Not brought into range: that is done after interpolation.
pub(super) fn opacity(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    number_or_percentage(
        scope,
        input,
        "opacity: a number from 0 to 1, or a percentage",
    )
}

pub(super) fn font_size(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<f64> {
    const WANTED: &str = "font-size: a length from 1px to 1000px";
    let at = input.at();
    let (of, value) = scope.quantity(input, WANTED)?;
    if value.varies() {
        return refuse(
            at,
            "font-size: expected no value that differs from sprite to sprite; use \
             transform: scale() for that",
        );
    }
    match value.as_px() {
        Some(px) if of == Type::Length && FONT_SIZE_PX.contains(&px) => Ok(px),
        _ => refuse(at, format!("expected {WANTED}")),
    }
}

/// In ms.
pub(super) fn time(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    const WANTED: &str = "a time in s or ms, of at most an hour";
    const MAX_MS: f64 = 3_600_000.0;
    let at = input.at();
    let (of, value) = scope.quantity(input, WANTED)?;
    let (low, high) = scope.bounds(&value);
    if of == Type::Time && low >= -MAX_MS && high <= MAX_MS {
        Ok(value)
    } else {
        refuse(at, format!("expected {WANTED}"))
    }
}

pub(super) fn duration(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    let at = input.at();
    let value = time(scope, input)?;
    if scope.bounds(&value).0 < 0.0 {
        return refuse(at, "animation: the duration is below 0");
    }
    Ok(value)
}

pub(super) fn iterations(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    const WANTED: &str = "a finite number of iterations, above 0 and at most 1000";
    let at = input.at();
    let (of, value) = scope.quantity(input, WANTED)?;
    let (low, high) = scope.bounds(&value);
    if of == Type::Number && low > 0.0 && high <= 1_000.0 {
        Ok(value)
    } else {
        refuse(at, format!("expected {WANTED}"))
    }
}

pub(super) fn easing(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<EasingExpression> {
    let at = input.at();
    if let Some(easing) = easing_if_any(scope, input)? {
        return Ok(easing);
    }
    refuse(
        at,
        "expected linear, ease, ease-in, ease-out, ease-in-out, step-start, step-end, linear(), \
         cubic-bezier() or steps()",
    )
}

/// `None`, and nothing taken, where the next token begins no easing.
pub(super) fn easing_if_any(
    scope: &Scope<'_>,
    input: &mut Input<'_>,
) -> Read<Option<EasingExpression>> {
    let Some(token) = input.peek() else {
        return Ok(None);
    };
    let easing = match &token.kind {
        Kind::Function(name, inside) => easing_function(scope, name, inside, token.at)?,
        Kind::Ident(word) => {
            let steps = |jump| EasingExpression::Steps { count: 1, jump };
            match word.to_ascii_lowercase().as_str() {
                "linear" => Some(EasingExpression::Linear),
                "ease" => Some(EasingExpression::ease()),
                "ease-in" => Some(EasingExpression::bezier([0.42, 0.0, 1.0, 1.0])),
                "ease-out" => Some(EasingExpression::bezier([0.0, 0.0, 0.58, 1.0])),
                "ease-in-out" => Some(EasingExpression::bezier([0.42, 0.0, 0.58, 1.0])),
                "step-start" => Some(steps(Jump::Start)),
                "step-end" => Some(steps(Jump::End)),
                _ => None,
            }
        }
        _ => None,
    };
    if easing.is_some() {
        input.next();
    }
    Ok(easing)
}

fn easing_function(
    scope: &Scope<'_>,
    name: &str,
    inside: &List,
    at: SourceLocation,
) -> Read<Option<EasingExpression>> {
    let arguments = Input::new(inside);
    Ok(Some(match name {
        "cubic-bezier" => {
            const WANTED: &str = "cubic-bezier(): four numbers, the first and third from 0 to 1";
            let points = arguments.parts(name, |input| number(scope, input, WANTED))?;
            let Ok(points) = <Box<[Expression; 4]>>::try_from(points) else {
                return refuse(at, format!("expected {WANTED}"));
            };
            for x in [&points[0], &points[2]] {
                let (low, high) = scope.bounds(x);
                if low < 0.0 || high > 1.0 {
                    return refuse(at, format!("expected {WANTED}"));
                }
            }
            EasingExpression::CubicBezier(points)
        }
        "steps" => steps(scope, arguments, at)?,
        "linear" => {
            let stops = arguments.parts(name, |input| stop(scope, input))?;
            if stops.len() < 2 {
                return refuse(at, "linear(): expected two numbers or more");
            }
            EasingExpression::Points(stops)
        }
        _ => return Ok(None),
    }))
}

/// The output and up to two inputs, in either order.
fn stop(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<(Expression, [Option<Expression>; 2])> {
    const WANTED: &str = "linear(): a number, and up to two percentages";
    let at = input.at();
    let mut output = None;
    let mut inputs = Vec::new();
    let mut last = None;
    while !input.is_empty() {
        let at = input.at();
        match scope.quantity(input, WANTED)? {
            (Type::Number, value) if output.is_none() => output = Some(value),
            // Two percentages stand together.
            (Type::Percent, value)
                if inputs.is_empty() || (inputs.len() == 1 && last == Some(Type::Percent)) =>
            {
                inputs.push(value);
                last = Some(Type::Percent);
                continue;
            }
            _ => return refuse(at, format!("expected {WANTED}")),
        }
        last = Some(Type::Number);
    }
    let mut inputs = inputs.into_iter();
    match output {
        Some(output) => Ok((output, [inputs.next(), inputs.next()])),
        None => refuse(at, format!("expected {WANTED}")),
    }
}

fn steps(scope: &Scope<'_>, mut input: Input<'_>, at: SourceLocation) -> Read<EasingExpression> {
    let (_, count) = scope.quantity(&mut input, "steps(): a whole number")?;
    let jump = if input.comma() {
        keyword(&mut input, "steps()", JUMPS)?
    } else {
        Jump::End
    };
    input.finish("steps()")?;
    let least = if jump == Jump::None { 2 } else { 1 };
    let count = count.as_number().filter(|count| count.fract() == 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no number is beyond a million"
    )]
    match count {
        Some(count) if count >= f64::from(least) => Ok(EasingExpression::Steps {
            count: count as u32,
            jump,
        }),
        _ => refuse(
            at,
            format!(
                "steps(): expected a whole number of steps, at least {least}, the same for every \
                 sprite"
            ),
        ),
    }
}

const JUMPS: &[(&str, Jump)] = &[
    ("start", Jump::Start),
    ("jump-start", Jump::Start),
    ("end", Jump::End),
    ("jump-end", Jump::End),
    ("jump-none", Jump::None),
    ("jump-both", Jump::Both),
];

pub(super) fn transform(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Vec<Declared>> {
    let mut probe = *input;
    if probe
        .ident()
        .is_some_and(|word| word.eq_ignore_ascii_case("none"))
    {
        *input = probe;
        return Ok(Vec::new());
    }
    let mut functions = Vec::new();
    while let Some(token) = input.next() {
        let Kind::Function(name, inside) = &token.kind else {
            return refuse(
                token.at,
                "transform: expected none or functions such as rotate(15deg)",
            );
        };
        if functions.len() >= FUNCTIONS_MAX {
            let message = format!("transform: expected at most {FUNCTIONS_MAX} functions");
            return refuse(token.at, message);
        }
        functions.push(transform_function(scope, name, inside, token.at)?);
    }
    if functions.is_empty() {
        return refuse(input.at(), "transform: expected none or functions");
    }
    Ok(functions)
}

fn transform_function(
    scope: &Scope<'_>,
    name: &str,
    inside: &List,
    at: SourceLocation,
) -> Read<Declared> {
    let mut input = Input::new(inside);
    let input = &mut input;
    let zero = Expression::number(0.0);
    let one = Expression::number(1.0);
    let (kind, arguments) = match name {
        "translatex" => (Function::Translate, vec![length(scope, input, name)?, zero]),
        "translatey" => (Function::Translate, vec![zero, length(scope, input, name)?]),
        "translate" => {
            let x = length(scope, input, name)?;
            let y = if input.comma() {
                length(scope, input, name)?
            } else {
                zero
            };
            (Function::Translate, vec![x, y])
        }
        "rotate" => (Function::Rotate, vec![angle(scope, input)?]),
        "scalex" => (Function::Scale, vec![factor(scope, input)?, one]),
        "scaley" => (Function::Scale, vec![one, factor(scope, input)?]),
        "scale" => {
            let x = factor(scope, input)?;
            let y = if input.comma() {
                factor(scope, input)?
            } else {
                x.clone()
            };
            (Function::Scale, vec![x, y])
        }
        "skewx" => (Function::SkewX, vec![angle(scope, input)?]),
        "skewy" => (Function::SkewY, vec![angle(scope, input)?]),
        "skew" => {
            let x = angle(scope, input)?;
            let y = if input.comma() {
                angle(scope, input)?
            } else {
                zero
            };
            (Function::Skew, vec![x, y])
        }
        "matrix" => {
            const WANTED: &str = "matrix(): six numbers";
            let mut elements = input.parts(name, |input| number(scope, input, WANTED))?;
            if elements.len() != 6 {
                return refuse(at, format!("expected {WANTED}"));
            }
            for element in &mut elements[4..] {
                *element = element.clone().times(Expression::px(1.0));
            }
            return Ok(Declared {
                kind: Function::Matrix,
                arguments: elements,
            });
        }
        _ => {
            let instead = match name {
                "rotatez" => "write rotate()",
                "translate3d" | "translatez" => "write translate()",
                "scale3d" | "scalez" => "write scale()",
                "matrix3d" => "write matrix()",
                _ => {
                    "expected translate(), translateX(), translateY(), rotate(), scale(), \
                     scaleX(), scaleY(), skew(), skewX(), skewY() or matrix()"
                }
            };
            return refuse(
                at,
                format!("transform function {name}() is not supported; {instead}"),
            );
        }
    };
    input.finish(name)?;
    Ok(Declared { kind, arguments })
}

/// In degrees.
fn angle(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    const WANTED: &str = "an angle in deg, turn, rad or grad";
    let at = input.at();
    let bare = input
        .peek()
        .is_some_and(|token| matches!(token.kind, Kind::Numeric(..)));
    match scope.quantity(input, WANTED)? {
        (Type::Angle, value) => Ok(value),
        (Type::Number, value) if bare && value.as_number() == Some(0.0) => Ok(value),
        _ => refuse(at, format!("expected {WANTED}")),
    }
}

fn number(scope: &Scope<'_>, input: &mut Input<'_>, wanted: &str) -> Read<Expression> {
    let at = input.at();
    match scope.quantity(input, wanted)? {
        (Type::Number, value) => Ok(value),
        _ => refuse(at, format!("expected {wanted}")),
    }
}

fn factor(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Expression> {
    number_or_percentage(scope, input, "a scale factor: a number or a percentage")
}

/// A percentage as the number that it stands for: 50% is 0.5.
fn number_or_percentage(
    scope: &Scope<'_>,
    input: &mut Input<'_>,
    wanted: &str,
) -> Read<Expression> {
    let at = input.at();
    match scope.quantity(input, wanted)? {
        (Type::Number, value) => Ok(value),
        (Type::Percent, value) => Ok(value.of_one()),
        _ => refuse(at, format!("expected {wanted}")),
    }
}

/// One side of `transform-origin`.
enum Side {
    Across(f64),
    Down(f64),
    Centre,
    Length(Expression),
}

impl Side {
    fn read(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<Self> {
        let at = input.at();
        let Some(word) = input.ident() else {
            return Ok(Self::Length(length(scope, input, "transform-origin")?));
        };
        Ok(match word.to_ascii_lowercase().as_str() {
            "left" => Self::Across(0.0),
            "right" => Self::Across(100.0),
            "top" => Self::Down(0.0),
            "bottom" => Self::Down(100.0),
            "center" => Self::Centre,
            _ => {
                return refuse(
                    at,
                    "transform-origin: expected left, right, top, bottom, center, a length or a \
                     percentage",
                );
            }
        })
    }

    fn value(self) -> Expression {
        match self {
            Self::Across(percent) | Self::Down(percent) => Expression::percent(percent),
            Self::Centre => Expression::percent(50.0),
            Self::Length(length) => length,
        }
    }
}

pub(super) fn origin(scope: &Scope<'_>, input: &mut Input<'_>) -> Read<[Expression; 2]> {
    let at = input.at();
    let first = Side::read(scope, input)?;
    if input.is_empty() {
        return Ok(match first {
            Side::Down(_) => [Side::Centre.value(), first.value()],
            _ => [first.value(), Side::Centre.value()],
        });
    }
    let second = Side::read(scope, input)?;
    match (&first, &second) {
        (
            Side::Across(_) | Side::Centre | Side::Length(_),
            Side::Down(_) | Side::Centre | Side::Length(_),
        ) => Ok([first.value(), second.value()]),
        (Side::Down(_) | Side::Centre, Side::Across(_) | Side::Centre) => {
            Ok([second.value(), first.value()])
        }
        _ => refuse(
            at,
            "transform-origin: expected the horizontal place and then the vertical one",
        ),
    }
}
