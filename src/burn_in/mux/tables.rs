//! What libavformat's muxer of transport streams has no name for: it writes splice information
//! (SCTE 35) and streams of unknown types as private data, and that without its time. Here that is
//! put right in its bytes, on their way out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use ffmpeg_next::{codec, media};

use crate::burn_in::input::StreamInfo;
use crate::burn_in::metadata::PRIVATE_STREAM;
use crate::burn_in::sections::{SPLICE_TYPE, SPLICES, check, section};

/// Bytes of a packet of a transport stream.
const PACKET: usize = 188;

/// What is gathered of a section or a PES packet, at most: both have 16 bits of length.
const GATHERED_MAX: usize = 1 << 17;

/// The packet identifier of the table of programs.
const PROGRAMS: u16 = 0;

/// What the muxer calls private data.
const PRIVATE: u8 = 6;

/// `stream_id` that stands for private data with a time until it is written. It is reserved
/// (ISO/IEC 13818-1, table 2-22); of what is private data the muxer leaves times out.
pub(super) const TIMED: u8 = 0xfe;

/// What the program map is to say of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    pid: u16,
    stream_type: u8,
}

/// Puts tables right in the bytes that it passes on.
pub(super) struct Tables<W: Write> {
    to: W,
    named: Vec<Named>,
    /// The identifiers of program maps.
    maps: BTreeSet<u16>,
    /// Of each identifier that is written anew, what is not complete yet.
    gathered: BTreeMap<u16, Vec<u8>>,
    /// Of the same, the next packet's number.
    counters: BTreeMap<u16, u8>,
    /// The beginning of a packet.
    rest: Vec<u8>,
}

/// Whether a stream is data in PES packets.
pub(super) fn is_metadata(stream: &StreamInfo) -> bool {
    let is_splices = stream.parameters.id() == codec::Id::SCTE_35;
    stream.medium == media::Type::Data && !is_splices
}

/// Whether the muxer has no name for one of these streams, or leaves its times out.
pub(super) fn are_needed<'a>(streams: impl Iterator<Item = &'a StreamInfo> + Clone) -> bool {
    named(streams.clone()).next().is_some() || streams.clone().any(is_metadata)
}

fn named<'a>(streams: impl Iterator<Item = &'a StreamInfo>) -> impl Iterator<Item = Named> {
    streams.filter_map(|stream| {
        let stream_type = match stream.parameters.id() {
            codec::Id::SCTE_35 => SPLICE_TYPE,
            // A demuxer of transport streams leaves the type as the codec's tag.
            codec::Id::None => match stream.tag_of_codec() {
                [stream_type, 0, 0, 0] if stream_type > PRIVATE => stream_type,
                _ => return None,
            },
            _ => return None,
        };
        let pid = u16::try_from(stream.properties.id).ok()?;
        Some(Named { pid, stream_type })
    })
}

impl<W: Write> Tables<W> {
    /// Passes a muxer's bytes on, with the right names of these streams.
    pub(super) fn new<'a>(to: W, streams: impl Iterator<Item = &'a StreamInfo>) -> Self {
        Self::of(to, named(streams).collect())
    }

    fn of(to: W, named: Vec<Named>) -> Self {
        Self {
            to,
            named,
            maps: BTreeSet::new(),
            gathered: BTreeMap::new(),
            counters: BTreeMap::new(),
            rest: Vec::new(),
        }
    }

    fn packet(&mut self, packet: &[u8], out: &mut Vec<u8>) {
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let begins = packet[1] & 0x40 != 0;
        let adapted = if packet[3] & 0x20 == 0 {
            0
        } else {
            1 + usize::from(packet[4])
        };
        let payload = packet.get(4 + adapted..).unwrap_or_default();
        if pid == PROGRAMS {
            if begins {
                self.maps.extend(maps(payload));
            }
            out.extend_from_slice(packet);
            return;
        }
        let is_splice = |named: &Named| named.pid == pid && named.stream_type == SPLICE_TYPE;
        let is_map = self.maps.contains(&pid);
        if !is_map && !self.named.iter().any(is_splice) {
            let at = out.len() + PACKET - payload.len();
            out.extend_from_slice(packet);
            if begins && payload.starts_with(&[0, 0, 1, TIMED]) {
                out[at + 3] = PRIVATE_STREAM;
            }
            return;
        }
        let gathered = self.gathered.entry(pid).or_default();
        if begins {
            gathered.clear();
        }
        if gathered.len() > GATHERED_MAX {
            return;
        }
        gathered.extend_from_slice(payload);
        let whole = match is_map {
            // A pointer to the section's begin is before it.
            true => gathered.get(1..).and_then(section),
            false => pes_payload(gathered),
        };
        let whole = whole.map(<[u8]>::to_vec);
        let written = whole.map(|whole| if is_map { self.name(&whole) } else { whole });
        if let Some(written) = written {
            self.gathered.remove(&pid);
            self.write_section(pid, &written, out);
        }
    }

    /// A program map with the right names.
    fn name(&self, map: &[u8]) -> Vec<u8> {
        let Some(body) = map.len().checked_sub(4).and_then(|end| map.get(..end)) else {
            return map.to_vec();
        };
        let length = |at: usize| {
            let bytes = body.get(at..at + 2)?;
            Some(usize::from(bytes[0] & 15) << 8 | usize::from(bytes[1]))
        };
        let Some(streams) = length(10)
            .map(|length| 12 + length)
            .filter(|at| *at <= body.len())
        else {
            return map.to_vec();
        };
        let mut about = body[12..streams].to_vec();
        let has_splices = self
            .named
            .iter()
            .any(|named| named.stream_type == SPLICE_TYPE);
        if has_splices && !about.windows(SPLICES.len()).any(|part| part == SPLICES) {
            about.extend(SPLICES);
        }
        let mut out = body[..10].to_vec();
        out.extend(bytes_of(0xf000, about.len()));
        out.extend(about);
        let mut at = streams;
        while let Some(length) = length(at + 3)
            && let Some(entry) = body.get(at..at + 5 + length)
        {
            let pid = u16::from(entry[1] & 0x1f) << 8 | u16::from(entry[2]);
            let named = self.named.iter().find(|named| named.pid == pid);
            out.push(named.map_or(entry[0], |named| named.stream_type));
            out.extend(&entry[1..]);
            at += entry.len();
        }
        let length = bytes_of(0xb000, out.len() + 4 - 3);
        out[1..3].copy_from_slice(&length);
        out.extend(check(&out));
        out
    }

    fn write_section(&mut self, pid: u16, section: &[u8], out: &mut Vec<u8>) {
        let counter = self.counters.entry(pid).or_default();
        let mut begins = true;
        let whole = [&[0], section].concat();
        for part in whole.chunks(PACKET - 4) {
            let [high, low] = pid.to_be_bytes();
            let begin = if begins { 0x40 } else { 0 };
            out.extend([0x47, begin | high, low, 0x10 | *counter]);
            out.extend(part);
            out.resize(out.len() + PACKET - 4 - part.len(), 0xff);
            *counter = (*counter + 1) & 15;
            begins = false;
        }
    }
}

impl<W: Write> Write for Tables<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / PACKET * PACKET;
        let rest = self.rest.split_off(whole);
        let packets = std::mem::replace(&mut self.rest, rest);
        let mut out = Vec::with_capacity(packets.len() + PACKET);
        for packet in packets.chunks_exact(PACKET) {
            self.packet(packet, &mut out);
        }
        self.to.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A number of 12 bits below others.
fn bytes_of(others: u16, number: usize) -> [u8; 2] {
    let number = u16::try_from(number).unwrap_or(0) & 0x0fff;
    (others | number).to_be_bytes()
}

/// The identifiers of program maps, by the table of programs.
fn maps(payload: &[u8]) -> Vec<u16> {
    let Some(table) = payload.get(1..).and_then(section) else {
        return Vec::new();
    };
    let programs = table
        .get(8..table.len().saturating_sub(4))
        .unwrap_or_default();
    let (programs, _) = programs.as_chunks::<4>();
    let maps = programs.iter().filter(|program| program[..2] != [0, 0]);
    maps.map(|program| u16::from(program[2] & 0x1f) << 8 | u16::from(program[3]))
        .collect()
}

/// What is in a PES packet, once all of it is there.
fn pes_payload(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*bytes.get(4)?) << 8 | usize::from(*bytes.get(5)?);
    let packet = bytes.get(6..6 + length)?;
    packet.get(3 + usize::from(*packet.get(2)?)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: u16 = 0x100;
    const VIDEO: u16 = 0x101;
    const SPLICE: u16 = 0x102;

    fn splices(to: Vec<u8>) -> Tables<Vec<u8>> {
        let named = Named {
            pid: SPLICE,
            stream_type: SPLICE_TYPE,
        };
        Tables::of(to, vec![named])
    }

    fn of_packet(pid: u16, begins: bool, payload: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let begin = if begins { 0x40 } else { 0 };
        let stuffing = PACKET - 4 - payload.len();
        let mut packet = vec![
            0x47,
            begin | high,
            low,
            if stuffing > 0 { 0x30 } else { 0x10 },
        ];
        if stuffing > 0 {
            packet.push(u8::try_from(stuffing - 1).unwrap());
            packet.extend(vec![0; stuffing - 1]);
        }
        packet.extend(payload);
        packet
    }

    fn of_section(pid: u16, body: &[u8]) -> Vec<u8> {
        let mut section = body.to_vec();
        section[1..3].copy_from_slice(&bytes_of(0xb000, body.len() + 1));
        section.extend(check(&section));
        of_packet(pid, true, &[&[0], &*section].concat())
    }

    fn tables() -> Vec<u8> {
        let programs = of_section(PROGRAMS, &[0, 0, 0, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0]);
        let mut map = vec![2, 0, 0, 0, 1, 0xc1, 0, 0, 0xe1, 1, 0xf0, 0];
        map.extend([0x1b, 0xe1, 1, 0xf0, 0, 6, 0xe1, 2, 0xf0, 2, 0x52, 0]);
        [programs, of_section(MAP, &map)].concat()
    }

    #[test]
    fn the_map_names_splices() {
        let mut out = splices(Vec::new());
        // In pieces that are no packets.
        for piece in tables().chunks(100) {
            out.write_all(piece).unwrap();
        }
        let map = section(&out.to[PACKET + 5..]).unwrap();
        assert_eq!(map[10..18], [0xf0, 6, 5, 4, b'C', b'U', b'E', b'I']);
        assert_eq!(
            map[18..30],
            [0x1b, 0xe1, 1, 0xf0, 0, 0x86, 0xe1, 2, 0xf0, 2, 0x52, 0]
        );
        assert_eq!(check(&map[..30]), map[30..]);
    }

    #[test]
    fn splices_are_sections_again() {
        let sent: Vec<u8> = (0..=255).collect();
        let length = u8::try_from(3 + 5 + sent.len() - 256).unwrap();
        let mut pes = vec![0, 0, 1, 0xbd, 1, length, 0x80, 0x80, 5, 1, 2, 3, 4, 5];
        pes.extend(&sent);
        let mut out = splices(Vec::new());
        let video = of_packet(VIDEO, true, &[7; 184]);
        out.write_all(&of_packet(SPLICE, true, &pes[..184]))
            .unwrap();
        out.write_all(&video).unwrap();
        assert_eq!(out.to, video);
        out.write_all(&of_packet(SPLICE, false, &pes[184..]))
            .unwrap();
        let section = &out.to[PACKET..];
        assert_eq!(section[..5], [0x47, 0x41, 2, 0x10, 0]);
        assert_eq!(section[PACKET..PACKET + 4], [0x47, 1, 2, 0x11]);
        let payload = [&section[5..PACKET], &section[PACKET + 4..]].concat();
        assert_eq!(payload[..256], sent);
        assert!(payload[256..].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn nonsense_is_passed_on_or_over() {
        let mut out = splices(Vec::new());
        out.write_all(&tables()).unwrap();
        for pid in [PROGRAMS, MAP, SPLICE] {
            for payload in [
                &[][..],
                &[0],
                &[0, 2, 0xb0, 0],
                &[0, 2, 0xbf, 0xff],
                &[0xff; 184],
            ] {
                for begins in [true, false] {
                    out.write_all(&of_packet(pid, begins, payload)).unwrap();
                }
            }
        }
        assert_eq!(out.to.len() % PACKET, 0);
    }
}
