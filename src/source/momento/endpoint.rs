//! A topic at an endpoint: what is asked there, and what it answers.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::token::{Token, Vended};
use crate::fetch::{FetchError, client, message, read, retry_after};
use crate::topic::{Cursor, TopicName, encoded};

/// A poll without an answer for this long is on a connection that died unnoticed. The embedded
/// server answers within 25 s; how long the real one holds a poll is not documented.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Shorter than that of others, so that a poll which has been held is known to have been taken.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a token vending machine, or what a message is published to, may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// At most this many bytes of one answer are read: more than the embedded server's ring has of the
/// longest messages.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// A topic of a remote endpoint. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    client: Client,
    pub(super) topic: Url,
    pub(super) name: TopicName,
    /// A token that was given, or where to ask for one.
    pub(super) tokens: TokenSource,
}

#[derive(Clone)]
pub(super) enum TokenSource {
    Given(String),
    Vended {
        url: Url,
        /// May be another one's machine, with another way to it.
        client: Client,
    },
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::Vended { url, .. } => write!(f, "Vended({})", shown(url)),
        }
    }
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("answered {status}{message}")]
    Status {
        status: StatusCode,
        message: String,
        retry_after: Option<Duration>,
    },
    #[error("the answer is not a topic's: {0}")]
    Malformed(#[from] serde_json::Error),
    /// What came may have a token in it, so it is not said.
    #[error("the answer has no token: expected {{\"token\":\"…\"}}")]
    NoToken,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    pub(super) items: Option<Vec<AnswerItem>>,
}

/// Members that are not known, such as heartbeats, are passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AnswerItem {
    pub(super) item: Option<TopicItem>,
    pub(super) discontinuity: Option<Discontinuity>,
    /// Whether it is neither, nor anything else that can be read.
    #[serde(skip)]
    pub(super) is_odd: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct TopicItem {
    pub(super) topic_sequence_number: u64,
    /// Older servers leave it out.
    pub(super) sequence_page: Option<u64>,
    /// Milliseconds since the Unix epoch, of servers that say it; of any shape, as `value` is.
    #[serde(default)]
    pub(super) publish_timestamp: Value,
    /// The id in the publisher's token; not in Momento's documentation.
    #[serde(default)]
    pub(super) publisher_id: Value,
    /// Of any shape, so that one odd item doesn't stop the topic for good.
    #[serde(default)]
    pub(super) value: Value,
    /// The numbers of items on its page that were taken back; of a floatup's topics alone.
    #[serde(default)]
    pub(super) retraction: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Discontinuity {
    pub(super) new_topic_sequence: u64,
    /// Older servers leave it out.
    pub(super) new_sequence_page: Option<u64>,
}

/// What stands under an endpoint, which may have a base path.
fn under(endpoint: &Url, segments: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!(
        "{}/{segments}",
        endpoint.path().trim_end_matches('/')
    ));
    url
}

pub(super) fn topic_url(endpoint: &Url, name: &TopicName) -> Url {
    let (cache, topic) = (encoded(name.cache()), encoded(name.topic()));
    under(endpoint, &format!("topics/{cache}/{topic}"))
}

/// An address without what may be a key.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

impl Endpoint {
    /// Without a token, one is asked for at `tokens`, or else at the endpoint's `/tokens`.
    pub(super) fn new(
        endpoint: &Url,
        name: TopicName,
        token: Option<String>,
        tokens: Option<&Url>,
    ) -> reqwest::Result<Self> {
        // Neither a token nor a message goes to where an answer points.
        let reach = |url: &Url| {
            client(url)
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(Policy::none())
                .tcp_keepalive(Duration::from_secs(20))
        };
        let tokens = match token {
            Some(token) => TokenSource::Given(token),
            None => {
                let url = tokens.cloned().unwrap_or_else(|| under(endpoint, "tokens"));
                let client = reach(&url).timeout(PATIENCE).build()?;
                TokenSource::Vended { url, client }
            }
        };
        Ok(Self {
            client: reach(endpoint).read_timeout(READ_TIMEOUT).build()?,
            topic: topic_url(endpoint, &name),
            name,
            tokens,
        })
    }

    /// Asks for what comes at `place`. A poll is given up at `until`, when its token is about to
    /// end, and is asked again with a new one.
    pub(super) async fn poll(
        &self,
        place: Cursor,
        token: Option<&str>,
        until: Option<Instant>,
    ) -> Result<Answer, RequestError> {
        let mut request = self.client.get(self.topic.clone());
        if place != Cursor::default() {
            request = request.query(&[
                ("sequence_number", place.sequence),
                ("sequence_page", place.page),
            ]);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let sent = request.send();
        let mut response = match until {
            Some(until) => match timeout_at(until, sent).await {
                Ok(sent) => sent,
                Err(_) => return Ok(Answer::default()),
            },
            None => sent.await,
        }
        .map_err(FetchError::from)?;
        let status = response.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer::default());
        }
        let body = read(&mut response, ANSWER_BYTES_MAX).await?;
        if status.is_success() {
            return Ok(answer(&body)?);
        }
        Err(refusal(&response, &body))
    }

    /// Publishes a text.
    pub(super) async fn publish(
        &self,
        text: &str,
        token: Option<&str>,
    ) -> Result<(), RequestError> {
        let mut request = self.client.post(self.topic.clone()).timeout(PATIENCE);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.header(CONTENT_TYPE, "text/plain");
        let sent = request.body(text.to_owned()).send().await;
        let mut response = sent.map_err(FetchError::from)?;
        if response.status().is_success() {
            return Ok(());
        }
        let body = read(&mut response, ANSWER_BYTES_MAX).await?;
        Err(refusal(&response, &body))
    }

    /// The token that was given, or a new one of the vending machine.
    pub(super) async fn token(&self) -> Result<Token, RequestError> {
        let (url, client) = match &self.tokens {
            TokenSource::Given(text) => return Ok(Token::held(text.clone())),
            TokenSource::Vended { url, client } => (url, client),
        };
        let id = format!("floatup-{:016x}", rand::random::<u64>());
        let request = serde_json::json!({ "playerId": id, "streamId": self.name.topic() });
        let sent = client.post(url.clone()).json(&request).send();
        let mut response = sent.await.map_err(FetchError::from)?;
        let body = read(&mut response, ANSWER_BYTES_MAX).await?;
        if !response.status().is_success() {
            return Err(refusal(&response, &body));
        }
        let vended: Vended = serde_json::from_slice(&body).map_err(|_| RequestError::NoToken)?;
        Ok(Token::new(vended))
    }

    /// What to go on with after a vending machine gave no token: the endpoint may be open.
    ///
    /// # Errors
    /// The vending machine can't be reached.
    pub(super) fn without_token(
        &self,
        error: RequestError,
        pause: Duration,
    ) -> Result<Token, RequestError> {
        match (error, &self.tokens) {
            (error @ RequestError::Fetch(_), _) => Err(error),
            (error, TokenSource::Vended { url, .. }) if !error.is_no_vending() => {
                let why = format!("{}: {error}; going on without a token", shown(url));
                Ok(Token::without(why, pause))
            }
            _ => Ok(Token::none()),
        }
    }
}

impl RequestError {
    pub(super) fn is_refused_token(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
                ..
            }
        )
    }

    /// Whether it is how a poll ends that was held and brought nothing: something between us and
    /// the endpoint ran out of patience.
    pub(super) fn is_end_of_hold(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Transport(error)) => !error.is_connect() && !error.is_builder(),
            Self::Status {
                status,
                retry_after: None,
                ..
            } => matches!(status.as_u16(), 408 | 502..=504),
            _ => false,
        }
    }

    /// Whether it is the answer of an endpoint that hands out no tokens.
    fn is_no_vending(&self) -> bool {
        matches!(self, Self::Status { status, .. } if matches!(status.as_u16(), 404 | 405 | 501))
    }
}

/// Reads an answer, one by one if not all of its items can be read.
fn answer(body: &[u8]) -> serde_json::Result<Answer> {
    #[derive(Deserialize)]
    struct Loose {
        items: Vec<Value>,
    }
    serde_json::from_slice(body).or_else(|_| {
        let Loose { items } = serde_json::from_slice(body)?;
        let read = |item| {
            serde_json::from_value(item).unwrap_or(AnswerItem {
                is_odd: true,
                ..AnswerItem::default()
            })
        };
        Ok(Answer {
            items: Some(items.into_iter().map(read).collect()),
        })
    })
}

fn refusal(response: &Response, body: &[u8]) -> RequestError {
    RequestError::Status {
        status: response.status(),
        message: message(body),
        retry_after: retry_after(response),
    }
}
