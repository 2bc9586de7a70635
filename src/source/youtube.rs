//! Live chat on YouTube, over its Data API with an API key.
//!
//! The API is that of Google's documentation (YouTube Data API v3, `videos.list` and
//! `liveChatMessages.list`). It is polled: each answer says where the next one goes on, so that
//! nothing is lost or doubled by a failure between two.

mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::time::sleep;

use self::wire::{Chat, Message as WireMessage, Refusal, Videos};
use super::address::{AddressError, Parts, Secrets, url};
use super::inbox::{Arrival, Inbox};
use super::retry::{Backoff, Failure};
use super::since_epoch;
use crate::calendar::iso_8601;
use crate::fetch::{FetchError, client, read, retry_after};
use crate::reaction::Message;

/// Where the key is looked for.
pub(super) const VARIABLES: &[&str] = &["YOUTUBE_API_KEY"];

const SERVER: &str = "https://www.googleapis.com/";

/// The longest ids of videos and chats; those that there are are shorter.
const ID_CHARS_MAX: usize = 200;

/// At most this many bytes of one answer are read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How long an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// After an answer, the next one is asked for as much later as it says, within these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// The pause if an answer says nothing about it.
const PAUSE_UNTOLD: Duration = Duration::from_secs(5);

/// After a video that has no chat yet, until it is asked for again.
const NOT_YET_PAUSE: Duration = Duration::from_secs(60);

/// After the day's quota is used up.
const QUOTA_PAUSE: Duration = Duration::from_secs(300);

/// What one question for messages costs of the key's quota, in units.
const POLL_UNITS: f64 = 5.0;

/// Units that a key has for a day, unless Google gave it more.
const DAY_UNITS: u32 = 10_000;

/// A live stream's chat: `youtube:VIDEO_ID`, or `youtube:chat/LIVE_CHAT_ID`, perhaps with
/// `?server=http://HOST:PORT` of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    target: Target,
    server: Url,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Video(String),
    Chat(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (_, rest) = text.split_once(':').unwrap_or_default();
        let parts = Parts::of(rest, &["server"])?;
        let target = match parts.path.strip_prefix("chat/") {
            Some(id) => Target::Chat(id.into()),
            None => Target::Video(parts.path.into()),
        };
        let (Target::Video(id) | Target::Chat(id)) = &target;
        let is_id = id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.=%".contains(c));
        if !is_id || id.is_empty() || id.len() > ID_CHARS_MAX {
            return Err(AddressError(format!(
                "{text:?}: expected youtube:VIDEO_ID, which is what stands after v= in the video's \
                 address, or youtube:chat/LIVE_CHAT_ID"
            )));
        }
        let server = parts.option("server").unwrap_or(SERVER);
        Ok(Self {
            target,
            server: url(server, &["http", "https"])?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Video(id) => write!(f, "youtube:{id}")?,
            Target::Chat(id) => write!(f, "youtube:chat/{id}")?,
        }
        match self.server.as_str() {
            SERVER => Ok(()),
            server => write!(f, "?server={server}"),
        }
    }
}

/// A live stream's chat.
pub struct Youtube {
    client: Client,
    address: Address,
    key: String,
}

impl fmt::Debug for Youtube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Youtube")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer that can be used.
enum Trouble {
    Failure(Failure),
    /// The next page is of no use any more.
    BadPage,
    /// There will be no more messages.
    Over(&'static str),
}

/// Where in a chat we are.
#[derive(Default)]
struct Place {
    chat: Option<String>,
    /// The page that comes next; none before the first one.
    page: Option<String>,
    /// What was published before this, since the Unix epoch, is not of now: neither what was said
    /// before we came, nor, where a page is unknown, what was said before the newest that we took.
    since: Duration,
}

impl Youtube {
    /// The chat at an address, with the key of the secrets.
    ///
    /// # Errors
    /// There is no key, or the TLS roots of this system can't be read.
    pub fn new(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        let key = secrets.get("YOUTUBE_API_KEY").unwrap_or_default().trim();
        // It is sent in a header: an address would be seen in the logs of proxies.
        if HeaderValue::from_str(key).is_err() || key.is_empty() {
            return Err(AddressError::new(
                "youtube: expected an API key for the YouTube Data API v3 in YOUTUBE_API_KEY or in \
                 a file that secret_file names",
            ));
        }
        let client = client(&address.server).timeout(READ_TIMEOUT);
        // A redirect would take the key along to another host.
        let client = client.redirect(Policy::none()).build();
        Ok(Self {
            client: client.map_err(|error| AddressError::new(FetchError::from(error)))?,
            address: address.clone(),
            key: key.into(),
        })
    }

    /// Follows the chat until its stream is over.
    pub(super) async fn follow(self, inbox: &Inbox) {
        let mut place = Place {
            since: since_epoch(),
            ..Place::default()
        };
        let mut backoff = Backoff::default();
        let mut has_told = false;
        loop {
            match self.poll(&mut place, inbox).await {
                Ok(pause) => {
                    backoff.reset();
                    inbox.live();
                    if !std::mem::replace(&mut has_told, true) {
                        inbox.note(quota(pause));
                    }
                    sleep(pause).await;
                }
                Err(Trouble::Over(why)) => return inbox.ended(why),
                Err(Trouble::BadPage) if place.page.take().is_some() => {
                    tracing::debug!(
                        "the next page of a chat is unknown; its last one is asked for"
                    );
                    sleep(PAUSE.0).await;
                }
                Err(Trouble::BadPage) => {
                    let failure = Failure::passing("it knows no page, not even its last one");
                    inbox.lost(&failure);
                    backoff.wait(&failure, Duration::ZERO).await;
                }
                Err(Trouble::Failure(failure)) => {
                    inbox.lost(&failure);
                    backoff.wait(&failure, Duration::ZERO).await;
                }
            }
        }
    }

    /// Takes the next messages, and says when to ask again.
    async fn poll(&self, place: &mut Place, inbox: &Inbox) -> Result<Duration, Trouble> {
        let chat = match &place.chat {
            Some(chat) => chat.clone(),
            None => place.chat.insert(self.chat().await?).clone(),
        };
        let mut query = vec![
            ("liveChatId", chat.as_str()),
            ("part", "id,snippet"),
            ("maxResults", "2000"),
        ];
        if let Some(page) = &place.page {
            query.push(("pageToken", page));
        }
        let answer: Chat = self.get("youtube/v3/liveChat/messages", &query).await?;
        // The first page has what was said before.
        let since = match place.page {
            None => place.since,
            Some(_) => Duration::ZERO,
        };
        let mut is_over = answer.is_over;
        for message in answer.items {
            is_over |= message.is("chatEndedEvent");
            let taken = take(&message, since, inbox);
            // A clock that is ahead must not hide what comes.
            let taken = taken.map(|at| at.min(since_epoch()));
            place.since = place.since.max(taken.unwrap_or_default());
        }
        if is_over {
            return Err(Trouble::Over("the stream is over"));
        }
        if let Some(next) = answer.next_page {
            place.page = Some(next);
        }
        let pause = answer.pause.unwrap_or(PAUSE_UNTOLD);
        Ok(pause.clamp(PAUSE.0, PAUSE.1))
    }

    /// The chat's id.
    async fn chat(&self) -> Result<String, Trouble> {
        let video = match &self.address.target {
            Target::Chat(id) => return Ok(id.clone()),
            Target::Video(id) => id,
        };
        let query = [("id", video.as_str()), ("part", "liveStreamingDetails")];
        let videos: Videos = self.get("youtube/v3/videos", &query).await?;
        let refused = |why: String| Trouble::Failure(Failure::refused(why));
        let Some(found) = videos.first else {
            return Err(refused(format!(
                "there is no video {video:?}, or it is private; take what stands after v= in its \
                 address"
            )));
        };
        let Some(live) = found.live else {
            return Err(refused(format!("the video {video:?} is no live stream")));
        };
        match live.chat {
            Some(chat) => Ok(chat),
            None if live.has_ended => Err(Trouble::Over("the stream is over")),
            None if live.has_begun => Err(refused(
                "the stream has no chat; turn it on in YouTube Studio".into(),
            )),
            None => {
                let failure = Failure::passing("the stream has not begun");
                Err(Trouble::Failure(failure.with_pause(Some(NOT_YET_PAUSE))))
            }
        }
    }

    async fn get<T: From<Value>>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Trouble> {
        let passing = |why: String| Trouble::Failure(Failure::passing(why));
        let base = self.address.server.as_str().trim_end_matches('/');
        let request = self.client.get(format!("{base}/{path}")).query(query);
        let mut key = HeaderValue::from_str(&self.key).map_err(|e| passing(e.to_string()))?;
        key.set_sensitive(true);
        let sent = request.header("x-goog-api-key", key).send().await;
        let mut response = sent.map_err(|error| passing(FetchError::from(error).to_string()))?;
        let body = read(&mut response, ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| passing(error.to_string()))?;
        let (status, pause) = (response.status(), retry_after(&response));
        if status.is_success() {
            return match serde_json::from_slice(&body) {
                Ok(answer @ Value::Object(_)) => Ok(answer.into()),
                Ok(_) => Err(passing("the answer is not YouTube's".into())),
                Err(error) => Err(passing(format!("the answer is not YouTube's: {error}"))),
            };
        }
        let refusal = Refusal::read(status, pause, &body, |text| self.redacted(text));
        Err(refusal.trouble())
    }

    /// A text of the server's, which might repeat the key.
    fn redacted(&self, text: &str) -> String {
        text.replace(&self.key, "[key]")
    }
}

/// Takes a message unless it is older than this, and says when it was published.
fn take(message: &WireMessage, since: Duration, inbox: &Inbox) -> Option<Duration> {
    if let Some(id) = message.deleted() {
        inbox.retract_message(&unique(id));
        return None;
    }
    if let Some(user) = message.banned() {
        inbox.retract_user(&unique(user));
        return None;
    }
    let published_at = message.published_at().and_then(iso_8601);
    if published_at.is_some_and(|at| at < since) {
        return None;
    }
    let id = message.id().map(unique);
    let user = message.author().map(unique);
    let none = BTreeMap::new();
    let said = match message.text() {
        Some(text) => Message::chat(text),
        None => Message::event(message.kind(), &none),
    };
    inbox.take(&Arrival {
        id: id.as_deref(),
        user: user.as_deref(),
        published_at,
        ..Arrival::of(said)
    });
    published_at
}

/// Another platform's ids may be the same.
fn unique(id: &str) -> String {
    format!("youtube:{id}")
}

/// What it costs to ask so often.
fn quota(pause: Duration) -> String {
    let an_hour = POLL_UNITS * 3_600.0 / pause.as_secs_f64();
    format!(
        "asks every {:.1} s, as YouTube says, which takes {an_hour:.0} units an hour of the key's \
         quota; a key has {DAY_UNITS} for a day, unless Google gave it more",
        pause.as_secs_f64(),
    )
}
