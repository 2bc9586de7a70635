//! The test chart: a picture of known colours and alpha, and what became of it on its way.
//!
//! [`Chart`] draws it, [`verify()`] reads it back from a picture that somebody else decoded.
//!
//! # The grid
//!
//! The frame is a grid of 320 units by 180. Unit `u` from the left is at pixel `u * width / 320`,
//! unit `v` from the top at pixel `v * height / 180`, rounded down; a part that is said to be at
//! `a..b` covers the pixels from that of `a` to before that of `b`. So the place of every part is
//! known from the frame's size alone, and in a picture that was scaled from the same shape it is
//! where it was.
//!
//! # What is on it
//!
//! Colours are straight sRGB levels, alpha last. Parts do not overlap, but for text, which replaces
//! the plate that it is on. All else is clear: alpha 0.
//!
//! | part | columns | rows | what it shows |
//! | --- | --- | --- | --- |
//! | border | outermost pixels | outermost pixels | opaque white, one pixel: a missing line is a cropped picture |
//! | safe areas | 3.5 % and 5 % of the width from each side | the same of the height | outlines just inside, white with black within: the action-safe and the graphics-safe area of EBU R 95 (93 % and 90 % of each side, as in ITU-R BT.1848-1) |
//! | title | 32..288 | 12..23 | on opaque black: the program, `STRAIGHT ALPHA` or `PREMULTIPLIED ALPHA`, the size |
//! | counter | 32..288 | 26..40 | 32 opaque blocks of 8 units, black 0 or white 1: see below |
//! | opaque patches | ten of 22, every 26 from 32 | 43..61 | white, grey 128 and 64, black, red, green, blue, cyan, magenta, yellow |
//! | their names | 31..289 | 62..71 | white on black of alpha 192: `W 128 64 K R G B C M Y` |
//! | number | 32..150 | 80..100 | the counter's number in nine digits, on opaque black |
//! | cross | 153..167 | 83..97 | the frame's centre: white arms of 7 units |
//! | disc | centre 188, radius 13 | centre 90 | opaque (255, 144, 0), its edge anti-aliased |
//! | half disc | centre 229, radius 13 | centre 90 | (0, 144, 255) of alpha 128, its edge anti-aliased |
//! | soft disc | centre 270, radius 13 | centre 90 | (255, 64, 160), alpha falling evenly from 255 in the centre to 0 at the edge |
//! | patches with alpha | ten of 22, every 26 from 32 | 109..127 | see [`PATCHES`] |
//! | their names | 31..289 | 128..137 | as above: `W191` is white of alpha 191, `N` is grey 96, `O` is (200, 100, 50) |
//! | ramp | 32..288 | 140..151 | white, alpha `255 n / (count - 1)` to the nearest level in column `n` of `count` |
//! | marker | 4 units of 32..288 | 154..158 | white, on black of alpha 160: in frame `n` at `32 + 4 (n mod 64)` |
//! | foot | 32..150 | 160..169 | the safe areas' names, on black of alpha 192 |
//! | warning | 170..288 | 160..169 | `ALPHA LOST` in white of alpha 1 |
//!
//! Patch `W1` and the warning are invisible wherever alpha is taken into account, and plain white
//! where straight frames have lost it. Text is whole pixels of a face of 5 by 7, each
//! `min(width / 320, height / 180)` pixels wide and high, rounded down; the number is twice as
//! large. Lines are a third of that thick, rounded up. A disc's radius is in the lesser of the two
//! units, so that it is round in every frame.
//!
//! Premultiplied frames have `c * a / 255` to the nearest level. The white and the primaries show
//! the alpha, the greys the range, the saturated colours the matrix, and `N128` and `O191` tell
//! colour that was multiplied too often from colour that was multiplied too seldom: what is 255 or
//! 0 stays so in one of these.
//!
//! # The counter
//!
//! 28 bits of the frame's number, the highest first, and 4 bits of check: the exclusive or of the
//! number's seven groups of four bits, inverted. After 2^28 frames it begins again at 0, and so
//! do the digits.

mod counter;
mod face;
mod layout;
mod pen;
mod predict;
mod verify;

pub use self::counter::COUNT;
pub use self::layout::{Area, PATCHES, Patch};
use self::layout::{COLUMNS, ROWS};
use self::pen::{Pen, Place};
pub use self::predict::{Blend, Colours, MatrixMistake, RangeMistake, Treatment};
pub use self::verify::{Fate, MARGIN, Picture, Reading, TOLERANCE, Verdict, number, verify};
use crate::frame::{Alpha, Frame, Size};

const WHITE: [u8; 4] = [255; 4];
const BLACK: [u8; 4] = [0, 0, 0, 255];

/// Under names.
const PLATE: [u8; 4] = [0, 0, 0, 192];

/// Under the marker.
const LANE: [u8; 4] = [0, 0, 0, 160];

/// Shows only where alpha is lost.
const HIDDEN: [u8; 4] = [255, 255, 255, 1];

/// A frame that is too small for the chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("size {0}: the test chart needs at least {COLUMNS}x{ROWS}")]
pub struct ChartSizeError(Size);

/// The test chart of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chart {
    size: Size,
}

impl Chart {
    /// The chart for frames of a size.
    ///
    /// # Errors
    /// A size of less than 320x180.
    pub fn new(size: Size) -> Result<Self, ChartSizeError> {
        if size.width() < COLUMNS || size.height() < ROWS {
            return Err(ChartSizeError(size));
        }
        Ok(Self { size })
    }

    /// Draws frame number `index`, in place of what the frame shows.
    ///
    /// # Panics
    /// The frame has another size.
    pub fn draw(&self, index: u64, frame: &mut Frame) {
        assert_eq!(frame.size(), self.size, "a frame of the chart's size");
        let kind = frame.alpha();
        let pen = &mut Pen::new(frame);
        self.lines(pen);
        self.titles(pen, kind);
        self.patches(pen);
        self.discs(pen);
        self.number(pen, u32::try_from(index % COUNT).unwrap_or_default());
        self.marker(pen, index);
    }

    fn lines(&self, pen: &mut Pen<'_>) {
        let (width, height) = (self.size.width(), self.size.height());
        let whole = Area::new(0, 0, width, height);
        pen.outline(whole, 1, WHITE);
        let line = self.line();
        for permille in [35, 50] {
            let area = whole.inset(width * permille / 1_000, height * permille / 1_000);
            pen.outline(area, line, WHITE);
            pen.outline(area.inset(line, line), line, BLACK);
        }
        // As thick as a line, or by one pixel more, so that the centre is exactly the frame's.
        let (x, y) = (line + (line + width) % 2, line + (line + height) % 2);
        let arm = layout::CROSS_ARM;
        let (column, row) = (COLUMNS / 2, ROWS / 2);
        let reach = Area::new(column - arm, row - arm, column + arm, row + arm);
        let reach = reach.in_pixels(self.size);
        let (left, top) = ((width - x) / 2, (height - y) / 2);
        pen.fill(
            Area::new(left, reach.top, left + x, height - reach.top),
            WHITE,
        );
        pen.fill(
            Area::new(reach.left, top, width - reach.left, top + y),
            WHITE,
        );
    }

    fn titles(&self, pen: &mut Pen<'_>, kind: Alpha) {
        let scale = self.scale();
        let title = self.plate(pen, layout::TITLE, BLACK);
        let kind = match kind {
            Alpha::Straight => "STRAIGHT ALPHA",
            Alpha::Premultiplied => "PREMULTIPLIED ALPHA",
        };
        pen.text(title, Place::Left, scale, "FLOATUP", WHITE);
        pen.text(title, Place::Centre, scale, kind, WHITE);
        pen.text(title, Place::Right, scale, &self.size.to_string(), WHITE);
        for plate in layout::NAMES {
            self.plate(pen, plate, PLATE);
            for patch in PATCHES.iter().filter(|p| p.area.bottom + 1 == plate.top) {
                let (left, right) = (patch.area.left - 2, patch.area.right + 2);
                let area = Area::new(left, plate.top, right, plate.bottom);
                let area = area.in_pixels(self.size);
                pen.text(area, Place::Centre, scale, patch.name, WHITE);
            }
        }
        let foot = self.plate(pen, layout::FOOT, PLATE);
        pen.text(foot, Place::Centre, scale, "SAFE AREAS 93% 90%", WHITE);
        let warning = layout::WARNING.in_pixels(self.size);
        pen.text(warning, Place::Right, scale, "ALPHA LOST", HIDDEN);
    }

    fn patches(&self, pen: &mut Pen<'_>) {
        for patch in PATCHES {
            pen.fill(patch.area.in_pixels(self.size), patch.colour);
        }
        pen.ramp(layout::RAMP.in_pixels(self.size));
    }

    fn discs(&self, pen: &mut Pen<'_>) {
        for disc in layout::DISCS {
            let (centre, radius) = disc.place(self.size);
            pen.disc(centre, radius, disc.edge, disc.colour);
        }
    }

    fn number(&self, pen: &mut Pen<'_>, number: u32) {
        for (n, white) in (0..).zip(counter::blocks(number)) {
            let block = layout::counter_block(n).in_pixels(self.size);
            pen.fill(block, if white { WHITE } else { BLACK });
        }
        let digits = self.plate(pen, layout::DIGITS, BLACK);
        let text = format!("{number:09}");
        pen.text(digits, Place::Centre, 2 * self.scale(), &text, WHITE);
    }

    fn marker(&self, pen: &mut Pen<'_>, index: u64) {
        pen.fill(layout::LANE.in_pixels(self.size), LANE);
        let place = u32::try_from(index % layout::MARKER_PLACES).unwrap_or_default();
        let Area {
            top, bottom, left, ..
        } = layout::LANE;
        let left = left + 4 * place;
        let marker = Area::new(left, top, left + 4, bottom);
        pen.fill(marker.in_pixels(self.size), WHITE);
    }

    /// Draws what is under a text, and gives where the text may be.
    fn plate(&self, pen: &mut Pen<'_>, area: Area, colour: [u8; 4]) -> Area {
        let area = area.in_pixels(self.size);
        pen.fill(area, colour);
        area.inset(2 * self.scale(), 0)
    }

    /// Pixels of a frame for one of the face.
    fn scale(&self) -> u32 {
        (self.size.width() / COLUMNS).min(self.size.height() / ROWS)
    }

    /// A line's thickness in pixels.
    fn line(&self) -> u32 {
        self.scale().div_ceil(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    /// The least, whole and odd ones, and shapes that are not 16 to 9.
    const SIZES: [(u32, u32); 7] = [
        (320, 180),
        (640, 360),
        (961, 541),
        (1920, 1080),
        (720, 576),
        (1080, 1920),
        (2049, 180),
    ];

    fn drawn(size: (u32, u32), alpha: Alpha, format: PixelFormat, index: u64) -> Frame {
        let size = Size::new(size.0, size.1).unwrap();
        let mut frame = Frame::new(size, alpha, format);
        Chart::new(size).unwrap().draw(index, &mut frame);
        frame
    }

    fn pixel(frame: &Frame, x: u32, y: u32) -> [u8; 4] {
        frame.pixels()[(y * frame.size().width() + x) as usize]
    }

    #[test]
    fn what_has_no_ink_is_clear_and_colour_is_as_frames_have_it() {
        for size in SIZES {
            for alpha in [Alpha::Straight, Alpha::Premultiplied] {
                let frame = drawn(size, alpha, PixelFormat::Rgba, 123);
                let width = size.0 as usize;
                for (y, row) in frame.pixels().chunks(width).enumerate() {
                    let mut clear = vec![true; width];
                    for columns in frame.inked(y) {
                        clear[columns].fill(false);
                    }
                    for (pixel, clear) in row.iter().zip(clear) {
                        let [r, g, b, a] = *pixel;
                        assert!(!clear || *pixel == [0; 4], "{size:?}: row {y}");
                        let most = if a == 0 || alpha == Alpha::Premultiplied {
                            a
                        } else {
                            255
                        };
                        assert!(r.max(g).max(b) <= most, "{size:?}: row {y}: {pixel:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_that_showed_another_picture_is_as_a_new_one() {
        for size in SIZES {
            let mut frame = drawn(size, Alpha::Straight, PixelFormat::Bgra, 0x0FFF_FFFF);
            let (pixels, ink) = frame.parts_mut();
            // All of it, as the busiest overlay.
            pixels.fill([1, 2, 3, 4]);
            let words = ink.row_words();
            for row in ink.words_mut().chunks_mut(words) {
                crate::frame::mark(row, &(0..size.0 as usize));
            }
            let size_of = frame.size();
            let chart = Chart::new(size_of).unwrap();
            for index in [63, 7, 64] {
                chart.draw(index, &mut frame);
                let fresh = drawn(size, Alpha::Straight, PixelFormat::Bgra, index);
                assert!(frame == fresh, "{size:?}, frame {index}");
            }
        }
    }

    #[test]
    fn every_order_of_channels_has_the_same_picture() {
        for alpha in [Alpha::Straight, Alpha::Premultiplied] {
            let rgba = drawn((320, 180), alpha, PixelFormat::Rgba, 5);
            for format in [PixelFormat::Bgra, PixelFormat::Argb, PixelFormat::Abgr] {
                let other = drawn((320, 180), alpha, format, 5);
                let places = format.places();
                for (a, b) in rgba.pixels().iter().zip(other.pixels()) {
                    assert_eq!(*a, places.map(|place| b[place as usize]), "{format}");
                }
            }
        }
    }

    #[test]
    fn patches_and_the_ramp_have_their_values_in_every_pixel() {
        for size in SIZES {
            let straight = drawn(size, Alpha::Straight, PixelFormat::Rgba, 9);
            let premultiplied = drawn(size, Alpha::Premultiplied, PixelFormat::Rgba, 9);
            for patch in PATCHES {
                let area = patch.area.in_pixels(straight.size());
                let [r, g, b, a] = patch.colour;
                let by_alpha = |c: u8| {
                    let exact = f64::from(c) * f64::from(a) / 255.0;
                    format!("{exact:.0}").parse::<u8>().unwrap()
                };
                let multiplied = [by_alpha(r), by_alpha(g), by_alpha(b), a];
                for y in area.top..area.bottom {
                    for x in area.left..area.right {
                        assert_eq!(pixel(&straight, x, y), patch.colour, "{}", patch.name);
                        assert_eq!(pixel(&premultiplied, x, y), multiplied, "{}", patch.name);
                    }
                }
            }
            let area = layout::RAMP.in_pixels(straight.size());
            let alpha = |x: u32| pixel(&straight, x, area.top)[3];
            assert_eq!((alpha(area.left), alpha(area.right - 1)), (0, 255));
            assert!((area.left + 1..area.right).all(|x| alpha(x) >= alpha(x - 1)));
            assert_eq!(pixel(&straight, area.left, area.top), [0; 4]);
        }
    }

    #[test]
    fn edges_are_soft_and_the_picture_has_its_outermost_line() {
        let frame = drawn((1920, 1080), Alpha::Straight, PixelFormat::Rgba, 0);
        let corners = [(0, 0), (1919, 0), (0, 1079), (1919, 1079), (960, 0)];
        for (x, y) in corners {
            assert_eq!(pixel(&frame, x, y), WHITE);
        }
        assert_eq!(pixel(&frame, 1, 1), [0; 4]);
        // EBU R 95's lines in a frame of 1080 lines: 3.5 % are 67 pixels and 37 lines, 5 % are 96
        // and 54.
        for (x, y) in [(67, 37), (96, 54)] {
            assert_eq!(pixel(&frame, x, 500), WHITE);
            assert_eq!(pixel(&frame, 500, y), WHITE);
            assert_eq!(pixel(&frame, x - 1, 500), [0; 4]);
            assert_eq!(pixel(&frame, 500, y - 1), [0; 4]);
        }
        // The disc's leftmost pixels, and along the soft one's radius.
        let row: Vec<u8> = (1040..1060).map(|x| pixel(&frame, x, 540)[3]).collect();
        assert!(row.is_sorted() && row[0] == 0 && row[19] == 255, "{row:?}");
        let soft: Vec<u8> = (1543..1620).map(|x| pixel(&frame, x, 540)[3]).collect();
        assert!(soft.is_sorted_by(|a, b| a < b), "{soft:?}");
    }

    #[test]
    fn each_frame_is_another() {
        let frames: Vec<Frame> = (60..62)
            .map(|index| drawn((320, 180), Alpha::Straight, PixelFormat::Rgba, index))
            .collect();
        let lane = layout::LANE.in_pixels(frames[0].size());
        let marker = |frame: &Frame| {
            (lane.left..lane.right).position(|x| pixel(frame, x, lane.top) == WHITE)
        };
        assert_eq!(marker(&frames[0]), Some(240));
        assert_eq!(marker(&frames[1]), Some(244));
    }

    #[test]
    fn small_frames_are_refused_with_the_least_size() {
        for (width, height) in [(319, 180), (320, 179), (1, 1)] {
            let size = Size::new(width, height).unwrap();
            let error = Chart::new(size).unwrap_err().to_string();
            assert!(error.contains("at least 320x180"), "{error}");
            assert!(error.contains(&size.to_string()), "{error}");
        }
    }
}
