//! Message review handlers: a room's own word on each message before anyone sees it.
//!
//! The contract is that of the service's Lambda functions, over HTTP: the message is posted as
//! `{"Content","MessageId","RoomArn","Attributes","Sender":{"UserId","Attributes","Ip"}}`, and the
//! answer is `{"ReviewResult":"ALLOW"|"DENY","Content","Attributes"}`. Whatever else comes, or
//! nothing within 200 ms, is decided by the room's fallback.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::fetch::{FetchError, client, is_loopback, read};
use crate::metrics::Review;
use crate::server::chat::wire::{Attributes, Message, REASON_CHARS_MAX, attributes};

/// How long a review may take, the wait for its turn included. As in the service.
const REVIEW_MAX: Duration = Duration::from_millis(200);

/// An answer that is longer is taken for none.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The longest content that a handler may put in place of the sender's, in bytes: 500 characters
/// of any kind.
const CONTENT_BYTES_MAX: usize = 2_000;

/// The longest address, in characters; that of the service's own handlers.
const URI_CHARS_MAX: usize = 170;

/// What becomes of a message that could not be reviewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReviewFallback {
    /// Everyone sees it.
    #[default]
    Allow,
    /// Nobody sees it, and its sender is told.
    Deny,
}

impl FromStr for ReviewFallback {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ALLOW" => Ok(Self::Allow),
            "DENY" => Ok(Self::Deny),
            _ => Err("expected ALLOW or DENY"),
        }
    }
}

/// The address of a message review handler: with `http://` or `https://`, of at most 170
/// characters. It may hold a secret, and is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ReviewUri {
    /// As it was given.
    text: String,
    /// Settings are moved about, and few have one.
    url: Box<Url>,
}

impl FromStr for ReviewUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("arn:") {
            return Err(
                "no Lambda function can be called from here; an http:// or https:// address of a \
                 handler with the same contract is accepted"
                    .into(),
            );
        }
        if text.chars().count() > URI_CHARS_MAX {
            return Err(format!("at most {URI_CHARS_MAX} characters are accepted"));
        }
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(Self {
            text: text.to_owned(),
            url: url.ok_or("expected an http:// or https:// address")?.into(),
        })
    }
}

impl fmt::Debug for ReviewUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReviewUri(..)")
    }
}

impl fmt::Display for ReviewFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        })
    }
}

/// What asks handlers, made when the first is set: one for those on this machine, which are asked
/// without a proxy, and one for all others.
#[derive(Debug, Default)]
pub(super) struct Askers {
    near: OnceLock<Client>,
    far: OnceLock<Client>,
}

impl Askers {
    fn of(&self, url: &Url) -> reqwest::Result<Client> {
        let asker = match is_loopback(url) {
            true => &self.near,
            false => &self.far,
        };
        if let Some(asker) = asker.get() {
            return Ok(asker.clone());
        }
        let made = client(url).redirect(Policy::none()).build()?;
        Ok(asker.get_or_init(|| made).clone())
    }
}

/// Where messages are reviewed.
#[derive(Debug)]
pub(super) struct Handler {
    uri: ReviewUri,
    pub(super) fallback: ReviewFallback,
    askers: Arc<Askers>,
    /// Whether the last review failed.
    is_failing: AtomicBool,
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow {
        content: String,
        attributes: Attributes,
    },
    /// With what the sender is told.
    Deny(String),
}

impl Handler {
    pub(super) fn new(uri: ReviewUri, fallback: ReviewFallback, askers: &Arc<Askers>) -> Self {
        Self {
            uri,
            fallback,
            askers: Arc::clone(askers),
            is_failing: AtomicBool::new(false),
        }
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri.text
    }

    /// Has a message reviewed; `turns` are those of all reviews, and so are `counts`.
    pub(super) async fn review(
        &self,
        message: &Message,
        room_arn: &str,
        ip: IpAddr,
        turns: &Semaphore,
        counts: &Family<Review, Counter>,
    ) -> Verdict {
        let review = async {
            let turn = turns.acquire().await;
            let _turn = turn.map_err(|error| error.to_string())?;
            let answer = self.ask(message, room_arn, ip).await?;
            let verdict = verdict(&answer, message);
            verdict.ok_or_else(|| "answered what is no review".to_owned())
        };
        let late = |_| {
            Err(format!(
                "gave no answer within {} ms",
                REVIEW_MAX.as_millis()
            ))
        };
        let verdict = timeout(REVIEW_MAX, review).await.unwrap_or_else(late);
        let outcome = match &verdict {
            Ok(Verdict::Allow { .. }) => Review::ALLOWED,
            Ok(Verdict::Deny(_)) => Review::DENIED,
            Err(_) => Review::FAILED,
        };
        counts.get_or_create(&outcome).inc();
        self.tell(room_arn, verdict.as_ref().err());
        verdict.unwrap_or_else(|_| match self.fallback {
            ReviewFallback::Allow => Verdict::Allow {
                content: message.content.clone(),
                attributes: message.attributes.clone(),
            },
            ReviewFallback::Deny => Verdict::Deny("the message could not be reviewed".into()),
        })
    }

    /// Tells the log when reviews begin to fail, and when they work again.
    fn tell(&self, room_arn: &str, failure: Option<&String>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(why) if !was_failing => tracing::warn!(
                "the review handler of {room_arn} {why}; the fallback, {}, decides until it works",
                self.fallback
            ),
            Some(why) => tracing::debug!("the review handler of {room_arn} {why}"),
            None if was_failing => tracing::info!("the review handler of {room_arn} works again"),
            None => {}
        }
    }

    async fn ask(&self, message: &Message, room_arn: &str, ip: IpAddr) -> Result<Vec<u8>, String> {
        let asked = json!({
            "Content": message.content,
            "MessageId": message.id,
            "RoomArn": room_arn,
            "Attributes": message.attributes,
            "Sender": {
                "UserId": message.sender.user_id,
                "Attributes": message.sender.attributes,
                "Ip": ip,
            },
        });
        let failed = |error: FetchError| format!("can't be asked: {error}");
        let client = self.askers.of(&self.uri.url);
        let client = client.map_err(|error| failed(error.into()))?;
        let answer = client
            .post(Url::clone(&self.uri.url))
            .json(&asked)
            .send()
            .await;
        let mut answer = answer.map_err(|error| failed(error.into()))?;
        match answer.status() {
            status if status.is_success() => {
                read(&mut answer, ANSWER_BYTES_MAX).await.map_err(failed)
            }
            status => Err(format!("answered {status}")),
        }
    }
}

/// What a handler's answer says, if it is a valid one.
fn verdict(answer: &[u8], message: &Message) -> Option<Verdict> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        review_result: String,
        content: Option<String>,
        #[serde(default)]
        attributes: Value,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    match answer.review_result.as_str() {
        "ALLOW" => {
            let content = answer.content?;
            // A handler may write more than a viewer, but no book.
            let fits = !content.is_empty() && content.len() <= CONTENT_BYTES_MAX;
            let attributes = match &answer.attributes {
                Value::Null => message.attributes.clone(),
                given => attributes(Some(given)).ok()?,
            };
            fits.then_some(Verdict::Allow {
                content,
                attributes,
            })
        }
        "DENY" => {
            let reason = answer.attributes.get("Reason").and_then(Value::as_str);
            let reason = reason.filter(|text| !text.is_empty());
            let reason: String = reason
                .unwrap_or("the message was not accepted in review")
                .chars()
                .take(REASON_CHARS_MAX)
                .collect();
            Some(Verdict::Deny(reason))
        }
        _ => None,
    }
}
