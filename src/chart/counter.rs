//! The frame's number as a machine reads it.

use std::array;

/// What the counter counts to before it begins again at 0: 2^28.
pub const COUNT: u64 = 1 << 28;

/// The blocks of a number below [`COUNT`], from the left; a white one is true.
///
/// 28 bits of the number, the highest first, then 4 bits of check: the exclusive or of the
/// number's seven groups of four bits, inverted, so that neither all black nor all white is a
/// number.
pub(super) fn blocks(number: u32) -> [bool; 32] {
    let word = number << 4 | check(number);
    array::from_fn(|n| word << n >> 31 == 1)
}

/// The number of these blocks, if their check is right.
pub(super) fn number(blocks: [bool; 32]) -> Option<u32> {
    let word = blocks
        .into_iter()
        .fold(0, |word, white| word << 1 | u32::from(white));
    let number = word >> 4;
    (word & 0xF == check(number)).then_some(number)
}

fn check(number: u32) -> u32 {
    let groups = (0..7).map(|n| number >> (4 * n) & 0xF);
    groups.fold(0xF, |check, group| check ^ group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_one_wrong_block_is_seen() {
        for n in [0, 1, 2, 59, 60, 0x0123_4567, 0x0FFF_FFFE, 0x0FFF_FFFF] {
            let blocks = blocks(n);
            assert_eq!(number(blocks), Some(n));
            for wrong in 0..32 {
                let mut blocks = blocks;
                blocks[wrong] = !blocks[wrong];
                assert_eq!(number(blocks), None, "{n}, block {wrong}");
            }
        }
    }

    #[test]
    fn black_and_white_are_no_number() {
        assert_eq!(number([false; 32]), None);
        assert_eq!(number([true; 32]), None);
        // 1, its bit the last before the check, which is then 1110.
        let one = blocks(1);
        assert_eq!(one.iter().position(|white| *white), Some(27));
        assert_eq!(one[28..], [true, true, true, false]);
    }
}
