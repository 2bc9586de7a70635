//! Where reactions are in a picture: which way up it is shown, how wide its pixels are, and which
//! part of it they stay within.

use anyhow::Result;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::util::chroma::Location;
use ffmpeg_next::{color, frame};

use super::overlay::Canvas;
use super::settings::{Rect, Region};
use crate::frame::{Alpha, Frame, PixelFormat, Size, Turn, turn};
use crate::keyer::{Colour, MatrixCoefficients, PictureFormat, Primaries, Siting, Transfer};
use crate::planes::Range;

/// Pictures of more rows are high definition, and have its matrix if they don't say another: as
/// players take them.
const STANDARD_ROWS: u32 = 576;

/// The same for columns.
const STANDARD_COLUMNS: u32 = 1_024;

/// All of a picture that decides where and how reactions are put into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    size: Size,
    pub(super) format: PictureFormat,
    pub(super) colour: Colour,
    /// Width of a pixel to its height.
    aspect: f64,
    turn: Turn,
    is_interlaced: bool,
    pub(super) top_first: bool,
}

impl Shape {
    /// That of a picture which is brought to this format and size. The container's display matrix
    /// and aspect ratio hold where the picture has none of its own.
    pub(super) fn of(
        picture: &frame::Video,
        pixel: Pixel,
        format: PictureFormat,
        size: Size,
        matrix: Option<[i32; 9]>,
        ratio: (i32, i32),
    ) -> Self {
        let own = picture.aspect_ratio();
        let own = (own.numerator(), own.denominator());
        let (num, den) = if own.0 > 0 && own.1 > 0 { own } else { ratio };
        let known = num > 0 && den > 0;
        let aspect = if known {
            f64::from(num) / f64::from(den)
        } else {
            1.0
        };
        Self {
            size,
            format,
            colour: colour(picture, pixel),
            aspect,
            // One that is no multiple of a quarter turn is taken for none.
            turn: matrix.and_then(Turn::of_display_matrix).unwrap_or_default(),
            is_interlaced: picture.is_interlaced(),
            top_first: picture.is_top_first(),
        }
    }
}

/// Where reactions are in a picture of one shape.
#[derive(Debug)]
pub(super) struct Geometry {
    pub(super) canvas: Canvas,
    /// Of what is painted, once it is turned: its top left pixel in the picture.
    pub(super) origin: (u32, u32),
    turn: Turn,
}

impl Geometry {
    /// For pictures of this shape, with so many device px per CSS px over what is set.
    ///
    /// # Errors
    /// They are wider than a frame can be.
    pub(super) fn new(shape: &Shape, region: Region, scale: f64) -> Result<Self> {
        let shown = shape.turn.size(shape.size);
        let is_interlaced = shape.is_interlaced && shape.turn == Turn::Upright;
        let part = region.on(shown);
        let aspect = match shape.turn.transposes() {
            true => shape.aspect.recip(),
            false => shape.aspect,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size that is refused if it is too large"
        )]
        let across = (f64::from(part.size.width()) * aspect).round().max(1.0) as u32;
        let (x, y) = corner(part, shown, shape.turn);
        // Whole samples of chroma, in both fields.
        let (across_cell, down_cell) = shape.format.cell();
        let down_cell = if is_interlaced {
            2 * down_cell
        } else {
            down_cell
        };
        Ok(Self {
            canvas: Canvas {
                size: part.size,
                layout: Size::new(across, part.size.height())?,
                scale,
                fields: is_interlaced,
            },
            origin: (x - x % across_cell, y - y % down_cell),
            turn: shape.turn,
        })
    }

    /// A frame to turn overlays on; `None` if they are the right way up as they are.
    pub(super) fn turned_frame(&self) -> Option<Frame> {
        if self.turn == Turn::Upright {
            return None;
        }
        let size = self.turn.inverse().size(self.canvas.size);
        Some(Frame::new(size, Alpha::Premultiplied, PixelFormat::Rgba))
    }

    /// The overlay as the picture is coded.
    pub(super) fn turn<'f>(&self, overlay: &'f Frame, turned: &'f mut Option<Frame>) -> &'f Frame {
        match turned {
            None => overlay,
            Some(turned) => {
                turn(overlay, self.turn.inverse(), turned);
                turned
            }
        }
    }
}

/// Where the part's top left pixel comes to lie in the picture as it is coded.
fn corner(part: Rect, shown: Size, turn: Turn) -> (u32, u32) {
    let right = shown.width() - part.x - part.size.width();
    let below = shown.height() - part.y - part.size.height();
    turn.inverse().corner([part.x, part.y, right, below])
}

fn colour(picture: &frame::Video, format: Pixel) -> Colour {
    let name = format.descriptor().map_or("", |about| about.name());
    let full_by_name = name.starts_with("yuvj");
    let range = match picture.color_range() {
        color::Range::JPEG => Range::Full,
        _ if full_by_name => Range::Full,
        _ => Range::Limited,
    };
    let is_standard = picture.height() <= STANDARD_ROWS && picture.width() <= STANDARD_COLUMNS;
    let matrix = match picture.color_space() {
        color::Space::BT709 => MatrixCoefficients::Bt709,
        color::Space::BT470BG | color::Space::SMPTE170M => MatrixCoefficients::Bt601,
        color::Space::BT2020NCL | color::Space::BT2020CL => MatrixCoefficients::Bt2020,
        _ if is_standard => MatrixCoefficients::Bt601,
        _ => MatrixCoefficients::Bt709,
    };
    let transfer = match picture.color_transfer_characteristic() {
        color::TransferCharacteristic::SMPTE2084 => Transfer::Pq,
        color::TransferCharacteristic::ARIB_STD_B67 => Transfer::Hlg,
        _ => Transfer::Sdr,
    };
    let primaries = match picture.color_primaries() {
        color::Primaries::BT2020 => Primaries::Bt2020,
        _ => Primaries::Bt709,
    };
    let siting = match picture.chroma_location() {
        Location::Center => Siting::Center,
        Location::TopLeft => Siting::TopLeft,
        Location::Top => Siting::Top,
        Location::BottomLeft => Siting::BottomLeft,
        Location::Bottom => Siting::Bottom,
        Location::Unspecified if full_by_name => Siting::Center,
        Location::Left | Location::Unspecified => Siting::Left,
    };
    Colour {
        range,
        matrix,
        transfer,
        primaries,
        siting,
    }
}
