//! What is on stage at one frame, and what draws it.

use std::sync::Arc;

use crate::cast::Placement;
use crate::frame::Frame;
use crate::paint::Painter;

/// What is on stage at one frame's time.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The frame's.
    pub index: u64,
    /// In order of drawing.
    pub placements: Vec<Placement>,
}

/// Draws moments.
#[derive(Clone, Debug)]
pub struct Artist {
    painter: Painter,
}

impl Artist {
    /// One that draws with this painter.
    #[must_use]
    pub fn new(painter: Painter) -> Self {
        Self { painter }
    }

    /// Draws one moment on each of these frames, in place of what is on them. One that somebody
    /// else holds stays as it is.
    pub fn draw(&mut self, moment: &Moment, frames: &mut [Arc<Frame>]) {
        let mut painting = self.painter.paint(moment.placements.iter().copied());
        for frame in frames.iter_mut().filter_map(Arc::get_mut) {
            painting.draw(frame);
        }
    }
}
