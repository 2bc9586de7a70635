//! FIFOs: frames that are read from them, and the peer that writes frames and does nothing else.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::pipe::{SpliceFlags, splice};

use crate::measure::{now, sleep_until};

/// The argument with which this program writes frames to a FIFO, until its reader is gone; with an
/// address after it, frames that are marked as is told there.
pub(crate) const WRITE: &str = "--write-frames";

pub(crate) const WIDTH: usize = 1920;
pub(crate) const HEIGHT: usize = 1080;
pub(crate) const FPS: u32 = 60;

/// How long a reader stands still that falters: ten frames at 30 a second.
const FALTER: Duration = Duration::from_millis(333);

/// Reads frames from a FIFO on a thread of its own.
pub(crate) struct Reader {
    pub(crate) path: PathBuf,
    frames: Arc<AtomicU64>,
    pause: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

/// What has come of a frame.
pub(crate) enum Part<'a> {
    /// So many bytes from its beginning on, by now.
    Top(&'a [u8]),
    /// All of it.
    Whole,
}

impl Reader {
    /// Makes a FIFO, and takes frames of so many bytes from it until its writer is gone. `see` is told
    /// when the first `top` bytes of each have come, 1 or more, and when all have. The others are
    /// taken without a copy, so that what is measured isn't this reader.
    pub(crate) fn start(
        path: PathBuf,
        (bytes, top): (usize, usize),
        mut see: impl FnMut(Part<'_>, Instant) + Send + 'static,
    ) -> Result<Self> {
        // Of none there is no end to be seen.
        ensure!((1..=bytes).contains(&top), "no part of a frame");
        make_fifo(&path)?;
        let (frames, pause) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counted, paused, opened) = (Arc::clone(&frames), Arc::clone(&pause), path.clone());
        let thread = std::thread::spawn(move || {
            let mut fifo = File::open(opened)?;
            let nowhere = File::options().write(true).open("/dev/null")?;
            let mut seen = vec![0; top];
            loop {
                while paused.load(Ordering::Relaxed) {
                    sleep_until(now() + Duration::from_millis(20));
                }
                match fifo.read_exact(&mut seen) {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                    read => read?,
                }
                see(Part::Top(&seen), now());
                let mut left = bytes - top;
                while left > 0 {
                    let taken = splice(&fifo, None, &nowhere, None, left, SpliceFlags::empty())?;
                    ensure!(taken > 0, "a frame is cut");
                    left -= taken;
                }
                see(Part::Whole, now());
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self {
            path,
            frames,
            pause,
            thread,
        })
    }

    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Reads nothing until it is told to go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.pause.store(is_paused, Ordering::Relaxed);
    }

    /// Lets readers stand still for a moment, which is longer than frames are held for them that are
    /// drawn: so all the memory that there is for frames comes into use.
    pub(crate) fn falter(readers: &[&Self]) {
        readers.iter().for_each(|reader| reader.pause(true));
        sleep_until(now() + FALTER);
        readers.iter().for_each(|reader| reader.pause(false));
    }

    /// Waits for the writer's end.
    pub(crate) fn join(self) -> Result<u64> {
        let ended = self.thread.join();
        ended.map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        Ok(self.frames.load(Ordering::Relaxed))
    }
}

fn make_fifo(path: &Path) -> Result<()> {
    let made = Command::new("mkfifo").arg(path).status();
    ensure!(made.context("cannot run mkfifo")?.success(), "no FIFO");
    Ok(())
}

/// The peer: the bytes of frames at their rate, from one buffer, which may be changed before each.
pub(crate) fn write(path: &str, mut change: impl FnMut(&mut [u8])) -> Result<()> {
    let mut fifo = File::options().write(true).open(path)?;
    let mut frame = vec![0; 4 * WIDTH * HEIGHT];
    // As large as a service makes it.
    rustix::pipe::fcntl_setpipe_size(&fifo, 1 << 20)?;
    let begun = now();
    for number in 0_u32.. {
        sleep_until(begun + Duration::from_secs(1) * number / FPS);
        change(&mut frame);
        if fifo.write_all(&frame).is_err() {
            break;
        }
    }
    Ok(())
}
