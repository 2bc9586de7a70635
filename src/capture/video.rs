//! Videos, through the system's `FFmpeg` libraries.
//!
//! They say which matrix and range their `Y′CbCr` has; conversion is ours, by the Recommendations'
//! formulas, so that nothing else decides about it.

use std::ffi::{OsStr, OsString};

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::{Context, decoder};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::{self, Pixel, context::Input};
use ffmpeg_next::software::scaling::{self, Flags};
use ffmpeg_next::{self as ffmpeg, Dictionary, Error, Packet, codec, color, frame, media};

use super::Decoded;
use crate::frame::Size;

/// How long a stream may say nothing, in microseconds.
const SILENCE_MAX_US: &str = "10000000";

/// A video that is being read.
pub struct Video {
    input: Input,
    stream: usize,
    decoder: decoder::Video,
    /// The decoder's name.
    codec: String,
    /// The container's tags, for pictures that have none of their own.
    tags: (color::Space, color::Range),
}

impl std::fmt::Debug for Video {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Video({})", self.codec)
    }
}

impl Video {
    pub(super) fn open(name: &OsStr, is_address: bool) -> Result<Self> {
        ffmpeg::init().context("FFmpeg's libraries don't start")?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let mut address = OsString::new();
        if !is_address {
            // So that no file's name is taken for another protocol's address.
            address.push("file:");
        }
        address.push(name);
        let options: Dictionary<'_> = [("rw_timeout", SILENCE_MAX_US)].into_iter().collect();
        let input = format::input_with_dictionary(&address, options)?;
        // It takes any text for a picture of characters.
        if input.format().name() == "tty" {
            bail!("it is text");
        }
        let stream = input.streams().best(media::Type::Video);
        let stream = stream.context("it has no video stream")?;
        let parameters = stream.parameters();
        let with_alpha = stream.metadata().get("alpha_mode") == Some("1");
        let id = parameters.id();
        let codec = match id {
            // FFmpeg's own decoders of these don't read their alpha.
            codec::Id::VP8 if with_alpha => decoder::find_by_name("libvpx"),
            codec::Id::VP9 if with_alpha => decoder::find_by_name("libvpx-vp9"),
            _ => decoder::find(id),
        };
        let Some(codec) = codec else {
            let alpha = if with_alpha { " with alpha" } else { "" };
            bail!(
                "this system's FFmpeg has no decoder of {}{alpha}",
                id.name()
            );
        };
        let context = Context::from_parameters(parameters)?;
        let decoder = context.decoder().open_as(codec)?.video()?;
        Ok(Self {
            stream: stream.index(),
            // Before the first picture; libvpx's decoder of VP8 forgets them with it.
            tags: (decoder.color_space(), decoder.color_range()),
            decoder,
            codec: codec.name().to_owned(),
            input,
        })
    }

    pub(super) fn next_picture(&mut self) -> Result<Option<Decoded>> {
        let mut frame = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => return self.picture(&frame).map(Some),
                Err(Error::Eof) => return Ok(None),
                Err(Error::Other { errno: EAGAIN }) => self.feed()?,
                Err(error) => return Err(error).context("a picture can't be decoded"),
            }
        }
    }

    /// Gives the decoder the next packet, or the end.
    fn feed(&mut self) -> Result<()> {
        let mut packet = Packet::empty();
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    match self.decoder.send_packet(&packet) {
                        // What is broken is left out: a later picture may be whole.
                        Ok(()) | Err(Error::InvalidData) => return Ok(()),
                        Err(error) => return Err(error).context("a packet can't be decoded"),
                    }
                }
                Ok(()) => {}
                Err(Error::Eof) => return Ok(self.decoder.send_eof()?),
                Err(error) => return Err(error).context("it can't be read on"),
            }
        }
    }

    fn picture(&self, frame: &frame::Video) -> Result<Decoded> {
        let size = Size::new(frame.width(), frame.height())?;
        let descriptor = frame.format().descriptor();
        let descriptor = descriptor.context("its pixel format has no description")?;
        let name = descriptor.name();
        let has_alpha = matches!(descriptor.nb_components(), 2 | 4) || name == "pal8";
        let about = format!("{} {name}", self.codec);
        if !is_ycbcr(name) {
            let rgba = converted(frame, Pixel::RGBA)?;
            return Ok(Decoded {
                pixels: packed(&rgba, size),
                size,
                has_alpha,
                format: about,
            });
        }
        let full_by_name = name.starts_with("yuvj");
        // No change of range or matrix: chroma for every pixel, of eight bits, is all.
        let planes = converted(
            frame,
            match (full_by_name, has_alpha) {
                (true, _) => Pixel::YUVJ444P,
                (false, false) => Pixel::YUV444P,
                (false, true) => Pixel::YUVA444P,
            },
        )?;
        let space = match frame.color_space() {
            color::Space::Unspecified => self.tags.0,
            space => space,
        };
        let range = match frame.color_range() {
            color::Range::Unspecified => self.tags.1,
            range => range,
        };
        let (matrix, matrix_name) = matrix(space);
        let (full, range_name) = match range {
            color::Range::JPEG => (true, "full range"),
            color::Range::MPEG => (false, "limited range"),
            color::Range::Unspecified if full_by_name => (true, "full range"),
            color::Range::Unspecified => (false, "no range tag, taken for limited"),
        };
        Ok(Decoded {
            pixels: from_ycbcr(&planes, size, has_alpha, matrix, full),
            size,
            has_alpha,
            format: format!("{about}, {matrix_name}, {range_name}"),
        })
    }
}

/// Whether a pixel format is luma and two of chroma; what is grey alone FFmpeg takes for R′G′B′.
fn is_ycbcr(format: &str) -> bool {
    let others = ["rgb", "bgr", "gbr", "pal8", "mono", "gray", "bayer", "xyz"];
    let grey_with_alpha = ["ya8", "ya16"];
    !others.iter().any(|other| format.contains(other))
        && !grey_with_alpha.iter().any(|grey| format.starts_with(grey))
}

/// The luma coefficients of red and blue, and what to call them.
fn matrix(space: color::Space) -> ((f64, f64), String) {
    // ITU-R BT.709-6, BT.601-7, BT.2020-2, SMPTE ST 240, and FCC Title 47.
    let known = match space {
        color::Space::BT709 => Some(((0.2126, 0.0722), "BT.709")),
        color::Space::BT470BG | color::Space::SMPTE170M => Some(((0.299, 0.114), "BT.601")),
        color::Space::BT2020NCL => Some(((0.2627, 0.0593), "BT.2020")),
        color::Space::SMPTE240M => Some(((0.212, 0.087), "SMPTE 240M")),
        color::Space::FCC => Some(((0.30, 0.11), "FCC")),
        _ => None,
    };
    match (known, space.name()) {
        (Some((matrix, name)), _) => (matrix, name.into()),
        // As OBS Studio and FFmpeg do.
        (None, None) => ((0.299, 0.114), "no matrix tag, taken for BT.601".into()),
        (None, Some(name)) => (
            (0.299, 0.114),
            format!("matrix {name}, which is taken for BT.601"),
        ),
    }
}

/// The frame in another pixel format.
fn converted(frame: &frame::Video, to: Pixel) -> Result<frame::Video> {
    let (width, height) = (frame.width(), frame.height());
    let flags = Flags::BILINEAR | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT;
    let scaler = scaling::Context::get(frame.format(), width, height, to, width, height, flags);
    let mut out = frame::Video::empty();
    let converted = scaler.and_then(|mut scaler| scaler.run(frame, &mut out));
    converted.with_context(|| format!("pixels can't be converted from {:?}", frame.format()))?;
    Ok(out)
}

/// The pixels of a frame of four bytes each.
fn packed(frame: &frame::Video, size: Size) -> Vec<[u8; 4]> {
    let rows = frame.data(0).chunks(frame.stride(0));
    let rows = rows.take(size.height() as usize);
    rows.flat_map(|row| row[..size.row_bytes()].as_chunks().0)
        .copied()
        .collect()
}

/// R′G′B′ of 8-bit `Y′CbCr` 4:4:4, in limited or full range.
fn from_ycbcr(
    planes: &frame::Video,
    size: Size,
    has_alpha: bool,
    (red, blue): (f64, f64),
    full: bool,
) -> Vec<[u8; 4]> {
    let (black, luma_scale, chroma_scale) = if full {
        (0.0, 1.0, 1.0)
    } else {
        (16.0, 255.0 / 219.0, 255.0 / 224.0)
    };
    let mut pixels = Vec::with_capacity(size.frame_bytes() / 4);
    for y in 0..size.height() as usize {
        let row = |plane: usize| &planes.data(plane)[y * planes.stride(plane)..];
        let (luma, cb, cr) = (row(0), row(1), row(2));
        let alpha = has_alpha.then(|| row(3));
        for x in 0..size.width() as usize {
            let luma = (f64::from(luma[x]) - black) * luma_scale;
            let chroma = |level: u8| (f64::from(level) - 128.0) * chroma_scale;
            let r = luma + 2.0 * (1.0 - red) * chroma(cr[x]);
            let b = luma + 2.0 * (1.0 - blue) * chroma(cb[x]);
            let g = (luma - red * r - blue * b) / (1.0 - red - blue);
            let [r, g, b] = [r, g, b].map(level);
            pixels.push([r, g, b, alpha.map_or(255, |alpha| alpha[x])]);
        }
    }
    pixels
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is in range"
)]
fn level(value: f64) -> u8 {
    value.clamp(0.0, 255.0).round() as u8
}
