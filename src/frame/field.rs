//! Interlacing: one frame of the rows of two, each drawn at its own field's time.

use std::fmt;
use std::str::FromStr;

use super::{Frame, blocks, columns, touched};

/// Which field of an interlaced frame is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOrder {
    /// The top field: rows 0, 2, 4 and so on.
    TopFirst,
    /// The bottom field: rows 1, 3, 5 and so on.
    BottomFirst,
}

/// How a frame is scanned. From text: `progressive`, `tff` or `bff`, as ffmpeg has the latter two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scan {
    /// All rows at one time.
    #[default]
    Progressive,
    /// Every other row half a frame later.
    Interlaced(FieldOrder),
}

impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Progressive => "progressive",
            Self::Interlaced(FieldOrder::TopFirst) => "tff",
            Self::Interlaced(FieldOrder::BottomFirst) => "bff",
        })
    }
}

impl FromStr for Scan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "progressive" => Ok(Self::Progressive),
            "tff" => Ok(Self::Interlaced(FieldOrder::TopFirst)),
            "bff" => Ok(Self::Interlaced(FieldOrder::BottomFirst)),
            _ => Err(format!(
                "scan {text:?}: expected progressive, tff (top field first) or bff (bottom field \
                 first)"
            )),
        }
    }
}

/// Makes `out` of the rows of two whole frames in turn: those of its earlier field from `first`,
/// the others from `second`. Rows that are clear and were clear cost nothing.
///
/// # Panics
/// The three frames are not of one size, kind of alpha and order of channels.
pub fn weave(first: &Frame, second: &Frame, order: FieldOrder, out: &mut Frame) {
    let kind = |frame: &Frame| (frame.size, frame.alpha, frame.format);
    assert_eq!(kind(first), kind(out), "fields are as the frame is");
    assert_eq!(kind(second), kind(out), "fields are as the frame is");
    let fields = match order {
        FieldOrder::TopFirst => [first, second],
        FieldOrder::BottomFirst => [second, first],
    };
    let width = out.size.width as usize;
    for (row, line) in out.pixels.chunks_exact_mut(width).enumerate() {
        let field = fields[row % 2];
        let source = &field.pixels[row * width..][..width];
        for block in blocks(touched(out.ink.row_mut(row), field.ink.row(row))) {
            let columns = columns(block, width);
            line[columns.clone()].copy_from_slice(&source[columns]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Alpha, PixelFormat, Size, mark};

    const ORDERS: [FieldOrder; 2] = [FieldOrder::TopFirst, FieldOrder::BottomFirst];

    /// A frame with these runs of pixels: row, first column, length, level.
    fn frame(size: Size, runs: &[(usize, usize, usize, u8)]) -> Frame {
        let mut frame = Frame::new(size, Alpha::Straight, PixelFormat::Bgra);
        let (width, height) = (size.width as usize, size.height as usize);
        for &(row, start, length, level) in runs {
            let (row, start) = (row % height, start % width);
            let columns = start..(start + length).min(width);
            mark(frame.ink.row_mut(row), &columns);
            frame.pixels[row * width..][columns].fill([level; 4]);
        }
        frame
    }

    proptest! {
        #[test]
        fn woven_frames_are_the_rows_of_two_in_turn(
            (width, height) in (1..400_u32, 1..12_u32),
            frames in prop::collection::vec(
                prop::collection::vec((0..12_usize, 0..400_usize, 1..99_usize, 1..=255_u8), 0..9),
                2..8,
            ),
            order in prop::sample::select(&ORDERS),
        ) {
            let size = Size::new(width, height).unwrap();
            let mut out = Frame::new(size, Alpha::Straight, PixelFormat::Bgra);
            for pair in frames.windows(2) {
                let (first, second) = (frame(size, &pair[0]), frame(size, &pair[1]));
                weave(&first, &second, order, &mut out);
                let width = width as usize;
                for row in 0..height as usize {
                    let is_first = (row % 2 == 0) == (order == FieldOrder::TopFirst);
                    let source = if is_first { &first } else { &second };
                    let row_of = |frame: &Frame| frame.pixels()[row * width..][..width].to_vec();
                    prop_assert_eq!(row_of(&out), row_of(source), "row {}", row);
                    prop_assert!(out.inked(row).eq(source.inked(row)), "ink of row {}", row);
                }
            }
        }
    }

    #[test]
    fn scans_have_names_and_others_are_refused() {
        for name in ["progressive", "tff", "bff"] {
            assert_eq!(name.parse::<Scan>().unwrap().to_string(), name);
        }
        assert_eq!("tff".parse(), Ok(Scan::Interlaced(FieldOrder::TopFirst)));
        let error = "top".parse::<Scan>().unwrap_err();
        assert!(
            error.contains("\"top\"") && error.contains("bff"),
            "{error}"
        );
    }
}
