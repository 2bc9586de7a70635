//! Whether a frame loop that follows the clock goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a frame loop may take over a frame until it is said to stand still.
const PATIENCE: Duration = Duration::from_secs(2);

/// And how many frames, where they are few.
const PATIENCE_FRAMES: u32 = 3;

/// The sign of life of a frame loop.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// It goes on, and has outputs to draw for.
    pub(super) fn beat(&self, now: Instant) {
        *self.lock() = Some(now);
    }

    /// There is nothing to draw, or no clock to follow.
    pub(super) fn rest(&self) {
        *self.lock() = None;
    }

    /// For how long it has stood still that should make a frame in each `interval`, if that is too
    /// long.
    pub(super) fn stalled(&self, now: Instant, interval: Duration) -> Option<Duration> {
        let silent = now.saturating_duration_since((*self.lock())?);
        let patience = PATIENCE.max(interval.saturating_mul(PATIENCE_FRAMES));
        (silent > patience).then_some(silent)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // No code under the lock leaves a change half made, so a poisoned value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::channel::{Channel, Run, lock, now};
    use crate::config::{ChannelConfig, LookSettings, Picture};
    use crate::frame::{Alpha, FrameRate, Scan, Size};
    use crate::look::Look;
    use crate::metrics::Metrics;
    use crate::output::{Form, Pace, Plan, Policy, Spec, Target};
    use crate::pixel::SimdLevel;

    #[test]
    fn a_pulse_is_judged_by_the_time_and_by_the_frame_rate() {
        let pulse = Pulse::default();
        let start = now();
        let at = |ms| start + Duration::from_millis(ms);
        let fast = Duration::from_millis(16);
        let slow = Duration::from_secs(1);
        assert_eq!(pulse.stalled(at(9_000), fast), None, "it has yet to begin");
        pulse.beat(start);
        assert_eq!(pulse.stalled(at(2_000), fast), None);
        let silent = Some(Duration::from_millis(2_001));
        assert_eq!(pulse.stalled(at(2_001), fast), silent);
        assert_eq!(pulse.stalled(at(3_000), slow), None);
        assert!(pulse.stalled(at(3_001), slow).is_some());
        pulse.beat(at(3_001));
        assert_eq!(pulse.stalled(at(5_000), fast), None);
        assert_eq!(pulse.stalled(at(1_000), fast), None, "an earlier time");
        pulse.rest();
        assert_eq!(pulse.stalled(at(9_000), fast), None);
    }

    /// A frame loop that is kept from the stage.
    #[test]
    fn a_channel_whose_frame_loop_stands_still_says_so_until_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size::new(16, 16).unwrap();
        let rate = FrameRate::new(60, 1).unwrap();
        let config = ChannelConfig {
            name: "demo".into(),
            cache: "video".into(),
            topic: "demo".into(),
            picture: Picture {
                look: LookSettings::default(),
                size,
                rate,
                scan: Scan::Progressive,
                seed: 0,
                threads: 1,
                simd: SimdLevel::default(),
                alpha: Alpha::Straight,
                limits: Default::default(),
                test_pattern: false,
                palette: Default::default(),
            },
            gate: Default::default(),
        };
        let metrics = Metrics::new();
        let look = Look::load(&config.picture.look).unwrap();
        let channel = Channel::new(&config, &look, metrics.channel("demo"));
        let channel = Arc::new(channel.unwrap());
        let spec = Spec {
            size,
            rate,
            scan: Scan::Progressive,
            alpha: Alpha::Straight,
            form: Form::default(),
        };
        let plan = Plan::new(Target::File(folder.path().join("a.rgba")), spec).unwrap();
        let output = metrics.output("demo", "a.rgba");
        channel.attach(plan, Policy::Block, output.clone()).unwrap();
        assert_eq!(channel.stalled(), None);
        let run = Run {
            frames: None,
            pace: Pace::Clock,
            lasting: true,
        };
        let running = Arc::clone(&channel);
        let frames = std::thread::spawn(move || running.run(run));
        let until = |condition: &dyn Fn() -> bool| {
            let begun = now();
            while !condition() {
                assert!(begun.elapsed() < Duration::from_secs(30));
                std::thread::yield_now();
            }
        };
        until(&|| output.frames.get() > 3);
        assert_eq!(channel.stalled(), None);
        let held = lock(&channel.stage);
        until(&|| channel.stalled().is_some());
        assert!(channel.stalled() > Some(PATIENCE));
        drop(held);
        until(&|| channel.stalled().is_none());
        channel.stop();
        frames.join().unwrap().unwrap();
        assert_eq!(channel.stalled(), None);
    }
}
