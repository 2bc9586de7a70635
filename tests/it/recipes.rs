//! The recipes of `docs/outputs.md`, with the real programs.
#![cfg(feature = "ffmpeg")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::floatup::{Running, floatup, run, stderr, wait};
use crate::media::{decode_rgba, tool};
use crate::tree::read;

const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\"}
{\"at_ms\":300,\"reaction\":\"fire\",\"count\":9}
";

/// The picture below: one colour.
const BELOW: [u8; 3] = [32, 160, 96];

fn render(folder: &Path, out: &str, alpha: &str) {
    fs::write(folder.join("log.ndjson"), LOG).unwrap();
    let size = ["render", "--size", "320x180", "--fps", "30"];
    let output = run(
        folder,
        &[&size[..], &["--alpha", alpha, "log.ndjson", out]].concat(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
}

/// To ffmpeg's own rounding. Both commands are in the document as they are run here, but for the files' names and codecs.
#[test]
fn ffmpeg_overlays_straight_and_premultiplied_frames() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let document = read("docs/outputs.md");
    render(folder, "over.rgba", "straight");
    let frames = fs::read(folder.join("over.rgba")).unwrap();
    let color = format!(
        "color=0x{:02x}{:02x}{:02x}:s=320x180:r=30",
        BELOW[0], BELOW[1], BELOW[2]
    );
    for (alpha, filter) in [
        ("straight", "[0][1]overlay=format=rgb"),
        (
            "premultiplied",
            "[0][1]overlay=format=rgb:alpha=premultiplied",
        ),
    ] {
        assert!(document.contains(&format!("'{filter}'")), "{filter}");
        render(folder, "over.mov", alpha);
        let mut overlay = tool("ffmpeg");
        overlay
            .current_dir(folder)
            .args(["-f", "lavfi", "-i", &color, "-i", "over.mov"]);
        overlay.args(["-filter_complex", &format!("{filter}:shortest=1")]);
        overlay.args(["-c:v", "ffv1", "-pix_fmt", "bgr0", "-y", "out.mkv"]);
        assert!(overlay.status().unwrap().success());
        let shown = decode_rgba(&folder.join("out.mkv"), &[]);
        assert_eq!(shown.len(), frames.len());
        for (shown, frame) in shown.chunks(4).zip(frames.chunks(4)) {
            let a = f64::from(frame[3]) / 255.0;
            for ((shown, over), below) in shown.iter().zip(frame).take(3).zip(BELOW) {
                let expected = f64::from(*over) * a + f64::from(below) * (1.0 - a);
                let off = (f64::from(*shown) - expected).abs();
                assert!(off <= 3.0, "{alpha}: {shown} in place of {expected}");
            }
        }
    }
}

#[test]
fn the_chart_in_a_capture_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pipe = "pipe --test-pattern --frames 60 --container mov --output chart.mov";
    assert!(read("docs/outputs.md").contains(pipe));
    let mut pipe: Vec<&str> = pipe.split(' ').collect();
    // Nobody publishes here.
    pipe.extend([
        "--url",
        "http://127.0.0.1:9",
        "--clock",
        "output",
        "--size",
        "640x360",
    ]);
    let output = run(folder, &pipe);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = run(folder, &["verify-alpha", "chart.mov"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("survived, straight"),
        "{told}"
    );
}

#[test]
fn a_pipe_in_nut_needs_no_options() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(read("docs/outputs.md").contains("floatup pipe --container nut \\| ffmpeg -i -"));
    let mut pipe: Command = floatup();
    pipe.args([
        "pipe",
        "--container",
        "nut",
        "--url",
        "http://127.0.0.1:9",
        "--test-pattern",
    ]);
    pipe.args(["--size", "320x180", "--clock", "output", "--frames", "30"]);
    let pipe = pipe.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut pipe = Running(pipe.unwrap());
    let mut ffmpeg = tool("ffmpeg");
    ffmpeg
        .current_dir(folder)
        .stdin(pipe.stdout.take().unwrap());
    ffmpeg.args(["-i", "-", "-c:v", "qtrle", "out.mov"]);
    let mut ffmpeg = Running(ffmpeg.spawn().unwrap());
    assert!(wait(&mut ffmpeg).success() && wait(&mut pipe).success());
    let output = run(folder, &["verify-alpha", "out.mov"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && told.contains("survived, straight"),
        "{told}"
    );
}
