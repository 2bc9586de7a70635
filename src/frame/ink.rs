//! Which pixels of a frame may show something.

use std::ops::Range;

/// Pixels of a block: 64 bytes, as long as a cache line and as the widest vector.
pub(crate) const BLOCK: usize = 16;

/// Blocks of one word.
const BLOCKS: usize = u64::BITS as usize;

/// A bit for each block of 16 pixels in a row, from the left, set where a pixel may show
/// something; each row begins with a word of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ink {
    row_words: usize,
    words: Vec<u64>,
}

impl Ink {
    /// No ink on a frame of this size.
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let row_words = width.div_ceil(BLOCK * BLOCKS);
        Self {
            row_words,
            words: vec![0; row_words * height],
        }
    }

    /// Words of each row.
    pub(crate) fn row_words(&self) -> usize {
        self.row_words
    }

    /// The words of one row.
    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.row_words..][..self.row_words]
    }

    /// The words of one row, to be changed.
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.words[row * self.row_words..][..self.row_words]
    }

    /// The words, row after row.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The words, row after row, to be changed.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// Ink on these columns of a row of which these are the words; there is at least one.
#[inline(always)]
pub(crate) fn mark(row: &mut [u64], columns: &Range<usize>) {
    let (first, last) = (columns.start / BLOCK, (columns.end - 1) / BLOCK);
    let head = u64::MAX << (first % BLOCKS);
    let tail = u64::MAX >> (BLOCKS - 1 - last % BLOCKS);
    let (first, last) = (first / BLOCKS, last / BLOCKS);
    if first == last {
        row[first] |= head & tail;
    } else {
        row[first] |= head;
        row[first + 1..last].fill(u64::MAX);
        row[last] |= tail;
    }
}

/// The numbers of the blocks with ink in a row of which these are the words, from the left.
#[inline(always)]
pub(crate) fn blocks(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(number, mut word)| {
        std::iter::from_fn(move || {
            if word == 0 {
                return None;
            }
            let block = word.trailing_zeros() as usize;
            word &= word - 1;
            Some(number * BLOCKS + block)
        })
    })
}

/// The columns from the first block with ink to the last in a row of `width` pixels of which these
/// are the words; `None` if there is no ink.
#[inline(always)]
pub(crate) fn span(words: &[u64], width: usize) -> Option<Range<usize>> {
    let first = words.iter().position(|word| *word != 0)?;
    let last = words.iter().rposition(|word| *word != 0)?;
    let start = first * BLOCKS + words[first].trailing_zeros() as usize;
    let end = (last + 1) * BLOCKS - words[last].leading_zeros() as usize;
    Some(start * BLOCK..(end * BLOCK).min(width))
}

/// The words of a row's blocks that had ink or have it now; those before become those of now.
#[inline(always)]
pub(crate) fn touched<'a>(before: &'a mut [u64], now: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    let words = before.iter_mut().zip(now);
    words.map(|(before, now)| std::mem::replace(before, *now) | now)
}

/// The columns of a block in rows of `width` pixels.
#[inline(always)]
pub(crate) fn columns(block: usize, width: usize) -> Range<usize> {
    block * BLOCK..((block + 1) * BLOCK).min(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_are_those_of_what_was_marked(
            width in 1..5_000_usize,
            marks in prop::collection::vec((0..5_000_usize, 1..3_000_usize), 0..20),
        ) {
            let mut ink = Ink::new(width, 2);
            let mut expected = vec![false; width.div_ceil(BLOCK)];
            for (start, length) in marks {
                let start = start % width;
                let columns = start..(start + length).min(width);
                let words = ink.row_words();
                mark(&mut ink.words_mut()[words..], &columns);
                expected[columns.start / BLOCK..columns.end.div_ceil(BLOCK)].fill(true);
            }
            let (clear, marked) = ink.words().split_at(ink.row_words());
            let got: Vec<_> = blocks(marked.iter().copied()).collect();
            let expected: Vec<_> = (0..expected.len()).filter(|n| expected[*n]).collect();
            prop_assert_eq!(&got, &expected);
            prop_assert_eq!(blocks(clear.iter().copied()).count(), 0);
            let ends = expected.first().zip(expected.last());
            let expected = ends
                .map(|(first, last)| columns(*first, width).start..columns(*last, width).end);
            prop_assert_eq!(span(marked, width), expected);
            prop_assert_eq!(span(clear, width), None);
        }
    }
}
