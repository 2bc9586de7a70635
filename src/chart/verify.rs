//! What became of the chart on its way into a picture: everything that may go wrong predicts what
//! each patch looks like, and what predicts the patches best, in their worst channel, is taken.

use super::counter;
use super::layout::{Area, CLEAR, DISCS, Edge, PATCHES, RAMP_PLACES, counter_block};
use super::predict::{Blend, Colours, RangeMistake, Rgb, Treatment};
use crate::frame::Size;

/// So many of 255 levels a channel's mean over the middle of a patch may be off, for codecs and
/// rounding.
pub const TOLERANCE: f64 = 6.0;

/// Among explanations that are worse than the best one by no more than so many levels, that with
/// the fewest mistakes is taken.
pub const MARGIN: f64 = 2.0;

/// A picture is opaque where it should be clear from this alpha on.
const OPAQUE: f64 = 250.0;

/// Blocks of the counter are black below the first level and white above the second.
const BLACK_TO_WHITE: (f64, f64) = (80.0, 176.0);

/// A decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'p> {
    /// R, G, B and alpha as they were decoded, rows from the top.
    pub pixels: &'p [[u8; 4]],
    /// As many pixels as those.
    pub size: Size,
    /// Whether what it was decoded from has alpha at all; if not, that of the pixels is not looked
    /// at.
    pub has_alpha: bool,
}

/// What became of the chart's alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The picture has it; its colour is related to it like this.
    Kept(Treatment),
    /// The picture is opaque, with the colours of straight frames.
    Dropped,
    /// The picture is opaque: the chart over a background.
    Composited {
        /// How its colour was multiplied; but for [`Treatment::Straight`], wrongly.
        treatment: Treatment,
        /// How it was mixed with the background.
        blend: Blend,
        /// The background, as the picture shows it or as it was said to be.
        background: [u8; 3],
    },
}

impl Fate {
    fn mistakes(self) -> usize {
        match self {
            Self::Kept(Treatment::Straight | Treatment::Premultiplied)
            | Self::Composited {
                treatment: Treatment::Straight,
                ..
            } => 0,
            _ => 1,
        }
    }
}

/// A patch as it should be and as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// What the patch is called.
    pub name: &'static str,
    /// What it would be if nothing had gone wrong, in a picture of this kind.
    pub expected: [u8; 4],
    /// The mean of its middle, to the nearest level.
    pub got: [u8; 4],
    /// The difference in the worst channel, in levels.
    pub error: f64,
}

/// What a picture of the chart tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The frame's number, modulo [`COUNT`](super::COUNT).
    pub number: u32,
    /// What became of alpha.
    pub fate: Fate,
    /// What went wrong with alpha's levels.
    pub alpha_range: Option<RangeMistake>,
    /// How far alpha is from what that makes of it, in levels; 0 in an opaque picture.
    pub alpha_error: f64,
    /// What went wrong with the colours.
    pub colours: Colours,
    /// How far colours are from what their fate and those mistakes make of them, in levels.
    pub colour_error: f64,
    /// The next best explanation of the colours with the same fate, and how far they are from it.
    pub next: (Colours, f64),
    /// Every patch.
    pub readings: Vec<Reading>,
}

impl Verdict {
    /// Whether the picture is explained: within [`TOLERANCE`].
    #[must_use]
    pub fn fits(&self) -> bool {
        self.colour_error <= TOLERANCE && self.alpha_error <= TOLERANCE
    }

    /// Whether the picture is as it should be: with alpha, straight or premultiplied, or, if
    /// `over` says that it is one, the chart over a background; and with the right colours.
    #[must_use]
    pub fn is_right(&self, over: bool) -> bool {
        let fate = match self.fate {
            Fate::Kept(_) => true,
            Fate::Dropped => false,
            Fate::Composited { .. } => over,
        };
        let mistakes = self.fate.mistakes() + self.colours.mistakes();
        fate && mistakes == 0 && self.alpha_range.is_none() && self.fits()
    }
}

/// The number of the frame that the picture shows, if it shows a chart that can be read.
#[must_use]
pub fn number(picture: &Picture<'_>) -> Option<u32> {
    let mut blocks = [false; 32];
    for (n, white) in (0..).zip(&mut blocks) {
        let [r, g, b, _] = mean(picture, counter_block(n).middle(picture.size))?;
        let (darkest, brightest) = (r.min(g).min(b), r.max(g).max(b));
        *white = darkest > BLACK_TO_WHITE.1;
        if !*white && brightest >= BLACK_TO_WHITE.0 {
            return None;
        }
    }
    counter::number(blocks)
}

/// What the picture tells, if it shows a chart whose [`number`] can be read. `background` is what
/// the chart was put over, if that is known; otherwise it is taken from the places that are clear
/// on the chart.
#[must_use]
pub fn verify(picture: &Picture<'_>, background: Option<[u8; 3]>) -> Option<Verdict> {
    let number = number(picture)?;
    let samples = samples(picture)?;
    let clear = |channel: usize| {
        let levels = samples.iter().filter(|s| s.colour[3] == 0);
        let count = CLEAR.len();
        levels.map(|s| s.got[channel]).sum::<f64>() / f64::from(u8::try_from(count).unwrap_or(1))
    };
    let kept = clear(3) < OPAQUE;
    let background = background.unwrap_or([clear(0), clear(1), clear(2)].map(to_level));
    let explanations = if kept {
        with_alpha()
    } else {
        opaque(background)
    };
    let judged: Vec<(Explanation, f64)> = explanations
        .into_iter()
        .map(|explanation| (explanation, explanation.error(&samples)))
        .collect();
    let (best, colour_error) = nearest(&judged, |e| e.fate.mistakes() + e.colours.mistakes())?;
    let others = judged
        .iter()
        .filter(|(other, _)| other.fate == best.fate && other.colours != best.colours);
    let next = others.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let (alpha_range, alpha_error) = if kept {
        alpha_range(&samples)?
    } else {
        (None, 0.0)
    };
    Some(Verdict {
        number,
        fate: best.fate,
        alpha_range,
        alpha_error,
        colours: best.colours,
        colour_error,
        next: (next.0.colours, next.1),
        readings: samples.iter().map(|s| s.reading(best.fate)).collect(),
    })
}

/// One place of the chart.
#[derive(Clone, Copy, Debug)]
struct Sample {
    name: &'static str,
    /// Straight, as the chart has it.
    colour: [u8; 4],
    /// As the picture has it.
    got: [f64; 4],
}

impl Sample {
    fn rgb(&self) -> Rgb {
        let [r, g, b, _] = self.colour;
        [r, g, b].map(f64::from)
    }

    /// From 0 to 1.
    fn alpha(&self) -> f64 {
        f64::from(self.colour[3]) / 255.0
    }

    fn reading(&self, fate: Fate) -> Reading {
        let right = match fate {
            Fate::Kept(Treatment::Straight | Treatment::Unmultiplied) | Fate::Dropped => {
                Fate::Kept(Treatment::Straight)
            }
            Fate::Kept(_) => Fate::Kept(Treatment::Premultiplied),
            Fate::Composited {
                blend, background, ..
            } => Fate::Composited {
                treatment: Treatment::Straight,
                blend,
                background,
            },
        };
        let [r, g, b] = Explanation::new(right).predict(self);
        let alpha = match right {
            Fate::Composited { .. } => 255.0,
            _ => f64::from(self.colour[3]),
        };
        let expected = [r, g, b, alpha];
        let channels = self.got.iter().zip(expected);
        // The colour of what is clear is nobody's business.
        let first = if alpha > 0.0 { 0 } else { 3 };
        let errors = channels.skip(first).map(|(got, e)| (got - e).abs());
        Reading {
            name: self.name,
            expected: expected.map(to_level),
            got: self.got.map(to_level),
            error: errors.fold(0.0, f64::max),
        }
    }
}

/// Every place that has one known colour.
fn samples(picture: &Picture<'_>) -> Option<Vec<Sample>> {
    let size = picture.size;
    let patches = PATCHES.iter().chain(&RAMP_PLACES);
    let patches = patches.map(|patch| (patch.name, patch.colour, patch.area.middle(size)));
    let discs = DISCS.iter().filter(|disc| disc.edge == Edge::Sharp);
    let discs = discs.map(|disc| (disc.name, disc.colour, disc.core(size)));
    let clear = CLEAR.map(|area| ("clear", [0; 4], area.middle(size)));
    let places = patches.chain(discs).chain(clear);
    let sample = |(name, colour, area)| {
        let got = mean(picture, area)?;
        Some(Sample { name, colour, got })
    };
    places.map(sample).collect()
}

/// The mean of an area, which is in pixels.
fn mean(picture: &Picture<'_>, area: Area) -> Option<[f64; 4]> {
    let width = picture.size.width() as usize;
    let (mut sum, mut count) = ([0.0; 4], 0.0);
    for y in area.top..area.bottom {
        let row = picture.pixels.get(y as usize * width..)?;
        let row = row.get(area.left as usize..area.right as usize)?;
        for pixel in row {
            for (sum, level) in sum.iter_mut().zip(pixel) {
                *sum += f64::from(*level);
            }
            count += 1.0;
        }
    }
    let [r, g, b, alpha] = sum.map(|sum| sum / count);
    Some([r, g, b, if picture.has_alpha { alpha } else { 255.0 }])
}

/// What may have happened to the colours.
#[derive(Clone, Copy, Debug)]
struct Explanation {
    fate: Fate,
    colours: Colours,
    /// The colours went wrong before the chart was put over its background, not with it.
    early: bool,
}

impl Explanation {
    fn new(fate: Fate) -> Self {
        Self {
            fate,
            colours: Colours::default(),
            early: false,
        }
    }

    fn predict(&self, sample: &Sample) -> Rgb {
        let (colour, alpha) = (sample.rgb(), sample.alpha());
        match self.fate {
            Fate::Kept(treatment) => self.colours.through(treatment.stored(colour, alpha)),
            Fate::Dropped => self.colours.through(colour),
            Fate::Composited {
                treatment,
                blend,
                background,
            } => {
                let below = background.map(f64::from);
                if self.early {
                    let colour = self.colours.through(colour);
                    return blend.over(colour, alpha, treatment, below);
                }
                let below = self.colours.undone().through(below);
                let over = blend.over(colour, alpha, treatment, below);
                self.colours.through(over)
            }
        }
    }

    /// How far the picture is from it, in levels.
    fn error(&self, samples: &[Sample]) -> f64 {
        let kept = matches!(self.fate, Fate::Kept(_));
        let seen = samples.iter().filter(|s| !kept || s.colour[3] > 0);
        let errors = seen.flat_map(|sample| {
            let predicted = self.predict(sample);
            let channel = |c: usize| (predicted[c] - sample.got[c]).abs();
            [channel(0), channel(1), channel(2)]
        });
        errors.fold(0.0, f64::max)
    }
}

fn with_alpha() -> Vec<Explanation> {
    let treatments = [
        Treatment::Straight,
        Treatment::Premultiplied,
        Treatment::Twice,
        Treatment::Unmultiplied,
    ];
    every(treatments.map(Fate::Kept))
}

fn opaque(background: [u8; 3]) -> Vec<Explanation> {
    let treatments = [
        Treatment::Straight,
        Treatment::Twice,
        Treatment::Unmultiplied,
    ];
    let composited = treatments.into_iter().flat_map(|treatment| {
        Blend::ALL.map(|blend| Fate::Composited {
            treatment,
            blend,
            background,
        })
    });
    every([Fate::Dropped].into_iter().chain(composited))
}

/// Each fate with all that may have happened to colours.
fn every(fates: impl IntoIterator<Item = Fate>) -> Vec<Explanation> {
    let mut all = Vec::new();
    for fate in fates {
        for colours in Colours::all() {
            let late = Explanation {
                fate,
                colours,
                early: false,
            };
            all.push(late);
            if matches!(fate, Fate::Composited { .. }) && colours.mistakes() > 0 {
                all.push(Explanation {
                    early: true,
                    ..late
                });
            }
        }
    }
    all
}

/// What happened to alpha's levels, and how far they are from that.
fn alpha_range(samples: &[Sample]) -> Option<(Option<RangeMistake>, f64)> {
    let all = [
        None,
        Some(RangeMistake::LimitedReadAsFull),
        Some(RangeMistake::FullReadAsLimited),
    ];
    let judged = all.map(|range| {
        let error = |sample: &Sample| {
            let alpha = f64::from(sample.colour[3]);
            let alpha = range.map_or(alpha, |range| range.level(alpha));
            (alpha - sample.got[3]).abs()
        };
        (range, samples.iter().map(error).fold(0.0, f64::max))
    });
    nearest(&judged, |range| usize::from(range.is_some()))
}

/// That with the fewest mistakes among those within [`MARGIN`] of the best; of equal ones, the
/// first.
fn nearest<T: Copy>(judged: &[(T, f64)], mistakes: impl Fn(&T) -> usize) -> Option<(T, f64)> {
    let best = judged
        .iter()
        .map(|(_, error)| *error)
        .min_by(f64::total_cmp)?;
    judged
        .iter()
        .filter(|(_, error)| *error <= best + MARGIN)
        .min_by_key(|(explanation, _)| mistakes(explanation))
        .copied()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is in range"
)]
fn to_level(level: f64) -> u8 {
    level.clamp(0.0, 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Chart;
    use crate::frame::{Alpha, Frame, PixelFormat};

    const SIZES: [(u32, u32); 4] = [(320, 180), (641, 361), (1080, 1920), (2049, 180)];

    fn chart((width, height): (u32, u32), alpha: Alpha, index: u64) -> Frame {
        let size = Size::new(width, height).unwrap();
        let mut frame = Frame::new(size, alpha, PixelFormat::Rgba);
        Chart::new(size).unwrap().draw(index, &mut frame);
        frame
    }

    fn judge(pixels: &[[u8; 4]], size: Size, has_alpha: bool) -> Verdict {
        let picture = Picture {
            pixels,
            size,
            has_alpha,
        };
        verify(&picture, None).expect("it shows a chart")
    }

    #[test]
    fn the_chart_as_it_was_drawn_is_right() {
        for size in SIZES {
            for (alpha, treatment) in [
                (Alpha::Straight, Treatment::Straight),
                (Alpha::Premultiplied, Treatment::Premultiplied),
            ] {
                for index in [0, 1, 0x0ABC_DEF0] {
                    let frame = chart(size, alpha, index);
                    let verdict = judge(frame.pixels(), frame.size(), true);
                    assert_eq!(u64::from(verdict.number), index);
                    assert_eq!(verdict.fate, Fate::Kept(treatment), "{size:?}");
                    assert!(verdict.is_right(false) && verdict.is_right(true));
                    // The ramp's middle is half a pixel off, and its alpha to the nearest level.
                    assert!(
                        verdict.colour_error < 1.2 && verdict.alpha_error < 1.2,
                        "{size:?}"
                    );
                    assert!(verdict.next.1 > 11.0, "{verdict:?}");
                    assert_eq!(verdict.readings.len(), 29);
                }
            }
        }
    }

    /// The picture with each straight colour turned into what `turn` makes of it and its alpha.
    fn turned(frame: &Frame, turn: impl Fn(Rgb, f64) -> (Rgb, f64)) -> Vec<[u8; 4]> {
        let pixels = frame.pixels().iter();
        let turned = pixels.map(|[r, g, b, a]| {
            let ([r, g, b], a) = turn([*r, *g, *b].map(f64::from), f64::from(*a) / 255.0);
            [r, g, b, a * 255.0].map(to_level)
        });
        turned.collect()
    }

    #[test]
    fn each_mistake_of_colour_is_told_from_the_others_with_alpha() {
        let frame = chart((320, 180), Alpha::Straight, 77);
        for treatment in [
            Treatment::Straight,
            Treatment::Premultiplied,
            Treatment::Twice,
            Treatment::Unmultiplied,
        ] {
            for colours in Colours::all() {
                let pixels = turned(&frame, |colour, alpha| {
                    (colours.through(treatment.stored(colour, alpha)), alpha)
                });
                let verdict = judge(&pixels, frame.size(), true);
                let got = (verdict.fate, verdict.colours);
                assert_eq!(got, (Fate::Kept(treatment), colours));
                assert!(
                    verdict.fits() && verdict.next.1 > 11.0,
                    "{got:?} {:?}",
                    verdict.next
                );
            }
        }
    }

    #[test]
    fn each_mistake_over_a_background_is_told_from_the_others() {
        let frame = chart((320, 180), Alpha::Straight, 77);
        for background in [[255, 0, 255], [0, 0, 0], [40, 90, 160], [255, 255, 255]] {
            let below = background.map(f64::from);
            for (blend, treatment) in [
                (Blend::Srgb, Treatment::Straight),
                (Blend::Srgb, Treatment::Twice),
                (Blend::Obs, Treatment::Straight),
                (Blend::Obs, Treatment::Twice),
                (Blend::Linear, Treatment::Straight),
            ] {
                // Over black OBS mixes as everybody does.
                let same = background == [0; 3] && blend == Blend::Obs;
                for colours in Colours::all() {
                    let pixels = turned(&frame, |colour, alpha| {
                        let colour = colours.through(colour);
                        (blend.over(colour, alpha, treatment, below), 1.0)
                    });
                    let verdict = judge(&pixels, frame.size(), false);
                    let expected = Fate::Composited {
                        treatment,
                        blend: if same { Blend::Srgb } else { blend },
                        background,
                    };
                    let got = (verdict.fate, verdict.colours);
                    assert_eq!(got, (expected, colours), "{:?}", verdict.next);
                    assert!(!verdict.is_right(false));
                    let right = treatment == Treatment::Straight && colours.mistakes() == 0;
                    assert_eq!(verdict.is_right(true), right);
                }
            }
        }
    }

    #[test]
    fn alpha_that_is_dropped_or_in_the_wrong_range_is_named() {
        let frame = chart((320, 180), Alpha::Straight, 1);
        for has_alpha in [false, true] {
            let pixels = turned(&frame, |colour, _| (colour, 1.0));
            let verdict = judge(&pixels, frame.size(), has_alpha);
            assert_eq!(verdict.fate, Fate::Dropped);
            assert!(verdict.fits() && !verdict.is_right(false) && !verdict.is_right(true));
        }
        for range in [
            RangeMistake::LimitedReadAsFull,
            RangeMistake::FullReadAsLimited,
        ] {
            let pixels = turned(&frame, |colour, alpha| {
                (colour, range.level(alpha * 255.0) / 255.0)
            });
            let verdict = judge(&pixels, frame.size(), true);
            assert_eq!(verdict.alpha_range, Some(range));
            assert!(verdict.fits() && !verdict.is_right(false));
        }
        // A gamma is none of the mistakes that are known.
        let pixels = turned(&frame, |colour, alpha| (colour, alpha.sqrt()));
        assert!(!judge(&pixels, frame.size(), true).fits());
        let pixels = turned(&frame, |[r, g, b], alpha| ([b, r, g], alpha));
        assert!(!judge(&pixels, frame.size(), true).fits());
    }

    #[test]
    fn a_declared_background_must_be_the_one_that_is_seen() {
        let frame = chart((320, 180), Alpha::Straight, 1);
        let over = |below: [u8; 3]| {
            turned(&frame, |colour, alpha| {
                let below = below.map(f64::from);
                let over = Blend::Srgb.over(colour, alpha, Treatment::Straight, below);
                (over, 1.0)
            })
        };
        let pixels = over([0, 128, 0]);
        let picture = Picture {
            pixels: &pixels,
            size: frame.size(),
            has_alpha: false,
        };
        let right = |declared| verify(&picture, Some(declared)).unwrap().is_right(true);
        assert!(right([0, 128, 0]));
        assert!(!right([0, 160, 0]) && !right([255, 0, 255]));
    }

    #[test]
    fn another_picture_is_no_chart() {
        let size = Size::new(320, 180).unwrap();
        let none = |pixels: &[[u8; 4]], size| {
            let picture = Picture {
                pixels,
                size,
                has_alpha: true,
            };
            verify(&picture, None).is_none()
        };
        for level in [0, 1, 128, 254, 255] {
            assert!(none(&vec![[level; 4]; 320 * 180], size));
        }
        assert!(none(&[], size), "as many pixels as the size says");
        assert!(none(&[[0; 4]], Size::new(1, 1).unwrap()));
        let mut frame = chart((320, 180), Alpha::Straight, 3).pixels().to_vec();
        // Two frames in one.
        let other = chart((320, 180), Alpha::Straight, 4);
        for (pixel, other) in frame.iter_mut().zip(other.pixels()) {
            *pixel = std::array::from_fn(|c| pixel[c] / 2 + other[c] / 2);
        }
        assert!(none(&frame, size));
    }
}
