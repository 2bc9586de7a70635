//! QuickTime Animation: runs of equal pixels, and nothing of what is as it was.
//!
//! libavcodec's encoder weighs every way to code each row of each picture, and takes as long over
//! rows in which nothing moves. Here a row that is as it was costs one comparison, and in the
//! others what can be skipped is skipped, what repeats is a run, and all else is copied: a tenth of
//! the time, for files that are no larger.
//!
//! The format is that of Apple's *QuickTime File Format Specification*, "Animation", at 24 and 32
//! bits a pixel.

use crate::frame::{FrameRate, Size};

/// Seconds from one picture that needs no other to the next.
const KEY_SECONDS: u32 = 2;

/// The end of a row.
const ROW_END: u8 = 0xFF;

/// Pixels of one skip, of one run and of one copy, at most.
const SKIP_MAX: usize = 254;
const RUN_MAX: usize = 128;
const COPY_MAX: usize = 127;

/// Makes packets of one video's pictures.
#[derive(Debug)]
pub(super) struct Encoder {
    size: Size,
    pixel_bytes: usize,
    /// Pictures from one that needs no other to the next.
    keys: u32,
    /// Since the last such one.
    since: u32,
    before: Vec<u8>,
    packet: Vec<u8>,
}

impl Encoder {
    /// For pictures of this size with 3 (R, G, B) or 4 (A, R, G, B) bytes a pixel.
    pub(super) fn new(size: Size, pixel_bytes: usize, rate: FrameRate) -> Self {
        let keys = (KEY_SECONDS * rate.num() / rate.den()).max(1);
        Self {
            size,
            pixel_bytes,
            keys,
            since: keys,
            before: vec![0; size.frame_bytes() / 4 * pixel_bytes],
            packet: Vec::new(),
        }
    }

    /// The packet of the next picture, and whether it needs no other one.
    pub(super) fn encode(&mut self, picture: &[u8]) -> (&[u8], bool) {
        let key = self.since >= self.keys;
        self.since = if key { 1 } else { self.since + 1 };
        let row_bytes = self.size.row_bytes() / 4 * self.pixel_bytes;
        let rows = || picture.chunks_exact(row_bytes);
        let before = || self.before.chunks_exact(row_bytes);
        let changed = |(row, before): (&[u8], &[u8])| key || row != before;
        let first = rows().zip(before()).position(changed);
        let last = rows().zip(before()).rposition(changed);
        // Its size, which is known in the end.
        self.packet.clear();
        self.packet.extend([0; 4]);
        match first.zip(last) {
            Some((first, last)) if !key => {
                let (first, count) = (sixteen(first), sixteen(last + 1 - first));
                self.packet.extend([0, 8]);
                self.packet.extend(first.to_be_bytes());
                self.packet.extend([0, 0]);
                self.packet.extend(count.to_be_bytes());
                self.packet.extend([0, 0]);
            }
            _ => self.packet.extend([0, 0]),
        }
        if let Some((first, last)) = first.zip(last) {
            let span = first * row_bytes..(last + 1) * row_bytes;
            let rows = picture[span.clone()].chunks_exact(row_bytes);
            let before = self.before[span].chunks_exact_mut(row_bytes);
            for (row, before) in rows.zip(before) {
                if key || row != before {
                    if self.pixel_bytes == 4 {
                        code::<4>(row, before, key, &mut self.packet);
                    } else {
                        code::<3>(row, before, key, &mut self.packet);
                    }
                    before.copy_from_slice(row);
                } else {
                    self.packet.extend([1, ROW_END]);
                }
            }
        }
        // No row follows.
        self.packet.push(0);
        let bytes = u32::try_from(self.packet.len()).unwrap_or(u32::MAX);
        self.packet[..4].copy_from_slice(&bytes.to_be_bytes());
        (&self.packet, key)
    }
}

/// Rows are fewer than 65,536, since frames are no larger than that.
fn sixteen(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// One row's code; what was there before can't be seen in a picture that needs no other.
fn code<const BYTES: usize>(row: &[u8], before: &[u8], key: bool, packet: &mut Vec<u8>) {
    let (row, before) = (row.as_chunks::<BYTES>().0, before.as_chunks::<BYTES>().0);
    let same = |at: usize| !key && row[at] == before[at];
    let mut at = 0;
    while at < row.len() {
        let mut skip = (at..row.len()).take_while(|at| same(*at)).count();
        // A row begins with a skip, and has others after a zero.
        if at > 0 && at + skip == row.len() {
            break;
        }
        let begun = at > 0;
        at += skip;
        if begun && skip > 0 {
            packet.push(0);
        }
        while skip > SKIP_MAX {
            packet.extend([255, 0]);
            skip -= SKIP_MAX;
        }
        if !begun || skip > 0 {
            packet.push(byte(skip + 1));
        }
        let rest = &row[at..];
        let Some(pixel) = rest.first() else { break };
        let run = rest.iter().take(RUN_MAX).take_while(|p| *p == pixel);
        match run.count() {
            1 => {
                let ends = |n: &usize| same(at + n) || rest.get(n + 1) == Some(&rest[*n]);
                let count = (1..rest.len().min(COPY_MAX)).find(ends);
                let count = count.unwrap_or(rest.len().min(COPY_MAX));
                packet.push(byte(count));
                packet.extend(rest[..count].as_flattened());
                at += count;
            }
            run => {
                // The number's negative.
                packet.push(byte(256 - run));
                packet.extend(pixel);
                at += run;
            }
        }
    }
    packet.push(ROW_END);
}

fn byte(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Decodes a packet as the specification says, over the picture before.
    fn decode(packet: &[u8], size: Size, bytes: usize, picture: &mut [u8]) {
        assert_eq!(
            packet[..4],
            u32::try_from(packet.len()).unwrap().to_be_bytes()
        );
        let number = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        let height = size.height() as usize;
        let (rows, mut at) = match number(4) {
            // So short a packet changes nothing.
            0 if packet.len() < 8 => return,
            0 => (0..height, 6),
            8 => (number(6)..number(6) + number(10), 14),
            header => panic!("header {header}"),
        };
        let row_bytes = size.width() as usize * bytes;
        for row in rows {
            let line = &mut picture[row * row_bytes..][..row_bytes];
            let mut to = (usize::from(packet[at]) - 1) * bytes;
            at += 1;
            loop {
                let op = packet[at].cast_signed();
                at += 1;
                match op {
                    -1 => break,
                    0 => {
                        to += (usize::from(packet[at]) - 1) * bytes;
                        at += 1;
                    }
                    1.. => {
                        let count = usize::from(op.unsigned_abs()) * bytes;
                        line[to..to + count].copy_from_slice(&packet[at..at + count]);
                        (to, at) = (to + count, at + count);
                    }
                    ..-1 => {
                        let count = usize::from(op.unsigned_abs()) * bytes;
                        for place in (to..to + count).step_by(bytes) {
                            line[place..place + bytes].copy_from_slice(&packet[at..at + bytes]);
                        }
                        (to, at) = (to + count, at + bytes);
                    }
                }
            }
            assert!(to <= row_bytes);
        }
        assert_eq!(packet[at..], [0]);
    }

    /// Encodes pictures and holds that each comes back.
    fn comes_back(size: Size, bytes: usize, keys: u32, pictures: &[Vec<u8>]) -> Vec<usize> {
        let rate = FrameRate::new(keys, KEY_SECONDS).unwrap();
        let mut encoder = Encoder::new(size, bytes, rate);
        let mut shown = vec![0xAA; pictures[0].len()];
        let code = |(n, picture): (usize, &Vec<u8>)| {
            let (packet, is_key) = encoder.encode(picture);
            assert_eq!(is_key, n % keys as usize == 0);
            if is_key {
                shown.fill(0xAA);
            }
            decode(packet, size, bytes, &mut shown);
            assert!(shown == *picture, "picture {n}");
            packet.len()
        };
        pictures.iter().enumerate().map(code).collect()
    }

    #[test]
    fn skips_runs_and_copies_of_every_length_come_back() {
        for (bytes, length) in (1..=600).flat_map(|length| [(3, length), (4, length)]) {
            let size = Size::new(length + 2, 1).unwrap();
            let clear = vec![0; size.width() as usize * bytes];
            let different: Vec<u8> = (0..251).cycle().take(clear.len()).collect();
            let mut end = clear.clone();
            *end.last_mut().unwrap() = 1;
            let mut both = end.clone();
            both[0] = 1;
            comes_back(size, bytes, 100, &[clear, end, both, different]);
        }
    }

    #[test]
    fn what_stays_costs_nothing() {
        let size = Size::new(640, 360).unwrap();
        let pictures = vec![vec![9; size.frame_bytes()]; 3];
        let packets = comes_back(size, 4, 2, &pictures);
        assert_eq!(packets[1], 7);
        assert!(packets[0] == packets[2] && packets[0] < 360 * 32);
        let mut moved = pictures[0].clone();
        moved[100 * size.row_bytes()] = 1;
        // The header, a skip, a copy of one pixel, and the row's and the packet's end.
        let packets = comes_back(size, 4, 2, &[pictures[0].clone(), moved]);
        assert_eq!(packets[1], 14 + 1 + 5 + 1 + 1);
    }

    proptest! {
        #[test]
        fn any_pictures_come_back(
            width in 1_u32..40, bytes in 3_usize..=4,
            // Few values, so that much repeats and much stays.
            samples in vec(0_u8..2, 40 * 4 * 6 * 4),
        ) {
            let size = Size::new(width, 6).unwrap();
            let picture_bytes = width as usize * 6 * bytes;
            // Equal bytes of a pixel, so that pixels are often equal.
            let pictures: Vec<Vec<u8>> = samples
                .chunks_exact(40 * 4 * 6)
                .map(|samples| {
                    let pixels = samples.iter().take(picture_bytes / bytes);
                    pixels.flat_map(|sample| vec![*sample; bytes]).collect()
                })
                .collect();
            comes_back(size, bytes, 3, &pictures);
        }
    }
}
