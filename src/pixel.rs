//! What is done to rows of pixels: source-over, and the way from premultiplied to straight alpha.
//!
//! Products of two 8-bit values are `(v * c + 255) >> 8`, as Chromium's compositor has them. The
//! exact quotient by 255 is another level in few pixels, yet what overlaps is then 49 to 54 dB
//! from Chromium's own stills instead of 75 (`tests/fidelity`, `overlap-30`): so this is the
//! browser's picture, and at most 4 levels from the exact one under dozens of sprites
//! (`tests/it/compositor.rs`). The scalar functions are the truth; each vector level equals them bit for bit, and
//! none needs `unsafe`.

use std::fmt;
use std::str::FromStr;

use fearless_simd::{Level, dispatch, prelude::*};

/// Which instructions pixels are computed with. From text: `scalar`, `sse2`, `sse4.2`, `avx2`,
/// `avx512` or `neon`, as far as this processor has it.
#[derive(Clone, Copy, Debug)]
pub struct SimdLevel(Instructions);

#[derive(Clone, Copy, Debug)]
enum Instructions {
    Scalar,
    Vector(Level),
}

/// A level that this processor hasn't, or that there is none of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SIMD level {name:?}: expected one that this processor has: {}", available.join(", "))]
pub struct SimdLevelError {
    name: String,
    available: Vec<&'static str>,
}

impl SimdLevel {
    /// The widest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        Self(Instructions::Vector(Level::new()))
    }

    /// No vectors: the truth that the others are held against.
    #[must_use]
    pub fn scalar() -> Self {
        Self(Instructions::Scalar)
    }

    /// Those that this processor has, the scalar one first, the widest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let level = Level::new();
        let mut levels = vec![Self::scalar()];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        levels.extend(
            [
                level.as_sse2().map(Level::Sse2),
                level.as_sse4_2().map(Level::Sse4_2),
                level.as_avx2().map(Level::Avx2),
                level.as_avx512().map(Level::Avx512),
            ]
            .into_iter()
            .flatten()
            .map(|level| Self(Instructions::Vector(level))),
        );
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        levels.push(Self(Instructions::Vector(level)));
        levels
    }

    /// Its name, from which it parses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Instructions::Scalar => "scalar",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Vector(Level::Sse2(_)) => "sse2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Vector(Level::Sse4_2(_)) => "sse4.2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Vector(Level::Avx2(_)) => "avx2",
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Vector(Level::Avx512(_)) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Instructions::Vector(Level::Neon(_)) => "neon",
            Instructions::Vector(_) => "vector",
        }
    }

    /// Does `work` with this level's instructions: everything that is inlined into it uses them.
    pub(crate) fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            Instructions::Scalar => work.run(Scalar),
            Instructions::Vector(level) => dispatch!(level, simd => work.run(Vector(simd))),
        }
    }

    /// Does work that is written in vectors with this level's instructions; with the least that
    /// every processor of this kind has, if it is the scalar one.
    pub(crate) fn run_vectors<W: VectorWork>(self, work: W) -> W::Output {
        let level = match self.0 {
            Instructions::Scalar => Level::baseline(),
            Instructions::Vector(level) => level,
        };
        dispatch!(level, simd => work.run(simd))
    }
}

impl FromStr for SimdLevel {
    type Err = SimdLevelError;

    fn from_str(name: &str) -> Result<Self, SimdLevelError> {
        let available = Self::available();
        let found = available.iter().find(|level| level.name() == name);
        found.copied().ok_or_else(|| SimdLevelError {
            name: name.into(),
            available: available.iter().map(|level| level.name()).collect(),
        })
    }
}

impl PartialEq for SimdLevel {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for SimdLevel {}

impl Default for SimdLevel {
    fn default() -> Self {
        Self::detect()
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A loop over rows that is compiled once for each level; its `run` is to be `#[inline(always)]`.
pub(crate) trait Work {
    type Output;
    fn run<R: Rows>(self, rows: R) -> Self::Output;
}

/// As [`Work`], but written in vectors that are as wide at every level.
pub(crate) trait VectorWork {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// What one level does to rows of pixels.
pub(crate) trait Rows: Copy {
    /// Source-over of a premultiplied row on another as long: `s + product(d, 255 - s.a)`.
    fn over(self, under: &mut [[u8; 4]], source: &[[u8; 4]]);

    /// Premultiplied to straight alpha, `255 c / a` to the nearest level; channel `c` becomes byte
    /// `places[c]`.
    fn straight(self, out: &mut [[u8; 4]], premultiplied: &[[u8; 4]], places: [u8; 4]);

    /// A row of samples of a picture along a straight line, each times its share of 255.
    ///
    /// Bilinear with float weights between the four nearest texels, edges clamped, to the nearest
    /// level, half up. `out` and `shares` are equally long.
    fn sample(self, texels: Texels<'_>, line: Line, shares: &[u8], out: &mut [[u8; 4]]);
}

/// A picture to be sampled.
#[derive(Clone, Copy)]
pub(crate) struct Texels<'a> {
    /// Premultiplied, row after row.
    pub(crate) pixels: &'a [[u8; 4]],
    /// Each side in `1..=2^20`.
    pub(crate) width: i32,
    pub(crate) height: i32,
}

/// Where samples are: place 0, and the step from one place to the next, in texels from the centre
/// of the picture's first one, rightwards and downwards; and at which place to begin. A place is
/// computed by itself, so that it does not matter where a part of the line begins.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) start: (f32, f32),
    pub(crate) step: (f32, f32),
    /// At most 2^24.
    pub(crate) first: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

#[derive(Clone, Copy)]
pub(crate) struct Vector<S>(S);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "levels are 0 to 255, and places in a picture of small sides"
)]
impl Rows for Scalar {
    fn over(self, under: &mut [[u8; 4]], source: &[[u8; 4]]) {
        for (under, source) in under.iter_mut().zip(source) {
            over(under, *source);
        }
    }

    fn straight(self, out: &mut [[u8; 4]], premultiplied: &[[u8; 4]], places: [u8; 4]) {
        for (out, pixel) in out.iter_mut().zip(premultiplied) {
            for (level, place) in straight(*pixel).into_iter().zip(places) {
                out[place as usize] = level;
            }
        }
    }

    fn sample(self, texels: Texels<'_>, line: Line, shares: &[u8], out: &mut [[u8; 4]]) {
        let Texels {
            pixels,
            width,
            height,
        } = texels;
        // The texel before a place, that after it, and the latter's weight.
        let between = |start: f32, step: f32, n: f32, side: i32| {
            let place = (n * step + start).max(-1.0).min(side as f32);
            let before = place.floor();
            let texel = |n: i32| n.clamp(0, side - 1) as usize;
            let first = before as i32;
            (texel(first), texel(first + 1), place - before)
        };
        for (n, (out, share)) in (line.first..).zip(out.iter_mut().zip(shares)) {
            let n = n as f32;
            let (left, right, fx) = between(line.start.0, line.step.0, n, width);
            let (upper, lower, fy) = between(line.start.1, line.step.1, n, height);
            let at = |x: usize, y: usize| pixels[y * width as usize + x].map(f32::from);
            let (p00, p10) = (at(left, upper), at(right, upper));
            let (p01, p11) = (at(left, lower), at(right, lower));
            *out = std::array::from_fn(|c| {
                let above = p00[c] + (p10[c] - p00[c]) * fx;
                let below = p01[c] + (p11[c] - p01[c]) * fx;
                let level = (above + (below - above) * fy + 0.5) as u32;
                ((level * u32::from(*share) + 255) >> 8) as u8
            });
        }
    }
}

impl<S: Simd> Rows for Vector<S> {
    #[inline(always)]
    fn over(self, under: &mut [[u8; 4]], source: &[[u8; 4]]) {
        let length = under.len().min(source.len());
        let (under, source) = (&mut under[..length], &source[..length]);
        let done = native::over(self.0, under.as_flattened_mut(), source.as_flattened()) / 4;
        let (under, source) = (&mut under[done..], &source[done..]);
        let done = short::over(self.0, under.as_flattened_mut(), source.as_flattened()) / 4;
        Scalar.over(&mut under[done..], &source[done..]);
    }

    #[inline(always)]
    fn straight(self, out: &mut [[u8; 4]], premultiplied: &[[u8; 4]], places: [u8; 4]) {
        let length = out.len().min(premultiplied.len());
        let (out, pixels) = (&mut out[..length], &premultiplied[..length]);
        let done = native::straight(
            self.0,
            out.as_flattened_mut(),
            pixels.as_flattened(),
            places,
        );
        let (out, pixels) = (&mut out[done / 4..], &pixels[done / 4..]);
        let done = short::straight(
            self.0,
            out.as_flattened_mut(),
            pixels.as_flattened(),
            places,
        );
        Scalar.straight(&mut out[done / 4..], &pixels[done / 4..], places);
    }

    #[inline(always)]
    fn sample(self, texels: Texels<'_>, line: Line, shares: &[u8], out: &mut [[u8; 4]]) {
        let simd = self.0;
        let Texels {
            pixels,
            width,
            height,
        } = texels;
        let byte = S::i32s::splat(simd, 0xff);
        let half = S::f32s::splat(simd, 0.5);
        let lanes = S::f32s::from_fn(simd, |n| n as f32);
        let row = S::i32s::splat(simd, width);
        let mut first = line.first as f32;
        for (out, shares) in out
            .chunks_mut(S::i32s::LEN)
            .zip(shares.chunks(S::i32s::LEN))
        {
            let n = lanes + first;
            first += S::i32s::LEN as f32;
            let (left, right, fx) = between(simd, line.start.0, line.step.0, n, width);
            let (upper, lower, fy) = between(simd, line.start.1, line.step.1, n, height);
            let (upper, lower) = (upper * row, lower * row);
            let p00 = gather(simd, pixels, upper + left);
            let p10 = gather(simd, pixels, upper + right);
            let p01 = gather(simd, pixels, lower + left);
            let p11 = gather(simd, pixels, lower + right);
            let mut words = [0; LANES_MAX];
            for (word, share) in words.iter_mut().zip(shares) {
                *word = i32::from(*share);
            }
            let share = S::i32s::from_slice(simd, &words[..S::i32s::LEN]);
            let mut all = S::i32s::splat(simd, 0);
            for shift in [0, 8, 16, 24] {
                let l00 = ((p00 >> shift) & byte).to_float::<S::f32s>();
                let l10 = ((p10 >> shift) & byte).to_float::<S::f32s>();
                let l01 = ((p01 >> shift) & byte).to_float::<S::f32s>();
                let l11 = ((p11 >> shift) & byte).to_float::<S::f32s>();
                let above = l00 + (l10 - l00) * fx;
                let below = l01 + (l11 - l01) * fx;
                let level = (above + (below - above) * fy + half).to_int::<S::i32s>();
                all |= ((level * share + byte) >> 8) << shift;
            }
            for (out, pixel) in out.iter_mut().zip(all.as_slice()) {
                *out = pixel.to_ne_bytes();
            }
        }
    }
}

/// At least as many as the vectors of any level have lanes of 32 bits.
const LANES_MAX: usize = 16;

/// The texels before and after the `n`th places of a line, and the weights of the latter.
#[inline(always)]
fn between<S: Simd>(
    simd: S,
    start: f32,
    step: f32,
    n: S::f32s,
    side: i32,
) -> (S::i32s, S::i32s, S::f32s) {
    let place = n * step + S::f32s::splat(simd, start);
    let place = place.max(-1.0).min(side as f32);
    let before = place.floor();
    let first = before.to_int::<S::i32s>();
    let last = S::i32s::splat(simd, side - 1);
    let zero = S::i32s::splat(simd, 0);
    (
        first.max(zero).min(last),
        (first + 1).max(zero).min(last),
        place - before,
    )
}

#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "places are clamped to the picture")]
fn gather<S: Simd>(simd: S, pixels: &[[u8; 4]], places: S::i32s) -> S::i32s {
    let mut words = [0; LANES_MAX];
    for (word, place) in words.iter_mut().zip(places.as_slice()) {
        *word = i32::from_ne_bytes(pixels[*place as usize]);
    }
    S::i32s::from_slice(simd, &words[..S::i32s::LEN])
}

/// Source-over for one pixel.
fn over(under: &mut [u8; 4], source: [u8; 4]) {
    let rest = 255 - u16::from(source[3]);
    for (under, source) in under.iter_mut().zip(source) {
        // Whole vectors wrap as well; premultiplied pixels never do.
        *under = source.wrapping_add(((u16::from(*under) * rest + 255) >> 8) as u8);
    }
}

/// One pixel from premultiplied to straight alpha.
fn straight([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    let twice = 2 * u32::from(a.max(1));
    let divide = |c: u8| ((u32::from(c) * 510 + u32::from(a)) / twice).min(255) as u8;
    [divide(r), divide(g), divide(b), a]
}

/// The loops over whole vectors of the given types, which are one width seen in four ways. Each
/// gives how many bytes it has done.
macro_rules! vectors {
    ($name:ident, $bytes:ty, $words:ty, $pixels:ty, $signed:ty, $floats:ty) => {
        mod $name {
            use fearless_simd::{Simd, prelude::*};

            /// Even and odd channels apart, each in 16 bits: no widening, no packing.
            #[inline(always)]
            pub(super) fn over<S: Simd>(simd: S, under: &mut [u8], source: &[u8]) -> usize {
                let step = <$bytes>::LEN;
                let low_byte = <$words>::splat(simd, 0x00ff);
                let high_byte = <$words>::splat(simd, 0xff00);
                let chunks = under.chunks_exact_mut(step).zip(source.chunks_exact(step));
                let mut done = 0;
                for (under, source) in chunks {
                    let s = <$bytes>::from_slice(simd, source);
                    let d: $words = <$bytes>::from_slice(simd, under).bitcast();
                    let alpha = s.bitcast::<$pixels>() >> 24;
                    let rest: $words = (alpha | (alpha << 16)).bitcast();
                    let rest = rest ^ low_byte;
                    let even = ((d & low_byte) * rest + low_byte) >> 8;
                    let odd = ((d >> 8) * rest + low_byte) & high_byte;
                    let kept: $bytes = (even | odd).bitcast();
                    (s + kept).store_slice(under);
                    done += step;
                }
                done
            }

            /// One division a pixel. `c * (255 / a)` is off by less than 2^-14, and quotients
            /// that are not halves are 2^-9 or more from one, so 2^-10 decides all of them.
            #[inline(always)]
            pub(super) fn straight<S: Simd>(
                simd: S,
                out: &mut [u8],
                premultiplied: &[u8],
                places: [u8; 4],
            ) -> usize {
                let step = <$bytes>::LEN;
                let byte = <$signed>::splat(simd, 0xff);
                let most = <$floats>::splat(simd, 255.0);
                let half = <$floats>::splat(simd, 0.5 + 1.0 / 1024.0);
                let one = <$floats>::splat(simd, 1.0);
                let shifts = places.map(|place| 8 * u32::from(place));
                let chunks = out
                    .chunks_exact_mut(step)
                    .zip(premultiplied.chunks_exact(step));
                let mut done = 0;
                for (out, pixels) in chunks {
                    done += step;
                    let rgba: $signed = <$bytes>::from_slice(simd, pixels).bitcast();
                    let alpha = (rgba >> 24) & byte;
                    let factor = most / alpha.to_float::<$floats>().max(one);
                    let mut all = alpha << shifts[3];
                    for (bits, shift) in [0, 8, 16].into_iter().zip(shifts) {
                        let level = ((rgba >> bits) & byte).to_float::<$floats>();
                        let level = level.mul_add(factor, half).min(most);
                        all |= level.to_int::<$signed>() << shift;
                    }
                    all.bitcast::<$bytes>().store_slice(out);
                }
                done
            }
        }
    };
}

vectors!(native, S::u8s, S::u16s, S::u32s, S::i32s, S::f32s);
vectors!(
    short,
    fearless_simd::u8x16<S>,
    fearless_simd::u16x8<S>,
    fearless_simd::u32x4<S>,
    fearless_simd::i32x4<S>,
    fearless_simd::f32x4<S>
);

/// A level of sRGB in linear light, both in `0.0..=1.0` (IEC 61966-2-1, 5.2).
#[must_use]
pub fn srgb_to_linear(signal: f64) -> f64 {
    if signal <= 0.040_45 {
        signal / 12.92
    } else {
        ((signal + 0.055) / 1.055).powf(2.4)
    }
}

/// The inverse of [`srgb_to_linear`] (IEC 61966-2-1, 5.3).
#[must_use]
pub fn linear_to_srgb(linear: f64) -> f64 {
    if linear <= 0.003_130_8 {
        linear * 12.92
    } else {
        1.055 * linear.powf(1.0 / 2.4) - 0.055
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACES: [[u8; 4]; 4] = [[0, 1, 2, 3], [2, 1, 0, 3], [1, 2, 3, 0], [3, 2, 1, 0]];

    struct Over<'a>(&'a mut [[u8; 4]], &'a [[u8; 4]]);

    impl Work for Over<'_> {
        type Output = ();
        #[inline(always)]
        fn run<R: Rows>(self, rows: R) {
            rows.over(self.0, self.1);
        }
    }

    struct Straight<'a>(&'a mut [[u8; 4]], &'a [[u8; 4]], [u8; 4]);

    impl Work for Straight<'_> {
        type Output = ();
        #[inline(always)]
        fn run<R: Rows>(self, rows: R) {
            rows.straight(self.0, self.1, self.2);
        }
    }

    /// Every pair of a colour and an alpha that is not below it.
    fn premultiplied() -> Vec<[u8; 4]> {
        let pairs = (0..=255_u8).flat_map(|a| (0..=a).map(move |c| (c, a)));
        pairs.map(|(c, a)| [c, a - c, c / 2, a]).collect()
    }

    #[test]
    fn every_processor_here_has_a_level_beyond_the_scalar_one() {
        let levels = SimdLevel::available();
        assert!(levels.len() > 1, "{levels:?}");
        assert_eq!(
            levels.last().unwrap().name(),
            SimdLevel::detect().name(),
            "the widest is taken"
        );
        for level in levels {
            assert_eq!(level.name().parse(), Ok(level));
        }
        let error = "mmx".parse::<SimdLevel>().unwrap_err().to_string();
        assert!(
            error.contains("\"mmx\"") && error.contains("scalar"),
            "{error}"
        );
    }

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "levels are 0 to 255"
    )]
    fn straight_alpha_is_the_rounded_quotient_at_every_level() {
        let pixels = premultiplied();
        for level in SimdLevel::available() {
            for places in PLACES {
                let mut out = vec![[9; 4]; pixels.len()];
                level.run(Straight(&mut out, &pixels, places));
                for (out, pixel) in out.iter().zip(&pixels) {
                    let a = f64::from(pixel[3].max(1));
                    let quotient = |c: u8| (f64::from(c) * 255.0 / a + 0.5).floor() as u8;
                    let [r, g, b, a] = *pixel;
                    let expected = [quotient(r), quotient(g), quotient(b), a];
                    let got = places.map(|place| out[place as usize]);
                    assert_eq!(got, expected, "{pixel:?} to {places:?}, {level}");
                }
            }
        }
    }

    #[test]
    fn source_over_is_the_scalar_one_at_every_level() {
        let sources = premultiplied();
        for level in SimdLevel::available() {
            for under in [0, 1, 2, 127, 128, 254, 255_u8] {
                let mut pixels = vec![[under, under / 2, 0, under]; sources.len()];
                level.run(Over(&mut pixels, &sources));
                for (pixel, source) in pixels.iter().zip(&sources) {
                    let mut expected = [under, under / 2, 0, under];
                    over(&mut expected, *source);
                    assert_eq!(*pixel, expected, "{source:?} over {under}, {level}");
                }
            }
        }
    }

    #[test]
    fn source_over_stays_premultiplied_and_in_range() {
        for source in premultiplied() {
            for under in 0..=255_u8 {
                let mut pixel = [under, under / 2, 0, under];
                over(&mut pixel, source);
                let [r, g, b, alpha] = pixel;
                assert!(
                    r.max(g).max(b) <= alpha,
                    "{source:?} over {under}: {pixel:?}"
                );
            }
        }
        let mut pixel = [10, 20, 30, 40];
        over(&mut pixel, [0; 4]);
        assert_eq!(pixel, [10, 20, 30, 40], "transparent is identity");
        over(&mut pixel, [1, 2, 3, 255]);
        assert_eq!(pixel, [1, 2, 3, 255], "opaque is copy");
    }

    proptest! {
        #[test]
        fn rows_of_every_length_and_content_agree(
            pairs in prop::collection::vec(any::<([u8; 4], [u8; 4])>(), 0..70),
            places in prop::sample::select(&PLACES),
        ) {
            let (under, source): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let (mut over, mut straight) = (under.clone(), under.clone());
            SimdLevel::scalar().run(Over(&mut over, &source));
            SimdLevel::scalar().run(Straight(&mut straight, &source, places));
            for level in SimdLevel::available() {
                let (mut over_here, mut straight_here) = (under.clone(), under.clone());
                level.run(Over(&mut over_here, &source));
                level.run(Straight(&mut straight_here, &source, places));
                prop_assert_eq!(&over_here, &over, "{}", level);
                prop_assert_eq!(&straight_here, &straight, "{}", level);
            }
        }
    }
}
