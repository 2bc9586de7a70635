//! Twitch chat, read as anyone may: anonymous IRC over a WebSocket.
//!
//! The wire is that of Twitch's guide to its IRC server. Nothing is kept for those who are away: what
//! is written while there is no connection is lost, which the source's state then says.

mod irc;

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub use self::irc::{Chat, Line};
use super::address::{AddressError, Parts, url};
use super::inbox::{Arrival, Inbox, Outcome};
use super::retry::{Backoff, Failure};
use crate::fetch::use_ring;
use crate::reaction::Message;

/// It needs no secret.
pub(super) const VARIABLES: &[&str] = &[];

const SERVER: &str = "wss://irc-ws.chat.twitch.tv/";

/// The longest name of a channel.
const NAME_CHARS_MAX: usize = 25;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may take to answer: to joining, and to a PING.
const PATIENCE: Duration = Duration::from_secs(10);

/// After so many times its patience without a word, the server is asked whether it is there. Twitch
/// asks us every five minutes.
const QUIET: u32 = 6;

/// Frames hold several lines; a longer one ends the connection.
const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Room to read into, in bytes; more is taken for a frame that is longer.
const READ_BYTES: usize = 16 * 1024;

/// Channels joined per span of time, as Twitch limits it.
const JOINS: (usize, Duration) = (20, Duration::from_secs(10));

/// A server that asks to connect again sooner than this is taken for one that is in trouble.
const RECONNECT_AT_LEAST: Duration = Duration::from_secs(5);

/// Messages that are taken back when a moderator clears the whole chat; the oldest is forgotten
/// first. What older ones asked for has long faded.
const RECENT_MAX: usize = 256;

/// A channel by its name: `twitch:CHANNEL`, perhaps with `?server=ws://HOST:PORT` of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    channel: String,
    server: Url,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (_, rest) = text.split_once(':').unwrap_or_default();
        let parts = Parts::of(rest, &["server"])?;
        let name = parts.path.strip_prefix('#').unwrap_or(parts.path);
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || name.is_empty() || name.len() > NAME_CHARS_MAX {
            return Err(AddressError(format!(
                "{text:?}: expected twitch:CHANNEL, the name at the end of twitch.tv/CHANNEL: 1 to \
                 {NAME_CHARS_MAX} letters, digits and _"
            )));
        }
        Ok(Self {
            channel: name.to_ascii_lowercase(),
            server: url(parts.option("server").unwrap_or(SERVER), &["ws", "wss"])?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "twitch:{}", self.channel)?;
        match self.server.as_str() {
            SERVER => Ok(()),
            server => write!(f, "?server={server}"),
        }
    }
}

/// A channel's chat.
#[derive(Debug)]
pub struct Twitch {
    channel: String,
    server: Url,
    patience: Duration,
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
            recent: Mutex::default(),
        }
    }

    /// How long the server may take to answer, in place of 10 s. It is asked whether it is there when
    /// it has been silent for six times as long.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Follows the chat for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut backoff = Backoff::default();
        let mut leaving = None;
        loop {
            let begun = Instant::now();
            let failure = match self.join_from(leaving.take(), inbox).await {
                Err(failure) => failure,
                Ok(mut socket) => match self.read(&mut socket, inbox).await {
                    Ok(()) if begun.elapsed() >= RECONNECT_AT_LEAST => {
                        leaving = Some(socket);
                        continue;
                    }
                    Ok(()) => Failure::passing("the server asks to connect again, and again"),
                    Err(failure) => failure,
                },
            };
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
    }

    /// Joins the channel by a new connection. One that is to end soon is read until then: what comes
    /// by both is known by its id.
    async fn join_from(&self, leaving: Option<Socket>, inbox: &Inbox) -> Result<Socket, Failure> {
        let Some(mut leaving) = leaving else {
            return self.join(inbox).await;
        };
        let joined = self.join(inbox);
        tokio::pin!(joined);
        tokio::select! {
            joined = &mut joined => joined,
            _ = self.read(&mut leaving, inbox) => joined.await,
        }
    }

    /// Connects, and waits until it is in the channel.
    async fn join(&self, inbox: &Inbox) -> Result<Socket, Failure> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX))
            .read_buffer_size(READ_BYTES);
        let connect = connect_async_with_config(self.server.as_str(), Some(config), true);
        let (mut socket, _) = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(connected) => connected.map_err(Failure::passing)?,
            Err(_) => return Err(Failure::passing("the server does not answer")),
        };
        turn_to_join().await;
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
        loop {
            let frame = match timeout(self.patience * QUIET, socket.next()).await {
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

/// Another platform's ids may be the same.
fn unique(id: &str) -> String {
    format!("twitch:{id}")
}

/// Waits until this process may join one more channel.
async fn turn_to_join() {
    /// When the last ones were joined, at most [`JOINS`]; all of this process's count together.
    static JOINED: Mutex<VecDeque<Instant>> = Mutex::new(VecDeque::new());
    let (count, span) = JOINS;
    let at = {
        let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = match joined.len() < count {
            true => now,
            false => joined
                .pop_front()
                .map_or(now, |first| now.max(first + span)),
        };
        joined.push_back(at);
        at
    };
    sleep_until(at).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_named_as_its_page_is() {
        for (text, shown) in [
            ("twitch:somebody", "twitch:somebody"),
            ("twitch:#Some_Body1", "twitch:some_body1"),
            (
                "TWITCH:a?server=ws://127.0.0.1:9",
                "twitch:a?server=ws://127.0.0.1:9/",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
        for (text, told) in [
            ("twitch:", "expected twitch:CHANNEL"),
            ("twitch:a b", "expected twitch:CHANNEL"),
            ("twitch:a\r\nJOIN", "expected twitch:CHANNEL"),
            ("twitch:é", "expected twitch:CHANNEL"),
            ("twitch:aaaaaaaaaaaaaaaaaaaaaaaaaa", "1 to 25 letters"),
            ("twitch:a?sever=x", "the options are: server"),
            ("twitch:a?server=http://h", "begins with ws:// or wss://"),
            ("twitch:a?server=ws://me:hush@h", "don't belong into"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("hush"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_channels_are_joined_at_once_than_twitch_allows() {
        let begun = Instant::now();
        let (count, span) = JOINS;
        for n in 0..3 * count {
            turn_to_join().await;
            let least = span * u32::try_from(n / count).unwrap();
            let took = begun.elapsed();
            assert!(took >= least && took < least + span, "{n}: {took:?}");
        }
    }
}
