//! Placements and a sprite sheet to pixels: the only door to them.
//!
//! The second of a browser's two stages (the first is [`sprite`](crate::sprite)): each upright
//! layer goes through one affine matrix ([`shape`]), source-over. Sprites stand on whole pixels,
//! as a browser paints them, so that what a sprite looks like does not depend on where it is, and
//! looks that come again are kept ([`raster`]).
//!
//! A frame is drawn in [*bands*](band) of rows: sprites are binned to the bands that they touch, in
//! order, and a band is drawn by one thread, in memory that stays in its core's cache, and from
//! there put into the frame as the frame wants its pixels. Bands share nothing, so that a frame is
//! the same on any number of threads.

mod band;
mod outline;
mod raster;
mod shape;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use self::band::{Band, Easel, Part};
use self::raster::{RASTER_BYTES_MAX, Rasters};
use self::shape::{Look, Shape};
use crate::cast::Placement;
use crate::frame::{Alpha, Frame, PixelFormat, Size};
use crate::pixel::SimdLevel;
use crate::sprite::SpriteSheet;

/// Below so many pixels to be drawn, which one core draws in less than a millisecond, sharing them
/// costs more of both cores' time than it saves of the frame's.
const PIXELS_TO_SHARE: usize = 2_000_000;

/// Draws frame after frame with the pictures of one sheet.
#[derive(Clone)]
pub struct Painter {
    sheet: Arc<SpriteSheet>,
    size: Size,
    level: SimdLevel,
    threads: Option<Arc<rayon::ThreadPool>>,
    /// One for each thread.
    easels: Vec<Easel>,
    rasters: Rasters,
    /// The shapes of this frame that no raster is kept of.
    shapes: Vec<Shape>,
    /// Every sprite that may show, in order of drawing.
    drawn: Vec<Drawn>,
    bins: Bins,
}

/// A frame that is laid out: what each sprite looks like and where it is. It can be drawn in any
/// order of channels, and more than once.
#[derive(Debug)]
pub struct Painting<'a> {
    painter: &'a mut Painter,
    /// How opaque it is, of 255.
    opacity: u8,
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
    /// For frames of `size` with the pictures of `sheet`, drawn by one thread.
    #[must_use]
    pub fn new(sheet: Arc<SpriteSheet>, size: Size) -> Self {
        let bins = Bins::new(size);
        Self {
            sheet,
            size,
            level: SimdLevel::detect(),
            threads: None,
            easels: vec![Easel::new(size, bins.band_rows)],
            rasters: Rasters::new(RASTER_BYTES_MAX),
            shapes: Vec::new(),
            drawn: Vec::new(),
            bins,
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
        let count = threads.current_num_threads();
        let easel = || Easel::new(self.size, self.bins.band_rows);
        self.easels.resize_with(count, easel);
        self.threads = (count > 1).then_some(threads);
        self
    }

    /// The bytes of rasters that are kept, at most 256 MiB.
    #[must_use]
    pub fn raster_bytes(&self) -> usize {
        self.rasters.bytes()
    }

    /// Lets a frame pass that somebody else has drawn: what is kept of the looks of sprites ages by
    /// it as by one of its own, so that it is not kept for as long as this painter draws nothing.
    pub fn pass(&mut self) {
        self.rasters.begin();
    }

    /// Lays out `placements` on an otherwise clear frame, later ones on top.
    ///
    /// A placement whose layer isn't in the sheet draws nothing.
    pub fn paint(&mut self, placements: impl IntoIterator<Item = Placement>) -> Painting<'_> {
        self.rasters.begin();
        self.shapes.clear();
        self.drawn.clear();
        self.bins.clear();
        for placement in placements {
            self.place(&placement);
        }
        self.bins.sort(&self.drawn);
        Painting {
            painter: self,
            opacity: u8::MAX,
        }
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
            let kept = self.rasters.saw(&look).and_then(|keeping| {
                let (rasters, level) = (&mut self.rasters, self.level);
                rasters.keep(look, keeping, &shape, layer, level)
            });
            let look = if let Some(number) = kept {
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
}

impl Painting<'_> {
    /// The same as one picture that is so opaque, in `0.0..=1.0`, as CSS's `opacity` of all sprites'
    /// container.
    #[must_use]
    pub fn faded(mut self, opacity: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 255"
        )]
        let level = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
        self.opacity = level;
        self
    }

    /// Draws the frame, in place of what is on it; at the cost of what shows something, or did
    /// before.
    ///
    /// # Panics
    /// The frame is of another size than the painter's.
    pub fn draw(&mut self, frame: &mut Frame) {
        let Painter {
            sheet,
            size,
            level,
            threads,
            easels,
            rasters,
            shapes,
            drawn,
            bins,
        } = &mut *self.painter;
        let opacity = self.opacity;
        assert_eq!(frame.size(), *size, "one size for all frames");
        let (alpha, places) = (frame.alpha(), frame.format().places());
        let rows = bins.band_rows;
        let (pixels, ink) = frame.parts_mut();
        let words = ink.row_words();
        let parts = pixels
            .chunks_mut(rows * size.width() as usize)
            .zip(ink.words_mut().chunks_mut(rows * words));
        let bands = parts.enumerate().map(|(number, (pixels, ink))| Band {
            part: Part {
                pixels,
                ink,
                alpha,
                places,
                opacity,
            },
            first: number * rows,
            sprites: bins.band(number),
            drawn,
            rasters,
            shapes,
            sheet,
        });
        match threads {
            Some(threads) if bins.pixels > PIXELS_TO_SHARE => {
                // Each thread takes the next band as soon as it is done with one.
                let bands = Mutex::new(bands);
                let next = || bands.lock().unwrap_or_else(PoisonError::into_inner).next();
                let each = easels.par_iter_mut().with_max_len(1);
                threads.install(|| {
                    each.for_each(|easel| {
                        while let Some(band) = next() {
                            band.draw(easel, *level);
                        }
                    });
                });
            }
            _ => {
                let [easel, ..] = &mut easels[..] else { return };
                for band in bands {
                    band.draw(easel, *level);
                }
            }
        }
    }

    /// A new frame, drawn.
    #[must_use]
    pub fn frame(&mut self, alpha: Alpha, format: PixelFormat) -> Frame {
        let mut frame = Frame::new(self.painter.size, alpha, format);
        self.draw(&mut frame);
        frame
    }
}

impl fmt::Debug for Painter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Painter({}, {})", self.size, self.level)
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
        let band_rows = band::rows(size);
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
