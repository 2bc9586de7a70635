//! Raw frames, one after another: no header, no padding, nothing between them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::{Flow, Spec, cannot_write};
use crate::frame::Frame;

/// An open file or pipe.
#[derive(Debug)]
pub struct Raw {
    name: String,
    sink: File,
    frame: Frame,
}

impl Raw {
    pub(super) fn create(path: &Path, spec: Spec) -> Result<Self> {
        let sink = File::create(path).with_context(|| cannot_write(path))?;
        Ok(Self::new(path.display().to_string(), sink, spec))
    }

    /// The process's stdout, without the line buffer of `std::io::stdout`.
    pub(super) fn stdout(spec: Spec) -> Result<Self> {
        #[cfg(unix)]
        let handle = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
        #[cfg(windows)]
        let handle = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
        let sink = File::from(handle.context("cannot write to stdout")?);
        Ok(Self::new("stdout".into(), sink, spec))
    }

    fn new(name: String, sink: File, spec: Spec) -> Self {
        #[cfg(target_os = "linux")]
        widen(&sink, spec.size.frame_bytes());
        Self {
            name,
            sink,
            frame: Frame::new(spec.size, spec.alpha, spec.format),
        }
    }

    pub(super) fn frame_mut(&mut self) -> &mut Frame {
        &mut self.frame
    }

    pub(super) fn write(&mut self) -> Result<Flow> {
        match self.sink.write_all(self.frame.as_bytes()) {
            Ok(()) => Ok(Flow::Open),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::Closed),
            Err(e) => Err(e).with_context(|| format!("cannot write to {}", self.name)),
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.sink
            .flush()
            .with_context(|| format!("cannot write to {}", self.name))
    }
}

/// What Linux lets every user's pipe hold.
#[cfg(target_os = "linux")]
const PIPE_BYTES_MAX: usize = 1 << 20;

/// A pipe holds a frame, or as much of it as it may: writer and reader then take turns a few times
/// a frame and not after every 64 KiB, which is half of the CPU time that writing takes. No more
/// than a frame, so that a slow reader is not further behind.
#[cfg(target_os = "linux")]
fn widen(sink: &File, frame_bytes: usize) {
    use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

    let wanted = frame_bytes.min(PIPE_BYTES_MAX);
    // What is no pipe has no size.
    if fcntl_getpipe_size(sink).is_ok_and(|bytes| bytes < wanted)
        && let Err(error) = fcntl_setpipe_size(sink, wanted)
    {
        tracing::debug!("a pipe stays small: {error}");
    }
}
