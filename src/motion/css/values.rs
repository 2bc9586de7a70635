//! The values of properties: numbers with their units, keywords, easing and transform functions.

use cssparser::{Parser, SourceLocation, Token};

use super::{Parsed, refuse};
use crate::motion::easing::{Easing, Jump};
use crate::motion::{FONT_SIZE_PX, Function, LengthPercentage};

pub(super) fn next_location(input: &mut Parser<'_>) -> SourceLocation {
    input.skip_whitespace();
    input.current_source_location()
}

pub(super) fn keyword<T: Copy>(
    input: &mut Parser<'_>,
    property: &str,
    words: &[(&str, T)],
) -> Parsed<T> {
    let at = next_location(input);
    let word = input.expect_ident().ok().cloned();
    let found = word.and_then(|word| words.iter().find(|(w, _)| word.eq_ignore_ascii_case(w)));
    if let Some((_, value)) = found {
        return Ok(*value);
    }
    let expected: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    refuse(
        at,
        format!("{property}: expected {}", expected.join(" or ")),
    )
}

/// Greater numbers are refused, so that every pose is finite.
const NUMBER_MAX: f64 = 1e6;

/// A number with its unit: lower case, `%` for a percentage, empty for a bare number.
///
/// The number is read again from the text, since the tokenizer keeps only an `f32` of it.
pub(super) fn numeric(input: &mut Parser<'_>, wanted: &str) -> Parsed<(f64, String)> {
    let at = next_location(input);
    let start = input.position();
    let (rough, unit) = match input.next() {
        Ok(Token::Number { value, .. }) => (*value, String::new()),
        Ok(Token::Percentage { unit_value, .. }) => (*unit_value * 100.0, "%".into()),
        Ok(Token::Dimension { value, unit, .. }) => (*value, unit.to_ascii_lowercase()),
        _ => return refuse(at, format!("expected {wanted}")),
    };
    let text = input.slice_from(start);
    // A unit is longer than its text where that holds a NUL, which is read as U+FFFD.
    let end = text.len().checked_sub(unit.len());
    let exact = end.and_then(|end| text.get(..end)?.parse().ok());
    let number: f64 = exact.unwrap_or(f64::from(rough));
    if number.abs() > NUMBER_MAX {
        let message = format!("expected {wanted}, and no number beyond {NUMBER_MAX}");
        return refuse(at, message);
    }
    Ok((number, unit))
}

pub(super) fn length_percentage(
    input: &mut Parser<'_>,
    property: &str,
) -> Parsed<LengthPercentage> {
    const WANTED: &str = "a length in px or em, or a percentage";
    let at = next_location(input);
    let (number, unit) = numeric(input, &format!("{property}: {WANTED}"))?;
    let zero = LengthPercentage::default();
    match unit.as_str() {
        "px" => Ok(LengthPercentage { px: number, ..zero }),
        "em" => Ok(LengthPercentage { em: number, ..zero }),
        "%" => Ok(LengthPercentage {
            percent: number,
            ..zero
        }),
        "" if number == 0.0 => Ok(zero),
        _ => refuse(at, format!("{property}: expected {WANTED}")),
    }
}

/// Not brought into range: that is done after interpolation.
pub(super) fn opacity(input: &mut Parser<'_>) -> Parsed<f64> {
    number_or_percentage(input, "opacity: a number from 0 to 1, or a percentage")
}

pub(super) fn font_size(input: &mut Parser<'_>) -> Parsed<f64> {
    const WANTED: &str = "font-size: a length from 1px to 1000px";
    let at = next_location(input);
    match numeric(input, WANTED)? {
        (px, unit) if unit == "px" && FONT_SIZE_PX.contains(&px) => Ok(px),
        _ => refuse(at, format!("expected {WANTED}")),
    }
}

pub(super) fn time_ms(input: &mut Parser<'_>) -> Parsed<f64> {
    const WANTED: &str = "a time in s or ms, of at most an hour";
    let at = next_location(input);
    let (number, unit) = numeric(input, WANTED)?;
    let ms = match unit.as_str() {
        "s" => number * 1_000.0,
        "ms" => number,
        _ => return refuse(at, format!("expected {WANTED}")),
    };
    if ms.abs() <= 3_600_000.0 {
        Ok(ms)
    } else {
        refuse(at, format!("expected {WANTED}"))
    }
}

pub(super) fn iterations(input: &mut Parser<'_>) -> Parsed<f64> {
    const WANTED: &str = "a finite number of iterations, above 0 and at most 1000";
    let at = next_location(input);
    match numeric(input, WANTED)? {
        (count, unit) if unit.is_empty() && count > 0.0 && count <= 1_000.0 => Ok(count),
        _ => refuse(at, format!("expected {WANTED}")),
    }
}

pub(super) fn easing(input: &mut Parser<'_>) -> Parsed<Easing> {
    let at = next_location(input);
    let word = match input.next() {
        Ok(Token::Ident(word)) => word.to_ascii_lowercase(),
        Ok(Token::Function(name)) => {
            let name = name.to_ascii_lowercase();
            return input.parse_nested_block(|input| easing_function(&name, input, at));
        }
        _ => String::new(),
    };
    Ok(match word.as_str() {
        "linear" => Easing::Linear,
        "ease" => Easing::EASE,
        "ease-in" => Easing::CubicBezier(0.42, 0.0, 1.0, 1.0),
        "ease-out" => Easing::CubicBezier(0.0, 0.0, 0.58, 1.0),
        "ease-in-out" => Easing::CubicBezier(0.42, 0.0, 0.58, 1.0),
        "step-start" => Easing::Steps {
            count: 1,
            jump: Jump::Start,
        },
        "step-end" => Easing::Steps {
            count: 1,
            jump: Jump::End,
        },
        _ => {
            return refuse(
                at,
                "expected linear, ease, ease-in, ease-out, ease-in-out, step-start, step-end, \
                 cubic-bezier() or steps()",
            );
        }
    })
}

fn easing_function(name: &str, input: &mut Parser<'_>, at: SourceLocation) -> Parsed<Easing> {
    match name {
        "cubic-bezier" => {
            const WANTED: &str = "cubic-bezier(): four numbers, the first and third from 0 to 1";
            let numbers = input.parse_comma_separated(|input| match numeric(input, WANTED)? {
                (number, unit) if unit.is_empty() => Ok(number),
                _ => refuse(at, format!("expected {WANTED}")),
            })?;
            match numbers[..] {
                [x1, y1, x2, y2] if (0.0..=1.0).contains(&x1) && (0.0..=1.0).contains(&x2) => {
                    Ok(Easing::CubicBezier(x1, y1, x2, y2))
                }
                _ => refuse(at, format!("expected {WANTED}")),
            }
        }
        "steps" => {
            let count = input.expect_integer()?;
            let jump = if input.try_parse(Parser::expect_comma).is_ok() {
                keyword(input, "steps()", JUMPS)?
            } else {
                Jump::End
            };
            let least = if jump == Jump::None { 2 } else { 1 };
            match u32::try_from(count) {
                Ok(count) if count >= least => Ok(Easing::Steps { count, jump }),
                _ => refuse(
                    at,
                    format!("steps(): expected a whole number of steps, at least {least}"),
                ),
            }
        }
        _ => refuse(
            at,
            format!("{name}() is not supported; expected cubic-bezier() or steps()"),
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

pub(super) fn transform(input: &mut Parser<'_>) -> Parsed<Vec<Function>> {
    if input
        .try_parse(|input| input.expect_ident_matching("none"))
        .is_ok()
    {
        return Ok(Vec::new());
    }
    let mut functions = Vec::new();
    while !input.is_exhausted() {
        let at = next_location(input);
        let Ok(name) = input
            .expect_function()
            .map(|name| name.to_ascii_lowercase())
        else {
            return refuse(
                at,
                "transform: expected none or functions such as rotate(15deg)",
            );
        };
        functions.push(input.parse_nested_block(|input| transform_function(&name, input, at))?);
    }
    if functions.is_empty() {
        return refuse(
            input.current_source_location(),
            "transform: expected none or functions",
        );
    }
    Ok(functions)
}

fn transform_function(name: &str, input: &mut Parser<'_>, at: SourceLocation) -> Parsed<Function> {
    let zero = LengthPercentage::default();
    let length = |input: &mut Parser<'_>| length_percentage(input, name);
    let comma = |input: &mut Parser<'_>| input.try_parse(Parser::expect_comma).is_ok();
    Ok(match name {
        "translatex" => Function::Translate(length(input)?, zero),
        "translatey" => Function::Translate(zero, length(input)?),
        "translate" => {
            let x = length(input)?;
            Function::Translate(x, if comma(input) { length(input)? } else { zero })
        }
        "rotate" => Function::Rotate(angle_degrees(input)?),
        "scalex" => Function::Scale(factor(input)?, 1.0),
        "scaley" => Function::Scale(1.0, factor(input)?),
        "scale" => {
            let x = factor(input)?;
            Function::Scale(x, if comma(input) { factor(input)? } else { x })
        }
        _ => {
            return refuse(
                at,
                format!(
                    "transform function {name}() is not supported; expected translate(), \
                     translateX(), translateY(), rotate(), scale(), scaleX() or scaleY()"
                ),
            );
        }
    })
}

fn angle_degrees(input: &mut Parser<'_>) -> Parsed<f64> {
    const WANTED: &str = "an angle in deg, turn, rad or grad";
    let at = next_location(input);
    let (number, unit) = numeric(input, WANTED)?;
    match unit.as_str() {
        "deg" => Ok(number),
        "turn" => Ok(number * 360.0),
        "rad" => Ok(number.to_degrees()),
        "grad" => Ok(number * 0.9),
        "" if number == 0.0 => Ok(0.0),
        _ => refuse(at, format!("expected {WANTED}")),
    }
}

fn factor(input: &mut Parser<'_>) -> Parsed<f64> {
    number_or_percentage(input, "a scale factor: a number or a percentage")
}

/// A percentage as the number that it stands for: 50% is 0.5.
fn number_or_percentage(input: &mut Parser<'_>, wanted: &str) -> Parsed<f64> {
    let at = next_location(input);
    let (number, unit) = numeric(input, wanted)?;
    match unit.as_str() {
        "" => Ok(number),
        "%" => Ok(number / 100.0),
        _ => refuse(at, format!("expected {wanted}")),
    }
}
