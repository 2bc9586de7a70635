//! The signs that numbers beside emoji are written with: `×` and the digits, white with a dark edge,
//! so that they can be read over any picture.

use std::f64::consts::FRAC_1_SQRT_2;

use ab_glyph::{Font as _, FontRef, PxScale};
use image::{GrayImage, Luma};
use imageproc::drawing::draw_text_mut;
use imageproc::morphology::{Mask, grayscale_dilate};

use super::Layer;

/// Noto Sans Bold, of which these signs are all that is there; each is as wide as the others.
const FACE: &[u8] = include_bytes!("../../assets/fonts/NotoSans-floatup.ttf");

/// The signs that there are, in the order of their layers.
const SIGNS: [char; 11] = ['×', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// Of the em: the width of each sign, and the height of a digit.
const ADVANCE: f64 = 0.572;
const DIGIT_HEIGHT: f64 = 0.714;

/// Of the em: how wide the edge is.
const EDGE: f64 = 0.08;

/// How opaque the edge is.
const EDGE_OPACITY: f64 = 0.75;

/// Signs are made no larger than this; larger ones are scaled up.
const EM_PX_MAX: f64 = 128.0;

/// The most digits that a number has: those of `u32::MAX`, and the sign before them.
const LENGTH_MAX: usize = 11;

/// The signs of a sheet: where their layers are, and their measures in px.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Signs {
    first_layer: u32,
    em_px: f64,
    edge_px: f64,
}

/// One sign of a number: its layer, and how that is scaled and moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// The number of its layer.
    pub layer: u32,
    /// Device px to a pixel of the layer.
    pub scale: f64,
    /// Where the layer's left edge is.
    pub x: f64,
    /// Where its upper edge is.
    pub y: f64,
}

impl Sign {
    /// The width of each sign, of the height of a digit.
    pub const ASPECT: f64 = ADVANCE / DIGIT_HEIGHT;
}

impl Signs {
    /// Signs for text of this size, whose layers are numbered from `first_layer` on, and the layers.
    pub(super) fn new(em_px: f64, first_layer: u32) -> (Self, Vec<Layer>) {
        let em_px = em_px.clamp(1.0, EM_PX_MAX);
        let signs = Self {
            first_layer,
            em_px,
            edge_px: (em_px * EDGE).round().max(1.0),
        };
        (signs, SIGNS.iter().map(|&sign| signs.draw(sign)).collect())
    }

    /// `×` and a number in digits `digit_px` high, the upper right corner of the last digit at
    /// `(right, top)`.
    pub(super) fn number(
        self,
        number: u32,
        digit_px: f64,
        (right, top): (f64, f64),
    ) -> impl Iterator<Item = Sign> + use<> {
        let scale = digit_px / (DIGIT_HEIGHT * self.em_px);
        // From the last to the first.
        let mut signs = [0; LENGTH_MAX];
        let (mut left, mut length) = (number, 0);
        while length < LENGTH_MAX - 1 && (left > 0 || length == 0) {
            signs[length] = left % 10 + 1;
            left /= 10;
            length += 1;
        }
        let advance = ADVANCE * self.em_px * scale;
        let pad = self.pad_px() * scale;
        (1..).zip(0..=length).map(move |(place, n)| Sign {
            layer: self.first_layer + signs[n],
            scale,
            x: right - f64::from(place) * advance - pad,
            y: top - pad,
        })
    }

    /// Around each sign: its edge, and room for what is round and so a little higher than the others.
    fn pad_px(self) -> f64 {
        self.edge_px + 1.0
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sign has at most a few hundred pixels a side, and levels are 0 to 255"
    )]
    fn draw(self, sign: char) -> Layer {
        let face =
            FontRef::try_from_slice(FACE).expect("invariant: the face is part of the program");
        let side = |of_em: f64| (of_em * self.em_px).ceil() as u32 + 2 * self.pad_px() as u32;
        let (width, height) = (side(ADVANCE), side(DIGIT_HEIGHT));
        // `ab_glyph` scales by the line's height, and puts the line's top at 0.
        let units = f64::from(face.units_per_em().unwrap_or(1_000.0));
        let line = f64::from(face.height_unscaled()) / units * self.em_px;
        let ascent = f64::from(face.ascent_unscaled()) / units * self.em_px;
        let top = self.pad_px() + DIGIT_HEIGHT * self.em_px - ascent;
        let mut inside = GrayImage::new(width, height);
        draw_text_mut(
            &mut inside,
            Luma([u8::MAX]),
            self.pad_px() as i32,
            top.round() as i32,
            PxScale::from(line as f32),
            &face,
            sign.encode_utf8(&mut [0; 4]),
        );
        // A disk of this radius holds the pixels whose centres are within it.
        let radius = (self.edge_px + 1.0 - FRAC_1_SQRT_2).floor() as u8;
        let edged = grayscale_dilate(&inside, &Mask::disk(radius));
        let pixels = inside.pixels().zip(edged.pixels());
        let pixels = pixels.map(|(Luma([white]), Luma([edged]))| {
            let edge = f64::from(edged.saturating_sub(*white)) * EDGE_OPACITY;
            let alpha = f64::from(*white) + edge;
            [*white, *white, *white, alpha.round() as u8]
        });
        Layer {
            width: width as usize,
            height: height as usize,
            top: 0,
            scale: 1.0,
            pixels: pixels.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_from_right_to_left() {
        let (signs, layers) = Signs::new(50.0, 7);
        assert_eq!(layers.len(), SIGNS.len());
        let written = |number| {
            let mut signs: Vec<_> = signs.number(number, 35.7, (100.0, 10.0)).collect();
            signs.reverse();
            let text = signs.iter().map(|sign| SIGNS[sign.layer as usize - 7]);
            text.collect::<String>()
        };
        assert_eq!(written(0), "×0");
        assert_eq!(written(37), "×37");
        assert_eq!(written(1_002), "×1002");
        assert_eq!(written(u32::MAX), "×4294967295");
        let last = signs.number(37, 35.7, (100.0, 10.0)).next().unwrap();
        assert!((last.scale - 1.0).abs() < 1e-9);
        assert!((last.x - (100.0 - 28.6 - 5.0)).abs() < 1e-9, "{last:?}");
        assert!((last.y - 5.0).abs() < 1e-9);
    }

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few pixels"
    )]
    fn signs_are_white_with_a_dark_edge_and_whole() {
        for em in [16.0, 33.0, 4_000.0] {
            let (signs, layers) = Signs::new(em, 0);
            for (layer, sign) in layers.iter().zip(SIGNS) {
                let at = |x: usize, y: usize| layer.pixels[y * layer.width + x];
                let white = layer.pixels.iter().filter(|p| p[0] > 150).count();
                let dark = layer.pixels.iter().filter(|p| p[3] > 80 && p[0] < 60);
                let dark = dark.count();
                assert!(white > 0 && dark > 0, "{sign} at {em}: {white}, {dark}");
                assert!(layer.pixels.iter().all(|p| p[0] <= p[3]));
                // Nothing white is cut at a side.
                let edge = signs.pad_px() as usize - 1;
                for y in 0..layer.height {
                    assert!(at(edge, y)[0] < 255 && at(layer.width - 1 - edge, y)[0] < 255);
                }
                for x in 0..layer.width {
                    assert!(
                        at(x, 0)[0] == 0 && at(x, layer.height - 1)[0] == 0,
                        "{sign}"
                    );
                }
            }
        }
    }

    /// The pages draw the signs from outlines of their own.
    #[test]
    fn the_pages_signs_are_of_the_same_face() {
        use ab_glyph::{OutlineCurve, Point};

        let face = FontRef::try_from_slice(FACE).unwrap();
        let mut outlines = String::new();
        for sign in SIGNS {
            let mut path = String::new();
            let mut end = None;
            let mut go = |letters: &str, points: &[Point]| {
                path += letters;
                let points = points.iter().map(|p| format!("{} {}", p.x, p.y));
                path += &points.collect::<Vec<_>>().join(" ");
            };
            for curve in face.outline(face.glyph_id(sign)).unwrap().curves {
                let (from, letter, points) = match curve {
                    OutlineCurve::Line(from, to) if from == to => continue,
                    OutlineCurve::Line(from, to) => (from, "L", vec![to]),
                    OutlineCurve::Quad(from, by, to) => (from, "Q", vec![by, to]),
                    OutlineCurve::Cubic(from, by, near, to) => (from, "C", vec![by, near, to]),
                };
                if end != Some(from) {
                    go(if end.is_some() { "ZM" } else { "M" }, &[from]);
                }
                end = points.last().copied();
                go(letter, &points);
            }
            outlines += &format!("  '{sign}': '{path}Z',\n");
        }
        let script = include_str!("../../assets/signs.js");
        assert_eq!(face.units_per_em(), Some(1_000.0));
        assert!(script.contains(&outlines), "as it should be:\n{outlines}");
    }
}
