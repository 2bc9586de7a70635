//! FOR THESE TESTS ONLY: just enough of a topic server for the pages to talk to.
//!
//! It can be stopped and started again on its port with its items kept, and can be made to refuse.
//! The tests of the whole service use the real server.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use floatup::reaction::Palette;
use floatup::server::{Channels, pages};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The one page of every topic here.
pub(crate) const PAGE: u64 = 1_763_712_000;

/// What outlives a stop of the server.
pub(crate) struct Log {
    palette: Arc<Palette>,
    texts: watch::Sender<Vec<String>>,
    requests: watch::Sender<Vec<String>>,
    refusal: Mutex<Option<StatusCode>>,
    broken_events: Mutex<Option<StatusCode>>,
}

impl Log {
    pub(crate) fn publish(&self, text: &str) {
        self.texts.send_modify(|texts| texts.push(text.into()));
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.texts.borrow().clone()
    }

    /// Method and path of all requests so far, with the id to resume from for event streams.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Waits until a request was made that `wanted` is part of.
    pub(crate) async fn requested(&self, wanted: &str) {
        let mut requests = self.requests.subscribe();
        let seen = requests.wait_for(|all| all.iter().any(|r| r.contains(wanted)));
        tokio::time::timeout(Duration::from_secs(25), seen)
            .await
            .unwrap_or_else(|_| panic!("no request {wanted:?} in {:?}", self.requests()))
            .unwrap();
    }

    /// Waits until so many texts have been published.
    pub(crate) async fn published(&self, count: usize) {
        let mut texts = self.texts.subscribe();
        let there = texts.wait_for(|texts| texts.len() >= count);
        tokio::time::timeout(Duration::from_secs(25), there)
            .await
            .unwrap_or_else(|_| panic!("{count} texts awaited, got {:?}", self.texts()))
            .unwrap();
    }

    /// From now on event streams are answered with this status.
    pub(crate) fn break_events_with(&self, status: Option<StatusCode>) {
        *self.broken_events.lock().unwrap() = status;
    }

    /// From now on publishing is answered with this status.
    pub(crate) fn refuse_with(&self, status: Option<StatusCode>) {
        *self.refusal.lock().unwrap() = status;
    }

    fn note(&self, request: String) {
        self.requests.send_modify(|all| all.push(request));
    }
}

/// A running server.
pub(crate) struct Backend {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<Log>,
}

impl Backend {
    pub(crate) fn start(stylesheet: &str) -> Self {
        let log = Arc::new(Log {
            palette: Arc::new(Palette::default()),
            texts: watch::Sender::new(Vec::new()),
            requests: watch::Sender::new(Vec::new()),
            refusal: Mutex::default(),
            broken_events: Mutex::default(),
        });
        Self::start_at(([127, 0, 0, 1], 0).into(), log, stylesheet)
    }

    /// Starts with the items of an earlier server.
    pub(crate) fn start_at(address: SocketAddr, log: Arc<Log>, stylesheet: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/channels/{channel}/events", get(events))
            .route("/tokens", post(token))
            .route("/clip.wav", get(clip))
            .route("/reactions/{class}", get(picture))
            .route("/topics/video/{topic}", get(poll).post(publish))
            .with_state(Arc::clone(&log))
            .merge(pages::router(
                stylesheet.into(),
                Arc::clone(&log.palette),
                &Channels::new(),
            ));
        let runtime = Runtime::new().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            runtime: Some(runtime),
            address,
            log,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops with all its connections cut.
    pub(crate) async fn stop(mut self) -> (SocketAddr, Arc<Log>) {
        let runtime = self.runtime.take().expect("invariant: taken here alone");
        let stop = move || runtime.shutdown_timeout(Duration::from_secs(5));
        tokio::task::spawn_blocking(stop).await.unwrap();
        (self.address, Arc::clone(&self.log))
    }
}

/// A runtime must not be dropped, and so waited for, inside another.
impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn events(
    State(log): State<Arc<Log>>,
    Path(channel): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let by_header = headers.get("last-event-id").map(|v| v.to_str().unwrap());
    let by_query = pairs(query.as_deref()).remove("last_event_id");
    let resume = by_header.map(String::from).or(by_query);
    let broken = *log.broken_events.lock().unwrap();
    let how = if broken.is_some() { "broken " } else { "" };
    log.note(format!("{how}events {channel} after {resume:?}"));
    if let Some(status) = broken {
        return status.into_response();
    }
    let from = match resume {
        // Sends the last one again, as a server may.
        Some(id) => id.split_once('-').unwrap().1.parse::<usize>().unwrap() - 1,
        None => log.texts().len(),
    };
    let hello = format!("retry: 50\nevent: hello\nid: {PAGE}-{from}\ndata: {{}}\n\n");
    let changes = log.texts.subscribe();
    let stream = futures_util::stream::unfold(
        (Some(hello), from, changes, log),
        |(hello, from, mut changes, log)| async move {
            if let Some(hello) = hello {
                return Some((Ok::<_, Infallible>(hello), (None, from, changes, log)));
            }
            let text = changes.wait_for(|texts| texts.len() > from).await.ok()?[from].clone();
            let sequence = from + 1;
            let reactions: Vec<Value> = log
                .palette
                .decode(&text)
                .unwrap_or_default()
                .iter()
                .map(|r| json!({"emoji": r.emoji.as_str(), "count": r.count}))
                .collect();
            let data = json!({"page": PAGE, "sequence": sequence, "reactions": reactions});
            let event = format!("event: reactions\nid: {PAGE}-{sequence}\ndata: {data}\n\n");
            Some((Ok(event), (None, sequence, changes, log)))
        },
    );
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

/// A tenth of a second of silence: 8 kHz, one channel, 8 bits.
async fn clip() -> Response {
    let mut wav = b"RIFF\x44\x03\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wav.extend(b"\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x20\x03\0\0");
    wav.resize(44 + 800, 128);
    ([(header::CONTENT_TYPE, "audio/wav")], wav).into_response()
}

/// `WxH` is a still of that size, `animated` and `drawing` are what they say.
async fn picture(Path(class): Path<String>) -> Response {
    let (kind, bytes) = match class.as_str() {
        "animated" => (
            "image/webp",
            include_bytes!("../../images/three-frames.webp").to_vec(),
        ),
        "drawing" => ("image/svg+xml", DRAWING.as_bytes().to_vec()),
        size => match size.split_once('x') {
            Some((width, height)) => ("image/png", still(width, height)),
            None => return StatusCode::NOT_FOUND.into_response(),
        },
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, bytes).into_response()
}

/// Three by two.
const DRAWING: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 300 200'>\
                       <rect width='300' height='200' fill='lime'/></svg>";

fn still(width: &str, height: &str) -> Vec<u8> {
    let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
    let image = image::RgbaImage::from_pixel(width, height, image::Rgba([0, 0, 255, 255]));
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

async fn token(State(log): State<Arc<Log>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).unwrap();
    assert!(request["playerId"].as_str().unwrap().len() >= 32);
    log.note(format!("POST /tokens {}", request["streamId"]));
    let token = json!({"token": format!("for {}", request["playerId"])});
    (StatusCode::CREATED, token.to_string()).into_response()
}

async fn publish(
    State(log): State<Arc<Log>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    assert!(
        headers[header::AUTHORIZATION]
            .to_str()
            .unwrap()
            .starts_with("for ")
    );
    assert_eq!(headers[header::CONTENT_TYPE], "text/plain");
    log.note(format!("POST {topic} {body}"));
    if let Some(status) = *log.refusal.lock().unwrap() {
        return (status, json!({"message": "not now"}).to_string()).into_response();
    }
    log.publish(&body);
    StatusCode::NO_CONTENT.into_response()
}

async fn poll(
    State(log): State<Arc<Log>>,
    Path(topic): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = pairs(query.as_deref());
    log.note(format!("GET {topic} {:?}", query.get("sequence_number")));
    let from = match query.get("sequence_number") {
        Some(number) => number.parse::<usize>().unwrap() - 1,
        None => log.texts().len(),
    };
    let mut changes = log.texts.subscribe();
    let texts = changes.wait_for(|texts| texts.len() > from).await.unwrap();
    let items: Vec<Value> = texts[from..]
        .iter()
        .zip(from + 1..)
        .map(|(text, number)| {
            json!({"item": {"topic_sequence_number": number, "sequence_page": PAGE, "value": {"text": text}}})
        })
        .collect();
    json!({ "items": items }).to_string().into_response()
}

fn pairs(query: Option<&str>) -> BTreeMap<String, String> {
    query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}
