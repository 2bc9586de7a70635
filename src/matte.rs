//! Mattes: a frame with alpha as an opaque picture, for what carries no alpha.
//!
//! A switcher takes colour and alpha as two pictures, *fill* and *key*; two streams, or one frame
//! in halves. All others take the overlay over a background.

use std::fmt;
use std::str::FromStr;

use cssparser::color::{parse_hash_color, parse_named_color};

use crate::frame::{Alpha, Frame, Ink, PixelFormat, Pixels, Size, blocks, columns, mark, touched};
use crate::planes::{Picture, Range};

/// An opaque colour: R, G, B in sRGB. From text: `#rrggbb`, `#rgb` or a name of CSS Color 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour(pub [u8; 3]);

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = match text.strip_prefix('#') {
            Some(digits) if matches!(digits.len(), 3 | 6) => {
                let colour = parse_hash_color(digits.as_bytes()).ok();
                colour.map(|(r, g, b, _)| [r, g, b])
            }
            Some(_) => None,
            None => parse_named_color(text).ok().map(Into::into),
        };
        found.map(Self).ok_or_else(|| {
            format!(
                "colour {text:?}: expected an opaque one such as #00b140, or a name of CSS such as \
                 black or lime"
            )
        })
    }
}

/// How a frame with alpha becomes an opaque picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matte {
    /// Over a background, to the nearest level.
    Over(Colour),
    /// Its colours as they are: of a premultiplied frame those over black ("shaped"), of a straight
    /// one those that the key is yet to be multiplied with ("unshaped").
    Fill,
    /// Its alpha as a grey. [`Range::Limited`] is for RGB pictures alone, 16 to 235; those that
    /// become luma are of the range that luma gets, and are [`Range::Full`] here.
    Key(Range),
    /// The fill at the left and the key of full range at the right: twice as wide.
    SideBySide,
    /// The fill above and the key of full range below: twice as high.
    Stacked,
}

impl FromStr for Matte {
    type Err = String;

    /// Those without a value; a key's levels are full.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fill" => Ok(Self::Fill),
            "key" => Ok(Self::Key(Range::Full)),
            "side-by-side" => Ok(Self::SideBySide),
            "stacked" => Ok(Self::Stacked),
            _ => Err(format!(
                "matte {text:?}: expected fill, key, side-by-side or stacked"
            )),
        }
    }
}

/// A matte that would be larger than a frame can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "fill and key {layout} of {frame} frames are {width}x{height}: each side is at most {max}",
    max = Size::MAX
)]
pub struct MatteError {
    layout: &'static str,
    frame: Size,
    width: u32,
    height: u32,
}

impl Matte {
    /// The picture's size for frames of this one.
    ///
    /// # Errors
    /// A side of more than [`Size::MAX`].
    pub fn size(self, frame: Size) -> Result<Size, MatteError> {
        let (layout, wide, high) = match self {
            Self::Over(_) | Self::Fill | Self::Key(_) => return Ok(frame),
            Self::SideBySide => ("side by side", 2, 1),
            Self::Stacked => ("stacked", 1, 2),
        };
        let (width, height) = (frame.width() * wide, frame.height() * high);
        Size::new(width, height).map_err(|_| MatteError {
            layout,
            frame,
            width,
            height,
        })
    }

    /// R, G, B of the picture that a clear frame becomes.
    fn ground(self) -> [u8; 3] {
        match self {
            Self::Over(Colour(background)) => background,
            Self::Key(range) => [key(0, range); 3],
            Self::Fill | Self::SideBySide | Self::Stacked => [0; 3],
        }
    }

    /// What the picture is put together of.
    fn parts(self, frame: Size) -> Vec<Part> {
        let part = |layer, right, down| Part { layer, right, down };
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let (fill, key) = (part(Layer::Fill, 0, 0), Layer::Key(Range::Full));
        match self {
            Self::Over(Colour(background)) => vec![part(Layer::Over(background), 0, 0)],
            Self::Fill => vec![fill],
            Self::Key(range) => vec![part(Layer::Key(range), 0, 0)],
            Self::SideBySide => vec![fill, part(key, width, 0)],
            Self::Stacked => vec![fill, part(key, 0, height)],
        }
    }
}

/// One view of the frame, and where it is in the picture.
#[derive(Clone, Copy, Debug)]
struct Part {
    layer: Layer,
    right: usize,
    down: usize,
}

#[derive(Clone, Copy, Debug)]
enum Layer {
    Over([u8; 3]),
    Fill,
    Key(Range),
}

/// An opaque picture made of one frame after another.
#[derive(Clone)]
pub struct Plate {
    frame: Size,
    parts: Vec<Part>,
    size: Size,
    format: PixelFormat,
    pixels: Pixels,
    /// Where pixels may be other than the ground.
    ink: Ink,
    /// R, G, B, A of all other pixels.
    ground: [u8; 4],
    /// The ink of the frame that it shows.
    before: Ink,
}

impl fmt::Debug for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plate({}, {})", self.size, self.format)
    }
}

impl Plate {
    /// The picture of a clear frame of this size.
    ///
    /// # Errors
    /// A side of more than [`Size::MAX`].
    pub fn new(frame: Size, matte: Matte, format: PixelFormat) -> Result<Self, MatteError> {
        let size = matte.size(frame)?;
        let [r, g, b] = matte.ground();
        let ground = [r, g, b, u8::MAX];
        let ink = |size: Size| Ink::new(size.width() as usize, size.height() as usize);
        let mut pixels = Pixels::clear(size.width() as usize * size.height() as usize);
        pixels.fill(format.pixel(ground));
        Ok(Self {
            frame,
            parts: matte.parts(frame),
            size,
            format,
            pixels,
            ink: ink(size),
            ground,
            before: ink(frame),
        })
    }

    /// Makes it the picture of this frame.
    ///
    /// # Panics
    /// The frame has another size.
    pub fn draw(&mut self, frame: &Frame) {
        assert_eq!(frame.size(), self.frame, "a frame of the same size");
        let (from, to) = (self.frame.width() as usize, self.size.width() as usize);
        for (y, line) in frame.pixels().chunks_exact(from).enumerate() {
            for part in &self.parts {
                self.ink.row_mut(part.down + y).fill(0);
            }
            for columns in frame.inked(y) {
                for part in &self.parts {
                    let columns = part.right + columns.start..part.right + columns.end;
                    mark(self.ink.row_mut(part.down + y), &columns);
                }
            }
            for block in blocks(touched(self.before.row_mut(y), frame.ink().row(y))) {
                let columns = columns(block, from);
                for part in &self.parts {
                    let first = (part.down + y) * to + part.right + columns.start;
                    let out = &mut self.pixels[first..][..columns.len()];
                    for (out, pixel) in out.iter_mut().zip(&line[columns.clone()]) {
                        let [r, g, b] = part.layer.of(frame.format().rgba(*pixel), frame.alpha());
                        *out = self.format.pixel([r, g, b, u8::MAX]);
                    }
                }
            }
        }
    }

    /// The picture's size.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The order of a pixel's channels; alpha is 255.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The pixels, row after row.
    #[must_use]
    pub fn pixels(&self) -> &[[u8; 4]] {
        &self.pixels
    }

    /// The pixels as [`Size::frame_bytes`] bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.pixels.as_flattened()
    }
}

impl<'a> From<&'a Plate> for Picture<'a> {
    fn from(plate: &'a Plate) -> Self {
        Self {
            size: plate.size,
            // Opaque pixels are both; these make a plain mean.
            alpha: Alpha::Premultiplied,
            format: plate.format,
            pixels: &plate.pixels,
            ink: &plate.ink,
            ground: plate.ground,
        }
    }
}

impl Layer {
    /// R, G, B of one pixel, of its R, G, B, A.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "255 at most: premultiplied colour is not above its alpha"
    )]
    fn of(self, [r, g, b, a]: [u8; 4], alpha: Alpha) -> [u8; 3] {
        match self {
            Self::Fill => [r, g, b],
            Self::Key(range) => [key(a, range); 3],
            Self::Over(background) => {
                let of_colour = match alpha {
                    Alpha::Straight => a,
                    Alpha::Premultiplied => u8::MAX,
                };
                let product = |level: u8, share: u8| u32::from(level) * u32::from(share);
                std::array::from_fn(|n| {
                    let sum =
                        product([r, g, b][n], of_colour) + product(background[n], u8::MAX - a);
                    ((sum + 127) / 255) as u8
                })
            }
        }
    }
}

/// The grey of an alpha, to the nearest level.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "235 at most")]
fn key(alpha: u8, range: Range) -> u8 {
    match range {
        Range::Full => alpha,
        Range::Limited => 16 + ((u16::from(alpha) * 219 + 127) / 255) as u8,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::planes::{VideoFormat, VideoFrame};

    const GREEN: Colour = Colour([0, 177, 64]);

    const MATTES: [Matte; 6] = [
        Matte::Over(GREEN),
        Matte::Fill,
        Matte::Key(Range::Full),
        Matte::Key(Range::Limited),
        Matte::SideBySide,
        Matte::Stacked,
    ];

    /// A frame with these runs of pixels: row, first column, length, R, G, B, A.
    fn frame(size: Size, alpha: Alpha, format: PixelFormat, runs: &[Run]) -> Frame {
        let mut frame = Frame::new(size, alpha, format);
        let (width, height) = (size.width() as usize, size.height() as usize);
        let (pixels, ink) = frame.parts_mut();
        for &(row, start, length, [r, g, b, a]) in runs {
            let (row, start) = (row % height, start % width);
            let columns = start..(start + length).min(width);
            mark(ink.row_mut(row), &columns);
            let most = match alpha {
                Alpha::Straight if a > 0 => u8::MAX,
                _ => a,
            };
            let rgba = [r.min(most), g.min(most), b.min(most), a];
            pixels[row * width..][columns].fill(format.pixel(rgba));
        }
        frame
    }

    type Run = (usize, usize, usize, [u8; 4]);

    /// One pixel of the picture, from the whole frame.
    fn expected(frame: &Frame, matte: Matte, x: usize, y: usize) -> [u8; 4] {
        let (width, height) = (
            frame.size().width() as usize,
            frame.size().height() as usize,
        );
        let [r, g, b, a] = frame
            .format()
            .rgba(frame.pixels()[y % height * width + x % width]);
        let limited = (16.0 + f64::from(a) * 219.0 / 255.0).round();
        let level = |n: usize| {
            let (colour, under) = (f64::from([r, g, b][n]), f64::from(GREEN.0[n]));
            let a = f64::from(a) / 255.0;
            let colour = match frame.alpha() {
                Alpha::Straight => colour * a,
                Alpha::Premultiplied => colour,
            };
            // Products of levels are never half way between two.
            (colour + under * (1.0 - a)).round()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "levels"
        )]
        let over = [level(0) as u8, level(1) as u8, level(2) as u8];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a level"
        )]
        let limited = limited as u8;
        let [r, g, b] = match matte {
            Matte::Over(_) => over,
            Matte::Key(Range::Limited) => [limited; 3],
            Matte::Key(Range::Full) => [a; 3],
            _ if x >= width || y >= height => [a; 3],
            _ => [r, g, b],
        };
        [r, g, b, 255]
    }

    proptest! {
        #[test]
        fn a_plate_is_the_picture_of_the_last_frame(
            (width, height) in (1..200_u32, 1..8_u32),
            matte in prop::sample::select(&MATTES),
            alpha in prop::sample::select(&[Alpha::Straight, Alpha::Premultiplied]),
            (from, to) in (
                prop::sample::select(&PixelFormat::ALL),
                prop::sample::select(&PixelFormat::ALL),
            ),
            frames in prop::collection::vec(
                prop::collection::vec(
                    (0..8_usize, 0..200_usize, 1..60_usize, any::<[u8; 4]>()), 0..9,
                ),
                1..5,
            ),
        ) {
            let size = Size::new(width, height).unwrap();
            let mut plate = Plate::new(size, matte, to).unwrap();
            let whole = plate.size();
            let sides = (whole.width() as usize, whole.height() as usize);
            for runs in frames {
                let frame = frame(size, alpha, from, &runs);
                plate.draw(&frame);
                let [r, g, b] = matte.ground();
                for y in 0..sides.1 {
                    let inked: Vec<_> = blocks(plate.ink.row(y).iter().copied())
                        .flat_map(|block| columns(block, sides.0))
                        .collect();
                    for x in 0..sides.0 {
                        let got = to.rgba(plate.pixels()[y * sides.0 + x]);
                        prop_assert_eq!(got, expected(&frame, matte, x, y), "{},{}", x, y);
                        let ground = got == [r, g, b, 255];
                        prop_assert!(ground || inked.contains(&x), "no ink at {},{}", x, y);
                    }
                }
            }
        }
    }

    /// The levels of a key are scaled once.
    #[test]
    fn a_key_that_becomes_luma_is_alpha_in_its_range() {
        let size = Size::new(256, 1).unwrap();
        let runs: Vec<Run> = (0..=255_u8)
            .map(|a| (0, usize::from(a), 1, [255, 0, 9, a]))
            .collect();
        let frame = frame(size, Alpha::Straight, PixelFormat::Bgra, &runs);
        let mut plate = Plate::new(size, Matte::Key(Range::Full), PixelFormat::Abgr).unwrap();
        plate.draw(&frame);
        for range in [Range::Full, Range::Limited] {
            let mut video = VideoFrame::new(size, VideoFormat::Yuv420p, range);
            video.convert(&plate);
            let (luma, _) = video.plane(0);
            assert!(
                luma.iter().copied().eq((0..=255).map(|a| key(a, range))),
                "{range}"
            );
            for plane in [1, 2] {
                assert!(video.plane(plane).0.iter().all(|chroma| *chroma == 128));
            }
        }
    }

    #[test]
    fn fill_and_key_are_refused_where_they_would_be_too_large() {
        let wide = Size::new(10_000, 1_080).unwrap();
        assert_eq!(
            Matte::Stacked.size(wide),
            Ok(Size::new(10_000, 2_160).unwrap())
        );
        let error = Plate::new(wide, Matte::SideBySide, PixelFormat::Rgba).unwrap_err();
        assert_eq!(
            error.to_string(),
            "fill and key side by side of 10000x1080 frames are 20000x1080: each side is at most \
             16384"
        );
    }

    #[test]
    fn colours_are_of_css_and_opaque() {
        for (text, colour) in [
            ("#00b140", [0, 177, 64]),
            ("#00B140", [0, 177, 64]),
            ("#0f0", [0, 255, 0]),
            ("black", [0; 3]),
            ("Magenta", [255, 0, 255]),
            ("lime", [0, 255, 0]),
        ] {
            assert_eq!(text.parse(), Ok(Colour(colour)), "{text}");
        }
        assert_eq!(GREEN.to_string(), "#00b140");
        for bad in [
            "",
            "#",
            "#00b1",
            "#00b14080",
            "00b140",
            "#00b14g",
            "transparent",
            "#é0b140",
        ] {
            let error = bad.parse::<Colour>().unwrap_err();
            assert!(
                error.contains(&format!("{bad:?}")) && error.contains("#00b140"),
                "{error}"
            );
        }
    }
}
