//! The shared secret of those who send reactions, and what they sign with it.
//!
//! Two signatures are known:
//!
//! - `X-Floatup-Signature: t=SECONDS,v1=HEX`: the HMAC SHA-256 of the time, a full stop and the body.
//!   `t` is in seconds since 1970 and at most 300 s from now; each signature is taken once.
//!   Several `v1` may stand there, such as those of two secrets while one is replaced.
//! - `X-Hub-Signature-256: sha256=HEX`, as GitHub sends it: the HMAC SHA-256 of the body alone. It
//!   can be sent again by whoever has seen it. A body that begins as what the other signs, with
//!   digits and a full stop, is not taken, so that no signature is good for both.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::server::answer::ApiError;

/// The shortest secret, in bytes.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 16;

/// How far a signature's time may be from now.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Signatures that are remembered while their time is near enough. When there are more, further
/// requests are answered 429: to forget one would let it be sent again.
const SIGNATURES_MAX: usize = 65_536;

/// At most this many signatures of one header are looked at.
const SIGNATURES_PER_HEADER_MAX: usize = 8;

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
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Duration,
    ) -> Result<(), ApiError> {
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

pub(super) fn refusal(code: &'static str, why: impl Into<String>) -> ApiError {
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
