//! NATS: subjects and JetStream streams.

mod streams;

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use async_nats::{Client, ConnectOptions, HeaderMap};
use floatup::reaction::{Palette, Rules};
use floatup::source::{Observation, State};
use futures_util::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Broker, SAMPLES, check_numbers, check_samples, follow, numbered, source};
use crate::floatup::floatup;
use crate::following::Following;
use crate::in_process::{DEADLINE, until};

fn broker(more: &[&str]) -> Broker {
    Broker::new("nats-server", |folder, port| {
        let port = port.to_string();
        let store = folder.display().to_string();
        let fixed = ["-a", "127.0.0.1", "-p", &port, "-js", "-sd", &store];
        let arguments = fixed.iter().chain(more);
        arguments.map(|argument| (*argument).to_owned()).collect()
    })
}

async fn started(more: &[&str]) -> Broker {
    let mut broker = broker(more);
    broker.start().await;
    broker
}

impl Broker {
    /// What follows the server is connected to is the subject.
    fn nats(&self, subject: &str) -> String {
        format!("nats://127.0.0.1:{}/{subject}", self.port)
    }

    async fn publisher(&self, options: ConnectOptions) -> Client {
        let address = format!("nats://127.0.0.1:{}", self.port);
        options.connect(address).await.unwrap()
    }
}

#[tokio::test]
async fn what_is_published_to_a_subject_is_read_and_counted() {
    let broker = started(&[]).await;
    let following = follow(&broker.nats("live.*.reactions"));
    following.is(State::Live).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    for (payload, _) in SAMPLES {
        client
            .publish("live.a.reactions", payload.into())
            .await
            .unwrap();
    }
    client
        .publish("live.a.others", "heart".into())
        .await
        .unwrap();
    client.flush().await.unwrap();
    check_samples(&following).await;
}

#[tokio::test]
async fn a_message_with_an_id_counts_once() {
    let broker = started(&[]).await;
    let following = follow(&broker.nats("live"));
    following.is(State::Live).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    for (id, payload) in [("1", "heart"), ("1", "heart"), ("2", "fire")] {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let sent = client.publish_with_headers("live", headers, payload.into());
        sent.await.unwrap();
    }
    following.delivered(2).await;
    assert_eq!(following.shown(), ["❤️1", "🔥1"]);
    assert_eq!(following.metrics.duplicate.get(), 1);
}

/// Follows a source on one thread, which by its first message waits until something is done.
fn held_up(address: &str, done: impl FnOnce() + Send + 'static) -> Following {
    let source = source(address, None);
    let done = Mutex::new(Some(done));
    let hold = move |_: &Observation<'_>| {
        if let Some(done) = done.lock().unwrap().take() {
            std::thread::spawn(done).join().unwrap();
        }
    };
    let rules = Rules::new(Arc::new(Palette::default()));
    Following::of(rules, |inbox| async move {
        source.follow(&inbox.with_observer(hold)).await;
    })
}

/// Publishes a message so many times, and waits until a subscriber has them.
fn burst(address: &str, count: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = ConnectOptions::new().subscription_capacity(count);
        let client = options.connect(address).await.unwrap();
        let mut messages = client.subscribe("live").await.unwrap();
        for _ in 0..count {
            client.publish("live", "heart".into()).await.unwrap();
        }
        let all = timeout(DEADLINE, messages.by_ref().take(count).count()).await;
        assert_eq!(all.expect("all come"), count);
    });
}

#[tokio::test]
async fn each_message_of_a_burst_is_shown_or_counted_as_lost() {
    let broker = started(&[]).await;
    let address = broker.nats("");
    let more = 40_000;
    let following = held_up(&broker.nats("live"), move || burst(&address, more));
    following.is(State::Live).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    client.publish("live", "heart".into()).await.unwrap();
    let (shown, lost) = (&following.metrics.accepted, &following.metrics.gap_items);
    let all = 1 + more as u64;
    until("all are told of", || shown.get() + lost.get() >= all).await;
    client.publish("live", "heart".into()).await.unwrap();
    until("and no more", || shown.get() + lost.get() == all + 1).await;
    assert!(lost.get() > 1_000, "there was no room for {}", lost.get());
    assert_eq!(following.metrics.reconnects.get(), 0);
}

#[tokio::test]
async fn what_came_before_a_connection_was_lost_is_shown() {
    let mut broker = started(&[]).await;
    let (address, subject) = (broker.nats(""), broker.nats("live"));
    let port = broker.port;
    let client = broker.publisher(ConnectOptions::new()).await;
    let more = 10_000;
    let following = held_up(&subject, move || {
        burst(&address, more);
        broker.kill();
    });
    following.is(State::Live).await;
    client.publish("live", "heart".into()).await.unwrap();
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains(&port.to_string()), "{}", status.why);
    let metrics = &following.metrics;
    assert_eq!(
        (metrics.accepted.get(), metrics.gap_items.get()),
        (1 + more as u64, 0)
    );
}

#[tokio::test]
async fn a_subject_goes_on_after_its_server_was_away() {
    let mut broker = broker(&[]);
    let following = follow(&broker.nats("live"));
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("127.0.0.1"), "{}", status.why);
    broker.start().await;
    following.is(State::Live).await;
    for number in 1..=3 {
        let client = broker.publisher(ConnectOptions::new()).await;
        client
            .publish("live", numbered(number).into())
            .await
            .unwrap();
        client.flush().await.unwrap();
        check_numbers(&following, number).await;
        broker.kill();
        let status = following.is(State::Waiting).await;
        assert!(
            status.why.contains("core NATS keeps none") || number > 1,
            "{}",
            status.why
        );
        broker.start().await;
        following.is(State::Live).await;
    }
}

#[tokio::test]
async fn who_reads_is_shown_by_a_token_or_a_user_and_its_password() {
    for (more, right, wrong) in [
        (&["--auth", "s3cret"][..], "s3cret", "wr0ng"),
        (
            &["--user", "ann", "--pass", "s3cret"],
            "ann:s3cret",
            "ann:wr0ng",
        ),
    ] {
        let mut broker = started(more).await;
        let address = broker.nats("live");
        for secret in [None, Some(wrong)] {
            let following = Following::start(source(&address, secret));
            let status = following.is(State::Refused).await;
            assert!(status.why.contains("NATS_TOKEN"), "{}", status.why);
            assert!(!status.why.contains("wr0ng"), "{}", status.why);
        }
        let following = Following::start(source(&address, Some(right)));
        following.is(State::Live).await;
        // Who is refused is let in when that is mended.
        let refused = follow(&address);
        refused.is(State::Refused).await;
        broker.kill();
        broker
            .arguments
            .truncate(broker.arguments.len() - more.len());
        broker.start().await;
        refused.is(State::Live).await;
        let client = broker.publisher(ConnectOptions::new()).await;
        client.publish("live", numbered(1).into()).await.unwrap();
        client.flush().await.unwrap();
        check_numbers(&refused, 1).await;
    }
}

#[tokio::test]
async fn a_subject_that_is_not_allowed_is_refused() {
    let mut broker = broker(&[]);
    let settings = r#"
        authorization: { users: [
            { user: ann, password: s3cret, permissions: {
                publish: { deny: ">" }, subscribe: { allow: ["open", "_INBOX.>"] } } }
            { user: bob, password: s3cret }
            { user: cem, password: s3cret, permissions: { subscribe: { allow: ["open"] } } }
        ] }"#;
    let path = broker.folder.path().join("settings");
    std::fs::write(&path, settings).unwrap();
    broker
        .arguments
        .extend(["-c".into(), path.display().to_string()]);
    broker.start().await;
    let closed = source(&broker.nats("closed"), Some("ann:s3cret"));
    let status = Following::start(closed).is(State::Refused).await;
    assert!(status.why.contains("allow this user"), "{}", status.why);
    let stream = source(&broker.nats("open?stream=LIVE"), Some("ann:s3cret"));
    let status = Following::start(stream).is(State::Refused).await;
    assert!(status.why.contains("$JS.API"), "{}", status.why);
    // To read, nothing needs to be published.
    let following = Following::start(source(&broker.nats("open"), Some("ann:s3cret")));
    following.is(State::Live).await;
    let options = ConnectOptions::with_user_and_password("bob".into(), "s3cret".into());
    let client = broker.publisher(options).await;
    client.publish("open", "heart".into()).await.unwrap();
    client.flush().await.unwrap();
    following.delivered(1).await;
    // Nor to be subscribed to.
    let source = source(&broker.nats("open"), Some("cem:s3cret"));
    Following::start(source).is(State::Live).await;
    until("it stays", || {
        following.monitor.status.borrow().state == State::Live
    })
    .await;
}

#[tokio::test]
async fn the_log_says_in_our_words_what_happens() {
    let mut broker = started(&[]).await;
    let mut follow = Command::from(floatup());
    follow.args(["follow", &broker.nats("live")]);
    follow.stdin(Stdio::null()).stdout(Stdio::null());
    let mut following = follow
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stderr.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(DEADLINE, lines.next_line()).await.expect("a line");
        let line = line.unwrap().expect("another line");
        assert!(line.contains(" channel demo: nats://"), "{line}");
        line
    };
    while !next().await.ends_with("is live") {}
    broker.kill();
    while !next().await.contains("is waiting: ") {}
    broker.start().await;
    while !next().await.ends_with("is live") {}
}
