//! What is bounded: tokens, sessions, sizes, rates, and readers that are slow or gone.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Frozen, Member, Step, ask, call, demo_arn, pass, start, token};
use crate::in_process::{Server, answer as refusal, client, raw, until};

async fn status_of(server: &Server, token: &str) -> u16 {
    match Member::try_join(server, "/", token).await {
        Ok(_) => 101,
        Err((status, body)) => {
            assert!(!body.contains(token), "{body}");
            status
        }
    }
}

#[tokio::test]
async fn a_token_lets_in_once_and_for_a_minute() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let used = token(&server, &arn, "ann").await;
    assert_eq!(status_of(&server, &used).await, 101);
    assert_eq!(status_of(&server, &used).await, 403);
    assert_eq!(status_of(&server, "AQICAHzdexample#with!signs").await, 403);
    assert_eq!(status_of(&server, &"x".repeat(4_000)).await, 403);

    let fresh = token(&server, &arn, "ann").await;
    let stale = token(&server, &arn, "ann").await;
    pass(Duration::from_secs(59)).await;
    assert_eq!(status_of(&server, &fresh).await, 101);
    pass(Duration::from_secs(1)).await;
    assert_eq!(status_of(&server, &stale).await, 403);
}

#[tokio::test]
async fn only_a_websocket_with_a_token_is_let_in() {
    let server = start().await;
    let page = client().get(server.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200, "the viewer page is still there");
    let no_upgrade = client().get(server.url("/chat")).send().await.unwrap();
    assert_eq!(no_upgrade.status(), 426);
    // As curl --http2 sends it.
    let other = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                 Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let answer = raw(server.address, other.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for (method, path) in [("GET", "/CreateRoom"), ("POST", "/chat"), ("POST", "/")] {
        let method = method.parse().unwrap();
        let (status, body) = refusal(client().request(method, server.url(path))).await;
        assert_eq!(
            (status, &body["code"]),
            (405, &json!("method_not_allowed")),
            "{path}"
        );
    }
    let handshake = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for more in [
        "",
        "Sec-WebSocket-Protocol: \r\n",
        "Sec-WebSocket-Protocol: \u{e9}\r\n",
    ] {
        let request = format!("{handshake}{more}Connection: close\r\n\r\n");
        let answer = raw(server.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{more}: {answer}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let request = json!({
        "roomIdentifier": arn,
        "userId": "ann",
        "sessionDurationInMinutes": 1,
    });
    let made = ask(&server, "CreateChatToken", request).await;
    let mut ann = Member::join(&server, made["token"].as_str().unwrap()).await;
    pass(Duration::from_secs(50)).await;
    ann.send(json!({"Action": "nothing"})).await;
    assert_eq!(ann.refusal().await.0, 400, "still there");
    pass(Duration::from_secs(10)).await;
    let (code, text) = ann.refusal().await;
    assert_eq!(code, 401, "{text}");
    assert_eq!(ann.end().await, Some(1001));
}

#[tokio::test]
async fn who_answers_no_ping_is_gone() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let token = token(&server, &arn, "ann").await;
    let mut half_dead = TcpStream::connect(server.address).await.unwrap();
    let handshake = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {token}\r\n\r\n"
    );
    half_dead.write_all(handshake.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(half_dead.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    let mut pings = 0;
    for _ in 0..5 {
        pass(Duration::from_secs(30)).await;
        let mut frame = [0; 2];
        if half_dead.read_exact(&mut frame).await.is_err() {
            break;
        }
        assert_eq!(frame, [0x89, 0], "a ping");
        pings += 1;
    }
    assert_eq!(pings, 3);
}

#[tokio::test]
async fn sizes_are_those_of_the_service() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    // Characters are code points: one of four bytes is one, a flag is two.
    let longest = "🏴".repeat(500);
    ann.say(&longest).await;
    assert_eq!(ann.hears().await, longest);
    ann.say(&"é".repeat(501)).await;
    assert_eq!(ann.refusal().await.0, 413);
    let escaped = format!(
        r#"{{"Action":"SEND_MESSAGE","Content":"{}"}}"#,
        r"\ud83d\ude00".repeat(500)
    );
    ann.send_text(&escaped).await;
    assert_eq!(ann.hears().await, "😀".repeat(500));
    ann.send_text(&"x".repeat(16 * 1024 + 1)).await;
    assert_eq!(ann.refusal().await.0, 413);
    ann.send_text(&"[".repeat(16 * 1024)).await;
    assert_eq!(ann.refusal().await.0, 400);
    ann.0.send(Message::binary(b"{}".to_vec())).await.unwrap();
    assert_eq!(ann.refusal().await.0, 400);

    let change = json!({"identifier": arn, "maximumMessageLength": 3});
    ask(&server, "UpdateRoom", change).await;
    ann.say("abc").await;
    assert_eq!(ann.hears().await, "abc");
    ann.say("abcd").await;
    let (code, text) = ann.refusal().await;
    assert!(code == 413 && text.contains("at most 3"), "{code} {text}");

    ann.send_text(&"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(ann.end().await, Some(1009));
}

/// Sends so many messages, and gives how many were heard and refused.
async fn burst(member: &mut Member, count: usize) -> (usize, usize) {
    for n in 0..count {
        member.say(&n.to_string()).await;
    }
    let (mut heard, mut refused) = (0, 0);
    while heard + refused < count {
        match member.step().await {
            Step::Frame(frame) if frame["Type"] == "MESSAGE" => heard += 1,
            Step::Frame(frame) => {
                assert_eq!(frame["ErrorCode"], 429, "{frame}");
                refused += 1;
            }
            end => panic!("{end:?}"),
        }
    }
    (heard, refused)
}

#[tokio::test]
async fn a_connection_sends_ten_messages_a_second() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let change = json!({"identifier": arn, "maximumMessageRatePerSecond": 100});
    ask(&server, "UpdateRoom", change).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let _frozen = Frozen::new();
    assert_eq!(burst(&mut ann, 15).await, (10, 5));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(burst(&mut ann, 12).await, (10, 2));
}

#[tokio::test]
async fn a_room_takes_so_many_messages_a_second_of_all() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let change = json!({"identifier": arn, "maximumMessageRatePerSecond": 7});
    ask(&server, "UpdateRoom", change).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    let _frozen = Frozen::new();
    assert_eq!(burst(&mut ann, 4).await, (4, 0));
    tokio::time::advance(Duration::from_millis(999)).await;
    for _ in 0..4 {
        bob.next().await;
    }
    assert_eq!(burst(&mut bob, 5).await, (3, 2));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(
        burst(&mut bob, 5).await,
        (4, 1),
        "those of a second ago are over"
    );
}

#[tokio::test]
async fn who_floods_is_disconnected() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let _frozen = Frozen::new();
    for _ in 0..101 {
        ann.send_text("{").await;
    }
    let mut refused = 0;
    let end = loop {
        match ann.step().await {
            Step::Frame(frame) => {
                let code = if refused < 10 { 400 } else { 429 };
                assert_eq!(frame["ErrorCode"], code, "{refused}: {frame}");
                refused += 1;
            }
            Step::Closed(frame) => break frame,
            Step::Lost => panic!("no close"),
        }
    };
    assert_eq!(refused, 100);
    assert_eq!(u16::from(end.unwrap().code), 1008);
}

/// A member that reads nothing is let go in the end, and nobody waits for it meanwhile.
#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let gone = token(&server, &arn, "gone").await;
    let reads_nothing = Member::join(&server, &gone).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let attributes = json!({"k": "\u{1}".repeat(1023)});
    let request = json!({"roomIdentifier": arn, "eventName": "e", "attributes": attributes});
    for _ in 0..2_000 {
        let (status, _) = call(&server, "SendEvent", request.clone()).await;
        if status == 429 {
            pass(Duration::from_secs(1)).await;
            continue;
        }
        assert_eq!(ann.next().await["EventName"], "e");
    }
    // What is left in the socket's buffers is less than was sent.
    let mut reads_late = reads_nothing;
    let mut read = 0;
    while let Step::Frame(_) = reads_late.step().await {
        read += 1;
    }
    assert!(read < 1_900, "{read}");
}

#[tokio::test]
async fn a_server_that_stops_leaves_its_members_to_come_back() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let stopped = server.stop();
    assert_eq!(
        ann.end().await,
        None,
        "no close frame: the clients would not come back"
    );
    until("it stops", || stopped.is_finished()).await;
}

/// Asks for a viewer's own token with this browser.
async fn vend(server: &Server, browser: &str) -> (u16, Json) {
    let sent = client().post(server.url("/chat/tokens"));
    let sent = sent.header("User-Agent", browser);
    refusal(sent.body(json!({"streamId": "demo"}).to_string())).await
}

#[tokio::test]
async fn no_caller_is_given_all_tokens() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let _frozen = Frozen::new();
    for n in 0..12 {
        let (status, body) = vend(&server, "one").await;
        let code = body["code"].as_str().unwrap_or_default();
        let expected = match n {
            0..10 => (201, ""),
            _ => (429, "too_many_tokens"),
        };
        assert_eq!((status, code), expected, "{n}");
    }
    assert_eq!(vend(&server, "another").await.0, 201);
    // Together they are given as many as operators make, and take none of those.
    let mut vended = 11;
    for n in 0..20 {
        for _ in 0..10 {
            vended += usize::from(vend(&server, &format!("browser {n}")).await.0 == 201);
        }
    }
    assert_eq!(vended, 200);
    token(&server, &arn, "ann").await;
}

#[tokio::test]
async fn no_caller_has_all_connections() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Vec::new();
    for _ in 0..16 {
        ann.push(Member::join(&server, &token(&server, &arn, "ann").await).await);
    }
    let one_more = token(&server, &arn, "ann").await;
    let (status, body) = Member::try_join(&server, "/", &one_more)
        .await
        .err()
        .unwrap();
    assert_eq!(status, 429, "{body}");
    assert!(body.contains("too_many_connections"), "{body}");
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    // When one has gone there is a place, and the token has not been used.
    drop(ann.pop());
    while status_of(&server, &one_more).await != 101 {
        tokio::task::yield_now().await;
    }
    bob.say("still here").await;
    assert_eq!(bob.hears().await, "still here");
    // Viewers are counted by who they are, whatever they call themselves.
    let mut viewers = Vec::new();
    for n in 0..17 {
        if n % 8 == 7 {
            pass(Duration::from_secs(1)).await;
        }
        let (_, body) = vend(&server, "one").await;
        let joined = Member::try_join(&server, "/", body["token"].as_str().unwrap()).await;
        assert_eq!(joined.is_ok(), n < 16, "{n}");
        viewers.extend(joined);
    }
}
