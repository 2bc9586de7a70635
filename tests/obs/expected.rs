//! A picture that OBS ought to show, and whether a screenshot is that.

use image::{Pixel as _, Rgb, RgbImage, RgbaImage};

use crate::blend::Blend;

/// Inside is what has so many pixels of its own colour to every side; all else is edge, whose
/// traces a codec that works in blocks leaves around it.
const INSIDE_PX: usize = 16;

/// How far a screenshot may be off, in levels of any channel: inside areas of one colour and
/// alpha, and at edges and in gradients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within {
    pub(crate) inside: u8,
    pub(crate) edges: u8,
}

/// A frame with straight alpha over a background.
pub(crate) struct Expected {
    picture: RgbImage,
    /// For each pixel, line by line.
    inside: Vec<bool>,
    within: Within,
}

impl Expected {
    pub(crate) fn new(
        frame: &RgbaImage,
        background: Rgb<u8>,
        blend: Blend,
        within: Within,
    ) -> Self {
        Self {
            picture: blend.picture(frame, background),
            inside: inside(frame),
            within,
        }
    }

    /// What an error tells of is the pixel that is furthest beyond what it may be off.
    pub(crate) fn check(&self, shown: &RgbaImage) -> Result<(), String> {
        assert_eq!(shown.dimensions(), self.picture.dimensions());
        let pixels = self.picture.enumerate_pixels().zip(&self.inside);
        let beyond = pixels.filter_map(|((x, y, expected), &inside)| {
            let off = difference(*expected, shown.get_pixel(x, y).to_rgb());
            let (within, place) = match inside {
                true => (self.within.inside, "inside"),
                false => (self.within.edges, "at an edge"),
            };
            (off > within).then(|| (off - within, off, place, (x, y)))
        });
        let Some((_, off, place, (x, y))) = beyond.max_by_key(|(beyond, ..)| *beyond) else {
            return Ok(());
        };
        let is = &shown.get_pixel(x, y).0[..3];
        let expected = self.picture.get_pixel(x, y).0;
        Err(format!(
            "({x}, {y}), {place}: {is:?} in place of {expected:?}, {off} levels off"
        ))
    }
}

/// The most that any channel is off.
fn difference(a: Rgb<u8>, b: Rgb<u8>) -> u8 {
    let off = a.0.iter().zip(b.0).map(|(a, b)| a.abs_diff(b));
    off.max().unwrap_or(0)
}

/// Whether each pixel is inside, line by line. Beyond the frame's sides there is no other colour.
fn inside(frame: &RgbaImage) -> Vec<bool> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let pixels: Vec<_> = frame.pixels().collect();
    let across: Vec<bool> = pixels.chunks(width).flat_map(middles).collect();
    let mut inside = vec![false; across.len()];
    for x in 0..width {
        let column = (0..height).map(|y| y * width + x);
        let line: Vec<_> = column.map(|at| (pixels[at], across[at])).collect();
        for (y, middle) in middles(&line).into_iter().enumerate() {
            inside[y * width + x] = middle && line[y].1;
        }
    }
    inside
}

/// What of a line has only its like to both sides.
fn middles<T: PartialEq>(line: &[T]) -> Vec<bool> {
    let mut middles = Vec::with_capacity(line.len());
    for run in line.chunk_by(|a, b| a == b) {
        let (begin, end) = (middles.len(), middles.len() + run.len());
        let first = if begin == 0 { 0 } else { begin + INSIDE_PX };
        let beyond = if end == line.len() {
            end
        } else {
            end.saturating_sub(INSIDE_PX)
        };
        middles.extend((begin..end).map(|at| (first..beyond).contains(&at)));
    }
    middles
}
