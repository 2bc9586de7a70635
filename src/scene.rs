//! A scene file: sprites at given ages, for one still.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use crate::cast::{Cast, LastPose, Placement};
use crate::frame::Size;
use crate::motion::FONT_SIZE_PX;
use crate::reaction::Emoji;
use crate::scatter::SpriteId;

/// At most this many sprites are read from one scene.
pub const SPRITES_MAX: usize = 100_000;

/// At most this many bytes of JSON are read as one scene.
pub const BYTES_MAX: u64 = 128 << 20;

/// Device px per CSS px.
pub const SCALE_FACTOR: RangeInclusive<f64> = 0.25..=8.0;

/// What to draw, and on what.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The frame, in device px.
    pub size: Size,
    /// Device px per CSS px, in which everything else is given.
    pub scale: f64,
    /// In [`FONT_SIZE_PX`]; `None` leaves the stylesheet's.
    pub font_size_px: Option<f64>,
    /// Another stylesheet's path, as the scene names it.
    pub css: Option<String>,
    sprites: Vec<SceneSprite>,
}

#[derive(Clone, Debug, PartialEq)]
struct SceneSprite {
    emoji: Emoji,
    left_px: f64,
    /// `None` before its time.
    age: Option<Duration>,
}

/// Why a scene can't be drawn: what is wrong, where, and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SceneError(String);

#[derive(Deserialize)]
struct SceneJson {
    width: u32,
    height: u32,
    scale_factor: Option<f64>,
    font_size_px: Option<f64>,
    css: Option<String>,
    sprites: Vec<SpriteJson>,
}

#[derive(Deserialize)]
struct SpriteJson {
    emoji: String,
    left_px: f64,
    age_ms: f64,
}

impl Scene {
    /// Reads a scene: `{"width", "height", "scale_factor", "font_size_px", "css", "sprites":
    /// [{"emoji", "left_px", "age_ms"}]}`, lengths in CSS px, sprites in order of drawing;
    /// `scale_factor`, `font_size_px` and `css` may be left out, and other fields are passed over.
    /// `scale` goes before the scene's own factor.
    ///
    /// # Errors
    /// What isn't such JSON, with line and column; sizes and counts out of range, by field.
    pub fn parse(json: &[u8], scale: Option<f64>) -> Result<Self, SceneError> {
        let scene: SceneJson =
            serde_json::from_slice(json).map_err(|e| SceneError(e.to_string()))?;
        let scale = scale.or(scene.scale_factor).unwrap_or(1.0);
        if !SCALE_FACTOR.contains(&scale) {
            return Err(SceneError(format!(
                "scale_factor: {scale}; expected 0.25 to 8"
            )));
        }
        let side = |px: u32| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "what is too large is the largest number, and refused"
            )]
            let side = (f64::from(px) * scale).round() as u32;
            side
        };
        let size = Size::new(side(scene.width), side(scene.height))
            .map_err(|e| SceneError(format!("width and height: {e}")))?;
        if let Some(px) = scene.font_size_px
            && !FONT_SIZE_PX.contains(&px)
        {
            return Err(SceneError(format!(
                "font_size_px: {px}; expected 1 to 1000"
            )));
        }
        if scene.sprites.len() > SPRITES_MAX {
            let count = scene.sprites.len();
            return Err(SceneError(format!(
                "sprites: {count} of them; expected at most {SPRITES_MAX}"
            )));
        }
        let sprites = scene.sprites.into_iter().map(|sprite| SceneSprite {
            emoji: Emoji::new(&sprite.emoji),
            left_px: sprite.left_px,
            age: Duration::try_from_secs_f64(sprite.age_ms / 1_000.0).ok(),
        });
        Ok(Self {
            size,
            scale,
            font_size_px: scene.font_size_px,
            css: scene.css,
            sprites: sprites.collect(),
        })
    }

    /// Every sprite's emoji, in order.
    pub fn emoji(&self) -> impl Iterator<Item = &Emoji> {
        self.sprites.iter().map(|sprite| &sprite.emoji)
    }

    /// Every sprite that is alive at its age, in order of drawing; the cast has their emoji.
    ///
    /// A variable of the stylesheet is that of the sprite number 1, 2, … on page 0.
    pub fn placements(&self, cast: &Cast) -> impl Iterator<Item = Placement> {
        let mut last = LastPose::default();
        (1..)
            .zip(&self.sprites)
            .filter_map(move |(sequence, sprite)| {
                let id = SpriteId {
                    page: 0,
                    sequence,
                    index: 0,
                };
                let actor = cast.actor(&sprite.emoji, id)?;
                let actor = actor.at_left(sprite.left_px * self.scale);
                cast.place(&actor, sprite.age?, &mut last)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emoji::EmojiFonts;
    use crate::motion::Stylesheet;
    use crate::sprite::{SpriteSheet, Subject};

    fn refused(json: &str, message: &str) {
        let error = Scene::parse(json.as_bytes(), None)
            .expect_err(json)
            .to_string();
        assert!(error.contains(message), "{json}: {error}");
    }

    #[test]
    fn mistakes_are_named() {
        refused("", "line 1 column 0");
        refused("{\"width\":1,\n\"height\":}", "line 2");
        refused(r#"{"width":1,"height":1}"#, "missing field `sprites`");
        refused(r#"{"width":0,"height":1,"sprites":[]}"#, "width and height");
        refused(
            r#"{"width":-1,"height":1,"sprites":[]}"#,
            "invalid value: integer `-1`",
        );
        refused(
            r#"{"width":20000,"height":1,"sprites":[]}"#,
            "from 1 to 16384",
        );
        refused(
            r#"{"width":1,"height":1,"font_size_px":0,"sprites":[]}"#,
            "font_size_px: 0; expected 1 to 1000",
        );
        let sprite = |left: &str| {
            format!(
                r#"{{"width":1,"height":1,"sprites":[{{"emoji":"x","left_px":{left},"age_ms":0}}]}}"#
            )
        };
        refused(&sprite("NaN"), "expected value at line 1 column");
        refused(&sprite("1e999"), "number out of range");
        refused(&sprite("\"1\""), "expected f64");
        let million = vec![r#"{"emoji":"x","left_px":0,"age_ms":0}"#; 1_000_000].join(",");
        refused(
            &format!(r#"{{"width":1,"height":1,"sprites":[{million}]}}"#),
            "at most 100000",
        );
    }

    #[test]
    fn sprites_before_their_time_or_after_it_are_left_out() {
        let json = r#"{"width":100,"height":100,"sprites":[
            {"emoji":"a","left_px":-1e308,"age_ms":-5}, {"emoji":"b","left_px":1e308,"age_ms":500},
            {"emoji":"c","left_px":0,"age_ms":1e300}, {"emoji":"d","left_px":0,"age_ms":1000}]}"#;
        let scene = Scene::parse(json.as_bytes(), None).unwrap();
        let css = ".animated-emoji { bottom: 0; font-size: 9px; animation: k 1s } @keyframes k { to { opacity: 0 } }";
        let subject = |emoji| Subject {
            emoji,
            reaction: None,
            font_size_px: 9.0,
            growth: 1.0,
            artwork: None,
        };
        let subjects = scene.emoji().map(subject);
        let sheet = SpriteSheet::new(&EmojiFonts::bundled(), subjects).unwrap();
        let stylesheet = Stylesheet::parse(css).unwrap();
        let cast = Cast::new(stylesheet.into(), sheet.into(), scene.size, scene.scale);
        let placed: Vec<_> = scene.placements(&cast).collect();
        assert_eq!(placed.len(), 1);
        assert_eq!(placed[0].layer, 1);
    }
}
