//! The token in use, and when it is to be renewed.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::source::since_epoch;
use crate::token;

/// The share of a token's life after which a new one is asked for.
const RENEWED_AFTER: f64 = 0.8;

/// No token lives longer than a week; Momento's live at most 25 h.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The token in use.
#[derive(Default)]
pub(super) struct Token {
    /// Whether it was asked for: an open endpoint has none to give.
    pub(super) is_had: bool,
    pub(super) text: Option<String>,
    pub(super) renew_at: Option<Instant>,
    pub(super) ends_at: Option<Instant>,
    /// Why there is no newer one.
    pub(super) trouble: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// None is to be had.
    pub(super) fn none() -> Self {
        Self {
            is_had: true,
            ..Self::default()
        }
    }

    /// None is to be had now; it is asked for again after a pause.
    pub(super) fn without(trouble: String, pause: Duration) -> Self {
        Self {
            renew_at: Some(Instant::now() + pause),
            trouble: Some(trouble),
            ..Self::none()
        }
    }

    /// Stays in use, since there is no newer one; that is asked for again after a pause.
    pub(super) fn keep(&mut self, trouble: String, pause: Duration) {
        self.trouble = Some(trouble);
        // At its end at the latest, there is nothing left to go on with.
        let again = Instant::now() + pause;
        self.renew_at = self.ends_at.map(|end| end.min(again));
    }

    /// One that was given, and is all there is.
    pub(super) fn held(text: String) -> Self {
        Self {
            is_had: true,
            text: Some(text),
            ..Self::default()
        }
    }

    /// One that ends when its answer says, or else when it says so itself.
    pub(super) fn new(vended: Vended) -> Self {
        let claimed = || token::expires_at(&vended.token);
        let ends = vended
            .expires_at
            .as_ref()
            .and_then(seconds)
            .or_else(claimed);
        let left = ends.map(|at| at.saturating_sub(since_epoch()));
        // An end that has passed, or is too far to be counted, is that of a clock that is wrong.
        let left = left.filter(|left| (Duration::from_secs(1)..TOKEN_LIFE_MAX).contains(left));
        let now = Instant::now();
        Self {
            is_had: true,
            text: Some(vended.token),
            renew_at: left.map(|left| now + left.mul_f64(RENEWED_AFTER)),
            ends_at: left.map(|left| now + left),
            trouble: None,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        !self.is_had || self.renew_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn still_holds(&self) -> bool {
        self.ends_at.is_some_and(|at| at > Instant::now())
    }
}

#[derive(Deserialize)]
pub(super) struct Vended {
    token: String,
    /// Seconds since the Unix epoch, or milliseconds, by its size.
    #[serde(default, rename = "expiresAt", alias = "expires_at")]
    expires_at: Option<serde_json::Value>,
}

/// A time since the Unix epoch: in milliseconds, if in seconds it would be beyond the year 5000.
fn seconds(number: &serde_json::Value) -> Option<Duration> {
    let number = number.as_u64()?;
    Some(match number > 100_000_000_000 {
        true => Duration::from_millis(number),
        false => Duration::from_secs(number),
    })
}
