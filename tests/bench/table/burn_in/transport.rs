//! Where pictures begin and end in an MPEG transport stream: ISO/IEC 13818-1.

use std::time::Instant;

const PACKET: usize = 188;
const SYNC: u8 = 0x47;

/// A packet of a transport stream.
fn pid(packet: &[u8; PACKET]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// The time stamp of the picture that begins in a packet, in units of 1/90,000 s.
fn picture(packet: &[u8; PACKET]) -> Option<u64> {
    let begins = packet[1] & 0x40 != 0;
    let adaptation = match packet[3] & 0x30 {
        0x10 => 0,
        0x30 => 1 + usize::from(packet[4]),
        _ => return None,
    };
    let payload = packet.get(4 + adaptation..)?;
    let (head, rest) = payload.split_at_checked(9)?;
    let is_video = head[..3] == [0, 0, 1] && (0xe0..=0xef).contains(&head[3]);
    let has_pts = head[7] & 0x80 != 0;
    if !(begins && is_video && has_pts) {
        return None;
    }
    let bits = |at: usize, mask: u8| rest.get(at).map(|byte| u64::from(byte & mask));
    Some(
        bits(0, 0x0e)? << 29
            | bits(1, 0xff)? << 22
            | bits(2, 0xfe)? << 14
            | bits(3, 0xff)? << 7
            | bits(4, 0xfe)? >> 1,
    )
}

/// A picture that has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// In units of 1/90,000 s.
    pub(super) pts: u64,
    /// When its last packet was there.
    pub(super) at: Instant,
}

/// Takes a transport stream with one video apart while it comes.
#[derive(Default)]
pub(super) struct Receiver {
    /// Less than a packet.
    rest: Vec<u8>,
    video: Option<u16>,
    pub(super) pictures: Vec<Arrival>,
}

impl Receiver {
    /// Takes what has come at a time.
    pub(super) fn take(&mut self, bytes: &[u8], at: Instant) {
        self.rest.extend_from_slice(bytes);
        let (packets, _) = self.rest.as_chunks::<PACKET>();
        for packet in packets {
            if let Some(pts) = picture(packet) {
                self.video = Some(pid(packet));
                self.pictures.push(Arrival { pts, at });
            } else if self.video == Some(pid(packet))
                && let Some(last) = self.pictures.last_mut()
            {
                last.at = at;
            }
        }
        let whole = self.rest.len() / PACKET * PACKET;
        self.rest.drain(..whole);
    }
}

/// A picture's place in a stream, and its time stamp.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) offset: usize,
    pub(super) pts: u64,
}

/// Where pictures begin in a whole stream; `None` if it is not one.
pub(super) fn starts(bytes: &[u8]) -> Option<Vec<Start>> {
    let (packets, rest) = bytes.as_chunks::<PACKET>();
    if !rest.is_empty() || packets.iter().any(|packet| packet[0] != SYNC) {
        return None;
    }
    let pictures = packets.iter().enumerate().filter_map(|(number, packet)| {
        let pts = picture(packet)?;
        let offset = number * PACKET;
        Some(Start { offset, pts })
    });
    Some(pictures.collect())
}
