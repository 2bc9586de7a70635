//! Sections of a transport stream (ISO/IEC 13818-1, 2.4.4), and the one that says where to splice
//! (SCTE 35).

/// Registers a program as one with splice information (SCTE 35, 8.1): `registration_descriptor`.
pub(super) const SPLICES: [u8; 6] = [5, 4, b'C', b'U', b'E', b'I'];

/// `stream_type` of splice information.
pub(super) const SPLICE_TYPE: u8 = 0x86;

/// `table_id` of `splice_info_section`.
const SPLICE_TABLE: u8 = 0xfc;

/// Bytes of a section's check.
const CHECK: usize = 4;

/// The check of a section's bytes: `CRC_32`.
pub(super) fn check(bytes: &[u8]) -> [u8; CHECK] {
    let feed = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            let polynomial = if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            crc << 1 ^ polynomial
        })
    };
    bytes.iter().fold(u32::MAX, feed).to_be_bytes()
}

/// The bytes of the section that these begin with, with its check; `None` if they aren't all there.
pub(super) fn section(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(bytes.get(1)? & 15) << 8 | usize::from(*bytes.get(2)?);
    bytes.get(..3 + length)
}

/// Moves the times of a splice by so many ticks of 90 kHz: those of the programme have moved so.
/// What is no splice information is left alone.
pub(super) fn move_splice(bytes: &mut [u8], ticks: i64) {
    let Some(length) = section(bytes).map(<[u8]>::len) else {
        return;
    };
    let bytes = &mut bytes[..length];
    let is_splice = bytes[0] == SPLICE_TABLE && length >= 15 + CHECK;
    let (body, end) = bytes.split_at_mut(length.saturating_sub(CHECK));
    if !is_splice || check(body) != *end {
        return;
    }
    // `pts_adjustment`: 33 bits, which wrap.
    let number = body[4..9]
        .iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte));
    let mask = (1 << 33) - 1;
    let moved = number & !mask | number.wrapping_add(ticks) & mask;
    body[4..9].copy_from_slice(&moved.to_be_bytes()[3..]);
    let checked = check(body);
    end.copy_from_slice(&checked);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `splice_insert` of SCTE 35, 14.2, with its check.
    const INSERT: &str = "FC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A\
                          0008435545490000013562DBA30A";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_standards_own_section_checks() {
        let insert = bytes(INSERT);
        let (body, end) = insert.split_at(insert.len() - CHECK);
        assert_eq!(check(body), *end);
        assert_eq!(section(&[&insert[..], &[255; 9]].concat()), Some(&*insert));
        assert_eq!(section(&insert[..40]), None);
    }

    #[test]
    fn times_of_splices_move_and_wrap() {
        let insert = bytes(INSERT);
        let mut moved = insert.clone();
        move_splice(&mut moved, -1);
        assert_eq!(moved[4..9], [0x01, 0xff, 0xff, 0xff, 0xff]);
        let (body, end) = moved.split_at(moved.len() - CHECK);
        assert_eq!(check(body), *end);
        move_splice(&mut moved, 90_001);
        assert_eq!(moved[4..9], [0, 0, 1, 0x5f, 0x90]);
        move_splice(&mut moved, -90_000);
        assert_eq!(moved, insert);
    }

    #[test]
    fn what_is_no_splice_is_left_alone() {
        for broken in [
            vec![],
            vec![0xfc, 0],
            vec![0xfc; 40],
            bytes("FC300100"),
            vec![0; 60],
        ] {
            let mut same = broken.clone();
            move_splice(&mut same, 1);
            assert_eq!(same, broken);
        }
    }
}
