//! Credentials at hand: got once, and got again before they end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{BadCredentials, Clock, Credentials, Place, instance, profile};
use crate::fetch::FetchError;

/// Credentials that end sooner than this are got anew. Those of an instance are renewed there at
/// least 5 minutes before.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);

/// No place is asked sooner again than this, whatever it answers.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why there are no credentials. No part of them is in here.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A profile has none.
    #[error(transparent)]
    Profile(#[from] profile::ProfileError),
    /// A file can't be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Nobody answers.
    #[error("{0}: {1}")]
    Fetch(&'static str, FetchError),
    /// What was asked refuses.
    #[error("{who} answered {status}{message}")]
    Status {
        /// What was asked.
        who: &'static str,
        /// The HTTP status.
        status: u16,
        /// What it said, after a colon.
        message: String,
    },
    /// The instance has no role.
    #[error("this instance has no role: attach one, or set AWS_ACCESS_KEY_ID or AWS_PROFILE")]
    NoRole,
    /// The metadata service has none for the role.
    #[error("the role's credentials are not there: {0}")]
    Code(String),
    /// What came are no credentials.
    #[error("what was answered are no credentials")]
    Malformed,
    /// A part of them can't be sent.
    #[error(transparent)]
    Bad(#[from] BadCredentials),
    /// They could not be had a moment ago.
    #[error("{0}")]
    Lately(Arc<Self>),
}

impl CredentialsError {
    /// Whether there are none until somebody changes something.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Profile(_) | Self::File(..) | Self::NoRole | Self::Bad(_) => true,
            Self::Fetch(..) | Self::Status { .. } | Self::Code(_) | Self::Malformed => false,
            Self::Lately(error) => error.is_refusal(),
        }
    }
}

/// Gives credentials that are good now.
#[derive(Debug)]
pub struct Keyring {
    place: Place,
    clock: Clock,
    client: Option<reqwest::Client>,
    /// Held while a place is asked, so that one asks and the others wait for that.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Credentials>,
    /// Whether AWS takes those no more.
    is_refused: bool,
    /// When the place was last asked, and why in vain.
    asked: Option<(Instant, Option<Arc<CredentialsError>>)>,
}

impl Keyring {
    /// Credentials of a place, which is asked when they are needed.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn new(place: Place, clock: Clock) -> reqwest::Result<Self> {
        let client = match &place {
            Place::Container { url, .. } => Some(instance::asker(url)?),
            Place::Instance { endpoint } => Some(instance::asker(endpoint)?),
            Place::Given(_) | Place::Profile { .. } => None,
        };
        Ok(Self {
            place,
            clock,
            client,
            state: Mutex::default(),
        })
    }

    /// The credentials to sign with now.
    ///
    /// # Errors
    /// There are none, or they have ended and can't be renewed.
    pub async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        if let Place::Given(credentials) = &self.place {
            return Ok(credentials.clone());
        }
        let now = (self.clock)();
        let mut state = self.state.lock().await;
        let lately = match &state.asked {
            Some((at, why)) if at.elapsed() < ASKED_AGAIN_AFTER => Some(why.clone()),
            _ => None,
        };
        let is_good = |held: &Credentials, for_at_least: Duration| {
            held.expires_at.is_none_or(|end| now + for_at_least < end)
        };
        let is_refused = state.is_refused;
        match (&state.held, lately) {
            (Some(held), _) if !is_refused && is_good(held, RENEWED_BEFORE) => {
                return Ok(held.clone());
            }
            // An outage there leaves credentials that end soon, or have ended; AWS may still take
            // them, or take those again that it has just refused.
            (Some(held), Some(None)) => return Ok(held.clone()),
            (Some(held), Some(Some(_))) if !is_refused && is_good(held, Duration::ZERO) => {
                return Ok(held.clone());
            }
            (_, Some(Some(why))) => return Err(CredentialsError::Lately(why)),
            _ => {}
        }
        let got = self.ask().await;
        let asked = Instant::now();
        match got {
            Ok(credentials) => {
                state.asked = Some((asked, None));
                state.is_refused = false;
                Ok(state.held.insert(credentials).clone())
            }
            Err(error) => {
                let error = Arc::new(error);
                state.asked = Some((asked, Some(error.clone())));
                match &state.held {
                    Some(held) if !is_refused && is_good(held, Duration::ZERO) => {
                        tracing::warn!("AWS credentials can't be renewed: {error}");
                        Ok(held.clone())
                    }
                    _ => Err(CredentialsError::Lately(error)),
                }
            }
        }
    }

    /// AWS takes these no more: the place is asked again before the next request, unless it was
    /// asked a moment ago.
    pub async fn refused(&self, refused: &Credentials) {
        let mut state = self.state.lock().await;
        if state.held.as_ref() == Some(refused) {
            state.is_refused = true;
        }
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        match (&self.place, &self.client) {
            (Place::Given(credentials), _) => Ok(credentials.clone()),
            (Place::Container { url, authorization }, Some(client)) => {
                instance::of_container(client, url, authorization).await
            }
            (Place::Instance { endpoint }, Some(client)) => {
                instance::of_instance(client, endpoint).await
            }
            (
                Place::Profile {
                    credentials,
                    config,
                    name,
                },
                _,
            ) => {
                let credentials = file_if_any(credentials).await?;
                let config = file_if_any(config).await?;
                Ok(profile::credentials(&credentials, &config, name)?)
            }
            // Both have their client from the start.
            (Place::Container { .. } | Place::Instance { .. }, None) => {
                Err(CredentialsError::Malformed)
            }
        }
    }
}

/// A file's text; that of one that isn't there is empty.
async fn file_if_any(path: &Path) -> Result<String, CredentialsError> {
    match file(path).await {
        Err(CredentialsError::File(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(String::new())
        }
        text => text,
    }
}

/// A file's text, of at most [`FILE_BYTES_MAX`].
pub(super) async fn file(path: &Path) -> Result<String, CredentialsError> {
    use std::io::Read as _;

    let read = {
        let path = path.to_owned();
        move || {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
            Ok(text)
        }
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    read.map_err(|error| CredentialsError::File(path.to_owned(), error))
}
