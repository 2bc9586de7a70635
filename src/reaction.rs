//! A topic payload, decoded: which emoji, and how many of each.
//!
//! The palette is an allow-list. A payload that names nothing in it is *unknown* and draws
//! nothing, so no viewer can put a picture on screen that the operator did not choose.
//!
//! What a chat or a broker sends is read by [`Rules`], which are a palette and what one source may
//! call its reactions: the one place that decides what is a reaction and what is not.

mod payload;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use unicode_segmentation::UnicodeSegmentation;

use self::payload::Lookup;
pub use self::rules::{Emote, Kind, Message, Rules, UnknownReaction};

/// At most this many sprites are asked for by one payload, whatever counts it carries.
pub const SPRITES_PER_PAYLOAD_MAX: u32 = 1_000;

/// At most this many emoji are read from one payload that is written in emoji.
const EMOJI_PER_PAYLOAD_MAX: usize = 8;

/// Reactions of the default palette: the name on the wire, and the emoji that it floats.
///
/// Every emoji here is pinned: its glyph is in the font that ships with floatup.
/// The first four are those of the tutorial's buttons.
pub const DEFAULT_PALETTE: &[(&str, &str)] = &[
    ("heart", "❤️"),
    ("100", "💯"),
    ("thumbsup", "👍"),
    ("mindblown", "🤯"),
    ("fire", "🔥"),
    ("clap", "👏"),
    ("joy", "😂"),
    ("rofl", "🤣"),
    ("wow", "😮"),
    ("sad", "😢"),
    ("sob", "😭"),
    ("angry", "😡"),
    ("scream", "😱"),
    ("thinking", "🤔"),
    ("cool", "😎"),
    ("hearteyes", "😍"),
    ("smilinghearts", "🥰"),
    ("starstruck", "🤩"),
    ("partyface", "🥳"),
    ("sweatsmile", "😅"),
    ("skull", "💀"),
    ("eyes", "👀"),
    ("pray", "🙏"),
    ("muscle", "💪"),
    ("raisedhands", "🙌"),
    ("wave", "👋"),
    ("ok", "👌"),
    ("thumbsdown", "👎"),
    ("party", "🎉"),
    ("confetti", "🎊"),
    ("rocket", "🚀"),
    ("star", "⭐"),
    ("sparkles", "✨"),
    ("zap", "⚡"),
    ("rainbow", "🌈"),
    ("unicorn", "🦄"),
    ("trophy", "🏆"),
    ("crown", "👑"),
    ("gem", "💎"),
    ("money", "💰"),
    ("goal", "⚽"),
    ("basketball", "🏀"),
    ("popcorn", "🍿"),
    ("notes", "🎶"),
    ("guitar", "🎸"),
    ("orangeheart", "🧡"),
    ("yellowheart", "💛"),
    ("greenheart", "💚"),
    ("blueheart", "💙"),
    ("purpleheart", "💜"),
    ("blackheart", "🖤"),
    ("brokenheart", "💔"),
    ("yes", "✅"),
    ("no", "❌"),
    ("question", "❓"),
    ("exclamation", "❗"),
];

/// An emoji's text, as shaped: one grapheme cluster. Cheap to clone.
///
/// Equality ignores the emoji presentation selector: `❤` and `❤️` are one emoji.
#[derive(Clone, Debug)]
pub struct Emoji(Arc<str>);

impl Emoji {
    /// Takes any text; whether a font has a glyph for it is `emoji`'s business.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// What stands for a reaction's own image where an emoji would stand: the reaction's name
    /// between colons. No font has it.
    #[must_use]
    pub fn of_image(reaction: &str) -> Self {
        Self::new(&format!(":{}:", fold(reaction)))
    }

    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn significant(&self) -> impl Iterator<Item = char> + '_ {
        self.0.chars().filter(|&c| c != PRESENTATION_SELECTOR)
    }
}

const PRESENTATION_SELECTOR: char = '\u{fe0f}';

impl PartialEq for Emoji {
    fn eq(&self, other: &Self) -> bool {
        self.significant().eq(other.significant())
    }
}

impl Eq for Emoji {}

impl std::hash::Hash for Emoji {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for c in self.significant() {
            c.hash(state);
        }
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One kind of reaction in a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// What floats up.
    pub emoji: Emoji,
    /// How many of it: `1..=SPRITES_PER_PAYLOAD_MAX`.
    pub count: u32,
}

/// Why a payload is no reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReaction {
    /// Well formed, but of another kind: a comment, a heartbeat.
    #[error("a message of another type")]
    OtherType,
    /// It names nothing in the palette.
    #[error("no reaction of the palette")]
    Unknown,
}

/// The reactions that are allowed, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    by_name: BTreeMap<String, Emoji>,
    /// By their text without presentation selectors.
    by_text: FxHashMap<Box<str>, Emoji>,
    /// In the order given.
    entries: Vec<(String, Emoji)>,
}

/// A palette entry that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaletteError {
    /// No letter, digit or emoji is left of the name once it is folded.
    #[error("palette name {0:?} has no letter or digit")]
    Name(String),
    /// Not exactly one grapheme cluster.
    #[error("palette entry {name:?}: {emoji:?} is not one emoji")]
    Emoji {
        /// The entry's name.
        name: String,
        /// What was given for it.
        emoji: String,
    },
    /// Two names that fold to the same.
    #[error("palette name {0:?} is given twice (case and punctuation don't count)")]
    Twice(String),
}

impl Default for Palette {
    fn default() -> Self {
        Self::new(DEFAULT_PALETTE.iter().copied())
            .expect("invariant: the default palette is valid, as its test shows")
    }
}

impl Palette {
    /// A palette of `(name, emoji)` pairs, in the order in which buttons would show them. In place
    /// of an emoji there may be [`Emoji::of_image`] of that name.
    ///
    /// # Errors
    /// A name without a letter or digit, a name given twice, an emoji that isn't one cluster.
    pub fn new<N: AsRef<str>, E: AsRef<str>>(
        entries: impl IntoIterator<Item = (N, E)>,
    ) -> Result<Self, PaletteError> {
        let mut palette = Self {
            by_name: BTreeMap::new(),
            by_text: FxHashMap::default(),
            entries: Vec::new(),
        };
        for (name, emoji) in entries {
            let (name, emoji) = (name.as_ref(), emoji.as_ref());
            let key = fold(name);
            if key.is_empty() {
                return Err(PaletteError::Name(name.into()));
            }
            let one = emoji.graphemes(true).count() == 1
                && !emoji.chars().any(|c| c.is_control() || c.is_whitespace());
            if !one && Emoji::new(emoji) != Emoji::of_image(name) {
                return Err(PaletteError::Emoji {
                    name: name.into(),
                    emoji: emoji.into(),
                });
            }
            let emoji = Emoji::new(emoji);
            if palette.by_name.insert(key, emoji.clone()).is_some() {
                return Err(PaletteError::Twice(name.into()));
            }
            let text: String = emoji.significant().collect();
            palette
                .by_text
                .entry(text.into())
                .or_insert_with(|| emoji.clone());
            palette.entries.push((name.into(), emoji));
        }
        Ok(palette)
    }

    /// The class of a reaction's sprites in the stylesheet is `reaction-` and this: its name in
    /// small letters, without punctuation.
    #[must_use]
    pub fn class(name: &str) -> String {
        fold(name)
    }

    /// Names and emoji, in the order given.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Emoji)> + Clone {
        self.entries
            .iter()
            .map(|(name, emoji)| (name.as_str(), emoji))
    }

    /// The reaction that a single name or emoji stands for: `heart`, `Thumbs Up`, `:fire:`, `❤`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Emoji> {
        let name = name.trim();
        let found = self.written(name);
        found.or_else(|| self.by_name.get(&fold(name))).cloned()
    }

    /// The emoji that `text` is, if it is one of these.
    fn written(&self, text: &str) -> Option<&Emoji> {
        if !text.contains(PRESENTATION_SELECTOR) {
            return self.by_text.get(text);
        }
        let text: String = text.replace(PRESENTATION_SELECTOR, "");
        self.by_text.get(text.as_str())
    }

    /// Decodes a topic payload. The forms that samples in the field send:
    ///
    /// - a name as bare text: `heart`, `:fire:`, `Thumbs Up`;
    /// - one to eight emoji as text: `❤️`, `🔥🔥`;
    /// - a JSON object that names one in `emoji`, `reaction`, `name`, `value` or `text`, with an
    ///   optional `count`; a `type` other than `reaction` makes it something else;
    /// - a JSON object of counts by name or emoji, bare or under `r`: `{"heart":12,"🔥":3}`.
    ///
    /// # Errors
    /// [`NotAReaction`]: such a payload draws nothing, and is counted.
    pub fn decode(&self, payload: &str) -> Result<Vec<Reaction>, NotAReaction> {
        payload::decode(self, payload)
    }
}

/// Reactions as a topic's message: counts by emoji, `{"r":{"❤️":3}}`. Several of one emoji count
/// together.
#[must_use]
pub fn encode(reactions: &[Reaction]) -> String {
    let mut counts = serde_json::Map::new();
    for Reaction { emoji, count } in reactions {
        let sum = counts.entry(emoji.as_str()).or_insert(0_u64.into());
        *sum = (sum.as_u64().unwrap_or(0) + u64::from(*count)).into();
    }
    serde_json::json!({ "r": counts }).to_string()
}

impl Lookup for Palette {
    fn find(&self, name: &str) -> Option<Emoji> {
        self.find(name)
    }

    fn written(&self, text: &str) -> Option<&Emoji> {
        self.written(text)
    }
}

/// Case and punctuation don't count in names, so `Thumbs Up` and `:thumbs_up:` are `thumbsup`.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &str, expected: &[(&str, u32)]) {
        let got = Palette::default()
            .decode(payload)
            .unwrap_or_else(|e| panic!("{payload:?}: {e}"));
        let got: Vec<_> = got.iter().map(|r| (r.emoji.as_str(), r.count)).collect();
        assert_eq!(got, expected, "{payload:?}");
    }

    #[test]
    fn accepts_what_samples_send() {
        check("heart", &[("❤️", 1)]);
        check(" HEART\n", &[("❤️", 1)]);
        check("100", &[("💯", 1)]);
        check(":thumbs_up:", &[("👍", 1)]);
        check("❤", &[("❤️", 1)]);
        check("🔥🔥👍", &[("🔥", 2), ("👍", 1)]);
        check(
            r#"{"type":"reaction","username":"A","reaction":"Thumbs Up"}"#,
            &[("👍", 1)],
        );
        check(r#"{"emoji":"🤯","count":7}"#, &[("🤯", 7)]);
        check(r#"{"heart":37,"🔥":3}"#, &[("❤️", 37), ("🔥", 3)]);
        check(r#"{"r":{"heart":12}}"#, &[("❤️", 12)]);
        // Names of one emoji are one reaction.
        check(r#"{"heart":12,"fire":1,"❤":3}"#, &[("🔥", 1), ("❤️", 15)]);
    }

    #[test]
    fn bounds_what_one_payload_asks_for() {
        check(
            r#"{"emoji":"🔥","count":18446744073709551615}"#,
            &[("🔥", SPRITES_PER_PAYLOAD_MAX)],
        );
        let total: u32 = Palette::default()
            .decode(r#"{"heart":900,"fire":900}"#)
            .unwrap()
            .iter()
            .map(|r| r.count)
            .sum();
        assert_eq!(total, SPRITES_PER_PAYLOAD_MAX);
    }

    #[test]
    fn ignores_everything_else() {
        let palette = Palette::default();
        for payload in [
            "",
            "  ",
            "nope",
            "💩",
            "heart heart",
            "{",
            "{}",
            "[1]",
            r#"{"reaction":"x"}"#,
            r#"{"heart":0}"#,
            r#"{"heart":-1}"#,
            r#"{"emoji":"🔥","count":0}"#,
            r#"{"emoji":"🔥","count":"9"}"#,
            "<b>heart</b>",
            "🔥🔥🔥🔥🔥🔥🔥🔥🔥",
        ] {
            assert_eq!(
                palette.decode(payload),
                Err(NotAReaction::Unknown),
                "{payload:?}"
            );
        }
        assert_eq!(
            palette.decode(r#"{"type":"comment","message":"heart"}"#),
            Err(NotAReaction::OtherType)
        );
    }

    #[test]
    fn every_default_entry_is_found_by_name_and_by_emoji() {
        let palette = Palette::default();
        for (name, emoji) in DEFAULT_PALETTE {
            assert_eq!(palette.find(name), Some(Emoji::new(emoji)));
            assert_eq!(palette.find(emoji), Some(Emoji::new(emoji)));
        }
    }

    #[test]
    fn refuses_entries_that_could_not_be_drawn_or_told_apart() {
        assert_eq!(
            Palette::new([("!", "❤️")]),
            Err(PaletteError::Name("!".into()))
        );
        assert_eq!(
            Palette::new([("a", "❤️"), ("A", "🔥")]),
            Err(PaletteError::Twice("A".into()))
        );
        assert!(matches!(
            Palette::new([("a", "❤️🔥")]),
            Err(PaletteError::Emoji { .. })
        ));
        assert!(matches!(
            Palette::new([("a", "")]),
            Err(PaletteError::Emoji { .. })
        ));
    }
}
