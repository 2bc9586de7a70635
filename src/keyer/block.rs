//! What is done to one block of pixels and to the samples below it.
//!
//! Floats of 32 bits, and no fused products: levels are to the nearest but where the exact value
//! is within 2^-9 of a half (of 16 bits, 2^-5), and the same with any instructions.

use fearless_simd::{Simd, f32x16, i32x16, mask32x16, prelude::*, u8x16, u8x64, u16x16};

use super::colour::Row;
use super::format::Channel;
use crate::frame::BLOCK;

/// Chroma samples of a block, where each is of two columns.
pub(super) const HALF: usize = BLOCK / 2;

/// R, G, B and A of a block's pixels, premultiplied, 0 to 255; or sums of several.
#[derive(Clone, Copy)]
pub(super) struct Tile<S: Simd>(pub(super) [f32x16<S>; 4]);

impl<S: Simd> Tile<S> {
    #[inline(always)]
    pub(super) fn clear(simd: S) -> Self {
        Self([f32x16::splat(simd, 0.0); 4])
    }

    /// One block's pixels.
    #[inline(always)]
    pub(super) fn load(simd: S, pixels: &[[u8; 4]; BLOCK]) -> Self {
        let words: i32x16<S> = u8x64::from_slice(simd, pixels.as_flattened()).bitcast();
        Self([0, 8, 16, 24].map(|shift| ((words >> shift) & 0xff).to_float()))
    }

    /// What has been converted, or sums.
    #[inline(always)]
    pub(super) fn of(simd: S, channels: &[[f32; BLOCK]; 4]) -> Self {
        Self(channels.map(|levels| f32x16::from_slice(simd, &levels)))
    }

    #[inline(always)]
    pub(super) fn times(&self, weight: f32) -> Self {
        Self(self.0.map(|channel| channel * weight))
    }

    #[inline(always)]
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, channel) in self.0.iter_mut().zip(&other.0) {
            *sum += *channel;
        }
    }

    /// 255 times a channel's level, weighted by alpha.
    #[inline(always)]
    pub(super) fn level(&self, row: &Row) -> f32x16<S> {
        let [r, g, b, a] = self.0;
        let [of_r, of_g, of_b] = row.weights;
        r * of_r + g * of_g + b * of_b + a * row.black
    }

    /// As [`level`](Self::level): that of the first row in the lower half, that of the second in
    /// the upper one.
    #[inline(always)]
    pub(super) fn levels(&self, simd: S, rows: &[Row; 2]) -> f32x16<S> {
        let halves = |first: f32, second: f32| {
            let mut lanes = [first; BLOCK];
            lanes[HALF..].fill(second);
            f32x16::from_slice(simd, &lanes)
        };
        let [cb, cr] = rows;
        let [r, g, b, a] = self.0;
        let of = |n: usize| halves(cb.weights[n], cr.weights[n]);
        r * of(0) + g * of(1) + b * of(2) + a * halves(cb.black, cr.black)
    }

    /// Each two columns' sum, of weight 4, twice over; with the pixel to the left of them, if that
    /// is what the samples are of.
    #[inline(always)]
    pub(super) fn halved(&self, before: &Self, cosited: bool) -> Self {
        let mut halved = *self;
        for (channel, before) in halved.0.iter_mut().zip(before.0) {
            let right = *channel + channel.slide::<1>(*channel);
            let both = if cosited {
                let left = before.slide::<{ BLOCK - 1 }>(*channel);
                right + (left + *channel)
            } else {
                right + right
            };
            *channel = both.unzip_low(both);
        }
        halved
    }

    /// The first pixel in the last place: what is to the left of a picture.
    #[inline(always)]
    pub(super) fn edge(&self, simd: S) -> Self {
        Self(
            self.0
                .map(|channel| f32x16::splat(simd, channel.as_slice()[0])),
        )
    }
}

/// What samples are keyed over.
#[derive(Clone, Copy)]
pub(super) enum Under<S: Simd> {
    /// What shows of an opaque picture, 255 times as much, and 1 over 255 times the weight.
    Opaque(f32x16<S>, f32),
    /// What shows of a picture with alpha, and the alpha of both together, 255 times as much.
    Clear(f32x16<S>, f32x16<S>),
}

/// How levels are in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    /// How far up they are.
    pub(super) shift: u32,
    /// The highest.
    pub(super) most: f32,
}

impl Depth {
    #[inline(always)]
    pub(super) fn new(bits: u32, shift: u32) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most 16 bits")]
        let most = ((1_u32 << bits) - 1) as f32;
        Self { shift, most }
    }
}

/// The samples with a level over them where it is visible.
#[inline(always)]
pub(super) fn over<S: Simd>(
    samples: i32x16<S>,
    depth: Depth,
    level: f32x16<S>,
    under: Under<S>,
    visible: mask32x16<S>,
) -> i32x16<S> {
    let before = (samples >> depth.shift).to_float::<f32x16<S>>();
    let level = match under {
        Under::Opaque(rest, scale) => (level + before * rest) * scale,
        Under::Clear(rest, total) => (level + before * rest) / total,
    };
    let level = (level + 0.5).max(0.0).min(depth.most);
    visible.select(level.to_int::<i32x16<S>>() << depth.shift, samples)
}

/// A sample's bytes.
pub(super) trait Sample: Copy + Default + Into<u16> {
    const BYTES: usize;

    fn get(bytes: &[u8]) -> Self;
    fn put(self, bytes: &mut [u8]);
    fn widen<S: Simd>(simd: S, samples: &[Self; BLOCK]) -> i32x16<S>;
    fn narrow<S: Simd>(samples: i32x16<S>) -> [Self; BLOCK];
}

impl Sample for u8 {
    const BYTES: usize = 1;

    #[inline(always)]
    fn get(bytes: &[u8]) -> Self {
        bytes[0]
    }

    #[inline(always)]
    fn put(self, bytes: &mut [u8]) {
        bytes[0] = self;
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, samples: &[Self; BLOCK]) -> i32x16<S> {
        let (low, high) = u8x16::from_slice(simd, samples).widen();
        let words: u16x16<S> = low.combine(high);
        let (low, high) = words.widen();
        low.combine(high).bitcast()
    }

    #[inline(always)]
    fn narrow<S: Simd>(samples: i32x16<S>) -> [Self; BLOCK] {
        let words = samples.narrow(samples);
        let bytes: u8x64<S> = words.narrow(words).bitcast();
        let mut out = [0; BLOCK];
        out.copy_from_slice(&bytes.as_slice()[..BLOCK]);
        out
    }
}

impl Sample for u16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn get(bytes: &[u8]) -> Self {
        Self::from_le_bytes([bytes[0], bytes[1]])
    }

    #[inline(always)]
    fn put(self, bytes: &mut [u8]) {
        bytes[..2].copy_from_slice(&self.to_le_bytes());
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, samples: &[Self; BLOCK]) -> i32x16<S> {
        let (low, high) = u16x16::from_slice(simd, samples).widen();
        low.combine(high).bitcast()
    }

    #[inline(always)]
    fn narrow<S: Simd>(samples: i32x16<S>) -> [Self; BLOCK] {
        let words = samples
            .narrow(samples)
            .bitcast::<fearless_simd::u16x32<S>>();
        let mut out = [0; BLOCK];
        out.copy_from_slice(&words.as_slice()[..BLOCK]);
        out
    }
}

/// The samples of a channel in these bytes, up to so many.
#[inline(always)]
pub(super) fn gather<T: Sample, const COUNT: usize>(bytes: &[u8], channel: Channel) -> [T; COUNT] {
    let mut samples = [T::default(); COUNT];
    if channel.step == 1 && bytes.len() == COUNT * T::BYTES {
        // As many as the compiler knows of.
        for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(T::BYTES)) {
            *sample = T::get(bytes);
        }
    } else {
        let bytes = bytes.chunks_exact(channel.step * T::BYTES);
        for (sample, bytes) in samples.iter_mut().zip(bytes) {
            *sample = T::get(&bytes[channel.offset * T::BYTES..]);
        }
    }
    samples
}

/// Puts samples back where [`gather`] took them from.
#[inline(always)]
pub(super) fn scatter<T: Sample, const COUNT: usize>(
    samples: &[T; COUNT],
    bytes: &mut [u8],
    channel: Channel,
) {
    if channel.step == 1 && bytes.len() == COUNT * T::BYTES {
        for (sample, bytes) in samples.iter().zip(bytes.chunks_exact_mut(T::BYTES)) {
            sample.put(bytes);
        }
    } else {
        let bytes = bytes.chunks_exact_mut(channel.step * T::BYTES);
        for (sample, bytes) in samples.iter().zip(bytes) {
            sample.put(&mut bytes[channel.offset * T::BYTES..]);
        }
    }
}
