//! Pictures of files and streams that others have written, as straight as they were decoded: what
//! is premultiplied stays so.
//!
//! Stills are read by this program itself, all else by the system's `FFmpeg` libraries.

#[cfg(feature = "ffmpeg")]
mod video;

use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use image::codecs::png::PngDecoder;
use image::{ImageFormat, ImageReader};

#[cfg(feature = "ffmpeg")]
use self::video::Video;
use crate::frame::Size;
use crate::shown;

/// One picture.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// R, G, B and alpha, rows from the top.
    pub pixels: Vec<[u8; 4]>,
    /// As many pixels as those.
    pub size: Size,
    /// Whether the file says that it has alpha.
    pub has_alpha: bool,
    /// The codec, the pixel format, and how colours were converted.
    pub format: String,
}

/// An open file or stream.
#[derive(Debug)]
pub enum Capture {
    /// A still, until it has been given.
    Still(Option<Box<Decoded>>),
    /// A video.
    #[cfg(feature = "ffmpeg")]
    Video(Box<Video>),
}

impl Capture {
    /// Opens a file, or what is at an address such as `http://…`.
    ///
    /// # Errors
    /// It can't be read, or is nothing that can be decoded.
    pub fn open(name: &OsStr) -> Result<Self> {
        let shown = shown::address(&name.to_string_lossy());
        let is_address = name.to_str().is_some_and(|name| name.contains("://"));
        if !is_address && let Some(still) = still(Path::new(name))? {
            return Ok(Self::Still(Some(Box::new(still))));
        }
        #[cfg(feature = "ffmpeg")]
        {
            let video = Video::open(name, is_address)
                .with_context(|| format!("{shown}: no picture or video that can be read"))?;
            Ok(Self::Video(Box::new(video)))
        }
        #[cfg(not(feature = "ffmpeg"))]
        anyhow::bail!(
            "{shown}: this floatup is built without FFmpeg's libraries, and reads PNG, WebP and \
             GIF stills alone"
        )
    }

    /// The next picture; `None` after the last.
    ///
    /// # Errors
    /// It can't be decoded.
    pub fn next_picture(&mut self) -> Result<Option<Decoded>> {
        match self {
            Self::Still(still) => Ok(still.take().map(|still| *still)),
            #[cfg(feature = "ffmpeg")]
            Self::Video(video) => video.next_picture(),
        }
    }
}

/// The picture of a PNG, WebP or GIF file, the first if there are more; `None` if it is none.
fn still(path: &Path) -> Result<Option<Decoded>> {
    let shown = path.display();
    let unreadable = || format!("cannot read {shown}");
    let file = File::open(path).with_context(unreadable)?;
    let reader = ImageReader::new(BufReader::new(file));
    let reader = reader.with_guessed_format().with_context(unreadable)?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
        return Ok(None);
    };
    if cfg!(feature = "ffmpeg") && is_animated(path, format).with_context(unreadable)? {
        return Ok(None);
    }
    let image = reader.decode().with_context(|| shown.to_string())?;
    let has_alpha = image.color().has_alpha();
    let size = Size::new(image.width(), image.height()).with_context(|| shown.to_string())?;
    let about = format!("{} {:?}", format.to_mime_type(), image.color());
    let mut bytes = image.into_rgba8().into_raw();
    bytes.truncate(size.frame_bytes());
    let (pixels, _) = bytes.as_chunks();
    Ok(Some(Decoded {
        pixels: pixels.to_vec(),
        size,
        has_alpha,
        format: about,
    }))
}

/// Whether there may be more pictures in the file than the first.
fn is_animated(path: &Path, format: ImageFormat) -> Result<bool> {
    Ok(match format {
        ImageFormat::Gif => true,
        ImageFormat::Png => PngDecoder::new(BufReader::new(File::open(path)?))?.is_apng()?,
        _ => false,
    })
}
