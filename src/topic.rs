//! The broker: named topics, numbered items, and a bounded memory of the newest ones.
//!
//! Publishers never wait. A subscriber asks for what comes after its [`Cursor`]; what the ring of
//! the topic no longer holds is reported as one [`Event::Gap`], never skipped silently.
//! Numbers start at 1 and restart only on a new *page*, so (page, number) names an item for good.

mod ring;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::ring::Ring;

/// The longest cache or topic name, in bytes, once decoded.
pub const NAME_BYTES_MAX: usize = 256;

/// Items that one item takes back at most.
const RETRACTED_AT_ONCE: usize = 100;

/// A topic of a cache. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TopicName {
    cache: Arc<str>,
    topic: Arc<str>,
}

/// A name that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} name {name:?}: expected 1 to {max} bytes without '/', '\\' or control characters, \
     and neither '.' nor '..'",
    max = NAME_BYTES_MAX
)]
pub struct NameError {
    kind: &'static str,
    name: String,
}

impl TopicName {
    /// A topic by its cache's name and its own, both percent-decoded.
    ///
    /// # Errors
    /// [`NameError`] names the part that is at fault, and what is accepted.
    pub fn new(cache: &str, topic: &str) -> Result<Self, NameError> {
        Ok(Self {
            cache: checked("cache", cache)?,
            topic: checked("topic", topic)?,
        })
    }

    /// The cache's name.
    #[must_use]
    pub fn cache(&self) -> &str {
        &self.cache
    }

    /// The topic's name within its cache.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

/// Whether a cache, a topic or a channel may be called this: 1 to [`NAME_BYTES_MAX`] bytes without
/// slashes or control characters, and neither `.` nor `..`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control())
        && !matches!(name, "." | "..")
}

/// A name as one segment of a path, or as a value in a query: percent-encoded but for the unreserved
/// characters (RFC 3986, 2.3).
#[must_use]
pub fn encoded(name: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(name, RESERVED).to_string()
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cache, self.topic)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// What a publisher sent, as it came. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Valid UTF-8.
    Text(Arc<str>),
    /// Any bytes.
    Binary(Arc<[u8]>),
    /// Numbers of the same page whose items are taken back. No publisher can send it: see
    /// [`Broker::retract`].
    Retraction(Arc<[u64]>),
}

impl Value {
    /// Length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Retraction(sequences) => size_of_val(&**sequences),
        }
    }
}

/// What names an item of a topic for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemId {
    /// The incarnation of the topic.
    pub page: u64,
    /// The item's number on it.
    pub sequence: u64,
}

/// One published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The incarnation of the topic that the number belongs to.
    pub page: u64,
    /// The item's number on its page, from 1, without holes.
    pub sequence: u64,
    /// The id in the publisher's token; none for an anonymous one.
    pub publisher: Option<Arc<str>>,
    /// When it was published, since the Unix epoch.
    pub published_at: Duration,
    /// When the topic took it.
    pub taken_at: Instant,
    /// The message.
    pub value: Value,
    /// What a server sends of it to each of many subscribers, made for the first; `None` is nothing.
    pub rendered: OnceLock<Option<Bytes>>,
}

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next item.
    Item(Arc<Item>),
    /// Items are missing here, or the topic was reset.
    Gap {
        /// The last number that the subscriber has, by its own account; 0 is unknown.
        last_sequence: u64,
        /// The number that comes next.
        new_sequence: u64,
        /// The page of that number.
        new_page: u64,
    },
}

/// A subscriber's place in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The page of the last item had; 0 is unknown, and taken for the current one.
    pub page: u64,
    /// The number expected next; 0 is whatever is published from now on.
    pub sequence: u64,
}

/// Bounds of a [`Broker`], and what happens at each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items a ring holds. The oldest makes room; who still needs it is told of the gap.
    pub ring_items: usize,
    /// Bytes a ring holds, counting each item's own weight. The oldest makes room, as above.
    pub ring_bytes: usize,
    /// How long a ring holds an item. It is not handed out after that.
    pub ring_age: Duration,
    /// Longest value in bytes. A longer one is refused.
    pub value_bytes: usize,
    /// Topics held. The one idle longest makes room if nobody waits on it; else the new topic is
    /// refused.
    pub topics_max: usize,
    /// A topic that nobody has used or waited on for this long is removed.
    pub idle: Duration,
    /// Most items handed out at once.
    pub batch_items: usize,
    /// Most bytes of values handed out at once; a single longer one still goes.
    pub batch_bytes: usize,
    /// An item that is the fifth within this time, or a later one, is handed out when it is this old,
    /// with those that came meanwhile, unless a batch is full before. A busy topic so costs its
    /// subscribers one answer where it would cost one for each item; of a quiet one nothing waits,
    /// even if a few items happen to come together.
    pub gather: Duration,
}

impl Default for Limits {
    /// What the service runs with: at most 512 KiB in each of at most 1,000 topics.
    fn default() -> Self {
        Self {
            ring_items: 1_000,
            ring_bytes: 512 * 1024,
            ring_age: Duration::from_secs(60),
            value_bytes: 4 * 1024,
            topics_max: 1_000,
            idle: Duration::from_secs(600),
            batch_items: 250,
            batch_bytes: 64 * 1024,
            gather: Duration::from_millis(2),
        }
    }
}

/// Why the broker takes no part in something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Every topic that fits is in use.
    #[error("all {max} topics are in use; try again when one has fallen idle")]
    Full {
        /// [`Limits::topics_max`].
        max: usize,
    },
    /// The value is too long.
    #[error("the message has {bytes} bytes; at most {max} are accepted")]
    TooLarge {
        /// Length of the value.
        bytes: usize,
        /// [`Limits::value_bytes`].
        max: usize,
    },
}

/// All topics of one process. A handle: clones share the topics.
///
/// The lock is a blocking one, because nothing waits while it is held: every hold is a few map
/// and ring operations. An async lock would cost more and let a task be parked with it.
#[derive(Clone, Debug)]
pub struct Broker {
    limits: Limits,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// At most [`Limits::topics_max`].
    topics: HashMap<TopicName, Topic>,
    /// The page of the next topic to be made; above that of every topic ever removed with items.
    page: u64,
}

#[derive(Debug)]
struct Topic {
    ring: Ring,
    /// Every waiting subscriber holds a clone, and for a moment whoever publishes.
    changed: Arc<Notify>,
    used: Instant,
}

impl Broker {
    /// A broker without topics, whose first page is `page`: the process's start in milliseconds since
    /// 1970, so that pages grow from one run to the next. A `page` of 0 is taken for 1.
    #[must_use]
    pub fn new(limits: Limits, page: u64) -> Self {
        let state = State {
            topics: HashMap::new(),
            page: page.max(1),
        };
        Self {
            limits,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The bounds that it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Publishes to a topic, which is made if it doesn't exist, and returns what the item is named.
    /// Never waits for a subscriber. `published_at` is the time since the Unix epoch.
    ///
    /// # Errors
    /// [`BrokerError`]; nothing is published then.
    pub fn publish(
        &self,
        name: &TopicName,
        value: Value,
        publisher: Option<Arc<str>>,
        published_at: Duration,
    ) -> Result<ItemId, BrokerError> {
        if value.bytes() > self.limits.value_bytes {
            return Err(BrokerError::TooLarge {
                bytes: value.bytes(),
                max: self.limits.value_bytes,
            });
        }
        let now = Instant::now();
        let mut state = self.lock();
        let topic = state.open(name, &self.limits, now)?;
        let id = topic
            .ring
            .push(value, publisher, published_at, now, &self.limits);
        let changed = Arc::clone(&topic.changed);
        // To wake thousands takes long, and each of them wants the lock.
        drop(state);
        changed.notify_waiters();
        Ok(id)
    }

    /// Takes items back: subscribers are told to show nothing of them any more. Those of another
    /// page than the topic's current one are long over and passed over.
    pub fn retract(&self, name: &TopicName, items: &[ItemId], at: Duration) {
        let now = Instant::now();
        // Under one lock, since a topic that is made again meanwhile has other items of these numbers.
        let mut state = self.lock();
        let Some(topic) = state.topics.get_mut(name) else {
            return;
        };
        let page = topic.ring.end().page;
        let of_page = items.iter().filter(|item| item.page == page);
        let sequences: Vec<u64> = of_page.map(|item| item.sequence).collect();
        if sequences.is_empty() {
            return;
        }
        topic.used = now;
        for some in sequences.chunks(RETRACTED_AT_ONCE) {
            let value = Value::Retraction(some.into());
            topic.ring.push(value, None, at, now, &self.limits);
        }
        let changed = Arc::clone(&topic.changed);
        drop(state);
        changed.notify_waiters();
    }

    /// The place of a subscriber that wants only what is published from now on.
    #[must_use]
    pub fn latest(&self, name: &TopicName) -> Cursor {
        let state = self.lock();
        match state.topics.get(name) {
            Some(topic) => topic.ring.end(),
            None => Cursor {
                page: state.page,
                sequence: 1,
            },
        }
    }

    /// What comes at `cursor`, and the cursor to go on with. Waits up to `hold` if there is
    /// nothing yet; no events after that. At most [`Limits::batch_items`] and
    /// [`Limits::batch_bytes`] at once.
    ///
    /// What the ring can't give is told by one [`Event::Gap`] before the items:
    /// - `cursor` is older than the ring, or of another page, or ahead of a page that it does not
    ///   name: goes on at the oldest item held;
    /// - `cursor` is ahead of the page that it names: goes on at the next item.
    ///
    /// Dropping the future loses nothing: the same `cursor` can be asked for again.
    ///
    /// # Errors
    /// [`BrokerError::Full`]: the topic doesn't exist, and no room can be made for it.
    pub async fn next(
        &self,
        name: &TopicName,
        mut cursor: Cursor,
        hold: Duration,
    ) -> Result<(Vec<Event>, Cursor), BrokerError> {
        let deadline = Instant::now() + hold;
        loop {
            let (changed, ready_at) = {
                let now = Instant::now();
                let mut state = self.lock();
                let topic = state.open(name, &self.limits, now)?;
                let ready_at = topic.ring.ready_at(cursor, &self.limits);
                let ready_at = ready_at.filter(|at| now < deadline.min(*at));
                if ready_at.is_none() {
                    let (events, next) = topic.ring.read(cursor, now, &self.limits);
                    if !events.is_empty() {
                        return Ok((events, next));
                    }
                    cursor = next;
                }
                // Made under the lock, so no publish falls between the read and the wait.
                (topic.changed.clone().notified_owned(), ready_at)
            };
            match ready_at {
                Some(at) => {
                    sleep_until(at.min(deadline)).await;
                    // Until here the topic is seen to be waited on.
                    drop(changed);
                }
                None if timeout_at(deadline, changed).await.is_err() => {
                    return Ok((Vec::new(), cursor));
                }
                None => {}
            }
        }
    }

    /// Removes topics that have been idle for [`Limits::idle`], forgets items past
    /// [`Limits::ring_age`], and returns how many topics are left.
    pub fn reap(&self, now: Instant) -> usize {
        let mut state = self.lock();
        let idle: Vec<TopicName> = state
            .topics
            .iter()
            .filter(|(_, topic)| {
                !topic.is_watched() && now.duration_since(topic.used) >= self.limits.idle
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            state.remove(&name);
        }
        for topic in state.topics.values_mut() {
            topic.ring.expire(now, self.limits.ring_age);
        }
        state.topics.len()
    }

    /// How many topics are held now.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.lock().topics.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics halfway through a change, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(
        &mut self,
        name: &TopicName,
        limits: &Limits,
        now: Instant,
    ) -> Result<&mut Topic, BrokerError> {
        if !self.topics.contains_key(name) {
            if self.topics.len() >= limits.topics_max {
                self.make_room(limits.topics_max)?;
            }
            let topic = Topic {
                ring: Ring::new(self.page),
                changed: Arc::default(),
                used: now,
            };
            self.topics.insert(name.clone(), topic);
        }
        let topic = self
            .topics
            .get_mut(name)
            .expect("invariant: it was there or has just been put there");
        topic.used = now;
        Ok(topic)
    }

    fn make_room(&mut self, max: usize) -> Result<(), BrokerError> {
        let idlest = self
            .topics
            .iter()
            .filter(|(_, topic)| !topic.is_watched())
            .min_by_key(|(_, topic)| topic.used)
            .map(|(name, _)| name.clone())
            .ok_or(BrokerError::Full { max })?;
        self.remove(&idlest);
        Ok(())
    }

    /// A topic of the same name may be made later; its numbers restart, so its page must be above
    /// every page under which they were used.
    fn remove(&mut self, name: &TopicName) {
        if let Some(topic) = self.topics.remove(name) {
            let end = topic.ring.end();
            if end.sequence > 1 {
                self.page = self.page.max(end.page + 1);
            }
        }
    }
}

impl Topic {
    fn is_watched(&self) -> bool {
        Arc::strong_count(&self.changed) > 1
    }
}

fn checked(kind: &'static str, name: &str) -> Result<Arc<str>, NameError> {
    if is_name(name) {
        Ok(name.into())
    } else {
        // The message must not be as long as what a hostile client sends.
        let name = name.chars().take(64).collect();
        Err(NameError { kind, name })
    }
}
