//! JetStream streams.

use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, HeaderMap};
use floatup::source::State;
use tokio::time::{Duration, sleep, timeout};

use super::super::relay::relayed;
use super::super::{BACKLOG, check_backlog, check_numbers, follow, numbered};
use super::{broker, started};
use crate::in_process::DEADLINE;

async fn stream(client: &Client, config: Config) -> Context {
    let context = jetstream::new(client.clone());
    context.create_stream(config).await.unwrap();
    context
}

fn live() -> Config {
    Config {
        name: "LIVE".into(),
        subjects: vec!["live.reactions".into()],
        ..Config::default()
    }
}

/// The stream's subject, by a port.
fn address(port: u16) -> String {
    format!("nats://127.0.0.1:{port}/live.reactions?stream=LIVE")
}

/// Publishes a number into a stream, until the server has it; it takes none of them twice.
async fn store(context: &Context, number: u32) {
    let id = number.to_string();
    let stored = async {
        loop {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            let payload = numbered(number).into();
            let sent = context.publish_with_headers("live.reactions", headers, payload);
            let stored = match sent.await {
                Ok(stored) => stored.await.is_ok(),
                Err(_) => false,
            };
            if stored {
                return;
            }
            // Yields to the server.
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, stored).await.expect("it is stored");
}

#[tokio::test]
async fn of_a_stream_nothing_is_lost_or_doubled_when_its_server_is_killed() {
    let mut broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    let context = stream(&client, live()).await;
    // What was there before is not shown.
    context
        .publish("live.reactions", "fire".into())
        .await
        .unwrap();
    let address = broker.nats("live.reactions?stream=LIVE");
    let following = follow(&address);
    following.is(State::Live).await;
    for number in 1..=300 {
        store(&context, number).await;
        if number % 100 == 0 {
            broker.kill();
            broker.start().await;
        }
    }
    store(&context, 301).await;
    check_numbers(&following, 301).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
    assert!(following.metrics.reconnects.get() >= 1);
    // They are told from others by the stream's numbers, and say when they were published.
    let cues = following.now();
    let (page, first) = cues[0];
    let places: Vec<_> = (first..=first + 300).map(|number| (page, number)).collect();
    assert_eq!((cues, first), (places, 2));
    assert!(following.sent_at().iter().all(Option::is_some));
}

#[tokio::test]
async fn a_backlog_of_a_stream_is_read_whole() {
    let broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    let context = stream(&client, live()).await;
    let (relay, following) = relayed(&broker, address).await;
    relay.cut();
    following.is(State::Waiting).await;
    let (count, message) = BACKLOG;
    for _ in 0..count {
        client
            .publish("live.reactions", message.into())
            .await
            .unwrap();
    }
    client.flush().await.unwrap();
    let mut stored = context.get_stream("LIVE").await.unwrap();
    let all_are = async {
        while stored.info().await.unwrap().state.messages < count.into() {
            // Yields to the server.
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, all_are).await.expect("all are stored");
    relay.mend();
    check_backlog(&following, async || store(&context, 1).await).await;
}

#[tokio::test]
async fn what_a_stream_dropped_meanwhile_is_told() {
    let broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    let config = Config {
        max_messages: 5,
        ..live()
    };
    let context = stream(&client, config).await;
    let (relay, following) = relayed(&broker, address).await;
    store(&context, 1).await;
    check_numbers(&following, 1).await;
    relay.cut();
    following.is(State::Waiting).await;
    for number in 2..=20 {
        store(&context, number).await;
    }
    relay.mend();
    following.delivered(6).await;
    let kept = ["❤️1", "❤️16", "❤️17", "❤️18", "❤️19", "❤️20"];
    assert_eq!(following.shown(), kept);
    assert_eq!(following.metrics.gap_items.get(), 14);
    // Messages of the middle.
    relay.cut();
    following.is(State::Waiting).await;
    for number in 21..=23 {
        store(&context, number).await;
    }
    let stored = context.get_stream("LIVE").await.unwrap();
    stored.delete_message(22).await.unwrap();
    relay.mend();
    following.delivered(8).await;
    assert_eq!(following.shown()[6..], ["❤️21", "❤️23"]);
    assert_eq!(following.metrics.gap_items.get(), 15);
    // A stream of the same name that is another one is read from its beginning.
    relay.cut();
    following.is(State::Waiting).await;
    context.delete_stream("LIVE").await.unwrap();
    let context = stream(&client, live()).await;
    for number in 24..=25 {
        store(&context, number).await;
    }
    relay.mend();
    following.delivered(10).await;
    assert_eq!(following.shown()[8..], ["❤️24", "❤️25"]);
    let cues = following.now();
    assert_ne!(cues[7].0, cues[8].0, "on a page of its own");
}

#[tokio::test]
async fn what_a_stream_dropped_of_other_subjects_is_not_missing() {
    let broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    let config = Config {
        subjects: vec!["live.>".into()],
        max_messages: 5,
        ..live()
    };
    let context = stream(&client, config).await;
    let (relay, following) = relayed(&broker, address).await;
    store(&context, 1).await;
    check_numbers(&following, 1).await;
    relay.cut();
    following.is(State::Waiting).await;
    for _ in 0..20 {
        let sent = context.publish("live.others", "x".into()).await.unwrap();
        sent.await.unwrap();
    }
    store(&context, 2).await;
    relay.mend();
    check_numbers(&following, 2).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
    // Made anew, with its first one removed.
    relay.cut();
    following.is(State::Waiting).await;
    context.delete_stream("LIVE").await.unwrap();
    let config = Config {
        subjects: vec!["live.>".into()],
        max_messages: 1,
        ..live()
    };
    let context = stream(&client, config).await;
    let sent = context.publish("live.others", "x".into()).await.unwrap();
    sent.await.unwrap();
    store(&context, 3).await;
    relay.mend();
    check_numbers(&following, 3).await;
    assert_eq!(following.metrics.gap_items.get(), 0);
}

#[tokio::test]
async fn streams_may_use_the_same_ids() {
    let broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    let context = stream(&client, live()).await;
    let (relay, following) = relayed(&broker, address).await;
    store(&context, 1).await;
    following.delivered(1).await;
    relay.cut();
    following.is(State::Waiting).await;
    // Its server takes an id again once it has forgotten it, here with the stream.
    context.delete_stream("LIVE").await.unwrap();
    let context = stream(&client, live()).await;
    store(&context, 1).await;
    relay.mend();
    following.delivered(2).await;
    assert_eq!(following.metrics.duplicate.get(), 0);
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_asked_for_and_waited_for() {
    let broker = started(&[]).await;
    let following = follow(&broker.nats("live.reactions?stream=LIVE"));
    let status = following.is(State::Refused).await;
    assert!(
        status.why.contains("make it, or name one"),
        "{}",
        status.why
    );
    let client = broker.publisher(ConnectOptions::new()).await;
    let context = stream(&client, live()).await;
    following.is(State::Live).await;
    store(&context, 1).await;
    check_numbers(&following, 1).await;
}

#[tokio::test]
async fn a_stream_without_the_subject_is_refused() {
    let broker = started(&[]).await;
    let client = broker.publisher(ConnectOptions::new()).await;
    stream(&client, live()).await;
    let following = follow(&broker.nats("other?stream=LIVE"));
    let status = following.is(State::Refused).await;
    assert!(status.why.contains("\"other\""), "{}", status.why);
}

#[tokio::test]
async fn a_server_without_jetstream_has_no_streams() {
    let mut broker = broker(&[]);
    broker.arguments.retain(|argument| argument != "-js");
    broker.start().await;
    let following = follow(&broker.nats("live.reactions?stream=LIVE"));
    let status = following.is(State::Refused).await;
    assert!(status.why.contains("JetStream"), "{}", status.why);
}
