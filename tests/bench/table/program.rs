//! The `floatup` program as a user runs it: CPU time a frame, and the first frame.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use floatup::frame::{Alpha, PixelFormat};
use floatup::paint::Painter;
use floatup::reaction::DEFAULT_PALETTE;

use crate::floatup::{Running, Service, floatup};
use crate::frames::full_hd;
use crate::machine::ended_children_cpu_s;
use crate::measure::{median, now, quantile, time};
use crate::page::{Table, ms};
use crate::scene::{FPS, log, look, whole_palette};
use crate::{Results, progress};

pub(crate) const FRAME_BYTES: usize = 1920 * 1080 * 4;

/// Where frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// `> /dev/null`
    Null,
    /// A pipe whose other end is read at once.
    Pipe,
}

/// Reads all of a pipe and forgets it; gives the number of bytes, and when the first
/// [`FRAME_BYTES`] were there.
pub(crate) fn drain(mut pipe: impl Read) -> Result<(u64, Option<std::time::Instant>)> {
    let (mut bytes, mut first) = (0, None);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = pipe.read(&mut buffer).context("cannot read frames")?;
        if read == 0 {
            return Ok((bytes, first));
        }
        bytes += read as u64;
        if first.is_none() && bytes >= FRAME_BYTES as u64 {
            first = Some(now());
        }
    }
}

/// Runs a command to its end.
fn run(command: &mut Command, sink: Sink) -> Result<u64> {
    let stdout = match sink {
        Sink::Null => Stdio::null(),
        Sink::Pipe => Stdio::piped(),
    };
    let child = command.stdin(Stdio::null()).stdout(stdout).spawn();
    let mut child = Running(child.context("floatup does not start")?);
    let read = child.stdout.take().map(drain).transpose()?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} failed");
    Ok(read.map_or(0, |(bytes, _)| bytes))
}

/// A log of so many sprites at once, for so many frames.
pub(crate) fn log_file(folder: &Path, sprites: u32, frames: u64) -> Result<PathBuf> {
    let file = folder.join(format!("{sprites}-{frames}.ndjson"));
    if !file.exists() {
        std::fs::write(&file, log(sprites, frames))?;
    }
    Ok(file)
}

/// CPU seconds, user and system, that `floatup render` uses for a frame of 1920x1080 with so many
/// sprites of 30 px alive: what a long run takes beyond a short one, so that neither the start nor
/// the first sprites count.
pub(crate) fn render_cpu_s(folder: &Path, sprites: u32, sink: Sink, frames: u64) -> Result<f64> {
    const SHORT: u64 = 240;
    let file = log_file(folder, sprites, 4_000)?;
    let cpu_s = |frames: u64| -> Result<f64> {
        let before = ended_children_cpu_s();
        let mut command = floatup();
        command
            .arg("render")
            .arg(&file)
            .args(["-", "--size", "1920x1080"]);
        command.args(["--fps", &FPS.to_string(), "--sprites-max", "20000"]);
        let bytes = run(command.args(["--frames", &frames.to_string()]), sink)?;
        let whole = frames * FRAME_BYTES as u64;
        ensure!(
            sink == Sink::Null || bytes == whole,
            "{bytes} bytes, not {whole}"
        );
        Ok(ended_children_cpu_s() - before)
    };
    let (short, long) = (cpu_s(SHORT)?, cpu_s(SHORT + frames)?);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand frames")]
    let frames = frames as f64;
    Ok((long - short) / frames)
}

/// From the start of a command to the first whole frame on its stdout.
fn first_frame(command: &mut Command) -> Result<Duration> {
    let begun = now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Running(child.context("floatup does not start")?);
    let (_, first) = drain(child.stdout.take().context("it is piped")?)?;
    ensure!(child.wait()?.success(), "{command:?} failed");
    let Some(first) = first else {
        bail!("{command:?} wrote no frame");
    };
    Ok(first - begun)
}

/// From nothing to the first frame, in the process and as a user sees it.
pub(crate) fn start(results: &mut Results, folder: &Path) -> Result<()> {
    const TIMES: usize = 15;
    progress("first frames");
    let scene = folder.join("scene.json");
    let sprites: Vec<_> = DEFAULT_PALETTE
        .iter()
        .zip(0_u32..)
        .map(|((_, emoji), n)| {
            format!(
                r#"{{"emoji":"{emoji}","left_px":{},"age_ms":{}}}"#,
                n * 33,
                n * 30
            )
        })
        .collect();
    let json = format!(
        r#"{{"width":1920,"height":1080,"font_size_px":30,"sprites":[{}]}}"#,
        sprites.join(",")
    );
    std::fs::write(&scene, json)?;
    let reactions = folder.join("palette.ndjson");
    let lines: Vec<_> = DEFAULT_PALETTE
        .iter()
        .map(|(name, _)| format!(r#"{{"at_ms":0,"reaction":"{name}"}}"#))
        .collect();
    std::fs::write(&reactions, lines.join("\n"))?;
    let service = Service::start(folder, &[]);

    let names = [
        "in a process: stylesheet, fonts, sheet of 56 emoji, painter, first frame as bytes",
        "of it: the stylesheet and the fonts",
        "of it: the sheet",
        "of it: the painter, the first frame with all 56 emoji, its bytes",
        "`floatup render LOG - --frames 1`, from its start to the whole frame on stdout",
        "`floatup pipe --frames 1`, from its start to the whole frame on stdout",
        "`floatup frame SCENE.json OUT.png`, from its start to its end",
    ];
    let mut times: [Vec<Duration>; 7] = Default::default();
    for _ in 0..TIMES {
        let (look, load) = time(|| look(30.0));
        let ((stage, sheet), make) = time(|| whole_palette(&look, full_hd()));
        let ((), draw) = time(|| {
            let mut painter = Painter::new(sheet, full_hd());
            let placements: Vec<_> = stage.placements(Duration::ZERO).collect();
            let mut painting = painter.paint(placements);
            std::hint::black_box(
                painting
                    .frame(Alpha::Straight, PixelFormat::Rgba)
                    .as_bytes(),
            );
        });
        let render = first_frame(
            floatup()
                .arg("render")
                .arg(&reactions)
                .args(["-", "--frames", "1"]),
        )?;
        let pipe =
            first_frame(floatup().args(["pipe", "--frames", "1", "--url", &service.url("")]))?;
        let (still, frame) = time(|| {
            let out = folder.join("still.png");
            run(floatup().arg("frame").arg(&scene).arg(out), Sink::Null)
        });
        still?;
        let all = [load + make + draw, load, make, draw, render, pipe, frame];
        for (times, took) in times.iter_mut().zip(all) {
            times.push(took);
        }
    }
    service.stop();
    let mut table = Table::new([
        "from nothing to the first frame, 1920x1080",
        "median ms",
        "slowest ms",
    ]);
    for (name, times) in names.into_iter().zip(&times) {
        table.row([name.to_owned(), ms(median(times)), ms(quantile(times, 1.0))]);
    }
    results.first_frame = Some(
        times[4..6]
            .iter()
            .map(|times| median(times))
            .max()
            .unwrap_or_default(),
    );
    results.start = Some(table);
    Ok(())
}
