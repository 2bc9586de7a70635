//! Limits of who may add to a channel's picture: over HTTP, and of sources.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use floatup::gate::{Gate, Rules};
use floatup::metrics::Metrics;
use floatup::reaction::{self, Emoji, Message, Palette};
use floatup::source::{Arrival, Guard, Inbox, Merge, Outcome};
use serde_json::json;

use crate::in_process::{PAGE, Server, channel, client, get};

/// A service whose channel `demo` has these limits, and the channel's gate.
async fn server(rules: Rules) -> (Server, Arc<Gate>) {
    let gate = Arc::new(Gate::new(rules));
    let its = Arc::clone(&gate);
    let server = Server::with(|service| {
        let mut demo = channel("demo", || Ok(Vec::new()));
        demo.guard = Guard::new(its, service.metrics.gate("demo"));
        service.channels.insert("demo".into(), demo);
    });
    (server.await, gate)
}

/// The status of a publish to a topic by the holder of a token, or by anyone.
async fn publish(server: &Server, topic: &str, token: Option<&str>, text: &str) -> u16 {
    let mut request = client().post(server.url(&format!("/topics/video/{topic}")));
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let answer = request.body(text.to_owned()).send().await;
    answer.expect("an answer").status().as_u16()
}

/// What the topic has, from its first message on.
async fn texts(server: &Server, topic: &str) -> Vec<String> {
    let url = format!("/topics/video/{topic}?sequence_number=1&sequence_page={PAGE}");
    let (_, answer) = get(&server.url(&url)).await;
    let items = answer["items"].as_array().expect("items");
    let text = |item: &serde_json::Value| item["item"]["value"]["text"].to_string();
    items.iter().map(text).collect()
}

#[tokio::test]
async fn a_publisher_that_sends_too_often_is_told_so_and_nobody_else() {
    let (server, _) = server(Rules {
        publisher_rate: Some(0.5),
        ..Rules::default()
    })
    .await;
    let token = server.token("demo", crate::in_process::BOTH);
    assert_eq!(publish(&server, "demo", Some(&token), "heart").await, 204);
    let again = client().post(server.url("/topics/video/demo"));
    let again = again.header("authorization", &token).body("fire");
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), 429);
    assert_eq!(again.headers()["retry-after"], "1");
    let body: serde_json::Value = again.json().await.unwrap();
    assert_eq!(body["code"], "publisher_rate");
    // A comment is no reaction, and who is not known is not told from others.
    let comment = r#"{"type":"comment","text":"hi"}"#;
    assert_eq!(publish(&server, "demo", Some(&token), comment).await, 204);
    assert_eq!(publish(&server, "demo", None, "clap").await, 204);
    // A topic of no channel has no limits.
    let other = server.token("other", crate::in_process::BOTH);
    for _ in 0..5 {
        assert_eq!(publish(&server, "other", Some(&other), "heart").await, 204);
    }
    let comment = json!(comment).to_string();
    assert_eq!(
        texts(&server, "demo").await,
        ["\"heart\"", &comment, "\"clap\""]
    );
    let figures = server.service.metrics.encode();
    let refused = r#"floatup_gate_refusals_total{channel="demo",reason="publisher_rate"} 1"#;
    assert!(figures.contains(refused), "{figures}");
}

#[tokio::test]
async fn what_is_blocked_never_reaches_the_topic_and_that_can_change() {
    let (server, gate) = server(Rules {
        block: HashSet::from([Emoji::new("🔥")]),
        ..Rules::default()
    })
    .await;
    assert_eq!(publish(&server, "demo", None, "fire").await, 204);
    let both = r#"{"heart":37,"fire":3}"#;
    assert_eq!(publish(&server, "demo", None, both).await, 204);
    gate.change(|rules| rules.paused = true);
    assert_eq!(publish(&server, "demo", None, "heart").await, 204);
    gate.change(|rules| *rules = Rules::default());
    assert_eq!(publish(&server, "demo", None, "fire").await, 204);
    let left = json!(r#"{"r":{"❤️":37}}"#).to_string();
    assert_eq!(texts(&server, "demo").await, [&left, "\"fire\""]);
    let figures = server.service.metrics.encode();
    for (reason, count) in [("blocked", 1), ("paused", 1), ("repeated", 0)] {
        let line =
            format!("floatup_gate_refusals_total{{channel=\"demo\",reason=\"{reason}\"}} {count}");
        assert!(figures.contains(&line), "{line}\n{figures}");
    }
}

#[test]
fn a_source_brings_no_more_than_is_let_in() {
    let metrics = Metrics::new();
    let gate = Gate::new(Rules {
        repeat: Duration::from_secs(60),
        block_publishers: HashSet::from(["bob".to_owned()]),
        ..Rules::default()
    });
    let guard = Guard::new(gate.into(), metrics.gate("demo"));
    let merge = Arc::new(Merge::new(Box::new(()), PAGE));
    let rules = reaction::Rules::new(Palette::default().into());
    let inbox = Inbox::new("demo", "here", rules, merge, &metrics).with_guard(guard);
    let take = |user, id, text| {
        inbox.take(&Arrival {
            user: Some(user),
            id: Some(id),
            ..Arrival::of(Message::payload(text))
        })
    };
    assert_eq!(take("ann", "1", "heart"), Outcome::Accepted);
    assert_eq!(take("ann", "1", "heart"), Outcome::Duplicate);
    assert_eq!(take("ann", "2", "heart"), Outcome::Limited);
    assert_eq!(take("bob", "3", "heart"), Outcome::Limited);
    assert_eq!(take("eve", "4", "heart"), Outcome::Accepted);
    let counted = inbox.monitor().metrics;
    assert_eq!((counted.accepted.get(), counted.limited.get()), (2, 2));
}
