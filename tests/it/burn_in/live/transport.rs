//! Transport streams by their bytes: what ffmpeg neither writes nor tells of.

/// Bytes of a packet.
const PACKET: usize = 188;

/// Where [`with_data`] puts splice information, timed metadata, KLV, private data with and without a
/// time, and KLV in access units.
pub(super) const DATA: [u16; 6] = [0x500, 0x501, 0x502, 0x503, 0x504, 0x505];

/// `stream_id` of private data, and of metadata in access units.
const PRIVATE: u8 = 0xbd;
const METADATA: u8 = 0xfc;

/// Of each of those, its type in the program map, and what describes it there.
const TYPES: [(u8, &[u8]); 6] = [
    (0x86, &[]),
    (
        0x15,
        &[
            0x26, 13, 0xff, 0xff, b'I', b'D', b'3', b' ', 0xff, b'I', b'D', b'3', b' ', 0, 15,
        ],
    ),
    (0x06, &[5, 4, b'K', b'L', b'V', b'A']),
    (0x06, &[]),
    (0x06, &[]),
    (0x15, &[5, 4, b'K', b'L', b'V', b'A']),
];

/// `splice_insert` of SCTE 35, 14.2.
const SPLICE: &str = "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a\
                      0008435545490000013562dba30a";

/// The numbers that two hexadecimal digits each are.
fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The check of a section, in another way than floatup's: by a table.
fn check(bytes: &[u8]) -> [u8; 4] {
    let table = |byte: u32| {
        let step = |crc: u32| {
            if crc & (1 << 31) == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x04c1_1db7
            }
        };
        (0..8).fold(byte << 24, |crc, _| step(crc))
    };
    let feed = |crc: u32, byte: &u8| crc << 8 ^ table(crc >> 24 ^ u32::from(*byte));
    bytes.iter().fold(u32::MAX, feed).to_be_bytes()
}

fn with_length(others: u8, length: usize) -> [u8; 2] {
    [
        others | u8::try_from(length >> 8).unwrap(),
        u8::try_from(length & 255).unwrap(),
    ]
}

/// One packet, which begins something.
fn packet(pid: u16, count: &mut u8, payload: &[u8]) -> Vec<u8> {
    let room = PACKET - 4 - payload.len();
    let [high, low] = pid.to_be_bytes();
    let mut packet = vec![
        0x47,
        0x40 | high,
        low,
        *count & 15 | if room > 0 { 0x30 } else { 0x10 },
    ];
    *count += 1;
    if room > 0 {
        packet.push(u8::try_from(room - 1).unwrap());
        packet.extend([0].iter().take(room - 1));
        packet.resize(PACKET - payload.len(), 0xff);
    }
    packet.extend(payload);
    packet
}

fn section_packet(pid: u16, count: &mut u8, section: &[u8]) -> Vec<u8> {
    let [high, low] = pid.to_be_bytes();
    let mut packet = vec![0x47, 0x40 | high, low, 0x10 | *count & 15, 0];
    *count += 1;
    packet.extend(section);
    assert!(packet.len() <= PACKET);
    packet.resize(PACKET, 0xff);
    packet
}

/// A PES packet of data without a time.
fn untimed(data: &[u8]) -> Vec<u8> {
    let mut pes = vec![0, 0, 1, PRIVATE];
    pes.extend(with_length(0, 3 + data.len()));
    pes.extend([0x84, 0, 0]);
    pes.extend(data);
    pes
}

/// A PES packet of data at a time of 90 kHz.
fn pes(stream_id: u8, at: u64, data: &[u8]) -> Vec<u8> {
    let part = |shift: u32| u8::try_from(at >> shift & 0x7f).unwrap() << 1 | 1;
    let top = 0x20 | u8::try_from(at >> 30 & 7).unwrap() << 1 | 1;
    let (second, fourth) = (at >> 22 & 0xff, at >> 7 & 0xff);
    let time = [
        top,
        second.try_into().unwrap(),
        part(15),
        fourth.try_into().unwrap(),
        part(0),
    ];
    let mut pes = vec![0, 0, 1, stream_id];
    pes.extend(with_length(0, 8 + data.len()));
    pes.extend([0x84, 0x80, 5]);
    pes.extend(time);
    pes.extend(data);
    pes
}

/// The stream with [`DATA`] in it, some each time that its program map comes, whose identifier this
/// is. Its video begins at a time of 90 kHz.
pub(super) fn with_data(stream: &[u8], map: u16, begin: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut counts = [0; 7];
    let mut at = begin;
    for old in stream.chunks_exact(PACKET) {
        if pid_of(old) != map {
            out.extend(old);
            continue;
        }
        let mut section = section_of(old).unwrap().to_vec();
        section.truncate(section.len() - 4);
        assert_eq!(section[10..12], [0xf0, 0]);
        section[11] = 6;
        section.splice(12..12, [5, 4, b'C', b'U', b'E', b'I']);
        for (pid, (kind, about)) in DATA.into_iter().zip(TYPES) {
            section.push(kind);
            section.extend(with_length(0xe0, pid.into()));
            section.extend(with_length(0xf0, about.len()));
            section.extend(about);
        }
        let length = with_length(0xb0, section.len() + 4 - 3);
        section[1..3].copy_from_slice(&length);
        section.extend(check(&section));
        out.extend(section_packet(map, &mut counts[6], &section));
        at += 9_000;
        // Each splice has an event's number of its own.
        let mut splice = bytes(SPLICE);
        splice.truncate(splice.len() - 4);
        splice[17] = counts[0];
        splice.extend(check(&splice));
        out.extend(section_packet(DATA[0], &mut counts[0], &splice));
        let n = counts[1];
        let mut add = |place: usize, pes: &[u8]| {
            out.extend(packet(DATA[place], &mut counts[place], pes));
        };
        let id3 = b"ID3\x04\0\0\0\0\0\x10TXXX\0\0\0\x06\0\0\x03hello";
        add(1, &pes(PRIVATE, at, id3));
        let klv = [&bytes("060e2b34020b01010e01030101000000")[..], b"\x04abcd"].concat();
        add(2, &pes(PRIVATE, at, &klv));
        let private = [b"private", &[n][..]].concat();
        add(3, &pes(PRIVATE, at, &private));
        add(4, &untimed(&private));
        let unit = [&[0, n, 0xdf, 0, 21][..], &klv].concat();
        add(5, &pes(METADATA, at, &unit));
    }
    out
}

fn pid_of(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
}

fn payload_of(packet: &[u8]) -> &[u8] {
    let adapted = if packet[3] & 0x20 == 0 {
        0
    } else {
        1 + usize::from(packet[4])
    };
    &packet[4 + adapted..]
}

/// The section that begins in a packet, which holds all of it.
fn section_of(packet: &[u8]) -> Option<&[u8]> {
    let payload = payload_of(packet);
    if packet[1] & 0x40 == 0 {
        return None;
    }
    let section = &payload[1 + usize::from(payload[0])..];
    let length = usize::from(section[1] & 15) << 8 | usize::from(section[2]);
    Some(&section[..3 + length])
}

/// All sections of an identifier, each of which is in one packet; their checks hold.
pub(super) fn sections(stream: &[u8], pid: u16) -> Vec<Vec<u8>> {
    let packets = stream
        .chunks_exact(PACKET)
        .filter(|packet| pid_of(packet) == pid);
    let mut next = None;
    let mut sections = Vec::new();
    for packet in packets {
        let count = packet[3] & 15;
        assert!(next.is_none_or(|next| next == count), "{next:?}, {count}");
        next = Some((count + 1) & 15);
        let section = section_of(packet).expect("it is in one packet");
        let (body, end) = section.split_at(section.len() - 4);
        assert_eq!(check(body), end);
        sections.push(section.to_vec());
    }
    sections
}

/// All PES packets of an identifier, with their headers.
pub(super) fn pes_packets(stream: &[u8], pid: u16) -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for packet in stream.chunks_exact(PACKET) {
        if pid_of(packet) == pid {
            if packet[1] & 0x40 != 0 {
                packets.push(Vec::new());
            }
            let last = packets.last_mut().expect("it begins with one");
            last.extend(payload_of(packet));
        }
    }
    packets
}

/// The types of streams, by their identifiers, as the program map has them.
pub(super) fn types(map: &[u8]) -> Vec<(u16, u8)> {
    let length = |at: usize| usize::from(map[at] & 15) << 8 | usize::from(map[at + 1]);
    let mut at = 12 + length(10);
    let mut types = Vec::new();
    while at < map.len() - 4 {
        types.push((
            u16::from(map[at + 1] & 0x1f) << 8 | u16::from(map[at + 2]),
            map[at],
        ));
        at += 5 + length(at + 3);
    }
    types
}

/// Of each picture that comes with the program's clock, that and when it is decoded, in ticks of
/// 90 kHz.
pub(super) fn clocks(stream: &[u8], pid: u16) -> Vec<(u64, u64)> {
    let packets = stream
        .chunks_exact(PACKET)
        .filter(|packet| pid_of(packet) == pid);
    let clock = |packet: &[u8]| {
        let has_clock = packet[3] & 0x20 != 0 && packet[4] > 6 && packet[5] & 0x10 != 0;
        let field = &packet[6..11];
        let number = field
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        has_clock.then_some(number >> 7)
    };
    let decoded = |packet: &[u8]| {
        let payload = payload_of(packet);
        if packet[1] & 0x40 == 0 || payload[7] & 0x80 == 0 {
            return None;
        }
        let at = if payload[7] & 0x40 == 0 { 9 } else { 14 };
        let [a, b, c, d, e] = payload[at..at + 5] else {
            return None;
        };
        let high = u64::from(a >> 1 & 7) << 30 | u64::from(b) << 22 | u64::from(c >> 1) << 15;
        Some(high | u64::from(d) << 7 | u64::from(e >> 1))
    };
    packets
        .filter_map(|packet| clock(packet).zip(decoded(packet)))
        .collect()
}
