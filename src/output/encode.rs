//! Encoded video, through the system's `FFmpeg` libraries: from frames to a container's bytes.
//!
//! A file that is cut off plays up to its last second: MOV and MP4 are of fragments, Matroska is of
//! clusters of half a second, and each packet is handed on at once.

mod options;

use std::fmt;

use anyhow::{Context, Result, bail};
use ffmpeg_next::error::{EAGAIN, ECONNABORTED, ECONNRESET, EPIPE};
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::{
    self as ffmpeg, Dictionary, Error, Packet, codec, color, encoder, format, frame,
};

use super::convert::{Converter, Picture, Samples};
use super::form::{Codec, Container, Form, list};
use super::stream::Stream;
use super::{Flow, Spec, cannot_write};
use crate::frame::{FieldOrder, Frame, FrameRate, PixelFormat, Scan, Size};
use crate::planes::{Range, VideoFormat};

/// Bytes that libavformat gathers before it writes them.
const BUFFER_BYTES: usize = 1 << 18;

/// How one video is made; that the encoder is there has been seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    container: Container,
    codec: Codec,
    samples: Samples,
    form: Form,
    /// Of pictures.
    size: Size,
    rate: FrameRate,
    scan: Scan,
    /// Whether its bytes can be gone back to; else somebody may be watching.
    to_file: bool,
}

impl Recipe {
    /// A recipe for pictures of this size.
    ///
    /// # Errors
    /// There is no such encoder.
    pub(super) fn new(
        container: Container,
        codec: Codec,
        samples: Samples,
        spec: Spec,
        size: Size,
        to_file: bool,
    ) -> Result<Self> {
        ffmpeg::init().context("FFmpeg's libraries don't start")?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Error);
        if encoder::find_by_name(options::encoder(codec)).is_none() {
            let alpha = samples.matte.is_none();
            let there = container.codecs().iter().copied().filter(|codec| {
                let name = options::encoder(*codec);
                (!alpha || container.keeps_alpha(*codec)) && encoder::find_by_name(name).is_some()
            });
            let there: Vec<Codec> = there.collect();
            let instead = match list(&there).as_str() {
                "" => "and no other for this container".into(),
                there => format!("expected another --codec: {there}"),
            };
            bail!(
                "this system's FFmpeg has no encoder {} ({codec}); {instead}",
                options::encoder(codec)
            );
        }
        Ok(Self {
            container,
            codec,
            samples,
            form: spec.form,
            size,
            rate: spec.rate,
            scan: spec.scan,
            to_file,
        })
    }
}

/// A video that is being written.
pub struct Video {
    name: String,
    converter: Converter,
    pixel: format::Pixel,
    size: Size,
    /// Of interlaced frames, one that says which field is first.
    fields: Option<frame::Video>,
    encoder: encoder::Video,
    container: format::context::Output,
    /// The index of the first frame, which is at time 0.
    first: Option<u64>,
    /// The encoder's, of one frame, and the container's.
    time_bases: [ffmpeg::Rational; 2],
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Video({})", self.name)
    }
}

impl Video {
    /// Writes to a stream that is open.
    pub(super) fn to_stream(
        name: String,
        stream: Stream,
        recipe: Recipe,
        converter: Converter,
    ) -> Result<Self> {
        let open = || {
            let io = match stream {
                Stream::File(file) if recipe.to_file => {
                    StreamIo::from_write_seek_with_capacity(file, BUFFER_BYTES)?
                }
                stream => StreamIo::from_write_with_capacity(stream, BUFFER_BYTES)?,
            };
            format::output_to_stream(io, None, Some(options::muxer(recipe.container)))
        };
        let container = open().with_context(|| cannot_write(&name))?;
        Self::begin(name, container, recipe, converter)
    }

    /// Writes to an address, by a protocol of libavformat.
    pub(super) fn to_url(
        name: String,
        url: &str,
        recipe: Recipe,
        converter: Converter,
    ) -> Result<Self> {
        let container = format::output_as(url, options::muxer(recipe.container));
        let container = container.with_context(|| cannot_write(&name))?;
        Self::begin(name, container, recipe, converter)
    }

    fn begin(
        name: String,
        container: format::context::Output,
        recipe: Recipe,
        converter: Converter,
    ) -> Result<Self> {
        let fields = match recipe.scan {
            Scan::Interlaced(order) => {
                Some(fields(&recipe, order).with_context(|| cannot_write(&name))?)
            }
            Scan::Progressive => None,
        };
        let begun = begin(container, &recipe).with_context(|| cannot_write(&name));
        let (container, encoder, time_bases) = begun?;
        Ok(Self {
            name,
            converter,
            pixel: pixel(recipe.samples.format),
            size: recipe.size,
            fields,
            encoder,
            container,
            first: None,
            time_bases,
        })
    }

    pub(super) fn write(&mut self, frame: &Frame, index: u64) -> Result<Flow> {
        let (width, height) = (self.size.width(), self.size.height());
        // A new one each time: the encoder may still hold the one before.
        let mut video = match &self.fields {
            Some(fields) => fields.clone(),
            None => frame::Video::new(self.pixel, width, height),
        };
        match self.converter.convert(frame) {
            Picture::Packed(bytes) => lay(&mut video, 0, bytes, self.size.row_bytes()),
            Picture::Planes(planes) => {
                for n in 0..planes.format().planes(self.size).len() {
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
        let first = *self.first.get_or_insert(index);
        video.set_pts(i64::try_from(index - first).ok());
        self.encoder
            .send_frame(&video)
            .with_context(|| cannot_write(&self.name))?;
        self.drain()
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.encoder
            .send_eof()
            .with_context(|| cannot_write(&self.name))?;
        if self.drain()? == Flow::Closed {
            return Ok(());
        }
        let ended = self.container.write_trailer();
        self.flow(ended).map(|_| ())
    }

    /// Hands on what the encoder has ready.
    fn drain(&mut self) -> Result<Flow> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                // It wants another frame, or has had the last.
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(Flow::Open),
                Err(error) => return Err(error).with_context(|| cannot_write(&self.name)),
            }
            packet.set_stream(0);
            packet.set_duration(1);
            // Each time stamp is rounded by itself, so nothing drifts.
            packet.rescale_ts(self.time_bases[0], self.time_bases[1]);
            let written = packet.write_interleaved(&mut self.container);
            if self.flow(written)? == Flow::Closed {
                return Ok(Flow::Closed);
            }
        }
    }

    /// A reader that is gone is no error.
    fn flow(&self, written: Result<(), Error>) -> Result<Flow> {
        match written {
            Ok(()) => Ok(Flow::Open),
            Err(Error::Other {
                errno: EPIPE | ECONNRESET | ECONNABORTED,
            }) => Ok(Flow::Closed),
            Err(error) => Err(error).with_context(|| cannot_write(&self.name)),
        }
    }
}

/// An opened container with its header written, its encoder, and their time bases.
type Begun = (
    format::context::Output,
    encoder::Video,
    [ffmpeg::Rational; 2],
);

fn begin(mut container: format::context::Output, recipe: &Recipe) -> Result<Begun> {
    let name = options::encoder(recipe.codec);
    let Some(codec) = encoder::find_by_name(name) else {
        bail!("this system's FFmpeg has no encoder {name}");
    };
    let (num, den) = (recipe.rate.num(), recipe.rate.den());
    let time_base = ratio(den, num)?;
    let mut video = codec::context::Context::new_with_codec(codec)
        .encoder()
        .video()?;
    video.set_width(recipe.size.width());
    video.set_height(recipe.size.height());
    video.set_format(pixel(recipe.samples.format));
    video.set_time_base(time_base);
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
    let of_container = container.format().flags();
    if of_container.contains(format::Flags::GLOBAL_HEADER) {
        flags |= codec::Flags::GLOBAL_HEADER;
    }
    if options::codes_fields(recipe) {
        flags |= codec::Flags::INTERLACED_DCT | codec::Flags::INTERLACED_ME;
    }
    video.set_flags(flags);
    let encoder = video
        .open_with(dictionary(&options::of_encoder(recipe)))
        .with_context(|| format!("encoder {name}"))?;
    let mut stream = container.add_stream(codec)?;
    stream.set_parameters(&encoder);
    stream.set_time_base(time_base);
    stream.set_avg_frame_rate(ratio(num, den)?);
    let left = container.write_header_with(dictionary(&options::of_muxer(recipe)))?;
    if let Some((name, _)) = left.iter().next() {
        let name = name.to_owned();
        bail!(
            "this system's FFmpeg has no option {name} of {}",
            recipe.container
        );
    }
    drop(left);
    // The muxer's own, which may be another than was asked for.
    let stream_base = container.stream(0).map_or(time_base, |s| s.time_base());
    Ok((container, encoder, [time_base, stream_base]))
}

/// A picture, whatever it shows, that says which field is first. Decoders alone can mark one: this
/// is what that of raw video makes of a packet.
fn fields(recipe: &Recipe, order: FieldOrder) -> Result<frame::Video> {
    let id = codec::Id::RAWVIDEO;
    let (Some(coder), Some(decoder)) = (encoder::find(id), ffmpeg::decoder::find(id)) else {
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
    fields.set_kind(ffmpeg::picture::Type::None);
    Ok(fields)
}

fn dictionary(options: &[(&str, String)]) -> Dictionary<'static> {
    let pairs = options.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}

/// Copies rows of so many bytes to a plane.
fn lay(video: &mut frame::Video, plane: usize, bytes: &[u8], row_bytes: usize) {
    let stride = video.stride(plane);
    let rows = video.data_mut(plane).chunks_mut(stride);
    for (row, line) in rows.zip(bytes.chunks(row_bytes)) {
        row[..row_bytes].copy_from_slice(line);
    }
}

fn ratio(num: u32, den: u32) -> Result<ffmpeg::Rational> {
    Ok(ffmpeg::Rational::new(
        i32::try_from(num)?,
        i32::try_from(den)?,
    ))
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
