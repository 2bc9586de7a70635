//! Values as a person writes them, parsed once. The same text is taken from a flag, an
//! environment variable and the settings file, with the same message when it is wrong.

use std::ffi::OsString;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::aws::Arn;
use crate::frame::{FieldOrder, FrameRate, Scan, Size};
use crate::motion::{FONT_SIZE_PX, Range};
use crate::output::Target;
use crate::scene::SCALE_FACTOR;
use crate::shown;
use crate::source::WEIGHT;
use crate::topic::{NAME_BYTES_MAX, is_name};

/// A value that a TOML string or number is parsed to, by the same `FromStr` as a flag's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<T>(pub T);

impl<T: FromStr> FromStr for Text<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Self)
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<T>, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Text<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text<T>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text<T>, E> {
        self.visit_str(&value.to_string())
    }
}

/// A whole number in `MIN..=MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Whole<MIN, MAX> {
    /// The number, of a range that ends far below.
    pub(super) fn small(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// The number as a count of things in memory.
    pub(super) fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Whole<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected a whole number from {MIN} to {MAX}"))
    }
}

/// Size, rate and scan by one name, as SMPTE ST 274 and ST 296 and switchers have them: the
/// height, `p` or `i`, and frames a second, or fields of an interlaced picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VideoMode {
    pub size: Size,
    pub rate: FrameRate,
    /// Interlaced pictures of these heights have their top field first.
    pub scan: Scan,
}

impl FromStr for VideoMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "{text:?}: expected a video mode such as 720p50, 1080i50, 1080i5994, 1080p2997 or \
                 2160p60"
            )
        };
        let sizes = [
            ("720", 1280, 720),
            ("1080", 1920, 1080),
            ("2160", 3840, 2160),
        ];
        let mut sizes = sizes.into_iter();
        let size = |(name, width, height)| Some((text.strip_prefix(name)?, width, height));
        let (rest, width, height) = sizes.find_map(size).ok_or_else(error)?;
        let (num, den) = match rest.get(1..) {
            Some("2398") => (24_000, 1_001),
            Some("24") => (24, 1),
            Some("25") => (25, 1),
            Some("2997") => (30_000, 1_001),
            Some("30") => (30, 1),
            Some("50") => (50, 1),
            Some("5994") => (60_000, 1_001),
            Some("60") => (60, 1),
            _ => return Err(error()),
        };
        let (scan, den) = match (&rest[..1], height, num >= 50 * den) {
            ("p", ..) => (Scan::Progressive, den),
            ("i", 1080, true) => (Scan::Interlaced(FieldOrder::TopFirst), 2 * den),
            _ => return Err(error()),
        };
        Ok(Self {
            size: Size::new(width, height).map_err(|_| error())?,
            rate: FrameRate::new(num, den).map_err(|_| error())?,
            scan,
        })
    }
}

/// A rate of 0.01 to 1,000,000 a second: `500/s`, or `500`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PerSecond(pub f64);

impl FromStr for PerSecond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text).trim();
        let rate = number.parse().ok();
        rate.filter(|rate| (0.01..=1e6).contains(rate))
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?}: expected a rate from 0.01/s to 1000000/s, such as 500/s")
            })
    }
}

/// A time of 100 ms to a day: `250ms`, `1.5s`, `10m` or `2h`; seconds, without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The longer of two that end alike comes first.
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
        let of_unit = |(unit, seconds): &(&str, f64)| Some((text.strip_suffix(unit)?, *seconds));
        let (number, unit) = units.iter().find_map(of_unit).unwrap_or((text, 1.0));
        let seconds = number.trim().parse().ok().map(|number: f64| number * unit);
        seconds
            .filter(|seconds| (0.1..=86_400.0).contains(seconds))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?}: expected a time from 100ms to 24h, such as 30s, 1.5s or 10m")
            })
    }
}

/// A font size in px, in [`FONT_SIZE_PX`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FontSize(pub f64);

impl FromStr for FontSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|px| FONT_SIZE_PX.contains(px))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected a font size from 1 to 1000 px, such as 30"))
    }
}

/// Device pixels to a CSS px.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScaleFactor(pub f64);

impl FromStr for ScaleFactor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|factor| SCALE_FACTOR.contains(factor))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected a scale factor from 0.25 to 8, such as 2"))
    }
}

/// Ranges by the name of a custom property: `sway=10px..29px,turn=-30deg..29deg`, or a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Vary(pub Vec<(String, Range)>);

impl Vary {
    fn add(&mut self, name: &str, range: &str) -> Result<(), String> {
        let name = name.trim();
        let name = name.strip_prefix("--").unwrap_or(name);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!(
                "{name:?}: expected the name of a custom property, of letters, digits, - and _"
            ));
        }
        if self.0.iter().any(|(other, _)| other == name) {
            return Err(format!("{name:?} is given twice: expected each name once"));
        }
        let range = range.trim().parse();
        let range = range.map_err(|e| format!("{name}: {e}"))?;
        self.0.push((name.into(), range));
        Ok(())
    }
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut vary = Self::default();
        for part in text.split(',') {
            let Some((name, range)) = part.split_once('=') else {
                return Err(format!(
                    "{part:?}: expected a name and its range, such as sway=10px..29px"
                ));
            };
            vary.add(name, range)?;
        }
        Ok(vary)
    }
}

impl<'de> Deserialize<'de> for Vary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VaryVisitor)
    }
}

struct VaryVisitor;

impl<'de> Visitor<'de> for VaryVisitor {
    type Value = Vary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names and ranges, such as { sway = \"10px..29px\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vary, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vary, A::Error> {
        let mut vary = Vary::default();
        while let Some((name, range)) = map.next_entry::<String, String>()? {
            vary.add(&name, &range).map_err(A::Error::custom)?;
        }
        Ok(vary)
    }
}

/// An address and port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("{text:?}: expected an IP address and a port, such as 127.0.0.1:8787")
        })
    }
}

/// The name of a cache, a topic or a channel: one segment of a URL's path, 1 to 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "{text:?}: expected a name of 1 to {NAME_BYTES_MAX} bytes without slashes or control \
                 characters, and not . or .."
            ))
        }
    }
}

/// An `http` or `https` address without query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl(pub reqwest::Url);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        reqwest::Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "{:?}: expected an http or https address without query, such as \
                     http://127.0.0.1:8787",
                    shown::address(text)
                )
            })
    }
}

/// Where timed metadata goes: the ARN of an Amazon IVS channel, perhaps with `?endpoint=URL` of what
/// speaks for AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetadataAddress {
    pub channel: Arn,
    pub endpoint: Option<reqwest::Url>,
}

impl FromStr for MetadataAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (arn, query) = text.split_once('?').unwrap_or((text, ""));
        let channel = Arn::parse(arn, "ivs", "channel").map_err(|error| error.to_string())?;
        let endpoint = match query {
            "" => None,
            query => {
                let url = query.strip_prefix("endpoint=");
                let url = url.and_then(|url| reqwest::Url::parse(url).ok());
                let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
                Some(url.ok_or_else(|| format!("?{query}: expected ?endpoint=http://HOST"))?)
            }
        };
        Ok(Self { channel, endpoint })
    }
}

/// How often each reaction of a source counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weight(pub f64);

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|weight| WEIGHT.contains(weight))
            .map(Self)
            .ok_or_else(|| {
                let (least, most) = WEIGHT.into_inner();
                format!("{text:?}: expected a number from {least} to {most}, such as 0.5")
            })
    }
}

/// A share of a whole that is not nothing: 0.01 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fraction(pub f64);

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|share| (0.01..=1.0).contains(share))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected a number from 0.01 to 1, such as 0.5"))
    }
}

/// A constant rate factor: 0 to 51 or 63 by the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crf(pub f32);

impl FromStr for Crf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|crf| (0.0..=63.0).contains(crf))
            .map(Self)
            .ok_or_else(|| format!("{text:?}: expected a number from 0 to 63, such as 23"))
    }
}

/// A size of even sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EvenSize(pub Size);

impl FromStr for EvenSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let even = |size: &Size| size.width().is_multiple_of(2) && size.height().is_multiple_of(2);
        text.parse().ok().filter(even).map(Self).ok_or_else(|| {
            format!(
                "{text:?}: expected WIDTHxHEIGHT, such as 1080x1920, each an even number from 2 to \
                 {}",
                Size::MAX
            )
        })
    }
}

/// One option of an encoder: `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncoderOption {
    pub name: String,
    pub value: String,
}

impl FromStr for EncoderOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        text.split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(plain))
            .map(|(name, value)| Self {
                name: name.into(),
                value: value.into(),
            })
            .ok_or_else(|| {
                format!(
                    "{text:?}: expected an option's name and value, such as x264-params=bframes=2"
                )
            })
    }
}

/// Reads what libav is to open, or `-` for the stream of that name; a path need not be text.
pub(super) fn place(stream: &'static str) -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(move |place| match place.is_empty() {
        true => Err(format!("expected a path, an address, or - for {stream}")),
        false => Ok(place),
    })
}

/// Reads where frames go; a path need not be text.
pub(super) fn target() -> impl TypedValueParser<Value = Target> {
    OsStringValueParser::new().try_map(|name| Target::new(&name))
}

/// The value of a switch.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("{text:?}: expected true or false"))
}

/// Text that must not reach a log: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret's text, as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Say where it goes, at the place that asks.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
