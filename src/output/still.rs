//! PNG: one still, or one numbered file a frame. Straight alpha, as the format has it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use prometheus_client::metrics::counter::Counter;

use super::convert::Converter;
use super::{Flow, cannot_write};
use crate::frame::{Frame, Size};

/// A frame of straight RGBA as an 8-bit PNG file.
///
/// # Errors
/// None that is known of: the encoder writes to memory.
pub fn png(frame: &Frame) -> Result<Vec<u8>> {
    encode(frame.as_bytes(), frame.size(), ExtendedColorType::Rgba8)
}

/// Pixels as a PNG file.
pub(super) fn encode(pixels: &[u8], size: Size, color: ExtendedColorType) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let (width, height) = (size.width(), size.height());
    // A filter chosen anew for each row takes 15 to 25 times as long, for 5 % of the bytes.
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
        .write_image(pixels, width, height, color)
        .context("cannot make a PNG")?;
    Ok(file)
}

/// The names of numbered files.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    folder: PathBuf,
    before: String,
    /// The number's least digits.
    digits: usize,
    after: String,
}

impl Pattern {
    /// Reads a path such as `frames-%05d.png`.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some((before, digits, after)) = pattern(name) else {
            bail!(
                "{}: one PNG a frame needs one number pattern in its name, such as frames-%05d.png",
                path.display()
            );
        };
        Ok(Self {
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            before,
            digits,
            after,
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        let Self {
            before,
            digits,
            after,
            ..
        } = self;
        let name = format!("{before}{number:0digits$}{after}");
        self.folder.join(name)
    }
}

/// Numbered PNG files, from 0.
#[derive(Debug)]
pub struct Sequence {
    pattern: Pattern,
    size: Size,
    converter: Converter,
    next: u64,
    bytes: Counter,
}

impl Sequence {
    /// Files of pictures of this size, whose bytes are counted there.
    pub(super) fn new(pattern: Pattern, size: Size, converter: Converter, bytes: Counter) -> Self {
        Self {
            pattern,
            size,
            converter,
            next: 0,
            bytes,
        }
    }

    pub(super) fn write(&mut self, frame: &Frame) -> Result<Flow> {
        let path = self.pattern.path(self.next);
        let picture = self.converter.convert(frame);
        let file = encode(picture.as_bytes(), self.size, ExtendedColorType::Rgba8)?;
        fs::write(&path, &file).with_context(|| cannot_write(path.display()))?;
        self.bytes.inc_by(file.len() as u64);
        self.next += 1;
        Ok(Flow::Open)
    }
}

/// Splits `frames-%05d.png` at its number: `%d` or `%0Nd`, N from 1 to 9, exactly once.
fn pattern(name: &str) -> Option<(String, usize, String)> {
    let (before, rest) = name.split_once('%')?;
    let (digits, after) = rest.split_once('d')?;
    let digits = match digits.as_bytes() {
        [] => 1,
        [b'0', n @ b'1'..=b'9'] => usize::from(n - b'0'),
        _ => return None,
    };
    (!after.contains('%')).then(|| (before.into(), digits, after.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_number() {
        assert_eq!(pattern("a-%05d.png"), Some(("a-".into(), 5, ".png".into())));
        assert_eq!(pattern("%d.png"), Some((String::new(), 1, ".png".into())));
        for bad in [
            "a.png",
            "%s.png",
            "%5d.png",
            "%05x.png",
            "%d-%d.png",
            "%%d.png",
            "%0999d.png",
        ] {
            assert_eq!(pattern(bad), None, "{bad}");
        }
    }
}
