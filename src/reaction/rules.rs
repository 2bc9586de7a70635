//! What one source's messages are to a palette.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use super::payload::{self, Lookup, add, clamp};
use super::{
    EMOJI_PER_PAYLOAD_MAX, Emoji, NotAReaction, Palette, Reaction, SPRITES_PER_PAYLOAD_MAX,
};

/// At most this many pieces of one chat text are looked at; what comes after them is not.
const PIECES_MAX: usize = 4_096;

/// A palette, and what a source calls its reactions beside the palette's own names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    palette: Arc<Palette>,
    /// By exact name, such as `<3` or an emote's id.
    names: HashMap<String, Emoji>,
    emoji_in_text: u32,
    words: bool,
}

/// A name that is to stand for a reaction which the palette doesn't have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is to stand for {reaction:?}, which is no reaction of the palette")]
pub struct UnknownReaction {
    /// The name.
    pub name: String,
    /// What it was to stand for.
    pub reaction: String,
}

/// A message as a source got it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is to its source.
    pub kind: Kind<'a>,
    /// Its text.
    pub text: &'a str,
    /// What it carries by name beside its text, as Amazon IVS Chat's `Attributes`.
    pub attributes: &'a BTreeMap<String, String>,
    /// Which parts of the text are pictures, in their order, none overlapping.
    pub emotes: &'a [Emote<'a>],
}

/// What a message is to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Sent by an application to a topic that is for reactions.
    Payload,
    /// Written by a person.
    Chat,
    /// An application's event in a chat, by its name.
    Event(&'a str),
}

/// A part of a text that its platform shows as a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emote<'a> {
    /// The platform's id of the picture.
    pub id: &'a str,
    /// The bytes of the text that are the picture's name.
    pub range: Range<usize>,
}

static NO_ATTRIBUTES: BTreeMap<String, String> = BTreeMap::new();

impl<'a> Message<'a> {
    /// What an application sent to a topic.
    #[must_use]
    pub fn payload(text: &'a str) -> Self {
        Self {
            kind: Kind::Payload,
            text,
            attributes: &NO_ATTRIBUTES,
            emotes: &[],
        }
    }

    /// What a person wrote.
    #[must_use]
    pub fn chat(text: &'a str) -> Self {
        Self {
            kind: Kind::Chat,
            ..Self::payload(text)
        }
    }

    /// An application's event.
    #[must_use]
    pub fn event(name: &'a str, attributes: &'a BTreeMap<String, String>) -> Self {
        Self {
            kind: Kind::Event(name),
            attributes,
            ..Self::payload("")
        }
    }

    /// An attribute by its name in any case.
    fn attribute(&self, name: &str) -> Option<&'a str> {
        let mut all = self.attributes.iter();
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

impl Lookup for Rules {
    fn find(&self, name: &str) -> Option<Emoji> {
        let own = self.names.get(name.trim()).cloned();
        own.or_else(|| self.palette.find(name))
    }

    fn written(&self, text: &str) -> Option<&Emoji> {
        let own = self.names.get(text);
        own.or_else(|| self.palette.written(text))
    }
}

impl Rules {
    /// The palette alone. Of chat texts, those count that are nothing but reactions.
    #[must_use]
    pub fn new(palette: Arc<Palette>) -> Self {
        Self {
            palette,
            names: HashMap::new(),
            emoji_in_text: 0,
            words: true,
        }
    }

    /// Adds names, each standing for a reaction of the palette by its name or emoji. They are taken
    /// exactly: case and punctuation count.
    ///
    /// # Errors
    /// [`UnknownReaction`]: the first that stands for no reaction of the palette.
    pub fn with_names<'n>(
        mut self,
        names: impl IntoIterator<Item = (&'n str, &'n str)>,
    ) -> Result<Self, UnknownReaction> {
        for (name, reaction) in names {
            let emoji = self.palette.find(reaction).ok_or_else(|| UnknownReaction {
                name: name.into(),
                reaction: reaction.into(),
            })?;
            self.names.insert(name.trim().into(), emoji);
        }
        Ok(self)
    }

    /// Lets up to `count` emoji of a chat text count that has other words too; 0 is none.
    #[must_use]
    pub fn with_emoji_in_text(self, count: u32) -> Self {
        Self {
            emoji_in_text: count,
            ..self
        }
    }

    /// Whether a chat text that is one bare name of the palette, such as `heart` or `ok`, is that
    /// reaction. Among people who talk to each other it is a word.
    #[must_use]
    pub fn with_words(self, words: bool) -> Self {
        Self { words, ..self }
    }

    /// The reactions that are allowed.
    #[must_use]
    pub fn palette(&self) -> &Arc<Palette> {
        &self.palette
    }

    /// What a message asks for.
    ///
    /// - A payload is read as [`Palette::decode`] says.
    /// - A chat message: what its attribute `reaction` names, `count` times; its whole text, if
    ///   `isEmoji` is `true`; nothing, if `eventType`, `message_type` or `type` says that it is
    ///   something else; else a text of nothing but emoji, emotes, `:names:` and own names, at most
    ///   8; else, where they are to count, the first of those in it.
    /// - An event: what its attribute `reaction`, `emoji` or `name` names, `count` times; or counts
    ///   by name, if the event is called `reaction` or `reactions`, perhaps after `app:`.
    ///
    /// # Errors
    /// [`NotAReaction`]: it draws nothing.
    pub fn read(&self, message: &Message<'_>) -> Result<Vec<Reaction>, NotAReaction> {
        match message.kind {
            Kind::Payload => payload::decode(self, message.text),
            Kind::Chat => self.chat(message),
            Kind::Event(name) => self.event(name, message),
        }
    }

    fn chat(&self, message: &Message<'_>) -> Result<Vec<Reaction>, NotAReaction> {
        if let Some(name) = message.attribute("reaction") {
            return self.named(name, message);
        }
        let text = message.text.trim();
        if let Some(is_emoji) = message.attribute("isEmoji")
            && is_emoji.eq_ignore_ascii_case("true")
        {
            return payload::decode(self, text);
        }
        let kinds = ["eventType", "message_type", "type"];
        if let Some(kind) = kinds.iter().find_map(|key| message.attribute(key)) {
            let is_chat = ["reaction", "message", "chat", "send_message", "text"];
            if !is_chat.iter().any(|chat| kind.eq_ignore_ascii_case(chat)) {
                return Err(NotAReaction::OtherType);
            }
        }
        if self.words
            && let Some(emoji) = self.find(text)
        {
            return Ok(vec![Reaction { emoji, count: 1 }]);
        }
        let (emoji, has_text) = self.pieces(message);
        let max = self.emoji_in_text as usize;
        let counted = match (has_text, emoji.len()) {
            (_, 0) => 0,
            (false, count) if count <= EMOJI_PER_PAYLOAD_MAX => count.max(1),
            (_, count) => count.min(max),
        };
        if counted == 0 {
            return Err(NotAReaction::Unknown);
        }
        let mut reactions = Vec::new();
        for emoji in &emoji[..counted] {
            add(&mut reactions, emoji, 1);
        }
        Ok(reactions)
    }

    fn event(&self, name: &str, message: &Message<'_>) -> Result<Vec<Reaction>, NotAReaction> {
        let named = ["reaction", "emoji", "name"];
        if let Some(name) = named.iter().find_map(|key| message.attribute(key)) {
            return self.named(name, message);
        }
        let last = name.rsplit(':').next().unwrap_or(name);
        if !["reaction", "reactions"].contains(&last.to_ascii_lowercase().as_str()) {
            return Err(NotAReaction::OtherType);
        }
        let mut left = SPRITES_PER_PAYLOAD_MAX;
        let mut reactions = Vec::new();
        for (name, count) in message.attributes {
            let (Some(emoji), Ok(count)) = (self.find(name), count.trim().parse()) else {
                continue;
            };
            let count = clamp(count, left);
            left -= count;
            if count > 0 {
                add(&mut reactions, &emoji, count);
            }
        }
        match reactions.is_empty() {
            true => Err(NotAReaction::Unknown),
            false => Ok(reactions),
        }
    }

    /// The reaction of this name, as often as the attribute `count` says.
    fn named(&self, name: &str, message: &Message<'_>) -> Result<Vec<Reaction>, NotAReaction> {
        let emoji = self.find(name).ok_or(NotAReaction::Unknown)?;
        let count = match message.attribute("count") {
            None => 1,
            Some(count) => count
                .trim()
                .parse()
                .ok()
                .filter(|&n| n > 0)
                .ok_or(NotAReaction::Unknown)?,
        };
        Ok(vec![Reaction {
            emoji,
            count: clamp(count, SPRITES_PER_PAYLOAD_MAX),
        }])
    }

    /// The reactions in a text, in their order, and whether there is anything else in it.
    fn pieces(&self, message: &Message<'_>) -> (Vec<Emoji>, bool) {
        let (mut emoji, mut has_text, mut left) = (Vec::new(), false, PIECES_MAX);
        let mut plain = |text: &str, emoji: &mut Vec<Emoji>, has_text: &mut bool| {
            for word in text.split_whitespace() {
                if let Some(named) = self.name_in_text(word) {
                    emoji.push(named);
                    left = left.saturating_sub(1);
                    continue;
                }
                for cluster in word.graphemes(true) {
                    if left == 0 {
                        *has_text = true;
                        return;
                    }
                    left -= 1;
                    match self.written(cluster) {
                        Some(found) => emoji.push(found.clone()),
                        None => *has_text = true,
                    }
                }
            }
        };
        let mut from = 0;
        for Emote { id, range } in message.emotes {
            let (Some(before), Some(name)) = (
                message.text.get(from..range.start),
                message.text.get(range.clone()),
            ) else {
                continue;
            };
            plain(before, &mut emoji, &mut has_text);
            let own = self.names.get(*id).or_else(|| self.names.get(name));
            match own.cloned().or_else(|| self.palette.find(name)) {
                Some(found) => emoji.push(found),
                None => has_text = true,
            }
            from = range.end;
        }
        let rest = message.text.get(from..).unwrap_or_default();
        plain(rest, &mut emoji, &mut has_text);
        (emoji, has_text)
    }

    /// A word of a text that names a reaction: one of the source's own names, or `:name:`.
    fn name_in_text(&self, word: &str) -> Option<Emoji> {
        if let Some(own) = self.names.get(word) {
            return Some(own.clone());
        }
        let name = word.strip_prefix(':')?.strip_suffix(':')?;
        self.palette.find(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let rules = Rules::new(Arc::default());
        let names = [("<3", "heart"), ("425618", "joy"), ("Kappa", "😎")];
        rules.with_names(names).unwrap()
    }

    fn read(rules: &Rules, message: Message<'_>) -> Result<String, NotAReaction> {
        let reactions = rules.read(&message)?;
        let shown = reactions.iter().map(|r| format!("{}{}", r.emoji, r.count));
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let own = |&(name, value): &(&str, &str)| (name.into(), value.into());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn a_chat_text_counts_when_it_is_nothing_but_reactions() {
        let rules = rules();
        let unknown = || Err(NotAReaction::Unknown);
        for (text, expected) in [
            ("🔥", Ok("🔥1".into())),
            (" 🔥 🔥👍 ", Ok("🔥2 👍1".into())),
            (":fire: <3", Ok("🔥1 ❤️1".into())),
            ("<3 <3", Ok("❤️2".into())),
            ("Kappa", Ok("😎1".into())),
            ("kappa", unknown()),
            ("fire", Ok("🔥1".into())),
            ("what a goal 🔥", unknown()),
            ("<3!", unknown()),
            ("💩", unknown()),
            ("", unknown()),
            ("🔥🔥🔥🔥🔥🔥🔥🔥🔥", unknown()),
            ("{\"heart\":900}", unknown()),
        ] {
            assert_eq!(read(&rules, Message::chat(text)), expected, "{text}");
        }
    }

    #[test]
    fn emoji_inside_a_text_count_up_to_a_number() {
        let rules = rules().with_emoji_in_text(3).with_words(false);
        for (text, expected) in [
            ("what a goal 🔥", Some("🔥1")),
            ("a 🔥🔥 b :heart: 👍", Some("🔥2 ❤️1")),
            ("🔥🔥🔥🔥🔥🔥🔥🔥🔥", Some("🔥3")),
            ("no", None),
            ("ok fire", None),
        ] {
            let read = read(&rules, Message::chat(text)).ok();
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        let long = "x".repeat(PIECES_MAX) + "🔥";
        assert!(read(&rules, Message::chat(&long)).is_err(), "is cut");
    }

    #[test]
    fn emotes_are_known_by_id_and_by_name() {
        let rules = rules().with_words(false);
        let text = "LUL Kappa fire";
        let emotes = |ranges: &[(&'static str, Range<usize>)]| {
            let emote = |(id, range): &(&'static str, Range<usize>)| Emote {
                id,
                range: range.clone(),
            };
            ranges.iter().map(emote).collect::<Vec<_>>()
        };
        let all = emotes(&[("425618", 0..3), ("25", 4..9), ("9", 10..14)]);
        let message = |text, emotes| Message {
            emotes,
            ..Message::chat(text)
        };
        let got = read(&rules, message(text, &all));
        assert_eq!(got.as_deref(), Ok("😂1 😎1 🔥1"));
        // Outside of the text, backwards, within a character: passed over.
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "what a broken server might send"
        )]
        let odd = emotes(&[("425618", 90..99), ("425618", 3..1), ("425618", 1..2)]);
        assert!(read(&rules, message("🔥 x", &odd)).is_err());
    }

    #[test]
    fn attributes_say_what_a_message_is() {
        let rules = rules();
        for (text, attributes, expected) in [
            (
                "heart",
                &[("type", "EVENT"), ("reaction", "heart")][..],
                Ok("❤️1"),
            ),
            ("x", &[("Reaction", "fire"), ("count", "7")], Ok("🔥7")),
            ("x", &[("reaction", "nope")], Err(NotAReaction::Unknown)),
            (
                "x",
                &[("reaction", "fire"), ("count", "0")],
                Err(NotAReaction::Unknown),
            ),
            (
                "🎉",
                &[("isEmoji", "true"), ("isSpecial", "false")],
                Ok("🎉1"),
            ),
            ("heart", &[("eventType", "SEND_MESSAGE")], Ok("❤️1")),
            (
                "heart",
                &[("eventType", "START_POLL")],
                Err(NotAReaction::OtherType),
            ),
            (
                "Sticker: cute",
                &[
                    ("message_type", "STICKER"),
                    ("sticker_src", "https://a/b.png"),
                ],
                Err(NotAReaction::OtherType),
            ),
            ("heart", &[("username", "A")], Ok("❤️1")),
        ] {
            let attributes = map(attributes);
            let message = Message {
                attributes: &attributes,
                ..Message::chat(text)
            };
            let expected = expected.map(String::from);
            assert_eq!(read(&rules, message), expected, "{text} {attributes:?}");
        }
    }

    #[test]
    fn events_name_a_reaction_or_count_several() {
        let rules = rules();
        for (name, attributes, expected) in [
            ("app:reaction", &[("emoji", "🔥")][..], Ok("🔥1")),
            (
                "anything",
                &[("reaction", "heart"), ("count", "3")],
                Ok("❤️3"),
            ),
            (
                "reactions",
                &[("heart", "12"), ("fire", "x"), ("nope", "3")],
                Ok("❤️12"),
            ),
            (
                "reactions",
                &[("heart", "900"), ("100", "900")],
                Ok("💯900 ❤️100"),
            ),
            (
                "reactions",
                &[("Thumbs Up", "3"), ("thumbsup", "2")],
                Ok("👍5"),
            ),
            ("reactions", &[], Err(NotAReaction::Unknown)),
            (
                "stage:VOTE",
                &[("heart", "12")],
                Err(NotAReaction::OtherType),
            ),
        ] {
            let attributes = map(attributes);
            let message = Message::event(name, &attributes);
            let expected = expected.map(String::from);
            assert_eq!(read(&rules, message), expected, "{name} {attributes:?}");
        }
    }

    #[test]
    fn own_names_hold_in_payloads_and_must_stand_for_something() {
        assert_eq!(
            read(&rules(), Message::payload(r#"{"r":{"<3":2}}"#)).as_deref(),
            Ok("❤️2")
        );
        let error = Rules::new(Arc::default()).with_names([("x", "nope")]);
        let told = error.unwrap_err().to_string();
        assert!(
            told.contains("\"x\"") && told.contains("\"nope\""),
            "{told}"
        );
    }
}
