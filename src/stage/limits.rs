//! What a stage takes on, and what happens beyond that.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Of [`Limits::sprites_max`], one part in so many is kept for sprites that fade out.
const LEAVING_SHARE: usize = 8;

/// What gives way when the stage is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// An old sprite fades out, the new one comes.
    #[default]
    RetireOldest,
    /// The new sprite isn't drawn.
    DropNewest,
    /// A sprite of the same emoji that came on within the last half second shows how many it stands
    /// for: `×37`. If there is none, an old one fades out and the new one comes.
    Aggregate,
    /// The new sprite waits for room.
    Queue,
}

impl Overflow {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::RetireOldest,
        Self::DropNewest,
        Self::Aggregate,
        Self::Queue,
    ];

    /// The word for it, the same everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RetireOldest => "retire-oldest",
            Self::DropNewest => "drop-newest",
            Self::Aggregate => "aggregate",
            Self::Queue => "queue",
        }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Overflow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| {
            format!("overflow {text:?}: expected retire-oldest, drop-newest, aggregate or queue")
        })
    }
}

/// Bounds of a [`Stage`](super::Stage), and what happens at each. They may change while it plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Sprites at once, 1 or more. An eighth of these places is kept for sprites that fade out, so
    /// that none has to vanish; `overflow` says what happens when all others are taken.
    pub sprites_max: usize,
    /// What happens when the stage is full.
    pub overflow: Overflow,
    /// With [`Overflow::Queue`], how many sprites wait at most. Of more, the newest of those that
    /// have most isn't drawn.
    pub queue_max: usize,
    /// With [`Overflow::Queue`], how long a sprite waits at most. It isn't drawn after that.
    pub queue_age: Duration,
    /// How much of the frame the boxes of all sprites may cover together, in `0.0..`, where 1 is
    /// its whole area; `None` for no bound. The stage is full at this one too, but takes one sprite
    /// in any case.
    pub coverage_max: Option<f64>,
    /// Over how long the sprites of one message come on at most: see [`Stage::spawn`](super::Stage::spawn).
    pub spread: Duration,
    /// How opaque the picture is at most, in `0.0..=1.0`: everything is drawn this much fainter.
    pub opacity_max: f64,
    /// Whether no more than three flashes a second are let through: see [`flash`](crate::flash).
    pub flash_guard: bool,
    /// Whether a row of emoji with how many there were of late is shown in place of sprites.
    pub quiet: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sprites_max: 1_000,
            overflow: Overflow::default(),
            queue_max: 1_000,
            queue_age: Duration::from_secs(5),
            coverage_max: None,
            spread: Duration::ZERO,
            opacity_max: 1.0,
            flash_guard: false,
            quiet: false,
        }
    }
}

impl Limits {
    /// Sprites that are not fading out, at once.
    pub(super) fn places(&self) -> usize {
        self.sprites_max - self.sprites_max / LEAVING_SHARE
    }
}
