//! No more than three flashes a second: sprites that would flash are drawn fainter.
//!
//! A *general flash* (WCAG 2.2, 2.3.1) is a pair of opposing changes of relative luminance by a tenth
//! or more of its greatest value, where the darker picture is below 0.80. Up to three of them are
//! allowed in any second, as is whatever flashes on less than a quarter of any 341 x 256 of a
//! display's 1024 x 768 pixels.
//!
//! What is under the overlay isn't known. What it changes is greatest over black where it is opaque
//! and bright, over white where it is dark, and over a grey where it is nearly clear: so it is watched
//! over all three, on a small picture of each frame. A change away from the background can be
//! prevented by less opacity, one back to it can't; so no second has more than three of the former,
//! and of pairs therefore no more either. What is drawn fainter comes back slowly.

mod watch;

use std::sync::Arc;
use std::time::Duration;

use self::watch::{Background, Grid, Watch};
use crate::cast::Placement;
use crate::frame::{Alpha, Frame, PixelFormat, Size};
use crate::paint::Painter;
use crate::pixel::SimdLevel;
use crate::sprite::SpriteSheet;

/// The display that the areas of WCAG are measured on, in px.
const DISPLAY: (f64, f64) = (1024.0, 768.0);

/// The side of what is watched as one, in px of that display.
const CELL_PX: f64 = 8.0;

/// How long what was drawn fainter takes to come back from nothing.
const RECOVERY: Duration = Duration::from_secs(1);

/// Decides how opaque each frame of a picture may be.
#[derive(Clone, Debug)]
pub struct FlashGuard {
    /// Cells to a px of the frame, at most 1.
    scale: f64,
    painter: Painter,
    small: Frame,
    watches: [Watch; 4],
    /// The opacity of the frame before, of 255, and its time.
    last: (f64, Duration),
    /// Whether nothing was on the frame before, and all watches are at rest.
    idle: bool,
}

impl FlashGuard {
    /// For frames of `size` on which sprites of this sheet are.
    #[must_use]
    pub fn new(sheet: &SpriteSheet, size: Size) -> Self {
        let (width, height) = (f64::from(size.width()), f64::from(size.height()));
        // Display px to a px of the frame, which is as large as fits.
        let shown = (DISPLAY.0 / width).min(DISPLAY.1 / height);
        let scale = (shown / CELL_PX).min(1.0);
        let small = small(size, scale);
        let grid = Grid::new(small, shown / scale);
        Self {
            scale,
            painter: Painter::new(Arc::new(sheet.reduced(1.0 / scale)), small),
            small: Frame::new(small, Alpha::Premultiplied, PixelFormat::Rgba),
            watches: Background::ALL.map(|background| Watch::new(grid, background)),
            last: (255.0, Duration::ZERO),
            idle: true,
        }
    }

    /// The same with the instructions of another level; nothing differs.
    #[must_use]
    pub fn with_level(mut self, level: SimdLevel) -> Self {
        self.painter = self.painter.with_level(level);
        self
    }

    /// How opaque the frame at media time `at` may be, in `0.0..=1.0`: `most`, or less if it would be
    /// the fourth flash of a second. Times must not go back from one call to the next.
    pub fn opacity(&mut self, placements: &[Placement], most: f64, at: Duration) -> f64 {
        let (before, then) = self.last;
        let back = at.saturating_sub(then).as_secs_f64() / RECOVERY.as_secs_f64();
        let wanted = (most.clamp(0.0, 1.0) * 255.0).round();
        let limit = wanted.min(before + back * 255.0);
        let mut level = limit;
        if !(placements.is_empty() && self.idle) {
            let scale = self.scale;
            let placements = placements.iter().map(|placement| placement.shrunk(scale));
            self.painter.paint(placements).draw(&mut self.small);
            let whole = self.level(limit, at);
            let watches = self.watches.iter_mut();
            watches.for_each(|watch| watch.go_on(&self.small, whole, at));
            self.idle = self.small.is_clear() && self.watches.iter().all(Watch::rests);
            // A slow return is less than a level from one frame to the next.
            if f64::from(whole) < limit.floor() {
                level = whole.into();
            }
        }
        self.last = (level, at);
        match level < wanted {
            true => level.floor() / 255.0,
            false => most,
        }
    }

    /// As opaque as the frame before was.
    #[must_use]
    pub fn last(&self) -> f64 {
        self.last.0.floor() / 255.0
    }

    /// The greatest of 255 levels of opacity, up to `most`, at which the small picture is no flash too
    /// many.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 255"
    )]
    fn level(&mut self, most: f64, at: Duration) -> u8 {
        let most = most.clamp(0.0, 255.0) as u8;
        let mut allows = |level: u8| {
            let mut watches = self.watches.iter_mut();
            watches.all(|watch| watch.allows(&self.small, level, at))
        };
        if allows(most) {
            return most;
        }
        // At 0 there is nothing to flash.
        let (mut good, mut bad) = (0, most);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if allows(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        good
    }
}

/// A frame's size in cells.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no larger than the frame's sides"
)]
fn small(size: Size, scale: f64) -> Size {
    let side = |px: u32| ((f64::from(px) * scale).ceil() as u32).clamp(1, px);
    Size::new(side(size.width()), side(size.height())).unwrap_or(size)
}
