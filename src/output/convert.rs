//! From a shared frame to the samples that one output writes.

use super::form::{Codec, Form};
use crate::frame::{Frame, PixelFormat, Size};
use crate::matte::{Matte, MatteError, Plate};
use crate::planes::{Range, VideoFormat, VideoFrame};

/// The samples of an output's pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples {
    pub(super) format: VideoFormat,
    /// Of luma and chroma.
    pub(super) range: Range,
    /// Whether clear pixels near others have their colour, for codecs that blur.
    pub(super) bleed: bool,
    /// What makes pictures opaque; `None` keeps their alpha.
    pub(super) matte: Option<Matte>,
}

impl Samples {
    /// A codec's in this format.
    pub(super) fn new(codec: Codec, format: VideoFormat, form: Form) -> Self {
        // ffmpeg reads grey alone as of full range.
        let grey = matches!(format, VideoFormat::Gray | VideoFormat::Gray10le);
        let range = if grey { Range::Full } else { Range::Limited };
        let (matte, range) = match (form.matte, form.key_range) {
            // Luma has the range, or else the grey that it is made of.
            (Some(Matte::Key(_)), Some(key)) if format.is_yuv() && !grey => {
                (Some(Matte::Key(Range::Full)), key)
            }
            (Some(Matte::Key(_)), Some(key)) => (Some(Matte::Key(key)), range),
            (matte, _) => (matte, range),
        };
        Self {
            format,
            range,
            bleed: codec.blurs(),
            matte,
        }
    }

    /// The order of the channels of the frames that cost the least to convert.
    pub(super) fn source(self) -> PixelFormat {
        match self.format {
            VideoFormat::Packed(format) => format,
            _ => PixelFormat::Rgba,
        }
    }
}

/// Makes an output's pictures, one at a time.
#[derive(Debug)]
pub(super) struct Converter {
    plate: Option<Plate>,
    video: Option<VideoFrame>,
}

/// One picture of a [`Converter`].
pub(super) enum Picture<'a> {
    /// A frame as it is.
    Frame(&'a Frame),
    /// Packed pixels.
    Packed(&'a [u8]),
    /// Anything else.
    Planes(&'a VideoFrame),
}

impl Converter {
    /// For frames of this size, in the order of [`Samples::source`].
    ///
    /// # Errors
    /// The matte's picture is too large.
    pub(super) fn new(size: Size, samples: Samples) -> Result<Self, MatteError> {
        let plate = samples
            .matte
            .map(|matte| Plate::new(size, matte, samples.source()));
        let plate = plate.transpose()?;
        let size = plate.as_ref().map_or(size, Plate::size);
        let video = match samples.format {
            VideoFormat::Packed(_) => None,
            format => Some(VideoFrame::new(size, format, samples.range).with_bleed(samples.bleed)),
        };
        Ok(Self { plate, video })
    }

    /// The picture of a frame, which is the frame itself if it is right already.
    pub(super) fn convert<'a>(&'a mut self, frame: &'a Frame) -> Picture<'a> {
        if let Some(plate) = &mut self.plate {
            plate.draw(frame);
        }
        match (&mut self.video, &self.plate) {
            (None, None) => Picture::Frame(frame),
            (None, Some(plate)) => Picture::Packed(plate.as_bytes()),
            (Some(video), plate) => {
                match plate {
                    Some(plate) => video.convert(plate),
                    None => video.convert(frame),
                }
                Picture::Planes(video)
            }
        }
    }
}

impl<'a> Picture<'a> {
    /// All samples, plane after plane.
    pub(super) fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Frame(frame) => frame.as_bytes(),
            Self::Packed(bytes) => bytes,
            Self::Planes(video) => video.as_bytes(),
        }
    }
}
