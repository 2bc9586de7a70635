//! Live NUT: a stream without an end whose every frame stands behind a syncpoint of its own, so
//! that nothing waits for the frame after it.
//!
//! Packets, their startcodes and the coding of numbers are those of the NUT Open Container Format,
//! version 3. A frame is a PNG file or uncompressed, and always one from which decoding can begin.

use std::time::Duration;

use super::form::Codec;
use crate::frame::Size;

const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;
const INFO: u64 = 0x4E49_AB68_B596_BA78;

/// Time stamps are in milliseconds.
const TIME_BASE: (u64, u64) = (1, 1_000);

/// Bytes between two syncpoints, at most, where frames are smaller than that: the most there is.
const MAX_DISTANCE: u64 = 65_536;

/// What a frame's first byte says: a key frame, with its time stamp, size and checksum.
const CODE: u8 = 1;
const FLAGS: u64 = KEY | CODED_PTS | SIZE_MSB | CHECKSUM;
const KEY: u64 = 1;
const CODED_PTS: u64 = 8;
const SIZE_MSB: u64 = 32;
const CHECKSUM: u64 = 64;
const INVALID: u64 = 8_192;

/// A stream's place, from which syncpoints point back.
#[derive(Debug, Default)]
pub(super) struct Muxer {
    /// Bytes before the next packet.
    position: u64,
    /// The last syncpoint's.
    syncpoint: Option<u64>,
}

impl Muxer {
    /// All that stands before the first frame.
    pub(super) fn header(&mut self, codec: Codec, size: Size) -> Vec<u8> {
        let mut file = b"nut/multimedia container\0".to_vec();
        file.extend(packet(MAIN, &main_header()));
        file.extend(packet(STREAM, &stream_header(codec, size)));
        self.position = file.len() as u64;
        file
    }

    /// A packet that says nothing: about no stream, no chapter, and of no length.
    pub(super) fn nothing(&mut self) -> Vec<u8> {
        let packet = packet(INFO, &[0; 5]);
        self.position += packet.len() as u64;
        packet
    }

    /// All of a frame but its bytes themselves, of which there are `bytes`.
    pub(super) fn frame(&mut self, at: Duration, bytes: usize) -> Vec<u8> {
        let stamp = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let back = self.position - self.syncpoint.unwrap_or(self.position);
        self.syncpoint = Some(self.position);
        let mut head = packet(SYNCPOINT, &[number(stamp), number(back / 16)].concat());
        let mut frame = vec![CODE];
        // A stamp in full: beyond the least that could be the end of one.
        frame.extend(number(stamp.saturating_add(1)));
        frame.extend(number(bytes as u64));
        frame.extend(checksum(&frame).to_be_bytes());
        head.extend(frame);
        self.position += (head.len() + bytes) as u64;
        head
    }
}

fn main_header() -> Vec<u8> {
    let (streams, time_bases, more_elided_headers) = (1, 1, 0);
    let mut header = Vec::new();
    for value in [
        3,
        streams,
        MAX_DISTANCE,
        time_bases,
        TIME_BASE.0,
        TIME_BASE.1,
    ] {
        header.extend(number(value));
    }
    // One first byte of frames has a meaning; N, which startcodes begin with, is not counted.
    let (fields, pts_delta, size_factor, stream, size, reserved) = (6, 0, 1, 0, 0, 0);
    let codes = u64::from(CODE);
    for (flags, count) in [(INVALID, codes), (FLAGS, 1), (INVALID, 254 - codes)] {
        for value in [
            flags,
            fields,
            pts_delta,
            size_factor,
            stream,
            size,
            reserved,
            count,
        ] {
            header.extend(number(value));
        }
    }
    header.extend(number(more_elided_headers));
    header
}

fn stream_header(codec: Codec, size: Size) -> Vec<u8> {
    let name: &[u8; 4] = match codec {
        Codec::RawVideo => b"RGBA",
        _ => b"MPNG",
    };
    let (stream, video) = (0, 0);
    let (time_base, stamp_end_bits, decode_delay) = (0, 0, 0);
    // As many milliseconds as there may be between two frames whose header has no checksum.
    let max_distance = TIME_BASE.1;
    let (flags, own_data) = (0, 0);
    let (aspect, colours) = ([1, 1], 0);
    let mut header = Vec::new();
    for value in [stream, video, name.len() as u64] {
        header.extend(number(value));
    }
    header.extend(name);
    for value in [time_base, stamp_end_bits, max_distance, decode_delay] {
        header.extend(number(value));
    }
    header.push(flags);
    for value in [
        own_data,
        size.width().into(),
        size.height().into(),
        aspect[0],
        aspect[1],
        colours,
    ] {
        header.extend(number(value));
    }
    header
}

/// A packet: its startcode, its length, what is in it, and their checksum.
fn packet(startcode: u64, content: &[u8]) -> Vec<u8> {
    let mut packet = startcode.to_be_bytes().to_vec();
    packet.extend(number(content.len() as u64 + 4));
    packet.extend(content);
    packet.extend(checksum(content).to_be_bytes());
    packet
}

/// A number in groups of seven bits, the highest first; all but the last are marked.
fn number(value: u64) -> Vec<u8> {
    let bits = u64::BITS - value.leading_zeros();
    let groups = bits.div_ceil(7).max(1);
    let group = |n: u32| {
        let mark = if n == 0 { 0 } else { 0x80 };
        (value >> (7 * n)).to_le_bytes()[0] & 0x7F | mark
    };
    (0..groups).rev().map(group).collect()
}

/// The remainder by the polynomial 0x104C11DB7, beginning with zero.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc: u32, _| {
            let next = crc << 1;
            if crc >> 31 == 1 {
                next ^ 0x04C1_1DB7
            } else {
                next
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_groups_of_seven_bits() {
        assert_eq!(number(0), [0]);
        assert_eq!(number(127), [127]);
        assert_eq!(number(128), [0x81, 0]);
        assert_eq!(number(u64::MAX).len(), 10);
    }

    #[test]
    fn what_ends_with_its_checksum_leaves_nothing() {
        let packet = packet(SYNCPOINT, &[1, 2, 3]);
        assert_eq!(packet[8], 3 + 4);
        assert_eq!(checksum(&packet[9..]), 0);
        // The check value of CRC-32/MPEG-2 but for its beginning with ones.
        assert_eq!(checksum(b"123456789"), 0x89A1_897F);
    }

    #[test]
    fn a_syncpoint_points_to_the_one_before() {
        let mut muxer = Muxer::default();
        muxer.header(Codec::Png, Size::new(2, 2).unwrap());
        let first = muxer.frame(Duration::ZERO, 1_000);
        assert_eq!(first[9..11], [0, 0]);
        let second = muxer.frame(Duration::from_millis(1), 1_000);
        let back = (first.len() as u64 + 1_000) / 16;
        assert_eq!(second[9..11], [1, u8::try_from(back).unwrap()]);
    }
}
