//! Requests to the service's router, in this process and with a clock that waits for nobody.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use floatup::metrics::Metrics;
use floatup::reaction::{Palette, Rules};
use floatup::server::{
    Access, Channel, Channels, Controls, REACTION_CACHE, Service, Webhook, router,
};
use floatup::source::{Cue, Guard, Inbox, Merge, Receiver};
use floatup::token::Key;
use floatup::topic::{Broker, ItemId, Limits, TopicName};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// What stands between two requests.
const BETWEEN: &str = "\n%%\n";

/// Requests of one input that are sent.
const REQUESTS_MAX: usize = 4;

/// No answer here is longer, the largest page with its scripts included.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// How long an answer may take, and how long a stream of events is read: on a clock that goes on as
/// soon as there is nothing to do.
const ANSWER_MAX: Duration = Duration::from_secs(120);
const STREAM_READ: Duration = Duration::from_secs(1);

/// Sends each request of a text to a service of its own: a method and a target, lines of headers, an
/// empty line and a body. A first line `required` asks everyone for a token.
pub(crate) fn check(text: &str) {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    let new = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build();
        runtime.expect("a runtime")
    };
    RUNTIME.with(|runtime| runtime.get_or_init(new).block_on(send(text)));
}

async fn send(text: &str) {
    let (access, text) = match text.strip_prefix("required\n") {
        Some(text) => (Access::Required, text),
        None => (Access::Open, text),
    };
    let service = service(access);
    let router = router(service.clone());
    for request in text.split(BETWEEN).take(REQUESTS_MAX).filter_map(read) {
        answer(&router, request).await;
    }
    let limits = service.broker.limits();
    assert!(service.broker.topics() <= limits.topics_max);
}

/// A request; `None` where no server would take it for one.
fn read(text: &str) -> Option<Request<Body>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let mut request = request.body(Body::from(body.to_owned())).ok()?;
    let caller = SocketAddr::from(([127, 0, 0, 1], 4_000));
    request.extensions_mut().insert(ConnectInfo(caller));
    Some(request)
}

/// Whatever is asked for, there is an answer in time that is none of a fault of the service, that is
/// what it says it is, and that nobody takes for anything else.
async fn answer(router: &Router, request: Request<Body>) {
    let what = format!("{} {}", request.method(), request.uri());
    let has_body = request.method() != Method::HEAD;
    let answer = timeout(ANSWER_MAX, router.clone().oneshot(request)).await;
    let answer = answer.unwrap_or_else(|_| panic!("{what}: no answer"));
    let (head, body) = answer.expect("a router that does not fail").into_parts();
    let status = head.status;
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{what}");
    assert_eq!(head.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Ok(Some(chunk)) = timeout(STREAM_READ, chunks.next()).await {
        bytes.extend_from_slice(&chunk.expect("a whole answer"));
        assert!(bytes.len() <= BODY_BYTES_MAX, "{what}: too long an answer");
    }
    let kind = head.headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind == "application/json") && has_body {
        let json: Value = serde_json::from_slice(&bytes).expect("JSON, as it says");
        // As Amazon's APIs have it.
        let kind_is_said = head.headers.contains_key("x-amzn-errortype");
        let is_text = |name: &str| json[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(
            !status.is_client_error() || is_text("message") && (is_text("code") || kind_is_said),
            "{what}: {json}"
        );
    }
}

/// One with a channel, a webhook and few topics.
fn service(access: Access) -> Arc<Service> {
    let metrics = Arc::new(Metrics::new());
    let merge = Arc::new(Merge::new(Box::new(Nobody), 1));
    let rules = Rules::new(Arc::default());
    let inbox = Inbox::new("demo", "webhook", rules, merge, &metrics);
    let channel = Channel {
        topic: TopicName::new(REACTION_CACHE, "demo").expect("a name"),
        sources: vec![inbox.monitor()],
        outputs: Vec::new(),
        stalled: Box::new(|| None),
        guard: Guard::new(Arc::default(), metrics.gate("demo")),
        controls: Box::new(Nobody),
        stylesheet: "".into(),
        still: Box::new(|| Ok(vec![0; 64])),
        feed: Box::new(|_| Ok(tokio::sync::mpsc::channel(1).1)),
    };
    Arc::new(Service {
        broker: Broker::new(
            Limits {
                topics_max: 8,
                ..Limits::default()
            },
            1_700_000_000,
        ),
        metrics,
        key: Key::new([1; 32]).expect("32 bytes"),
        minter: None,
        access,
        palette: Arc::new(Palette::default()),
        stylesheet: "".into(),
        images: Vec::new(),
        default_topic: "demo".into(),
        caches: None,
        gap_cure: true,
        hold: Duration::from_secs(25),
        channels: Channels::from([("demo".into(), channel)]),
        chat: Default::default(),
        webhook: Some(Webhook {
            secret: None,
            channels: BTreeMap::from([("demo".to_owned(), inbox)]),
        }),
        bounds: Default::default(),
        control_key: None,
        tls: None,
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
    })
}

/// A channel that is drawn nowhere.
struct Nobody;

impl Receiver for Nobody {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        Some(cue.item())
    }

    fn retract(&self, _: &[ItemId]) {}
}

impl Controls for Nobody {
    fn settings(&self) -> Map<String, Value> {
        Map::new()
    }

    fn change(&self, changes: &Map<String, Value>) -> Result<(), String> {
        match changes.is_empty() {
            true => Ok(()),
            false => Err("there is nothing to change".into()),
        }
    }

    fn changes(&self) -> watch::Receiver<()> {
        watch::Sender::new(()).subscribe()
    }

    fn pause(&self, _: bool) {}

    fn is_paused(&self) -> bool {
        false
    }

    fn clear(&self) {}

    fn clearings(&self) -> watch::Receiver<()> {
        watch::Sender::new(()).subscribe()
    }

    fn sprites(&self) -> usize {
        0
    }
}
