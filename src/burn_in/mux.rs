//! One output's container: opened, written in order, and opened again when it is lost.

mod container;
mod interleave;
mod link;
mod tables;
mod target;
mod writer;

use ffmpeg_next::{Rational, Rescale as _};

pub(super) use self::link::{Begin, Counts, Item, Link};
pub(super) use self::target::Target;
pub(super) use self::writer::Writer;

/// A time stamp in microseconds.
pub(super) fn micros(at: i64, time_base: Rational) -> i64 {
    at.rescale(time_base, Rational::new(1, 1_000_000))
}
