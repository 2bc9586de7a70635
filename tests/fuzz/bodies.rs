//! What each fuzz target checks, of any text. Shared with the test that replays the corpus.

use floatup::config::file;
use floatup::reaction::{Palette, SPRITES_PER_PAYLOAD_MAX};

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
