//! One member's `WebSocket`, from its token to its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, FromRequestParts as _, Request, State};
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::metrics::Code;
use crate::server::answer::ApiError;
use crate::server::chat::rate::Rate;
use crate::server::chat::review::Verdict;
use crate::server::chat::room::Push;
use crate::server::chat::wire::{self, Fault, Message};
use crate::server::chat::{Admission, NotAdmitted, new_id};
use crate::server::{App, Counted};
use crate::source::since_epoch;

/// Requests of one member in a second, as in the service; a further one is refused with 429.
const REQUESTS_PER_SECOND: usize = 10;

/// Frames of one member in a second, refused ones too; who sends more is disconnected.
const FRAMES_PER_SECOND: usize = 100;

/// A request of the longest content and attributes, escaped, is shorter; a longer one is refused
/// with 413.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Who sends a longer frame is disconnected.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// What is kept ready to read into, in bytes, and how much may wait to be written.
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1024;

/// How often a member is pinged, and how long it may be silent: three pings without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(100);

/// How long one frame may take to be written; a member that takes longer reads no more.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// How long a member may take to answer a close.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Close codes (RFC 6455, 7.4.1). After [`NORMAL`] the service's clients don't come back.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;

/// A member's place, free again when it is dropped.
struct Session {
    app: Arc<App>,
    admission: Admission,
    ip: IpAddr,
    frames: Rate,
    requests: Rate,
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

/// How a session ends.
enum End {
    /// With a close frame.
    Close(u16, &'static str),
    /// Without one, which clients take for a lost connection.
    Lost,
}

/// `GET /`, as a `WebSocket`, and `GET /chat`: the chat token is the subprotocol, and is echoed, since
/// a client that offers one refuses an answer without it.
pub(super) async fn connect(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut head, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut head, &()).await;
    let mut upgrade = upgrade.map_err(no_upgrade)?;
    let token = offered(&head).ok_or_else(no_token)?;
    let place = Arc::clone(&app.chat.members).try_acquire_owned();
    let full = || ApiError::busy("chat_full", "too many members are connected already");
    let place = place.map_err(|_| full())?;
    let text = token.to_str().map_err(|_| no_token())?;
    // Absent in a router that is not served with connect info.
    let address = head.extensions.get::<ConnectInfo<SocketAddr>>();
    let ip = address.map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
    let admission = app.chat.admit(text, ip, Instant::now());
    let admission = admission.map_err(|why| match why {
        NotAdmitted::Token => no_token(),
        NotAdmitted::Room => ApiError::not_found("no_room", "the room has been deleted"),
        NotAdmitted::Full => full(),
        NotAdmitted::Crowded(max) => {
            let message = format!("this caller has {max} chat connections already");
            ApiError::too_many("too_many_connections", message)
        }
    })?;
    let session = Session {
        _counted: Counted::new(&app.service.metrics.chat.members),
        app,
        admission,
        ip,
        frames: Rate::default(),
        requests: Rate::default(),
        _place: place,
    };
    upgrade.set_selected_protocol(token);
    Ok(upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX)
        .on_upgrade(|socket| session.run(socket)))
}

/// The first subprotocol.
fn offered(head: &Parts) -> Option<HeaderValue> {
    let offered = head.headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let first = offered.split(',').next()?.trim();
    HeaderValue::from_str(first).ok()
}

fn no_token() -> ApiError {
    let message = "the subprotocol must be a chat token of this service that nobody has used and \
                   that is not a minute old: CreateChatToken or POST /chat/tokens makes one";
    ApiError::new(StatusCode::FORBIDDEN, "chat_token_invalid", message)
}

fn no_upgrade(rejection: WebSocketUpgradeRejection) -> ApiError {
    let message = format!("this is a WebSocket: {}", rejection.body_text());
    ApiError::new(StatusCode::UPGRADE_REQUIRED, "no_websocket", message)
}

impl Session {
    async fn run(mut self, mut socket: WebSocket) {
        let app = Arc::clone(&self.app);
        let end = tokio::select! {
            end = self.serve(&mut socket) => end,
            // Clients come back to what they have lost, and not to what has been closed.
            () = app.stopped() => End::Lost,
        };
        let End::Close(code, reason) = end else {
            return;
        };
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        if send(&mut socket, Frame::Close(Some(frame))).await.is_ok() {
            // To leave at once could cut off what the member has yet to read.
            let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
            drop(timeout(CLOSE_MAX, answered).await);
        }
    }

    /// Serves until the end.
    async fn serve(&mut self, socket: &mut WebSocket) -> End {
        let session_ends = sleep_until(self.admission.ticket.session_ends);
        tokio::pin!(session_ends);
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            // In this order, so that who is disconnected is heard no more.
            let step = tokio::select! {
                biased;
                () = &mut session_ends => {
                    let fault = Fault::new(401, "the session has expired; connect with a new token");
                    match send_fault(socket, &fault, None).await {
                        Ok(()) => Err(End::Close(GOING_AWAY, "session expired")),
                        error => error,
                    }
                }
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return End::Lost;
                    }
                    send(socket, Frame::Ping(Bytes::new())).await
                }
                push = self.admission.seat.pushes.recv() => self.pass_on(socket, push).await,
                frame = socket.recv() => {
                    heard = Instant::now();
                    self.take(socket, frame, heard).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Takes what the member has sent.
    async fn take(
        &mut self,
        socket: &mut WebSocket,
        frame: Option<Result<Frame, axum::Error>>,
        now: Instant,
    ) -> Result<(), End> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(end_after(error)),
            None => return Err(End::Lost),
        };
        if !self.frames.take(FRAMES_PER_SECOND, now) {
            return Err(End::Close(POLICY, "too many frames"));
        }
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Binary(_) => {
                let fault = Fault::new(400, "expected a frame of text");
                return self.refuse(socket, &fault, None).await;
            }
            // Pings have been answered, and a close too.
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => return Ok(()),
        };
        if text.len() > REQUEST_BYTES_MAX {
            let message = format!("at most {REQUEST_BYTES_MAX} bytes are accepted");
            return self.refuse(socket, &Fault::new(413, message), None).await;
        }
        let (request_id, request) = wire::read(&text);
        let request_id = request_id.as_deref();
        let done = match request {
            _ if !self.requests.take(REQUESTS_PER_SECOND, now) => {
                let message =
                    format!("at most {REQUESTS_PER_SECOND} requests a second are accepted");
                Err(Fault::new(429, message))
            }
            Ok(request) => self.answer(request, request_id, now).await,
            Err(fault) => Err(fault),
        };
        match done {
            Ok(()) => Ok(()),
            Err(fault) => self.refuse(socket, &fault, request_id).await,
        }
    }

    /// Answers a request with an error.
    async fn refuse(
        &self,
        socket: &mut WebSocket,
        fault: &Fault,
        request_id: Option<&str>,
    ) -> Result<(), End> {
        let refusals = &self.app.service.metrics.chat.refusals;
        refusals.get_or_create(&Code::new(fault.code)).inc();
        send_fault(socket, fault, request_id).await
    }

    async fn answer(
        &self,
        request: wire::Request,
        request_id: Option<&str>,
        now: Instant,
    ) -> Result<(), Fault> {
        let Admission { ticket, seat, .. } = &self.admission;
        let room = &seat.room;
        let needs = |held: bool, capability: &str| match held {
            true => Ok(()),
            false => {
                let message = format!("the token lacks the capability {capability}");
                Err(Fault::new(403, message))
            }
        };
        match request {
            wire::Request::Send {
                content,
                attributes,
            } => {
                needs(ticket.capabilities.send, "SEND_MESSAGE")?;
                self.post(content, attributes, request_id, now).await
            }
            wire::Request::Delete { id, reason } => {
                needs(ticket.capabilities.delete, "DELETE_MESSAGE")?;
                room.delete(&id, reason.as_deref(), request_id);
                Ok(())
            }
            wire::Request::Disconnect { user_id, reason } => {
                needs(ticket.capabilities.disconnect, "DISCONNECT_USER")?;
                room.disconnect(&user_id, reason.as_deref(), request_id);
                Ok(())
            }
        }
    }

    async fn post(
        &self,
        content: String,
        attributes: wire::Attributes,
        request_id: Option<&str>,
        now: Instant,
    ) -> Result<(), Fault> {
        let Admission { ticket, seat, .. } = &self.admission;
        let room = &seat.room;
        let settings = room.settings();
        let max = usize::try_from(settings.length_max).unwrap_or(usize::MAX);
        if content.chars().count() > max {
            let message = format!("Content: at most {max} characters are accepted");
            return Err(Fault::new(413, message));
        }
        if !room.takes_message(now) {
            let rate = settings.rate_per_second;
            let message = format!("the room takes at most {rate} messages a second");
            return Err(Fault::new(429, message));
        }
        let mut message = Message {
            id: new_id(),
            request_id: request_id.map(str::to_owned),
            content,
            attributes,
            sender: ticket.sender.clone(),
            sent_at: since_epoch(),
        };
        if let Some(handler) = &settings.review {
            let turns = &self.app.chat.reviews;
            let counts = &self.app.service.metrics.chat.reviews;
            let arn = room.arn();
            let review = handler.review(&message, &arn, self.ip, turns, counts);
            match review.await {
                Verdict::Allow {
                    content,
                    attributes,
                } => (message.content, message.attributes) = (content, attributes),
                Verdict::Deny(why) => return Err(Fault::new(406, why)),
            }
        }
        if seat.post(&message) {
            self.app.service.metrics.chat.messages.inc();
        }
        Ok(())
    }

    /// Sends what everyone in the room is sent.
    async fn pass_on(
        &self,
        socket: &mut WebSocket,
        push: Result<Push, RecvError>,
    ) -> Result<(), End> {
        match push {
            Ok(Push::Frame(frame)) => send(socket, Frame::Text(frame)).await,
            Ok(Push::Disconnect { user_id, frame }) => {
                send(socket, Frame::Text(frame)).await?;
                match *user_id == *self.admission.ticket.sender.user_id {
                    true => Err(End::Close(NORMAL, "disconnected")),
                    false => Ok(()),
                }
            }
            Ok(Push::Deleted) | Err(RecvError::Closed) => {
                let fault = Fault::new(404, "the room has been deleted");
                send_fault(socket, &fault, None).await?;
                Err(End::Close(NORMAL, "room deleted"))
            }
            // It can come back, and then misses as little as it does now.
            Err(RecvError::Lagged(_)) => Err(End::Lost),
        }
    }
}

/// How a session ends whose frames can't be read.
fn end_after(error: axum::Error) -> End {
    match error.into_inner().downcast_ref() {
        Some(SocketError::Capacity(_)) => End::Close(TOO_BIG, "frame too long"),
        _ => End::Lost,
    }
}

async fn send_fault(
    socket: &mut WebSocket,
    fault: &Fault,
    request_id: Option<&str>,
) -> Result<(), End> {
    send(socket, Frame::Text(wire::error(fault, request_id))).await
}

/// Sends a frame, in time.
async fn send(socket: &mut WebSocket, frame: Frame) -> Result<(), End> {
    match timeout(WRITE_MAX, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Lost),
    }
}
