//! Options of libavcodec's encoders and libavformat's muxers, from quality and speed.

use super::Recipe;
use crate::frame::{FieldOrder, Scan};
use crate::output::form::{Codec, Container, Quality, Speed};
use crate::planes::VideoFormat;

/// A named option and its value.
type Options = Vec<(&'static str, String)>;

/// Seconds between two pictures from which decoding can begin, of codecs that have others.
const KEY_SECONDS: u32 = 2;

/// Pictures between two such, at most: what MPEG-2 takes.
const KEY_PICTURES_MAX: u32 = 600;

/// A picture with a shorter side is cut into as few slices as FFV1 takes by itself: it has no room
/// for many.
const SLICED_SIDE_MIN: u32 = 64;

/// Microseconds of a fragment of MOV and MP4, and milliseconds of a Matroska cluster.
const FRAGMENT_US: u32 = 500_000;
const CLUSTER_MS: u32 = 500;

/// libavcodec's unit of quantizers in `global_quality`.
const QP_TO_LAMBDA: i32 = 118;

/// libavcodec's name of a codec's encoder.
pub(super) fn encoder(codec: Codec) -> &'static str {
    match codec {
        Codec::RawVideo => "rawvideo",
        Codec::Qtrle => "qtrle",
        Codec::ProRes => "prores_ks",
        Codec::Png => "png",
        Codec::Ffv1 => "ffv1",
        Codec::UtVideo => "utvideo",
        Codec::Hap => "hap",
        Codec::Vp9 => "libvpx-vp9",
        Codec::Vp8 => "libvpx",
        Codec::Apng => "apng",
        Codec::WebP => "libwebp_anim",
        Codec::Gif => "gif",
        Codec::H264 => "libx264",
        Codec::Hevc => "libx265",
        Codec::Mpeg2 => "mpeg2video",
        Codec::DnxHr => "dnxhd",
    }
}

/// libavformat's name of a container's muxer.
pub(super) fn muxer(container: Container) -> &'static str {
    match container {
        Container::Raw => "rawvideo",
        Container::Png => "image2",
        Container::Mov => "mov",
        Container::Mkv => "matroska",
        Container::WebM => "webm",
        Container::Nut => "nut",
        Container::Avi => "avi",
        Container::Apng => "apng",
        Container::WebP => "webp",
        Container::Gif => "gif",
        Container::Mp4 => "mp4",
        Container::Ts => "mpegts",
        Container::Flv => "flv",
    }
}

/// Whether the fields of a picture are coded apart: H.264 takes whole samples of chroma in each.
pub(super) fn codes_fields(recipe: &Recipe) -> bool {
    recipe.scan != Scan::Progressive
        && recipe.size.height().is_multiple_of(4)
        && matches!(recipe.codec, Codec::ProRes | Codec::H264 | Codec::Mpeg2)
}

/// How an encoder is set up.
pub(super) fn of_encoder(recipe: &Recipe) -> Options {
    let (quality, speed) = (recipe.form.quality, recipe.form.speed);
    let mut options = Options::new();
    let mut set = |name, value: String| options.push((name, value));
    let level = |speed: Option<Speed>, slowest, fastest, unsaid: i32| {
        speed.map_or(unsaid, |speed| speed.between(slowest, fastest))
    };
    // As ffmpeg and RFC 9559 (5.1.4.1.28.2) name fields that are rows of one picture.
    match recipe.scan {
        Scan::Progressive => {}
        Scan::Interlaced(FieldOrder::TopFirst) => set("field_order", "tb".into()),
        Scan::Interlaced(FieldOrder::BottomFirst) => set("field_order", "bt".into()),
    }
    match recipe.codec {
        Codec::RawVideo | Codec::Gif | Codec::Qtrle => {}
        Codec::Png if png_is_fast(recipe) => {}
        Codec::ProRes => {
            let (profile, alpha_bits) = match recipe.samples.format {
                VideoFormat::Yuv422p10le => ("hq", "0"),
                VideoFormat::Yuv444p10le => ("4444", "0"),
                _ => ("4444", "16"),
            };
            set("profile", profile.into());
            set("alpha_bits", alpha_bits.into());
            set("vendor", "apl0".into());
            set("threads", threads(recipe));
            // Its own rate control takes eight times as long.
            quantizer(&mut options, quality.unwrap_or(Quality::GOOD), 16, 1);
        }
        Codec::Png | Codec::Apng => {
            set("compression_level", level(speed, 9, 1, 1).to_string());
            // What is in most rows is nothing, which no filter improves on.
            let filter = if level(speed, 0, 10, 8) < 5 {
                "mixed"
            } else {
                "none"
            };
            set("pred", filter.into());
            if recipe.codec == Codec::Png {
                set("threads", threads(recipe));
            }
        }
        Codec::Ffv1 => {
            set("level", "3".into());
            set("slicecrc", "1".into());
            set("g", "1".into());
            set(
                "context",
                if level(speed, 0, 10, 8) < 3 { "1" } else { "0" }.into(),
            );
            if recipe.size.width().min(recipe.size.height()) >= SLICED_SIDE_MIN {
                set("slices", "16".into());
            }
            set("threads", "auto".into());
        }
        Codec::UtVideo => {
            let filter = if level(speed, 0, 10, 8) < 5 {
                "median"
            } else {
                "left"
            };
            set("pred", filter.into());
            set("threads", threads(recipe));
        }
        Codec::Hap => {
            let alpha = recipe.samples.matte.is_none();
            set("format", if alpha { "hap_alpha" } else { "hap" }.into());
        }
        Codec::Vp9 | Codec::Vp8 => {
            vpx(&mut options, recipe);
        }
        Codec::WebP => {
            let quality = quality.map_or(100, Quality::get);
            set("lossless", u8::from(quality == 100).to_string());
            set("quality", quality.to_string());
            set("compression_level", level(speed, 6, 0, 1).to_string());
            set("loop", "0".into());
        }
        Codec::H264 | Codec::Hevc => x26x(&mut options, recipe),
        Codec::Mpeg2 => {
            set("g", keys(recipe));
            set("bf", "0".into());
            set("threads", "auto".into());
            quantizer(&mut options, quality.unwrap_or(Quality::GOOD), 31, 1);
        }
        Codec::DnxHr => {
            let profile = match (recipe.samples.format, quality.map_or(100, Quality::get)) {
                (VideoFormat::Yuv422p10le, _) => "dnxhr_hqx",
                (_, 0..34) => "dnxhr_lb",
                (_, 34..67) => "dnxhr_sq",
                _ => "dnxhr_hq",
            };
            set("profile", profile.into());
            set("threads", threads(recipe));
        }
    }
    options
}

/// How a muxer is set up. Each packet is handed on at once.
pub(super) fn of_muxer(recipe: &Recipe) -> Options {
    let mut options = vec![("flush_packets", "1".into())];
    let mut set = |name, value: String| options.push((name, value));
    match recipe.container {
        Container::Mov | Container::Mp4 => {
            set("movflags", "+empty_moov+default_base_moof".into());
            set("frag_duration", FRAGMENT_US.to_string());
        }
        Container::Mkv | Container::WebM => {
            set("cluster_time_limit", CLUSTER_MS.to_string());
            if !recipe.to_file {
                set("live", "1".into());
            }
            if recipe.codec == Codec::RawVideo {
                set("allow_raw_vfw", "1".into());
            }
        }
        // An index grows as long as a stream goes on.
        Container::Nut if !recipe.to_file => set("write_index", "0".into()),
        Container::Flv => set("flvflags", "no_duration_filesize".into()),
        Container::Apng => set("plays", "0".into()),
        Container::WebP => set("loop", "0".into()),
        _ => {}
    }
    options
}

/// libvpx: what is live is `realtime`, and so is what need not be small.
fn vpx(options: &mut Options, recipe: &Recipe) {
    let mut set = |name, value: String| options.push((name, value));
    let vp9 = recipe.codec == Codec::Vp9;
    let speed = recipe.form.speed.map_or(6, Speed::get);
    let (deadline, cpu_used) = match (speed, vp9) {
        (0..=4, _) => ("good", speed),
        (_, true) => ("realtime", speed.min(8)),
        (_, false) => ("realtime", speed + 6),
    };
    set("deadline", deadline.into());
    set("cpu-used", cpu_used.to_string());
    let quality = recipe.form.quality.unwrap_or(Quality::GOOD);
    if vp9 {
        set("crf", quality.between(63, 0).to_string());
        set("b", "0".into());
        set("row-mt", "1".into());
    } else {
        // It has no constant quality without a limit, so the limit is out of reach.
        set("crf", quality.between(63, 4).to_string());
        set("b", "200M".into());
        set("qmin", "0".into());
    }
    set("g", keys(recipe));
    set("threads", "auto".into());
    // Alternate reference frames and alpha exclude each other in libvpx's wrapper.
    set("auto-alt-ref", "0".into());
    // Pictures that wait for later ones are lost when the file is cut off.
    let lag = if deadline == "good" && recipe.to_file {
        (recipe.rate.num() / recipe.rate.den() / 4).min(25)
    } else {
        0
    };
    set("lag-in-frames", lag.to_string());
}

/// x264 and x265, without pictures that wait for later ones.
fn x26x(options: &mut Options, recipe: &Recipe) {
    const PRESETS: [&str; 11] = [
        "placebo",
        "veryslow",
        "slower",
        "slow",
        "medium",
        "fast",
        "faster",
        "veryfast",
        "veryfast",
        "superfast",
        "ultrafast",
    ];
    let mut set = |name, value: String| options.push((name, value));
    let speed = usize::from(recipe.form.speed.map_or(8, Speed::get));
    set("preset", PRESETS[speed].into());
    let quality = recipe.form.quality.unwrap_or(Quality::GOOD);
    set("crf", quality.between(51, 0).to_string());
    set("g", keys(recipe));
    set("bf", "0".into());
    if !recipe.to_file {
        set("tune", "zerolatency".into());
    }
    if recipe.codec == Codec::Hevc {
        set("x265-params", "log-level=error".into());
    }
}

/// One quantizer for everything: `worst` at quality 0, `best` at 100.
fn quantizer(options: &mut Options, quality: Quality, worst: i32, best: i32) {
    let lambda = quality.between(worst * QP_TO_LAMBDA, best * QP_TO_LAMBDA);
    options.push(("flags", "+qscale".into()));
    options.push(("global_quality", lambda.to_string()));
}

/// Whether PNG's encoder is that of stills, which takes an eighth of the time of libavcodec's for
/// files of the same size; a slower one makes smaller ones.
pub(super) fn png_is_fast(recipe: &Recipe) -> bool {
    recipe.form.speed.is_none_or(|speed| speed.get() >= 5)
}

/// Pictures from one from which decoding can begin to the next.
fn keys(recipe: &Recipe) -> String {
    let pictures = KEY_SECONDS * recipe.rate.num() / recipe.rate.den();
    pictures.clamp(1, KEY_PICTURES_MAX).to_string()
}

/// Threads that take a picture each: who watches would wait for all of them.
fn threads(recipe: &Recipe) -> String {
    if recipe.to_file { "auto" } else { "1" }.into()
}
