//! Emoji text to the font's own picture of it.
//!
//! The picture is a colour bitmap of the font's largest strike (OpenType `CBDT` or `sbix`),
//! fetched with `ab_glyph`. Sequences (flags, skin tones, keycaps, families) become one glyph by
//! the font's `GSUB` ligatures, so the text is shaped first.
//!
//! An emoji that no font at hand has is drawn as the [`SUBSTITUTE`], and said to be: never a
//! blank, never a box.

use std::fmt;
use std::sync::Arc;

use ab_glyph::{Font as _, FontRef, GlyphId, GlyphImageFormat};
use harfrust::{Buffer, ShapeOptions, ShaperFont};

use crate::reaction::Emoji;

/// Drawn for an emoji that no font has a picture of. The bundled font has it.
pub const SUBSTITUTE: &str = "✨";

/// The font that ships with floatup: the default palette's glyphs of Noto Color Emoji.
const BUNDLED: &[u8] = include_bytes!("../assets/fonts/NotoColorEmoji-floatup.ttf");

/// A longer side of a strike's bitmap than this is refused, in pixels.
const BITMAP_SIDE_MAX: u32 = 1_024;

/// A glyph's picture: 8-bit RGBA, **premultiplied**, rows from the top, no padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// In pixels of the strike.
    pub width: usize,
    /// In pixels of the strike.
    pub height: usize,
    /// Rows above the baseline; may be more or less than `height`.
    pub top: i32,
    /// The strike's size: pixels per em.
    pub ppem: u16,
    /// `width * height` of them.
    pub pixels: Vec<[u8; 4]>,
}

/// A font's line metrics, in its own units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineMetrics {
    /// Above the baseline.
    pub ascent: f64,
    /// Below the baseline; not negative.
    pub descent: f64,
    /// Units per em.
    pub units_per_em: f64,
}

/// Why a font can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FontError {
    /// It isn't a font, or is cut short.
    #[error("not a TrueType or OpenType font, or a damaged one")]
    Unreadable,
    /// Outlines, `COLR` or `SVG` only.
    #[error(
        "a font without colour bitmaps (outlines, COLR or SVG alone are not drawn); expected one with \
         a CBDT or sbix table, such as NotoColorEmoji.ttf"
    )]
    NoBitmaps,
}

/// Fonts to look emoji up in, in order of preference.
///
/// The bundled font is first, so that its glyphs are the same on every machine.
#[derive(Clone, Debug)]
pub struct EmojiFonts {
    fonts: Vec<EmojiFont>,
}

/// An emoji's picture, and whether it is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What to draw.
    pub bitmap: Bitmap,
    /// No font has the emoji: this is the [`SUBSTITUTE`]'s picture.
    pub substituted: bool,
}

impl Default for EmojiFonts {
    fn default() -> Self {
        Self::bundled()
    }
}

impl EmojiFonts {
    /// The bundled font alone.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "it never does: the font is part of the program"
    )]
    pub fn bundled() -> Self {
        let font = EmojiFont::new(Arc::new(BUNDLED));
        Self {
            fonts: vec![font.expect("invariant: the bundled font is sound, as its test shows")],
        }
    }

    /// Adds a font for what the fonts before it don't have.
    ///
    /// # Errors
    /// [`FontError`]: not a font, or one without colour bitmaps.
    pub fn push(&mut self, data: Vec<u8>) -> Result<(), FontError> {
        self.fonts.push(EmojiFont::new(Arc::new(data))?);
        Ok(())
    }

    /// The line metrics of the first font: they make the sprite's box.
    #[must_use]
    pub fn line_metrics(&self) -> LineMetrics {
        self.fonts[0].metrics
    }

    /// Whether a font has the emoji itself.
    #[must_use]
    pub fn has(&self, emoji: &Emoji) -> bool {
        self.fonts
            .iter()
            .any(|font| font.bitmap(emoji.as_str()).is_some())
    }

    /// The picture of one emoji.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "it never does: the bundled font has the substitute"
    )]
    pub fn picture(&self, emoji: &Emoji) -> Picture {
        let find = |text: &str| self.fonts.iter().find_map(|font| font.bitmap(text));
        match find(emoji.as_str()) {
            Some(bitmap) => Picture {
                bitmap,
                substituted: false,
            },
            None => Picture {
                bitmap: find(SUBSTITUTE).expect("invariant: the bundled font has the substitute"),
                substituted: true,
            },
        }
    }
}

/// Bytes that several readers share.
type Data = Arc<dyn AsRef<[u8]> + Send + Sync>;

#[derive(Clone)]
struct EmojiFont {
    data: Data,
    shaping: harfrust::Font,
    metrics: LineMetrics,
}

impl EmojiFont {
    fn new(data: Data) -> Result<Self, FontError> {
        let face = FontRef::try_from_slice((*data).as_ref()).map_err(|_| FontError::Unreadable)?;
        let units = face.units_per_em().ok_or(FontError::Unreadable)?;
        let metrics = LineMetrics {
            ascent: face.ascent_unscaled().into(),
            descent: (-face.descent_unscaled()).into(),
            units_per_em: units.into(),
        };
        let glyphs = u16::try_from(face.glyph_count()).unwrap_or(u16::MAX);
        if !(0..glyphs).any(|id| face.glyph_raster_image2(GlyphId(id), u16::MAX).is_some()) {
            return Err(FontError::NoBitmaps);
        }
        let shaping = harfrust::Font::new(data.clone(), 0).ok_or(FontError::Unreadable)?;
        Ok(Self {
            data,
            shaping,
            metrics,
        })
    }

    /// The bitmap of the one glyph that `text` shapes to; `None` where it is not exactly one, or
    /// has no bitmap that can be read.
    fn bitmap(&self, text: &str) -> Option<Bitmap> {
        let face = FontRef::try_from_slice((*self.data).as_ref()).ok()?;
        let mut buffer = Buffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        let font = ShaperFont::new(&self.shaping);
        harfrust::shape(&font, &mut buffer, ShapeOptions::default()).ok()?;
        // A part that the font hasn't, a skin tone say, makes another emoji of the rest.
        let lacks = |glyph: &harfrust::GlyphInfo| {
            let part = text.get(glyph.cluster as usize..);
            glyph.glyph_id == 0 && !part.is_some_and(|part| part.starts_with(is_ignorable))
        };
        if buffer.glyph_infos().iter().any(lacks) {
            return None;
        }
        // Variation selectors and the like leave glyphs without a picture.
        let mut images = buffer.glyph_infos().iter().filter_map(|glyph| {
            let id = GlyphId(u16::try_from(glyph.glyph_id).ok().filter(|&id| id != 0)?);
            face.glyph_raster_image2(id, u16::MAX)
        });
        let (image, None) = (images.next()?, images.next()) else {
            return None;
        };
        if !matches!(image.format, GlyphImageFormat::Png) {
            return None;
        }
        let rgba = decode_png(image.data)?;
        let (width, height) = rgba.dimensions();
        Some(Bitmap {
            width: width as usize,
            height: height as usize,
            // `ab_glyph` reports the bitmap's lower edge, upwards from the baseline.
            top: round(image.origin.y) + i32::try_from(height).ok()?,
            ppem: image.pixels_per_em,
            pixels: rgba.pixels().map(|pixel| premultiply(pixel.0)).collect(),
        })
    }
}

/// What shows nothing by itself: variation selectors and joiners (Unicode,
/// `Default_Ignorable_Code_Point`, as far as emoji have it).
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

impl fmt::Debug for EmojiFont {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmojiFont({} bytes)", (*self.data).as_ref().len())
    }
}

fn decode_png(data: &[u8]) -> Option<image::RgbaImage> {
    let mut reader =
        image::ImageReader::with_format(std::io::Cursor::new(data), image::ImageFormat::Png);
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(BITMAP_SIDE_MAX);
    limits.max_image_height = Some(BITMAP_SIDE_MAX);
    reader.limits(limits);
    Some(reader.decode().ok()?.into_rgba8())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "strike offsets are 8- or 16-bit integers"
)]
fn round(offset: f32) -> i32 {
    offset.round() as i32
}

/// Colour times alpha, rounded to the nearest level.
pub(crate) fn premultiply([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a product of two bytes over 255 is a byte"
    )]
    let product = |c: u8| {
        let t = u32::from(c) * u32::from(a) + 128;
        ((t + (t >> 8)) >> 8) as u8
    };
    [product(r), product(g), product(b), a]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reaction::DEFAULT_PALETTE;

    #[test]
    fn every_emoji_of_the_default_palette_is_pinned() {
        let fonts = EmojiFonts::bundled();
        for (name, emoji) in DEFAULT_PALETTE {
            let picture = fonts.picture(&Emoji::new(emoji));
            assert!(!picture.substituted, "{name} {emoji}");
            let Bitmap {
                width,
                height,
                top,
                ppem,
                ..
            } = picture.bitmap;
            assert_eq!((width, height, top, ppem), (136, 128, 101, 109), "{name}");
        }
    }

    #[test]
    fn line_metrics_are_noto_color_emojis() {
        let expected = LineMetrics {
            ascent: 1_900.0,
            descent: 500.0,
            units_per_em: 2_048.0,
        };
        assert_eq!(EmojiFonts::bundled().line_metrics(), expected);
    }

    #[test]
    fn a_presentation_selector_changes_no_pixel() {
        let fonts = EmojiFonts::bundled();
        assert_eq!(
            fonts.picture(&Emoji::new("❤")),
            fonts.picture(&Emoji::new("❤️"))
        );
    }

    #[test]
    fn what_no_font_has_is_substituted_and_said_to_be() {
        let fonts = EmojiFonts::bundled();
        let substitute = fonts.picture(&Emoji::new(SUBSTITUTE));
        assert!(!substitute.substituted);
        for missing in ["A", "", "🔥🔥", "👍🏿", "🏳️‍🌈", "\u{10ffff}", "\u{fe0f}"]
        {
            let picture = fonts.picture(&Emoji::new(missing));
            assert!(picture.substituted, "{missing:?}");
            assert_eq!(picture.bitmap, substitute.bitmap);
        }
    }

    /// `COLR` and `SVG ` are vectors, which aren't drawn: a font of these alone is said to be of no
    /// use, and its emoji are substituted.
    #[test]
    fn a_font_without_bitmaps_is_refused_by_name() {
        let mut font = BUNDLED.to_vec();
        for tag in [b"CBDT", b"CBLC"] {
            let tables = 12 + 16 * usize::from(u16::from_be_bytes([font[4], font[5]]));
            let at = (12..tables)
                .step_by(16)
                .find(|&at| font[at..at + 4] == tag[..])
                .unwrap();
            font[at] = b'X';
        }
        let mut fonts = EmojiFonts::bundled();
        assert_eq!(fonts.push(font), Err(FontError::NoBitmaps));
        let error = FontError::NoBitmaps.to_string();
        assert!(error.contains("COLR") && error.contains("CBDT"), "{error}");
        assert!(fonts.picture(&Emoji::new("🫡")).substituted);
    }

    #[test]
    fn fonts_that_cannot_draw_are_refused() {
        let mut fonts = EmojiFonts::bundled();
        assert_eq!(
            fonts.push(b"not a font".to_vec()),
            Err(FontError::Unreadable)
        );
        assert_eq!(fonts.push(Vec::new()), Err(FontError::Unreadable));
        for cut in [12, 200, 5_000] {
            assert!(fonts.push(BUNDLED[..cut].to_vec()).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn premultiplied_colour_is_rounded_and_never_above_alpha() {
        for a in 0..=255_u8 {
            for c in 0..=255_u8 {
                let [r, ..] = premultiply([c, 0, 0, a]);
                let exact = f64::from(c) * f64::from(a) / 255.0;
                assert!((f64::from(r) - exact).abs() <= 0.5, "{c} * {a}");
            }
        }
    }
}
