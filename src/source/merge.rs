//! Several sources into one channel: what came before is dropped, and what is taken back is found
//! again.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Arrival;
use crate::reaction::Reaction;
use crate::stage::{Entrance, Publisher};
use crate::topic::ItemId;

/// Messages with an id that are remembered, so that none is shown twice and each can be taken back.
/// The oldest is forgotten first: at 500 messages a second that is after half a minute.
const REMEMBERED_MAX: usize = 16_384;

/// The longest id and the longest name of a user that are remembered whole, in bytes; of longer ones
/// the beginning stands for them.
const NAME_BYTES_MAX: usize = 128;

/// What a source delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// The topic's incarnation.
    pub page: u64,
    /// The item's number on it.
    pub sequence: u64,
    /// What the item asks for.
    pub reactions: Vec<Reaction>,
    /// Who sent it, if that is known.
    pub publisher: Option<Publisher>,
    /// When it was sent, since the Unix epoch, if that is known: what the payload says, or else
    /// when it was published.
    pub sent_at: Option<Duration>,
    /// When this process's topic took the item; `None` if it comes straight from a source.
    pub taken_at: Option<Instant>,
}

impl Cue {
    /// The item that it came as.
    #[must_use]
    pub fn item(&self) -> ItemId {
        ItemId {
            page: self.page,
            sequence: self.sequence,
        }
    }

    /// What it asks a stage for at a media time.
    #[must_use]
    pub fn entrance(&self, at: Duration) -> Entrance<'_> {
        Entrance {
            page: self.page,
            sequence: self.sequence,
            publisher: self.publisher,
            reactions: &self.reactions,
            at,
        }
    }
}

/// Where what sources deliver goes: a stage, or a topic. It never waits.
pub trait Receiver: Send + Sync {
    /// Shows what a cue asks for. Gives the item by which [`retract`](Self::retract) knows it; `None`
    /// if there was no room for it.
    fn cue(&self, cue: Cue) -> Option<ItemId>;

    /// Shows nothing of these items any more.
    fn retract(&self, items: &[ItemId]);
}

/// Nobody shows anything.
impl Receiver for () {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        Some(cue.item())
    }

    fn retract(&self, _: &[ItemId]) {}
}

/// A channel's sources, brought together.
pub struct Merge {
    receiver: Box<dyn Receiver>,
    remembered: Mutex<Remembered>,
    /// Of messages that come with no page and number of their own.
    page: u64,
    next: AtomicU64,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Remembered {
    /// By id. At most [`REMEMBERED_MAX`].
    by_id: HashMap<Box<str>, Known>,
    /// The ids, oldest first.
    order: VecDeque<Box<str>>,
}

#[derive(Debug)]
struct Known {
    user: Option<Box<str>>,
    /// `None` until it has been delivered.
    item: Option<ItemId>,
    is_retracted: bool,
}

impl Merge {
    /// `page` is that of messages without one: the process's start in milliseconds since 1970, so that
    /// no two runs put them at the same places.
    #[must_use]
    pub fn new(receiver: Box<dyn Receiver>, page: u64) -> Self {
        Self {
            receiver,
            remembered: Mutex::default(),
            page,
            next: AtomicU64::new(1),
        }
    }

    /// Remembers a message's id; `false` if it is known.
    pub(super) fn is_new(&self, id: &str, user: Option<&str>) -> bool {
        let id: Box<str> = cut(id).into();
        let mut remembered = self.lock();
        if remembered.by_id.contains_key(&id) {
            return false;
        }
        if remembered.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.by_id.remove(&oldest);
        }
        remembered.order.push_back(id.clone());
        let known = Known {
            user: user.map(|user| cut(user).into()),
            item: None,
            is_retracted: false,
        };
        remembered.by_id.insert(id, known);
        true
    }

    /// Remembers an id no more, since its message could not be delivered.
    pub(super) fn forget(&self, id: &str) {
        let mut remembered = self.lock();
        let id = cut(id);
        if remembered.by_id.remove(id).is_some() {
            // It is among the newest.
            let at = remembered.order.iter().rposition(|other| &**other == id);
            at.map(|at| remembered.order.remove(at));
        }
    }

    /// Delivers what a message asks for.
    pub(super) fn deliver(
        &self,
        arrival: &Arrival<'_>,
        publisher: Option<Publisher>,
        reactions: Vec<Reaction>,
        sent_at: Option<Duration>,
    ) -> bool {
        let ItemId { page, sequence } = arrival.place.unwrap_or_else(|| ItemId {
            page: self.page,
            sequence: self.next.fetch_add(1, Ordering::Relaxed),
        });
        let item = self.receiver.cue(Cue {
            page,
            sequence,
            reactions,
            publisher,
            sent_at,
            taken_at: arrival.taken_at,
        });
        let (Some(item), Some(id)) = (item, arrival.id) else {
            return item.is_some();
        };
        let mut remembered = self.lock();
        let Some(known) = remembered.by_id.get_mut(cut(id)) else {
            return true;
        };
        known.item = Some(item);
        // It was taken back by another connection in the meantime.
        let is_retracted = known.is_retracted;
        drop(remembered);
        if is_retracted {
            self.receiver.retract(&[item]);
        }
        true
    }

    /// Takes a message back; one that has yet to come is not shown when it does.
    pub(super) fn retract_message(&self, id: &str) {
        if self.is_new(id, None) {
            tracing::debug!("a message was taken back that has not come");
        }
        let mut remembered = self.lock();
        let Some(known) = remembered.by_id.get_mut(cut(id)) else {
            return;
        };
        known.is_retracted = true;
        let item = known.item;
        drop(remembered);
        self.receiver.retract(item.as_slice());
    }

    /// Takes all messages of a user back that are remembered.
    pub(super) fn retract_user(&self, user: &str) {
        let user = cut(user);
        let mut items = Vec::new();
        for known in self.lock().by_id.values_mut() {
            if known.user.as_deref() == Some(user) && !known.is_retracted {
                known.is_retracted = true;
                items.extend(known.item);
            }
        }
        self.receiver.retract(&items);
    }

    /// Takes back what came as these items.
    pub(super) fn retract(&self, items: &[ItemId]) {
        self.receiver.retract(items);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // No code under the lock leaves a change half made, so a poisoned value is whole.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The beginning of a name that is too long to be kept.
fn cut(name: &str) -> &str {
    let fits = |end: &usize| name.is_char_boundary(*end);
    let end = (0..=name.len().min(NAME_BYTES_MAX)).rev().find(fits);
    &name[..end.unwrap_or_default()]
}
