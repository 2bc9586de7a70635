//! `GET /channels/{channel}/events`: a channel's reactions as server-sent events, for the
//! browser source. The event stream format is that of the HTML standard, section 9.2.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::server::answer::ApiError;
use crate::server::path::{parameter, segments, whole};
use crate::server::topics::{exact_in_scripts, publish_timestamp};
use crate::server::{App, Counted, REACTION_CACHE};
use crate::topic::{Cursor, Event, Item, TopicName, Value};

/// A comment is sent after this long without an event, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser should wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Of what an operator may change, what a page shows; what is let in, and from whom, is nobody's to
/// know.
const SHOWN: [&str; 8] = [
    "sprites_max",
    "overflow",
    "queue_max",
    "queue_seconds",
    "spread_ms",
    "coverage_max",
    "opacity_max",
    "quiet",
];

/// Streams the reactions that are published from now on; or everything that the ring holds after
/// the `Last-Event-ID` of the header or the query. The header wins: a browser keeps it up to date.
///
/// `hello` comes first, and its id makes a reconnect before the first reaction resume too. Of a channel
/// that is drawn here `settings` follows, and again whenever they change, and `clear` whenever an
/// operator has cleared it.
pub(super) async fn subscribe(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let segments = segments(request.uri())?;
    let channel = segments.get(1).map_or("", String::as_str);
    let (name, stage) = match app.service.channels.get(channel) {
        Some(drawn) => {
            let stage = Drawn {
                channel: channel.to_owned(),
                changes: drawn.controls.changes(),
                clearings: drawn.controls.clearings(),
            };
            (drawn.topic.clone(), Some(stage))
        }
        None => (TopicName::new(REACTION_CACHE, channel)?, None),
    };
    app.check_cache(&name)?;
    let permit = app.subscribers.clone().try_acquire_owned().map_err(|_| {
        ApiError::busy(
            "too_many_subscribers",
            "too many event streams are open already",
        )
    })?;
    let cursor = match resumed(&request)? {
        Some(cursor) => cursor,
        None => app.service.broker.latest(&name),
    };
    let mut subscriber = Subscriber {
        _counted: Counted::new(&app.service.metrics.sse_subscribers),
        _permit: permit,
        stop: app.stop.subscribe(),
        app,
        name,
        cursor,
        ready: vec![hello(cursor)],
        stage,
    };
    subscriber.say_settings();
    // Makes the topic, or fails while the status can still say so.
    subscriber.fetch(Duration::ZERO).await?;
    let chunks = stream::unfold(subscriber, |mut subscriber| async move {
        let chunk = subscriber.next().await?;
        Some((Ok::<_, Infallible>(chunk), subscriber))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // A proxy that collects the answer before it passes it on would never pass it on.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

struct Subscriber {
    app: Arc<App>,
    stop: watch::Receiver<bool>,
    name: TopicName,
    cursor: Cursor,
    /// Events of one batch of the broker at most, and `hello`; the ring holds what comes meanwhile.
    ready: Vec<Bytes>,
    stage: Option<Drawn>,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

/// A channel that is drawn here, and what its operator does.
struct Drawn {
    channel: String,
    changes: watch::Receiver<()>,
    clearings: watch::Receiver<()>,
}

impl Subscriber {
    /// What to send next: all that is ready, or a comment if nothing has come for long.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() {
            let mut stop = self.stop.clone();
            let stage = self.stage.as_ref();
            let mut changes = stage.map(|stage| stage.changes.clone());
            let mut clearings = stage.map(|stage| stage.clearings.clone());
            let fetched = tokio::select! {
                // What is published after a clearing comes after it here as well.
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                () = told(&mut clearings) => {
                    self.say_cleared();
                    Ok(())
                }
                () = told(&mut changes) => {
                    self.say_settings();
                    Ok(())
                }
                fetched = self.fetch(KEEP_ALIVE) => fetched,
            };
            if let Err(error) = fetched {
                tracing::warn!("events of {}: {error:?}", self.name);
                return None;
            }
        }
        Some(match self.ready.len() {
            0 => Bytes::from_static(b":\n\n"),
            // Shared with every other subscriber.
            1 => self.ready.swap_remove(0),
            _ => {
                let all = self.ready.concat();
                self.ready.clear();
                all.into()
            }
        })
    }

    /// That all is off the stage; like the settings it is no part of what can be resumed.
    fn say_cleared(&mut self) {
        if let Some(stage) = &mut self.stage {
            stage.clearings.mark_unchanged();
            self.ready
                .push(Bytes::from_static(b"event: clear\ndata: {}\n\n"));
        }
    }

    /// The settings as they are now; they are no part of what can be resumed, and so have no id.
    fn say_settings(&mut self) {
        let Some(stage) = &mut self.stage else {
            return;
        };
        stage.changes.mark_unchanged();
        let Some(channel) = self.app.service.channels.get(&stage.channel) else {
            return;
        };
        let mut settings = channel.controls.settings();
        settings.retain(|key, _| SHOWN.contains(&key.as_str()));
        if settings.is_empty() {
            return;
        }
        let data = serde_json::Value::Object(settings);
        self.ready
            .push(format!("event: settings\ndata: {data}\n\n").into());
    }

    async fn fetch(&mut self, hold: Duration) -> Result<(), ApiError> {
        let broker = &self.app.service.broker;
        let (events, next) = broker.next(&self.name, self.cursor, hold).await?;
        self.cursor = next;
        let mut sent = true;
        let mut shown = 0;
        for event in &events {
            let event = match event {
                Event::Item(item) => {
                    let rendered = item.rendered.get_or_init(|| self.rendered(item));
                    shown += u64::from(rendered.is_some() && !is_retraction(item));
                    rendered.clone()
                }
                Event::Gap {
                    last_sequence,
                    new_sequence,
                    new_page,
                } => Some(gap(*last_sequence, *new_sequence, *new_page)),
            };
            sent = event.is_some();
            self.ready.extend(event);
        }
        self.app.service.metrics.items_delivered.inc_by(shown);
        if !sent {
            // Moves the browser's last id past items that it has no use for, so that it does not
            // come back for them; an event without data is not dispatched.
            self.ready.push(format!("id: {}\n\n", id(next)).into());
        }
        Ok(())
    }

    fn rendered(&self, item: &Item) -> Option<Bytes> {
        match &item.value {
            Value::Retraction(sequences) => Some(retraction(item, sequences)),
            Value::Text(text) => self.reactions(item, text),
            Value::Binary(_) => None,
        }
    }

    fn reactions(&self, item: &Item, text: &str) -> Option<Bytes> {
        #[derive(Serialize)]
        struct Wire<'a> {
            page: u64,
            sequence: u64,
            publish_timestamp: u64,
            reactions: Vec<WireReaction<'a>>,
        }
        #[derive(Serialize)]
        struct WireReaction<'a> {
            emoji: &'a str,
            count: u32,
        }
        let reactions = self.app.service.palette.decode(text).ok()?;
        let wire = Wire {
            page: item.page,
            sequence: item.sequence,
            publish_timestamp: publish_timestamp(item),
            reactions: reactions
                .iter()
                .map(|reaction| WireReaction {
                    emoji: reaction.emoji.as_str(),
                    count: reaction.count,
                })
                .collect(),
        };
        Some(event("reactions", after(item), &wire))
    }
}

/// Until it is told something; never, if there is nobody who could tell it.
async fn told(signal: &mut Option<watch::Receiver<()>>) {
    if let Some(signal) = signal
        && signal.changed().await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}

fn is_retraction(item: &Item) -> bool {
    matches!(item.value, Value::Retraction(_))
}

/// Sprites of these items are to go.
fn retraction(item: &Item, sequences: &[u64]) -> Bytes {
    #[derive(Serialize)]
    struct Wire<'a> {
        page: u64,
        sequences: &'a [u64],
    }
    let wire = Wire {
        page: item.page,
        sequences,
    };
    event("retraction", after(item), &wire)
}

/// The place after an item.
fn after(item: &Item) -> Cursor {
    Cursor {
        page: item.page,
        sequence: item.sequence + 1,
    }
}

fn hello(cursor: Cursor) -> Bytes {
    #[derive(Serialize)]
    struct Wire {
        page: u64,
        sequence: u64,
    }
    let wire = Wire {
        page: exact_in_scripts(cursor.page),
        sequence: exact_in_scripts(cursor.sequence - 1),
    };
    let retry = format!("retry: {}\n", RETRY.as_millis());
    [retry.as_bytes(), &event("hello", cursor, &wire)]
        .concat()
        .into()
}

fn gap(last_sequence: u64, new_sequence: u64, new_page: u64) -> Bytes {
    #[derive(Serialize)]
    struct Wire {
        last_sequence: u64,
        new_sequence: u64,
        new_page: u64,
    }
    let wire = Wire {
        last_sequence: exact_in_scripts(last_sequence),
        new_sequence,
        new_page,
    };
    let cursor = Cursor {
        page: new_page,
        sequence: new_sequence,
    };
    event("gap", cursor, &wire)
}

fn event(name: &str, cursor: Cursor, wire: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(wire).expect("invariant: wire types are valid JSON");
    // JSON of one line: no line of it can be taken for another field.
    format!("event: {name}\nid: {}\ndata: {data}\n\n", id(cursor)).into()
}

/// `{page}-{sequence}` of the last item before `cursor`.
fn id(cursor: Cursor) -> String {
    format!("{}-{}", cursor.page, cursor.sequence - 1)
}

/// The place after the last event that the client says it had.
fn resumed(request: &Request) -> Result<Option<Cursor>, ApiError> {
    let header = request.headers().get("last-event-id");
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let last = match header {
        Some(id) => Some(id),
        None => parameter(request.uri(), "last_event_id")?,
    };
    let Some(last) = last.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let cursor = last.split_once('-').and_then(|(page, sequence)| {
        Some(Cursor {
            page: whole(page)?,
            sequence: whole(sequence)?.checked_add(1)?,
        })
    });
    if cursor.is_none() {
        let last: String = last.chars().take(64).collect();
        let message = format!("last event id {last:?}: expected page-sequence, such as 1-42");
        return Err(ApiError::bad_request("bad_event_id", message));
    }
    Ok(cursor)
}
