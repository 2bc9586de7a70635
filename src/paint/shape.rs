//! One layer through one matrix at one opacity, pixel row by pixel row.
//!
//! Bilinear with float weights and clamped edges, times the share of the pixel that the layer's
//! outline covers, times opacity. Coordinates are those of the sprite's box, whose top left is a
//! whole pixel of the frame.

use std::ops::Range;

use super::outline::Outline;
use crate::pixel::{Line, Rows, Texels};
use crate::sprite::Layer;

/// What a sprite looks like, wherever on the frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    /// Which of the sheet's layers.
    pub(super) layer: u32,
    /// In `1..=255`.
    opacity: u8,
    /// As bits, so that looks can be told apart by hash.
    matrix: [u64; 6],
}

impl Look {
    /// `None` where nothing would show.
    pub(super) fn new(layer: u32, opacity: f64, matrix: [f64; 6]) -> Option<Self> {
        // Chromium cuts the product off; what lies below by rounding alone is the level meant.
        let level = (opacity.clamp(0.0, 1.0) * 255.0 + 1e-9).floor();
        let shows = level >= 1.0 && matrix.iter().all(|v| v.is_finite());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 255"
        )]
        shows.then(|| Self {
            layer,
            opacity: level as u8,
            matrix: matrix.map(f64::to_bits),
        })
    }
}

/// A look, ready to be computed.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Which of the sheet's layers.
    pub(super) layer: u32,
    /// The pixels that may show something; neither is empty.
    pub(super) columns: Range<i32>,
    pub(super) rows: Range<i32>,
    opacity: f64,
    inverse: [f64; 6],
    outline: Outline,
}

/// At most so many pixels are computed at a time.
pub(super) const CHUNK: usize = 64;

/// What is further away than so many pixels isn't drawn, so that whole pixels fit an `i32`.
const FAR_PX: f64 = 1e6;

impl Shape {
    /// `None` where the layer is seen edge-on, or lies far away.
    pub(super) fn new(look: &Look, layer: &Layer) -> Option<Self> {
        let [a, b, c, d, e, f] = look.matrix.map(f64::from_bits);
        let [a, b, c, d] = [a, b, c, d].map(|v| v / layer.scale);
        let top = f64::from(layer.top);
        let (e, f) = (e + c * top, f + d * top);
        let det = a * d - b * c;
        let inverse = [d / det, -b / det, -c / det, a / det, e, f];
        if det == 0.0 || !inverse.iter().all(|v| v.is_finite()) {
            return None;
        }
        let outline = Outline::new([a, b, c, d, e, f], float(layer.width), float(layer.height));
        let range = |corners: [f64; 4]| {
            let first = corners.into_iter().fold(f64::INFINITY, f64::min).floor();
            let last = corners.into_iter().fold(f64::NEG_INFINITY, f64::max).ceil();
            (first > -FAR_PX && last < FAR_PX && first < last).then(|| whole(first)..whole(last))
        };
        let corners = outline.corners();
        Some(Self {
            layer: look.layer,
            columns: range(corners.map(|(x, _)| x))?,
            rows: range(corners.map(|(_, y)| y))?,
            opacity: f64::from(look.opacity),
            inverse,
            outline,
        })
    }

    /// The columns of row `y` outside which nothing shows.
    #[inline(always)]
    pub(super) fn span(&self, y: i32) -> Range<i32> {
        let (from, to) = self.outline.touched(f64::from(y) + 0.5);
        let first = from.max(f64::from(self.columns.start)).floor();
        let last = to.min(f64::from(self.columns.end)).ceil();
        if first < last {
            whole(first)..whole(last)
        } else {
            0..0
        }
    }

    /// The pixels of row `y` from column `x` on, at most [`CHUNK`], premultiplied, opacity
    /// included.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "places in a layer, in 32-bit float as Skia has them; counts of a chunk"
    )]
    pub(super) fn row<R: Rows>(&self, rows: R, layer: &Layer, x: i32, y: i32, out: &mut [[u8; 4]]) {
        let mut shares = [0; CHUNK];
        let shares = &mut shares[..out.len()];
        let (centre_x, centre_y) = (f64::from(x) + 0.5, f64::from(y) + 0.5);
        shares.fill(nearest(self.opacity));
        // Pixels that an edge may cross lie before and after those that are inside wholly.
        let (from, to) = self.outline.inside(centre_y);
        let count = shares.len() as f64;
        let before = (from - centre_x + 1.0).clamp(0.0, count) as usize;
        let after = (to - centre_x).clamp(0.0, count) as usize;
        let crossed = if from < to {
            before..after.max(before)
        } else {
            0..0
        };
        for n in (0..crossed.start).chain(crossed.end..shares.len()) {
            let coverage = self.outline.coverage(centre_x + n as f64, centre_y);
            shares[n] = nearest(self.opacity * coverage);
        }
        let [a, b, c, d, e, f] = self.inverse;
        let first = self.columns.start;
        let (dx, dy) = (f64::from(first) + 0.5 - e, centre_y - f);
        let start = (a * dx + c * dy - 0.5, b * dx + d * dy - 0.5);
        let line = Line {
            start: (start.0 as f32, start.1 as f32),
            step: (a as f32, b as f32),
            first: x.abs_diff(first),
        };
        let side = |side: usize| i32::try_from(side).unwrap_or(i32::MAX);
        let texels = Texels {
            pixels: &layer.pixels,
            width: side(layer.width),
            height: side(layer.height),
        };
        rows.sample(texels, line, shares, out);
    }
}

/// A level of `0.0..=255.0`, to the nearest whole one, half up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 255"
)]
#[inline(always)]
fn nearest(level: f64) -> u8 {
    (level + 0.5) as u8
}

/// A whole coordinate below [`FAR_PX`].
#[expect(clippy::cast_possible_truncation, reason = "it is not far")]
#[inline(always)]
fn whole(coordinate: f64) -> i32 {
    coordinate as i32
}

/// A side of a layer, far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "layers are smaller than 2^53 pixels"
)]
fn float(side: usize) -> f64 {
    side as f64
}
