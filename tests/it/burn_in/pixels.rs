//! Decoded samples, and what they should be: reactions composed over the programme in `f64`.

use std::path::Path;

use super::overlays::Overlay;
use super::probe::Probe;
use crate::media::{output, tool};

/// What the samples of a programme stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colour {
    /// The shares of red and blue in luma.
    pub(super) luma: (f64, f64),
    pub(super) full: bool,
    /// None where primaries are those of BT.709; else those of BT.2020.
    pub(super) wide: Option<Transfer>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Transfer {
    Sdr,
    Pq,
    Hlg,
}

pub(super) const BT709: Colour = Colour {
    luma: (0.2126, 0.0722),
    full: false,
    wide: None,
};

pub(super) const BT601: Colour = Colour {
    luma: (0.299, 0.114),
    ..BT709
};

/// What small pictures are that don't say it.
pub(super) const UNTAGGED: Colour = BT601;

pub(super) const BT2020: Colour = Colour {
    luma: (0.2627, 0.0593),
    full: false,
    wide: Some(Transfer::Sdr),
};

impl Colour {
    /// R'G'B' of the programme, times alpha, and alpha; of premultiplied 8-bit sRGB.
    fn signal(self, pixel: [u8; 4]) -> ([f64; 3], f64) {
        let [r, g, b, a] = pixel.map(|level| f64::from(level) / 255.0);
        let Some(transfer) = self.wide.filter(|_| a > 0.0) else {
            return ([r, g, b], a);
        };
        // IEC 61966-2-1.
        let [r, g, b] = [r, g, b].map(|level| match level / a {
            low if low <= 0.040_45 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        });
        // BT.2087-0.
        let light = [
            0.6274 * r + 0.3293 * g + 0.0433 * b,
            0.0691 * r + 0.9195 * g + 0.0114 * b,
            0.0164 * r + 0.0880 * g + 0.8956 * b,
        ];
        let signal = match transfer {
            Transfer::Sdr => light.map(|light| match light {
                low if low <= 0.003_130_8 => low * 12.92,
                high => 1.055 * high.powf(1.0 / 2.4) - 0.055,
            }),
            // SMPTE ST 2084, white at 203 cd/m2 (BT.2408).
            Transfer::Pq => light.map(|light| {
                let y = (light.max(0.0) * 0.0203).powf(0.159_301_757_812_5);
                ((0.835_937_5 + 18.851_562_5 * y) / (1.0 + 18.6875 * y)).powf(78.84375)
            }),
            // BT.2100, on a display of 1,000 cd/m2.
            Transfer::Hlg => {
                let shown = light.map(|light| 0.203 * light);
                let y = 0.2627 * shown[0] + 0.6780 * shown[1] + 0.0593 * shown[2];
                let back = if y > 0.0 {
                    y.powf(1.0 / 1.2 - 1.0)
                } else {
                    0.0
                };
                shown.map(|shown| match shown * back {
                    low if low <= 1.0 / 12.0 => (3.0 * low.max(0.0)).sqrt(),
                    high => 0.178_832_77 * (12.0 * high - 0.284_668_92).ln() + 0.559_910_73,
                })
            }
        };
        (signal.map(|level| level * a), a)
    }
}

/// A pixel format, once it is in planes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Format {
    bits: u32,
    /// By how many bits chroma is narrower and lower; `None` for planes of G, B and R.
    chroma: Option<(usize, usize)>,
}

impl Format {
    /// By ffmpeg's name.
    fn named(name: &str) -> Self {
        let (family, bits) = name.strip_suffix("le").map_or((name, 8), |name| {
            let (family, bits) = name.split_at(name.len() - 2);
            (family, bits.parse().unwrap())
        });
        let chroma = match family {
            "yuv420p" | "yuvj420p" => Some((1, 1)),
            "yuv422p" => Some((1, 0)),
            "yuv444p" => Some((0, 0)),
            "gbrp" | "bgr0" => None,
            _ => panic!("{name}: no reference for it"),
        };
        Self { bits, chroma }
    }
}

/// Decoded frames.
pub(super) struct Pictures {
    format: Format,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of each its planes.
    pub(super) frames: Vec<[Vec<u16>; 3]>,
}

impl Pictures {
    /// All frames as they are coded.
    pub(super) fn of(folder: &Path, name: &str) -> Self {
        Self::read(folder, name, false)
    }

    /// All frames as they are shown: turned as the file says.
    pub(super) fn shown(folder: &Path, name: &str) -> Self {
        Self::read(folder, name, true)
    }

    fn read(folder: &Path, name: &str, turned: bool) -> Self {
        let probe = Probe::of(folder, name);
        let told = &probe.picture().told;
        let side = |entry: &str| usize::try_from(told[entry].as_u64().unwrap()).unwrap();
        let (mut width, mut height) = (side("width"), side("height"));
        if turned {
            (width, height) = (height, width);
        }
        let name_of_format = told["pix_fmt"].as_str().unwrap();
        let format = Format::named(name_of_format);
        let mut command = tool("ffmpeg");
        command.current_dir(folder);
        command.args(if turned { &[][..] } else { &["-noautorotate"] });
        command.args(["-i", name, "-map", "0:v:0"]);
        let bytes = output(command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-"]));
        let samples: Vec<u16> = if format.bits == 8 {
            bytes.into_iter().map(u16::from).collect()
        } else {
            let pairs = bytes.as_chunks::<2>().0.iter();
            pairs.map(|pair| u16::from_le_bytes(*pair)).collect()
        };
        let (right, down) = format.chroma.unwrap_or((0, 0));
        let chroma = (width >> right) * (height >> down);
        let whole = width * height;
        let is_packed = name_of_format == "bgr0";
        let length = if is_packed {
            4 * whole
        } else {
            whole + 2 * chroma
        };
        let frames = samples.chunks_exact(length).map(|frame| {
            if is_packed {
                let pixels = frame.as_chunks::<4>().0;
                return [1, 0, 2].map(|c| pixels.iter().map(|pixel| pixel[c]).collect());
            }
            let (luma, rest) = frame.split_at(whole);
            let (cb, cr) = rest.split_at(chroma);
            [luma, cb, cr].map(<[u16]>::to_vec)
        });
        Self {
            format,
            width,
            height,
            frames: frames.collect(),
        }
    }
}

/// The rows that are composed, and how the chroma of two of them is weighted.
#[derive(Clone, Copy)]
struct Rows {
    first: usize,
    step: usize,
    weights: [f64; 2],
}

/// What the reference finds in a burnt-in programme.
#[derive(Debug, Default)]
pub(super) struct Finding {
    /// Samples that no sprite touches.
    pub(super) clear: u64,
    /// Those of them that have changed.
    pub(super) changed: u64,
    /// Samples that a sprite touches.
    pub(super) touched: u64,
    squares: f64,
    worst: f64,
    peak: f64,
}

impl Finding {
    /// Of the touched samples.
    pub(super) fn psnr(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
        let mean = self.squares / self.touched as f64;
        10.0 * (self.peak * self.peak / mean).log10()
    }

    /// The most that one of them is off, in levels of 8 bits.
    pub(super) fn worst(&self) -> f64 {
        self.worst * 255.0 / self.peak
    }

    /// Whether clear samples are as they were, and touched ones are right.
    pub(super) fn is_right(&self) -> bool {
        self.clear > 0 && self.touched > 0 && self.changed == 0 && self.psnr() >= 45.0
    }

    #[track_caller]
    pub(super) fn right(&self, what: &str) {
        assert!(self.is_right(), "{what}: {:.1} dB, {self:?}", self.psnr());
    }

    fn see(&mut self, expected: Option<f64>, before: u16, after: u16) {
        let Some(expected) = expected else {
            self.clear += 1;
            self.changed += u64::from(before != after);
            return;
        };
        let off = (f64::from(after) - expected.clamp(0.0, self.peak)).abs();
        self.touched += 1;
        self.squares += off * off;
        self.worst = self.worst.max(off);
    }

    /// One picture, or one field of it.
    fn see_rows(
        &mut self,
        (before, after, frame): (&Pictures, &Pictures, usize),
        overlay: &Overlay,
        colour: Colour,
        rows: Rows,
    ) {
        let format = before.format;
        let width = before.width;
        let height = (before.height - rows.first).div_ceil(rows.step);
        let pixel = |x: usize, y: usize| overlay[(rows.first + y * rows.step) * width + x];
        let depth = f64::from(1 << (format.bits - 8));
        let (kr, kb) = colour.luma;
        // Level of zero, levels to one, and the shares of R, G and B.
        let (zero, scale, middle, chroma_scale) = if colour.full {
            (0.0, self.peak, 128.0 * depth, self.peak)
        } else {
            (16.0 * depth, 219.0 * depth, 128.0 * depth, 224.0 * depth)
        };
        let kg = 1.0 - kr - kb;
        let planes = match format.chroma {
            None => [
                (0.0, self.peak, [0.0, 1.0, 0.0]),
                (0.0, self.peak, [0.0, 0.0, 1.0]),
                (0.0, self.peak, [1.0, 0.0, 0.0]),
            ],
            Some(_) => {
                let (blue, red) = (2.0 * (1.0 - kb), 2.0 * (1.0 - kr));
                [
                    (zero, scale, [kr, kg, kb]),
                    (middle, chroma_scale, [-kr / blue, -kg / blue, 0.5]),
                    (middle, chroma_scale, [0.5, -kg / red, -kb / red]),
                ]
            }
        };
        for (plane, (zero, scale, shares)) in planes.into_iter().enumerate() {
            let (right, down) = format.chroma.filter(|_| plane > 0).unwrap_or((0, 0));
            // BT.709-6 and H.264 6.2: chroma is beside the left of two pixels.
            let across: &[(isize, f64)] = match right {
                0 => &[(0, 1.0)],
                _ => &[(-1, 0.25), (0, 0.5), (1, 0.25)],
            };
            let [upper, lower] = rows.weights;
            let along: &[(isize, f64)] = match down {
                0 => &[(0, 1.0)],
                _ => &[(0, upper), (1, lower)],
            };
            let near = |at: usize, by: isize, end: usize| at.saturating_add_signed(by).min(end - 1);
            for y in 0..height >> down {
                for x in 0..width >> right {
                    let (left, top) = (x << right, y << down);
                    let cell = (0..1 << down).flat_map(|v| (0..1 << right).map(move |u| (u, v)));
                    let touched = cell
                        .into_iter()
                        .any(|(u, v)| pixel(left + u, top + v)[3] > 0);
                    let at = (rows.first + y * rows.step) * (width >> right) + x;
                    let was = before.frames[frame][plane][at];
                    let is = after.frames[frame][plane][at];
                    if !touched {
                        self.see(None, was, is);
                        continue;
                    }
                    let (mut level, mut alpha) = (0.0, 0.0);
                    for (by_y, weight_y) in along {
                        for (by_x, weight_x) in across {
                            let (x, y) = (near(left, *by_x, width), near(top, *by_y, height));
                            let (rgb, a) = colour.signal(pixel(x, y));
                            let value: f64 = rgb.iter().zip(shares).map(|(c, k)| c * k).sum();
                            level += weight_x * weight_y * (a * zero + scale * value);
                            alpha += weight_x * weight_y * a;
                        }
                    }
                    self.see(Some(level + (1.0 - alpha) * f64::from(was)), was, is);
                }
            }
        }
    }

    fn new(before: &Pictures, after: &Pictures) -> Self {
        let about = |pictures: &Pictures| {
            let Pictures {
                format,
                width,
                height,
                frames,
            } = pictures;
            (*format, *width, *height, frames.len())
        };
        assert_eq!(
            about(before),
            about(after),
            "the same format, size and frames"
        );
        Self {
            peak: f64::from((1_u32 << before.format.bits) - 1),
            ..Self::default()
        }
    }

    /// Whole frames: each with what is over it.
    pub(super) fn of<'a>(
        before: &Pictures,
        after: &Pictures,
        overlays: impl IntoIterator<Item = &'a Overlay>,
        colour: Colour,
    ) -> Self {
        let mut finding = Self::new(before, after);
        let rows = Rows {
            first: 0,
            step: 1,
            weights: [0.5; 2],
        };
        let mut overlays = overlays.into_iter();
        for frame in 0..before.frames.len() {
            let overlay = overlays.next().expect("one for each frame");
            finding.see_rows((before, after, frame), overlay, colour, rows);
        }
        finding
    }

    /// Interlaced frames: each field, in the order of time, with what is over it.
    pub(super) fn of_fields(
        before: &Pictures,
        after: &Pictures,
        overlays: &[Overlay],
        colour: Colour,
        top_first: bool,
    ) -> Self {
        let mut finding = Self::new(before, after);
        for (frame, overlays) in overlays.as_chunks::<2>().0.iter().enumerate() {
            for (overlay, first) in overlays
                .iter()
                .zip([usize::from(!top_first), usize::from(top_first)])
            {
                // H.264 6.2: a field's chroma is nearer to the frame's row of its own parity.
                let weights = if first == 0 {
                    [0.75, 0.25]
                } else {
                    [0.25, 0.75]
                };
                let rows = Rows {
                    first,
                    step: 2,
                    weights,
                };
                finding.see_rows((before, after, frame), overlay, colour, rows);
            }
        }
        finding
    }
}
