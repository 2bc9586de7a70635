//! What `floatup render` makes of the log: it is what burnt-in pictures are to show.

use std::fs;
use std::path::Path;

use super::SEED;
use crate::floatup::{run, stderr};

/// Premultiplied R, G, B, A of one moment.
pub(super) type Overlay = Vec<[u8; 4]>;

/// Those of the first frames at a rate.
pub(super) fn overlays(
    folder: &Path,
    size: (usize, usize),
    rate: &str,
    frames: usize,
) -> Vec<Overlay> {
    overlays_at(folder, size, rate, frames, "")
}

/// The same with further arguments, as words.
pub(super) fn overlays_at(
    folder: &Path,
    size: (usize, usize),
    rate: &str,
    frames: usize,
    more: &str,
) -> Vec<Overlay> {
    let look = format!("--alpha premultiplied {more}");
    let bytes = render(folder, size, rate, frames, &look);
    let pixels = bytes.as_chunks::<4>().0.chunks_exact(size.0 * size.1);
    let overlays: Vec<_> = pixels.map(<[_]>::to_vec).collect();
    assert_eq!(overlays.len(), frames);
    overlays
}

/// The log as raw frames, in `overlay.rgba` too.
pub(super) fn render(
    folder: &Path,
    (width, height): (usize, usize),
    rate: &str,
    frames: usize,
    look: &str,
) -> Vec<u8> {
    let arguments = format!(
        "render {look} --size {width}x{height} --fps {rate} --frames {frames} \
         log.ndjson overlay.rgba"
    );
    let arguments: Vec<_> = arguments.split_whitespace().chain(SEED).collect();
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read(folder.join("overlay.rgba")).unwrap()
}
