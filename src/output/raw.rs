//! Raw frames, one after another: no header, no padding, nothing between them.

use std::io::{self, Write};

use anyhow::{Context, Result};

use super::Flow;
use super::stream::Stream;
use crate::frame::Frame;

/// An open file, pipe or socket.
#[derive(Debug)]
pub struct Raw {
    name: String,
    stream: Stream,
}

impl Raw {
    pub(super) fn new(name: String, stream: Stream, frame_bytes: usize) -> Self {
        #[cfg(target_os = "linux")]
        stream.widen(frame_bytes);
        Self { name, stream }
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<Flow> {
        match self.stream.write_all(frame.as_bytes()) {
            Ok(()) => Ok(Flow::Open),
            Err(error) if is_end(&error) => Ok(Flow::Closed),
            Err(error) => Err(error).with_context(|| format!("cannot write to {}", self.name)),
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        match self.stream.flush() {
            Err(error) if !is_end(&error) => {
                Err(error).with_context(|| format!("cannot write to {}", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the reader is gone.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionReset | ConnectionAborted
    )
}
