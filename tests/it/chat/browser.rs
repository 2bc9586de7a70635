//! The chat in a real Chromium: beside the viewer page's player, and the client of the IVS post.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use floatup::server::Service;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Member, ask, demo_arn, start, token, token_for, with_demo};
use crate::chromium::{Chromium, Tab};
use crate::in_process::Server;

const LINES: &str = "Array.from(document.querySelectorAll('#messages li'), (l) => l.textContent)";

/// With a channel and a motion, without which the page shows nothing.
fn with_motion(service: &mut Service) {
    with_demo(service);
    service.stylesheet = floatup::look::STYLESHEET.into();
    for channel in service.channels.values_mut() {
        channel.stylesheet = Arc::clone(&service.stylesheet);
    }
}

async fn shows(tab: &Tab, lines: &[&str]) {
    let lines = json!(lines).to_string();
    let wanted = json!(lines);
    tab.wait_for(&format!("JSON.stringify({LINES}) === {wanted}"))
        .await;
}

async fn types(tab: &Tab, selector: &str, text: &str) {
    tab.click(selector).await;
    for c in text.chars() {
        tab.press(&c.to_string(), &c.to_string()).await;
    }
}

async fn opened(server: &Server, chromium: &Chromium, query: &str) -> Tab {
    let tab = chromium.open(&server.url(query), 1440, 800).await;
    tab.wait_for("document.getElementById('status').dataset.state === 'live'")
        .await;
    tab
}

const JOINED: &str = "!document.getElementById('chat').hidden \
                      && !document.getElementById('chat-send').disabled";

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_chats_beside_the_player() {
    let server = Server::with(with_motion).await;
    let arn = demo_arn(&server).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    let chromium = Chromium::launch().await;
    let tab = opened(&server, &chromium, "/?videoId=demo").await;
    tab.wait_for(JOINED).await;

    // Beside the player, and as high.
    let beside: bool = tab
        .evaluate(
            "(() => {
               const [p, c] = ['player', 'chat'].map((id) => document.getElementById(id).getBoundingClientRect());
               return c.left > p.right && c.top === p.top && c.height === p.height
                 && p.width > 700 && document.documentElement.scrollWidth <= innerWidth;
             })()",
        )
        .await;
    assert!(beside);

    let bad = "<img src=x onerror=alert(1)>";
    bob.say(bad).await;
    let deleted = bob.next().await["Id"].clone();
    shows(&tab, &[&format!("BOB{bad}")]).await;

    // By keyboard alone: a message, then a name, which is a new token's.
    types(&tab, "#chat-text", "hi").await;
    tab.press("Enter", "\r").await;
    let heard = bob.next().await;
    assert_eq!(heard["Content"], "hi");
    let user = heard["Sender"]["UserId"].as_str().unwrap().to_owned();
    types(&tab, "#chat-name", "Ann").await;
    tab.press("Tab", "").await;
    tab.wait_for("document.activeElement.id === 'chat-text'")
        .await;
    tab.wait_for(JOINED).await;
    let mut said = bob_hears_as(&tab, &mut bob, "Ann").await;
    assert_eq!(said.remove("UserId"), Some(json!(user)), "the same user");

    // Reactions float, and digits in the message are no shortcut.
    types(&tab, "#chat-text", "1 🔥").await;
    tab.press("Enter", "\r").await;
    assert_eq!(bob.hears().await, "1 🔥");

    bob.send(json!({"Action": "DELETE_MESSAGE", "Id": deleted}))
        .await;
    bob.next().await;
    tab.wait_for(&format!("!{LINES}.some((line) => line.startsWith('BOB'))"))
        .await;

    // What is refused is said.
    let change = json!({"identifier": arn, "maximumMessageLength": 1});
    ask(&server, "UpdateRoom", change).await;
    types(&tab, "#chat-text", "long").await;
    tab.press("Enter", "\r").await;
    tab.wait_for(
        "document.getElementById('chat-notice').textContent.includes('at most 1 characters')
         && document.getElementById('chat-text').value === 'long'",
    )
    .await;

    let request = json!({"roomIdentifier": arn, "userId": user});
    ask(&server, "DisconnectUser", request).await;
    tab.wait_for("document.getElementById('chat-notice').textContent.includes('disconnected')")
        .await;
    tab.wait_for("document.querySelectorAll('#messages li').length === 0")
        .await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
}

/// Says something until it is said under this name: a name takes a moment.
async fn bob_hears_as(
    tab: &Tab,
    bob: &mut Member,
    name: &str,
) -> serde_json::Map<String, serde_json::Value> {
    types(tab, "#chat-text", "named").await;
    tab.press("Enter", "\r").await;
    let heard = bob.next().await;
    assert_eq!(heard["Sender"]["Attributes"]["username"], name, "{heard}");
    heard["Sender"].as_object().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_entered_while_the_page_connects_counts() {
    let server = Server::with(with_motion).await;
    let arn = demo_arn(&server).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    let chromium = Chromium::launch().await;
    let tab = opened(&server, &chromium, "/?videoId=demo").await;
    tab.wait_for(JOINED).await;
    // The next token is there, and another name is entered before its socket is.
    tab.evaluate::<bool>(
        "(() => {
           const name = document.getElementById('chat-name');
           const enter = (text) => { name.value = text; name.dispatchEvent(new Event('change')); };
           const real = window.fetch;
           window.fetch = async (...asked) => {
             const answer = await real(...asked);
             if (String(asked[0]).includes('chat/tokens')) { window.fetch = real; enter('Late'); window.entered = true; }
             return answer;
           };
           enter('Early');
           return true;
         })()",
    )
    .await;
    tab.wait_for(&format!("window.entered && {JOINED}")).await;
    bob_hears_as(&tab, &mut bob, "Late").await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_back_and_hides_a_chat_that_is_not_there() {
    let server = Server::with(with_motion).await;
    let chromium = Chromium::launch().await;
    let other = opened(&server, &chromium, "/?videoId=other").await;
    let tab = opened(&server, &chromium, "/?videoId=demo").await;
    tab.wait_for(JOINED).await;
    let hidden: bool = other
        .evaluate("document.getElementById('chat').hidden")
        .await;
    assert!(hidden, "no channel, no chat");

    let address = server.address;
    server.stop().await.unwrap();
    tab.wait_for("document.getElementById('chat-send').disabled")
        .await;
    let server = Server::on(address, with_motion).await;
    tab.wait_for(JOINED).await;
    let arn = demo_arn(&server).await;
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    bob.say("welcome back").await;
    shows(&tab, &["BOBwelcome back"]).await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_post_works_as_it_is_written() {
    let server = start().await;
    let arn = demo_arn(&server).await;
    let page = Router::new().route("/", get(|| async { Html(include_str!("post.html")) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let mut bob = Member::join(&server, &token(&server, &arn, "bob").await).await;
    let chromium = Chromium::launch().await;
    let tab = chromium.open(&url, 800, 600).await;
    let token = token_for(&server, &arn, "ann", &["SEND_MESSAGE"]).await;
    let fill = json!([token, format!("ws://{}", server.address)]);
    tab.evaluate::<bool>(&format!(
        "([document.getElementById('chat-token').value, document.getElementById('chat-endpoint').value] = {fill}, true)"
    ))
    .await;
    tab.click("#submit-settings").await;
    tab.wait_for("window.chatConnection?.readyState === WebSocket.OPEN")
        .await;
    let protocol: String = tab.evaluate("chatConnection.protocol").await;
    assert_eq!(protocol, token);

    types(&tab, "#chat-input", "hi <i>all</i>").await;
    tab.click("#submit-chat").await;
    let heard = bob.next().await;
    assert_eq!(heard["Content"], "hi all");
    assert_eq!(heard["Attributes"], json!({"username": "Ann <b>"}));
    tab.wait_for("document.getElementById('chat').textContent === 'Ann <b>: hi all'")
        .await;
    // One without attributes has an empty object, so the post's code shows it too.
    bob.say("plain").await;
    tab.wait_for("document.getElementById('chat').textContent.endsWith('undefined: plain')")
        .await;
    // An event and an error don't stop it.
    let request = json!({"roomIdentifier": arn, "eventName": "e"});
    ask(&server, "SendEvent", request).await;
    let long = "x".repeat(501);
    tab.evaluate::<bool>(&format!(
        "(document.getElementById('chat-input').value = '{long}', true)"
    ))
    .await;
    tab.click("#submit-chat").await;
    bob.next().await;
    bob.next().await;
    bob.say("still there").await;
    tab.wait_for("document.getElementById('chat').textContent.endsWith('still there')")
        .await;
    assert_eq!(tab.complaints(), Vec::<String>::new());
    chromium.close().await;
    serving.abort();
    tokio::time::timeout(Duration::from_secs(5), serving)
        .await
        .unwrap()
        .unwrap_err();
}
