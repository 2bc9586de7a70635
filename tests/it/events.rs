//! Server-sent events, stills, health and figures.

use std::time::Duration;

use floatup::server::Channels;
use floatup::topic::{Broker, Limits, TopicName, Value};
use serde_json::{Value as Json, json as object};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::in_process::{
    DEADLINE, PAGE, Server, channel, client, get, now_unix, take_publish_timestamp, until,
};

/// One open event stream.
struct Events {
    answer: reqwest::Response,
    bytes: Vec<u8>,
}

/// An event's name, id and data.
type Event = (String, String, Json);

impl Events {
    async fn open(server: &Server, query: &str, last_event_id: Option<&str>) -> Self {
        let url = server.url(&format!("/channels/demo/events{query}"));
        let mut request = client().get(url);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let bytes = Vec::new();
        Self { answer, bytes }
    }

    /// The next event; None at the end. An event without data has no name, as in a browser,
    /// which takes its id alone.
    async fn next(&mut self) -> Option<Event> {
        let end = loop {
            if let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                break end;
            }
            let chunk = timeout(DEADLINE, self.answer.chunk()).await;
            let chunk = chunk.expect("an event in time").expect("a whole stream")?;
            self.bytes.extend_from_slice(&chunk);
        };
        let rest = self.bytes.split_off(end + 2);
        let event = std::mem::replace(&mut self.bytes, rest);
        let event = std::str::from_utf8(&event).expect("UTF-8");
        let field = |name: &str| {
            let mut lines = event.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| *key == name)
                .map_or("", |(_, value)| value)
        };
        let mut data = match field("data") {
            "" => Json::Null,
            data => serde_json::from_str(data).expect("JSON"),
        };
        if field("event") == "reactions" {
            take_publish_timestamp(&mut data);
        }
        Some((field("event").into(), field("id").into(), data))
    }

    async fn expect(&mut self, expected: Event) {
        assert_eq!(self.next().await, Some(expected));
    }
}

fn hello(sequence: u64) -> Event {
    let data = object!({"page": PAGE, "sequence": sequence});
    ("hello".into(), format!("{PAGE}-{sequence}"), data)
}

fn reactions(sequence: u64, reactions: Json) -> Event {
    let data = object!({"page": PAGE, "sequence": sequence, "reactions": reactions});
    ("reactions".into(), format!("{PAGE}-{sequence}"), data)
}

fn hearts(sequence: u64, count: u32) -> Event {
    reactions(sequence, object!([{"emoji": "❤️", "count": count}]))
}

fn id_alone(sequence: u64) -> Event {
    (String::new(), format!("{PAGE}-{sequence}"), Json::Null)
}

fn gap(last: u64, new: u64) -> Event {
    let data = object!({"last_sequence": last, "new_sequence": new, "new_page": PAGE});
    ("gap".into(), format!("{PAGE}-{}", new - 1), data)
}

#[tokio::test]
async fn a_channel_sends_its_reactions_as_they_are_published() {
    let server = Server::start().await;
    server.publish("demo", "before").await;
    let mut events = Events::open(&server, "", None).await;
    events.expect(hello(1)).await;
    server.publish("demo", "heart").await;
    events.expect(hearts(2, 1)).await;
    server.publish("demo", "nonsense").await;
    events.expect(id_alone(3)).await;
    server
        .publish("demo", r#"{"r":{"heart":12,"fire":3}}"#)
        .await;
    let (_, _, data) = events.next().await.unwrap();
    let counts = data["reactions"].as_array().unwrap();
    assert_eq!(counts.len(), 2, "{data}");
    assert!(
        counts.contains(&object!({"emoji": "🔥", "count": 3})),
        "{data}"
    );
}

#[tokio::test]
async fn a_channels_reactions_are_those_of_its_topic() {
    let server = Server::with(|service| {
        let still = || Ok(Vec::new());
        service.channels = Channels::from([("demo".into(), channel("stage 2", still))]);
    });
    let server = server.await;
    let mut events = Events::open(&server, "", None).await;
    events.expect(hello(0)).await;
    server.publish("demo", "fire").await;
    server.publish("stage%202", "heart").await;
    events.expect(hearts(1, 1)).await;
}

#[tokio::test]
async fn unknown_payloads_are_not_sent_and_counted_once_whoever_listens() {
    let server = Server::start().await;
    let mut events = [
        Events::open(&server, "", None).await,
        Events::open(&server, "", None).await,
    ];
    for stream in &mut events {
        stream.expect(hello(0)).await;
    }
    server.publish("demo", "<script>alert(1)</script>").await;
    let comment = r#"{"type":"comment","text":"heart"}"#;
    server.publish("demo", comment).await;
    let binary = client()
        .post(server.url("/topics/video/demo"))
        .body("heart");
    let binary = binary.header("Content-Type", "application/octet-stream");
    assert_eq!(binary.send().await.unwrap().status(), 204);
    server.publish("demo", "heart").await;
    for stream in &mut events {
        let mut skipped = Vec::new();
        loop {
            let event = stream.next().await.expect("more");
            if event == hearts(4, 1) {
                break;
            }
            skipped.push(event);
        }
        let ids = [id_alone(1), id_alone(2), id_alone(3)];
        assert!(
            skipped.iter().all(|event| ids.contains(event)),
            "{skipped:?}"
        );
    }
    let text = server.service.metrics.encode();
    for line in [
        r#"floatup_reactions_total{outcome="accepted"} 1"#,
        r#"floatup_reactions_total{outcome="unknown"} 2"#,
        r#"floatup_reactions_total{outcome="other_type"} 1"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[tokio::test]
async fn a_subscriber_that_comes_back_gets_all_that_the_ring_holds() {
    let server = Server::start().await;
    let mut events = Events::open(&server, "", None).await;
    let (_, first_id, _) = events.next().await.unwrap();
    drop(events);
    for _ in 0..250 {
        server.publish("demo", "heart").await;
    }
    // A reconnect before the first reaction resumes by the id of `hello`.
    let mut events = Events::open(&server, "", Some(&first_id)).await;
    events.expect(hello(0)).await;
    for sequence in 1..=250 {
        events.expect(hearts(sequence, 1)).await;
    }
    for (query, header) in [
        (format!("?last_event_id={PAGE}-248"), None),
        (String::new(), Some(format!("{PAGE}-248"))),
        (
            format!("?last_event_id={PAGE}-1"),
            Some(format!("{PAGE}-248")),
        ),
    ] {
        let mut events = Events::open(&server, &query, header.as_deref()).await;
        events.expect(hello(248)).await;
        events.expect(hearts(249, 1)).await;
        events.expect(hearts(250, 1)).await;
    }
    for empty in ["?last_event_id=", ""] {
        let mut events = Events::open(&server, empty, Some("")).await;
        events.expect(hello(250)).await;
    }
}

#[tokio::test]
async fn what_the_ring_lost_is_told() {
    let server = Server::with(|service| {
        let limits = Limits {
            ring_items: 2,
            ..Limits::default()
        };
        service.broker = Broker::new(limits, PAGE);
    });
    let server = server.await;
    for _ in 0..5 {
        server.publish("demo", "heart").await;
    }
    let mut events = Events::open(&server, "", Some(&format!("{PAGE}-1"))).await;
    events.expect(hello(1)).await;
    events.expect(gap(1, 4)).await;
    events.expect(hearts(4, 1)).await;
    events.expect(hearts(5, 1)).await;
    // From a run that ended: another page.
    let mut events = Events::open(&server, "", Some("12-700")).await;
    let (name, id, _) = events.next().await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("hello", "12-700"));
    events.expect(gap(700, 4)).await;
    events.expect(hearts(4, 1)).await;
}

#[tokio::test]
async fn ids_and_channels_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let huge = u64::MAX;
    for bad in [
        "x",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "1-x",
        "+1-2",
        &format!("1-{huge}"),
        "1-%ff",
    ] {
        let url = server.url(&format!("/channels/demo/events?last_event_id={bad}"));
        let (status, body) = get(&url).await;
        assert_eq!(status, 400, "{bad}: {body}");
    }
    for bad in ["a%2Fb", "%00", "%ff", &"x".repeat(257)] {
        let (status, body) = get(&server.url(&format!("/channels/{bad}/events"))).await;
        assert_eq!(status, 400, "{bad}: {body}");
    }
    let strict = Server::with(|service| service.caches = Some(vec!["other".into()])).await;
    assert_eq!(get(&strict.url("/channels/demo/events")).await.0, 404);
}

#[tokio::test]
async fn subscribers_are_counted_until_they_go() {
    let server = Server::start().await;
    let gauge = &server.service.metrics.sse_subscribers;
    let mut events = vec![
        Events::open(&server, "", None).await,
        Events::open(&server, "", None).await,
    ];
    assert_eq!(gauge.get(), 2);
    drop(events.pop());
    until("one subscriber left", || gauge.get() == 1).await;
    let stopped = server.stop();
    let mut last = events.pop().unwrap();
    last.expect(hello(0)).await;
    assert_eq!(last.next().await, None, "ends when the service stops");
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_still_is_a_picture_or_a_reason() {
    let server = Server::with(|service| {
        service.channels = Channels::from([
            ("demo".into(), channel("demo", || Ok(b"PNG".to_vec()))),
            ("dark".into(), channel("dark", || Err("no font".into()))),
            ("mad".into(), channel("mad", || panic!("on purpose"))),
        ]);
    });
    let server = server.await;
    let answer = client().get(server.url("/channels/demo/frame.png")).send();
    let answer = answer.await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"image/png".parse().unwrap())
    );
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.bytes().await.unwrap(), "PNG");
    let (status, body) = get(&server.url("/channels/dark/frame.png")).await;
    assert_eq!((status, &body["message"]), (500, &"no font".into()));
    assert_eq!(get(&server.url("/channels/mad/frame.png")).await.0, 500);
    let (status, body) = get(&server.url("/channels/other/frame.png")).await;
    assert_eq!(
        (status, &body["message"]),
        (404, &"no such channel; there are: dark, demo, mad".into())
    );
    assert_eq!(get(&server.url("/channels/%ff/frame.png")).await.0, 400);
}

/// At most two are drawn at once, and the queue for them is bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stills_are_drawn_two_at_a_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    let (drawing, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
    let held = gate.clone();
    let server = {
        let drawing = drawing.clone();
        Server::with(move |service| {
            let still = move || {
                drawing.fetch_add(1, Ordering::SeqCst);
                drop(gate.lock().map_err(|error| error.to_string())?);
                drawing.fetch_sub(1, Ordering::SeqCst);
                Ok(Vec::new())
            };
            service
                .channels
                .insert("demo".into(), channel("demo", still));
        })
        .await
    };
    let (opened, open) = tokio::sync::oneshot::channel();
    let (shut, is_shut) = tokio::sync::oneshot::channel();
    let keeper = tokio::task::spawn_blocking(move || {
        let guard = held.lock().expect("a whole lock");
        shut.send(()).expect("a test that waits");
        open.blocking_recv().expect("a test that opens");
        drop(guard);
    });
    is_shut.await.unwrap();
    let asked: Vec<_> = (0..40)
        .map(|_| {
            let request = client().get(server.url("/channels/demo/frame.png"));
            tokio::spawn(async move { request.send().await.expect("an answer").status() })
        })
        .collect();
    until("the refused are answered", || {
        asked.iter().filter(|task| task.is_finished()).count() == 8
    })
    .await;
    assert_eq!(drawing.load(Ordering::SeqCst), 2);
    opened.send(()).unwrap();
    keeper.await.unwrap();
    let mut refused = 0;
    for task in asked {
        match task.await.unwrap().as_u16() {
            200 => {}
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused, 8, "32 drawn or queued");
}

#[tokio::test]
async fn health_readiness_and_figures_can_be_read() {
    let server = Server::start().await;
    for (path, text) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), text);
    }
    server.publish("demo", "heart").await;
    server.publish("other", "nonsense").await;
    get(&server.url("/topics/video/demo?sequence_number=1")).await;
    server.service.metrics.channel("demo").frames_rendered.inc();
    let answer = client().get(server.url("/metrics")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .contains("text")
    );
    let text = answer.text().await.unwrap();
    for line in [
        r#"floatup_publishes_total{status="204"} 2"#,
        r#"floatup_polls_total{status="200"} 1"#,
        "floatup_polls_waiting 0",
        "floatup_topics 2",
        "floatup_sse_subscribers 0",
        "floatup_items_delivered_total 1",
        "floatup_anonymous_admissions_total 3",
        r#"floatup_frames_rendered_total{channel="demo"} 1"#,
        r#"floatup_sprites_dropped_total{channel="demo",reason="retire_oldest"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_stopping_service_is_not_ready_and_leaves_slow_clients() {
    let server = Server::start().await;
    let head = b"GET /readyz HTTP/1.1\r\nHost: h\r\n";
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(head).await.unwrap();
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    stuck.write_all(head).await.unwrap();
    // Connections are taken up in order, so those above are when this is answered.
    server.publish("demo", "heart").await;
    let start = Instant::now();
    let stopped = server.stop();
    slow.write_all(b"\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, slow.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    stopped.await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

/// A subscriber that does not read holds nobody up, and its memory is the broker's batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_does_not_read_is_told_what_it_missed() {
    let server = Server::start().await;
    let mut events = Events::open(&server, "", None).await;
    events.expect(hello(0)).await;
    let name = TopicName::new("video", "demo").unwrap();
    let filler = format!(r#"{{"emoji":"heart","pad":"{}"}}"#, "x".repeat(1_000));
    // What is sent of them is more than the sockets' buffers take.
    let total = 300_000;
    for _ in 0..total {
        let value = Value::Text(filler.as_str().into());
        let now = Duration::from_secs(now_unix());
        let broker = &server.service.broker;
        broker.publish(&name, value, None, now).unwrap();
    }
    let (mut expected, mut gaps) = (1, 0);
    while expected <= total {
        let (event, _, data) = events.next().await.expect("more");
        if event == "gap" {
            assert_eq!(data["last_sequence"], expected - 1);
            expected = data["new_sequence"].as_u64().unwrap();
            gaps += 1;
        } else {
            assert_eq!(data["sequence"], expected);
            expected += 1;
        }
    }
    assert!(gaps > 0, "a ring of 512 KiB cannot hold 300 MB");
}
