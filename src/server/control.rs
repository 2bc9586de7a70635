//! Stills, health and figures.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};
use crate::server::App;
use crate::server::answer::{ApiError, json};
use crate::server::path::segments;
use crate::source::{Monitor, State as SourceState, Status};

/// `GET /channels/{channel}/frame.png`
pub(super) async fn frame(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let segments = segments(request.uri())?;
    let channel = segments.get(1).cloned().unwrap_or_default();
    if !app.service.channels.contains_key(&channel) {
        return Err(no_channel(&app));
    }
    let busy = || ApiError::busy("busy", "too many stills are asked for at once");
    let queued = app.stills_queued.clone().try_acquire_owned();
    let queued = queued.map_err(|_| busy())?;
    let running = app.stills_running.clone().acquire_owned().await;
    let running = running.map_err(|_| busy())?;
    let drawn = spawn_blocking(move || {
        // Held here, since drawing goes on when the client is gone.
        let _permits = (queued, running);
        match app.service.channels.get(&channel) {
            Some(channel) => (channel.still)(),
            None => Err("the channel is gone".into()),
        }
    });
    let internal = |message| {
        tracing::error!("still: {message}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "still_failed", message)
    };
    let png = match drawn.await {
        Ok(drawn) => drawn.map_err(internal)?,
        Err(error) => return Err(internal(error.to_string())),
    };
    Ok(([(CONTENT_TYPE, "image/png")], png).into_response())
}

/// Says which channels there are.
pub(super) fn no_channel(app: &App) -> ApiError {
    let known: Vec<&str> = app.service.channels.keys().map(String::as_str).collect();
    let message = format!("no such channel; there are: {}", known.join(", "));
    ApiError::not_found("no_channel", message)
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// `GET /readyz`: whether it takes on work, and how each source stands. It does not while a source
/// that is required brings nothing.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let sources = || {
        let channels = app.service.channels.iter();
        channels.flat_map(|(name, channel)| channel.sources.iter().map(move |s| (name, s)))
    };
    let is_missing = |source: &Monitor| {
        let state = source.status.borrow().state;
        source.is_required && !state.is_up() && state != SourceState::Ended
    };
    let missing = sources().any(|(_, source)| is_missing(source));
    let (status, word) = match (app.is_stopping(), missing) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        _ => (StatusCode::OK, "ready"),
    };
    let mut text = word.to_owned();
    for (channel, source) in sources() {
        let Status { state, why, .. } = &*source.status.borrow();
        let colon = if why.is_empty() { "" } else { ": " };
        text += &format!("\n{channel} {} {state}{colon}{why}", source.name);
    }
    (status, text)
}

/// `GET /api/channels/{channel}`: what it follows, and how that stands.
pub(super) async fn channel(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Wire<'a> {
        channel: &'a str,
        cache: &'a str,
        topic: &'a str,
        sources: Vec<WireSource<'a>>,
    }
    #[derive(Serialize)]
    struct WireSource<'a> {
        source: &'a str,
        required: bool,
        #[serde(flatten)]
        status: Status,
        accepted: u64,
        unknown: u64,
        other_type: u64,
        duplicate: u64,
        refused: u64,
        reconnects: u64,
        gap_items: u64,
    }
    let segments = segments(request.uri())?;
    let name = segments.get(2).map_or("", String::as_str);
    let Some(channel) = app.service.channels.get(name) else {
        return Err(no_channel(&app));
    };
    fn wire(source: &Monitor) -> WireSource<'_> {
        let counted = &source.metrics;
        WireSource {
            source: &source.name,
            required: source.is_required,
            status: source.status.borrow().clone(),
            accepted: counted.accepted.get(),
            unknown: counted.unknown.get(),
            other_type: counted.other_type.get(),
            duplicate: counted.duplicate.get(),
            refused: counted.refused.get(),
            reconnects: counted.reconnects.get(),
            gap_items: counted.gap_items.get(),
        }
    }
    let answer = Wire {
        channel: name,
        cache: channel.topic.cache(),
        topic: channel.topic.topic(),
        sources: channel.sources.iter().map(wire).collect(),
    };
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let topics = i64::try_from(app.service.broker.topics()).unwrap_or(i64::MAX);
    app.service.metrics.topics.set(topics);
    figures(&app.service.metrics)
}

/// The answer with all figures.
pub(super) fn figures(metrics: &Metrics) -> Response {
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], metrics.encode()).into_response()
}
