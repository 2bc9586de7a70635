//! The pixels that a chroma sample is of.

use super::format::Spec;
use super::{Parity, Rows, Siting};

/// The weights of columns and rows.
pub(super) struct Taps {
    /// Of the columns from [`BEFORE`](Self::BEFORE) ahead of a cell's first one on; 4 together in
    /// cells of one or two, 16 in those of four.
    pub(super) across: [u16; 7],
    /// Whether samples are on their cell's first column.
    pub(super) cosited: bool,
    /// Of the rows from that above a cell's first one on.
    pub(super) down: [u16; 4],
}

impl Taps {
    /// Columns ahead of a cell's first one that may have weights.
    pub(super) const BEFORE: isize = 3;

    pub(super) fn new(spec: &Spec, siting: Siting, rows: Rows) -> Self {
        let cosited = matches!(siting, Siting::Left | Siting::TopLeft | Siting::BottomLeft);
        let across = match (spec.right, cosited) {
            (0, _) => [0, 0, 0, 4, 0, 0, 0],
            (1, true) => [0, 0, 1, 2, 1, 0, 0],
            (1, false) => [0, 0, 0, 2, 2, 0, 0],
            (_, true) => [1, 2, 3, 4, 3, 2, 1],
            (_, false) => [0, 0, 0, 4, 4, 4, 4],
        };
        // In quarters of a row below a cell's first one. In fields all is half as far, and the
        // bottom field is a row of the frame lower.
        let place = match siting {
            Siting::TopLeft | Siting::Top => 0,
            Siting::Left | Siting::Center => 2,
            Siting::BottomLeft | Siting::Bottom => 4,
        };
        let place = match rows {
            Rows::All => place,
            Rows::Field(Parity::Top) => place / 2,
            Rows::Field(Parity::Bottom) => place / 2 + 2,
        };
        let down = match (spec.down, place) {
            (0, _) => [0, 1, 0, 0],
            (_, 0) => [1, 2, 1, 0],
            (_, 1) => [0, 3, 1, 0],
            (_, 2) => [0, 1, 1, 0],
            (_, 3) => [0, 1, 3, 0],
            (_, _) => [0, 1, 2, 1],
        };
        Self {
            across,
            cosited,
            down,
        }
    }

    /// All weights together.
    pub(super) fn total(&self) -> f32 {
        f32::from(self.across.iter().sum::<u16>() * self.down.iter().sum::<u16>())
    }
}

/// The pixel of `length` that stands for one so many after the first, in a row or column of a
/// picture in which they begin at `origin`: the picture's outermost ones do for those beyond them,
/// and beyond the overlay there is nothing.
#[inline(always)]
pub(super) fn reach(at: isize, origin: usize, length: usize, picture: usize) -> Option<usize> {
    let at = if at < 0 && origin == 0 { 0 } else { at };
    let last = length - 1;
    let at = usize::try_from(at).ok()?;
    if at > last && origin + length == picture {
        Some(last)
    } else {
        (at <= last).then_some(at)
    }
}
