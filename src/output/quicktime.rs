//! Live `QuickTime`: a movie without an end whose every frame is a fragment of its own.
//!
//! libavformat's muxer ends a fragment when the next frame is there, which is a frame late. Here
//! each fragment is written whole.
//!
//! Atoms are those of the `QuickTime` File Format, and fragments those of ISO/IEC 14496-12.

use std::time::Duration;

use super::form::Codec;
use crate::frame::Size;

/// Time stamps are in milliseconds.
const TIME_SCALE: u32 = 1_000;

const TRACK: u32 = 1;

/// Nothing is scaled, turned or moved.
const MATRIX: [u32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];

/// A sample that others are needed for, and one that stands alone.
const DEPENDS: u32 = 0x0101_0000;
const STANDS_ALONE: u32 = 0x0200_0000;

/// All that stands before the first fragment.
pub(super) fn header(codec: Codec, size: Size) -> Vec<u8> {
    let file_type = atom(b"ftyp", b"qt  \0\0\x02\0qt  iso5");
    let zeros = |count: usize| vec![0; count];
    let movie_header = [
        // Made and changed at no time.
        numbers(&[0, 0, TIME_SCALE, 0]),
        // At its own speed, at full volume.
        numbers(&[1 << 16, 1 << 24]),
        zeros(8),
        numbers(&MATRIX),
        zeros(24),
        // The next track's number.
        numbers(&[TRACK + 1]),
    ];
    let track_header = [
        numbers(&[0, 0, TRACK, 0, 0]),
        zeros(16),
        numbers(&MATRIX),
        numbers(&[size.width() << 16, size.height() << 16]),
    ];
    let media_header = [numbers(&[0, 0, TIME_SCALE, 0]), vec![0x7F, 0xFF, 0, 0]];
    let media_handler = [b"mhlrvide".to_vec(), zeros(13)];
    let data_handler = [b"dhlrurl ".to_vec(), zeros(13)];
    let itself = full(b"url ", 1, &[]);
    let data = atom(
        b"dinf",
        &full(b"dref", 0, &[numbers(&[1]), itself].concat()),
    );
    let table = [
        full(
            b"stsd",
            0,
            &[numbers(&[1]), description(codec, size)].concat(),
        ),
        full(b"stts", 0, &numbers(&[0])),
        full(b"stsc", 0, &numbers(&[0])),
        full(b"stsz", 0, &numbers(&[0, 0])),
        full(b"stco", 0, &numbers(&[0])),
    ];
    let information = [
        full(b"vmhd", 1, &zeros(8)),
        full(b"hdlr", 0, &data_handler.concat()),
        data,
        atom(b"stbl", &table.concat()),
    ];
    let media = [
        full(b"mdhd", 0, &media_header.concat()),
        full(b"hdlr", 0, &media_handler.concat()),
        atom(b"minf", &information.concat()),
    ];
    let track = [
        // Enabled, and in the movie.
        full(b"tkhd", 3, &track_header.concat()),
        atom(b"mdia", &media.concat()),
    ];
    let fragments = full(b"trex", 0, &numbers(&[TRACK, 1, 0, 0, 0]));
    let movie = [
        full(b"mvhd", 0, &movie_header.concat()),
        atom(b"trak", &track.concat()),
        atom(b"mvex", &fragments),
    ];
    [file_type, atom(b"moov", &movie.concat())].concat()
}

/// What a sample is: 32 bits a pixel, with alpha.
fn description(codec: Codec, size: Size) -> Vec<u8> {
    let name = match codec {
        Codec::Qtrle => b"rle ",
        _ => b"png ",
    };
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
    let dots_per_inch = 72_u32 << 16;
    let content = [
        // Reserved, the first and only place of data, no version, no vendor.
        &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..],
        // Without temporal and spatial quality.
        &[0; 8],
        &side(size.width()),
        &side(size.height()),
        &numbers(&[dots_per_inch, dots_per_inch, 0]),
        // One frame a sample, no compressor's name.
        &[0, 1],
        &[0; 32],
        // No palette.
        &[0, 32, 0xFF, 0xFF],
    ];
    atom(name, &content.concat())
}

/// All of the fragment of a number, from 1, with one frame, but the frame's bytes themselves, of
/// which there are `bytes`.
pub(super) fn fragment(
    number: u32,
    at: Duration,
    lasts: Duration,
    bytes: usize,
    key: bool,
) -> Vec<u8> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let lasts = u32::try_from(millis(lasts)).unwrap_or(u32::MAX);
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX - 8);
    let flags = if key { STANDS_ALONE } else { DEPENDS };
    // From the fragment's beginning to the frame's.
    let build = |offset: u32| {
        let run = numbers(&[1, offset, lasts, bytes, flags]);
        let track = [
            // Offsets are from the fragment's beginning.
            full(b"tfhd", 0x02_0000, &numbers(&[TRACK])),
            versioned(b"tfdt", 1, 0, &millis(at).to_be_bytes()),
            // With offset, and of each sample how long it is, its size and its flags.
            full(b"trun", 0x701, &run),
        ];
        let fragment = [
            full(b"mfhd", 0, &numbers(&[number])),
            atom(b"traf", &track.concat()),
        ];
        atom(b"moof", &fragment.concat())
    };
    let length = u32::try_from(build(0).len()).unwrap_or(u32::MAX - 8);
    let mut head = build(length + 8);
    head.extend((bytes + 8).to_be_bytes());
    head.extend(b"mdat");
    head
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], name, content].concat()
}

/// An atom with flags.
fn full(name: &[u8; 4], flags: u32, content: &[u8]) -> Vec<u8> {
    versioned(name, 0, flags, content)
}

fn versioned(name: &[u8; 4], version: u8, flags: u32, content: &[u8]) -> Vec<u8> {
    let head = u32::from(version) << 24 | flags;
    atom(name, &[&head.to_be_bytes()[..], content].concat())
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of atoms one after the other, which fill all of the bytes.
    fn names(mut bytes: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            names.push(String::from_utf8(rest[..4].to_vec()).unwrap());
            bytes = &bytes[u32::from_be_bytes(*length) as usize..];
        }
        names
    }

    #[test]
    fn a_fragment_says_where_its_frame_is() {
        let size = Size::new(320, 180).unwrap();
        assert_eq!(names(&header(Codec::Qtrle, size)), ["ftyp", "moov"]);
        let (at, lasts) = (Duration::from_millis(1_500), Duration::from_millis(33));
        let mut fragment = fragment(7, at, lasts, 1_000, true);
        let head = fragment.len();
        fragment.resize(head + 1_000, 0);
        assert_eq!(names(&fragment), ["moof", "mdat"]);
        let run = fragment
            .windows(4)
            .position(|name| name == b"trun")
            .unwrap();
        let offset = fragment[run + 12..].first_chunk().unwrap();
        assert_eq!(u32::from_be_bytes(*offset) as usize, head);
    }
}
