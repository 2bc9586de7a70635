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
    self as ffmpeg, Dictionary, Error, Packet, codec, color, encoder, format, frame, packet,
};

use super::convert::{Converter, Picture, Samples};
use super::form::{Codec, Container, Form, list};
use super::stream::Stream;
use super::{Flow, Spec, cannot_write};
use crate::frame::{Frame, FrameRate, PixelFormat, Size};
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
            to_file,
        })
    }
}

/// From frames to packets.
pub(super) struct Encoder {
    converter: Converter,
    pixel: format::Pixel,
    size: Size,
    video: encoder::Video,
}

/// A picture that is encoded.
pub(super) struct Coded {
    pub(super) bytes: Vec<u8>,
    /// Of VP9 and VP8, whose alpha is a picture of its own.
    pub(super) alpha: Vec<u8>,
    /// Whether decoding can begin with it.
    pub(super) key: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({}, {:?})", self.size, self.pixel)
    }
}

impl Encoder {
    /// One whose header is in the packets, or in the container alone where that is `global`.
    ///
    /// # Errors
    /// It can't be set up so.
    pub(super) fn new(recipe: &Recipe, converter: Converter, global: bool) -> Result<Self> {
        Ok(Self {
            converter,
            pixel: pixel(recipe.samples.format),
            size: recipe.size,
            video: open(recipe, global)?,
        })
    }

    /// Encodes the frame of a number, which is its time stamp, of a recipe in which no picture waits
    /// for another.
    ///
    /// # Errors
    /// It can't be encoded.
    pub(super) fn encode(&mut self, frame: &Frame, number: u64) -> Result<Option<Coded>> {
        self.send(frame, number)?;
        let mut packet = Packet::empty();
        if !self.receive(&mut packet)? {
            return Ok(None);
        }
        let of_alpha = packet::side_data::Type::MatroskaBlockAdditional;
        let alpha = packet.side_data().find(|data| data.kind() == of_alpha);
        // The first eight bytes say that it is alpha.
        let alpha = alpha.and_then(|data| data.data().get(8..).map(<[u8]>::to_vec));
        Ok(Some(Coded {
            bytes: packet.data().unwrap_or_default().to_vec(),
            alpha: alpha.unwrap_or_default(),
            key: packet.is_key(),
        }))
    }

    fn send(&mut self, frame: &Frame, number: u64) -> Result<(), Error> {
        let (width, height) = (self.size.width(), self.size.height());
        // A new one each time: the encoder may still hold the one before.
        let mut video = frame::Video::new(self.pixel, width, height);
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
        video.set_color_space(self.video.colorspace());
        video.set_color_primaries(self.video.color_primaries());
        video.set_color_transfer_characteristic(self.video.color_transfer_characteristic());
        video.set_color_range(self.video.color_range());
        video.set_pts(i64::try_from(number).ok());
        self.video.send_frame(&video)
    }

    /// The next packet; `false` if it wants another frame, or has had the last.
    fn receive(&mut self, packet: &mut Packet) -> Result<bool, Error> {
        match self.video.receive_packet(packet) {
            Ok(()) => Ok(true),
            Err(Error::Eof | Error::Other { errno: EAGAIN }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A video that is being written.
pub struct Video {
    name: String,
    encoder: Encoder,
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
        let begun = begin(container, &recipe, converter).with_context(|| cannot_write(&name));
        let (container, encoder, time_bases) = begun?;
        Ok(Self {
            name,
            encoder,
            container,
            first: None,
            time_bases,
        })
    }

    pub(super) fn write(&mut self, frame: &Frame, index: u64) -> Result<Flow> {
        let first = *self.first.get_or_insert(index);
        let sent = self.encoder.send(frame, index - first);
        sent.with_context(|| cannot_write(&self.name))?;
        self.drain()
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.encoder
            .video
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
            let received = self.encoder.receive(&mut packet);
            if !received.with_context(|| cannot_write(&self.name))? {
                return Ok(Flow::Open);
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
type Begun = (format::context::Output, Encoder, [ffmpeg::Rational; 2]);

fn begin(
    mut container: format::context::Output,
    recipe: &Recipe,
    converter: Converter,
) -> Result<Begun> {
    let flags = container.format().flags();
    let global = flags.contains(format::Flags::GLOBAL_HEADER);
    let encoder = Encoder::new(recipe, converter, global)?;
    let mut stream = container.add_stream(encoder.video.codec())?;
    stream.set_parameters(&encoder.video);
    let time_base = ratio(recipe.rate.den(), recipe.rate.num())?;
    stream.set_time_base(time_base);
    stream.set_avg_frame_rate(time_base.invert());
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

fn open(recipe: &Recipe, global: bool) -> Result<encoder::Video> {
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
    if global {
        video.set_flags(codec::Flags::GLOBAL_HEADER);
    }
    video
        .open_with(dictionary(&options::of_encoder(recipe)))
        .with_context(|| format!("encoder {name}"))
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
