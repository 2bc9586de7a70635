//! Raw frames, one after another: no header, no padding, nothing between them.

use std::io::Write;

use anyhow::{Context, Result};

use super::Flow;
use super::convert::Converter;
use super::stream::{Stream, is_end};
use crate::frame::Frame;

/// An open file, pipe or socket.
#[derive(Debug)]
pub struct Raw {
    name: String,
    stream: Stream,
    converter: Converter,
}

impl Raw {
    /// A writer of pictures of so many bytes each.
    pub(super) fn new(
        name: String,
        stream: Stream,
        converter: Converter,
        frame_bytes: usize,
    ) -> Self {
        #[cfg(target_os = "linux")]
        stream.widen(frame_bytes);
        Self {
            name,
            stream,
            converter,
        }
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<Flow> {
        let picture = self.converter.convert(frame);
        match self.stream.write_all(picture.as_bytes()) {
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
