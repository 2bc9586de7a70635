//! The overlay's own CPU time: floatup's, and that of ffmpeg's filter `overlay`.

use std::fs::{self, File};
use std::io::{Read as _, copy};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{PROGRAMME_FPS, SPRITES, burn_in, cpu_s, ffmpeg, reactions};
use crate::floatup::{Running, floatup};
use crate::measure::median_of;
use crate::page::{Table, ratio, three};
use crate::program::FRAME_BYTES;
use crate::progress;

/// Frames of the ready-made overlay, which begins again after the last: a sprite's life.
const FRAMES: u32 = 2 * PROGRAMME_FPS;

/// What hands pictures to the muxer `null` without a copy.
const ENCODER: &str = "wrapped_avframe";

/// What was measured.
pub(crate) struct Overlay {
    pub(crate) table: Table,
    /// Of floatup's, CPU ms a frame.
    pub(crate) own_ms: f64,
    /// What floatup takes of the filter's time, by what the filter is fed.
    pub(crate) ratios: Vec<(&'static str, f64)>,
}

/// What is burned in, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feed {
    Nothing,
    /// From a file in memory.
    Read(&'static str),
    /// The same, read once and kept by a filter.
    Kept(&'static str),
}

/// A clip of so many seconds to nowhere, in turn.
pub(super) fn compare(clip: &Path, seconds: u32, folder: &Path) -> Result<Overlay> {
    const ROUNDS: usize = 5;
    let memory = tempfile::tempdir_in("/dev/shm");
    let memory = memory.context("the ready-made overlay is kept in /dev/shm")?;
    let log = reactions(folder, seconds)?;
    let no_log = folder.join("none.ndjson");
    fs::write(&no_log, "")?;
    ready_made(&reactions(folder, 4)?, memory.path())?;
    let own = |log: &Path| {
        let mut command = burn_in(log);
        command.args(["--video-codec", ENCODER, "--container", "null"]);
        command.arg(clip).arg("/dev/null");
        command
    };
    let feeds = [
        Feed::Nothing,
        Feed::Read("rgba"),
        Feed::Read("yuva420p"),
        Feed::Kept("yuva420p"),
    ];
    let mut own_s = Vec::new();
    let mut their_s: [Vec<f64>; 3] = Default::default();
    for round in 1..=ROUNDS {
        progress(&format!("the overlay alone, {round} of {ROUNDS}"));
        own_s.push(cpu_s(&mut own(&log))? - cpu_s(&mut own(&no_log))?);
        let mut times = Vec::new();
        for feed in feeds {
            times.push(cpu_s(&mut filter(clip, memory.path(), feed))?);
        }
        for (all, time) in their_s.iter_mut().zip(&times[1..]) {
            all.push(time - times[0]);
        }
    }
    let ms = |times: &[f64]| 1e3 * median_of(times) / f64::from(seconds * PROGRAMME_FPS);
    let own_ms = ms(&own_s);
    let mut table = Table::new([
        "1920x1080, YUV 4:2:0",
        "CPU ms a frame",
        "floatup's share of it",
    ]);
    table.row([
        format!("`floatup burn-in`, {SPRITES} sprites"),
        three(own_ms),
        ratio(1.0),
    ]);
    let names = [
        ("RGBA", "ffmpeg's `overlay`, fed RGBA from a file in memory"),
        (
            "YUVA420P",
            "ffmpeg's `overlay`, fed YUVA420P from a file in memory",
        ),
        // No figure is wanted of this one.
        (
            "",
            "ffmpeg's `overlay`, fed YUVA420P that the filter `loop` keeps",
        ),
    ];
    let mut ratios = Vec::new();
    for ((short, name), times) in names.into_iter().zip(&their_s) {
        let ms = ms(times);
        table.row([name.to_owned(), three(ms), ratio(own_ms / ms)]);
        if !short.is_empty() {
            ratios.push((short, own_ms / ms));
        }
    }
    Ok(Overlay {
        table,
        own_ms,
        ratios,
    })
}

/// ffmpeg's transcode, with such an overlay.
fn filter(clip: &Path, memory: &Path, feed: Feed) -> Command {
    let mut command = ffmpeg();
    command.arg("-i").arg(clip);
    let graph = match feed {
        Feed::Nothing => None,
        Feed::Read(format) => {
            command.args(["-stream_loop", "-1"]);
            Some((format, "[0:v][1:v]overlay=shortest=1[out]".to_owned()))
        }
        Feed::Kept(format) => Some((
            format,
            format!("[1:v]loop=loop=-1:size={FRAMES}[over];[0:v][over]overlay=shortest=1[out]"),
        )),
    };
    match graph {
        None => command.args(["-map", "0:v"]),
        Some((format, graph)) => command
            .args(["-f", "rawvideo", "-pix_fmt", format, "-s", "1920x1080"])
            .args(["-framerate", &PROGRAMME_FPS.to_string(), "-i"])
            .arg(overlay_file(memory, format))
            .args(["-filter_complex", &graph, "-map", "[out]"]),
    };
    command.args(["-map", "0:a", "-c:a", "copy", "-c:v", ENCODER]);
    command.args(["-fps_mode", "passthrough", "-f", "null", "-"]);
    command
}

fn overlay_file(memory: &Path, format: &str) -> PathBuf {
    memory.join(format!("overlay.{format}"))
}

/// The frames of the reactions' third and fourth second, in which all sprites are alive, in each
/// format.
fn ready_made(log: &Path, memory: &Path) -> Result<()> {
    progress("the ready-made overlay");
    let rgba = overlay_file(memory, "rgba");
    let mut render = floatup();
    render.arg("render").arg(log).arg("-");
    render.args(["--size", "1920x1080", "--fps", &PROGRAMME_FPS.to_string()]);
    render.args(["--frames", &(2 * FRAMES).to_string()]);
    let child = render.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Running(child.context("floatup does not start")?);
    let mut frames = child.stdout.take().context("it is piped")?;
    let wanted = u64::from(FRAMES) * FRAME_BYTES as u64;
    let skipped = copy(&mut frames.by_ref().take(wanted), &mut std::io::sink())?;
    let written = copy(&mut frames, &mut File::create(&rgba)?)?;
    ensure!(child.wait()?.success(), "{render:?} failed");
    ensure!(
        (skipped, written) == (wanted, wanted),
        "{written} bytes of frames, not {wanted}"
    );
    let mut convert = ffmpeg();
    convert.args(["-f", "rawvideo", "-pix_fmt", "rgba", "-s", "1920x1080"]);
    convert.arg("-i").arg(&rgba);
    convert.args(["-f", "rawvideo", "-pix_fmt", "yuva420p"]);
    cpu_s(convert.arg(overlay_file(memory, "yuva420p")))?;
    Ok(())
}
