//! From sRGB to a signal of other primaries or of high dynamic range, through linear light.

use super::colour::{Colour, Primaries, Transfer};
use crate::frame::BLOCK;
use crate::pixel::{linear_to_srgb, srgb_to_linear};

/// The luminance of a sprite's white, in cd/m² (ITU-R BT.2408-7, 2.1).
const WHITE: f64 = 203.0;

/// The peak of the display that HLG is made for, in cd/m² (BT.2100-2, table 5).
const HLG_PEAK: f64 = 1_000.0;

/// That display's system gamma (BT.2100-2, table 5, note 5f).
const HLG_GAMMA: f64 = 1.2;

/// The weights of BT.2020's R, G and B in luminance.
const LUMINANCE: [f32; 3] = [0.2627, 0.6780, 0.0593];

/// R, G, B of BT.709 to those of BT.2020 in linear light (ITU-R BT.2087-0, 2.2).
const TO_BT2020: [[f32; 3]; 3] = [
    [0.6274, 0.3293, 0.0433],
    [0.0691, 0.9195, 0.0114],
    [0.0164, 0.0880, 0.8956],
];

/// The way from premultiplied sRGB to a programme's premultiplied signal, all in tables.
pub(super) struct Light {
    /// The linear light of each level at each alpha: at `256 alpha + level`.
    linear: Vec<f32>,
    wide: bool,
    /// HLG's inverse OOTF: what light is multiplied with, by its luminance.
    scene: Option<Curve>,
    transfer: Curve,
}

impl Light {
    /// None if the programme's signal is that of sprites.
    pub(super) fn new(colour: &Colour) -> Option<Self> {
        let wide = colour.primaries == Primaries::Bt2020;
        if colour.transfer == Transfer::Sdr && !wide {
            return None;
        }
        let mut linear = vec![0.0; 1 << 16];
        for (alpha, row) in (0..=u8::MAX).zip(linear.chunks_exact_mut(256)) {
            for (level, out) in (0..=u8::MAX).zip(row) {
                let straight = f64::from(level) / f64::from(alpha.max(1));
                *out = single(srgb_to_linear(straight.min(1.0)));
            }
        }
        Some(Self {
            linear,
            wide,
            scene: (colour.transfer == Transfer::Hlg).then(|| Curve::new(0.0, scene_per_light)),
            transfer: match colour.transfer {
                Transfer::Sdr => Curve::new(0.0, linear_to_srgb),
                Transfer::Pq => Curve::new(pq(0.0), |light| pq(light * WHITE / 10_000.0)),
                Transfer::Hlg => Curve::new(0.0, hlg),
            },
        })
    }

    /// Makes of pixels their signal, premultiplied, 0 to 255, and alpha: channel by channel.
    #[inline(always)]
    pub(super) fn convert(&self, pixels: &[[u8; 4]; BLOCK], out: &mut [[f32; BLOCK]; 4]) {
        let mut before = ([0; 4], [0.0; 4]);
        for (n, pixel) in pixels.iter().enumerate() {
            if *pixel != before.0 {
                before = (*pixel, self.signal(*pixel));
            }
            for (out, level) in out.iter_mut().zip(before.1) {
                out[n] = level;
            }
        }
    }

    #[inline(always)]
    fn signal(&self, [r, g, b, a]: [u8; 4]) -> [f32; 4] {
        let row = usize::from(a) << 8;
        let mut light = [r, g, b].map(|level| self.linear[row | usize::from(level)]);
        if self.wide {
            light = TO_BT2020.map(|weights| dot(weights, light));
        }
        if let Some(scene) = &self.scene {
            let gain = scene.at(dot(LUMINANCE, light));
            light = light.map(|light| light * gain);
        }
        let alpha = f32::from(a);
        let [r, g, b] = light.map(|light| self.transfer.at(light) * alpha);
        [r, g, b, alpha]
    }
}

#[inline(always)]
fn dot(weights: [f32; 3], values: [f32; 3]) -> f32 {
    weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]
}

/// PQ's inverse EOTF, of light of which 1 is 10,000 cd/m² (BT.2100-2, table 4).
fn pq(light: f64) -> f64 {
    let (m1, m2) = (2_610.0 / 16_384.0, 2_523.0 / 4_096.0 * 128.0);
    let (c1, c2) = (3_424.0 / 4_096.0, 2_413.0 / 4_096.0 * 32.0);
    let c3 = 2_392.0 / 4_096.0 * 32.0;
    let power = light.powf(m1);
    ((c1 + c2 * power) / (1.0 + c3 * power)).powf(m2)
}

/// What HLG's inverse OOTF multiplies light with, 1 being a sprite's white, to that of the scene
/// (BT.2100-2, table 5).
fn scene_per_light(luminance: f64) -> f64 {
    let white = WHITE / HLG_PEAK;
    white * (luminance * white).powf((1.0 - HLG_GAMMA) / HLG_GAMMA)
}

/// HLG's OETF (BT.2100-2, table 5).
fn hlg(scene: f64) -> f64 {
    let (a, b, c) = (0.178_832_77, 0.284_668_92, 0.559_910_73);
    if scene <= 1.0 / 12.0 {
        (3.0 * scene).sqrt()
    } else {
        a * (12.0 * scene - b).ln() + c
    }
}

/// Octaves below 1 of a curve. The darkest colour, one level of blue at alpha 255, is 2^-18 of
/// white.
const OCTAVES: u32 = 24;

/// Pieces of an octave, as a power of two: with 128 what is between is off by less than 2^-19.
const PIECES: u32 = 7;

/// Bits of a float below those that number its piece.
const BELOW: u32 = 23 - PIECES;

/// A function of 0 to 1, in straight pieces that are as long to the value at any value.
struct Curve {
    /// The value at each piece's beginning, and its rise.
    pieces: Vec<[f32; 2]>,
    at_zero: f32,
}

impl Curve {
    fn new(at_zero: f64, function: impl Fn(f64) -> f64) -> Self {
        let start = |piece: u32| {
            let bits = Self::first() + (piece << BELOW);
            function(f64::from(f32::from_bits(bits)))
        };
        let count = OCTAVES << PIECES;
        let piece = |n: u32| {
            let rise = if n == count {
                0.0
            } else {
                start(n + 1) - start(n)
            };
            [single(start(n)), single(rise)]
        };
        Self {
            pieces: (0..=count).map(piece).collect(),
            at_zero: single(at_zero),
        }
    }

    /// The bits of the first piece's beginning.
    fn first() -> u32 {
        1.0_f32.to_bits() - (OCTAVES << 23)
    }

    #[inline(always)]
    fn at(&self, value: f32) -> f32 {
        let bits = value.min(1.0).to_bits();
        let Some(from) = bits.checked_sub(Self::first()) else {
            return self.at_zero;
        };
        let [start, rise] = self.pieces[(from >> BELOW) as usize];
        #[expect(clippy::cast_precision_loss, reason = "16 bits")]
        let share = (from & ((1 << BELOW) - 1)) as f32 * (1.0 / (1 << BELOW) as f32);
        start + rise * share
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float of fewer bits")]
fn single(value: f64) -> f32 {
    value as f32
}
