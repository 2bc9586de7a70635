//! Colour for clear pixels near those that show something.

use super::Picture;
use crate::frame::{BLOCK, Ink, Pixels, Size, blocks, columns, mark, touched};

/// A copy of a straight picture in which a clear pixel has the mean colour of what shows in its
/// cell of 16x16 pixels or, if nothing does, in the eight cells around.
pub(super) struct Bleed {
    /// Clear where there is no ink.
    pixels: Pixels,
    /// The same in all rows of a cell.
    ink: Ink,
    /// Cells in a row, and rows of cells.
    wide: usize,
    high: usize,
    /// Of each cell: R, G, B times alpha, and alpha, summed up.
    sums: Vec<[u32; 4]>,
    /// The ink of one row of cells.
    reach: Vec<u64>,
}

impl Bleed {
    pub(super) fn new(size: Size) -> Self {
        let (width, height) = (size.width() as usize, size.height() as usize);
        let (wide, high) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
        let ink = Ink::new(width, height);
        Self {
            pixels: Pixels::clear(width * height),
            wide,
            high,
            sums: vec![[0; 4]; wide * high],
            reach: vec![0; ink.row_words()],
            ink,
        }
    }

    pub(super) fn fill<'a>(&'a mut self, picture: Picture<'a>) -> Picture<'a> {
        self.sum_up(&picture);
        for row in 0..self.high {
            self.fill_row(&picture, row);
        }
        Picture {
            pixels: &self.pixels,
            ink: &self.ink,
            ..picture
        }
    }

    fn sum_up(&mut self, picture: &Picture<'_>) {
        let width = picture.size.width() as usize;
        self.sums.fill([0; 4]);
        for (y, line) in picture.pixels.chunks_exact(width).enumerate() {
            let sums = &mut self.sums[y / BLOCK * self.wide..][..self.wide];
            for block in blocks(picture.ink.row(y).iter().copied()) {
                let sum = &mut sums[block];
                for pixel in &line[columns(block, width)] {
                    let [r, g, b, a] = picture.format.rgba(*pixel).map(u32::from);
                    for (sum, level) in sum.iter_mut().zip([r * a, g * a, b * a, a]) {
                        *sum += level;
                    }
                }
            }
        }
    }

    /// Fills one row of cells.
    fn fill_row(&mut self, picture: &Picture<'_>, row: usize) {
        let (width, height) = (
            picture.size.width() as usize,
            picture.size.height() as usize,
        );
        self.reach.fill(0);
        for near in row.saturating_sub(1)..(row + 2).min(self.high) {
            for (cell, sum) in self.sums[near * self.wide..][..self.wide]
                .iter()
                .enumerate()
            {
                if sum[3] > 0 {
                    let first = cell.saturating_sub(1) * BLOCK;
                    mark(&mut self.reach, &(first..((cell + 2) * BLOCK).min(width)));
                }
            }
        }
        let lines = row * BLOCK..((row + 1) * BLOCK).min(height);
        let alpha = usize::from(picture.format.places()[3]);
        for cell in blocks(touched(self.ink.row_mut(lines.start), &self.reach)) {
            let [r, g, b] = colour(&self.sums, (self.wide, self.high), (cell, row));
            let clear = picture.format.pixel([r, g, b, 0]);
            for y in lines.clone() {
                let columns = columns(cell, width);
                let source = &picture.pixels[y * width..][columns.clone()];
                let out = &mut self.pixels[y * width..][columns];
                for (out, pixel) in out.iter_mut().zip(source) {
                    *out = if pixel[alpha] == 0 { clear } else { *pixel };
                }
            }
        }
        for y in lines.skip(1) {
            self.ink.row_mut(y).copy_from_slice(&self.reach);
        }
    }
}

/// The colour of a cell's clear pixels, in R, G, B; they stay clear where there is none.
fn colour(sums: &[[u32; 4]], (wide, high): (usize, usize), (x, y): (usize, usize)) -> [u8; 3] {
    let own = sums[y * wide + x];
    let [r, g, b, alpha] = if own[3] > 0 {
        own
    } else {
        let mut all = [0; 4];
        for y in y.saturating_sub(1)..(y + 2).min(high) {
            for sum in &sums[y * wide..][x.saturating_sub(1)..(x + 2).min(wide)] {
                all = std::array::from_fn(|n| all[n] + sum[n]);
            }
        }
        all
    };
    let mean = |sum: u32| (sum + alpha / 2).checked_div(alpha).unwrap_or(0);
    [r, g, b].map(|sum| u8::try_from(mean(sum)).unwrap_or(u8::MAX))
}
