//! Amazon IVS Chat: the messages of a room, over its WebSocket.
//!
//! A session lasts at most three hours. Before it ends, a second one is opened beside it, with a
//! token of its own; what comes over both counts once, by its id. The chat keeps nothing: what is
//! said while there is no connection is lost, and nobody knows how much that was.

mod connection;
mod frame;
mod tokens;

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, sleep_until};

use self::connection::{Connection, Heard};
use self::frame::{Frame, Kind};
use self::tokens::Tokens;
use super::address::{AddressError, Parts, Secrets, url};
use super::inbox::{Arrival, Inbox};
use super::retry::{Backoff, Failure};
use super::{PLAUSIBLE, since_epoch};
use crate::aws::{Arn, is_region};
use crate::reaction::Message;

/// The environment variables in which a chat token, and credentials to make some with, are looked
/// for.
pub const VARIABLES: &[&str] = &[
    tokens::TOKEN,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "HOME",
];

/// The longest message that is looked at, in bytes. The longest that there should be, with all its
/// attributes escaped, has less than 32 KiB.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// How long the old connection is listened to when the new one is there, for what was on its way.
const OVERLAP: Duration = Duration::from_secs(3);

/// After a second connection could not be opened, until it is tried again at the earliest.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// What a room that has shown us out may have of us until we come back.
const KICKED_PAUSE: Duration = Duration::from_secs(15);

/// Ids of other sources may be the same.
const ID_PREFIX: &str = "ivs-chat:";

/// A room: `ivs-chat:ROOM_ARN`, or `ivs-chat:REGION` or `ivs-chat:wss://HOST` of which only tokens
/// know the room. The options are `tokens`, the address of an application that gives tokens;
/// `endpoint`, one that speaks for AWS, such as another floatup; and `user`, what we are called there.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was written, without the options.
    text: String,
    room: Option<Arn>,
    messaging: Url,
    tokens: Option<Url>,
    endpoint: Option<Url>,
    user: Option<String>,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parts = Parts::of(text, &["tokens", "endpoint", "user"])?;
        let (_, place) = parts.path.split_once(':').unwrap_or_default();
        let place = place.trim();
        // Without what was written, in which there may be a key.
        let bad = |name| {
            AddressError(format!(
                "?{name}: expected an address that begins with http:// or https://, without a \
                 user and password"
            ))
        };
        let http = |name| {
            let url = |text| url(text, &["http", "https"]).map_err(|_| bad(name));
            parts.option(name).map(url)
        };
        let (tokens, endpoint) = (http("tokens").transpose()?, http("endpoint").transpose()?);
        let room = match place.starts_with("arn:") {
            true => Some(Arn::parse(place, "ivschat", "room").map_err(AddressError::new)?),
            false => None,
        };
        let region = room.as_ref().map_or(place, Arn::region);
        let messaging = match &endpoint {
            _ if place.contains("://") => url(place, &["ws", "wss"])?,
            _ if !is_region(region) || !region.contains('-') => {
                return Err(AddressError(format!(
                    "{:?}: expected ivs-chat: and a room's ARN, a region, or wss://HOST",
                    parts.path
                )));
            }
            Some(endpoint) => socket_of(endpoint)?,
            None => url(
                &format!("wss://edge.ivschat.{region}.amazonaws.com"),
                &["wss"],
            )?,
        };
        let user = parts.option("user").map(str::to_owned);
        if let Some(user) = &user
            && !(1..=128).contains(&user.chars().count())
        {
            return Err(AddressError::new("?user: expected 1 to 128 characters"));
        }
        Ok(Self {
            text: format!("ivs-chat:{place}"),
            room,
            messaging,
            tokens,
            endpoint,
            user,
        })
    }
}

/// The WebSocket beside an HTTP endpoint.
fn socket_of(endpoint: &Url) -> Result<Url, AddressError> {
    let socket = match endpoint.as_str().strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}"),
        None => endpoint.as_str().replacen("http://", "ws://", 1),
    };
    url(&socket, &["ws", "wss"])
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    /// Of addresses the host alone: their queries may have keys in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<Url>| url.as_ref()?.host_str().map(str::to_owned);
        f.debug_struct("Address")
            .field("text", &self.text)
            .field("tokens", &host(&self.tokens))
            .field("endpoint", &host(&self.endpoint))
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A room that can be followed.
#[derive(Debug)]
pub struct IvsChat {
    messaging: Url,
    tokens: Tokens,
}

/// A connection that is being opened, with what counts failures.
type Opening<'a> = Pin<Box<dyn Future<Output = Opened> + Send + 'a>>;
type Opened = (Result<Connection, Failure>, Backoff);

impl IvsChat {
    /// The room at an address, with tokens of its application, or else one that was given, or else
    /// made with AWS credentials.
    ///
    /// # Errors
    /// None of these is there, or this system's TLS roots can't be read.
    pub fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        Ok(Self {
            messaging: address.messaging.clone(),
            tokens: Tokens::of(address, secrets)?,
        })
    }

    /// Follows the room for as long as the future is kept.
    pub async fn follow(self, inbox: &Inbox) -> ! {
        let mut backoff = Backoff::default();
        loop {
            let failure = match self.connect().await {
                Ok(connection) => {
                    let failure = self.session(connection, inbox).await;
                    self.tokens.explain_end(failure)
                }
                Err(failure) => failure,
            };
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let ticket = self.tokens.next().await?;
        let opened = Connection::open(&self.messaging, ticket).await;
        opened.map_err(|failure| self.tokens.explain(failure))
    }

    /// The same beside a connection that is there, after an attempt that has failed.
    async fn renew(&self, failed: Option<Failure>, mut backoff: Backoff) -> Opened {
        if let Some(failure) = failed {
            let pause = backoff.wait(&failure, Duration::ZERO);
            tokio::join!(sleep(RENEWAL_PAUSE), pause);
        }
        (self.connect().await, backoff)
    }

    /// One connection, and those that follow it without a gap.
    async fn session(&self, mut current: Connection, inbox: &Inbox) -> Failure {
        inbox.live();
        let mut renew_at = current.renew_at();
        let mut opening: Option<Opening<'_>> = None;
        let mut old: Option<(Connection, Instant)> = None;
        let mut is_troubled = false;
        loop {
            tokio::select! {
                heard = current.next() => {
                    let taken = heard.and_then(|heard| take(&heard, inbox, &mut is_troubled));
                    if let Err(failure) = taken {
                        return failure;
                    }
                }
                heard = of_old(&mut old) => match heard {
                    // It has ended, as it should.
                    None | Some(Err(_)) => {
                        if let Some((connection, _)) = old.take() {
                            connection.close().await;
                        }
                    }
                    // Its session may be over; that of the new one is not.
                    Some(Ok(heard)) => drop(take(&heard, inbox, &mut is_troubled)),
                },
                () = sleep_until(renew_at), if opening.is_none() && self.tokens.are_several() => {
                    opening = Some(Box::pin(self.renew(None, Backoff::default())));
                }
                (opened, backoff) = opened(&mut opening) => {
                    opening = None;
                    match opened {
                        Ok(connection) => {
                            renew_at = connection.renew_at();
                            let before = std::mem::replace(&mut current, connection);
                            old = Some((before, Instant::now() + OVERLAP));
                            inbox.live();
                        }
                        Err(failure) => {
                            inbox.degraded(format!("the session ends soon: {}", failure.why));
                            opening = Some(Box::pin(self.renew(Some(failure), backoff)));
                        }
                    }
                }
            }
        }
    }
}

/// What comes over the old connection; `None` when its time is over. Waits for good if there is none.
async fn of_old(old: &mut Option<(Connection, Instant)>) -> Option<Result<Heard, Failure>> {
    match old {
        None => std::future::pending().await,
        Some((connection, until)) => {
            let until = *until;
            tokio::select! {
                heard = connection.next() => Some(heard),
                () = sleep_until(until) => None,
            }
        }
    }
}

/// The connection that is being opened. Waits for good if there is none.
async fn opened(opening: &mut Option<Opening<'_>>) -> Opened {
    match opening {
        None => std::future::pending().await,
        Some(opening) => opening.await,
    }
}

/// Takes what was heard. `is_troubled` is whether an ERROR was the last of it. Fails if it says that
/// the connection is of no use any more.
fn take(heard: &Heard, inbox: &Inbox, is_troubled: &mut bool) -> Result<(), Failure> {
    let frames = match heard {
        Heard::Text(text) if text.len() <= MESSAGE_BYTES_MAX => frame::read(text),
        Heard::Text(_) | Heard::Unreadable => None,
    };
    let Some(frames) = frames else {
        inbox.refuse();
        return Ok(());
    };
    for frame in &frames {
        match &frame.kind {
            Kind::Message => {
                let mut message = Message::chat(&frame.content);
                message.attributes = &frame.attributes;
                arrive(frame, message, inbox);
            }
            Kind::Event(name) => event(frame, name, inbox),
            Kind::Error => {
                error(frame, inbox)?;
                *is_troubled = true;
                continue;
            }
            Kind::Other => continue,
        }
        if std::mem::take(is_troubled) {
            inbox.live();
        }
    }
    Ok(())
}

fn arrive(frame: &Frame, message: Message<'_>, inbox: &Inbox) {
    let prefixed = |name: &String| format!("{ID_PREFIX}{name}");
    let (id, user) = (
        frame.id.as_ref().map(prefixed),
        frame.user.as_ref().map(prefixed),
    );
    let now = since_epoch();
    inbox.take(&Arrival {
        id: id.as_deref(),
        user: user.as_deref(),
        published_at: frame.sent_at.filter(|at| at.abs_diff(now) <= PLAUSIBLE),
        ..Arrival::of(message)
    });
}

/// Events of the service take messages back; those of applications may ask for reactions.
fn event(frame: &Frame, name: &str, inbox: &Inbox) {
    let of = |names: [&str; 2]| {
        let mut found = names.iter().filter_map(|name| frame.attribute(name));
        found.find(|value| !value.is_empty())
    };
    match name {
        "aws:DELETE_MESSAGE" => {
            if let Some(id) = of(["MessageID", "Id"]) {
                inbox.retract_message(&format!("{ID_PREFIX}{id}"));
            }
        }
        // The second is what AWS's sample application sends.
        "aws:DISCONNECT_USER" | "app:DELETE_BY_USER" => {
            if let Some(user) = of(["UserId", "Id"]) {
                inbox.retract_user(&format!("{ID_PREFIX}{user}"));
            }
        }
        name => arrive(frame, Message::event(name, &frame.attributes), inbox),
    }
}

/// What an ERROR says of the connection; nothing was asked for that could fail otherwise.
fn error(frame: &Frame, inbox: &Inbox) -> Result<(), Failure> {
    let code = frame.code.unwrap_or_default();
    let why = format!("the chat says {code}{}", frame.told());
    match code {
        // The session is over, or a token came too late.
        401 => Err(Failure::passing(why)),
        403 => Err(Failure::refused(format!(
            "{why}; the token's account or user is not let in to this room"
        ))),
        404 => Err(Failure::refused(format!(
            "{why}; the room is gone: name one that exists"
        ))),
        _ => {
            inbox.degraded(why);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_to_connect() {
        const ROOM: &str = "arn:aws:ivschat:eu-west-1:123456789012:room/AbCdEf";
        for (text, shown, messaging) in [
            (
                format!("ivs-chat:{ROOM}"),
                format!("ivs-chat:{ROOM}"),
                "wss://edge.ivschat.eu-west-1.amazonaws.com/",
            ),
            (
                format!("ivs-chat:{ROOM}?endpoint=http%3A%2F%2F127.0.0.1%3A8787&user=me"),
                format!("ivs-chat:{ROOM}"),
                "ws://127.0.0.1:8787/",
            ),
            (
                "ivs-chat:us-west-2?tokens=https://app.example/chat%3Fkey=s3cret".into(),
                "ivs-chat:us-west-2".into(),
                "wss://edge.ivschat.us-west-2.amazonaws.com/",
            ),
            (
                "IVS-chat:wss://chat.example/room".into(),
                "ivs-chat:wss://chat.example/room".into(),
                "wss://chat.example/room",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.messaging.as_str(), messaging);
        }
        let long = format!("ivs-chat:us-west-2?user={}", "x".repeat(129));
        for (text, told) in [
            ("ivs-chat:", "expected ivs-chat: and a room's ARN"),
            ("ivs-chat", "expected ivs-chat: and a room's ARN"),
            (
                "ivs-chat:evil.example/",
                "expected ivs-chat: and a room's ARN",
            ),
            ("ivs-chat:room", "expected ivs-chat: and a room's ARN"),
            (
                "ivs-chat:arn:aws:ivs:eu-west-1:1:room/a",
                "expected an ARN as arn:aws:ivschat",
            ),
            (
                "ivs-chat:https://chat.example",
                "begins with ws:// or wss://",
            ),
            (
                "ivs-chat:wss://u:p@chat.example",
                "user and password don't belong",
            ),
            (
                "ivs-chat:us-west-2?tokens=ftp://x",
                "begins with http:// or https://",
            ),
            (
                "ivs-chat:us-west-2?token=x",
                "the options are: tokens, endpoint, user",
            ),
            (&long, "1 to 128 characters"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn no_key_in_an_address_is_shown() {
        let tokens = "tokens=https://app.example/chat%3Fkey=s3cret";
        let good: Address = format!("ivs-chat:us-west-2?{tokens}").parse().unwrap();
        let shown = format!("{good:?}");
        assert!(
            shown.contains("app.example") && !shown.contains("s3cret"),
            "{shown}"
        );
        for text in [
            format!("ivs-chat:?{tokens}"),
            "ivs-chat:us-west-2?tokens=app.example/chat%3Fkey=s3cret".into(),
            "ivs-chat:us-west-2?tokens=https://u:s3cret@app.example/".into(),
            "ivs-chat:us-west-2?endpoint=ftp://app.example/%3Fkey=s3cret".into(),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
