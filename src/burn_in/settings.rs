//! What a burn-in is asked to do.

mod region;

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

pub use self::region::{Length, Rect, Region};
use crate::frame::Size;
use crate::shown;

/// By how much later than they came reactions appear, or earlier: at most [`Delay::MAX`].
///
/// From text: `8s`, `250ms`, `-1.5s`, or seconds alone; kept to the nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub by: Duration,
    /// Whether earlier; never of no time at all.
    pub earlier: bool,
}

impl Delay {
    /// The longest: an hour.
    pub const MAX: Duration = Duration::from_secs(3_600);

    /// The longest by which a reaction of a topic appears earlier: the programme is held back in
    /// memory for as long.
    pub const HELD_MAX: Duration = Duration::from_secs(60);
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.earlier {
            f.write_str("-")?;
        }
        let below_second = self.by.as_secs() == 0 && !self.by.is_zero();
        if below_second && self.by.subsec_nanos().is_multiple_of(1_000_000) {
            write!(f, "{}ms", self.by.as_millis())
        } else {
            write!(f, "{}s", self.by.as_secs_f64())
        }
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (earlier, time) = match text.strip_prefix('-') {
            Some(time) => (true, time),
            None => (false, text),
        };
        let (number, a_second) = match (time.strip_suffix("ms"), time.strip_suffix('s')) {
            (Some(number), _) => (number, 1_000.0),
            (None, Some(number)) => (number, 1.0),
            (None, None) => (time, 1.0),
        };
        let seconds = decimal(number).map(|number| number / a_second);
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|by| *by <= Self::MAX)
            .map(|by| Self {
                by,
                earlier: earlier && !by.is_zero(),
            })
            .ok_or_else(|| {
                format!(
                    "delay {text:?}: expected a time of at most an hour, such as 8s, 250ms or \
                     1.5s, or -8s for earlier"
                )
            })
    }
}

/// Which frame a reaction appears in. From text: `arrival` or `pts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The next.
    #[default]
    Arrival,
    /// The one of its own time stamp, where it and the programme have one (HLS's
    /// `EXT-X-PROGRAM-DATE-TIME`, RFC 8216, 4.3.2.6).
    Pts,
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arrival => "arrival",
            Self::Pts => "pts",
        })
    }
}

impl FromStr for Sync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "arrival" => Ok(Self::Arrival),
            "pts" => Ok(Self::Pts),
            _ => Err(format!("sync {text:?}: expected arrival or pts")),
        }
    }
}

/// What becomes of the outputs while the input is lost. From text: `wait`, `slate` or `exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInputLoss {
    /// They get nothing until it is back.
    Wait,
    /// They get a still picture until it is back.
    Slate,
    /// They are ended.
    Exit,
}

impl fmt::Display for OnInputLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Slate => "slate",
            Self::Exit => "exit",
        })
    }
}

impl FromStr for OnInputLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "wait" => Ok(Self::Wait),
            "slate" => Ok(Self::Slate),
            "exit" => Ok(Self::Exit),
            _ => Err(format!(
                "on input loss {text:?}: expected wait, slate or exit"
            )),
        }
    }
}

/// How a picture is brought to an output's size. From text: `contain`, `cover` or `stretch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// All of it, with black beside it.
    #[default]
    Contain,
    /// Without anything beside it, cut at two sides.
    Cover,
    /// All of it, distorted.
    Stretch,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contain => "contain",
            Self::Cover => "cover",
            Self::Stretch => "stretch",
        })
    }
}

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "contain" => Ok(Self::Contain),
            "cover" => Ok(Self::Cover),
            "stretch" => Ok(Self::Stretch),
            _ => Err(format!("fit {text:?}: expected contain, cover or stretch")),
        }
    }
}

/// Bits a second. From text: `6M`, `2.5M`, `2500k`, `1G` or a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// What is accepted: 1 k to 1 G.
    pub const RANGE: RangeInclusive<u64> = 1_000..=1_000_000_000;
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bits if bits.is_multiple_of(1_000_000) => write!(f, "{}M", bits / 1_000_000),
            bits if bits.is_multiple_of(1_000) => write!(f, "{}k", bits / 1_000),
            bits => write!(f, "{bits}"),
        }
    }
}

impl FromStr for Bitrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [('k', 1e3), ('M', 1e6), ('G', 1e9)];
        let with_unit = |(unit, bits)| Some((text.strip_suffix(unit)?, bits));
        let bits = match units.into_iter().find_map(with_unit) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "no sign, and what is out of range stays so"
            )]
            Some((number, bits)) => decimal(number).map(|number| (number * bits).round() as u64),
            None => text.parse().ok(),
        };
        let bits = bits.filter(|bits| Self::RANGE.contains(bits));
        bits.map(Self).ok_or_else(|| {
            format!(
                "bit rate {text:?}: expected bits a second from 1k to 1G, such as 6M, 2500k or \
                 2500000"
            )
        })
    }
}

/// How pictures are coded; what is `None` is as the input suggests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coding {
    /// An encoder or a codec by libavcodec's name, not empty.
    pub codec: Option<String>,
    /// Bits a second; never with `crf`.
    pub bitrate: Option<Bitrate>,
    /// Constant rate factor, 0 to 63.
    pub crf: Option<f32>,
    /// The encoder's preset, not empty.
    pub preset: Option<String>,
    /// What the encoder is tuned for, not empty.
    pub tune: Option<String>,
    /// Pictures from one from which decoding can begin to the next, 1 to 100,000.
    pub gop: Option<u32>,
    /// Other options of the encoder, by name, each name once.
    pub options: Vec<(String, String)>,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// A file, `-`, or an address; not empty.
    pub target: OsString,
    /// libavformat's name of its muxer, not empty.
    pub container: Option<String>,
    /// Its size, of even sides, if that isn't the input's.
    pub size: Option<Size>,
    /// How it is brought to that size.
    pub fit: Fit,
    /// How it is coded.
    pub coding: Coding,
}

impl OutputSettings {
    /// What it is called where it is spoken of.
    #[must_use]
    pub fn name(&self) -> String {
        shown::place(&self.target)
    }
}

/// A number of digits, perhaps with a point: no sign, no exponent.
fn decimal(text: &str) -> Option<f64> {
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    text.parse().ok().filter(|_| text.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};

    use super::*;

    fn delay(text: &str) -> Option<(u128, bool)> {
        let delay: Delay = text.parse().ok()?;
        Some((delay.by.as_nanos(), delay.earlier))
    }

    #[test]
    fn delays_are_read_and_bounded() {
        for (text, micros, earlier) in [
            ("8s", 8_000_000, false),
            ("8", 8_000_000, false),
            ("1.5", 1_500_000, false),
            ("250ms", 250_000, false),
            ("0.5ms", 500, false),
            ("-8s", 8_000_000, true),
            ("-1.5s", 1_500_000, true),
            ("-250ms", 250_000, true),
            ("0", 0, false),
            ("-0s", 0, false),
            ("3600s", 3_600_000_000, false),
            ("-3600000ms", 3_600_000_000, true),
        ] {
            assert_eq!(delay(text), Some((micros * 1_000, earlier)), "{text}");
        }
        for bad in [
            "",
            "-",
            "s",
            "ms",
            ".",
            "8 s",
            "8m",
            "8S",
            "--8s",
            "+8s",
            "1e3",
            "nan",
            "inf",
            "8ss",
            "1.5.5s",
            "3600.1s",
            "-3601s",
            "3600001ms",
            "8sms",
            "8mss",
            "９s",
        ] {
            assert_eq!(delay(bad), None, "{bad}");
        }
        let error = "8 m".parse::<Delay>().unwrap_err();
        for part in ["\"8 m\"", "an hour", "8s, 250ms or 1.5s", "-8s"] {
            assert!(error.contains(part), "{error}");
        }
        let told = |text: &str| text.parse::<Delay>().map(|delay| delay.to_string());
        for (text, expected) in [
            ("0ms", "0s"),
            ("-8000ms", "-8s"),
            ("0.25", "250ms"),
            ("1500ms", "1.5s"),
            ("-0.0005s", "-0.0005s"),
        ] {
            assert_eq!(told(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bit_rates_are_read_and_bounded() {
        let read = |text: &str| text.parse::<Bitrate>().ok().map(|rate| rate.0);
        for (text, bits) in [
            ("6M", 6_000_000),
            ("2.5M", 2_500_000),
            ("2500k", 2_500_000),
            ("0.001M", 1_000),
            ("1k", 1_000),
            ("1G", 1_000_000_000),
            ("128001", 128_001),
        ] {
            assert_eq!(read(text), Some(bits), "{text}");
        }
        for bad in [
            "",
            "M",
            "6m",
            "6 M",
            "-6M",
            "6MB",
            "6Mk",
            "0",
            "999",
            "0.9k",
            "1000000001",
            "1.1G",
            "99999999999999999999999G",
            "1e6",
            "128000.5",
            "nanM",
            "infk",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let error = "fast".parse::<Bitrate>().unwrap_err();
        assert!(
            error.contains("\"fast\"") && error.contains("from 1k to 1G"),
            "{error}"
        );
        for told in ["6M", "2500k", "128001", "1000M"] {
            let rate: Bitrate = told.parse().unwrap();
            assert_eq!(rate.to_string(), told);
        }
    }

    #[test]
    fn choices_are_read_as_they_are_told() {
        fn check<T: FromStr<Err = String> + fmt::Display>(names: &[&str]) {
            for name in names {
                let read: T = name.parse().unwrap();
                assert_eq!(read.to_string(), *name);
            }
            let error = "x".parse::<T>().err().unwrap();
            assert!(error.contains("\"x\""), "{error}");
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
        }
        check::<Sync>(&["arrival", "pts"]);
        check::<OnInputLoss>(&["wait", "slate", "exit"]);
        check::<Fit>(&["contain", "cover", "stretch"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_is_told_is_read_again(nanos in 0..=3_600_000_000_000_u64, earlier: bool, bits in Bitrate::RANGE) {
            let by = Duration::from_nanos(nanos);
            let delay = Delay { by, earlier: earlier && nanos > 0 };
            assert_eq!(delay.to_string().parse(), Ok(delay));
            let rate = Bitrate(bits);
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }
}
