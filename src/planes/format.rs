//! The pixel formats of video, and where their samples are.

use std::fmt;
use std::str::FromStr;

use crate::frame::{PixelFormat, Size};

/// A pixel format of video outputs, named as ffmpeg names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoFormat {
    /// As frames are: `rgba`, `bgra`, `argb`, `abgr`.
    Packed(PixelFormat),
    /// R, G, B, A of 16 bits, low byte first.
    Rgba64le,
    /// Planes of G, B, R, A.
    Gbrap,
    /// Y, Cb, Cr, A; chroma of 2x2 pixels.
    Yuva420p,
    /// Y, Cb, Cr, A; chroma of 2x1 pixels.
    Yuva422p,
    /// Y, Cb, Cr, A; chroma of each pixel.
    Yuva444p,
    /// As [`Yuva420p`](Self::Yuva420p), 10 bits in two bytes, low byte first.
    Yuva420p10le,
    /// As [`Yuva422p`](Self::Yuva422p), 10 bits in two bytes, low byte first.
    Yuva422p10le,
    /// As [`Yuva444p`](Self::Yuva444p), 10 bits in two bytes, low byte first.
    Yuva444p10le,
    /// R, G, B.
    Rgb24,
    /// B, G, R.
    Bgr24,
    /// Y alone. ffmpeg takes it to be of full range unless told otherwise.
    Gray,
    /// Y alone, 10 bits in two bytes, low byte first.
    Gray10le,
    /// Y, Cb, Cr; chroma of 2x2 pixels.
    Yuv420p,
    /// Y, Cb, Cr; chroma of 2x1 pixels.
    Yuv422p,
    /// Y, Cb, Cr; chroma of each pixel.
    Yuv444p,
    /// As [`Yuv420p`](Self::Yuv420p), 10 bits in two bytes, low byte first.
    Yuv420p10le,
    /// As [`Yuv422p`](Self::Yuv422p), 10 bits in two bytes, low byte first.
    Yuv422p10le,
    /// As [`Yuv444p`](Self::Yuv444p), 10 bits in two bytes, low byte first.
    Yuv444p10le,
    /// A plane of Y, and one of Cb and Cr in turn; chroma of 2x2 pixels.
    Nv12,
    /// Cb, Y, Cr, Y; chroma of 2x1 pixels.
    Uyvy422,
}

/// Where the samples of a format are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Side by side: each pixel's R, G, B, A by number.
    Packed(&'static [u8]),
    /// A plane for each of R, G, B, A by number.
    Planes(&'static [u8]),
    Luma,
    /// Planes of Y, Cb, Cr; a chroma sample is of `2^right x 2^down` pixels.
    Yuv {
        right: u32,
        down: u32,
    },
    Nv12,
    Uyvy,
}

/// All that there is to know of a format.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) layout: Layout,
    pub(super) bits: u32,
    pub(super) alpha: bool,
}

/// One plane of a picture: so many rows of so many bytes, no padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane {
    /// Bytes of each row.
    pub width_bytes: usize,
    /// Rows.
    pub height: usize,
}

impl VideoFormat {
    /// Every format, those with alpha first.
    pub const ALL: [Self; 24] = [
        Self::Packed(PixelFormat::Rgba),
        Self::Packed(PixelFormat::Bgra),
        Self::Packed(PixelFormat::Argb),
        Self::Packed(PixelFormat::Abgr),
        Self::Rgba64le,
        Self::Gbrap,
        Self::Yuva420p,
        Self::Yuva422p,
        Self::Yuva444p,
        Self::Yuva420p10le,
        Self::Yuva422p10le,
        Self::Yuva444p10le,
        Self::Rgb24,
        Self::Bgr24,
        Self::Gray,
        Self::Gray10le,
        Self::Yuv420p,
        Self::Yuv422p,
        Self::Yuv444p,
        Self::Yuv420p10le,
        Self::Yuv422p10le,
        Self::Yuv444p10le,
        Self::Nv12,
        Self::Uyvy422,
    ];

    pub(super) fn spec(self) -> Spec {
        let spec = |name, layout, bits, alpha| Spec {
            name,
            layout,
            bits,
            alpha,
        };
        let yuv = |right, down| Layout::Yuv { right, down };
        match self {
            Self::Packed(PixelFormat::Rgba) => spec("rgba", Layout::Packed(&[0, 1, 2, 3]), 8, true),
            Self::Packed(PixelFormat::Bgra) => spec("bgra", Layout::Packed(&[2, 1, 0, 3]), 8, true),
            Self::Packed(PixelFormat::Argb) => spec("argb", Layout::Packed(&[3, 0, 1, 2]), 8, true),
            Self::Packed(PixelFormat::Abgr) => spec("abgr", Layout::Packed(&[3, 2, 1, 0]), 8, true),
            Self::Rgba64le => spec("rgba64le", Layout::Packed(&[0, 1, 2, 3]), 16, true),
            Self::Gbrap => spec("gbrap", Layout::Planes(&[1, 2, 0, 3]), 8, true),
            Self::Yuva420p => spec("yuva420p", yuv(1, 1), 8, true),
            Self::Yuva422p => spec("yuva422p", yuv(1, 0), 8, true),
            Self::Yuva444p => spec("yuva444p", yuv(0, 0), 8, true),
            Self::Yuva420p10le => spec("yuva420p10le", yuv(1, 1), 10, true),
            Self::Yuva422p10le => spec("yuva422p10le", yuv(1, 0), 10, true),
            Self::Yuva444p10le => spec("yuva444p10le", yuv(0, 0), 10, true),
            Self::Rgb24 => spec("rgb24", Layout::Packed(&[0, 1, 2]), 8, false),
            Self::Bgr24 => spec("bgr24", Layout::Packed(&[2, 1, 0]), 8, false),
            Self::Gray => spec("gray", Layout::Luma, 8, false),
            Self::Gray10le => spec("gray10le", Layout::Luma, 10, false),
            Self::Yuv420p => spec("yuv420p", yuv(1, 1), 8, false),
            Self::Yuv422p => spec("yuv422p", yuv(1, 0), 8, false),
            Self::Yuv444p => spec("yuv444p", yuv(0, 0), 8, false),
            Self::Yuv420p10le => spec("yuv420p10le", yuv(1, 1), 10, false),
            Self::Yuv422p10le => spec("yuv422p10le", yuv(1, 0), 10, false),
            Self::Yuv444p10le => spec("yuv444p10le", yuv(0, 0), 10, false),
            Self::Nv12 => spec("nv12", Layout::Nv12, 8, false),
            Self::Uyvy422 => spec("uyvy422", Layout::Uyvy, 8, false),
        }
    }

    /// Whether it has alpha.
    #[must_use]
    pub fn has_alpha(self) -> bool {
        self.spec().alpha
    }

    /// Whether its samples are luma, with or without chroma, which have a [`Range`](super::Range);
    /// else they are R, G and B.
    #[must_use]
    pub fn is_yuv(self) -> bool {
        !matches!(self.spec().layout, Layout::Packed(_) | Layout::Planes(_))
    }

    /// Bits of a sample: 8, 10 or 16.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.spec().bits
    }

    /// The planes of a picture of this size, in the order in which they are written. Where chroma
    /// is of several pixels, an odd side has a sample more.
    #[must_use]
    pub fn planes(self, size: Size) -> Vec<Plane> {
        let spec = self.spec();
        let (width, height) = (size.width() as usize, size.height() as usize);
        let sample = spec.bits.div_ceil(8) as usize;
        let plane = |samples: usize, height| Plane {
            width_bytes: samples * sample,
            height,
        };
        let whole = plane(width, height);
        let mut planes = match spec.layout {
            Layout::Packed(channels) => return vec![plane(width * channels.len(), height)],
            Layout::Planes(channels) => return vec![whole; channels.len()],
            Layout::Luma => vec![whole],
            Layout::Yuv { right, down } => {
                let chroma = plane(width.div_ceil(1 << right), height.div_ceil(1 << down));
                vec![whole, chroma, chroma]
            }
            Layout::Nv12 => vec![whole, plane(2 * width.div_ceil(2), height.div_ceil(2))],
            Layout::Uyvy => vec![plane(4 * width.div_ceil(2), height)],
        };
        planes.extend(spec.alpha.then_some(whole));
        planes
    }

    /// Bytes of one picture: its planes one after the other, as ffmpeg's `rawvideo` has them.
    #[must_use]
    pub fn frame_bytes(self, size: Size) -> usize {
        let planes = self.planes(size).into_iter();
        planes.map(|plane| plane.width_bytes * plane.height).sum()
    }
}

impl fmt::Display for VideoFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl FromStr for VideoFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|format| format.spec().name == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|format| format.spec().name).join(", ");
            format!("pixel format {text:?}: expected one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names_and_others_are_refused() {
        for format in VideoFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        for format in PixelFormat::ALL {
            assert_eq!(
                format.to_string().parse(),
                Ok(VideoFormat::Packed(format)),
                "one name in both"
            );
        }
        let error = "yuva420".parse::<VideoFormat>().unwrap_err();
        assert!(
            error.contains("\"yuva420\"") && error.contains("yuva420p10le"),
            "{error}"
        );
    }

    #[test]
    fn odd_sides_have_a_sample_of_chroma_more() {
        let size = Size::new(161, 91).unwrap();
        let plane = |width_bytes, height| Plane {
            width_bytes,
            height,
        };
        let (luma, wide) = (plane(161, 91), plane(322, 91));
        let expected = [
            (VideoFormat::Rgba64le, vec![plane(1_288, 91)]),
            (VideoFormat::Gbrap, vec![luma; 4]),
            (
                VideoFormat::Yuva420p,
                vec![luma, plane(81, 46), plane(81, 46), luma],
            ),
            (
                VideoFormat::Yuv422p10le,
                vec![wide, plane(162, 91), plane(162, 91)],
            ),
            (VideoFormat::Yuv444p, vec![luma; 3]),
            (VideoFormat::Gray10le, vec![wide]),
            (VideoFormat::Nv12, vec![luma, plane(162, 46)]),
            (VideoFormat::Uyvy422, vec![plane(324, 91)]),
        ];
        for (format, planes) in expected {
            assert_eq!(format.planes(size), planes, "{format}");
        }
        let size = Size::new(1, 1).unwrap();
        assert_eq!(VideoFormat::Uyvy422.frame_bytes(size), 4);
        assert_eq!(VideoFormat::Nv12.frame_bytes(size), 3);
        assert_eq!(VideoFormat::Yuva420p10le.frame_bytes(size), 8);
    }
}
