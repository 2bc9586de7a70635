//! PNG, APNG, GIF and WebP.

use std::io::Cursor;
use std::num::NonZeroU32;
use std::time::Duration;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::metadata::LoopCount;
use image::{
    AnimationDecoder as _, DynamicImage, ImageDecoder, ImageError, ImageResult, Limits, Rgba,
    RgbaImage,
};

use super::timing::Timing;
use super::{ArtworkError, FRAMES_MAX, PIXELS_MAX, SIDE_MAX, words};
use crate::emoji::premultiply;

/// What a decoder may allocate at a time, in bytes: a few canvases of 16 bits a channel.
const DECODER_BYTES_MAX: u64 = 256 << 20;

/// A format, told by a file's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Gif,
    WebP,
}

/// What a check has found.
pub(super) struct Checked {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) timing: Timing,
}

/// The format, or the name of what it is instead.
pub(super) fn sniff(bytes: &[u8]) -> Result<Format, &'static str> {
    let box_type = bytes.get(4..12);
    match bytes {
        [] => Err("an empty file"),
        [0x89, b'P', b'N', b'G', ..] => Ok(Format::Png),
        [b'G', b'I', b'F', b'8', ..] => Ok(Format::Gif),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Ok(Format::WebP),
        [0xff, 0xd8, 0xff, ..] => Err("a JPEG image"),
        [b'B', b'M', ..] => Err("a BMP image"),
        [0, 0, 1, 0, ..] => Err("an icon (ICO)"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Err("a TIFF image"),
        [0xff, 0x0a, ..] => Err("a JPEG XL image"),
        [0x1f, 0x8b, ..] => Err("a compressed file (gzip, SVGZ)"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Err("a WebM or Matroska video"),
        _ if box_type == Some(b"ftypavif") => Err("an AVIF image"),
        _ if box_type.is_some_and(|name| name.starts_with(b"ftyp")) => {
            Err("an MP4 video or a HEIF image")
        }
        _ => Err("not an image of a known format"),
    }
}

impl Format {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
        }
    }
}

/// Decodes every frame, one at a time.
pub(super) fn check(format: Format, bytes: &[u8]) -> Result<Checked, ArtworkError> {
    let damaged = |error: ImageError| ArtworkError::Damaged {
        format: format.name(),
        reason: words(&error),
    };
    match format {
        Format::Png => {}
        Format::Gif => check_gif(bytes)?,
        Format::WebP => check_webp(bytes)?,
    }
    let opened = open(format, bytes).map_err(damaged)?;
    let (width, height) = (opened.width, opened.height);
    check_side(width, height)?;
    let mut shown_for = Vec::new();
    let mut pixels = 0;
    for frame in opened.frames {
        let (_, shown) = frame.map_err(damaged)?;
        count(&mut pixels, width, height)?;
        if shown_for.len() == FRAMES_MAX {
            return Err(ArtworkError::Frames);
        }
        shown_for.push(shown);
    }
    if shown_for.is_empty() {
        return Err(no_frame(format));
    }
    Ok(Checked {
        width,
        height,
        timing: Timing::new(shown_for, opened.plays),
    })
}

/// Every frame of a checked file, scaled.
pub(super) fn scaled(
    format: Format,
    bytes: &[u8],
    width: u32,
    height: u32,
    frames: usize,
) -> Vec<Vec<[u8; 4]>> {
    let decoded = open(format, bytes)
        .into_iter()
        .flat_map(|opened| opened.frames);
    let decoded = decoded.map_while(Result::ok).take(frames);
    decoded
        .map(|(image, _)| scale(image, width, height))
        .collect()
}

/// Scales in premultiplied space, so that what is transparent lends no colour to its neighbours.
fn scale(mut image: RgbaImage, width: u32, height: u32) -> Vec<[u8; 4]> {
    for pixel in image.pixels_mut() {
        pixel.0 = premultiply(pixel.0);
    }
    let image = image::imageops::resize(&image, width, height, FilterType::Triangle);
    image.pixels().map(|pixel| pixel.0).collect()
}

/// A file whose header has been read.
struct Opened<'a> {
    width: u32,
    height: u32,
    plays: Option<NonZeroU32>,
    /// Composed, each the whole canvas.
    frames: Box<dyn Iterator<Item = ImageResult<(RgbaImage, Duration)>> + 'a>,
}

fn open(format: Format, bytes: &[u8]) -> ImageResult<Opened<'_>> {
    let file = Cursor::new(bytes);
    match format {
        Format::Png => {
            let decoder = PngDecoder::with_limits(file, limits())?;
            let (width, height) = decoder.dimensions();
            if !decoder.is_apng()? {
                return Ok(Opened::still(decoder));
            }
            let decoder = decoder.apng()?;
            Ok(Opened::animation(
                width,
                height,
                decoder.loop_count(),
                decoder.into_frames(),
            ))
        }
        Format::Gif => {
            let mut decoder = GifDecoder::new(file)?;
            decoder.set_limits(limits())?;
            let (width, height) = decoder.dimensions();
            let frames = decoder.into_frames();
            let opened = Opened::animation(width, height, LoopCount::Infinite, frames);
            let plays = gif_plays(bytes);
            Ok(Opened { plays, ..opened })
        }
        Format::WebP => {
            let mut decoder = WebPDecoder::new(file)?;
            if !decoder.has_animation() {
                return Ok(Opened::still(decoder));
            }
            // Browsers clear to transparent, whatever colour the file hints at; the decoder clears
            // nothing unless it is told a colour.
            decoder.set_background_color(Rgba([0; 4]))?;
            let (width, height) = decoder.dimensions();
            Ok(Opened::animation(
                width,
                height,
                decoder.loop_count(),
                decoder.into_frames(),
            ))
        }
    }
}

impl<'a> Opened<'a> {
    fn still(decoder: impl ImageDecoder + 'a) -> Self {
        let (width, height) = decoder.dimensions();
        let image = move || {
            Ok((
                DynamicImage::from_decoder(decoder)?.into_rgba8(),
                Duration::ZERO,
            ))
        };
        Self {
            width,
            height,
            plays: None,
            frames: Box::new(std::iter::once_with(image)),
        }
    }

    fn animation(width: u32, height: u32, loops: LoopCount, frames: image::Frames<'a>) -> Self {
        let frames = frames.map(|frame| {
            let frame = frame?;
            let shown = Duration::from(frame.delay());
            Ok((frame.into_buffer(), shown))
        });
        Self {
            width,
            height,
            plays: match loops {
                LoopCount::Infinite => None,
                LoopCount::Finite(plays) => Some(plays),
            },
            frames: Box::new(frames),
        }
    }
}

/// The decoders' own limits, against what a header promises.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    limits
}

fn check_side(width: u32, height: u32) -> Result<(), ArtworkError> {
    if (1..=SIDE_MAX).contains(&width) && (1..=SIDE_MAX).contains(&height) {
        Ok(())
    } else {
        Err(ArtworkError::Side { width, height })
    }
}

fn count(pixels: &mut u64, width: u32, height: u32) -> Result<(), ArtworkError> {
    *pixels += u64::from(width) * u64::from(height);
    if *pixels > PIXELS_MAX {
        return Err(ArtworkError::Pixels);
    }
    Ok(())
}

fn no_frame(format: Format) -> ArtworkError {
    ArtworkError::Damaged {
        format: format.name(),
        reason: "it has no frame".into(),
    }
}

/// Checks a GIF file's frames by their headers: they may be larger than the canvas, and unfold
/// a few bytes into all of that.
fn check_gif(bytes: &[u8]) -> Result<(), ArtworkError> {
    let damaged = |error: gif::DecodingError| ArtworkError::Damaged {
        format: Format::Gif.name(),
        reason: words(&error),
    };
    let mut decoder = gif_headers(bytes).map_err(damaged)?;
    let canvas = (decoder.width().into(), decoder.height().into());
    check_side(canvas.0, canvas.1)?;
    let (mut pixels, mut frames) = (0, 0);
    while let Some(frame) = decoder.next_frame_info().map_err(damaged)? {
        let (width, height) = (frame.width.into(), frame.height.into());
        check_side(width, height)?;
        count(&mut pixels, canvas.0.max(width), canvas.1.max(height))?;
        frames += 1;
        if frames > FRAMES_MAX {
            return Err(ArtworkError::Frames);
        }
    }
    if frames == 0 {
        return Err(no_frame(Format::Gif));
    }
    Ok(())
}

/// Checks that a WebP file is as long as it says; the decoder would leave out what is cut off.
fn check_webp(bytes: &[u8]) -> Result<(), ArtworkError> {
    const HEADER: usize = 8;
    let size = bytes.get(4..HEADER).and_then(|size| size.try_into().ok());
    let size = size.map_or(u32::MAX, u32::from_le_bytes);
    if bytes.len().saturating_sub(HEADER) < size as usize {
        return Err(ArtworkError::Damaged {
            format: Format::WebP.name(),
            reason: "it is cut short".into(),
        });
    }
    Ok(())
}

/// How often a GIF file plays, as in browsers: once without a `NETSCAPE2.0` extension, without end
/// with a 0 in it, and else once more than it says (Chromium's `SkCodec::getRepetitionCount`).
fn gif_plays(bytes: &[u8]) -> Option<NonZeroU32> {
    match gif_headers(bytes).ok()?.repeat() {
        gif::Repeat::Infinite => None,
        gif::Repeat::Finite(again) => NonZeroU32::MIN.checked_add(again.into()),
    }
}

fn gif_headers(bytes: &[u8]) -> Result<gif::Decoder<&[u8]>, gif::DecodingError> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    options.read_info(bytes)
}
