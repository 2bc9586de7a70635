//! The Momento topic API: `POST|GET|OPTIONS …/topics/{cache}/{topic}`.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::gate::Refusal;
use crate::metrics::{Outcome, Status};
use crate::reaction::{self, NotAReaction, Reaction};
use crate::server::admission::Caller;
use crate::server::answer::{ApiError, body, json, method_not_allowed};
use crate::server::gap_cure::GapCure;
use crate::server::path::{number, segments};
use crate::server::{App, Counted};
use crate::source::since_epoch;
use crate::topic::{Cursor, Event, Item, TopicName, Value};

/// What a topic can be asked, and every other route too.
pub(super) const METHODS: &str = "GET, POST, OPTIONS";

/// The largest whole number that a script's number holds exactly.
const SCRIPT_INTEGER_MAX: u64 = (1 << 53) - 1;

/// An error answer to a poll is held back for this long, and up to as long again: the tutorial's
/// script polls again at once whatever the answer was.
const ERROR_DELAY: Duration = Duration::from_secs(1);

/// Anything that no other route takes: a topic, under any base path, or 404.
pub(super) async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    let segments = match segments(request.uri()) {
        Ok(segments) => segments,
        Err(error) => return error.into_response(),
    };
    let [.., topics, cache, topic] = segments.as_slice() else {
        return not_found(&request).into_response();
    };
    if topics != "topics" {
        return not_found(&request).into_response();
    }
    let method = request.method().clone();
    if method != Method::GET && method != Method::POST {
        let mut response = method_not_allowed(request).await.into_response();
        let allowed = HeaderValue::from_static(METHODS);
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let name = TopicName::new(cache, topic).map_err(ApiError::from);
    let (head, sent) = request.into_parts();
    if method == Method::POST {
        let result = publish(&app, &head, sent, name).await;
        count(&app.service.metrics.publishes, result.into_response())
    } else {
        let result = poll(&app, &head, name).await;
        let response = count(&app.service.metrics.polls, result.into_response());
        hold_back(&app, response.status()).await;
        response
    }
}

async fn publish(
    app: &App,
    head: &Parts,
    sent: Body,
    name: Result<TopicName, ApiError>,
) -> Result<StatusCode, ApiError> {
    let caller = Caller::admit(app, head)?;
    let name = caller.topic(app, name?, &Method::POST)?;
    let broker = &app.service.broker;
    let bytes = body(sent, broker.limits().value_bytes, "message_too_large").await?;
    let value = if is_binary(&head.headers) {
        Value::Binary(bytes.into())
    } else {
        let text = String::from_utf8(bytes).map_err(|error| {
            let message = format!(
                "the message is not UTF-8 from byte {} on; other bytes are accepted as \
                 application/octet-stream",
                error.utf8_error().valid_up_to()
            );
            ApiError::bad_request("not_utf8", message)
        })?;
        Value::Text(text.into())
    };
    let publisher: Option<Arc<str>> = caller.claims.map(|claims| claims.id.into());
    let (outcome, value) = match decoded(app, &value) {
        Err(outcome) => (outcome, value),
        Ok(reactions) => match let_in(app, &name, publisher.as_deref(), reactions, value)? {
            Some(value) => (Outcome::ACCEPTED, value),
            // Whoever sent it has done nothing that another try would mend.
            None => return Ok(StatusCode::NO_CONTENT),
        },
    };
    broker.publish(&name, value, publisher, since_epoch())?;
    app.service.metrics.reactions.get_or_create(&outcome).inc();
    Ok(StatusCode::NO_CONTENT)
}

async fn poll(
    app: &App,
    head: &Parts,
    name: Result<TopicName, ApiError>,
) -> Result<Response, ApiError> {
    let caller = Caller::admit(app, head)?;
    let name = caller.topic(app, name?, &Method::GET)?;
    let asked = number(&head.uri, "sequence_number")?;
    let page = number(&head.uri, "sequence_page")?.unwrap_or(0);
    let broker = &app.service.broker;
    let _place = app.waiting.place(caller.counted_as)?;
    let mut bookmark = Bookmark {
        app,
        caller: caller.on(app, &name),
        port: caller.address.port(),
        cursor: Cursor::default(),
        cures: app.service.gap_cure && asked.is_none(),
    };
    bookmark.cursor = match asked {
        Some(sequence) if sequence > 0 => Cursor { page, sequence },
        _ => bookmark.take().unwrap_or_else(|| broker.latest(&name)),
    };
    // From here on nothing that is published is missed.
    let _counted = Counted::new(&app.service.metrics.polls_waiting);
    let events = tokio::select! {
        answer = broker.next(&name, bookmark.cursor, app.service.hold) => {
            let (events, next) = answer?;
            bookmark.cursor = next;
            events
        }
        () = app.stopped() => Vec::new(),
    };
    Ok(answer(app, &events))
}

/// Where a poll without a number stands; left behind for the next one even when the client goes
/// away halfway.
struct Bookmark<'a> {
    app: &'a App,
    caller: u64,
    port: u16,
    cursor: Cursor,
    cures: bool,
}

impl Bookmark<'_> {
    fn take(&self) -> Option<Cursor> {
        self.cures
            .then(|| self.cure().take(self.caller, self.port, Instant::now()))?
    }

    fn cure(&self) -> MutexGuard<'_, GapCure> {
        let cure = self.app.gap_cure.lock();
        cure.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bookmark<'_> {
    fn drop(&mut self) {
        if self.cures {
            let now = Instant::now();
            self.cure().leave(self.caller, self.port, self.cursor, now);
        }
    }
}

#[derive(Serialize)]
struct Items<'a> {
    items: Vec<WireEvent<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WireEvent<'a> {
    Item {
        topic_sequence_number: u64,
        sequence_page: u64,
        publisher_id: &'a str,
        /// Milliseconds since the Unix epoch. Momento's API has no such member, and its clients
        /// pass over it.
        publish_timestamp: u64,
        /// Numbers of the same page whose items are taken back; none can be published. Not in
        /// Momento's API either.
        #[serde(skip_serializing_if = "Option::is_none")]
        retraction: Option<&'a [u64]>,
        value: WireValue<'a>,
    },
    Discontinuity {
        last_topic_sequence: u64,
        new_topic_sequence: u64,
        new_sequence_page: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WireValue<'a> {
    Text(&'a str),
    /// Standard base64.
    Binary(String),
}

/// What a client that knows no retraction reads: a message of a type that is no reaction.
const RETRACTION: &str = r#"{"type":"retraction"}"#;

fn answer(app: &App, events: &[Event]) -> Response {
    let items: Vec<WireEvent<'_>> = events.iter().map(wire).collect();
    let delivered = events
        .iter()
        .filter(|event| matches!(event, Event::Item(_)))
        .count();
    app.service.metrics.items_delivered.inc_by(delivered as u64);
    json(StatusCode::OK, &Items { items })
}

fn wire(event: &Event) -> WireEvent<'_> {
    match event {
        Event::Item(item) => WireEvent::Item {
            topic_sequence_number: item.sequence,
            sequence_page: item.page,
            publisher_id: item.publisher.as_deref().unwrap_or(""),
            publish_timestamp: publish_timestamp(item),
            retraction: match &item.value {
                Value::Retraction(sequences) => Some(sequences),
                Value::Text(_) | Value::Binary(_) => None,
            },
            value: match &item.value {
                Value::Text(text) => WireValue::Text(text),
                Value::Binary(bytes) => WireValue::Binary(general_purpose::STANDARD.encode(bytes)),
                Value::Retraction(_) => WireValue::Text(RETRACTION),
            },
        },
        Event::Gap {
            last_sequence,
            new_sequence,
            new_page,
        } => WireEvent::Discontinuity {
            last_topic_sequence: exact_in_scripts(*last_sequence),
            new_topic_sequence: *new_sequence,
            new_sequence_page: *new_page,
        },
    }
}

/// When an item was published, as milliseconds since the Unix epoch.
pub(super) fn publish_timestamp(item: &Item) -> u64 {
    u64::try_from(item.published_at.as_millis()).unwrap_or(u64::MAX)
}

/// A subscriber's own number, which may be absurd; 0, which means unknown, if a script could not
/// hold it.
pub(super) fn exact_in_scripts(sequence: u64) -> u64 {
    if sequence > SCRIPT_INTEGER_MAX {
        0
    } else {
        sequence
    }
}

/// What a message asks for, or how one that asks for nothing is counted.
fn decoded(app: &App, value: &Value) -> Result<Vec<Reaction>, Outcome> {
    let Value::Text(text) = value else {
        return Err(Outcome::UNKNOWN);
    };
    app.service
        .palette
        .decode(text)
        .map_err(|error| match error {
            NotAReaction::Unknown => Outcome::UNKNOWN,
            NotAReaction::OtherType => Outcome::OTHER_TYPE,
        })
}

/// The message as the gate of the topic's channel lets it in: as it is, or without what is blocked;
/// `None` if nothing is left. A topic of no channel has no gate.
fn let_in(
    app: &App,
    name: &TopicName,
    publisher: Option<&str>,
    reactions: Vec<Reaction>,
    value: Value,
) -> Result<Option<Value>, ApiError> {
    let Some(guard) = app.guards.get(name) else {
        return Ok(Some(value));
    };
    let asked = reactions.len();
    match guard.admit(publisher, reactions) {
        Ok(admitted) if admitted.len() == asked => Ok(Some(value)),
        Ok(admitted) => Ok(Some(Value::Text(reaction::encode(&admitted).into()))),
        Err(Refusal::PublisherRate) => {
            let message = "this publisher sends too many messages a second";
            Err(ApiError::too_many("publisher_rate", message))
        }
        Err(Refusal::ChannelRate) => {
            let message = "too many messages a second are sent to this channel";
            Err(ApiError::too_many("channel_rate", message))
        }
        Err(_) => Ok(None),
    }
}

/// Only this type makes a message binary: samples in the field send plain words under
/// `application/json`, form types and none at all, and read them back as text.
fn is_binary(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|t| t.trim().eq_ignore_ascii_case("application/octet-stream"))
}

/// Keeps who was answered an error from asking again at once.
pub(super) async fn hold_back(app: &App, status: StatusCode) {
    let hammered = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !hammered.contains(&status) {
        return;
    }
    let Ok(_permit) = app.delayed.try_acquire() else {
        return;
    };
    // Spread, so that many clients that failed together don't come back together.
    let delay = ERROR_DELAY + ERROR_DELAY.mul_f64(rand::random_range(0.0..1.0));
    tokio::select! {
        () = sleep(delay) => {}
        () = app.stopped() => {}
    }
}

fn count(answers: &Family<Status, Counter>, response: Response) -> Response {
    let status = Status::new(response.status().as_u16());
    answers.get_or_create(&status).inc();
    response
}

fn not_found(request: &Request) -> ApiError {
    let message = format!(
        "nothing at {}; topics are at /topics/{{cache}}/{{topic}}, each name percent-encoded",
        request.uri().path()
    );
    ApiError::not_found("not_found", message)
}
