//! Animated GIF. A pixel is clear or opaque: its alpha counts from [`OPAQUE_MIN`] on. Where a
//! picture has more colours than a palette holds, its colours are dithered by error diffusion
//! (Floyd and Steinberg 1976) among those that show; alpha is never dithered.
//!
//! A picture's length is in 1/100 s, from its time to the next one's, each to the nearest, so that
//! nothing drifts. Players show what lasts a single one far too long: of pictures that follow one
//! another so fast, above 50 a second, some are left out.

use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};
use gif::{DisposalMethod, Encoder, EncodingError, Frame as GifFrame, Repeat};
use rustc_hash::FxHashMap;

use super::convert::Converter;
use super::stream::{Stream, is_end};
use super::{Flow, cannot_write};
use crate::frame::{Frame, FrameRate, Size};

/// The least alpha that is shown.
const OPAQUE_MIN: u8 = 128;

/// Colours of a palette; one more place is for what is clear.
const COLOURS: usize = 255;

/// Hundredths of a second that a picture lasts at least.
const TICKS_MIN: u64 = 2;

/// Pixels from which a palette is chosen; of larger pictures as many, evenly.
const PALETTE_SAMPLES: usize = 1 << 14;

/// An animated GIF that is being written.
pub struct Gif {
    name: String,
    encoder: Encoder<BufWriter<Stream>>,
    converter: Converter,
    size: Size,
    rate: FrameRate,
    /// The index of the first frame, which is at time 0.
    first: Option<u64>,
    /// The picture that waits for its length, and its time in 1/100 s.
    waiting: Option<(GifFrame<'static>, u64)>,
    quantizer: Quantizer,
}

impl std::fmt::Debug for Gif {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gif({})", self.name)
    }
}

impl Gif {
    pub(super) fn new(
        name: String,
        stream: Stream,
        converter: Converter,
        size: Size,
        rate: FrameRate,
    ) -> Result<Self> {
        // A size is at most 16384.
        let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
        let (width, height) = (side(size.width()), side(size.height()));
        let encoder = Encoder::new(BufWriter::new(stream), width, height, &[]);
        let repeats = |mut encoder: Encoder<_>| {
            encoder.set_repeat(Repeat::Infinite)?;
            Ok::<_, EncodingError>(encoder)
        };
        let encoder = encoder.and_then(repeats);
        Ok(Self {
            encoder: encoder.with_context(|| cannot_write(&name))?,
            name,
            converter,
            size,
            rate,
            first: None,
            waiting: None,
            quantizer: Quantizer::default(),
        })
    }

    pub(super) fn write(&mut self, frame: &Frame, index: u64) -> Result<Flow> {
        let first = *self.first.get_or_insert(index);
        let now = self.ticks(index - first);
        if let Some((_, at)) = &self.waiting
            && now < at + TICKS_MIN
        {
            return Ok(Flow::Open);
        }
        let flow = self.send(now)?;
        let width = self.size.width() as usize;
        let picture = self.converter.convert(frame);
        let picture = self.quantizer.picture(picture.as_bytes(), width);
        self.waiting = Some((picture, now));
        Ok(flow)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if let Some((_, at)) = &self.waiting {
            let end = at + self.ticks(1).max(TICKS_MIN);
            // A reader that is gone needs no end.
            if self.send(end)? == Flow::Closed {
                return Ok(());
            }
        }
        let ended = self.encoder.into_inner().map_err(io_error);
        let ended = ended.and_then(|mut file| file.flush());
        match ended {
            Err(error) if !is_end(&error) => Err(error).with_context(|| cannot_write(&self.name)),
            _ => Ok(()),
        }
    }

    /// A frame's time in 1/100 s, to the nearest.
    fn ticks(&self, index: u64) -> u64 {
        let (num, den) = (u128::from(self.rate.num()), u128::from(self.rate.den()));
        let ticks = (200 * u128::from(index) * den + num) / (2 * num);
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Writes the picture that waits, which lasts until `end`.
    fn send(&mut self, end: u64) -> Result<Flow> {
        let Some((mut picture, at)) = self.waiting.take() else {
            return Ok(Flow::Open);
        };
        picture.delay = u16::try_from(end - at).unwrap_or(u16::MAX);
        let written = self.encoder.write_frame(&picture).map_err(io_error);
        match written.and_then(|()| self.encoder.get_mut().flush()) {
            Ok(()) => Ok(Flow::Open),
            Err(error) if is_end(&error) => Ok(Flow::Closed),
            Err(error) => Err(error).with_context(|| cannot_write(&self.name)),
        }
    }
}

fn io_error(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Makes pictures of at most 256 colours, and keeps its memory between them.
#[derive(Default)]
struct Quantizer {
    /// The places of the colours of one picture.
    places: FxHashMap<[u8; 3], u8>,
}

/// Columns and rows of what shows.
#[derive(Clone, Copy)]
struct Bounds {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Quantizer {
    /// One picture of RGBA bytes: what shows, in a box of its own, with its palette.
    fn picture(&mut self, rgba: &[u8], width: usize) -> GifFrame<'static> {
        let (pixels, _) = rgba.as_chunks::<4>();
        // A clear picture has a single clear pixel.
        let bounds = bounds(pixels, width).unwrap_or(Bounds {
            left: 0,
            top: 0,
            right: 1,
            bottom: 1,
        });
        let Bounds {
            left,
            top,
            right,
            bottom,
        } = bounds;
        let rows = || {
            let rows = pixels.chunks(width).take(bottom).skip(top);
            rows.map(move |row| &row[left..right])
        };
        let shown = || rows().flatten().filter(|pixel| shows(pixel)).map(rgb);
        let (palette, buffer) = match self.few(shown()) {
            Some(palette) => {
                let place = |pixel: &[u8; 4]| match shows(pixel) {
                    true => self.places[&rgb(pixel)],
                    false => u8::MAX,
                };
                (palette, rows().flatten().map(place).collect())
            }
            None => dithered(rows, shown().count(), right - left),
        };
        let side = |side: usize| u16::try_from(side).unwrap_or(u16::MAX);
        GifFrame {
            left: side(left),
            top: side(top),
            width: side(right - left),
            height: side(bottom - top),
            palette: Some(palette),
            transparent: Some(u8::MAX),
            // The next picture starts clear.
            dispose: DisposalMethod::Background,
            buffer: std::borrow::Cow::Owned(buffer),
            ..GifFrame::default()
        }
    }

    /// The palette of a picture that has few enough colours, whose places are then known.
    fn few(&mut self, colours: impl Iterator<Item = [u8; 3]>) -> Option<Vec<u8>> {
        self.places.clear();
        let mut palette = Vec::with_capacity(3 * (COLOURS + 1));
        for colour in colours {
            if self.places.contains_key(&colour) {
                continue;
            }
            // Fails at the 256th colour: its place is for what is clear.
            let place = u8::try_from(self.places.len()).ok();
            let place = place.filter(|place| *place < u8::MAX)?;
            self.places.insert(colour, place);
            palette.extend(colour);
        }
        palette.resize(3 * (COLOURS + 1), 0);
        Some(palette)
    }
}

/// A palette for so many pixels that show, and the places of all, errors diffused among those.
fn dithered<'a, R: Iterator<Item = &'a [[u8; 4]]>>(
    rows: impl Fn() -> R,
    shown: usize,
    width: usize,
) -> (Vec<u8>, Vec<u8>) {
    let step = shown.div_ceil(PALETTE_SAMPLES).max(1);
    let samples: Vec<u8> = rows()
        .flatten()
        .filter(|pixel| shows(pixel))
        .step_by(step)
        .flat_map(|[r, g, b, _]| [*r, *g, *b, u8::MAX])
        .collect();
    let chosen = color_quant::NeuQuant::new(1, COLOURS, &samples);
    let mut palette = chosen.color_map_rgb();
    palette.resize(3 * (COLOURS + 1), 0);

    // In sixteenths of a level; one column more on either side.
    let mut errors = [vec![[0_i32; 3]; width + 2], vec![[0; 3]; width + 2]];
    let mut places = Vec::new();
    for row in rows() {
        let [here, below] = &mut errors;
        for (x, pixel) in row.iter().enumerate() {
            if !shows(pixel) {
                places.push(u8::MAX);
                continue;
            }
            let wanted: [i32; 3] = std::array::from_fn(|n| {
                (i32::from(pixel[n]) + (here[x + 1][n] + 8).div_euclid(16)).clamp(0, 255)
            });
            let [r, g, b] = wanted.map(|level| u8::try_from(level).unwrap_or(u8::MAX));
            let place = chosen.index_of(&[r, g, b, u8::MAX]).min(COLOURS - 1);
            places.push(u8::try_from(place).unwrap_or(u8::MAX));
            for n in 0..3 {
                let error = wanted[n] - i32::from(palette[3 * place + n]);
                here[x + 2][n] += 7 * error;
                below[x][n] += 3 * error;
                below[x + 1][n] += 5 * error;
                below[x + 2][n] += error;
            }
        }
        errors.swap(0, 1);
        errors[1].fill([0; 3]);
    }
    (palette, places)
}

/// The least box with all that shows.
fn bounds(pixels: &[[u8; 4]], width: usize) -> Option<Bounds> {
    let mut found: Option<Bounds> = None;
    for (y, row) in pixels.chunks(width).enumerate() {
        let Some(first) = row.iter().position(shows) else {
            continue;
        };
        let end = row.iter().rposition(shows).unwrap_or(first) + 1;
        let before = found.unwrap_or(Bounds {
            left: first,
            top: y,
            right: end,
            bottom: y,
        });
        found = Some(Bounds {
            left: before.left.min(first),
            right: before.right.max(end),
            top: before.top,
            bottom: y + 1,
        });
    }
    found
}

fn shows(pixel: &[u8; 4]) -> bool {
    pixel[3] >= OPAQUE_MIN
}

fn rgb([r, g, b, _]: &[u8; 4]) -> [u8; 3] {
    [*r, *g, *b]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_colours_are_exact_and_the_box_is_of_what_shows() {
        let mut pixels = [[9, 9, 9, 127]; 12];
        pixels[5] = [1, 2, 3, 128];
        pixels[6] = [4, 5, 6, 255];
        let picture = Quantizer::default().picture(pixels.as_flattened(), 4);
        assert_eq!((picture.left, picture.top), (1, 1));
        assert_eq!((picture.width, picture.height), (2, 1));
        assert_eq!(picture.buffer.as_ref(), [0, 1]);
        assert_eq!(picture.palette.unwrap()[..6], [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_clear_picture_has_one_clear_pixel() {
        let picture = Quantizer::default().picture(&[0; 4 * 12], 4);
        assert_eq!((picture.width, picture.height), (1, 1));
        assert_eq!(picture.buffer.as_ref(), [u8::MAX]);
        assert_eq!(picture.transparent, Some(u8::MAX));
    }

    #[test]
    fn many_colours_are_near_and_right_on_average() {
        // A ramp of 64x64 colours.
        let ramp = |n: usize| {
            let level = |n: usize| u8::try_from(n * 4).unwrap();
            [level(n % 64), level(n / 64), 77, 255]
        };
        let pixels: Vec<[u8; 4]> = (0..64 * 64).map(ramp).collect();
        let picture = Quantizer::default().picture(pixels.as_flattened(), 64);
        let palette = picture.palette.unwrap();
        let mut sums = [0_i64; 3];
        for (pixel, place) in pixels.iter().zip(picture.buffer.iter()) {
            assert_ne!(*place, u8::MAX, "what shows is not clear");
            for n in 0..3 {
                let shown = palette[3 * usize::from(*place) + n];
                assert!(shown.abs_diff(pixel[n]) < 64, "{pixel:?}: {shown}");
                sums[n] += i64::from(shown) - i64::from(pixel[n]);
            }
        }
        // Diffused errors leave at most the border.
        assert!(sums.iter().all(|sum| sum.abs() < 64 * 64), "{sums:?}");
    }
}
