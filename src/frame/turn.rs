//! Quarter turns and mirrors of frames.

use super::{Frame, Size, blocks, columns, mark};

/// How a picture is turned before it is shown, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Turn {
    /// As it is.
    #[default]
    Upright,
    /// A quarter turn clockwise: the left column becomes the upper row.
    Right,
    /// A half turn.
    Half,
    /// A quarter turn anticlockwise: the upper row becomes the left column, from its foot.
    Left,
    /// Left and right are swapped.
    Mirrored,
    /// Above and below are swapped.
    Flipped,
    /// Columns become rows: mirrored at the diagonal from the upper left.
    Transposed,
    /// Columns become rows from the right and from below: mirrored at the other diagonal.
    Transversed,
}

impl Turn {
    /// Every turn.
    pub const ALL: [Self; 8] = [
        Self::Upright,
        Self::Right,
        Self::Half,
        Self::Left,
        Self::Mirrored,
        Self::Flipped,
        Self::Transposed,
        Self::Transversed,
    ];

    /// What a display matrix does to a picture: `a b u c d v x y w` of ISO/IEC 14496-12, 6.2.2,
    /// as ffmpeg's side data has them. None if it is more than a turn and a scale.
    #[must_use]
    pub fn of_display_matrix(matrix: [i32; 9]) -> Option<Self> {
        let [a, b, _, c, d, ..] = matrix.map(i32::signum);
        // To the right goes what was at (a, c), downwards what was at (b, d).
        match (a, b, c, d) {
            (1, 0, 0, 1) => Some(Self::Upright),
            (0, 1, -1, 0) => Some(Self::Right),
            (-1, 0, 0, -1) => Some(Self::Half),
            (0, -1, 1, 0) => Some(Self::Left),
            (-1, 0, 0, 1) => Some(Self::Mirrored),
            (1, 0, 0, -1) => Some(Self::Flipped),
            (0, 1, 1, 0) => Some(Self::Transposed),
            (0, -1, -1, 0) => Some(Self::Transversed),
            _ => None,
        }
    }

    /// What undoes it.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
            other => other,
        }
    }

    /// The size of a frame that was of this one.
    #[must_use]
    pub fn size(self, size: Size) -> Size {
        if self.transposes() {
            Size {
                width: size.height,
                height: size.width,
            }
        } else {
            size
        }
    }

    /// Whether columns become rows.
    #[must_use]
    pub fn transposes(self) -> bool {
        self.steps().0
    }

    /// How far from the left and from the top something is once it is turned that was this far from
    /// the left, the top, the right and the bottom.
    #[must_use]
    pub fn corner(self, [left, top, right, bottom]: [u32; 4]) -> (u32, u32) {
        let (transposes, mirrors, flips) = self.steps();
        let (across, down) = match transposes {
            false => ([left, right], [top, bottom]),
            true => ([top, bottom], [left, right]),
        };
        (across[usize::from(mirrors)], down[usize::from(flips)])
    }

    /// Whether columns become rows; then, whether left and right, and above and below, are swapped.
    fn steps(self) -> (bool, bool, bool) {
        match self {
            Self::Upright => (false, false, false),
            Self::Right => (true, true, false),
            Self::Half => (false, true, true),
            Self::Left => (true, false, true),
            Self::Mirrored => (false, true, false),
            Self::Flipped => (false, false, true),
            Self::Transposed => (true, false, false),
            Self::Transversed => (true, true, true),
        }
    }
}

/// Makes `out`, whatever it was, `source` turned.
///
/// # Panics
/// `out` is not of the [turned size](Turn::size), or its kind of alpha or order of channels is
/// another.
pub fn turn(source: &Frame, turn: Turn, out: &mut Frame) {
    let size = turn.size(source.size);
    let kind = (size, source.alpha, source.format);
    assert_eq!(kind, (out.size, out.alpha, out.format), "a frame as turned");
    let (source_width, width) = (source.size.width as usize, size.width as usize);
    for (row, line) in out.pixels.chunks_exact_mut(width).enumerate() {
        for block in blocks(out.ink.row(row).iter().copied()) {
            line[columns(block, width)].fill([0; 4]);
        }
    }
    out.ink.words_mut().fill(0);
    let (transposes, mirrors, flips) = turn.steps();
    let last = (width - 1, size.height as usize - 1);
    for (y, line) in source.pixels.chunks_exact(source_width).enumerate() {
        for block in blocks(source.ink.row(y).iter().copied()) {
            let columns = columns(block, source_width);
            for (x, pixel) in columns.clone().zip(&line[columns]) {
                if *pixel == [0; 4] {
                    continue;
                }
                let (x, y) = if transposes { (y, x) } else { (x, y) };
                let x = if mirrors { last.0 - x } else { x };
                let y = if flips { last.1 - y } else { y };
                out.pixels[y * width + x] = *pixel;
                mark(out.ink.row_mut(y), &(x..x + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Alpha, BLOCK, PixelFormat};

    /// Where a display matrix puts the centre of a pixel, in halves of a pixel from the centre.
    fn placed(matrix: [i32; 9], (x, y): (i32, i32)) -> (i32, i32) {
        (matrix[0] * x + matrix[3] * y, matrix[1] * x + matrix[4] * y)
    }

    fn matrices() -> Vec<[i32; 9]> {
        let turns = [[1, 0, 0, 1], [-1, 0, 0, 1], [1, 0, 0, -1], [-1, 0, 0, -1]];
        let swapped = turns.map(|[a, _, _, d]| [0, a, d, 0]);
        let matrix = |[a, b, c, d]: [i32; 4]| [a, b, 0, c, d, 0, 0, 0, 1];
        turns.into_iter().chain(swapped).map(matrix).collect()
    }

    proptest! {
        #[test]
        fn each_pixel_is_where_the_display_matrix_puts_it(
            (width, height) in (1..70_u32, 1..70_u32),
            frames in prop::collection::vec(
                prop::collection::vec((0..70_u32, 0..70_u32, 1..=255_u8), 0..30),
                1..4,
            ),
            matrix in prop::sample::select(matrices()),
        ) {
            let size = Size::new(width, height).unwrap();
            let turned = Turn::of_display_matrix(matrix).unwrap();
            let kind = (Alpha::Straight, PixelFormat::Argb);
            let mut out = Frame::new(turned.size(size), kind.0, kind.1);
            for pixels in frames {
                let mut source = Frame::new(size, kind.0, kind.1);
                for (x, y, level) in pixels {
                    let (x, y) = ((x % width) as usize, (y % height) as usize);
                    source.pixels[y * width as usize + x] = [level; 4];
                    mark(source.ink.row_mut(y), &(x..x + 1));
                }
                turn(&source, turned, &mut out);
                let signed = |n: u32| i32::try_from(n).unwrap();
                let (turned_width, turned_height) = (out.size.width, out.size.height);
                let mut inked = vec![false; (turned_height * turned_width.div_ceil(16)) as usize];
                for y in 0..height {
                    for x in 0..width {
                        let centre = |n: u32, side: u32| 2 * signed(n) + 1 - signed(side);
                        let at = placed(matrix, (centre(x, width), centre(y, height)));
                        let back = |n: i32, side: u32| usize::try_from((n - 1 + signed(side)) / 2);
                        let column = back(at.0, turned_width).unwrap();
                        let row = back(at.1, turned_height).unwrap();
                        let pixel = out.pixels[row * turned_width as usize + column];
                        prop_assert_eq!(pixel, source.pixels[(y * width + x) as usize]);
                        let wide = turned_width.div_ceil(16) as usize;
                        inked[row * wide + column / BLOCK] |= pixel != [0; 4];
                    }
                }
                let wide = turned_width.div_ceil(16) as usize;
                for (row, expected) in inked.chunks(wide).enumerate() {
                    let got: Vec<_> = blocks(out.ink.row(row).iter().copied()).collect();
                    let expected: Vec<_> = (0..wide).filter(|n| expected[*n]).collect();
                    prop_assert_eq!(got, expected, "ink of row {}", row);
                }
                let mut back = Frame::new(size, kind.0, kind.1);
                turn(&out, turned.inverse(), &mut back);
                prop_assert!(back == source, "the inverse undoes it");
            }
        }
    }

    #[test]
    fn a_quarter_turn_is_what_ffmpeg_has() {
        // `ffmpeg -display_rotation 90`, which is anticlockwise, writes this.
        let one = 1 << 16;
        let matrix = [0, -one, 0, one, 0, 0, 0, 0, 1 << 30];
        assert_eq!(Turn::of_display_matrix(matrix), Some(Turn::Left));
        let slanted = [one, one, 0, -one, one, 0, 0, 0, 1 << 30];
        assert_eq!(Turn::of_display_matrix(slanted), None);
        let all: Vec<_> = matrices()
            .into_iter()
            .filter_map(Turn::of_display_matrix)
            .collect();
        assert!(Turn::ALL.iter().all(|turn| all.contains(turn)), "{all:?}");
    }
}
