//! MPEG transport streams, taken apart and put together: ISO/IEC 13818-1.

use std::fs;
use std::path::Path;

const PACKET: usize = 188;
/// Where SCTE-35 and ID3 are put.
const SPLICES: u16 = 0x1F0;
const LABELS: u16 = 0x1F1;

fn packets(bytes: &[u8]) -> impl Iterator<Item = &[u8; PACKET]> {
    bytes.as_chunks::<PACKET>().0.iter()
}

fn pid(packet: &[u8; PACKET]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1F, packet[2]])
}

/// CRC-32/MPEG-2, as sections end.
fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            let carry = crc >> 31;
            crc = (crc << 1) ^ (carry * 0x04C1_1DB7);
        }
    }
    crc.to_be_bytes()
}

/// A packet that one section or PES packet begins and ends in.
fn packet(pid: u16, counter: u8, payload: &[u8], is_section: bool) -> [u8; PACKET] {
    let [high, low] = pid.to_be_bytes();
    let mut packet = [0xFF; PACKET];
    packet[..4].copy_from_slice(&[0x47, 0x40 | high, low, 0x10 | counter & 15]);
    if is_section {
        packet[4] = 0;
        packet[5..][..payload.len()].copy_from_slice(payload);
    } else {
        // An adaptation field fills the packet.
        let fill = PACKET - 5 - payload.len();
        packet[3] |= 0x20;
        packet[4] = u8::try_from(fill).unwrap();
        packet[5] = 0;
        packet[PACKET - payload.len()..].copy_from_slice(payload);
    }
    packet
}

/// SCTE 35: a `splice_null` that is told from others by its `cw_index`.
fn splice(n: u8) -> Vec<u8> {
    let mut section = vec![
        0xFC, 0x30, 0x11, 0, 0, 0, 0, 0, 0, n, 0xFF, 0xF0, 0, 0, 0, 0,
    ];
    section.extend(crc(&section));
    section
}

/// An ID3v2.4 tag with a title, in a PES packet at a time of 90 kHz.
fn label(text: &str, pts: u32) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap();
    let head = [b"TIT2\0\0\0", &[length][..], b"\0\0\x03"].concat();
    let frame = [&head, text.as_bytes()].concat();
    let tag = [
        b"ID3\x04\0\0\0\0\0",
        &[u8::try_from(frame.len()).unwrap()][..],
        &frame,
    ]
    .concat();
    let bits = |shift: u32, mask: u32| u8::try_from(pts >> shift & mask).unwrap();
    let pts = [
        0x21 | bits(30, 3) << 1,
        bits(22, 0xFF),
        bits(15, 0x7F) << 1 | 1,
        bits(7, 0xFF),
        bits(0, 0x7F) << 1 | 1,
    ];
    let length = u16::try_from(tag.len() + 8).unwrap().to_be_bytes();
    [&[0, 0, 1, 0xBD][..], &length, &[0x84, 0x80, 5], &pts, &tag].concat()
}

/// The map of the programme with a stream of SCTE-35 and one of ID3 more.
fn with_streams(map: &[u8; PACKET]) -> [u8; PACKET] {
    assert_eq!(map[4], 0, "a section begins at once");
    let section = &map[5..];
    let length = usize::from(u16::from_be_bytes([section[1] & 15, section[2]]));
    let about = usize::from(u16::from_be_bytes([section[10] & 15, section[11]]));
    let (head, rest) = section[..3 + length - 4].split_at(12 + about);
    let registration = b"\x05\x04CUEI";
    let [pid_high, pid_low] = SPLICES.to_be_bytes();
    let splices = [0x86, 0xE0 | pid_high, pid_low, 0xF0, 0];
    let descriptor = b"\x26\x0D\xFF\xFFID3 \xFFID3 \0\x0F";
    let [pid_high, pid_low] = LABELS.to_be_bytes();
    let labels = [0x15, 0xE0 | pid_high, pid_low, 0xF0, 15];
    let mut section = [head, registration, rest, &splices, &labels, descriptor].concat();
    let length = u16::try_from(section.len() + 4 - 3).unwrap().to_be_bytes();
    section[1] = 0xB0 | length[0];
    section[2] = length[1];
    let about = u16::try_from(about + registration.len())
        .unwrap()
        .to_be_bytes();
    section[10] = 0xF0 | about[0];
    section[11] = about[1];
    let check = crc(&section);
    section.extend(check);
    packet(pid(map), map[3] & 15, &section, true)
}

/// Adds three splices and three labels, on two streams more.
pub(super) fn add_data(folder: &Path, from: &str, to: &str) {
    add_data_of(folder, from, to, ["no0", "no1", "no2"]);
}

/// The same with these labels, of at most 100 bytes, half a second apart from the first picture on.
pub(crate) fn add_data_of(folder: &Path, from: &str, to: &str, labels: [&str; 3]) {
    let bytes = fs::read(folder.join(from)).unwrap();
    let table = packets(&bytes).find(|packet| pid(packet) == 0).unwrap();
    let map = u16::from_be_bytes([table[15] & 0x1F, table[16]]);
    let mut out = Vec::new();
    let count = bytes.len() / PACKET;
    let mut added = 0;
    for (n, whole) in packets(&bytes).enumerate() {
        if pid(whole) == map {
            out.extend(with_streams(whole));
        } else {
            out.extend(whole);
        }
        if n == count * (usize::from(added) + 1) / 4 && added < 3 {
            out.extend(packet(SPLICES, added, &splice(added), true));
            let pts = 126_000 + 45_000 * (u32::from(added) + 1);
            out.extend(packet(
                LABELS,
                added,
                &label(labels[usize::from(added)], pts),
                false,
            ));
            added += 1;
        }
    }
    assert_eq!(added, 3);
    fs::write(folder.join(to), out).unwrap();
}

/// Flips bytes in every so manieth packet of a stream, past its first hundred.
pub(super) fn corrupt(folder: &Path, from: &str, to: &str, stream: u16, every: usize) {
    let mut bytes = fs::read(folder.join(from)).unwrap();
    let mut seen = 0;
    let mut flipped = 0;
    for packet in bytes.as_chunks_mut::<PACKET>().0 {
        // Those without an adaptation field: all of it is the picture.
        if pid(packet) == stream && packet[3] & 0x30 == 0x10 && packet[1] & 0x40 == 0 {
            seen += 1;
            if seen > 100 && seen % every == 0 {
                for at in (20..PACKET).step_by(7) {
                    packet[at] ^= 0xA5;
                }
                flipped += 1;
            }
        }
    }
    assert!(flipped > 3, "{flipped} packets");
    fs::write(folder.join(to), bytes).unwrap();
}

/// One after the other, byte by byte.
pub(super) fn join(folder: &Path, from: [&str; 2], to: &str) {
    let joined = from
        .map(|name| fs::read(folder.join(name)).unwrap())
        .concat();
    fs::write(folder.join(to), joined).unwrap();
}

/// The payloads of the splices, as they are on the wire, whatever their packets.
pub(super) fn splices(folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(folder.join(name)).unwrap();
    let sections =
        packets(&bytes).filter(|packet| packet[1] & 0x40 != 0 && packet[3] & 0x30 == 0x10);
    let sections = sections.filter(|packet| packet[4] == 0 && packet[5] == 0xFC);
    sections.map(|packet| packet[5..][..20].to_vec()).collect()
}

/// The splices that [`add_data`] adds.
pub(super) fn added_splices() -> Vec<Vec<u8>> {
    (0..3).map(splice).collect()
}
