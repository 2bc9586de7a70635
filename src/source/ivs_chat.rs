//! Amazon IVS Chat: the messages of a room, over its WebSocket.
//!
//! A session lasts at most three hours. Before it ends, a second one is opened beside it, with a
//! token of its own; what comes over both counts once, by its id. The chat keeps nothing: what is
//! said while there is no connection is lost, and nobody knows how much that was.

mod address;
mod connection;
pub mod frame;
mod tokens;

use std::pin::Pin;
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, sleep, sleep_until};

pub use self::address::Address;
use self::connection::{Connection, Heard};
use self::frame::{Frame, Kind};
use self::tokens::Tokens;
use super::address::{AddressError, Secrets};
use super::inbox::{Arrival, Inbox};
use super::retry::{Backoff, Failure};
use super::{PLAUSIBLE, since_epoch};
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
    /// Whether connecting spends what it was given: a chat token opens one connection.
    pub(super) fn is_for_once(&self) -> bool {
        matches!(self.tokens, Tokens::Given(_))
    }

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
