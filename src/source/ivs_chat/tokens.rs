//! Chat tokens: each opens one connection.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use super::Address;
use crate::aws::{Arn, AwsError, Client, Credentials, Place, PlaceError};
use crate::calendar::iso_8601;
use crate::fetch::{FetchError, client, is_loopback, message, read, retry_after};
use crate::source::address::{AddressError, Secrets};
use crate::source::retry::Failure;
use crate::source::since_epoch;

/// Where a chat token is looked for.
pub(super) const TOKEN: &str = "IVS_CHAT_TOKEN";

/// The longest session that there is, in minutes, which is what we ask for.
const SESSION_MAX_MINUTES: u64 = 180;
const SESSION_MAX: Duration = Duration::from_secs(SESSION_MAX_MINUTES * 60);

/// How long a session lasts of which nothing is said.
const SESSION_DEFAULT: Duration = Duration::from_secs(3_600);

/// How long before its end a session is renewed, or a quarter of it if that is less.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);

/// How long an application may take to give a token.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer of an application that is read, and the longest token, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token, and how long the session lasts that it opens.
pub(super) struct Ticket {
    pub(super) token: String,
    session: Duration,
}

impl Ticket {
    /// `ends_at` is when its session ends, since the Unix epoch, if that is said.
    fn new(token: String, ends_at: Option<Duration>, asked: Option<Duration>) -> Self {
        let left = ends_at.map(|at| at.saturating_sub(since_epoch()));
        // An end that is past, or later than any, is that of a clock that is wrong.
        let left = left.filter(|left| (Duration::from_secs(1)..=SESSION_MAX).contains(left));
        Self {
            token,
            session: left.or(asked).unwrap_or(SESSION_DEFAULT),
        }
    }

    /// How long after its beginning the session is to be renewed.
    pub(super) fn renewed_after(&self) -> Duration {
        self.session - RENEWED_BEFORE.min(self.session / 4)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Where tokens come from.
pub(super) enum Tokens {
    /// This one.
    Given(String),
    /// An application's address, and what it is sent.
    Vended {
        client: reqwest::Client,
        url: Url,
        request: Value,
    },
    /// AWS, for a room.
    Made(Box<Maker>),
}

/// What makes tokens.
pub(super) struct Maker {
    client: Client,
    room: Arn,
    user: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::Vended { .. } => "Vended",
            Self::Made(_) => "Made",
        })
    }
}

impl Tokens {
    pub(super) fn of(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let tls = |error| AddressError::new(FetchError::from(error));
        // What opens the connection needs it too.
        crate::fetch::use_ring();
        let user = address.user.clone();
        let user = user.unwrap_or_else(|| format!("floatup-{:016x}", rand::random::<u64>()));
        if let Some(url) = &address.tokens {
            let client = client(url).redirect(Policy::none()).timeout(PATIENCE);
            return Ok(Self::Vended {
                client: client.build().map_err(tls)?,
                url: url.clone(),
                request: request(address.room.as_ref(), &user),
            });
        }
        if let Some(token) = secrets.get(TOKEN) {
            return Ok(Self::Given(token.trim().to_owned()));
        }
        let Some(room) = &address.room else {
            return Err(AddressError(format!(
                "{address} needs a token: set {TOKEN}, or ?tokens=URL of an application that gives \
                 them, or name the room's ARN and set AWS credentials"
            )));
        };
        let place = place(address, secrets)?;
        let client = Client::new(place, address.endpoint.clone(), since_epoch);
        Ok(Self::Made(Box::new(Maker {
            client: client.map_err(tls)?,
            room: room.clone(),
            user,
        })))
    }

    /// A token for one connection.
    pub(super) async fn next(&self) -> Result<Ticket, Failure> {
        match self {
            Self::Given(token) => Ok(Ticket::new(token.clone(), None, None)),
            Self::Vended {
                client,
                url,
                request,
            } => vended(client, url, request).await,
            Self::Made(maker) => maker.make().await,
        }
    }

    /// Whether there is another token for the next connection.
    pub(super) fn are_several(&self) -> bool {
        !matches!(self, Self::Given(_))
    }

    /// What a person can do about the end of a session that no other could follow.
    pub(super) fn explain_end(&self, failure: Failure) -> Failure {
        match self {
            Self::Given(_) => Failure {
                is_refused: true,
                why: format!(
                    "{}; the chat token was for this one session: set a new one, or ?tokens=URL \
                     of an application that gives them",
                    failure.why
                ),
                ..failure
            },
            Self::Vended { .. } | Self::Made(_) => failure,
        }
    }

    /// What a person can do about a connection that was refused.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        let advice = match self {
            _ if !failure.is_refused => return failure,
            Self::Given(_) => {
                "a chat token opens one connection, within a minute or so: set a new one, or \
                 ?tokens=URL of an application that gives them"
            }
            Self::Vended { .. } => "the application's tokens must be of this region and not used",
            Self::Made(_) => return failure,
        };
        Failure {
            why: format!("{}; {advice}", failure.why),
            ..failure
        }
    }
}

/// Where the credentials are that make tokens.
fn place(address: &Address, secrets: &Secrets) -> Result<Place, AddressError> {
    let env = |name: &str| secrets.variables.get(name).cloned();
    let is_own = address.endpoint.as_ref().is_some_and(is_loopback);
    match Place::from_env(&env, &Path::is_file) {
        // A floatup on this machine takes any.
        Ok(Place::Instance { .. }) | Err(PlaceError::Nowhere | PlaceError::WebIdentity)
            if is_own =>
        {
            let credentials = Credentials::new("floatup", "floatup", None);
            Ok(Place::Given(credentials.map_err(AddressError::new)?))
        }
        place => place.map_err(AddressError::new),
    }
}

/// What applications in the field want to be sent.
fn request(room: Option<&Arn>, user: &str) -> Value {
    let mut request = json!({
        "userId": user,
        "attributes": { "username": user },
        "capabilities": [],
        "durationInMinutes": SESSION_MAX_MINUTES,
        "sessionDurationInMinutes": SESSION_MAX_MINUTES,
    });
    if let Some(room) = room {
        for name in ["arn", "roomIdentifier"] {
            request[name] = room.as_str().into();
        }
    }
    request
}

async fn vended(client: &reqwest::Client, url: &Url, request: &Value) -> Result<Ticket, Failure> {
    let host = url.host_str().unwrap_or_default();
    let failed = |error: FetchError| Failure::passing(format!("tokens of {host}: {error}"));
    let sent = client.post(url.clone()).json(request).send().await;
    let mut response = sent.map_err(|error| failed(error.into()))?;
    let body = read(&mut response, ANSWER_BYTES_MAX)
        .await
        .map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let why = format!("tokens of {host}: answered {status}{}", message(&body));
        let passes = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        let failure = match passes {
            true => Failure::passing(why),
            false => Failure::refused(format!("{why}; ?tokens= must name what gives chat tokens")),
        };
        return Err(failure.with_pause(retry_after(&response)));
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    ticket(&answer, None).ok_or_else(|| {
        Failure::refused(format!(
            "tokens of {host}: answered without a token; expected {{\"token\":…}}"
        ))
    })
}

impl Maker {
    async fn make(&self) -> Result<Ticket, Failure> {
        let request = json!({
            "roomIdentifier": self.room.as_str(),
            "userId": self.user,
            "sessionDurationInMinutes": SESSION_MAX_MINUTES,
        });
        let region = self.room.region();
        let answer = self
            .client
            .call("ivschat", region, "CreateChatToken", &request);
        let answer = answer.await.map_err(|error| failure(&error))?;
        let none = || Failure::passing("CreateChatToken answered without a token");
        ticket(&answer, Some(SESSION_MAX)).ok_or_else(none)
    }
}

/// The token of an answer, whose members may be in any case.
fn ticket(answer: &Value, asked: Option<Duration>) -> Option<Ticket> {
    let member = |name: &str| {
        let mut all = answer.as_object()?.iter();
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.as_str()
    };
    let token = member("token").or(answer.as_str())?.trim();
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    let ends_at = member("sessionExpirationTime").and_then(iso_8601);
    is_token.then(|| Ticket::new(token.to_owned(), ends_at, asked))
}

/// What a person is told of a call that failed.
fn failure(error: &AwsError) -> Failure {
    let advice = match (error.kind(), error) {
        ("AccessDeniedException" | "AccessDenied", _) => {
            "; allow these credentials ivschat:CreateChatToken on this room"
        }
        ("ResourceNotFoundException", _) => "; name the ARN of a room that exists",
        ("PendingVerification", _) => "; AWS is checking this account",
        ("UnrecognizedClientException" | "InvalidClientTokenId" | "ExpiredTokenException", _) => {
            "; set AWS credentials that are good"
        }
        ("InvalidSignatureException" | "SignatureDoesNotMatch", _) => {
            "; check AWS_SECRET_ACCESS_KEY"
        }
        _ => "",
    };
    let why = format!("{error}{advice}");
    let failure = match error {
        AwsError::Credentials(credentials) if credentials.is_refusal() => Failure::refused(why),
        error if error.is_refusal() => Failure::refused(why),
        _ => Failure::passing(why),
    };
    failure.with_pause(error.retry_after())
}
