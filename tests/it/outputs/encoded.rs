//! Encoded files: what is in them, when, and in what colours.

use std::sync::Arc;

use floatup::frame::{Alpha, FrameRate, Scan, Size};
use floatup::output::{Flow, Form, Plan, Spec, Target};

use super::{RATES, folder, fs, raw, render, run, same_frames, stderr};
use crate::media::{decode_rgba, decode_yuva, duration_us, frame_count, packets, stream};

/// Ending, codec and pixel format.
const LOSSLESS: &[(&str, &str, &str)] = &[
    ("mov", "qtrle", "argb"),
    ("mov", "png", "rgba"),
    ("mov", "ffv1", "bgra"),
    ("mov", "rawvideo", "argb"),
    ("mkv", "ffv1", "bgra"),
    ("mkv", "png", "rgba"),
    ("mkv", "rawvideo", "rgba"),
    ("mkv", "utvideo", "gbrap"),
    ("nut", "rawvideo", "rgba"),
    ("nut", "png", "rgba"),
    ("nut", "ffv1", "bgra"),
    ("nut", "utvideo", "gbrap"),
    ("avi", "rawvideo", "bgra"),
    ("avi", "utvideo", "gbrap"),
    ("apng", "apng", "rgba"),
];

#[test]
fn lossless_files_decode_to_the_raw_frames() {
    let folder = folder();
    for &(rate, _, _, frames) in RATES {
        let raw = raw(folder.path(), rate, &[]);
        for (ending, codec, pixels) in LOSSLESS {
            let form = ["--codec", codec];
            let file = render(folder.path(), rate, &format!("out.{ending}"), &form);
            let what = format!("{codec} in {ending} at {rate}");
            let told = stream(&file, "codec_name,width,height,pix_fmt");
            assert_eq!(told, format!("{codec},161,91,{pixels}"), "{what}");
            assert_eq!(frame_count(&file), frames as u64, "{what}");
            same_frames(&what, &raw, &decode_rgba(&file, &[]));
        }
    }
}

#[test]
fn lossless_files_hold_premultiplied_frames_if_asked_for() {
    let folder = folder();
    let premultiplied = &["--alpha", "premultiplied"];
    let raw = [&[][..], premultiplied].map(|alpha| raw(folder.path(), "25", alpha));
    assert_ne!(raw[0], raw[1]);
    for (ending, codec, _) in LOSSLESS {
        let form = [&premultiplied[..], &["--codec", codec]].concat();
        let file = render(folder.path(), "25", &format!("out.{ending}"), &form);
        same_frames(codec, &raw[1], &decode_rgba(&file, &[]));
    }
}

#[test]
fn every_frame_has_its_time_and_the_last_its_length() {
    let folder = folder();
    let one_of_each = [
        ("mov", "qtrle"),
        ("mkv", "ffv1"),
        ("webm", "vp9"),
        ("nut", "rawvideo"),
    ];
    let others = [
        ("mov", "prores"),
        ("mov", "png"),
        ("mkv", "utvideo"),
        ("webm", "vp8"),
        ("avi", "rawvideo"),
        ("apng", "apng"),
    ];
    let all = [&one_of_each[..], &others].concat();
    let rates = RATES.iter().map(|rate| (rate, &all[..]));
    let film = [
        ("30000/1001", 30_000, 1_001, 73),
        ("24000/1001", 24_000, 1_001, 59),
    ];
    for (&(rate, num, den, frames), files) in
        rates.chain(film.iter().map(|rate| (rate, &one_of_each[..])))
    {
        for &(ending, codec) in files {
            let form = ["--codec", codec];
            let file = render(folder.path(), rate, &format!("out.{ending}"), &form);
            let what = format!("{codec} in {ending} at {rate}");
            let base = stream(&file, "time_base");
            let (one, ticks) = base.split_once('/').unwrap();
            let [one, ticks]: [i64; 2] = [one, ticks].map(|n| n.parse().unwrap());
            let num = num * one;
            // ffmpeg's APNG demuxer rounds each frame's length to ten microseconds and adds
            // them up; what is in the file is read below.
            let told = packets(&file);
            assert_eq!(told.len(), frames, "{what}");
            if ending != "apng" {
                let whole = den * ticks % num == 0;
                assert!(whole || ticks == 1_000, "{what}: {base}");
                for (n, &(pts, _)) in (0..).zip(&told) {
                    // The nearest tick.
                    let exact = n * den * ticks;
                    let off = (pts * num - exact).abs();
                    assert!(2 * off <= num, "{what}: frame {n} at {pts} of {base}");
                    assert!(off == 0 || !whole, "{what}: frame {n} at {pts} of {base}");
                }
            }
            assert!(told.last().unwrap().1.is_some(), "{what}");
            for (n, &(_, length)) in told.iter().enumerate() {
                let Some(length) = length else {
                    assert_eq!(ending, "mov", "{what}: frame {n}");
                    continue;
                };
                let off = (length * num - den * ticks).abs();
                assert!(off < num, "{what}: frame {n} lasts {length} of {base}");
            }
            let average = stream(&file, "avg_frame_rate");
            let (over, under) = average.split_once('/').unwrap();
            let [over, under]: [i64; 2] = [over, under].map(|n| n.parse().unwrap());
            // Matroska stores whole nanoseconds.
            let num = num / one;
            let off = (over * den - num * under).abs();
            assert!(off * 100_000 < num * under, "{what}: {average}");
        }
    }
}

#[test]
fn a_key_of_full_range_is_tagged_so() {
    let folder = folder();
    for (range, tag) in [("full", "pc"), ("limited", "tv")] {
        let form = ["--matte", "key", "--key-range", range, "--codec", "vp9"];
        let form = [&form[..], &["--frames", "2"]].concat();
        let file = render(folder.path(), "25", "out.webm", &form);
        assert_eq!(
            stream(&file, "color_range,color_space"),
            format!("{tag},bt709")
        );
    }
}

/// A frame that an output was too slow for.
#[test]
fn a_frame_that_is_left_out_is_a_gap_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (num, den) = (60_000, 1_001);
    let indexes = [40, 41, 44, 45, 52, 173];
    for (ending, codec) in [
        ("mov", "qtrle"),
        ("mov", "prores"),
        ("mkv", "ffv1"),
        ("webm", "vp9"),
        ("nut", "rawvideo"),
    ] {
        let file = folder.path().join(format!("out.{ending}"));
        let form = Form {
            codec: Some(codec.parse().unwrap()),
            ..Form::default()
        };
        let spec = Spec {
            size: Size::new(64, 36).unwrap(),
            rate: FrameRate::new(60_000, 1_001).unwrap(),
            scan: Scan::Progressive,
            alpha: Alpha::Straight,
            form,
        };
        let mut plan = Plan::new(Target::File(file.clone()), spec).unwrap();
        let frame = Arc::new(plan.kind().frame());
        let mut output = plan.open().unwrap().unwrap();
        for index in indexes {
            assert_eq!(output.write(&frame, index).unwrap(), Flow::Open);
        }
        output.finish().unwrap();
        let base = stream(&file, "time_base");
        let (one, ticks) = base.split_once('/').unwrap();
        let [one, ticks]: [i64; 2] = [one, ticks].map(|n| n.parse().unwrap());
        let num = num * one;
        let nearest = indexes.map(|index| {
            let index = i64::try_from(index).unwrap() - 40;
            (2 * index * den * ticks + num) / (2 * num)
        });
        let told: Vec<_> = packets(&file).iter().map(|packet| packet.0).collect();
        assert_eq!(told, nearest, "{codec} in {ending}, {base}");
    }
}

#[test]
fn files_last_until_their_last_frame_ends() {
    let folder = folder();
    for &(rate, num, den, frames) in RATES {
        let exact_us = i64::try_from(frames).unwrap() * den * 1_000_000 / num;
        for ending in ["mov", "mkv", "webm"] {
            let file = render(folder.path(), rate, &format!("out.{ending}"), &[]);
            let told = duration_us(&file);
            // Told in milliseconds.
            let off = (told - exact_us).abs();
            assert!(
                off <= 1_000,
                "{ending} at {rate}: {told} us, not {exact_us}"
            );
        }
    }
}

#[test]
fn an_apng_says_the_exact_length_of_each_frame() {
    let folder = folder();
    for &(rate, num, den, frames) in RATES {
        let file = fs::read(render(folder.path(), rate, "out.apng", &[])).unwrap();
        let mut controls = 0;
        let mut rest = &file[8..];
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            if &head[4..] == b"fcTL" {
                let term = |at: usize| i64::from(after[at]) << 8 | i64::from(after[at + 1]);
                assert_eq!(term(20) * num, term(22) * den, "{rate}: frame {controls}");
                controls += 1;
            }
            rest = &after[length + 4..];
        }
        assert_eq!(controls, frames, "{rate}");
    }
}

#[test]
fn the_smallest_picture_has_a_file_of_every_kind() {
    let folder = folder();
    for ending in ["mov", "mkv", "webm", "nut", "apng"] {
        let out = format!("out.{ending}");
        let args = [
            "render",
            "--size",
            "1x1",
            "--frames",
            "3",
            "log.ndjson",
            &out,
        ];
        let output = run(folder.path(), &args);
        assert!(output.status.success(), "{ending}: {}", stderr(&output));
        assert_eq!(frame_count(&folder.path().join(&out)), 3, "{ending}");
    }
}

#[test]
fn quality_and_speed_change_a_files_size_the_right_way() {
    let folder = folder();
    let bytes = |ending: &str, more: &[&str]| {
        let file = render(folder.path(), "25", &format!("out.{ending}"), more);
        fs::metadata(file).unwrap().len()
    };
    for (ending, codec) in [
        ("webm", "vp9"),
        ("webm", "vp8"),
        ("mov", "prores"),
        ("webp", "webp"),
    ] {
        let [small, large] =
            ["10", "90"].map(|quality| bytes(ending, &["--codec", codec, "--quality", quality]));
        assert!(
            2 * small < 3 * large && small < large,
            "{codec}: {small}, {large}"
        );
    }
    for (ending, codec) in [("mov", "png"), ("apng", "apng"), ("mkv", "utvideo")] {
        let [small, large] =
            ["best", "fastest"].map(|speed| bytes(ending, &["--codec", codec, "--speed", speed]));
        assert!(small < large, "{codec}: {small}, {large}");
    }
}

#[test]
fn hap_has_alpha_and_its_sides_are_multiples_of_4() {
    let folder = folder();
    let args = [
        "render",
        "--size",
        "160x92",
        "--codec",
        "hap",
        "log.ndjson",
        "out.mov",
    ];
    let output = run(folder.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join("out.mov");
    assert_eq!(stream(&file, "codec_name,pix_fmt"), "hap,rgba");
    let alphas: Vec<u8> = decode_rgba(&file, &[])
        .chunks(4)
        .map(|pixel| pixel[3])
        .collect();
    assert!(alphas.contains(&0) && alphas.contains(&255));
}

#[test]
fn an_animated_webp_has_every_frame_at_its_millisecond() {
    let folder = folder();
    for &(rate, num, den, frames) in RATES {
        let file = fs::read(render(folder.path(), rate, "out.webp", &[])).unwrap();
        // RIFF: a header, then chunks of even length; ANMF has its length in ms after 12 bytes.
        let (mut rest, mut at, mut shown) = (&file[12..], 0_i64, 0_i64);
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
            if &head[..4] == b"ANMF" {
                // libwebp's wrapper cuts off what is less than a millisecond.
                assert_eq!(at, 1_000 * den * shown / num, "{rate}: frame {shown}");
                at += i64::from(after[12]) | i64::from(after[13]) << 8;
                shown += 1;
            }
            rest = &after[length.next_multiple_of(2)..];
        }
        assert_eq!(shown, i64::try_from(frames).unwrap(), "{rate}");
    }
}

#[test]
fn opaque_codecs_show_frames_over_the_background() {
    let folder = folder();
    for (ending, codec, name) in [
        ("mp4", "h264", "h264"),
        ("mp4", "hevc", "hevc"),
        ("mp4", "vp9", "vp9"),
        ("ts", "mpeg2", "mpeg2video"),
        ("mov", "dnxhr", "dnxhd"),
        ("mov", "prores", "prores"),
        ("mov", "qtrle", "qtrle"),
        ("flv", "h264", "h264"),
        ("nut", "rawvideo", "rawvideo"),
    ] {
        let out = format!("out.{ending}");
        let args = [
            "render",
            "--size",
            "320x180",
            "--fps",
            "25",
            "--frames",
            "5",
            "--codec",
            codec,
            "--background",
            "#00b140",
            "log.ndjson",
            &out,
        ];
        let output = run(folder.path(), &args);
        let what = format!("{codec} in {ending}");
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        let file = folder.path().join(&out);
        // A transport stream is listed under its programme too.
        assert_eq!(
            stream(&file, "codec_name").split([',', '\n']).next(),
            Some(name),
            "{what}"
        );
        if !matches!(codec, "qtrle" | "rawvideo") {
            let told = stream(
                &file,
                "color_range,color_space,color_transfer,color_primaries",
            );
            let told = told.split([',', '\n']).take(4).collect::<Vec<_>>();
            // FFmpeg writes no range beside DNxHR, which is limited unless told otherwise.
            let range = if codec == "dnxhr" { "unknown" } else { "tv" };
            assert_eq!(told, [range, "bt709", "bt709", "bt709"], "{what}");
        }
        assert_eq!(packets(&file).len(), 5, "{what}");
        let frames = decode_yuva(&file, None);
        assert_eq!(frames.len(), 5 * 320 * 180 * 4, "{what}");
        // The log's first heart is small, at the bottom.
        for pixel in frames[..320 * 90 * 4].chunks(4) {
            for (level, wanted) in pixel.iter().zip([0x00_u8, 0xb1, 0x40, 0xff]) {
                assert!(level.abs_diff(wanted) < 5, "{what}: {pixel:?}");
            }
        }
    }
}
