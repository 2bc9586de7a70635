//! How much later a live programme is for going through floatup, and through ffmpeg.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::live::{CRF, GOP, Live, PRESET, Passage, Programme, TUNE};
use super::{PROGRAMME_FPS, SPRITES, burn_in, ffmpeg, free_address, reactions};
use crate::measure::{median, median_of, quantile};
use crate::page::{Table, three};
use crate::progress;
use crate::service::Metrics;

/// Until then the input is looked at, and what has come meanwhile is caught up with.
const WARM_UP_S: u32 = 10;
const SECONDS: u32 = WARM_UP_S + 20;

/// What was measured.
pub(crate) struct Latency {
    pub(crate) table: Table,
    /// What floatup takes longer than ffmpeg, in ms: at the median, and at the 99th percentile.
    pub(crate) more_ms: [f64; 2],
}

/// The same programme through each, in turn.
pub(super) fn compare(folder: &Path) -> Result<Latency> {
    const ROUNDS: usize = 3;
    let programme = Programme::make(folder, SECONDS)?;
    let log = reactions(folder, SECONDS)?;
    let mut times: [[Vec<f64>; 3]; 3] = Default::default();
    let mut bare = 0.0;
    for round in 1..=ROUNDS {
        for (what, times) in times.iter_mut().enumerate() {
            progress(&format!(
                "latency of a live programme, {round} of {ROUNDS}, {} of 3",
                what + 1
            ));
            let metrics = free_address()?;
            let mut command = match what {
                0 => live_burn_in(burn_in(&log), &metrics),
                1 => transcode(&[]),
                _ => transcode(&["-flags", "low_delay"]),
            };
            let live = Live::start(&mut command, &programme)?.handed_in()?;
            if what == 0 {
                let figures = Metrics::read(&metrics)?;
                bare += figures.get("floatup_programme_frames_without_overlay_total");
            }
            let figures = figures_of(&live.end()?)?;
            for (times, figure) in times.iter_mut().zip(figures) {
                times.push(1e3 * figure.as_secs_f64());
            }
        }
    }
    let [own, ffmpeg, quick] = times.map(|times| times.map(|times| median_of(&times)));
    let mut table = Table::new([
        "MPEG-TS by pipes, 1080p30, `libx264` `ultrafast` `zerolatency`",
        "median ms",
        "99 % within ms",
        "median of the last 10 s, ms",
    ]);
    for (name, figures) in [
        (format!("`floatup burn-in`, {SPRITES} sprites"), own),
        ("ffmpeg".to_owned(), ffmpeg),
        ("ffmpeg with `-flags low_delay`".to_owned(), quick),
    ] {
        let [middle, most, last] = figures.map(three);
        table.row([name, middle, most, last]);
    }
    table.row([
        format!("floatup's pictures without reactions, in {ROUNDS} rounds"),
        format!("{bare}"),
        "-".to_owned(),
        "-".to_owned(),
    ]);
    Ok(Latency {
        table,
        more_ms: [own[0] - ffmpeg[0], own[1] - ffmpeg[1]],
    })
}

/// The median, what 99 % are within, and the median of the second half: where it is another, what
/// came at the beginning has not been caught up with.
fn figures_of(passage: &Passage) -> Result<[Duration; 3]> {
    let (came, out) = (passage.pictures_in, passage.pictures_out);
    ensure!(
        passage.lost() == 0 && came == out,
        "{came} pictures in, {out} out, {} lost",
        passage.lost()
    );
    let from = usize::try_from(WARM_UP_S * PROGRAMME_FPS)?;
    let latencies = passage.latencies(from);
    let last = median(&latencies[latencies.len() / 2..]);
    Ok([median(&latencies), quantile(&latencies, 0.99), last])
}

/// A burn-in from stdin to stdout, live, whose figures are at an address.
pub(super) fn live_burn_in(mut command: Command, metrics: &str) -> Command {
    command.args(["--video-codec", "libx264", "--preset", PRESET]);
    command.args(["--tune", TUNE, "--crf", CRF, "--gop", GOP]);
    command.args(["--input-format", "mpegts", "--container", "mpegts"]);
    command.args(["--metrics", metrics, "-", "-"]);
    command
}

/// ffmpeg's, with these options of the input.
fn transcode(input: &[&str]) -> Command {
    let mut command = ffmpeg();
    // So that little has come until it begins, and is caught up with soon.
    command.args(["-probesize", "500k", "-analyzeduration", "1M"]);
    command.args(input).args(["-f", "mpegts", "-i", "-"]);
    command.args(["-map", "0", "-c", "copy", "-c:v", "libx264"]);
    command.args(["-preset", PRESET, "-tune", TUNE, "-crf", CRF, "-g", GOP]);
    command.args(["-fps_mode", "passthrough"]);
    command.args(["-flush_packets", "1", "-f", "mpegts", "-"]);
    command
}
