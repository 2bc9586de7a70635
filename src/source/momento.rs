//! Momento Topics over HTTP: a long poll that remembers where it was.
//!
//! The API is that of Momento's documentation (Topics, HTTP API reference), which the embedded
//! server speaks too.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::RngExt as _;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::{Cue, report_gap};
use crate::metrics::Channel as ChannelMetrics;
use crate::reaction::Palette;
use crate::topic::TopicName;

/// A poll without an answer for this long is on a connection that died unnoticed. The embedded
/// server answers within 25 s; how long the real one holds a poll is not documented.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses between attempts double from the first to the last, each cut at random by up to half.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The longest pause that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// An empty answer sooner than this is not a long poll's, and is not repeated at once.
const HELD_AT_LEAST: Duration = Duration::from_millis(500);

/// At most this many bytes of one answer are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What a path segment may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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
    #[error("{0}")]
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

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    items: Vec<AnswerItem>,
}

#[derive(Debug, Default, Deserialize)]
struct AnswerItem {
    item: Option<TopicItem>,
    discontinuity: Option<Discontinuity>,
}

#[derive(Debug, Deserialize)]
struct TopicItem {
    topic_sequence_number: u64,
    /// Older servers leave it out.
    #[serde(default)]
    sequence_page: u64,
    #[serde(default)]
    value: TopicValue,
}

#[derive(Debug, Default, Deserialize)]
struct TopicValue {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Discontinuity {
    #[serde(default)]
    last_topic_sequence: u64,
    new_topic_sequence: u64,
    #[serde(default)]
    new_sequence_page: u64,
}

impl Momento {
    /// A topic at `endpoint`, which may have a base path. Without a token, one is asked for at
    /// the endpoint's `/tokens`, as the tutorial's token vending machine gives it.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn new(endpoint: &Url, name: TopicName, token: Option<String>) -> reqwest::Result<Self> {
        // An error says that one is installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(20));
        if is_loopback(endpoint) {
            client = client.no_proxy();
        }
        let under = |segments: &str| {
            let mut url = endpoint.clone();
            url.set_path(&format!(
                "{}/{segments}",
                endpoint.path().trim_end_matches('/')
            ));
            url
        };
        let encode = |segment| utf8_percent_encode(segment, SEGMENT);
        Ok(Self {
            client: client.build()?,
            topic: under(&format!(
                "topics/{}/{}",
                encode(name.cache()),
                encode(name.topic())
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
        let (mut sequence, mut page) = (0, 0);
        let mut token = None;
        let mut backoff = Backoff::default();
        loop {
            if token.is_none() {
                token = self.token().await;
            }
            let asked = tokio::time::Instant::now();
            let answer = match self.poll(sequence, page, token.as_deref()).await {
                Ok(answer) => answer,
                Err(error) => {
                    if backoff.attempts == 0 {
                        tracing::warn!("{}: {error}; trying again", self.topic);
                        metrics.source_reconnects.inc();
                    }
                    let mut pause = backoff.pause(&mut rand::rng());
                    if let PollError::Status {
                        status,
                        retry_after,
                        ..
                    } = error
                    {
                        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                            token = None;
                        }
                        pause =
                            retry_after.map_or(pause, |asked| asked.clamp(pause, RETRY_AFTER_MAX));
                    }
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            if backoff.attempts > 0 {
                tracing::info!("{}: connected again", self.topic);
                backoff = Backoff::default();
            }
            if answer.items.is_empty() && asked.elapsed() < HELD_AT_LEAST {
                tokio::time::sleep(HELD_AT_LEAST).await;
            }
            for AnswerItem {
                item,
                discontinuity,
            } in answer.items
            {
                if let Some(gap) = discontinuity {
                    // With nothing had before, it only says where the topic is.
                    if sequence > 0 {
                        report_gap(
                            &self.name.to_string(),
                            metrics,
                            gap.last_topic_sequence,
                            gap.new_topic_sequence,
                        );
                    }
                    (sequence, page) = (gap.new_topic_sequence, gap.new_sequence_page);
                }
                if let Some(item) = item {
                    let number = item.topic_sequence_number;
                    (sequence, page) = (number.saturating_add(1), item.sequence_page);
                    if let Some(Ok(reactions)) = item.value.text.map(|text| palette.decode(&text)) {
                        deliver(Cue {
                            page,
                            sequence: number,
                            reactions,
                        });
                    }
                }
            }
        }
    }

    async fn poll(
        &self,
        sequence: u64,
        page: u64,
        token: Option<&str>,
    ) -> Result<Answer, PollError> {
        let mut request = self.client.get(self.topic.clone());
        if sequence > 0 {
            request = request.query(&[("sequence_number", sequence), ("sequence_page", page)]);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let mut response = request.send().await?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer { items: Vec::new() });
        }
        let body = read(&mut response).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        Err(PollError::Status {
            status,
            message: message(&body),
            retry_after,
        })
    }

    /// The token to send; `None` if there is none to be had, which an open endpoint takes too.
    async fn token(&self) -> Option<String> {
        let url = match &self.token {
            TokenSource::Given(token) => return Some(token.clone()),
            TokenSource::Vended(url) => url.clone(),
        };
        let id = format!("floatup-{:016x}", rand::random::<u64>());
        let request = serde_json::json!({ "playerId": id, "streamId": self.name.topic() });
        let mut response = self.client.post(url).json(&request).send().await.ok()?;
        let body = read(&mut response).await.ok()?;
        let vended: serde_json::Value = serde_json::from_slice(&body).ok()?;
        Some(vended.get("token")?.as_str()?.to_owned())
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

#[derive(Debug, Default)]
struct Backoff {
    attempts: u32,
}

impl Backoff {
    fn pause(&mut self, rng: &mut impl rand::Rng) -> Duration {
        let (first, last) = BACKOFF;
        let pause = first.saturating_mul(1 << self.attempts.min(16)).min(last);
        self.attempts = self.attempts.saturating_add(1);
        pause.mul_f64(rng.random_range(0.5..=1.0))
    }
}
