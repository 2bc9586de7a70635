//! One connection: opening it with a token, and noticing when it is dead.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use reqwest::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::KICKED_PAUSE;
use super::tokens::Ticket;
use crate::fetch::{asked_pause, message};
use crate::source::retry::Failure;

/// How long opening a connection, and sending anything, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often we ask for a sign of life. Without any between two such times, the connection is dead.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The largest frame, and message of several, that is read. A larger one ends the connection.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    Text(Utf8Bytes),
    /// Bytes that are no text.
    Unreadable,
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    renew_at: Instant,
    ping_at: Instant,
    /// Whether nothing has come since the last ping.
    is_quiet: bool,
}

impl Connection {
    /// Opens a connection with a token, which is its subprotocol.
    pub(super) async fn open(address: &Url, ticket: Ticket) -> Result<Self, Failure> {
        let host = address.host_str().unwrap_or_default();
        let failed = |why: &str| Failure::passing(format!("{host}: {why}"));
        let request = address.as_str().into_client_request();
        let mut request = request.map_err(|error| Failure::refused(format!("{host}: {error}")))?;
        let mut token = HeaderValue::try_from(&ticket.token)
            .map_err(|_| Failure::refused("the chat token has characters that no token has"))?;
        token.set_sensitive(true);
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, token);
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let opening = connect_async_with_config(request, Some(config), true);
        let opened = timeout(PATIENCE, opening).await;
        let opened = opened.map_err(|_| failed("no answer for 10 s"))?;
        let (socket, _) = opened.map_err(|error| refusal(host, &error))?;
        let now = Instant::now();
        Ok(Self {
            socket,
            renew_at: now + ticket.renewed_after(),
            ping_at: now + PING_INTERVAL,
            is_quiet: false,
        })
    }

    /// When the next connection is to be opened.
    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// What comes next. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            let heard = tokio::select! {
                heard = self.socket.next() => heard,
                () = sleep_until(self.ping_at) => {
                    self.ping().await?;
                    continue;
                }
            };
            self.is_quiet = false;
            match heard {
                None => return Err(Failure::passing("the connection was closed")),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(Message::Text(text))) => return Ok(Heard::Text(text)),
                Some(Ok(Message::Binary(bytes))) => {
                    let text = Utf8Bytes::try_from(bytes);
                    return Ok(text.map_or(Heard::Unreadable, Heard::Text));
                }
                Some(Ok(Message::Close(frame))) => return Err(closed(frame.as_ref())),
                // Pings are answered where they are read.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        if self.is_quiet {
            return Err(Failure::passing("no sign of life for 30 s"));
        }
        let sent = timeout(PATIENCE, self.socket.send(Message::Ping(Bytes::new()))).await;
        // Only now: without a ping, such as when this future is dropped, nobody has to answer.
        match sent {
            Ok(Ok(())) => {
                self.ping_at = Instant::now() + PING_INTERVAL;
                self.is_quiet = true;
                Ok(())
            }
            Ok(Err(error)) => Err(broken(&error)),
            Err(_) => Err(Failure::passing("nothing can be sent for 10 s")),
        }
    }

    /// Says good-bye, to whoever still listens.
    pub(super) async fn close(mut self) {
        drop(timeout(Duration::from_secs(1), self.socket.close(None)).await);
    }
}

/// Why a connection was not opened.
fn refusal(host: &str, error: &Error) -> Failure {
    let Error::Http(response) = error else {
        return Failure::passing(format!("{host}: {error}"));
    };
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    let why = format!("{host} answered {status}{}", message(body));
    match status.as_u16() {
        408 | 429 | 500.. => Failure::passing(why).with_pause(asked_pause(response.headers())),
        404 => Failure::refused(format!("{why}; name the region or address of the room")),
        _ => Failure::refused(why),
    }
}

/// Why a connection that was open is of no use.
fn broken(error: &Error) -> Failure {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => Failure::passing(format!(
            "a frame of {size} bytes; at most {FRAME_BYTES_MAX} are read"
        )),
        error => Failure::passing(format!("the connection broke: {error}")),
    }
}

/// Why the other side closed. A clean end is how a room shows somebody out.
fn closed(frame: Option<&CloseFrame>) -> Failure {
    let Some(frame) = frame else {
        return Failure::passing("the chat closed the connection without a reason");
    };
    let code = u16::from(frame.code);
    let why = format!(
        "the chat closed the connection ({code}{})",
        message(frame.reason.as_bytes())
    );
    match frame.code {
        CloseCode::Normal => Failure::refused(format!(
            "{why}: this user was disconnected from the room; trying slowly"
        ))
        .with_pause(Some(KICKED_PAUSE)),
        CloseCode::Policy => Failure::refused(why),
        _ => Failure::passing(why),
    }
}
