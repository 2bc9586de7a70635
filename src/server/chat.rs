//! Amazon IVS Chat, spoken by this server: rooms, tokens, the control API and the messaging
//! `WebSocket`, so that its clients work here when they are given this address.
//!
//! Each channel of the service has a room from the start, and what its messages ask for floats on
//! the channel: a message that is a reaction is also published to the channel's topic, with the
//! user's id as publisher, so that pages and renderer show it as any other; and it is taken back
//! when the message is deleted, or its user disconnected. Rooms that the control API makes have no
//! channel.
//!
//! The wire is that of the IVS Chat API of 2020-07-14 and its Chat Messaging API. All state is of
//! this process: tokens and made rooms end with it.

mod control;
mod crowd;
mod floats;
mod operator;
mod rate;
mod refusal;
mod review;
mod room;
mod session;
mod vending;
pub mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::UPGRADE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::crowd::{Crowd, Party, Place};
use self::floats::Floats;
use self::rate::{Rate, SharedRate};
use self::review::{Askers, Handler};
pub use self::review::{ReviewFallback, ReviewUri};
use self::room::{LENGTH_MAX, RATE_DEFAULT, Room, Seat, Settings};
use self::wire::Sender;
use crate::server::{App, Service, answer};
use crate::topic::TopicName;

/// Rooms that the control API may make; a further one is refused with 402, as a quota.
const ROOMS_MAX: usize = 1_000;

/// Sockets of all rooms, and of one; a further one is answered 503 at the handshake.
const MEMBERS_MAX: usize = 10_000;
const MEMBERS_PER_ROOM_MAX: usize = 5_000;

/// Tokens made in a second, of all rooms, as in the service, by operators; and as many vended to
/// viewers. Further ones are refused with 429.
const TOKENS_PER_SECOND: usize = 200;

/// How long a token may be used to connect.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// Unused tokens: as many as their rate and life allow, so that this refuses nothing by itself.
const TOKENS_MAX: usize = 24_000;

/// Messages that are with review handlers at once; a further one waits its turn within its time.
const REVIEWS_MAX: usize = 64;

/// Letters and digits of the id of a room, a message or an event.
const ID_CHARS: usize = 12;

const ID_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Where all rooms are, by their ARNs: this server stands for one region and one account.
const ARN_PREFIX: &str = "arn:aws:ivschat:us-east-1:000000000000:room/";

/// What the rooms of channels are set to when the service starts; the control API can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSettings {
    /// Messages of all members of a room in a second, 1 to 100.
    pub rate_per_second: u32,
    /// Characters of a message, 1 to 500.
    pub length_max: u32,
    /// Where each message is reviewed before anyone sees it.
    pub review: Option<ReviewUri>,
    /// What becomes of a message that could not be.
    pub fallback: ReviewFallback,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            rate_per_second: RATE_DEFAULT,
            length_max: LENGTH_MAX,
            review: None,
            fallback: ReviewFallback::default(),
        }
    }
}

impl ChatSettings {
    fn room(&self, name: &str, askers: &Arc<Askers>) -> Settings {
        let review = self.review.clone();
        let review = review.map(|uri| Arc::new(Handler::new(uri, self.fallback, askers)));
        Settings {
            rate_per_second: self.rate_per_second,
            length_max: self.length_max,
            review,
            ..Settings::named(name)
        }
    }
}

/// All rooms, and the tokens that nobody has used yet.
///
/// The lock is a blocking one: every hold is a few map operations.
pub(super) struct Chat {
    state: Mutex<Rooms>,
    members: Arc<Semaphore>,
    crowd: Arc<Crowd>,
    reviews: Semaphore,
    askers: Arc<Askers>,
}

struct Rooms {
    /// By id. At most [`ROOMS_MAX`] beside those of the channels.
    by_id: BTreeMap<String, Arc<Room>>,
    /// How many of them the control API has made.
    made: usize,
    /// By their text. At most [`TOKENS_MAX`].
    tokens: HashMap<String, Ticket>,
    /// The same in the order of their making, used ones included until their time is over.
    tokens_by_age: VecDeque<(Instant, String)>,
    rates: Rates,
}

/// What is limited by the second over all rooms.
#[derive(Default)]
struct Rates {
    tokens: Rate,
    vended: SharedRate<Party>,
    events: Rate,
    deletions: Rate,
    disconnections: Rate,
}

/// What a token lets its holder do.
struct Ticket {
    room: String,
    sender: Sender,
    /// Whom it was vended to; none if an operator has made it.
    vended_to: Option<Party>,
    capabilities: Capabilities,
    connects_until: Instant,
    session_ends: Instant,
}

/// What a member may do beside reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Capabilities {
    send: bool,
    delete: bool,
    disconnect: bool,
}

/// A place in a room.
struct Admission {
    ticket: Ticket,
    seat: Seat,
    _place: Place,
}

/// Why a token lets nobody in.
enum NotAdmitted {
    /// Unknown, used or too old.
    Token,
    /// The room is gone.
    Room,
    /// The room is full.
    Full,
    /// The caller has as many sockets as it may have, which are so many.
    Crowded(u32),
}

impl Chat {
    pub(super) fn new(service: &Service) -> Self {
        let askers = Arc::default();
        let rooms = service.channels.iter().map(|(name, channel)| {
            let id = id_of_channel(name);
            let floats = Floats::new(name, channel, service);
            let settings = service.chat.room(name, &askers);
            let room = Room::new(id.clone(), settings, Some(floats));
            (id, Arc::new(room))
        });
        let state = Rooms {
            by_id: rooms.collect(),
            made: 0,
            tokens: HashMap::new(),
            tokens_by_age: VecDeque::new(),
            rates: Rates::default(),
        };
        Self {
            state: Mutex::new(state),
            members: Arc::new(Semaphore::new(MEMBERS_MAX)),
            crowd: Arc::default(),
            reviews: Semaphore::new(REVIEWS_MAX),
            askers,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        // No code under the lock panics halfway through a change, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, id: &str) -> Option<Arc<Room>> {
        self.lock().by_id.get(id).cloned()
    }

    /// The room of the first channel that floats this topic's reactions.
    fn room_of_topic(&self, topic: &TopicName) -> Option<Arc<Room>> {
        let rooms = self.lock();
        let of_topic = rooms.by_id.values().filter_map(|room| {
            let channel = room.channel.as_ref()?;
            (channel.topic == *topic).then_some((&channel.name, room))
        });
        let (_, first) = of_topic.min_by_key(|(name, _)| *name)?;
        Some(Arc::clone(first))
    }

    /// A new token, or none if there have been too many in this second.
    fn mint(&self, ticket: Ticket, now: Instant) -> Option<String> {
        let mut rooms = self.lock();
        while let Some((made, _)) = rooms.tokens_by_age.front()
            && now.duration_since(*made) >= TOKEN_LIFE
        {
            let oldest = rooms.tokens_by_age.pop_front();
            oldest.and_then(|(_, token)| rooms.tokens.remove(&token));
        }
        let rates = &mut rooms.rates;
        let is_in_time = match &ticket.vended_to {
            None => rates.tokens.take(TOKENS_PER_SECOND, now),
            Some(party) => {
                let each = party.tokens_per_second();
                let vended = &mut rates.vended;
                vended.take(party.clone(), each, TOKENS_PER_SECOND, now)
            }
        };
        if !is_in_time || rooms.tokens_by_age.len() >= TOKENS_MAX {
            return None;
        }
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        rooms.tokens.insert(token.clone(), ticket);
        rooms.tokens_by_age.push_back((now, token.clone()));
        Some(token)
    }

    /// Takes a token for a place in its room, for a caller from an address.
    fn admit(&self, token: &str, ip: IpAddr, now: Instant) -> Result<Admission, NotAdmitted> {
        let mut rooms = self.lock();
        let ticket = rooms.tokens.get(token).ok_or(NotAdmitted::Token)?;
        if now >= ticket.connects_until || now >= ticket.session_ends {
            return Err(NotAdmitted::Token);
        }
        let room = rooms.by_id.get(&ticket.room).ok_or(NotAdmitted::Room)?;
        if room.members() >= MEMBERS_PER_ROOM_MAX {
            return Err(NotAdmitted::Full);
        }
        let party = Party::at(ip, || match &ticket.vended_to {
            Some(party) => party.clone(),
            None => Party::User {
                room: room.id.clone(),
                user_id: ticket.sender.user_id.clone(),
            },
        });
        let max = party.sockets_max();
        let place = self.crowd.place(party);
        let place = place.ok_or(NotAdmitted::Crowded(max))?;
        let room = Arc::clone(room);
        let ticket = rooms.tokens.remove(token).ok_or(NotAdmitted::Token)?;
        // Under the lock, so that who is let in is also told when the room is deleted.
        let seat = room.seat(&ticket.sender.user_id);
        Ok(Admission {
            ticket,
            seat,
            _place: place,
        })
    }
}

/// The routes of the control API, of the viewers' tokens and of the `WebSocket`.
pub(super) fn routes(app: &Arc<App>) -> Router {
    let vending = Router::new()
        .route(
            "/chat/tokens",
            post(vending::vend).fallback(answer::method_not_allowed),
        )
        .layer(from_fn(answer::for_any_origin));
    Router::new()
        .route("/chat", get(session::connect))
        .merge(vending)
        .merge(control::routes())
        .with_state(Arc::clone(app))
}

/// Takes a `WebSocket` at `/`, where clients of the service look for it: they know a host alone.
/// Everything else goes to the pages.
pub(super) async fn at_root(
    State(app): State<Arc<App>>,
    request: Request,
    pages: Next,
) -> Response {
    if request.uri().path() == "/" && wants_websocket(request.headers()) {
        session::connect(State(app), request).await.into_response()
    } else {
        pages.run(request).await
    }
}

/// Whether a `WebSocket` is among what a client would go on with (RFC 9110, 7.8).
fn wants_websocket(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(UPGRADE).iter();
    offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

fn arn(id: &str) -> String {
    format!("{ARN_PREFIX}{id}")
}

/// The id of a channel's room: the same in every run, so that it can be written down.
fn id_of_channel(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let letters = digest.iter().take(ID_CHARS);
    letters.map(|byte| letter(usize::from(*byte))).collect()
}

/// A new id of a room, a message or an event.
fn new_id() -> String {
    let mut random = rand::rng();
    let letters = (0..ID_CHARS).map(|_| letter(random.random_range(0..ID_ALPHABET.len())));
    letters.collect()
}

fn letter(number: usize) -> char {
    char::from(ID_ALPHABET[number % ID_ALPHABET.len()])
}
