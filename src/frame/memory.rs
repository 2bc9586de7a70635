//! Memory for pixels.
//!
//! An allocator may begin a large block 16 bytes into a page, and then each block of 16 pixels is in
//! two cache lines: a frame takes 3 to 7 % longer.

use std::hint::black_box;
use std::ops::{Deref, DerefMut};

/// Pixels of a cache line, which is as long as the widest vector.
const LINE: usize = 16;

/// Pixels of the smallest page that a system has.
const PAGE: usize = 1024;

/// Pixels that begin with a cache line: a block of a row is then in one line, not in two, where
/// rows are whole blocks.
pub(crate) struct Pixels {
    memory: Vec<[u8; 4]>,
    /// Where the first pixel is in it.
    start: usize,
    count: usize,
}

impl Pixels {
    /// So many pixels, clear.
    pub(crate) fn clear(count: usize) -> Self {
        let memory = vec![[0; 4]; count + LINE - 1];
        let offset = memory.as_ptr().align_offset(LINE * size_of::<[u8; 4]>());
        Self {
            // What can't be aligned is right as it is, though slower.
            start: if offset < LINE { offset } else { 0 },
            memory,
            count,
        }
    }

    /// Writes to every page, without a change.
    pub(crate) fn settle(&mut self) {
        for pixel in self.memory.iter_mut().step_by(PAGE) {
            // Or else the compiler sees that nothing changes.
            *pixel = black_box(*pixel);
        }
    }
}

impl Deref for Pixels {
    type Target = [[u8; 4]];

    fn deref(&self) -> &[[u8; 4]] {
        &self.memory[self.start..][..self.count]
    }
}

impl DerefMut for Pixels {
    fn deref_mut(&mut self) -> &mut [[u8; 4]] {
        &mut self.memory[self.start..][..self.count]
    }
}

impl Clone for Pixels {
    /// The memory of a clone begins elsewhere.
    fn clone(&self) -> Self {
        let mut clone = Self::clear(self.count);
        clone.copy_from_slice(self);
        clone
    }
}

impl PartialEq for Pixels {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Pixels {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_begin_with_a_line_and_are_as_many_as_asked_for() {
        for count in [0, 1, 15, 16, 17, 4_000, 1 << 20] {
            let mut pixels = Pixels::clear(count);
            assert_eq!(pixels.as_ptr().align_offset(64), 0, "{count}");
            assert_eq!(pixels.len(), count);
            assert!(pixels.iter().all(|pixel| *pixel == [0; 4]));
            for (pixel, n) in pixels.iter_mut().zip(0..) {
                *pixel = u32::to_ne_bytes(n);
            }
            let clone = pixels.clone();
            assert!(clone == pixels, "{count}");
            assert_eq!(clone.as_ptr().align_offset(64), 0, "{count}");
        }
    }
}
