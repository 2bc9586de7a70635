//! A band of the frame: drawn in memory that fits a core's cache, then put into the frame.

use std::ops::Range;

use super::raster::Rasters;
use super::shape::{CHUNK, Shape};
use super::{Drawn, Source};
use crate::frame::{Alpha, BLOCK, Ink, Pixels, Size, blocks, mark};
use crate::pixel::{Rows, SimdLevel, Work};
use crate::sprite::SpriteSheet;

/// A band's pixels: half of a small second-level cache, so that sources have the other half.
const BAND_BYTES: usize = 256 << 10;

/// Rows of a band.
pub(super) fn rows(size: Size) -> usize {
    let rows = (BAND_BYTES / size.row_bytes()).max(8);
    rows.min(size.height() as usize)
}

/// What one thread draws bands on: clear, but while a band is drawn.
#[derive(Clone)]
pub(super) struct Easel {
    width: usize,
    /// Premultiplied.
    pixels: Pixels,
    /// Of a row's ink.
    words: usize,
    ink: Vec<u64>,
}

impl Easel {
    pub(super) fn new(size: Size, rows: usize) -> Self {
        let width = size.width() as usize;
        let ink = Ink::new(width, rows);
        Self {
            width,
            pixels: Pixels::clear(width * rows),
            words: ink.row_words(),
            ink: ink.words().to_vec(),
        }
    }
}

/// The band's part of the frame, which shows the frame before, and how pixels are to be in it.
pub(super) struct Part<'a> {
    pub(super) pixels: &'a mut [[u8; 4]],
    pub(super) ink: &'a mut [u64],
    pub(super) alpha: Alpha,
    pub(super) places: [u8; 4],
    /// How opaque all of it is, of 255.
    pub(super) opacity: u8,
}

/// A band of the frame, and all that is drawn on it.
pub(super) struct Band<'a> {
    pub(super) part: Part<'a>,
    /// Its first row on the frame.
    pub(super) first: usize,
    /// The numbers of those that touch it.
    pub(super) sprites: &'a [u32],
    pub(super) drawn: &'a [Drawn],
    pub(super) rasters: &'a Rasters,
    pub(super) shapes: &'a [Shape],
    pub(super) sheet: &'a SpriteSheet,
}

impl Band<'_> {
    /// Draws it on a clear easel, puts it into the frame, and leaves the easel clear.
    pub(super) fn draw(self, easel: &mut Easel, level: SimdLevel) {
        level.run(Draw { band: &self, easel });
        level.run(Deliver {
            part: self.part,
            easel,
        });
    }
}

/// The band's sprites, one over the other.
struct Draw<'a> {
    band: &'a Band<'a>,
    easel: &'a mut Easel,
}

impl Work for Draw<'_> {
    type Output = ();

    #[inline(always)]
    fn run<R: Rows>(mut self, rows: R) {
        for &number in self.band.sprites {
            let Drawn { x, y, look } = self.band.drawn[number as usize];
            match look {
                Source::Raster(raster) => self.draw_raster(rows, raster, x, y),
                Source::Shape(shape) => self.draw_shape(rows, shape, x, y),
            }
        }
    }
}

/// From the easel to the frame, row by row; the easel is clear again.
struct Deliver<'a> {
    part: Part<'a>,
    easel: &'a mut Easel,
}

impl Work for Deliver<'_> {
    type Output = ();

    #[inline(always)]
    fn run<R: Rows>(self, rows: R) {
        let Easel {
            width,
            pixels,
            words,
            ink,
        } = self.easel;
        let Part {
            pixels: out,
            ink: out_ink,
            alpha,
            places,
            opacity,
        } = self.part;
        let lines = out
            .chunks_exact_mut(*width)
            .zip(pixels.chunks_exact_mut(*width));
        let inks = out_ink
            .chunks_exact_mut(*words)
            .zip(ink.chunks_exact_mut(*words));
        for ((out, line), (before, now)) in lines.zip(inks) {
            // Whole blocks have a length that the compiler knows.
            let (out, out_rest) = out.as_chunks_mut::<BLOCK>();
            let (line, rest) = line.as_chunks_mut::<BLOCK>();
            // What has lost its ink is clear, and becomes 0 like all that is.
            let touched = before.iter_mut().zip(now).map(|(before, now)| {
                let now = std::mem::take(now);
                std::mem::replace(before, now) | now
            });
            for block in blocks(touched) {
                if let (Some(out), Some(pixels)) = (out.get_mut(block), line.get_mut(block)) {
                    fade(pixels, opacity);
                    convert(rows, alpha, places, out, pixels);
                    *pixels = [[0; 4]; BLOCK];
                } else {
                    fade(rest, opacity);
                    convert(rows, alpha, places, out_rest, rest);
                    rest.fill([0; 4]);
                }
            }
        }
    }
}

impl Draw<'_> {
    #[inline(always)]
    fn draw_raster<R: Rows>(&mut self, rows: R, number: u32, x: i32, y: i32) {
        let raster = self.band.rasters.raster(number);
        let (skipped, lines) = self.lines(y, &raster.rows());
        let columns = raster.columns();
        let left = i64::from(x) + i64::from(columns.start);
        let right = i64::from(x) + i64::from(columns.end);
        if left < 0 || right > self.easel.width as i64 {
            for (line, row) in lines.zip(&raster.lines[skipped..]) {
                let at = i64::from(x) + i64::from(row.left);
                self.over(rows, line, at, raster.pixels(*row));
            }
            return;
        }
        // Nothing is cut at the sides: most sprites are here.
        let pixels =
            &mut self.easel.pixels[lines.start * self.easel.width..lines.end * self.easel.width];
        let ink = &mut self.easel.ink[lines.start * self.easel.words..lines.end * self.easel.words];
        let under = pixels.chunks_exact_mut(self.easel.width);
        let under = under.zip(ink.chunks_exact_mut(self.easel.words));
        for ((line, ink), row) in under.zip(&raster.lines[skipped..]) {
            let source = raster.pixels(*row);
            if source.is_empty() {
                continue;
            }
            #[expect(clippy::cast_sign_loss, reason = "not left of the frame")]
            let first = (x + row.left) as usize;
            let columns = first..first + source.len();
            mark(ink, &columns);
            rows.over(&mut line[columns], source);
        }
    }

    #[inline(always)]
    fn draw_shape<R: Rows>(&mut self, rows: R, number: u32, x: i32, y: i32) {
        let shape = &self.band.shapes[number as usize];
        let Some(layer) = self.band.sheet.layer(shape.layer) else {
            return;
        };
        let (skipped, lines) = self.lines(y, &shape.rows);
        for (line, row) in lines.zip(shape.rows.clone().skip(skipped)) {
            let span = shape.span(row);
            // On the frame alone.
            let first = i64::from(span.start).max(-i64::from(x));
            let end = i64::from(span.end).min(self.easel.width as i64 - i64::from(x));
            let mut chunk = [[0; 4]; CHUNK];
            for column in (first..end).step_by(CHUNK) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "columns of the span; at most a chunk"
                )]
                let (from, count) = (column as i32, (end - column).min(CHUNK as i64) as usize);
                shape.row(rows, layer, from, row, &mut chunk[..count]);
                self.over(rows, line, i64::from(x) + column, &chunk[..count]);
            }
        }
    }

    /// The band's lines on which something lies whose box is at row `y` of the frame and whose
    /// rows are `rows` of that; and how many of its rows lie above them.
    #[inline(always)]
    fn lines(&self, y: i32, rows: &Range<i32>) -> (usize, Range<usize>) {
        let first = i64::from(y) + i64::from(rows.start) - self.band.first as i64;
        let count = (self.band.part.pixels.len() / self.easel.width) as i64;
        let length = rows.len() as i64;
        let lines = first.clamp(0, count)..(first + length).clamp(0, count);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the band"
        )]
        let whole = |line: i64| line as usize;
        (
            whole((lines.start - first).clamp(0, length)),
            whole(lines.start)..whole(lines.end),
        )
    }

    /// Source-over on a line of the band, from column `at` on; what is off the frame is cut.
    #[inline(always)]
    fn over<R: Rows>(&mut self, rows: R, line: usize, at: i64, source: &[[u8; 4]]) {
        let width = self.easel.width as i64;
        let (from, to) = (
            at.clamp(0, width),
            (at + source.len() as i64).clamp(0, width),
        );
        if from >= to {
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the line"
        )]
        let (columns, skipped) = (from as usize..to as usize, (from - at) as usize);
        mark(
            &mut self.easel.ink[line * self.easel.words..][..self.easel.words],
            &columns,
        );
        let under = &mut self.easel.pixels[line * self.easel.width..][columns.clone()];
        rows.over(under, &source[skipped..][..columns.len()]);
    }
}

/// Each level times its share of 255, as all products of levels are.
#[inline(always)]
fn fade(pixels: &mut [[u8; 4]], opacity: u8) {
    if opacity == u8::MAX {
        return;
    }
    for level in pixels.as_flattened_mut() {
        let faded = ((u16::from(*level) * u16::from(opacity) + 255) >> 8) as u8;
        *level = faded;
    }
}

#[inline(always)]
fn convert<R: Rows>(
    rows: R,
    alpha: Alpha,
    places: [u8; 4],
    out: &mut [[u8; 4]],
    pixels: &[[u8; 4]],
) {
    match (alpha, places) {
        (Alpha::Straight, places) => rows.straight(out, pixels, places),
        (Alpha::Premultiplied, [0, 1, 2, 3]) => out.copy_from_slice(pixels),
        (Alpha::Premultiplied, places) => {
            for (out, pixel) in out.iter_mut().zip(pixels) {
                for (level, place) in pixel.iter().zip(places) {
                    out[place as usize] = *level;
                }
            }
        }
    }
}
