//! What is on stage at one frame, and what draws it.

use std::sync::Arc;

use crate::cast::Placement;
use crate::chart::Chart;
use crate::flash::FlashGuard;
use crate::frame::{Frame, FrameRate, Scan, weave};
use crate::paint::Painter;
use crate::stage::Stage;

/// What is on stage at one frame's time.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The frame's.
    pub index: u64,
    /// In order of drawing.
    pub placements: Vec<Placement>,
    /// Half a frame later, for the second field of an interlaced frame.
    pub second_field: Vec<Placement>,
    /// How opaque all of it is, in `0.0..=1.0`.
    pub opacity: f64,
}

impl Default for Moment {
    fn default() -> Self {
        Self {
            index: 0,
            placements: Vec::new(),
            second_field: Vec::new(),
            opacity: 1.0,
        }
    }
}

impl Moment {
    /// Sees what is on stage at its frame's time.
    pub fn see(&mut self, stage: &Stage, rate: FrameRate, scan: Scan) {
        self.opacity = stage.limits().opacity_max;
        self.placements.clear();
        self.placements
            .extend(stage.placements(rate.pts(self.index)));
        self.second_field.clear();
        if scan != Scan::Progressive {
            let pts = rate.second_field_pts(self.index);
            self.second_field.extend(stage.placements(pts));
        }
    }

    /// Makes it fainter if it would flash too often after those that this was told of before it.
    pub fn guard(&mut self, flashes: &mut FlashGuard, rate: FrameRate) {
        self.opacity = flashes.opacity(&self.placements, self.opacity, rate.pts(self.index));
    }

    /// How many placements there are.
    pub(super) fn sprites(&self) -> usize {
        self.placements.len() + self.second_field.len()
    }
}

/// Draws moments, or a test chart in their place.
#[derive(Clone, Debug)]
pub struct Artist {
    painter: Painter,
    scan: Scan,
    chart: Option<Chart>,
    /// Of interlaced frames of each kind, both fields.
    fields: Vec<[Frame; 2]>,
}

impl Artist {
    /// One that draws what is on stage with this painter; or the chart, if there is one, in which
    /// both fields are of one time.
    #[must_use]
    pub fn new(painter: Painter, scan: Scan, chart: Option<Chart>) -> Self {
        Self {
            painter,
            scan,
            chart,
            fields: Vec::new(),
        }
    }

    /// Lets a frame pass that another artist has drawn ([`Painter::pass`]).
    pub(super) fn pass(&mut self) {
        self.painter.pass();
    }

    /// Draws one moment on each of these frames, in place of what is on them. One that somebody
    /// else holds stays as it is.
    pub fn draw(&mut self, moment: &Moment, frames: &mut [Arc<Frame>]) {
        let mut frames = frames.iter_mut().filter_map(Arc::get_mut);
        match (&self.chart, self.scan) {
            (Some(chart), _) => frames.for_each(|frame| chart.draw(moment.index, frame)),
            (None, Scan::Progressive) => {
                let painting = self.painter.paint(moment.placements.iter().copied());
                let mut painting = painting.faded(moment.opacity);
                frames.for_each(|frame| painting.draw(frame));
            }
            (None, Scan::Interlaced(order)) => {
                for frame in &mut frames {
                    let fields = fields_of(&mut self.fields, frame);
                    let placements = [&moment.placements, &moment.second_field];
                    for (field, placements) in fields.iter_mut().zip(placements) {
                        let painting = self.painter.paint(placements.iter().copied());
                        painting.faded(moment.opacity).draw(field);
                    }
                    weave(&fields[0], &fields[1], order, frame);
                }
            }
        }
    }
}

/// The fields of a frame's kind.
fn fields_of<'f>(all: &'f mut Vec<[Frame; 2]>, frame: &Frame) -> &'f mut [Frame; 2] {
    let kind = |frame: &Frame| (frame.size(), frame.alpha(), frame.format());
    let found = all.iter().position(|[first, _]| kind(first) == kind(frame));
    let at = found.unwrap_or_else(|| {
        let clear = Frame::new(frame.size(), frame.alpha(), frame.format());
        all.push([clear.clone(), clear]);
        all.len() - 1
    });
    &mut all[at]
}
