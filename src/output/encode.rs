//! Encoded video, through the system's `FFmpeg` libraries: from frames to a container's bytes.
//!
//! A file that is cut off plays up to its last second: MOV and MP4 are of fragments, Matroska is of
//! clusters of half a second, and each packet is handed on at once.

mod libav;
mod mux;
mod options;

use std::fmt;

use anyhow::{Context, Result, bail};
use ffmpeg_next::{self as ffmpeg, Dictionary, Error, codec, encoder, format};
use image::ExtendedColorType;
use prometheus_client::metrics::counter::Counter;

use self::libav::Libav;
use self::mux::Muxer;
use super::convert::{Converter, Samples};
use super::form::{Codec, Container, Form, list};
use super::stream::Stream;
use super::{Flow, Spec, cannot_write, qtrle, still};
use crate::frame::{Frame, FrameRate, Scan, Size};

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

/// The codecs that this system's FFmpeg has no encoder for.
pub(super) fn missing_codecs() -> Vec<Codec> {
    let is_missing = |codec: &Codec| {
        let name = options::encoder(*codec);
        ffmpeg::init().is_err() || encoder::find_by_name(name).is_none()
    };
    Codec::ALL.into_iter().filter(is_missing).collect()
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
        // What libav says of an address has all of it, passphrases too; what becomes of an output is
        // said here.
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
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
    converter: Converter,
    size: Size,
    coder: Coder,
    muxer: Muxer,
    /// The index of the first frame, which is at time 0.
    first: Option<u64>,
}

/// What makes packets of pictures.
enum Coder {
    /// One of libavcodec's encoders.
    Libav(Libav),
    /// That of stills.
    Png(ExtendedColorType),
    Qtrle(qtrle::Encoder),
}

impl Coder {
    /// A recipe's; `encoder` is what libavcodec has for it.
    fn new(recipe: &Recipe, encoder: encoder::Video) -> Result<Self> {
        let (color, pixel_bytes) = match recipe.samples.format.has_alpha() {
            true => (ExtendedColorType::Rgba8, 4),
            false => (ExtendedColorType::Rgb8, 3),
        };
        Ok(match recipe.codec {
            Codec::Png if options::png_is_fast(recipe) => Self::Png(color),
            Codec::Qtrle => Self::Qtrle(qtrle::Encoder::new(recipe.size, pixel_bytes, recipe.rate)),
            _ => Self::Libav(Libav::new(encoder, recipe)?),
        })
    }
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Video({})", self.muxer)
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
        let container = mux::to_stream(stream, &recipe);
        // The stream counts what the container adds, too.
        Self::begin(name, container, recipe, converter, Counter::default())
    }

    /// Writes to an address, by a protocol of libavformat. `bytes` counts those of packets.
    pub(super) fn to_url(
        name: String,
        url: &str,
        recipe: Recipe,
        converter: Converter,
        bytes: Counter,
    ) -> Result<Self> {
        let container = format::output_as(url, options::muxer(recipe.container));
        Self::begin(name, container, recipe, converter, bytes)
    }

    fn begin(
        name: String,
        container: Result<format::context::Output, Error>,
        recipe: Recipe,
        converter: Converter,
        bytes: Counter,
    ) -> Result<Self> {
        let begin = || {
            let container = container?;
            let flags = container.format().flags();
            let encoder = libav::open(&recipe, flags)?;
            let muxer = Muxer::new(&name, container, &recipe, &encoder, bytes)?;
            Ok((muxer, Coder::new(&recipe, encoder)?))
        };
        let begun: Result<_> = begin();
        let (muxer, coder) = begun.with_context(|| cannot_write(&name))?;
        Ok(Self {
            converter,
            size: recipe.size,
            coder,
            muxer,
            first: None,
        })
    }

    pub(super) fn write(&mut self, frame: &Frame, index: u64) -> Result<Flow> {
        let first = *self.first.get_or_insert(index);
        let pts = i64::try_from(index - first).unwrap_or(i64::MAX);
        let picture = self.converter.convert(frame);
        match &mut self.coder {
            Coder::Libav(encoder) => {
                let sent = encoder.send(&picture, self.size, pts);
                sent.with_context(|| cannot_write(&self.muxer))?;
                self.drain()
            }
            Coder::Png(color) => {
                let file = still::encode(picture.as_bytes(), self.size, *color)?;
                self.muxer.write(&file, pts, true)
            }
            Coder::Qtrle(encoder) => {
                let (packet, is_key) = encoder.encode(picture.as_bytes());
                self.muxer.write(packet, pts, is_key)
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if let Coder::Libav(encoder) = &mut self.coder {
            let ended = encoder.end();
            ended.with_context(|| cannot_write(&self.muxer))?;
        }
        match self.drain()? {
            Flow::Open => self.muxer.finish(),
            Flow::Closed => Ok(()),
        }
    }

    /// Hands on what libavcodec has ready.
    fn drain(&mut self) -> Result<Flow> {
        let Coder::Libav(encoder) = &mut self.coder else {
            return Ok(Flow::Open);
        };
        loop {
            let packet = encoder.packet();
            let Some(packet) = packet.with_context(|| cannot_write(&self.muxer))? else {
                return Ok(Flow::Open);
            };
            if self.muxer.write_packet(packet)? == Flow::Closed {
                return Ok(Flow::Closed);
            }
        }
    }
}

/// One of libavcodec's encoders without a container: from a frame to a picture's bytes, at once.
pub(super) struct Encoder {
    converter: Converter,
    size: Size,
    libav: Libav,
    next: i64,
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
        write!(f, "Encoder({})", self.size)
    }
}

impl Encoder {
    /// One for a recipe in which no picture waits for another.
    ///
    /// # Errors
    /// It can't be set up so.
    pub(super) fn new(recipe: &Recipe, converter: Converter) -> Result<Self> {
        let encoder = libav::open(recipe, format::Flags::empty())?;
        Ok(Self {
            converter,
            size: recipe.size,
            libav: Libav::new(encoder, recipe)?,
            next: 0,
        })
    }

    /// The next frame's picture; `None` if it has none.
    ///
    /// # Errors
    /// It can't be encoded.
    pub(super) fn encode(&mut self, frame: &Frame) -> Result<Option<Coded>> {
        let picture = self.converter.convert(frame);
        self.libav.send(&picture, self.size, self.next)?;
        self.next += 1;
        let packet = self.libav.packet()?;
        Ok(packet.map(|packet| {
            let of_alpha = codec::packet::side_data::Type::MatroskaBlockAdditional;
            let alpha = packet.side_data().find(|data| data.kind() == of_alpha);
            // The first eight bytes say that it is alpha.
            let alpha = alpha.and_then(|data| data.data().get(8..).map(<[u8]>::to_vec));
            Coded {
                bytes: packet.data().unwrap_or_default().to_vec(),
                alpha: alpha.unwrap_or_default(),
                key: packet.is_key(),
            }
        }))
    }
}

fn dictionary(options: &[(&str, String)]) -> Dictionary<'static> {
    let pairs = options.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}

fn ratio(num: u32, den: u32) -> Result<ffmpeg::Rational> {
    Ok(ffmpeg::Rational::new(
        i32::try_from(num)?,
        i32::try_from(den)?,
    ))
}
