//! What sprites look like and how they move: the stylesheet and the fonts, read once.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::emoji::EmojiFonts;
use crate::motion::Motion;
use crate::reaction::Emoji;
use crate::sprite::SpriteSheet;

/// The stylesheet that is built in.
pub const STYLESHEET: &str = include_str!("../assets/overlay.css");

/// Where systems keep Noto Color Emoji, for emoji that are not built in.
const SYSTEM_FONTS: &[&str] = &[
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto-emoji/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf",
    "/usr/local/share/fonts/NotoColorEmoji.ttf",
];

/// A stylesheet's motion and the fonts to draw it with.
#[derive(Clone, Debug)]
pub struct Look {
    /// The stylesheet as pages get it.
    pub stylesheet: Arc<str>,
    /// What it says.
    pub motion: Motion,
    fonts: EmojiFonts,
}

impl Look {
    /// Reads the stylesheet that is named, or takes the built-in one. A font that is named is for
    /// emoji that the built-in one lacks.
    ///
    /// # Errors
    /// A file that can't be read; a stylesheet's mistake, with line and column; not a font with
    /// colour bitmaps.
    pub fn load(
        css: Option<&Path>,
        emoji_font: Option<&Path>,
        font_size_px: Option<f64>,
    ) -> Result<Self> {
        let (stylesheet, name): (Arc<str>, String) = match css {
            None => (STYLESHEET.into(), "the built-in stylesheet".into()),
            Some(path) => {
                let name = path.display().to_string();
                (
                    fs::read_to_string(path)
                        .with_context(|| format!("cannot read {name}"))?
                        .into(),
                    name,
                )
            }
        };
        // Pages are to have the font size that was asked for as well: it is part of the place.
        let stylesheet = match font_size_px {
            Some(px) => format!("{stylesheet}\n.animated-emoji {{ font-size: {px}px; }}\n").into(),
            None => stylesheet,
        };
        let motion = Motion::from_css(&stylesheet).context(name)?;
        let mut fonts = EmojiFonts::bundled();
        if let Some(path) = emoji_font {
            let font = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            fonts
                .push(font)
                .with_context(|| path.display().to_string())?;
        }
        Ok(Self {
            stylesheet,
            motion,
            fonts,
        })
    }

    /// The sheet of `emoji` at the motion's font size. The system's emoji font is looked for only
    /// if one of them is not built in.
    ///
    /// # Errors
    /// More pictures than one sheet may hold.
    pub fn sheet<'a>(
        &self,
        emoji: impl Iterator<Item = &'a Emoji> + Clone,
    ) -> Result<Arc<SpriteSheet>> {
        let mut fonts = self.fonts.clone();
        if !emoji.clone().all(|emoji| fonts.has(emoji)) {
            let system = SYSTEM_FONTS.iter().find_map(|path| fs::read(path).ok());
            if let Some(Err(error)) = system.map(|font| fonts.push(font)) {
                tracing::warn!("the system's emoji font is of no use: {error}");
            }
        }
        let sheet = SpriteSheet::new(&fonts, self.motion.font_size_px(), emoji)?;
        for missing in sheet.substituted() {
            tracing::warn!(
                "no glyph for {missing} ({}): {} instead",
                missing.as_str().escape_unicode(),
                crate::emoji::SUBSTITUTE
            );
        }
        Ok(Arc::new(sheet))
    }
}
