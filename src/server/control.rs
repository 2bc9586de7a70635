//! Stills, health and figures.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;

use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};
use crate::server::App;
use crate::server::answer::ApiError;
use crate::server::path::segments;

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

/// `GET /readyz`: it takes on work.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ready")
    }
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
