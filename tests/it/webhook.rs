//! Reactions of other services: who may send them, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::metrics::Metrics;
use floatup::reaction::{Palette, Rules};
use floatup::server::{Access, Webhook, WebhookSecret};
use floatup::source::{Cue, Inbox, Merge, Monitor, Receiver, State};
use floatup::topic::ItemId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::in_process::{PAGE, Server, answer, client, error, now_unix};

const SECRET: &str = "correct horse battery";

#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Vec<Cue>>>);

impl Receiver for Stage {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let item = cue.item();
        self.0.lock().unwrap().push(cue);
        Some(item)
    }

    fn retract(&self, _: &[ItemId]) {}
}

/// A server whose channel `demo` takes reactions, and what it took.
struct Hooked {
    server: Server,
    stage: Stage,
    monitor: Monitor,
}

impl Hooked {
    async fn start(secret: Option<&str>, access: Access) -> Self {
        let stage = Stage::default();
        let merge = Arc::new(Merge::new(Box::new(stage.clone()), PAGE));
        let rules = Rules::new(Arc::new(Palette::default()));
        let inbox = Inbox::new("demo", "webhook", rules, merge, &Metrics::new());
        let monitor = inbox.monitor();
        let webhook = Webhook {
            secret: secret.map(|secret| WebhookSecret::new(secret).unwrap()),
            channels: BTreeMap::from([("demo".to_owned(), inbox)]),
        };
        let server = Server::with(|service| {
            service.webhook = Some(webhook);
            service.access = access;
        });
        Self {
            server: server.await,
            stage,
            monitor,
        }
    }

    fn post(&self, body: impl Into<String>) -> reqwest::RequestBuilder {
        client()
            .post(self.server.url("/reactions/demo"))
            .body(body.into())
    }

    /// Sends a request that is signed for now.
    async fn signed(&self, body: &str) -> (u16, Json) {
        let header = signature(SECRET, now_unix(), body);
        answer(self.post(body).header("X-Floatup-Signature", header)).await
    }

    fn shown(&self) -> Vec<String> {
        let cues = self.stage.0.lock().unwrap();
        let all = cues.iter().flat_map(|cue| &cue.reactions);
        all.map(|reaction| format!("{}{}", reaction.emoji, reaction.count))
            .collect()
    }
}

fn hmac(secret: &str, signed: impl AsRef<[u8]>) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_ref());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signature(secret: &str, at: u64, body: &str) -> String {
    format!("t={at},v1={}", hmac(secret, format!("{at}.{body}")))
}

/// The answer to so many messages of each kind.
fn outcomes(accepted: u32, unknown: u32, other_type: u32, duplicate: u32) -> (u16, Json) {
    let body = json!({
        "accepted": accepted,
        "unknown": unknown,
        "other_type": other_type,
        "duplicate": duplicate,
        "refused": 0,
        "limited": 0,
    });
    (200, body)
}

#[tokio::test]
async fn one_message_or_several_are_taken() {
    let hooked = Hooked::start(None, Access::Open).await;
    for (body, expected) in [
        ("heart", outcomes(1, 0, 0, 0)),
        ("🔥🔥", outcomes(1, 0, 0, 0)),
        (r#" {"reaction":"clap","count":3} "#, outcomes(1, 0, 0, 0)),
        (r#"{"type":"comment","text":"heart"}"#, outcomes(0, 0, 1, 0)),
        ("", outcomes(0, 1, 0, 0)),
        (
            r#"["heart",{"r":{"fire":2}},"nope","🎉"]"#,
            outcomes(3, 1, 0, 0),
        ),
        (r#"{"messages":["heart"]}"#, outcomes(1, 0, 0, 0)),
        ("[]", outcomes(0, 0, 0, 0)),
    ] {
        assert_eq!(answer(hooked.post(body)).await, expected, "{body}");
    }
    let expected = ["❤️1", "🔥2", "👏3", "❤️1", "🔥2", "🎉1", "❤️1"];
    assert_eq!(hooked.shown(), expected);
    assert_eq!(hooked.monitor.status.borrow().state, State::Live);
    assert_eq!(hooked.monitor.metrics.accepted.get(), 7);
    assert_eq!(hooked.monitor.metrics.refused.get(), 0);
    let at_ms = now_unix() * 1_000;
    answer(hooked.post(json!({"reaction": "heart", "sent_at": at_ms}).to_string())).await;
    let sent_at = hooked.stage.0.lock().unwrap().last().unwrap().sent_at;
    assert_eq!(sent_at, Some(Duration::from_millis(at_ms)));
}

#[tokio::test]
async fn what_has_come_before_is_not_shown_again() {
    let hooked = Hooked::start(None, Access::Open).await;
    let with_id = r#"{"reaction":"heart","id":"a"}"#;
    assert_eq!(answer(hooked.post(with_id)).await, outcomes(1, 0, 0, 0));
    assert_eq!(answer(hooked.post(with_id)).await, outcomes(0, 0, 0, 1));
    let several = r#"[{"reaction":"heart","id":"a"},{"reaction":"heart","id":7},{"reaction":"heart","id":7},"heart"]"#;
    assert_eq!(answer(hooked.post(several)).await, outcomes(2, 0, 0, 2));
    let keyed = |body: &str| hooked.post(body).header("Idempotency-Key", "k");
    assert_eq!(
        answer(keyed(r#"["fire","fire"]"#)).await,
        outcomes(2, 0, 0, 0)
    );
    assert_eq!(
        answer(keyed(r#"["fire","fire"]"#)).await,
        outcomes(0, 0, 0, 2)
    );
    for body in [
        r#"{"reaction":"heart","id":""}"#,
        r#"{"reaction":"heart","id":[1]}"#,
    ] {
        let (status, code, _) = error(answer(hooked.post(body)).await);
        assert_eq!((status, &*code), (400, "bad_id"), "{body}");
    }
    let long = hooked
        .post("heart")
        .header("Idempotency-Key", "k".repeat(101));
    assert_eq!(error(answer(long).await).1, "bad_id");
}

#[tokio::test]
async fn only_those_with_the_secret_are_let_in() {
    let hooked = Hooked::start(Some(SECRET), Access::Open).await;
    let now = now_unix();
    let good = signature(SECRET, now, "heart");
    let hub = format!("sha256={}", hmac(SECRET, "heart"));
    let (timed, untimed) = ("X-Floatup-Signature", "X-Hub-Signature-256");
    let refused = [
        (None, "signature_missing"),
        (
            Some((timed, signature("another secret!!", now, "heart"))),
            "signature_invalid",
        ),
        (
            Some((timed, signature(SECRET, now, "fire"))),
            "signature_invalid",
        ),
        (
            Some((timed, good.replace("t=", "t=1"))),
            "signature_invalid",
        ),
        (
            Some((timed, good.replace("v1=", "v0="))),
            "signature_invalid",
        ),
        (Some((timed, good.replace("t=", "x="))), "signature_invalid"),
        (
            Some((timed, good[..good.len() - 1].to_owned())),
            "signature_invalid",
        ),
        (Some((timed, String::new())), "signature_invalid"),
        (Some((timed, hub.clone())), "signature_invalid"),
        (
            Some((timed, signature(SECRET, now - 310, "heart"))),
            "signature_old",
        ),
        (
            Some((timed, signature(SECRET, now + 310, "heart"))),
            "signature_old",
        ),
        (
            Some((untimed, hub.replace("sha256", "sha1"))),
            "signature_invalid",
        ),
        (
            Some((untimed, format!("sha256={}", hmac(SECRET, "fire")))),
            "signature_invalid",
        ),
        (Some((untimed, "sha256=zz".into())), "signature_invalid"),
    ];
    let count = refused.len() as u64;
    for (header, expected) in refused {
        let mut request = hooked.post("heart");
        if let Some((name, value)) = &header {
            request = request.header(*name, value);
        }
        let (status, code, message) = error(answer(request).await);
        assert_eq!((status, &*code), (401, expected), "{header:?}");
        assert!(!message.contains(SECRET), "{message}");
    }
    assert_eq!(hooked.monitor.metrics.refused.get(), count);
    assert!(hooked.shown().is_empty());
    // Once.
    let sent = || answer(hooked.post("heart").header(timed, &good));
    assert_eq!(sent().await, outcomes(1, 0, 0, 0));
    let (status, code, _) = error(sent().await);
    assert_eq!((status, &*code), (401, "signature_used"));
    // While a secret is replaced there are two signatures.
    let both = format!(
        "t={now}, v1={}, v1={}",
        "0".repeat(64),
        hmac(SECRET, format!("{now}.fire"))
    );
    let sent = answer(hooked.post("fire").header(timed, both)).await;
    assert_eq!(sent, outcomes(1, 0, 0, 0));
    // GitHub's has no time.
    for _ in 0..2 {
        let sent = answer(hooked.post("heart").header(untimed, &hub)).await;
        assert_eq!(sent, outcomes(1, 0, 0, 0));
    }
    assert_eq!(hooked.signed("🎉").await, outcomes(1, 0, 0, 0));
}

#[tokio::test]
async fn without_a_secret_it_is_closed_where_tokens_are_required() {
    let hooked = Hooked::start(None, Access::Required).await;
    let (status, code, _) = error(answer(hooked.post("heart")).await);
    assert_eq!((status, &*code), (401, "no_secret"));
    let hooked = Hooked::start(Some(SECRET), Access::Required).await;
    assert_eq!(hooked.signed("heart").await, outcomes(1, 0, 0, 0));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_so() {
    let hooked = Hooked::start(Some(SECRET), Access::Required).await;
    let many = format!("[{}\"heart\"]", "\"heart\",".repeat(1_000));
    let deep = "[".repeat(10_000);
    for (body, expected) in [
        ("[", (400, "bad_json")),
        ("{", (400, "bad_json")),
        (&*deep, (400, "bad_json")),
        ("[1]", (400, "bad_field")),
        (r#"{"messages":"heart"}"#, (400, "bad_field")),
        (&*many, (413, "too_many_messages")),
    ] {
        let (status, code, _) = error(hooked.signed(body).await);
        assert_eq!(
            (status, &*code),
            expected,
            "{}",
            &body[..body.len().min(40)]
        );
    }
    let (status, code, _) = error(hooked.signed(&"x".repeat(256 * 1024 + 1)).await);
    assert_eq!((status, &*code), (413, "body_too_large"));
    let request = client().post(hooked.server.url("/reactions/demo"));
    let header = format!("sha256={}", hmac(SECRET, b"\xff"));
    let request = request
        .header("X-Hub-Signature-256", header)
        .body(&b"\xff"[..]);
    assert_eq!(error(answer(request).await).1, "not_utf8");
    assert_eq!(hooked.monitor.metrics.refused.get(), 8);
    // Who has no signature learns nothing of the channels.
    let nobody = client()
        .post(hooked.server.url("/reactions/nobody"))
        .body("heart");
    let header = format!("sha256={}", hmac(SECRET, "heart"));
    let (status, code, _) = error(answer(nobody.try_clone().unwrap()).await);
    assert_eq!((status, &*code), (401, "signature_missing"));
    let (status, code, message) = error(answer(nobody.header("X-Hub-Signature-256", header)).await);
    assert_eq!((status, &*code), (404, "no_channel"));
    assert!(message.ends_with("there are: demo"), "{message}");
    let got = client().get(hooked.server.url("/reactions/demo"));
    assert_eq!(error(answer(got).await).0, 404);
    let plain = Server::start().await;
    let nowhere = client().post(plain.url("/reactions/demo")).body("heart");
    assert_eq!(error(answer(nowhere).await).0, 404);
}

#[test]
fn a_secret_is_long_and_never_printed() {
    let error = WebhookSecret::new("short").unwrap_err().to_string();
    assert_eq!(error, "webhook secret: 5 bytes, expected at least 16");
    let secret = WebhookSecret::new(SECRET).unwrap();
    assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
}
