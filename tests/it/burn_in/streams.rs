//! What is not the picture comes through as it is, and the picture's times with it.

use super::media::{H264, PICTURE, ffmpeg, mkv, mp4, video};
use super::overlays::overlays;
use super::pixels::{Finding, Pictures, UNTAGGED};
use super::probe::{self, Probe};
use super::{burn, folder, media, ts};

#[test]
fn mp4_keeps_sound_captions_chapters_cover_and_tags() {
    let folder = folder();
    let folder = folder.path();
    mp4(folder, "in.mp4");
    burn(folder, "in.mp4 out.mp4");
    let [before, after] = ["in.mp4", "out.mp4"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::about(&before, &after).none();
    probe::picture(&before, &after).none();
    assert_eq!(after.picture().text("codec_name"), "h264", "as the input");
}

#[test]
fn mkv_keeps_sound_captions_attachments_chapters_and_tags() {
    let folder = folder();
    let folder = folder.path();
    mkv(folder, "in.mkv");
    burn(folder, "in.mkv out.mkv");
    let [before, after] = ["in.mkv", "out.mkv"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::about(&before, &after).none();
    probe::picture(&before, &after).none();
}

#[test]
fn a_transport_stream_keeps_pids_and_splices() {
    let folder = folder();
    let folder = folder.path();
    media::ts(folder, "plain.ts");
    ts::add_data(folder, "plain.ts", "in.ts");
    burn(folder, "in.ts out.ts");
    let [before, after] = ["in.ts", "out.ts"].map(|name| Probe::of(folder, name));
    probe::picture(&before, &after).none();
    let found = probe::copies(&before, &after);
    // A splice has no time of its own: it is where it is among the others.
    let found: Vec<_> = found
        .0
        .iter()
        .filter(|told| !told.contains("scte_35: packet "))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(ts::splices(folder, "out.ts"), ts::added_splices());
}

#[test]
fn mov_keeps_its_time_code() {
    let folder = folder();
    let folder = folder.path();
    ffmpeg(
        folder,
        &format!(
            "{PICTURE} -f lavfi -i sine=440:d=2:r=48000 -c:v prores_ks -pix_fmt yuv422p10le \
             -c:a pcm_s24le -timecode 10:20:30:05 in.mov"
        ),
    );
    burn(folder, "in.mov out.mov");
    let [before, after] = ["in.mov", "out.mov"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::picture(&before, &after).none();
    assert_eq!(after.picture().text("codec_name"), "prores", "as the input");
    let code = &after.picture().told["tags"]["timecode"];
    assert_eq!(code, "10:20:30:05");
}

#[test]
fn flv_keeps_sound_and_times() {
    let folder = folder();
    let folder = folder.path();
    ffmpeg(
        folder,
        &format!("{PICTURE} -f lavfi -i sine=440:d=2:r=44100 {H264} -c:a aac in.flv"),
    );
    burn(folder, "in.flv out.flv");
    let [before, after] = ["in.flv", "out.flv"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    probe::times(&before, &after).none();
}

/// From one container to another, streams are the same packets at the same times.
#[test]
fn containers_may_change() {
    let folder = folder();
    let folder = folder.path();
    ffmpeg(
        folder,
        &format!(
            "{PICTURE} -f lavfi -i sine=440:d=2:r=48000 {H264} -c:a ac3 -metadata:s:a:0 language=fra in.mp4"
        ),
    );
    let before = Probe::of(folder, "in.mp4");
    for name in ["out.mkv", "out.mov", "named"] {
        let container = if name == "named" {
            "--container mp4 "
        } else {
            ""
        };
        burn(folder, &format!("{container}in.mp4 {name}"));
        let after = Probe::of(folder, name);
        assert_eq!(before.picture_times().len(), after.picture_times().len());
        let times = before
            .picture_times()
            .into_iter()
            .zip(after.picture_times());
        for (before, after) in times {
            let off = (before.seconds() - after.seconds()).abs();
            assert!(off < 0.001, "{name}: {before:?} became {after:?}");
        }
        let sound = |probe: &Probe| {
            let sound = &probe.others()[0];
            let language = sound.told["tags"]["language"].clone();
            (
                sound.text("codec_name").to_owned(),
                language,
                sound.packets.len(),
            )
        };
        assert_eq!(sound(&before), sound(&after), "{name}");
    }
}

/// Frames that come when they come: sprites are where they are at those times.
#[test]
fn variable_frame_rates_keep_every_time() {
    let folder = folder();
    let folder = folder.path();
    for name in ["mkv", "mp4"] {
        let gaps = "select='not(mod(n\\,3))+between(n\\,20\\,34)+eq(n\\,1)'";
        video(
            folder,
            &format!("-vf {gaps} -fps_mode vfr {H264} in.{name}"),
        );
        burn(folder, &format!("in.{name} out.{name}"));
        burn(
            folder,
            &format!("--force --video-codec ffv1 in.{name} lossless.mkv"),
        );
        let [before, after, lossless] = [
            &format!("in.{name}"),
            &format!("out.{name}"),
            "lossless.mkv",
        ]
        .map(|name| Probe::of(folder, name));
        assert!((20..40).contains(&before.picture_times().len()));
        probe::picture(&before, &after).none();
        let overlays = overlays(folder, (320, 180), "25", 50);
        let times = lossless.picture_times();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "two seconds of frames"
        )]
        let shown = times
            .iter()
            .map(|time| &overlays[(time.seconds() * 25.0).round() as usize]);
        let pictures =
            [&format!("in.{name}"), "lossless.mkv"].map(|name| Pictures::of(folder, name));
        Finding::of(&pictures[0], &pictures[1], shown, UNTAGGED).right(name);
    }
}

/// Ten minutes of a rate that no clock has: nothing moves against anything.
#[test]
fn ten_minutes_do_not_drift() {
    let folder = folder();
    let folder = folder.path();
    let log = "{\"at_ms\":598500,\"reaction\":\"heart\",\"count\":3}\n";
    std::fs::write(folder.join("log.ndjson"), log).unwrap();
    let rate = "5000/1001";
    ffmpeg(
        folder,
        &format!(
            "-f lavfi -i testsrc2=s=64x64:r={rate}:d=600 -f lavfi -i sine=440:d=600:r=8000 \
             -c:v libx264 -preset ultrafast -g 50 -c:a aac -b:a 16k in.mp4"
        ),
    );
    burn(folder, "--preset ultrafast in.mp4 out.mp4");
    let [before, after] = ["in.mp4", "out.mp4"].map(|name| Probe::of(folder, name));
    assert!(before.picture_times().len() > 2_990);
    probe::copies(&before, &after).none();
    probe::picture(&before, &after).none();
    // A player gets sound and picture together.
    let lags = ["in.mp4", "out.mp4"].map(|name| probe::lag(folder, name));
    assert!(lags[1] < lags[0] + 1.0, "seconds: {lags:?}");
    burn(folder, "--video-codec ffv1 in.mp4 lossless.mkv");
    let [before, after] = ["in.mp4", "lossless.mkv"].map(|name| Pictures::of(folder, name));
    let overlays = overlays(folder, (64, 64), rate, before.frames.len());
    Finding::of(&before, &after, &overlays, UNTAGGED).right("the last frames");
}
