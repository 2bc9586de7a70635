//! Quarter turns and mirrors: how a picture is coded, and how it is shown.

use super::{Frame, blocks, columns, mark};

/// One of the eight ways in which a picture can be turned by quarters and mirrored. Sides are
/// swapped first, along the diagonal from the top left; then the picture is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Turn {
    swaps_sides: bool,
    mirrors_x: bool,
    mirrors_y: bool,
}

impl Turn {
    /// The picture as it is.
    pub const NONE: Self = Self {
        swaps_sides: false,
        mirrors_x: false,
        mirrors_y: false,
    };

    /// The turn by a matrix that takes a point `(x, y)` to `(a x + c y, b x + d y)`, from the signs
    /// of `a, b, c, d`; `None` if it isn't by quarters.
    #[must_use]
    pub fn of_signs([a, b, c, d]: [i32; 4]) -> Option<Self> {
        let (swaps_sides, x, y) = match [a, b, c, d] {
            [x, 0, 0, y] => (false, x, y),
            [0, y, x, 0] => (true, x, y),
            _ => return None,
        };
        (x != 0 && y != 0).then_some(Self {
            swaps_sides,
            mirrors_x: x < 0,
            mirrors_y: y < 0,
        })
    }

    /// Whether width and height are swapped.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        self.swaps_sides
    }

    /// What turns back.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self.swaps_sides {
            false => self,
            true => Self {
                mirrors_x: self.mirrors_y,
                mirrors_y: self.mirrors_x,
                ..self
            },
        }
    }

    /// How far from the left and from the top something is once it is turned that was this far from
    /// the left, the top, the right and the bottom.
    #[must_use]
    pub fn corner(self, [left, top, right, bottom]: [u32; 4]) -> (u32, u32) {
        let (across, down) = match self.swaps_sides {
            false => ([left, right], [top, bottom]),
            true => ([top, bottom], [left, right]),
        };
        (
            across[usize::from(self.mirrors_x)],
            down[usize::from(self.mirrors_y)],
        )
    }
}

/// Makes `out` the source, turned. Blocks that are clear and were clear cost nothing.
///
/// # Panics
/// `out` has another size than the source once it is turned, or is of another kind.
pub fn turn(source: &Frame, turn: Turn, out: &mut Frame) {
    let (width, height) = (source.size.width as usize, source.size.height as usize);
    let (out_width, out_height) = (out.size.width as usize, out.size.height as usize);
    let turned = if turn.swaps_sides {
        (height, width)
    } else {
        (width, height)
    };
    assert_eq!(
        (out_width, out_height),
        turned,
        "the size of the turned source"
    );
    let kind = |frame: &Frame| (frame.alpha, frame.format);
    assert_eq!(kind(source), kind(out), "frames of one kind");
    for (row, line) in out.pixels.chunks_exact_mut(out_width).enumerate() {
        for block in blocks(out.ink.row(row).iter().copied()) {
            line[columns(block, out_width)].fill([0; 4]);
        }
        out.ink.row_mut(row).fill(0);
    }
    for y in 0..height {
        let line = &source.pixels[y * width..][..width];
        for block in blocks(source.ink.row(y).iter().copied()) {
            for x in columns(block, width) {
                let (across, down) = if turn.swaps_sides { (y, x) } else { (x, y) };
                let across = if turn.mirrors_x {
                    out_width - 1 - across
                } else {
                    across
                };
                let down = if turn.mirrors_y {
                    out_height - 1 - down
                } else {
                    down
                };
                out.pixels[down * out_width + across] = line[x];
                mark(out.ink.row_mut(down), &(across..across + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Alpha, PixelFormat, Size};

    /// Every turn, as the signs of its matrix.
    const ALL: [[i32; 4]; 8] = [
        [1, 0, 0, 1],
        [-1, 0, 0, 1],
        [1, 0, 0, -1],
        [-1, 0, 0, -1],
        [0, 1, 1, 0],
        [0, 1, -1, 0],
        [0, -1, 1, 0],
        [0, -1, -1, 0],
    ];

    fn blank(width: usize, height: usize) -> Frame {
        let size = Size::new(
            u32::try_from(width).unwrap(),
            u32::try_from(height).unwrap(),
        );
        Frame::new(size.unwrap(), Alpha::Premultiplied, PixelFormat::Rgba)
    }

    /// A frame with these runs of pixels: row, first column, length, level.
    fn frame(width: usize, height: usize, runs: &[(usize, usize, usize, u8)]) -> Frame {
        let mut frame = blank(width, height);
        for &(row, start, length, level) in runs {
            let (row, start) = (row % height, start % width);
            let columns = start..(start + length).min(width);
            mark(frame.ink.row_mut(row), &columns);
            for x in columns {
                frame.pixels[row * width + x] = [level, u8::try_from(x % 251).unwrap(), 3, 255];
            }
        }
        frame
    }

    proptest! {
        #[test]
        fn a_point_goes_where_the_matrix_says(
            (width, height) in (1..90_usize, 1..50_usize),
            frames in prop::collection::vec(
                prop::collection::vec((0..50_usize, 0..90_usize, 1..60_usize, 1..=255_u8), 0..9),
                2..4,
            ),
            signs in prop::sample::select(&ALL),
        ) {
            let [a, b, c, d] = signs.map(i64::from);
            let by = Turn::of_signs(signs).unwrap();
            let (out_width, out_height) = if by.swaps_sides() { (height, width) } else { (width, height) };
            let mut out = blank(out_width, out_height);
            let mut back = blank(width, height);
            for runs in frames {
                let source = frame(width, height, &runs);
                turn(&source, by, &mut out);
                let mut expected = vec![[0; 4]; width * height];
                for y in 0..height {
                    for x in 0..width {
                        // From the far side, where the matrix would leave the frame.
                        let at = |along: i64, side: usize, sign: i64| {
                            let along = usize::try_from(along.abs()).unwrap();
                            if sign < 0 { side - 1 - along } else { along }
                        };
                        let (x_, y_) = (x as i64, y as i64);
                        let u = at(a * x_ + c * y_, out_width, a + c);
                        let v = at(b * x_ + d * y_, out_height, b + d);
                        expected[v * out_width + u] = source.pixels()[y * width + x];
                    }
                }
                prop_assert_eq!(out.pixels(), &expected[..]);
                for (row, line) in out.pixels().chunks_exact(out_width).enumerate() {
                    let inked: Vec<_> = out.inked(row).flatten().collect();
                    for (x, pixel) in line.iter().enumerate() {
                        prop_assert!(*pixel == [0; 4] || inked.contains(&x));
                    }
                }
                turn(&out, by.inverse(), &mut back);
                prop_assert_eq!(back.pixels(), source.pixels());
            }
        }

        #[test]
        fn corners_go_where_their_pixels_go(
            margins in prop::array::uniform4(0..20_usize),
            signs in prop::sample::select(&ALL),
        ) {
            let [left, top, right, bottom] = margins;
            let (width, height) = (left + 3 + right, top + 2 + bottom);
            let by = Turn::of_signs(signs).unwrap();
            let runs = [(top, left, 3, 9), (top + 1, left, 3, 9)];
            let source = frame(width, height, &runs);
            let (out_width, out_height) = if by.swaps_sides() { (height, width) } else { (width, height) };
            let mut out = blank(out_width, out_height);
            turn(&source, by, &mut out);
            let shown = |(at, _): &(usize, &[u8; 4])| (at % out_width, at / out_width);
            let pixels = out.pixels().iter().enumerate();
            let first = pixels.filter(|(_, pixel)| pixel[3] > 0).map(|pixel| shown(&pixel));
            let first = first.fold((usize::MAX, usize::MAX), |(x, y), (u, v)| (x.min(u), y.min(v)));
            let margins = margins.map(|margin| u32::try_from(margin).unwrap());
            let (x, y) = by.corner(margins);
            prop_assert_eq!((x as usize, y as usize), first);
        }
    }

    #[test]
    fn what_is_no_quarter_turn_is_none() {
        assert_eq!(Turn::of_signs([1, 1, -1, 1]), None);
        assert_eq!(Turn::of_signs([0, 0, 0, 0]), None);
        assert_eq!(Turn::of_signs([1, 0, 0, 1]), Some(Turn::NONE));
    }
}
