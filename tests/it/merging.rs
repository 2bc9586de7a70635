//! Several sources into one channel: counted, weighted, shown once, and taken back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::metrics::Metrics;
use floatup::reaction::{Message, Palette, Rules};
use floatup::source::{
    Address, Arrival, Bridge, Cue, Inbox, Merge, Observation, Outcome, Receiver, Secrets, Source,
    State,
};
use floatup::topic::{Broker, Cursor, Event, ItemId, Limits, TopicName, Value};

use crate::following::Following;
use crate::in_process::{PAGE, now_unix, until};

/// Counts what it is given.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Vec<Cue>>>);

impl Receiver for Stage {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let item = cue.item();
        self.0.lock().unwrap().push(cue);
        Some(item)
    }

    fn retract(&self, items: &[ItemId]) {
        let mut cues = self.0.lock().unwrap();
        cues.retain(|cue| !items.contains(&cue.item()));
    }
}

impl Stage {
    fn counts(&self) -> Vec<u32> {
        let cues = self.0.lock().unwrap();
        let all = cues.iter().flat_map(|cue| &cue.reactions);
        all.map(|reaction| reaction.count).collect()
    }
}

fn inbox(name: &str, merge: &Arc<Merge>) -> Inbox {
    let rules = Rules::new(Arc::new(Palette::default()));
    Inbox::new("demo", name, rules, Arc::clone(merge), &Metrics::new())
}

fn with_id<'a>(id: &'a str, text: &'a str) -> Arrival<'a> {
    Arrival {
        id: Some(id),
        user: Some("ann"),
        ..Arrival::of(Message::payload(text))
    }
}

#[test]
fn a_message_is_shown_once_whichever_source_brings_it() {
    let stage = Stage::default();
    let merge = Arc::new(Merge::new(Box::new(stage.clone()), PAGE));
    let (a, b) = (inbox("a", &merge), inbox("b", &merge));
    assert_eq!(a.take(&with_id("1", "heart")), Outcome::Accepted);
    assert_eq!(b.take(&with_id("1", "heart")), Outcome::Duplicate);
    assert_eq!(b.take(&with_id("2", "heart")), Outcome::Accepted);
    assert_eq!(a.take(&with_id("2", "heart")), Outcome::Duplicate);
    // What has no id can't be told apart, and what is no reaction is not remembered.
    let plain = Arrival::of(Message::payload("heart"));
    assert_eq!([a.take(&plain), a.take(&plain)], [Outcome::Accepted; 2]);
    assert_eq!(a.take(&with_id("3", "nope")), Outcome::Unknown);
    assert_eq!(b.take(&with_id("3", "heart")), Outcome::Accepted);
    let comment = r#"{"type":"comment","text":"heart"}"#;
    assert_eq!(a.take(&with_id("4", comment)), Outcome::OtherType);
    assert_eq!(stage.counts(), [1; 5]);
    let counted = a.monitor().metrics;
    let counted = [
        counted.accepted.get(),
        counted.duplicate.get(),
        counted.unknown.get(),
        counted.other_type.get(),
    ];
    assert_eq!(counted, [3, 1, 1, 1]);
    // Each has a place of its own.
    let cues = stage.0.lock().unwrap();
    let mut places: Vec<_> = cues.iter().map(Cue::item).collect();
    places.dedup();
    assert_eq!(places.len(), 5);
}

#[test]
fn ids_are_forgotten_oldest_first_and_long_ones_are_cut() {
    let merge = Arc::new(Merge::new(Box::new(()), PAGE));
    let inbox = inbox("a", &merge);
    let long = "ä".repeat(1_000);
    assert_eq!(inbox.take(&with_id(&long, "heart")), Outcome::Accepted);
    assert_eq!(inbox.take(&with_id(&long, "heart")), Outcome::Duplicate);
    for n in 0..16_384 {
        inbox.take(&with_id(&n.to_string(), "heart"));
    }
    assert_eq!(inbox.take(&with_id("16383", "heart")), Outcome::Duplicate);
    assert_eq!(inbox.take(&with_id(&long, "heart")), Outcome::Accepted);
}

#[test]
fn weights_count_in_the_long_run() {
    for (weight, messages, expected) in [(0.25, 10, 2), (2.5, 4, 10), (1.0, 3, 3), (0.001, 9, 0)] {
        let stage = Stage::default();
        let merge = Arc::new(Merge::new(Box::new(stage.clone()), PAGE));
        let inbox = inbox("a", &merge).with_weight(weight);
        for _ in 0..messages {
            let arrival = Arrival::of(Message::payload("heart"));
            assert_eq!(inbox.take(&arrival), Outcome::Accepted);
        }
        let sum: u32 = stage.counts().iter().sum();
        assert_eq!(sum, expected, "{weight}");
    }
    // No weight makes more of one message than a payload may ask for.
    let stage = Stage::default();
    let merge = Arc::new(Merge::new(Box::new(stage.clone()), PAGE));
    let inbox = inbox("a", &merge).with_weight(1e9);
    let both = Arrival::of(Message::payload(r#"{"fire":300,"heart":900}"#));
    inbox.take(&both);
    assert_eq!(stage.counts().iter().sum::<u32>(), 1_000);
}

#[test]
fn who_looks_on_sees_every_message() {
    let merge = Arc::new(Merge::new(Box::new(()), PAGE));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    let inbox = inbox("a", &merge).with_observer(move |seen: &Observation<'_>| {
        let text = seen.arrival.message.text.to_owned();
        into.lock()
            .unwrap()
            .push((text, seen.outcome, seen.reactions.len()));
    });
    for text in ["heart", "nope", r#"{"heart":1,"fire":2}"#] {
        inbox.take(&Arrival::of(Message::payload(text)));
    }
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|(text, outcome, n)| (&**text, *outcome, *n))
        .collect();
    let expected = [
        ("heart", Outcome::Accepted, 1),
        ("nope", Outcome::Unknown, 0),
        (r#"{"heart":1,"fire":2}"#, Outcome::Accepted, 2),
    ];
    assert_eq!(seen, expected);
}

fn broker() -> (Broker, TopicName) {
    let broker = Broker::new(Limits::default(), PAGE);
    (broker, TopicName::new("video", "demo").unwrap())
}

#[tokio::test]
async fn what_is_bridged_comes_out_of_the_topic_with_its_time() {
    let (broker, name) = broker();
    let following = Following::topic(&broker, &name);
    following.is(State::Live).await;
    let merge = Arc::new(Merge::new(
        Box::new(Bridge::new(broker.clone(), name.clone())),
        1,
    ));
    let inbox = inbox("a", &merge);
    let at = Duration::from_secs(now_unix());
    inbox.take(&Arrival {
        published_at: Some(at),
        ..Arrival::of(Message::chat("🔥🔥 ❤"))
    });
    assert_eq!(following.delivered(1).await, [(PAGE, 1)]);
    assert_eq!(following.shown(), ["❤️1 🔥2"]);
    let (events, _) = broker
        .next(
            &name,
            Cursor {
                page: PAGE,
                sequence: 1,
            },
            Duration::ZERO,
        )
        .await
        .unwrap();
    let Event::Item(item) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(item.published_at, at);
}

#[tokio::test]
async fn what_is_taken_back_goes_from_the_topics_readers() {
    let (broker, name) = broker();
    let following = Following::topic(&broker, &name);
    following.is(State::Live).await;
    for text in ["heart", "fire", "heart"] {
        let value = Value::Text(text.into());
        broker.publish(&name, value, None, Duration::ZERO).unwrap();
    }
    let item = |page, sequence| ItemId { page, sequence };
    broker.retract(&name, &[item(PAGE, 2), item(9, 1)], Duration::ZERO);
    until("a retraction", || !following.retracted().is_empty()).await;
    assert_eq!(following.retracted(), [item(PAGE, 2)]);
    // One of nothing that is left says nothing.
    broker.retract(&name, &[item(9, 1)], Duration::ZERO);
    assert_eq!(broker.latest(&name).sequence, 5);
}

#[tokio::test]
async fn a_source_is_connecting_first() {
    let merge = Arc::new(Merge::new(Box::new(()), PAGE));
    let metrics = Metrics::new();
    let rules = Rules::new(Arc::new(Palette::default()));
    let inbox = Inbox::new("demo", "a", rules, merge, &metrics);
    let status = inbox.monitor().status;
    assert_eq!(status.borrow().state, State::Connecting);
    let text = metrics.encode();
    let series = "floatup_source_state{channel=\"demo\",source=\"a\",state=\"connecting\"} 1";
    assert!(text.contains(series), "{text}");
}

/// What has room for nothing at first, and then for all.
#[derive(Default)]
struct FullAtFirst(AtomicBool);

impl Receiver for FullAtFirst {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        self.0.swap(true, Ordering::Relaxed).then(|| cue.item())
    }

    fn retract(&self, _: &[ItemId]) {}
}

#[test]
fn what_there_was_no_room_for_may_be_sent_again() {
    let merge = Arc::new(Merge::new(Box::new(FullAtFirst::default()), PAGE));
    let inbox = inbox("a", &merge);
    let taken = ["1", "1", "1"].map(|id| inbox.take(&with_id(id, "heart")));
    assert_eq!(
        taken,
        [Outcome::Refused, Outcome::Accepted, Outcome::Duplicate]
    );
}

/// What is at fault.
struct Broken;

impl Receiver for Broken {
    fn cue(&self, _: Cue) -> Option<ItemId> {
        panic!("a fault");
    }

    fn retract(&self, _: &[ItemId]) {}
}

#[tokio::test]
async fn a_source_that_panics_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.ndjson");
    std::fs::write(&log, "{\"at_ms\":0,\"reaction\":\"heart\"}\n").unwrap();
    let address: Address = format!("log:{}", log.display()).parse().unwrap();
    let source = Source::new(&address, &Secrets::default()).unwrap();
    let inbox = inbox("a", &Arc::new(Merge::new(Box::new(Broken), PAGE)));
    source.follow(&inbox).await;
    let status = inbox.monitor().status.borrow().clone();
    assert_eq!(status.state, State::Refused);
    assert!(status.why.contains("a fault in floatup"), "{}", status.why);
}
