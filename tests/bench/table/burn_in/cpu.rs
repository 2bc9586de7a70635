//! CPU time of a whole recording: floatup with reactions, and ffmpeg without.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{PROGRAMME_FPS, Picture, SPRITES, burn_in, clip, cpu_s, ffmpeg, reactions};
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
    pub(crate) shares: Vec<Share>,
}

/// What floatup takes of ffmpeg's CPU time.
pub(crate) struct Share {
    pub(crate) preset: &'static str,
    pub(crate) picture: Picture,
    /// Of a recording without reactions.
    pub(crate) of_none: f64,
}

/// Recordings of so many seconds to MP4, in turn.
pub(super) fn compare(seconds: u32, folder: &Path) -> Result<Cpu> {
    const ROUNDS: usize = 3;
    let log = reactions(folder, seconds)?;
    let no_log = folder.join("empty.ndjson");
    fs::write(&no_log, "")?;
    let mut table = Table::new([
        format!("CPU s for {seconds} s of 1920x1080"),
        "ffmpeg, no reactions".to_owned(),
        "floatup, no reactions".to_owned(),
        format!("floatup, {SPRITES} sprites"),
        "/ ffmpeg, no reactions".to_owned(),
        "ffmpeg, reactions in the recording".to_owned(),
        "floatup / that".to_owned(),
    ]);
    let mut shares = Vec::new();
    let outputs = ["theirs", "none", "own", "again"];
    let outputs = outputs.map(|name| folder.join(format!("cpu-{name}.mp4")));
    for picture in [Picture::Flat, Picture::Grain] {
        let clip = clip(folder, picture, seconds)?;
        let burned = folder.join(format!("burned-{}.mp4", picture.name()));
        let mut burn = burn_in(&log);
        burn.args(["--video-codec", "libx264", "--preset", "veryfast"]);
        burn.args(["--crf", "16", "--gop", &PROGRAMME_FPS.to_string()]);
        cpu_s(burn.arg(&clip).arg(&burned))?;
        for preset in ["ultrafast", "veryfast", "medium"] {
            let mut times: [Vec<f64>; 4] = Default::default();
            for round in 1..=ROUNDS {
                progress(&format!(
                    "burn-in, {}, {preset}, {round} of {ROUNDS}",
                    picture.name()
                ));
                let commands = [
                    theirs(&clip, preset),
                    own(&no_log, &clip, preset),
                    own(&log, &clip, preset),
                    theirs(&burned, preset),
                ];
                let runs = times.iter_mut().zip(commands).zip(&outputs);
                for ((times, mut command), output) in runs {
                    times.push(cpu_s(command.arg(output))?);
                }
            }
            check_alike(&outputs, seconds)?;
            let [theirs, none, own, again] = times.map(|times| median_of(&times));
            table.row([
                format!("{}, `{preset}`", picture.name()),
                three(theirs),
                three(none),
                three(own),
                ratio(own / theirs),
                three(again),
                ratio(own / again),
            ]);
            shares.push(Share {
                preset,
                picture,
                of_none: own / theirs,
            });
        }
    }
    Ok(Cpu { table, shares })
}

/// floatup, but for the output.
fn own(log: &Path, clip: &Path, preset: &str) -> Command {
    let mut command = burn_in(log);
    command.args(["--video-codec", "libx264", "--preset", preset]);
    command.args(["--crf", CRF, "--gop", GOP]);
    command.args(["--encoder-option", &format!("threads={}", cores())]);
    command.arg(clip);
    command
}

/// ffmpeg, but for the output.
fn theirs(clip: &Path, preset: &str) -> Command {
    let mut command = ffmpeg();
    command.arg("-i").arg(clip);
    command.args(["-map", "0", "-c", "copy", "-c:v", "libx264"]);
    command.args(["-preset", preset, "-crf", CRF, "-g", GOP]);
    command.args(["-threads", &cores().to_string()]);
    command.args(["-fps_mode", "passthrough"]);
    command
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
