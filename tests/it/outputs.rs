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

#[test]
fn a_gif_has_every_time_to_the_nearest_hundredth_and_its_alpha_by_the_threshold() {
    let folder = folder();
    for &(rate, num, den, frames) in RATES {
        let raw = raw(folder.path(), rate, &[]);
        let file = fs::read(render(folder.path(), rate, "out.gif", &[])).unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(&file[..]).unwrap();
        // What is nearer than two hundredths to the one before is left out.
        let ticks = |n: i64| (200 * n * den + num) / (2 * num);
        let mut shown = vec![0];
        for n in 1..i64::try_from(frames).unwrap() {
            if ticks(n) - ticks(*shown.last().unwrap()) >= 2 {
                shown.push(n);
            }
        }
        let mut at = 0;
        for &n in &shown {
            assert_eq!(at, ticks(n), "{rate}: frame {n}");
            let frame = decoder.read_next_frame().unwrap().unwrap();
            at += i64::from(frame.delay);
            let whole = &raw[usize::try_from(n).unwrap() * FRAME_BYTES..][..FRAME_BYTES];
            let (left, top) = (usize::from(frame.left), usize::from(frame.top));
            let (width, height) = (usize::from(frame.width), usize::from(frame.height));
            for (at, pixel) in whole.chunks(4).enumerate() {
                let (x, y) = (at % SIZE.0, at / SIZE.0);
                let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
                let opaque =
                    inside && frame.buffer[((y - top) * width + x - left) * 4 + 3] == u8::MAX;
                assert_eq!(opaque, pixel[3] >= 128, "{rate}: frame {n}, {x},{y}");
            }
        }
        assert!(decoder.read_next_frame().unwrap().is_none(), "{rate}");
    }
}

#[cfg(feature = "ffmpeg")]
mod encoded;

#[cfg(feature = "ffmpeg")]
mod lossy;

#[cfg(feature = "ffmpeg")]
mod streamed;
