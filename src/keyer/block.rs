//! What is done to one block of pixels and to the samples below it.
//!
//! No closures: they are not inlined, and then have not the instructions of what calls them.
//!
//! Floats of 32 bits, and no fused products: levels are to the nearest but where the exact value
//! is within 2^-9 of a half (of 16 bits, 2^-5), and the same with any instructions.

use fearless_simd::{
    Simd, f32x8, f32x16, i32x16, mask32x16, prelude::*, u8x16, u8x64, u16x8, u16x16, u16x32,
    u32x16, u64x2, u64x8,
};

use super::colour::Row;
use super::format::Channel;
use crate::frame::BLOCK;

/// Chroma samples of a block, where each is of two columns.
pub(super) const HALF: usize = BLOCK / 2;

/// One block's pixels as they are in a frame: R in the lowest byte.
#[derive(Clone, Copy)]
pub(super) struct Words<S: Simd>(pub(super) u32x16<S>);

/// Sums of words, each channel in 16 bits: R and B, and G and A.
#[derive(Clone, Copy)]
pub(super) struct Sums<S: Simd>([u16x32<S>; 2]);

impl<S: Simd> Words<S> {
    #[inline(always)]
    pub(super) fn load(simd: S, pixels: &[[u8; 4]; BLOCK]) -> Self {
        Self(u8x64::from_slice(simd, pixels.as_flattened()).bitcast())
    }

    #[inline(always)]
    pub(super) fn clear(simd: S) -> Self {
        Self(u32x16::splat(simd, 0))
    }

    #[inline(always)]
    pub(super) fn tile(self) -> Tile<S> {
        let words: i32x16<S> = self.0.bitcast();
        Tile([
            (words & 0xff).to_float(),
            ((words >> 8) & 0xff).to_float(),
            ((words >> 16) & 0xff).to_float(),
            ((words >> 24) & 0xff).to_float(),
        ])
    }

    #[inline(always)]
    pub(super) fn times(self, weight: u16) -> Sums<S> {
        let low: u16x32<S> = (self.0 & 0x00ff_00ff).bitcast();
        let high: u16x32<S> = ((self.0 >> 8) & 0x00ff_00ff).bitcast();
        Sums([low * weight, high * weight])
    }

    /// Each two columns: whether either is more than clear, twice over.
    #[inline(always)]
    pub(super) fn shown_pairs(self) -> mask32x16<S> {
        let pairs: u64x8<S> = self.0.bitcast();
        let either: u32x16<S> = (pairs | (pairs >> 32)).bitcast();
        let either: i32x16<S> = (either.unzip_low(either) >> 24).bitcast();
        either.simd_gt(0)
    }
}

/// A block's pixels, weighted and summed over rows.
pub(super) trait Sum<S: Simd>: Copy {
    fn clear(simd: S) -> Self;
    fn add(&mut self, other: Self);

    /// Each two columns' sum, of weight 4, twice over; with the pixel to the left of them, which
    /// for the first ones is the last of the block before, if that is what the samples are of.
    fn halved(self, before: Self, cosited: bool) -> Tile<S>;

    /// The first pixel in the last place: what is to the left of a picture.
    fn edge(self, simd: S) -> Self;
}

impl<S: Simd> Sum<S> for Sums<S> {
    #[inline(always)]
    fn clear(simd: S) -> Self {
        Self([u16x32::splat(simd, 0); 2])
    }

    #[inline(always)]
    fn add(&mut self, other: Self) {
        self.0[0] += other.0[0];
        self.0[1] += other.0[1];
    }

    #[inline(always)]
    fn halved(self, before: Self, cosited: bool) -> Tile<S> {
        let rb = halved(self.0[0], before.0[0], cosited);
        let ga = halved(self.0[1], before.0[1], cosited);
        Tile([
            (rb & 0xffff).to_float(),
            (ga & 0xffff).to_float(),
            (rb >> 16).to_float(),
            (ga >> 16).to_float(),
        ])
    }

    #[inline(always)]
    fn edge(self, simd: S) -> Self {
        let mut edge = self;
        for sums in &mut edge.0 {
            let words: u32x16<S> = sums.bitcast();
            *sums = u32x16::splat(simd, words.as_slice()[0]).bitcast();
        }
        edge
    }
}

#[inline(always)]
fn halved<S: Simd>(sums: u16x32<S>, before: u16x32<S>, cosited: bool) -> i32x16<S> {
    let pairs: u64x8<S> = sums.bitcast();
    let right = sums + (pairs >> 32).bitcast::<u16x32<S>>();
    let both = if cosited {
        let left = before
            .bitcast::<u32x16<S>>()
            .slide::<{ BLOCK - 1 }>(sums.bitcast::<u32x16<S>>());
        right + (left.bitcast::<u16x32<S>>() + sums)
    } else {
        right + right
    };
    let both: i32x16<S> = both.bitcast();
    both.unzip_low(both)
}

/// R, G, B and A of a block's pixels, premultiplied, 0 to 255; or sums of several.
#[derive(Clone, Copy)]
pub(super) struct Tile<S: Simd>(pub(super) [f32x16<S>; 4]);

impl<S: Simd> Tile<S> {
    /// What has been converted, or sums.
    #[inline(always)]
    pub(super) fn of(simd: S, channels: &[[f32; BLOCK]; 4]) -> Self {
        let [r, g, b, a] = channels;
        Self([
            f32x16::from_slice(simd, r),
            f32x16::from_slice(simd, g),
            f32x16::from_slice(simd, b),
            f32x16::from_slice(simd, a),
        ])
    }

    #[inline(always)]
    pub(super) fn times(&self, weight: f32) -> Self {
        let [r, g, b, a] = self.0;
        Self([r * weight, g * weight, b * weight, a * weight])
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
    pub(super) fn levels(&self, simd: S, cb: &Row, cr: &Row) -> f32x16<S> {
        let [r, g, b, a] = self.0;
        let of_r = halves(simd, cb.weights[0], cr.weights[0]);
        let of_g = halves(simd, cb.weights[1], cr.weights[1]);
        let of_b = halves(simd, cb.weights[2], cr.weights[2]);
        r * of_r + g * of_g + b * of_b + a * halves(simd, cb.black, cr.black)
    }
}

impl<S: Simd> Sum<S> for Tile<S> {
    #[inline(always)]
    fn clear(simd: S) -> Self {
        Self([f32x16::splat(simd, 0.0); 4])
    }

    #[inline(always)]
    fn add(&mut self, other: Self) {
        for (sum, channel) in self.0.iter_mut().zip(other.0) {
            *sum += channel;
        }
    }

    #[inline(always)]
    fn halved(mut self, before: Self, cosited: bool) -> Self {
        for (channel, before) in self.0.iter_mut().zip(before.0) {
            let right = *channel + channel.slide::<1>(*channel);
            let both = if cosited {
                let left = before.slide::<{ BLOCK - 1 }>(*channel);
                right + (left + *channel)
            } else {
                right + right
            };
            *channel = both.unzip_low(both);
        }
        self
    }

    #[inline(always)]
    fn edge(mut self, simd: S) -> Self {
        for channel in &mut self.0 {
            *channel = f32x16::splat(simd, channel.as_slice()[0]);
        }
        self
    }
}

/// A number in the lower half, and one in the upper half.
#[inline(always)]
fn halves<S: Simd>(simd: S, first: f32, second: f32) -> f32x16<S> {
    f32x8::splat(simd, first).combine(f32x8::splat(simd, second))
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
    let level = (level + 0.5).min(depth.most);
    visible.select(level.to_int::<i32x16<S>>() << depth.shift, samples)
}

/// A sample's bytes.
pub(super) trait Sample: Copy + Default + Into<u16> {
    const BYTES: usize;

    fn get(bytes: &[u8]) -> Self;
    fn put(self, bytes: &mut [u8]);
    fn widen<S: Simd>(simd: S, samples: &[Self; BLOCK]) -> i32x16<S>;
    /// As [`widen`](Self::widen), of two halves.
    fn join<S: Simd>(simd: S, low: &[Self; HALF], high: &[Self; HALF]) -> i32x16<S>;
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
        widen_bytes(u8x16::from_slice(simd, samples))
    }

    #[inline(always)]
    fn join<S: Simd>(simd: S, low: &[Self; HALF], high: &[Self; HALF]) -> i32x16<S> {
        // By way of memory the processor would wait for both halves to be written.
        let halves = [u64::from_ne_bytes(*low), u64::from_ne_bytes(*high)];
        widen_bytes(u64x2::from_slice(simd, &halves).bitcast())
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
        widen_words(u16x16::from_slice(simd, samples))
    }

    #[inline(always)]
    fn join<S: Simd>(simd: S, low: &[Self; HALF], high: &[Self; HALF]) -> i32x16<S> {
        let low = u16x8::from_slice(simd, low);
        widen_words(low.combine(u16x8::from_slice(simd, high)))
    }

    #[inline(always)]
    fn narrow<S: Simd>(samples: i32x16<S>) -> [Self; BLOCK] {
        let words = samples.narrow(samples).bitcast::<u16x32<S>>();
        let mut out = [0; BLOCK];
        out.copy_from_slice(&words.as_slice()[..BLOCK]);
        out
    }
}

#[inline(always)]
fn widen_bytes<S: Simd>(bytes: u8x16<S>) -> i32x16<S> {
    let (low, high) = bytes.widen();
    widen_words(low.combine(high))
}

#[inline(always)]
fn widen_words<S: Simd>(words: u16x16<S>) -> i32x16<S> {
    let (low, high) = words.widen();
    low.combine(high).bitcast()
}

/// The samples of a channel in these bytes, up to so many.
#[inline(always)]
pub(super) fn gather<T: Sample, const COUNT: usize>(bytes: &[u8], channel: Channel) -> [T; COUNT] {
    let mut samples = [T::default(); COUNT];
    if channel.step == 1 && bytes.len() == COUNT * T::BYTES {
        // A number that the compiler knows: one move.
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
