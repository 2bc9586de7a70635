//! Twitch chat, read as anyone may: anonymous IRC over a WebSocket.
//!
//! The wire is that of Twitch's guide to its IRC server. Nothing is kept for those who are away: what
//! is written while there is no connection is lost, which the source's state then says.

mod address;
mod irc;
mod joins;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub use self::address::Address;
pub use self::irc::{Chat, Line};
use self::joins::turn_to_join;
use super::inbox::{Arrival, Inbox, Outcome};
use super::retry::{Backoff, Failure};
use crate::fetch::{asked_pause, use_ring};
use crate::reaction::Message;

/// It needs no secret.
pub(super) const VARIABLES: &[&str] = &[];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may take to answer: to joining, and to a PING.
const PATIENCE: Duration = Duration::from_secs(10);

/// After so long without a word, the server is asked whether it is there. Twitch asks us every five
/// minutes.
const QUIET: Duration = Duration::from_secs(60);

/// Frames hold several lines; a longer one ends the connection.
const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Room to read into, in bytes; more is taken for a frame that is longer.
const READ_BYTES: usize = 16 * 1024;

/// A server that asks to connect again sooner than this is taken for one that is in trouble.
const RECONNECT_AT_LEAST: Duration = Duration::from_secs(5);

/// Messages that are taken back when a moderator clears the whole chat; the oldest is forgotten
/// first. What older ones asked for has long faded.
const RECENT_MAX: usize = 256;

/// A channel's chat.
#[derive(Debug)]
pub struct Twitch {
    channel: String,
    server: Url,
    patience: Duration,
    /// How long a server may be silent before it is asked whether it is there.
    quiet: Duration,
    reconnect_at_least: Duration,
    /// Ids of messages that were shown. At most [`RECENT_MAX`].
    recent: Mutex<VecDeque<String>>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What came with a frame, beside messages.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    joined: bool,
    /// The connection is to end soon.
    reconnect: bool,
}

impl Twitch {
    /// The chat at an address.
    #[must_use]
    pub fn new(address: &Address) -> Self {
        use_ring();
        Self {
            channel: address.channel.clone(),
            server: address.server.clone(),
            patience: PATIENCE,
            quiet: QUIET,
            reconnect_at_least: RECONNECT_AT_LEAST,
            recent: Mutex::default(),
        }
    }

    /// How long the server may take to answer, in place of 10 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// After how long without a word the server is asked whether it is there, in place of 60 s.
    #[must_use]
    pub fn with_quiet(self, quiet: Duration) -> Self {
        Self { quiet, ..self }
    }

    /// A server that asks to connect again sooner than this is taken for one that is in trouble, in
    /// place of 5 s.
    #[must_use]
    pub fn with_reconnect_at_least(self, reconnect_at_least: Duration) -> Self {
        Self {
            reconnect_at_least,
            ..self
        }
    }

    /// Follows the chat for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut backoff = Backoff::default();
        let mut leaving = None;
        loop {
            let mut socket = self.join_from(leaving.take(), &mut backoff, inbox).await;
            let joined = Instant::now();
            let failure = match self.read(&mut socket, inbox).await {
                Ok(()) if joined.elapsed() >= self.reconnect_at_least => {
                    leaving = Some(socket);
                    continue;
                }
                Ok(()) => Failure::passing("the server asks to connect again, and again"),
                Err(failure) => failure,
            };
            drop(socket);
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }

    /// Joins the channel by a new connection, however many attempts that takes. One that is to end
    /// soon is read until then: what comes by both is known by its id.
    async fn join_from(
        &self,
        leaving: Option<Socket>,
        backoff: &mut Backoff,
        inbox: &Inbox,
    ) -> Socket {
        let is_read = AtomicBool::new(leaving.is_some());
        let has_failed = AtomicBool::new(false);
        let joined = async {
            loop {
                let failure = match self.join(inbox).await {
                    Ok(socket) => return socket,
                    Err(failure) => failure,
                };
                has_failed.store(true, Ordering::Relaxed);
                let held = match is_read.load(Ordering::Relaxed) {
                    true => {
                        let why = &failure.why;
                        inbox.degraded(format_args!("the connection is to end soon: {why}"));
                        Duration::ZERO
                    }
                    false => inbox.lost(&failure),
                };
                backoff.wait(&failure, held).await;
            }
        };
        tokio::pin!(joined);
        if let Some(mut leaving) = leaving {
            let failure = tokio::select! {
                // What it has brought is read before it is left.
                biased;
                failure = self.read_out(&mut leaving, inbox) => failure,
                socket = &mut joined => return socket,
            };
            is_read.store(false, Ordering::Relaxed);
            if has_failed.load(Ordering::Relaxed) {
                inbox.lost(&failure);
            }
        }
        joined.await
    }

    /// Connects, and waits until it is in the channel.
    async fn join(&self, inbox: &Inbox) -> Result<Socket, Failure> {
        // A server waits less long for a client that has connected than we may have to.
        turn_to_join().await;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX))
            .read_buffer_size(READ_BYTES);
        let connect = connect_async_with_config(self.server.as_str(), Some(config), true);
        let (mut socket, _) = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(connected) => connected.map_err(|error| refusal(&error))?,
            Err(_) => return Err(Failure::passing("the server does not answer")),
        };
        // `twitch.tv/membership` is left out: who comes and goes is of no use here.
        let hello = format!(
            "CAP REQ :twitch.tv/tags twitch.tv/commands\r\nNICK justinfan{}\r\nJOIN #{}\r\n",
            rand::random_range(10_000..1_000_000),
            self.channel
        );
        self.send(&mut socket, hello).await?;
        let until = Instant::now() + self.patience;
        loop {
            let Ok(frame) = timeout_at(until, socket.next()).await else {
                return Err(Failure::refused(format!(
                    "no answer to joining #{0}: is there a channel at twitch.tv/{0}?",
                    self.channel
                )));
            };
            if self.hear(frame, &mut socket, inbox).await?.joined {
                return Ok(socket);
            }
        }
    }

    /// Takes what comes, until the server asks for another connection.
    async fn read(&self, socket: &mut Socket, inbox: &Inbox) -> Result<(), Failure> {
        inbox.live();
        self.listen(socket, inbox).await
    }

    /// Takes what comes of a connection until it is over.
    async fn read_out(&self, socket: &mut Socket, inbox: &Inbox) -> Failure {
        loop {
            if let Err(failure) = self.listen(socket, inbox).await {
                return failure;
            }
        }
    }

    async fn listen(&self, socket: &mut Socket, inbox: &Inbox) -> Result<(), Failure> {
        loop {
            let frame = match timeout(self.quiet, socket.next()).await {
                Ok(frame) => frame,
                Err(_) => {
                    self.send(socket, "PING :floatup\r\n".into()).await?;
                    let frame = timeout(self.patience, socket.next()).await;
                    frame.map_err(|_| lost("the server is silent"))?
                }
            };
            if self.hear(frame, socket, inbox).await?.reconnect {
                return Ok(());
            }
        }
    }

    /// Takes all lines of a frame.
    async fn hear(
        &self,
        frame: Option<Result<Frame, Error>>,
        socket: &mut Socket,
        inbox: &Inbox,
    ) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        let text = match frame {
            // After its close frame it may keep the connection.
            None | Some(Ok(Frame::Close(_))) => {
                return Err(lost("the server closed the connection"));
            }
            Some(Err(error)) => return Err(lost(error)),
            Some(Ok(Frame::Text(text))) => text,
            Some(Ok(Frame::Binary(_))) => {
                inbox.refuse();
                return Ok(heard);
            }
            // Pings of the WebSocket are answered where they are read.
            Some(Ok(_)) => return Ok(heard),
        };
        for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
            match Line::read(line) {
                None => inbox.refuse(),
                Some(Line::Ping(text)) => {
                    self.send(socket, format!("PONG :{text}\r\n")).await?;
                }
                Some(Line::Joined) => heard.joined = true,
                Some(Line::Reconnect) => heard.reconnect = true,
                Some(Line::NoCapability) => {
                    let why = "the server sends messages without tags: is it Twitch's?";
                    return Err(Failure::refused(why));
                }
                Some(Line::Notice { id, text }) => self.notice(&id, &text)?,
                Some(Line::Chat(chat)) => self.take(&chat, inbox),
                Some(Line::Deleted(id)) => inbox.retract_message(&unique(&id)),
                Some(Line::Cleared(Some(user))) => inbox.retract_user(&unique(&user)),
                Some(Line::Cleared(None)) => {
                    let recent = std::mem::take(&mut *self.recent());
                    recent.iter().for_each(|id| inbox.retract_message(id));
                }
                Some(Line::Other) => {}
            }
        }
        Ok(heard)
    }

    fn take(&self, chat: &Chat, inbox: &Inbox) {
        let id = chat.id.as_deref().map(unique);
        let user = chat.user.as_deref().map(unique);
        let outcome = inbox.take(&Arrival {
            id: id.as_deref(),
            user: user.as_deref(),
            published_at: chat.sent_at,
            ..Arrival::of(Message {
                emotes: &chat.emotes(),
                ..Message::chat(&chat.text)
            })
        });
        if let (Outcome::Accepted, Some(id)) = (outcome, id) {
            let mut recent = self.recent();
            if recent.len() >= RECENT_MAX {
                recent.pop_front();
            }
            recent.push_back(id);
        }
    }

    /// What a notice means for us.
    ///
    /// # Errors
    /// Nothing more will come of this channel, or nothing at all.
    fn notice(&self, id: &str, text: &str) -> Result<(), Failure> {
        const NO_CHANNEL: [&str; 4] = [
            "msg_channel_suspended",
            "msg_room_not_found",
            "tos_ban",
            "msg_banned",
        ];
        // They have no id.
        const NO_LOGIN: [&str; 3] = [
            "Login authentication failed",
            "Login unsuccessful",
            "Improperly formatted auth",
        ];
        if NO_CHANNEL.contains(&id) {
            let why = format!("{text} Name another channel than {:?}", self.channel);
            return Err(Failure::refused(why));
        }
        if NO_LOGIN.contains(&text) {
            let why = format!("{text}: the server lets nobody in without an account");
            return Err(Failure::refused(why));
        }
        Ok(())
    }

    async fn send(&self, socket: &mut Socket, lines: String) -> Result<(), Failure> {
        // A server that reads nothing is not there any more.
        match timeout(self.patience, socket.send(Frame::text(lines))).await {
            Ok(sent) => sent.map_err(lost),
            Err(_) => Err(lost("the server reads nothing")),
        }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<String>> {
        // No code under the lock leaves a change half made, so a poisoned value is whole.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost(why: impl fmt::Display) -> Failure {
    Failure::passing(format!("{why}; what is written meanwhile is lost"))
}

/// Why there is no connection.
fn refusal(error: &Error) -> Failure {
    let pause = match error {
        Error::Http(response) => asked_pause(response.headers()),
        _ => None,
    };
    Failure::passing(error).with_pause(pause)
}

/// Another platform's ids may be the same.
fn unique(id: &str) -> String {
    format!("twitch:{id}")
}
