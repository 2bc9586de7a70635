//! Amazon Web Services: signed requests, and the credentials that sign them.
//!
//! A handful of JSON calls is all that is asked of AWS here, so this is Signature Version 4, the
//! places where credentials are kept, and one [`Client::call`]; not an SDK.

mod arn;
mod client;
mod instance;
mod keyring;
mod place;
pub mod profile;
pub mod sign;

use std::fmt;
use std::time::Duration;

pub use self::arn::{Arn, ArnError, is_region};
pub use self::client::{AwsError, Client};
pub use self::keyring::{CredentialsError, Keyring};
pub use self::place::{Authorization, Place, PlaceError};

/// The calendar's time, since the Unix epoch.
pub type Clock = fn() -> Duration;

/// The longest part of credentials that is taken, in bytes. Session tokens have no documented
/// bound; those of today have 1 to 2 KiB.
const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;

/// What signs requests. Its `Debug` form has no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    /// Since the Unix epoch; `None` if they stay good.
    expires_at: Option<Duration>,
}

/// Credentials that can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: expected 1 to {CREDENTIAL_BYTES_MAX} visible ASCII characters")]
pub struct BadCredentials(&'static str);

impl Credentials {
    /// An access key's two halves, and the session token of one that is temporary. Blanks around
    /// them don't count.
    ///
    /// # Errors
    /// [`BadCredentials`] names the part that is empty, too long, or no visible ASCII.
    pub fn new(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
    ) -> Result<Self, BadCredentials> {
        let checked = |name, text: &str| {
            let text = text.trim();
            let is_good = (1..=CREDENTIAL_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic());
            is_good.then(|| text.to_owned()).ok_or(BadCredentials(name))
        };
        let session_token = session_token.filter(|token| !token.trim().is_empty());
        Ok(Self {
            access_key_id: checked("access key id", access_key_id)?,
            secret_access_key: checked("secret access key", secret_access_key)?,
            session_token: session_token
                .map(|token| checked("session token", token))
                .transpose()?,
            expires_at: None,
        })
    }

    /// The same, good until a time since the Unix epoch.
    #[must_use]
    pub fn until(self, expires_at: Option<Duration>) -> Self {
        Self { expires_at, ..self }
    }

    /// When they end, since the Unix epoch; `None` if they don't.
    #[must_use]
    pub fn expires_at(&self) -> Option<Duration> {
        self.expires_at
    }

    /// The token of temporary ones, which a request carries.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}
