//! What sprites look like and how they move: the stylesheet and the fonts, read once.

pub mod preset;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::artwork::{self, Artwork};
use crate::cast::Cast;
use crate::config::LookSettings;
use crate::emoji::EmojiFonts;
use crate::frame::Size;
use crate::motion::Stylesheet;
use crate::reaction::{Emoji, Palette};
use crate::sprite::{SpriteSheet, Subject};

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

/// A sprite that grows or shrinks further is drawn from a picture of so many times its size.
const GROWTH_MAX: f64 = 4.0;

/// A stylesheet, and the pictures to draw it with.
#[derive(Clone, Debug)]
pub struct Look {
    /// The stylesheet as pages get it.
    pub text: Arc<str>,
    /// What it says.
    pub stylesheet: Arc<Stylesheet>,
    /// The images of reactions, by what stands for them.
    pub images: Vec<(Emoji, Artwork)>,
    scale: f64,
    fonts: EmojiFonts,
}

impl Look {
    /// Reads the files that the settings name. A font that is named is for emoji that the built-in
    /// one lacks.
    ///
    /// # Errors
    /// A file that can't be read; a stylesheet's mistake, with line and column; not a font with
    /// colour bitmaps; an image that can't be taken.
    pub fn load(settings: &LookSettings) -> Result<Self> {
        let (mut text, name) = match &settings.css {
            None => (STYLESHEET.to_owned(), "the built-in stylesheet".to_owned()),
            Some(path) => match path.to_str().and_then(preset::find) {
                Some(preset) => (preset.css.to_owned(), format!("the preset {}", preset.name)),
                None => (
                    fs::read_to_string(path)
                        .with_context(|| format!("cannot read {}", path.display()))?,
                    path.display().to_string(),
                ),
            },
        };
        // What is set goes into the stylesheet itself, for pages are to show it as well.
        if let Some(px) = settings.font_size_px {
            write!(text, "\n.animated-emoji {{ font-size: {px}px; }}\n")?;
        }
        for (variable, range) in &settings.vary {
            write!(
                text,
                "\n.animated-emoji {{ --{variable}-range: \"{range}\"; }}\n"
            )?;
        }
        let stylesheet = Stylesheet::parse(&text).context(name)?;
        let mut fonts = EmojiFonts::bundled();
        if let Some(path) = &settings.emoji_font {
            let font = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            fonts
                .push(font)
                .with_context(|| path.display().to_string())?;
        }
        let images = settings.images.iter().map(|(reaction, path)| {
            let image = read_image(path).with_context(|| {
                format!("cannot take {} for the reaction {reaction}", path.display())
            })?;
            Ok((Emoji::of_image(reaction), image))
        });
        Ok(Self {
            text: text.into(),
            stylesheet: stylesheet.into(),
            images: images.collect::<Result<_>>()?,
            scale: settings.scale,
            fonts,
        })
    }

    /// The pictures of `emoji` at their size, and how they move on a frame of `size`. The palette
    /// has the names of their reactions. The system's emoji font is looked for only if one of them
    /// is not built in.
    ///
    /// # Errors
    /// More pictures than one sheet may hold.
    pub fn cast<'a>(
        &self,
        palette: &Palette,
        emoji: impl IntoIterator<Item = &'a Emoji>,
        size: Size,
    ) -> Result<Cast> {
        self.cast_at(palette, emoji, size, 1.0)
    }

    /// The same with so many device px per CSS px over what is set.
    ///
    /// # Errors
    /// More pictures than one sheet may hold.
    pub fn cast_at<'a>(
        &self,
        palette: &Palette,
        emoji: impl IntoIterator<Item = &'a Emoji>,
        size: Size,
        scale: f64,
    ) -> Result<Cast> {
        let scale = self.scale * scale;
        // A log names few emoji many times, and each takes a look into fonts and the stylesheet.
        let mut seen = HashSet::new();
        let emoji = emoji.into_iter().filter(|emoji| seen.insert(*emoji));
        let emoji: Vec<_> = emoji.collect();
        let image = |emoji: &Emoji| {
            let mut images = self.images.iter();
            images.find(|(of, _)| of == emoji).map(|(_, image)| image)
        };
        let mut fonts = self.fonts.clone();
        if !emoji.iter().all(|e| fonts.has(e) || image(e).is_some()) {
            let system = SYSTEM_FONTS.iter().find_map(|path| fs::read(path).ok());
            if let Some(Err(error)) = system.map(|font| fonts.push(font)) {
                tracing::warn!("the system's emoji font is of no use: {error}");
            }
        }
        let mut classes: HashMap<&Emoji, String> = HashMap::new();
        for (name, emoji) in palette.entries() {
            classes.entry(emoji).or_insert_with(|| Palette::class(name));
        }
        let subjects = emoji.into_iter().map(|emoji| {
            let reaction = classes.get(emoji).map(String::as_str);
            Subject {
                emoji,
                reaction,
                font_size_px: self.stylesheet.font_size_px(reaction) * scale,
                growth: match self.stylesheet.growth(reaction) {
                    // What only turns has 1 but for rounding, and its own pixels.
                    growth if (0.99..1.01).contains(&growth) => 1.0,
                    growth => growth.clamp(1.0 / GROWTH_MAX, GROWTH_MAX),
                },
                artwork: image(emoji),
            }
        });
        let sheet = SpriteSheet::new(&fonts, subjects)?;
        for missing in sheet.substituted() {
            tracing::warn!(
                "no glyph for {missing} ({}): {} instead",
                missing.as_str().escape_unicode(),
                crate::emoji::SUBSTITUTE
            );
        }
        let stylesheet = Arc::clone(&self.stylesheet);
        Ok(Cast::new(stylesheet, sheet.into(), size, scale))
    }
}

fn read_image(path: &Path) -> Result<Artwork> {
    let mut bytes = Vec::new();
    // One byte more than is accepted, so that a larger file is seen to be one.
    let most = artwork::FILE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(Artwork::decode(bytes)?)
}
