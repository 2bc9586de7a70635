//! The same over HTTP: publishers and readers on connections that they keep, all at once; each reader
//! gets every item once and in order, or is told of those that it doesn't get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floatup::topic::{Broker, Limits, TopicName};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::in_process::{DEADLINE, PAGE, Server, answer, client, until};

const PUBLISHERS: usize = 4;
const EACH: usize = 250;
const RING_ITEMS: usize = 64;

/// What is published last. A reaction, as all are, so that event streams have it.
const END: &str = "heart";

fn text(publisher: usize, n: usize) -> String {
    json!({"reaction": "fire", "publisher": publisher, "n": n}).to_string()
}

/// What a reader got: numbers with texts, of which an event stream has none; and from which number to
/// which it was told that it gets none.
#[derive(Default)]
struct Had {
    items: Vec<(u64, Option<String>)>,
    gaps: Vec<(u64, u64)>,
    next: u64,
}

impl Had {
    fn item(&mut self, item: &Json, number: &str, page: &str) {
        assert_eq!(item[page], PAGE);
        assert_eq!(item[number], self.next, "out of its turn: {item}");
        let text = item["value"]["text"].as_str().map(Into::into);
        self.items.push((self.next, text));
        self.next += 1;
    }

    fn gap(&mut self, gap: &Json, [last, new, page]: [&str; 3]) {
        assert_eq!(gap[page], PAGE);
        assert_eq!(gap[last], self.next - 1, "{gap}");
        let new = gap[new].as_u64().unwrap();
        assert!(new > self.next, "a gap backwards: {gap}");
        self.gaps.push((self.next, new));
        self.next = new;
    }
}

async fn publish(server: Arc<Server>, publisher: usize) {
    let client = client();
    let url = server.url("/topics/video/demo");
    for n in 0..EACH {
        let sent = client.post(&url).body(text(publisher, n)).send().await;
        assert_eq!(sent.expect("an answer").status(), 204);
    }
}

/// Polls until the last item. One that is slow polls when more is there than is kept; one without
/// numbers leaves it to the service where it goes on.
async fn poll(server: Arc<Server>, slow: bool, numbers: bool) -> Had {
    let client = client();
    let name = TopicName::new("video", "demo").unwrap();
    let last = (PUBLISHERS * EACH + 1) as u64;
    let mut had = Had {
        next: 1,
        ..Had::default()
    };
    while had.next <= last {
        if slow {
            let enough = last.min(had.next + 2 * RING_ITEMS as u64);
            let broker = &server.service.broker;
            until("more is published", || {
                broker.latest(&name).sequence > enough
            })
            .await;
        }
        let mut request = client.get(server.url("/topics/video/demo"));
        if numbers {
            request = request.query(&[("sequence_number", had.next), ("sequence_page", PAGE)]);
        } else {
            request = request.header("user-agent", "without numbers");
        }
        let (status, body) = answer(request).await;
        assert_eq!(status, 200, "{body}");
        for event in body["items"].as_array().expect("items") {
            let names = [
                "last_topic_sequence",
                "new_topic_sequence",
                "new_sequence_page",
            ];
            match event.get("item") {
                Some(item) => had.item(item, "topic_sequence_number", "sequence_page"),
                None => had.gap(&event["discontinuity"], names),
            }
        }
    }
    had
}

/// Reads events until the last item.
async fn listen(server: Arc<Server>) -> Had {
    let url = server.url(&format!("/channels/demo/events?last_event_id={PAGE}-0"));
    let mut stream = client().get(url).send().await.expect("an answer");
    let mut bytes = Vec::new();
    let mut had = Had {
        next: 1,
        ..Had::default()
    };
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") else {
            let chunk = timeout(DEADLINE, stream.chunk()).await.expect("an event");
            let chunk = chunk.expect("a whole stream").expect("more");
            bytes.extend_from_slice(&chunk);
            continue;
        };
        let rest = bytes.split_off(end + 2);
        let event = String::from_utf8(std::mem::replace(&mut bytes, rest)).expect("UTF-8");
        let field = |name: &str| {
            let mut lines = event.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let data: Json =
            field("data").map_or(Json::Null, |data| serde_json::from_str(data).unwrap());
        match field("event") {
            Some("reactions") => had.item(&data, "sequence", "page"),
            Some("gap") => had.gap(&data, ["last_sequence", "new_sequence", "new_page"]),
            _ => {}
        }
        if had.next > (PUBLISHERS * EACH + 1) as u64 {
            return had;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pollers_and_event_streams_get_all_that_is_published_or_are_told() {
    let limits = Limits {
        ring_items: RING_ITEMS,
        batch_items: 16,
        ..Limits::default()
    };
    let server = Server::with(|service| service.broker = Broker::new(limits, PAGE)).await;
    let server = Arc::new(server);
    let readers = [(false, true), (false, true), (true, true), (false, false)];
    let mut readers: Vec<_> = readers
        .map(|(slow, numbers)| tokio::spawn(poll(Arc::clone(&server), slow, numbers)))
        .into();
    readers.push(tokio::spawn(listen(Arc::clone(&server))));
    // The one without numbers gets what comes after its first poll.
    server.polls_waiting(3).await;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| tokio::spawn(publish(Arc::clone(&server), publisher)))
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    server.publish("demo", END).await;

    let sent = (0..PUBLISHERS).flat_map(|p| (0..EACH).map(move |n| (text(p, n), (p, n))));
    let sent: BTreeMap<String, (usize, usize)> = sent.collect();
    let mut by_number: BTreeMap<u64, String> = BTreeMap::new();
    let mut gaps = 0;
    for reader in readers {
        let had = reader.await.unwrap();
        gaps += had.gaps.len();
        let mut all: BTreeSet<u64> = had.items.iter().map(|(number, _)| *number).collect();
        assert_eq!(all.len(), had.items.len(), "an item twice");
        let missing = had.gaps.iter().flat_map(|(from, to)| *from..*to);
        all.extend(missing);
        assert!(all.into_iter().eq(1..=(PUBLISHERS * EACH + 1) as u64));
        for (number, text) in had.items {
            let Some(text) = text else { continue };
            let same = by_number.entry(number).or_insert_with(|| text.clone());
            assert_eq!(*same, text, "two readers' item {number}");
        }
    }
    assert!(gaps > 0, "the slow one has lost nothing");
    let texts: BTreeSet<&String> = by_number.values().collect();
    assert_eq!(texts.len(), by_number.len(), "one item has two numbers");
    // In the order of each publisher, byte for byte.
    let mut newest = [None; PUBLISHERS];
    for (number, text) in &by_number {
        if *number == (PUBLISHERS * EACH + 1) as u64 {
            assert_eq!(text, END);
            continue;
        }
        let (publisher, n) = sent[text];
        assert!(newest[publisher] < Some(n), "{text} after {newest:?}");
        newest[publisher] = Some(n);
    }
}
