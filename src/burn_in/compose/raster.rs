//! Pictures of one size and format: brought to it, and reactions keyed over them.

use anyhow::{Context as _, Result};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::format::pixel::Descriptor;
use ffmpeg_next::software::scaling::{self, Flags};
use ffmpeg_next::{color, frame};

use crate::burn_in::ffi;
use crate::burn_in::geometry::{Geometry, Shape};
use crate::burn_in::overlay::Pictures;
use crate::burn_in::settings::Fit;
use crate::frame::{Frame, Size};
use crate::keyer::{Keyer, Parity, PlaneMut, Rows};

/// Pictures kept to copy others into: more than an encoder that looks ahead holds.
const POOL_MAX: usize = 96;

/// One size and format of pictures, of one or more outputs.
pub(super) struct Raster {
    pub(super) size: Size,
    pub(super) format: Pixel,
    pub(super) fit: Fit,
    scaler: Option<Scaler>,
    pool: Vec<frame::Video>,
    pub(super) view: Option<View>,
}

/// How reactions get into a raster's pictures.
pub(super) struct View {
    pub(super) shape: Shape,
    pub(super) geometry: Geometry,
    keyer: Keyer,
    turned: Option<Frame>,
}

/// A picture in a raster's size and format.
pub(super) struct Scaled {
    picture: frame::Video,
    /// Whether its memory is a raster's, to be used again.
    is_own: bool,
}

/// Brings pictures to a raster's size and format.
struct Scaler {
    of: (Pixel, u32, u32),
    scaler: scaling::Context,
    /// What is scaled to, where that is not all of the picture or more than it.
    part: Option<frame::Video>,
}

impl View {
    pub(super) fn new(shape: Shape, geometry: Geometry, keyer: Keyer) -> Self {
        Self {
            turned: geometry.turned_frame(),
            shape,
            geometry,
            keyer,
        }
    }
}

impl Raster {
    pub(super) fn new(size: Size, format: Pixel, fit: Fit) -> Self {
        Self {
            size,
            format,
            fit,
            scaler: None,
            pool: Vec::new(),
            view: None,
        }
    }

    /// The picture in this raster's size and format: the same, if it has them.
    pub(super) fn scale(&mut self, picture: &frame::Video) -> Result<Scaled> {
        let of = (picture.format(), picture.width(), picture.height());
        let to = (self.format, self.size.width(), self.size.height());
        if (plain(of.0), of.1, of.2) == (plain(to.0), to.1, to.2) {
            let mut same = ffi::share(picture)?;
            if of.0 != to.0 {
                // The same samples by another name.
                if is_full_by_name(of.0) {
                    same.set_color_range(color::Range::JPEG);
                }
                same.set_format(to.0);
            }
            return Ok(Scaled {
                picture: same,
                is_own: false,
            });
        }
        let part = part_of((of.1, of.2), (to.1, to.2), self.fit);
        let scaler = match &mut self.scaler {
            Some(scaler) if scaler.of == of => scaler,
            scaler => {
                let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT;
                let (width, height) = part;
                let made = scaling::Context::get(of.0, of.1, of.2, to.0, width, height, flags);
                let made = made.with_context(|| {
                    format!("pictures can't be converted from {:?} to {:?}", of.0, to.0)
                })?;
                let is_part = part != (to.1, to.2);
                scaler.insert(Scaler {
                    of,
                    scaler: made,
                    part: is_part.then(|| frame::Video::new(to.0, width, height)),
                })
            }
        };
        let mut out = take(&mut self.pool, to.0, to.1, to.2)?;
        match &mut scaler.part {
            None => scaler.scaler.run(picture, &mut out)?,
            Some(part) => {
                scaler.scaler.run(picture, part)?;
                ffi::copy_properties(picture, &mut out)?;
                ffi::fill_black(&mut out);
                lay_middle(part, &mut out);
            }
        }
        ffi::copy_properties(picture, &mut out)?;
        Ok(Scaled {
            picture: out,
            is_own: true,
        })
    }

    /// The picture with reactions in it: another, if they show on it and somebody else has it, too.
    pub(super) fn key(
        &mut self,
        scaled: Scaled,
        painted: Option<&Pictures>,
    ) -> Result<frame::Video> {
        let Scaled { picture, is_own } = scaled;
        let painted = painted.filter(|pictures| !pictures.is_clear);
        let (Some(painted), Some(view)) = (painted, &mut self.view) else {
            return if is_own {
                self.keep(picture)
            } else {
                Ok(picture)
            };
        };
        let is_free = ffi::is_alone(&picture) && ffi::is_upright(&picture);
        let mut out = if is_free {
            picture
        } else {
            let (width, height) = (picture.width(), picture.height());
            let mut out = take(&mut self.pool, picture.format(), width, height)?;
            ffi::copy_pixels(&picture, &mut out)?;
            ffi::copy_properties(&picture, &mut out)?;
            out
        };
        let fields: &[Rows] = match (painted.frames.len(), view.shape.top_first) {
            (2, true) => &[Rows::Field(Parity::Top), Rows::Field(Parity::Bottom)],
            (2, false) => &[Rows::Field(Parity::Bottom), Rows::Field(Parity::Top)],
            _ => &[Rows::All],
        };
        for (overlay, rows) in painted.frames.iter().zip(fields) {
            let overlay = view.geometry.turn(overlay, &mut view.turned);
            let mut planes = planes(&mut out);
            view.keyer
                .key(overlay, view.geometry.origin, *rows, &mut planes);
        }
        // The decoder has memory of its own, and would need more if some of it were kept.
        match is_own || !is_free {
            true => self.keep(out),
            false => Ok(out),
        }
    }

    /// Keeps a picture's memory, to be used again when nobody else has it.
    fn keep(&mut self, picture: frame::Video) -> Result<frame::Video> {
        if self.pool.len() < POOL_MAX {
            self.pool.push(ffi::share(&picture)?);
        }
        Ok(picture)
    }
}

/// libavutil's name of a pixel format.
pub(super) fn name(format: Pixel) -> Option<&'static str> {
    format.descriptor().map(Descriptor::name)
}

/// Whether a pixel format's name alone says that it is of full range: one of JPEG's.
fn is_full_by_name(format: Pixel) -> bool {
    plain(format) != format
}

/// The same samples without saying of which range they are.
pub(super) fn plain(format: Pixel) -> Pixel {
    match format {
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        Pixel::YUVJ440P => Pixel::YUV440P,
        Pixel::YUVJ411P => Pixel::YUV411P,
        other => other,
    }
}

/// A picture that nobody else holds: one that was used before, or a new one.
fn take(
    pool: &mut Vec<frame::Video>,
    format: Pixel,
    width: u32,
    height: u32,
) -> Result<frame::Video> {
    pool.retain(|kept| (kept.format(), kept.width(), kept.height()) == (format, width, height));
    let free = pool.iter().position(ffi::is_alone);
    Ok(match free {
        Some(free) => pool.swap_remove(free),
        None => frame::Video::new(format, width, height),
    })
}

/// The planes of a picture that nobody else holds.
fn planes(picture: &mut frame::Video) -> Vec<PlaneMut<'_>> {
    let strides: Vec<usize> = (0..picture.planes()).map(|n| picture.stride(n)).collect();
    ffi::planes_mut(picture)
        .into_iter()
        .zip(strides)
        .map(|(bytes, stride)| PlaneMut { bytes, stride })
        .collect()
}

/// The size of what is to be seen of a picture in another.
fn part_of(of: (u32, u32), to: (u32, u32), fit: Fit) -> (u32, u32) {
    let across = f64::from(to.0) / f64::from(of.0);
    let down = f64::from(to.1) / f64::from(of.1);
    let by = match fit {
        Fit::Stretch => return to,
        Fit::Contain => across.min(down),
        Fit::Cover => across.max(down),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a side of a picture"
    )]
    let even = |side: u32| ((f64::from(side) * by / 2.0).round() as u32 * 2).max(2);
    (even(of.0), even(of.1))
}

/// Lays one picture on the middle of another of its format; what is beyond it is cut.
fn lay_middle(part: &frame::Video, on: &mut frame::Video) {
    let format = on.format();
    let cut = |part: u32, on: u32| {
        let (more, less) = (part.max(on) - part.min(on), part.min(on));
        // Whole samples of chroma.
        let beside = more / 4 * 2;
        (
            beside * u32::from(part > on),
            beside * u32::from(part < on),
            less,
        )
    };
    let (from_x, to_x, width) = cut(part.width(), on.width());
    let (from_y, to_y, height) = cut(part.height(), on.height());
    for plane in 0..part.planes() {
        let down = part
            .height()
            .div_ceil(part.plane_height(plane).max(1))
            .max(1);
        let bytes = |pixels: u32| ffi::row_bytes(format, pixels, plane);
        let (part_stride, on_stride) = (part.stride(plane), on.stride(plane));
        let source = part.data(plane);
        let target = on.data_mut(plane);
        for row in 0..(height / down) as usize {
            let source = &source[(row + (from_y / down) as usize) * part_stride..][bytes(from_x)..];
            let target = &mut target[(row + (to_y / down) as usize) * on_stride..][bytes(to_x)..];
            target[..bytes(width)].copy_from_slice(&source[..bytes(width)]);
        }
    }
}

/// Shows an image on a picture, all of it, over black.
pub(super) fn lay_image(image: &image::RgbaImage, on: &mut frame::Video) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    let mut source = frame::Video::new(Pixel::RGBA, width, height);
    let stride = source.stride(0);
    let rows = source.data_mut(0).chunks_mut(stride);
    for (row, line) in rows.zip(image.as_raw().chunks(4 * width as usize)) {
        row[..line.len()].copy_from_slice(line);
    }
    let (to_width, to_height) = part_of((width, height), (on.width(), on.height()), Fit::Contain);
    let (to_width, to_height) = (to_width.min(on.width()), to_height.min(on.height()));
    let flags = Flags::BICUBIC | Flags::ACCURATE_RND;
    let mut scaler = scaling::Context::get(
        Pixel::RGBA,
        width,
        height,
        on.format(),
        to_width,
        to_height,
        flags,
    )?;
    let mut part = frame::Video::empty();
    scaler.run(&source, &mut part)?;
    ffi::fill_black(on);
    lay_middle(&part, on);
    Ok(())
}
