//! The pixels of one block of a row, channel by channel, and the samples made of them.

use fearless_simd::{f64x8, i8x64, i16x32, i32x16, prelude::*, u8x64, u64x8};

use super::matrix::{FRACTION, Matrix, Row};
use crate::frame::BLOCK;

/// R, G, B, A of a block's pixels.
#[derive(Clone, Copy)]
pub(super) struct Tile<S: Simd> {
    pub(super) channels: [i32x16<S>; 4],
}

/// The weight of one pixel in its chroma sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// All alike.
    Even,
    /// Its alpha, so that the colour of what is clear does not bleed into what is not.
    Alpha,
}

impl<S: Simd> Tile<S> {
    /// One block's pixels, of which channel `c` is byte `places[c]`. At the right edge there are
    /// fewer, and the last one stands for those that are missing.
    #[inline(always)]
    pub(super) fn load(simd: S, pixels: &[[u8; 4]], places: [u8; 4]) -> Self {
        let mut whole = [[0; 4]; BLOCK];
        let pixels = if pixels.len() == BLOCK {
            pixels
        } else {
            whole[..pixels.len()].copy_from_slice(pixels);
            whole[pixels.len()..].fill(pixels[pixels.len() - 1]);
            &whole
        };
        let words: i32x16<S> = u8x64::from_slice(simd, pixels.as_flattened()).bitcast();
        let mut channels = [words; 4];
        for (channel, place) in channels.iter_mut().zip(places) {
            *channel = (*channel >> (8 * u32::from(place))) & 0xff;
        }
        Self { channels }
    }

    /// Each pixel's level of a row of the matrix, to the nearest, half up.
    #[inline(always)]
    pub(super) fn levels(&self, simd: S, row: Row) -> i32x16<S> {
        let [r, g, b, _] = self.channels;
        let [of_r, of_g, of_b] = row.coefficients;
        let half = i32x16::splat(simd, (row.offset << FRACTION) + (1 << (FRACTION - 1)));
        ((r * of_r + g * of_g + b * of_b + half) >> FRACTION).min(row.most)
    }

    /// Alpha of 8 bits or 10, to the nearest level.
    #[inline(always)]
    pub(super) fn alpha(&self, bits: u32) -> i32x16<S> {
        let alpha = self.channels[3];
        if bits == 8 {
            alpha
        } else {
            // (1023 a + 127) / 255 = 4 a + (3 a + 127) / 255, and n / 255 = 257 (n + 1) / 2^16 for
            // small n.
            (alpha << 2) + (((alpha * 3 + 127) * 257 + 257) >> 16)
        }
    }
}

/// Cb and Cr of each two pixels in a row or, with two rows, of each 2x2: the mean of their colours,
/// eight samples of each.
#[inline(always)]
pub(super) fn chroma<S: Simd>(
    simd: S,
    matrix: &Matrix,
    rows: &[Tile<S>],
    weight: Weight,
) -> i32x16<S> {
    let zero = i32x16::splat(simd, 0);
    let one = i32x16::splat(simd, 1);
    let mut least = one;
    if weight == Weight::Alpha {
        let mut alpha = zero;
        for row in rows {
            alpha += row.channels[3];
        }
        // Where all of a sample is clear, all of it is alike.
        let alpha = pairs(alpha);
        let alpha: i32x16<S> = (alpha | alpha << 32).bitcast();
        least = alpha.simd_eq(zero).select(one, zero);
    }
    let (mut r, mut g, mut b, mut total) = (zero, zero, zero, zero);
    for row in rows {
        let share = match weight {
            Weight::Even => least,
            Weight::Alpha => row.channels[3] + least,
        };
        r += row.channels[0] * share;
        g += row.channels[1] * share;
        b += row.channels[2] * share;
        total += share;
    }
    let sums = [float(simd, r), float(simd, g), float(simd, b)];
    let share = f64x8::splat(simd, 1.0 / f64::from(1 << FRACTION)) / float(simd, total);
    let [cb, cr] = matrix.chroma;
    mean(sums, share, cb).unzip_low(mean(sums, share, cr))
}

/// The sums of each two neighbours.
#[inline(always)]
fn pairs<S: Simd>(values: i32x16<S>) -> u64x8<S> {
    let values: u64x8<S> = values.bitcast();
    (values + (values >> 32)) & u64::from(u32::MAX)
}

/// 2^52: a whole number in the low bits beside its exponent is added to it.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// The sums of each two neighbours, none negative.
#[inline(always)]
fn float<S: Simd>(simd: S, values: i32x16<S>) -> f64x8<S> {
    let whole = f64x8::splat(simd, WHOLE);
    let bits = pairs(values) | whole.bitcast::<u64x8<S>>();
    bits.bitcast::<f64x8<S>>() - whole
}

/// The levels of these sums of R, G and B times their share, each in the lower half of 64 bits.
///
/// As exact as quotients of whole numbers: those that are not halves are 2^-26 or more from one,
/// and the floats are off by less than 2^-40, so 2^-30 decides all of them.
#[inline(always)]
fn mean<S: Simd>(sums: [f64x8<S>; 3], share: f64x8<S>, row: Row) -> i32x16<S> {
    const DECIDE: f64 = 1.0 / (1_u64 << 30) as f64;
    let [of_r, of_g, of_b] = row.coefficients;
    let dot = sums[0] * f64::from(of_r) + sums[1] * f64::from(of_g) + sums[2] * f64::from(of_b);
    let level = dot * share + (f64::from(row.offset) + DECIDE);
    (level + WHOLE).bitcast::<i32x16<S>>().min(row.most)
}

/// Samples of 8 bits, or of more in two bytes, low byte first: as many as there is room for.
#[inline(always)]
pub(super) fn put<S: Simd>(out: &mut [u8], bits: u32, samples: i32x16<S>) {
    let words: i16x32<S> = samples.narrow(samples);
    if bits == 8 {
        let bytes: i8x64<S> = words.narrow(words);
        copy::<BLOCK>(out, bytes.bitcast::<u8x64<S>>().as_slice());
    } else {
        copy::<{ 2 * BLOCK }>(out, words.bitcast::<u8x64<S>>().as_slice());
    }
}

/// Copies as much as there is room for: `FULL` bytes of most blocks.
#[inline(always)]
pub(super) fn copy<const FULL: usize>(out: &mut [u8], bytes: &[u8]) {
    if let Ok(out) = <&mut [u8; FULL]>::try_from(&mut *out) {
        out.copy_from_slice(&bytes[..FULL]);
    } else {
        out.copy_from_slice(&bytes[..out.len()]);
    }
}

/// Three of R, G, B, A of each pixel side by side, of 8 bits, or all of 8 bits or of 16.
#[inline(always)]
pub(super) fn pack<S: Simd>(out: &mut [u8], channels: &[u8], bits: u32, tile: &Tile<S>) {
    let mut words = tile.channels[usize::from(channels[0])];
    for (place, channel) in (1..).zip(&channels[1..]) {
        words |= tile.channels[usize::from(*channel)] << (8 * place);
    }
    let bytes: u8x64<S> = words.bitcast();
    if channels.len() == 3 {
        let pixels = bytes.as_slice().as_chunks::<4>().0;
        for (out, [first, second, third, _]) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
            *out = [*first, *second, *third];
        }
    } else if bits == 8 {
        copy::<{ 4 * BLOCK }>(out, bytes.as_slice());
    } else {
        // 257 = 65535 / 255: both bytes of 16 bits are that of 8.
        let (left, right) = bytes.interleave(bytes);
        let half = out.len().min(4 * BLOCK);
        let (out, rest) = out.split_at_mut(half);
        copy::<{ 4 * BLOCK }>(out, left.as_slice());
        copy::<{ 4 * BLOCK }>(rest, right.as_slice());
    }
}
