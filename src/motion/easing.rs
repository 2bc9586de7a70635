//! CSS easing functions (CSS Easing Functions Level 1).

/// Input progress to output progress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Easing {
    Linear,
    /// `x1, y1, x2, y2`; `x` in `0.0..=1.0`, `y` anywhere: a curve may overshoot.
    CubicBezier(f64, f64, f64, f64),
    /// `count` equal jumps, at least one.
    Steps {
        count: u32,
        jump: Jump,
    },
}

/// Where a step function jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    Start,
    End,
    None,
    Both,
}

impl Easing {
    pub(super) const EASE: Self = Self::CubicBezier(0.25, 0.1, 0.25, 1.0);

    /// The output for an input in `0.0..=1.0`.
    pub(super) fn at(self, x: f64) -> f64 {
        match self {
            Self::Linear => x,
            Self::CubicBezier(x1, y1, x2, y2) => bezier(y1, y2, solve(x1, x2, x)),
            Self::Steps { count, jump } => steps(count, jump, x),
        }
    }
}

/// One coordinate of the curve from 0 to 1 with the control values `p1` and `p2`.
fn bezier(p1: f64, p2: f64, t: f64) -> f64 {
    let u = 1.0 - t;
    3.0 * u * u * t * p1 + 3.0 * u * t * t * p2 + t * t * t
}

/// The `t` at which the curve's `x` is the given one. `x(t)` is monotonic, so bisection always
/// arrives; 60 halvings are below an ulp.
fn solve(x1: f64, x2: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if bezier(x1, x2, middle) < x {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn steps(count: u32, jump: Jump, x: f64) -> f64 {
    let count = f64::from(count);
    let first = if matches!(jump, Jump::Start | Jump::Both) {
        1.0
    } else {
        0.0
    };
    let jumps = match jump {
        Jump::Start | Jump::End => count,
        Jump::None => (count - 1.0).max(1.0),
        Jump::Both => count + 1.0,
    };
    (((x * count).floor() + first) / jumps).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubic_bezier_matches_known_points() {
        // Values from Newton's method with 50 digits.
        for (easing, x, y) in [
            (Easing::EASE, 0.5, 0.802_403_387_584_857),
            (
                Easing::CubicBezier(0.42, 0.0, 1.0, 1.0),
                0.5,
                0.315_356_812_572_539,
            ),
            (Easing::CubicBezier(0.42, 0.0, 0.58, 1.0), 0.5, 0.5),
        ] {
            assert!(
                (easing.at(x) - y).abs() < 1e-6,
                "{easing:?} at {x}: {}",
                easing.at(x)
            );
        }
        let overshoot = Easing::CubicBezier(0.3, 2.0, 0.6, 1.5);
        assert!(overshoot.at(0.5) > 1.0, "not clamped");
        for easing in [Easing::EASE, overshoot, Easing::Linear] {
            assert!(easing.at(0.0).abs() < 1e-12 && (easing.at(1.0) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn steps_jump_where_they_are_told() {
        let at = |jump, x| Easing::Steps { count: 4, jump }.at(x);
        for (jump, values) in [
            (Jump::End, [0.0, 0.25, 0.75, 1.0]),
            (Jump::Start, [0.25, 0.5, 1.0, 1.0]),
            (Jump::Both, [0.2, 0.4, 0.8, 1.0]),
            (Jump::None, [0.0, 1.0 / 3.0, 1.0, 1.0]),
        ] {
            for (x, y) in [0.0, 0.25, 0.99, 1.0].into_iter().zip(values) {
                assert!(
                    (at(jump, x) - y).abs() < 1e-12,
                    "{jump:?} at {x}: {}",
                    at(jump, x)
                );
            }
        }
    }
}
