//! Live Matroska: a stream without an end that shows each frame as soon as it arrives.
//!
//! libavformat's muxer closes a cluster when the next frame is there, which is a frame late. Here
//! each frame is a cluster of its own, of known size, written whole.
//!
//! Elements, their numbers and their order are those of RFC 9559, and of RFC 8794 for EBML. A frame
//! is a PNG file, which Matroska knows through its mapping of Video for Windows, or uncompressed; in
//! `WebM`, which is a part of Matroska, VP9 whose alpha is a picture beside it.

use std::time::Duration;

use super::form::Codec;
use crate::frame::{FrameRate, Size};

/// `EBML`, and the `Segment` up to its first cluster.
pub(super) fn header(codec: Codec, size: Size, rate: FrameRate) -> Vec<u8> {
    let document: &[u8] = match codec {
        Codec::Vp9 => b"webm",
        _ => b"matroska",
    };
    let ebml = [
        number(&[0x42, 0x86], 1),
        number(&[0x42, 0xF7], 1),
        number(&[0x42, 0xF2], 4),
        number(&[0x42, 0xF3], 8),
        element(&[0x42, 0x82], document),
        number(&[0x42, 0x87], 4),
        number(&[0x42, 0x85], 2),
    ];
    let app = concat!("floatup ", env!("CARGO_PKG_VERSION")).as_bytes();
    let info = [
        // Time stamps are in milliseconds.
        number(&[0x2A, 0xD7, 0xB1], 1_000_000),
        element(&[0x4D, 0x80], app),
        element(&[0x57, 0x41], app),
    ];
    let mut video = [
        // Progressive.
        number(&[0x9A], 2),
        number(&[0xB0], size.width().into()),
        number(&[0xBA], size.height().into()),
    ]
    .concat();
    let codec = match codec {
        Codec::Vp9 => {
            // BT.709 throughout, limited range.
            let colour = [
                number(&[0x55, 0xB1], 1),
                number(&[0x55, 0xB9], 1),
                number(&[0x55, 0xBA], 1),
                number(&[0x55, 0xBB], 1),
            ];
            // With alpha.
            video.extend(number(&[0x53, 0xC0], 1));
            video.extend(element(&[0x55, 0xB0], &colour.concat()));
            // Blocks have one addition.
            [element(&[0x86], b"V_VP9"), number(&[0x55, 0xEE], 1)]
        }
        Codec::RawVideo => {
            video.extend(element(&[0x2E, 0xB5, 0x24], b"RGBA"));
            [element(&[0x86], b"V_UNCOMPRESSED"), Vec::new()]
        }
        _ => [
            element(&[0x86], b"V_MS/VFW/FOURCC"),
            element(&[0x63, 0xA2], &bitmap_info(size)),
        ],
    };
    let interval = u64::try_from(rate.interval().as_nanos()).unwrap_or(u64::MAX);
    let track = [
        number(&[0xD7], 1),
        number(&[0x73, 0xC5], 1),
        number(&[0x83], 1),
        // No lacing.
        number(&[0x9C], 0),
        number(&[0x23, 0xE3, 0x83], interval),
        codec.concat(),
        element(&[0xE0], &video),
    ];
    let tracks = element(&[0xAE], &track.concat());
    [
        element(&[0x1A, 0x45, 0xDF, 0xA3], &ebml.concat()),
        // A segment of unknown size.
        vec![
            0x18, 0x53, 0x80, 0x67, 0x01, 255, 255, 255, 255, 255, 255, 255,
        ],
        element(&[0x15, 0x49, 0xA9, 0x66], &info.concat()),
        element(&[0x16, 0x54, 0xAE, 0x6B], &tracks),
    ]
    .concat()
}

/// An element that says nothing.
pub(super) fn void() -> Vec<u8> {
    element(&[0xEC], &[])
}

/// All of a cluster with one frame but the frame's bytes themselves, of which there are `bytes`.
pub(super) fn cluster(at: Duration, bytes: usize) -> Vec<u8> {
    let stamp = number(&[0xE7], u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    // The track, no time beyond the cluster's, and that it is a key frame.
    let block = [0x81, 0, 0, 0x80];
    let block_bytes = length(block.len() + bytes);
    let size = stamp.len() + 1 + block_bytes.len() + block.len() + bytes;
    let mut cluster = vec![0x1F, 0x43, 0xB6, 0x75];
    cluster.extend(length(size));
    cluster.extend(stamp);
    cluster.push(0xA3);
    cluster.extend(block_bytes);
    cluster.extend(block);
    cluster
}

/// A cluster with one frame of VP9, and its alpha. What is no key frame is so long `after` the one
/// that it builds on.
pub(super) fn cluster_with_alpha(
    at: Duration,
    frame: &[u8],
    alpha: &[u8],
    after: Option<Duration>,
) -> Vec<u8> {
    // The track, no time beyond the cluster's, and no flags.
    let block = [&[0x81, 0, 0, 0], frame].concat();
    let addition = [number(&[0xEE], 1), element(&[0xA5], alpha)].concat();
    let mut group = [
        element(&[0xA1], &block),
        element(&[0x75, 0xA1], &element(&[0xA6], &addition)),
    ]
    .concat();
    if let Some(after) = after {
        let before = -i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        group.extend(element(&[0xFB], &before.to_be_bytes()));
    }
    let stamp = number(&[0xE7], u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    let content = [stamp, element(&[0xA0], &group)].concat();
    element(&[0x1F, 0x43, 0xB6, 0x75], &content)
}

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &length(content.len()), content].concat()
}

fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// A size in eight bytes, as EBML has it.
fn length(bytes: usize) -> [u8; 8] {
    let mut length = (bytes as u64).to_be_bytes();
    length[0] |= 1;
    length
}

/// `BITMAPINFOHEADER` of Video for Windows, with the four characters of PNG in AVI.
fn bitmap_info(size: Size) -> Vec<u8> {
    let mut info = Vec::with_capacity(40);
    info.extend(40_u32.to_le_bytes());
    info.extend(size.width().to_le_bytes());
    info.extend(size.height().to_le_bytes());
    // One plane of 32 bits a pixel.
    info.extend([1, 0, 32, 0]);
    info.extend(b"MPNG");
    let bytes = u32::try_from(size.frame_bytes()).unwrap_or(0);
    info.extend(bytes.to_le_bytes());
    info.resize(40, 0);
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_says_its_size_and_its_blocks() {
        let cluster = cluster(Duration::from_millis(1_500), 1_000);
        let size = u64::from_be_bytes(cluster[4..12].try_into().unwrap()) & ((1 << 56) - 1);
        assert_eq!(size as usize, cluster.len() - 12 + 1_000);
        let stamp = u64::from_be_bytes(cluster[21..29].try_into().unwrap());
        assert_eq!(stamp, 1_500);
        assert_eq!(cluster[29], 0xA3);
        let block = u64::from_be_bytes(cluster[30..38].try_into().unwrap()) & ((1 << 56) - 1);
        assert_eq!(block as usize, 4 + 1_000);
    }
}
