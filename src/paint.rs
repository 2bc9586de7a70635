//! Placements and a sprite sheet to pixels: the only door to them.
//!
//! The second of a browser's two stages (the first is [`sprite`](crate::sprite)): each upright
//! layer goes through one affine matrix, bilinear with float weights and clamped edges, times the
//! share of the pixel that the rotated rectangle covers, times opacity, source-over.
//! Layout positions are whole pixels, as a browser paints them; only the transform is finer.

mod blend;
mod outline;

use crate::frame::{Frame, Size};
use crate::motion::{Offset, Pose};
use crate::sprite::{BoxSize, Layer, SpriteSheet};
use crate::stage::Placement;

/// A frame that is drawn again and again; between two pictures only the rows that were touched
/// are cleared.
#[derive(Clone, Debug)]
pub struct Painter {
    sheet: SpriteSheet,
    frame: Frame,
}

impl Painter {
    /// A clear frame, to be drawn on with the pictures of `sheet`.
    #[must_use]
    pub fn new(sheet: SpriteSheet, size: Size) -> Self {
        Self {
            sheet,
            frame: Frame::new(size),
        }
    }

    /// Draws `placements` on an otherwise clear frame, later ones on top.
    ///
    /// A placement whose emoji isn't in the sheet draws nothing.
    pub fn paint(&mut self, placements: impl IntoIterator<Item = Placement>) -> &Frame {
        self.frame.clear();
        for placement in placements {
            let Some(layer) = self.sheet.layer(&placement.emoji) else {
                continue;
            };
            let matrix = device_matrix(&placement, self.sheet.box_size(), layer, self.frame.size());
            blend::composite(&mut self.frame, layer, matrix, placement.pose.opacity);
        }
        &self.frame
    }
}

/// From a point of the layer to a pixel of the frame.
///
/// `left` and `bottom` are layout: Blink keeps them in 1/64 px, truncated, and snaps the sum to
/// whole pixels when it paints. What is beyond any frame is brought to its edge, so that absurd
/// input stays finite.
fn device_matrix(placement: &Placement, box_size: BoxSize, layer: &Layer, size: Size) -> [f64; 6] {
    const FAR_PX: f64 = 1e7;
    let Pose {
        x,
        y,
        matrix: [a, b, c, d, e, f],
        ..
    } = placement.pose;
    let layout = |px: f64| (px.clamp(-FAR_PX, FAR_PX) * 64.0).trunc() / 64.0;
    let start = |offset, whole: u32, own| match offset {
        Offset::Start(px) => layout(px),
        Offset::End(px) => f64::from(whole) - own - layout(px),
    };
    let x = x.unwrap_or(Offset::Start(placement.left_px));
    let x = (start(x, size.width(), box_size.width) + 0.5).floor();
    let y = (start(y, size.height(), box_size.height) + 0.5).floor();
    let top = f64::from(layer.top);
    [a, b, c, d, e + x + c * top, f + y + d * top]
}
