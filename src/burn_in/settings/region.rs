//! The part of a picture that sprites stay within.

use std::fmt;
use std::str::FromStr;

use crate::burn_in::settings::decimal;
use crate::frame::Size;

/// The part of the picture that sprites stay within.
///
/// From text: the name of one, or `WIDTHxHEIGHT+X+Y`, each in pixels or with `%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Region {
    /// `full`: all of it.
    #[default]
    Full,
    /// `title-safe`: 90 % of each side, in the middle (EBU R 95, SMPTE ST 2046-1).
    TitleSafe,
    /// `action-safe`: 93 % of each side, in the middle (EBU R 95, SMPTE ST 2046-1).
    ActionSafe,
    /// `left`: half of it.
    Left,
    /// `right`: half of it.
    Right,
    /// `top`: half of it.
    Top,
    /// `bottom`: half of it.
    Bottom,
    /// `strip-left`: a quarter, of full height.
    StripLeft,
    /// `strip-right`: a quarter, of full height.
    StripRight,
    /// A rectangle, `WIDTHxHEIGHT+X+Y`.
    Window {
        /// Above 0.
        width: Length,
        /// Above 0.
        height: Length,
        /// From the left.
        x: Length,
        /// From the top.
        y: Length,
    },
}

/// How long a part of a picture's side is. From text: `480`, `25%` or `12.5%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Pixels, up to [`Size::MAX`].
    Pixels(u32),
    /// Hundredths of a percent of the side, up to [`Length::SIDE`].
    Share(u32),
}

/// Pixels of a picture: edges at even numbers, but where they are those of a picture whose own are
/// odd. So they hold whole cells of chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Its width and height.
    pub size: Size,
}

impl Region {
    /// Those that have a name.
    pub const NAMED: [Self; 9] = [
        Self::Full,
        Self::TitleSafe,
        Self::ActionSafe,
        Self::Left,
        Self::Right,
        Self::Top,
        Self::Bottom,
        Self::StripLeft,
        Self::StripRight,
    ];

    /// Where it is on a picture of this size: rounded inwards, so that it reaches over nothing
    /// that it ends at, but never empty. A window that isn't wholly inside is moved inside, and cut
    /// to the picture where it is larger.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a part of a picture is no larger, and not empty"
    )]
    pub fn on(self, picture: Size) -> Rect {
        let part = |from, len| (Length::Share(from), Length::Share(len));
        let whole = part(0, Length::SIDE);
        let half = part(0, Length::SIDE / 2);
        let other_half = part(Length::SIDE / 2, Length::SIDE / 2);
        let (across, down) = match self {
            Self::Full => (whole, whole),
            Self::TitleSafe => (part(500, 9_000), part(500, 9_000)),
            Self::ActionSafe => (part(350, 9_300), part(350, 9_300)),
            Self::Left => (half, whole),
            Self::Right => (other_half, whole),
            Self::Top => (whole, half),
            Self::Bottom => (whole, other_half),
            Self::StripLeft => (part(0, 2_500), whole),
            Self::StripRight => (part(7_500, 2_500), whole),
            Self::Window {
                width,
                height,
                x,
                y,
            } => ((x, width), (y, height)),
        };
        let (x, width) = span(across, picture.width());
        let (y, height) = span(down, picture.height());
        let size = Size::new(width, height);
        let size = size.expect("invariant: a part of a picture has a size");
        Rect { x, y, size }
    }
}

/// Where a part of a side begins, and how long it is, in pixels.
fn span((from, len): (Length, Length), side: u32) -> (u32, u32) {
    // In parts of a pixel, so that nothing is rounded twice; a pair of pixels has 20,000.
    let whole = side * Length::SIDE;
    let len = len.parts(side);
    let from = from.parts(side).min(whole - len);
    let last_pair = (side - 1) / 2 * 2;
    let start = (from.div_ceil(2 * Length::SIDE) * 2).min(last_pair);
    let end = match from + len {
        end if end == whole => side,
        end => end / (2 * Length::SIDE) * 2,
    };
    (start, end.max(start + 2).min(side) - start)
}

impl Length {
    /// A whole side, in hundredths of a percent.
    pub const SIDE: u32 = 10_000;

    /// Parts of a pixel, [`Length::SIDE`] of them to one; no longer than `side`.
    fn parts(self, side: u32) -> u32 {
        match self {
            Self::Pixels(pixels) => pixels.min(side) * Self::SIDE,
            Self::Share(share) => share.min(Self::SIDE) * side,
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = decimal(percent).filter(|percent| *percent <= 100.0)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "from 0 to 10,000"
                )]
                let share = (percent * 100.0).round() as u32;
                Some(Self::Share(share))
            }
            None => {
                let pixels = text.parse().ok().filter(|pixels| *pixels <= Size::MAX);
                pixels.map(Self::Pixels)
            }
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Self::Pixels(0) | Self::Share(0))
    }

    /// Whether the two are longer than any side.
    fn exceeds(self, other: Self) -> bool {
        matches!((self, other), (Self::Share(a), Self::Share(b)) if a + b > Self::SIDE)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Share(share) => write!(f, "{}%", f64::from(*share) / 100.0),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::TitleSafe => "title-safe",
            Self::ActionSafe => "action-safe",
            Self::Left => "left",
            Self::Right => "right",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::StripLeft => "strip-left",
            Self::StripRight => "strip-right",
            Self::Window {
                width,
                height,
                x,
                y,
            } => return write!(f, "{width}x{height}+{x}+{y}"),
        })
    }
}

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut named = Self::NAMED.into_iter();
        let named = named.find(|region| region.to_string() == text);
        named.or_else(|| window(text)).ok_or_else(|| {
            let names = Self::NAMED.map(|region| region.to_string()).join(", ");
            format!(
                "region {text:?}: expected one of {names}, or WIDTHxHEIGHT+X+Y inside the picture, \
                 in pixels or with %, such as 640x360+0+720 or 50%x25%+0%+75%"
            )
        })
    }
}

fn window(text: &str) -> Option<Region> {
    let (width, rest) = text.split_once('x')?;
    let (height, rest) = rest.split_once('+')?;
    let (x, y) = rest.split_once('+')?;
    let [width, height, x, y] = [width, height, x, y].map(Length::read);
    let (width, height, x, y) = (width?, height?, x?, y?);
    let empty = width.is_zero() || height.is_zero();
    let outside = width.exceeds(x) || height.exceeds(y);
    (!empty && !outside).then_some(Region::Window {
        width,
        height,
        x,
        y,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::*;

    /// Left, top, right and bottom edges of a region, by its name, on a picture.
    fn edges(region: &str, width: u32, height: u32) -> [u32; 4] {
        let region: Region = region.parse().unwrap();
        let Rect { x, y, size } = region.on(Size::new(width, height).unwrap());
        [x, y, x + size.width(), y + size.height()]
    }

    #[test]
    fn regions_are_rounded_inwards_to_pairs_of_pixels() {
        for (region, width, height, expected) in [
            ("full", 1920, 1080, [0, 0, 1920, 1080]),
            ("title-safe", 1920, 1080, [96, 54, 1824, 1026]),
            ("title-safe", 1366, 768, [70, 40, 1296, 728]),
            // 67.2 and 37.8 pixels from the edges.
            ("action-safe", 1920, 1080, [68, 38, 1852, 1042]),
            ("left", 1920, 1080, [0, 0, 960, 1080]),
            ("right", 1920, 1080, [960, 0, 1920, 1080]),
            ("top", 1920, 1080, [0, 0, 1920, 540]),
            ("bottom", 1920, 1080, [0, 540, 1920, 1080]),
            ("left", 1366, 768, [0, 0, 682, 768]),
            ("right", 1366, 768, [684, 0, 1366, 768]),
            ("strip-left", 1080, 1920, [0, 0, 270, 1920]),
            ("strip-right", 1080, 1920, [810, 0, 1080, 1920]),
            ("640x360+0+720", 1920, 1080, [0, 720, 640, 1080]),
            ("641x361+1+1", 1920, 1080, [2, 2, 642, 362]),
            ("50%x25%+0%+75%", 1920, 1080, [0, 810, 960, 1080]),
            ("12.5%x100+87.5%+40", 1920, 1080, [1680, 40, 1920, 140]),
            ("10%x10%+5%+5%", 1920, 1080, [96, 54, 288, 162]),
            // A picture's own odd edge.
            ("full", 321, 181, [0, 0, 321, 181]),
            ("right", 321, 181, [162, 0, 321, 181]),
            ("left", 321, 181, [0, 0, 160, 181]),
            // Not wholly inside.
            ("640x360+1900+1000", 1920, 1080, [1280, 720, 1920, 1080]),
            ("3840x2160+10+10", 1920, 1080, [0, 0, 1920, 1080]),
            ("100x100+95%+0", 1920, 1080, [1820, 0, 1920, 100]),
            // Nothing is left when rounded, but a pair.
            ("1x1+1+1", 1920, 1080, [2, 2, 4, 4]),
            ("1x1+1919+1079", 1920, 1080, [1918, 1078, 1920, 1080]),
            ("title-safe", 2, 3, [0, 2, 2, 3]),
            ("left", 1, 1, [0, 0, 1, 1]),
        ] {
            let got = edges(region, width, height);
            assert_eq!(got, expected, "{region} of {width}x{height}");
        }
    }

    #[test]
    fn regions_are_told_as_they_are_read() {
        let windows = ["640x360+0+720", "50%x25%+0%+75%", "12.5%x100+87.5%+40"];
        let named = Region::NAMED.map(|region| region.to_string());
        for text in named.iter().map(String::as_str).chain(windows) {
            let region: Region = text.parse().unwrap();
            assert_eq!(region.to_string(), text);
        }
        for bad in [
            "",
            "middle",
            "Left",
            "640x360",
            "640x360+0",
            "640x360+0+0+0",
            "640x360+-1+0",
            "640,360+0+0",
            "x360+0+0",
            "0x360+0+0",
            "640x0%+0+0",
            "640x0.001%+0+0",
            "101%x10%+0+0",
            "100.1%x10%+0+0",
            "60%x10%+41%+0",
            "10%x60%+0+41%",
            "16385x10+0+0",
            "nan%x10+0+0",
            "1.5x10+0+0",
        ] {
            let error = bad.parse::<Region>().unwrap_err();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
            assert!(
                error.contains("strip-right, or WIDTHxHEIGHT+X+Y"),
                "{error}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]
        #[test]
        fn a_region_is_inside_its_picture_and_even(
            [width, height] in [1..=Size::MAX, 1..=Size::MAX],
            lengths in any::<[u32; 4]>(),
            shares in any::<[bool; 4]>(),
            small: bool,
        ) {
            let (mut lengths, mut shares) = (lengths.into_iter(), shares.into_iter());
            let mut length = || {
                let length = lengths.next().unwrap();
                let length = if small { length % 11_000 } else { length };
                match shares.next().unwrap() {
                    true => Length::Share(length),
                    false => Length::Pixels(length),
                }
            };
            let window = Region::Window {
                width: length(),
                height: length(),
                x: length(),
                y: length(),
            };
            for region in Region::NAMED.into_iter().chain([window]) {
                let Rect { x, y, size } = region.on(Size::new(width, height).unwrap());
                for (start, len, side) in [(x, size.width(), width), (y, size.height(), height)] {
                    let end = start + len;
                    assert!(start % 2 == 0 && end <= side, "{region}: {start} {end} {side}");
                    assert!(end % 2 == 0 || end == side, "{region}: {start} {end} {side}");
                }
            }
        }
    }
}
