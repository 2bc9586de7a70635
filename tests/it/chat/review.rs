//! Message review handlers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use floatup::server::{ChatSettings, ReviewFallback};
use futures_util::FutureExt as _;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{Frozen, Member, ask, demo_arn, start, token, with_demo};
use crate::in_process::{Server, client};

/// A handler that answers what the test says.
struct Handler {
    url: String,
    state: Arc<HandlerState>,
}

#[derive(Default)]
struct HandlerState {
    asked: Mutex<Vec<Json>>,
    answer: Mutex<String>,
    hangs: Mutex<bool>,
    released: Notify,
}

impl Handler {
    async fn start() -> Self {
        let state = Arc::new(HandlerState::default());
        let router = Router::new()
            .route("/review", post(review))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/review", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state }
    }

    fn answers(&self, answer: &str) {
        *self.state.answer.lock().unwrap() = answer.into();
    }
}

async fn review(State(state): State<Arc<HandlerState>>, body: String) -> String {
    let asked = serde_json::from_str(&body).unwrap();
    state.asked.lock().unwrap().push(asked);
    if *state.hangs.lock().unwrap() {
        state.released.notified().await;
    }
    let answer = state.answer.lock().unwrap();
    answer.clone()
}

async fn set(server: &Server, arn: &str, uri: &str, fallback: &str) {
    let handler = json!({"uri": uri, "fallbackResult": fallback});
    let change = json!({"identifier": arn, "messageReviewHandler": handler});
    ask(server, "UpdateRoom", change).await;
}

#[tokio::test]
async fn a_handler_allows_changes_and_denies() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let handler = Handler::start().await;
    set(&server, &arn, &handler.url, "DENY").await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let _frozen = Frozen::new();

    handler.answers(r#"{"ReviewResult":"ALLOW","Content":"d*rn","Attributes":{"reviewed":"yes"}}"#);
    let sent = json!({
        "Action": "SEND_MESSAGE",
        "RequestId": "r",
        "Content": "darn",
        "Attributes": {"Color": "red"},
    });
    ann.send(sent).await;
    let heard = ann.next().await;
    assert_eq!(heard["Content"], "d*rn");
    assert_eq!(heard["Attributes"], json!({"reviewed": "yes"}));
    assert_eq!(heard["RequestId"], "r");
    let asked = handler.state.asked.lock().unwrap().remove(0);
    let expected = json!({
        "Content": "darn",
        "MessageId": heard["Id"],
        "RoomArn": arn,
        "Attributes": {"Color": "red"},
        "Sender": {"UserId": "ann", "Attributes": {"username": "ANN"}, "Ip": "127.0.0.1"},
    });
    assert_eq!(asked, expected);

    handler.answers(r#"{"ReviewResult":"DENY","Attributes":{"Reason":"not here"}}"#);
    ann.send(json!({"Action": "SEND_MESSAGE", "RequestId": "s", "Content": "darn"}))
        .await;
    let refused = ann.next().await;
    assert_eq!(refused["ErrorCode"], 406);
    assert_eq!(refused["ErrorMessage"], "not here");
    assert_eq!(refused["RequestId"], "s");

    handler.answers("");
    ann.say("darn").await;
    assert_eq!(ann.refusal().await.0, 406);
    let metrics = client().get(server.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "floatup_chat_members 1\n",
        "floatup_chat_messages_total 1\n",
        "floatup_chat_refusals_total{code=\"406\"} 2\n",
        "floatup_chat_reviews_total{outcome=\"allowed\"} 1\n",
        "floatup_chat_reviews_total{outcome=\"denied\"} 1\n",
        "floatup_chat_reviews_total{outcome=\"failed\"} 1\n",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

#[tokio::test]
async fn a_reaction_floats_as_it_was_allowed() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let handler = Handler::start().await;
    set(&server, &arn, &handler.url, "ALLOW").await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let _frozen = Frozen::new();
    let before = server.service.metrics.reactions.clone();
    handler.answers(r#"{"ReviewResult":"DENY"}"#);
    ann.say("❤️").await;
    assert_eq!(ann.refusal().await.0, 406);
    handler.answers(r#"{"ReviewResult":"ALLOW","Content":"tame"}"#);
    ann.say("❤️").await;
    assert_eq!(ann.hears().await, "tame");
    handler.answers(r#"{"ReviewResult":"ALLOW","Content":"🔥"}"#);
    ann.say("heart").await;
    assert_eq!(ann.hears().await, "🔥");
    let accepted = before
        .get_or_create(&floatup::metrics::Outcome::ACCEPTED)
        .get();
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn the_service_may_set_what_a_channels_room_begins_with() {
    let handler = Handler::start().await;
    let review = Some(handler.url.parse().unwrap());
    let server = Server::with(|service| {
        with_demo(service);
        service.chat = ChatSettings {
            rate_per_second: 7,
            length_max: 5,
            review,
            fallback: ReviewFallback::Deny,
        };
    })
    .await;
    let arn = demo_arn(&server).await;
    let room = ask(&server, "GetRoom", json!({ "identifier": arn })).await;
    assert_eq!(room["maximumMessageRatePerSecond"], 7);
    assert_eq!(room["maximumMessageLength"], 5);
    let expected = json!({"uri": handler.url, "fallbackResult": "DENY"});
    assert_eq!(room["messageReviewHandler"], expected);
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let _frozen = Frozen::new();
    handler.answers(r#"{"ReviewResult":"ALLOW","Content":"d*rn"}"#);
    ann.say("darn").await;
    assert_eq!(ann.hears().await, "d*rn");
    ann.say("darned").await;
    assert_eq!(ann.refusal().await.0, 413);
    handler.answers("");
    ann.say("darn").await;
    assert_eq!(ann.refusal().await.0, 406);
}

#[tokio::test]
async fn nothing_is_heard_of_who_was_disconnected_in_review() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let handler = Handler::start().await;
    set(&server, &arn, &handler.url, "ALLOW").await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    *handler.state.hangs.lock().unwrap() = true;
    handler.answers(r#"{"ReviewResult":"ALLOW","Content":"🔥"}"#);
    let _frozen = Frozen::new();
    ann.say("🔥").await;
    // What waits behind it has been sent, too.
    ann.say("🔥").await;
    while handler.state.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let request = json!({"roomIdentifier": arn, "userId": "ann"});
    ask(&server, "DisconnectUser", request).await;
    *handler.state.hangs.lock().unwrap() = false;
    handler.state.released.notify_one();
    assert_eq!(ann.next().await["EventName"], "aws:DISCONNECT_USER");
    assert_eq!(ann.end().await, Some(1000));
    let request = json!({"roomIdentifier": arn, "eventName": "last"});
    ask(&server, "SendEvent", request).await;
    for name in ["aws:DISCONNECT_USER", "last"] {
        let heard = bob.next().await;
        assert_eq!(heard["EventName"], name, "{heard}");
    }
    let accepted = server.service.metrics.reactions.clone();
    let accepted = accepted
        .get_or_create(&floatup::metrics::Outcome::ACCEPTED)
        .get();
    assert_eq!(accepted, 0);
    // With a new token the user may come back.
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    ann.say("again").await;
    assert_eq!(ann.hears().await, "🔥");
}

#[tokio::test]
async fn without_a_valid_answer_the_fallback_decides() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let handler = Handler::start().await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let long = json!({"ReviewResult": "ALLOW", "Content": "x".repeat(20_000)}).to_string();
    let wrong = [
        "",
        "{",
        "[]",
        r#"{"ReviewResult":"MAYBE","Content":"no"}"#,
        r#"{"Content":"no"}"#,
        r#"{"ReviewResult":"ALLOW"}"#,
        r#"{"ReviewResult":"ALLOW","Content":""}"#,
        r#"{"ReviewResult":"ALLOW","Content":"no","Attributes":{"k":1}}"#,
        r#"{"ReviewResult":7}"#,
        &long,
    ];
    let _frozen = Frozen::new();
    for answer in wrong {
        handler.answers(answer);
        for fallback in ["ALLOW", "DENY"] {
            set(&server, &arn, &handler.url, fallback).await;
            ann.say("as it was").await;
            match fallback {
                "ALLOW" => assert_eq!(ann.hears().await, "as it was", "{answer:.60}"),
                _ => assert_eq!(ann.refusal().await.0, 406, "{answer:.60}"),
            }
            // So that the rate allows the next.
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
    // Nobody is there.
    set(&server, &arn, "http://127.0.0.1:1/review", "ALLOW").await;
    ann.say("nobody").await;
    assert_eq!(ann.hears().await, "nobody");
}

#[tokio::test]
async fn a_review_takes_200_ms_at_most() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let handler = Handler::start().await;
    set(&server, &arn, &handler.url, "DENY").await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    *handler.state.hangs.lock().unwrap() = true;
    let _frozen = Frozen::new();
    ann.say("late").await;
    while handler.state.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_millis(199)).await;
    for _ in 0..5 {
        // To and fro, while a refusal could come.
        ask(&server, "GetRoom", json!({"identifier": arn})).await;
    }
    assert!(ann.next().now_or_never().is_none(), "not yet");
    tokio::time::advance(Duration::from_millis(2)).await;
    let refused = ann.refusal().await;
    assert_eq!(refused, (406, "the message could not be reviewed".into()));
    assert_eq!(handler.state.asked.lock().unwrap().len(), 1);
}
