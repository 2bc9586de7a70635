//! Momento accounts: what a key is, which hosts an account has, and tokens minted for players.
//!
//! Tokens come of one call, `GenerateDisposableToken`, which Momento serves as gRPC-Web for its
//! SDK in browsers. That is one message in one POST, so no gRPC is needed.

mod grpc_web;
mod key;
mod wire;

use std::fmt;
use std::time::Duration;

use prost::Message as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::{Semaphore, TryAcquireError};

pub use self::key::{Key, KeyError, REGIONS, endpoint_of};
use self::wire::{DisposableToken, GenerateDisposableToken};
use crate::fetch::{FetchError, client, message, read, retry_after, shown};
use crate::token::{self, Role};

/// How long a token lasts at most.
pub const LIFETIME_MAX: Duration = Duration::from_secs(25 * 3_600);

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes. A token has less than 2 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Calls that run or wait at once; a further one is refused. An account has 5 a second.
const CALLS_MAX: usize = 32;

/// What the official SDK sends, and gets.
const GRPC_WEB_TEXT: &str = "application/grpc-web-text";

const METHOD: &str = "token.Token/GenerateDisposableToken";

/// A token for one player.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    /// In the form that Momento's SDKs hand out: base64 of `{"endpoint":…,"api_key":…}`.
    pub token: String,
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why no token was minted. The key is not in here.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Momento can't be reached.
    #[error("Momento: {0}")]
    Fetch(#[from] FetchError),
    /// Too many tokens are asked for.
    #[error("Momento: too many tokens are asked for{message}")]
    Busy {
        /// What Momento said, after a colon.
        message: String,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// Momento says no.
    #[error(
        "Momento refused to mint a token ({status}){message}{}",
        advice(status)
    )]
    Refused {
        /// gRPC's or HTTP's word for it.
        status: String,
        /// What it said, after a colon.
        message: String,
    },
    /// What came is no token.
    #[error("Momento's answer is no token: {0}")]
    Malformed(&'static str),
}

/// What a person can do about a refusal.
fn advice(status: &str) -> &'static str {
    match status {
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => {
            "; the API key must be one that may mint tokens, and of the endpoint's region"
        }
        _ => "",
    }
}

/// Mints tokens with an account's key.
pub struct Minter {
    client: Client,
    url: Url,
    key: Key,
    /// The endpoint in tokens, if Momento names none.
    endpoint: String,
    calls: Semaphore,
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_str();
        f.debug_struct("Minter")
            .field("url", &url)
            .finish_non_exhaustive()
    }
}

/// Why there can be no minter.
#[derive(Debug, thiserror::Error)]
pub enum MinterError {
    /// The endpoint is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The TLS roots of this system can't be read.
    #[error("{0}")]
    Tls(#[from] FetchError),
}

impl Minter {
    /// Mints with `key`, at the endpoint of the key or at the one given: a region, such as
    /// `us-west-2`, a host without what comes before its cell, or an address, which stands for
    /// itself.
    ///
    /// # Errors
    /// The key has no endpoint and none is given, or it is none; or this system has no TLS roots
    /// that can be read.
    pub fn new(key: Key, endpoint: Option<&str>) -> Result<Self, MinterError> {
        let (endpoint, base) = key.endpoint(endpoint)?;
        let mut url = base;
        url.set_path(&format!("{}/{METHOD}", url.path().trim_end_matches('/')));
        // A key goes nowhere else.
        let client = client(&url).redirect(Policy::none()).timeout(PATIENCE);
        Ok(Self {
            client: client.build().map_err(FetchError::from)?,
            url,
            key,
            endpoint,
            calls: Semaphore::new(CALLS_MAX),
        })
    }

    /// Mints a token that lets the holder called `id` do what `role` says on one topic, for a time
    /// of at most [`LIFETIME_MAX`].
    ///
    /// # Errors
    /// [`MintError`].
    pub async fn mint(
        &self,
        cache: &str,
        topic: &str,
        role: Role,
        id: &str,
        lifetime: Duration,
    ) -> Result<Minted, MintError> {
        let _permit = self.calls.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits | TryAcquireError::Closed => MintError::Busy {
                message: String::new(),
                retry_after: None,
            },
        })?;
        let seconds = lifetime.min(LIFETIME_MAX).as_secs();
        let request = GenerateDisposableToken::new(
            self.key.secret(),
            (cache, topic, role),
            id,
            u32::try_from(seconds).unwrap_or(u32::MAX),
        );
        let answer = self.call(&request.encode_to_vec()).await?;
        let minted = DisposableToken::decode(&*answer)
            .map_err(|_| MintError::Malformed("it is no such message"))?;
        if minted.api_key.is_empty() || minted.api_key.chars().any(char::is_control) {
            return Err(MintError::Malformed("it has no key"));
        }
        let endpoint = match minted.endpoint.as_str() {
            "" => &self.endpoint,
            endpoint => endpoint,
        };
        Ok(Minted {
            token: token::wrap(&minted.api_key, endpoint),
            expires_at: minted.valid_until,
        })
    }

    /// The message that answers one.
    async fn call(&self, sent: &[u8]) -> Result<Vec<u8>, MintError> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, GRPC_WEB_TEXT)
            .header(ACCEPT, GRPC_WEB_TEXT)
            .header("x-grpc-web", "1")
            .body(grpc_web::request(sent));
        let mut response = request.send().await.map_err(FetchError::from)?;
        let body = read(&mut response, ANSWER_BYTES_MAX).await?;
        let status = response.status();
        let told = |text: &str| match shown(&self.without_key(text)).as_str() {
            "" => String::new(),
            text => format!(": {text}"),
        };
        if !status.is_success() {
            // Before it is cut, so that no part of a key is left.
            let body = self.without_key(&String::from_utf8_lossy(&body));
            let message = message(body.as_bytes());
            return Err(match status.as_u16() {
                429 => MintError::Busy {
                    message,
                    retry_after: retry_after(&response),
                },
                status => MintError::Refused {
                    status: status.to_string(),
                    message,
                },
            });
        }
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let is_text = match header("content-type").unwrap_or_default() {
            kind if kind.starts_with(GRPC_WEB_TEXT) => true,
            kind if kind.starts_with("application/grpc") => false,
            _ => return Err(MintError::Malformed("it is no gRPC-Web")),
        };
        let answer = grpc_web::answer(&body, is_text).map_err(MintError::Malformed)?;
        // An answer without a message may have its end in the headers.
        let headers = [header("grpc-status"), header("grpc-message")];
        let [code, text] = headers.map(|value| value.unwrap_or_default().to_owned());
        let end = answer.end.unwrap_or(grpc_web::End::new(&code, &text));
        match (end.code, answer.message) {
            (Some(0), Some(message)) => Ok(message),
            (Some(0), None) => Err(MintError::Malformed("it is empty")),
            (Some(grpc_web::RESOURCE_EXHAUSTED), _) => Err(MintError::Busy {
                message: told(&end.message),
                retry_after: retry_after(&response),
            }),
            (Some(code), _) => Err(MintError::Refused {
                status: grpc_web::word(code),
                message: told(&end.message),
            }),
            (None, _) => Err(MintError::Malformed("it is cut short")),
        }
    }

    /// What a service says, should it say our key.
    fn without_key(&self, text: &str) -> String {
        text.replace(self.key.secret(), "…")
    }
}
