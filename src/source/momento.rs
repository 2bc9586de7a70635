//! Momento Topics over HTTP: a long poll that remembers where it was.
//!
//! The API is that of Momento's documentation (Topics, HTTP API reference), which the embedded
//! server speaks too.

mod address;
mod token;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use self::address::Address;
use self::token::{Token, Vended};
use super::address::{AddressError, Secrets};
use super::embedded::report_gap;
use super::inbox::{Arrival, Inbox};
use super::milliseconds;
use super::retry::{Backoff, Failure};
use crate::fetch::{FetchError, client, message, read, retry_after};
use crate::reaction::Message;
use crate::topic::{Cursor, ItemId, TopicName, encoded};

/// Where a key or token is looked for.
pub(super) const VARIABLES: &[&str] = &[address::KEY, address::ENDPOINT];

/// A poll without an answer for this long is on a connection that died unnoticed. The embedded
/// server answers within 25 s; how long the real one holds a poll is not documented.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Shorter than that of others, so that a poll which has been held is known to have been taken.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A poll that has been held this long has been taken: longer than it may take to connect, and than
/// servers hold refusals back.
const TAKEN_AFTER: Duration = Duration::from_secs(5);

/// An answer that brings nothing new sooner than this is not a long poll's, and the next poll
/// waits this long.
const HELD_AT_LEAST: Duration = Duration::from_millis(500);

/// After a token could not be renewed, until it is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// At most this many bytes of one answer are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What stands under an endpoint, which may have a base path.
fn under(endpoint: &Url, segments: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!(
        "{}/{segments}",
        endpoint.path().trim_end_matches('/')
    ));
    url
}

fn topic_url(endpoint: &Url, name: &TopicName) -> Url {
    let (cache, topic) = (encoded(name.cache()), encoded(name.topic()));
    under(endpoint, &format!("topics/{cache}/{topic}"))
}

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
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PublishError(#[from] PollError);

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
    /// The id in the publisher's token; not in Momento's documentation.
    #[serde(default)]
    publisher_id: serde_json::Value,
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
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(20));
        Ok(Self {
            client: client.build()?,
            topic: topic_url(endpoint, &name),
            token: match token {
                Some(token) => TokenSource::Given(token),
                None => TokenSource::Vended(under(endpoint, "tokens")),
            },
            name,
        })
    }

    /// The topic at an address, with the token of the secrets, or one of its vending machine.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let (endpoint, token) = address.opened(secrets)?;
        let source = Self::new(&endpoint, address.name.clone(), token);
        let mut source = source.map_err(|error| AddressError::new(FetchError::from(error)))?;
        if let (Some(tokens), TokenSource::Vended(url)) = (&address.tokens, &mut source.token) {
            *url = tokens.clone();
        }
        Ok(source)
    }

    /// What it is called: its topic's address.
    #[must_use]
    pub fn name(&self) -> &Url {
        &self.topic
    }

    /// Follows the topic for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut place = Cursor::default();
        let mut token = Token::default();
        let mut backoff = Backoff::default();
        loop {
            let asked = Instant::now();
            let polled = {
                let mut poll = std::pin::pin!(self.poll(place, &mut token, inbox));
                match timeout(TAKEN_AFTER, &mut poll).await {
                    Ok(polled) => polled,
                    Err(_) => {
                        // Of a token in trouble the state says so already.
                        if !inbox.is_up() {
                            inbox.live();
                        }
                        poll.await
                    }
                }
            };
            match polled {
                Ok(answer) => {
                    backoff.reset();
                    match &token.trouble {
                        Some(why) => inbox.degraded(why),
                        None => inbox.live(),
                    }
                    let before = place;
                    for item in answer.items.unwrap_or_default() {
                        place = self.take(item, place, inbox);
                    }
                    if place == before && asked.elapsed() < HELD_AT_LEAST {
                        sleep(HELD_AT_LEAST).await;
                    }
                }
                Err(error) => {
                    let failure = self.failure(&error);
                    inbox.lost(&failure);
                    if error.is_refused_token() {
                        token = Token::default();
                    }
                    backoff.wait(&failure, asked.elapsed()).await;
                }
            }
        }
    }

    /// Publishes a text.
    ///
    /// # Errors
    /// What the endpoint says against it, or why it can't be reached.
    pub async fn publish(&self, text: &str) -> Result<(), PublishError> {
        Ok(self.post(text).await?)
    }

    async fn post(&self, text: &str) -> Result<(), PollError> {
        let token = match &self.token {
            TokenSource::Given(token) => Some(token.clone()),
            TokenSource::Vended(url) => match self.vended(url).await {
                Ok(token) => token.text,
                Err(error @ PollError::Fetch(_)) => return Err(error),
                // It may be open.
                Err(_) => None,
            },
        };
        let mut request = self.client.post(self.topic.clone());
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

    /// Delivers what an item asks for, and gives the place after it.
    fn take(
        &self,
        AnswerItem {
            item,
            discontinuity,
        }: AnswerItem,
        mut place: Cursor,
        inbox: &Inbox,
    ) -> Cursor {
        if let Some(gap) = discontinuity {
            let next = Cursor {
                page: known(gap.new_sequence_page).unwrap_or(place.page),
                sequence: gap.new_topic_sequence,
            };
            // With nothing had before, it only says where the topic is.
            if place.sequence > 0 {
                report_gap(inbox, place, next);
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
        match text {
            Some(text) => {
                inbox.take(&Arrival {
                    place: Some(ItemId { page, sequence }),
                    user: item.publisher_id.as_str(),
                    published_at: milliseconds(&item.publish_timestamp),
                    ..Arrival::of(Message::payload(text))
                });
            }
            None => inbox.refuse(),
        }
        Cursor {
            page,
            sequence: sequence.saturating_add(1),
        }
    }

    /// Asks for what comes at `place`, with a token: a new one, if there is none yet or the one
    /// there is ends soon.
    async fn poll(
        &self,
        place: Cursor,
        token: &mut Token,
        inbox: &Inbox,
    ) -> Result<Answer, PollError> {
        if token.is_due() {
            self.renew(token, inbox).await?;
        }
        let mut request = self.client.get(self.topic.clone());
        if place.sequence > 0 {
            request = request.query(&[
                ("sequence_number", place.sequence),
                ("sequence_page", place.page),
            ]);
        }
        if let Some(token) = &token.text {
            request = request.header(AUTHORIZATION, token.as_str());
        }
        let sent = request.send();
        // A poll is given up when its token is about to end, and asked again with a new one.
        let mut response = match token.renew_at {
            Some(at) => match timeout_at(at, sent).await {
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
            return Ok(serde_json::from_slice(&body)?);
        }
        Err(refusal(&response, &body))
    }

    /// Gets the token to send, or another one. While the one there is still holds, none is no failure.
    ///
    /// # Errors
    /// The vending machine can't be reached. One that answers, but with no token, may be open.
    async fn renew(&self, token: &mut Token, inbox: &Inbox) -> Result<(), PollError> {
        let url = match &self.token {
            TokenSource::Given(text) => {
                *token = Token::held(text.clone());
                return Ok(());
            }
            TokenSource::Vended(url) => url,
        };
        match self.vended(url).await {
            Ok(new) => {
                if std::mem::replace(token, new).trouble.is_some() {
                    inbox.live();
                }
            }
            Err(error) if token.still_holds() => {
                token.trouble = Some(format!("{url}: no new token: {error}"));
                inbox.degraded(token.trouble.as_deref().unwrap_or_default());
                // At its end at the latest, there is nothing left to go on with.
                let again = Instant::now() + RENEWAL_PAUSE;
                token.renew_at = token.ends_at.map(|end| end.min(again));
            }
            Err(error @ PollError::Fetch(_)) => return Err(error),
            Err(error) => {
                let trouble = format!("{url}: {error}; going on without a token");
                tracing::warn!("{trouble}");
                *token = Token::none();
            }
        }
        Ok(())
    }

    /// A token of the vending machine.
    async fn vended(&self, url: &Url) -> Result<Token, PollError> {
        let id = format!("floatup-{:016x}", rand::random::<u64>());
        let request = serde_json::json!({ "playerId": id, "streamId": self.name.topic() });
        let sent = self.client.post(url.clone()).json(&request).send();
        let mut response = sent.await.map_err(FetchError::from)?;
        let body = read(&mut response, ANSWER_BYTES_MAX).await?;
        if !response.status().is_success() {
            return Err(refusal(&response, &body));
        }
        let vended: Vended = serde_json::from_slice(&body)?;
        Ok(Token::new(vended))
    }

    /// What a person is told of a failed poll.
    fn failure(&self, error: &PollError) -> Failure {
        let PollError::Status {
            status,
            retry_after,
            ..
        } = error
        else {
            return Failure::passing(error);
        };
        let failure = match (*status, &self.token) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, TokenSource::Given(_)) => {
                Failure::refused(format!(
                    "{error}; give a token or key that may read {}",
                    self.name
                ))
            }
            (StatusCode::NOT_FOUND, _) => Failure::refused(format!(
                "{error}; make the cache {:?}, or name one that exists",
                self.name.cache()
            )),
            _ => Failure::passing(error),
        };
        failure.with_pause(*retry_after)
    }
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
}

/// A page that an answer names; 0 stands for none.
fn known(page: Option<u64>) -> Option<u64> {
    page.filter(|&page| page > 0)
}

fn refusal(response: &Response, body: &[u8]) -> PollError {
    PollError::Status {
        status: response.status(),
        message: message(body),
        retry_after: retry_after(response),
    }
}
