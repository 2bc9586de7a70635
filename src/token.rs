//! Tokens: signed, scoped to one topic of one cache, and short-lived.
//!
//! A token is a compact JSON Web Token (RFC 7515, RFC 7519) under HMAC-SHA-256, so that software
//! that looks into the tokens of the Momento API finds the three dot-separated parts it expects.
//! The only header that is ever accepted is the one written here, compared byte for byte: there
//! is no algorithm to choose, and so none to confuse.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The shortest signing key, in bytes: as long as the signature (RFC 7518, section 3.2).
pub const KEY_BYTES_MIN: usize = 32;

/// The longest token that is looked at, in bytes. The longest that is minted for valid names
/// and a 64-character id is below half of it, wrapper included.
pub const TOKEN_BYTES_MAX: usize = 8_192;

/// base64url of `{"alg":"HS256","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A wrapper is written in either alphabet, with or without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const WRAPPER_ENGINES: [GeneralPurpose; 2] = [
    GeneralPurpose::new(&STANDARD, LENIENT),
    GeneralPurpose::new(&URL_SAFE, LENIENT),
];

/// The secret that signs tokens. It is never printed.
#[derive(Clone)]
pub struct Key(Vec<u8>);

/// A key that can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signing key: {0} bytes, expected at least {min}", min = KEY_BYTES_MIN)]
pub struct KeyError(usize);

impl Key {
    /// A key of at least [`KEY_BYTES_MIN`] secret bytes.
    ///
    /// # Errors
    /// Fewer bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        if bytes.len() < KEY_BYTES_MIN {
            return Err(KeyError(bytes.len()));
        }
        Ok(Self(bytes))
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("invariant: HMAC takes a key of any length");
        mac.update(signed.as_bytes());
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What the holder of a token may do with its topic. The names are those of the Momento API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Publish and subscribe: a viewer.
    PublishSubscribe,
    /// Publish alone.
    PublishOnly,
    /// Subscribe alone.
    SubscribeOnly,
}

impl Role {
    /// Whether the holder may publish.
    #[must_use]
    pub fn publishes(self) -> bool {
        self != Self::SubscribeOnly
    }

    /// Whether the holder may subscribe.
    #[must_use]
    pub fn subscribes(self) -> bool {
        self != Self::PublishOnly
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The cache it is for.
    pub cache: String,
    /// The one topic of the cache it is for.
    pub topic: String,
    /// What may be done there.
    pub role: Role,
    /// The player's id, which becomes the publisher of the player's items.
    pub id: String,
    /// When it ends, in seconds since 1970-01-01T00:00:00Z. It is expired from that second on.
    #[serde(rename = "exp")]
    pub expires_at: u64,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, cut short, changed, or signed with another key.
    #[error("the token is not one of this service")]
    Unreadable,
    /// Whole and signed by this key, but past its end.
    #[error("the token has expired")]
    Expired,
}

/// Signs `claims`: a compact JSON Web Token.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "to write such JSON cannot fail")]
pub fn mint(claims: &Claims, key: &Key) -> String {
    let payload = serde_json::to_vec(claims).expect("invariant: text and numbers are valid JSON");
    let engine = general_purpose::URL_SAFE_NO_PAD;
    let mut token = format!("{HEADER}.{}", engine.encode(payload));
    let signature = key.mac(&token).finalize().into_bytes();
    token.push('.');
    engine.encode_string(signature, &mut token);
    token
}

/// Puts a token into the form that Momento's SDKs hand out: base64 of
/// `{"endpoint":…,"api_key":…}`.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "to write such JSON cannot fail")]
pub fn wrap(jwt: &str, endpoint: &str) -> String {
    let wrapper = Wrapper {
        endpoint: endpoint.into(),
        api_key: jwt.into(),
    };
    let json = serde_json::to_vec(&wrapper).expect("invariant: text is valid JSON");
    general_purpose::STANDARD.encode(json)
}

/// Reads a token: the bare JSON Web Token, or the wrapper of [`wrap`] in either base64 alphabet,
/// padded or not; after `Bearer ` or without. `now_unix` is in seconds since 1970.
///
/// # Errors
/// [`TokenError`]. The signature is compared in constant time.
pub fn verify(token: &str, key: &Key, now_unix: u64) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Unreadable);
    }
    let token = without_scheme(token.trim());
    let claims = match unwrap(token) {
        Some(jwt) => read(&jwt, key),
        None => read(token, key),
    }
    .ok_or(TokenError::Unreadable)?;
    if now_unix >= claims.expires_at {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// When a token says that it ends, since the Unix epoch: the `exp` of a JSON Web Token of any
/// service, whose signature is not looked at. `None` if it says nothing that can be read.
#[must_use]
pub fn expires_at(token: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct End {
        exp: f64,
    }
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let token = without_scheme(token.trim());
    let jwt = unwrap(token).unwrap_or_else(|| token.into());
    let end: End = serde_json::from_slice(&payload(&jwt)?).ok()?;
    Duration::try_from_secs_f64(end.exp).ok()
}

/// The payload of a JSON Web Token of any service, whose signature is not looked at: bytes that
/// should be JSON.
#[must_use]
pub fn payload(jwt: &str) -> Option<Vec<u8>> {
    let payload = jwt.split('.').nth(1)?;
    let mut engines = WRAPPER_ENGINES.iter();
    engines.find_map(|engine| engine.decode(payload).ok())
}

#[derive(Serialize, Deserialize)]
struct Wrapper {
    endpoint: String,
    api_key: String,
}

fn without_scheme(token: &str) -> &str {
    match token.split_at_checked("Bearer ".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("Bearer ") => rest.trim_start(),
        _ => token,
    }
}

fn unwrap(token: &str) -> Option<String> {
    unwrapped(token).map(|(_, key)| key)
}

/// The endpoint and the key of what [`wrap`] makes, in either base64 alphabet, padded or not.
#[must_use]
pub fn unwrapped(token: &str) -> Option<(String, String)> {
    let mut engines = WRAPPER_ENGINES.iter();
    let json = engines.find_map(|engine| engine.decode(token).ok())?;
    let wrapper: Wrapper = serde_json::from_slice(&json).ok()?;
    Some((wrapper.endpoint, wrapper.api_key))
}

fn read(jwt: &str, key: &Key) -> Option<Claims> {
    let (signed, signature) = jwt.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if header != HEADER {
        return None;
    }
    let engine = general_purpose::URL_SAFE_NO_PAD;
    let signature = engine.decode(signature).ok()?;
    key.mac(signed).verify_slice(&signature).ok()?;
    serde_json::from_slice(&engine.decode(payload).ok()?).ok()
}
