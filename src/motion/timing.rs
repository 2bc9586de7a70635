//! When an animation is where (CSS Animations 1, 3.9 and 4; Web Animations 1, 4.6 to 4.9).

/// `animation-*` of one animation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timing {
    /// One iteration, in ms; above 0.
    pub(super) duration_ms: f64,
    /// May be negative: the animation then starts part-way.
    pub(super) delay_ms: f64,
    /// Finite: a sprite must end.
    pub(super) iterations: f64,
    pub(super) direction: Direction,
    pub(super) fill: Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Normal,
    Reverse,
    Alternate,
    AlternateReverse,
}

/// Where the keyframes hold outside the animation's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fill {
    /// The first one, during the delay.
    pub(super) backwards: bool,
    /// The last one, after the end.
    pub(super) forwards: bool,
}

/// Where an animation in effect is in its keyframes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// The share of the keyframes passed.
    pub(super) progress: f64,
    /// Whether that was come to from below and not gone beyond, so that a step at this very place
    /// is not made yet: the *before flag* of CSS Easing 2, 2.4.1.
    pub(super) before: bool,
}

/// Less than a nanosecond, for what sums and products are rounded to.
const TOLERANCE_S: f64 = 1e-10;

impl Timing {
    pub(super) fn end_ms(&self) -> f64 {
        self.delay_ms + self.duration_ms * self.iterations
    }

    /// Where the animation is, or `None` where it has no effect.
    ///
    /// In seconds, as Chromium divides: at the edge of a step the last bit decides.
    pub(super) fn at(&self, age_s: f64) -> Option<Place> {
        let after = age_s + TOLERANCE_S >= self.end_ms() / 1_000.0;
        let active = if after {
            // Divided again, as Chromium does at the edge of a step.
            let duration_s = self.duration_ms / 1_000.0;
            let passed = duration_s * self.iterations / duration_s;
            if self.iterations.fract() > 0.0 && passed.is_finite() {
                passed
            } else {
                self.iterations
            }
        } else {
            (age_s - self.delay_ms / 1_000.0) / (self.duration_ms / 1_000.0)
        };
        let delayed = active < 0.0;
        if (delayed && !self.fill.backwards) || (after && !self.fill.forwards) {
            return None;
        }
        let active = active.max(0.0);
        let mut iteration = active.floor();
        let mut within = active - iteration;
        // The end of the last iteration, not the start of one more.
        if after && within == 0.0 {
            iteration -= 1.0;
            within = 1.0;
        }
        let odd = iteration % 2.0 >= 1.0;
        let reversed = match self.direction {
            Direction::Normal => false,
            Direction::Reverse => true,
            Direction::Alternate => odd,
            Direction::AlternateReverse => !odd,
        };
        let progress = if reversed { 1.0 - within } else { within };
        Some(Place {
            progress,
            // Chromium takes it so at the very beginning only.
            before: progress == 0.0 && (delayed && !reversed || after && reversed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_animation_holds_its_last_keyframe_if_it_fills_forwards() {
        let timing = |iterations, direction, forwards| Timing {
            duration_ms: 1_000.0,
            delay_ms: 0.0,
            iterations,
            direction,
            fill: Fill {
                backwards: false,
                forwards,
            },
        };
        for (iterations, direction, progress) in [
            (1.0, Direction::Normal, 1.0),
            (2.0, Direction::Alternate, 0.0),
            (3.0, Direction::Alternate, 1.0),
            (2.0, Direction::AlternateReverse, 1.0),
            (1.25, Direction::Normal, 0.25),
            (1.25, Direction::Reverse, 0.75),
        ] {
            let at = |forwards, age_s| {
                let place = timing(iterations, direction, forwards).at(age_s);
                place.map(|place| place.progress)
            };
            assert_eq!(
                at(true, iterations),
                Some(progress),
                "{iterations} {direction:?}"
            );
            assert_eq!(at(true, 99.0), Some(progress), "{iterations} {direction:?}");
            assert_eq!(at(false, iterations), None);
            assert!(at(false, iterations - 0.001).is_some());
        }
    }
}
