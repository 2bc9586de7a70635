//! CSS easing functions (CSS Easing Functions Level 2).

/// Input progress to output progress.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Easing {
    Linear,
    /// `x1, y1, x2, y2`; `x` in `0.0..=1.0`, `y` anywhere: a curve may overshoot.
    CubicBezier(f64, f64, f64, f64),
    /// `count` equal jumps, at least one.
    Steps {
        count: u32,
        jump: Jump,
    },
    /// Input and output of each point of `linear()`, by input that never falls; at least two.
    Points(Vec<(f64, f64)>),
}

/// Where a step function jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    Start,
    End,
    None,
    Both,
}

/// One stop of `linear()`: an output, and the inputs that are declared for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stop {
    pub(super) output: f64,
    pub(super) inputs: [Option<f64>; 2],
}

impl Easing {
    /// `linear()` with the inputs that are left out (CSS Easing 2, 2.2.1).
    pub(super) fn points(stops: impl Iterator<Item = Stop>) -> Self {
        let mut points: Vec<(Option<f64>, f64)> = Vec::new();
        let mut largest = f64::NEG_INFINITY;
        for Stop { output, inputs } in stops {
            for (i, input) in inputs.into_iter().enumerate() {
                if input.is_none() && i > 0 {
                    continue;
                }
                let input = input.or(points.is_empty().then_some(0.0)).map(|input| {
                    largest = largest.max(input);
                    largest
                });
                points.push((input, output));
            }
        }
        if let Some((input @ None, _)) = points.last_mut() {
            *input = Some(largest.max(1.0));
        }
        let known = |from: usize| (from..points.len()).find(|i| points[*i].0.is_some());
        let mut filled: Vec<(f64, f64)> = Vec::with_capacity(points.len());
        for (i, (input, output)) in points.iter().enumerate() {
            let input = input.unwrap_or_else(|| {
                let before = filled.last().map_or(0.0, |(input, _)| *input);
                let next = known(i).unwrap_or(i);
                let after = points[next].0.unwrap_or(before);
                #[expect(clippy::cast_precision_loss, reason = "stops are few")]
                let gaps = (next - i + 1) as f64;
                before + (after - before) / gaps
            });
            filled.push((input, *output));
        }
        Self::Points(filled)
    }

    /// The output for an input in `0.0..=1.0`; `before` a step that is at this very input.
    pub(super) fn at(&self, x: f64, before: bool) -> f64 {
        match self {
            Self::Linear => x,
            Self::CubicBezier(x1, y1, x2, y2) => bezier(*y1, *y2, solve(*x1, *x2, x)),
            Self::Steps { count, jump } => steps(*count, *jump, x, before),
            Self::Points(points) => piecewise(points, x),
        }
    }
}

/// Between the two points around `x`, or on the line through the last two beyond them; at a jump
/// the later point holds.
fn piecewise(points: &[(f64, f64)], x: f64) -> f64 {
    let Some(last) = points.len().checked_sub(1).filter(|last| *last > 0) else {
        return points.first().map_or(x, |(_, output)| *output);
    };
    let next = points
        .partition_point(|(input, _)| *input <= x)
        .clamp(1, last);
    let ((x0, y0), (x1, y1)) = (points[next - 1], points[next]);
    if x1 > x0 {
        y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    } else {
        y1
    }
}

/// One coordinate of the curve from 0 to 1 with the control values `p1` and `p2`.
fn bezier(p1: f64, p2: f64, t: f64) -> f64 {
    let u = 1.0 - t;
    3.0 * u * u * t * p1 + 3.0 * u * t * t * p2 + t * t * t
}

/// Its slope.
fn slope(p1: f64, p2: f64, t: f64) -> f64 {
    let u = 1.0 - t;
    3.0 * (u * u * p1 + 2.0 * u * t * (p2 - p1) + t * t * (1.0 - p2))
}

/// The `t` at which the curve's `x` is the given one: Newton's method, and halves where it leaves
/// what is left of `0.0..=1.0`. `x(t)` is monotonic, so that always arrives.
fn solve(x1: f64, x2: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    let mut t = x;
    for _ in 0..64 {
        let error = bezier(x1, x2, t) - x;
        if error == 0.0 {
            break;
        } else if error < 0.0 {
            low = t;
        } else {
            high = t;
        }
        let newton = t - error / slope(x1, x2, t);
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        if (next - t).abs() <= f64::EPSILON * t {
            return next;
        }
        t = next;
    }
    t
}

fn steps(count: u32, jump: Jump, x: f64, before: bool) -> f64 {
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
    let step = (x * count).floor();
    let not_yet = if before && x * count <= step {
        1.0
    } else {
        0.0
    };
    ((step + first - not_yet) / jumps).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EASE: Easing = Easing::CubicBezier(0.25, 0.1, 0.25, 1.0);

    #[test]
    fn cubic_bezier_matches_known_points() {
        // Values from Newton's method with 50 digits.
        for (easing, x, y) in [
            (EASE, 0.5, 0.802_403_387_584_857),
            (
                Easing::CubicBezier(0.42, 0.0, 1.0, 1.0),
                0.5,
                0.315_356_812_572_539,
            ),
            (Easing::CubicBezier(0.42, 0.0, 0.58, 1.0), 0.5, 0.5),
        ] {
            assert!(
                (easing.at(x, false) - y).abs() < 1e-6,
                "{easing:?} at {x}: {}",
                easing.at(x, false)
            );
        }
        let overshoot = Easing::CubicBezier(0.3, 2.0, 0.6, 1.5);
        assert!(overshoot.at(0.5, false) > 1.0, "not clamped");
        for easing in [EASE, overshoot, Easing::Linear] {
            assert!(
                easing.at(0.0, false).abs() < 1e-12 && (easing.at(1.0, false) - 1.0).abs() < 1e-12
            );
        }
    }

    #[test]
    fn newtons_method_arrives_wherever_a_slope_is_flat_or_steep() {
        for i in 0..=20 {
            for j in 0..=20 {
                let (x1, x2) = (f64::from(i) / 20.0, f64::from(j) / 20.0);
                for k in 1..100 {
                    let x = f64::from(k) / 100.0;
                    let off = bezier(x1, x2, solve(x1, x2, x)) - x;
                    assert!(off.abs() < 1e-14, "{x1} {x2} at {x}: {off}");
                }
            }
        }
    }

    #[test]
    fn linear_fills_in_the_inputs_that_are_left_out() {
        let stop = |output, first, second| Stop {
            output,
            inputs: [first, second],
        };
        let points = |stops: &[Stop]| match Easing::points(stops.iter().copied()) {
            Easing::Points(points) => points,
            other => panic!("{other:?}"),
        };
        let thirds = [0.0, 1.0, 3.0, 9.0].map(|output| stop(output, None, None));
        let thirds = points(&thirds);
        assert!((thirds[1].0 - 1.0 / 3.0).abs() < 1e-12 && (thirds[2].0 - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            points(&[
                stop(0.0, None, None),
                stop(0.5, Some(0.6), Some(0.8)),
                stop(0.7, Some(0.2), None),
                stop(0.1, None, None),
                stop(1.0, None, None),
            ]),
            [
                (0.0, 0.0),
                (0.6, 0.5),
                (0.8, 0.5),
                (0.8, 0.7),
                (0.9, 0.1),
                (1.0, 1.0)
            ]
        );
        let jump = Easing::Points(vec![(0.0, 0.0), (0.5, 0.2), (0.5, 0.8), (1.0, 1.0)]);
        assert!(
            (jump.at(0.5, false) - 0.8).abs() < 1e-12 && (jump.at(0.25, false) - 0.1).abs() < 1e-12
        );
        let beyond = Easing::Points(vec![(0.25, 0.0), (0.75, 1.0)]);
        assert!(
            (beyond.at(0.0, false) + 0.5).abs() < 1e-12
                && (beyond.at(1.0, false) - 1.5).abs() < 1e-12
        );
    }

    #[test]
    fn steps_jump_where_they_are_told() {
        let start = Easing::Steps {
            count: 4,
            jump: Jump::Start,
        };
        assert!(start.at(0.0, true) < 1e-12 && start.at(0.0, false) > 0.24);
        let at = |jump, x| Easing::Steps { count: 4, jump }.at(x, false);
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
