//! Keying sample by sample in floats of 64 bits, from the specifications' own formulas.

use super::picture::Picture;
use crate::frame::Frame;
use crate::keyer::{Colour, MatrixCoefficients, Parity, Primaries, Rows, Siting, Transfer};
use crate::planes::Range;

/// A sprite's colour, straight sRGB 0 to 1, as the programme's signal 0 to 1.
pub(super) fn signal(colour: &Colour, rgb: [f64; 3]) -> [f64; 3] {
    if (colour.transfer, colour.primaries) == (Transfer::Sdr, Primaries::Bt709) {
        return rgb;
    }
    let mut light = rgb.map(|v| match v {
        v if v <= 0.04045 => v / 12.92,
        v => ((v + 0.055) / 1.055).powf(2.4),
    });
    if colour.primaries == Primaries::Bt2020 {
        let [r, g, b] = light;
        light = [
            0.6274 * r + 0.3293 * g + 0.0433 * b,
            0.0691 * r + 0.9195 * g + 0.0114 * b,
            0.0164 * r + 0.0880 * g + 0.8956 * b,
        ];
    }
    match colour.transfer {
        Transfer::Sdr => light.map(|v| match v {
            v if v <= 0.0031308 => v * 12.92,
            v => 1.055 * v.powf(1.0 / 2.4) - 0.055,
        }),
        Transfer::Pq => light.map(|v| {
            let power = (v * 0.0203).powf(0.159_301_757_812_5);
            let fraction = (0.835_937_5 + 18.851_562_5 * power) / (1.0 + 18.6875 * power);
            fraction.powf(78.843_75)
        }),
        Transfer::Hlg => {
            let display = light.map(|v| v * 0.203);
            let [r, g, b] = display;
            let luminance = 0.2627 * r + 0.6780 * g + 0.0593 * b;
            if luminance == 0.0 {
                return [0.0; 3];
            }
            // Display light is the scene's times the 0.2th power of the scene's luminance.
            let scene_luminance = luminance.powf(1.0 / 1.2);
            display.map(|v| {
                let scene = v / scene_luminance.powf(0.2);
                if scene <= 1.0 / 12.0 {
                    (3.0 * scene).sqrt()
                } else {
                    0.17883277 * (12.0 * scene - 0.28466892).ln() + 0.55991073
                }
            })
        }
    }
}

/// A channel's level of an opaque colour: Y or R, Cb or G, Cr or B.
pub(super) fn level(colour: &Colour, bits: u32, is_yuv: bool, n: usize, rgb: [f64; 3]) -> f64 {
    let most = f64::from((1_u32 << bits) - 1);
    let unit = 2.0_f64.powi(i32::try_from(bits).unwrap() - 8);
    let whole = |v: f64| match colour.range {
        Range::Limited => (219.0 * v + 16.0) * unit,
        Range::Full => most * v,
    };
    let [r, g, b] = rgb;
    let (kr, kb) = match colour.matrix {
        MatrixCoefficients::Bt601 => (0.299, 0.114),
        MatrixCoefficients::Bt709 => (0.2126, 0.0722),
        MatrixCoefficients::Bt2020 => (0.2627, 0.0593),
        MatrixCoefficients::Fcc => (0.3, 0.11),
        MatrixCoefficients::Smpte240 => (0.212, 0.087),
    };
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    match (is_yuv, n) {
        (false, n) => whole(rgb[n]),
        (true, 0) => whole(y),
        (true, n) => {
            let difference = if n == 1 {
                (b - y) / 2.0 / (1.0 - kb)
            } else {
                (r - y) / 2.0 / (1.0 - kr)
            };
            let scale = match colour.range {
                Range::Limited => 224.0 * unit,
                Range::Full => most,
            };
            scale * difference + 128.0 * unit
        }
    }
}

/// The pixels around a place and their weights, where samples are `step` pixels apart.
fn weights(place: f64, step: usize) -> Vec<(i64, f64)> {
    #[expect(clippy::cast_possible_truncation, reason = "places are small")]
    let first = place.floor() as i64;
    let fraction = place - place.floor();
    match step {
        1 => vec![(first, 1.0)],
        2 if fraction == 0.0 => vec![(first - 1, 0.25), (first, 0.5), (first + 1, 0.25)],
        2 => vec![(first, 1.0 - fraction), (first + 1, fraction)],
        4 if fraction == 0.0 => (-3..=3_i32)
            .map(|n| (first + i64::from(n), f64::from(4 - n.abs()) / 16.0))
            .collect(),
        _ => (-1..3).map(|n| (first + n, 0.25)).collect(),
    }
}

/// What each sample of a channel is to be; none for those that stay as they are.
pub(super) fn keyed(
    picture: &Picture,
    colour: &Colour,
    overlay: &Frame,
    origin: (u32, u32),
    rows: Rows,
    n: usize,
) -> Vec<Vec<Option<f64>>> {
    let (width, height) = (
        i64::from(picture.size.width()),
        i64::from(picture.size.height()),
    );
    let (first, step) = match rows {
        Rows::All => (0, 1),
        Rows::Field(Parity::Top) => (0, 2),
        Rows::Field(Parity::Bottom) => (1, 2),
    };
    let field_rows = (height - first + step - 1) / step;
    let bits = picture.format.bits();
    let is_yuv = picture.format.is_yuv();
    // The premultiplied signal and alpha of a pixel of the field, within the picture.
    let pixel = |x: i64, row: i64| {
        let (x, y) = (
            x - i64::from(origin.0),
            row * step + first - i64::from(origin.1),
        );
        let size = overlay.size();
        if x < 0 || y < 0 || x >= i64::from(size.width()) || y >= i64::from(size.height()) {
            return ([0.0; 3], 0.0);
        }
        let at = usize::try_from(y * i64::from(size.width()) + x).unwrap();
        let [r, g, b, a] = overlay.pixels()[at].map(f64::from);
        if a == 0.0 {
            return ([0.0; 3], 0.0);
        }
        let straight = [r / a, g / a, b / a];
        (signal(colour, straight), a / 255.0)
    };
    let (cell_width, cell_height) = match (is_yuv, n) {
        (true, 1 | 2) => picture.format.cell(),
        _ => (1, 1),
    };
    let (cell_width, cell_height) = (i64::from(cell_width), i64::from(cell_height));
    let samples = picture.samples(n);
    let mut expected: Vec<Vec<Option<f64>>> =
        samples.iter().map(|row| vec![None; row.len()]).collect();
    for (plane_row, line) in (0_i64..).zip(&mut expected) {
        if plane_row % step != first {
            continue;
        }
        let index = usize::try_from(plane_row).unwrap();
        let field_row = plane_row / step;
        let down = match colour.siting {
            _ if cell_height == 1 => 0.0,
            Siting::TopLeft | Siting::Top => 0.0,
            Siting::Left | Siting::Center => 0.5,
            Siting::BottomLeft | Siting::Bottom => 1.0,
        };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let row_place = ((plane_row * cell_height) as f64 + down - first as f64) / step as f64;
        for (column, out) in (0_i64..).zip(line.iter_mut()) {
            let across = match (colour.siting, cell_width) {
                (Siting::Center | Siting::Top | Siting::Bottom, 2) => 0.5,
                (Siting::Center | Siting::Top | Siting::Bottom, 4) => 1.5,
                _ => 0.0,
            };
            let mut shows = false;
            for row in (field_row * cell_height..).take(usize::try_from(cell_height).unwrap()) {
                for x in (column * cell_width..).take(usize::try_from(cell_width).unwrap()) {
                    shows |= x < width && row < field_rows && pixel(x, row).1 > 0.0;
                }
            }
            if !shows {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let column_place = (column * cell_width) as f64 + across;
            let (mut over, mut alpha, mut below) = (0.0, 0.0, 0.0);
            let most = f64::from((1_u32 << bits) - 1);
            let row_step = usize::try_from(cell_height).unwrap();
            for (row, row_weight) in weights(row_place, row_step) {
                let column_step = usize::try_from(cell_width).unwrap();
                for (x, weight) in weights(column_place, column_step) {
                    let weight = weight * row_weight;
                    let (x, row) = (x.clamp(0, width - 1), row.clamp(0, field_rows - 1));
                    let (rgb, a) = pixel(x, row);
                    over += weight * a * level(colour, bits, is_yuv, n.min(2), rgb);
                    alpha += weight * a;
                    let under = if picture.format.has_alpha() {
                        let row = usize::try_from(row * step + first).unwrap();
                        f64::from(picture.samples(3)[row][usize::try_from(x).unwrap()]) / most
                    } else {
                        1.0
                    };
                    below += weight * (1.0 - a) * under;
                }
            }
            let before = f64::from(samples[index][usize::try_from(column).unwrap()]);
            *out = Some(if n == 3 {
                (alpha + before / most * (1.0 - alpha)) * most
            } else {
                ((over + before * below) / (alpha + below)).min(most)
            });
        }
    }
    expected
}
