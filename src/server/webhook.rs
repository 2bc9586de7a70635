//! Reactions from other services: `POST /reactions/{channel}`, signed with a shared secret.
//!
//! Two signatures are known:
//!
//! - `X-Floatup-Signature: t=SECONDS,v1=HEX`: the HMAC SHA-256 of the time, a full stop and the body.
//!   `t` is in seconds since 1970 and at most 300 s from now; each signature is taken once.
//!   Several `v1` may stand there, such as those of two secrets while one is replaced.
//! - `X-Hub-Signature-256: sha256=HEX`, as GitHub sends it: the HMAC SHA-256 of the body alone. It
//!   can be sent again by whoever has seen it. A body that begins as what the other signs, with
//!   digits and a full stop, is not taken, so that no signature is good for both.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;

use crate::reaction::Message;
use crate::server::answer::{ApiError, body, json};
use crate::server::path::segments;
use crate::server::{Access, App};
use crate::source::{Arrival, Inbox, Outcome, since_epoch};

/// The shortest secret, in bytes.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 16;

/// The longest request, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The most messages of one request.
const MESSAGES_MAX: usize = 1_000;

/// How far a signature's time may be from now.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Signatures that are remembered while their time is near enough. When there are more, further
/// requests are answered 429: to forget one would let it be sent again.
const SIGNATURES_MAX: usize = 65_536;

/// At most this many signatures of one header are looked at.
const SIGNATURES_PER_HEADER_MAX: usize = 8;

/// The longest id that a sender may give, in bytes.
const ID_BYTES_MAX: usize = 100;

const TOO_LARGE: &str = "body_too_large";

/// Where messages of other services go.
#[derive(Debug)]
pub struct Webhook {
    /// Signs what they send. Without it, they are let in where anyone is ([`Access::Open`]).
    pub secret: Option<WebhookSecret>,
    /// Channels by name.
    pub channels: BTreeMap<String, Inbox>,
}

/// A secret that is shared with those who send reactions. It is never printed.
pub struct WebhookSecret {
    bytes: Vec<u8>,
    taken: Mutex<Taken>,
}

/// A secret that can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("webhook secret: {0} bytes, expected at least {min}", min = WEBHOOK_SECRET_BYTES_MIN)]
pub struct WebhookSecretError(usize);

/// The signatures that were taken, and until when they would be good.
#[derive(Debug, Default)]
struct Taken {
    signatures: BTreeSet<[u8; 32]>,
    /// At most [`SIGNATURES_MAX`], the oldest first.
    order: VecDeque<(Duration, [u8; 32])>,
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSecret {
    /// A secret of at least [`WEBHOOK_SECRET_BYTES_MIN`] bytes.
    ///
    /// # Errors
    /// Fewer bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, WebhookSecretError> {
        let bytes = bytes.into();
        if bytes.len() < WEBHOOK_SECRET_BYTES_MIN {
            return Err(WebhookSecretError(bytes.len()));
        }
        Ok(Self {
            bytes,
            taken: Mutex::default(),
        })
    }

    /// Checks that a request is of one who has the secret.
    fn check(&self, headers: &HeaderMap, body: &[u8], now: Duration) -> Result<(), ApiError> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(header) = header("x-floatup-signature") {
            return self.check_timed(header, body, now);
        }
        let Some(header) = header("x-hub-signature-256") else {
            let why = "the request is not signed: expected X-Floatup-Signature: \
                       t=SECONDS,v1=HMAC or X-Hub-Signature-256: sha256=HMAC";
            return Err(refusal("signature_missing", why));
        };
        if is_timed(body) {
            let why = "X-Hub-Signature-256: a body of digits and a full stop at its beginning is \
                       taken with X-Floatup-Signature alone";
            return Err(refusal("signature_invalid", why));
        }
        let signature = header.strip_prefix("sha256=").and_then(hexadecimal);
        let is_good = signature.is_some_and(|signature| self.has_signed(&signature, &[body]));
        match is_good {
            true => Ok(()),
            false => Err(refusal(
                "signature_invalid",
                "X-Hub-Signature-256: expected sha256= and the HMAC SHA-256 of the body, in \
                 hexadecimal",
            )),
        }
    }

    fn check_timed(&self, header: &str, body: &[u8], now: Duration) -> Result<(), ApiError> {
        let invalid = || {
            let why = "X-Floatup-Signature: expected t=SECONDS,v1=HMAC, the HMAC SHA-256 of the \
                       time, a full stop and the body, in hexadecimal";
            refusal("signature_invalid", why)
        };
        let (mut time, mut signatures) = (None, Vec::new());
        for pair in header.split(',') {
            match pair.trim().split_once('=') {
                Some(("t", text)) => time = Some(text),
                Some(("v1", text)) if signatures.len() < SIGNATURES_PER_HEADER_MAX => {
                    signatures.extend(hexadecimal(text));
                }
                // Of schemes to come.
                _ => {}
            }
        }
        let is_digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let time = time.filter(is_digits).ok_or_else(invalid)?;
        let signed: [&[u8]; 3] = [time.as_bytes(), b".", body];
        let signature = signatures
            .iter()
            .find(|signature| self.has_signed(signature, &signed));
        let signature = signature.ok_or_else(invalid)?;
        let at = time
            .parse()
            .map_err(|_| invalid())
            .map(Duration::from_secs)?;
        if at.abs_diff(now) > TOLERANCE {
            let why = format!(
                "X-Floatup-Signature: t={time} is {} s from the time here, {}; at most {} s are \
                 accepted",
                at.abs_diff(now).as_secs(),
                now.as_secs(),
                TOLERANCE.as_secs()
            );
            return Err(refusal("signature_old", why));
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.add(*signature, now)
    }

    /// In constant time.
    fn has_signed(&self, signature: &[u8; 32], signed: &[&[u8]]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.bytes) else {
            return false;
        };
        signed.iter().for_each(|part| mac.update(part));
        mac.verify_slice(signature).is_ok()
    }
}

impl Taken {
    fn add(&mut self, signature: [u8; 32], now: Duration) -> Result<(), ApiError> {
        while let Some((until, old)) = self.order.front()
            && *until < now
        {
            self.signatures.remove(old);
            self.order.pop_front();
        }
        if self.signatures.contains(&signature) {
            let why = "this request was taken before; sign another one with the time of now";
            return Err(refusal("signature_used", why));
        }
        if self.order.len() >= SIGNATURES_MAX {
            let why = "too many requests were signed in the last minutes; send several messages \
                       in one, as a JSON array";
            return Err(ApiError::too_many("too_many_requests", why));
        }
        // Its time may be as far ahead as behind.
        self.order.push_back((now + 2 * TOLERANCE, signature));
        self.signatures.insert(signature);
        Ok(())
    }
}

/// Whether bytes begin as those that a signature with a time is of.
fn is_timed(bytes: &[u8]) -> bool {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    digits > 0 && bytes.get(digits) == Some(&b'.')
}

fn refusal(code: &'static str, why: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, why)
}

/// 32 bytes.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// What became of a request's messages.
#[derive(Default, Serialize)]
struct Outcomes {
    accepted: u32,
    unknown: u32,
    other_type: u32,
    duplicate: u32,
    refused: u32,
}

/// `POST /reactions/{channel}`: a message as topics take it, or a JSON array of such messages, or an
/// object with that array as `messages`.
///
/// A message that has come before is not shown again: what tells it is `Idempotency-Key`, for all of
/// the request, or else the `id` in its JSON.
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let segments = segments(request.uri())?;
    let channel = segments.get(1).map(String::as_str).unwrap_or_default();
    let (head, sent) = request.into_parts();
    let Some(webhook) = &app.service.webhook else {
        let message = "no channel takes reactions here";
        return Err(ApiError::not_found("no_channel", message));
    };
    let inbox = webhook.channels.get(channel);
    let sent = body(sent, BODY_BYTES_MAX, TOO_LARGE).await;
    let checked =
        sent.map_err(|error| error.with_status_for(TOO_LARGE, StatusCode::PAYLOAD_TOO_LARGE));
    let checked = checked.and_then(|body| {
        match (&webhook.secret, app.service.access) {
            (Some(secret), _) => secret.check(&head.headers, &body, since_epoch())?,
            (None, Access::Open) => {}
            (None, Access::Required) => {
                let why = "requests can't be signed, since this service has no webhook secret";
                return Err(refusal("no_secret", why));
            }
        }
        let key = idempotency_key(&head.headers)?;
        Ok((messages(body)?, key))
    });
    let (messages, key) = checked.inspect_err(|_| {
        if let Some(inbox) = inbox {
            inbox.refuse();
        }
    })?;
    let inbox = inbox.ok_or_else(|| {
        let known: Vec<_> = webhook.channels.keys().map(String::as_str).collect();
        let message = format!("no such channel; there are: {}", known.join(", "));
        ApiError::not_found("no_channel", message)
    })?;
    let mut outcomes = Outcomes::default();
    for (number, (text, own)) in messages.iter().enumerate() {
        let id = match (key, own) {
            (Some(key), _) => Some(format!("webhook:{key}/{number}")),
            (None, own) => own.as_ref().map(|id| format!("webhook:{id}")),
        };
        let outcome = inbox.take(&Arrival {
            id: id.as_deref(),
            ..Arrival::of(Message::payload(text))
        });
        *match outcome {
            Outcome::Accepted => &mut outcomes.accepted,
            Outcome::Unknown => &mut outcomes.unknown,
            Outcome::OtherType => &mut outcomes.other_type,
            Outcome::Duplicate => &mut outcomes.duplicate,
            Outcome::Refused => &mut outcomes.refused,
        } += 1;
    }
    Ok(json(StatusCode::OK, &outcomes))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let is_fine = |key: &&str| (1..=ID_BYTES_MAX).contains(&key.len());
    match key.to_str().ok().filter(is_fine) {
        Some(key) => Ok(Some(key)),
        None => {
            let message = format!("Idempotency-Key: expected 1 to {ID_BYTES_MAX} ASCII characters");
            Err(ApiError::bad_request("bad_id", message))
        }
    }
}

/// The messages of a body, each with its id if it has one.
fn messages(body: Vec<u8>) -> Result<Vec<(String, Option<String>)>, ApiError> {
    let text = String::from_utf8(body).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("the body is not UTF-8 from byte {at} on");
        ApiError::bad_request("not_utf8", message)
    })?;
    let text = text.trim();
    if !text.starts_with(['[', '{']) {
        return Ok(vec![(text.into(), None)]);
    }
    let read = |error: serde_json::Error| {
        ApiError::bad_request("bad_json", format!("the body is not JSON: {error}"))
    };
    let several = match serde_json::from_str(text).map_err(read)? {
        Value::Array(several) => several,
        Value::Object(mut object) => match object.remove("messages") {
            Some(Value::Array(several)) => several,
            Some(_) => {
                let message = "messages: expected an array of messages";
                return Err(ApiError::bad_request("bad_field", message));
            }
            // As it was sent.
            None => return Ok(vec![(text.into(), id(object.get("id"))?)]),
        },
        one => vec![one],
    };
    if several.len() > MESSAGES_MAX {
        let message = format!(
            "{} messages; at most {MESSAGES_MAX} are accepted",
            several.len()
        );
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(ApiError::new(status, "too_many_messages", message));
    }
    let message = |message: Value| match message {
        Value::String(text) => Ok((text, None)),
        Value::Object(_) => Ok((message.to_string(), id(message.get("id"))?)),
        _ => {
            let message = "messages: expected texts and objects";
            Err(ApiError::bad_request("bad_field", message))
        }
    };
    several.into_iter().map(message).collect()
}

/// A message's own id: text or a number.
fn id(id: Option<&Value>) -> Result<Option<String>, ApiError> {
    let text = match id {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => None,
    };
    match text.filter(|text| (1..=ID_BYTES_MAX).contains(&text.len())) {
        Some(text) => Ok(Some(text)),
        None => {
            let message = format!("id: expected 1 to {ID_BYTES_MAX} bytes of text, or a number");
            Err(ApiError::bad_request("bad_id", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_forgotten_only_when_they_are_too_old() {
        let mut taken = Taken::default();
        let at = Duration::from_secs;
        let signature = |n: usize| {
            let mut signature = [0; 32];
            signature[..8].copy_from_slice(&n.to_be_bytes());
            signature
        };
        let first = signature(0);
        assert_eq!(taken.add(first, at(1_000)), Ok(()));
        assert!(taken.add(first, at(1_000)).is_err());
        assert!(
            taken.add(first, at(1_600)).is_err(),
            "its time may have been ahead"
        );
        for n in 1..SIGNATURES_MAX {
            assert_eq!(taken.add(signature(n), at(1_600)), Ok(()));
        }
        assert!(
            taken.add(signature(SIGNATURES_MAX), at(1_600)).is_err(),
            "is full"
        );
        assert_eq!(taken.add(signature(SIGNATURES_MAX), at(1_601)), Ok(()));
        assert_eq!(taken.order.len(), SIGNATURES_MAX);
        assert_eq!(taken.signatures.len(), SIGNATURES_MAX);
    }

    #[test]
    fn signatures_are_those_of_other_implementations() {
        let secret = WebhookSecret::new("0123456789abcdef").unwrap();
        let now = Duration::from_secs(1_700_000_000);
        let check = |name: &'static str, value: &str, now| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(name),
                axum::http::HeaderValue::try_from(value).unwrap(),
            )]);
            secret.check(&headers, b"heart", now)
        };
        // By Python's hmac.
        let timed =
            "t=1700000000,v1=ee59b4387e06e65f2759c9dc0802eca53880d6d2bd538b05310fcba1eec5ca94";
        let hub = "sha256=46bb9c612e2b9731704500bd77e4a87043c7d2d1d2270f17ce75961bd0abf09a";
        let late = now + TOLERANCE + Duration::from_secs(1);
        assert!(check("x-floatup-signature", timed, late).is_err());
        assert_eq!(check("x-floatup-signature", timed, now + TOLERANCE), Ok(()));
        assert_eq!(check("x-hub-signature-256", hub, now), Ok(()));
        assert!(check("x-hub-signature-256", timed, now).is_err());
    }

    #[test]
    fn what_is_signed_with_a_time_is_not_taken_without_one() {
        let secret = WebhookSecret::new("0123456789abcdef").unwrap();
        let check = |body: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret.bytes).unwrap();
            mac.update(body);
            let hex: String = mac
                .finalize()
                .into_bytes()
                .iter()
                .fold(String::from("sha256="), |text, byte| {
                    text + &format!("{byte:02x}")
                });
            let name = axum::http::HeaderName::from_static("x-hub-signature-256");
            let headers = HeaderMap::from_iter([(name, hex.parse().unwrap())]);
            secret.check(&headers, body, Duration::from_secs(1_700_000_000))
        };
        for body in ["1700000000.heart", "1.", "0.[\"heart\"]"] {
            assert!(check(body.as_bytes()).is_err(), "{body}");
        }
        for body in ["heart", "100", "1700000000", ".heart", "v1.heart", ""] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn hexadecimal_is_of_either_case_and_of_one_length() {
        assert_eq!(hexadecimal(&"aF".repeat(32)), Some([0xaf; 32]));
        for text in [
            "",
            "af",
            &"aF".repeat(33),
            &"+f".repeat(32),
            &"é".repeat(32),
        ] {
            assert_eq!(hexadecimal(text), None, "{text}");
        }
    }
}
