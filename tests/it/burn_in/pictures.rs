//! Every kind of picture: what is told of it is kept, and its samples are right.

use std::path::Path;

use super::media::{H264, PICTURE, ffmpeg, video};
use super::overlays::{Overlay, overlays};
use super::pixels::{BT601, BT709, BT2020, Colour, Finding, Pictures, Transfer, UNTAGGED};
use super::probe::{self, Probe};
use super::{burn, folder};

/// The frames of `render` at 25 a second.
fn plain(folder: &Path) -> Vec<Overlay> {
    overlays(folder, (320, 180), "25", 50)
}

/// The lossless burn-in of a programme against the reference.
fn lossless(folder: &Path, name: &str, colour: Colour) -> Finding {
    burn(
        folder,
        &format!("--force --video-codec ffv1 {name} lossless.mkv"),
    );
    let pictures = [name, "lossless.mkv"].map(|name| Pictures::of(folder, name));
    Finding::of(&pictures[0], &pictures[1], &plain(folder), colour)
}

/// With its own codec: what is told of the picture and of its frames.
fn told(folder: &Path, name: &str) {
    let out = format!("out-{name}");
    burn(folder, &format!("{name} {out}"));
    let [before, after] = [name, &out].map(|name| Probe::of(folder, name));
    probe::picture(&before, &after).none();
    let codec = |probe: &Probe| probe.picture().text("codec_name").to_owned();
    assert_eq!(codec(&before), codec(&after), "{name}");
    let [before, after] = [name, &out].map(|name| probe::frames(folder, name));
    assert_eq!(before, after, "{name}: of each frame");
}

/// Planes of every depth and chroma that codecs in use have.
#[test]
fn samples_are_right_in_every_format() {
    let folder = folder();
    let folder = folder.path();
    for (coded, ending) in [
        ("-c:v libx264 -preset veryfast -pix_fmt yuv420p", "mp4"),
        ("-c:v libx264 -preset veryfast -pix_fmt yuv422p", "mp4"),
        ("-c:v libx264 -preset veryfast -pix_fmt yuv444p", "mp4"),
        ("-c:v libx264 -preset veryfast -pix_fmt yuv420p10le", "mp4"),
        ("-c:v libx264 -preset veryfast -pix_fmt yuv422p10le", "mkv"),
        ("-c:v libx264 -preset veryfast -pix_fmt yuv444p10le", "mkv"),
        ("-c:v prores_ks -pix_fmt yuv422p10le", "mov"),
        (
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p",
            "webm",
        ),
        ("-c:v ffv1 -pix_fmt yuv444p12le", "mkv"),
        ("-c:v ffv1 -pix_fmt gbrp10le", "mkv"),
        ("-c:v libx264rgb -preset veryfast -pix_fmt rgb24", "mkv"),
    ] {
        let name = format!("in.{ending}");
        video(folder, &format!("{coded} {name}"));
        let finding = lossless(folder, &name, UNTAGGED);
        finding.right(coded);
        let worst = finding.worst();
        assert!(
            worst < 1.0,
            "{coded}: {worst} of 8 bits' levels, {finding:?}"
        );
    }
}

/// x264 at a rate factor of 0 loses nothing either.
/// What an encoder does by itself it does here, too: whoever joins a programme at a key frame gets
/// whole pictures from there on.
#[test]
fn groups_of_pictures_are_closed() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    burn(folder, "--gop 12 in.mp4 out.mp4");
    // x264 writes its settings into the first picture.
    let coded = std::fs::read(folder.join("out.mp4")).unwrap();
    let has = |setting: &[u8]| coded.windows(setting.len()).any(|bytes| bytes == setting);
    assert!(has(b" bframes=3 ") && has(b" open_gop=0 "));
}

#[test]
fn h264_may_be_lossless() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} in.mp4"));
    burn(folder, "--crf 0 --preset ultrafast in.mp4 out.mp4");
    let pictures = ["in.mp4", "out.mp4"].map(|name| Pictures::of(folder, name));
    Finding::of(&pictures[0], &pictures[1], &plain(folder), UNTAGGED).right("--crf 0");
}

#[test]
fn matrices_and_ranges_are_those_of_the_programme() {
    let folder = folder();
    let folder = folder.path();
    let full = Colour {
        full: true,
        ..BT709
    };
    for (tags, colour) in [
        (
            "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m",
            BT601,
        ),
        (
            "-colorspace bt709 -color_primaries bt709 -color_trc bt709",
            BT709,
        ),
        (
            "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range pc",
            full,
        ),
        (
            "-colorspace bt2020nc -color_primaries bt2020 -color_trc bt2020-10",
            BT2020,
        ),
    ] {
        video(folder, &format!("{H264} {tags} in.mp4"));
        lossless(folder, "in.mp4", colour).right(tags);
        burn(folder, "--force in.mp4 out.mp4");
        let [before, after] = ["in.mp4", "out.mp4"].map(|name| Probe::of(folder, name));
        probe::picture(&before, &after).none();
        let [before, after] = ["in.mp4", "out.mp4"].map(|name| probe::frames(folder, name));
        assert_eq!(before, after, "{tags}");
    }
}

const HEVC: &str = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -color_range tv \
    -color_primaries bt2020 -colorspace bt2020nc";
const HDR10: &str = "-color_trc smpte2084 -x265-params log-level=error:hdr10=1:repeat-headers=1:\
    master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):\
    max-cll=1000,400";

#[test]
fn hdr_keeps_its_metadata_and_sprites_are_at_reference_white() {
    let folder = folder();
    let folder = folder.path();
    for (name, tags, transfer) in [
        ("hdr10.mp4", HDR10, Transfer::Pq),
        ("hdr10.mkv", HDR10, Transfer::Pq),
        (
            "hlg.mp4",
            "-color_trc arib-std-b67 -x265-params log-level=error",
            Transfer::Hlg,
        ),
    ] {
        // Words are split at blanks: the parameters of x265 are one.
        let tags = tags.replace(": ", ":");
        video(folder, &format!("{HEVC} {tags} {name}"));
        let told_of = probe::frames(folder, name);
        let hdr10 = told_of[0].get("Mastering display metadata").is_some();
        assert_eq!(hdr10, name.starts_with("hdr10"), "what is tested is there");
        told(folder, name);
        let colour = Colour {
            wide: Some(transfer),
            ..BT2020
        };
        lossless(folder, name, colour).right(name);
    }
}

/// Fields of 50 a second: a sprite has moved on in the second of a frame.
#[test]
fn interlaced_frames_keep_their_fields_and_sprites_move_in_each() {
    let folder = folder();
    let folder = folder.path();
    let source = "-f lavfi -i testsrc2=s=320x180:r=50:d=2";
    let overlays = overlays(folder, (320, 180), "50", 100);
    for (name, top_first) in [
        ("tff.ts", true),
        ("bff.ts", false),
        ("tff.mp4", true),
        ("bff.mkv", false),
    ] {
        let (weave, first) = if top_first {
            ("interleave_top", 1)
        } else {
            ("interleave_bottom", 0)
        };
        let x264 = if top_first { "tff=1" } else { "bff=1" };
        let coded = if name.ends_with("ts") {
            "-c:v mpeg2video -b:v 4M".to_owned()
        } else {
            format!("{H264} -x264-params {x264}")
        };
        ffmpeg(
            folder,
            &format!(
                "{source} -vf tinterlace={weave} {coded} -flags +ildct+ilme -top {first} {name}"
            ),
        );
        let fields = &probe::frames(folder, name)[0];
        assert_eq!(fields["interlaced_frame"], 1);
        assert_eq!(fields["top_field_first"], first);
        told(folder, name);
        burn(
            folder,
            &format!("--force --video-codec ffv1 {name} lossless.mkv"),
        );
        let pictures = [name, "lossless.mkv"].map(|name| Pictures::of(folder, name));
        let finding =
            |first| Finding::of_fields(&pictures[0], &pictures[1], &overlays, UNTAGGED, first);
        finding(top_first).right(name);
        assert!(
            !finding(!top_first).is_right(),
            "{name}: the other order is not as good"
        );
    }
}

/// A turned picture is shown upright, and so are sprites.
#[test]
fn rotated_pictures_have_upright_sprites() {
    let folder = folder();
    let folder = folder.path();
    // Every pixel has chroma of its own, so that turning loses nothing.
    video(
        folder,
        "-c:v libx264 -preset veryfast -pix_fmt yuv444p flat.mp4",
    );
    for (degrees, size) in [(90, (180, 320)), (270, (180, 320))] {
        let name = format!("in-{degrees}.mp4");
        ffmpeg(
            folder,
            &format!("-i flat.mp4 -c copy -metadata:s:v:0 rotate={degrees} {name}"),
        );
        told(folder, &name);
        burn(
            folder,
            &format!("--force --crf 0 --preset ultrafast {name} lossless.mp4"),
        );
        let pictures = [&name, "lossless.mp4"].map(|name| Pictures::shown(folder, name));
        assert_eq!(
            (pictures[0].width, pictures[0].height),
            size,
            "what is tested"
        );
        let overlays = overlays(folder, size, "25", 50);
        Finding::of(&pictures[0], &pictures[1], &overlays, UNTAGGED).right(&name);
    }
}

/// Pixels that are not square: what is round is round when it is shown.
#[test]
fn anamorphic_pictures_have_round_sprites() {
    let folder = folder();
    let folder = folder.path();
    let log = "{\"at_ms\":0,\"reaction\":\"100\"}\n";
    std::fs::write(folder.join("log.ndjson"), log).unwrap();
    let mut wide = Vec::new();
    for (name, aspect) in [
        ("square.mp4", "1"),
        ("narrow.mp4", "2/1"),
        ("broad.mp4", "1/2"),
    ] {
        video(folder, &format!("{H264} -vf setsar={aspect} {name}"));
        told(folder, name);
        burn(
            folder,
            &format!("--force --video-codec ffv1 {name} lossless.mkv"),
        );
        let probes = [name, "lossless.mkv"].map(|name| Probe::of(folder, name));
        let aspects = probes.map(|probe| probe.picture().text("sample_aspect_ratio").to_owned());
        assert_eq!(aspects[0], aspects[1], "{name}");
        let [before, after] = [name, "lossless.mkv"].map(|name| Pictures::of(folder, name));
        let [width, height] = extent(&before, &after, 10);
        wide.push((width, height));
    }
    let [square, narrow, broad] = wide[..] else {
        panic!()
    };
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.12;
    assert!(
        near(square.0, 2.0 * narrow.0)
            && near(square.1, narrow.1)
            && near(2.0 * square.0, broad.0)
            && near(square.1, broad.1),
        "width and height: {wide:?}"
    );
}

/// How wide and high what has changed in a frame is, in samples of luma.
fn extent(before: &Pictures, after: &Pictures, frame: usize) -> [f64; 2] {
    let changed = before.frames[frame][0]
        .iter()
        .zip(&after.frames[frame][0])
        .enumerate();
    let changed: Vec<_> = changed
        .filter(|(_, (before, after))| before.abs_diff(**after) > 1)
        .map(|(at, _)| [at % before.width, at / before.width])
        .collect();
    assert!(!changed.is_empty(), "something shows");
    [0, 1].map(|axis| {
        let along = changed.iter().map(|at| at[axis]);
        let length = along.clone().max().unwrap() - along.min().unwrap() + 1;
        f64::from(u32::try_from(length).unwrap())
    })
}

/// Nothing to burn in: every sample is as it was.
#[test]
fn without_reactions_nothing_changes() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("log.ndjson"), "").unwrap();
    ffmpeg(folder, &format!("{PICTURE} {H264} in.mp4"));
    burn(folder, "--video-codec ffv1 in.mp4 out.mkv");
    let [before, after] = ["in.mp4", "out.mkv"].map(|name| Pictures::of(folder, name));
    assert!(before.frames == after.frames);
}
