//! How a burn-in is getting on: numbers that every stage counts and anybody may read.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Figures of one burn-in, from its beginning.
#[derive(Debug, Default)]
pub struct Status {
    /// Pictures that were decoded.
    pub frames: AtomicU64,
    /// Of these, those that were passed on without reactions because they were not ready.
    pub without_overlay: AtomicU64,
    /// Packets or pictures that were damaged.
    pub damaged: AtomicU64,
    /// Jumps of the input's time that were closed.
    pub jumps: AtomicU64,
    /// Times that the input was lost.
    pub losses: AtomicU64,
    /// Whether it is lost now.
    pub is_lost: AtomicBool,
    /// Pictures that stood in for those of a lost input.
    pub slates: AtomicU64,
    /// The programme's time, in microseconds since its first picture.
    pub time_us: AtomicI64,
    /// Time spent on putting reactions into pictures, in nanoseconds.
    pub keying_ns: AtomicU64,
}

impl Status {
    pub(super) fn damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn jumped(&self) {
        self.jumps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn input_lost(&self, is_lost: bool) {
        self.is_lost.store(is_lost, Ordering::Relaxed);
        self.losses.fetch_add(u64::from(is_lost), Ordering::Relaxed);
    }

    pub(super) fn without_overlay(&self) {
        self.without_overlay.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn slate(&self) {
        self.slates.fetch_add(1, Ordering::Relaxed);
    }

    /// A picture of this time, in microseconds since the first, is on its way.
    pub(super) fn shown(&self, at_us: i64) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.time_us.fetch_max(at_us, Ordering::Relaxed);
    }

    pub(super) fn keyed(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.keying_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The programme's time since its first picture.
    #[must_use]
    pub fn time(&self) -> Duration {
        let us = self.time_us.load(Ordering::Relaxed);
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }
}
