//! Live sprites of one channel.

use std::fmt;
use std::str::FromStr;

/// What happens to a new sprite when the stage is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The oldest sprite leaves early, so that the newest reaction is always seen.
    #[default]
    RetireOldest,
    /// The new sprite is not drawn, so that every flight that began is finished.
    DropNewest,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RetireOldest => "retire-oldest",
            Self::DropNewest => "drop-newest",
        })
    }
}

impl FromStr for Overflow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "retire-oldest" => Ok(Self::RetireOldest),
            "drop-newest" => Ok(Self::DropNewest),
            _ => Err(format!(
                "overflow {text:?}: expected retire-oldest or drop-newest"
            )),
        }
    }
}
