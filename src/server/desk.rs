//! What an operator does to a channel while it runs: `PATCH /api/channels/{channel}`, and `clear`,
//! `pause`, `resume` and `burst` below it. [`operator`] says who may.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use tokio::sync::watch;

use crate::reaction;
use crate::server::answer::{ApiError, body, json};
use crate::server::control::no_channel;
use crate::server::path::{number, parameter, segments};
use crate::server::{App, Channel, operator};
use crate::source::since_epoch;
use crate::topic::{ItemId, Value};

/// The longest request, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Items that are taken back when a channel is cleared, for viewer pages and whoever follows the topic:
/// most sprites are over sooner than this many come.
const CLEARED_MAX: u64 = 2_000;

/// What an operator may do to a channel while it runs.
pub trait Controls: Send + Sync {
    /// What may be changed, by its name in the settings, as it is now.
    fn settings(&self) -> Map<String, Json>;

    /// Changes some of that, or nothing at all.
    ///
    /// # Errors
    /// What is wrong, and what is accepted.
    fn change(&self, changes: &Map<String, Json>) -> Result<(), String>;

    /// Whenever what may be changed has changed.
    fn changes(&self) -> watch::Receiver<()>;

    /// Lets nothing in, or what its rules say again.
    fn pause(&self, paused: bool);

    /// Whether it lets nothing in.
    fn is_paused(&self) -> bool;

    /// Takes everything off the stage.
    fn clear(&self);

    /// Whenever everything is taken off the stage.
    fn clearings(&self) -> watch::Receiver<()>;

    /// How many sprites are on stage.
    fn sprites(&self) -> usize;
}

/// `GET /api/channels`: the names of the channels.
pub(super) async fn channels(State(app): State<Arc<App>>) -> Response {
    #[derive(Serialize)]
    struct Wire<'a> {
        channels: Vec<&'a str>,
    }
    let channels = app.service.channels.keys().map(String::as_str).collect();
    json(StatusCode::OK, &Wire { channels })
}

/// `PATCH /api/channels/{channel}`: changes settings, and answers with all of them.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (_, channel, _, sent) = admitted(&app, request)?;
    let changes = body(sent, BODY_BYTES_MAX, "body_too_large").await?;
    let changes: Map<String, Json> = serde_json::from_slice(&changes).map_err(|error| {
        let message = format!("{error}: expected a JSON object of settings");
        ApiError::bad_request("bad_settings", message)
    })?;
    let changed = channel.controls.change(&changes);
    changed.map_err(|message| ApiError::bad_request("bad_settings", message))?;
    let settings = channel.controls.settings();
    Ok(json(StatusCode::OK, &json!({ "settings": settings })))
}

/// `POST /api/channels/{channel}/clear`: nothing shows any more of what has come until now.
pub(super) async fn clear(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (name, channel, ..) = admitted(&app, request)?;
    let broker = &app.service.broker;
    let next = broker.latest(&channel.topic);
    let first = next.sequence.saturating_sub(CLEARED_MAX).max(1);
    let item = |sequence| ItemId {
        page: next.page,
        sequence,
    };
    let items: Vec<ItemId> = (first..next.sequence).map(item).collect();
    // What is published from now on is of after it, for event streams as well.
    channel.controls.clear();
    broker.retract(&channel.topic, &items, since_epoch());
    tracing::info!(channel = &*name, "channel {name}: cleared by an operator");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/channels/{channel}/pause`
pub(super) async fn pause(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    set_paused(&app, request, true)
}

/// `POST /api/channels/{channel}/resume`
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    set_paused(&app, request, false)
}

fn set_paused(app: &Arc<App>, request: Request, paused: bool) -> Result<StatusCode, ApiError> {
    let (name, channel, ..) = admitted(app, request)?;
    if channel.controls.is_paused() != paused {
        let done = if paused { "paused" } else { "resumed" };
        tracing::info!(channel = &*name, "channel {name}: {done} by an operator");
    }
    channel.controls.pause(paused);
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/channels/{channel}/burst`: reactions that nobody has sent, such as for a test or a goal.
/// What is asked for is a topic's message in the body, or `?reaction=` and `?count=`.
pub(super) async fn burst(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (_, channel, uri, sent) = admitted(&app, request)?;
    let sent = body(sent, BODY_BYTES_MAX, "body_too_large").await?;
    let asked = match sent.is_empty() {
        true => asked(&uri)?,
        false => String::from_utf8_lossy(&sent).into_owned(),
    };
    let reactions = app.service.palette.decode(&asked).map_err(|error| {
        let asked: String = asked.chars().take(64).collect();
        let message = format!(
            "{asked:?}: {error}; expected a message such as heart or {{\"heart\":20,\"fire\":5}}, \
             or ?reaction=heart&count=20"
        );
        ApiError::bad_request("bad_burst", message)
    })?;
    let text = Value::Text(reaction::encode(&reactions).into());
    let broker = &app.service.broker;
    broker.publish(&channel.topic, text, None, since_epoch())?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the query of a burst asks for.
fn asked(uri: &Uri) -> Result<String, ApiError> {
    let reaction = parameter(uri, "reaction")?.unwrap_or_default();
    let count = number(uri, "count")?.unwrap_or(1);
    Ok(json!({ "reaction": reaction, "count": count }).to_string())
}

/// The name of the channel that an operator means, the channel, and the rest of the request.
fn admitted(app: &Arc<App>, request: Request) -> Result<(String, &Channel, Uri, Body), ApiError> {
    let (head, sent): (Parts, Body) = request.into_parts();
    operator::admit(app, &head)?;
    let segments = segments(&head.uri)?;
    let name = segments.get(2).cloned().unwrap_or_default();
    match app.service.channels.get(&name) {
        Some(channel) => Ok((name, channel, head.uri, sent)),
        None => Err(no_channel(app)),
    }
}
