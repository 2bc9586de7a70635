//! A client that behaves as the tutorial's script does, faults and all.

use std::time::Duration;

use floatup::server::Access;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::in_process::{DEADLINE, Server, client};

/// One page: a token fetched without a content type, reactions published under
/// `application/json` that are not JSON, and an endless long poll that names no number, on an
/// address in single quotes.
struct Page {
    http: reqwest::Client,
    base: String,
    token: String,
    stream: String,
    shown: mpsc::Receiver<String>,
    polling: JoinHandle<()>,
}

impl Page {
    /// `poll_token`: what the page's poll sends as its token; the fetched one if it is none.
    async fn open(server: &Server, stream: &str, poll_token: Option<&str>) -> Self {
        let http = client();
        let base = server.url("");
        let body = json!({"playerId": "0b3c", "streamId": stream}).to_string();
        let answer = http.post(format!("{base}/tokens")).body(body);
        let answer = answer.send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        let data: Json = answer.json().await.expect("JSON");
        let token = data["token"].as_str().expect("a token").to_string();
        let (show, shown) = mpsc::channel(10_000);
        let sent = poll_token.unwrap_or(&token).to_string();
        let polling = tokio::spawn(long_poll(http.clone(), base.clone(), sent, show));
        Self {
            http,
            base,
            token,
            stream: stream.into(),
            shown,
            polling,
        }
    }

    async fn send_reaction(&self, reaction: &str) {
        let url = format!("{}/topics/video/{}", self.base, self.stream);
        let request = self
            .http
            .post(url)
            .header("Content-Type", "application/json");
        let request = request.header("Authorization", &self.token);
        let answer = request.body(reaction.to_string()).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    }

    async fn shows(&mut self) -> String {
        let shown = timeout(DEADLINE, self.shown.recv()).await;
        shown
            .expect("a reaction in time")
            .expect("a page that polls")
    }

    /// Closes the page; what it showed beyond what was read is returned.
    async fn close(mut self) -> Vec<String> {
        self.polling.abort();
        assert!(self.polling.await.is_err_and(|error| error.is_cancelled()));
        let mut rest = Vec::new();
        while let Some(shown) = self.shown.recv().await {
            rest.push(shown);
        }
        rest
    }
}

async fn long_poll(http: reqwest::Client, base: String, token: String, show: mpsc::Sender<String>) {
    loop {
        let request = http.get(format!("{base}/topics/video/$%7BstreamId%7D"));
        let answer = request.header("Authorization", &token).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        let data: Json = answer.json().await.expect("JSON");
        for item in data["items"].as_array().expect("items") {
            if let Some(text) = item["item"]["value"]["text"].as_str() {
                show.send(text.to_string())
                    .await
                    .expect("a test that reads");
            }
        }
    }
}

/// Bursts with and without a pause between, over several hundred polls.
async fn sees_every_reaction_once(server: Server, stream: &str, poll_token: Option<&str>) {
    let mut page = Page::open(&server, stream, poll_token).await;
    server.polls_waiting(1).await;
    let mut sent = Vec::new();
    for burst in 0..100_usize {
        let size = burst % 7 + 1;
        for n in 0..size {
            let reaction = ["heart", "100", "thumbsup", "mindblown"][(burst + n) % 4];
            page.send_reaction(reaction).await;
            sent.push(reaction);
        }
        if burst % 10 == 0 {
            server.polls_waiting(1).await;
        }
    }
    let mut shown = Vec::new();
    while shown.len() < sent.len() {
        shown.push(page.shows().await);
    }
    assert_eq!(shown, sent);
    server.polls_waiting(1).await;
    assert_eq!(page.close().await, Vec::<String>::new(), "shown twice");
    let polls = server.service.metrics.items_delivered.get();
    assert_eq!(polls, sent.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_sees_every_reaction_once() {
    let server = Server::start().await;
    sees_every_reaction_once(server, "abc", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_with_an_unfilled_token_sees_the_default_stream() {
    let server = Server::start().await;
    sees_every_reaction_once(server, "demo", Some("{{{momento.token}}}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_works_where_tokens_are_required() {
    let server = Server::with(|service| service.access = Access::Required).await;
    sees_every_reaction_once(server, "abc", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_polls_again_when_nothing_came() {
    let server = Server::with(|service| service.hold = Duration::from_millis(20)).await;
    sees_every_reaction_once(server, "abc", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_without_a_video_in_its_address_uses_one_topic_throughout() {
    let server = Server::start().await;
    let http = client();
    let body = r#"{"playerId":"p","streamId":null}"#;
    let answer = http
        .post(server.url("/tokens"))
        .body(body)
        .send()
        .await
        .unwrap();
    let data: Json = answer.json().await.unwrap();
    let token = data["token"].as_str().unwrap();
    let sent = http.post(server.url("/topics/video/null"));
    let sent = sent.header("Authorization", token).body("heart").send();
    assert_eq!(sent.await.unwrap().status(), 204);
}

/// Two tabs of one browser look the same to the server, but each has a poll of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pages_that_look_the_same_both_see_every_reaction() {
    let server = Server::start().await;
    let mut pages = [
        Page::open(&server, "demo", Some("undefined")).await,
        Page::open(&server, "demo", Some("undefined")).await,
    ];
    server.polls_waiting(2).await;
    for round in 0..200 {
        let reaction = ["heart", "100", "thumbsup", "mindblown"][round % 4];
        pages[round % 2].send_reaction(reaction).await;
        for page in &mut pages {
            assert_eq!(page.shows().await, reaction, "round {round}");
        }
    }
}
