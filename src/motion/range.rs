//! The range that a custom property has for each sprite anew.

use std::fmt;
use std::str::FromStr;

use super::Range;

/// Greater numbers are refused, so that every pose is finite.
pub(super) const NUMBER_MAX: f64 = 1e6;

/// What a range's numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Number,
    Px,
    Em,
    Percent,
    Vw,
    Vh,
    Deg,
    Rad,
    Turn,
    S,
    Ms,
}

/// No unit is the end of a later one, but for the empty one.
const UNITS: &[(&str, Unit)] = &[
    ("px", Unit::Px),
    ("em", Unit::Em),
    ("%", Unit::Percent),
    ("vw", Unit::Vw),
    ("vh", Unit::Vh),
    ("deg", Unit::Deg),
    ("rad", Unit::Rad),
    ("turn", Unit::Turn),
    ("ms", Unit::Ms),
    ("s", Unit::S),
    ("", Unit::Number),
];

impl Unit {
    pub(super) fn name(self) -> &'static str {
        let named = UNITS.iter().find(|(_, unit)| *unit == self);
        named.map_or("", |(name, _)| name)
    }
}

impl Range {
    /// The value for a share of the way: `from + share * (to - from)`.
    ///
    /// A share outside `0.0..=1.0` is brought there.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        // Not a number is no share of the way either.
        let share = if share > 0.0 { share.min(1.0) } else { 0.0 };
        self.from + share * (self.to - self.from)
    }

    /// The same as CSS: `14.5px`.
    #[must_use]
    pub fn css(&self, share: f64) -> String {
        format!("{}{}", self.at(share), self.unit.name())
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// The least and the greatest value.
    pub(super) fn bounds(&self) -> (f64, f64) {
        (self.from.min(self.to), self.from.max(self.to))
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "range {text:?}: expected two numbers with the same unit, such as \"10px..29px\"; \
                 the units are px, em, %, vw, vh, deg, turn, rad, s, ms and none, and no number is \
                 beyond {NUMBER_MAX}"
            )
        };
        // A third full stop may be a number's, or too many.
        let ends = text.trim().split_once("..");
        let ends = ends.filter(|_| !text.contains("..."));
        let (Some((from, unit)), Some((to, other))) = (
            ends.and_then(|(from, _)| quantity(from)),
            ends.and_then(|(_, to)| quantity(to)),
        ) else {
            return Err(refused());
        };
        if unit == other {
            Ok(Self { from, to, unit })
        } else {
            Err(refused())
        }
    }
}

fn quantity(text: &str) -> Option<(f64, Unit)> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    // Rust reads words such as `inf` as well, CSS doesn't.
    let digits = number
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e'));
    let number: f64 = number.parse().ok()?;
    (digits && number.abs() <= NUMBER_MAX).then_some((number, unit))
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, unit } = self;
        let unit = unit.name();
        write!(f, "{from}{unit}..{to}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_of_one_unit() {
        for text in [
            "10px..29px",
            "-1.5em..2em",
            "0%..100%",
            "3vw..1vw",
            "5vh..5vh",
            "0deg..90deg",
            "0rad..1rad",
            "0turn..1turn",
            "1s..2s",
            "100ms..200ms",
            "0.5..2",
        ] {
            let range: Range = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(range.to_string(), text);
        }
        let range: Range = " 1E1PX .. 29px ".parse().unwrap();
        assert_eq!(range.to_string(), "10px..29px");
        assert_eq!(range.css(0.0), "10px");
        assert_eq!(range.css(1.0), "29px");
        assert_eq!(range.css(0.5), "19.5px");
        assert_eq!(range.css(7.0), "29px");
        assert_eq!(range.css(f64::NAN), "10px");
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        for text in [
            "",
            "10px",
            "10px..",
            "..10px",
            "10px..20em",
            "0..20px",
            "inf..1",
            "nan..nan",
            "1e7px..2px",
            "1px-2px",
            "1px...2px",
            "1grad..2grad",
            "px..px",
            "1 px..2 px",
        ] {
            let error = text.parse::<Range>().expect_err(text);
            assert!(error.contains("such as \"10px..29px\""), "{error}");
        }
    }
}
