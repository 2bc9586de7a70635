//! Momento Topics over HTTP: a long poll that remembers where it was.
//!
//! The API is that of Momento's documentation (Topics, HTTP API reference), which the embedded
//! server speaks too.

use std::time::Duration;

use rand::RngExt as _;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{Cue, milliseconds, report_gap, sent_at, since_epoch};
use crate::metrics::Channel as ChannelMetrics;
use crate::reaction::Palette;
use crate::topic::{Cursor, TopicName, encoded};

/// A poll without an answer for this long is on a connection that died unnoticed. The embedded
/// server answers within 25 s; how long the real one holds a poll is not documented.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses between attempts double from the first to the last, each cut at random by up to half,
/// so that the clients of a server that comes back don't all come at once.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The longest pause that a server may ask for by a number of seconds. A date as `Retry-After` is not read.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// An answer that brings nothing new sooner than this is not a long poll's, and the next poll
/// waits this long.
const HELD_AT_LEAST: Duration = Duration::from_millis(500);

/// A poll that fails after it was held this long was with a server that works: proxies end polls
/// that are idle. The next pause is the shortest again.
const HELD_WELL: Duration = Duration::from_secs(5);

/// At most this many bytes of one answer are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A topic of a remote endpoint.
#[derive(Debug)]
pub struct Momento {
    client: Client,
    topic: Url,
    name: TopicName,
    /// A token that was given, or where to ask for one.
    token: TokenSource,
}

enum TokenSource {
    Given(String),
    Vended(Url),
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::Vended(url) => write!(f, "Vended({url})"),
        }
    }
}

/// Why a poll brought nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("{}", causes(.0))]
    Transport(#[from] reqwest::Error),
    #[error("answered {status}{message}")]
    Status {
        status: StatusCode,
        message: String,
        retry_after: Option<Duration>,
    },
    #[error("the answer is not a topic's: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

#[derive(Debug, Default, Deserialize)]
struct Answer {
    items: Option<Vec<AnswerItem>>,
}

/// Members that are not known, such as heartbeats, are passed over.
#[derive(Debug, Deserialize)]
struct AnswerItem {
    item: Option<TopicItem>,
    discontinuity: Option<Discontinuity>,
}

#[derive(Debug, Deserialize)]
struct TopicItem {
    topic_sequence_number: u64,
    /// Older servers leave it out.
    sequence_page: Option<u64>,
    /// Milliseconds since the Unix epoch, of servers that say it; of any shape, as `value` is.
    #[serde(default)]
    publish_timestamp: serde_json::Value,
    /// Of any shape, so that one odd item doesn't stop the topic for good.
    #[serde(default)]
    value: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Discontinuity {
    new_topic_sequence: u64,
    /// Older servers leave it out.
    new_sequence_page: Option<u64>,
}

impl Momento {
    /// A topic at `endpoint`, which may have a base path. Without a token, one is asked for at
    /// the endpoint's `/tokens`, as the tutorial's token vending machine gives it.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn new(endpoint: &Url, name: TopicName, token: Option<String>) -> reqwest::Result<Self> {
        let client = client(endpoint)
            .read_timeout(READ_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(20));
        let under = |segments: &str| {
            let mut url = endpoint.clone();
            url.set_path(&format!(
                "{}/{segments}",
                endpoint.path().trim_end_matches('/')
            ));
            url
        };
        Ok(Self {
            client: client.build()?,
            topic: under(&format!(
                "topics/{}/{}",
                encoded(name.cache()),
                encoded(name.topic())
            )),
            token: token.map_or_else(|| TokenSource::Vended(under("tokens")), TokenSource::Given),
            name,
        })
    }

    /// Follows the topic for as long as the future is kept.
    pub(super) async fn follow(
        self,
        palette: &Palette,
        metrics: &ChannelMetrics,
        deliver: impl Fn(Cue),
    ) -> ! {
        let mut place = Cursor::default();
        let mut token = None;
        let mut trouble = Trouble::default();
        loop {
            let asked = Instant::now();
            match self.poll(place, &mut token).await {
                Ok(answer) => {
                    if trouble.end() {
                        tracing::info!("{}: connected again", self.topic);
                    }
                    let before = place;
                    for item in answer.items.unwrap_or_default() {
                        place = self.take(item, place, palette, metrics, &deliver);
                    }
                    if place == before && asked.elapsed() < HELD_AT_LEAST {
                        sleep(HELD_AT_LEAST).await;
                    }
                }
                Err(error) => {
                    if trouble.is_new() {
                        metrics.source_reconnects.inc();
                    }
                    if trouble.is_news(error.to_string()) {
                        tracing::warn!("{}: {error}; trying again", self.topic);
                    }
                    if error.is_refused_token() {
                        token = None;
                    }
                    let pause = trouble.pause(asked.elapsed(), &mut rand::rng());
                    sleep(error.pause(pause)).await;
                }
            }
        }
    }

    /// Delivers what an item asks for, and gives the place after it.
    fn take(
        &self,
        AnswerItem {
            item,
            discontinuity,
        }: AnswerItem,
        mut place: Cursor,
        palette: &Palette,
        metrics: &ChannelMetrics,
        deliver: impl Fn(Cue),
    ) -> Cursor {
        if let Some(gap) = discontinuity {
            let next = Cursor {
                page: known(gap.new_sequence_page).unwrap_or(place.page),
                sequence: gap.new_topic_sequence,
            };
            // With nothing had before, it only says where the topic is.
            if place.sequence > 0 {
                report_gap(&self.name, metrics, place, next);
            }
            place = next;
        }
        let Some(item) = item else { return place };
        let sequence = item.topic_sequence_number;
        let page = known(item.sequence_page);
        // Without a page, a number that is had already may be that of a topic that was reset.
        if page == Some(place.page) && sequence < place.sequence {
            return place;
        }
        let page = page.unwrap_or(place.page);
        let text = item.value.get("text").and_then(serde_json::Value::as_str);
        if let Some(text) = text
            && let Ok(reactions) = palette.decode(text)
        {
            let published_at = milliseconds(&item.publish_timestamp);
            deliver(Cue {
                page,
                sequence,
                reactions,
                sent_at: sent_at(text, published_at, since_epoch()),
            });
        }
        Cursor {
            page,
            sequence: sequence.saturating_add(1),
        }
    }

    /// Asks for what comes at `place`, with a token. `token` is what was had before: `None` before
    /// the first poll, `Some(None)` if there is none to be had, which an open endpoint takes too.
    async fn poll(
        &self,
        place: Cursor,
        token: &mut Option<Option<String>>,
    ) -> Result<Answer, PollError> {
        let token = match token {
            Some(token) => token,
            None => token.insert(self.token().await?),
        };
        let mut request = self.client.get(self.topic.clone());
        if place.sequence > 0 {
            request = request.query(&[
                ("sequence_number", place.sequence),
                ("sequence_page", place.page),
            ]);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.as_str());
        }
        let mut response = request.send().await?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer::default());
        }
        let body = read(&mut response).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        Err(refusal(&response, &body))
    }

    /// The token to send.
    ///
    /// # Errors
    /// The endpoint can't be reached. One that answers, but with no token, may be open.
    async fn token(&self) -> Result<Option<String>, PollError> {
        let url = match &self.token {
            TokenSource::Given(token) => return Ok(Some(token.clone())),
            TokenSource::Vended(url) => url,
        };
        let id = format!("floatup-{:016x}", rand::random::<u64>());
        let request = serde_json::json!({ "playerId": id, "streamId": self.name.topic() });
        let sent = self.client.post(url.clone()).json(&request).send();
        let mut response = sent.await?;
        let body = read(&mut response).await?;
        if !response.status().is_success() {
            let refusal = refusal(&response, &body);
            tracing::warn!("{url}: {refusal}; going on without a token");
            return Ok(None);
        }
        let vended: Option<Vended> = serde_json::from_slice(&body).ok();
        if vended.is_none() {
            tracing::warn!("{url}: answered without a token; going on without one");
        }
        Ok(vended.map(|vended| vended.token))
    }
}

#[derive(Deserialize)]
struct Vended {
    token: String,
}

impl PollError {
    fn is_refused_token(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            }
        )
    }

    /// The pause that the server asks for, if it is longer than ours.
    fn pause(&self, ours: Duration) -> Duration {
        match self {
            Self::Status {
                retry_after: Some(asked),
                ..
            } => ours.max(RETRY_AFTER_MAX.min(*asked)),
            _ => ours,
        }
    }
}

/// A page that an answer names; 0 stands for none.
fn known(page: Option<u64>) -> Option<u64> {
    page.filter(|&page| page > 0)
}

/// An error and what caused it, in one line; `reqwest` itself tells only the first.
fn causes(error: &reqwest::Error) -> String {
    let mut line = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let separator = if line.is_empty() { "" } else { ": " };
        line += &format!("{separator}{error}");
        cause = error.source();
    }
    line
}

/// What reaches an address, over a proxy if this system has one, unless it is on this machine.
pub(crate) fn client(address: &Url) -> ClientBuilder {
    // An error says that one is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT);
    match is_loopback(address) {
        true => client.no_proxy(),
        false => client,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str().unwrap_or_default() {
        "localhost" => true,
        host => host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, PollError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(PollError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refusal(response: &Response, body: &[u8]) -> PollError {
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    PollError::Status {
        status: response.status(),
        message: message(body),
        retry_after: retry_after
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
    }
}

/// The message of an error answer, for the log: its JSON's, else its text's beginning.
fn message(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let told = json
        .as_ref()
        .and_then(|json| json.get("message")?.as_str().map(str::to_owned));
    let text = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let line: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() {
        line
    } else {
        format!(": {line}")
    }
}

/// Failed polls in a row.
#[derive(Debug, Default)]
struct Trouble {
    /// How far the pause has grown.
    attempts: u32,
    /// What was said about it last; empty while all is well.
    told: String,
}

impl Trouble {
    fn is_new(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether this has yet to be said: a server that is away for an hour is one line in the log.
    fn is_news(&mut self, error: String) -> bool {
        let news = self.told != error;
        self.told = error;
        news
    }

    /// How long to wait, after a poll that failed when it had been held for some time.
    fn pause(&mut self, held: Duration, rng: &mut impl rand::Rng) -> Duration {
        if held >= HELD_WELL {
            self.attempts = 0;
        }
        let (first, last) = BACKOFF;
        let pause = first.saturating_mul(1 << self.attempts.min(16)).min(last);
        self.attempts = self.attempts.saturating_add(1);
        pause.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// A poll was answered; whether there was trouble.
    fn end(&mut self) -> bool {
        !std::mem::take(self).told.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_last_and_start_anew_after_a_poll_that_was_held() {
        let mut trouble = Trouble::default();
        let mut pause = |held| trouble.pause(Duration::from_secs(held), &mut rand::rng());
        for full_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let full = Duration::from_millis(full_ms);
            let pause = pause(0);
            assert!((full / 2..=full).contains(&pause), "{pause:?} of {full:?}");
        }
        assert!(pause(60) <= BACKOFF.0);
        assert!(pause(0) > BACKOFF.0 / 2, "and grow again");
        for _ in 0..40 {
            assert!(pause(0) <= BACKOFF.1);
        }
    }

    #[test]
    fn each_trouble_is_said_once() {
        let mut trouble = Trouble::default();
        assert!(!trouble.end() && trouble.is_new());
        let said =
            ["away", "away", "refused", "refused", "away"].map(|e| trouble.is_news(e.into()));
        assert_eq!(said, [true, false, true, false, true]);
        assert!(!trouble.is_new() && trouble.end());
        assert!(trouble.is_new() && trouble.is_news("away".into()));
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_within_reason() {
        let asked = |seconds| {
            let error = PollError::Status {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: String::new(),
                retry_after: Some(Duration::from_secs(seconds)),
            };
            error.pause(Duration::from_secs(2)).as_secs()
        };
        assert_eq!([0, 2, 7, 60, 86_400].map(asked), [2, 2, 7, 60, 60]);
    }
}
