//! Video files with alpha, through the system's `FFmpeg` libraries.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::{
    self as ffmpeg, Dictionary, Error, Packet, codec, color, encoder, format, frame,
};

use super::{Flow, Spec, cannot_write};
use crate::frame::{Frame, PixelFormat};

/// How one kind of file is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    ending: &'static str,
    /// libavformat's name of the container.
    container: &'static str,
    /// libavcodec's name of the encoder.
    encoder: &'static str,
    layout: Layout,
    options: &'static [(&'static str, &'static str)],
}

/// The encoder's own pixels.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Packed(PixelFormat),
    /// 8-bit 4:2:0 with a full plane of alpha, BT.709, limited range.
    Yuva420,
}

/// The lossless ones are what OBS Studio and `FFmpeg` read back exactly.
const RECIPES: &[Recipe] = &[
    Recipe {
        ending: "mov",
        container: "mov",
        encoder: "qtrle",
        layout: Layout::Packed(PixelFormat::Argb),
        options: &[],
    },
    Recipe {
        ending: "mkv",
        container: "matroska",
        encoder: "ffv1",
        layout: Layout::Packed(PixelFormat::Bgra),
        options: &[
            ("level", "3"),
            ("slices", "16"),
            ("slicecrc", "1"),
            ("threads", "auto"),
        ],
    },
    Recipe {
        ending: "webm",
        container: "webm",
        encoder: "libvpx-vp9",
        layout: Layout::Yuva420,
        options: &[
            ("crf", "24"),
            ("b", "0"),
            ("deadline", "realtime"),
            ("cpu-used", "6"),
            ("row-mt", "1"),
            ("threads", "auto"),
            // Alternate reference frames and alpha exclude each other in libvpx's wrapper.
            ("auto-alt-ref", "0"),
        ],
    },
    Recipe {
        ending: "nut",
        container: "nut",
        encoder: "rawvideo",
        layout: Layout::Packed(PixelFormat::Rgba),
        options: &[],
    },
    Recipe {
        ending: "apng",
        container: "apng",
        encoder: "apng",
        layout: Layout::Packed(PixelFormat::Rgba),
        options: &[],
    },
];

impl Recipe {
    pub(super) fn for_ending(ending: &str) -> Option<Self> {
        RECIPES
            .iter()
            .find(|recipe| recipe.ending == ending)
            .copied()
    }

    /// The order of the channels of the frames that it takes.
    pub(super) fn source(self) -> PixelFormat {
        self.layout.source()
    }

    pub(super) fn endings() -> impl Iterator<Item = &'static str> {
        RECIPES.iter().map(|recipe| recipe.ending)
    }
}

/// A picture with a shorter side is cut into as few slices as FFV1 takes by itself: it has no room
/// for many.
const SLICED_SIDE_MIN: u32 = 64;

/// A video file that is being written.
pub struct Video {
    name: String,
    layout: Layout,
    encoder: encoder::Video,
    container: format::context::Output,
    /// The index of the first frame, which is at time 0.
    first: Option<u64>,
    time_base: ffmpeg::Rational,
}

impl std::fmt::Debug for Video {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Video({})", self.name)
    }
}

impl Video {
    pub(super) fn create(path: &Path, recipe: Recipe, spec: Spec) -> Result<Self> {
        ffmpeg::init().context("FFmpeg's libraries don't start")?;
        ffmpeg::log::set_level(ffmpeg::log::Level::Error);
        let Some(name) = path.to_str() else {
            bail!("the path is not UTF-8")
        };
        let Some(codec) = encoder::find_by_name(recipe.encoder) else {
            bail!("this system's FFmpeg has no encoder {}", recipe.encoder);
        };
        // `file:`, so that no name is taken for another protocol's address.
        let mut container = format::output_as(&format!("file:{name}"), recipe.container)?;
        let global_header = container
            .format()
            .flags()
            .contains(format::Flags::GLOBAL_HEADER);
        let time_base = ratio(spec.rate.den(), spec.rate.num())?;

        let mut video = codec::context::Context::new_with_codec(codec)
            .encoder()
            .video()?;
        video.set_width(spec.size.width());
        video.set_height(spec.size.height());
        video.set_format(recipe.layout.pixel());
        video.set_time_base(time_base);
        video.set_frame_rate(Some(ratio(spec.rate.num(), spec.rate.den())?));
        if matches!(recipe.layout, Layout::Yuva420) {
            video.set_colorspace(color::Space::BT709);
            video.set_color_primaries(color::Primaries::BT709);
            video.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
            video.set_color_range(color::Range::MPEG);
        }
        if global_header {
            video.set_flags(codec::Flags::GLOBAL_HEADER);
        }
        let sliced = spec.size.width().min(spec.size.height()) >= SLICED_SIDE_MIN;
        let options: Dictionary<'_> = recipe
            .options
            .iter()
            .copied()
            .filter(|(name, _)| sliced || *name != "slices")
            .collect();
        let encoder = video
            .open_with(options)
            .with_context(|| format!("encoder {}", recipe.encoder))?;
        let mut stream = container.add_stream(codec)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(time_base);
        stream.set_avg_frame_rate(ratio(spec.rate.num(), spec.rate.den())?);
        container.write_header()?;
        Ok(Self {
            name: name.into(),
            layout: recipe.layout,
            encoder,
            container,
            first: None,
            time_base,
        })
    }

    pub(super) fn write(&mut self, frame: &Frame, index: u64) -> Result<Flow> {
        let size = frame.size();
        let (width, height) = (size.width() as usize, size.height() as usize);
        // A new one each time: the encoder may still hold the one before.
        let mut video = frame::Video::new(self.layout.pixel(), size.width(), size.height());
        match self.layout {
            Layout::Packed(_) => {
                let stride = video.stride(0);
                for (row, line) in video
                    .data_mut(0)
                    .chunks_mut(stride)
                    .zip(frame.as_bytes().chunks(width * 4))
                {
                    row[..width * 4].copy_from_slice(line);
                }
            }
            Layout::Yuva420 => {
                yuva420(&mut video, frame.pixels(), (width, height));
            }
        }
        let first = *self.first.get_or_insert(index);
        video.set_pts(i64::try_from(index - first).ok());
        self.encoder
            .send_frame(&video)
            .with_context(|| self.trouble())?;
        self.drain()?;
        Ok(Flow::Open)
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.encoder.send_eof().with_context(|| self.trouble())?;
        self.drain()?;
        self.container
            .write_trailer()
            .with_context(|| self.trouble())
    }

    fn drain(&mut self) -> Result<()> {
        let mut packet = Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                // It wants another frame, or has had the last.
                Err(Error::Eof | Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => return Err(error).with_context(|| self.trouble()),
            }
            packet.set_stream(0);
            packet.set_duration(1);
            let stream_base = self
                .container
                .stream(0)
                .map_or(self.time_base, |s| s.time_base());
            packet.rescale_ts(self.time_base, stream_base);
            packet
                .write_interleaved(&mut self.container)
                .with_context(|| self.trouble())?;
        }
    }

    fn trouble(&self) -> String {
        cannot_write(&self.name)
    }
}

impl Layout {
    fn pixel(self) -> format::Pixel {
        match self {
            Self::Packed(PixelFormat::Rgba) => format::Pixel::RGBA,
            Self::Packed(PixelFormat::Bgra) => format::Pixel::BGRA,
            Self::Packed(PixelFormat::Argb) => format::Pixel::ARGB,
            Self::Packed(PixelFormat::Abgr) => format::Pixel::ABGR,
            Self::Yuva420 => format::Pixel::YUVA420P,
        }
    }

    /// What frames are turned into on the way.
    fn source(self) -> PixelFormat {
        match self {
            Self::Packed(format) => format,
            Self::Yuva420 => PixelFormat::Rgba,
        }
    }
}

fn ratio(num: u32, den: u32) -> Result<ffmpeg::Rational> {
    Ok(ffmpeg::Rational::new(
        i32::try_from(num)?,
        i32::try_from(den)?,
    ))
}

/// R′G′B′ to `Y′CbCr` of ITU-R BT.709-6, 8-bit limited range (luma 16 to 235, chroma 16 to 240), in
/// 16.16 fixed point. A chroma sample is the mean of its 2x2 pixels weighted by alpha, so that the
/// colour of what is clear does not bleed into what is not.
fn yuva420(video: &mut frame::Video, pixels: &[[u8; 4]], (width, height): (usize, usize)) {
    let (luma, alpha) = (video.stride(0), video.stride(3));
    for (y, line) in pixels.chunks(width).enumerate() {
        for (out, [r, g, b, _]) in video.data_mut(0)[y * luma..].iter_mut().zip(line) {
            *out = fixed(16, [11_966, 40_254, 4_064], [*r, *g, *b].map(i64::from), 1);
        }
        for (out, pixel) in video.data_mut(3)[y * alpha..].iter_mut().zip(line) {
            *out = pixel[3];
        }
    }
    let (cb, cr) = (video.stride(1), video.stride(2));
    for y in 0..height.div_ceil(2) {
        for x in 0..width.div_ceil(2) {
            let (mut sum, mut weight) = ([0; 3], 0);
            for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (y, x) = ((2 * y + dy).min(height - 1), (2 * x + dx).min(width - 1));
                let [r, g, b, a] = pixels[y * width + x].map(i64::from);
                sum = [sum[0] + r * a, sum[1] + g * a, sum[2] + b * a];
                weight += a;
            }
            let weight = weight.max(1);
            video.data_mut(1)[y * cb + x] = fixed(128, [-6_596, -22_189, 28_784], sum, weight);
            video.data_mut(2)[y * cr + x] = fixed(128, [28_784, -26_145, -2_639], sum, weight);
        }
    }
}

/// `offset + (coefficients . rgb) / weight / 2^16`, to the nearest level.
fn fixed(offset: i64, coefficients: [i64; 3], rgb: [i64; 3], weight: i64) -> u8 {
    let dot: i64 = coefficients.iter().zip(rgb).map(|(c, v)| c * v).sum();
    let level = offset + (dot + (weight << 15)).div_euclid(weight << 16);
    u8::try_from(level.clamp(0, 255)).unwrap_or(u8::MAX)
}
