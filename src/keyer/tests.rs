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

#[test]
fn white_is_at_reference_level_in_high_dynamic_range() {
    let format = PictureFormat::named("yuv444p16le").unwrap();
    for (transfer, expected) in [(Transfer::Pq, 0.580_7), (Transfer::Hlg, 0.75)] {
        let colour = Colour {
            transfer,
            primaries: Primaries::Bt2020,
            matrix: MatrixCoefficients::Bt2020,
            ..SDR
        };
        let picture = Picture::noise(size(16, 1), format, &mut Noise::new(1));
        let white = frame(picture.size, &[[255; 4]; 16]);
        let keyed = key(&picture, colour, &white, (0, 0), Rows::All);
        let [luma, cb, cr] = [0, 1, 2].map(|n| f64::from(keyed.samples(n)[0][0]) / 256.0);
        let signal = (luma - 16.0) / 219.0;
        assert!((signal - expected).abs() < 3e-4, "{transfer:?}: {signal}");
        assert!((cb - 128.0).abs() < 0.01 && (cr - 128.0).abs() < 0.01);
    }
}

#[test]
fn high_dynamic_range_is_that_of_exact_formulas() {
    let format = PictureFormat::named("yuv420p10le").unwrap();
    for transfer in TRANSFERS {
        let colour = Colour {
            transfer,
            primaries: Primaries::Bt2020,
            matrix: MatrixCoefficients::Bt2020,
            siting: Siting::TopLeft,
            ..SDR
        };
        let mut noise = Noise::new(7);
        let picture = Picture::noise(size(320, 180), format, &mut noise);
        let overlay = overlay(picture.size, &mut noise);
        let keyed = key(&picture, colour, &overlay, (0, 0), Rows::All);
        let (mut squares, mut count) = (0.0, 0.0);
        for n in 0..3 {
            let expected = reference::keyed(&picture, &colour, &overlay, (0, 0), Rows::All, n);
            let pairs = keyed
                .samples(n)
                .into_iter()
                .flatten()
                .zip(expected.into_iter().flatten());
            for (sample, expected) in pairs {
                let Some(expected) = expected else { continue };
                squares += ((f64::from(sample) - expected) / 1_023.0).powi(2);
                count += 1.0;
            }
        }
        let psnr = -10.0 * f64::log10(squares / count);
        // Rounding to whole levels alone is 71 dB.
        assert!(psnr >= 70.9, "{transfer:?}: {psnr} dB");
    }
}

#[test]
fn names_are_ffmpegs_and_say_what_a_format_has() {
    let mut names: Vec<_> = PictureFormat::names().collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "each once");
    assert!(PictureFormat::named("yuv410").is_none());
    let format = |name| PictureFormat::named(name).unwrap();
    let odd = size(161, 91);
    let expected = [
        ("yuv420p", 8, 3, (2, 2), vec![(161, 91), (81, 46), (81, 46)]),
        (
            "yuva422p10le",
            10,
            4,
            (2, 1),
            vec![(322, 91), (162, 91), (162, 91), (322, 91)],
        ),
        ("p010le", 10, 2, (2, 2), vec![(322, 91), (324, 46)]),
        ("uyvy422", 8, 1, (2, 1), vec![(324, 91)]),
        ("yuv411p", 8, 3, (4, 1), vec![(161, 91), (41, 91), (41, 91)]),
        ("rgb48le", 16, 1, (1, 1), vec![(966, 91)]),
        ("gbrap12le", 12, 4, (1, 1), vec![(322, 91); 4]),
        ("gray", 8, 1, (1, 1), vec![(161, 91)]),
    ];
    for (name, bits, planes, cell, extents) in expected {
        let format = format(name);
        assert_eq!(
            (format.bits(), format.planes(), format.cell()),
            (bits, planes, cell),
            "{name}"
        );
        let got: Vec<_> = (0..planes).map(|n| format.plane(n, odd)).collect();
        assert_eq!(got, extents, "{name}");
    }
}
