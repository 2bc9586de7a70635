//! A reaction's own picture: an image file to the frames of a sprite.
//!
//! PNG, GIF, WebP and SVG are read; GIF, APNG and WebP may be animated. The file is untrusted: it
//! is read whole, and checked whole, before it is an [`Artwork`], and nothing that it names is ever
//! fetched. Only the file itself is kept; its frames are decoded again at the size asked for,
//! which happens once for each sheet.
//!
//! As in a browser, a picture without a colour profile is sRGB. Profiles and the orientation of
//! EXIF are not read.

mod raster;
pub mod timing;
mod vector;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::raster::Format;
use self::timing::Timing;
use self::vector::Drawing;

/// A larger file is refused, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// A larger SVG file is refused, in bytes: text unfolds further than pixels do.
pub const SVG_BYTES_MAX: usize = 4 << 20;

/// A longer side is refused, in pixels. An SVG image has none.
pub const SIDE_MAX: u32 = 4_096;

/// More frames are refused.
pub const FRAMES_MAX: usize = 1_000;

/// More pixels than this, over all frames of a file, are refused: they bound the time to decode.
pub const PIXELS_MAX: u64 = 32 << 20;

/// At most this many bytes of pixels are made of one picture, over all its frames.
pub const SCALED_BYTES_MAX: usize = 128 << 20;

/// A picture is drawn at most this many times as wide as its box is high; a wider one is drawn
/// lower.
pub const WIDTH_PER_HEIGHT_MAX: f64 = 4.0;

/// A reaction's own picture: one frame, or several with their own timing.
#[derive(Clone)]
pub struct Artwork {
    bytes: Arc<[u8]>,
    content: Content,
    aspect: f64,
    timing: Timing,
}

#[derive(Clone)]
enum Content {
    Raster(Format),
    Vector(Arc<Drawing>),
}

/// A frame at its size: 8-bit RGBA, **premultiplied**, rows from the top, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtworkFrame {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `width * height` of them.
    pub pixels: Vec<[u8; 4]>,
    /// For how long it shows, each time.
    pub shown_for: Duration,
}

/// Why an image is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtworkError {
    /// Another format, or none.
    #[error("{found}; expected a PNG, APNG, GIF, WebP or SVG image")]
    Format {
        /// What it is instead.
        found: &'static str,
    },
    /// More bytes than a file may have.
    #[error("a file of {bytes} bytes; at most {max} are accepted for this format")]
    File {
        /// How many it has.
        bytes: usize,
        /// [`FILE_BYTES_MAX`] or [`SVG_BYTES_MAX`].
        max: usize,
    },
    /// A side that is 0 or longer than [`SIDE_MAX`].
    #[error("an image of {width}x{height} pixels; expected sides of 1 to {SIDE_MAX}")]
    Side {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// More than [`FRAMES_MAX`].
    #[error("an animation of more than {FRAMES_MAX} frames; expected fewer")]
    Frames,
    /// More than [`PIXELS_MAX`].
    #[error(
        "more than {} million pixels over all frames; expected fewer frames or smaller ones",
        PIXELS_MAX / 1_000_000
    )]
    Pixels,
    /// It says that it is an image of a format, but can't be decoded as one.
    #[error("a damaged {format} image, or one of a kind that is not supported: {reason}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// An SVG image with something that is not drawn, or would reach out of the file.
    #[error("an SVG image with {found}; {advice}")]
    Svg {
        /// What it has.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// An SVG image that would take too long to draw.
    #[error("an SVG image that is too complex ({0}); simplify it, or use a PNG or WebP image")]
    Complex(&'static str),
}

/// The frames would take more than [`SCALED_BYTES_MAX`] at this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an image of {frames} frames would take more than {} MiB at {width}x{height} pixels; expected fewer frames or a smaller size",
    SCALED_BYTES_MAX >> 20
)]
pub struct ArtworkTooLarge {
    /// How many it has.
    pub frames: usize,
    /// Of each, in pixels.
    pub width: u32,
    /// Of each, in pixels.
    pub height: u32,
}

impl Artwork {
    /// Reads a file and checks all of it: every frame decodes.
    ///
    /// The format is told by the content.
    ///
    /// # Errors
    /// [`ArtworkError`]: not one of the formats, damaged, or past a limit.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, ArtworkError> {
        let len = bytes.len();
        let at_most = |max| match len {
            bytes if bytes > max => Err(ArtworkError::File { bytes, max }),
            _ => Ok(()),
        };
        at_most(FILE_BYTES_MAX)?;
        let (content, aspect, timing) = match raster::sniff(&bytes) {
            Ok(format) => {
                let checked = raster::check(format, &bytes)?;
                let aspect = f64::from(checked.width) / f64::from(checked.height);
                (Content::Raster(format), aspect, checked.timing)
            }
            Err(found) => {
                let text = vector::sniff(&bytes).ok_or(ArtworkError::Format { found })?;
                at_most(SVG_BYTES_MAX)?;
                let drawing = Drawing::parse(text)?;
                let aspect = drawing.aspect();
                (Content::Vector(Arc::new(drawing)), aspect, Timing::still())
            }
        };
        Ok(Self {
            bytes: bytes.into(),
            content,
            aspect,
            timing,
        })
    }

    /// The file, as it was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's media type, for a page that shows it itself.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match &self.content {
            Content::Raster(format) => format.media_type(),
            Content::Vector(_) => "image/svg+xml",
        }
    }

    /// Width by height; finite and above 0.
    #[must_use]
    pub fn aspect(&self) -> f64 {
        self.aspect
    }

    /// When which frame shows.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Width and height of every frame in pixels, in a box that is `height_px` high.
    ///
    /// The picture is as high as its box, unless it would be more than [`WIDTH_PER_HEIGHT_MAX`]
    /// times as wide as that. Sides are rounded, and at least 1.
    #[must_use]
    pub fn size(&self, height_px: f64) -> (u32, u32) {
        // Not a number is 1 as well.
        let box_height = height_px.max(1.0);
        let width = (box_height * self.aspect).min(box_height * WIDTH_PER_HEIGHT_MAX);
        let height = (width / self.aspect).min(box_height);
        (side(width), side(height))
    }

    /// What it looks like in a box of `height_px` device pixels: the frames of [`Self::timing`], all
    /// of [`Self::size`].
    ///
    /// A raster image is scaled with a tent filter, which is bilinear where it enlarges, as in a
    /// browser. An SVG image is drawn at the size itself.
    ///
    /// # Errors
    /// More than [`SCALED_BYTES_MAX`] of pixels.
    pub fn frames(&self, height_px: f64) -> Result<Vec<ArtworkFrame>, ArtworkTooLarge> {
        let (width, height) = self.size(height_px);
        let frames = self.timing.frames();
        let bytes = u128::from(width) * u128::from(height) * frames as u128 * 4;
        if bytes > SCALED_BYTES_MAX as u128 {
            return Err(ArtworkTooLarge {
                frames,
                width,
                height,
            });
        }
        let mut pictures = match &self.content {
            Content::Raster(format) => raster::scaled(*format, &self.bytes, width, height, frames),
            Content::Vector(drawing) => vec![drawing.draw(width, height)],
        };
        // All frames have been decoded once, so none is missing.
        let len = width as usize * height as usize;
        pictures.resize_with(frames, || vec![[0; 4]; len]);
        let frames = pictures.into_iter().enumerate();
        let frames = frames.map(|(index, pixels)| ArtworkFrame {
            width: width as usize,
            height: height as usize,
            pixels,
            shown_for: self.timing.shown_for(index),
        });
        Ok(frames.collect())
    }
}

/// A length in whole pixels, at least 1. What no frame can have is still above every limit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float saturates"
)]
fn side(px: f64) -> u32 {
    px.round().max(1.0) as u32
}

/// A foreign library's words, of a bounded length and on one line.
fn words(said: &impl fmt::Display) -> String {
    const CHARS_MAX: usize = 200;
    let said = said.to_string();
    let visible = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(CHARS_MAX).collect()
}

impl fmt::Debug for Artwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artwork")
            .field("media_type", &self.media_type())
            .field("bytes", &self.bytes.len())
            .field("aspect", &self.aspect)
            .field("timing", &self.timing)
            .finish()
    }
}

#[cfg(test)]
mod tests;
