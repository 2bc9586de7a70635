//! The way through the blocks with ink.

use fearless_simd::{Simd, f32x16, mask32x16, prelude::*};

use super::PlaneMut;
use super::block::{Depth, HALF, Sample, Tile, Under, gather, over, scatter};
use super::colour::Row;
use super::format::Spec;
use super::light::Light;
use super::taps::{Taps, reach};
use crate::frame::{BLOCK, Frame, blocks, columns};
use crate::pixel::VectorWork;

/// Rows of the overlay that are kept where they are converted: as many as a chroma sample is of.
pub(super) const LINES: usize = 4;

/// One frame over one picture, or the part of it that is said. Rows are those that are keyed: all,
/// or those of a field.
pub(super) struct Pass<'a, 'b> {
    pub(super) spec: &'static Spec,
    pub(super) rows: &'a [Row; 4],
    pub(super) light: Option<&'a Light>,
    /// Converted blocks of [`LINES`] rows.
    pub(super) lines: &'a mut [[[f32; BLOCK]; 4]],
    pub(super) taps: &'a Taps,
    pub(super) overlay: &'a Frame,
    /// Columns and rows of the overlay.
    pub(super) size: (usize, usize),
    /// Columns and rows of the picture, and its rows of chroma.
    pub(super) picture: (usize, usize),
    pub(super) chroma_rows: usize,
    /// Column and row of the overlay's upper left pixel.
    pub(super) origin: (usize, usize),
    /// Of all rows, the first that is keyed, and the step to the next.
    pub(super) first: usize,
    pub(super) step: usize,
    pub(super) planes: &'a mut [PlaneMut<'b>],
    /// Whether samples of one pixel are keyed.
    pub(super) whole: bool,
    /// Whether those of several are.
    pub(super) cells: bool,
}

/// Samples of a row of a plane.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) row: usize,
    pub(super) first: usize,
    /// At most a block.
    pub(super) count: usize,
}

impl VectorWork for Pass<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        if self.spec.sample_bytes() == 1 {
            self.key::<S, u8>(simd);
        } else {
            self.key::<S, u16>(simd);
        }
    }
}

impl Pass<'_, '_> {
    #[inline(always)]
    fn key<S: Simd, T: Sample>(&mut self, simd: S) {
        let (overlay, first, step) = (self.overlay, self.first, self.step);
        let rows = self.size.1;
        let cell_rows = 1 << self.spec.down;
        let is_plain = self.spec.right == 1 && self.spec.channels.len() == 3;
        let mut converted = 0;
        for row in (0..rows).step_by(cell_rows) {
            if let Some(light) = self.light {
                // Weights are of one row below the cell, too.
                let needed = (row + cell_rows + 1).min(rows);
                (converted..needed).for_each(|row| self.convert(light, row));
                converted = needed;
            }
            let own_rows = row..(row + cell_rows).min(rows);
            let inked = (0..overlay.ink().row_words()).map(|word| {
                let words = |row| overlay.ink().row(row * step + first)[word];
                own_rows.clone().fold(0, |inked, row| inked | words(row))
            });
            // The chroma of a field's last row may be that of the other field alone.
            let chroma_row = (self.origin.1 + row) >> self.spec.down;
            let cells = self.cells && chroma_row < self.chroma_rows;
            let mut before = None;
            for block in blocks(inked) {
                let own = self.own(simd, row, block);
                if !(own[0].0[3] + own[1].0[3]).simd_gt(0.0).any_true() {
                    continue;
                }
                if self.whole {
                    for (row, own) in own_rows.clone().zip(&own) {
                        self.key_whole::<S, T>(simd, row, block, own);
                    }
                }
                if cells && is_plain {
                    let sum = self.sum(simd, row, block, &own);
                    let left = match before {
                        Some((n, tile)) if n + 1 == block => tile,
                        _ if self.taps.cosited => self.left_of(simd, row, block, &sum),
                        _ => sum,
                    };
                    before = Some((block, sum));
                    let sum = sum.halved(&left, self.taps.cosited);
                    self.key_pairs::<S, T>(simd, chroma_row, block, &own, &sum);
                } else if cells {
                    self.key_cells::<S, T>(simd, row, block);
                }
            }
        }
    }

    /// The row of the overlay that stands for another, beyond it perhaps.
    #[inline(always)]
    pub(super) fn reach(&self, row: isize) -> Option<usize> {
        reach(row, self.origin.1, self.size.1, self.picture.1)
    }

    /// One block's pixels. At the picture's right edge the last one stands for those beyond it.
    #[inline(always)]
    pub(super) fn pixels(&self, row: usize, block: usize) -> [[u8; 4]; BLOCK] {
        let width = self.size.0;
        let line = &self.overlay.pixels()[(row * self.step + self.first) * width..][..width];
        let line = &line[columns(block, width)];
        if let Ok(pixels) = line.try_into() {
            return pixels;
        }
        let mut pixels = [[0; 4]; BLOCK];
        pixels[..line.len()].copy_from_slice(line);
        if self.origin.0 + width == self.picture.0 {
            pixels[line.len()..].fill(line[line.len() - 1]);
        }
        pixels
    }

    #[inline(always)]
    pub(super) fn has_ink(&self, row: usize, block: usize) -> bool {
        let words = self.overlay.ink().row(row * self.step + self.first);
        let bits = u64::BITS as usize;
        words[block / bits] >> (block % bits) & 1 == 1
    }

    /// Where a converted block is kept.
    #[inline(always)]
    pub(super) fn place(&self, row: usize, block: usize) -> usize {
        row % LINES * self.size.0.div_ceil(BLOCK) + block
    }

    /// Converts what has ink in a row, and keeps it while it is near.
    #[inline(always)]
    fn convert(&mut self, light: &Light, row: usize) {
        let words = self.overlay.ink().row(row * self.step + self.first);
        for block in blocks(words.iter().copied()) {
            let pixels = self.pixels(row, block);
            let place = self.place(row, block);
            light.convert(&pixels, &mut self.lines[place]);
        }
    }

    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, row: usize, block: usize) -> Tile<S> {
        if self.light.is_none() {
            Tile::load(simd, &self.pixels(row, block))
        } else if self.has_ink(row, block) {
            Tile::of(simd, &self.lines[self.place(row, block)])
        } else {
            Tile::clear(simd)
        }
    }

    /// A block of a row, or of the two whose chroma is one.
    #[inline(always)]
    fn own<S: Simd>(&self, simd: S, row: usize, block: usize) -> [Tile<S>; 2] {
        let second = if self.spec.down == 1 {
            self.reach(row.cast_signed() + 1)
        } else {
            None
        };
        [
            self.tile(simd, row, block),
            second.map_or(Tile::clear(simd), |row| self.tile(simd, row, block)),
        ]
    }

    /// The weighted sum of a block's rows.
    #[inline(always)]
    fn sum<S: Simd>(&self, simd: S, row: usize, block: usize, own: &[Tile<S>; 2]) -> Tile<S> {
        let [above, first, second, below] = self.taps.down;
        let mut sum = own[0].times(first);
        sum.add(&own[1].times(second));
        let row = row.cast_signed();
        for (weight, row) in [(above, row - 1), (below, row + 2)] {
            if weight > 0.0
                && let Some(row) = self.reach(row)
            {
                sum.add(&self.tile(simd, row, block).times(weight));
            }
        }
        sum
    }

    /// The weighted sum of the block to the left of one, whose own is known.
    #[inline(always)]
    fn left_of<S: Simd>(&self, simd: S, row: usize, block: usize, sum: &Tile<S>) -> Tile<S> {
        let Some(left) = block.checked_sub(1) else {
            return if self.origin.0 == 0 {
                sum.edge(simd)
            } else {
                Tile::clear(simd)
            };
        };
        let near = (row.cast_signed() - 1)..=(row.cast_signed() + 2);
        if near
            .flat_map(|row| self.reach(row))
            .any(|row| self.has_ink(row, left))
        {
            self.sum(simd, row, left, &self.own(simd, row, left))
        } else {
            Tile::clear(simd)
        }
    }

    /// The bytes of samples of a channel, and of what is between them.
    #[inline(always)]
    pub(super) fn bytes<T: Sample>(&mut self, channel: usize, span: Span) -> &mut [u8] {
        let channel = self.spec.channels[channel];
        let plane = &mut self.planes[channel.plane];
        let bytes = channel.step * T::BYTES;
        let row = span.row * self.step + self.first;
        &mut plane.bytes[row * plane.stride + span.first * bytes..][..span.count * bytes]
    }

    #[inline(always)]
    pub(super) fn depth(&self) -> Depth {
        Depth::new(self.spec.bits, self.spec.shift)
    }

    /// Keys the samples of one pixel each.
    #[inline(always)]
    fn key_whole<S: Simd, T: Sample>(&mut self, simd: S, row: usize, block: usize, tile: &Tile<S>) {
        let visible = tile.0[3].simd_gt(0.0);
        if !visible.any_true() {
            return;
        }
        let (spec, depth) = (self.spec, self.depth());
        let span = Span {
            row: self.origin.1 + row,
            first: self.origin.0 + block * BLOCK,
            count: columns(block, self.size.0).len(),
        };
        let alpha = tile.0[3];
        let rest = f32x16::splat(simd, 255.0) - alpha;
        let opaque = Under::Opaque(rest, 1.0 / 255.0);
        let mut under = opaque;
        if let Some(channel) = spec.channels.get(3) {
            let samples = gather(self.bytes::<T>(3, span), *channel);
            let samples = T::widen(simd, &samples) >> depth.shift;
            let below = samples.to_float::<f32x16<S>>() * rest * (1.0 / depth.most);
            under = Under::Clear(below, alpha + below);
        }
        for (n, channel) in spec.channels.iter().enumerate() {
            if matches!(n, 1 | 2) && spec.is_subsampled() {
                continue;
            }
            let under = if n == 3 { opaque } else { under };
            let level = tile.level(&self.rows[n]);
            let bytes = self.bytes::<T>(n, span);
            let samples = T::widen(simd, &gather(bytes, *channel));
            let samples = over(samples, depth, level, under, visible);
            scatter(&T::narrow(samples), bytes, *channel);
        }
    }

    /// Keys a block's chroma samples of two columns each, which are these sums, in an opaque
    /// picture.
    #[inline(always)]
    fn key_pairs<S: Simd, T: Sample>(
        &mut self,
        simd: S,
        row: usize,
        block: usize,
        own: &[Tile<S>; 2],
        sum: &Tile<S>,
    ) {
        let shown = own[0].0[3] + own[1].0[3];
        let shown = shown + shown.slide::<1>(shown);
        let visible = shown.unzip_low(shown).simd_gt(0.0);
        let whole = 255.0 * self.taps.total();
        let rest = f32x16::splat(simd, whole) - sum.0[3];
        let span = Span {
            row,
            first: (self.origin.0 + block * BLOCK) / 2,
            count: columns(block, self.size.0).len().div_ceil(2),
        };
        self.key_chroma::<S, T>(simd, span, sum, Under::Opaque(rest, 1.0 / whole), visible);
    }

    /// Keys up to eight samples of Cb and of Cr, which are in the lower and the upper half of
    /// vectors.
    #[inline(always)]
    pub(super) fn key_chroma<S: Simd, T: Sample>(
        &mut self,
        simd: S,
        span: Span,
        sum: &Tile<S>,
        under: Under<S>,
        visible: mask32x16<S>,
    ) {
        let [_, cb, cr, _] = *self.rows;
        let level = sum.levels(simd, &[cb, cr]);
        let mut samples = [T::default(); BLOCK];
        for (n, half) in (1..).zip(samples.as_chunks_mut::<HALF>().0) {
            let channel = self.spec.channels[n];
            *half = gather(self.bytes::<T>(n, span), channel);
        }
        let samples = T::widen(simd, &samples);
        let samples = T::narrow(over(samples, self.depth(), level, under, visible));
        for (n, half) in (1..).zip(samples.as_chunks::<HALF>().0) {
            let channel = self.spec.channels[n];
            scatter(half, self.bytes::<T>(n, span), channel);
        }
    }
}
