//! A container that is being written, through libavformat.

use std::fmt;

use anyhow::{Context, Result, bail};
use ffmpeg_next::error::{ECONNABORTED, ECONNRESET, EPIPE};
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::{self as ffmpeg, Error, Packet, codec, encoder, format};
use prometheus_client::metrics::counter::Counter;

use super::{Recipe, dictionary, options, ratio};
use crate::output::stream::Stream;
use crate::output::{Flow, cannot_write};

/// Bytes that libavformat gathers before it writes them.
const BUFFER_BYTES: usize = 1 << 18;

/// A container that writes to a stream that is open.
pub(super) fn to_stream(stream: Stream, recipe: &Recipe) -> Result<format::context::Output, Error> {
    let io = match recipe.to_file && stream.is_file() {
        true => StreamIo::from_write_seek_with_capacity(stream, BUFFER_BYTES)?,
        false => StreamIo::from_write_with_capacity(stream, BUFFER_BYTES)?,
    };
    format::output_to_stream(io, None, Some(options::muxer(recipe.container)))
}

/// A container with one video, its header written.
pub(super) struct Muxer {
    /// Of the output, for messages.
    name: String,
    container: format::context::Output,
    /// One picture, and the container's unit.
    time_bases: [ffmpeg::Rational; 2],
    /// The bytes of its packets.
    bytes: Counter,
}

impl fmt::Display for Muxer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Muxer {
    /// Writes the header; the video is what `encoder` says that it makes. `bytes` counts those of
    /// packets.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn new(
        name: &str,
        mut container: format::context::Output,
        recipe: &Recipe,
        encoder: &encoder::Video,
        bytes: Counter,
    ) -> Result<Self> {
        let (num, den) = (recipe.rate.num(), recipe.rate.den());
        let time_base = ratio(den, num)?;
        let mut stream =
            container.add_stream(encoder::find_by_name(options::encoder(recipe.codec)))?;
        stream.set_parameters(encoder);
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
        let own = container.stream(0).map_or(time_base, |s| s.time_base());
        Ok(Self {
            name: name.into(),
            container,
            time_bases: [time_base, own],
            bytes,
        })
    }

    /// Writes the packet of the picture of this number, and whether it needs no other one.
    pub(super) fn write(&mut self, bytes: &[u8], pts: i64, is_key: bool) -> Result<Flow> {
        let mut packet = Packet::copy(bytes);
        packet.set_pts(Some(pts));
        packet.set_dts(Some(pts));
        if is_key {
            packet.set_flags(codec::packet::Flags::KEY);
        }
        self.write_packet(&mut packet)
    }

    /// Writes a packet of an encoder.
    pub(super) fn write_packet(&mut self, packet: &mut Packet) -> Result<Flow> {
        packet.set_stream(0);
        packet.set_duration(1);
        // Each time stamp is rounded by itself, so nothing drifts.
        packet.rescale_ts(self.time_bases[0], self.time_bases[1]);
        let bytes = packet.size();
        let written = packet.write_interleaved(&mut self.container);
        self.bytes.inc_by(bytes as u64);
        self.flow(written)
    }

    /// Writes the file's end.
    pub(super) fn finish(mut self) -> Result<()> {
        let ended = self.container.write_trailer();
        self.flow(ended).map(|_| ())
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
