//! How pictures are coded: by default as the input's are.

mod options;

use std::collections::VecDeque;

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::{self, Parameters};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{Codec, Dictionary, Error, Packet, Rational, encoder, frame, picture};

use super::ffi;
use super::input::StreamInfo;
use super::mux::Target;
use super::settings::Coding;

/// Encoders whose unit of time is one picture: the others' is the input's.
const BY_PICTURE: [codec::Id; 4] = [
    codec::Id::MPEG1VIDEO,
    codec::Id::MPEG2VIDEO,
    codec::Id::MPEG4,
    codec::Id::DVVIDEO,
];

/// Time stamps that an encoder may have not given back yet; it holds fewer pictures than this.
const HELD_MAX: usize = 1_024;

/// The encoder of a codec, in the order in which they are taken.
fn preferred(id: codec::Id) -> &'static [&'static str] {
    match id {
        codec::Id::H264 => &[
            "libx264",
            "libopenh264",
            "h264_nvenc",
            "h264_qsv",
            "h264_videotoolbox",
        ],
        codec::Id::HEVC => &["libx265", "hevc_nvenc", "hevc_qsv", "hevc_videotoolbox"],
        codec::Id::VP8 => &["libvpx"],
        codec::Id::VP9 => &["libvpx-vp9"],
        codec::Id::AV1 => &["libsvtav1", "libaom-av1", "librav1e"],
        codec::Id::PRORES => &["prores_ks"],
        codec::Id::MPEG2VIDEO => &["mpeg2video"],
        _ => &[],
    }
}

fn encoder_of(id: codec::Id) -> Option<Codec> {
    let mut names = preferred(id).iter();
    let found = names.find_map(|name| encoder::find_by_name(name));
    found.or_else(|| encoder::find(id)).filter(Codec::is_video)
}

/// The encoder to use: the one that is asked for, or one of the input's codec, or one of the
/// container's own.
///
/// # Errors
/// There is none; the message names those that there are.
pub(super) fn choose(coding: &Coding, input: codec::Id, target: &Target) -> Result<Codec> {
    let muxer = target.muxer().context("a muxer that was there")?;
    let fits = |id: codec::Id| ffi::can_hold(&muxer, id) != Some(false);
    if let Some(name) = &coding.codec {
        let named = encoder::find_by_name(name).filter(Codec::is_video);
        let found = named.or_else(|| ffi::codec_named(name).and_then(encoder_of));
        let found = found.with_context(|| {
            let there = ffi::video_encoders().join(", ");
            format!(
                "--video-codec {name}: this system's FFmpeg has no such encoder: expected one of \
                 {there}"
            )
        })?;
        if !fits(found.id()) {
            bail!(
                "{}: video of {} can't be in {}: expected another --video-codec or container",
                target.name,
                found.id().name(),
                target.container
            );
        }
        return Ok(found);
    }
    if fits(input)
        && let Some(found) = encoder_of(input)
    {
        return Ok(found);
    }
    let own = muxer.codec(target.path(), ffmpeg_next::media::Type::Video);
    let found = [own, codec::Id::H264].into_iter().find_map(encoder_of);
    found.with_context(|| {
        format!(
            "this system's FFmpeg has no encoder of {} or {}: name another with --video-codec",
            input.name(),
            own.name()
        )
    })
}

/// What an encoder is to know beside its pictures.
pub(super) struct Task<'a> {
    pub(super) coding: &'a Coding,
    pub(super) codec: Codec,
    /// The video that comes in.
    pub(super) stream: &'a StreamInfo,
    /// Bits a second of that video, if that is known.
    pub(super) bitrate: Option<u64>,
    pub(super) is_live: bool,
    /// Whether the container keeps what decoders need in its header.
    pub(super) global_header: bool,
}

/// An encoder at work.
pub(super) struct Encoder {
    encoder: encoder::Video,
    name: String,
    packet: Packet,
    time_base: Rational,
    /// Time stamp and duration of each picture that has not come out, in the input's unit.
    held: VecDeque<(i64, i64)>,
    /// Where an encoder counts pictures, how many it had, and the time stamps of the last ones.
    counted: Option<i64>,
    last_pts: Option<i64>,
}

impl Encoder {
    /// Opens the encoder for pictures like this one.
    ///
    /// # Errors
    /// It refuses them, or an option.
    pub(super) fn open(task: &Task<'_>, like: &frame::Video) -> Result<Self> {
        let name = task.codec.name().to_owned();
        let context = codec::context::Context::new_with_codec(task.codec);
        let mut video = context.encoder().video()?;
        video.set_width(like.width());
        video.set_height(like.height());
        video.set_format(like.format());
        let rate = task.stream.rate;
        let by_picture = BY_PICTURE.contains(&task.codec.id());
        let time_base = match (by_picture, rate) {
            (true, Some(rate)) => rate.invert(),
            _ => task.stream.time_base,
        };
        video.set_time_base(time_base);
        video.set_frame_rate(rate);
        let ratio = like.aspect_ratio();
        let (num, den) = task.stream.properties.sample_aspect_ratio;
        video.set_aspect_ratio(match ratio.numerator() {
            0 if num > 0 => Rational::new(num, den),
            _ => ratio,
        });
        video.set_colorspace(like.color_space());
        video.set_color_primaries(like.color_primaries());
        video.set_color_transfer_characteristic(like.color_transfer_characteristic());
        video.set_color_range(like.color_range());
        let mut flags = codec::Flags::empty();
        if task.global_header {
            flags |= codec::Flags::GLOBAL_HEADER;
        }
        if like.is_interlaced() {
            flags |= codec::Flags::INTERLACED_DCT | codec::Flags::INTERLACED_ME;
        }
        ffi::add_flags(&mut video, flags);
        let options = options::of(task, like)?;
        let pairs = options.iter().map(|(name, value)| (&**name, &**value));
        let opened = video.open_with(pairs.collect::<Dictionary<'_>>());
        let encoder = opened.with_context(|| {
            let set = options
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let set = set.collect::<Vec<_>>().join(" ");
            format!(
                "encoder {name} refuses {}x{} {:?} with {set}",
                like.width(),
                like.height(),
                like.format()
            )
        })?;
        Ok(Self {
            encoder,
            name,
            packet: Packet::empty(),
            time_base: task.stream.time_base,
            held: VecDeque::new(),
            counted: by_picture.then_some(0),
            last_pts: None,
        })
    }

    /// What a container is to know of its pictures.
    pub(super) fn parameters(&self) -> Parameters {
        Parameters::from(&self.encoder)
    }

    /// Sends a picture; its time stamp goes forward in any case.
    pub(super) fn send(&mut self, mut frame: frame::Video, key: bool) -> Result<()> {
        let asked = frame
            .pts()
            .unwrap_or_else(|| self.last_pts.map_or(0, |last| last + 1));
        let pts = self.last_pts.map_or(asked, |last| asked.max(last + 1));
        self.last_pts = Some(pts);
        if self.held.len() == HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back((pts, frame.packet().duration));
        match &mut self.counted {
            Some(count) => {
                frame.set_pts(Some(*count));
                *count += 1;
            }
            None => frame.set_pts(Some(pts)),
        }
        // Which kind it was in the input decides nothing here.
        frame.set_kind(if key {
            picture::Type::I
        } else {
            picture::Type::None
        });
        let sent = self.encoder.send_frame(&frame);
        sent.with_context(|| format!("encoder {}", self.name))
    }

    /// Says that there are no more pictures.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.encoder.send_eof() {
            Ok(()) | Err(Error::Eof) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("encoder {}", self.name)),
        }
    }

    /// The next packet in the input's unit of time, if one is ready.
    pub(super) fn packet(&mut self) -> Result<Option<Packet>> {
        match self.encoder.receive_packet(&mut self.packet) {
            Ok(()) => {}
            // It wants another picture, or has had the last.
            Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("encoder {}", self.name)),
        }
        let mut packet = std::mem::replace(&mut self.packet, Packet::empty());
        if self.counted.is_some() {
            // One that counts pictures gives them back in order.
            if let Some((pts, duration)) = self.held.pop_front() {
                packet.set_pts(Some(pts));
                packet.set_dts(Some(pts));
                packet.set_duration(duration);
            }
        } else if let Some(pts) = packet.pts()
            && let Some(at) = self.held.iter().position(|(held, _)| *held == pts)
            && let Some((_, duration)) = self.held.remove(at)
        {
            packet.set_duration(duration);
        }
        Ok(Some(packet))
    }

    /// The unit of its packets' time stamps.
    pub(super) fn time_base(&self) -> Rational {
        self.time_base
    }
}
