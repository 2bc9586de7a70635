//! What the real `ffprobe` and `ffmpeg` make of a file.
#![cfg_attr(
    not(feature = "ffmpeg"),
    expect(
        dead_code,
        reason = "without libav there are fewer kinds of files to look at"
    )
)]

use std::path::Path;
use std::process::{Command, Stdio};

/// `ffmpeg` or `ffprobe`, which must be there.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.args(["-v", "error"]).stdin(Stdio::null());
    command
}

/// What it writes to stdout; it must succeed.
pub(crate) fn output(command: &mut Command) -> Vec<u8> {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}: apt-get install ffmpeg"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// How many frames a decoder gets out of the first video stream.
pub(crate) fn frame_count(path: &Path) -> u64 {
    let count = [
        "-select_streams",
        "v:0",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
    ];
    let text = output(tool("ffprobe").args(count).arg(path));
    let text = String::from_utf8(text).unwrap();
    text.trim()
        .trim_end_matches(',')
        .parse()
        .unwrap_or_else(|e| panic!("{}: {text:?}: {e}", path.display()))
}

/// Entries of the first video stream, comma-separated, in ffprobe's own order.
pub(crate) fn stream(path: &Path, entries: &str) -> String {
    let text = show(path, &format!("stream={entries}"));
    text.trim().trim_end_matches(',').to_owned()
}

/// Time stamp and length of each packet of the first video stream, in its time base. Of the first
/// packets of a fragmented MOV ffprobe knows no length.
pub(crate) fn packets(path: &Path) -> Vec<(i64, Option<i64>)> {
    let one = |line: &str| {
        let (pts, length) = line.split_once(',').unwrap();
        let length = (length != "N/A").then(|| length.parse().unwrap());
        (pts.parse().unwrap(), length)
    };
    let text = show(path, "packet=pts,duration");
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    lines.filter(|line| !line.is_empty()).map(one).collect()
}

/// Of each frame of the first video stream, whether it needs no other, is interlaced, and then with
/// the top field first.
pub(crate) fn frames(path: &Path) -> Vec<[bool; 3]> {
    let text = show(path, "frame=key_frame,interlaced_frame,top_field_first");
    let lines = text.lines().map(|line| line.trim_end_matches(','));
    let one = |line: &str| {
        let told: Vec<_> = line.split(',').map(|flag| flag == "1").collect();
        told.try_into().unwrap()
    };
    lines.filter(|line| !line.is_empty()).map(one).collect()
}

/// How long the file says that it lasts, in microseconds.
pub(crate) fn duration_us(path: &Path) -> i64 {
    let text = show(path, "format=duration");
    let (seconds, micros) = text.trim().split_once('.').unwrap();
    assert_eq!(micros.len(), 6, "{text}");
    [seconds, micros].concat().parse().unwrap()
}

fn show(path: &Path, entries: &str) -> String {
    let show = ["-select_streams", "v:0", "-of", "csv=p=0", "-show_entries"];
    let text = output(tool("ffprobe").args(show).arg(entries).arg(path));
    String::from_utf8(text).unwrap()
}

/// Frames decoded to straight RGBA: all, or those that further arguments of ffmpeg leave.
pub(crate) fn decode_rgba(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = tool("ffmpeg");
    command.arg("-i").arg(path).args(arguments);
    output(command.args([
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgba",
        "-",
    ]))
}

/// YUV with alpha, decoded to straight RGBA. That of VP9 and VP8 is read by libvpx alone.
pub(crate) fn decode_yuva(path: &Path, decoder: Option<&str>) -> Vec<u8> {
    let mut command = tool("ffmpeg");
    if let Some(decoder) = decoder {
        command.args(["-c:v", decoder]);
    }
    command.arg("-i").arg(path);
    // Chroma is interpolated, and nothing is left to the conversion's fast path.
    let convert = "scale=flags=bilinear+accurate_rnd+full_chroma_int:in_color_matrix=bt709";
    command.args(["-fps_mode", "passthrough", "-vf", convert]);
    output(command.args(["-f", "rawvideo", "-pix_fmt", "rgba", "-"]))
}
