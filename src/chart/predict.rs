//! What each thing that may happen to a colour makes of it. Levels are 0 to 255, and fractions of
//! them.

use std::fmt;

use crate::pixel::{linear_to_srgb, srgb_to_linear};

/// R, G and B, in levels.
pub(super) type Rgb = [f64; 3];

/// How often colour was multiplied by alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Not at all; when the chart was put over something, once, as it should be.
    Straight,
    /// Once.
    Premultiplied,
    /// Twice: premultiplied frames were taken for straight ones, and multiplied again.
    Twice,
    /// It was divided by alpha, or not multiplied when it should have been: straight frames were
    /// taken for premultiplied ones.
    Unmultiplied,
}

impl Treatment {
    /// A straight colour as it is stored, at an alpha from 0 to 1.
    pub(super) fn stored(self, colour: Rgb, alpha: f64) -> Rgb {
        let factor = match self {
            Self::Straight => 1.0,
            Self::Premultiplied => alpha,
            Self::Twice => alpha * alpha,
            Self::Unmultiplied if alpha > 0.0 => 1.0 / alpha,
            Self::Unmultiplied => 0.0,
        };
        colour.map(|level| (level * factor).min(255.0))
    }

    /// A straight colour as it is added to what is below, in either case of alpha.
    fn added(self, colour: Rgb, alpha: f64) -> Rgb {
        match self {
            Self::Unmultiplied if alpha > 0.0 => colour,
            Self::Twice => Self::Twice.stored(colour, alpha),
            _ => Self::Premultiplied.stored(colour, alpha),
        }
    }
}

/// How a colour was mixed with a background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blend {
    /// In sRGB levels, as a web page, ffmpeg and most mixers do.
    Srgb,
    /// Multiplied by alpha in sRGB levels and added in linear light: OBS Studio's default.
    Obs,
    /// In linear light.
    Linear,
}

impl Blend {
    pub(super) const ALL: [Self; 3] = [Self::Srgb, Self::Obs, Self::Linear];

    /// A straight colour over a background, at an alpha from 0 to 1.
    pub(super) fn over(
        self,
        colour: Rgb,
        alpha: f64,
        treatment: Treatment,
        background: Rgb,
    ) -> Rgb {
        let below = |level: f64| match self {
            Self::Srgb => level * (1.0 - alpha),
            Self::Obs | Self::Linear => linear(level) * (1.0 - alpha),
        };
        let below = background.map(below);
        let mut out = match self {
            Self::Srgb => treatment.added(colour, alpha),
            Self::Obs => treatment.added(colour, alpha).map(linear),
            // In linear light a premultiplied frame that is taken for a straight one is the
            // straight one of its darker colour.
            Self::Linear if treatment == Treatment::Twice => {
                let darker = Treatment::Premultiplied.stored(colour, alpha);
                Treatment::Straight.added(darker.map(linear), alpha)
            }
            Self::Linear => treatment.added(colour.map(linear), alpha),
        };
        for (out, below) in out.iter_mut().zip(below) {
            *out += below;
        }
        match self {
            Self::Srgb => out.map(|level| level.min(255.0)),
            Self::Obs | Self::Linear => out.map(encoded),
        }
    }
}

/// A level of sRGB in linear light, from 0 to 255 (IEC 61966-2-1).
fn linear(level: f64) -> f64 {
    255.0 * srgb_to_linear(level / 255.0)
}

/// The inverse of [`linear`]; what is above 255 is cut off.
fn encoded(linear: f64) -> f64 {
    255.0 * linear_to_srgb(linear.min(255.0) / 255.0)
}

/// A matrix of R′G′B′ to `Y′CbCr`: the luma coefficients of red and blue.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Matrix(f64, f64);

/// ITU-R BT.601-7, 2.5.1.
const BT601: Matrix = Matrix(0.299, 0.114);

/// ITU-R BT.709-6, 3.2.
const BT709: Matrix = Matrix(0.2126, 0.0722);

/// Colours that were encoded with one matrix and decoded with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixMistake {
    /// Encoded by BT.709, decoded by BT.601.
    Bt709ReadAsBt601,
    /// Encoded by BT.601, decoded by BT.709.
    Bt601ReadAsBt709,
}

impl fmt::Display for MatrixMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bt709ReadAsBt601 => "BT.709 read as BT.601",
            Self::Bt601ReadAsBt709 => "BT.601 read as BT.709",
        })
    }
}

/// Levels that were written in one range and read in another: limited is 16 to 235, and 16 to 240
/// for chroma; full is 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeMistake {
    /// Black is grey, and white is too.
    LimitedReadAsFull,
    /// What is dark is black, and what is bright is white.
    FullReadAsLimited,
}

impl RangeMistake {
    /// What a level of luma, alpha or of a key becomes.
    pub(super) fn level(self, level: f64) -> f64 {
        match self {
            Self::LimitedReadAsFull => 16.0 + level * 219.0 / 255.0,
            Self::FullReadAsLimited => ((level - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0),
        }
    }
}

impl fmt::Display for RangeMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LimitedReadAsFull => "limited range read as full",
            Self::FullReadAsLimited => "full range read as limited",
        })
    }
}

/// What went wrong with colours between R′G′B′ and R′G′B′; nothing, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colours {
    /// With the matrix.
    pub matrix: Option<MatrixMistake>,
    /// With the range.
    pub range: Option<RangeMistake>,
}

impl Colours {
    /// Every combination, those with fewer mistakes first.
    pub(super) fn all() -> Vec<Self> {
        let matrices = [
            None,
            Some(MatrixMistake::Bt709ReadAsBt601),
            Some(MatrixMistake::Bt601ReadAsBt709),
        ];
        let ranges = [
            None,
            Some(RangeMistake::LimitedReadAsFull),
            Some(RangeMistake::FullReadAsLimited),
        ];
        let pairs = matrices
            .into_iter()
            .flat_map(|matrix| ranges.map(|range| Self { matrix, range }));
        let mut all: Vec<Self> = pairs.collect();
        all.sort_by_key(|colours| colours.mistakes());
        all
    }

    /// How many things went wrong, 0 to 2.
    #[must_use]
    pub fn mistakes(self) -> usize {
        usize::from(self.matrix.is_some()) + usize::from(self.range.is_some())
    }

    /// A colour that went this way.
    pub(super) fn through(self, colour: Rgb) -> Rgb {
        let (written, read) = match self.matrix {
            // Which one does not matter, as long as it is the same.
            None => (BT709, BT709),
            Some(MatrixMistake::Bt709ReadAsBt601) => (BT709, BT601),
            Some(MatrixMistake::Bt601ReadAsBt709) => (BT601, BT709),
        };
        let [r, g, b] = colour;
        let luma = written.0 * r + (1.0 - written.0 - written.1) * g + written.1 * b;
        let cb = (b - luma) / (1.0 - written.1);
        let cr = (r - luma) / (1.0 - written.0);
        let (luma, chroma) = match self.range {
            None => (luma, 1.0),
            Some(mistake @ RangeMistake::LimitedReadAsFull) => (mistake.level(luma), 224.0 / 255.0),
            // Not cut off before it is a colour again.
            Some(RangeMistake::FullReadAsLimited) => ((luma - 16.0) * 255.0 / 219.0, 255.0 / 224.0),
        };
        let r = luma + chroma * cr * (1.0 - read.0);
        let b = luma + chroma * cb * (1.0 - read.1);
        let g = (luma - read.0 * r - read.1 * b) / (1.0 - read.0 - read.1);
        [r, g, b].map(|level| level.clamp(0.0, 255.0))
    }

    /// The way back.
    pub(super) fn undone(self) -> Self {
        Self {
            matrix: self.matrix.map(|mistake| match mistake {
                MatrixMistake::Bt709ReadAsBt601 => MatrixMistake::Bt601ReadAsBt709,
                MatrixMistake::Bt601ReadAsBt709 => MatrixMistake::Bt709ReadAsBt601,
            }),
            range: self.range.map(|mistake| match mistake {
                RangeMistake::LimitedReadAsFull => RangeMistake::FullReadAsLimited,
                RangeMistake::FullReadAsLimited => RangeMistake::LimitedReadAsFull,
            }),
        }
    }
}

impl fmt::Display for Colours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.matrix, self.range) {
            (None, None) => f.write_str("right"),
            (Some(matrix), None) => matrix.fmt(f),
            (None, Some(range)) => range.fmt(f),
            (Some(matrix), Some(range)) => write!(f, "{matrix}, and {range}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: Rgb, expected: Rgb) {
        let far = got.iter().zip(expected).any(|(g, e)| (g - e).abs() > 0.6);
        assert!(!far, "{got:?}, expected {expected:?}");
    }

    fn matrix(mistake: MatrixMistake) -> Colours {
        Colours {
            matrix: Some(mistake),
            range: None,
        }
    }

    fn range(mistake: RangeMistake) -> Colours {
        Colours {
            matrix: None,
            range: Some(mistake),
        }
    }

    /// Levels by a calculator, from the coefficients in the Recommendations.
    #[test]
    fn mistakes_of_matrix_and_range_are_those_of_the_formulas() {
        let red = [255.0, 0.0, 0.0];
        near(Colours::default().through(red), red);
        // Luma 0.2126, Cb -0.1146, Cr 0.5; then R is 0.2126 + 0.5 * 1.402, and B 0.2126 - 0.1146 *
        // 1.772.
        let wrong = matrix(MatrixMistake::Bt709ReadAsBt601).through(red);
        near(wrong, [233.0, 0.0, 2.4]);
        // Luma 0.587, Cr -0.41869, Cb -0.33126; then 0.587 - 0.41869 * 1.5748, and so on.
        let wrong = matrix(MatrixMistake::Bt601ReadAsBt709).through([0.0, 255.0, 0.0]);
        near(wrong, [0.0, 215.4, 0.0]);
        let grey = [128.0; 3];
        for mistake in [
            MatrixMistake::Bt709ReadAsBt601,
            MatrixMistake::Bt601ReadAsBt709,
        ] {
            near(matrix(mistake).through(grey), grey);
        }
        let wrong = range(RangeMistake::LimitedReadAsFull);
        near(wrong.through([0.0; 3]), [16.0; 3]);
        near(wrong.through([255.0; 3]), [235.0; 3]);
        let wrong = range(RangeMistake::FullReadAsLimited);
        near(wrong.through([16.0; 3]), [0.0; 3]);
        near(wrong.through([64.0; 3]), [55.9; 3]);
    }

    #[test]
    fn what_is_not_cut_off_comes_back() {
        for colours in Colours::all() {
            for colour in [[90.0, 120.0, 150.0], [128.0; 3], [160.0, 120.0, 100.0]] {
                near(colours.undone().through(colours.through(colour)), colour);
            }
        }
    }

    #[test]
    fn a_colour_over_a_background_is_as_measured_in_obs() {
        let white = [255.0; 3];
        let half = 128.0 / 255.0;
        let over =
            |blend: Blend, background| blend.over(white, half, Treatment::Straight, background)[0];
        assert!((over(Blend::Srgb, white) - 255.0).abs() < 0.1);
        assert!((over(Blend::Obs, white) - 220.0).abs() < 1.0, "the halo");
        assert!((over(Blend::Linear, white) - 255.0).abs() < 0.1);
        assert!((over(Blend::Srgb, [0.0; 3]) - 128.0).abs() < 0.1);
        assert!((over(Blend::Obs, [0.0; 3]) - 128.0).abs() < 0.1);
        assert!((over(Blend::Linear, [0.0; 3]) - 188.0).abs() < 1.0);
        for blend in Blend::ALL {
            let under = blend.over(white, 0.0, Treatment::Unmultiplied, [10.0, 20.0, 30.0]);
            near(under, [10.0, 20.0, 30.0]);
        }
        let twice = Blend::Srgb.over(white, half, Treatment::Twice, [255.0, 0.0, 0.0]);
        near(twice, [191.3, 64.3, 64.3]);
        let added = Blend::Srgb.over([100.0; 3], half, Treatment::Unmultiplied, [50.0; 3]);
        near(added, [124.9; 3]);
    }
}
