//! Reactions from other services: `POST /reactions/{channel}`, signed with a shared secret.

mod signature;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;

use self::signature::refusal;
pub use self::signature::{WEBHOOK_SECRET_BYTES_MIN, WebhookSecret, WebhookSecretError};
use crate::reaction::Message;
use crate::server::answer::{ApiError, body, json};
use crate::server::path::segments;
use crate::server::{Access, App};
use crate::source::{Arrival, Inbox, Outcome, since_epoch};

/// The longest request, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The most messages of one request.
const MESSAGES_MAX: usize = 1_000;

/// The longest id that a sender may give, in bytes.
const ID_BYTES_MAX: usize = 100;

const TOO_LARGE: &str = "body_too_large";

/// Where messages of other services go.
#[derive(Debug)]
pub struct Webhook {
    /// Signs what they send. Without it, they are let in where anyone is ([`Access::Open`]).
    pub secret: Option<WebhookSecret>,
    /// Channels by name.
    pub channels: BTreeMap<String, Inbox>,
}

/// What became of a request's messages.
#[derive(Default, Serialize)]
struct Outcomes {
    accepted: u32,
    unknown: u32,
    other_type: u32,
    duplicate: u32,
    refused: u32,
    /// The channel's gate did not let them in.
    limited: u32,
}

/// `POST /reactions/{channel}`: a message as topics take it, or a JSON array of such messages, or an
/// object with that array as `messages`.
///
/// A message that has come before is not shown again: what tells it is `Idempotency-Key`, for all of
/// the request, or else the `id` in its JSON.
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let segments = segments(request.uri())?;
    let channel = segments.get(1).map(String::as_str).unwrap_or_default();
    let (head, sent) = request.into_parts();
    let Some(webhook) = &app.service.webhook else {
        let message = "no channel takes reactions here";
        return Err(ApiError::not_found("no_channel", message));
    };
    let inbox = webhook.channels.get(channel);
    let sent = body(sent, BODY_BYTES_MAX, TOO_LARGE).await;
    let checked =
        sent.map_err(|error| error.with_status_for(TOO_LARGE, StatusCode::PAYLOAD_TOO_LARGE));
    let checked = checked.and_then(|body| {
        match (&webhook.secret, app.service.access) {
            (Some(secret), _) => secret.check(&head.headers, &body, since_epoch())?,
            (None, Access::Open) => {}
            (None, Access::Required) => {
                let why = "requests can't be signed, since this service has no webhook secret";
                return Err(refusal("no_secret", why));
            }
        }
        let key = idempotency_key(&head.headers)?;
        Ok((messages(body)?, key))
    });
    let (messages, key) = checked.inspect_err(|_| {
        if let Some(inbox) = inbox {
            inbox.refuse();
        }
    })?;
    let inbox = inbox.ok_or_else(|| {
        let known: Vec<_> = webhook.channels.keys().map(String::as_str).collect();
        let message = format!("no such channel; there are: {}", known.join(", "));
        ApiError::not_found("no_channel", message)
    })?;
    let mut outcomes = Outcomes::default();
    for (number, (text, own)) in messages.iter().enumerate() {
        let id = match (key, own) {
            (Some(key), _) => Some(format!("webhook:{key}/{number}")),
            (None, own) => own.as_ref().map(|id| format!("webhook:{id}")),
        };
        let outcome = inbox.take(&Arrival {
            id: id.as_deref(),
            ..Arrival::of(Message::payload(text))
        });
        *match outcome {
            Outcome::Accepted => &mut outcomes.accepted,
            Outcome::Unknown => &mut outcomes.unknown,
            Outcome::OtherType => &mut outcomes.other_type,
            Outcome::Duplicate => &mut outcomes.duplicate,
            Outcome::Refused => &mut outcomes.refused,
            Outcome::Limited => &mut outcomes.limited,
        } += 1;
    }
    Ok(json(StatusCode::OK, &outcomes))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let is_fine = |key: &&str| (1..=ID_BYTES_MAX).contains(&key.len());
    match key.to_str().ok().filter(is_fine) {
        Some(key) => Ok(Some(key)),
        None => {
            let message = format!("Idempotency-Key: expected 1 to {ID_BYTES_MAX} ASCII characters");
            Err(ApiError::bad_request("bad_id", message))
        }
    }
}

/// The messages of a body, each with its id if it has one.
fn messages(body: Vec<u8>) -> Result<Vec<(String, Option<String>)>, ApiError> {
    let text = String::from_utf8(body).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("the body is not UTF-8 from byte {at} on");
        ApiError::bad_request("not_utf8", message)
    })?;
    let text = text.trim();
    if !text.starts_with(['[', '{']) {
        return Ok(vec![(text.into(), None)]);
    }
    let read = |error: serde_json::Error| {
        ApiError::bad_request("bad_json", format!("the body is not JSON: {error}"))
    };
    let several = match serde_json::from_str(text).map_err(read)? {
        Value::Array(several) => several,
        Value::Object(mut object) => match object.remove("messages") {
            Some(Value::Array(several)) => several,
            Some(_) => {
                let message = "messages: expected an array of messages";
                return Err(ApiError::bad_request("bad_field", message));
            }
            // As it was sent.
            None => return Ok(vec![(text.into(), id(object.get("id"))?)]),
        },
        one => vec![one],
    };
    if several.len() > MESSAGES_MAX {
        let message = format!(
            "{} messages; at most {MESSAGES_MAX} are accepted",
            several.len()
        );
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(ApiError::new(status, "too_many_messages", message));
    }
    let message = |message: Value| match message {
        Value::String(text) => Ok((text, None)),
        Value::Object(_) => Ok((message.to_string(), id(message.get("id"))?)),
        _ => {
            let message = "messages: expected texts and objects";
            Err(ApiError::bad_request("bad_field", message))
        }
    };
    several.into_iter().map(message).collect()
}

/// A message's own id: text or a number.
fn id(id: Option<&Value>) -> Result<Option<String>, ApiError> {
    let text = match id {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => None,
    };
    match text.filter(|text| (1..=ID_BYTES_MAX).contains(&text.len())) {
        Some(text) => Ok(Some(text)),
        None => {
            let message = format!("id: expected 1 to {ID_BYTES_MAX} bytes of text, or a number");
            Err(ApiError::bad_request("bad_id", message))
        }
    }
}
