//! A still picture with patches of known colour and alpha.

use image::{Rgba, RgbaImage};

use crate::configuration::SIZE;

/// Opaque and half-transparent, in a row from left to right.
const PATCHES: [[u8; 4]; 9] = [
    [255, 255, 255, 255],
    [255, 255, 255, 128],
    [255, 255, 255, 64],
    [0, 255, 0, 128],
    [0, 0, 0, 128],
    [255, 0, 0, 191],
    [128, 128, 128, 255],
    [64, 64, 64, 255],
    [0, 255, 0, 255],
];

const PATCHES_LEFT: u32 = 10;
const PATCH_STEP: u32 = 70;
const PATCH_WIDTH: u32 = 60;

const RAMP_LEFT: u32 = 64;

/// Centre and radius.
const DISC: (f64, f64, f64) = (74.5, 254.5, 50.0);

const CLEAR: [u8; 4] = [0; 4];

/// The patches; below them a ramp of white from clear to opaque, and a red disc with a soft edge.
pub(crate) fn still() -> RgbaImage {
    RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        Rgba(match y {
            60..120 => patch(x),
            130..150 => ramp(x),
            200..310 => disc(x, y),
            _ => CLEAR,
        })
    })
}

fn patch(x: u32) -> [u8; 4] {
    let x = x.wrapping_sub(PATCHES_LEFT);
    let patch = PATCHES.get((x / PATCH_STEP) as usize);
    let inside = x % PATCH_STEP < PATCH_WIDTH;
    *patch.filter(|_| inside).unwrap_or(&CLEAR)
}

/// Two pixels a level.
fn ramp(x: u32) -> [u8; 4] {
    let level = u8::try_from(x.wrapping_sub(RAMP_LEFT) / 2);
    level.map_or(CLEAR, |level| [255, 255, 255, level])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no more of a pixel is covered than all, and no less than nothing"
)]
fn disc(x: u32, y: u32) -> [u8; 4] {
    let (left, top, radius) = DISC;
    let away = (f64::from(x) - left).hypot(f64::from(y) - top);
    let covered = (radius + 0.5 - away).clamp(0.0, 1.0);
    match (covered * 255.0).round() as u8 {
        0 => CLEAR,
        alpha => [255, 0, 0, alpha],
    }
}

/// The same to look at, with the colour of what is next to it in what is clear: samples of chroma
/// are interpolated, so that the colour of a clear pixel is not without effect.
pub(crate) fn with_colour_beyond_edges(picture: &RgbaImage) -> RgbaImage {
    let mut filled = picture.clone();
    for _ in 0..4 {
        let before = filled.clone();
        for (x, y, pixel) in filled.enumerate_pixels_mut() {
            let around = [(0, 1), (2, 1), (1, 0), (1, 2)].into_iter();
            let mut around = around.filter_map(|(dx, dy)| {
                before.get_pixel_checked((x + dx).wrapping_sub(1), (y + dy).wrapping_sub(1))
            });
            if pixel.0 == CLEAR {
                let colored = around.find(|other| other.0 != CLEAR);
                if let Some(Rgba([red, green, blue, _])) = colored {
                    *pixel = Rgba([*red, *green, *blue, 0]);
                }
            }
        }
    }
    filled
}
