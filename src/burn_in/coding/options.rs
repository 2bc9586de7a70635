//! Options of encoders: what is asked for, or what is like the input.

use anyhow::{Result, bail};
use ffmpeg_next::codec::packet::side_data::Type as PacketSideData;
use ffmpeg_next::frame;
use ffmpeg_next::frame::side_data::Type as SideData;
use ffmpeg_next::util::chroma;

use super::Task;
use crate::burn_in::ffi;
use crate::burn_in::settings::Coding;

/// Live, decoding can begin every two seconds.
const LIVE_GOP_SECONDS: f64 = 2.0;

/// Names and values.
type Options = Vec<(String, String)>;

/// How the encoder is set up.
pub(super) fn of(task: &Task<'_>, like: &frame::Video) -> Result<Options> {
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
