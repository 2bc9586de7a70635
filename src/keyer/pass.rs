//! The way through the blocks with ink.

use fearless_simd::{Simd, f32x8, f32x16, mask32x16, prelude::*};

use super::PlaneMut;
use super::block::{Depth, HALF, Sum, Sums, Tile, Under, Words, over};
use super::colour::Row;
use super::format::Spec;
use super::light::Light;
use super::sample::{Sample, gather, scatter};
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
        let has_pairs = self.spec.right == 1 && self.spec.channels.len() == 3;
        let plain_blocks = if self.is_plain() {
            self.size.0 / BLOCK
        } else {
            0
        };
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
            self.touch(row + cell_rows);
            if plain_blocks > 0 {
                for row in own_rows.clone() {
                    self.key_plane_row::<S, T>(simd, row);
                }
                if cells {
                    self.key_chroma_row::<S, T>(simd, row);
                }
                if plain_blocks * BLOCK == self.size.0 {
                    continue;
                }
            }
            let mut before: Option<(usize, Sums<S>)> = None;
            let mut before_light: Option<(usize, Tile<f32x16<S>>)> = None;
            for block in blocks(inked) {
                if block < plain_blocks {
                    continue;
                }
                let own = self.own(simd, row, block);
                let either = Words(own[0].0 | own[1].0);
                if either.0.reduce_max() == 0 {
                    continue;
                }
                if self.whole {
                    for (n, row) in own_rows.clone().enumerate() {
                        let tile = if self.light.is_none() {
                            own[n & 1].tile()
                        } else {
                            self.tile(simd, row, block)
                        };
                        self.key_whole::<S, T>(simd, row, block, &tile);
                    }
                }
                if cells && has_pairs {
                    let tile = if self.light.is_none() {
                        self.pairs(simd, row, block, &mut before)
                    } else {
                        self.pairs(simd, row, block, &mut before_light)
                    };
                    self.key_pairs::<S, T>(simd, chroma_row, block, either, &tile);
                } else if cells {
                    self.key_cells::<S, T>(simd, row, block);
                }
            }
        }
    }

    /// Reads a byte of each block that is next, so that memory fetches them all at once: a sixth
    /// of the time where pictures are not in the cache.
    #[inline(always)]
    fn touch(&self, row: usize) {
        let channel = self.spec.channels[0];
        let bytes = channel.step * self.spec.sample_bytes();
        let plane = &self.planes[channel.plane];
        let mut touched = 0;
        for row in row..(row + 2).min(self.size.1) {
            let overlay_row = row * self.step + self.first;
            let pixels = &self.overlay.pixels()[overlay_row * self.size.0..];
            let plane_row = (self.origin.1 + row) * self.step + self.first;
            let samples = &plane.bytes[plane_row * plane.stride + self.origin.0 * bytes..];
            let words = self.overlay.ink().row(overlay_row);
            for block in blocks(words.iter().copied()) {
                touched ^= pixels[block * BLOCK][0] ^ samples[block * BLOCK * bytes];
            }
        }
        std::hint::black_box(touched);
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

    /// One block as it has been converted.
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, row: usize, block: usize) -> Tile<f32x16<S>> {
        if self.has_ink(row, block) {
            Tile::of(simd, &self.lines[self.place(row, block)])
        } else {
            Tile::clear(simd)
        }
    }

    /// A block of a row, or of the two whose chroma is one.
    #[inline(always)]
    fn own<S: Simd>(&self, simd: S, row: usize, block: usize) -> [Words<S>; 2] {
        let mut own = [Words::load(simd, &self.pixels(row, block)); 2];
        if self.spec.down == 1 {
            own[1] = match self.reach(row.cast_signed() + 1) {
                Some(row) => Words::load(simd, &self.pixels(row, block)),
                None => Words::clear(simd),
            };
        }
        own
    }

    /// The weighted sum of a block's rows.
    #[inline(always)]
    fn sum<S: Simd, M: Weighted<S>>(&self, simd: S, row: usize, block: usize) -> M {
        let mut sum = M::clear(simd);
        for (row, weight) in (row.cast_signed() - 1..).zip(self.taps.down) {
            if weight > 0
                && let Some(row) = self.reach(row)
            {
                sum.add(M::weighted(self, simd, row, block, weight));
            }
        }
        sum
    }

    /// The sums of a block's pixels by chroma sample, given those of the block that was before.
    #[inline(always)]
    fn pairs<S: Simd, M: Weighted<S>>(
        &self,
        simd: S,
        row: usize,
        block: usize,
        before: &mut Option<(usize, M)>,
    ) -> Tile<f32x8<S>> {
        let sum: M = self.sum(simd, row, block);
        let left = match *before {
            _ if !self.taps.cosited => sum,
            Some((n, before)) if n + 1 == block => before,
            _ if block > 0 && self.is_near_ink(row, block - 1) => self.sum(simd, row, block - 1),
            _ if block == 0 && self.origin.0 == 0 => sum.edge(simd),
            _ => M::clear(simd),
        };
        *before = Some((block, sum));
        sum.halved(left, self.taps.cosited)
    }

    /// Whether a block has ink in any row that has a weight in this one's chroma.
    #[inline(always)]
    fn is_near_ink(&self, row: usize, block: usize) -> bool {
        let mut is = false;
        for (row, weight) in (row.cast_signed() - 1..).zip(self.taps.down) {
            if weight > 0
                && let Some(row) = self.reach(row)
            {
                is |= self.has_ink(row, block);
            }
        }
        is
    }

    /// The bytes of samples of a channel, and of what is between them.
    #[inline(always)]
    pub(super) fn bytes<T: Sample>(&mut self, channel: usize, span: Span) -> &mut [u8] {
        let channel = self.spec.channels[channel];
        let plane = &mut self.planes[channel.plane];
        let row = span.row * self.step + self.first;
        samples(plane, row, span, channel.step * T::BYTES)
    }

    #[inline(always)]
    pub(super) fn depth<T: Sample>(&self) -> Depth {
        // Those of one byte are all alike, and the compiler is to know.
        if T::BYTES == 1 {
            Depth::new(8, 0)
        } else {
            Depth::new(self.spec.bits, self.spec.shift)
        }
    }

    /// Keys the samples of one pixel each.
    #[inline(always)]
    fn key_whole<S: Simd, T: Sample>(
        &mut self,
        simd: S,
        row: usize,
        block: usize,
        tile: &Tile<f32x16<S>>,
    ) {
        let visible = tile.0[3].simd_gt(0.0);
        let (spec, depth) = (self.spec, self.depth::<T>());
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
            let samples = gather::<T>(self.bytes::<T>(3, span), *channel);
            let samples = T::load(simd, &samples[..BLOCK * T::BYTES]) >> depth.shift;
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
            let mut samples = gather::<T>(bytes, *channel);
            let block = &mut samples[..BLOCK * T::BYTES];
            T::store(
                over(T::load(simd, block), depth, level, under, visible),
                block,
            );
            scatter::<T>(&samples, bytes, *channel);
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
        own: Words<S>,
        sum: &Tile<f32x8<S>>,
    ) {
        let visible = own.shown_pairs();
        let whole = 255.0 * self.taps.total();
        let rest = f32x8::splat(simd, whole) - sum.0[3];
        let span = Span {
            row,
            first: (self.origin.0 + block * BLOCK) / 2,
            count: columns(block, self.size.0).len().div_ceil(2),
        };
        self.key_chroma::<S, T>(simd, span, sum, Under::Opaque(rest, 1.0 / whole), visible);
    }

    /// Keys up to eight samples of Cb and of Cr, whose masks are in the lower and the upper half.
    #[inline(always)]
    pub(super) fn key_chroma<S: Simd, T: Sample>(
        &mut self,
        simd: S,
        span: Span,
        sum: &Tile<f32x8<S>>,
        under: Under<f32x8<S>>,
        visible: mask32x16<S>,
    ) {
        let [_, of_cb, of_cr, ..] = *self.spec.channels else {
            return;
        };
        let depth = self.depth::<T>();
        let level = sum.level(&self.rows[1]).combine(sum.level(&self.rows[2]));
        let under = match under {
            Under::Opaque(rest, scale) => Under::Opaque(rest.combine(rest), scale),
            Under::Clear(below, total) => Under::Clear(below.combine(below), total.combine(total)),
        };
        let half = HALF * T::BYTES;
        let mut cb = gather::<T>(self.bytes::<T>(1, span), of_cb);
        let mut cr = gather::<T>(self.bytes::<T>(2, span), of_cr);
        let samples = T::load_halves(simd, &cb[..half], &cr[..half]);
        let samples = over(samples, depth, level, under, visible);
        T::store_halves(samples, &mut cb[..half], &mut cr[..half]);
        scatter::<T>(&cb, self.bytes::<T>(1, span), of_cb);
        scatter::<T>(&cr, self.bytes::<T>(2, span), of_cr);
    }
}

/// The bytes of samples of a row of a plane, so many from one to the next.
#[inline(always)]
pub(super) fn samples<'a>(
    plane: &'a mut PlaneMut<'_>,
    row: usize,
    span: Span,
    bytes: usize,
) -> &'a mut [u8] {
    &mut plane.bytes[row * plane.stride + span.first * bytes..][..span.count * bytes]
}

/// A sum that is made of a pass's own pixels.
trait Weighted<S: Simd>: Sum<S> {
    fn weighted(pass: &Pass<'_, '_>, simd: S, row: usize, block: usize, weight: u16) -> Self;
}

impl<S: Simd> Weighted<S> for Sums<S> {
    #[inline(always)]
    fn weighted(pass: &Pass<'_, '_>, simd: S, row: usize, block: usize, weight: u16) -> Self {
        Words::load(simd, &pass.pixels(row, block)).times(weight)
    }
}

impl<S: Simd> Weighted<S> for Tile<f32x16<S>> {
    #[inline(always)]
    fn weighted(pass: &Pass<'_, '_>, simd: S, row: usize, block: usize, weight: u16) -> Self {
        pass.tile(simd, row, block).times(f32::from(weight))
    }
}
