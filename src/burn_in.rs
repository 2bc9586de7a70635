//! Burn-in: a programme in, and the same programme with the reactions in its picture out.
//!
//! ```text
//!                    copied packets
//!        ┌────────────────────────────────────────────────┐
//! reader ┴─► decoder ──► compositor ──► encoder ──► writer ┘   (one encoder and one writer
//!                          ▲   │                                for each output)
//!                          └───┘ overlay
//! ```
//!
//! A programme that is held back waits between the reader and the rest, with all of its packets.
//!
//! Each is a thread, and what is between two of them is a bounded queue. The programme never waits
//! for the overlay: a live picture whose reactions aren't ready goes on without them.

pub mod settings;

#[cfg(feature = "ffmpeg")]
mod address;
#[cfg(feature = "ffmpeg")]
mod adts;
#[cfg(feature = "ffmpeg")]
mod coding;
#[cfg(feature = "ffmpeg")]
mod compose;
#[cfg(feature = "ffmpeg")]
mod decode;
#[cfg(feature = "ffmpeg")]
mod ffi;
#[cfg(feature = "ffmpeg")]
mod geometry;
#[cfg(feature = "ffmpeg")]
mod hold;
#[cfg(feature = "ffmpeg")]
mod input;
#[cfg(feature = "ffmpeg")]
mod metadata;
#[cfg(feature = "ffmpeg")]
mod mux;
#[cfg(feature = "ffmpeg")]
pub mod overlay;
#[cfg(feature = "ffmpeg")]
mod plan;
#[cfg(feature = "ffmpeg")]
mod playlist;
#[cfg(feature = "ffmpeg")]
mod queue;
#[cfg(feature = "ffmpeg")]
mod reader;
#[cfg(feature = "ffmpeg")]
mod run;
#[cfg(feature = "ffmpeg")]
mod sections;
#[cfg(feature = "ffmpeg")]
pub mod status;
#[cfg(feature = "ffmpeg")]
mod sync;
#[cfg(feature = "ffmpeg")]
mod timeline;

#[cfg(feature = "ffmpeg")]
pub use self::run::{BurnIn, Job};

#[cfg(feature = "ffmpeg")]
#[expect(
    clippy::disallowed_methods,
    reason = "a live programme's reactions and losses are timed by the clock"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Waits for so long, or until it is to stop.
#[cfg(feature = "ffmpeg")]
fn rest(pause: std::time::Duration, stop: &std::sync::atomic::AtomicBool) {
    use std::sync::atomic::Ordering;
    let until = now() + pause;
    loop {
        let left = until.saturating_duration_since(now());
        if left.is_zero() || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::park_timeout(left.min(std::time::Duration::from_millis(50)));
    }
}
