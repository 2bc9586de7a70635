//! How pictures are coded: by default as the input's are.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, bail};
use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::codec::{self, Parameters};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::frame::side_data::Type as SideData;
use ffmpeg_next::util::chroma;
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

/// Live, decoding can begin every two seconds.
const LIVE_GOP_SECONDS: f64 = 2.0;

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

type Options = Vec<(String, String)>;

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
        video.set_flags(flags);
        let options = options(task, like)?;
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

/// How the encoder is set up.
fn options(task: &Task<'_>, like: &frame::Video) -> Result<Options> {
    let Coding {
        codec: _,
        bitrate,
        crf,
        preset,
        tune,
        gop,
        options: others,
    } = task.coding;
    let name = task.codec.name().to_owned();
    let mut options = Options::new();
    let mut set = |name: &str, value: String| options.push((name.to_owned(), value));
    let has = |option: &str| ffi::has_option(task.codec, option);
    let is_x26x = matches!(&*name, "libx264" | "libx264rgb" | "libx265");
    set("threads", "auto".into());
    let needs = |flag: &str, option: &str| {
        if has(option) {
            return Ok(());
        }
        bail!("--{flag}: the encoder {name} has no option {option}")
    };
    if let Some(preset) = preset {
        needs("preset", "preset")?;
        set("preset", preset.clone());
    } else if task.is_live && is_x26x {
        set("preset", "veryfast".into());
    }
    if let Some(tune) = tune {
        needs("tune", "tune")?;
        set("tune", tune.clone());
    }
    match (crf, bitrate) {
        (Some(crf), _) => {
            needs("crf", "crf")?;
            set("crf", crf.to_string());
            if matches!(&*name, "libvpx" | "libvpx-vp9" | "libaom-av1") {
                set("b", "0".into());
            }
        }
        (None, Some(bitrate)) => set("b", bitrate.0.to_string()),
        (None, None) => unasked_quality(task, &name, &mut set),
    }
    let rate = task.stream.rate.map(f64::from);
    if let Some(gop) = gop {
        set("g", gop.to_string());
    } else if task.is_live
        && let Some(rate) = rate
    {
        set("g", (LIVE_GOP_SECONDS * rate).round().max(1.0).to_string());
    }
    if is_x26x {
        set("forced-idr", "1".into());
    }
    let of_frame = || {
        let order = if like.is_top_first() { "tt" } else { "bb" };
        like.is_interlaced().then_some(order)
    };
    if let Some(order) = ffi::field_order(&task.stream.parameters).or_else(of_frame) {
        set("field_order", order.into());
    }
    if let Some(location) = location(like.chroma_location()) {
        set("chroma_sample_location", location.into());
    }
    if name == "prores_ks" {
        // The profile's number is that of its name: proxy, lt, standard, hq, 4444, 4444xq.
        let tag = task.stream.tag_of_codec();
        let profile = [*b"apco", *b"apcs", *b"apcn", *b"apch", *b"ap4h", *b"ap4x"];
        if let Some(profile) = profile.iter().position(|known| *known == tag) {
            set("profile", profile.to_string());
        }
    }
    if name == "libx265" {
        let mut parameters = vec!["log-level=error".to_owned()];
        parameters.extend(hdr(task, like));
        set("x265-params", parameters.join(":"));
    }
    for (option, value) in others {
        if !has(option) {
            bail!("--encoder-option {option}: the encoder {name} has no such option");
        }
        options.retain(|(name, _)| name != option || option == "x265-params");
        match options.iter_mut().find(|(name, _)| name == option) {
            Some((_, before)) => *before = format!("{before}:{value}"),
            None => options.push((option.clone(), value.clone())),
        }
    }
    Ok(options)
}

/// The quality that nobody asked for: that of the input, or near enough.
fn unasked_quality(task: &Task<'_>, name: &str, set: &mut impl FnMut(&str, String)) {
    match (name, task.is_live, task.bitrate) {
        ("libx264" | "libx264rgb" | "libx265", true, Some(bitrate)) => {
            set("b", bitrate.to_string());
            set("maxrate", bitrate.to_string());
            set("bufsize", (2 * bitrate).to_string());
        }
        ("libx264" | "libx264rgb", live, _) => set("crf", if live { "21" } else { "18" }.into()),
        ("libx265", live, _) => set("crf", if live { "23" } else { "20" }.into()),
        ("libvpx" | "libvpx-vp9" | "libaom-av1" | "libsvtav1", _, None) => {
            set("crf", "24".into());
            set("b", "0".into());
        }
        ("mpeg1video" | "mpeg2video" | "mpeg4" | "mjpeg", _, _) => {
            set("flags", "+qscale".into());
            // The second best quantizer, in libavcodec's unit.
            set("global_quality", (2 * 118).to_string());
        }
        (_, _, Some(bitrate)) => set("b", bitrate.to_string()),
        (_, _, None) => {}
    }
}

fn location(of: chroma::Location) -> Option<&'static str> {
    Some(match of {
        chroma::Location::Unspecified => return None,
        chroma::Location::Left => "left",
        chroma::Location::Center => "center",
        chroma::Location::TopLeft => "topleft",
        chroma::Location::Top => "top",
        chroma::Location::BottomLeft => "bottomleft",
        chroma::Location::Bottom => "bottom",
    })
}

/// HDR10's metadata, as x265 takes it: from the picture, or from the container.
fn hdr(task: &Task<'_>, like: &frame::Video) -> Vec<String> {
    let of_stream = |kind| {
        let mut side_data = task.stream.properties.side_data.iter();
        side_data
            .find(|(of, _)| *of == kind)
            .map(|(_, data)| &**data)
    };
    let of_frame = |kind| like.side_data(kind).map(|data| data.data().to_vec());
    let mastering = of_frame(SideData::MasteringDisplayMetadata)
        .or_else(|| of_stream(PacketSideData::MasteringDisplayMetadata).map(<[u8]>::to_vec));
    let light = of_frame(SideData::ContentLightLevel)
        .or_else(|| of_stream(PacketSideData::ContentLightLevel).map(<[u8]>::to_vec));
    let mut parameters = Vec::new();
    if let Some(display) = mastering.and_then(|data| mastering_display(&data)) {
        parameters.push(format!("master-display={display}"));
        parameters.push("hdr10=1".into());
    }
    if let Some((most, average)) = light.and_then(|data| {
        let (numbers, _) = data.as_chunks::<4>();
        let number = |at: usize| numbers.get(at).map(|bytes| u32::from_ne_bytes(*bytes));
        Some((number(0)?, number(1)?))
    }) {
        parameters.push(format!("max-cll={most},{average}"));
    }
    parameters
}

/// `AVMasteringDisplayMetadata` as x265 writes it: primaries in units of 0.00002, luminance in
/// units of 0.0001 cd/m².
fn mastering_display(data: &[u8]) -> Option<String> {
    let (numbers, _) = data.as_chunks::<4>();
    let number = |at: usize| numbers.get(at).map(|bytes| i32::from_ne_bytes(*bytes));
    let ratio = |at: usize, unit: f64| {
        let (num, den) = (number(2 * at)?, number(2 * at + 1)?);
        (den != 0).then(|| (f64::from(num) / f64::from(den) * unit).round())
    };
    let (has_primaries, has_luminance) = (number(20)?, number(21)?);
    if has_primaries == 0 || has_luminance == 0 {
        return None;
    }
    let chromaticity = |at: usize| Some((ratio(at, 50_000.0)?, ratio(at + 1, 50_000.0)?));
    let ((rx, ry), (gx, gy), (bx, by)) = (chromaticity(0)?, chromaticity(2)?, chromaticity(4)?);
    let (wx, wy) = chromaticity(6)?;
    let (least, most) = (ratio(8, 10_000.0)?, ratio(9, 10_000.0)?);
    Some(format!(
        "G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mastering_metadata_is_told_as_x265_takes_it() {
        let ratios = [
            (34_000, 50_000),
            (16_000, 50_000),
            (13_250, 50_000),
            (34_500, 50_000),
            (7_500, 50_000),
            (3_000, 50_000),
            (15_635, 50_000),
            (16_450, 50_000),
            (1, 10_000),
            (10_000_000, 10_000),
        ];
        let numbers = ratios.iter().flat_map(|(num, den)| [*num, *den]);
        let numbers = numbers.chain([1, 1]);
        let data: Vec<u8> = numbers.flat_map(i32::to_ne_bytes).collect();
        assert_eq!(
            mastering_display(&data).unwrap(),
            "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
        );
        assert_eq!(mastering_display(&data[..40]), None);
    }
}
