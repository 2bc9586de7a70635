//! The pixel formats that pictures are keyed in, and where their samples are.

use std::fmt;

use crate::frame::Size;

/// A pixel format that pictures can be keyed in, by ffmpeg's name. Samples of more than 8 bits are
/// in two bytes, low byte first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PictureFormat(&'static Spec);

/// All that there is to know of a format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec {
    name: &'static str,
    /// Luma, with or without chroma; else R, G and B.
    pub(super) is_yuv: bool,
    /// A chroma sample is of `2^right x 2^down` pixels.
    pub(super) right: u32,
    pub(super) down: u32,
    pub(super) bits: u32,
    /// How far up in its two bytes a sample is.
    pub(super) shift: u32,
    /// Y or R, Cb or G, Cr or B, and A.
    pub(super) channels: &'static [Channel],
}

/// Where the samples of a channel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) plane: usize,
    /// From one sample to the next, in samples: 1 to 4.
    pub(super) step: usize,
    /// The first one, in samples.
    pub(super) offset: usize,
}

const fn channel(plane: usize, step: usize, offset: usize) -> Channel {
    Channel {
        plane,
        step,
        offset,
    }
}

const fn packed<const CHANNELS: usize>(
    step: usize,
    offsets: [usize; CHANNELS],
) -> [Channel; CHANNELS] {
    let mut channels = [channel(0, step, 0); CHANNELS];
    let mut n = 0;
    while n < CHANNELS {
        channels[n].offset = offsets[n];
        n += 1;
    }
    channels
}

const GRAY: [Channel; 1] = [channel(0, 1, 0)];
const YUV: [Channel; 3] = [channel(0, 1, 0), channel(1, 1, 0), channel(2, 1, 0)];
const YUVA: [Channel; 4] = [YUV[0], YUV[1], YUV[2], channel(3, 1, 0)];
const NV12: [Channel; 3] = [channel(0, 1, 0), channel(1, 2, 0), channel(1, 2, 1)];
const NV21: [Channel; 3] = [NV12[0], NV12[2], NV12[1]];
const UYVY: [Channel; 3] = [channel(0, 2, 1), channel(0, 4, 0), channel(0, 4, 2)];
const YUYV: [Channel; 3] = [channel(0, 2, 0), channel(0, 4, 1), channel(0, 4, 3)];
const YVYU: [Channel; 3] = [YUYV[0], YUYV[2], YUYV[1]];
const GBR: [Channel; 3] = [channel(2, 1, 0), channel(0, 1, 0), channel(1, 1, 0)];
const GBRA: [Channel; 4] = [GBR[0], GBR[1], GBR[2], channel(3, 1, 0)];
const RGB: [Channel; 3] = packed(3, [0, 1, 2]);
const BGR: [Channel; 3] = packed(3, [2, 1, 0]);
const RGBX: [Channel; 3] = packed(4, [0, 1, 2]);
const BGRX: [Channel; 3] = packed(4, [2, 1, 0]);
const XRGB: [Channel; 3] = packed(4, [1, 2, 3]);
const XBGR: [Channel; 3] = packed(4, [3, 2, 1]);
const RGBA: [Channel; 4] = packed(4, [0, 1, 2, 3]);
const BGRA: [Channel; 4] = packed(4, [2, 1, 0, 3]);
const ARGB: [Channel; 4] = packed(4, [1, 2, 3, 0]);
const ABGR: [Channel; 4] = packed(4, [3, 2, 1, 0]);

const fn yuv(
    name: &'static str,
    (right, down): (u32, u32),
    (bits, shift): (u32, u32),
    channels: &'static [Channel],
) -> Spec {
    Spec {
        name,
        is_yuv: true,
        right,
        down,
        bits,
        shift,
        channels,
    }
}

const fn rgb(name: &'static str, bits: u32, channels: &'static [Channel]) -> Spec {
    Spec {
        name,
        is_yuv: false,
        right: 0,
        down: 0,
        bits,
        shift: 0,
        channels,
    }
}

const X444: (u32, u32) = (0, 0);
const X440: (u32, u32) = (0, 1);
const X422: (u32, u32) = (1, 0);
const X420: (u32, u32) = (1, 1);
const X411: (u32, u32) = (2, 0);

const SPECS: &[Spec] = &[
    yuv("yuv420p", X420, (8, 0), &YUV),
    yuv("yuv422p", X422, (8, 0), &YUV),
    yuv("yuv444p", X444, (8, 0), &YUV),
    yuv("yuv440p", X440, (8, 0), &YUV),
    yuv("yuv411p", X411, (8, 0), &YUV),
    yuv("yuvj420p", X420, (8, 0), &YUV),
    yuv("yuvj422p", X422, (8, 0), &YUV),
    yuv("yuvj444p", X444, (8, 0), &YUV),
    yuv("yuvj440p", X440, (8, 0), &YUV),
    yuv("yuvj411p", X411, (8, 0), &YUV),
    yuv("yuv420p9le", X420, (9, 0), &YUV),
    yuv("yuv422p9le", X422, (9, 0), &YUV),
    yuv("yuv444p9le", X444, (9, 0), &YUV),
    yuv("yuv420p10le", X420, (10, 0), &YUV),
    yuv("yuv422p10le", X422, (10, 0), &YUV),
    yuv("yuv444p10le", X444, (10, 0), &YUV),
    yuv("yuv440p10le", X440, (10, 0), &YUV),
    yuv("yuv420p12le", X420, (12, 0), &YUV),
    yuv("yuv422p12le", X422, (12, 0), &YUV),
    yuv("yuv444p12le", X444, (12, 0), &YUV),
    yuv("yuv440p12le", X440, (12, 0), &YUV),
    yuv("yuv420p14le", X420, (14, 0), &YUV),
    yuv("yuv422p14le", X422, (14, 0), &YUV),
    yuv("yuv444p14le", X444, (14, 0), &YUV),
    yuv("yuv420p16le", X420, (16, 0), &YUV),
    yuv("yuv422p16le", X422, (16, 0), &YUV),
    yuv("yuv444p16le", X444, (16, 0), &YUV),
    yuv("yuva420p", X420, (8, 0), &YUVA),
    yuv("yuva422p", X422, (8, 0), &YUVA),
    yuv("yuva444p", X444, (8, 0), &YUVA),
    yuv("yuva420p9le", X420, (9, 0), &YUVA),
    yuv("yuva422p9le", X422, (9, 0), &YUVA),
    yuv("yuva444p9le", X444, (9, 0), &YUVA),
    yuv("yuva420p10le", X420, (10, 0), &YUVA),
    yuv("yuva422p10le", X422, (10, 0), &YUVA),
    yuv("yuva444p10le", X444, (10, 0), &YUVA),
    yuv("yuva422p12le", X422, (12, 0), &YUVA),
    yuv("yuva444p12le", X444, (12, 0), &YUVA),
    yuv("yuva420p16le", X420, (16, 0), &YUVA),
    yuv("yuva422p16le", X422, (16, 0), &YUVA),
    yuv("yuva444p16le", X444, (16, 0), &YUVA),
    yuv("nv12", X420, (8, 0), &NV12),
    yuv("nv21", X420, (8, 0), &NV21),
    yuv("nv16", X422, (8, 0), &NV12),
    yuv("nv24", X444, (8, 0), &NV12),
    yuv("nv42", X444, (8, 0), &NV21),
    yuv("nv20le", X422, (10, 0), &NV12),
    yuv("p010le", X420, (10, 6), &NV12),
    yuv("p012le", X420, (12, 4), &NV12),
    yuv("p016le", X420, (16, 0), &NV12),
    yuv("p210le", X422, (10, 6), &NV12),
    yuv("p212le", X422, (12, 4), &NV12),
    yuv("p216le", X422, (16, 0), &NV12),
    yuv("p410le", X444, (10, 6), &NV12),
    yuv("p412le", X444, (12, 4), &NV12),
    yuv("p416le", X444, (16, 0), &NV12),
    yuv("uyvy422", X422, (8, 0), &UYVY),
    yuv("yuyv422", X422, (8, 0), &YUYV),
    yuv("yvyu422", X422, (8, 0), &YVYU),
    yuv("y210le", X422, (10, 6), &YUYV),
    yuv("y212le", X422, (12, 4), &YUYV),
    yuv("gray", X444, (8, 0), &GRAY),
    yuv("gray9le", X444, (9, 0), &GRAY),
    yuv("gray10le", X444, (10, 0), &GRAY),
    yuv("gray12le", X444, (12, 0), &GRAY),
    yuv("gray14le", X444, (14, 0), &GRAY),
    yuv("gray16le", X444, (16, 0), &GRAY),
    rgb("rgb24", 8, &RGB),
    rgb("bgr24", 8, &BGR),
    rgb("rgb0", 8, &RGBX),
    rgb("bgr0", 8, &BGRX),
    rgb("0rgb", 8, &XRGB),
    rgb("0bgr", 8, &XBGR),
    rgb("rgba", 8, &RGBA),
    rgb("bgra", 8, &BGRA),
    rgb("argb", 8, &ARGB),
    rgb("abgr", 8, &ABGR),
    rgb("rgb48le", 16, &RGB),
    rgb("bgr48le", 16, &BGR),
    rgb("rgba64le", 16, &RGBA),
    rgb("bgra64le", 16, &BGRA),
    rgb("gbrp", 8, &GBR),
    rgb("gbrp9le", 9, &GBR),
    rgb("gbrp10le", 10, &GBR),
    rgb("gbrp12le", 12, &GBR),
    rgb("gbrp14le", 14, &GBR),
    rgb("gbrp16le", 16, &GBR),
    rgb("gbrap", 8, &GBRA),
    rgb("gbrap10le", 10, &GBRA),
    rgb("gbrap12le", 12, &GBRA),
    rgb("gbrap14le", 14, &GBRA),
    rgb("gbrap16le", 16, &GBRA),
];

impl PictureFormat {
    /// The format that ffmpeg has this name for, if pictures can be keyed in it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SPECS.iter().find(|spec| spec.name == name).map(Self)
    }

    /// The names of all formats.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SPECS.iter().map(|spec| spec.name)
    }

    /// ffmpeg's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Bits of a sample: 8 to 16.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0.bits
    }

    /// How many planes a picture has: 1 to 4.
    #[must_use]
    pub fn planes(self) -> usize {
        let planes = self.0.channels.iter().map(|channel| channel.plane + 1);
        planes.max().unwrap_or(0)
    }

    /// Whether its samples are luma, with or without chroma; else they are R, G and B.
    #[must_use]
    pub fn is_yuv(self) -> bool {
        self.0.is_yuv
    }

    /// Whether it has alpha, which is straight.
    #[must_use]
    pub fn has_alpha(self) -> bool {
        self.0.channels.len() == 4
    }

    /// The pixels of one chroma sample, columns and rows: 1, 2 or 4 columns and 1 or 2 rows. An
    /// overlay's origin is a multiple of them.
    #[must_use]
    pub fn cell(self) -> (u32, u32) {
        (1 << self.0.right, 1 << self.0.down)
    }

    /// The bytes of a row of a plane and its rows, in a picture of this size, without padding.
    ///
    /// # Panics
    /// The format has no such plane.
    #[must_use]
    pub fn plane(self, plane: usize, size: Size) -> (usize, usize) {
        let spec = self.0;
        let channels = spec.channels.iter().enumerate();
        let extent = channels
            .filter(|(_, channel)| channel.plane == plane)
            .map(|(n, channel)| {
                let (right, down) = spec.subsampling(n);
                let columns = (size.width() as usize).div_ceil(1 << right);
                let rows = (size.height() as usize).div_ceil(1 << down);
                (columns * channel.step * spec.sample_bytes(), rows)
            });
        let extent = extent.max();
        assert!(extent.is_some(), "{self} has no plane {plane}");
        extent.unwrap_or_default()
    }

    pub(super) fn spec(self) -> &'static Spec {
        self.0
    }
}

impl Spec {
    /// The binary logarithms of the columns and rows of pixels that a sample of a channel is of.
    #[inline(always)]
    pub(super) fn subsampling(&self, channel: usize) -> (u32, u32) {
        if matches!(channel, 1 | 2) {
            (self.right, self.down)
        } else {
            (0, 0)
        }
    }

    /// Whether chroma samples are of several pixels.
    #[inline(always)]
    pub(super) fn is_subsampled(&self) -> bool {
        self.right + self.down > 0
    }

    /// Bytes of a sample.
    #[inline(always)]
    pub(super) fn sample_bytes(&self) -> usize {
        if self.bits > 8 { 2 } else { 1 }
    }
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Debug for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PictureFormat({self})")
    }
}
