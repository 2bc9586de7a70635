//! Topic payloads: a name, emoji, or JSON.

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::{EMOJI_PER_PAYLOAD_MAX, Emoji, NotAReaction, Reaction, SPRITES_PER_PAYLOAD_MAX};

/// What names and emoji stand for.
pub(super) trait Lookup {
    /// The reaction that a single name or emoji stands for.
    fn find(&self, name: &str) -> Option<Emoji>;

    /// The reaction that `text` is written as.
    fn written(&self, text: &str) -> Option<&Emoji>;
}

/// See [`Palette::decode`](super::Palette::decode).
pub(super) fn decode(names: &impl Lookup, payload: &str) -> Result<Vec<Reaction>, NotAReaction> {
    let payload = payload.trim();
    if payload.starts_with('{') {
        return match serde_json::from_str(payload) {
            Ok(Value::Object(object)) => decode_object(names, &object),
            _ => Err(NotAReaction::Unknown),
        };
    }
    if let Some(emoji) = names.find(payload) {
        return Ok(vec![Reaction { emoji, count: 1 }]);
    }
    let mut reactions: Vec<Reaction> = Vec::new();
    for (n, cluster) in payload.graphemes(true).enumerate() {
        if n >= EMOJI_PER_PAYLOAD_MAX {
            return Err(NotAReaction::Unknown);
        }
        let emoji = names.written(cluster).ok_or(NotAReaction::Unknown)?;
        add(&mut reactions, emoji, 1);
    }
    if reactions.is_empty() {
        Err(NotAReaction::Unknown)
    } else {
        Ok(reactions)
    }
}

fn decode_object(
    names: &impl Lookup,
    object: &serde_json::Map<String, Value>,
) -> Result<Vec<Reaction>, NotAReaction> {
    if let Some(kind) = object
        .get("type")
        .or_else(|| object.get("event"))
        .and_then(Value::as_str)
        && !kind.eq_ignore_ascii_case("reaction")
    {
        return Err(NotAReaction::OtherType);
    }
    let named = ["emoji", "reaction", "name", "value", "text"]
        .iter()
        .find_map(|key| object.get(*key)?.as_str());
    if let Some(name) = named {
        let emoji = names.find(name).ok_or(NotAReaction::Unknown)?;
        let count = match object.get("count") {
            None | Some(Value::Null) => 1,
            Some(count) => count
                .as_u64()
                .filter(|&n| n > 0)
                .ok_or(NotAReaction::Unknown)?,
        };
        return Ok(vec![Reaction {
            emoji,
            count: clamp(count, SPRITES_PER_PAYLOAD_MAX),
        }]);
    }
    let counts = object.get("r").and_then(Value::as_object).unwrap_or(object);
    let mut left = SPRITES_PER_PAYLOAD_MAX;
    let mut reactions = Vec::new();
    for (name, count) in counts {
        let (Some(emoji), Some(count)) = (names.find(name), count.as_u64()) else {
            continue;
        };
        let count = clamp(count, left);
        left -= count;
        if count > 0 {
            add(&mut reactions, &emoji, count);
        }
    }
    if reactions.is_empty() {
        Err(NotAReaction::Unknown)
    } else {
        Ok(reactions)
    }
}

/// So many more of an emoji: one that is named in several ways is one reaction.
pub(super) fn add(reactions: &mut Vec<Reaction>, emoji: &Emoji, count: u32) {
    match reactions.iter_mut().find(|r| r.emoji == *emoji) {
        Some(reaction) => reaction.count += count,
        None => reactions.push(Reaction {
            emoji: emoji.clone(),
            count,
        }),
    }
}

pub(super) fn clamp(count: u64, max: u32) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).min(max)
}
