//! Chroma of rarer pictures, sample by sample: of four columns or of one, and over alpha.

use fearless_simd::{Simd, f32x8, prelude::*};

use super::block::{HALF, Tile, Under};
use super::pass::{Pass, Span};
use super::sample::Sample;
use super::taps::{Taps, reach};
use crate::frame::{BLOCK, columns};

/// What up to eight chroma samples are made of.
struct Cells {
    sums: [[f32; HALF]; 4],
    /// What shows of the picture's alpha.
    below: [f32; HALF],
    /// Alpha of their own pixels.
    shown: [f32; HALF],
}

impl Pass<'_, '_> {
    /// Keys a block's chroma, from the first of its own rows.
    #[inline(always)]
    pub(super) fn key_cells<S: Simd, T: Sample>(&mut self, simd: S, row: usize, block: usize) {
        let right = self.spec.right;
        let columns = columns(block, self.size.0);
        let first = columns.start >> right;
        let last = columns.end.div_ceil(1 << right);
        for first in (first..last).step_by(HALF) {
            let count = HALF.min(last - first);
            let cells = self.cells::<T>(row, first, count);
            let sum = Tile::of_sums(simd, &cells.sums);
            let shown = f32x8::from_slice(simd, &cells.shown);
            let visible = shown.combine(shown).simd_gt(0.0);
            let under = if self.spec.channels.len() == 4 {
                let below = f32x8::from_slice(simd, &cells.below);
                Under::Clear(below, sum.0[3] + below)
            } else {
                let whole = 255.0 * self.taps.total();
                let rest = f32x8::splat(simd, whole) - sum.0[3];
                Under::Opaque(rest, 1.0 / whole)
            };
            let span = Span {
                row: (self.origin.1 + row) >> self.spec.down,
                first: (self.origin.0 >> right) + first,
                count,
            };
            self.key_chroma::<S, T>(simd, span, &sum, under, visible);
        }
    }

    #[inline(always)]
    fn cells<T: Sample>(&mut self, row: usize, first: usize, count: usize) -> Cells {
        let (right, down) = (self.spec.right, self.spec.down);
        let mut cells = Cells {
            sums: [[0.0; HALF]; 4],
            below: [0.0; HALF],
            shown: [0.0; HALF],
        };
        let taps = self.taps;
        let most = self.depth::<T>().most;
        for lane in 0..count {
            let start = ((first + lane) << right).cast_signed();
            for (row, row_weight) in (row.cast_signed() - 1..).zip(taps.down) {
                for (column, weight) in (start - Taps::BEFORE..).zip(taps.across) {
                    if weight * row_weight == 0 {
                        continue;
                    }
                    let weight = f32::from(weight * row_weight);
                    let pixel = self.pixel(column, row);
                    for (sums, level) in cells.sums.iter_mut().zip(pixel) {
                        sums[lane] += level * weight;
                    }
                    if self.spec.channels.len() == 4 {
                        let alpha = self.alpha_below::<T>(column, row) / most;
                        cells.below[lane] += weight * alpha * (255.0 - pixel[3]);
                    }
                }
            }
            for row in (row.cast_signed()..).take(1 << down) {
                for column in (start..).take(1 << right) {
                    cells.shown[lane] += self.pixel(column, row)[3];
                }
            }
        }
        cells
    }

    /// One pixel of the overlay, or what stands for it beyond.
    fn pixel(&self, column: isize, row: isize) -> [f32; 4] {
        let column = reach(column, self.origin.0, self.size.0, self.picture.0);
        let (Some(column), Some(row)) = (column, self.reach(row)) else {
            return [0.0; 4];
        };
        let block = column / BLOCK;
        if self.light.is_none() {
            self.pixels(row, block)[column % BLOCK].map(f32::from)
        } else if self.has_ink(row, block) {
            self.lines[self.place(row, block)].map(|levels| levels[column % BLOCK])
        } else {
            [0.0; 4]
        }
    }

    /// The picture's alpha at a pixel of the overlay, or near it; the picture's outermost for those
    /// beyond.
    fn alpha_below<T: Sample>(&mut self, column: isize, row: isize) -> f32 {
        let near = |at: isize, origin: usize, picture: usize| {
            origin.saturating_add_signed(at).min(picture - 1)
        };
        let span = Span {
            row: near(row, self.origin.1, self.picture.1),
            first: near(column, self.origin.0, self.picture.0),
            count: 1,
        };
        let sample = T::get(self.bytes::<T>(3, span));
        f32::from(sample >> self.spec.shift)
    }
}
