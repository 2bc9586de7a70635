//! Calls of services that take JSON and give JSON.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use serde_json::Value as Json;

use super::sign::{Request, Scope, authorization};
use super::{Clock, Credentials, CredentialsError, Keyring, Place, is_region};
use crate::calendar::{basic, http_date};
use crate::fetch::{FetchError, client, read, retry_after, shown};

/// How long a call may take, from the first byte of the request to the last of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// AWS takes a signature that is up to 5 minutes off. A clock that is further off than this is
/// corrected.
const SKEW_S: i64 = 4 * 60;

/// Errors of a signature, which a clock that is wrong causes too.
const CLOCK_ERRORS: [&str; 6] = [
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestInTheFuture",
    "AuthFailure",
];

/// Errors of credentials that have been good.
const CREDENTIAL_ERRORS: [&str; 5] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidToken",
];

/// Why a call has no answer. No part of the credentials is in here.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// Nothing to sign with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The service can't be reached.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The service says no.
    #[error("{action} answered {status} {kind}{message}")]
    Refused {
        /// What was called.
        action: &'static str,
        /// The HTTP status.
        status: u16,
        /// The error's type, such as `ResourceNotFoundException`; empty if there is none.
        kind: String,
        /// What it said, after a colon; empty if it said nothing.
        message: String,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// The answer is no JSON.
    #[error("{0} answered what is no JSON")]
    Malformed(&'static str),
    /// A region that can't be one.
    #[error("{0:?} is no region")]
    Region(String),
}

impl AwsError {
    /// The error's type, if the service named one.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Refused { kind, .. } => kind,
            _ => "",
        }
    }

    /// Too many calls: the service takes more later.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        match self {
            Self::Refused { status: 429, .. } => true,
            Self::Refused { kind, .. } => {
                kind.contains("Throttl") || kind.contains("TooManyRequests")
            }
            _ => false,
        }
    }

    /// Whether to call again can't help until somebody changes something: the settings, the
    /// rights or the resource.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                (400..500).contains(status) && *status != 408 && !self.is_throttled()
            }
            Self::Region(_) => true,
            Self::Credentials(_) | Self::Fetch(_) | Self::Malformed(_) => false,
        }
    }

    /// The pause that the service asks for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Calls services with the credentials of one place.
pub struct Client {
    http: reqwest::Client,
    keyring: Keyring,
    clock: Clock,
    /// In place of the services' own addresses.
    endpoint: Option<Url>,
    /// How far the clock of AWS is ahead of ours, in seconds.
    skew_s: AtomicI64,
}

/// When a request was signed, and how far that was ahead of our clock.
#[derive(Clone, Copy, Debug)]
struct SignedAt {
    at_s: i64,
    skew_s: i64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = &mut f.debug_struct("Client");
        fields
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// What calls services with credentials of `place`: those of AWS, or all at `endpoint`, which
    /// may have a base path.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn new(place: Place, endpoint: Option<Url>, clock: Clock) -> reqwest::Result<Self> {
        // A signed request goes where it was signed for.
        let http = match &endpoint {
            Some(endpoint) => client(endpoint),
            None => crate::fetch::any_client(),
        };
        Ok(Self {
            http: http.redirect(Policy::none()).timeout(PATIENCE).build()?,
            keyring: Keyring::new(place, clock)?,
            clock,
            endpoint,
            skew_s: AtomicI64::new(0),
        })
    }

    /// Calls an action of a service, `https://{service}.{region}.amazonaws.com/{action}`, with a
    /// JSON object; gives its answer, null if that is empty.
    ///
    /// A clock that is more than 4 minutes off is noticed, and corrected by the service's.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn call(
        &self,
        service: &'static str,
        region: &str,
        action: &'static str,
        sent: &Json,
    ) -> Result<Json, AwsError> {
        let url = self.url(service, region, action)?;
        let body = sent.to_string().into_bytes();
        let credentials = self.keyring.credentials().await?;
        let scope = (service, region, action);
        let (mut response, signed_at) = self.send(&url, scope, &body, &credentials).await?;
        let mut answer = read(&mut response, ANSWER_BYTES_MAX).await?;
        if response.status().is_success() {
            return parse(action, &answer);
        }
        let mut error = refusal(action, &response, &answer);
        if CLOCK_ERRORS.contains(&error.kind()) && self.correct_clock(&response, signed_at) {
            (response, _) = self.send(&url, scope, &body, &credentials).await?;
            answer = read(&mut response, ANSWER_BYTES_MAX).await?;
            if response.status().is_success() {
                return parse(action, &answer);
            }
            error = refusal(action, &response, &answer);
        }
        if CREDENTIAL_ERRORS.contains(&error.kind()) {
            self.keyring.refused(&credentials).await;
        }
        Err(error)
    }

    fn url(&self, service: &str, region: &str, action: &str) -> Result<Url, AwsError> {
        let mut url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None if is_region(region) => {
                let url = format!("https://{service}.{region}.amazonaws.com");
                url.parse().map_err(|_| AwsError::Region(region.into()))?
            }
            None => return Err(AwsError::Region(region.into())),
        };
        let path = format!("{}/{action}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        Ok(url)
    }

    async fn send(
        &self,
        url: &Url,
        (service, region, _): (&str, &str, &str),
        body: &[u8],
        credentials: &Credentials,
    ) -> Result<(Response, SignedAt), AwsError> {
        let skew_s = self.skew_s.load(Ordering::Relaxed);
        let now_s = i64::try_from((self.clock)().as_secs()).unwrap_or(i64::MAX);
        let at_s = now_s.saturating_add(skew_s).max(0);
        let signed_at = SignedAt { at_s, skew_s };
        let date = basic(Duration::from_secs(at_s.unsigned_abs()));
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let mut headers = vec![
            ("content-type", "application/json"),
            ("host", host.as_str()),
            ("x-amz-date", date.as_str()),
        ];
        if let Some(token) = credentials.session_token() {
            headers.push(("x-amz-security-token", token));
        }
        let signed = Request {
            method: "POST",
            path: url.path(),
            headers: &headers,
            body,
        };
        let scope = Scope {
            region,
            service,
            date: &date,
        };
        let mut request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("x-amz-date", &date)
            .header(AUTHORIZATION, authorization(&signed, scope, credentials));
        if let Some(token) = credentials.session_token() {
            request = request.header("x-amz-security-token", token);
        }
        let sent = request.body(body.to_vec()).send().await;
        Ok((sent.map_err(FetchError::from)?, signed_at))
    }

    /// Takes the clock of an answer, if ours is too far off. Whether it was.
    fn correct_clock(&self, response: &Response, signed_at: SignedAt) -> bool {
        let date = response.headers().get(DATE);
        let date = date.and_then(|date| http_date(date.to_str().ok()?));
        let Some(date_s) = date.and_then(|date| i64::try_from(date.as_secs()).ok()) else {
            return false;
        };
        let off_s = date_s - signed_at.at_s;
        if off_s.abs() <= SKEW_S {
            return false;
        }
        // Not added to what is there: another call may have corrected it meanwhile.
        let skew_s = signed_at.skew_s + off_s;
        self.skew_s.store(skew_s, Ordering::Relaxed);
        tracing::warn!(
            "this machine's clock is {skew_s} s off, by that of AWS; requests are signed with theirs"
        );
        true
    }
}

fn parse(action: &'static str, answer: &[u8]) -> Result<Json, AwsError> {
    match answer.trim_ascii() {
        [] => Ok(Json::Null),
        answer => serde_json::from_slice(answer).map_err(|_| AwsError::Malformed(action)),
    }
}

/// An error answer: its type is in a header or in the body, after a namespace or before an address.
fn refusal(action: &'static str, response: &Response, answer: &[u8]) -> AwsError {
    let body: Json = serde_json::from_slice(answer).unwrap_or_default();
    let member = |names: [&str; 3]| names.iter().find_map(|name| body.get(name)?.as_str());
    let header = response.headers().get("x-amzn-errortype");
    let kind = header.and_then(|kind| kind.to_str().ok());
    let kind = kind
        .or_else(|| member(["__type", "code", "Code"]))
        .unwrap_or_default();
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let is_letter = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    // What is wrong with a signature is said with what was signed, tokens too, from the second
    // line on.
    let message = member(["message", "Message", "exceptionMessage"]).unwrap_or_default();
    let message = shown(message.lines().next().unwrap_or_default());
    AwsError::Refused {
        action,
        status: response.status().as_u16(),
        kind: kind.chars().filter(is_letter).take(80).collect(),
        message: match message.as_str() {
            "" => message,
            message => format!(": {message}"),
        },
        retry_after: retry_after(response),
    }
}
