//! The picture: its size, its rate, and the contract on its pixels.

mod field;
mod ink;
mod memory;
mod turn;

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

pub use self::field::{FieldOrder, Scan, weave};
pub(crate) use self::ink::{BLOCK, Ink, blocks, columns, mark, span, touched};
pub(crate) use self::memory::Pixels;
pub use self::turn::{Turn, turn};

/// A frame's size in pixels, each side in `1..=16384`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

/// A frame size that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "size {0:?}: expected WIDTHxHEIGHT, such as 1920x1080, each from 1 to {max}",
    max = Size::MAX
)]
pub struct SizeError(String);

impl Size {
    /// The longest side, in pixels.
    pub const MAX: u32 = 16_384;

    /// A size of `width` x `height` pixels.
    ///
    /// # Errors
    /// A side of 0, or of more than [`Size::MAX`].
    pub fn new(width: u32, height: u32) -> Result<Self, SizeError> {
        let ok = 1..=Self::MAX;
        if ok.contains(&width) && ok.contains(&height) {
            Ok(Self { width, height })
        } else {
            Err(SizeError(format!("{width}x{height}")))
        }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(self) -> u32 {
        self.height
    }

    /// Bytes of one row: four a pixel, no padding.
    #[must_use]
    pub fn row_bytes(self) -> usize {
        self.width as usize * 4
    }

    /// Bytes of one frame: four a pixel, no padding.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        self.row_bytes() * self.height as usize
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError(text.into());
        let (width, height) = text.split_once('x').ok_or_else(error)?;
        let number = |side: &str| side.parse::<u32>().map_err(|_| error());
        Self::new(number(width)?, number(height)?).map_err(|_| error())
    }
}

/// An exact frame rate: `num / den` frames a second, in lowest terms, in `1..=1000` a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: NonZeroU32,
    den: NonZeroU32,
}

/// A frame rate that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "frame rate {0:?}: expected frames a second from 1 to 1000 as a whole number or a fraction, \
     such as 60 or 60000/1001"
)]
pub struct FrameRateError(String);

impl FrameRate {
    /// `num / den` frames a second.
    ///
    /// # Errors
    /// A rate below 1 or above 1000 a second, or a term of more than 1,000,000.
    pub fn new(num: u32, den: u32) -> Result<Self, FrameRateError> {
        let error = || FrameRateError(format!("{num}/{den}"));
        let divisor = gcd(num, den);
        let (Some(n), Some(d)) = (
            NonZeroU32::new(num / divisor.max(1)),
            NonZeroU32::new(den / divisor.max(1)),
        ) else {
            return Err(error());
        };
        let whole = 1..=1_000_000;
        let in_range = n >= d && u64::from(n.get()) <= 1_000 * u64::from(d.get());
        if in_range && whole.contains(&num) && whole.contains(&den) {
            Ok(Self { num: n, den: d })
        } else {
            Err(error())
        }
    }

    /// The numerator, in lowest terms.
    #[must_use]
    pub fn num(self) -> u32 {
        self.num.get()
    }

    /// The denominator, in lowest terms.
    #[must_use]
    pub fn den(self) -> u32 {
        self.den.get()
    }

    /// The media time of frame `index` (from 0): `index * den / num` seconds, rounded down to a
    /// nanosecond. Made from the index, never summed, so it does not drift.
    #[must_use]
    pub fn pts(self, index: u64) -> Duration {
        self.after_half_frames(2 * u128::from(index))
    }

    /// The media time of the second field of interlaced frame `index`: half a frame after its
    /// first, rounded down to a nanosecond.
    #[must_use]
    pub fn second_field_pts(self, index: u64) -> Duration {
        self.after_half_frames(2 * u128::from(index) + 1)
    }

    fn after_half_frames(self, count: u128) -> Duration {
        let units = count * u128::from(self.den.get());
        let num = 2 * u128::from(self.num.get());
        let nanos = (units % num) * 1_000_000_000 / num;
        let seconds = u64::try_from(units / num).unwrap_or(u64::MAX);
        Duration::new(seconds, u32::try_from(nanos).unwrap_or(0))
    }

    /// The first frame whose [`pts`](Self::pts) is not before `at`.
    #[must_use]
    pub fn first_at_or_after(self, at: Duration) -> u64 {
        let num = u128::from(self.num.get());
        let unit = u128::from(self.den.get()) * 1_000_000_000;
        // `pts` rounds down, so the frame at exactly `at` may be one before the ceiling.
        let ceiling = u64::try_from((at.as_nanos() * num).div_ceil(unit)).unwrap_or(u64::MAX);
        match ceiling.checked_sub(1) {
            Some(before) if self.pts(before) >= at => before,
            _ => ceiling,
        }
    }

    /// The time from one frame to the next, rounded down to a nanosecond.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.pts(1)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den.get() {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

impl FromStr for FrameRate {
    type Err = FrameRateError;

    fn from_str(text: &str) -> Result<Self, FrameRateError> {
        let error = || FrameRateError(text.into());
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        let number = |term: &str| term.parse::<u32>().map_err(|_| error());
        Self::new(number(num)?, number(den)?).map_err(|_| error())
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How colour and alpha are related in pixels that leave floatup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Alpha {
    /// Colour is not multiplied by alpha; what PNG, ffmpeg and OBS take pixels to be.
    #[default]
    Straight,
    /// Colour is multiplied by alpha, and never above it.
    Premultiplied,
}

impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straight => "straight",
            Self::Premultiplied => "premultiplied",
        })
    }
}

impl FromStr for Alpha {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "straight" => Ok(Self::Straight),
            "premultiplied" => Ok(Self::Premultiplied),
            _ => Err(format!(
                "alpha {text:?}: expected straight or premultiplied"
            )),
        }
    }
}

/// The order of the four 8-bit channels in raw frames, named as ffmpeg names its pixel formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// R, G, B, A.
    #[default]
    Rgba,
    /// B, G, R, A.
    Bgra,
    /// A, R, G, B.
    Argb,
    /// A, B, G, R.
    Abgr,
}

impl PixelFormat {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Rgba, Self::Bgra, Self::Argb, Self::Abgr];

    /// Which byte of a pixel each of R, G, B and A is, from 0.
    #[must_use]
    pub fn places(self) -> [u8; 4] {
        match self {
            Self::Rgba => [0, 1, 2, 3],
            Self::Bgra => [2, 1, 0, 3],
            Self::Argb => [1, 2, 3, 0],
            Self::Abgr => [3, 2, 1, 0],
        }
    }

    /// R, G, B, A of a pixel in this order.
    #[inline(always)]
    pub(crate) fn rgba(self, pixel: [u8; 4]) -> [u8; 4] {
        self.places().map(|place| pixel[usize::from(place & 3)])
    }

    /// A pixel in this order, of R, G, B, A.
    #[inline(always)]
    pub(crate) fn pixel(self, rgba: [u8; 4]) -> [u8; 4] {
        let mut pixel = [0; 4];
        for (level, place) in rgba.into_iter().zip(self.places()) {
            pixel[usize::from(place & 3)] = level;
        }
        pixel
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgba => "rgba",
            Self::Bgra => "bgra",
            Self::Argb => "argb",
            Self::Abgr => "abgr",
        })
    }
}

impl FromStr for PixelFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| format!("pixel format {text:?}: expected rgba, bgra, argb or abgr"))
    }
}

/// One picture: four 8-bit channels a pixel, colour in sRGB, rows from the top, no padding between
/// them. Premultiplied colour is never above its alpha; straight colour is 0 where alpha is 0.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    size: Size,
    alpha: Alpha,
    format: PixelFormat,
    pixels: Pixels,
    /// Where pixels may not be clear; every other one is.
    ink: Ink,
}

impl Frame {
    /// A clear frame: every byte 0.
    #[must_use]
    pub fn new(size: Size, alpha: Alpha, format: PixelFormat) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        Self {
            size,
            alpha,
            format,
            pixels: Pixels::clear(width * height),
            ink: Ink::new(width, height),
        }
    }

    /// Takes all the memory that it has asked for: a system gives a large block page by page, each
    /// when it is first written to.
    pub(crate) fn settle(&mut self) {
        self.pixels.settle();
    }

    /// The frame's size.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// How colour and alpha are related.
    #[must_use]
    pub fn alpha(&self) -> Alpha {
        self.alpha
    }

    /// The order of a pixel's channels.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The pixels, row after row.
    #[must_use]
    pub fn pixels(&self) -> &[[u8; 4]] {
        &self.pixels
    }

    /// The pixels as [`Size::frame_bytes`] bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.pixels.as_flattened()
    }

    /// The columns of a row that may show something, in ranges from the left; every other pixel
    /// of it is clear.
    ///
    /// # Panics
    /// The frame has no such row.
    pub fn inked(&self, row: usize) -> impl Iterator<Item = Range<usize>> {
        let width = self.size.width as usize;
        blocks(self.ink.row(row).iter().copied()).map(move |block| columns(block, width))
    }

    /// Of each row that may show something the bytes from the first to the last that do, among
    /// [`as_bytes`](Self::as_bytes), from the top; every byte outside these is 0.
    pub(crate) fn inked_bytes(&self) -> impl Iterator<Item = Range<usize>> {
        let width = self.size.width as usize;
        (0..self.size.height as usize).filter_map(move |row| {
            let inked = span(self.ink.row(row), width)?;
            let byte = |column: usize| 4 * (row * width + column);
            Some(byte(inked.start)..byte(inked.end))
        })
    }

    /// Where pixels may not be clear.
    pub(crate) fn ink(&self) -> &Ink {
        &self.ink
    }

    /// Whether nothing can show: every pixel is clear.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.ink.words().iter().all(|blocks| *blocks == 0)
    }

    /// The pixels, and which of them may show something, to be drawn on: those without ink are to
    /// be clear.
    pub(crate) fn parts_mut(&mut self) -> (&mut [[u8; 4]], &mut Ink) {
        (&mut self.pixels, &mut self.ink)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}, {}, {})", self.size, self.alpha, self.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pts_is_exact_for_ntsc_rates() {
        let rate: FrameRate = "30000/1001".parse().unwrap();
        for k in [0, 1, 10, 3_600] {
            assert_eq!(rate.pts(30_000 * k), Duration::from_secs(1_001 * k));
        }
        assert_eq!(rate.pts(1), Duration::from_nanos(33_366_666));
        assert_eq!(rate.second_field_pts(0), Duration::from_nanos(16_683_333));
        assert_eq!(rate.second_field_pts(1), Duration::from_nanos(50_050_000));
    }

    #[test]
    fn first_at_or_after_inverts_pts() {
        for rate in ["1", "24", "25", "30000/1001", "60", "60000/1001", "1000"] {
            let rate: FrameRate = rate.parse().unwrap();
            for index in [0, 1, 2, 59, 60, 61, 1_000_003] {
                let pts = rate.pts(index);
                assert_eq!(rate.first_at_or_after(pts), index, "{rate}");
                let after = pts + Duration::from_nanos(1);
                assert_eq!(rate.first_at_or_after(after), index + 1, "{rate}");
            }
        }
    }

    #[test]
    fn refuses_sizes_and_rates_that_make_no_picture() {
        for bad in [
            "",
            "0x1",
            "1x0",
            "16385x1",
            "1920",
            "1920X1080",
            "-1x1",
            "1x1x1",
            " 1x1",
        ] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "0",
            "1/0",
            "0/1",
            "1/2",
            "1001",
            "59.94",
            "60/",
            "-60",
            "2000000/2000000",
        ] {
            assert!(bad.parse::<FrameRate>().is_err(), "{bad:?}");
        }
        assert_eq!("120/2".parse::<FrameRate>().unwrap().to_string(), "60");
    }
}
