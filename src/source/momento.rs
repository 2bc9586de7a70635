//! Momento Topics over HTTP: a long poll that remembers where it was.
//!
//! The API is that of Momento's documentation (Topics, HTTP API reference), which the embedded
//! server speaks too.

mod address;
mod endpoint;
mod token;

use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

pub use self::address::Address;
use self::endpoint::{Answer, AnswerItem, Endpoint, RequestError, TokenSource, TopicItem};
use self::token::Token;
use super::address::{AddressError, Secrets};
use super::embedded::report_gap;
use super::inbox::{Arrival, Inbox};
use super::milliseconds;
use super::retry::{Backoff, Failure};
use crate::fetch::FetchError;
use crate::reaction::Message;
use crate::topic::{Cursor, ItemId, TopicName};

/// Where a key or token is looked for.
pub(super) const VARIABLES: &[&str] = &[address::KEY, address::ENDPOINT, address::TOKEN];

/// A poll that has been held this long has been taken: longer than it may take to connect, and than
/// servers hold refusals back.
const TAKEN_AFTER: Duration = Duration::from_secs(5);

/// An answer that brings nothing new sooner than this is not a long poll's, and the next poll
/// waits this long.
const HELD_AT_LEAST: Duration = Duration::from_millis(500);

/// After a token could not be renewed, until it is tried again. Nothing is polled while it is.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// A topic of a remote endpoint.
#[derive(Debug)]
pub struct Momento {
    endpoint: Endpoint,
}

/// Publishes to a topic of a remote endpoint.
#[derive(Debug)]
pub struct Publisher {
    endpoint: Endpoint,
    token: Token,
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PublishError {
    message: String,
    status: Option<StatusCode>,
}

/// How far a topic has been read.
#[derive(Default)]
struct Place {
    /// The next item.
    next: Cursor,
    /// Where it was given up to go on with the latest; the gap is known with the next item.
    given_up_at: Option<Cursor>,
}

impl Momento {
    /// A topic at `endpoint`, which may have a base path. Without a token, one is asked for at
    /// the endpoint's `/tokens`, as the tutorial's token vending machine gives it.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn new(endpoint: &Url, name: TopicName, token: Option<String>) -> reqwest::Result<Self> {
        let endpoint = Endpoint::new(endpoint, name, token, None)?;
        Ok(Self { endpoint })
    }

    /// The topic at an address, with the token of the secrets, or one of its vending machine.
    ///
    /// # Errors
    /// The TLS roots of this system can't be read.
    pub fn at(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let (url, token) = address.opened(secrets)?;
        let tokens = address.tokens.as_ref();
        let endpoint = Endpoint::new(&url, address.name.clone(), token, tokens);
        let endpoint = endpoint.map_err(|error| AddressError::new(FetchError::from(error)))?;
        Ok(Self { endpoint })
    }

    /// What it is called: its topic's address.
    #[must_use]
    pub fn name(&self) -> &Url {
        &self.endpoint.topic
    }

    /// What publishes to this topic.
    #[must_use]
    pub fn publisher(self) -> Publisher {
        Publisher {
            endpoint: self.endpoint,
            token: Token::default(),
        }
    }

    /// Follows the topic for as long as the future is kept.
    pub(super) async fn follow(self, inbox: &Inbox) -> ! {
        let mut place = Place::default();
        let mut token = Token::default();
        let mut backoff = Backoff::default();
        loop {
            let renewed = self.renew(&mut token, inbox).await;
            let asked = Instant::now();
            let polled = match renewed {
                Ok(()) => self.poll(place.next, &token, inbox).await,
                Err(error) => Err(error),
            };
            match polled {
                Err(error) if asked.elapsed() < TAKEN_AFTER || !error.is_end_of_hold() => {
                    let mut failure = self.failure(&error, &token);
                    if matches!(error, RequestError::Fetch(FetchError::TooLong(_))) {
                        // It would be as long the next time.
                        place.give_up();
                        failure.why += "; going on with the latest message";
                    }
                    let held = inbox.lost(&failure);
                    if error.is_refused_token() {
                        token = Token::default();
                    }
                    backoff.wait(&failure, held).await;
                }
                polled => {
                    backoff.reset();
                    up(&token, inbox);
                    let before = place.next;
                    for item in polled.unwrap_or_default().items.unwrap_or_default() {
                        self.take(item, &mut place, inbox);
                    }
                    if place.next == before && asked.elapsed() < HELD_AT_LEAST {
                        sleep(HELD_AT_LEAST).await;
                    }
                }
            }
        }
    }

    /// Asks for what comes at `place`, and says that it is live when the poll is taken.
    async fn poll(
        &self,
        place: Cursor,
        token: &Token,
        inbox: &Inbox,
    ) -> Result<Answer, RequestError> {
        let poll = self
            .endpoint
            .poll(place, token.text.as_deref(), token.renew_at);
        let mut poll = std::pin::pin!(poll);
        match timeout(TAKEN_AFTER, &mut poll).await {
            Ok(polled) => polled,
            Err(_) => {
                up(token, inbox);
                poll.await
            }
        }
    }

    /// Delivers what an item asks for, and moves to the place after it.
    fn take(&self, item: AnswerItem, place: &mut Place, inbox: &Inbox) {
        if let Some(gap) = item.discontinuity {
            place.go_to(
                Cursor {
                    page: known(gap.new_sequence_page).unwrap_or(place.next.page),
                    sequence: gap.new_topic_sequence,
                },
                inbox,
            );
        }
        if item.is_odd {
            inbox.refuse();
            // It is not asked for again.
            if place.next.sequence > 0 {
                place.next.sequence = place.next.sequence.saturating_add(1);
            }
        }
        let Some(item) = item.item else { return };
        let sequence = item.topic_sequence_number;
        let page = known(item.sequence_page);
        // Without a page, a number that is had already may be that of a topic that was reset.
        if page == Some(place.next.page) && sequence < place.next.sequence {
            return;
        }
        // Only with a page is a number that of one message alone. The number first: of a long name
        // the end is cut off.
        let id = |sequence, page| format!("{page}:{sequence} {}", self.endpoint.topic);
        let item_id = ItemId {
            page: page.unwrap_or(place.next.page),
            sequence,
        };
        if place.given_up_at.is_some() {
            let ItemId { page, sequence } = item_id;
            place.go_to(Cursor { page, sequence }, inbox);
        }
        match (said(&item), item.retraction.as_array()) {
            (Some(text), _) => {
                inbox.take(&Arrival {
                    id: page.map(|page| id(sequence, page)).as_deref(),
                    place: Some(item_id),
                    user: item.publisher_id.as_str(),
                    published_at: milliseconds(&item.publish_timestamp),
                    ..Arrival::of(Message::payload(text))
                });
            }
            (None, Some(numbers)) => {
                for number in numbers.iter().filter_map(serde_json::Value::as_u64) {
                    inbox.retract_message(&id(number, item_id.page));
                }
            }
            (None, None) => inbox.refuse(),
        }
        place.next = Cursor {
            page: item_id.page,
            sequence: sequence.saturating_add(1),
        };
    }

    /// Gets the token to send, if there is none yet, or another one if it ends soon. While the one
    /// there is still holds, none is no failure.
    ///
    /// # Errors
    /// The vending machine can't be reached. One that answers, but with no token, may be open.
    async fn renew(&self, token: &mut Token, inbox: &Inbox) -> Result<(), RequestError> {
        if !token.is_due() {
            return Ok(());
        }
        match self.endpoint.token().await {
            Ok(new) => *token = new,
            Err(error) if token.still_holds() => {
                token.keep(format!("no new token: {error}"), RENEWAL_PAUSE);
            }
            Err(error) => *token = self.endpoint.without_token(error, RENEWAL_PAUSE)?,
        }
        if inbox.is_up() {
            up(token, inbox);
        }
        Ok(())
    }

    /// What a person is told of a failed poll.
    fn failure(&self, error: &RequestError, token: &Token) -> Failure {
        let RequestError::Status {
            status,
            retry_after,
            ..
        } = error
        else {
            return Failure::passing(error);
        };
        let failure = match (*status, &self.endpoint.tokens) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, TokenSource::Given(_)) => {
                Failure::refused(format!(
                    "{error}; give a token or key that may read {}",
                    self.endpoint.name
                ))
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, TokenSource::Vended { .. }) => {
                Failure::passing(with_trouble(error, token))
            }
            (StatusCode::NOT_FOUND, _) => Failure::refused(format!(
                "{error}; make the cache {:?}, or name one that exists",
                self.endpoint.name.cache()
            )),
            (status, _) if status.is_redirection() => Failure::refused(format!(
                "{error}; no redirection is followed: give the address that it points to"
            )),
            _ => Failure::passing(error),
        };
        failure.with_pause(*retry_after)
    }
}

impl Publisher {
    /// Another one to the same topic, with connections in common and a token of its own; a token
    /// that was given is everyone's.
    #[must_use]
    pub fn another(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            token: Token::default(),
        }
    }

    /// Gets the token to publish with, unless there is one.
    ///
    /// # Errors
    /// The vending machine can't be reached. One that answers, but with no token, may be open.
    pub async fn ready(&mut self) -> Result<(), PublishError> {
        if self.token.is_due() {
            let token = self.endpoint.token().await;
            let token = token.or_else(|error| self.endpoint.without_token(error, RENEWAL_PAUSE));
            self.token = token.map_err(|error| PublishError::new(&error, error.to_string()))?;
        }
        Ok(())
    }

    /// Publishes a text.
    ///
    /// # Errors
    /// What the endpoint says against it, or why it can't be reached.
    pub async fn publish(&mut self, text: &str) -> Result<(), PublishError> {
        self.ready().await?;
        let token = self.token.text.as_deref();
        let published = self.endpoint.publish(text, token).await;
        published.map_err(|error| {
            let message = match error.is_refused_token() {
                true => with_trouble(&error, &std::mem::take(&mut self.token)),
                false => error.to_string(),
            };
            PublishError::new(&error, message)
        })
    }
}

impl PublishError {
    fn new(error: &RequestError, message: String) -> Self {
        let status = match error {
            RequestError::Status { status, .. } => Some(*status),
            RequestError::Fetch(_) | RequestError::Malformed(_) | RequestError::NoToken => None,
        };
        Self { message, status }
    }

    /// The status that the endpoint answered with; none if there was no answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status.map(|status| status.as_u16())
    }
}

impl Place {
    /// Where it goes on, with what is missing in between counted. With nothing had before, it only
    /// says where the topic is.
    fn go_to(&mut self, next: Cursor, inbox: &Inbox) {
        let expected = self.given_up_at.take().unwrap_or(self.next);
        if expected.sequence > 0 {
            report_gap(inbox, expected, next);
        }
        self.next = next;
    }

    fn give_up(&mut self) {
        let next = std::mem::take(&mut self.next);
        self.given_up_at.get_or_insert(next);
    }
}

/// Messages come, perhaps with a token in trouble.
fn up(token: &Token, inbox: &Inbox) {
    match &token.trouble {
        Some(why) => inbox.degraded(why),
        None => inbox.live(),
    }
}

fn with_trouble(error: &RequestError, token: &Token) -> String {
    match &token.trouble {
        Some(why) => format!("{error}; {why}"),
        None => error.to_string(),
    }
}

fn said(item: &TopicItem) -> Option<&str> {
    item.value.get("text")?.as_str()
}

/// A page that an answer names; 0 stands for none.
fn known(page: Option<u64>) -> Option<u64> {
    page.filter(|&page| page > 0)
}
