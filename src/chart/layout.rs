//! Where everything of the chart is, and in which colour.

use crate::frame::Size;

/// The grid's units from side to side.
pub(super) const COLUMNS: u32 = 320;

/// The grid's units from top to bottom.
pub(super) const ROWS: u32 = 180;

/// A rectangle, in units of the grid or in pixels: `right` and `bottom` are the first outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// From the frame's left side.
    pub left: u32,
    /// From the frame's top.
    pub top: u32,
    /// From the frame's left side, not less than `left`.
    pub right: u32,
    /// From the frame's top, not less than `top`.
    pub bottom: u32,
}

impl Area {
    pub(super) const fn new(left: u32, top: u32, right: u32, bottom: u32) -> Self {
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    /// From units to pixels: a unit `u` is at pixel `u * width / 320`, or `u * height / 180`,
    /// rounded down.
    #[must_use]
    pub fn in_pixels(self, size: Size) -> Self {
        let x = |unit| unit * size.width() / COLUMNS;
        let y = |unit| unit * size.height() / ROWS;
        Self::new(x(self.left), y(self.top), x(self.right), y(self.bottom))
    }

    /// From units to the pixels of the middle, half as wide and half as high, one at least.
    pub(super) fn middle(self, size: Size) -> Self {
        let between = |from: u32, to: u32, side: u32, units: u32| {
            let pixel =
                |quarters: u32| u64::from(quarters) * u64::from(side) / (4 * u64::from(units));
            let (from, to) = (pixel(3 * from + to), pixel(from + 3 * to));
            let pixel = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
            (pixel(from), pixel(to.max(from + 1)))
        };
        let (left, right) = between(self.left, self.right, size.width(), COLUMNS);
        let (top, bottom) = between(self.top, self.bottom, size.height(), ROWS);
        Self::new(left, top, right, bottom)
    }

    /// So much less on each side.
    pub(super) fn inset(self, x: u32, y: u32) -> Self {
        Self::new(self.left + x, self.top + y, self.right - x, self.bottom - y)
    }
}

/// A part of one known colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// What the chart and reports call it.
    pub name: &'static str,
    /// R, G, B and alpha, straight.
    pub colour: [u8; 4],
    /// In units.
    pub area: Area,
}

pub(super) const TITLE: Area = Area::new(32, 12, 288, 23);
pub(super) const COUNTER: Area = Area::new(32, 26, 288, 40);
pub(super) const DIGITS: Area = Area::new(32, 80, 150, 100);
pub(super) const RAMP: Area = Area::new(32, 140, 288, 151);
pub(super) const LANE: Area = Area::new(32, 154, 288, 158);
pub(super) const FOOT: Area = Area::new(32, 160, 150, 169);
pub(super) const WARNING: Area = Area::new(170, 160, 288, 169);

/// The marker's places on its lane, one after another.
pub(super) const MARKER_PLACES: u64 = 64;

/// The cross's centre is the frame's; its arms reach so far, in units.
pub(super) const CROSS_ARM: u32 = 7;

/// Ten opaque patches, and ten below them that are not; each has its name under it.
pub const PATCHES: [Patch; 20] = [
    patch("W", 0, [255, 255, 255, 255]),
    patch("128", 1, [128, 128, 128, 255]),
    patch("64", 2, [64, 64, 64, 255]),
    patch("K", 3, [0, 0, 0, 255]),
    patch("R", 4, [255, 0, 0, 255]),
    patch("G", 5, [0, 255, 0, 255]),
    patch("B", 6, [0, 0, 255, 255]),
    patch("C", 7, [0, 255, 255, 255]),
    patch("M", 8, [255, 0, 255, 255]),
    patch("Y", 9, [255, 255, 0, 255]),
    patch("W191", 10, [255, 255, 255, 191]),
    patch("W128", 11, [255, 255, 255, 128]),
    patch("W64", 12, [255, 255, 255, 64]),
    patch("W1", 13, [255, 255, 255, 1]),
    patch("R191", 14, [255, 0, 0, 191]),
    patch("G128", 15, [0, 255, 0, 128]),
    patch("B64", 16, [0, 0, 255, 64]),
    patch("K128", 17, [0, 0, 0, 128]),
    patch("N128", 18, [96, 96, 96, 128]),
    patch("O191", 19, [200, 100, 50, 191]),
];

const fn patch(name: &'static str, number: u32, colour: [u8; 4]) -> Patch {
    let left = 32 + 26 * (number % 10);
    let top = if number < 10 { 43 } else { 109 };
    Patch {
        name,
        colour,
        area: Area::new(left, top, left + 22, top + 18),
    }
}

/// The plates under the rows of patches, which bear their names.
pub(super) const NAMES: [Area; 2] = [Area::new(31, 62, 289, 71), Area::new(31, 128, 289, 137)];

/// How a disc's alpha ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// By the share of the pixel that the disc covers, within one pixel.
    Sharp,
    /// In proportion to the distance from the edge, from the whole of it in the centre.
    Soft,
}

/// A disc of one straight colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disc {
    pub(super) name: &'static str,
    pub(super) colour: [u8; 4],
    /// The centre, in units.
    pub(super) centre: (u32, u32),
    pub(super) edge: Edge,
}

/// In the lesser of the units of width and of height.
pub(super) const DISC_RADIUS: u32 = 13;

pub(super) const DISCS: [Disc; 3] = [
    Disc {
        name: "disc",
        colour: [255, 144, 0, 255],
        centre: (188, 90),
        edge: Edge::Sharp,
    },
    Disc {
        name: "half disc",
        colour: [0, 144, 255, 128],
        centre: (229, 90),
        edge: Edge::Sharp,
    },
    Disc {
        name: "soft disc",
        colour: [255, 64, 160, 255],
        centre: (270, 90),
        edge: Edge::Soft,
    },
];

impl Disc {
    /// The centre, and then the radius: in 256ths of a pixel.
    pub(super) fn place(self, size: Size) -> ((u32, u32), u32) {
        let x = |unit| parts(unit, size.width(), COLUMNS);
        let y = |unit| parts(unit, size.height(), ROWS);
        let radius = x(DISC_RADIUS).min(y(DISC_RADIUS));
        ((x(self.centre.0), y(self.centre.1)), radius)
    }

    /// A square about the centre, in pixels, half as wide as the disc: far from its edge.
    pub(super) fn core(self, size: Size) -> Area {
        let ((x, y), radius) = self.place(size);
        let from = |centre: u32| (centre - radius / 2) / 256;
        let to = |centre: u32| (centre + radius / 2).div_ceil(256);
        Area::new(from(x), from(y), to(x), to(y))
    }
}

/// A place on a side of so many pixels and units, in 256ths of a pixel: at most 2^22.
fn parts(unit: u32, side: u32, units: u32) -> u32 {
    let parts = u64::from(unit) * u64::from(side) * 256 / u64::from(units);
    u32::try_from(parts).unwrap_or(u32::MAX)
}

/// Three places of the ramp, with the alpha of their middle.
pub(super) const RAMP_PLACES: [Patch; 3] = [
    ramp_place("ramp 1/4", 96, 64),
    ramp_place("ramp 1/2", 160, 128),
    ramp_place("ramp 3/4", 224, 191),
];

const fn ramp_place(name: &'static str, column: u32, alpha: u8) -> Patch {
    Patch {
        name,
        colour: [255, 255, 255, alpha],
        area: Area::new(column - 3, RAMP.top, column + 3, RAMP.bottom),
    }
}

/// Where nothing is drawn, in no one's neighbourhood: the background shows here, if there is one.
pub(super) const CLEAR: [Area; 4] = [
    Area::new(19, 42, 29, 58),
    Area::new(291, 42, 301, 58),
    Area::new(19, 122, 29, 138),
    Area::new(291, 122, 301, 138),
];

/// Block `n` of the counter's 32, from the left.
pub(super) fn counter_block(n: u32) -> Area {
    let left = COUNTER.left + 8 * n;
    Area::new(left, COUNTER.top, left + 8, COUNTER.bottom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_large_and_what_is_clear_is_in_no_other_part() {
        let smallest = Size::new(COLUMNS, ROWS).unwrap();
        for patch in PATCHES {
            let area = patch.area.in_pixels(smallest);
            assert!(area.right - area.left >= 16 && area.bottom - area.top >= 16);
        }
        let parts = [TITLE, COUNTER, DIGITS, RAMP, LANE, FOOT, WARNING];
        let parts = parts.into_iter().chain(NAMES);
        let parts = parts.chain(PATCHES.map(|patch| patch.area));
        for (n, part) in parts.clone().enumerate() {
            let apart = |other: &Area| {
                part.right <= other.left
                    || other.right <= part.left
                    || part.bottom <= other.top
                    || other.bottom <= part.top
            };
            assert!(CLEAR.iter().all(apart), "{part:?}");
            assert!(parts.clone().take(n).all(|other| apart(&other)), "{part:?}");
        }
    }
}
