//! NATS subjects: as they are published, or out of a JetStream stream.
//!
//! Core NATS keeps nothing: what is published while nobody listens is gone. A stream is read from a
//! sequence number, so that a reader that comes back misses nothing.

mod core;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;

use self::stream::Place;
use super::address::{AddressError, Parts, Secrets, url};
use super::broker::{CONNECT_TIMEOUT, Host, Login};
use super::inbox::Inbox;
use super::retry::{Backoff, Failure};
/// Where a token, a user and password, or the path of a credentials file are looked for.
pub(super) const VARIABLES: &[&str] = &["NATS_TOKEN", "NATS_USER", "NATS_PASSWORD", "NATS_CREDS"];

/// How a credentials file begins.
const CREDENTIALS_HEAD: &str = "-----BEGIN NATS USER JWT-----";

/// The longest credentials file that is read.
const CREDENTIALS_BYTES_MAX: usize = 64 * 1024;

/// Messages that wait to be taken. What comes while they are that many is dropped: counted as lost,
/// or, of a stream, asked for again.
const WAITING_MAX: usize = 16_384;

/// Events of a connection that wait to be read. Others that don't fit are dropped: that a connection
/// is lost shows by its messages, too.
const EVENTS_MAX: usize = 16;

/// A server that doesn't answer two pings, this far apart, is gone.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// The library's own attempt to connect again comes so late that it finds nobody who waits for it:
/// each connection is a session of ours.
const LIBRARY_RETRY: Duration = Duration::from_secs(2);

/// `nats://HOST:4222/SUBJECT`, in which `*` and `>` are wildcards, perhaps with `?stream=NAME`;
/// `tls://` for TLS in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    host: Host,
    is_tls: bool,
    subject: String,
    stream: Option<String>,
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parts = Parts::of(text, &["stream"])?;
        let url = url(parts.path, &["nats", "tls"])?;
        let subject = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
        let subject = subject.ok().filter(|subject| is_subject(subject));
        let subject = subject.ok_or_else(|| {
            AddressError::new(format_args!(
                "{text:?}: expected nats://HOST/SUBJECT, in which * stands for one part and > at \
                 the end for all that follow"
            ))
        })?;
        let stream = match parts.option("stream") {
            Some(name) if !is_stream_name(name) => {
                return Err(AddressError::new(
                    "stream: expected a name without spaces, dots, wildcards and slashes",
                ));
            }
            name => name.map(str::to_owned),
        };
        Ok(Self {
            text: text.to_owned(),
            host: Host::of(&url, 4222),
            is_tls: url.scheme() == "tls",
            subject: subject.into_owned(),
            stream,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a text can be subscribed to: parts between dots, of which a wildcard is one whole.
fn is_subject(text: &str) -> bool {
    let mut parts = text.split('.').rev();
    let is_part = |part: &str| {
        let is_plain = !part.contains(['*', '>']) || part == "*";
        let is_text = !part.contains(|c: char| c.is_whitespace() || c.is_control());
        !part.is_empty() && is_plain && is_text
    };
    parts
        .next()
        .is_some_and(|last| last == ">" || is_part(last))
        && parts.all(is_part)
}

fn is_stream_name(text: &str) -> bool {
    let is_bad =
        |c: char| c.is_whitespace() || c.is_control() || ['.', '*', '>', '/', '\\'].contains(&c);
    (1..=255).contains(&text.len()) && !text.contains(is_bad)
}

/// How a reader shows who it is.
#[derive(Clone)]
enum Proof {
    Token(String),
    User(Login),
    Credentials(String),
}

impl Proof {
    /// The source's own secret, or else what the variables say.
    fn of(secrets: &Secrets) -> Result<Option<Self>, AddressError> {
        if let Some(own) = &secrets.own {
            let own = own.trim_end_matches(['\r', '\n']);
            return Ok(Some(match own.contains(':') {
                _ if own.contains(CREDENTIALS_HEAD) => Self::Credentials(own.to_owned()),
                true => Self::User(Login::parse(own)),
                false => Self::Token(own.to_owned()),
            }));
        }
        if let Some(path) = secrets.variables.get("NATS_CREDS") {
            let told = |why: &dyn fmt::Display| {
                AddressError::new(format_args!("NATS_CREDS: {path:?}: {why}"))
            };
            let file = std::fs::read_to_string(path).map_err(|error| told(&error))?;
            if !file.contains(CREDENTIALS_HEAD) || file.len() > CREDENTIALS_BYTES_MAX {
                return Err(told(&"this is no credentials file"));
            }
            return Ok(Some(Self::Credentials(file)));
        }
        if let Some(token) = secrets.variables.get("NATS_TOKEN") {
            return Ok(Some(Self::Token(token.clone())));
        }
        let login = Login::of(secrets, "NATS_USER", "NATS_PASSWORD")?;
        Ok(login.map(Self::User))
    }

    fn options(proof: Option<&Self>) -> Result<ConnectOptions, AddressError> {
        let options = ConnectOptions::new();
        Ok(match proof {
            None => options,
            Some(Self::Token(token)) => options.token(token.clone()),
            Some(Self::User(Login { user, password })) => {
                options.user_and_password(user.clone().unwrap_or_default(), password.clone())
            }
            Some(Self::Credentials(text)) => options
                .credentials(text)
                .map_err(|_| AddressError::new("the NATS credentials are malformed"))?,
        })
    }
}

/// A server's subject or stream.
pub struct Nats {
    address: Address,
    proof: Option<Proof>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Nats {
    /// The subject at an address, read by whom the secrets say: a token, `USER:PASSWORD`, the text
    /// of a credentials file, or the variables [`VARIABLES`].
    pub(super) fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let proof = Proof::of(secrets)?;
        Proof::options(proof.as_ref())?;
        Ok(Self {
            address: address.clone(),
            proof,
        })
    }

    /// Follows the subject for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut place = Place::default();
        let mut backoff = Backoff::default();
        loop {
            let failure = self.session(&mut place, inbox).await;
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }

    /// Follows the subject until the connection is over.
    async fn session(&self, place: &mut Place, inbox: &Inbox) -> Failure {
        let mut link = match self.connect().await {
            Ok(link) => link,
            Err(failure) => return failure,
        };
        match &self.address.stream {
            None => self.core(&mut link, inbox).await,
            Some(stream) => self.stream(&mut link, stream, place, inbox).await,
        }
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let options = Proof::options(self.proof.as_ref()).map_err(Failure::refused)?;
        let options = options
            .name("floatup")
            .require_tls(self.address.is_tls)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(CONNECT_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(WAITING_MAX)
            .ignore_discovered_servers()
            .max_reconnects(1)
            .reconnect_delay_callback(first_at_once())
            .event_callback(move |event| {
                if let Event::SlowConsumer(_) = event {
                    counter.fetch_add(1, Ordering::Relaxed);
                } else if !matches!(event, Event::Connected) {
                    drop(sender.try_send(event));
                }
                std::future::ready(())
            });
        let scheme = if self.address.is_tls { "tls" } else { "nats" };
        let connected = options
            .connect(format!("{scheme}://{}", self.address.host))
            .await;
        Ok(Link {
            client: connected.map_err(|error| self.unconnected(&error))?,
            events,
            dropped,
        })
    }

    /// What a person is told of a connection that could not be had.
    fn unconnected(&self, error: &ConnectError) -> Failure {
        let host = &self.address.host;
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                self.unauthorized()
            }
            _ => Failure::passing(format_args!("{host}: {error}")),
        }
    }

    fn unauthorized(&self) -> Failure {
        let what = match self.proof {
            Some(_) => "refuses what it is given",
            None => "wants to know who reads",
        };
        Failure::refused(format_args!(
            "{}: it {what}; give NATS_TOKEN, NATS_USER and NATS_PASSWORD, or NATS_CREDS, or one of \
             them as the source's secret",
            self.address.host
        ))
    }

    /// What a person is told of a connection that is over.
    fn lost(&self) -> Failure {
        let hint = match self.address.stream {
            Some(_) => "",
            None => "; messages sent meanwhile are lost, core NATS keeps none",
        };
        Failure::passing(format_args!(
            "{}: the connection is lost{hint}",
            self.address.host
        ))
    }

    /// Why a session is over, by an event of its connection; `None` if it is not.
    fn ended(&self, event: Option<&Event>) -> Option<Failure> {
        let (host, subject) = (&self.address.host, &self.address.subject);
        match event {
            None | Some(Event::Disconnected | Event::Closed | Event::Draining) => Some(self.lost()),
            Some(Event::ServerError(ServerError::AuthorizationViolation)) => {
                Some(self.unauthorized())
            }
            Some(Event::ServerError(ServerError::Other(text))) => {
                let is_ours = text.contains(&format!("\"{subject}\""));
                // A stream is asked for, and then says what it has: all of that is needed.
                if is_violation(text) && (is_ours || self.address.stream.is_some()) {
                    return Some(Failure::refused(format_args!(
                        "{host}: {text}; allow this user to do that"
                    )));
                }
                tracing::debug!("{host}: {text}");
                None
            }
            Some(_) => None,
        }
    }
}

/// Whether a server's error is that someone may not do what he wants.
fn is_violation(text: &str) -> bool {
    text.to_ascii_lowercase().contains("permissions violation")
}

/// The delays before the library's attempts: the first of all is ours.
fn first_at_once() -> impl Fn(usize) -> Duration + Send + Sync + 'static {
    let attempts = AtomicU64::new(0);
    move |_| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => Duration::ZERO,
        _ => LIBRARY_RETRY,
    }
}

/// One connection.
struct Link {
    client: Client,
    events: mpsc::Receiver<Event>,
    /// Messages that found no room: at least so many, of a burst the library doesn't tell all.
    dropped: Arc<AtomicU64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_server_and_a_subject() {
        let parse = |text: &str| text.parse::<Address>();
        let address = parse("nats://localhost/live.*.reactions.>").unwrap();
        assert_eq!(address.subject, "live.*.reactions.>");
        assert_eq!(address.host.to_string(), "localhost:4222");
        let text = "tls://[::1]:7/live?stream=LIVE";
        let address = parse(text).unwrap();
        assert_eq!(address.to_string(), text);
        assert!(address.is_tls);
        assert_eq!(address.stream.as_deref(), Some("LIVE"));
        for (text, told) in [
            ("nats://localhost", "expected nats://HOST/SUBJECT"),
            ("nats://localhost/a..b", "expected nats://HOST/SUBJECT"),
            ("nats://localhost/a.>.b", "> at the end"),
            ("nats://localhost/a*", "* stands for one part"),
            ("nats://localhost/a%20b", "expected nats://HOST/SUBJECT"),
            ("nats://localhost/a%0d%0aPUB", "expected nats://HOST"),
            ("nats://localhost/a?stream=", "stream: expected a name"),
            ("nats://localhost/a?stream=a.b", "stream: expected a name"),
            ("nats://secret@localhost/a", "secret_file"),
            ("nats://localhost/a?durable=b", "the options are: stream"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("secret@"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_a_token_or_a_login_or_credentials() {
        let address = "nats://localhost/a".parse().unwrap();
        let of = |own: &str| Nats::at(&address, &Secrets::of(Some(own.to_owned())));
        assert!(
            matches!(of("s3cret\n").unwrap().proof, Some(Proof::Token(token)) if token == "s3cret")
        );
        assert!(matches!(
            of("ann:s3cret").unwrap().proof,
            Some(Proof::User(_))
        ));
        assert!(!format!("{:?}", of("ann:s3cret").unwrap()).contains("s3cret"));
        let error = of(&format!("{CREDENTIALS_HEAD}\ns3cret")).unwrap_err();
        assert_eq!(error.to_string(), "the NATS credentials are malformed");
        let secrets = Secrets {
            own: None,
            variables: [("NATS_CREDS", "/nowhere/at.all".to_owned())].into(),
        };
        let error = Nats::at(&address, &secrets).unwrap_err().to_string();
        assert!(
            error.starts_with("NATS_CREDS: \"/nowhere/at.all\": "),
            "{error}"
        );
    }
}
