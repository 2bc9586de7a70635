//! CPU time of a whole recording: floatup with reactions, and ffmpeg without.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{PROGRAMME_FPS, SPRITES, burn_in, cpu_s, ffmpeg, reactions};
use crate::machine::{cores, line_of};
use crate::measure::median_of;
use crate::page::{Table, ratio, three};
use crate::progress;

/// What both encoders are told beside their preset.
const CRF: &str = "23";
const GOP: &str = "60";

/// What was measured.
pub(crate) struct Cpu {
    pub(crate) table: Table,
    /// Of each preset, what floatup takes of ffmpeg's CPU time.
    pub(crate) ratios: Vec<(&'static str, f64)>,
}

/// A clip of so many seconds to MP4, in turn.
pub(super) fn compare(clip: &Path, seconds: u32, folder: &Path) -> Result<Cpu> {
    const ROUNDS: usize = 5;
    let threads = cores().to_string();
    let log = reactions(folder, seconds)?;
    let no_log = folder.join("empty.ndjson");
    fs::write(&no_log, "")?;
    let own = |log: &Path, preset: &str| {
        let mut command = burn_in(log);
        command.args(["--video-codec", "libx264", "--preset", preset]);
        command.args(["--crf", CRF, "--gop", GOP]);
        command.args(["--encoder-option", &format!("threads={threads}")]);
        command.arg(clip);
        command
    };
    let theirs = |preset: &str| {
        let mut command = ffmpeg();
        command
            .arg("-i")
            .arg(clip)
            .args(["-map", "0", "-c", "copy"]);
        command.args(["-c:v", "libx264", "-preset", preset]);
        command.args(["-crf", CRF, "-g", GOP, "-threads", &threads]);
        command.args(["-fps_mode", "passthrough"]);
        command
    };
    let mut table = Table::new([
        format!("`libx264`, {seconds} s of 1920x1080"),
        format!("floatup, {SPRITES} sprites, CPU s"),
        "ffmpeg, none, CPU s".to_owned(),
        "floatup / ffmpeg".to_owned(),
        "floatup, none, CPU s".to_owned(),
        "that / ffmpeg".to_owned(),
    ]);
    let mut ratios = Vec::new();
    let outputs = ["own", "theirs", "none"].map(|name| folder.join(format!("cpu-{name}.mp4")));
    for preset in ["ultrafast", "veryfast", "medium"] {
        let mut times: [Vec<f64>; 3] = Default::default();
        for round in 1..=ROUNDS {
            progress(&format!("burn-in, {preset}, {round} of {ROUNDS}"));
            let commands = [own(&log, preset), theirs(preset), own(&no_log, preset)];
            let runs = times.iter_mut().zip(commands).zip(&outputs);
            for ((times, mut command), output) in runs {
                times.push(cpu_s(command.arg(output))?);
            }
        }
        check_alike(&outputs, seconds)?;
        let [own, theirs, none] = times.map(|times| median_of(&times));
        table.row([
            format!("`{preset}`"),
            three(own),
            three(theirs),
            ratio(own / theirs),
            three(none),
            ratio(none / theirs),
        ]);
        ratios.push((preset, own / theirs));
    }
    Ok(Cpu { table, ratios })
}

/// Checks that all outputs have every frame, and that their encoders were set alike.
fn check_alike(outputs: &[impl AsRef<Path>], seconds: u32) -> Result<()> {
    let mut settings = Vec::new();
    for output in outputs {
        let output = output.as_ref();
        let path = output.to_str().context("a path of text")?;
        let count = line_of(
            "ffprobe",
            &[
                "-v",
                "error",
                "-count_packets",
                "-select_streams",
                "v",
                "-show_entries",
                "stream=nb_read_packets",
                "-of",
                "csv=p=0",
                path,
            ],
        )?;
        let expected = seconds * PROGRAMME_FPS;
        ensure!(
            count.trim_end_matches(',') == expected.to_string(),
            "{path}: {count} frames, not {expected}"
        );
        settings.push(x264_settings(output)?);
    }
    let first = &settings[0];
    for other in &settings[1..] {
        ensure!(first == other, "x264 was set otherwise: {first}; {other}");
    }
    Ok(())
}

/// What x264 says of its settings in its first picture.
fn x264_settings(file: &Path) -> Result<String> {
    const BEGINNING: &[u8] = b"x264 - core";
    let bytes = fs::read(file)?;
    let from = bytes
        .windows(BEGINNING.len())
        .position(|window| window == BEGINNING);
    let from = from.with_context(|| format!("{}: not of x264", file.display()))?;
    let text = bytes[from..]
        .iter()
        .take_while(|byte| (0x20..0x7f).contains(*byte));
    Ok(text.map(|byte| char::from(*byte)).collect())
}
