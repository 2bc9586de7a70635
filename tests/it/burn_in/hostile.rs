//! Programmes that have been through something.

use std::fs;
use std::path::Path;

use super::media::{H264, PICTURE, ffmpeg, video};
use super::probe::{self, Probe, Time};
use super::{burn, folder, ts};

/// Seconds of each frame of the picture.
fn seconds(probe: &Probe) -> Vec<f64> {
    probe
        .picture_times()
        .into_iter()
        .map(Time::seconds)
        .collect()
}

/// How many frames a decoder gets out of the picture.
fn frame_count(folder: &Path, name: &str) -> usize {
    probe::frames(folder, name).len()
}

/// Time stamps that begin anew, ahead and back: all frames come, each after the one before.
#[test]
fn discontinuities_are_passed() {
    let folder = folder();
    let folder = folder.path();
    let sound = "-f lavfi -i sine=440:d=2:r=48000";
    for (name, at) in [("a.ts", 0), ("b.ts", 5_000)] {
        ffmpeg(
            folder,
            &format!("{PICTURE} {sound} {H264} -c:a aac -output_ts_offset {at} {name}"),
        );
    }
    for (name, parts) in [("ahead", ["a.ts", "b.ts"]), ("back", ["b.ts", "a.ts"])] {
        ts::join(folder, parts, &format!("{name}.ts"));
        let frames = frame_count(folder, &format!("{name}.ts"));
        assert!(frames >= 99, "{frames} frames in");
        for ending in ["mp4", "ts"] {
            let out = format!("{name}-out.{ending}");
            burn(folder, &format!("{name}.ts {out}"));
            assert_eq!(frame_count(folder, &out), frames, "{out}");
            let probe = Probe::of(folder, &out);
            let times = seconds(&probe);
            let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let regular = gaps.iter().all(|gap| (0.01..0.5).contains(gap));
            assert!(regular, "{out}: {gaps:?}");
            // The sound is beside it all along.
            let sound = &probe.others()[0].packets;
            let [first, last] =
                [sound.first(), sound.last()].map(|p| p.unwrap().pts.unwrap().seconds());
            let [begin, end] = [times[0], times[times.len() - 1]];
            assert!(
                (first - begin).abs() < 0.2 && (last - end).abs() < 0.2,
                "{out}: {first}-{last}, {begin}-{end}"
            );
        }
    }
}

/// Damaged packets of the picture: it goes on, the sound is whole, and the damage is counted.
#[test]
fn corrupt_packets_are_counted_and_passed() {
    let folder = folder();
    let folder = folder.path();
    let sound = "-f lavfi -i sine=440:d=4:r=48000";
    ffmpeg(
        folder,
        &format!(
            "-f lavfi -i testsrc2=s=320x180:r=25:d=4 {sound} {H264} -b:v 3M -g 25 -bf 0 -c:a mp2 good.ts"
        ),
    );
    ts::corrupt(folder, "good.ts", "in.ts", 0x100, 60);
    let log = burn(folder, "in.ts out.ts");
    let told = log.lines().find(|line| line.contains("damaged"));
    let told = told.unwrap_or_else(|| panic!("nothing of it is said: {log}"));
    assert!(
        told.contains(|c: char| c.is_ascii_digit()),
        "how many: {told}"
    );
    let [before, after] = ["in.ts", "out.ts"].map(|name| Probe::of(folder, name));
    probe::copies(&before, &after).none();
    let (before, after) = (seconds(&before), seconds(&after));
    assert!(
        after.len() * 10 >= before.len() * 9,
        "{} of {} frames",
        after.len(),
        before.len()
    );
    assert!(after.windows(2).all(|pair| pair[0] < pair[1]), "{after:?}");
    let ends = (before[before.len() - 1] - after[after.len() - 1]).abs();
    assert!(ends < 0.2, "it goes on to the end: {ends} s off");
}

/// A file that ends in the middle of a packet is worth what there is of it.
#[test]
fn what_there_is_of_a_cut_file_is_burnt_in() {
    let folder = folder();
    let folder = folder.path();
    for name in ["mkv", "ts"] {
        video(folder, &format!("{H264} whole.{name}"));
        let whole = fs::read(folder.join(format!("whole.{name}"))).unwrap();
        fs::write(folder.join(format!("in.{name}")), &whole[..whole.len() / 2]).unwrap();
        burn(folder, &format!("in.{name} out.{name}"));
        let [before, after] =
            ["in", "out"].map(|file| frame_count(folder, &format!("{file}.{name}")));
        assert!(
            before > 5 && before.abs_diff(after) <= 1,
            "{name}: {before} became {after}"
        );
    }
}
