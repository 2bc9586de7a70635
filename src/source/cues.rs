//! Timed metadata in a recording or a live stream: ID3 in MPEG transport streams and HLS.
//!
//! That is what Amazon IVS makes of `PutMetadata`, and what its player raises as
//! `TEXT_METADATA_CUE`: an `ID3v2` tag for each cue, in a stream of its own, with the time stamp of the
//! picture that it belongs to (Timed Metadata for HTTP Live Streaming, Apple; `ID3v2.4`). Which of the
//! tag's frames has the text is not documented, so all that can have one are read.

#[cfg(feature = "ffmpeg")]
mod play;
#[cfg(feature = "ffmpeg")]
mod reading;

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::address::AddressError;
use crate::shown;

/// An input with cues: `cues:rec.ts`, `cues:https://HOST/rec.m3u8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(OsString);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::new(
                "cues: expected a file or an address after it, such as cues:recording.ts",
            ));
        }
        if let Ok(url) = reqwest::Url::parse(text)
            && (url.password().is_some() || !url.username().is_empty())
        {
            return Err(AddressError::new(
                "cues: user and password don't belong into an address, which is shown; a key after \
                 ? is not",
            ));
        }
        Ok(Self::new(text.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = shown::address(&self.0.to_string_lossy());
        write!(f, "cues:{shown}")
    }
}

impl Address {
    /// A file or an address that libavformat opens.
    #[must_use]
    pub fn new(input: OsString) -> Self {
        Self(input)
    }

    /// Whether it is on a network, and not a file.
    #[cfg(feature = "ffmpeg")]
    fn is_remote(&self) -> bool {
        self.0.to_string_lossy().contains("://")
    }
}

/// One cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it is due, from the first picture on, or the first sound where there is no picture.
    pub at: Duration,
    /// Its own time stamp, and which of the cues with that one it is: the same each time
    /// that the input is read.
    pub stamp: (Duration, u32),
    /// The texts of its tag.
    pub texts: Vec<String>,
}

#[cfg(feature = "ffmpeg")]
pub use self::play::Replay;
#[cfg(feature = "ffmpeg")]
pub use self::reading::Cues;
