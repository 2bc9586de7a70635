//! What each fuzz target checks, of any text or bytes. Shared with the test that replays the corpus.

use floatup::artwork::Artwork;
use floatup::config::file;
use floatup::reaction::{Message, Palette, Rules, SPRITES_PER_PAYLOAD_MAX};
use floatup::source::twitch::Line;

/// An image that is accepted has all of its frames, at the size asked for.
pub fn artwork(bytes: &[u8]) {
    const HEIGHT_PX: f64 = 9.0;
    let Ok(artwork) = Artwork::decode(bytes.to_vec()) else {
        return;
    };
    let (width, height) = artwork.size(HEIGHT_PX);
    let Ok(frames) = artwork.frames(HEIGHT_PX) else {
        return;
    };
    assert_eq!(frames.len(), artwork.timing().frames());
    for frame in frames {
        assert_eq!(
            (frame.width, frame.height),
            (width as usize, height as usize)
        );
        assert_eq!(frame.pixels.len(), frame.width * frame.height);
        assert!(
            frame
                .pixels
                .iter()
                .all(|&[r, g, b, a]| r.max(g).max(b) <= a)
        );
        assert!(!frame.shown_for.is_zero());
    }
}

/// Emotes of a message are parts of its text, in their order, whatever its tags say.
pub fn irc_line(text: &str) {
    let Some(Line::Chat(chat)) = Line::read(text) else {
        return;
    };
    let emotes = chat.emotes();
    let mut end = 0;
    for emote in &emotes {
        assert!(end <= emote.range.start && emote.range.start < emote.range.end);
        assert!(chat.text.get(emote.range.clone()).is_some(), "{emote:?}");
        end = emote.range.end;
    }
    let message = Message {
        emotes: &emotes,
        ..Message::chat(&chat.text)
    };
    let rules = Rules::new(Default::default()).with_emoji_in_text(8);
    // What it is does not matter, only that it can be told.
    drop(rules.read(&message));
}

/// A payload asks for no more sprites than one payload may, whatever it says.
pub fn reaction_decode(text: &str) {
    let Ok(reactions) = Palette::default().decode(text) else {
        return;
    };
    assert!(!reactions.is_empty());
    assert!(reactions.iter().all(|reaction| reaction.count > 0));
    let total: u64 = reactions.iter().map(|r| u64::from(r.count)).sum();
    assert!(total <= u64::from(SPRITES_PER_PAYLOAD_MAX), "{total}");
}

/// A settings file's mistakes stand on its lines, in their order, and say what they are.
pub fn settings(text: &str) {
    let mistakes = file::check(text);
    let lines = 1 + text.bytes().filter(|&byte| byte == b'\n').count();
    for mistake in &mistakes {
        assert!((1..=lines).contains(&mistake.line), "{mistake}");
        assert!(!mistake.message.is_empty(), "{mistake:?}");
    }
    assert!(mistakes.is_sorted_by_key(|mistake| mistake.line));
}
