//! What several test modules need: a running server, clients, and waiting for conditions.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use floatup::metrics::Metrics;
use floatup::reaction::Palette;
use floatup::server::{Access, Channel, Channels, Controls, REACTION_CACHE, Service, serve};
use floatup::token::{Claims, Key, Role, mint};
use floatup::topic::{Broker, Limits, TopicName};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Nothing here takes longer unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const PAGE: u64 = 1_700_000_000;

pub(crate) const BOTH: Role = Role::PublishSubscribe;

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// An open one that holds polls for longer than any test takes.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Service)) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::on(any, change).await
    }

    /// One on a port that was another's before.
    pub(crate) async fn on(address: SocketAddr, change: impl FnOnce(&mut Service)) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let mut service = service(address);
        change(&mut service);
        let service = Arc::new(service);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, service.clone(), async move {
            stopped.await.unwrap_or(());
        }));
        Self {
            address,
            service,
            stop,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A token for these rights on a topic of the cache `video`, good for a minute.
    pub(crate) fn token(&self, topic: &str, role: Role) -> String {
        self.token_until(topic, role, now_unix() + 60)
    }

    pub(crate) fn token_until(&self, topic: &str, role: Role, expires_at: u64) -> String {
        let claims = Claims {
            cache: "video".into(),
            topic: topic.into(),
            role,
            id: "ann".into(),
            expires_at,
        };
        mint(&claims, &self.service.key)
    }

    pub(crate) async fn publish(&self, topic: &str, text: &str) {
        let sent = client().post(self.url(&format!("/topics/video/{topic}")));
        let answer = sent.body(text.to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 204, "{text}");
    }

    /// Resolves when so many polls wait; what is published after that reaches them.
    pub(crate) async fn polls_waiting(&self, count: i64) {
        until("polls wait", || {
            self.service.metrics.polls_waiting.get() == count
        })
        .await;
    }

    /// Asks the server to stop, and does not wait for it.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).expect("the server runs");
        self.task
    }
}

/// An open service that holds polls for longer than any test takes.
pub(crate) fn service(address: SocketAddr) -> Service {
    Service {
        broker: Broker::new(Limits::default(), PAGE),
        metrics: Arc::new(Metrics::new()),
        key: Key::new([1; 32]).expect("32 bytes"),
        minter: None,
        access: Access::Open,
        palette: Arc::new(Palette::default()),
        stylesheet: "".into(),
        images: Vec::new(),
        default_topic: "demo".into(),
        caches: None,
        gap_cure: true,
        hold: DEADLINE * 2,
        channels: Channels::new(),
        chat: Default::default(),
        webhook: None,
        bounds: Default::default(),
        control_key: None,
        tls: None,
        address,
    }
}

/// A channel that is drawn nowhere has nothing to control.
#[derive(Clone, Copy)]
pub(crate) struct NoStage;

impl Controls for NoStage {
    fn settings(&self) -> serde_json::Map<String, Json> {
        serde_json::Map::new()
    }

    fn change(&self, _: &serde_json::Map<String, Json>) -> Result<(), String> {
        Err("this channel has no stage".into())
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

/// One who lets everything in.
pub(crate) fn guard() -> floatup::source::Guard {
    floatup::source::Guard::new(Default::default(), Metrics::new().gate("demo"))
}

/// A channel of the topic `video/{topic}`.
pub(crate) fn channel(
    topic: &str,
    still: impl Fn() -> Result<Vec<u8>, String> + Send + Sync + 'static,
) -> Channel {
    Channel {
        topic: TopicName::new(REACTION_CACHE, topic).unwrap(),
        sources: Vec::new(),
        outputs: Vec::new(),
        stalled: Box::new(|| None),
        guard: guard(),
        controls: Box::new(NoStage),
        stylesheet: "".into(),
        still: Box::new(still),
        feed: Box::new(|_| Err("this channel has no frames".into())),
    }
}

#[expect(clippy::disallowed_methods, reason = "as the server has it")]
pub(crate) fn now_unix() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

/// A client with connections of its own.
pub(crate) fn client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // A source or a minter may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
    reqwest::Client::builder()
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .expect("a client")
}

pub(crate) async fn get(url: &str) -> (u16, Json) {
    answer(client().get(url)).await
}

/// Sends a request, and reads a JSON answer; null if the answer is empty.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Json) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole answer");
    if text.is_empty() {
        return (status, Json::Null);
    }
    let mut body: Json =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {text:?}: {e}"));
    let items = body.get_mut("items").and_then(Json::as_array_mut);
    for item in items.into_iter().flatten() {
        if let Some(item) = item.get_mut("item") {
            take_publish_timestamp(item);
        }
    }
    (status, body)
}

/// Takes out what is another number in every run: when an item was published. That must be now.
pub(crate) fn take_publish_timestamp(item: &mut Json) {
    let item = item.as_object_mut().expect("an object");
    let published_ms = item
        .remove("publish_timestamp")
        .expect("it is in each item");
    let published = published_ms.as_u64().expect("whole milliseconds") / 1_000;
    assert!(published.abs_diff(now_unix()) <= 60, "{published_ms}");
}

/// Sends bytes as they are, and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("room to write");
    read_all(stream).await
}

/// The same, but with an end after the bytes.
pub(crate) async fn raw_to_its_end(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("room to write");
    stream.shutdown().await.expect("an open connection");
    read_all(stream).await
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    String::from_utf8(answer).expect("UTF-8")
}

/// Waits for a condition that something else brings about.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            // Yields to whatever brings it about; how long is without effect on the outcome.
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(DEADLINE, wait).await.is_ok(), "in vain: {what}");
}

/// Lets the clock of what waits go on by so much.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) fn item(number: u64, publisher: &str, value: Json) -> Json {
    json!({"item": {
        "topic_sequence_number": number,
        "sequence_page": PAGE,
        "publisher_id": publisher,
        "value": value,
    }})
}

pub(crate) fn text(number: u64, text: &str) -> Json {
    item(number, "", json!({ "text": text }))
}

pub(crate) fn items(items: impl Into<Vec<Json>>) -> (u16, Json) {
    (200, json!({ "items": items.into() }))
}

/// An error answer's status, code and message; the shape is checked.
pub(crate) fn error((status, body): (u16, Json)) -> (u16, String, String) {
    let fields = body
        .as_object()
        .unwrap_or_else(|| panic!("{status} {body}"));
    let field = |name| fields[name].as_str().expect("text").to_string();
    assert_eq!(fields.len(), 2, "{body}");
    (status, field("code"), field("message"))
}

pub(crate) async fn get_owned(url: String) -> (u16, Json) {
    get(&url).await
}
