//! The sprite sheet: every emoji and image in use, upright, at the size in use.
//!
//! This is the first of the two stages in which a browser draws a glyph and moves it: the
//! strike's bitmap is scaled once to whole pixels, as Skia does it for a bitmap font. Halvings
//! (a 2x2 box that truncates) until the scale is at least one half, then bilinear with 4-bit
//! fractions, truncating, at positions stepped in 32.32 fixed point. Float weights, a better
//! filter or none of the halvings each cost 25 dB or more against a browser's own picture.

mod sign;

use std::collections::HashMap;
use std::time::Duration;

pub use self::sign::Sign;

use self::sign::Signs;
use crate::artwork::Artwork;
use crate::artwork::timing::Timing;
use crate::emoji::{Bitmap, EmojiFonts, LineMetrics};
use crate::reaction::Emoji;

/// At most this many bytes of pixels are made for one sheet.
pub const SHEET_BYTES_MAX: usize = 512 << 20;

/// A sprite's box: what CSS lays out. In px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoxSize {
    /// The glyph's advance, rounded up to 1/64 px.
    pub width: f64,
    /// `line-height: normal`: ascent and descent, each rounded.
    pub height: f64,
    /// From the box's top to the baseline.
    pub ascent: f64,
}

/// An emoji at its size: 8-bit RGBA, **premultiplied**, rows from the top, no padding.
/// Its left edge is that of the sprite's box.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The first row, downwards from the top of the sprite's box, in pixels of the layer; 0 or
    /// negative.
    pub top: i32,
    /// Pixels of the layer to a device px: above 1 for what grows.
    pub scale: f64,
    /// `width * height` of them.
    pub pixels: Vec<[u8; 4]>,
}

/// What a sheet is to have: one emoji or image, at its size.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What reactions ask for.
    pub emoji: &'a Emoji,
    /// The name of the reaction, for its class in the stylesheet.
    pub reaction: Option<&'a str>,
    /// In device px, 1 to 8000.
    pub font_size_px: f64,
    /// How many times its size it grows to, above 0: its picture is made for that size.
    pub growth: f64,
    /// What to show in place of the emoji's glyph.
    pub artwork: Option<&'a Artwork>,
}

/// One subject, drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The name of the reaction, for its class in the stylesheet.
    pub reaction: Option<String>,
    /// The sprite's box.
    pub box_size: BoxSize,
    /// The number of its first layer.
    first_layer: u32,
    /// The number of its last one.
    last_layer: u32,
    /// When which of its layers shows, if there is more than one.
    timing: Option<Timing>,
}

impl Figure {
    /// The number of the layer that shows at a sprite's age.
    #[must_use]
    pub fn layer_at(&self, age: Duration) -> u32 {
        let frame = self
            .timing
            .as_ref()
            .map_or(0, |timing| timing.frame_at(age));
        let frame = u32::try_from(frame).unwrap_or(0);
        self.first_layer.saturating_add(frame).min(self.last_layer)
    }
}

/// Of the largest emoji's font size: the size at which the signs of numbers are made.
const EM_SHARE: f64 = 0.65;

/// Figures by number, which emoji has which, and their layers; and the signs of numbers.
#[derive(Clone, Debug)]
pub struct SpriteSheet {
    figures: Vec<Figure>,
    by_emoji: HashMap<Emoji, usize>,
    layers: Vec<Layer>,
    signs: Signs,
    substituted: Vec<Emoji>,
}

/// The sheet would be larger than [`SHEET_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many different pictures at this font size: they would take more than {} MiB", SHEET_BYTES_MAX >> 20)]
pub struct SheetTooLarge;

impl SpriteSheet {
    /// The pictures of all subjects; of those with one emoji, the first's.
    ///
    /// # Errors
    /// More than [`SHEET_BYTES_MAX`] of pixels.
    pub fn new<'a>(
        fonts: &EmojiFonts,
        subjects: impl IntoIterator<Item = Subject<'a>>,
    ) -> Result<Self, SheetTooLarge> {
        let mut sheet = Self {
            figures: Vec::new(),
            by_emoji: HashMap::new(),
            layers: Vec::new(),
            signs: Signs::default(),
            substituted: Vec::new(),
        };
        let (mut bytes, mut font_size_px) = (0, 0.0_f64);
        for subject in subjects {
            if sheet.by_emoji.contains_key(subject.emoji) {
                continue;
            }
            font_size_px = font_size_px.max(subject.font_size_px * subject.growth);
            let first = sheet.layers.len();
            let line = BoxSize::new(fonts, subject.font_size_px);
            let mut figure = Figure {
                reaction: subject.reaction.map(Into::into),
                box_size: line,
                first_layer: u32::try_from(first).map_err(|_| SheetTooLarge)?,
                last_layer: 0,
                timing: None,
            };
            if let Some(artwork) = subject.artwork {
                let (width, height) = artwork.size(line.height);
                let frames = artwork
                    .frames(line.height * subject.growth)
                    .map_err(|_| SheetTooLarge)?;
                let layers = frames.into_iter().map(|frame| Layer {
                    scale: frame.height as f64 / f64::from(height),
                    width: frame.width,
                    height: frame.height,
                    top: 0,
                    pixels: frame.pixels,
                });
                sheet.layers.extend(layers);
                // A picture is its own box, and stands on the line.
                figure.box_size = BoxSize {
                    width: width.into(),
                    height: height.into(),
                    ascent: height.into(),
                };
                figure.timing = Some(artwork.timing().clone());
            } else {
                let picture = fonts.picture(subject.emoji);
                let metrics = fonts.line_metrics();
                let layer = Layer {
                    scale: subject.growth,
                    ..Layer::new(
                        &picture.bitmap,
                        metrics,
                        subject.font_size_px * subject.growth,
                    )
                };
                sheet.layers.push(layer);
                if picture.substituted {
                    sheet.substituted.push(subject.emoji.clone());
                }
            }
            bytes += sheet.layers[first..]
                .iter()
                .map(|layer| layer.pixels.len() * 4)
                .sum::<usize>();
            if bytes > SHEET_BYTES_MAX {
                return Err(SheetTooLarge);
            }
            let last = sheet.layers.len().saturating_sub(1).max(first);
            figure.last_layer = u32::try_from(last).map_err(|_| SheetTooLarge)?;
            let emoji = subject.emoji.clone();
            sheet.by_emoji.insert(emoji, sheet.figures.len());
            sheet.figures.push(figure);
        }
        let first = u32::try_from(sheet.layers.len()).map_err(|_| SheetTooLarge)?;
        let (signs, layers) = Signs::new(font_size_px * EM_SHARE, first);
        sheet.signs = signs;
        sheet.layers.extend(layers);
        Ok(sheet)
    }

    /// `×` and a number in digits that are so many px high, the upper right corner of the last one
    /// at `(x, y)`, from the last to the first.
    pub fn number(
        &self,
        number: u32,
        digit_px: f64,
        corner: (f64, f64),
    ) -> impl Iterator<Item = Sign> + use<> {
        self.signs.number(number, digit_px, corner)
    }

    /// The number of the emoji's figure; `None` if it was not among those that the sheet was made
    /// for.
    #[must_use]
    pub fn find(&self, emoji: &Emoji) -> Option<usize> {
        self.by_emoji.get(emoji).copied()
    }

    /// All of them, by number.
    #[must_use]
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// The layer of that number.
    #[must_use]
    pub fn layer(&self, number: u32) -> Option<&Layer> {
        self.layers.get(number as usize)
    }

    /// The same pictures for a frame that is so many times smaller: means of pixels, so that nothing
    /// of them is passed over. Boxes and signs are those of the frame that they were made for.
    #[must_use]
    pub fn reduced(&self, times: f64) -> Self {
        Self {
            layers: self
                .layers
                .iter()
                .map(|layer| layer.reduced(times))
                .collect(),
            ..self.clone()
        }
    }

    /// The emoji that no font has, in the order given: they show the substitute.
    #[must_use]
    pub fn substituted(&self) -> &[Emoji] {
        &self.substituted
    }
}

impl BoxSize {
    /// The width is that of the first font's strike; Noto Color Emoji has one for all emoji.
    fn new(fonts: &EmojiFonts, font_size_px: f64) -> Self {
        let bitmap = fonts.picture(&Emoji::new(crate::emoji::SUBSTITUTE)).bitmap;
        let (ascent, descent) = line(fonts.line_metrics(), font_size_px);
        #[expect(clippy::cast_precision_loss, reason = "a bitmap's side is small")]
        let advance = font_size_px * bitmap.width as f64 / f64::from(bitmap.ppem);
        Self {
            width: (advance * 64.0).ceil() / 64.0,
            height: ascent + descent,
            ascent,
        }
    }
}

/// Ascent and descent in px, each rounded half up, as Blink's `SimpleFontData` has them.
fn line(metrics: LineMetrics, font_size_px: f64) -> (f64, f64) {
    let round = |units: f64| (units * font_size_px / metrics.units_per_em + 0.5).floor();
    (round(metrics.ascent), round(metrics.descent))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sides are at most a few thousand pixels, and Skia's arithmetic is 32-bit float"
)]
impl Layer {
    fn new(bitmap: &Bitmap, metrics: LineMetrics, font_size_px: f64) -> Self {
        let ppem = f64::from(bitmap.ppem);
        let scale = font_size_px / ppem;
        let (ascent, descent) = line(metrics, font_size_px);
        // The bitmap's upper edge, from the top of the box.
        let edge = ascent - f64::from(bitmap.top) * scale;
        let (bitmap_width, bitmap_height) =
            (bitmap.width as f64 * scale, bitmap.height as f64 * scale);
        let first = (edge + 1e-9).floor().min(0.0);
        let last = (edge + bitmap_height - 1e-9).ceil().max(ascent + descent);
        let (width, height) = (bitmap_width.ceil() as usize, (last - first) as usize);
        let edge = edge - first;

        let halvings = if scale < 0.5 {
            (1.0 / scale).log2().floor() as u32
        } else {
            0
        };
        let source = (0..halvings).fold(Strike::new(bitmap), |strike, _| strike.halved());
        let grid = SampleGrid::new(bitmap, font_size_px, halvings, ascent - first);
        let inside = |x: usize, y: usize| {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            x < bitmap_width && y >= edge && y < edge + bitmap_height
        };
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let v = grid.v(y);
            for x in 0..width {
                pixels.push(if inside(x, y) {
                    source.sample(grid.u(x), v)
                } else {
                    [0; 4]
                });
            }
        }
        Self {
            width,
            height,
            top: first as i32,
            scale: 1.0,
            pixels,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "means of bytes; sides of a layer, and less"
)]
impl Layer {
    /// With squares of pixels made one, as large as they may be if the layer is then drawn so many
    /// times smaller.
    fn reduced(&self, times: f64) -> Self {
        let side = (self.scale * times).max(1.0) as usize;
        // The first row of squares may begin above the layer.
        let above = (-self.top).max(0) as usize;
        let top = above.div_ceil(side);
        let skipped = top * side - above;
        let (width, height) = (
            self.width.div_ceil(side),
            (skipped + self.height).div_ceil(side),
        );
        let mut sums = vec![[0_u64; 4]; width * height];
        for (y, row) in self.pixels.chunks_exact(self.width.max(1)).enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                let sum = &mut sums[(y + skipped) / side * width + x / side];
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += u64::from(*value);
                }
            }
        }
        let count = (side * side) as u64;
        Self {
            width,
            height,
            top: -(top as i32),
            scale: self.scale / side as f64,
            pixels: sums
                .into_iter()
                .map(|sum| sum.map(|value| (value / count) as u8))
                .collect(),
        }
    }
}

/// Where each pixel of a layer samples the strike, in 1/16 texel from the centre of the first.
///
/// The order of 32-bit float operations is Skia's: it decides between neighbouring sixteenths.
struct SampleGrid {
    u_start: i64,
    u_step: i64,
    step: f32,
    v_offset: f32,
    /// The layer's first row, from the glyph mask's first row.
    first_row: f64,
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "that is what the fixed-point steps do"
)]
impl SampleGrid {
    fn new(bitmap: &Bitmap, font_size_px: f64, halvings: u32, ascent: f64) -> Self {
        let scale = font_size_px as f32 / f32::from(bitmap.ppem);
        let shrink = 1.0 / (1_u32 << halvings.min(31)) as f32;
        let top = (f64::from(-bitmap.top) * f64::from(scale)).floor();
        let inverse = 1.0 / scale;
        let step = inverse * shrink;
        let translate = scale * (-bitmap.top) as f32 + (-top) as f32;
        Self {
            u_start: fixed(0.5 * step) - HALF,
            u_step: fixed(step),
            step,
            v_offset: -translate * inverse * shrink,
            first_row: ascent + top,
        }
    }

    fn u(&self, x: usize) -> i64 {
        (self.u_start + x as i64 * self.u_step) >> 28
    }

    fn v(&self, y: usize) -> i64 {
        let row = (y as f64 - self.first_row + 0.5) as f32;
        (fixed(row * self.step + self.v_offset) - HALF) >> 28
    }
}

/// One half in 32.32 fixed point.
const HALF: i64 = 1 << 31;

#[expect(
    clippy::cast_possible_truncation,
    reason = "truncation is part of Skia's conversion"
)]
fn fixed(value: f32) -> i64 {
    (f64::from(value) * 4_294_967_296.0) as i64
}

/// A strike's bitmap, halved some number of times.
struct Strike {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "coordinates are clamped to the strike, and averages of bytes are bytes"
)]
impl Strike {
    fn new(bitmap: &Bitmap) -> Self {
        Self {
            width: bitmap.width,
            height: bitmap.height,
            pixels: bitmap.pixels.clone(),
        }
    }

    /// Means of 2x2 pixels, truncated.
    fn halved(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (x, y) = (2 * x as i64, 2 * y as i64);
                let four = [
                    self.at(x, y),
                    self.at(x + 1, y),
                    self.at(x, y + 1),
                    self.at(x + 1, y + 1),
                ];
                pixels.push(std::array::from_fn(|c| {
                    (four.iter().map(|p| u32::from(p[c])).sum::<u32>() / 4) as u8
                }));
            }
        }
        Self {
            width,
            height,
            pixels,
        }
    }

    /// The nearest pixel of the bitmap.
    fn at(&self, x: i64, y: i64) -> [u8; 4] {
        let x = x.clamp(0, self.width as i64 - 1) as usize;
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        self.pixels[y * self.width + x]
    }

    /// Bilinear between four pixels, truncated; coordinates in 1/16 pixel.
    fn sample(&self, u: i64, v: i64) -> [u8; 4] {
        let (x, y) = (u >> 4, v >> 4);
        let (fx, fy) = ((u & 15) as u32, (v & 15) as u32);
        let weighted = [
            (self.at(x, y), (16 - fx) * (16 - fy)),
            (self.at(x + 1, y), fx * (16 - fy)),
            (self.at(x, y + 1), (16 - fx) * fy),
            (self.at(x + 1, y + 1), fx * fy),
        ];
        std::array::from_fn(|c| {
            (weighted
                .iter()
                .map(|(p, w)| u32::from(p[c]) * w)
                .sum::<u32>()
                >> 8) as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(font_size_px: f64) -> Layer {
        let emoji = Emoji::new("❤️");
        let subject = Subject {
            emoji: &emoji,
            reaction: None,
            font_size_px,
            growth: 1.0,
            artwork: None,
        };
        let sheet = SpriteSheet::new(&EmojiFonts::bundled(), [subject]).unwrap();
        sheet.layer(0).unwrap().clone()
    }

    #[test]
    fn the_box_is_what_a_browser_lays_out() {
        let size = |px| BoxSize::new(&EmojiFonts::bundled(), px);
        assert_eq!(
            size(30.0),
            BoxSize {
                width: 37.4375,
                height: 35.0,
                ascent: 28.0
            }
        );
    }

    #[test]
    fn at_the_strikes_own_size_it_is_the_strike() {
        let bitmap = EmojiFonts::bundled().picture(&Emoji::new("❤️")).bitmap;
        let layer = layer(109.0);
        let rows: Vec<_> = layer.pixels.chunks(layer.width).collect();
        let skip = rows
            .iter()
            .position(|row| row.iter().any(|p| p[3] > 0))
            .unwrap();
        let first = bitmap
            .pixels
            .chunks(136)
            .position(|row| row.iter().any(|p| p[3] > 0))
            .unwrap();
        for (row, expected) in rows[skip..]
            .iter()
            .zip(bitmap.pixels.chunks(136).skip(first))
        {
            assert_eq!(&row[..136], expected);
        }
    }

    #[test]
    fn every_size_stays_premultiplied_and_shows_something() {
        for px in [
            1.0, 1.5, 6.0, 7.0, 16.0, 30.0, 54.4, 54.5, 109.0, 200.0, 1_000.0,
        ] {
            let layer = layer(px);
            assert_eq!(layer.pixels.len(), layer.width * layer.height, "{px}");
            assert!(
                layer
                    .pixels
                    .iter()
                    .all(|&[r, g, b, a]| r.max(g).max(b) <= a),
                "{px}"
            );
            assert!(layer.pixels.iter().any(|p| p[3] > 128), "{px}");
        }
    }
}
