//! Stills, health and figures.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};
use crate::server::answer::{ApiError, json};
use crate::server::path::segments;
use crate::server::{App, OutputMonitor, operator};
use crate::source::{Monitor, State as SourceState, Status};

/// The longest reason that anyone may read, in characters.
const WHY_CHARS_MAX: usize = 200;

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

/// `GET /readyz`: whether it takes on work, and how each source and each output stands. It does not
/// while a source that is required brings nothing, one of those outputs is not open, or a channel's
/// clock stands still.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let sources = || {
        let channels = app.service.channels.iter();
        channels.flat_map(|(name, channel)| channel.sources.iter().map(move |s| (name, s)))
    };
    let is_missing = |source: &Monitor| {
        let state = source.status.borrow().state;
        source.is_required && !state.is_up() && state != SourceState::Ended
    };
    let outputs = || {
        let channels = app.service.channels.iter();
        channels.flat_map(|(name, channel)| channel.outputs.iter().map(move |o| (name, o)))
    };
    let is_open = |output: &OutputMonitor| output.metrics.open.get() > 0;
    let stalled = app.service.channels.iter();
    let stalled = stalled.filter_map(|(name, channel)| Some((name, (channel.stalled)()?)));
    let stalled: Vec<_> = stalled.collect();
    let missing = sources().any(|(_, source)| is_missing(source))
        || outputs().any(|(_, output)| output.is_required && !is_open(output))
        || !stalled.is_empty();
    let (status, word) = match (app.is_stopping(), missing) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        _ => (StatusCode::OK, "ready"),
    };
    let mut text = word.to_owned();
    for (channel, source) in sources() {
        let Status { state, why, .. } = &*source.status.borrow();
        let why = public(why);
        let colon = if why.is_empty() { "" } else { ": " };
        text += &format!("\n{channel} {} {state}{colon}{why}", source.name);
    }
    for (channel, output) in outputs() {
        let state = match (is_open(output), output.is_required) {
            (true, _) => "open",
            (false, true) => "not open: it is required",
            (false, false) => "not open",
        };
        text += &format!("\n{channel} {} {state}", output.metrics.name);
    }
    for (channel, silent) in stalled {
        let seconds = silent.as_secs_f64();
        text += &format!("\n{channel} clock stalled: no frame for {seconds:.1} s");
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
        paused: bool,
        sprites: usize,
        /// For operators alone: whom they block is nobody else's business.
        #[serde(skip_serializing_if = "Option::is_none")]
        settings: Option<Map<String, Value>>,
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
        limited: u64,
        reconnects: u64,
        gap_items: u64,
    }
    let (head, _) = request.into_parts();
    let is_operator = operator::admit(&app, &head).is_ok();
    let segments = segments(&head.uri)?;
    let name = segments.get(2).map_or("", String::as_str);
    let Some(channel) = app.service.channels.get(name) else {
        return Err(no_channel(&app));
    };
    fn wire(source: &Monitor) -> WireSource<'_> {
        let counted = &source.metrics;
        WireSource {
            source: &source.name,
            required: source.is_required,
            status: {
                let status = source.status.borrow().clone();
                let why = public(&status.why);
                Status { why, ..status }
            },
            accepted: counted.accepted.get(),
            unknown: counted.unknown.get(),
            other_type: counted.other_type.get(),
            duplicate: counted.duplicate.get(),
            refused: counted.refused.get(),
            limited: counted.limited.get(),
            reconnects: counted.reconnects.get(),
            gap_items: counted.gap_items.get(),
        }
    }
    let answer = Wire {
        channel: name,
        cache: channel.topic.cache(),
        topic: channel.topic.topic(),
        paused: channel.controls.is_paused(),
        sprites: channel.controls.sprites(),
        settings: is_operator.then(|| channel.controls.settings()),
        sources: channel.sources.iter().map(wire).collect(),
    };
    Ok(json(StatusCode::OK, &answer))
}

/// What anyone may read of a reason, which the log has in full: not all that an upstream service
/// says, and nothing that tells its accounts, roles and machines, as AWS does where it denies access.
fn public(why: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let without_arns = why.split_inclusive(char::is_whitespace).map(|text| {
        let (before, arn) = text.split_once("arn:").unwrap_or((text, ""));
        let space = &text[text.trim_end().len()..];
        match arn {
            "" => text.to_owned(),
            _ => format!("{before}arn:…{space}"),
        }
    });
    let without_arns: String = without_arns.collect();
    let without_ids = without_arns.split_inclusive(|c| !is_word(c)).map(|text| {
        let word = text.trim_end_matches(|c| !is_word(c));
        let is_account = word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit());
        let is_instance = word
            .strip_prefix("i-")
            .is_some_and(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        match is_account || is_instance {
            true => text.replacen(word, "…", 1),
            false => text.to_owned(),
        }
    });
    let mut shown = without_ids.collect::<String>();
    if let Some((end, _)) = shown.char_indices().nth(WHY_CHARS_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_tells_nobody_of_accounts_and_machines() {
        for (why, expected) in [
            ("", ""),
            ("nobody answers: try i-pad", "nobody answers: try i-pad"),
            (
                "answered 403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/live/\
                 i-0123456789abcdef0 is not authorized on arn:aws:ivschat:x:123456789012:room/a",
                "answered 403 AccessDenied: User: arn:… is not authorized on arn:…",
            ),
            (
                "account 123456789012 (i-0123456789abcdef0), since 1763784580078 ms",
                "account … (…), since 1763784580078 ms",
            ),
        ] {
            assert_eq!(public(why), expected);
        }
        assert_eq!(public(&"é".repeat(300)), format!("{}…", "é".repeat(200)));
    }
}
