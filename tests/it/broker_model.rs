//! The broker against a list of everything that was published, while publishers, readers and whoever
//! removes topics are all at it: each reader gets every item once, whole and in its order, or is told
//! that it doesn't get it.

mod plan;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::topic::{Broker, BrokerError, Cursor, Event, Item, ItemId, Limits, TopicName, Value};
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use tokio::time::Instant;

use self::plan::{Plan, Publish, Reader, plan};
use crate::in_process::{DEADLINE, PAGE};

const IDLE: Duration = Duration::from_secs(3_600);

/// What is published last.
const END: &str = "end";

async fn give_way(times: u8) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// What everyone acts on.
struct World {
    broker: Broker,
    /// Items that somebody has asked to be taken back.
    taken_back: Mutex<BTreeSet<(u64, u64)>>,
    begun: AtomicUsize,
}

/// What a publisher was told of an item, and what it had sent.
type Accepted = Vec<(ItemId, String)>;

fn name(topic: &str) -> TopicName {
    TopicName::new("video", topic).unwrap()
}

/// What is stored besides with an item; its own, so that no two can be mixed up.
fn published_at(text: &str) -> Duration {
    Duration::from_millis(text.bytes().map(u64::from).sum())
}

fn send(broker: &Broker, topic: &str, text: &str) -> Result<ItemId, BrokerError> {
    let publisher = Some(format!("by {text}").into());
    let value = Value::Text(text.into());
    broker.publish(&name(topic), value, publisher, published_at(text))
}

async fn publish(world: Arc<World>, who: usize, plan: Vec<Publish>) -> Accepted {
    let mut accepted = Vec::new();
    for (n, step) in plan.into_iter().enumerate() {
        give_way(step.pause).await;
        let text = format!("{who}:{n}");
        match send(&world.broker, step.topic, &text) {
            Ok(id) if step.topic == "a" => accepted.push((id, text)),
            Ok(_) => {}
            // All that there is room for is in use at this moment.
            Err(error) => assert_eq!(error, BrokerError::Full { max: 2 }),
        }
        if step.retracts {
            let ids = accepted.iter().rev().take(3);
            let ids: Vec<ItemId> = ids.map(|(id, _)| *id).collect();
            let pairs = ids.iter().map(|id| (id.page, id.sequence));
            world.taken_back.lock().unwrap().extend(pairs);
            world.broker.retract(&name("a"), &ids, Duration::ZERO);
        }
    }
    accepted
}

async fn reap(world: Arc<World>, pauses: Vec<u8>) {
    for times in pauses {
        give_way(times).await;
        world.broker.reap(Instant::now() + IDLE);
    }
}

/// What one reader got.
#[derive(Default)]
struct Had {
    start: (u64, u64),
    items: Vec<Arc<Item>>,
    /// From the number that was expected to the one that came.
    gaps: Vec<((u64, u64), (u64, u64))>,
}

async fn read(world: Arc<World>, reader: Reader) -> Had {
    let mut pauses = reader.pauses.iter().copied().cycle();
    let mut next_pause = || pauses.next().expect("a cycle");
    let mut cursor = Cursor {
        page: PAGE,
        sequence: 1,
    };
    if !reader.from_start {
        give_way(next_pause()).await;
        cursor = world.broker.latest(&name("a"));
    }
    world.begun.fetch_add(1, Ordering::Relaxed);
    let mut had = Had {
        start: (cursor.page, cursor.sequence),
        ..Had::default()
    };
    let hold = if reader.waits {
        DEADLINE
    } else {
        Duration::ZERO
    };
    for turn in 0.. {
        let patience = (reader.gives_up && turn % 2 == 0).then(&mut next_pause);
        let topic = name("a");
        let asked = world.broker.next(&topic, cursor, hold);
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            () = give_up_after(patience) => continue,
        };
        // A topic that a publisher has just written to is in use for a moment.
        let Ok((events, next)) = answer else {
            yield_now().await;
            continue;
        };
        assert!(!events.is_empty() || !reader.waits, "nothing came");
        let mut expected = cursor;
        for event in &events {
            had.take(event, &mut expected);
        }
        assert_eq!(next, expected, "where it goes on");
        cursor = next;
        if had.items.last().is_some_and(|item| is_end(item)) {
            break;
        }
        give_way(next_pause()).await;
    }
    had
}

/// Never, if nothing is said of it.
async fn give_up_after(times: Option<u8>) {
    match times {
        Some(times) => give_way(times).await,
        None => std::future::pending().await,
    }
}

fn is_end(item: &Item) -> bool {
    matches!(&item.value, Value::Text(text) if **text == *END)
}

impl Had {
    /// Takes what comes at `expected`, and moves that on.
    fn take(&mut self, event: &Event, expected: &mut Cursor) {
        match event {
            Event::Item(item) => {
                let place = (item.page, item.sequence);
                assert_eq!(place, (expected.page, expected.sequence), "out of its turn");
                self.items.push(Arc::clone(item));
                expected.sequence += 1;
            }
            Event::Gap {
                last_sequence,
                new_sequence,
                new_page,
            } => {
                assert_eq!(*last_sequence, expected.sequence - 1);
                let from = (expected.page, expected.sequence);
                let to = (*new_page, *new_sequence);
                assert!(from < to, "a gap backwards: {from:?} to {to:?}");
                self.gaps.push((from, to));
                (expected.page, expected.sequence) = to;
            }
        }
    }

    fn is_told_of(&self, place: (u64, u64)) -> bool {
        let mut gaps = self.gaps.iter();
        gaps.any(|(from, to)| (from..to).contains(&&place))
    }
}

/// The list of everything.
struct Model {
    published: BTreeMap<(u64, u64), String>,
    taken_back: BTreeSet<(u64, u64)>,
    /// The last number of each page that is known of: items that take others back may come after it.
    ends: BTreeMap<u64, u64>,
}

impl Model {
    fn new(all: Vec<Accepted>, taken_back: BTreeSet<(u64, u64)>, readers: &[Had]) -> Self {
        let mut published = BTreeMap::new();
        for accepted in all {
            let places = accepted.iter().map(|(id, _)| (id.page, id.sequence));
            assert!(places.is_sorted(), "a publisher's items keep their order");
            for (id, text) in accepted {
                let before = published.insert((id.page, id.sequence), text);
                assert_eq!(before, None, "two items of one number: {id:?}");
            }
        }
        let mut ends = BTreeMap::new();
        let read = readers.iter().flat_map(|had| &had.items);
        let read = read.map(|item| (item.page, item.sequence));
        for (page, sequence) in published.keys().copied().chain(read) {
            let end = ends.entry(page).or_insert(sequence);
            *end = sequence.max(*end);
        }
        Self {
            published,
            taken_back,
            ends,
        }
    }

    fn check(&self, had: &Had, plan: &Plan) {
        let mut places = BTreeSet::new();
        for item in &had.items {
            let place = (item.page, item.sequence);
            assert!(places.insert(place), "twice: {item:?}");
            match &item.value {
                Value::Text(text) => {
                    assert_eq!(
                        self.published.get(&place),
                        Some(&text.to_string()),
                        "{item:?}"
                    );
                    assert_eq!(item.published_at, published_at(text));
                    assert_eq!(item.publisher.as_deref(), Some(&*format!("by {text}")));
                }
                Value::Retraction(sequences) => {
                    assert!(!self.published.contains_key(&place), "{item:?}");
                    for sequence in &**sequences {
                        let of = (item.page, *sequence);
                        assert!(
                            self.taken_back.contains(&of),
                            "nobody asked for it: {item:?}"
                        );
                    }
                }
                Value::Binary(_) => panic!("nobody sent it: {item:?}"),
            }
        }
        for (place, text) in self.published.range(had.start..) {
            assert!(
                places.contains(place) != had.is_told_of(*place),
                "{text}, number {place:?}: had {}, told of {}",
                places.contains(place),
                had.is_told_of(*place)
            );
        }
        // What the ring still had room for is no gap.
        let all = plan.publishers.iter().flatten();
        let unknown = all.filter(|step| step.retracts).count() as u64;
        for (from, to) in &had.gaps {
            let (page, sequence) = *to;
            let end = self.ends.get(&page).copied().unwrap_or_default();
            let has_lost = sequence + plan.ring_items as u64 <= end + 1 + unknown;
            let is_needed = has_lost || from.0 != page && sequence == 1;
            assert!(is_needed || plan.expires, "{from:?} to {to:?} of {end}");
        }
    }
}

/// Lets everyone of a plan act, and gives what the readers got.
async fn act(plan: &Plan) -> Vec<Had> {
    let limits = Limits {
        ring_items: plan.ring_items,
        batch_items: plan.batch_items,
        gather: plan.gather,
        ring_age: if plan.expires { IDLE / 2 } else { IDLE * 2 },
        idle: IDLE,
        topics_max: 2,
        ..Limits::default()
    };
    let world = Arc::new(World {
        broker: Broker::new(limits, PAGE),
        taken_back: Mutex::default(),
        begun: AtomicUsize::new(0),
    });
    let readers = plan.readers.iter().cloned();
    let readers: Vec<_> = readers
        .map(|reader| tokio::spawn(read(Arc::clone(&world), reader)))
        .collect();
    let publishers = plan.publishers.iter().cloned().enumerate();
    let publishers: Vec<_> = publishers
        .map(|(who, plan)| tokio::spawn(publish(Arc::clone(&world), who, plan)))
        .collect();
    let reaper = tokio::spawn(reap(Arc::clone(&world), plan.reaps.clone()));
    let mut all = Vec::new();
    for publisher in publishers {
        all.push(publisher.await.unwrap());
    }
    reaper.await.unwrap();
    while world.begun.load(Ordering::Relaxed) < plan.readers.len() {
        yield_now().await;
    }
    let id = send(&world.broker, "a", END).expect("room for a topic");
    all.push(vec![(id, END.to_owned())]);
    let mut had = Vec::new();
    for reader in readers {
        had.push(reader.await.unwrap());
    }
    let taken_back = std::mem::take(&mut *world.taken_back.lock().unwrap());
    let model = Model::new(all, taken_back, &had);
    for had in &had {
        model.check(had, plan);
    }
    had
}

fn runtime(builder: &mut Builder) -> Runtime {
    builder.enable_time().build().expect("a runtime")
}

#[test]
fn readers_get_what_a_list_of_everything_has_or_are_told() {
    let many = runtime(Builder::new_multi_thread().worker_threads(4));
    let one = runtime(&mut Builder::new_current_thread());
    let (items, gaps, pages, retractions) = Default::default();
    let count = |counter: &Cell<usize>, by: usize| counter.set(counter.get() + by);
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        ..Config::default()
    });
    let run = |plan: Plan| {
        let runtime = if plan.on_one_thread { &one } else { &many };
        for had in runtime.block_on(act(&plan)) {
            count(&items, had.items.len());
            count(&gaps, had.gaps.len());
            let new_pages = had.gaps.iter().filter(|(from, to)| from.0 != to.0);
            count(&pages, new_pages.count());
            let is_retraction = |item: &&Arc<Item>| matches!(item.value, Value::Retraction(_));
            count(&retractions, had.items.iter().filter(is_retraction).count());
        }
        Ok(())
    };
    runner.run(&plan(), run).unwrap();
    // All that it is about has happened, many times.
    for (counter, least) in [
        (items, 10_000),
        (gaps, 500),
        (pages, 100),
        (retractions, 100),
    ] {
        eprintln!("{}, at least {least}", counter.get());
        assert!(counter.get() >= least);
    }
}

/// A topic that is removed and made again has other items under the same numbers.
#[test]
fn what_takes_items_back_never_names_those_of_a_later_page() {
    const ROUNDS: usize = 20_000;
    let limits = Limits {
        idle: IDLE,
        ..Limits::default()
    };
    let broker = Broker::new(limits, PAGE);
    let runtime = runtime(&mut Builder::new_current_thread());
    let is_over = AtomicBool::new(false);
    let mut pages = BTreeSet::new();
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                broker.reap(Instant::now() + IDLE);
            }
        });
        for n in 0..ROUNDS {
            let Ok(id) = send(&broker, "a", &n.to_string()) else {
                break;
            };
            pages.insert(id.page);
            broker.retract(&name("a"), &[id], Duration::ZERO);
            // All that is held, on whatever page.
            let cursor = Cursor {
                page: 0,
                sequence: 1,
            };
            let topic = name("a");
            let held = runtime.block_on(broker.next(&topic, cursor, Duration::ZERO));
            let (events, _) = held.unwrap_or_default();
            wrong.extend(events.into_iter().filter(|event| match event {
                Event::Item(item) => {
                    matches!(item.value, Value::Retraction(_)) && item.page != id.page
                }
                Event::Gap { .. } => false,
            }));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(wrong, []);
    assert!(pages.len() > ROUNDS / 1_000, "{} pages", pages.len());
}
