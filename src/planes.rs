//! Pictures as video outputs take them: in the pixel formats of ffmpeg, luma and chroma by ITU-R
//! BT.709-6.
//!
//! A picture is converted in blocks of 16 pixels, and only those that show something or did in the
//! picture before; the others have the samples of the ground.

mod bleed;
mod format;
mod matrix;
mod tile;

use std::fmt;
use std::str::FromStr;

use fearless_simd::{Simd, prelude::*};

use self::bleed::{Bleed, Spread};
use self::format::{Layout, Spec};
pub use self::format::{Plane, VideoFormat};
use self::matrix::Matrix;
use self::tile::{Tile, Weight, chroma, pack, put};
use crate::frame::{Alpha, BLOCK, Frame, Ink, PixelFormat, Size, blocks, columns};
use crate::pixel::{SimdLevel, VectorWork};

/// The levels that luma and chroma have. From text: `limited` or `full`, or `tv` or `pc` as ffmpeg
/// has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Of 8 bits, 16 to 235 in luma and 16 to 240 in chroma: what video is if not told otherwise.
    #[default]
    Limited,
    /// All levels.
    Full,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limited => "limited",
            Self::Full => "full",
        })
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "limited" | "tv" => Ok(Self::Limited),
            "full" | "pc" => Ok(Self::Full),
            _ => Err(format!(
                "range {text:?}: expected limited (or tv) or full (or pc)"
            )),
        }
    }
}

/// What is converted: a [`Frame`], or other packed pixels most of which are all alike.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub(crate) size: Size,
    pub(crate) alpha: Alpha,
    pub(crate) format: PixelFormat,
    pub(crate) pixels: &'a [[u8; 4]],
    /// Where pixels may be other than the ground.
    pub(crate) ink: &'a Ink,
    /// R, G, B, A of all other pixels.
    pub(crate) ground: [u8; 4],
}

impl fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {}, {})", self.size, self.alpha, self.format)
    }
}

impl<'a> From<&'a Frame> for Picture<'a> {
    fn from(frame: &'a Frame) -> Self {
        Self {
            size: frame.size(),
            alpha: frame.alpha(),
            format: frame.format(),
            pixels: frame.pixels(),
            ink: frame.ink(),
            ground: [0; 4],
        }
    }
}

/// A picture in a video format, and what is kept to make the next one of it.
///
/// - Luma and chroma are to the nearest level, computed from 8 bits at the format's own precision.
/// - Alpha has all levels in every range.
/// - A chroma sample of several pixels is the mean of their colours: weighted by alpha in straight
///   pictures, so that the colour of what is clear does not bleed into what is not.
/// - A format without alpha shows the colours as they are: premultiplied ones are over black.
pub struct VideoFrame {
    size: Size,
    format: VideoFormat,
    range: Range,
    level: SimdLevel,
    samples: Samples,
    /// Where samples may be other than the ground's.
    ink: Ink,
    /// R, G, B, A of all other pixels.
    ground: [u8; 4],
    bleed: Option<Bleed>,
}

impl fmt::Debug for VideoFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VideoFrame({}, {}, {})",
            self.size, self.format, self.range
        )
    }
}

impl VideoFrame {
    /// A clear picture. The range is that of luma and chroma; other formats have none.
    #[must_use]
    pub fn new(size: Size, format: VideoFormat, range: Range) -> Self {
        let ground = [0; 4];
        let level = SimdLevel::detect();
        let mut samples = Samples::new(size, format, range);
        level.run_vectors(Lay {
            samples: &mut samples,
            ground,
        });
        Self {
            size,
            format,
            range,
            level,
            samples,
            ink: Ink::new(size.width() as usize, size.height() as usize),
            ground,
            bleed: None,
        }
    }

    /// Gives clear pixels, in straight pictures, the colour of the nearest that shows something, up
    /// to 7 away: lossy codecs and interpolated chroma then show no other colour at edges. Pixels
    /// of alpha below 8 have that of one beside them that shows more. Alpha stays as it is.
    #[must_use]
    pub fn with_bleed(mut self, bleed: bool) -> Self {
        self.bleed = bleed.then(|| Bleed::new(self.size));
        self
    }

    /// The picture's size in pixels.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The picture's format.
    #[must_use]
    pub fn format(&self) -> VideoFormat {
        self.format
    }

    /// The range of luma and chroma.
    #[must_use]
    pub fn range(&self) -> Range {
        self.range
    }

    /// Makes this the picture, whatever it was.
    ///
    /// # Panics
    /// The picture has another size.
    pub fn convert<'a>(&mut self, picture: impl Into<Picture<'a>>) {
        let picture = picture.into();
        assert_eq!(picture.size, self.size, "a picture of the same size");
        let Self {
            level,
            samples,
            ink,
            ground,
            bleed,
            ..
        } = self;
        let picture = match bleed {
            Some(bleed) if picture.alpha == Alpha::Straight => {
                level.run_vectors(Spread { bleed, picture });
                bleed.of(picture)
            }
            _ => picture,
        };
        if *ground != picture.ground {
            *ground = picture.ground;
            level.run_vectors(Lay {
                samples,
                ground: *ground,
            });
            ink.words_mut().fill(0);
        }
        level.run_vectors(Convert {
            samples,
            ink,
            picture,
        });
    }

    /// The planes, one after the other.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.samples.bytes
    }

    /// One plane, and the bytes of each of its rows.
    ///
    /// # Panics
    /// The format has no such plane.
    #[must_use]
    pub fn plane(&self, n: usize) -> (&[u8], usize) {
        let (start, plane) = self.samples.planes[n];
        let bytes = &self.samples.bytes[start..][..plane.width_bytes * plane.height];
        (bytes, plane.width_bytes)
    }
}

/// The planes of a picture.
struct Samples {
    spec: Spec,
    matrix: Matrix,
    width: usize,
    height: usize,
    /// Each with where it begins.
    planes: Vec<(usize, Plane)>,
    bytes: Vec<u8>,
}

impl Samples {
    fn new(size: Size, format: VideoFormat, range: Range) -> Self {
        let spec = format.spec();
        let mut bytes = 0;
        let planes = format.planes(size).into_iter().map(|plane| {
            let start = bytes;
            bytes += plane.width_bytes * plane.height;
            (start, plane)
        });
        let planes = planes.collect();
        Self {
            matrix: Matrix::new(spec.bits.min(10), range),
            spec,
            width: size.width() as usize,
            height: size.height() as usize,
            planes,
            bytes: vec![0; bytes],
        }
    }

    /// Rows of pixels whose chroma is one.
    fn rows_at_once(&self) -> usize {
        match self.spec.layout {
            Layout::Yuv { down, .. } => 1 << down,
            Layout::Nv12 => 2,
            _ => 1,
        }
    }

    /// So many bytes of a plane's row from a sample of so many bytes on, or as many as there are.
    #[inline(always)]
    fn row(&mut self, plane: usize, row: usize, first: usize, bytes: usize) -> &mut [u8] {
        let (start, plane) = self.planes[plane];
        let end = (first + bytes).min(plane.width_bytes);
        &mut self.bytes[start + row * plane.width_bytes..][first..end]
    }

    /// Puts one block of one row there, or of the two whose chroma is one.
    #[inline(always)]
    fn draw<S: Simd>(
        &mut self,
        simd: S,
        block: usize,
        y: usize,
        tiles: &[Tile<S>],
        weight: Weight,
    ) {
        let (bits, matrix) = (self.spec.bits, self.matrix);
        // Of a block in a plane of all pixels.
        let bytes = BLOCK * bits.div_ceil(8) as usize;
        match self.spec.layout {
            Layout::Packed(channels) => {
                let bytes = bytes * channels.len();
                let out = self.row(0, y, block * bytes, bytes);
                pack(out, channels, bits, &tiles[0]);
            }
            Layout::Planes(channels) => {
                for (plane, channel) in channels.iter().enumerate() {
                    let out = self.row(plane, y, block * bytes, bytes);
                    put(out, bits, tiles[0].channels[usize::from(*channel)]);
                }
            }
            Layout::Uyvy => {
                let luma: [i32; BLOCK] = tiles[0].levels(simd, matrix.luma).into();
                let chroma: [i32; BLOCK] = chroma(simd, &matrix, tiles, weight).into();
                let out = self.row(0, y, block * 2 * BLOCK, 2 * BLOCK);
                let (cb, cr) = chroma.split_at(BLOCK / 2);
                let pairs = luma.as_chunks::<2>().0.iter().zip(cb.iter().zip(cr));
                for (out, (luma, (cb, cr))) in out.as_chunks_mut::<4>().0.iter_mut().zip(pairs) {
                    *out = (cb | luma[0] << 8 | cr << 16 | luma[1] << 24).to_le_bytes();
                }
            }
            Layout::Luma | Layout::Yuv { .. } | Layout::Nv12 => {
                for (y, tile) in (y..self.height).zip(tiles) {
                    let out = self.row(0, y, block * bytes, bytes);
                    put(out, bits, tile.levels(simd, matrix.luma));
                    if self.spec.alpha {
                        put(self.row(3, y, block * bytes, bytes), bits, tile.alpha(bits));
                    }
                }
            }
        }
        match self.spec.layout {
            Layout::Yuv { right: 0, .. } => {
                for (plane, row) in (1..).zip(matrix.chroma) {
                    let out = self.row(plane, y, block * bytes, bytes);
                    put(out, bits, tiles[0].levels(simd, row));
                }
            }
            Layout::Yuv { down, .. } => {
                let half = bytes / 2;
                let mut samples = [0; 2 * BLOCK];
                put(
                    &mut samples[..bytes],
                    bits,
                    chroma(simd, &matrix, tiles, weight),
                );
                for (plane, samples) in [(1, &samples[..half]), (2, &samples[half..])] {
                    let out = self.row(plane, y >> down, block * half, half);
                    out.copy_from_slice(&samples[..out.len()]);
                }
            }
            Layout::Nv12 => {
                let chroma = chroma(simd, &matrix, tiles, weight);
                let swapped = chroma.slide::<{ BLOCK / 2 }>(chroma);
                let out = self.row(1, y / 2, block * bytes, bytes);
                put(out, bits, chroma.zip_low(swapped));
            }
            Layout::Packed(_) | Layout::Planes(_) | Layout::Uyvy | Layout::Luma => {}
        }
    }
}

/// Makes all pixels the ground.
struct Lay<'a> {
    samples: &'a mut Samples,
    ground: [u8; 4],
}

impl VectorWork for Lay<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { samples, ground } = self;
        let tiles = [Tile::load(simd, &[ground], [0, 1, 2, 3]); 2];
        // One line is drawn; the others are like it.
        for block in 0..samples.width.div_ceil(BLOCK) {
            let tiles = &tiles[..samples.rows_at_once()];
            samples.draw(simd, block, 0, tiles, Weight::Even);
        }
        for (start, plane) in &samples.planes {
            let rows = &mut samples.bytes[*start..][..plane.width_bytes * plane.height];
            for row in 1..plane.height {
                rows.copy_within(..plane.width_bytes, row * plane.width_bytes);
            }
        }
    }
}

/// Converts what shows something or did.
struct Convert<'a> {
    samples: &'a mut Samples,
    ink: &'a mut Ink,
    picture: Picture<'a>,
}

impl VectorWork for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            samples,
            ink,
            picture,
        } = self;
        let places = picture.format.places();
        let weight = match picture.alpha {
            Alpha::Straight => Weight::Alpha,
            Alpha::Premultiplied => Weight::Even,
        };
        let (width, height) = (samples.width, samples.height);
        let at_once = samples.rows_at_once();
        let (words, now, before) = (ink.row_words(), picture.ink.words(), ink.words_mut());
        for y in (0..height).step_by(at_once) {
            let last = (y + at_once - 1).min(height - 1);
            let touched = (0..words).map(|word| {
                (y..=last).fold(0, |touched, row| {
                    let (before, now) = (&mut before[row * words + word], now[row * words + word]);
                    touched | std::mem::replace(before, now) | now
                })
            });
            // Below the last row there is one more like it.
            let lines = [y, last].map(|y| &picture.pixels[y * width..][..width]);
            for block in blocks(touched) {
                let columns = columns(block, width);
                let first = Tile::load(simd, &lines[0][columns.clone()], places);
                if at_once == 1 {
                    samples.draw(simd, block, y, &[first], weight);
                } else {
                    let second = Tile::load(simd, &lines[1][columns], places);
                    samples.draw(simd, block, y, &[first, second], weight);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
