//! Counts flashes over one background.
//!
//! What is counted is departures: changes away from the background. Each cell of the small picture is
//! followed by itself, since two halves of a picture that flash in turn flash both; and each block of
//! the size that WCAG gives as a whole, by how many of its cells are away, since flashes in different
//! places of it are flashes too.

use std::time::Duration;

use crate::frame::{Frame, Size};
use crate::pixel::srgb_to_linear;

/// A change of relative luminance that counts. WCAG has 0.1; a cell is a mean of pixels, some of
/// which change more than it does.
const SWING: f32 = 0.06;

/// The same over grey, where what is brighter and what is darker is watched each by itself, and both
/// may come in turn.
const SWING_OVER_GREY: f32 = 0.04;

/// The level of sRGB over which what is nearly clear stands out most: of what is `alpha` opaque and
/// white, luminance changes by about `alpha (255 - grey) grey^1.2`.
const GREY: u8 = 139;

/// Two bright pictures are no flash: the darker must be below this.
const DARK: f32 = 0.82;

/// Departures in a second that are allowed.
const FLASHES: usize = 3;

const SECOND_US: u64 = 1_000_000;

/// The block in which areas are measured, in px of WCAG's display, and the share of it that may flash.
/// WCAG has a quarter; blocks are looked at a few cells apart, and cells count as a whole.
const BLOCK: (f64, f64) = (341.0, 256.0);
const BLOCK_SHARE: f64 = 0.15;

/// Blocks are so many cells apart.
const STRIDE: usize = 4;

/// What is under the overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Background {
    /// Sprites make it brighter.
    Black,
    /// Sprites make it darker.
    White,
    /// Of what sprites do, what makes it brighter.
    GreyBelow,
    /// Of what sprites do, what makes it darker.
    GreyAbove,
}

/// The cells of a picture, and its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    columns: usize,
    rows: usize,
    /// Of a block, in cells.
    block: (usize, usize),
    /// So many cells that flash are too many.
    area: usize,
}

/// What is known of one place, a cell or a block: by how much it is away from the background.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// The least since it returned, or the most since it departed.
    extreme: f32,
    is_away: bool,
}

/// When a place departed last, in microseconds plus one, the latest first; 0 for never.
type Departures = [u64; FLASHES + 1];

/// All places over one background.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    grid: Grid,
    background: Background,
    /// Of every level of sRGB, in linear light.
    linear: Box<[f32]>,
    cells: Vec<Place>,
    departures: Vec<Departures>,
    blocks: Vec<Place>,
    block_departures: Vec<Departures>,
    /// The cells as they would be: what is tried.
    next: Vec<Place>,
    /// How many cells above and left of each corner are away, and how many have departed too often.
    sums: Vec<[u32; 2]>,
}

impl Grid {
    /// For a picture of so many cells, each of which has `cell_px` of WCAG's display on a side.
    pub(super) fn new(size: Size, cell_px: f64) -> Self {
        let (columns, rows) = (size.width() as usize, size.height() as usize);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred cells"
        )]
        let cells = |px: f64| (px / cell_px).round().max(1.0) as usize;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred cells"
        )]
        let area = (BLOCK.0 * BLOCK.1 * BLOCK_SHARE / (cell_px * cell_px)) as usize;
        Self {
            columns,
            rows,
            block: (cells(BLOCK.0).min(columns), cells(BLOCK.1).min(rows)),
            area: area.max(1),
        }
    }

    /// The upper left cells of all blocks; the last ones end where the picture ends.
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> + Clone {
        let starts = |all: usize, block: usize| {
            let last = all - block;
            (0..last).step_by(STRIDE).chain([last])
        };
        let Self {
            columns,
            rows,
            block,
            ..
        } = self;
        let rows = starts(rows, block.1);
        rows.flat_map(move |y| starts(columns, block.0).map(move |x| (x, y)))
    }
}

impl Place {
    const NEAR: Self = Self {
        extreme: 0.0,
        is_away: false,
    };

    /// As it is at this distance from the background; a change by `swing` counts if it is `dark`,
    /// which is told the distances before and after.
    fn moved(self, distance: f32, swing: f32, dark: impl Fn(f32, f32) -> bool) -> Self {
        let Self { extreme, is_away } = self;
        let extreme = match is_away {
            false => extreme.min(distance),
            true => extreme.max(distance),
        };
        let (near, far) = match is_away {
            false => (extreme, distance),
            true => (distance, extreme),
        };
        match far - near >= swing && dark(near, far) {
            true => Self {
                extreme: distance,
                is_away: !is_away,
            },
            false => Self { extreme, is_away },
        }
    }
}

impl Background {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Black, Self::White, Self::GreyBelow, Self::GreyAbove];

    /// Its level of sRGB.
    fn level(self) -> u8 {
        match self {
            Self::Black => 0,
            Self::White => u8::MAX,
            Self::GreyBelow | Self::GreyAbove => GREY,
        }
    }

    /// 1 if what is brighter is away from it, -1 if what is darker is.
    fn sign(self) -> f32 {
        match self {
            Self::Black | Self::GreyBelow => 1.0,
            Self::White | Self::GreyAbove => -1.0,
        }
    }

    /// The change that counts.
    fn swing(self) -> f32 {
        match self {
            Self::Black | Self::White => SWING,
            Self::GreyBelow | Self::GreyAbove => SWING_OVER_GREY,
        }
    }
}

impl Watch {
    /// Nothing has been seen yet.
    pub(super) fn new(grid: Grid, background: Background) -> Self {
        let cells = grid.columns * grid.rows;
        let blocks = grid.blocks().count();
        let linear = |level: u8| {
            #[expect(clippy::cast_possible_truncation, reason = "a share in 32 bits")]
            let linear = srgb_to_linear(f64::from(level) / 255.0) as f32;
            linear
        };
        Self {
            grid,
            background,
            linear: (0..=u8::MAX).map(linear).collect(),
            cells: vec![Place::NEAR; cells],
            departures: vec![Departures::default(); cells],
            blocks: vec![Place::NEAR; blocks],
            block_departures: vec![Departures::default(); blocks],
            next: vec![Place::NEAR; cells],
            sums: vec![[0; 2]; (grid.columns + 1) * (grid.rows + 1)],
        }
    }

    /// Whether everything is as near the background as it can be.
    pub(super) fn rests(&self) -> bool {
        let cells = self.cells.iter();
        cells.chain(&self.blocks).all(|place| *place == Place::NEAR)
    }

    /// Whether the picture at this level of opacity is no flash too many.
    pub(super) fn allows(&mut self, picture: &Frame, level: u8, at: Duration) -> bool {
        let second = second_before(at);
        self.look(picture, level, second);
        let blocks = self.grid.blocks().zip(&self.blocks);
        let mut blocks = blocks.zip(&self.block_departures);
        blocks.all(|((corner, block), departures)| {
            let [away, flashing] = self.inside(corner);
            let departs = !block.is_away && self.block_moved(*block, away).is_away;
            let is_often = departs && departures[FLASHES - 1] > second;
            !is_often && (flashing as usize) < self.grid.area
        })
    }

    /// Takes note of the picture at the level at which it is shown.
    pub(super) fn go_on(&mut self, picture: &Frame, level: u8, at: Duration) {
        self.look(picture, level, second_before(at));
        let now = kept(at);
        let cells = self.cells.iter_mut().zip(&self.next);
        for ((cell, next), departures) in cells.zip(&mut self.departures) {
            if next.is_away && !cell.is_away {
                note(departures, now);
            }
            *cell = *next;
        }
        for (number, corner) in self.grid.blocks().enumerate() {
            let [away, _] = self.inside(corner);
            let block = self.blocks[number];
            let next = self.block_moved(block, away);
            if next.is_away && !block.is_away {
                note(&mut self.block_departures[number], now);
            }
            self.blocks[number] = next;
        }
    }

    /// Looks at the cells of a picture, as they are at a level of opacity.
    fn look(&mut self, picture: &Frame, level: u8, second: u64) {
        let Self {
            grid, background, ..
        } = *self;
        let (swing, sign) = (background.swing(), background.sign());
        let ground = self.linear[usize::from(background.level())];
        let is_dark = |near: f32, far: f32| ground + (sign * near).min(sign * far) < DARK;
        let width = grid.columns + 1;
        for (y, row) in picture.pixels().chunks_exact(grid.columns).enumerate() {
            let (mut away, mut flashing) = (0, 0);
            for (x, pixel) in row.iter().enumerate() {
                let number = y * grid.columns + x;
                let cell = self.cells[number];
                let distance = self.distance(*pixel, level);
                let next = cell.moved(distance, swing, is_dark);
                self.next[number] = next;
                away += u32::from(next.is_away);
                let departures = &self.departures[number];
                let departs = next.is_away && !cell.is_away;
                let is_often = departures[if departs { FLASHES - 1 } else { FLASHES }] > second;
                flashing += u32::from(is_often);
                let above = self.sums[y * width + x + 1];
                self.sums[(y + 1) * width + x + 1] = [above[0] + away, above[1] + flashing];
            }
        }
    }

    /// How far a pixel of the overlay at a level of opacity is from the background.
    fn distance(&self, pixel: [u8; 4], level: u8) -> f32 {
        if pixel[3] == 0 {
            return 0.0;
        }
        let [r, g, b, a] = pixel.map(|value| div_255(u32::from(value) * u32::from(level)));
        let ground = self.background.level();
        let under = div_255((255 - a) * u32::from(ground));
        let linear = |value: u32| self.linear[(value + under).min(255) as usize];
        let luminance = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let change = luminance - self.linear[usize::from(ground)];
        (change * self.background.sign()).max(0.0)
    }

    /// A block of which so many cells are away.
    fn block_moved(&self, block: Place, away: u32) -> Place {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand cells at most")]
        let (away, area) = (away as f32, self.grid.area as f32);
        block.moved(away, area, |_, _| true)
    }

    /// How many cells of a block are away, and how many flash too often.
    fn inside(&self, (x, y): (usize, usize)) -> [u32; 2] {
        let width = self.grid.columns + 1;
        let (right, below) = (x + self.grid.block.0, y + self.grid.block.1);
        let sum = |x: usize, y: usize| self.sums[y * width + x];
        let corners = [sum(x, y), sum(right, y), sum(x, below), sum(right, below)];
        let count = |n: usize| corners[3][n] + corners[0][n] - corners[1][n] - corners[2][n];
        [count(0), count(1)]
    }
}

/// `product / 255`, to the nearest whole number.
fn div_255(product: u32) -> u32 {
    (product + 127) / 255
}

fn note(departures: &mut Departures, now: u64) {
    departures.rotate_right(1);
    departures[0] = now;
}

/// A time as it is kept, so that 0 is none.
fn kept(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).map_or(u64::MAX, |us| us.saturating_add(1))
}

/// What is kept of the time one second before.
fn second_before(at: Duration) -> u64 {
    kept(at).saturating_sub(SECOND_US)
}
