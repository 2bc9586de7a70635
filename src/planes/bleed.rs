//! Colour for clear pixels near those that show something.
//!
//! Samples of chroma are of several pixels and are interpolated, and lossy codecs blur, so that
//! the colour of what is clear shows at edges: it is that of the nearest pixel that shows. Where
//! next to nothing shows the same is done, as a channel of alpha 1 is 0 or 255.

use fearless_simd::{Simd, prelude::*, u8x64, u32x16};

use super::Picture;
use super::tile::copy;
use crate::frame::{BLOCK, Ink, PixelFormat, Pixels, Size, blocks, columns};
use crate::pixel::VectorWork;

/// How far colour goes, in pixels to the side plus pixels up or down. As far as transforms of 8
/// pixels reach; twice that is no better and not smaller in VP9.
const REACH: u32 = 7;

/// Pixels of less alpha are repainted, which is less than 8 levels over any background: their own
/// colour is coarse, and takes a third of all bits in VP9.
const FAINT: u32 = 8;

/// Pixels spread as words: 24 bits of colour, and above them how far that still goes. The greater
/// word wins, so that the nearest pixel does, and of those as near always the same one.
const STEP: u32 = 1 << 24;
const COLOUR: u32 = STEP - 1;

/// Blocks of one word of ink.
const BLOCKS: usize = u64::BITS as usize;

/// A copy of a straight picture with colour in clear pixels that are near others.
pub(super) struct Bleed {
    /// Alpha is last. Clear where there is no ink.
    pixels: Pixels,
    ink: Ink,
    /// The words of the row above or below.
    line: Vec<u32>,
    /// Of one row, where colours can get to: a bit each, and the numbers.
    near: Vec<u64>,
    numbers: Vec<usize>,
}

impl Bleed {
    pub(super) fn new(size: Size) -> Self {
        let (width, height) = (size.width() as usize, size.height() as usize);
        let blocks = width.div_ceil(BLOCK);
        let ink = Ink::new(width, height);
        Self {
            pixels: Pixels::clear(width * height),
            line: vec![0; blocks * BLOCK],
            near: vec![0; ink.row_words()],
            numbers: Vec::with_capacity(blocks),
            ink,
        }
    }

    /// The copy in place of the picture that it was made of.
    pub(super) fn of<'a>(&'a self, picture: Picture<'a>) -> Picture<'a> {
        Picture {
            format: match picture.format {
                PixelFormat::Rgba | PixelFormat::Argb => PixelFormat::Rgba,
                PixelFormat::Bgra | PixelFormat::Abgr => PixelFormat::Bgra,
            },
            pixels: &self.pixels,
            ink: &self.ink,
            ..picture
        }
    }
}

/// Makes the copy of a picture.
pub(super) struct Spread<'a> {
    pub(super) bleed: &'a mut Bleed,
    pub(super) picture: Picture<'a>,
}

impl VectorWork for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { bleed, picture } = self;
        let (width, height) = (
            picture.size.width() as usize,
            picture.size.height() as usize,
        );
        bleed.line.fill(0);
        for y in 0..height {
            bleed.find(&picture, y);
            bleed.spread_sideways(simd, &picture, y);
            bleed.spread_down(simd, y, width);
        }
        bleed.line.fill(0);
        for y in (0..height).rev() {
            bleed.spread_up(simd, &picture, y);
        }
    }
}

impl Bleed {
    /// Finds where colours can get to in a row, and then where its own can.
    fn find(&mut self, picture: &Picture<'_>, y: usize) {
        let (width, reach) = (picture.size.width() as usize, REACH as usize);
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(picture.size.height() as usize);
        widen(&mut self.near, rows.map(|y| picture.ink.row(y)), width);
        let row = &mut self.pixels[y * width..][..width];
        let words = self.ink.row_mut(y).iter_mut().zip(&self.near);
        let left = words.map(|(before, now)| std::mem::replace(before, *now) & !now);
        for block in blocks(left) {
            row[columns(block, width)].fill([0; 4]);
        }
        widen(&mut self.near, [picture.ink.row(y)].into_iter(), width);
        self.numbers.clear();
        self.numbers.extend(blocks(self.near.iter().copied()));
    }

    /// Makes words of a row's pixels and spreads them to both sides.
    #[inline(always)]
    fn spread_sideways<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, y: usize) {
        let width = picture.size.width() as usize;
        let source = &picture.pixels[y * width..][..width];
        let row = &mut self.pixels[y * width..][..width];
        let nothing = u32x16::splat(simd, 0);
        let mut before = (0, nothing);
        for &block in &self.numbers {
            let pixels = alpha_last(load(simd, &source[columns(block, width)]), picture.format);
            let strength = (((pixels >> 24) + 1) >> 1).min(REACH);
            let mut words = (pixels & COLOUR) | (strength << 24);
            let left = if before.0 == block { before.1 } else { nothing };
            words = words.max(further(left.slide::<15>(words), 1));
            words = words.max(further(left.slide::<14>(words), 2));
            words = words.max(further(left.slide::<12>(words), 4));
            store(&mut row[columns(block, width)], words);
            before = (block + 1, words);
        }
        let mut after = (0, nothing);
        for &block in self.numbers.iter().rev() {
            let mut words = load(simd, &row[columns(block, width)]);
            let right = if after.0 == block + 1 {
                after.1
            } else {
                nothing
            };
            words = words.max(further(words.slide::<1>(right), 1));
            words = words.max(further(words.slide::<2>(right), 2));
            words = words.max(further(words.slide::<4>(right), 4));
            store(&mut row[columns(block, width)], words);
            after = (block, words);
        }
    }

    /// Spreads words from the row above.
    #[inline(always)]
    fn spread_down<S: Simd>(&mut self, simd: S, y: usize, width: usize) {
        let row = &mut self.pixels[y * width..][..width];
        for block in blocks(self.ink.row(y).iter().copied()) {
            let line = &mut self.line[block * BLOCK..][..BLOCK];
            let mut words = further(u32x16::from_slice(simd, line), 1);
            let row = &mut row[columns(block, width)];
            if is_in(&self.near, block) {
                words = words.max(load(simd, row));
            }
            line.copy_from_slice(words.as_slice());
            store(row, words);
        }
    }

    /// Spreads words from the row below, and makes pixels of them.
    #[inline(always)]
    fn spread_up<S: Simd>(&mut self, simd: S, picture: &Picture<'_>, y: usize) {
        let width = picture.size.width() as usize;
        let source = &picture.pixels[y * width..][..width];
        let row = &mut self.pixels[y * width..][..width];
        for block in blocks(self.ink.row(y).iter().copied()) {
            let line = &mut self.line[block * BLOCK..][..BLOCK];
            let below = further(u32x16::from_slice(simd, line), 1);
            let row = &mut row[columns(block, width)];
            let words = load(simd, row).max(below);
            line.copy_from_slice(words.as_slice());
            let pixels = alpha_last(load(simd, &source[columns(block, width)]), picture.format);
            let painted = (words & COLOUR) | (pixels & !COLOUR);
            let is_faint = pixels.simd_lt(FAINT * STEP);
            store(row, is_faint.select(painted, pixels));
        }
    }
}

/// Marks what has ink in any of the rows, and the blocks beside it.
fn widen<'a>(near: &mut [u64], rows: impl Iterator<Item = &'a [u64]>, width: usize) {
    near.fill(0);
    for row in rows {
        for (near, word) in near.iter_mut().zip(row) {
            *near |= word;
        }
    }
    let mut carry = 0;
    for n in 0..near.len() {
        let word = near[n];
        let next = near.get(n + 1).map_or(0, |next| next << (BLOCKS - 1));
        near[n] |= word << 1 | word >> 1 | carry | next;
        carry = word >> (BLOCKS - 1);
    }
    let past = near.len() * BLOCKS - width.div_ceil(BLOCK);
    if let Some(last) = near.last_mut() {
        *last &= u64::MAX >> past;
    }
}

fn is_in(words: &[u64], block: usize) -> bool {
    words[block / BLOCKS] >> (block % BLOCKS) & 1 == 1
}

/// The words so many steps on; what gets no further is nothing.
#[inline(always)]
fn further<S: Simd>(words: u32x16<S>, steps: u32) -> u32x16<S> {
    words.max(steps * STEP) - steps * STEP
}

/// One block; what is missing of it at the right edge is nothing.
#[inline(always)]
fn load<S: Simd>(simd: S, pixels: &[[u8; 4]]) -> u32x16<S> {
    let mut whole = [[0; 4]; BLOCK];
    let pixels = if pixels.len() == BLOCK {
        pixels
    } else {
        whole[..pixels.len()].copy_from_slice(pixels);
        &whole
    };
    u8x64::from_slice(simd, pixels.as_flattened()).bitcast()
}

#[inline(always)]
fn store<S: Simd>(out: &mut [[u8; 4]], words: u32x16<S>) {
    let bytes: u8x64<S> = words.bitcast();
    copy::<{ 4 * BLOCK }>(out.as_flattened_mut(), bytes.as_slice());
}

/// Pixels with alpha in the highest bits.
#[inline(always)]
fn alpha_last<S: Simd>(pixels: u32x16<S>, format: PixelFormat) -> u32x16<S> {
    match format {
        PixelFormat::Rgba | PixelFormat::Bgra => pixels,
        PixelFormat::Argb | PixelFormat::Abgr => pixels >> 8 | pixels << 24,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Alpha, mark};
    use crate::pixel::SimdLevel;

    /// A pixel in ten shows something.
    fn pixel() -> impl Strategy<Value = [u8; 4]> {
        let shown = (any::<[u8; 3]>(), 1..40_u8).prop_map(|([r, g, b], alpha)| {
            // Most alphas are no longer faint.
            [r, g, b, alpha.saturating_mul(alpha)]
        });
        prop_oneof![9 => Just([0; 4]), 1 => shown]
    }

    fn picture() -> impl Strategy<Value = (usize, Vec<[u8; 4]>)> {
        (1..70_usize, 1..30_usize).prop_flat_map(|(width, height)| {
            let pixels = prop::collection::vec(pixel(), width * height);
            pixels.prop_map(move |pixels| (width, pixels))
        })
    }

    fn ink(width: usize, pixels: &[[u8; 4]]) -> Ink {
        let mut ink = Ink::new(width, pixels.len() / width);
        for (n, _) in pixels.iter().enumerate().filter(|(_, pixel)| pixel[3] > 0) {
            mark(ink.row_mut(n / width), &(n % width..n % width + 1));
        }
        ink
    }

    fn size(width: usize, pixels: &[[u8; 4]]) -> Size {
        let [width, height] = [width, pixels.len() / width].map(|n| u32::try_from(n).unwrap());
        Size::new(width, height).unwrap()
    }

    /// Every pixel as the greatest of all words of the picture, seen from there.
    fn expected(width: usize, pixels: &[[u8; 4]]) -> Vec<[u8; 4]> {
        let word = |from: usize, to: usize| {
            let steps = (from % width).abs_diff(to % width) + (from / width).abs_diff(to / width);
            let [r, g, b, alpha] = pixels[from];
            let strength = usize::from(alpha.div_ceil(2)).min(REACH as usize);
            let left = u8::try_from(strength.checked_sub(steps)?).unwrap();
            Some(u32::from_le_bytes([r, g, b, left]))
        };
        let spread = |(to, pixel): (usize, &[u8; 4])| {
            if u32::from(pixel[3]) >= FAINT {
                return *pixel;
            }
            let words = (0..pixels.len()).filter_map(|from| word(from, to));
            let [r, g, b, _] = words.max().unwrap_or(0).to_le_bytes();
            [r, g, b, pixel[3]]
        };
        pixels.iter().enumerate().map(spread).collect()
    }

    proptest! {
        #[test]
        fn colours_get_to_the_blocks_beside_ink(
            width in 1..5_000_usize,
            inked in prop::collection::vec((0..2_usize, 0..5_000_usize), 0..6),
        ) {
            let mut ink = Ink::new(width, 2);
            let mut expected = Vec::new();
            let wide = width.div_ceil(BLOCK);
            for (row, x) in inked {
                let x = x % width;
                mark(ink.row_mut(row), &(x..x + 1));
                let block = x / BLOCK;
                expected.extend(block.saturating_sub(1)..(block + 2).min(wide));
            }
            expected.sort_unstable();
            expected.dedup();
            let mut near = vec![u64::MAX; ink.row_words()];
            widen(&mut near, [0, 1].into_iter().map(|row| ink.row(row)), width);
            prop_assert_eq!(blocks(near.iter().copied()).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn each_clear_pixel_has_the_colour_of_the_nearest(
            (width, pixels) in picture(),
            order in 0..4_usize,
        ) {
            let format = PixelFormat::ALL[order];
            let ordered: Vec<_> = pixels.iter().map(|rgba| format.pixel(*rgba)).collect();
            let (size, ink) = (size(width, &pixels), ink(width, &pixels));
            let picture = Picture {
                size,
                alpha: Alpha::Straight,
                format,
                pixels: &ordered,
                ink: &ink,
                ground: [0; 4],
            };
            let nothing = Ink::new(width, pixels.len() / width);
            let clear = vec![[0; 4]; pixels.len()];
            for level in SimdLevel::available() {
                let mut bleed = Bleed::new(size);
                let mut fill = |picture| {
                    level.run_vectors(Spread { bleed: &mut bleed, picture });
                    let filled = bleed.of(picture);
                    let rgba = filled.pixels.iter().map(|pixel| filled.format.rgba(*pixel));
                    (rgba.collect::<Vec<_>>(), filled.ink.clone())
                };
                let (filled, spread) = fill(picture);
                // The greater word is of the order that the colours are in.
                if matches!(format, PixelFormat::Rgba | PixelFormat::Argb) {
                    prop_assert_eq!(&filled, &expected(width, &pixels), "{}", level);
                }
                for (n, pixel) in filled.iter().enumerate().filter(|(_, pixel)| **pixel != [0; 4]) {
                    let column = n % width..n % width + 1;
                    let mut marked = spread.row(n / width).to_vec();
                    mark(&mut marked, &column);
                    prop_assert_eq!(&marked[..], spread.row(n / width), "{:?} at {}", pixel, n);
                }
                let (filled, _) = fill(Picture { pixels: &clear, ink: &nothing, ..picture });
                prop_assert_eq!(&filled, &clear, "and what is gone leaves nothing");
            }
        }
    }
}
