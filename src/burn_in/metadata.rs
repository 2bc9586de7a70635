//! Metadata in transport streams, such as ID3 and KLV, each in a PES packet of its own
//! (ISO/IEC 13818-1, 2.12.4): what FFmpeg's demuxer takes off it, and its muxer doesn't put back.

/// `stream_id` of metadata in access units.
pub(super) const METADATA_STREAM: u8 = 0xfc;

/// `stream_id` of private data, as which metadata comes without access units.
pub(super) const PRIVATE_STREAM: u8 = 0xbd;

/// Bytes before the metadata of an access unit: `Metadata_AU_cell`'s header.
const CELL_HEADER: usize = 5;

/// Bytes of an ID3 tag's header.
const TAG_HEADER: usize = 10;

/// With what a universal label begins, and so a set of KLV (SMPTE 336).
const LABEL: [u8; 4] = [0x06, 0x0e, 0x2b, 0x34];

/// The first bytes of an ID3 tag that has come without them; `None` for what is whole, or no tag.
///
/// FFmpeg 5.1's demuxer takes the header of an access unit off all metadata, be there one or not.
/// The tag's version goes with it; it is that by which its frames fit into it (ID3v2.4, 4: their
/// sizes have seven bits a byte, ID3v2.3, 3.3: they have eight), and 2.4 where both do.
pub(super) fn lost_of_id3(data: &[u8]) -> Option<[u8; CELL_HEADER]> {
    let (flags, sizes) = data.split_first()?;
    let (size, rest) = sizes.split_first_chunk::<4>()?;
    let frames = rest.get(..seven_bits(*size)?)?;
    if flags & 0x0f != 0 {
        return None;
    }
    // What is before the frames has a size of its own.
    let has_more = flags & 0x40 != 0;
    let version = if has_more || fit(frames, seven_bits) {
        4
    } else if fit(frames, |size| {
        usize::try_from(u32::from_be_bytes(size)).ok()
    }) {
        3
    } else {
        return None;
    };
    Some([b'I', b'D', b'3', version, 0])
}

/// A number of 28 bits, seven a byte.
fn seven_bits(bytes: [u8; 4]) -> Option<usize> {
    let is_one = bytes.iter().all(|byte| *byte < 0x80);
    let number = || {
        bytes
            .iter()
            .fold(0, |number, byte| number << 7 | usize::from(*byte))
    };
    is_one.then(number)
}

/// Whether frames follow one another to the end, or to a padding of zeros.
fn fit(mut frames: &[u8], size: impl Fn([u8; 4]) -> Option<usize>) -> bool {
    while frames.iter().any(|byte| *byte != 0) {
        let Some((header, rest)) = frames.split_first_chunk::<TAG_HEADER>() else {
            return false;
        };
        let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let [name @ .., a, b, c, d, _, _] = header;
        let after = size([*a, *b, *c, *d]).and_then(|size| rest.get(size..));
        match after {
            Some(after) if name.iter().all(is_name) => frames = after,
            _ => return false,
        }
    }
    true
}

/// What is before this metadata in the access unit that it is all of, the so manieth of its stream;
/// `None` if it is not known to need one.
pub(super) fn cell_header(data: &[u8], number: u8) -> Option<[u8; CELL_HEADER]> {
    if !data.starts_with(&LABEL) && !data.starts_with(b"ID3") {
        return None;
    }
    let [high, low] = u16::try_from(data.len()).ok()?.to_be_bytes();
    // It is whole, and needs nothing before it: `cell_fragment_indication`,
    // `random_access_indicator`.
    Some([0, number, 0xdf, high, low])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag of this version with frames of so many bytes.
    fn tag(version: u8, sizes: &[usize], padding: usize) -> Vec<u8> {
        let mut frames = Vec::new();
        for size in sizes {
            let bits = if version == 4 { 7 } else { 8 };
            let part = |n: usize| u8::try_from(size >> (bits * n) & ((1 << bits) - 1)).unwrap();
            frames.extend(b"TIT2");
            frames.extend([part(3), part(2), part(1), part(0), 0, 0]);
            frames.extend(vec![b'x'; *size]);
        }
        frames.extend(vec![0; padding]);
        let part = |n: usize| u8::try_from(frames.len() >> (7 * n) & 0x7f).unwrap();
        let header = [
            b"ID3",
            &[version, 0, 0, part(3), part(2), part(1), part(0)][..],
        ]
        .concat();
        [header, frames].concat()
    }

    #[test]
    fn a_tag_has_its_first_bytes_again() {
        for (version, sizes, padding) in [
            (4, &[6][..], 0),
            (4, &[200, 3, 70_000], 0),
            (4, &[5, 128], 31),
            (3, &[200, 3], 0),
            (3, &[300, 70_000], 12),
            (4, &[], 0),
        ] {
            let whole = tag(version, sizes, padding);
            let lost = lost_of_id3(&whole[CELL_HEADER..]);
            assert_eq!(lost.as_ref().map(<[u8; 5]>::as_slice), Some(&whole[..5]));
            assert_eq!(lost_of_id3(&whole), None, "it is whole");
        }
        // More of it in the packet.
        let two = [&tag(4, &[6], 0)[CELL_HEADER..], &tag(4, &[7], 0)].concat();
        assert_eq!(lost_of_id3(&two), Some(*b"ID3\x04\0"));
    }

    #[test]
    fn what_is_no_tag_is_left_alone() {
        let whole = tag(4, &[6], 0);
        let cut = &whole[CELL_HEADER..whole.len() - 1];
        let long = [&[0, 0, 0, 0, 20], &b"TIT2\0\0\0\x40\0\x00123456789"[..]].concat();
        let name = [&[0, 0, 0, 0, 10], &b"tit2\0\0\0\0\0\0"[..]].concat();
        for data in [
            &[][..],
            &[0],
            &[0; 4],
            &[1; 30],
            &[0x80; 30],
            cut,
            &long,
            &name,
        ] {
            assert_eq!(lost_of_id3(data), None, "{data:?}");
        }
    }

    #[test]
    fn an_access_unit_has_its_header() {
        let klv = [&LABEL[..], &[0; 296]].concat();
        assert_eq!(cell_header(&klv, 7), Some([0, 7, 0xdf, 1, 44]));
        assert_eq!(cell_header(b"ID3\x04", 0), Some([0, 0, 0xdf, 0, 4]));
        // With its header still there, or too long for one.
        assert_eq!(
            cell_header(&[&[0, 7, 0xdf, 1, 44], &klv[..]].concat(), 7),
            None
        );
        assert_eq!(cell_header(&[&klv[..], &vec![0; 65_536]].concat(), 7), None);
    }
}
