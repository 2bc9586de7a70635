//! What a burn-in is asked to do.

use std::ffi::OsString;
use std::time::Duration;

use crate::frame::Size;

/// By how much later than they came reactions appear, or earlier. From text: `8s`, `250ms`,
/// `-1.5s`, or seconds alone; at most an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// How long.
    pub by: Duration,
    /// Whether earlier.
    pub earlier: bool,
}

/// Which frame a reaction appears in. From text: `arrival` or `pts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The next.
    #[default]
    Arrival,
    /// The one of its own time stamp, where it and the programme have one.
    Pts,
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

/// The part of the picture that sprites stay within.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Region {
    /// All of it.
    #[default]
    Full,
    // To be completed.
}

/// Pixels of a picture: even numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// Its width and height.
    pub size: Size,
}

/// Bits a second. From text: `6M`, `2500k` or a whole number; 1 k to 1 G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitrate(pub u64);

/// How pictures are coded; what is `None` is as the input suggests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coding {
    /// An encoder or a codec by libavcodec's name.
    pub codec: Option<String>,
    /// Bits a second.
    pub bitrate: Option<Bitrate>,
    /// Constant rate factor, 0 to 63.
    pub crf: Option<f32>,
    /// The encoder's preset.
    pub preset: Option<String>,
    /// What the encoder is tuned for.
    pub tune: Option<String>,
    /// Pictures from one from which decoding can begin to the next, 1 to 100,000.
    pub gop: Option<u32>,
    /// Other options of the encoder, by name.
    pub options: Vec<(String, String)>,
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// A file, `-`, or an address.
    pub target: OsString,
    /// libavformat's name of its muxer.
    pub container: Option<String>,
    /// Its size, if that isn't the input's.
    pub size: Option<Size>,
    /// How it is brought to that size.
    pub fit: Fit,
    /// How it is coded.
    pub coding: Coding,
}
