//! Raw frames, one after another: no header, no padding, nothing between them.
//!
//! Most of a frame is clear most of the time, so its clear stretches are not read from its memory,
//! which is more than a processor's cache holds, but from a few kilobytes that stay there.

use std::io::{self, IoSlice, Write};

use anyhow::{Context, Result};

use super::Flow;
use super::convert::{Converter, Picture};
use super::stream::{Stream, is_end};
use crate::frame::Frame;

/// What clear stretches are written from.
static CLEAR: [u8; 32 << 10] = [0; 32 << 10];

/// Clear bytes that are written from there: fewer are copied as soon as a part more is handed over.
const STRETCH_MIN: usize = 4 << 10;

/// Parts that are handed over at once.
const PARTS: usize = 256;

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
        let written = match self.converter.convert(frame) {
            Picture::Frame(frame) => write_frame(&mut self.stream, frame),
            picture => self.stream.write_all(picture.as_bytes()),
        };
        match written {
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

/// Writes a frame's bytes, those of long clear stretches from [`CLEAR`].
fn write_frame(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let bytes = frame.as_bytes();
    let mut parts = Parts::new(to);
    // What is not written yet begins with bytes that may show something.
    let mut inked = 0..0;
    for next in frame.inked_bytes() {
        if next.start - inked.end >= STRETCH_MIN {
            parts.add(&bytes[inked.clone()])?;
            parts.add_clear(next.start - inked.end)?;
            inked.start = next.start;
        }
        inked.end = next.end;
    }
    parts.add(&bytes[inked.clone()])?;
    parts.add_clear(bytes.len() - inked.end)?;
    parts.write()
}

/// Parts of a frame that are to be written, in order.
struct Parts<'a, W> {
    to: &'a mut W,
    parts: [IoSlice<'a>; PARTS],
    count: usize,
}

impl<'a, W: Write> Parts<'a, W> {
    fn new(to: &'a mut W) -> Self {
        Self {
            to,
            parts: [IoSlice::new(&[]); PARTS],
            count: 0,
        }
    }

    fn add(&mut self, bytes: &'a [u8]) -> io::Result<()> {
        if self.count == PARTS {
            self.write()?;
        }
        self.parts[self.count] = IoSlice::new(bytes);
        self.count += 1;
        Ok(())
    }

    /// So many bytes that are 0.
    fn add_clear(&mut self, mut count: usize) -> io::Result<()> {
        while count > 0 {
            let bytes = &CLEAR[..count.min(CLEAR.len())];
            self.add(bytes)?;
            count -= bytes.len();
        }
        Ok(())
    }

    /// Writes what was added.
    fn write(&mut self) -> io::Result<()> {
        let mut parts = &mut self.parts[..self.count];
        // Those before the first that has bytes.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match self.to.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut parts, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.count = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Alpha, PixelFormat, Size, mark};

    /// Takes as many bytes at a time as it is told, and is interrupted where that is none.
    struct Short<'a> {
        turns: std::iter::Cycle<std::slice::Iter<'a, usize>>,
        taken: Vec<u8>,
    }

    impl Write for Short<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.write_vectored(&[IoSlice::new(bytes)])
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let most = self.turns.next().copied().unwrap_or(usize::MAX);
            if most == 0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let before = self.taken.len();
            for part in parts {
                let left = most - (self.taken.len() - before);
                self.taken.extend_from_slice(&part[..part.len().min(left)]);
            }
            Ok(self.taken.len() - before)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn every_byte_of_a_frame_is_written(
            (width, height) in (1..3_000_u32, 1..200_u32),
            marks in prop::collection::vec((0..200_usize, 0..3_000_usize, 1..3_000_usize), 0..40),
            turns in prop::collection::vec(prop_oneof![Just(0), 1..9_usize, 1..1_000_000_usize], 0..9),
        ) {
            let size = Size::new(width, height).unwrap();
            let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Rgba);
            let (width, height) = (width as usize, height as usize);
            for (row, start, length) in marks {
                let (row, start) = (row % height, start % width);
                let columns = start..(start + length).min(width);
                let (pixels, ink) = frame.parts_mut();
                mark(ink.row_mut(row), &columns);
                pixels[row * width..][columns].fill([1, 2, 3, 4]);
            }
            // One who takes something now and then.
            let turns = [&turns[..], &[100_000]].concat();
            let mut to = Short { turns: turns.iter().cycle(), taken: Vec::new() };
            write_frame(&mut to, &frame).unwrap();
            prop_assert!(to.taken == frame.as_bytes());
        }
    }

    #[test]
    fn who_takes_nothing_is_an_error() {
        let frame = Frame::new(Size::new(4, 4).unwrap(), Alpha::Straight, PixelFormat::Rgba);
        let mut full: &mut [u8] = &mut [0; 3];
        let error = write_frame(&mut full, &frame).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
