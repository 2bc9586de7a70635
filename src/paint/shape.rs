//! One layer through one matrix at one opacity, pixel row by pixel row.
//!
//! Bilinear with float weights and clamped edges, times the share of the pixel that the layer's
//! outline covers, times opacity. Coordinates are those of the sprite's box, whose top left is a
//! whole pixel of the frame.

use std::ops::Range;

use super::outline::Outline;
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

/// What is further away than so many pixels isn't drawn, so that whole pixels fit an `i32`.
const FAR_PX: f64 = 1e6;

impl Shape {
    /// `None` where the layer is seen edge-on, or lies far away.
    pub(super) fn new(look: &Look, layer: &Layer) -> Option<Self> {
        let [a, b, c, d, e, f] = look.matrix.map(f64::from_bits);
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

    /// The pixels of row `y` from column `x` on, premultiplied, opacity included.
    #[inline(always)]
    pub(super) fn row(&self, layer: &Layer, x: i32, y: i32, out: &mut [[u8; 4]]) {
        let [a, b, c, d, e, f] = self.inverse;
        let centre_y = f64::from(y) + 0.5;
        let (full_from, full_to) = self.outline.inside(centre_y);
        let texels = Texels::new(layer);
        let whole_share = nearest(self.opacity);
        for (column, out) in (x..).zip(out) {
            let centre_x = f64::from(column) + 0.5;
            let share = if centre_x > full_from && centre_x < full_to {
                whole_share
            } else {
                nearest(self.opacity * self.outline.coverage(centre_x, centre_y))
            };
            if share == 0 {
                *out = [0; 4];
                continue;
            }
            let (dx, dy) = (centre_x - e, centre_y - f);
            let texel = texels.sample(a * dx + c * dy, b * dx + d * dy);
            *out = texel.map(|v| ((v * share + 255) >> 8) as u8);
        }
    }
}

/// A layer to be sampled at fractions of its pixels.
struct Texels<'a> {
    pixels: &'a [[u8; 4]],
    stride: usize,
    /// The last column and row.
    right: i32,
    bottom: i32,
}

impl<'a> Texels<'a> {
    #[inline(always)]
    fn new(layer: &'a Layer) -> Self {
        let last = |side: usize| i32::try_from(side).unwrap_or(i32::MAX) - 1;
        Self {
            pixels: &layer.pixels,
            stride: layer.width,
            right: last(layer.width),
            bottom: last(layer.height),
        }
    }

    /// Bilinear between the four nearest texels, edges clamped, to the nearest level.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights lose nothing that shows, and far coordinates saturate"
    )]
    #[inline(always)]
    fn sample(&self, u: f64, v: f64) -> [u32; 4] {
        let (u, v) = (u - 0.5, v - 0.5);
        let (left, upper) = (u.floor(), v.floor());
        let (fx, fy) = ((u - left) as f32, (v - upper) as f32);
        let (x0, y0) = (left as i32, upper as i32);
        let column = |x: i32| index(x.clamp(0, self.right));
        let row = |y: i32| index(y.clamp(0, self.bottom)) * self.stride;
        let (x0, x1) = (column(x0), column(x0.saturating_add(1)));
        let (y0, y1) = (row(y0), row(y0.saturating_add(1)));
        let at = |y: usize, x: usize| self.pixels[y + x].map(f32::from);
        let (p00, p10, p01, p11) = (at(y0, x0), at(y0, x1), at(y1, x0), at(y1, x1));
        std::array::from_fn(|c| {
            let above = p00[c] + (p10[c] - p00[c]) * fx;
            let below = p01[c] + (p11[c] - p01[c]) * fx;
            nearest(f64::from(above + (below - above) * fy))
        })
    }
}

/// A level of `0.0..=255.0`, to the nearest whole one, half up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 255"
)]
#[inline(always)]
fn nearest(level: f64) -> u32 {
    (level + 0.5) as u32
}

/// A whole coordinate below [`FAR_PX`].
#[expect(clippy::cast_possible_truncation, reason = "it is not far")]
#[inline(always)]
fn whole(coordinate: f64) -> i32 {
    coordinate as i32
}

/// A coordinate that is not negative.
#[expect(clippy::cast_sign_loss, reason = "clamped before")]
#[inline(always)]
fn index(coordinate: i32) -> usize {
    coordinate as usize
}

/// A side of a layer, far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "layers are smaller than 2^53 pixels"
)]
fn float(side: usize) -> f64 {
    side as f64
}
