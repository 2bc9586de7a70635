//! A crowd that reacts: when each of its messages is due, and what it says.
//!
//! Everything here is a function of the settings and a seed, so that a run can be had again.
//!
//! A [`Curve`] is a rate over time, straight between its corners. The `n`-th message is due
//! where the curve's integral is `n + u`, with `u` of its own in `0..1`: the crowd is no
//! metronome, and between any two times there are as many messages as the integral says, give or
//! take one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::reaction::SPRITES_PER_PAYLOAD_MAX;
use crate::scatter::SpriteId;

/// How a crowd's rate goes over time. From text: `steady`, `ramp` or `spike`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curve {
    /// The rate all the time.
    #[default]
    Steady,
    /// From nothing up to the rate at the end.
    Ramp,
    /// A goal: a tenth of the rate, until at a quarter of the time something happens; up to the
    /// rate within [`RISE`] and down again as `(1 + t / 5 RISE)^-1.4`.
    ///
    /// An event from without has a crowd respond at once (Takeichi et al., *Concurrent Bursty
    /// Behavior of Social Sensors in Sporting Events*, 2015) and relax by a power law, whose
    /// exponent is 1.4 where people don't set off each other (Crane and Sornette, *Robust dynamic
    /// classes revealed by measuring the response function of a social system*, 2008). The times
    /// are ours: half of the peak is left after 6.4 s.
    Spike,
}

/// How long a goal's rate takes from its beginning to its peak; a tenth of the whole time, if
/// that is shorter.
pub const RISE: Duration = Duration::from_secs(2);

/// A goal's rate before and long after it, as a share of the peak.
const BASE: f64 = 0.1;

/// When the goal is, as a share of the time.
const GOAL_AT: f64 = 0.25;

/// Of the relaxation: its exponent, and its time in terms of the rise.
const EXPONENT: f64 = 1.4;
const RELAXATION: f64 = 5.0;

/// The relaxation is straight between corners, at each of which it is this share of what it was at
/// the one before: within 0.5 % of the curve.
const STEP: f64 = 0.82;

/// Messages of one run; more are refused. What has been seen of them is a bit each.
pub const MESSAGES_MAX: u64 = 100_000_000;

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::Spike => "spike",
        })
    }
}

impl FromStr for Curve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Steady, Self::Ramp, Self::Spike];
        let found = all.into_iter().find(|curve| curve.to_string() == text);
        found.ok_or_else(|| format!("curve {text:?}: expected steady, ramp or spike"))
    }
}

impl Curve {
    /// The corners: times in s, and rates a second.
    fn corners(self, rate: f64, seconds: f64) -> Vec<[f64; 2]> {
        match self {
            Self::Steady => vec![[0.0, rate], [seconds, rate]],
            Self::Ramp => vec![[0.0, 0.0], [seconds, rate]],
            Self::Spike => {
                let (base, goal) = (BASE * rate, GOAL_AT * seconds);
                let rise = RISE.as_secs_f64().min(seconds / 10.0);
                let mut corners = vec![[0.0, base], [goal, base], [goal + rise, rate]];
                let mut left = 1.0;
                loop {
                    left *= STEP;
                    let after = RELAXATION * rise * (f64::powf(left, -1.0 / EXPONENT) - 1.0);
                    let at = goal + rise + after;
                    let now = base + (rate - base) * left;
                    if at < seconds {
                        corners.push([at, now]);
                        continue;
                    }
                    // The part of the last stretch that is within the time.
                    let [before_at, before] = corners[corners.len() - 1];
                    let share = (seconds - before_at) / (at - before_at);
                    corners.push([seconds, before + share * (now - before)]);
                    return corners;
                }
            }
        }
    }
}

/// A stretch of a curve between two corners.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    /// When it begins and how long it is, in s.
    at: f64,
    seconds: f64,
    /// The rate at its beginning, and how that changes within a second.
    rate: f64,
    slope: f64,
    /// The curve's integral at its beginning, and over it.
    before: f64,
    integral: f64,
}

impl Stretch {
    /// When the curve's integral is `sum`, in s.
    fn reaches(&self, sum: f64) -> f64 {
        let sum = (sum - self.before).clamp(0.0, self.integral);
        if sum <= 0.0 {
            return self.at;
        }
        // The root of rate x + slope x^2 / 2 = sum, in the form that no subtraction spoils.
        let root = (self.rate * self.rate + 2.0 * self.slope * sum).max(0.0);
        self.at + (2.0 * sum / (self.rate + root.sqrt())).min(self.seconds)
    }
}

/// When each message of a crowd is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    count: u64,
    seed: u64,
}

/// Times that make no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not one message is due.
    #[error("that makes no message: expected a higher rate or a longer time")]
    Empty,
    /// There are more than [`MESSAGES_MAX`].
    #[error(
        "that makes {0} messages: expected at most {MESSAGES_MAX}, by a lower rate or a shorter time"
    )]
    TooMany(u64),
}

/// The part of a crowd's hash that says when, how many, and which.
const WHEN: u32 = 0;
const HOW_MANY: u32 = 1;
const WHICH: u32 = 2;

impl Schedule {
    /// A curve whose highest rate is `rate` messages a second, over a time.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn new(
        curve: Curve,
        rate: f64,
        duration: Duration,
        seed: u64,
    ) -> Result<Self, ScheduleError> {
        let mut before = 0.0;
        let corners = curve.corners(rate, duration.as_secs_f64());
        let stretch = |pair: &[[f64; 2]]| {
            let [[at, rate], [until, last]] = [pair[0], pair[1]];
            let seconds = until - at;
            let integral = seconds * (rate + last) / 2.0;
            let stretch = Stretch {
                at,
                seconds,
                rate,
                slope: (last - rate) / seconds,
                before,
                integral,
            };
            before += integral;
            stretch
        };
        let stretches: Vec<_> = corners.windows(2).map(stretch).collect();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no rate is negative; a sum that is too large saturates, and is refused"
        )]
        // 15,000 may be 14,999.999999 by the time it is summed.
        let count = (before + 1e-6) as u64;
        match count {
            0 => Err(ScheduleError::Empty),
            1..=MESSAGES_MAX => Ok(Self {
                stretches,
                count,
                seed,
            }),
            more => Err(ScheduleError::TooMany(more)),
        }
    }

    /// How many messages there are: the curve's integral, rounded down.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// When each is due after the beginning, the earliest first.
    pub fn times(&self) -> impl Iterator<Item = Duration> + '_ {
        let mut stretch = 0;
        (0..self.count).map(move |number| {
            #[expect(clippy::cast_precision_loss, reason = "at most MESSAGES_MAX")]
            let sum = number as f64 + unit(self.seed, number, WHEN);
            let ends = |stretch: &Stretch| stretch.before + stretch.integral;
            while stretch + 1 < self.stretches.len() && ends(&self.stretches[stretch]) <= sum {
                stretch += 1;
            }
            Duration::from_secs_f64(self.stretches[stretch].reaches(sum))
        })
    }
}

/// Which reactions a crowd sends, and how often each compared with the others. From text:
/// `heart=5,fire=1`, or a name alone, which is once.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// Names, and the sum of the shares up to each; the last is the whole.
    reactions: Vec<(String, f64)>,
}

/// Reactions of a mix, and characters of a name; more are refused.
const REACTIONS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 64;

impl Default for Mix {
    fn default() -> Self {
        Self {
            reactions: vec![("heart".into(), 1.0)],
        }
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut whole = 0.0;
        let one = |part: &str| {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let name = name.trim();
            let is_name = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
            let share = share.trim().parse().ok();
            let share = share.filter(|share: &f64| (0.001..=1e6).contains(share));
            match (is_name && !name.contains(char::is_control), share) {
                (true, Some(share)) => {
                    whole += share;
                    Ok((name.to_owned(), whole))
                }
                _ => Err(format!(
                    "{part:?}: expected names of reactions with shares from 0.001 to 1000000, such \
                     as heart=5,fire=1"
                )),
            }
        };
        let reactions: Vec<_> = text.split(',').map(one).collect::<Result<_, _>>()?;
        if reactions.len() > REACTIONS_MAX {
            return Err(format!("expected at most {REACTIONS_MAX} reactions"));
        }
        Ok(Self { reactions })
    }
}

/// How many of its reaction a message has, each number as often. From text: `3`, or `1..5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    from: u32,
    to: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self { from: 1, to: 1 }
    }
}

impl FromStr for Counts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let one = |text: &str| {
            let number = text.trim().parse().ok();
            number.filter(|number| (1..=SPRITES_PER_PAYLOAD_MAX).contains(number))
        };
        match (one(from), one(to)) {
            (Some(from), Some(to)) if from <= to => Ok(Self { from, to }),
            _ => Err(format!(
                "{text:?}: expected a number from 1 to {SPRITES_PER_PAYLOAD_MAX}, or the first and \
                 the last of several, such as 1..5"
            )),
        }
    }
}

/// What the messages of a crowd say.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// Which reactions.
    pub mix: Mix,
    /// How many of one.
    pub counts: Counts,
    /// Which of the runs that these settings have.
    pub seed: u64,
}

impl Words {
    /// The reaction of a message by its number from 0, and how many of it.
    #[must_use]
    pub fn of(&self, number: u64) -> (&str, u32) {
        let reactions = &self.mix.reactions;
        let whole = reactions.last().map_or(0.0, |(_, sum)| *sum);
        let drawn = whole * unit(self.seed, number, WHICH);
        let found = reactions.partition_point(|(_, sum)| *sum <= drawn);
        let (name, _) = &reactions[found.min(reactions.len() - 1)];
        let Counts { from, to } = self.counts;
        let span = f64::from(to - from + 1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..span"
        )]
        let more = (span * unit(self.seed, number, HOW_MANY)) as u32;
        (name, from + more)
    }
}

/// A number in `0..1` that is as good as random.
fn unit(seed: u64, number: u64, what: u32) -> f64 {
    let id = SpriteId {
        page: seed,
        sequence: number,
        index: what,
    };
    id.unit(crate::scatter::Lane::LEFT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURVES: [Curve; 3] = [Curve::Steady, Curve::Ramp, Curve::Spike];

    fn schedule(curve: Curve, rate: f64, seconds: u64) -> Schedule {
        Schedule::new(curve, rate, Duration::from_secs(seconds), 7).unwrap()
    }

    /// Messages that are due in each second.
    fn each_second(schedule: &Schedule, seconds: usize) -> Vec<u32> {
        let mut counts = vec![0; seconds];
        for at in schedule.times() {
            counts[usize::try_from(at.as_secs()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn steady_is_the_rate_in_each_second() {
        let schedule = schedule(Curve::Steady, 500.0, 30);
        assert_eq!(schedule.count(), 15_000);
        assert_eq!(each_second(&schedule, 30), [500; 30]);
    }

    #[test]
    fn a_ramp_goes_up_to_the_rate() {
        let schedule = schedule(Curve::Ramp, 1_000.0, 10);
        assert_eq!(schedule.count(), 5_000);
        let expected: Vec<u32> = (0..10).map(|second| 50 + 100 * second).collect();
        assert_eq!(each_second(&schedule, 10), expected);
    }

    #[test]
    fn a_spike_is_a_goal_at_a_quarter_of_the_time() {
        let counts = each_second(&schedule(Curve::Spike, 1_000.0, 120), 120);
        assert!(counts[..30].iter().all(|count| *count == 100), "{counts:?}");
        // Up within two seconds: a quarter and three quarters of the way, on average.
        assert!((300..=350).contains(&counts[30]), "{counts:?}");
        assert!((750..=800).contains(&counts[31]), "{counts:?}");
        assert!((920..=960).contains(&counts[32]), "{counts:?}");
        // Down from there, but for the places of a few messages.
        assert!(counts[32..].is_sorted_by(|a, b| *a + 4 >= *b), "{counts:?}");
        // What it is said to be: half of the peak is left 6.4 s after it.
        let half_at = 32.0 + 10.0 * (f64::powf(0.5, -1.0 / 1.4) - 1.0);
        assert!((half_at - 38.4).abs() < 0.05);
        assert!((530..=570).contains(&counts[38]), "{counts:?}");
        // The curve by its formula, in the middle of each second.
        for (second, count) in counts.iter().enumerate().skip(33) {
            let after = f64::from(u32::try_from(second).unwrap()) + 0.5 - 32.0;
            let rate = 100.0 + 900.0 * (1.0 + after / 10.0).powf(-1.4);
            let off = (f64::from(*count) - rate).abs();
            assert!(off <= 2.0 + 0.006 * rate, "{second}: {count}, not {rate}");
        }
    }

    #[test]
    fn a_short_goal_reaches_its_peak_too() {
        let schedule = schedule(Curve::Spike, 10_000.0, 1);
        let within = |from: u64, to: u64| {
            let due = schedule.times();
            due.filter(|at| (u128::from(from)..u128::from(to)).contains(&at.as_millis()))
                .count()
        };
        assert!((248..=252).contains(&within(0, 250)));
        assert!(within(340, 360) > 190);
    }

    #[test]
    fn what_makes_no_schedule_is_refused() {
        let one = Duration::from_secs(1);
        let new = |rate, time| Schedule::new(Curve::Steady, rate, time, 0);
        assert_eq!(new(0.9, one), Err(ScheduleError::Empty));
        assert_eq!(new(1e9, one), Err(ScheduleError::TooMany(1_000_000_000)));
        assert_eq!(new(1e6, one * 100).unwrap().count(), MESSAGES_MAX);
    }

    #[test]
    fn a_mix_and_counts_are_drawn_in_their_shares() {
        let words = Words {
            mix: "heart=5, fire=1,❤️=0.5".parse().unwrap(),
            counts: "2..4".parse().unwrap(),
            seed: 1,
        };
        let mut names = std::collections::BTreeMap::new();
        let mut numbers = [0; 6];
        for number in 0..65_000 {
            let (name, count) = words.of(number);
            *names.entry(name.to_owned()).or_insert(0) += 1;
            numbers[count as usize] += 1;
        }
        let near = |count: i32, expected: i32| (count - expected).abs() < expected / 20;
        assert!(near(names["heart"], 50_000) && near(names["fire"], 10_000));
        assert!(near(names["❤️"], 5_000), "{names:?}");
        assert!(numbers[2..5].iter().all(|count| near(*count, 21_667)));
        assert_eq!(numbers[..2], [0, 0]);
        assert_eq!(numbers[5], 0);
    }

    #[test]
    fn values_that_cannot_be_taken_say_what_can() {
        for text in [
            "",
            "heart=",
            "=1",
            "heart=0",
            "heart=-1",
            "heart=nan",
            "a=1,,b",
            "a\nb=1",
        ] {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(error.contains("heart=5,fire=1"), "{text:?}: {error}");
        }
        assert!("a,".repeat(64).parse::<Mix>().is_err());
        for text in ["", "0", "1001", "5..1", "1..", "1..1001", "x"] {
            let error = text.parse::<Counts>().unwrap_err();
            assert!(error.contains("1 to 1000"), "{text:?}: {error}");
        }
        assert!(
            "Steady"
                .parse::<Curve>()
                .unwrap_err()
                .contains("steady, ramp or spike")
        );
    }

    proptest! {
        #[test]
        fn times_are_sorted_within_the_duration_and_as_many_as_the_integral(
            curve in 0..3_usize,
            rate in 0.5..20_000.0_f64,
            milliseconds in 100..30_000_u64,
            seed: u64,
        ) {
            let duration = Duration::from_millis(milliseconds);
            let curve = CURVES[curve];
            // The trapezia between corners, summed by themselves.
            let corners = curve.corners(rate, duration.as_secs_f64());
            let area = |pair: &[[f64; 2]]| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0;
            let integral: f64 = corners.windows(2).map(area).sum();
            let Ok(schedule) = Schedule::new(curve, rate, duration, seed) else {
                prop_assert!(integral < 1.0);
                return Ok(());
            };
            let times: Vec<_> = schedule.times().collect();
            prop_assert_eq!(times.len() as u64, schedule.count());
            prop_assert!((integral - times.len() as f64).abs() <= 1.0);
            prop_assert!(times.is_sorted());
            prop_assert!(times.last().is_none_or(|at| *at <= duration));
            prop_assert_eq!(times, schedule.times().collect::<Vec<_>>());
            // Up to any corner there are as many as the integral up to there, give or take one.
            let mut sum = 0.0;
            for pair in corners.windows(2) {
                sum += area(pair);
                let due = schedule.times().filter(|at| at.as_secs_f64() < pair[1][0]).count();
                prop_assert!((due as f64 - sum).abs() <= 1.01, "{} of {}", due, sum);
            }
        }
    }
}
