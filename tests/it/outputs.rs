//! Every kind of output against the raw frames, as the real ffmpeg and ffprobe read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::floatup::{Running, floatup, run, stderr, wait};
use crate::media::{decode_rgba, frame_count, tool};

/// Odd sides, so that the last chroma sample of a line covers one pixel.
const SIZE: (usize, usize) = (161, 91);
const FRAME_BYTES: usize = SIZE.0 * SIZE.1 * 4;

/// Rates, and how many frames the log takes at them: to the first at or after 2.4 s.
const RATES: &[(&str, i64, i64, usize)] = &[
    ("30", 30, 1, 73),
    ("60000/1001", 60_000, 1_001, 145),
    ("25", 25, 1, 61),
];

const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":150,\"reaction\":\"100\",\"count\":3}
{\"at_ms\":400,\"reaction\":\"fire\",\"count\":2}
{\"at_ms\":400,\"reaction\":\"rainbow\"}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.ndjson"), LOG).unwrap();
    folder
}

fn arguments<'a>(rate: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["render", "--size", "161x91", "--seed", "7", "--fps", rate];
    [&fixed, more, &["log.ndjson", out]].concat()
}

fn render(folder: &Path, rate: &str, out: &str, more: &[&str]) -> PathBuf {
    let output = run(folder, &arguments(rate, out, more));
    assert!(output.status.success(), "{out}: {}", stderr(&output));
    folder.join(out)
}

fn raw(folder: &Path, rate: &str, more: &[&str]) -> Vec<u8> {
    fs::read(render(folder, rate, "out.rgba", more)).unwrap()
}

fn same_frames(what: &str, ours: &[u8], theirs: &[u8]) {
    assert_eq!(ours.len(), theirs.len(), "{what}: as many frames");
    let differs = ours
        .chunks(FRAME_BYTES)
        .zip(theirs.chunks(FRAME_BYTES))
        .position(|(ours, theirs)| ours != theirs);
    assert_eq!(differs, None, "{what}: the first frame that differs");
}

#[test]
fn a_png_sequence_has_the_raw_frames() {
    let folder = folder();
    for &(rate, _, _, frames) in RATES {
        let raw = raw(folder.path(), rate, &[]);
        assert_eq!(raw.len(), frames * FRAME_BYTES);
        let stills = folder.path().join(rate.replace('/', "-"));
        fs::create_dir(&stills).unwrap();
        let pattern = format!("{}/%04d.png", stills.display());
        render(folder.path(), rate, &pattern, &[]);
        assert_eq!(fs::read_dir(&stills).unwrap().count(), frames);
        let mut read = Vec::new();
        for number in 0..frames {
            let image = image::open(stills.join(format!("{number:04}.png"))).unwrap();
            assert_eq!(image.color(), image::ColorType::Rgba8);
            read.extend_from_slice(image.as_bytes());
        }
        same_frames(rate, &raw, &read);
        // And as ffmpeg reads it.
        let images = stills.join("%04d.png");
        same_frames(rate, &raw, &decode_rgba(&images, &[]));
    }
}

/// A run whose stdout is a pipe.
fn piped(folder: &Path, arguments: &[&str]) -> Running {
    let mut command = floatup();
    command.current_dir(folder).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Running(command.spawn().unwrap())
}

#[test]
fn ffmpeg_takes_what_is_piped_to_it() {
    let folder = folder();
    for &(rate, _, _, frames) in RATES {
        let raw = raw(folder.path(), rate, &[]);
        let mut render = piped(folder.path(), &arguments(rate, "-", &[]));
        let input = [
            "-f", "rawvideo", "-pix_fmt", "rgba", "-s", "161x91", "-r", rate,
        ];
        let mut ffmpeg = tool("ffmpeg")
            .current_dir(folder.path())
            .args(input)
            .args(["-i", "-", "-c:v", "qtrle", "-y", "piped.mov"])
            .stdin(render.0.stdout.take().unwrap())
            .spawn()
            .map(Running)
            .unwrap();
        assert!(wait(&mut render).success());
        assert!(wait(&mut ffmpeg).success());
        let piped = folder.path().join("piped.mov");
        assert_eq!(frame_count(&piped), frames as u64);
        same_frames(rate, &raw, &decode_rgba(&piped, &[]));
    }
}

/// More would put a slow reader further behind, less would have both sides wait many times a frame.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_made_to_hold_a_frame_but_not_many() {
    use std::io::Read as _;

    use rustix::pipe::fcntl_getpipe_size;

    let folder = folder();
    let bytes = |size: &str| {
        let mut render = piped(
            folder.path(),
            &["render", "log.ndjson", "-", "--size", size],
        );
        let mut pipe = render.0.stdout.take().unwrap();
        pipe.read_exact(&mut [0]).unwrap();
        let bytes = fcntl_getpipe_size(&pipe).unwrap();
        drop(pipe);
        assert!(wait(&mut render).success(), "a closed pipe is no failure");
        bytes
    };
    assert_eq!(bytes("64x36"), 64 << 10, "as it was");
    assert_eq!(
        bytes("320x180"),
        256 << 10,
        "a power of 2 that holds 230,400"
    );
    assert_eq!(bytes("1920x1080"), 1 << 20, "as much as any user may have");
}

#[cfg(feature = "ffmpeg")]
mod encoded {
    use super::{FRAME_BYTES, RATES, SIZE, folder, fs, raw, render, run, same_frames, stderr};
    use crate::media::{decode_rgba, decode_vp9, duration_us, frame_count, packets, stream};

    /// Ending, codec and pixel format.
    const LOSSLESS: &[(&str, &str, &str)] = &[
        ("mov", "qtrle", "argb"),
        ("mkv", "ffv1", "bgra"),
        ("nut", "rawvideo", "rgba"),
        ("apng", "apng", "rgba"),
    ];

    #[test]
    fn lossless_files_decode_to_the_raw_frames() {
        let folder = folder();
        for &(rate, _, _, frames) in RATES {
            let raw = raw(folder.path(), rate, &[]);
            for (ending, codec, pixels) in LOSSLESS {
                let file = render(folder.path(), rate, &format!("out.{ending}"), &[]);
                let what = format!("{ending} at {rate}");
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
        for (ending, ..) in LOSSLESS {
            let file = render(folder.path(), "25", &format!("out.{ending}"), premultiplied);
            same_frames(ending, &raw[1], &decode_rgba(&file, &[]));
        }
    }

    #[test]
    fn every_frame_has_its_time_and_the_last_its_length() {
        let folder = folder();
        for &(rate, num, den, frames) in RATES {
            for ending in ["mov", "mkv", "webm", "nut", "apng"] {
                let file = render(folder.path(), rate, &format!("out.{ending}"), &[]);
                let what = format!("{ending} at {rate}");
                let base = stream(&file, "time_base");
                let (one, ticks) = base.split_once('/').unwrap();
                assert_eq!(one, "1", "{what}");
                let ticks: i64 = ticks.parse().unwrap();
                // ffmpeg's APNG demuxer rounds each frame's length to ten microseconds and adds
                // them up; what is in the file is read below.
                let told = packets(&file);
                assert_eq!(told.len(), frames, "{what}");
                if ending != "apng" {
                    let whole = ticks % num == 0;
                    assert!(whole || ticks == 1_000, "{what}: {base}");
                    for (n, &(pts, _)) in (0..).zip(&told) {
                        // The nearest tick.
                        let exact = n * den * ticks;
                        let off = (pts * num - exact).abs();
                        assert!(2 * off <= num, "{what}: frame {n} at {pts} of {base}");
                        assert!(off == 0 || !whole, "{what}: frame {n} at {pts} of {base}");
                    }
                }
                for (n, &(_, length)) in told.iter().enumerate() {
                    let off = (length * num - den * ticks).abs();
                    assert!(off < num, "{what}: frame {n} lasts {length} of {base}");
                }
                let average = stream(&file, "avg_frame_rate");
                let (over, under) = average.split_once('/').unwrap();
                let [over, under]: [i64; 2] = [over, under].map(|n| n.parse().unwrap());
                // Matroska stores whole nanoseconds.
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
            let told = Difference::of(&raw(folder.path(), rate, &[]), &decode_vp9(&file));
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

    #[test]
    fn webm_holds_premultiplied_frames_if_asked_for() {
        let folder = folder();
        let premultiplied = &["--alpha", "premultiplied"];
        let raw = raw(folder.path(), "25", premultiplied);
        let [asked_for, straight] = [&premultiplied[..], &[]].map(|alpha| {
            let file = render(folder.path(), "25", "out.webm", alpha);
            let (mut squares, mut samples) = (0.0, 0.0);
            for (our, their) in raw.chunks(4).zip(decode_vp9(&file).chunks(4)) {
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
}
