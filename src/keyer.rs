//! Keying: a painted frame over a programme's picture, in the picture's own pixel format.
//!
//! Each sample becomes `overlay + sample * (1 - alpha)`, to the nearest level, where alpha is not
//! 0; every other one keeps its bits. Only blocks of 16 pixels with ink are looked at, and only
//! they are converted.
//!
//! - Chroma of several pixels is the overlay's at the place where the sample is, with alpha that is
//!   filtered with the same weights: one column or row beside the sample's own, weights 1, 2, 1,
//!   where it is on a pixel; the two nearest where it is between them. It changes only if a pixel of
//!   its own cell shows.
//! - Over a picture with alpha the result is straight again, and chroma weighs what is below by
//!   its own alpha.
//! - The fields of an interlaced picture are pictures of their own: chroma rows are of the two
//!   fields in turn, so that of 4:2:0 those of the top field are a quarter, those of the bottom
//!   field three quarters of a field's row below a row of luma (ITU-T H.264, 6.2).
//! - Sprites are sRGB. BT.2020 and high dynamic range get them through linear light, their white
//!   at 203 cd/m² (ITU-R BT.2408-7).

mod block;
mod cell;
mod colour;
mod format;
mod light;
mod pass;
mod plain;
mod sample;
mod taps;

use std::fmt;

pub use self::colour::{Colour, MatrixCoefficients, Primaries, Siting, Transfer};
use self::colour::{Row, rows};
pub use self::format::PictureFormat;
use self::light::Light;
use self::pass::{LINES, Pass};
use self::taps::Taps;
use crate::frame::{Alpha, BLOCK, Frame, PixelFormat, Size};
use crate::pixel::SimdLevel;

/// One plane of a picture that is keyed in place.
pub struct PlaneMut<'a> {
    /// Its rows, from the top. What is between them is not written.
    pub bytes: &'a mut [u8],
    /// From one row to the next, in bytes.
    pub stride: usize,
}

impl fmt::Debug for PlaneMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlaneMut({} bytes, {})", self.bytes.len(), self.stride)
    }
}

/// One of the two fields of an interlaced picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Rows 0, 2, 4 and so on.
    Top,
    /// Rows 1, 3, 5 and so on.
    Bottom,
}

/// Which rows of a picture are keyed. The overlay has them all, and has each where the picture has
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All, as one picture.
    All,
    /// Those of one field, as a picture of its own.
    Field(Parity),
}

impl Rows {
    /// The first row, and the step from one to the next.
    fn first_and_step(self) -> (usize, usize) {
        match self {
            Self::All => (0, 1),
            Self::Field(Parity::Top) => (0, 2),
            Self::Field(Parity::Bottom) => (1, 2),
        }
    }
}

/// Keys frames over pictures of one size, format and colour.
pub struct Keyer {
    size: Size,
    format: PictureFormat,
    siting: Siting,
    level: SimdLevel,
    /// Of each channel.
    rows: [Row; 4],
    light: Option<Light>,
    /// Four rows of the overlay that have been converted, where sprites need that.
    lines: Vec<[[f32; BLOCK]; 4]>,
}

impl fmt::Debug for Keyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyer({}, {}, {})", self.size, self.format, self.level)
    }
}

impl Keyer {
    /// For pictures of this size.
    #[must_use]
    pub fn new(size: Size, format: PictureFormat, colour: Colour) -> Self {
        let spec = format.spec();
        Self {
            size,
            format,
            siting: colour.siting,
            level: SimdLevel::detect(),
            rows: rows(&colour, spec.bits, spec.is_yuv),
            light: Light::new(&colour),
            lines: Vec::new(),
        }
    }

    /// With these instructions. The picture is the same with any.
    #[must_use]
    pub fn with_simd(mut self, level: SimdLevel) -> Self {
        self.level = level;
        self
    }

    /// Keys `overlay` over the picture, its upper left pixel at `origin`: columns from the left,
    /// rows from the top.
    ///
    /// # Panics
    /// - The overlay is not premultiplied, not in the order R, G, B, A, or not within the picture.
    /// - The origin is not a multiple of the format's [`cell`](PictureFormat::cell), of twice its
    ///   rows for a field.
    /// - There are fewer planes than the format has, or a plane is smaller than the picture.
    pub fn key(
        &mut self,
        overlay: &Frame,
        origin: (u32, u32),
        rows: Rows,
        planes: &mut [PlaneMut<'_>],
    ) {
        let size = overlay.size();
        let (first, step) = rows.first_and_step();
        let (cell_width, cell_height) = self.format.cell();
        let (x, y) = (origin.0 as usize, origin.1 as usize);
        let kind = (overlay.alpha(), overlay.format());
        assert_eq!(kind, (Alpha::Premultiplied, PixelFormat::Rgba));
        assert!(
            x + size.width() as usize <= self.size.width() as usize
                && y + size.height() as usize <= self.size.height() as usize,
            "an overlay of {size} at {origin:?} is within {}",
            self.size
        );
        assert!(
            x.is_multiple_of(cell_width as usize) && y.is_multiple_of(cell_height as usize * step),
            "an overlay at {origin:?} begins with a cell"
        );
        assert!(planes.len() >= self.format.planes(), "all planes");
        for (n, plane) in planes.iter().enumerate().take(self.format.planes()) {
            let (row_bytes, rows) = self.format.plane(n, self.size);
            let whole = plane.stride >= row_bytes
                && plane.bytes.len() >= plane.stride * (rows - 1) + row_bytes;
            assert!(whole, "plane {n} has {rows} rows of {row_bytes} bytes");
        }
        if overlay.is_clear() {
            return;
        }
        let blocks = (size.width() as usize).div_ceil(BLOCK);
        if self.light.is_some() && self.lines.len() < LINES * blocks {
            let clear = [[0.0; BLOCK]; 4];
            self.lines.resize(LINES * blocks, clear);
        }
        let spec = self.format.spec();
        let taps = Taps::new(spec, self.siting, rows);
        let keyed = |rows: u32| (rows as usize).saturating_sub(first).div_ceil(step);
        let is_subsampled = spec.is_subsampled();
        // What is below chroma is of the alpha that the picture had.
        let passes: &[_] = if self.format.has_alpha() && is_subsampled {
            &[(false, true), (true, false)]
        } else {
            &[(true, is_subsampled)]
        };
        for &(whole, cells) in passes {
            self.level.run_vectors(Pass {
                spec,
                rows: &self.rows,
                light: self.light.as_ref(),
                lines: &mut self.lines,
                taps: &taps,
                overlay,
                size: (size.width() as usize, keyed(size.height())),
                picture: (self.size.width() as usize, keyed(self.size.height())),
                chroma_rows: keyed(self.size.height().div_ceil(cell_height)),
                origin: (x, y / step),
                first,
                step,
                planes,
                whole,
                cells,
            });
        }
    }
}

#[cfg(test)]
mod tests;
