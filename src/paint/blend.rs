//! The pixel loop.
//!
//! Products of two 8-bit values are `(v * c + 255) >> 8`, as Chromium's compositor has them.

use std::ops::Range;

use super::outline::Outline;
use crate::frame::{Frame, Size};
use crate::sprite::Layer;

/// Draws `layer` through `matrix` (layer point to frame point) over the frame.
pub(super) fn composite(frame: &mut Frame, layer: &Layer, matrix: [f64; 6], opacity: f64) {
    let opacity = (opacity * 255.0 + 1e-9).floor();
    let Some(inverse) = Inverse::new(matrix).filter(|_| opacity >= 1.0) else {
        return;
    };
    let outline = Outline::new(matrix, float(layer.width), float(layer.height));
    let (columns, rows) = bounds(&outline, frame.size());
    if columns.is_empty() {
        return;
    }
    let width = frame.size().width() as usize;
    let texels = Texels::new(layer);
    let lines = frame.ink(rows.clone()).chunks_exact_mut(width);
    for (y, line) in rows.zip(lines) {
        let row = &mut line[columns.clone()];
        for (x, pixel) in columns.clone().zip(row) {
            let (u, v) = inverse.layer_point(x, y);
            let share = nearest(opacity * outline.coverage(float(x) + 0.5, float(y) + 0.5));
            if share > 0 {
                over(pixel, texels.sample(u, v), share);
            }
        }
    }
}

/// The pixels between the outline's corners: columns and rows, both empty if it is off the frame.
fn bounds(outline: &Outline, size: Size) -> (Range<usize>, Range<usize>) {
    let range = |corners: [f64; 4], side: u32| {
        let first = corners.into_iter().fold(f64::INFINITY, f64::min).floor();
        let last = corners.into_iter().fold(f64::NEG_INFINITY, f64::max).ceil();
        let side = f64::from(side);
        index(first.clamp(0.0, side))..index(last.clamp(0.0, side))
    };
    let columns = range(outline.corners().map(|(x, _)| x), size.width());
    let rows = range(outline.corners().map(|(_, y)| y), size.height());
    if columns.is_empty() || rows.is_empty() {
        (0..0, 0..0)
    } else {
        (columns, rows)
    }
}

/// From the centre of a frame pixel to a point of the layer.
struct Inverse([f64; 6]);

impl Inverse {
    /// `None` where the layer is seen edge-on, or nothing is finite.
    fn new([a, b, c, d, e, f]: [f64; 6]) -> Option<Self> {
        let det = a * d - b * c;
        let inverse = [d / det, -b / det, -c / det, a / det, e, f];
        (det != 0.0 && inverse.iter().all(|v| v.is_finite())).then_some(Self(inverse))
    }

    fn layer_point(&self, x: usize, y: usize) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        let (x, y) = (float(x) + 0.5 - e, float(y) + 0.5 - f);
        (a * x + c * y, b * x + d * y)
    }
}

/// A layer to be sampled at fractions of its pixels.
struct Texels<'a> {
    layer: &'a Layer,
    width: f64,
    height: f64,
}

impl<'a> Texels<'a> {
    fn new(layer: &'a Layer) -> Self {
        Self {
            layer,
            width: float(layer.width),
            height: float(layer.height),
        }
    }

    /// Bilinear between the four nearest texels, edges clamped, to the nearest level.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights lose nothing that shows"
    )]
    fn sample(&self, u: f64, v: f64) -> [u32; 4] {
        let (u, v) = (u - 0.5, v - 0.5);
        let (left, upper) = (u.floor(), v.floor());
        let (fx, fy) = ((u - left) as f32, (v - upper) as f32);
        let (x0, x1) = (
            index(left.clamp(0.0, self.width - 1.0)),
            index((left + 1.0).clamp(0.0, self.width - 1.0)),
        );
        let (y0, y1) = (
            index(upper.clamp(0.0, self.height - 1.0)),
            index((upper + 1.0).clamp(0.0, self.height - 1.0)),
        );
        let at = |x: usize, y: usize| self.layer.pixels[y * self.layer.width + x].map(f32::from);
        let (p00, p10, p01, p11) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
        std::array::from_fn(|c| {
            let above = p00[c] + (p10[c] - p00[c]) * fx;
            let below = p01[c] + (p11[c] - p01[c]) * fx;
            nearest(f64::from(above + (below - above) * fy))
        })
    }
}

/// Source-over of a premultiplied colour, at a share of `0..=255`.
fn over(pixel: &mut [u8; 4], source: [u32; 4], share: u32) {
    let source = source.map(|v| product(v, share));
    let rest = 255 - source[3];
    for (v, s) in pixel.iter_mut().zip(source) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a + (255 - a) * v is at most 255"
        )]
        let sum = (s + product(u32::from(*v), rest)) as u8;
        *v = sum;
    }
}

fn product(v: u32, c: u32) -> u32 {
    (v * c + 255) >> 8
}

/// A level of `0.0..=255.0`, to the nearest whole one, half up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 255"
)]
fn nearest(level: f64) -> u32 {
    (level + 0.5) as u32
}

/// A pixel coordinate that is in range already.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
fn index(coordinate: f64) -> usize {
    coordinate as usize
}

/// A side or coordinate of a picture, far below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "pictures are smaller than 2^53 pixels"
)]
fn float(coordinate: usize) -> f64 {
    coordinate as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn source_over_stays_premultiplied_and_in_range() {
        for a in 0..=255_u32 {
            for under in 0..=255_u8 {
                let mut pixel = [under, under / 2, 0, under];
                over(&mut pixel, [a, a / 2, a, a], 255);
                let [r, g, b, alpha] = pixel;
                assert!(r.max(g).max(b) <= alpha, "{a} over {under}: {pixel:?}");
            }
        }
        let mut pixel = [10, 20, 30, 40];
        over(&mut pixel, [0; 4], 255);
        assert_eq!(pixel, [10, 20, 30, 40], "transparent is identity");
        over(&mut pixel, [1, 2, 3, 255], 255);
        assert_eq!(pixel, [1, 2, 3, 255], "opaque is copy");
    }

    proptest! {
        #[test]
        fn any_matrix_stays_inside_the_frame_and_premultiplied(
            matrix in prop::array::uniform6(prop_oneof![
                -2.0..2.0_f64, -100.0..100.0_f64, Just(0.0), Just(1.0), Just(1e300), Just(f64::NAN),
            ]),
            opacity in 0.0..=1.0_f64,
            width in 1..20_u32, height in 1..20_u32,
        ) {
            let layer = Layer { width: 3, height: 2, top: 0, pixels: vec![[100, 50, 25, 200]; 6] };
            let mut frame = Frame::new(Size::new(width, height).unwrap());
            composite(&mut frame, &layer, matrix, opacity);
            let rows = frame.inked_rows();
            for (y, row) in frame.pixels().chunks(width as usize).enumerate() {
                for pixel in row {
                    prop_assert!(rows.contains(&y) || *pixel == [0; 4]);
                    prop_assert!(pixel[0].max(pixel[1]).max(pixel[2]) <= pixel[3]);
                }
            }
        }
    }
}
