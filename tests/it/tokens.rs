//! Tokens: what is minted is read back; anything else is refused.

use floatup::token::{Claims, Key, Role, TOKEN_BYTES_MAX, TokenError, mint, verify, wrap};
use proptest::prelude::*;

fn key(byte: u8) -> Key {
    Key::new([byte; 32]).expect("32 bytes")
}

fn claims() -> impl Strategy<Value = Claims> {
    let role = prop_oneof![
        Just(Role::PublishSubscribe),
        Just(Role::PublishOnly),
        Just(Role::SubscribeOnly),
    ];
    (
        any::<String>(),
        any::<String>(),
        role,
        any::<String>(),
        1..u64::MAX,
    )
        .prop_map(|(cache, topic, role, id, expires_at)| Claims {
            cache,
            topic,
            role,
            id,
            expires_at,
        })
}

/// A token with a known text.
fn sample() -> Claims {
    Claims {
        cache: "video".into(),
        topic: "demo".into(),
        role: Role::PublishSubscribe,
        id: "player-1".into(),
        expires_at: 2_000,
    }
}

proptest! {
    #[test]
    fn what_is_minted_is_read_back_until_it_ends(claims in claims()) {
        let token = mint(&claims, &key(1));
        let end = claims.expires_at;
        prop_assert_eq!(verify(&token, &key(1), end - 1), Ok(claims.clone()));
        prop_assert_eq!(verify(&token, &key(1), end), Err(TokenError::Expired));
        prop_assert_eq!(verify(&token, &key(1), u64::MAX), Err(TokenError::Expired));
        prop_assert_eq!(verify(&token, &key(2), end - 1), Err(TokenError::Unreadable));
        prop_assert_eq!(verify(&wrap(&token, "localhost:8787"), &key(1), 0), Ok(claims));
    }

    #[test]
    fn any_change_makes_a_token_unreadable(at in any::<prop::sample::Index>(), bit in 0..7_u8) {
        let token = mint(&sample(), &key(1));
        let mut bytes = token.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = String::from_utf8(bytes).expect("ASCII stays ASCII below bit 7");
        // A space at either end is not part of the token, so a change into one shortens it.
        prop_assert_eq!(verify(&changed, &key(1), 0), Err(TokenError::Unreadable), "{}", changed);
    }

    #[test]
    fn no_other_claims_stand_under_a_signature(own in claims(), other in claims()) {
        prop_assume!(own != other);
        let (signed, forged) = (mint(&own, &key(1)), mint(&other, &key(2)));
        let (_, signature) = signed.rsplit_once('.').expect("a signature");
        let (body, _) = forged.rsplit_once('.').expect("a signature");
        let forged = format!("{body}.{signature}");
        prop_assert_eq!(verify(&forged, &key(1), 0), Err(TokenError::Unreadable));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        prop_assert_eq!(verify(&text, &key(1), 0), Err(TokenError::Unreadable));
        prop_assert_eq!(verify(&wrap(&text, ""), &key(1), 0), Err(TokenError::Unreadable));
    }
}

#[test]
fn every_prefix_of_a_token_is_unreadable() {
    let token = mint(&sample(), &key(1));
    for end in 0..token.len() {
        let cut = &token[..end];
        assert_eq!(
            verify(cut, &key(1), 0),
            Err(TokenError::Unreadable),
            "{cut}"
        );
    }
}

#[test]
fn a_wider_scope_under_an_old_signature_is_unreadable() {
    let narrow = Claims {
        role: Role::SubscribeOnly,
        ..sample()
    };
    let wider = [
        sample(),
        Claims {
            topic: "other".into(),
            ..narrow.clone()
        },
        Claims {
            cache: "other".into(),
            ..narrow.clone()
        },
        Claims {
            expires_at: u64::MAX,
            ..narrow.clone()
        },
    ];
    let signed = mint(&narrow, &key(1));
    let (_, signature) = signed.rsplit_once('.').unwrap();
    for claims in wider {
        let forged = mint(&claims, &key(2));
        let (body, _) = forged.rsplit_once('.').unwrap();
        let forged = format!("{body}.{signature}");
        assert_eq!(
            verify(&forged, &key(1), 0),
            Err(TokenError::Unreadable),
            "{claims:?}"
        );
    }
}

#[test]
fn no_other_algorithm_is_accepted() {
    let token = mint(&sample(), &key(1));
    let (_, rest) = token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    // base64url of {"alg":"none","typ":"JWT"} and {"alg":"HS512","typ":"JWT"}.
    for header in [
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9",
    ] {
        for forged in [format!("{header}.{rest}"), format!("{header}.{payload}.")] {
            assert_eq!(
                verify(&forged, &key(1), 0),
                Err(TokenError::Unreadable),
                "{forged}"
            );
        }
    }
}

/// The signature was computed with another implementation: Python's hmac module over the same
/// header and payload, under 32 bytes of 1.
#[test]
fn is_the_json_web_token_that_others_would_make() {
    let token = mint(&sample(), &key(1));
    assert_eq!(token, include_str!("../vectors/token.txt").trim_end());
}

#[test]
fn reads_every_form_in_which_a_token_is_sent() {
    let token = mint(&sample(), &key(1));
    // The wrapper's length modulo 3 decides the padding; `??>` forces letters in which the two
    // alphabets differ.
    let wrappers = ["h", "ho", "hos", "??>", "ü>?~"].map(|endpoint| wrap(&token, endpoint));
    assert!(wrappers.iter().any(|w| w.ends_with("==")), "{wrappers:?}");
    assert!(
        wrappers.iter().any(|w| w.contains(['+', '/'])),
        "{wrappers:?}"
    );
    let spaced = format!(r#"{{"endpoint": "h", "api_key": "{token}", "more": 1}}"#);
    let mut forms = vec![token, base64(&spaced)];
    for wrapper in wrappers {
        let unpadded = wrapper.trim_end_matches('=').to_string();
        forms.push(wrapper.replace('+', "-").replace('/', "_"));
        forms.push(unpadded.replace('+', "-").replace('/', "_"));
        forms.push(unpadded);
        forms.push(wrapper);
    }
    for form in forms {
        for scheme in ["", "Bearer ", "bearer ", " "] {
            let sent = format!("{scheme}{form}");
            assert_eq!(verify(&sent, &key(1), 0), Ok(sample()), "{sent}");
        }
    }
}

#[test]
fn a_token_beyond_the_bound_is_not_looked_at() {
    let huge = Claims {
        id: "x".repeat(TOKEN_BYTES_MAX),
        ..sample()
    };
    let token = mint(&huge, &key(1));
    assert_eq!(verify(&token, &key(1), 0), Err(TokenError::Unreadable));
}

#[test]
fn the_longest_names_stay_below_half_the_bound() {
    let claims = Claims {
        cache: "\"".repeat(256),
        topic: "\"".repeat(256),
        id: "\u{1}".repeat(64),
        ..sample()
    };
    let wrapped = wrap(&mint(&claims, &key(1)), &"h".repeat(255));
    assert!(wrapped.len() < TOKEN_BYTES_MAX / 2, "{}", wrapped.len());
    assert_eq!(verify(&wrapped, &key(1), 0), Ok(claims));
}

#[test]
fn a_key_is_long_and_secret() {
    let error = Key::new([7; 31]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "signing key: 31 bytes, expected at least 32"
    );
    assert_eq!(format!("{:?}", key(7)), "Key(..)");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
