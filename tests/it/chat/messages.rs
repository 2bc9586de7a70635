//! What members of a room send and are sent.

use serde_json::{Value as Json, json};

use super::{Member, ask, demo_arn, start, token, token_for, without_id_and_time};
use crate::in_process::{BOTH, PAGE, Server, client, get, item, now_unix};

#[tokio::test]
async fn everyone_hears_a_message_its_sender_too() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let other = token_for(&server, &arn, "bob", &[]).await;
    let mut bob = Member::try_join(&server, "/chat", &other)
        .await
        .ok()
        .unwrap();
    ann.send(json!({
        "Action": "SEND_MESSAGE",
        "RequestId": "r-1",
        "Content": "<b>hi</b> \u{0} 👋",
        "Attributes": {"Color": "red"},
    }))
    .await;
    let heard = ann.next().await;
    assert_eq!(bob.next().await, heard, "the same frame");
    let expected = json!({
        "Type": "MESSAGE",
        "RequestId": "r-1",
        "Content": "<b>hi</b> \u{0} 👋",
        "Attributes": {"Color": "red"},
        "Sender": {"UserId": "ann", "Attributes": {"username": "ANN"}},
    });
    assert_eq!(without_id_and_time(heard), expected);

    // As the service's own samples write it.
    ann.send(json!({"action": "SEND_MESSAGE", "content": "small"}))
        .await;
    let heard = ann.next().await;
    assert_eq!(heard["Attributes"], json!({}));
    assert_eq!(heard.get("RequestId"), None);
    assert_eq!(bob.next().await, heard);
}

#[tokio::test]
async fn rooms_hear_nothing_of_each_other() {
    let server = start().await;
    let mut members = Vec::new();
    for name in ["a", "b"] {
        let room = ask(&server, "CreateRoom", json!({ "name": name })).await;
        let arn = room["arn"].as_str().unwrap();
        members.push(Member::join(&server, &token(&server, arn, name).await).await);
    }
    members[0].say("for a").await;
    assert_eq!(members[0].hears().await, "for a");
    members[1].say("for b").await;
    assert_eq!(members[1].hears().await, "for b");
}

#[tokio::test]
async fn what_a_token_does_not_allow_is_refused() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let requests = [
        (
            "SEND_MESSAGE",
            json!({"Action": "SEND_MESSAGE", "Content": "a"}),
        ),
        (
            "DELETE_MESSAGE",
            json!({"Action": "DELETE_MESSAGE", "Id": "AYk6xKitV4On"}),
        ),
        (
            "DISCONNECT_USER",
            json!({"Action": "DISCONNECT_USER", "UserId": "nobody"}),
        ),
    ];
    for (held, _) in &requests {
        let token = token_for(&server, &arn, "ann", &[held]).await;
        let mut ann = Member::join(&server, &token).await;
        for (capability, request) in &requests {
            let mut request = request.clone();
            request["RequestId"] = json!(capability);
            ann.send(request).await;
            let frame = ann.next().await;
            assert_eq!(frame["RequestId"], json!(capability), "{frame}");
            if held == capability {
                assert_ne!(frame["Type"], "ERROR", "{frame}");
            } else {
                assert_eq!(frame["ErrorCode"], 403, "{frame}");
                let text = frame["ErrorMessage"].as_str().unwrap();
                assert!(text.ends_with(capability), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn events_reach_everyone() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let mut bob = Member::join(&server, &token_for(&server, &arn, "bob", &[]).await).await;

    let request = json!({
        "roomIdentifier": arn,
        "eventName": "stage:VOTE",
        "attributes": {"Heart": "3"},
    });
    let sent = ask(&server, "SendEvent", request).await;
    let event = bob.next().await;
    assert_eq!(event["Id"], sent["id"]);
    let expected = json!({
        "Type": "EVENT",
        "EventName": "stage:VOTE",
        "Attributes": {"Heart": "3"},
    });
    assert_eq!(without_id_and_time(event), expected);
    ann.next().await;

    let request = json!({"roomIdentifier": arn, "id": "AYk6xKitV4On", "reason": "spam"});
    let sent = ask(&server, "DeleteMessage", request).await;
    let event = bob.next().await;
    assert_eq!(event["Id"], sent["id"]);
    let attributes = json!({
        "MessageID": "AYk6xKitV4On",
        "MessageId": "AYk6xKitV4On",
        "Reason": "spam",
    });
    let expected = json!({
        "Type": "EVENT",
        "EventName": "aws:DELETE_MESSAGE",
        "Attributes": attributes,
    });
    assert_eq!(without_id_and_time(event), expected);
    ann.next().await;

    // Its sender has disconnected itself, and is told so.
    ann.send(json!({"Action": "DISCONNECT_USER", "UserId": "ann", "RequestId": "r"}))
        .await;
    let event = ann.next().await;
    assert_eq!(bob.next().await, event);
    let expected = json!({
        "Type": "EVENT",
        "EventName": "aws:DISCONNECT_USER",
        "RequestId": "r",
        "Attributes": {"UserId": "ann"},
    });
    assert_eq!(without_id_and_time(event), expected);
    assert_eq!(ann.end().await, Some(1000));

    let request = json!({"roomIdentifier": arn, "userId": "bob", "reason": "spam"});
    assert_eq!(ask(&server, "DisconnectUser", request).await, json!({}));
    let event = bob.next().await;
    assert_eq!(
        event["Attributes"],
        json!({"UserId": "bob", "Reason": "spam"})
    );
    assert_eq!(bob.end().await, Some(1000));
}

/// All that is published of the channel `demo`.
async fn published(server: &Server) -> Vec<Json> {
    let token = server.token("demo", BOTH);
    let url = format!("/topics/video/demo?sequence_number=1&sequence_page={PAGE}&token={token}");
    let (status, body) = get(&server.url(&url)).await;
    assert_eq!(status, 200);
    body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_message_that_is_a_reaction_floats_on_the_channel() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    // In a room without a channel it is a message and nothing else.
    let room = ask(&server, "CreateRoom", json!({})).await;
    let elsewhere = token(&server, room["arn"].as_str().unwrap(), "bob").await;
    let mut elsewhere = Member::join(&server, &elsewhere).await;
    elsewhere.say("❤️").await;
    assert_eq!(elsewhere.hears().await, "❤️");
    for text in ["hello", "🔥🔥👍", "no way", "I ❤️ this", ":heart:"] {
        ann.say(text).await;
        assert_eq!(ann.hears().await, text);
    }
    // As the samples of the service send them.
    for attributes in [
        json!({"type": "EVENT", "reaction": "heart"}),
        json!({"isEmoji": "true"}),
        json!({"eventType": "START_POLL"}),
    ] {
        let sent = json!({"Action": "SEND_MESSAGE", "Content": "🎉", "Attributes": attributes});
        ann.send(sent).await;
        ann.hears().await;
    }
    let event = |name: &str, attributes: Json| {
        let request = json!({"roomIdentifier": arn, "eventName": name, "attributes": attributes});
        ask(&server, "SendEvent", request)
    };
    // Two names of one emoji count together.
    let counts = json!({"heart": "12", "fire": "3", "❤️": "2"});
    event("app:reactions", counts).await;
    event("stage:VOTE", json!({"heart": "12"})).await;
    let text = |number, publisher, counts: Json| {
        item(
            number,
            publisher,
            json!({"text": json!({ "r": counts }).to_string()}),
        )
    };
    let expected = [
        text(1, "ann", json!({"🔥": 2, "👍": 1})),
        text(2, "ann", json!({"❤️": 1})),
        text(3, "ann", json!({"❤️": 1})),
        text(4, "ann", json!({"🎉": 1})),
        text(5, "", json!({"❤️": 14, "🔥": 3})),
    ];
    assert_eq!(published(&server).await, expected);
    let metrics = client().get(server.url("/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "floatup_reactions_total{outcome=\"accepted\"} 5\n",
        // Chat is no failed reaction.
        "floatup_reactions_total{outcome=\"unknown\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_taken_back() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    let mut ids = Vec::new();
    for (member, other) in [(0, 1), (1, 0), (0, 1)] {
        let both = [&mut ann, &mut bob];
        both[member].say("🔥").await;
        ids.push(both[member].next().await["Id"].clone());
        both[other].next().await;
    }
    ann.send(json!({"Action": "DELETE_MESSAGE", "Id": ids[1]}))
        .await;
    ann.next().await;
    // What has been taken back already, and what never was, takes nothing back.
    let request = json!({"roomIdentifier": arn, "id": ids[1]});
    ask(&server, "DeleteMessage", request).await;
    let request = json!({"roomIdentifier": arn, "id": "AYk6xKitV4On"});
    ask(&server, "DeleteMessage", request).await;
    let request = json!({"roomIdentifier": arn, "userId": "ann"});
    ask(&server, "DisconnectUser", request).await;
    let items = published(&server).await;
    let retractions: Vec<_> = items[3..]
        .iter()
        .map(|i| i["item"]["retraction"].clone())
        .collect();
    assert_eq!(retractions, [json!([2]), json!([1, 3])], "{items:?}");
}

#[tokio::test]
async fn times_are_now() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let request = json!({
        "roomIdentifier": arn,
        "userId": "ann",
        "sessionDurationInMinutes": 180,
    });
    let made = ask(&server, "CreateChatToken", request).await;
    let seconds = |time: &str| {
        let clock: Vec<u64> = time[11..19]
            .split(':')
            .map(|n| n.parse().unwrap())
            .collect();
        clock[0] * 3_600 + clock[1] * 60 + clock[2]
    };
    let token = seconds(made["tokenExpirationTime"].as_str().unwrap());
    let session = seconds(made["sessionExpirationTime"].as_str().unwrap());
    let day = 86_400;
    let after = |time: u64| (time + day - now_unix() % day) % day;
    assert!((50..=61).contains(&after(token)), "{made}");
    assert!((10_790..=10_801).contains(&after(session)), "{made}");
}
