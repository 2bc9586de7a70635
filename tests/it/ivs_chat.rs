//! The Amazon IVS Chat source: what it makes of a room, and how it stays there.

mod room;

use std::time::Duration;

use floatup::calendar::basic;
use floatup::source::ivs_chat::{Address, IvsChat, VARIABLES};
use floatup::source::{Secrets, State};
use serde_json::{Value as Json, json};

use self::room::{Peer, Room};
use crate::chat::Frozen;
use crate::following::Following;
use crate::in_process::{now_unix, until};

const ROOM: &str = "arn:aws:ivschat:eu-west-1:123456789012:room/AbCdEf012345";

/// Follows an address with secrets.
pub(crate) fn follow(address: &str, secrets: &Secrets) -> Following {
    let address: Address = address.parse().unwrap();
    let chat = IvsChat::at(&address, secrets).unwrap();
    assert!(!format!("{chat:?}").contains("token#"), "{chat:?}");
    let rules = floatup::reaction::Rules::new(std::sync::Arc::default());
    Following::of(rules, |inbox| async move { chat.follow(&inbox).await })
}

/// Follows a room with tokens of its own vending machine.
fn follow_vended(room: &Room) -> Following {
    let address = room.address;
    let tokens = format!("http://{address}/chat/token");
    follow(
        &format!("ivs-chat:ws://{address}/?tokens={tokens}"),
        &Secrets::default(),
    )
}

/// A room with somebody in it.
async fn joined() -> (Room, Peer, Following) {
    let mut room = Room::open().await;
    let following = follow_vended(&room);
    let peer = room.peer().await;
    following.is(State::Live).await;
    (room, peer, following)
}

fn message(id: &str, content: &str) -> Json {
    said(id, content, json!({}))
}

fn said(id: &str, content: &str, attributes: Json) -> Json {
    json!({
        "Type": "MESSAGE", "Id": id, "RequestId": "", "Attributes": attributes, "Content": content,
        "SendTime": date(now_unix()), "Sender": {"UserId": "ann", "Attributes": {"username": "A"}},
    })
}

fn event(id: &str, name: &str, attributes: Json) -> Json {
    json!({
        "Type": "EVENT", "Id": id, "RequestId": "", "EventName": name, "Attributes": attributes,
        "SendTime": date(now_unix()),
    })
}

fn error(code: u16) -> Json {
    json!({"Type": "ERROR", "Id": "e", "RequestId": "", "ErrorCode": code, "ErrorMessage": "no"})
}

/// As the service writes dates.
fn date(at: u64) -> String {
    let text = basic(Duration::from_secs(at));
    let part = |from: usize, to: usize| &text[from..to];
    format!(
        "{}-{}-{}T{}:{}:{}.113Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 15)
    )
}

/// Lets the clock of what waits go on by so many seconds.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_people_and_applications_send_becomes_reactions() {
    let (_room, mut peer, following) = joined().await;
    let frames: [(Json, &[&str]); 18] = [
        // The conventions of samples in the field.
        (message("1", "❤"), &["❤️1"]),
        (
            said("2", "🎉", json!({"isEmoji": "true", "isSpecial": "false"})),
            &["🎉1"],
        ),
        (
            said("3", "heart", json!({"type": "EVENT", "reaction": "heart"})),
            &["❤️1"],
        ),
        (
            said("4", "thumbs", json!({"reaction": "thumbsup", "count": 3})),
            &["👍3"],
        ),
        (
            event("5", "app:reaction", json!({"reaction": "fire"})),
            &["🔥1"],
        ),
        (
            event("6", "reactions", json!({"heart": "12", "100": "3"})),
            &["💯3 ❤️12"],
        ),
        // Those that draw nothing.
        (message("7", "what a goal, heart and soul"), &[]),
        (
            said("8", "Sticker: cute", json!({"message_type": "STICKER"})),
            &[],
        ),
        (said("9", "❤", json!({"eventType": "START_POLL"})), &[]),
        (event("10", "stage:JOIN", json!({})), &[]),
        (event("11", "aws:SOMETHING_NEW", json!({})), &[]),
        (json!({"Type": "SUBSCRIBED"}), &[]),
        (json!({}), &[]),
        // Other cases and shapes.
        (
            json!({"type": "message", "id": "12", "content": "🔥", "sender": {"userId": "b"}}),
            &["🔥1"],
        ),
        (json!({"Content": "🔥🔥", "Id": 13}), &["🔥2"]),
        (
            json!([message("14", "👍"), message("15", "❤️")]),
            &["👍1", "❤️1"],
        ),
        (
            json!({"Type": "MESSAGE", "Id": "16", "Content": null, "Attributes": []}),
            &[],
        ),
        (
            json!({"EventName": "reaction", "Attributes": {"fire": 2}, "SendTime": 7}),
            &["🔥2"],
        ),
    ];
    let expected = frames.iter().flat_map(|(_, shown)| shown.iter().copied());
    let expected: Vec<&str> = expected.collect();
    for (frame, _) in frames {
        peer.send(frame).await;
    }
    following.delivered(expected.len()).await;
    assert_eq!(following.shown(), expected);
    let metrics = &following.metrics;
    assert_eq!(metrics.accepted.get(), 11);
    assert_eq!(metrics.other_type.get(), 4);
    assert_eq!(metrics.unknown.get(), 2);
    assert_eq!(metrics.refused.get(), 0);
    let sent_at = following.sent_at();
    let near = |at: &Option<Duration>| at.is_some_and(|at| at.as_secs().abs_diff(now_unix()) < 60);
    assert!(sent_at[..6].iter().all(near), "{sent_at:?}");
    assert_eq!(sent_at[10], None, "7 ms after 1970 is no time");
}

#[tokio::test]
async fn what_is_taken_back_is_no_longer_shown() {
    let (_room, mut peer, following) = joined().await;
    let by = |id: &str, user: &str| {
        let mut message = message(id, "❤");
        message["Sender"]["UserId"] = user.into();
        message
    };
    for frame in [
        by("m1", "ann"),
        by("m2", "ann"),
        by("m3", "bob"),
        by("m4", "cid"),
        by("m5", "dan"),
        by("m6", "eve"),
    ] {
        peer.send(frame).await;
    }
    let items = following.delivered(6).await;
    let retracted = |count: usize| {
        let following = &following;
        async move {
            until("it is taken back", || following.retracted().len() == count).await;
            let items = following.retracted();
            items
                .iter()
                .map(|item| (item.page, item.sequence))
                .collect::<Vec<_>>()
        }
    };
    peer.send(event(
        "e1",
        "aws:DELETE_MESSAGE",
        json!({"MessageID": "m2", "Reason": "r"}),
    ))
    .await;
    assert_eq!(retracted(1).await, [items[1]]);
    peer.send(event(
        "e2",
        "aws:DISCONNECT_USER",
        json!({"UserId": "ann", "Reason": ""}),
    ))
    .await;
    assert_eq!(retracted(2).await, [items[1], items[0]]);
    let newer = json!({"type": "EVENT", "eventName": "aws:DELETE_MESSAGE", "attributes": {"messageId": "m3"}});
    peer.send(newer).await;
    assert_eq!(retracted(3).await[2], items[2]);
    peer.send(event("e3", "app:DELETE_BY_USER", json!({"userId": "cid"})))
        .await;
    assert_eq!(retracted(4).await[3], items[3]);
    // What has yet to come is not shown when it does, and of nobody else is anything taken back.
    for frame in [
        event("e4", "aws:DELETE_MESSAGE", json!({"MessageID": "m7"})),
        event("e5", "aws:DELETE_MESSAGE", json!({})),
        event("e6", "aws:DISCONNECT_USER", json!({"UserId": ""})),
        by("m7", "fay"),
        by("m8", "fay"),
    ] {
        peer.send(frame).await;
    }
    assert_eq!(following.delivered(7).await.len(), 7);
    assert_eq!(following.metrics.duplicate.get(), 1, "m7");
    assert_eq!(following.retracted().len(), 4);
}

#[tokio::test]
async fn a_token_that_is_given_is_the_subprotocol() {
    let mut room = Room::open().await;
    let address = format!("ivs-chat:ws://{}", room.address);
    let secrets = Secrets::of(Some(" AQICAHgt!p#1+2==\n".into()));
    let following = follow(&address, &secrets);
    let peer = room.peer().await;
    following.is(State::Live).await;
    assert_eq!(room.shown(), ["AQICAHgt!p#1+2=="]);
    room.refuse("403 Forbidden");
    peer.cut();
    for told in [
        "was for this one session",
        "answered 403 Forbidden: no!; a chat token opens one",
    ] {
        let status = &following.monitor.status;
        until(told, || status.borrow().why.contains(told)).await;
        let status = following.is(State::Refused).await;
        assert!(!status.why.contains("AQICAHgt"), "{status:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_given_is_of_one_session() {
    let mut room = Room::open().await;
    let address = format!("ivs-chat:ws://{}", room.address);
    let following = follow(&address, &Secrets::of(Some("token#given".into())));
    let mut peer = room.peer().await;
    following.is(State::Live).await;
    pass(59 * 60 + 1).await;
    room.settle().await;
    assert!(!room.has_peer(), "it can't be used a second time");
    assert_eq!(following.is(State::Live).await.why, "");
    peer.send(message("1", "❤")).await;
    following.delivered(1).await;
    peer.send(error(401)).await;
    let status = following.is(State::Refused).await;
    let told = "the chat says 401: no; the chat token was for this one session: set a new one";
    assert!(status.why.starts_with(told), "{status:?}");
}

#[tokio::test]
async fn an_application_gives_a_token_for_each_connection() {
    let mut room = Room::open().await;
    let tokens = format!("http://{}/chat/token", room.address);
    let endpoint = format!("http://{}/", room.address);
    let address = format!("ivs-chat:{ROOM}?tokens={tokens}&endpoint={endpoint}&user=overlay");
    // Any case, and a bare text.
    room.answer(
        201,
        json!({"Token": "token#a", "TokenExpirationTime": "soon"}),
    );
    room.answer(200, "\"token#b\"");
    let following = follow(&address, &Secrets::default());
    room.peer().await.cut();
    let _peer = room.peer().await;
    following.is(State::Live).await;
    assert_eq!(room.shown(), ["token#a", "token#b"]);
    let asked = room.asked();
    assert!(
        asked[0].head.starts_with("POST /chat/token HTTP/1.1\r\n"),
        "{asked:?}"
    );
    let expected = json!({
        "arn": ROOM, "roomIdentifier": ROOM, "userId": "overlay", "capabilities": [],
        "attributes": {"username": "overlay"}, "durationInMinutes": 180,
        "sessionDurationInMinutes": 180,
    });
    assert_eq!(asked[0].body, expected);
}

#[tokio::test]
async fn an_application_that_gives_none_says_why() {
    let cases = [
        (
            404,
            "{\"message\":\"nothing here\"}".into(),
            State::Refused,
            "answered 404 Not Found: nothing here; ?tokens= must",
        ),
        (
            200,
            "{}".into(),
            State::Refused,
            "answered without a token; expected {\"token\":…}",
        ),
        (
            200,
            "{\"token\":\"a b\"}".into(),
            State::Refused,
            "answered without a token",
        ),
        (
            200,
            "<html>".into(),
            State::Refused,
            "answered without a token",
        ),
        (
            500,
            "oh".into(),
            State::Waiting,
            "answered 500 Internal Server Error: oh",
        ),
        (
            429,
            String::new(),
            State::Waiting,
            "answered 429 Too Many Requests",
        ),
        (
            200,
            " ".repeat(70_000),
            State::Waiting,
            "longer than 65536 bytes",
        ),
    ];
    for (status, answer, state, told) in cases {
        let mut room = Room::open().await;
        room.answer(status, answer);
        let following = follow_vended(&room);
        let status = following.is(state).await;
        assert!(
            status.why.starts_with("tokens of 127.0.0.1: "),
            "{status:?}"
        );
        assert!(status.why.contains(told), "{status:?}, expected {told}");
        // It tries again.
        let _peer = room.peer().await;
        assert_eq!(following.is(State::Live).await.why, "");
    }
}

/// The secrets of an environment.
fn environment(variables: &[(&'static str, &str)]) -> Secrets {
    for (name, _) in variables {
        assert!(VARIABLES.contains(name), "{name} is read by the settings");
    }
    let variables = variables
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Secrets {
        own: None,
        variables: variables.collect(),
    }
}

#[tokio::test]
async fn credentials_make_tokens_for_a_rooms_arn() {
    let mut room = Room::open().await;
    let endpoint = format!("http://{}", room.address);
    let address = format!("ivs-chat:{ROOM}?endpoint={endpoint}&user=overlay");
    let key = [
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
    ];
    let following = follow(&address, &environment(&key));
    let peer = room.peer().await;
    following.is(State::Live).await;
    let asked = &room.asked()[0];
    assert!(
        asked.head.starts_with("POST /CreateChatToken HTTP/1.1\r\n"),
        "{asked:?}"
    );
    let scope = "Credential=AKIAEXAMPLE/";
    assert!(asked.head.contains(scope) && asked.head.contains("/eu-west-1/ivschat/aws4_request"));
    let expected =
        json!({"roomIdentifier": ROOM, "userId": "overlay", "sessionDurationInMinutes": 180});
    assert_eq!(asked.body, expected);
    assert_eq!(room.shown(), ["token#1"]);

    let denied = json!({"__type": "AccessDeniedException", "message": "not you"});
    room.answer(403, denied);
    peer.cut();
    let status = following.is(State::Refused).await;
    let told =
        "CreateChatToken answered 403 AccessDeniedException: not you; allow these credentials";
    assert!(status.why.starts_with(told), "{status:?}");
    let peer = room.peer().await;
    following.is(State::Live).await;
    room.answer(429, json!({"__type": "ThrottlingException"}));
    peer.cut();
    let status = &following.monitor.status;
    until("it is throttled", || {
        status.borrow().why.contains("ThrottlingException")
    })
    .await;
    let _peer = room.peer().await;
    following.is(State::Live).await;
}

#[tokio::test]
async fn another_floatup_on_this_machine_needs_no_credentials() {
    let mut room = Room::open().await;
    let address = format!("ivs-chat:{ROOM}?endpoint=http://{}", room.address);
    // Wherever it runs: where nobody has credentials, and where only another role would be had.
    for (number, variables) in [
        &[][..],
        &[("AWS_EC2_METADATA_DISABLED", "true")],
        &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere")],
    ]
    .into_iter()
    .enumerate()
    {
        let following = follow(&address, &environment(variables));
        let _peer = room.peer().await;
        following.is(State::Live).await;
        assert!(room.asked()[number].head.contains("Credential=floatup/"));
    }
}

#[tokio::test]
async fn a_room_without_any_way_to_a_token_is_refused_at_once() {
    let at = |address: &str, secrets: &Secrets| {
        let address: Address = address.parse().unwrap();
        IvsChat::at(&address, secrets)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let error = at("ivs-chat:eu-west-1", &Secrets::default()).unwrap_err();
    assert!(
        error.contains("set IVS_CHAT_TOKEN, or ?tokens=URL"),
        "{error}"
    );
    let half = environment(&[("AWS_ACCESS_KEY_ID", "AKIA")]);
    let error = at(&format!("ivs-chat:{ROOM}"), &half).unwrap_err();
    assert!(error.contains("only one of them is set"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again() {
    for (refusal, state, told) in [
        (
            "401 Unauthorized",
            State::Refused,
            "127.0.0.1 answered 401 Unauthorized: no!; the application's tokens",
        ),
        ("403 Forbidden", State::Refused, "answered 403 Forbidden"),
        (
            "404 Not Found",
            State::Refused,
            "name the region or address of the room",
        ),
        (
            "301 Moved\r\nlocation: http://127.0.0.1:9/",
            State::Refused,
            "answered 301",
        ),
        ("200 OK", State::Refused, "answered 200 OK"),
        (
            "429 Too Many\r\nretry-after: 0",
            State::Waiting,
            "answered 429",
        ),
        ("503 Unavailable", State::Waiting, "answered 503"),
    ] {
        let mut room = Room::open().await;
        room.refuse(refusal);
        let following = follow_vended(&room);
        let status = following.is(state).await;
        assert!(status.why.contains(told), "{status:?}, expected {told}");
        let mut peer = room.peer().await;
        following.is(State::Live).await;
        peer.send(message("1", "❤")).await;
        following.delivered(1).await;
        assert_eq!(room.shown(), ["token#2"], "each connection has its token");
    }
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_with_nothing_lost_or_doubled() {
    let mut room = Room::open().await;
    let ends = |minutes: u64| json!({"token": "token#x", "sessionExpirationTime": date(now_unix() + minutes * 60)});
    // Of the second nothing is said; the third is over, by a clock that is wrong.
    room.answer(200, ends(5));
    room.answer(200, json!({"token": "token#y"}));
    room.answer(
        200,
        json!({"token": "token#z", "sessionExpirationTime": "2001-01-01T00:00:00Z"}),
    );
    let following = follow_vended(&room);
    let mut peer = room.peer().await;
    following.is(State::Live).await;
    let mut count = 0;
    for renewed_after_s in [4 * 60, 59 * 60, 59 * 60] {
        // In time for the service to see a sign of life, as it would.
        pass(renewed_after_s - 20).await;
        room.settle().await;
        assert!(!room.has_peer());
        pass(21).await;
        let mut next = room.peer().await;
        let id = |n: usize| format!("m{n}");
        // On its way when the new one was opened, over both, and over the new one alone.
        peer.send(message(&id(count), "❤")).await;
        for both in [&mut peer, &mut next] {
            both.send(message(&id(count + 1), "🔥")).await;
        }
        next.send(message(&id(count + 2), "👍")).await;
        count += 3;
        following.delivered(count).await;
        until("the double was seen", || {
            following.metrics.duplicate.get() == count as u64 / 3
        })
        .await;
        pass(4).await;
        peer.left().await;
        peer = next;
    }
    assert_eq!(following.now().len(), count);
    assert_eq!(following.metrics.reconnects.get(), 0);
    assert_eq!(following.is(State::Live).await.why, "");
}

#[tokio::test]
async fn a_session_that_can_not_be_renewed_goes_on_and_says_so() {
    let (mut room, mut peer, following) = joined().await;
    room.answer(500, "away");
    let frozen = Frozen::new();
    tokio::time::advance(Duration::from_secs(59 * 60 + 1)).await;
    let status = &following.monitor.status;
    room.settle_until(|| status.borrow().state == State::Degraded)
        .await;
    let why = status.borrow().why.clone();
    assert!(
        why.contains("the session ends soon: tokens of 127.0.0.1: answered 500"),
        "{why}"
    );
    peer.send(message("1", "❤")).await;
    room.settle_until(|| following.now().len() == 1).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    room.settle().await;
    assert!(!room.has_peer() && room.asked().len() == 2);
    drop(frozen);
    pass(2).await;
    let mut next = room.peer().await;
    following.is(State::Live).await;
    next.send(message("2", "❤")).await;
    following.delivered(2).await;
}

#[tokio::test]
async fn a_renewal_that_is_refused_is_tried_slowly() {
    let (room, mut peer, following) = joined().await;
    for _ in 0..8 {
        room.answer(403, "no");
    }
    let mut wait_s = 59 * 60 + 1;
    for attempts in 1..=7 {
        pass(wait_s).await;
        peer.pinged().await;
        peer.answer_pings().await;
        until("it is tried", || room.asked().len() == attempts + 1).await;
        room.settle().await;
        let status = following.is(State::Degraded).await;
        assert!(status.why.contains("answered 403"), "{status:?}");
        wait_s = 61;
    }
    pass(20).await;
    room.settle().await;
    assert_eq!(room.asked().len(), 8);
    pass(41).await;
    until("it is tried", || room.asked().len() == 9).await;
    assert_eq!(following.metrics.reconnects.get(), 0);
}

#[tokio::test]
async fn no_pause_is_too_long_to_be_asked_for() {
    let (mut room, mut peer, following) = joined().await;
    room.refuse("503 Unavailable\r\nretry-after: 18446744073709551615");
    pass(59 * 60 + 1).await;
    let status = following.is(State::Degraded).await;
    assert!(status.why.contains("answered 503"), "{status:?}");
    peer.send(message("1", "❤")).await;
    following.delivered(1).await;
    pass(301).await;
    let _next = room.peer().await;
    following.is(State::Live).await;
}

#[tokio::test]
async fn a_room_that_breaks_off_is_joined_again_with_nothing_doubled() {
    let (mut room, mut peer, following) = joined().await;
    let mut next_id = 0;
    for round in 1..=3 {
        for _ in 0..50 {
            next_id += 1;
            peer.send(message(&format!("m{next_id}"), "❤")).await;
        }
        following.delivered(next_id).await;
        peer.cut();
        peer = room.peer().await;
        until("it is live again", || {
            following.metrics.reconnects.get() == round
        })
        .await;
        following.is(State::Live).await;
        // A service that says the last again.
        for id in next_id - 10..=next_id {
            peer.send(message(&format!("m{id}"), "❤")).await;
        }
    }
    peer.send(message("last", "🔥")).await;
    assert_eq!(following.delivered(151).await.len(), 151);
    assert_eq!(following.metrics.duplicate.get(), 33);
    assert_eq!(room.shown(), ["token#1", "token#2", "token#3", "token#4"]);
}

#[tokio::test]
async fn an_error_is_told_by_its_number() {
    for (code, state, told) in [
        (401, State::Waiting, "the chat says 401: no"),
        (
            403,
            State::Refused,
            "the chat says 403: no; the token's account or user",
        ),
        (
            404,
            State::Refused,
            "the chat says 404: no; the room is gone",
        ),
    ] {
        let (mut room, mut peer, following) = joined().await;
        peer.send(error(code)).await;
        let status = following.is(state).await;
        assert!(status.why.starts_with(told), "{status:?}");
        let mut peer = room.peer().await;
        following.is(State::Live).await;
        peer.send(message("1", "❤")).await;
        following.delivered(1).await;
    }
    let (room, mut peer, following) = joined().await;
    for code in [400, 406, 413, 429, 500] {
        peer.send(error(code)).await;
        let status = following.is(State::Degraded).await;
        assert!(status.why.contains(": no"), "{status:?}");
        peer.send(message(&code.to_string(), "❤")).await;
        following.is(State::Live).await;
    }
    peer.send(json!({"Type": "ERROR"})).await;
    following.is(State::Degraded).await;
    assert!(!room.has_peer(), "it is one connection all the time");
}

#[tokio::test]
async fn a_room_that_closes_says_why() {
    for (code, state) in [
        (1001, State::Waiting),
        (1011, State::Waiting),
        (1008, State::Refused),
        (4000, State::Waiting),
    ] {
        let (mut room, peer, following) = joined().await;
        peer.close(code).await;
        let status = following.is(state).await;
        assert!(
            status.why.contains(&format!("({code}: so it is)")),
            "{status:?}"
        );
        let _peer = room.peer().await;
        following.is(State::Live).await;
    }
}

#[tokio::test]
async fn who_is_shown_out_comes_back_slowly() {
    let (mut room, peer, following) = joined().await;
    peer.close(1000).await;
    let status = following.is(State::Refused).await;
    assert!(
        status
            .why
            .contains("disconnected from the room; trying slowly"),
        "{status:?}"
    );
    let frozen = Frozen::new();
    tokio::time::advance(Duration::from_secs(13)).await;
    room.settle().await;
    assert!(!room.has_peer() && room.asked().len() == 1);
    drop(frozen);
    pass(3).await;
    let _peer = room.peer().await;
    following.is(State::Live).await;
}

#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_dead() {
    let (mut room, mut peer, following) = joined().await;
    for round in 1..=3 {
        pass(31).await;
        peer.pinged().await;
        peer.answer_pings().await;
        // What comes after the answer shows that it has come.
        peer.send(message("same", "hello")).await;
        until("the answer is here", || {
            following.metrics.unknown.get() == round
        })
        .await;
    }
    assert_eq!(following.metrics.reconnects.get(), 0);
    pass(31).await;
    peer.pinged().await;
    pass(31).await;
    let status = following.is(State::Waiting).await;
    assert_eq!(status.why, "no sign of life for 30 s");
    let _next = room.peer().await;
    following.is(State::Live).await;
}

#[tokio::test]
async fn no_frame_can_hurt() {
    let (mut room, mut peer, following) = joined().await;
    let deep = "[".repeat(120_000);
    let deeper = format!(
        "{}1{}",
        r#"{"Attributes":"#.repeat(5_000),
        "}".repeat(5_000)
    );
    let huge = message("1", &"❤".repeat(60_000)).to_string();
    let many: Vec<Json> = (0..2_000)
        .map(|n| json!({"Type": "EVENT", "n": n}))
        .collect();
    for (count, text) in ["", "heart", "7", "null", "{", "[1]", &deep, &deeper, &huge]
        .iter()
        .enumerate()
    {
        peer.send(text).await;
        let refused = &following.metrics.refused;
        until("it is refused", || refused.get() == count as u64 + 1).await;
    }
    peer.send(Json::from(many)).await;
    peer.send_bytes(b"\xff\xfe").await;
    peer.send_bytes(r#"{"Type":"MESSAGE","Content":"❤","Id":"b"}"#.as_bytes())
        .await;
    following.delivered(1).await;
    assert_eq!(following.metrics.refused.get(), 10);
    assert_eq!(following.metrics.reconnects.get(), 0);

    // What is more than a frame may have ends the connection, and so does what is no text.
    peer.send_raw(&[0x81, 127, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff])
        .await;
    let status = following.is(State::Waiting).await;
    assert!(
        status.why.contains("2147483647 bytes; at most 1048576"),
        "{status:?}"
    );
    let mut peer = room.peer().await;
    following.is(State::Live).await;
    peer.send_raw(&[0x81, 2, 0xff, 0xfe]).await;
    let status = following.is(State::Waiting).await;
    assert!(
        status.why.starts_with("the connection broke: "),
        "{status:?}"
    );
    let mut peer = room.peer().await;
    following.is(State::Live).await;
    peer.send(message("c", "❤")).await;
    following.delivered(2).await;
}
