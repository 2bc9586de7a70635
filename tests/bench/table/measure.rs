//! Times, and what is said of many of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "to read the clock is its work")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long something takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = now();
    let result = work();
    (result, begun.elapsed())
}

/// Waits for a due time, as a frame loop does.
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is work at a rate"
)]
pub(crate) fn sleep_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(now()));
}

/// The time that a share of the times does not exceed; zero if there are none.
pub(crate) fn quantile(times: &[Duration], share: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in the list"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(place.min(last)).copied().unwrap_or_default()
}

pub(crate) fn median(times: &[Duration]) -> Duration {
    quantile(times, 0.5)
}

pub(crate) fn median_of(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// More than caches hold.
const BEYOND_CACHES: usize = 256 << 20;

/// This machine's memory copy: so many bytes from one place to another, each time from and to
/// others, so that neither is in a cache.
pub(crate) struct Copy {
    from: Vec<u8>,
    to: Vec<u8>,
    bytes: usize,
    at: usize,
    pub(crate) times: Vec<Duration>,
}

impl Copy {
    pub(crate) fn new(bytes: usize) -> Self {
        let space = bytes.max(BEYOND_CACHES);
        Self {
            from: vec![1; space],
            to: vec![2; space],
            bytes,
            at: 0,
            times: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, times: usize) {
        for _ in 0..times {
            if self.at + self.bytes > self.from.len() {
                self.at = 0;
            }
            let place = self.at..self.at + self.bytes;
            let (from, to) = (&self.from[place.clone()], &mut self.to[place]);
            let ((), took) = time(|| black_box(to).copy_from_slice(black_box(from)));
            self.times.push(took);
            self.at += self.bytes;
        }
    }
}

/// A straight line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) at_zero: f64,
    pub(crate) slope: f64,
}

impl Line {
    /// The line whose largest deviation from the points is the least there is. All `y` are above 0.
    pub(crate) fn through(points: &[(f64, f64)]) -> Self {
        const STEPS: u32 = 60;
        // By a share of at most `most`, or else the line that comes nearest to that.
        let within = |most: f64| -> (bool, Self) {
            // How high a line of this slope must begin, and how high it may.
            let room = |slope: f64| {
                let at_zero = |share: f64| points.iter().map(move |(x, y)| y / share - slope * x);
                let least = at_zero(1.0 + most).fold(f64::NEG_INFINITY, f64::max);
                (least, at_zero(1.0 - most).fold(f64::INFINITY, f64::min))
            };
            let lack = |slope: f64| room(slope).0 - room(slope).1;
            let slopes = points.iter().map(|(x, y)| y / x);
            let steepest = slopes.fold(0.0, f64::max);
            // It is convex in the slope.
            let (mut low, mut high) = (-steepest, steepest);
            for _ in 0..2 * STEPS {
                let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
                if lack(left) < lack(right) {
                    high = right;
                } else {
                    low = left;
                }
            }
            let slope = f64::midpoint(low, high);
            let (least, most) = room(slope);
            let at_zero = f64::midpoint(least, most);
            (least <= most, Self { at_zero, slope })
        };
        let (mut low, mut high) = (0.0, 1.0 - 1e-9);
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if within(middle).0 {
                high = middle;
            } else {
                low = middle;
            }
        }
        within(high).1
    }

    pub(crate) fn at(self, x: f64) -> f64 {
        self.at_zero + self.slope * x
    }

    /// How far a point is from the line, as a share of the line's height there.
    pub(crate) fn deviation(self, (x, y): (f64, f64)) -> f64 {
        y / self.at(x) - 1.0
    }
}
