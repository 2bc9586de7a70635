//! Drawing on a frame in its own kind of alpha and order of channels. What is drawn replaces what
//! was there.

use super::face;
use super::layout::{Area, Edge};
use crate::frame::{Alpha, Frame, Ink, blocks, mark};

/// Distances from a disc's centre are in so many parts of a pixel.
const PARTS: i64 = 256;

/// Where in an area a text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Left,
    Centre,
    Right,
}

pub(super) struct Pen<'f> {
    pixels: &'f mut [[u8; 4]],
    ink: &'f mut Ink,
    width: usize,
    alpha: Alpha,
    places: [u8; 4],
}

impl<'f> Pen<'f> {
    /// Clears the frame.
    pub(super) fn new(frame: &'f mut Frame) -> Self {
        let width = frame.size().width() as usize;
        let (alpha, places) = (frame.alpha(), frame.format().places());
        let (pixels, ink) = frame.parts_mut();
        let words = ink.row_words();
        for (row, words) in pixels
            .chunks_mut(width)
            .zip(ink.words_mut().chunks_mut(words))
        {
            for block in blocks(words.iter().copied()) {
                let columns = block * crate::frame::BLOCK..(block + 1) * crate::frame::BLOCK;
                row[columns.start..columns.end.min(width)].fill([0; 4]);
            }
            words.fill(0);
        }
        Self {
            pixels,
            ink,
            width,
            alpha,
            places,
        }
    }

    /// Draws an area of the frame in a straight colour.
    pub(super) fn fill(&mut self, area: Area, colour: [u8; 4]) {
        if area.left < area.right {
            let pixel = self.pixel(colour);
            for y in area.top..area.bottom {
                self.row(y, area.left, area.right).fill(pixel);
            }
        }
    }

    /// Draws an area's outline, inside of it.
    pub(super) fn outline(&mut self, area: Area, thickness: u32, colour: [u8; 4]) {
        let inner = area.inset(thickness, thickness);
        let (left, right) = (area.left, area.right);
        self.fill(Area::new(left, area.top, right, inner.top), colour);
        self.fill(Area::new(left, inner.bottom, right, area.bottom), colour);
        self.fill(Area::new(left, inner.top, inner.left, inner.bottom), colour);
        self.fill(
            Area::new(inner.right, inner.top, right, inner.bottom),
            colour,
        );
    }

    /// Draws white of every alpha, from 0 on the left to 255 on the right: in column `n` of
    /// `count`, `255 n / (count - 1)` to the nearest level.
    pub(super) fn ramp(&mut self, area: Area) {
        let last = u64::from(area.right - area.left - 1);
        for column in 0..=last {
            let alpha = (255 * column + last / 2) / last;
            let left = area.left + u32::try_from(column).unwrap_or(u32::MAX);
            let column = Area::new(left, area.top, left + 1, area.bottom);
            self.fill(column, [255, 255, 255, level(alpha)]);
        }
    }

    /// Writes in the middle of an area's height, a pixel of the face being `scale` pixels.
    pub(super) fn text(
        &mut self,
        area: Area,
        place: Place,
        scale: u32,
        text: &str,
        colour: [u8; 4],
    ) {
        let room = (area.right - area.left).saturating_sub(face::width(text) * scale);
        let mut x = area.left
            + match place {
                Place::Left => 0,
                Place::Centre => room / 2,
                Place::Right => room,
            };
        let room = (area.bottom - area.top).saturating_sub(face::HEIGHT * scale);
        let y = area.top + room / 2;
        for character in text.chars() {
            for (row, bits) in (0..).zip(face::glyph(character)) {
                for column in (0..face::WIDTH).filter(|n| bits << n & 0b10000 != 0) {
                    let (left, top) = (x + column * scale, y + row * scale);
                    let dot = Area::new(left, top, left + scale, top + scale);
                    self.fill(dot, colour);
                }
            }
            x += face::ADVANCE * scale;
        }
    }

    /// Draws a disc; the centre and the radius are in 256ths of a pixel.
    pub(super) fn disc(&mut self, centre: (u32, u32), radius: u32, edge: Edge, colour: [u8; 4]) {
        let reach = radius.div_ceil(256) + 1;
        let [r, g, b, opacity] = colour;
        let whole = self.pixel(colour);
        let (opacity, radius) = (u64::from(opacity), i64::from(radius));
        let (x, y) = (centre.0 / 256, centre.1 / 256);
        let from =
            |place: u32, centre: u32| i64::from(place) * PARTS + PARTS / 2 - i64::from(centre);
        // Squares of the distances within which all of the alpha is there, and none.
        let (all, none) = match edge {
            Edge::Sharp => ((radius - PARTS).pow(2), (radius + PARTS).pow(2)),
            Edge::Soft => (0, radius.pow(2)),
        };
        for row in y - reach..=y + reach {
            let dy = from(row, centre.1);
            for column in x - reach..=x + reach {
                let dx = from(column, centre.0);
                let square = dx * dx + dy * dy;
                if square >= none {
                    continue;
                }
                let pixel = if square <= all {
                    whole
                } else {
                    let inside = radius - square.isqrt();
                    let (share, of) = match edge {
                        Edge::Sharp => ((inside + PARTS / 2).clamp(0, PARTS), PARTS),
                        Edge::Soft => (inside, radius),
                    };
                    let (share, of) = (share.unsigned_abs(), of.unsigned_abs());
                    self.pixel([r, g, b, level((opacity * share + of / 2) / of)])
                };
                self.row(row, column, column + 1).fill(pixel);
            }
        }
    }

    /// These columns of a row, at least one, which may show something from now on.
    fn row(&mut self, y: u32, left: u32, right: u32) -> &mut [[u8; 4]] {
        let (y, columns) = (y as usize, left as usize..right as usize);
        let words = self.ink.row_words();
        mark(&mut self.ink.words_mut()[y * words..][..words], &columns);
        &mut self.pixels[y * self.width..][columns]
    }

    /// A straight colour as this frame has it.
    fn pixel(&self, colour: [u8; 4]) -> [u8; 4] {
        let [r, g, b, alpha] = colour;
        let colour = match (self.alpha, alpha) {
            (_, 0) => [0; 4],
            (Alpha::Straight, _) => colour,
            (Alpha::Premultiplied, _) => {
                let by_alpha = |c| level((u64::from(c) * u64::from(alpha) + 127) / 255);
                [by_alpha(r), by_alpha(g), by_alpha(b), alpha]
            }
        };
        let mut pixel = [0; 4];
        for (level, place) in colour.into_iter().zip(self.places) {
            pixel[place as usize] = level;
        }
        pixel
    }
}

fn level(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}
