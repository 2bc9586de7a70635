//! Encoded files: what is in them, when, and in what colours.

use super::{FRAME_BYTES, RATES, SIZE, folder, fs, raw, render, run, same_frames, stderr};
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
    for &(rate, num, den, frames) in RATES {
        for (ending, codec) in [
            ("mov", "qtrle"),
            ("mov", "prores"),
            ("mov", "png"),
            ("mkv", "ffv1"),
            ("mkv", "utvideo"),
            ("webm", "vp9"),
            ("webm", "vp8"),
            ("nut", "rawvideo"),
            ("avi", "rawvideo"),
            ("apng", "apng"),
        ] {
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
fn webm_keeps_alpha_and_colour() {
    let folder = folder();
    for &(rate, ..) in RATES {
        let file = render(folder.path(), rate, "out.webm", &[]);
        let entries = "codec_name,width,height,color_range,color_space,color_transfer,\
                       color_primaries:stream_tags=alpha_mode";
        let told = stream(&file, entries);
        assert_eq!(told, "vp9,161,91,tv,bt709,bt709,bt709,1", "{rate}");
        let told = Difference::of(
            &raw(folder.path(), rate, &[]),
            &decode_yuva(&file, Some("libvpx-vp9")),
        );
        let figures = format!("{rate}: {told:?}");
        assert!(told.inked > 10_000.0 && told.edges > 2_000.0, "{figures}");
        assert!(told.alpha_db > 36.0 && told.colour_db > 31.0, "{figures}");
        // A fringe would be dark over white, or bright over black.
        assert!(told.edge_db > 34.0, "{figures}");
        assert!(
            told.over_white.abs() < 1.0 && told.over_black.abs() < 1.0,
            "{figures}"
        );
        assert!(told.strays * 10_000 < told.all, "{figures}");
    }
}

/// The ones beside VP9, at their defaults.
#[test]
fn lossy_codecs_stay_near() {
    let folder = folder();
    let raw = raw(folder.path(), "25", &[]);
    for (ending, codec, decoder, alpha_db, colour_db) in [
        ("webm", "vp8", Some("libvpx"), 33.0, 31.0),
        ("mov", "prores", None, 50.0, 38.0),
        ("mkv", "prores", None, 50.0, 38.0),
    ] {
        let form = ["--codec", codec];
        let file = render(folder.path(), "25", &format!("out.{ending}"), &form);
        let told = stream(
            &file,
            "color_range,color_space,color_transfer,color_primaries",
        );
        assert_eq!(told, "tv,bt709,bt709,bt709", "{codec} in {ending}");
        let told = Difference::of(&raw, &decode_yuva(&file, decoder));
        let figures = format!("{codec} in {ending}: {told:?}");
        assert!(told.inked > 10_000.0 && told.edges > 2_000.0, "{figures}");
        assert!(
            told.alpha_db > alpha_db && told.colour_db > colour_db,
            "{figures}"
        );
        assert!(told.strays * 10_000 < told.all, "{figures}");
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

#[test]
fn webm_holds_premultiplied_frames_if_asked_for() {
    let folder = folder();
    let premultiplied = &["--alpha", "premultiplied"];
    let raw = raw(folder.path(), "25", premultiplied);
    let [asked_for, straight] = [&premultiplied[..], &[]].map(|alpha| {
        let file = render(folder.path(), "25", "out.webm", alpha);
        let (mut squares, mut samples) = (0.0, 0.0);
        for (our, their) in raw
            .chunks(4)
            .zip(decode_yuva(&file, Some("libvpx-vp9")).chunks(4))
        {
            let inked = our[3] > 0;
            for (our, their) in our[..3].iter().zip(their).filter(|_| inked) {
                squares += (f64::from(*our) - f64::from(*their)).powi(2);
                samples += 1.0;
            }
        }
        psnr(squares / samples)
    });
    let figures = format!("{asked_for:.1} dB, straight {straight:.1} dB");
    assert!(asked_for > 25.0 && straight < asked_for - 6.0, "{figures}");
}

/// What a lossy file makes of straight frames, over what shows something.
#[derive(Debug, Default)]
struct Difference {
    /// Pixels that are not clear, and those of them that touch one that is.
    inked: f64,
    edges: f64,
    /// Peak signal to noise, in dB, of alpha and of premultiplied colour; of the latter at
    /// the edges alone.
    alpha_db: f64,
    colour_db: f64,
    edge_db: f64,
    /// How much brighter edges are over white and over black, on average, in levels.
    over_white: f64,
    over_black: f64,
    /// Clear pixels that aren't any more, by more than a trace, and all pixels.
    strays: usize,
    all: usize,
}

impl Difference {
    fn of(ours: &[u8], theirs: &[u8]) -> Self {
        assert_eq!(ours.len(), theirs.len(), "as many frames");
        let mut told = Self::default();
        // Sums of squares until the end.
        for (ours, theirs) in ours.chunks(FRAME_BYTES).zip(theirs.chunks(FRAME_BYTES)) {
            for (n, (our, their)) in ours.chunks(4).zip(theirs.chunks(4)).enumerate() {
                told.all += 1;
                if our[3] == 0 {
                    told.strays += usize::from(their[3] > 16);
                    continue;
                }
                let ((our, our_alpha), (their, their_alpha)) =
                    (premultiplied(our), premultiplied(their));
                let colour: f64 = (0..3).map(|c| (our[c] - their[c]).powi(2)).sum();
                told.inked += 1.0;
                told.alpha_db += (our_alpha - their_alpha).powi(2);
                told.colour_db += colour / 3.0;
                if is_edge(ours, n) {
                    let brighter = (their.iter().sum::<f64>() - our.iter().sum::<f64>()) / 3.0;
                    told.edges += 1.0;
                    told.edge_db += colour / 3.0;
                    told.over_black += brighter;
                    told.over_white += brighter + our_alpha - their_alpha;
                }
            }
        }
        told.alpha_db = psnr(told.alpha_db / told.inked);
        told.colour_db = psnr(told.colour_db / told.inked);
        told.edge_db = psnr(told.edge_db / told.edges);
        told.over_white /= told.edges;
        told.over_black /= told.edges;
        told
    }
}

fn premultiplied(pixel: &[u8]) -> ([f64; 3], f64) {
    let alpha = f64::from(pixel[3]);
    let colour = [pixel[0], pixel[1], pixel[2]];
    (colour.map(|c| f64::from(c) * alpha / 255.0), alpha)
}

/// Whether a clear pixel is among the eight around.
fn is_edge(frame: &[u8], n: usize) -> bool {
    let near = |at: usize, end: usize| at.saturating_sub(1)..=(at + 1).min(end - 1);
    let (x, y) = (n % SIZE.0, n / SIZE.0);
    near(y, SIZE.1).any(|y| near(x, SIZE.0).any(|x| frame[(y * SIZE.0 + x) * 4 + 3] == 0))
}

fn psnr(mean_square: f64) -> f64 {
    10.0 * (255.0_f64.powi(2) / mean_square).log10()
}
