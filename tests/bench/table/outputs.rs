//! Outputs: raw frames by the clock and as fast as they go, encoded video live and from a log, and
//! beside them a bare loop of `write` and ffmpeg.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::floatup::{Running, Service, floatup};
use crate::measure::{median_of, time};
use crate::page::{Table, ratio, three};
use crate::program::{FRAME_BYTES, drain, log_file};
use crate::scene::FPS;
use crate::service::under_load;
use crate::{Results, progress};

/// The argument with which this program writes frames, and their number.
pub(crate) const WRITE_LOOP: &str = "--write-loop";

/// What was measured.
#[derive(Default)]
pub(crate) struct Outputs {
    pub(crate) raw: Option<Raw>,
    /// A table, and floatup's share of what the bare loop reaches.
    pub(crate) pipe: Option<(Table, f64)>,
    pub(crate) vp9: Option<Vp9>,
    pub(crate) files: Option<Files>,
}

/// Raw frames by the clock.
pub(crate) struct Raw {
    pub(crate) table: Table,
    /// CPU seconds a second at 1080p60, and late frames at 1080p60 and at 4K30.
    pub(crate) cores: f64,
    pub(crate) late: [f64; 2],
}

/// Raw RGBA by the clock into a FIFO that is read at once.
pub(crate) fn raw(results: &mut Results, folder: &Path) -> Result<()> {
    const SECONDS: u32 = 15;
    let mut table = Table::new([
        "into a pipe",
        "sprites alive",
        "CPU s/s",
        "frames/s delivered",
        "late",
        "dropped",
    ]);
    let mut figures = Vec::new();
    for (size, fps) in [("1920x1080", "60"), ("3840x2160", "30")] {
        progress(&format!("raw frames, {size} at {fps}"));
        let fifo = folder.join(format!("{size}.rgba"));
        let made = Command::new("mkfifo").arg(&fifo).status();
        ensure!(made.context("cannot run mkfifo")?.success(), "no FIFO");
        let output = fifo.display().to_string();
        let args = ["--size", size, "--fps", fps, "--output", &output];
        let service = Service::start(folder, &args);
        let reader = std::thread::spawn(move || drain(File::open(fifo)?));
        let run = under_load(&service, 200, SECONDS)?;
        service.stop();
        reader.join().expect("it reads")?;
        let frames = run.grown("floatup_output_frames_total");
        let late = run.grown("floatup_frames_late_total");
        let dropped = run.grown("floatup_output_frames_dropped_total");
        table.row([
            format!("{size}, {fps} frames/s"),
            three(run.alive),
            three(run.cores),
            three(frames / run.took.as_secs_f64()),
            format!("{late}"),
            format!("{dropped}"),
        ]);
        figures.push((run.cores, late));
    }
    results.outputs.raw = Some(Raw {
        table,
        cores: figures[0].0,
        late: [figures[0].1, figures[1].1],
    });
    Ok(())
}

/// The bare loop: so many frames from one buffer, through a pipe as wide as floatup makes its own.
pub(crate) fn write_loop(frames: &str) -> Result<()> {
    let frames: u64 = frames.parse().context("expected a number of frames")?;
    let mut stdout = std::io::stdout().lock();
    #[cfg(target_os = "linux")]
    rustix::pipe::fcntl_setpipe_size(&stdout, 1 << 20)?;
    let frame = vec![0; FRAME_BYTES];
    for _ in 0..frames {
        stdout.write_all(&frame)?;
    }
    Ok(())
}

/// Unpaced raw frames into a pipe, in turn with the bare loop.
pub(crate) fn pipe(results: &mut Results, folder: &Path) -> Result<()> {
    const ROUNDS: usize = 7;
    const FRAMES: u64 = 1_500;
    let frames = FRAMES.to_string();
    let bytes_per_s = |command: &mut Command| -> Result<f64> {
        let (bytes, took) = time(|| {
            let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
            let mut child = Running(child.context("it does not start")?);
            let (bytes, _) = drain(child.stdout.take().context("it is piped")?)?;
            ensure!(child.wait()?.success(), "{command:?} failed");
            Ok(bytes)
        });
        #[expect(clippy::cast_precision_loss, reason = "a few GB")]
        let bytes = bytes? as f64;
        Ok(bytes / took.as_secs_f64())
    };
    let names = [
        "a bare loop of `write`",
        "floatup, 20 sprites",
        "floatup, 200 sprites",
    ];
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 1..=ROUNDS {
        progress(&format!("raw frames without a clock, {round} of {ROUNDS}"));
        let itself = std::env::current_exe().context("this program has no path")?;
        rates[0].push(bytes_per_s(
            Command::new(itself).args([WRITE_LOOP, &frames]),
        )?);
        for (rates, sprites) in rates[1..].iter_mut().zip([20, 200]) {
            let log = log_file(folder, sprites, FRAMES)?;
            let mut render = floatup();
            render.arg("render").arg(log).arg("-");
            render.args(["--size", "1920x1080", "--fps", &FPS.to_string()]);
            rates.push(bytes_per_s(render.args(["--frames", &frames]))?);
        }
    }
    let mut table = Table::new([
        "into a pipe, 1920x1080",
        "GB/s",
        "frames/s",
        "of the bare loop",
    ]);
    let bare = median_of(&rates[0]);
    let mut share = 0.0;
    for (name, rates) in names.iter().zip(&rates) {
        let rate = median_of(rates);
        #[expect(clippy::cast_precision_loss, reason = "8 million")]
        let frames = rate / FRAME_BYTES as f64;
        share = rate / bare;
        table.row([
            (*name).to_owned(),
            three(rate / 1e9),
            three(frames),
            three(share),
        ]);
    }
    results.outputs.pipe = Some((table, share));
    Ok(())
}

/// VP9 with alpha, live.
pub(crate) struct Vp9 {
    pub(crate) cores: f64,
    pub(crate) mbit_per_s: f64,
    /// Late and dropped.
    pub(crate) lost: f64,
}

/// `WebM` at 720p30 with a typical overlay of 20 sprites, encoded while it is live.
pub(crate) fn vp9(results: &mut Results, folder: &Path) -> Result<()> {
    progress("live VP9");
    let picture = ["--size", "1280x720", "--fps", "30"];
    let service = Service::start(folder, &[&picture[..], &["--output", "live.webm"]].concat());
    let file = folder.join("live.webm");
    let run = under_load(&service, 20, 20)?;
    let bytes = std::fs::metadata(&file)?.len();
    service.stop();
    let seconds = run.total("floatup_output_frames_total") / 30.0;
    ensure!(seconds > 20.0, "{seconds} s were written");
    #[expect(clippy::cast_precision_loss, reason = "a few MB")]
    let mbit_per_s = 8e-6 * bytes as f64 / seconds;
    results.outputs.vp9 = Some(Vp9 {
        cores: run.cores,
        mbit_per_s,
        lost: run.grown("floatup_frames_late_total")
            + run.grown("floatup_output_frames_dropped_total"),
    });
    Ok(())
}

/// A log to files.
pub(crate) struct Files {
    pub(crate) table: Table,
    /// Of each codec: how much faster than it plays ten minutes are written, and what floatup takes
    /// of ffmpeg's time for the same frames.
    pub(crate) codecs: Vec<(&'static str, f64, f64)>,
}

/// Ten minutes at 1080p60 to MOV, and ten seconds in turn with ffmpeg.
pub(crate) fn files(results: &mut Results, folder: &Path) -> Result<()> {
    const ROUNDS: usize = 3;
    const SHORT: u64 = 10 * FPS as u64;
    const LONG: u64 = 600 * FPS as u64;
    const SPRITES: u32 = 20;
    let out = folder.join("out.mov");
    let render = |frames: u64, codec: &str| -> Result<Command> {
        let mut render = floatup();
        render.arg("render").arg(log_file(folder, SPRITES, frames)?);
        render.args(["--size", "1920x1080", "--fps", &FPS.to_string()]);
        render.args(["--frames", &frames.to_string()]);
        if !codec.is_empty() {
            render.args(["--codec", codec]);
        }
        Ok(render)
    };
    let own = |frames: u64, codec: &str| -> Result<(f64, u64)> {
        let mut command = render(frames, codec)?;
        let (status, took) = time(|| command.arg(&out).stderr(Stdio::null()).status());
        ensure!(status?.success(), "{command:?} failed");
        Ok((took.as_secs_f64(), std::fs::metadata(&out)?.len()))
    };
    let theirs = |codec: &str| -> Result<(f64, u64)> {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgba"]);
        ffmpeg.args(["-s", "1920x1080", "-r", &FPS.to_string(), "-i", "-"]);
        ffmpeg.args(["-c:v", codec]);
        if codec == "png" {
            // The fastest that it has.
            ffmpeg.args(["-compression_level", "1", "-pred", "none"]);
        }
        let (status, took): (Result<_>, Duration) = time(|| {
            let frames = render(SHORT, "")?.arg("-").stdout(Stdio::piped()).spawn();
            let mut frames = Running(frames.context("floatup does not start")?);
            let frames = frames.stdout.take().context("it is piped")?;
            let status = ffmpeg.arg(&out).stdin(frames).status();
            status.context("cannot run ffmpeg; it is in the package ffmpeg")
        });
        ensure!(status?.success(), "{ffmpeg:?} failed");
        Ok((took.as_secs_f64(), std::fs::metadata(&out)?.len()))
    };
    let mut table = Table::new([
        "to MOV, 1920x1080, 20 sprites",
        "floatup, frames/s",
        "ffmpeg, frames/s",
        "floatup's time / ffmpeg's",
        "floatup's bytes / ffmpeg's",
        "ten minutes in s",
        "times real time",
    ]);
    let mut codecs = Vec::new();
    for codec in ["qtrle", "png"] {
        let (mut ours, mut of_ffmpeg, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            progress(&format!("{codec} in MOV, {round} of {ROUNDS}"));
            let (own, theirs) = (own(SHORT, codec)?, theirs(codec)?);
            ours.push(own.0);
            of_ffmpeg.push(theirs.0);
            #[expect(clippy::cast_precision_loss, reason = "a few MB")]
            sizes.push(own.1 as f64 / theirs.1 as f64);
        }
        progress(&format!("{codec} in MOV, ten minutes"));
        let (long_s, _) = own(LONG, codec)?;
        let (ours, theirs) = (median_of(&ours), median_of(&of_ffmpeg));
        let times = 600.0 / long_s;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let frames = SHORT as f64;
        table.row([
            format!("`{codec}`"),
            three(frames / ours),
            three(frames / theirs),
            three(ours / theirs),
            three(median_of(&sizes)),
            three(long_s),
            ratio(times),
        ]);
        codecs.push((codec, times, ours / theirs));
    }
    results.outputs.files = Some(Files { table, codecs });
    Ok(())
}
