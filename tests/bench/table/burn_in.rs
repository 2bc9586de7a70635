//! `floatup burn-in` beside ffmpeg without reactions: CPU time, what a live programme's latency
//! grows by, memory, and what trouble with the topic does to a programme.
//!
//! All at 1920x1080 and 30 frames a second, with [`SPRITES`] sprites alive.

mod cpu;
mod latency;
mod live;
mod memory;
mod overlay;
mod transport;
mod trouble;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

pub(crate) use self::cpu::{Cpu, Share};
pub(crate) use self::latency::Latency;
pub(crate) use self::memory::Memory;
pub(crate) use self::overlay::Overlay;
pub(crate) use self::trouble::Trouble;
use crate::floatup::floatup;
use crate::machine::{ended_children_cpu_s, line_of};
use crate::program::log_file;
use crate::progress;

/// Sprites that are alive at once.
pub(crate) const SPRITES: u32 = 200;

/// The programme's frames a second.
pub(crate) const PROGRAMME_FPS: u32 = 30;

/// The name that `--only` takes for all of them.
pub(crate) const ALL: &str = "burn-in";

/// The parts, by the names that `--only` takes.
pub(crate) const PARTS: [&str; 5] = [
    "burn-in-cpu",
    "burn-in-overlay",
    "burn-in-latency",
    "burn-in-memory",
    "burn-in-trouble",
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    /// Of the recording, in s.
    pub(crate) clip_s: u32,
    /// Of the live programme whose memory is looked at.
    pub(crate) minutes: u32,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct BurnIn {
    pub(crate) cpu: Option<Cpu>,
    pub(crate) overlay: Option<Overlay>,
    pub(crate) latency: Option<Latency>,
    pub(crate) memory: Option<Memory>,
    pub(crate) trouble: Option<Trouble>,
}

/// Measures the parts that are wanted.
pub(crate) fn measure(
    lengths: Lengths,
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<BurnIn> {
    let mut measured = BurnIn::default();
    if !PARTS.into_iter().any(&wanted) {
        return Ok(measured);
    }
    for program in ["ffmpeg", "ffprobe"] {
        line_of(program, &["-version"])
            .context("it is in the package ffmpeg, which `.ci/setup bench` installs")?;
    }
    let clip = || clip(folder, Picture::Flat, lengths.clip_s);
    if wanted("burn-in-cpu") {
        measured.cpu = Some(cpu::compare(lengths.clip_s, folder)?);
    }
    if wanted("burn-in-overlay") {
        measured.overlay = Some(overlay::compare(&clip()?, lengths.clip_s, folder)?);
    }
    if wanted("burn-in-latency") {
        measured.latency = Some(latency::compare(folder)?);
    }
    if wanted("burn-in-memory") {
        measured.memory = Some(memory::watch(&clip()?, lengths.minutes, folder)?);
    }
    if wanted("burn-in-trouble") {
        measured.trouble = Some(trouble::make(folder)?);
    }
    Ok(measured)
}

/// What is to be seen in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    /// ffmpeg's test picture: flat, and much the same from one frame to the next.
    Flat,
    /// The same with a camera's grain: no block is like that of the frame before.
    Grain,
}

impl Picture {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grain => "grain",
        }
    }
}

/// A recording of so many seconds, with sound and a key frame each second, made once.
fn clip(folder: &Path, picture: Picture, seconds: u32) -> Result<PathBuf> {
    let file = folder.join(format!("clip-{}-{seconds}.mp4", picture.name()));
    let coding = match picture {
        Picture::Flat => ["-crf", "16", "-movflags", "+faststart"],
        Picture::Grain => ["-crf", "21", "-movflags", "+faststart"],
    };
    made(&file, picture, seconds, &coding)?;
    Ok(file)
}

/// A file of ffmpeg's test picture with a tone, coded by these options, if it is not there yet.
fn made(file: &Path, picture: Picture, seconds: u32, coding: &[&str]) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    progress(&format!("a programme of {seconds} s is made"));
    let grain = match picture {
        Picture::Flat => "",
        Picture::Grain => ",noise=alls=6:allf=t",
    };
    let picture = format!("testsrc2=size=1920x1080:rate={PROGRAMME_FPS}:duration={seconds}{grain}");
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let key_each_second = PROGRAMME_FPS.to_string();
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
    command.args(["-c:v", "libx264", "-preset", "veryfast"]);
    command.args(["-pix_fmt", "yuv420p", "-sc_threshold", "0"]);
    command.args(["-g", &key_each_second, "-c:a", "aac", "-b:a", "128k"]);
    cpu_s(command.args(coding).arg(file))?;
    Ok(())
}

/// ffmpeg, which says nothing but errors, and asks nothing.
fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-nostats", "-v", "error", "-y"]);
    command
}

/// `floatup burn-in` of these reactions; options follow, and input and output.
fn burn_in(reactions: &Path) -> Command {
    let mut command = floatup();
    command
        .args(["burn-in", "--force", "--reactions"])
        .arg(reactions);
    command
}

/// A log with [`SPRITES`] alive for so many seconds.
fn reactions(folder: &Path, seconds: u32) -> Result<PathBuf> {
    let frames = u64::from(seconds) * u64::from(crate::scene::FPS);
    log_file(folder, SPRITES, frames)
}

/// Runs a command to its end; gives its CPU seconds, user and system.
fn cpu_s(command: &mut Command) -> Result<f64> {
    let before = ended_children_cpu_s();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(ended_children_cpu_s() - before)
}

/// An address of loopback that is free.
fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?.to_string())
}
