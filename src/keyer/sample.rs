//! Samples in their bytes, and in vectors.

use fearless_simd::{Simd, i32x16, prelude::*, u8x16, u8x32, u16x8, u16x16, u64x2};

use super::format::Channel;
use crate::frame::BLOCK;

/// A sample's bytes. Those of a block are one after the other, low byte first.
pub(super) trait Sample {
    const BYTES: usize;

    fn get(bytes: &[u8]) -> u16;
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> i32x16<S>;
    fn store<S: Simd>(samples: i32x16<S>, bytes: &mut [u8]);
    /// As [`load`](Self::load), of two halves.
    fn load_halves<S: Simd>(simd: S, low: &[u8], high: &[u8]) -> i32x16<S>;
    /// As [`store`](Self::store), of two halves.
    fn store_halves<S: Simd>(samples: i32x16<S>, low: &mut [u8], high: &mut [u8]);
}

impl Sample for u8 {
    const BYTES: usize = 1;

    #[inline(always)]
    fn get(bytes: &[u8]) -> u16 {
        bytes[0].into()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> i32x16<S> {
        widen_bytes(u8x16::from_slice(simd, bytes))
    }

    #[inline(always)]
    fn store<S: Simd>(samples: i32x16<S>, bytes: &mut [u8]) {
        narrow_bytes(samples).store_slice(bytes);
    }

    #[inline(always)]
    fn load_halves<S: Simd>(simd: S, low: &[u8], high: &[u8]) -> i32x16<S> {
        // By way of memory the processor would wait for both halves to be written.
        let mut halves = [0; 2];
        for (half, bytes) in halves.iter_mut().zip([low, high]) {
            *half = bytes
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        }
        widen_bytes(u64x2::from_slice(simd, &halves).bitcast())
    }

    #[inline(always)]
    fn store_halves<S: Simd>(samples: i32x16<S>, low: &mut [u8], high: &mut [u8]) {
        let halves: u64x2<S> = narrow_bytes(samples).bitcast();
        low.copy_from_slice(&halves.as_slice()[0].to_ne_bytes());
        high.copy_from_slice(&halves.as_slice()[1].to_ne_bytes());
    }
}

impl Sample for u16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn get(bytes: &[u8]) -> u16 {
        Self::from_le_bytes([bytes[0], bytes[1]])
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, bytes: &[u8]) -> i32x16<S> {
        widen_words(u8x32::from_slice(simd, bytes).bitcast())
    }

    #[inline(always)]
    fn store<S: Simd>(samples: i32x16<S>, bytes: &mut [u8]) {
        let bytes_of: u8x32<S> = narrow_words(samples).bitcast();
        bytes_of.store_slice(bytes);
    }

    #[inline(always)]
    fn load_halves<S: Simd>(simd: S, low: &[u8], high: &[u8]) -> i32x16<S> {
        let low: u16x8<S> = u8x16::from_slice(simd, low).bitcast();
        widen_words(low.combine(u8x16::from_slice(simd, high).bitcast::<u16x8<S>>()))
    }

    #[inline(always)]
    fn store_halves<S: Simd>(samples: i32x16<S>, low: &mut [u8], high: &mut [u8]) {
        let (low_words, high_words) = narrow_words(samples).split();
        low_words.bitcast::<u8x16<S>>().store_slice(low);
        high_words.bitcast::<u8x16<S>>().store_slice(high);
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

#[inline(always)]
fn narrow_bytes<S: Simd>(samples: i32x16<S>) -> u8x16<S> {
    let (low, high) = samples.split();
    let words: u16x16<S> = low.relaxed_narrow(high).bitcast();
    let (low, high) = words.split();
    low.relaxed_narrow(high)
}

#[inline(always)]
fn narrow_words<S: Simd>(samples: i32x16<S>) -> u16x16<S> {
    let (low, high) = samples.split();
    low.narrow(high).bitcast()
}

/// Samples of a channel, up to a block, one after the other.
pub(super) type Gathered = [u8; 2 * BLOCK];

/// The samples of a channel in these bytes.
#[inline(always)]
pub(super) fn gather<T: Sample>(bytes: &[u8], channel: Channel) -> Gathered {
    let mut samples = [0; 2 * BLOCK];
    if channel.step == 1 && bytes.len() == BLOCK * T::BYTES {
        // A number that the compiler knows: one move.
        samples[..BLOCK * T::BYTES].copy_from_slice(bytes);
        return samples;
    }
    let Channel { step, offset, .. } = channel;
    if T::BYTES == 1 {
        for (sample, pixel) in samples.iter_mut().zip(bytes.chunks_exact(step)) {
            *sample = pixel[offset];
        }
    } else {
        let pixels = bytes.as_chunks().0.chunks_exact(step);
        for (sample, pixel) in samples.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
            *sample = pixel[offset];
        }
    }
    samples
}

/// Puts samples back where [`gather`] took them from.
#[inline(always)]
pub(super) fn scatter<T: Sample>(samples: &Gathered, bytes: &mut [u8], channel: Channel) {
    if channel.step == 1 && bytes.len() == BLOCK * T::BYTES {
        bytes.copy_from_slice(&samples[..BLOCK * T::BYTES]);
        return;
    }
    let Channel { step, offset, .. } = channel;
    if T::BYTES == 1 {
        for (sample, pixel) in samples.iter().zip(bytes.chunks_exact_mut(step)) {
            pixel[offset] = *sample;
        }
    } else {
        let pixels = bytes.as_chunks_mut().0.chunks_exact_mut(step);
        for (sample, pixel) in samples.as_chunks::<2>().0.iter().zip(pixels) {
            pixel[offset] = *sample;
        }
    }
}
