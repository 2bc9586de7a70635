//! What an output is written as: container, codec, pixel format, and what goes with what.

use std::fmt;
use std::str::FromStr;

use crate::frame::{PixelFormat, Size};
use crate::matte::Matte;
use crate::planes::{Range, VideoFormat};

/// What is asked of an output; the target's name and the defaults decide the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// What the bytes are.
    pub container: Option<Container>,
    /// What the pictures are coded with.
    pub codec: Option<Codec>,
    /// The codec's own samples.
    pub format: Option<VideoFormat>,
    /// Of a codec that loses something.
    pub quality: Option<Quality>,
    /// Of a codec that can take more or less time.
    pub speed: Option<Speed>,
    /// What makes frames opaque; `None` keeps their alpha.
    pub matte: Option<Matte>,
    /// The levels of a key; `None` for those that its samples have.
    pub key_range: Option<Range>,
}

/// What an output's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// Frame after frame, without a header.
    Raw,
    /// A numbered PNG file for each frame.
    Png,
    /// `QuickTime`.
    Mov,
    /// Matroska.
    Mkv,
    /// `WebM`.
    WebM,
    /// NUT, which describes raw frames.
    Nut,
    /// AVI.
    Avi,
    /// Animated PNG.
    Apng,
    /// Animated `WebP`.
    WebP,
    /// Animated GIF.
    Gif,
    /// MP4.
    Mp4,
    /// MPEG transport stream.
    Ts,
    /// Flash video, which RTMP carries.
    Flv,
}

/// What pictures are coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Samples as they are.
    RawVideo,
    /// `QuickTime` Animation.
    Qtrle,
    /// Apple `ProRes`; with alpha its profile 4444.
    ProRes,
    /// A PNG for each frame.
    Png,
    /// FFV1 version 3.
    Ffv1,
    /// `UtVideo`.
    UtVideo,
    /// Hap Alpha.
    Hap,
    /// VP9.
    Vp9,
    /// VP8.
    Vp8,
    /// Animated PNG.
    Apng,
    /// Animated `WebP`.
    WebP,
    /// Animated GIF.
    Gif,
    /// H.264.
    H264,
    /// HEVC.
    Hevc,
    /// MPEG-2.
    Mpeg2,
    /// `DNxHR`.
    DnxHr,
}

/// How good what a codec loses something of should be: 0 for smallest to 100 for best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quality(u8);

/// How fast a codec should be: 0 for smallest to 10 for fastest. From text also `best`, `slow`,
/// `medium`, `fast` and `fastest`, which are 0, 3, 5, 8 and 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speed(u8);

impl Container {
    /// Every container; those that can carry alpha first.
    pub const ALL: [Self; 13] = [
        Self::Raw,
        Self::Png,
        Self::Mov,
        Self::Mkv,
        Self::WebM,
        Self::Nut,
        Self::Avi,
        Self::Apng,
        Self::WebP,
        Self::Gif,
        Self::Mp4,
        Self::Ts,
        Self::Flv,
    ];

    /// The name of `--container`, which is also the usual ending.
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Png => "png",
            Self::Mov => "mov",
            Self::Mkv => "mkv",
            Self::WebM => "webm",
            Self::Nut => "nut",
            Self::Avi => "avi",
            Self::Apng => "apng",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Mp4 => "mp4",
            Self::Ts => "ts",
            Self::Flv => "flv",
        }
    }

    /// What can be in it; the first if nothing else is asked for.
    pub(super) fn codecs(self) -> &'static [Codec] {
        use Codec::{
            Apng, DnxHr, Ffv1, Gif, H264, Hap, Hevc, Mpeg2, Png, ProRes, Qtrle, RawVideo, UtVideo,
            Vp8, Vp9, WebP,
        };
        match self {
            Self::Raw => &[RawVideo],
            Self::Png => &[Png],
            Self::Mov => &[
                Qtrle, ProRes, Png, Ffv1, RawVideo, Hap, H264, Hevc, DnxHr, Mpeg2,
            ],
            Self::Mkv => &[
                Ffv1, Png, RawVideo, UtVideo, Vp9, Vp8, ProRes, H264, Hevc, Mpeg2,
            ],
            Self::WebM => &[Vp9, Vp8],
            Self::Nut => &[RawVideo, Png, Ffv1, UtVideo, H264, Hevc, Mpeg2],
            Self::Avi => &[RawVideo, UtVideo, Png, Ffv1, H264],
            Self::Apng => &[Apng],
            Self::WebP => &[WebP],
            Self::Gif => &[Gif],
            Self::Mp4 => &[H264, Hevc, Mpeg2, Vp9],
            Self::Ts => &[H264, Hevc, Mpeg2],
            Self::Flv => &[H264],
        }
    }

    /// What a codec's samples can be in it, best first; nothing if it can't be in it.
    pub(super) fn formats(self, codec: Codec) -> &'static [VideoFormat] {
        use VideoFormat::{
            Gbrap, Gray, Gray10le, Nv12, Packed, Rgb24, Rgba64le, Uyvy422, Yuv420p, Yuv420p10le,
            Yuv422p, Yuv422p10le, Yuv444p, Yuv444p10le, Yuva420p, Yuva420p10le, Yuva422p,
            Yuva422p10le, Yuva444p, Yuva444p10le,
        };
        const RGBA: VideoFormat = Packed(PixelFormat::Rgba);
        const BGRA: VideoFormat = Packed(PixelFormat::Bgra);
        const ARGB: VideoFormat = Packed(PixelFormat::Argb);
        const ABGR: VideoFormat = Packed(PixelFormat::Abgr);
        if !self.codecs().contains(&codec) {
            return &[];
        }
        match (codec, self) {
            (Codec::RawVideo, Self::Mov) => &[ARGB, Rgb24, Uyvy422],
            (Codec::RawVideo, Self::Avi) => &[BGRA],
            (Codec::RawVideo, Self::Mkv) => &[RGBA, BGRA],
            (Codec::RawVideo, _) => &[
                RGBA,
                BGRA,
                ARGB,
                ABGR,
                Rgba64le,
                Gbrap,
                Yuva420p,
                Yuva422p,
                Yuva444p,
                Yuva420p10le,
                Yuva422p10le,
                Yuva444p10le,
                Rgb24,
                VideoFormat::Bgr24,
                Gray,
                Gray10le,
                Yuv420p,
                Yuv422p,
                Yuv444p,
                Yuv420p10le,
                Yuv422p10le,
                Yuv444p10le,
                Nv12,
                Uyvy422,
            ],
            (Codec::Qtrle, _) => &[ARGB, Rgb24],
            (Codec::ProRes, _) => &[Yuva444p10le, Yuv422p10le, Yuv444p10le],
            (Codec::Png | Codec::Apng, _) => &[RGBA, Rgb24],
            (Codec::Ffv1, _) => &[
                BGRA,
                Yuva420p,
                Yuva422p,
                Yuva444p,
                Yuva420p10le,
                Yuva422p10le,
                Yuva444p10le,
                Yuv444p,
                Yuv420p,
                Yuv422p,
                Yuv444p10le,
                Yuv420p10le,
                Yuv422p10le,
            ],
            (Codec::UtVideo, _) => &[Gbrap, Yuv422p, Yuv420p, Yuv444p],
            (Codec::Hap | Codec::Gif, _) => &[RGBA],
            // Elsewhere alpha has no place, and would be lost without a word.
            (Codec::Vp9 | Codec::Vp8, Self::WebM | Self::Mkv) => &[Yuva420p, Yuv420p],
            (Codec::Vp9 | Codec::Vp8, _) => &[Yuv420p],
            (Codec::WebP, _) => &[BGRA],
            (Codec::H264, _) => &[
                Yuv420p,
                Yuv422p,
                Yuv444p,
                Nv12,
                Yuv420p10le,
                Yuv422p10le,
                Yuv444p10le,
            ],
            (Codec::Hevc, _) => &[
                Yuv420p,
                Yuv422p,
                Yuv444p,
                Yuv420p10le,
                Yuv422p10le,
                Yuv444p10le,
            ],
            (Codec::Mpeg2, _) => &[Yuv420p, Yuv422p],
            (Codec::DnxHr, _) => &[Yuv422p, Yuv422p10le],
        }
    }

    /// Whether what a codec shows in it can have alpha.
    pub(super) fn keeps_alpha(self, codec: Codec) -> bool {
        self.formats(codec).iter().any(|format| format.has_alpha())
    }

    /// Whether its end changes its beginning, so that a pipe or a socket can't carry it.
    pub(super) fn seeks(self) -> bool {
        matches!(self, Self::Png | Self::Avi | Self::Apng | Self::WebP)
    }
}

impl Codec {
    /// Every codec; those that can carry alpha first.
    pub const ALL: [Self; 16] = [
        Self::RawVideo,
        Self::Qtrle,
        Self::ProRes,
        Self::Png,
        Self::Ffv1,
        Self::UtVideo,
        Self::Hap,
        Self::Vp9,
        Self::Vp8,
        Self::Apng,
        Self::WebP,
        Self::Gif,
        Self::H264,
        Self::Hevc,
        Self::Mpeg2,
        Self::DnxHr,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::RawVideo => "rawvideo",
            Self::Qtrle => "qtrle",
            Self::ProRes => "prores",
            Self::Png => "png",
            Self::Ffv1 => "ffv1",
            Self::UtVideo => "utvideo",
            Self::Hap => "hap",
            Self::Vp9 => "vp9",
            Self::Vp8 => "vp8",
            Self::Apng => "apng",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Mpeg2 => "mpeg2",
            Self::DnxHr => "dnxhr",
        }
    }

    /// Whether there is a quality to choose.
    pub(super) fn has_quality(self) -> bool {
        matches!(
            self,
            Self::ProRes
                | Self::Vp9
                | Self::Vp8
                | Self::WebP
                | Self::H264
                | Self::Hevc
                | Self::Mpeg2
                | Self::DnxHr
        )
    }

    /// Whether what is clear leaves a trace in what is not.
    pub(super) fn blurs(self) -> bool {
        matches!(self, Self::ProRes | Self::Hap | Self::Vp9 | Self::Vp8)
    }

    /// Why pictures of this size can't be coded in this format.
    pub(super) fn refuses(self, format: VideoFormat, size: Size) -> Option<String> {
        let (width, height) = (size.width(), size.height());
        let odd = match format {
            VideoFormat::Yuv420p | VideoFormat::Yuv420p10le | VideoFormat::Nv12 => {
                !width.is_multiple_of(2) || !height.is_multiple_of(2)
            }
            VideoFormat::Yuv422p | VideoFormat::Yuv422p10le => !width.is_multiple_of(2),
            _ => false,
        };
        let expected = match self {
            Self::Hap if !width.is_multiple_of(4) || !height.is_multiple_of(4) => {
                "sides that are multiples of 4"
            }
            Self::H264 | Self::Hevc if odd => "even sides",
            Self::DnxHr if width < 256 || height < 120 => "at least 256x120",
            Self::WebP if width.max(height) > 16_383 => "sides of at most 16383",
            _ => return None,
        };
        Some(format!(
            "{self} takes no pictures of {size}: expected {expected}"
        ))
    }

    /// Whether there is a speed to choose.
    pub(super) fn has_speed(self) -> bool {
        matches!(
            self,
            Self::Png
                | Self::Apng
                | Self::Ffv1
                | Self::UtVideo
                | Self::Vp9
                | Self::Vp8
                | Self::WebP
                | Self::H264
                | Self::Hevc
        )
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Container {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text {
            "matroska" => "mkv",
            "mpegts" => "ts",
            name => name,
        };
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let known = list(&Self::ALL);
            format!("container {text:?}: expected one of {known}")
        })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| {
            let known = list(&Self::ALL);
            format!("codec {text:?}: expected one of {known}")
        })
    }
}

impl Quality {
    /// Of codecs that have no better default: little is seen to be lost.
    #[cfg(feature = "ffmpeg")]
    pub(super) const GOOD: Self = Self(62);

    /// 0 for smallest to 100 for best.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// A codec's own figure: `worst` at 0, `best` at 100, and in proportion between them.
    #[must_use]
    pub fn between(self, worst: i32, best: i32) -> i32 {
        share(worst, best, i32::from(self.0), 100)
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number <= 100);
        let quality = number.map(Self);
        quality.ok_or_else(|| {
            format!("quality {text:?}: expected a whole number from 0 (smallest) to 100 (best)")
        })
    }
}

impl Speed {
    /// For what is watched while it is made.
    #[cfg(feature = "ffmpeg")]
    pub(super) const FAST: Self = Self(8);

    /// 0 for smallest to 10 for fastest.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// A codec's own figure: `slowest` at 0, `fastest` at 10, and in proportion between them.
    #[must_use]
    pub fn between(self, slowest: i32, fastest: i32) -> i32 {
        share(slowest, fastest, i32::from(self.0), 10)
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text {
            "best" => Some(0),
            "slow" => Some(3),
            "medium" => Some(5),
            "fast" => Some(8),
            "fastest" => Some(10),
            text => text.parse().ok().filter(|number| *number <= 10),
        };
        number.map(Self).ok_or_else(|| {
            format!(
                "speed {text:?}: expected a whole number from 0 (best) to 10 (fastest), or best, \
                 slow, medium, fast or fastest"
            )
        })
    }
}

/// `from` at 0, `to` at `whole`, to the nearest in between.
fn share(from: i32, to: i32, part: i32, whole: i32) -> i32 {
    let twice = 2 * (to - from) * part + whole;
    from + twice.div_euclid(2 * whole)
}

/// Things' names, for a message.
pub(super) fn list<T: fmt::Display>(things: &[T]) -> String {
    let names: Vec<String> = things.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for container in Container::ALL {
            assert_eq!(container.to_string().parse(), Ok(container));
        }
        for codec in Codec::ALL {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
        assert_eq!("matroska".parse(), Ok(Container::Mkv));
        let refused = |error: String, part: &str| assert!(error.contains(part), "{error}");
        refused("mp3".parse::<Container>().unwrap_err(), "raw, png, mov");
        refused("vp7".parse::<Codec>().unwrap_err(), "qtrle, prores");
        refused("101".parse::<Quality>().unwrap_err(), "0 (smallest) to 100");
        refused("-1".parse::<Speed>().unwrap_err(), "0 (best) to 10");
    }

    #[test]
    fn figures_reach_both_ends_of_a_codecs_own() {
        let quality = |n: &str| n.parse::<Quality>().unwrap().between(63, 0);
        assert_eq!(["0", "50", "62", "100"].map(quality), [63, 32, 24, 0]);
        let speed = |n: &str| n.parse::<Speed>().unwrap().between(0, 8);
        assert_eq!(["best", "medium", "fastest"].map(speed), [0, 4, 8]);
    }

    #[test]
    fn every_codec_is_in_a_container_and_every_container_has_samples_for_its_codecs() {
        for codec in Codec::ALL {
            let home = |container: &Container| container.codecs().contains(&codec);
            assert!(Container::ALL.iter().any(home), "{codec}");
        }
        for container in Container::ALL {
            for &codec in container.codecs() {
                assert!(
                    !container.formats(codec).is_empty(),
                    "{codec} in {container}"
                );
            }
        }
    }

    #[test]
    fn what_would_lose_its_alpha_without_a_word_has_none() {
        for (container, codec, alpha) in [
            (Container::Mp4, Codec::Vp9, false),
            (Container::WebM, Codec::Vp9, true),
            (Container::Nut, Codec::Vp8, false),
            (Container::Ts, Codec::H264, false),
            (Container::Mov, Codec::ProRes, true),
            (Container::Mov, Codec::H264, false),
        ] {
            assert_eq!(
                container.keeps_alpha(codec),
                alpha,
                "{codec} in {container}"
            );
        }
    }
}
