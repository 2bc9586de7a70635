//! From a sprite's sRGB to the programme's colours: primaries, transfer and matrix.

use crate::planes::Range;

/// The weights of R and B in luma (ITU-T H.273, 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixCoefficients {
    /// ITU-R BT.601-7, 2.5.1: H.273's values 5 and 6.
    Bt601,
    /// ITU-R BT.709-6, 3.2: value 1.
    Bt709,
    /// ITU-R BT.2020-2, table 4, with non-constant luminance: value 9.
    Bt2020,
    /// United States FCC, 73.682: value 4.
    Fcc,
    /// SMPTE ST 240: value 7.
    Smpte240,
}

/// What a programme's signal means as light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// That of sprites, or near to it.
    Sdr,
    /// Perceptual quantization: ITU-R BT.2100-2, table 4, and SMPTE ST 2084.
    Pq,
    /// Hybrid log-gamma: ITU-R BT.2100-2, table 5, on a display of 1000 cd/m².
    Hlg,
}

/// The chromaticities of a programme's R, G and B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primaries {
    /// ITU-R BT.709-6, as sRGB's; and all others that are taken to be like it.
    Bt709,
    /// ITU-R BT.2020-2.
    Bt2020,
}

/// Where a chroma sample is among the pixels of its cell, named as ffmpeg's `AVChromaLocation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Siting {
    /// In the left column, midway between rows: MPEG-2, H.264 and later if not told otherwise.
    #[default]
    Left,
    /// Midway between columns and rows: MPEG-1 and JPEG.
    Center,
    /// On the upper left pixel: BT.2020-2 and PAL DV.
    TopLeft,
    /// In the upper row, midway between columns.
    Top,
    /// On the lower left pixel.
    BottomLeft,
    /// In the lower row, midway between columns.
    Bottom,
}

/// What a programme's samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// The levels of luma and chroma, and those of R, G and B, which are rarely limited.
    pub range: Range,
    /// The weights of R, G and B in luma; R, G and B themselves have none.
    pub matrix: MatrixCoefficients,
    /// What the signal means as light.
    pub transfer: Transfer,
    /// What R, G and B are.
    pub primaries: Primaries,
    /// Where chroma samples are.
    pub siting: Siting,
}

impl MatrixCoefficients {
    /// The weights of R and B; that of G is what they leave.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
            Self::Fcc => (0.30, 0.11),
            Self::Smpte240 => (0.212, 0.087),
        }
    }
}

/// One channel's level as a function of premultiplied R, G, B and of alpha, all of them 0 to 255,
/// times 255.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) weights: [f32; 3],
    /// The level of black.
    pub(super) black: f32,
}

/// The rows of Y or R, Cb or G, Cr or B, and A, in samples of so many bits (H.273, 8.3).
pub(super) fn rows(colour: &Colour, bits: u32, is_yuv: bool) -> [Row; 4] {
    let most = f64::from((1_u32 << bits) - 1);
    let unit = f64::from(1_u32 << (bits - 8));
    let (black, luma, chroma) = match colour.range {
        Range::Limited => (16.0 * unit, 219.0 * unit, 224.0 * unit),
        Range::Full => (0.0, most, most),
    };
    #[expect(clippy::cast_possible_truncation, reason = "floats of fewer bits")]
    let row = |weights: [f64; 3], scale: f64, black: f64| Row {
        weights: weights.map(|weight| (weight * scale) as f32),
        black: black as f32,
    };
    let alpha = row([0.0; 3], 0.0, most);
    if is_yuv {
        let (kr, kb) = colour.matrix.weights();
        let kg = 1.0 - kr - kb;
        let half = |k: f64| 2.0 * (1.0 - k);
        let cb = [-kr / half(kb), -kg / half(kb), 0.5];
        let cr = [0.5, -kg / half(kr), -kb / half(kr)];
        let mid = 128.0 * unit;
        [
            row([kr, kg, kb], luma, black),
            row(cb, chroma, mid),
            row(cr, chroma, mid),
            alpha,
        ]
    } else {
        let of = |weights| row(weights, luma, black);
        [
            of([1.0, 0.0, 0.0]),
            of([0.0, 1.0, 0.0]),
            of([0.0, 0.0, 1.0]),
            alpha,
        ]
    }
}
