//! AAC as transport streams have it, each frame behind a header (ADTS, ISO/IEC 14496-3, 1.A.2.2),
//! and as files have it, whose header says it once: `AudioSpecificConfig` (1.6.2.1).

/// Bits that begin each header: twelve of synchronization, and a layer of 0.
fn is_header(bytes: &[u8]) -> bool {
    bytes.len() > 7 && bytes[0] == 0xff && bytes[1] & 0xf6 == 0xf0
}

/// What a file's header says of a frame with a header; `None` for one without, or whose channels
/// are told in the frame.
pub(super) fn config(frame: &[u8]) -> Option<[u8; 2]> {
    if !is_header(frame) {
        return None;
    }
    let object = 1 + (frame[2] >> 6);
    let rate = frame[2] >> 2 & 15;
    let channels = (frame[2] & 1) << 2 | frame[3] >> 6;
    (channels > 0).then_some([object << 3 | rate >> 1, rate << 7 | channels << 3])
}

/// Bytes of a frame's header; 0 for one without.
pub(super) fn header_len(frame: &[u8]) -> usize {
    let length = if frame.get(1).is_some_and(|flags| flags & 1 == 0) {
        9
    } else {
        7
    };
    if is_header(frame) {
        length.min(frame.len())
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_a_file_says() {
        // AAC LC of 48 kHz in stereo, without and with a check.
        for (second, length) in [(0xf1, 7), (0xf0, 9)] {
            let frame = [0xff, second, 0x4c, 0x80, 0x20, 0x1f, 0xfc, 0x21, 0x10, 0x05];
            assert_eq!(config(&frame), Some([0x11, 0x90]));
            assert_eq!(header_len(&frame), length);
        }
        // Of 44.1 kHz in mono.
        let frame = [0xff, 0xf1, 0x50, 0x40, 0x20, 0x1f, 0xfc, 0x21];
        assert_eq!(config(&frame), Some([0x12, 0x08]));
    }

    #[test]
    fn what_has_none_is_left_alone() {
        for frame in [
            &[][..],
            &[0xff],
            &[0x21, 0x10, 5, 0, 0, 0, 0, 0, 0],
            &[0xff, 0xf1, 0x4c],
        ] {
            assert_eq!((config(frame), header_len(frame)), (None, 0));
        }
    }
}
