//! The control API: rooms, and who may rule them.

use floatup::server::Access;
use floatup::token::{Claims, Role, mint};
use serde_json::{Value as Json, json};

use super::{Frozen, Member, Step, ask, call, demo_arn, start, token, with_demo};
use crate::in_process::{BOTH, Server, answer, client, now_unix};

const ARN: &str = "arn:aws:ivschat:us-east-1:000000000000:room/";

#[tokio::test]
async fn each_channel_has_a_room_of_the_same_id_in_every_run() {
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let server = start().await;
        let list = ask(&server, "ListRooms", json!({})).await;
        assert_eq!(list.as_object().unwrap().len(), 1, "one page: {list}");
        rooms.push(list["rooms"][0].clone());
    }
    let (id, arn) = (&rooms[0]["id"], &rooms[0]["arn"]);
    assert_eq!(rooms[0]["name"], "demo");
    assert_eq!(
        *id, "qbTu1NqIQhe7",
        "written down by users: it must not change"
    );
    assert_eq!(*arn, format!("{ARN}{}", id.as_str().unwrap()));
    assert_eq!((&rooms[1]["id"], &rooms[1]["arn"]), (id, arn));
}

#[tokio::test]
async fn rooms_are_made_shown_changed_and_deleted() {
    let server = start().await;
    let made = ask(
        &server,
        "CreateRoom",
        json!({
            "name": "my-first-ivs-chat-room",
            "maximumMessageLength": 20,
            "maximumMessageRatePerSecond": 100,
            "tags": {"team": "a"},
            "loggingConfigurationIdentifiers": [],
            "unknownMember": 1,
        }),
    )
    .await;
    let arn = made["arn"].as_str().unwrap().to_owned();
    assert_eq!(made["name"], "my-first-ivs-chat-room");
    assert_eq!(made["maximumMessageLength"], 20);
    assert_eq!(made["maximumMessageRatePerSecond"], 100);
    assert_eq!(made["tags"], json!({"team": "a"}));
    assert_eq!(made["messageReviewHandler"], Json::Null);
    assert_eq!(made["createTime"], made["updateTime"]);
    let found = ask(&server, "GetRoom", json!({ "identifier": arn })).await;
    assert_eq!(found, made);

    let change = json!({
        "identifier": arn,
        "maximumMessageLength": 500,
        "messageReviewHandler": {"uri": "http://127.0.0.1:9", "fallbackResult": "DENY"},
    });
    let changed = ask(&server, "UpdateRoom", change).await;
    let handler = json!({"uri": "http://127.0.0.1:9", "fallbackResult": "DENY"});
    assert_eq!(changed["messageReviewHandler"], handler);
    assert_eq!(changed["maximumMessageLength"], 500);
    assert_eq!(changed["maximumMessageRatePerSecond"], 100);
    assert_eq!(changed["name"], made["name"]);
    let filter = json!({"messageReviewHandlerUri": "http://127.0.0.1:9"});
    let list = ask(&server, "ListRooms", filter).await;
    assert_eq!(list["rooms"][0]["arn"], arn);
    assert_eq!(list["rooms"].as_array().unwrap().len(), 1);
    let none = json!({"identifier": arn, "messageReviewHandler": {"uri": ""}});
    let changed = ask(&server, "UpdateRoom", none).await;
    assert_eq!(changed["messageReviewHandler"], Json::Null);

    // Who is there is told, and disconnected.
    let mut member = Member::join(&server, &token(&server, &arn, "ann").await).await;
    let unused = token(&server, &arn, "bob").await;
    let (status, body) = call(&server, "DeleteRoom", json!({ "identifier": arn })).await;
    assert_eq!((status, body), (204, Json::Null));
    assert_eq!(member.refusal().await.0, 404);
    assert_eq!(member.end().await, Some(1000));
    let refused = Member::try_join(&server, "/", &unused).await;
    assert_eq!(refused.err().unwrap().0, 404);
    let (status, body) = call(&server, "GetRoom", json!({ "identifier": arn })).await;
    assert_eq!(status, 404);
    assert_eq!(body["resourceType"], "ROOM");
    assert_eq!(body["resourceId"], made["id"]);
    // A channel's room stays.
    let demo = json!({"identifier": demo_arn(&server).await});
    let (status, body) = call(&server, "DeleteRoom", demo).await;
    assert_eq!((status, &body["resourceType"]), (409, &json!("ROOM")));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = start().await;
    for n in 0..6 {
        let name = if n % 2 == 0 { "even" } else { "odd" };
        ask(&server, "CreateRoom", json!({ "name": name })).await;
    }
    let mut names = Vec::new();
    let mut request = json!({"maxResults": 3});
    loop {
        let page = ask(&server, "ListRooms", request.clone()).await;
        let rooms = page["rooms"].as_array().unwrap();
        assert!(rooms.len() <= 3, "{page}");
        names.extend(
            rooms
                .iter()
                .map(|room| room["name"].as_str().unwrap().to_owned()),
        );
        match page.get("nextToken") {
            Some(next) => request["nextToken"] = next.clone(),
            None => break,
        }
    }
    names.sort();
    assert_eq!(names, ["demo", "even", "even", "even", "odd", "odd", "odd"]);
    let even = ask(
        &server,
        "ListRooms",
        json!({"name": "even", "maxResults": 3}),
    )
    .await;
    assert_eq!(even["rooms"].as_array().unwrap().len(), 3);
    assert_eq!(
        even.get("nextToken"),
        None,
        "there are no more of that name"
    );
}

#[tokio::test]
async fn rooms_are_bounded() {
    let server = start().await;
    for _ in 0..1_000 {
        ask(&server, "CreateRoom", json!({})).await;
    }
    let (status, body) = call(&server, "CreateRoom", json!({})).await;
    assert_eq!((status, &body["limit"]), (402, &json!(1_000)), "{body}");
    let list = ask(&server, "ListRooms", json!({"name": ""})).await;
    assert_eq!(list["rooms"].as_array().unwrap().len(), 50);
    let arn = &list["rooms"][0]["arn"];
    assert_eq!(
        call(&server, "DeleteRoom", json!({ "identifier": arn }))
            .await
            .0,
        204
    );
    ask(&server, "CreateRoom", json!({})).await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let kilobyte = "x".repeat(1024);
    let name = "n".repeat(129);
    let tags: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    let cases = [
        ("CreateRoom", json!({"name": "no spaces"}), "name"),
        ("CreateRoom", json!({ "name": name }), "name"),
        ("CreateRoom", json!({"name": 1}), "name"),
        (
            "CreateRoom",
            json!({"maximumMessageLength": 0}),
            "maximumMessageLength",
        ),
        (
            "CreateRoom",
            json!({"maximumMessageLength": 501}),
            "maximumMessageLength",
        ),
        (
            "CreateRoom",
            json!({"maximumMessageRatePerSecond": 101}),
            "maximumMessageRatePerSecond",
        ),
        (
            "CreateRoom",
            json!({"maximumMessageRatePerSecond": 1.5}),
            "maximumMessageRatePerSecond",
        ),
        ("CreateRoom", json!({ "tags": tags }), "tags"),
        ("CreateRoom", json!({"tags": {"": ""}}), "tags"),
        (
            "CreateRoom",
            json!({"loggingConfigurationIdentifiers": ["a"]}),
            "loggingConfigurationIdentifiers",
        ),
        (
            "CreateRoom",
            json!({"messageReviewHandler": {"uri": "arn:aws:lambda:us-east-1:000000000000:function:f"}}),
            "messageReviewHandler.uri",
        ),
        (
            "CreateRoom",
            json!({"messageReviewHandler": {"uri": "file:///etc/passwd"}}),
            "messageReviewHandler.uri",
        ),
        (
            "CreateRoom",
            json!({"messageReviewHandler": {"uri": "http://h/", "fallbackResult": "MAYBE"}}),
            "messageReviewHandler.fallbackResult",
        ),
        (
            "CreateRoom",
            json!({"messageReviewHandler": "http://h/"}),
            "messageReviewHandler.uri",
        ),
        ("ListRooms", json!({"maxResults": 51}), "maxResults"),
        ("ListRooms", json!({"nextToken": "not one"}), "nextToken"),
        ("GetRoom", json!({}), "identifier"),
        ("GetRoom", json!({"identifier": "demo"}), "identifier"),
        ("CreateChatToken", json!({"userId": "u"}), "roomIdentifier"),
        ("CreateChatToken", json!({"roomIdentifier": arn}), "userId"),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": ""}),
            "userId",
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": name}),
            "userId",
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": "u", "sessionDurationInMinutes": 181}),
            "sessionDurationInMinutes",
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": "u", "capabilities": ["FLY"]}),
            "capabilities",
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": "u", "attributes": {"k": kilobyte}}),
            "attributes",
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": "u", "attributes": {"k": 1}}),
            "attributes",
        ),
        ("SendEvent", json!({"roomIdentifier": arn}), "eventName"),
        (
            "SendEvent",
            json!({"roomIdentifier": arn, "eventName": "e".repeat(101)}),
            "eventName",
        ),
        (
            "SendEvent",
            json!({"roomIdentifier": arn, "eventName": "e", "attributes": {"k": kilobyte}}),
            "attributes",
        ),
        (
            "DeleteMessage",
            json!({"roomIdentifier": arn, "id": "short"}),
            "id",
        ),
        (
            "DeleteMessage",
            json!({"roomIdentifier": arn, "id": "------------"}),
            "id",
        ),
        (
            "DisconnectUser",
            json!({"roomIdentifier": arn, "userId": "u", "reason": "r".repeat(257)}),
            "reason",
        ),
    ];
    for (operation, request, field) in cases {
        let url = server.url(&format!("/{operation}"));
        let sent = client()
            .post(url)
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        let what = format!("{operation} {request:.120}");
        assert_eq!(sent.status(), 400, "{what}");
        assert_eq!(
            sent.headers()["x-amzn-errortype"],
            "ValidationException",
            "{what}"
        );
        let body: Json = serde_json::from_str(&sent.text().await.unwrap()).unwrap();
        assert_eq!(body["reason"], "FIELD_VALIDATION_FAILED", "{what}");
        assert_eq!(body["fieldList"][0]["name"], field, "{what}: {body}");
        let message = body["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("{field}: ")),
            "{what}: {message}"
        );
    }
    for body in ["{", "[]", "\"text\""] {
        let sent = client().post(server.url("/CreateRoom")).body(body);
        let (status, answer) = answer(sent).await;
        assert_eq!(
            (status, &answer["reason"]),
            (400, &json!("OTHER")),
            "{body}"
        );
    }
    let elsewhere = [
        "arn:aws:ivschat:eu-west-1:000000000000:room/AAAAAAAAAAAA".to_owned(),
        format!("{ARN}AAAAAAAAAAAA"),
    ];
    for arn in elsewhere {
        let (status, body) = call(&server, "GetRoom", json!({ "identifier": arn })).await;
        assert_eq!(
            (status, &body["resourceId"]),
            (404, &json!("AAAAAAAAAAAA")),
            "{arn}"
        );
    }
}

#[tokio::test]
async fn rates_of_calls_are_limited() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    for (operation, request, per_second) in [
        (
            "SendEvent",
            json!({"roomIdentifier": arn, "eventName": "e"}),
            100,
        ),
        (
            "CreateChatToken",
            json!({"roomIdentifier": arn, "userId": "u"}),
            200,
        ),
    ] {
        let frozen = Frozen::new();
        let mut refused = None;
        let client = client();
        for n in 0..=per_second {
            let url = server.url(&format!("/{operation}"));
            let sent = client
                .post(url)
                .body(request.to_string())
                .send()
                .await
                .unwrap();
            if sent.status() != 200 {
                assert_eq!(sent.status(), 429);
                assert_eq!(sent.headers()["x-amzn-errortype"], "ThrottlingException");
                refused = Some(n);
                break;
            }
        }
        drop(frozen);
        assert_eq!(refused, Some(per_second), "{operation}");
    }
}

#[tokio::test]
async fn where_tokens_are_required_an_operator_has_one_of_another_topic() {
    let server = Server::with(|service| {
        with_demo(service);
        service.access = Access::Required;
    })
    .await;
    let signed = |cache: &str, topic: &str, expires_at: u64| {
        let claims = Claims {
            cache: cache.into(),
            topic: topic.into(),
            role: Role::PublishSubscribe,
            id: "operator".into(),
            expires_at,
        };
        mint(&claims, &server.service.key)
    };
    let list = || client().post(server.url("/ListRooms")).body("{}");
    let refused = |(status, body): (u16, Json)| {
        assert_eq!(status, 403, "{body}");
        body["message"].as_str().unwrap().to_owned()
    };
    let later = now_unix() + 60;
    let signature = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/us-east-1/ivschat/aws4_request, \
                     SignedHeaders=host, Signature=00";
    let told = refused(answer(list()).await);
    assert!(told.contains("\"rooms\" of cache \"ivschat\""), "{told}");
    let told = refused(answer(list().header("Authorization", signature)).await);
    assert!(told.contains("session token"), "{told}");
    let viewer = server.token("demo", BOTH);
    let told = refused(answer(list().header("Authorization", &viewer)).await);
    assert!(told.contains("the token is for topic \"demo\""), "{told}");
    let expired = signed("ivschat", "rooms", now_unix() - 1);
    let told = refused(answer(list().header("Authorization", expired)).await);
    assert!(told.contains("expired"), "{told}");

    let reader = Claims {
        cache: "ivschat".into(),
        topic: "rooms".into(),
        role: Role::SubscribeOnly,
        id: "reader".into(),
        expires_at: later,
    };
    let reader = mint(&reader, &server.service.key);
    let told = refused(answer(list().bearer_auth(reader)).await);
    assert!(told.contains("subscribe alone"), "{told}");

    let operator = signed("ivschat", "rooms", later);
    let (status, _) = answer(list().bearer_auth(&operator)).await;
    assert_eq!(status, 200);
    let by_tools = list()
        .header("Authorization", signature)
        .header("X-Amz-Security-Token", &operator);
    assert_eq!(answer(by_tools).await.0, 200);

    // A viewer's own token is vended to who may read the topic.
    let vend = || {
        let body = json!({"streamId": "demo", "attributes": {"username": "Ann"}});
        client()
            .post(server.url("/chat/tokens"))
            .body(body.to_string())
    };
    assert_eq!(answer(vend()).await.0, 401);
    let other = server.token("other", BOTH);
    assert_eq!(answer(vend().header("Authorization", other)).await.0, 403);
    let (status, body) = answer(vend().header("Authorization", viewer)).await;
    assert_eq!(status, 201, "{body}");
    let mut member = Member::join(&server, body["token"].as_str().unwrap()).await;
    member.say("hi").await;
    let frame = member.next().await;
    let sender = json!({"UserId": "ann", "Attributes": {"username": "Ann"}});
    assert_eq!(frame["Sender"], sender);
    let reader = server.token("demo", Role::SubscribeOnly);
    let (_, body) = answer(vend().header("Authorization", reader)).await;
    let mut member = Member::join(&server, body["token"].as_str().unwrap()).await;
    member.say("hi").await;
    assert_eq!(member.refusal().await.0, 403);
}

#[tokio::test]
async fn an_open_service_is_not_ruled_by_pages_of_other_sites() {
    let server = start().await;
    let list = || client().post(server.url("/ListRooms")).body("{}");
    let (status, body) = answer(list().header("Origin", "https://evil.example")).await;
    assert_eq!(status, 403, "{body}");
    assert_eq!(answer(list().header("Origin", "null")).await.0, 403);
    let own = format!("http://{}", server.address);
    assert_eq!(answer(list().header("Origin", own)).await.0, 200);
    // A site whose name leads here by now; and what is certainly this server.
    for (host, status) in [
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]", 200),
    ] {
        let host = format!("{host}:{}", server.address.port());
        let list = || list().header("Host", &host);
        let same = list().header("Origin", format!("http://{host}"));
        assert_eq!(answer(same).await.0, status, "{host}");
        assert_eq!(answer(list()).await.0, status, "{host}");
    }
    let answered = list().send().await.unwrap();
    assert!(
        !answered
            .headers()
            .contains_key("access-control-allow-origin")
    );
    // A viewer's token is for pages of any site, as a topic's is.
    let body = json!({"streamId": "demo", "playerId": "p-1"}).to_string();
    let vend = client().post(server.url("/chat/tokens")).body(body);
    let vend = vend
        .header("Origin", "https://fan.example")
        .send()
        .await
        .unwrap();
    assert_eq!(vend.status(), 201);
    assert_eq!(vend.headers()["access-control-allow-origin"], "*");
    let vended: Json = serde_json::from_str(&vend.text().await.unwrap()).unwrap();
    let mut member = Member::join(&server, vended["token"].as_str().unwrap()).await;
    member.say("hi").await;
    match member.step().await {
        Step::Frame(frame) => assert_eq!(frame["Sender"]["UserId"], "p-1"),
        end => panic!("{end:?}"),
    }
    for (body, status, code) in [
        (json!({"streamId": "no-channel"}), 404, "no_room"),
        (json!({}), 400, "bad_field"),
        (
            json!({"streamId": "demo", "attributes": {"k": 1}}),
            400,
            "bad_field",
        ),
    ] {
        let sent = client()
            .post(server.url("/chat/tokens"))
            .body(body.to_string());
        let (found, answer) = answer(sent).await;
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{body}");
    }
}
