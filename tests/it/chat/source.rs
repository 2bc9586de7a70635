//! The `ivs-chat` source in a room of this server: the two ends of one protocol, held together.

use std::time::Duration;

use floatup::source::{Secrets, State};
use serde_json::json;

use super::{Member, ask, demo_arn, start, token, with_demo};
use crate::following::Following;
use crate::in_process::{Server, until};
use crate::ivs_chat::follow;

/// Follows the room of the channel `demo` as the user `overlay`.
async fn follow_demo(server: &Server) -> (Following, String) {
    let arn = demo_arn(server).await;
    let address = format!("ivs-chat:{arn}?endpoint={}&user=overlay", server.url(""));
    let following = follow(&address, &Secrets::default());
    following.is(State::Live).await;
    (following, arn)
}

#[tokio::test]
async fn the_source_hears_what_is_said_and_what_is_taken_back() {
    let server = start().await;
    let (following, arn) = follow_demo(&server).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    ann.say("❤️").await;
    let first = ann.next().await["Id"].clone();
    ann.say("hello").await;
    ann.say("🔥🔥").await;
    let event = json!({"roomIdentifier": arn, "eventName": "app:reaction", "attributes": {"reaction": "100"}});
    let items = following.delivered(2).await;
    ask(&server, "SendEvent", event).await;
    following.delivered(3).await;
    assert_eq!(following.shown(), ["❤️1", "🔥2", "💯1"]);
    assert_eq!(following.metrics.unknown.get(), 1, "hello");

    ask(
        &server,
        "DeleteMessage",
        json!({"roomIdentifier": arn, "id": first}),
    )
    .await;
    until("it is taken back", || following.retracted().len() == 1).await;
    ask(
        &server,
        "DisconnectUser",
        json!({"roomIdentifier": arn, "userId": "ann"}),
    )
    .await;
    until("all is taken back", || following.retracted().len() == 2).await;
    let retracted = following.retracted();
    let retracted: Vec<_> = retracted
        .iter()
        .map(|item| (item.page, item.sequence))
        .collect();
    assert_eq!(retracted, items);
}

#[tokio::test]
async fn the_source_comes_back_when_it_is_shown_out_and_when_the_server_restarts() {
    let server = start().await;
    let (following, arn) = follow_demo(&server).await;
    ask(
        &server,
        "DisconnectUser",
        json!({"roomIdentifier": arn, "userId": "overlay"}),
    )
    .await;
    let status = following.is(State::Refused).await;
    assert!(
        status.why.contains("disconnected from the room"),
        "{status:?}"
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(16)).await;
    tokio::time::resume();
    following.is(State::Live).await;

    let address = server.address;
    server.stop().await.unwrap();
    following.is(State::Waiting).await;
    let server = Server::on(address, with_demo).await;
    following.is(State::Live).await;
    let mut ann = Member::join(&server, &token(&server, &arn, "ann").await).await;
    ann.say("❤️").await;
    following.delivered(1).await;
}

#[tokio::test]
async fn a_room_that_is_not_there_is_said() {
    let server = start().await;
    let arn = "arn:aws:ivschat:us-east-1:000000000000:room/AbCdEf012345";
    let address = format!("ivs-chat:{arn}?endpoint={}", server.url(""));
    let following = follow(&address, &Secrets::default());
    let status = following.is(State::Refused).await;
    let told = "CreateChatToken answered 404 ResourceNotFoundException";
    assert!(status.why.starts_with(told), "{status:?}");
    assert!(
        status.why.ends_with("name the ARN of a room that exists"),
        "{status:?}"
    );
}
