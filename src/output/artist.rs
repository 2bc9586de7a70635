//! What is on stage at one frame, and what draws it.

use std::sync::Arc;

use crate::cast::Placement;
use crate::chart::Chart;
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

/// Draws moments, or a test chart in their place.
#[derive(Clone, Debug)]
pub struct Artist {
    painter: Painter,
    chart: Option<Chart>,
}

impl Artist {
    /// One that draws what is on stage with this painter; or the chart, if there is one.
    #[must_use]
    pub fn new(painter: Painter, chart: Option<Chart>) -> Self {
        Self { painter, chart }
    }

    /// Draws one moment on each of these frames, in place of what is on them. One that somebody
    /// else holds stays as it is.
    pub fn draw(&mut self, moment: &Moment, frames: &mut [Arc<Frame>]) {
        let frames = frames.iter_mut().filter_map(Arc::get_mut);
        if let Some(chart) = &self.chart {
            frames.for_each(|frame| chart.draw(moment.index, frame));
            return;
        }
        let mut painting = self.painter.paint(moment.placements.iter().copied());
        frames.for_each(|frame| painting.draw(frame));
    }
}
