//! R'G'B' to `Y'CbCr`: ITU-R BT.709-6, item 3, in 16.16 fixed point.

use super::Range;

/// Bits of a coefficient's fraction.
pub(super) const FRACTION: u32 = 16;

/// The weights of R and B in luma; that of G is what they leave (BT.709-6, 3.2).
const KR: f64 = 0.2126;
const KB: f64 = 0.0722;

/// One of Y', Cb, Cr as a function of 8-bit R', G', B'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) coefficients: [i32; 3],
    /// Its level for black.
    pub(super) offset: i32,
    /// The highest level; where chroma is of full range, +0.5 would be above it.
    pub(super) most: i32,
}

/// The three rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) luma: Row,
    pub(super) chroma: [Row; 2],
}

impl Matrix {
    /// For samples of so many bits, 8 or 10 (BT.709-6, 3.4; full range as H.273, 8.3, has it).
    pub(super) fn new(bits: u32, range: Range) -> Self {
        let most = (1 << bits) - 1;
        let unit = 1 << (bits - 8);
        let (black, luma, chroma) = match range {
            Range::Limited => (16 * unit, 219 * unit, 224 * unit),
            Range::Full => (0, most, most),
        };
        let row = |weights: [f64; 3], scale: i32, offset| Row {
            coefficients: weights.map(|weight| fixed(weight * f64::from(scale) / 255.0)),
            offset,
            most,
        };
        let kg = 1.0 - KR - KB;
        let half = |k: f64| 2.0 * (1.0 - k);
        let cb = [-KR / half(KB), -kg / half(KB), 0.5];
        let cr = [0.5, -kg / half(KR), -KB / half(KR)];
        let mid = 128 * unit;
        Self {
            luma: row([KR, kg, KB], luma, black),
            chroma: [row(cb, chroma, mid), row(cr, chroma, mid)],
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below 5 * 2^16")]
fn fixed(coefficient: f64) -> i32 {
    (coefficient * f64::from(1 << FRACTION)).round() as i32
}
