//! The way through whole blocks of the pictures that most programmes are: opaque, in planes, with
//! chroma of two columns or of one, and in the sprites' own light. Each row of a plane is gone
//! through alone, so that what all its blocks need stays in registers: half of the time.

use fearless_simd::{Simd, f32x8, f32x16, i32x16, prelude::*};

use super::block::{Column, HALF, Sum, Sums, Under, Words, halved, over};
use super::format::Channel;
use super::pass::{LINES, Pass, Span, samples};
use super::sample::Sample;
use crate::frame::{BLOCK, blocks};

/// One row of the overlay.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// Its whole blocks.
    blocks: &'a [[[u8; 4]; BLOCK]],
    ink: &'a [u64],
    /// In a row of chroma, and whether chroma shows where this row does.
    weight: u16,
    is_own: bool,
}

impl Line<'_> {
    #[inline(always)]
    fn has_ink(&self, block: usize) -> bool {
        let bits = u64::BITS as usize;
        self.ink[block / bits] >> (block % bits) & 1 == 1
    }

    #[inline(always)]
    fn words<S: Simd>(&self, simd: S, block: usize) -> Words<S> {
        match self.blocks.get(block) {
            Some(pixels) => Words::load(simd, pixels),
            None => Words::clear(simd),
        }
    }
}

/// Where a block's Cb and Cr are.
enum Chroma<'a> {
    /// In planes of their own.
    Planar(&'a mut [u8], &'a mut [u8]),
    /// In turn; Cb is the first, or is not.
    InTurn(&'a mut [u8], bool),
}

impl<'a> Pass<'a, '_> {
    /// Whether pictures are of this kind.
    pub(super) fn is_plain(&self) -> bool {
        let apart = |channels: &[Channel]| channels.iter().all(|channel| channel.step == 1);
        self.light.is_none()
            && match self.spec.channels {
                [luma, cb, cr] if self.spec.is_subsampled() => {
                    self.spec.right == 1 && luma.step == 1 && cb.plane > 0 && cr.plane > 0
                }
                channels => channels.len() < 4 && apart(channels),
            }
    }

    /// Keys the samples of a row that are of one pixel each.
    #[inline(always)]
    pub(super) fn key_plane_row<S: Simd, T: Sample>(&mut self, simd: S, row: usize) {
        let depth = self.depth::<T>();
        let Some(line) = self.line(row.cast_signed(), 1, true) else {
            return;
        };
        let span = Span {
            row: self.origin.1 + row,
            first: self.origin.0,
            count: line.blocks.len() * BLOCK,
        };
        let count = if self.spec.is_subsampled() {
            1
        } else {
            self.spec.channels.len()
        };
        for channel in 0..count {
            let weights = self.rows[channel];
            let samples = self.bytes::<T>(channel, span);
            for block in blocks(line.ink.iter().copied()) {
                let size = BLOCK * T::BYTES;
                let (Some(pixels), Some(samples)) = (
                    line.blocks.get(block),
                    samples.get_mut(block * size..(block + 1) * size),
                ) else {
                    break;
                };
                let tile = Words::load(simd, pixels).tile();
                let alpha = tile.0[3];
                let rest = f32x16::splat(simd, 255.0) - alpha;
                let keyed = over(
                    T::load(simd, samples),
                    depth,
                    tile.level(&weights),
                    Under::Opaque(rest, 1.0 / 255.0),
                    alpha.simd_gt(0.0),
                );
                T::store(keyed, samples);
            }
        }
    }

    /// Keys a row of chroma, from the first of its own rows.
    #[inline(always)]
    pub(super) fn key_chroma_row<S: Simd, T: Sample>(&mut self, simd: S, row: usize) {
        let (depth, rows, cosited) = (self.depth::<T>(), self.rows, self.taps.cosited);
        let whole = 255.0 * self.taps.total();
        let (lines, count) = self.lines_of(row);
        let lines = &lines[..count];
        let span = Span {
            row: (self.origin.1 + row) >> self.spec.down,
            first: self.origin.0 / 2,
            count: lines[0].blocks.len() * HALF,
        };
        let is_edge = self.origin.0 == 0;
        let Some(mut chroma) = self.chroma::<T>(span) else {
            return;
        };
        let words = (0..lines[0].ink.len()).map(|word| {
            let own = lines.iter().filter(|line| line.is_own);
            own.fold(0, |inked, line| inked | line.ink[word])
        });
        let mut next = 0;
        let mut before: Column<S> = Sums::clear(simd).columns()[1];
        for block in blocks(words) {
            let Some(mut chroma) = chroma.block::<T>(block) else {
                break;
            };
            if cosited && (block == 0 || block != next) {
                before = left_of(simd, lines, block, is_edge);
            }
            next = block + 1;
            let (sum, own) = sum(simd, lines, block);
            let columns = sum.columns();
            let sums = halved(columns, before, cosited);
            before = columns[1];
            let rest = f32x8::splat(simd, whole) - sums.0[3];
            let level = sums.level(&rows[1]).combine(sums.level(&rows[2]));
            let under = Under::Opaque(rest.combine(rest), 1.0 / whole);
            let samples = chroma.load::<S, T>(simd);
            let keyed = over(samples, depth, level, under, own.shown_pairs());
            chroma.store::<S, T>(keyed);
        }
    }

    /// Chroma samples of a row, if there are any.
    #[inline(always)]
    fn chroma<T: Sample>(&mut self, span: Span) -> Option<Chroma<'_>> {
        let [_, of_cb, of_cr, ..] = *self.spec.channels else {
            return None;
        };
        let row = span.row * self.step + self.first;
        Some(if of_cb.plane == of_cr.plane {
            Chroma::InTurn(self.bytes::<T>(1, span), of_cb.offset == 0)
        } else {
            let (before, cr) = self.planes.split_at_mut(of_cr.plane);
            let cb = &mut before[of_cb.plane];
            Chroma::Planar(
                samples(cb, row, span, T::BYTES),
                samples(&mut cr[0], row, span, T::BYTES),
            )
        })
    }

    /// The rows of the overlay that chroma is of, and how many they are.
    #[inline(always)]
    fn lines_of(&self, row: usize) -> ([Line<'a>; LINES], usize) {
        let nothing = Line {
            blocks: &[],
            ink: &[],
            weight: 0,
            is_own: false,
        };
        let (mut lines, mut count) = ([nothing; LINES], 0);
        for (n, weight) in self.taps.down.into_iter().enumerate() {
            let is_own = n >= 1 && n <= 1 << self.spec.down;
            if weight > 0
                && let Some(line) =
                    self.line(row.cast_signed() + n.cast_signed() - 1, weight, is_own)
            {
                lines[count] = line;
                count += 1;
            }
        }
        (lines, count)
    }

    /// The row of the overlay that stands for one, if any does.
    #[inline(always)]
    fn line(&self, row: isize, weight: u16, is_own: bool) -> Option<Line<'a>> {
        let row = self.reach(row)? * self.step + self.first;
        let width = self.size.0;
        Some(Line {
            blocks: self.overlay.pixels()[row * width..][..width].as_chunks().0,
            ink: self.overlay.ink().row(row),
            weight,
            is_own,
        })
    }
}

impl Chroma<'_> {
    /// Those of one block.
    #[inline(always)]
    fn block<T: Sample>(&mut self, block: usize) -> Option<Chroma<'_>> {
        let size = match self {
            Self::Planar(..) => HALF * T::BYTES,
            Self::InTurn(..) => BLOCK * T::BYTES,
        };
        let place = block * size..(block + 1) * size;
        Some(match self {
            Self::Planar(cb, cr) => Chroma::Planar(cb.get_mut(place.clone())?, cr.get_mut(place)?),
            Self::InTurn(both, cb_first) => Chroma::InTurn(both.get_mut(place)?, *cb_first),
        })
    }

    /// Eight samples of Cb, then as many of Cr.
    #[inline(always)]
    fn load<S: Simd, T: Sample>(&self, simd: S) -> i32x16<S> {
        match self {
            Self::Planar(cb, cr) => T::load_halves(simd, cb, cr),
            Self::InTurn(both, cb_first) => {
                let (low, high) = T::load(simd, both).split();
                let (first, second) = (low.unzip_low(high), low.unzip_high(high));
                if *cb_first {
                    first.combine(second)
                } else {
                    second.combine(first)
                }
            }
        }
    }

    #[inline(always)]
    fn store<S: Simd, T: Sample>(&mut self, samples: i32x16<S>) {
        match self {
            Self::Planar(cb, cr) => T::store_halves(samples, cb, cr),
            Self::InTurn(both, cb_first) => {
                let (cb, cr) = samples.split();
                let (first, second) = if *cb_first { (cb, cr) } else { (cr, cb) };
                T::store(first.zip_low(second).combine(first.zip_high(second)), both);
            }
        }
    }
}

/// The weighted sum of a block's rows, and all that is its own.
#[inline(always)]
fn sum<S: Simd>(simd: S, lines: &[Line<'_>], block: usize) -> (Sums<S>, Words<S>) {
    let mut own = Words::clear(simd);
    let mut sum = Sums::clear(simd);
    for line in lines {
        let words = line.words(simd, block);
        sum.add(words.times(line.weight));
        if line.is_own {
            own = Words(own.0 | words.0);
        }
    }
    (sum, own)
}

/// The right ones of each two columns in the block before one, if that was not looked at.
#[inline(always)]
fn left_of<S: Simd>(simd: S, lines: &[Line<'_>], block: usize, is_edge: bool) -> Column<S> {
    let sums = match block.checked_sub(1) {
        // What has no ink is not in the cache either.
        Some(before) if lines.iter().any(|line| line.has_ink(before)) => sum(simd, lines, before).0,
        None if is_edge => sum(simd, lines, 0).0.edge(simd),
        _ => Sums::clear(simd),
    };
    sums.columns()[1]
}
