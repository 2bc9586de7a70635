//! The broker: order, gaps, bounds, and what removing a topic does to its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floatup::topic::{Broker, BrokerError, Cursor, Event, Item, ItemId, Limits, TopicName, Value};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

const PAGE: u64 = 1_700_000_000;
const PUBLISHED_AT: Duration = Duration::from_millis(1_700_000_123_456);
const SECOND: Duration = Duration::from_secs(1);

fn name(topic: &str) -> TopicName {
    TopicName::new("video", topic).expect("a valid name")
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn at(page: u64, sequence: u64) -> Cursor {
    Cursor { page, sequence }
}

fn gap(last_sequence: u64, new_sequence: u64, new_page: u64) -> Event {
    Event::Gap {
        last_sequence,
        new_sequence,
        new_page,
    }
}

fn publish(broker: &Broker, topic: &str, count: u64) {
    for n in 0..count {
        let value = text(&format!("{topic} {n}"));
        broker
            .publish(&name(topic), value, None, PUBLISHED_AT)
            .expect("room for a topic");
    }
}

/// The number that what was published has.
fn number(published: Result<ItemId, BrokerError>) -> Result<u64, BrokerError> {
    published.map(|item| item.sequence)
}

/// What is there now, without waiting.
async fn read(broker: &Broker, topic: &str, cursor: Cursor) -> (Vec<Event>, Cursor) {
    let answer = broker.next(&name(topic), cursor, Duration::ZERO).await;
    answer.expect("room for a topic")
}

/// A gap as it is, an item as its number.
#[derive(Debug, PartialEq)]
enum Seen {
    Gap(Event),
    Item(u64),
}

fn seen(events: &[Event]) -> Vec<Seen> {
    let one = |event: &Event| match event {
        Event::Item(item) => Seen::Item(item.sequence),
        gap @ Event::Gap { .. } => Seen::Gap(gap.clone()),
    };
    events.iter().map(one).collect()
}

fn items(numbers: impl IntoIterator<Item = u64>) -> Vec<Seen> {
    numbers.into_iter().map(Seen::Item).collect()
}

fn after_gap(gap: Event, numbers: impl IntoIterator<Item = u64>) -> Vec<Seen> {
    let mut all = vec![Seen::Gap(gap)];
    all.extend(items(numbers));
    all
}

#[tokio::test(start_paused = true)]
async fn items_are_numbered_from_one_and_carry_what_was_sent() {
    let broker = Broker::new(Limits::default(), PAGE);
    let bytes = Value::Binary(vec![0, 255].into());
    assert_eq!(
        number(broker.publish(&name("a"), text("heart"), Some("ann".into()), PUBLISHED_AT)),
        Ok(1)
    );
    assert_eq!(
        number(broker.publish(&name("a"), bytes.clone(), None, PUBLISHED_AT)),
        Ok(2)
    );
    assert_eq!(
        number(broker.publish(&name("b"), text(""), None, PUBLISHED_AT)),
        Ok(1)
    );
    let item = |sequence, publisher: Option<&str>, value| {
        Event::Item(Arc::new(Item {
            page: PAGE,
            sequence,
            publisher: publisher.map(Arc::from),
            published_at: PUBLISHED_AT,
            // The clock stands still here.
            taken_at: Instant::now(),
            value,
            rendered: Default::default(),
        }))
    };
    let expected = vec![item(1, Some("ann"), text("heart")), item(2, None, bytes)];
    assert_eq!(
        read(&broker, "a", at(PAGE, 1)).await,
        (expected, at(PAGE, 3))
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_in_items_and_in_bytes() {
    let broker = Broker::new(Limits::default(), PAGE);
    publish(&broker, "many", 600);
    let mut cursor = at(PAGE, 1);
    for expected in [1..=250, 251..=500, 501..=600] {
        let (events, next) = read(&broker, "many", cursor).await;
        assert_eq!(seen(&events), items(expected));
        cursor = next;
    }
    for _ in 0..20 {
        let value = text(&"x".repeat(4_096));
        broker
            .publish(&name("large"), value, None, PUBLISHED_AT)
            .unwrap();
    }
    let (events, next) = read(&broker, "large", at(PAGE, 1)).await;
    assert_eq!(seen(&events), items(1..=16), "64 KB");
    assert_eq!(seen(&read(&broker, "large", next).await.0), items(17..=20));
}

#[tokio::test(start_paused = true)]
async fn a_value_above_the_limit_is_refused_and_not_numbered() {
    let broker = Broker::new(Limits::default(), PAGE);
    let over = broker.publish(&name("a"), text(&"x".repeat(4_097)), None, PUBLISHED_AT);
    assert_eq!(
        over,
        Err(BrokerError::TooLarge {
            bytes: 4_097,
            max: 4_096
        })
    );
    assert_eq!(
        number(broker.publish(&name("a"), text(&"x".repeat(4_096)), None, PUBLISHED_AT)),
        Ok(1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_ring_lost_is_reported_once_before_what_it_holds() {
    let limits = Limits {
        ring_items: 10,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    publish(&broker, "a", 25);
    let newest = 16..=25;
    let cases = [
        (
            "behind the ring",
            at(PAGE, 3),
            after_gap(gap(2, 16, PAGE), newest.clone()),
        ),
        (
            "just behind",
            at(PAGE, 15),
            after_gap(gap(14, 16, PAGE), newest.clone()),
        ),
        ("oldest", at(PAGE, 16), items(newest.clone())),
        ("within", at(PAGE, 20), items(20..=25)),
        ("newest", at(PAGE, 25), items([25])),
        ("next", at(PAGE, 26), vec![]),
        ("ahead", at(PAGE, 27), after_gap(gap(26, 26, PAGE), [])),
        (
            "absurd",
            at(PAGE, u64::MAX),
            after_gap(gap(u64::MAX - 1, 26, PAGE), []),
        ),
        ("latest", at(PAGE, 0), vec![]),
        ("latest, page unknown", at(0, 0), vec![]),
        ("latest, other page", at(PAGE - 9, 0), vec![]),
        (
            "page unknown, behind",
            at(0, 1),
            after_gap(gap(0, 16, PAGE), newest.clone()),
        ),
        ("page unknown, within", at(0, 20), items(20..=25)),
        ("page unknown, next", at(0, 26), vec![]),
        (
            "page unknown, ahead",
            at(0, 99),
            after_gap(gap(98, 16, PAGE), newest.clone()),
        ),
        (
            "earlier page",
            at(PAGE - 9, 20),
            after_gap(gap(19, 16, PAGE), newest.clone()),
        ),
        (
            "later page",
            at(PAGE + 9, 26),
            after_gap(gap(25, 16, PAGE), newest),
        ),
    ];
    for (case, cursor, expected) in cases {
        let (events, next) = read(&broker, "a", cursor).await;
        assert_eq!(seen(&events), expected, "{case}");
        assert_eq!(next, at(PAGE, 26), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_items_reports_only_what_cannot_be() {
    let broker = Broker::new(Limits::default(), PAGE);
    for (cursor, expected) in [
        (at(0, 0), vec![]),
        (at(0, 1), vec![]),
        (at(PAGE, 1), vec![]),
        (at(0, 2), vec![gap(1, 1, PAGE)]),
        (at(PAGE, 7), vec![gap(6, 1, PAGE)]),
        (at(PAGE - 1, 7), vec![gap(6, 1, PAGE)]),
    ] {
        let answer = read(&broker, "a", cursor).await;
        assert_eq!(answer, (expected, at(PAGE, 1)), "{cursor:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_ring_is_bounded_in_bytes_and_keeps_the_newest() {
    let limits = Limits {
        ring_bytes: 10_000,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    for _ in 0..100 {
        broker
            .publish(&name("a"), text(&"x".repeat(1_000)), None, PUBLISHED_AT)
            .unwrap();
    }
    let (events, _) = read(&broker, "a", at(PAGE, 1)).await;
    let held = events.len() as u64 - 1;
    assert!(
        (5..=10).contains(&held),
        "{held} items of 1,000 bytes in 10,000"
    );
    assert_eq!(
        seen(&events),
        after_gap(gap(0, 101 - held, PAGE), 101 - held..=100)
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_is_held_for_its_age_and_no_longer() {
    let broker = Broker::new(Limits::default(), PAGE);
    publish(&broker, "a", 2);
    advance(30 * SECOND).await;
    publish(&broker, "a", 1);
    advance(30 * SECOND).await;
    assert_eq!(seen(&read(&broker, "a", at(PAGE, 1)).await.0), items(1..=3));
    advance(Duration::from_millis(1)).await;
    let (events, next) = read(&broker, "a", at(PAGE, 1)).await;
    assert_eq!(seen(&events), after_gap(gap(0, 3, PAGE), [3]));
    advance(30 * SECOND).await;
    let answer = read(&broker, "a", at(PAGE, 2)).await;
    assert_eq!(
        answer,
        (vec![gap(1, 4, PAGE)], next),
        "nothing is left but the gap"
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_waits_for_an_item_or_for_its_hold() {
    let broker = Broker::new(Limits::default(), PAGE);
    let start = Instant::now();
    let hold = 25 * SECOND;
    let answer = broker.next(&name("a"), Cursor::default(), hold).await;
    assert_eq!(answer, Ok((vec![], at(PAGE, 1))));
    assert_eq!(start.elapsed(), hold);

    let waiting = {
        let broker = broker.clone();
        tokio::spawn(async move { broker.next(&name("a"), at(0, 0), hold).await })
    };
    advance(7 * SECOND).await;
    publish(&broker, "b", 1);
    publish(&broker, "a", 1);
    let (events, next) = waiting.await.unwrap().unwrap();
    assert_eq!((seen(&events), next), (items([1]), at(PAGE, 2)));
    assert_eq!(start.elapsed(), hold + 7 * SECOND, "woken by the item");
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_holds_nobody_up_and_is_told_what_it_missed() {
    let limits = Limits {
        ring_items: 100,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let start = Instant::now();
    let (_, slow) = read(&broker, "a", at(0, 0)).await;
    publish(&broker, "a", 10_000);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let (events, next) = read(&broker, "a", slow).await;
    assert_eq!(
        seen(&events),
        after_gap(gap(0, 9_901, PAGE), 9_901..=10_000)
    );
    assert_eq!(read(&broker, "a", next).await, (vec![], at(PAGE, 10_001)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_topic_is_removed_and_comes_back_on_a_later_page() {
    let broker = Broker::new(Limits::default(), PAGE);
    publish(&broker, "used", 3);
    read(&broker, "empty", at(0, 0)).await;
    let waiting = {
        let broker = broker.clone();
        let hold = 1_000 * SECOND;
        tokio::spawn(async move { broker.next(&name("watched"), at(0, 0), hold).await })
    };
    tokio::task::yield_now().await;
    assert_eq!(broker.topics(), 3, "the waiting task has begun to wait");
    advance(599 * SECOND).await;
    assert_eq!(broker.reap(Instant::now()), 3);
    advance(SECOND).await;
    assert_eq!(
        broker.reap(Instant::now()),
        1,
        "only the one that is watched"
    );
    assert_eq!(broker.topics(), 1);

    publish(&broker, "watched", 1);
    let (events, _) = waiting.await.unwrap().unwrap();
    assert_eq!(seen(&events), items([1]));

    publish(&broker, "used", 1);
    let (events, next) = read(&broker, "used", at(PAGE, 4)).await;
    assert!(next.page > PAGE, "numbers have restarted");
    assert_eq!(seen(&events), after_gap(gap(3, 1, next.page), [1]));
    assert_eq!(broker.latest(&name("used")), next);
}

#[tokio::test(start_paused = true)]
async fn pages_only_grow_however_often_topics_come_and_go() {
    let limits = Limits {
        topics_max: 2,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let mut pages: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..50 {
        let topic = format!("topic {}", round % 5);
        publish(&broker, &topic, 1 + round % 3);
        let page = broker.latest(&name(&topic)).page;
        let earlier = pages.insert(topic.clone(), page);
        assert!(
            earlier.is_none_or(|earlier| earlier < page),
            "{topic}: {earlier:?}, {page}"
        );
        advance(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_full_the_topic_idle_longest_makes_room_unless_watched() {
    let limits = Limits {
        topics_max: 3,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    for topic in ["a", "b", "c"] {
        publish(&broker, topic, 1);
        advance(SECOND).await;
    }
    let watch = |topic: &'static str| {
        let broker = broker.clone();
        tokio::spawn(async move { broker.next(&name(topic), at(0, 0), 100 * SECOND).await })
    };
    let mut watching = vec![watch("a")];
    tokio::task::yield_now().await;
    publish(&broker, "d", 1);
    assert_eq!(broker.topics(), 3);
    assert_eq!(broker.latest(&name("a")), at(PAGE, 2), "watched");
    assert_eq!(broker.latest(&name("c")), at(PAGE, 2), "used after b");
    watching.extend([watch("c"), watch("d")]);
    tokio::task::yield_now().await;
    let full = Err(BrokerError::Full { max: 3 });
    assert_eq!(
        number(broker.publish(&name("e"), text("x"), None, PUBLISHED_AT)),
        full
    );
    let asked = broker.next(&name("e"), at(0, 0), SECOND).await;
    assert_eq!(asked.map(|_| 0), full);
    for task in watching {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(
        number(broker.publish(&name("e"), text("x"), None, PUBLISHED_AT)),
        Ok(1)
    );
}

#[test]
fn names_are_checked_and_the_message_says_what_is_accepted() {
    let longest = "x".repeat(256);
    for good in [
        "a",
        "null",
        "...",
        "a b",
        "❤️",
        "$%7B",
        "a:b?c#d",
        longest.as_str(),
    ] {
        assert!(TopicName::new("video", good).is_ok(), "{good:?}");
        assert!(TopicName::new(good, "demo").is_ok(), "{good:?}");
    }
    let too_long = "x".repeat(257);
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\nb",
        "\0",
        "\u{85}",
        too_long.as_str(),
    ] {
        let error = TopicName::new("video", bad).unwrap_err().to_string();
        assert!(
            error.starts_with("topic name") && error.contains("256"),
            "{error}"
        );
        assert!(error.len() < 300, "{error}");
        let error = TopicName::new(bad, "demo").unwrap_err().to_string();
        assert!(error.starts_with("cache name"), "{error}");
    }
}

/// Publishers and subscribers at full speed on several threads, with a ring that is too small:
/// every subscriber sees every item once and in order, or is told of the hole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_publishers_and_subscribers_agree_on_one_order() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 1_000;
    let limits = Limits {
        ring_items: 64,
        batch_items: 16,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let subscribers: Vec<_> = (0..6)
        .map(|n| tokio::spawn(follow(broker.clone(), PUBLISHERS * EACH, n)))
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|p| {
            let broker = broker.clone();
            tokio::spawn(async move {
                let mut numbered = Vec::new();
                for n in 0..EACH {
                    let value = format!("{p}:{n}");
                    let number = broker
                        .publish(&name("a"), text(&value), None, PUBLISHED_AT)
                        .unwrap();
                    numbered.push((number.sequence, value));
                    if n % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                numbered
            })
        })
        .collect();
    let mut published = BTreeMap::new();
    for publisher in publishers {
        let numbered = publisher.await.unwrap();
        assert!(
            numbered.is_sorted(),
            "one publisher's items keep their order"
        );
        published.extend(numbered);
    }
    assert!(
        published.keys().copied().eq(1..=PUBLISHERS * EACH),
        "numbers without holes"
    );
    for subscriber in subscribers {
        for (number, value) in subscriber.await.unwrap() {
            assert_eq!(published[&number], value, "item {number}");
        }
    }
}

/// Follows a topic up to item `last`; each subscriber is slow in its own way.
async fn follow(broker: Broker, last: u64, slowness: usize) -> Vec<(u64, String)> {
    let mut had = Vec::new();
    let mut cursor = at(PAGE, 1);
    while cursor.sequence <= last {
        let hold = 60 * SECOND;
        let answer = broker.next(&name("a"), cursor, hold).await;
        let (events, next) = answer.expect("a topic that exists");
        assert!(
            !events.is_empty(),
            "the publishers stopped before item {last}"
        );
        let mut expected = cursor.sequence;
        for event in events {
            match event {
                Event::Item(item) => {
                    assert_eq!((item.page, item.sequence), (PAGE, expected));
                    let Value::Text(value) = &item.value else {
                        panic!("not what was published: {item:?}");
                    };
                    had.push((item.sequence, value.to_string()));
                    expected += 1;
                }
                Event::Gap {
                    last_sequence,
                    new_sequence,
                    new_page,
                } => {
                    assert_eq!((last_sequence + 1, new_page), (expected, PAGE));
                    assert!(new_sequence > expected, "{new_sequence}, {expected}");
                    expected = new_sequence;
                }
            }
        }
        assert_eq!(next, at(PAGE, expected));
        cursor = next;
        for _ in 0..slowness * 8 {
            tokio::task::yield_now().await;
        }
    }
    had
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Wait(u64),
    Read(usize),
    Reap,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Publish),
        2 => (0..9_u64).prop_map(Step::Wait),
        4 => (0..3_usize).prop_map(Step::Read),
        1 => Just(Step::Reap),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    /// The broker against a model that keeps everything.
    #[test]
    fn behaves_as_a_list_that_keeps_everything_would(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(run(steps));
    }
}

async fn run(steps: Vec<Step>) {
    let limits = Limits {
        ring_items: 8,
        ring_age: 10 * SECOND,
        batch_items: 3,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let mut all: Vec<Instant> = Vec::new();
    let mut cursors = [at(PAGE, 1); 3];
    for step in steps {
        match step {
            Step::Publish => {
                all.push(Instant::now());
                publish(&broker, "a", 1);
            }
            Step::Wait(seconds) => advance(Duration::from_secs(seconds)).await,
            Step::Reap => assert!(broker.reap(Instant::now()) <= 1),
            Step::Read(who) => {
                let newest = all.len() as u64;
                let young = |at: &&Instant| at.elapsed() <= limits.ring_age;
                let held = all.iter().rev().take(8).take_while(young).count() as u64;
                let oldest = newest + 1 - held;
                let from = cursors[who].sequence;
                let start = from.max(oldest);
                let end = newest.min(start + 2);
                let expected = if from < oldest {
                    after_gap(gap(from - 1, oldest, PAGE), start..=end)
                } else {
                    items(start..=end)
                };
                let (events, next) = read(&broker, "a", cursors[who]).await;
                assert_eq!(seen(&events), expected);
                assert_eq!(next, at(PAGE, end + 1));
                cursors[who] = next;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_of_a_busy_topic_are_handed_out_together_and_a_few_at_once() {
    const MS: Duration = Duration::from_millis(1);
    let broker = Broker::new(Limits::default(), PAGE);
    let start = Instant::now();
    let (_, mut next) = read(&broker, "a", at(0, 0)).await;
    for number in 1..=4 {
        publish(&broker, "a", 1);
        let (events, after) = broker.next(&name("a"), next, SECOND).await.unwrap();
        assert_eq!(seen(&events), items([number]));
        next = after;
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing waited");
    publish(&broker, "a", 2);
    let (events, _) = broker.next(&name("a"), next, SECOND).await.unwrap();
    assert_eq!(seen(&events), items([5, 6]));
    // The runtime's timer has whole milliseconds.
    let took = start.elapsed();
    assert!((MS * 2..=MS * 3).contains(&took), "{took:?}");

    // Of these, five never come within 2 ms.
    for number in 7..=40 {
        advance(Duration::from_micros(600)).await;
        publish(&broker, "a", 1);
        let before = Instant::now();
        let cursor = at(PAGE, number);
        let (events, _) = broker.next(&name("a"), cursor, SECOND).await.unwrap();
        assert_eq!(seen(&events), items([number]));
        assert_eq!(before.elapsed(), Duration::ZERO, "item {number}");
    }

    // A full batch waits for nothing, and no answer for longer than it may.
    let begun = Instant::now();
    publish(&broker, "a", 300);
    let (events, next) = broker.next(&name("a"), at(PAGE, 41), SECOND).await.unwrap();
    assert_eq!(seen(&events), items(41..=290));
    let (events, _) = broker.next(&name("a"), next, Duration::ZERO).await.unwrap();
    assert_eq!(seen(&events), items(291..=340));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
