//! Placements and a sprite sheet to pixels: the only door to them.
//!
//! The second of a browser's two stages (the first is [`sprite`](crate::sprite)): each upright
//! layer goes through one affine matrix ([`shape`]), source-over. Sprites stand on whole pixels,
//! as a browser paints them, so that what a sprite looks like does not depend on where it is, and
//! looks that come again are kept ([`raster`]).
//!
//! The frame is drawn in *bands* of rows that fit a core's cache: sprites are binned to the bands
//! that they touch, in order, and a band is cleared where the frame before had ink, then drawn, by
//! one thread. Bands share nothing, so that a frame is the same on any number of threads.

mod outline;
mod raster;
mod shape;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use self::raster::{RASTER_BYTES_MAX, Rasters};
use self::shape::{CHUNK, Look, Shape};
use crate::cast::Placement;
use crate::frame::{BLOCK, Frame, Size, blocks, mark};
use crate::pixel::{Rows, SimdLevel, Work};
use crate::sprite::SpriteSheet;

/// A band's pixels: half of a small second-level cache, so that sources have the other half.
const BAND_BYTES: usize = 256 << 10;

/// Below so many pixels to be drawn, which one core draws in less than a millisecond, sharing them
/// costs more of both cores' time than it saves of the frame's.
const PIXELS_TO_SHARE: usize = 2_000_000;

/// A frame that is drawn again and again; between two pictures only what was touched is cleared.
#[derive(Clone)]
pub struct Painter {
    sheet: Arc<SpriteSheet>,
    frame: Frame,
    level: SimdLevel,
    threads: Option<Arc<rayon::ThreadPool>>,
    rasters: Rasters,
    /// The shapes of this frame that no raster is kept of.
    shapes: Vec<Shape>,
    /// Every sprite that may show, in order of drawing.
    drawn: Vec<Drawn>,
    bins: Bins,
}

/// One sprite of the frame at hand: where its box is, and what it looks like.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    x: i32,
    y: i32,
    look: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The number of a raster.
    Raster(u32),
    /// The number of a shape of this frame.
    Shape(u32),
}

impl Painter {
    /// A clear frame, to be drawn on with the pictures of `sheet`, by one thread.
    #[must_use]
    pub fn new(sheet: Arc<SpriteSheet>, size: Size) -> Self {
        Self {
            sheet,
            frame: Frame::new(size),
            level: SimdLevel::detect(),
            threads: None,
            rasters: Rasters::new(RASTER_BYTES_MAX),
            shapes: Vec::new(),
            drawn: Vec::new(),
            bins: Bins::new(size),
        }
    }

    /// The same, drawn with the instructions of another level; no pixel differs.
    #[must_use]
    pub fn with_level(mut self, level: SimdLevel) -> Self {
        self.level = level;
        self
    }

    /// The same, drawn on these threads where that is faster; no pixel differs.
    #[must_use]
    pub fn with_threads(mut self, threads: Arc<rayon::ThreadPool>) -> Self {
        self.threads = (threads.current_num_threads() > 1).then_some(threads);
        self
    }

    /// The bytes of rasters that are kept, at most 256 MiB.
    #[must_use]
    pub fn raster_bytes(&self) -> usize {
        self.rasters.bytes()
    }

    /// Draws `placements` on an otherwise clear frame, later ones on top.
    ///
    /// A placement whose layer isn't in the sheet draws nothing.
    pub fn paint(&mut self, placements: impl IntoIterator<Item = Placement>) -> &Frame {
        self.rasters.begin();
        self.shapes.clear();
        self.drawn.clear();
        self.bins.clear();
        for placement in placements {
            self.place(&placement);
        }
        self.bins.sort(&self.drawn);
        self.draw();
        &self.frame
    }

    /// Finds what a placement looks like, and which bands it touches.
    fn place(&mut self, placement: &Placement) {
        let Some(layer) = self.sheet.layer(placement.layer) else {
            return;
        };
        let Some(look) = Look::new(placement.layer, placement.opacity, placement.matrix) else {
            return;
        };
        let (look, columns, rows) = if let Some(number) = self.rasters.find(&look) {
            let raster = self.rasters.raster(number);
            (Source::Raster(number), raster.columns(), raster.rows())
        } else {
            let Some(shape) = Shape::new(&look, layer) else {
                return;
            };
            let (columns, rows) = (shape.columns.clone(), shape.rows.clone());
            let seen = self.rasters.saw(&look);
            let kept = seen.then(|| self.rasters.keep(look, &shape, layer, self.level));
            let look = if let Some(number) = kept.flatten() {
                Source::Raster(number)
            } else {
                self.shapes.push(shape);
                Source::Shape(u32::try_from(self.shapes.len() - 1).unwrap_or(u32::MAX))
            };
            (look, columns, rows)
        };
        let drawn = Drawn {
            x: placement.x,
            y: placement.y,
            look,
        };
        if self.bins.count(&drawn, columns, rows) {
            self.drawn.push(drawn);
        }
    }

    fn draw(&mut self) {
        let Self {
            sheet,
            frame,
            level,
            threads,
            rasters,
            shapes,
            drawn,
            bins,
        } = self;
        let width = frame.size().width() as usize;
        let rows = bins.band_rows;
        let (pixels, ink) = frame.parts_mut();
        let words = ink.row_words();
        let draw = |(number, (pixels, ink)): (usize, BandParts<'_>)| {
            level.run(Band {
                first: number * rows,
                pixels,
                ink,
                width,
                words,
                sprites: bins.band(number),
                drawn,
                rasters,
                shapes,
                sheet,
            });
        };
        match threads {
            Some(threads) if bins.pixels > PIXELS_TO_SHARE => {
                let bands = pixels
                    .par_chunks_mut(rows * width)
                    .zip(ink.words_mut().par_chunks_mut(rows * words));
                threads.install(|| bands.enumerate().for_each(draw));
            }
            _ => {
                let bands = pixels
                    .chunks_mut(rows * width)
                    .zip(ink.words_mut().chunks_mut(rows * words));
                bands.enumerate().for_each(draw);
            }
        }
    }
}

impl fmt::Debug for Painter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Painter({:?}, {})", self.frame, self.level)
    }
}

/// Which sprites touch which band: for each band the numbers of its sprites, in order of drawing.
#[derive(Clone, Debug)]
struct Bins {
    size: Size,
    /// Rows of one band.
    band_rows: usize,
    /// The bands that each sprite touches.
    touched: Vec<Range<u32>>,
    /// How many sprites touch each band; then where the band's sprites end in `sprites`.
    ends: Vec<usize>,
    sprites: Vec<u32>,
    /// About how many pixels are to be drawn.
    pixels: usize,
}

impl Bins {
    fn new(size: Size) -> Self {
        let band_rows = (BAND_BYTES / size.row_bytes()).max(8);
        Self {
            size,
            band_rows,
            touched: Vec::new(),
            ends: vec![0; (size.height() as usize).div_ceil(band_rows)],
            sprites: Vec::new(),
            pixels: 0,
        }
    }

    fn clear(&mut self) {
        self.touched.clear();
        self.ends.fill(0);
        self.pixels = 0;
    }

    /// Counts a sprite in for the bands that it touches; `false` if it is off the frame.
    fn count(&mut self, drawn: &Drawn, columns: Range<i32>, rows: Range<i32>) -> bool {
        let clip = |at: i32, range: Range<i32>, side: u32| {
            let side = i64::from(side);
            let first = (i64::from(at) + i64::from(range.start)).clamp(0, side);
            let last = (i64::from(at) + i64::from(range.end)).clamp(0, side);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within the frame"
            )]
            (first < last).then_some(first as usize..last as usize)
        };
        let columns = clip(drawn.x, columns, self.size.width());
        let rows = clip(drawn.y, rows, self.size.height());
        let (Some(columns), Some(rows)) = (columns, rows) else {
            return false;
        };
        self.pixels += columns.len() * rows.len();
        let bands = rows.start / self.band_rows..(rows.end - 1) / self.band_rows + 1;
        for band in bands.clone() {
            self.ends[band] += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 16384 bands")]
        self.touched.push(bands.start as u32..bands.end as u32);
        true
    }

    /// A counting sort, which keeps the order of drawing within a band.
    fn sort(&mut self, drawn: &[Drawn]) {
        let mut total = 0;
        for end in &mut self.ends {
            // Now where the band begins; each sprite moves it on by one.
            total += std::mem::replace(end, total);
        }
        self.sprites.resize(total, 0);
        debug_assert_eq!(drawn.len(), self.touched.len());
        for (number, bands) in (0..).zip(&self.touched) {
            for end in &mut self.ends[bands.start as usize..bands.end as usize] {
                self.sprites[*end] = number;
                *end += 1;
            }
        }
    }

    fn band(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.sprites[start..self.ends[number]]
    }
}

/// A band's pixels, and the words of its ink.
type BandParts<'a> = (&'a mut [[u8; 4]], &'a mut [u64]);

/// A band of the frame, and all that is drawn on it.
struct Band<'a> {
    /// Its first row on the frame.
    first: usize,
    pixels: &'a mut [[u8; 4]],
    ink: &'a mut [u64],
    width: usize,
    /// Of a row's ink.
    words: usize,
    sprites: &'a [u32],
    drawn: &'a [Drawn],
    rasters: &'a Rasters,
    shapes: &'a [Shape],
    sheet: &'a SpriteSheet,
}

impl Work for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<R: Rows>(mut self, rows: R) {
        let lines = self.pixels.chunks_exact_mut(self.width);
        for (line, ink) in lines.zip(self.ink.chunks_exact_mut(self.words)) {
            let (whole, rest) = line.as_chunks_mut::<BLOCK>();
            for block in blocks(ink.iter_mut().map(std::mem::take)) {
                match whole.get_mut(block) {
                    Some(pixels) => *pixels = [[0; 4]; BLOCK],
                    None => rest.fill([0; 4]),
                }
            }
        }
        for &number in self.sprites {
            let Drawn { x, y, look } = self.drawn[number as usize];
            match look {
                Source::Raster(raster) => self.draw_raster(rows, raster, x, y),
                Source::Shape(shape) => self.draw_shape(rows, shape, x, y),
            }
        }
    }
}

impl Band<'_> {
    #[inline(always)]
    fn draw_raster<R: Rows>(&mut self, rows: R, number: u32, x: i32, y: i32) {
        let raster = self.rasters.raster(number);
        let (skipped, lines) = self.lines(y, &raster.rows());
        let columns = raster.columns();
        let left = i64::from(x) + i64::from(columns.start);
        let right = i64::from(x) + i64::from(columns.end);
        if left < 0 || right > self.width as i64 {
            for (line, row) in lines.zip(&raster.lines[skipped..]) {
                let at = i64::from(x) + i64::from(row.left);
                self.over(rows, line, at, raster.pixels(*row));
            }
            return;
        }
        // Nothing is cut at the sides: most sprites are here.
        let pixels = &mut self.pixels[lines.start * self.width..lines.end * self.width];
        let ink = &mut self.ink[lines.start * self.words..lines.end * self.words];
        let under = pixels.chunks_exact_mut(self.width);
        let under = under.zip(ink.chunks_exact_mut(self.words));
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
        let shape = &self.shapes[number as usize];
        let Some(layer) = self.sheet.layer(shape.layer) else {
            return;
        };
        let (skipped, lines) = self.lines(y, &shape.rows);
        for (line, row) in lines.zip(shape.rows.clone().skip(skipped)) {
            let span = shape.span(row);
            // On the frame alone.
            let first = i64::from(span.start).max(-i64::from(x));
            let end = i64::from(span.end).min(self.width as i64 - i64::from(x));
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
        let first = i64::from(y) + i64::from(rows.start) - self.first as i64;
        let count = (self.pixels.len() / self.width) as i64;
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
        let width = self.width as i64;
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
        mark(&mut self.ink[line * self.words..][..self.words], &columns);
        let under = &mut self.pixels[line * self.width..][columns.clone()];
        rows.over(under, &source[skipped..][..columns.len()]);
    }
}
