//! The checkers themselves: what ffmpeg does right passes, and what it is made to damage fails.

use super::media::{H264, ffmpeg, mkv, mp4, video};
use super::overlays::{overlays, render};
use super::pixels::{BT709, Finding, Pictures};
use super::probe::{self, Probe};
use super::{folder, ts};

/// All streams as they are.
const COPY: &str = "-map 0 -c copy -copyts -avoid_negative_ts disabled";

#[test]
fn copies_pass_and_each_damage_is_seen() {
    let folder = folder();
    let folder = folder.path();
    mkv(folder, "in.mkv");
    let before = Probe::of(folder, "in.mkv");
    // Left alone, libavformat takes Opus's codec delay of 6.5 ms off once more, and ffmpeg makes the
    // first captions the default.
    let matroska = "-default_mode passthrough -disposition:s:0 0 -bsf:a:2 setts=ts=TS+7";
    let copy = |arguments: &str| {
        ffmpeg(
            folder,
            &format!("-i in.mkv {COPY} {matroska} {arguments} out.mkv"),
        );
        Probe::of(folder, "out.mkv")
    };
    let after = copy("");
    probe::copies(&before, &after).none();
    probe::about(&before, &after).none();
    probe::picture(&before, &after).none();
    for damage in [
        "-c:a:1 ac3",
        "-map -0:a:2",
        "-map -0:t",
        "-metadata:s:a:1 language=eng",
        "-metadata:s:a:0 title=Other",
        "-disposition:a:1 default",
        "-c:s:1 srt",
        "-bsf:a:0 setts=ts=TS+50",
        "-bsf:a:1 noise=amount=-1:drop=50",
    ] {
        let found = probe::copies(&before, &copy(damage));
        assert!(!found.0.is_empty(), "{damage}");
    }
    for damage in ["-map_chapters -1", "-metadata title=Other"] {
        let found = probe::about(&before, &copy(damage));
        assert!(!found.0.is_empty(), "{damage}");
    }
    for damage in [
        "-aspect:v:0 4:3",
        "-bsf:v:0 setts=ts=TS+10",
        "-bsf:v:0 setts=pts=PTS+PTS/100",
        "-bsf:v:0 h264_metadata=colour_primaries=9",
        "-field_order:v:0 tt",
        "-t 1.5",
    ] {
        let found = probe::picture(&before, &copy(damage));
        assert!(!found.0.is_empty(), "{damage}");
    }
}

#[test]
fn an_mp4_can_be_copied_without_a_difference() {
    let folder = folder();
    let folder = folder.path();
    mp4(folder, "in.mp4");
    let before = Probe::of(folder, "in.mp4");
    // The track of chapter names is made anew.
    ffmpeg(folder, &format!("-i in.mp4 {COPY} -map -0:d out.mp4"));
    let after = Probe::of(folder, "out.mp4");
    probe::copies(&before, &after).none();
    probe::about(&before, &after).none();
    probe::picture(&before, &after).none();
}

#[test]
fn added_streams_are_read_by_ffprobe() {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("{H264} plain.ts"));
    ts::add_data(folder, "plain.ts", "in.ts");
    let probe = Probe::of(folder, "in.ts");
    let told: Vec<_> = probe
        .others()
        .iter()
        .map(|other| (other.text("codec_name"), other.packets.len()))
        .collect();
    assert_eq!(told, [("scte_35", 3), ("timed_id3", 3)]);
    assert_eq!(ts::splices(folder, "in.ts"), ts::added_splices());
}

/// An independent composition, by ffmpeg's `overlay`.
fn composed(format: &str, [blend, convert]: [&str; 2], late: &str) -> Finding {
    let folder = folder();
    let folder = folder.path();
    video(folder, &format!("-pix_fmt {format} -c:v rawvideo in.nut"));
    let size = (320, 180);
    let overlays = overlays(folder, size, "25", 50);
    // ffmpeg composes straight alpha alone as it should.
    render(folder, size, "25", 50, "--alpha straight");
    ffmpeg(
        folder,
        &format!(
            "-i in.nut {late} -f rawvideo -pix_fmt rgba -s 320x180 -framerate 25 -i overlay.rgba -filter_complex \
             [1:v]scale={convert}flags=accurate_rnd+full_chroma_int[over];\
             [0:v][over]overlay=format={blend} -pix_fmt {format} -frames:v 50 -c:v rawvideo out.nut"
        ),
    );
    Finding::of(
        &Pictures::of(folder, "in.nut"),
        &Pictures::of(folder, "out.nut"),
        &overlays,
        BT709,
    )
}

#[test]
fn the_reference_agrees_with_another_compositor() {
    composed("gbrp", ["gbrp", ""], "").right("RGB");
    composed("yuv444p", ["yuv444", "out_color_matrix=bt709:"], "").right("4:4:4");
    let late = composed("gbrp", ["gbrp", ""], "-itsoffset 0.04");
    assert!(!late.is_right(), "a frame late: {late:?}");
}
