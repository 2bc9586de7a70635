//! Interlaced frames against progressive ones at twice the rate.

use std::fs;
use std::path::Path;

use crate::floatup::{run, stderr};

#[cfg(feature = "ffmpeg")]
use crate::media::{decode_yuva, frames, stream};

const SIZE: (usize, usize) = (161, 91);

/// Every reaction is there from the first field of a frame on.
const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":160,\"reaction\":\"100\",\"count\":3}
{\"at_ms\":400,\"reaction\":\"fire\",\"count\":2}
";

fn render_to(folder: &Path, file: &str, arguments: &[&str]) {
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let output = run(
        folder,
        &[&["render", "log.ndjson", file], arguments].concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
}

fn render(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let arguments = [&["--size", "161x91"], arguments].concat();
    render_to(folder, "out.rgba", &arguments);
    fs::read(folder.join("out.rgba")).unwrap()
}

#[test]
fn each_field_shows_its_own_time() {
    let folder = tempfile::tempdir().unwrap();
    for alpha in ["straight", "premultiplied"] {
        let render = |more: &[&str]| render(folder.path(), &[&["--alpha", alpha], more].concat());
        let whole = render(&["--fps", "50", "--frames", "120"]);
        let whole: Vec<&[u8]> = whole.chunks(SIZE.0 * SIZE.1 * 4).collect();
        for (scan, first) in [("tff", 0), ("bff", 1)] {
            let fields = render(&["--fps", "25", "--frames", "60", "--scan", scan]);
            let frames = fields.chunks(SIZE.0 * SIZE.1 * 4);
            assert_eq!(frames.len(), 60);
            let mut differ = 0;
            for (n, frame) in frames.enumerate() {
                for (y, row) in frame.chunks(SIZE.0 * 4).enumerate() {
                    let time = 2 * n + usize::from(y % 2 != first);
                    let expected = &whole[time][y * SIZE.0 * 4..][..SIZE.0 * 4];
                    assert!(row == expected, "{alpha} {scan}: frame {n}, row {y}");
                    differ += usize::from(row != &whole[2 * n][y * SIZE.0 * 4..][..SIZE.0 * 4]);
                }
            }
            assert!(differ > 100, "fields show what moves: {differ}");
        }
    }
}

/// What ffmpeg calls `tb` and `bt` are fields that are rows of one picture.
#[cfg(feature = "ffmpeg")]
#[test]
fn files_say_which_field_is_first() {
    let folder = tempfile::tempdir().unwrap();
    for (scan, order) in [("tff", "tb"), ("bff", "bt"), ("progressive", "progressive")] {
        for (file, form) in [
            ("out.mov", "--codec qtrle"),
            ("out.mov", "--codec prores"),
            ("out.mkv", "--codec ffv1"),
            ("out.mkv", "--codec h264 --background black"),
        ] {
            let mut arguments = vec![
                "--size", "160x90", "--fps", "25", "--frames", "3", "--scan", scan,
            ];
            arguments.extend(form.split(' '));
            render_to(folder.path(), file, &arguments);
            let told = stream(&folder.path().join(file), "field_order");
            let unsaid = scan == "progressive" && told == "unknown";
            assert!(told == order || unsaid, "{scan}, {file} {form}: {told}");
        }
    }
}

#[cfg(feature = "ffmpeg")]
#[test]
fn fields_are_coded_apart_where_a_codec_can() {
    let folder = tempfile::tempdir().unwrap();
    for (scan, marks) in [
        ("tff", [true, true]),
        ("bff", [true, false]),
        ("progressive", [false, false]),
    ] {
        let render = |file: &str, form: &str| {
            let mut arguments = vec!["--size", "162x92", "--fps", "25", "--frames", "20"];
            arguments.extend(["--scan", scan]);
            arguments.extend(form.split_whitespace());
            render_to(folder.path(), file, &arguments);
            folder.path().join(file)
        };
        for (file, form, most) in [
            ("out.mov", "--codec prores", 0.2),
            ("out.mp4", "--codec h264 --background black", 2.0),
            ("out.ts", "--codec mpeg2 --background black", 2.0),
        ] {
            let file = render(file, form);
            let told = frames(&file);
            let fields: Vec<_> = told.iter().map(|frame| [frame[1], frame[2]]).collect();
            assert_eq!(fields, [marks; 20], "{scan}, {form}");
            let keys = told.iter().filter(|frame| frame[0]).count();
            let expected = if form.contains("prores") { 20 } else { 1 };
            assert_eq!(keys, expected, "{scan}, {form}");
            let background = if form.contains("black") {
                "--background black"
            } else {
                ""
            };
            let raw = fs::read(render("out.rgba", background)).unwrap();
            let decoded = decode_yuva(&file, None);
            assert_eq!(raw.len(), decoded.len(), "{scan}, {form}");
            let over_black = |pixel: &[u8]| {
                let product = |c: usize| u32::from(pixel[c]) * u32::from(pixel[3]) / 255;
                [0, 1, 2].map(product)
            };
            let pixels = raw.chunks(4).zip(decoded.chunks(4));
            let off: u32 = pixels
                .map(|(our, their)| {
                    let levels = over_black(our).into_iter().zip(over_black(their));
                    levels.map(|(our, their)| our.abs_diff(their)).sum::<u32>()
                })
                .sum();
            let mean = f64::from(off) / f64::from(u32::try_from(raw.len()).unwrap());
            assert!(mean < most, "{scan}, {form}: {mean:.2} levels off");
        }
    }
}
