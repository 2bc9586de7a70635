//! The control API: `POST /CreateRoom` and the like.
//!
//! Requests and answers are those of the API's model of 2020-07-14. A signature is not checked:
//! [`operator`](super::operator) says who may call.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::calendar::extended;
use crate::server::App;
use crate::server::answer::{body, json as answer};
use crate::server::chat::crowd::Party;
use crate::server::chat::operator::admit;
use crate::server::chat::rate::Rate;
use crate::server::chat::refusal::{Fields, Refusal};
use crate::server::chat::review::{Handler, ReviewFallback};
use crate::server::chat::room::{LENGTH_MAX, RATE_MAX, Room, Settings};
use crate::server::chat::wire::{REASON_CHARS_MAX, Sender, USER_ID_CHARS_MAX, is_id};
use crate::server::chat::{
    ARN_PREFIX, Capabilities, Chat, ID_CHARS, ROOMS_MAX, Rates, TOKEN_LIFE, TOKENS_PER_SECOND,
    Ticket, new_id,
};
use crate::source::since_epoch;

/// The longest request, in bytes: 50 tags of the longest kind, escaped, fit.
const BODY_BYTES_MAX: usize = 128 * 1024;

/// Calls in a second over all rooms, each of `SendEvent`, `DeleteMessage` and `DisconnectUser`, as in
/// the service; further ones are refused with 429.
const CALLS_PER_SECOND: usize = 100;

const NAME_CHARS_MAX: usize = 128;
const ARN_CHARS_MAX: usize = 128;
const EVENT_NAME_CHARS_MAX: usize = 100;

/// Rooms of one page of a list, at most and by default.
const PAGE_MAX: u32 = 50;

/// How long a session lasts, in minutes.
const SESSION_MIN_MAX: u32 = 180;
const SESSION_MIN_DEFAULT: u32 = 60;

/// An operation: from the members of its request to those of its answer, if it has any.
type Operation = fn(&Chat, &Fields) -> Result<Option<Value>, Refusal>;

const OPERATIONS: [(&str, Operation); 9] = [
    ("/CreateRoom", create_room),
    ("/ListRooms", list_rooms),
    ("/GetRoom", get_room),
    ("/UpdateRoom", update_room),
    ("/DeleteRoom", delete_room),
    ("/CreateChatToken", create_chat_token),
    ("/SendEvent", send_event),
    ("/DeleteMessage", delete_message),
    ("/DisconnectUser", disconnect_user),
];

pub(super) fn routes() -> Router<Arc<App>> {
    let route = |router: Router<Arc<App>>, (path, operation): (&str, Operation)| {
        let handler = move |State(app): State<Arc<App>>, request: Request| async move {
            match call(&app, operation, request).await {
                Ok(Some(value)) => answer(StatusCode::OK, &value),
                Ok(None) => StatusCode::NO_CONTENT.into_response(),
                Err(refusal) => refusal.into_response(),
            }
        };
        router.route(path, post(handler))
    };
    OPERATIONS.into_iter().fold(Router::new(), route)
}

async fn call(app: &App, operation: Operation, request: Request) -> Result<Option<Value>, Refusal> {
    let (head, sent) = request.into_parts();
    admit(app, &head)?;
    let sent = body(sent, BODY_BYTES_MAX, "body_too_large").await;
    let sent = sent.map_err(|error| Refusal::unreadable(error.message()))?;
    operation(&app.chat, &Fields::read(&sent)?)
}

fn create_room(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let mut settings = Settings::named("");
    read_settings(chat, fields, &mut settings)?;
    if let Some(tags) = fields.tags()? {
        settings.tags = tags;
    }
    let mut rooms = chat.lock();
    if rooms.made >= ROOMS_MAX {
        return Err(Refusal::quota(ROOMS_MAX));
    }
    let mut id = new_id();
    while rooms.by_id.contains_key(&id) {
        id = new_id();
    }
    let room = Arc::new(Room::new(id.clone(), settings, None));
    rooms.made += 1;
    rooms.by_id.insert(id, Arc::clone(&room));
    Ok(Some(in_full(&room)))
}

fn list_rooms(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let name = fields.text("name", 0..=NAME_CHARS_MAX)?;
    let uri = fields.text("messageReviewHandlerUri", 0..=ARN_CHARS_MAX * 2)?;
    let max = fields
        .whole("maxResults", 1..=PAGE_MAX)?
        .unwrap_or(PAGE_MAX);
    let start = match fields.text("nextToken", 0..=1024)? {
        None | Some("") => Bound::Unbounded,
        Some(id) if is_id(id) => Bound::Excluded(id),
        Some(_) => {
            return Err(Refusal::field(
                "nextToken",
                "expected one of an earlier answer",
            ));
        }
    };
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let rooms = chat.lock();
    let rooms = rooms.by_id.range::<str, _>((start, Bound::Unbounded));
    let mut rooms = rooms.map(|(_, room)| room).filter(|room| {
        let settings = room.settings();
        let of_handler = settings.review.as_deref().map_or("", Handler::uri);
        name.is_none_or(|name| settings.name == name) && uri.is_none_or(|uri| of_handler == uri)
    });
    let page: Vec<_> = rooms.by_ref().take(max).collect();
    let mut list = json!({"rooms": page.iter().map(|room| summary(room)).collect::<Vec<_>>()});
    if let (Some(last), Some(_)) = (page.last(), rooms.next()) {
        list["nextToken"] = last.id.clone().into();
    }
    Ok(Some(list))
}

fn get_room(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    Ok(Some(in_full(&*named(chat, fields, "identifier")?)))
}

fn update_room(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "identifier")?;
    room.change(|settings| read_settings(chat, fields, settings))?;
    Ok(Some(in_full(&room)))
}

fn delete_room(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "identifier")?;
    if let Some(channel) = &room.channel {
        let message = format!(
            "this is the room of the channel {:?}, and stays with it",
            channel.name
        );
        return Err(Refusal::conflict(message, &room.id));
    }
    let mut rooms = chat.lock();
    if rooms.by_id.remove(&room.id).is_some() {
        rooms.made -= 1;
        room.close();
    }
    Ok(None)
}

fn create_chat_token(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "roomIdentifier")?;
    let user_id = fields.required("userId", 1..=USER_ID_CHARS_MAX)?;
    let minutes = fields.whole("sessionDurationInMinutes", 1..=SESSION_MIN_MAX)?;
    let sender = Sender {
        user_id: user_id.to_owned(),
        attributes: fields.attributes("attributes")?,
    };
    let capabilities = capabilities(fields)?;
    let token = mint(chat, &room, sender, None, capabilities, minutes);
    token.map(Some).ok_or_else(|| {
        let what = "tokens of all rooms";
        Refusal::throttled(what, &room.id, TOKENS_PER_SECOND)
    })
}

/// A token and its times, or none if there have been too many in this second: of operators, or of
/// those that are vended.
pub(super) fn mint(
    chat: &Chat,
    room: &Room,
    sender: Sender,
    vended_to: Option<Party>,
    capabilities: Capabilities,
    minutes: Option<u32>,
) -> Option<Value> {
    let session = Duration::from_secs(60 * u64::from(minutes.unwrap_or(SESSION_MIN_DEFAULT)));
    let (now, time) = (Instant::now(), since_epoch());
    let ticket = Ticket {
        room: room.id.clone(),
        sender,
        vended_to,
        capabilities,
        connects_until: now + TOKEN_LIFE,
        session_ends: now + session,
    };
    Some(json!({
        "token": chat.mint(ticket, now)?,
        "tokenExpirationTime": extended(time + TOKEN_LIFE),
        "sessionExpirationTime": extended(time + session),
    }))
}

fn send_event(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "roomIdentifier")?;
    let name = fields.required("eventName", 1..=EVENT_NAME_CHARS_MAX)?;
    let attributes = fields.attributes("attributes")?;
    within_rate(chat, &room, "events", |rates| &mut rates.events)?;
    let id = room.send_event(name, &attributes);
    Ok(Some(json!({ "id": id })))
}

fn delete_message(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "roomIdentifier")?;
    let id = fields.required("id", ID_CHARS..=ID_CHARS)?;
    if !is_id(id) {
        let message = format!("expected {ID_CHARS} letters and digits");
        return Err(Refusal::field("id", message));
    }
    let reason = fields.text("reason", 1..=REASON_CHARS_MAX)?;
    within_rate(chat, &room, "deletions", |rates| &mut rates.deletions)?;
    let id = room.delete(id, reason, None);
    Ok(Some(json!({ "id": id })))
}

fn disconnect_user(chat: &Chat, fields: &Fields) -> Result<Option<Value>, Refusal> {
    let room = named(chat, fields, "roomIdentifier")?;
    let user_id = fields.required("userId", 1..=USER_ID_CHARS_MAX)?;
    let reason = fields.text("reason", 1..=REASON_CHARS_MAX)?;
    within_rate(chat, &room, "disconnections", |r| &mut r.disconnections)?;
    room.disconnect(user_id, reason, None);
    Ok(Some(json!({})))
}

fn within_rate(
    chat: &Chat,
    room: &Room,
    what: &str,
    of: impl Fn(&mut Rates) -> &mut Rate,
) -> Result<(), Refusal> {
    if of(&mut chat.lock().rates).take(CALLS_PER_SECOND, Instant::now()) {
        Ok(())
    } else {
        let what = format!("{what} of all rooms");
        Err(Refusal::throttled(&what, &room.id, CALLS_PER_SECOND))
    }
}

/// The room that a member names by its ARN.
fn named(chat: &Chat, fields: &Fields, member: &str) -> Result<Arc<Room>, Refusal> {
    let arn = fields.required(member, 1..=ARN_CHARS_MAX)?;
    let id = match arn.split_once(":room/") {
        Some((before, id)) if before.starts_with("arn:aws:ivschat:") => id,
        _ => {
            return Err(Refusal::field(
                member,
                format!("expected an ARN, {ARN_PREFIX}…"),
            ));
        }
    };
    let room = arn.strip_prefix(ARN_PREFIX).and_then(|id| chat.room(id));
    room.ok_or_else(|| Refusal::no_room(id))
}

/// Reads what a room can be told when it is made and later.
fn read_settings(chat: &Chat, fields: &Fields, settings: &mut Settings) -> Result<(), Refusal> {
    if let Some(name) = fields.text("name", 0..=NAME_CHARS_MAX)? {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.chars().all(plain) {
            let message = "expected letters, digits, '-' and '_' alone";
            return Err(Refusal::field("name", message));
        }
        settings.name = name.to_owned();
    }
    if let Some(rate) = fields.whole("maximumMessageRatePerSecond", 1..=RATE_MAX)? {
        settings.rate_per_second = rate;
    }
    if let Some(length) = fields.whole("maximumMessageLength", 1..=LENGTH_MAX)? {
        settings.length_max = length;
    }
    if let Some(handler) = fields.get("messageReviewHandler") {
        settings.review = review_handler(chat, handler)?.map(Arc::new);
    }
    match fields.get("loggingConfigurationIdentifiers") {
        Some(Value::Array(none)) if none.is_empty() => Ok(()),
        None => Ok(()),
        Some(_) => Err(Refusal::field(
            "loggingConfigurationIdentifiers",
            "rooms are not logged here; none are accepted",
        )),
    }
}

/// A handler; none for an empty address.
fn review_handler(chat: &Chat, handler: &Value) -> Result<Option<Handler>, Refusal> {
    let member = |name: &str| handler.get(name).filter(|value| !value.is_null());
    let fallback = match member("fallbackResult") {
        None => ReviewFallback::default(),
        Some(value) => {
            let read = value.as_str().unwrap_or_default().parse();
            let field = "messageReviewHandler.fallbackResult";
            read.map_err(|why| Refusal::field(field, why))?
        }
    };
    let field = "messageReviewHandler.uri";
    match member("uri").map(Value::as_str) {
        None if handler.is_object() => Ok(None),
        Some(Some("")) => Ok(None),
        Some(Some(uri)) => match uri.parse() {
            Ok(uri) => Ok(Some(Handler::new(uri, fallback, &chat.askers))),
            Err(message) => Err(Refusal::field(field, message)),
        },
        _ => Err(Refusal::field(field, "expected text")),
    }
}

fn capabilities(fields: &Fields) -> Result<Capabilities, Refusal> {
    let refusal = || {
        let message = "expected a list of SEND_MESSAGE, DELETE_MESSAGE and DISCONNECT_USER";
        Refusal::field("capabilities", message)
    };
    let mut capabilities = Capabilities::default();
    let Some(names) = fields.get("capabilities") else {
        return Ok(capabilities);
    };
    for name in names.as_array().ok_or_else(refusal)? {
        match name.as_str() {
            Some("SEND_MESSAGE") => capabilities.send = true,
            Some("DELETE_MESSAGE") => capabilities.delete = true,
            Some("DISCONNECT_USER") => capabilities.disconnect = true,
            _ => return Err(refusal()),
        }
    }
    Ok(capabilities)
}

/// A room as a list shows it.
fn summary(room: &Room) -> Value {
    let settings = room.settings();
    let mut summary = json!({
        "arn": room.arn(),
        "id": room.id,
        "name": settings.name,
        "createTime": extended(room.made_at),
        "updateTime": extended(room.set_at()),
        "tags": settings.tags,
        "loggingConfigurationIdentifiers": [],
    });
    if let Some(handler) = &settings.review {
        summary["messageReviewHandler"] = json!({
            "uri": handler.uri(),
            "fallbackResult": handler.fallback.to_string(),
        });
    }
    summary
}

/// A room with all its settings.
fn in_full(room: &Room) -> Value {
    let settings = room.settings();
    let mut full = summary(room);
    full["maximumMessageRatePerSecond"] = settings.rate_per_second.into();
    full["maximumMessageLength"] = settings.length_max.into();
    full
}
