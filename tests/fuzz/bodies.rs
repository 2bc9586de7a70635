//! What each fuzz target checks, of any text or bytes. Shared with the test that replays the corpus.

mod requests;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floatup::artwork::Artwork;
use floatup::cast::{Cast, LastPose, Placement};
use floatup::config::file;
use floatup::emoji::EmojiFonts;
use floatup::frame::{Alpha, PixelFormat, Size};
use floatup::log::{self, AT_MAX};
use floatup::motion::{FONT_SIZE_PX, Stylesheet};
use floatup::paint::Painter;
use floatup::reaction::{Emoji, Message, Palette, Rules, SPRITES_PER_PAYLOAD_MAX};
use floatup::scatter::SpriteId;
use floatup::scene::{SCALE_FACTOR, SPRITES_MAX, Scene};
use floatup::server::chat_wire;
use floatup::source::ivs_chat::frame;
use floatup::source::twitch::Line;
use floatup::sprite::{SpriteSheet, Subject};
use floatup::token::{Claims, Key, TOKEN_BYTES_MAX, expires_at, mint, payload, unwrapped, verify};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

static FONTS: LazyLock<EmojiFonts> = LazyLock::new(EmojiFonts::bundled);

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

/// Requests to the service are answered, whatever they are: see `requests.rs`.
pub fn http_request(text: &str) {
    requests::check(text);
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

/// A frame of a chat, as the client that follows a room reads it, and as a room reads it. What a
/// room sends of a request or an error is read by the client as what it is.
pub fn ivs_frame(text: &str) {
    let rules = Rules::new(Arc::default()).with_emoji_in_text(8);
    for frame in frame::read(text).unwrap_or_default() {
        assert!(
            frame
                .attributes
                .keys()
                .all(|name| frame.attribute(name).is_some())
        );
        assert!(frame.told().chars().count() < 1_000);
        let message = match &frame.kind {
            frame::Kind::Event(name) => Message::event(name, &frame.attributes),
            _ => Message {
                attributes: &frame.attributes,
                ..Message::chat(&frame.content)
            },
        };
        drop(rules.read(&message));
    }
    let (request_id, request) = chat_wire::read(text);
    let heard = |sent: &str| {
        let mut frames = frame::read(sent).expect("a frame that the client reads");
        assert_eq!(frames.len(), 1, "{sent}");
        frames.remove(0)
    };
    match request {
        Ok(chat_wire::Request::Send {
            content,
            attributes,
        }) => {
            let sent_at = Duration::from_millis(1_700_000_000_123);
            let message = chat_wire::Message {
                id: "AYk6xKitV4On".into(),
                request_id,
                content: content.clone(),
                attributes: attributes.clone(),
                sender: chat_wire::Sender {
                    user_id: "ann".into(),
                    attributes: attributes.clone(),
                },
                sent_at,
            };
            let heard = heard(&message.frame());
            assert_eq!(heard.kind, frame::Kind::Message);
            assert_eq!(heard.id, Some(message.id));
            assert_eq!((heard.content, heard.attributes), (content, attributes));
            assert_eq!(
                (heard.user.as_deref(), heard.sent_at),
                (Some("ann"), Some(sent_at))
            );
        }
        Ok(_) => {}
        Err(fault) => {
            let heard = heard(&chat_wire::error(&fault, request_id.as_deref()));
            assert_eq!(heard.kind, frame::Kind::Error);
            assert_eq!(heard.code, Some(fault.code.into()));
            assert!(!heard.told().is_empty());
        }
    }
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

/// Entries of a log are within their bounds, on lines of their own, and the same again when they are
/// written as lines.
pub fn reaction_log(bytes: &[u8]) {
    let palette = Palette::default();
    let mut last = 0;
    for entry in log::entries(bytes, &palette) {
        let line = entry
            .as_ref()
            .map_or_else(|bad| bad.line, |entry| entry.line);
        assert!(last < line);
        last = line;
        let entry = match entry {
            Ok(entry) => entry,
            Err(bad) => {
                assert!(!bad.reason.is_empty() && bad.reason.len() < 1_000, "{bad}");
                continue;
            }
        };
        assert!(entry.at <= AT_MAX, "{entry:?}");
        assert!((1..=SPRITES_PER_PAYLOAD_MAX).contains(&entry.reaction.count));
        let written = log::line(entry.at, &entry.reaction);
        let mut again = log::entries(written.as_bytes(), &palette);
        let again = again.next().expect("a line").expect("an entry");
        assert_eq!(again.reaction, entry.reaction, "{written}");
        assert_eq!(again.at.as_millis(), entry.at.as_millis(), "{written}");
    }
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    assert!(last <= 1 + lines as u64);
}

/// A scene is within its bounds, and a small one is drawn.
pub fn scene(text: &str) {
    const SIDE_MAX_PX: u32 = 64;
    const FONT_MAX_PX: f64 = 64.0;
    const SPRITES_DRAWN_MAX: usize = 8;
    static STYLESHEET: LazyLock<Arc<Stylesheet>> = LazyLock::new(|| {
        let parsed = Stylesheet::parse(floatup::look::STYLESHEET);
        parsed.expect("the built-in stylesheet").into()
    });
    let Ok(scene) = Scene::parse(text.as_bytes(), None) else {
        return;
    };
    assert!(SCALE_FACTOR.contains(&scene.scale));
    assert!(
        scene
            .font_size_px
            .is_none_or(|px| FONT_SIZE_PX.contains(&px))
    );
    let sprites = scene.emoji().count();
    assert!(sprites <= SPRITES_MAX);
    let font_size_px = scene.font_size_px.unwrap_or(24.0) * scene.scale;
    let side = scene.size.width().max(scene.size.height());
    if side > SIDE_MAX_PX || font_size_px > FONT_MAX_PX || sprites > SPRITES_DRAWN_MAX {
        return;
    }
    let subject = |emoji| Subject {
        emoji,
        reaction: None,
        font_size_px,
        growth: 1.0,
        artwork: None,
    };
    let sheet = SpriteSheet::new(&FONTS, scene.emoji().map(subject)).expect("a small sheet");
    let cast = Cast::new(STYLESHEET.clone(), sheet.into(), scene.size, scene.scale);
    let placements: Vec<_> = scene.placements(&cast).collect();
    assert!(placements.len() <= sprites);
    draw(&cast, scene.size, &placements);
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

/// A stylesheet that is accepted says of every age where a sprite is, on any frame, until it is gone;
/// one that is refused, on which of its lines.
pub fn stylesheet(text: &str) {
    static SHEET: LazyLock<Arc<SpriteSheet>> = LazyLock::new(|| {
        let emoji = ["❤️", "🔥"].map(Emoji::new);
        let subjects = emoji
            .iter()
            .zip([Some("heart"), None])
            .map(|(emoji, reaction)| Subject {
                emoji,
                reaction,
                font_size_px: 9.0,
                growth: 1.0,
                artwork: None,
            });
        let sheet = SpriteSheet::new(&FONTS, subjects);
        sheet.expect("a small sheet").into()
    });
    let stylesheet = match Stylesheet::parse(text) {
        Ok(stylesheet) => Arc::new(stylesheet),
        Err(error) => {
            // A carriage return and a form feed end lines of CSS too.
            let lines = 1 + text.bytes().filter(|b| b"\n\r\x0c".contains(b)).count();
            assert!((1..=lines).contains(&(error.line as usize)), "{error}");
            assert!(error.column > 0 && !error.message.is_empty(), "{error}");
            return;
        }
    };
    for reaction in [None, Some("heart")] {
        assert!(FONT_SIZE_PX.contains(&stylesheet.font_size_px(reaction)));
        let growth = stylesheet.growth(reaction);
        assert!(growth.is_finite() && growth >= 0.0, "{growth}");
    }
    for (width, height, scale) in [(24, 16, 1.0), (1, 1, 0.25), (16_384, 16_384, 8.0)] {
        let size = Size::new(width, height).expect("a frame's size");
        let cast = Cast::new(stylesheet.clone(), SHEET.clone(), size, scale);
        let mut last = LastPose::default();
        for (sequence, emoji) in (1..).zip(["❤️", "🔥"]) {
            let id = SpriteId {
                page: 1,
                sequence,
                index: 0,
            };
            let actor = cast.actor(&Emoji::new(emoji), id).expect("a figure");
            let life = cast.lifetime(&actor);
            for eighth in 0..8 {
                let placement = cast.place(&actor, life * eighth / 8, &mut last);
                let Some(placement) = placement else { continue };
                assert!((0.0..=1.0).contains(&placement.opacity), "{placement:?}");
                assert!(
                    placement.matrix.iter().all(|e| e.is_finite()),
                    "{placement:?}"
                );
                if eighth % 4 == 1 && width < 64 {
                    draw(&cast, size, &[placement]);
                }
            }
            for late in [life + Duration::from_millis(1), Duration::MAX / 2] {
                assert_eq!(cast.place(&actor, late, &mut last), None, "{life:?}");
            }
        }
    }
}

/// Of all tokens only one that was signed is accepted, to the letter; and of what is signed, only
/// claims.
pub fn token(text: &str) {
    const NOW: u64 = 1_000;
    const KEY: [u8; 32] = [1; 32];
    let key = Key::new(KEY).expect("32 bytes");
    let signed = |claims: &Claims, text: &str| {
        let signed = mint(claims, &key);
        text.contains(&signed) || unwrapped_from(text).as_deref() == Some(&signed)
    };
    if let Ok(claims) = verify(text, &key, NOW) {
        assert!(signed(&claims, text), "{claims:?}");
        assert!(claims.expires_at > NOW);
    }
    let has_parts = text.contains('.') || unwrapped_from(text).is_some();
    assert!(has_parts || expires_at(text).is_none());

    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(text));
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key of any length");
    mac.update(body.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let token = format!("{body}.{signature}");
    assert_eq!(payload(&token).as_deref(), Some(text.as_bytes()));
    let read = verify(&token, &key, NOW);
    let claims: Option<Claims> = serde_json::from_str(text).ok();
    let expected =
        claims.filter(|claims| claims.expires_at > NOW && token.len() <= TOKEN_BYTES_MAX);
    assert_eq!(read.ok(), expected);
    if let Some(claims) = expected {
        let other = Key::new([2; 32]).expect("32 bytes");
        verify(&token, &other, NOW).expect_err("a token of another key");
        let end = Duration::from_secs(claims.expires_at);
        assert!(claims.expires_at >= 1 << 53 || expires_at(&token) == Some(end));
        assert_eq!(verify(&mint(&claims, &key), &key, NOW), Ok(claims));
        // One letter of it is another.
        let at = text.len() * 31 % token.len();
        let mut changed = token.into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("letters");
        verify(&changed, &key, NOW).expect_err("a token that nobody signed");
    }
}

fn unwrapped_from(token: &str) -> Option<String> {
    let token = token.trim();
    let bare = token
        .split_once(' ')
        .map_or(token, |(_, token)| token.trim_start());
    unwrapped(bare).map(|(_, key)| key)
}

/// Draws a small frame. Nowhere is a colour above its alpha.
fn draw(cast: &Cast, size: Size, placements: &[Placement]) {
    let mut painter = Painter::new(Arc::clone(cast.sheet()), size);
    let mut painting = painter.paint(placements.iter().copied());
    let frame = painting.frame(Alpha::Premultiplied, PixelFormat::Rgba);
    let mut pixels = frame.pixels().iter();
    assert!(pixels.all(|&[r, g, b, a]| r.max(g).max(b) <= a));
}
