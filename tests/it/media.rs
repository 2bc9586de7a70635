//! What the real `ffprobe` and `ffmpeg` make of a file.

use std::path::Path;
use std::process::{Command, Stdio};

/// `ffmpeg` or `ffprobe`, which must be there.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.args(["-v", "error"]).stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Vec<u8> {
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

/// Frames decoded to straight RGBA: all, or those that further arguments of ffmpeg leave.
pub(crate) fn decode_rgba(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = tool("ffmpeg");
    command.arg("-i").arg(path).args(arguments);
    output(command.args(["-f", "rawvideo", "-pix_fmt", "rgba", "-"]))
}
