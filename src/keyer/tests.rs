//! Every format and colour against a reference of its own.

mod picture;
mod reference;

use proptest::prelude::*;

use self::picture::{Noise, Picture, frame, overlay};
use super::*;
use crate::planes::Range;

const RANGES: [Range; 2] = [Range::Limited, Range::Full];
const MATRICES: [MatrixCoefficients; 5] = [
    MatrixCoefficients::Bt601,
    MatrixCoefficients::Bt709,
    MatrixCoefficients::Bt2020,
    MatrixCoefficients::Fcc,
    MatrixCoefficients::Smpte240,
];
const TRANSFERS: [Transfer; 3] = [Transfer::Sdr, Transfer::Pq, Transfer::Hlg];
const PRIMARIES: [Primaries; 2] = [Primaries::Bt709, Primaries::Bt2020];
const SITINGS: [Siting; 6] = [
    Siting::Left,
    Siting::Center,
    Siting::TopLeft,
    Siting::Top,
    Siting::BottomLeft,
    Siting::Bottom,
];
const ROWS: [Rows; 3] = [
    Rows::All,
    Rows::Field(Parity::Top),
    Rows::Field(Parity::Bottom),
];
const SDR: Colour = Colour {
    range: Range::Limited,
    matrix: MatrixCoefficients::Bt709,
    transfer: Transfer::Sdr,
    primaries: Primaries::Bt709,
    siting: Siting::Left,
};

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

fn formats() -> impl Iterator<Item = PictureFormat> {
    PictureFormat::names().map(|name| PictureFormat::named(name).unwrap())
}

/// Keys an overlay at every SIMD level, and gives what became of the picture.
fn key(
    picture: &Picture,
    colour: Colour,
    overlay: &Frame,
    origin: (u32, u32),
    rows: Rows,
) -> Picture {
    let key = |level| {
        let mut out = picture.clone();
        let mut keyer = Keyer::new(picture.size, picture.format, colour).with_simd(level);
        keyer.key(overlay, origin, rows, &mut out.planes_mut());
        out
    };
    let truth = key(SimdLevel::scalar());
    for level in SimdLevel::available() {
        assert!(key(level) == truth, "{level}, {}", picture.format);
    }
    truth
}

/// How far from the nearest level of the reference a level may be: where that is nearly a half, the
/// one beside it is taken.
fn margin(colour: &Colour, bits: u32) -> f64 {
    let most = f64::from((1_u32 << bits) - 1);
    match (colour.transfer, colour.primaries) {
        (Transfer::Sdr, Primaries::Bt709) => most / f64::from(1 << 21),
        // Tables are in straight pieces.
        _ => most / f64::from(1 << 18),
    }
}

/// Keys an overlay, and holds each sample against the reference and all else against what it was.
fn check(picture: &Picture, colour: Colour, overlay: &Frame, origin: (u32, u32), rows: Rows) {
    let keyed = key(picture, colour, overlay, origin, rows);
    let spec = picture.format.spec();
    let margin = 0.5 + margin(&colour, spec.bits);
    let what = format!(
        "{} {}, overlay {} at {origin:?}, {rows:?}, {colour:?}",
        picture.format,
        picture.size,
        overlay.size()
    );
    // What is not to be touched, put back, leaves the picture as it was.
    let mut restored = keyed.clone();
    for (n, channel) in spec.channels.iter().enumerate() {
        let expected = reference::keyed(picture, &colour, overlay, origin, rows, n);
        let samples = keyed.samples(n);
        for (row, (samples, expected)) in samples.iter().zip(&expected).enumerate() {
            for (column, (sample, expected)) in samples.iter().zip(expected).enumerate() {
                let Some(expected) = expected else { continue };
                let off = f64::from(*sample) - expected;
                assert!(
                    off.abs() <= margin,
                    "channel {n}, row {row}, column {column}: {sample}, not {expected}; {what}"
                );
                let (from, stride) = &picture.planes[channel.plane];
                let bytes = spec.sample_bytes();
                let at = row * stride + (column * channel.step + channel.offset) * bytes;
                let to = &mut restored.planes[channel.plane].0[at..at + bytes];
                to.copy_from_slice(&from[at..at + bytes]);
            }
        }
    }
    assert!(restored == *picture, "all else is as it was; {what}");
}

#[test]
fn every_format_is_keyed_to_the_nearest_level() {
    let mut noise = Noise::new(1);
    for format in formats() {
        for (n, rows) in (0..).zip([0, 0, 1, 2, 0, 1]) {
            let colour = Colour {
                range: RANGES[n % 2],
                matrix: MATRICES[n % 5],
                siting: SITINGS[n],
                ..SDR
            };
            let (width, height) = (35 + noise.below(40), 7 + noise.below(9));
            let picture = Picture::noise(size(width, height), format, &mut noise);
            let overlay = overlay(picture.size, &mut noise);
            check(&picture, colour, &overlay, (0, 0), ROWS[rows]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_overlay_anywhere_is_keyed_to_the_nearest_level(
        seed: u32,
        format in 0..PictureFormat::names().count(),
        (width, height) in (1..90_u32, 1..24_u32),
        (across, down) in (0.0..1.0, 0.0..1.0),
        (x, y) in (0.0..1.0, 0.0..1.0),
        rows in prop::sample::select(&ROWS),
        range in prop::sample::select(&RANGES),
        matrix in prop::sample::select(&MATRICES),
        siting in prop::sample::select(&SITINGS),
        transfer in prop::sample::select(&TRANSFERS),
        primaries in prop::sample::select(&PRIMARIES),
    ) {
        let format = formats().nth(format).unwrap();
        let (cell_width, cell_height) = format.cell();
        let cell_height = if rows == Rows::All { cell_height } else { 2 * cell_height };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares of sides")]
        let share = |side: u32, share: f64, unit: u32| (f64::from(side) * share) as u32 / unit * unit;
        let origin = (share(width, x, cell_width), share(height, y, cell_height));
        // Most reach the picture's edge.
        let side = |most: u32, part: f64| most - share(most - 1, (part - 0.4).max(0.0), 1);
        let overlay_size = size(side(width - origin.0, across), side(height - origin.1, down));
        let mut noise = Noise::new(seed);
        let picture = Picture::noise(size(width, height), format, &mut noise);
        let overlay = overlay(overlay_size, &mut noise);
        let colour = Colour { range, matrix, transfer, primaries, siting };
        check(&picture, colour, &overlay, origin, rows);
    }
}
