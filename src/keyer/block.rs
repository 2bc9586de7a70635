//! What is done to one block of pixels and to the samples below it.
//!
//! No closures: they are not inlined, and then have not the instructions of what calls them.
//!
//! Floats of 32 bits, and no fused products: levels are to the nearest but where the exact value
//! is within 2^-9 of a half (of 16 bits, 2^-5), and the same with any instructions.

use std::ops::{Add, Mul};

use fearless_simd::{
    Simd, f32x8, f32x16, i32x8, i32x16, mask32x16, prelude::*, u8x64, u16x16, u16x32, u32x8, u32x16,
};

use super::colour::Row;
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
    pub(super) fn tile(self) -> Tile<f32x16<S>> {
        let words: i32x16<S> = self.0.bitcast();
        let high: i32x16<S> = (self.0 >> 24).bitcast();
        Tile([
            (words & 0xff).to_float(),
            ((words >> 8) & 0xff).to_float(),
            ((words >> 16) & 0xff).to_float(),
            high.to_float(),
        ])
    }

    #[inline(always)]
    pub(super) fn times(self, weight: u16) -> Sums<S> {
        let low: u16x32<S> = (self.0 & 0x00ff_00ff).bitcast();
        let high: u16x32<S> = ((self.0 >> 8) & 0x00ff_00ff).bitcast();
        if weight == 1 {
            Sums([low, high])
        } else {
            Sums([low * weight, high * weight])
        }
    }

    /// Each two columns: whether either is more than clear, twice over.
    #[inline(always)]
    pub(super) fn shown_pairs(self) -> mask32x16<S> {
        let (left, right) = pairs(self.0);
        let either: i32x8<S> = ((left | right) >> 24).bitcast();
        either.combine(either).simd_gt(0)
    }
}

/// Each two columns: those to the left, and those to the right.
#[inline(always)]
fn pairs<S: Simd>(words: u32x16<S>) -> (u32x8<S>, u32x8<S>) {
    let (low, high) = words.split();
    (low.unzip_low(high), low.unzip_high(high))
}

/// A block's pixels, weighted and summed over rows.
pub(super) trait Sum<S: Simd>: Copy {
    fn clear(simd: S) -> Self;
    fn add(&mut self, other: Self);

    /// Each two columns' sum, of weight 4; with the pixel to the left of them, which for the first
    /// ones is the last of the block before, if that is what the samples are of.
    fn halved(self, before: Self, cosited: bool) -> Tile<f32x8<S>>;

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
    fn halved(self, before: Self, cosited: bool) -> Tile<f32x8<S>> {
        let [_, before] = before.columns();
        halved(self.columns(), before, cosited)
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

/// One of each two columns' sums.
pub(super) type Column<S> = [u16x16<S>; 2];

impl<S: Simd> Sums<S> {
    /// Each two columns' sums: those to the left, and those to the right.
    #[inline(always)]
    pub(super) fn columns(self) -> [Column<S>; 2] {
        let (rb, ga) = (pairs(self.0[0].bitcast()), pairs(self.0[1].bitcast()));
        [
            [rb.0.bitcast(), ga.0.bitcast()],
            [rb.1.bitcast(), ga.1.bitcast()],
        ]
    }
}

/// As [`Sum::halved`], of columns, with those to the right in the block before.
#[inline(always)]
pub(super) fn halved<S: Simd>(
    [left, right]: [Column<S>; 2],
    before: Column<S>,
    cosited: bool,
) -> Tile<f32x8<S>> {
    let mut sums = [left[0] + right[0], left[1] + right[1]];
    for (n, sum) in sums.iter_mut().enumerate() {
        *sum = if cosited {
            let before: u32x8<S> = before[n].bitcast();
            let outer = before.slide::<{ HALF - 1 }>(right[n].bitcast::<u32x8<S>>());
            *sum + (outer.bitcast::<u16x16<S>>() + left[n])
        } else {
            *sum + *sum
        };
    }
    let rb: i32x8<S> = sums[0].bitcast();
    let ga: i32x8<S> = sums[1].bitcast();
    Tile([
        (rb & 0xffff).to_float(),
        (ga & 0xffff).to_float(),
        (rb >> 16).to_float(),
        (ga >> 16).to_float(),
    ])
}

/// R, G, B and A of pixels, premultiplied, 0 to 255; or sums of several.
#[derive(Clone, Copy)]
pub(super) struct Tile<V>(pub(super) [V; 4]);

impl<V: Copy + Add<Output = V> + Mul<f32, Output = V>> Tile<V> {
    #[inline(always)]
    pub(super) fn times(&self, weight: f32) -> Self {
        let [r, g, b, a] = self.0;
        Self([r * weight, g * weight, b * weight, a * weight])
    }

    /// 255 times a channel's level, weighted by alpha.
    #[inline(always)]
    pub(super) fn level(&self, row: &Row) -> V {
        let [r, g, b, a] = self.0;
        let [of_r, of_g, of_b] = row.weights;
        r * of_r + g * of_g + b * of_b + a * row.black
    }
}

impl<S: Simd> Tile<f32x16<S>> {
    /// What has been converted.
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
}

impl<S: Simd> Tile<f32x8<S>> {
    /// Sums of what chroma samples are of.
    #[inline(always)]
    pub(super) fn of_sums(simd: S, channels: &[[f32; HALF]; 4]) -> Self {
        let [r, g, b, a] = channels;
        Self([
            f32x8::from_slice(simd, r),
            f32x8::from_slice(simd, g),
            f32x8::from_slice(simd, b),
            f32x8::from_slice(simd, a),
        ])
    }
}

impl<S: Simd> Sum<S> for Tile<f32x16<S>> {
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
    fn halved(self, before: Self, cosited: bool) -> Tile<f32x8<S>> {
        let [r, g, b, a] = self.0;
        let [before_r, before_g, before_b, before_a] = before.0;
        Tile([
            halved_light(r, before_r, cosited),
            halved_light(g, before_g, cosited),
            halved_light(b, before_b, cosited),
            halved_light(a, before_a, cosited),
        ])
    }

    #[inline(always)]
    fn edge(mut self, simd: S) -> Self {
        for channel in &mut self.0 {
            *channel = f32x16::splat(simd, channel.as_slice()[0]);
        }
        self
    }
}

#[inline(always)]
fn halved_light<S: Simd>(sums: f32x16<S>, before: f32x16<S>, cosited: bool) -> f32x8<S> {
    let (low, high) = sums.split();
    let (left, right) = (low.unzip_low(high), low.unzip_high(high));
    if cosited {
        let (low, high) = before.split();
        let outer = low.unzip_high(high).slide::<{ HALF - 1 }>(right);
        (left + right) + (outer + left)
    } else {
        (left + right) + (left + right)
    }
}

/// What samples are keyed over.
#[derive(Clone, Copy)]
pub(super) enum Under<V> {
    /// What shows of an opaque picture, 255 times as much, and 1 over 255 times the weight.
    Opaque(V, f32),
    /// What shows of a picture with alpha, and the alpha of both together, 255 times as much.
    Clear(V, V),
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
    under: Under<f32x16<S>>,
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
