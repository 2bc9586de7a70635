//! `GET /channels/{channel}/events`: a channel's reactions as server-sent events, for the
//! browser source. The event stream format is that of the HTML standard, section 9.2.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::server::answer::ApiError;
use crate::server::path::{parameter, segments, whole};
use crate::server::topics::{exact_in_scripts, publish_timestamp};
use crate::server::{App, Counted, REACTION_CACHE};
use crate::topic::{Cursor, Event, Item, TopicName, Value};

/// A comment is sent after this long without an event, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser should wait before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// Streams the reactions that are published from now on; or everything that the ring holds after
/// the `Last-Event-ID` of the header or the query. The header wins: a browser keeps it up to date.
///
/// `hello` comes first, and its id makes a reconnect before the first reaction resume too.
pub(super) async fn subscribe(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    let segments = segments(request.uri())?;
    let channel = segments.get(1).map_or("", String::as_str);
    let name = match app.service.channels.get(channel) {
        Some(channel) => channel.topic.clone(),
        None => TopicName::new(REACTION_CACHE, channel)?,
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
        queue: VecDeque::from([hello(cursor)]),
        app,
        name,
        cursor,
    };
    // Makes the topic, or fails while the status can still say so.
    subscriber.fetch(Duration::ZERO).await?;
    let events = stream::unfold(subscriber, |mut subscriber| async move {
        let event = subscriber.next().await?;
        Some((Ok::<_, Infallible>(event), subscriber))
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    // A proxy that collects the answer before it passes it on would never pass it on.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(response)
}

struct Subscriber {
    app: Arc<App>,
    name: TopicName,
    cursor: Cursor,
    /// One batch of the broker at most, and `hello`; the ring holds what comes meanwhile.
    queue: VecDeque<SseEvent>,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Subscriber {
    async fn next(&mut self) -> Option<SseEvent> {
        let app = self.app.clone();
        let next = async {
            while self.queue.is_empty() {
                if let Err(error) = self.fetch(app.service.hold).await {
                    tracing::warn!("events of {}: {error:?}", self.name);
                    return None;
                }
            }
            self.queue.pop_front()
        };
        tokio::select! {
            event = next => event,
            () = app.stopped() => None,
        }
    }

    async fn fetch(&mut self, hold: Duration) -> Result<(), ApiError> {
        let broker = &self.app.service.broker;
        let (events, next) = broker.next(&self.name, self.cursor, hold).await?;
        self.cursor = next;
        let mut sent = true;
        for event in &events {
            let event = match event {
                Event::Item(item) => match &item.value {
                    Value::Retraction(sequences) => Some(retraction(item, sequences)),
                    _ => self.reactions(item),
                },
                Event::Gap {
                    last_sequence,
                    new_sequence,
                    new_page,
                } => Some(gap(*last_sequence, *new_sequence, *new_page)),
            };
            sent = event.is_some();
            self.queue.extend(event);
        }
        if !sent {
            // Moves the browser's last id past items that it has no use for, so that it does not
            // come back for them; an event without data is not dispatched.
            self.queue.push_back(SseEvent::default().id(id(next)));
        }
        Ok(())
    }

    fn reactions(&self, item: &Item) -> Option<SseEvent> {
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
        let Value::Text(text) = &item.value else {
            return None;
        };
        let reactions = self.app.service.palette.decode(text).ok()?;
        self.app.service.metrics.items_delivered.inc();
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

/// Sprites of these items are to go.
fn retraction(item: &Item, sequences: &[u64]) -> SseEvent {
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

fn hello(cursor: Cursor) -> SseEvent {
    #[derive(Serialize)]
    struct Wire {
        page: u64,
        sequence: u64,
    }
    let wire = Wire {
        page: exact_in_scripts(cursor.page),
        sequence: exact_in_scripts(cursor.sequence - 1),
    };
    event("hello", cursor, &wire).retry(RETRY)
}

fn gap(last_sequence: u64, new_sequence: u64, new_page: u64) -> SseEvent {
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

fn event(name: &str, cursor: Cursor, wire: &impl Serialize) -> SseEvent {
    let data = serde_json::to_string(wire).expect("invariant: wire types are valid JSON");
    SseEvent::default().event(name).id(id(cursor)).data(data)
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
