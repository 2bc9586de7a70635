//! Pictures through one of libavcodec's encoders.

use anyhow::{Context, Result, bail};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{Error, Packet, codec, color, decoder, encoder, format, frame, picture};

use super::{Recipe, dictionary, options, ratio};
use crate::frame::{FieldOrder, PixelFormat, Scan, Size};
use crate::output::convert::Picture;
use crate::planes::{Range, VideoFormat};

/// Opens a recipe's encoder, for a container with these flags.
///
/// # Errors
/// There is none, or it refuses the recipe.
pub(super) fn open(recipe: &Recipe, container: format::Flags) -> Result<encoder::Video> {
    let name = options::encoder(recipe.codec);
    let Some(codec) = encoder::find_by_name(name) else {
        bail!("this system's FFmpeg has no encoder {name}");
    };
    let (num, den) = (recipe.rate.num(), recipe.rate.den());
    let mut video = codec::context::Context::new_with_codec(codec)
        .encoder()
        .video()?;
    video.set_width(recipe.size.width());
    video.set_height(recipe.size.height());
    video.set_format(pixel(recipe.samples.format));
    video.set_time_base(ratio(den, num)?);
    video.set_frame_rate(Some(ratio(num, den)?));
    video.set_aspect_ratio(ratio(1, 1)?);
    if recipe.samples.format.is_yuv() {
        video.set_colorspace(color::Space::BT709);
        video.set_color_primaries(color::Primaries::BT709);
        video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        video.set_color_range(match recipe.samples.range {
            Range::Limited => color::Range::MPEG,
            Range::Full => color::Range::JPEG,
        });
    }
    let mut flags = codec::Flags::empty();
    if container.contains(format::Flags::GLOBAL_HEADER) {
        flags |= codec::Flags::GLOBAL_HEADER;
    }
    if options::codes_fields(recipe) {
        flags |= codec::Flags::INTERLACED_DCT | codec::Flags::INTERLACED_ME;
    }
    video.set_flags(flags);
    let opened = video.open_with(dictionary(&options::of_encoder(recipe)));
    opened.with_context(|| format!("encoder {name}"))
}

/// Whether a picture in planes has alpha, and none of it shows.
fn is_clear(picture: &Picture<'_>, size: Size) -> bool {
    /// After luma and both of chroma.
    const ALPHA: usize = 3;
    match picture {
        Picture::Frame(_) | Picture::Packed(_) => false,
        Picture::Planes(planes) if planes.format().planes(size).len() <= ALPHA => false,
        Picture::Planes(planes) => planes.plane(ALPHA).0.iter().all(|&level| level == 0),
    }
}

/// An encoder that pictures are being sent to.
pub(super) struct Libav {
    encoder: encoder::Video,
    pixel: format::Pixel,
    /// Of pictures that are coded as fields, one that says which field is first.
    fields: Option<frame::Video>,
    /// Whether the picture before was clear.
    was_clear: bool,
    packet: Packet,
}

impl Libav {
    /// Sends pictures to an encoder that is open.
    ///
    /// # Errors
    /// This system's FFmpeg can't make interlaced pictures.
    pub(super) fn new(encoder: encoder::Video, recipe: &Recipe) -> Result<Self> {
        let fields = match recipe.scan {
            Scan::Interlaced(order) if options::codes_fields(recipe) => {
                Some(fields(recipe, order)?)
            }
            _ => None,
        };
        Ok(Self {
            encoder,
            pixel: pixel(recipe.samples.format),
            fields,
            was_clear: true,
            packet: Packet::empty(),
        })
    }

    /// Sends a picture of this number.
    pub(super) fn send(
        &mut self,
        picture: &Picture<'_>,
        size: Size,
        pts: i64,
    ) -> Result<(), Error> {
        // A new one each time: the encoder may still hold the one before.
        let mut video = match &self.fields {
            Some(fields) => fields.clone(),
            None => frame::Video::new(self.pixel, size.width(), size.height()),
        };
        match picture {
            Picture::Frame(_) | Picture::Packed(_) => {
                lay(&mut video, 0, picture.as_bytes(), size.row_bytes());
            }
            Picture::Planes(planes) => {
                for n in 0..planes.format().planes(size).len() {
                    let (bytes, stride) = planes.plane(n);
                    lay(&mut video, n, bytes, stride);
                }
            }
        }
        // Some encoders take them from here.
        video.set_color_space(self.encoder.colorspace());
        video.set_color_primaries(self.encoder.color_primaries());
        video.set_color_transfer_characteristic(self.encoder.color_transfer_characteristic());
        video.set_color_range(self.encoder.color_range());
        video.set_pts(Some(pts));
        // What a lossy codec leaves over of a picture that fades away stays for as long as nothing
        // else shows; a clear key picture ends it.
        let is_clear = is_clear(picture, size);
        if is_clear && !self.was_clear {
            video.set_kind(picture::Type::I);
        }
        self.was_clear = is_clear;
        self.encoder.send_frame(&video)
    }

    /// Says that there are no more pictures.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.encoder.send_eof()
    }

    /// The next packet, if one is ready.
    pub(super) fn packet(&mut self) -> Result<Option<&mut Packet>, Error> {
        match self.encoder.receive_packet(&mut self.packet) {
            Ok(()) => Ok(Some(&mut self.packet)),
            // It wants another picture, or has had the last.
            Err(Error::Eof | Error::Other { errno: EAGAIN }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A picture, whatever it shows, that says which field is first. Decoders alone can mark one: this
/// is what that of raw video makes of a packet.
fn fields(recipe: &Recipe, order: FieldOrder) -> Result<frame::Video> {
    let id = codec::Id::RAWVIDEO;
    let (Some(coder), Some(decoder)) = (encoder::find(id), decoder::find(id)) else {
        bail!("this system's FFmpeg has no raw video, which interlaced frames need");
    };
    let (width, height) = (recipe.size.width(), recipe.size.height());
    let format = pixel(recipe.samples.format);
    let video = codec::context::Context::new_with_codec(coder).encoder();
    let mut video = video.video()?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(format);
    video.set_time_base(ratio(1, 1)?);
    let mut encoder = video.open()?;
    encoder.send_frame(&frame::Video::new(format, width, height))?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    let top = u8::from(order == FieldOrder::TopFirst).to_string();
    let context = codec::context::Context::from_parameters(codec::Parameters::from(&encoder))?;
    let opened = context
        .decoder()
        .open_as_with(decoder, dictionary(&[("top", top)]))?;
    let mut decoder = opened.video()?;
    decoder.send_packet(&packet)?;
    let mut fields = frame::Video::empty();
    decoder.receive_frame(&mut fields)?;
    // Else an encoder would code each as a picture of its own.
    fields.set_kind(picture::Type::None);
    Ok(fields)
}

/// Copies rows of so many bytes to a plane.
fn lay(video: &mut frame::Video, plane: usize, bytes: &[u8], row_bytes: usize) {
    let stride = video.stride(plane);
    let rows = video.data_mut(plane).chunks_mut(stride);
    for (row, line) in rows.zip(bytes.chunks(row_bytes)) {
        row[..row_bytes].copy_from_slice(line);
    }
}

/// libavutil's name of a codec's samples.
fn pixel(format: VideoFormat) -> format::Pixel {
    use format::Pixel;
    match format {
        VideoFormat::Packed(PixelFormat::Rgba) => Pixel::RGBA,
        VideoFormat::Packed(PixelFormat::Bgra) => Pixel::BGRA,
        VideoFormat::Packed(PixelFormat::Argb) => Pixel::ARGB,
        VideoFormat::Packed(PixelFormat::Abgr) => Pixel::ABGR,
        VideoFormat::Rgba64le => Pixel::RGBA64LE,
        VideoFormat::Gbrap => Pixel::GBRAP,
        VideoFormat::Yuva420p => Pixel::YUVA420P,
        VideoFormat::Yuva422p => Pixel::YUVA422P,
        VideoFormat::Yuva444p => Pixel::YUVA444P,
        VideoFormat::Yuva420p10le => Pixel::YUVA420P10LE,
        VideoFormat::Yuva422p10le => Pixel::YUVA422P10LE,
        VideoFormat::Yuva444p10le => Pixel::YUVA444P10LE,
        VideoFormat::Rgb24 => Pixel::RGB24,
        VideoFormat::Bgr24 => Pixel::BGR24,
        VideoFormat::Gray => Pixel::GRAY8,
        VideoFormat::Gray10le => Pixel::GRAY10LE,
        VideoFormat::Yuv420p => Pixel::YUV420P,
        VideoFormat::Yuv422p => Pixel::YUV422P,
        VideoFormat::Yuv444p => Pixel::YUV444P,
        VideoFormat::Yuv420p10le => Pixel::YUV420P10LE,
        VideoFormat::Yuv422p10le => Pixel::YUV422P10LE,
        VideoFormat::Yuv444p10le => Pixel::YUV444P10LE,
        VideoFormat::Nv12 => Pixel::NV12,
        VideoFormat::Uyvy422 => Pixel::UYVY422,
    }
}
