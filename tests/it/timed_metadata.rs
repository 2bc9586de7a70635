//! Timed metadata: how often, how long, and that no count is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::aws::{Arn, Client, Credentials, Place};
use floatup::metrics::TimedMetadata as Figures;
use floatup::reaction::Palette;
use floatup::timed_metadata::{KEPT, METADATA_BYTES_MAX, TimedMetadata};
use floatup::topic::{Broker, Limits, TopicName, Value};
use serde_json::{Value as Json, json};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::in_process::{PAGE, now_unix, pass, until};
use crate::scripted::{Asked, Reply, Scripted};

const CHANNEL: &str = "arn:aws:ivs:eu-west-1:123456789012:channel/AbCdEf012345";

fn clock() -> Duration {
    Duration::from_secs(now_unix())
}

/// A topic whose reactions go to a channel that answers as a test says.
struct Sending {
    server: Scripted,
    at: Arc<Mutex<Vec<Instant>>>,
    broker: Broker,
    topic: TopicName,
    figures: Figures,
    task: AbortHandle,
}

impl Sending {
    async fn start(
        palette: Palette,
        mut answer: impl FnMut(usize) -> Reply + Send + 'static,
    ) -> Self {
        let at: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let server = Scripted::start({
            let at = at.clone();
            move |_: &Asked| {
                let mut at = at.lock().unwrap();
                at.push(Instant::now());
                answer(at.len())
            }
        })
        .await;
        let credentials = Credentials::new("AKIA", "s3cret", None).unwrap();
        let client = Client::new(Place::Given(credentials), Some(server.url("")), clock).unwrap();
        let figures = Figures::default();
        let channel = Arn::parse(CHANNEL, "ivs", "channel").unwrap();
        let metadata = TimedMetadata::new(client, channel, figures.clone());
        let broker = Broker::new(Limits::default(), PAGE);
        let topic = TopicName::new("video", "demo").unwrap();
        let (from, name) = (broker.clone(), topic.clone());
        let run = async move { metadata.run(&from, &name, &palette).await };
        let task = tokio::spawn(run).abort_handle();
        tokio::task::yield_now().await;
        Self {
            server,
            at,
            broker,
            topic,
            figures,
            task,
        }
    }

    fn publish(&self, payload: &str) {
        let value = Value::Text(payload.into());
        let published = self.broker.publish(&self.topic, value, None, clock());
        published.unwrap();
    }

    /// The metadata of each call; all that is said of them is checked.
    fn calls(&self) -> Vec<String> {
        let metadata = |asked: Asked| {
            assert_eq!(asked.line, "POST /PutMetadata");
            let body = asked.json();
            assert_eq!(body["channelArn"], CHANNEL);
            let metadata = body["metadata"].as_str().unwrap().to_owned();
            assert!(metadata.len() <= METADATA_BYTES_MAX, "{metadata}");
            metadata
        };
        self.server.asked_now().into_iter().map(metadata).collect()
    }

    /// The counts of calls together.
    fn sums(&self, calls: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for call in calls {
            let call: Json = serde_json::from_str(&call).unwrap();
            for (name, count) in call["r"].as_object().unwrap() {
                *sums.entry(name.clone()).or_default() += count.as_u64().unwrap();
            }
        }
        sums
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn well(_: usize) -> Reply {
    Reply::text(204, "")
}

#[tokio::test]
async fn counts_are_sent_by_the_names_of_the_palette() {
    let sending = Sending::start(Palette::default(), well).await;
    for payload in [
        r#"{"heart":12,"💯":3}"#,
        "❤",
        "no reaction",
        r#"{"type":"comment"}"#,
    ] {
        sending.publish(payload);
    }
    until("it is sent", || sending.figures.sent.get() == 16).await;
    let sums = sending.sums(sending.calls().into_iter());
    assert_eq!(
        sums,
        BTreeMap::from([("100".into(), 3), ("heart".into(), 13)])
    );
    assert_eq!(sending.figures.calls.get(), sending.calls().len() as u64);
    // What was sent is a topic's payload, too.
    let first = &sending.calls()[0];
    assert!(Palette::default().decode(first).is_ok(), "{first}");
}

#[tokio::test]
async fn a_channel_is_called_at_most_five_times_a_second_and_nothing_is_lost() {
    let sending = Sending::start(Palette::default(), well).await;
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(2) {
        sending.publish(r#"{"heart":2,"fire":1}"#);
        count += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("all is sent", || sending.figures.sent.get() == count * 3).await;
    let sums = sending.sums(sending.calls().into_iter());
    assert_eq!(
        sums,
        BTreeMap::from([("fire".into(), count), ("heart".into(), count * 2)])
    );
    let at = sending.at.lock().unwrap();
    assert!(at.len() > 4, "{at:?}");
    for pair in at.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(199), "{at:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_goes_into_the_next_call() {
    // 50 names of 30 characters, and one that no call could have.
    let mut entries: Vec<(String, String)> = (0..50)
        .map(|n| {
            (
                format!("reaction-{n:021}"),
                char::from_u32(0x1f600 + n).unwrap().to_string(),
            )
        })
        .collect();
    entries.push(("long".repeat(300), "❤️".into()));
    let palette = Palette::new(entries.clone()).unwrap();
    let sending = Sending::start(palette, well).await;
    let counts: serde_json::Map<_, _> = entries
        .iter()
        .map(|(_, emoji)| (emoji.clone(), json!(7)))
        .collect();
    sending.publish(&Json::from(counts).to_string());
    sending.publish(&entries[0].1);
    until("all is sent", || sending.figures.sent.get() == 51 * 7 + 1).await;
    let calls = sending.calls();
    assert!((2..=4).contains(&calls.len()), "{calls:?}");
    let sums = sending.sums(calls.into_iter());
    assert_eq!(sums.len(), 51);
    assert_eq!((sums["reaction-000000000000000000000"], sums["❤️"]), (8, 7));
    assert!(
        sums.values().filter(|&&count| count == 7).count() == 50,
        "{sums:?}"
    );
}

#[tokio::test]
async fn a_channel_that_is_busy_gets_the_counts_later() {
    let sending = Sending::start(Palette::default(), |call| match call {
        1 => Reply::json(429, &json!({"__type": "ThrottlingException"})),
        2 => Reply::text(500, ""),
        3 => Reply::json(403, &json!({"__type": "AccessDeniedException"})),
        _ => well(call),
    })
    .await;
    sending.publish("heart");
    until("it is refused", || sending.figures.failures.get() == 1).await;
    sending.publish(r#"{"heart":4,"fire":2}"#);
    until("it has failed", || sending.figures.failures.get() == 2).await;
    until("it is denied", || sending.figures.failures.get() == 3).await;
    assert_eq!(sending.figures.sent.get(), 0);
    let before = sending.sums(sending.calls().into_iter().skip(2));
    assert_eq!(
        before,
        BTreeMap::from([("fire".into(), 2), ("heart".into(), 5)])
    );
    // Of these nothing is too old, since the one that a person mends is tried in half a minute.
    pass(KEPT + Duration::from_secs(21)).await;
    sending.publish("thumbsup");
    until("it is sent", || sending.figures.sent.get() == 1).await;
    assert_eq!(sending.figures.dropped.get(), 7);
    assert_eq!(sending.calls().last().unwrap(), r#"{"r":{"thumbsup":1}}"#);
}

#[tokio::test]
async fn a_channel_that_is_not_live_is_waited_for_with_what_is_new_enough() {
    let sending = Sending::start(Palette::default(), |call| match call {
        1..=2 => Reply::json(404, &json!({"__type": "ChannelNotBroadcasting"})),
        _ => well(call),
    })
    .await;
    sending.publish(r#"{"heart":4}"#);
    until("it is off", || sending.figures.failures.get() == 2).await;
    sending.publish("fire");
    until("it is live", || sending.figures.sent.get() == 5).await;
    assert_eq!(sending.figures.dropped.get(), 0, "it was off for a moment");
    assert_eq!(
        sending.calls().last().unwrap(),
        r#"{"r":{"heart":4,"fire":1}}"#
    );
}
