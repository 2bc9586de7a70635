//! One topic's newest items, in order, and what a subscriber at some place gets of them.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::topic::{Cursor, Event, Item, ItemId, Limits, Value};

/// What an item weighs beside its value and publisher, in bytes; about what it takes in memory,
/// with what is rendered of it.
const ITEM_BYTES: usize = 320;

/// So many items that come together are handed out at once: see [`Limits::gather`].
const AT_ONCE: usize = 4;

/// Bounded by [`Limits::ring_items`], [`Limits::ring_bytes`] and [`Limits::ring_age`]; the oldest
/// item leaves first.
#[derive(Debug)]
pub(super) struct Ring {
    page: u64,
    /// The number that the next item gets.
    next: u64,
    /// Numbers are consecutive, and end just before `next`.
    items: VecDeque<(Instant, Arc<Item>)>,
    bytes: usize,
}

impl Ring {
    pub(super) fn new(page: u64) -> Self {
        Self {
            page,
            next: 1,
            items: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The place after the newest item.
    pub(super) fn end(&self) -> Cursor {
        Cursor {
            page: self.page,
            sequence: self.next,
        }
    }

    /// Takes in an item, and gives what it is named.
    pub(super) fn push(
        &mut self,
        value: Value,
        publisher: Option<Arc<str>>,
        published_at: Duration,
        now: Instant,
        limits: &Limits,
    ) -> ItemId {
        let id = ItemId {
            page: self.page,
            sequence: self.next,
        };
        let item = Item {
            page: id.page,
            sequence: id.sequence,
            publisher,
            published_at,
            taken_at: now,
            value,
            rendered: OnceLock::new(),
        };
        self.next += 1;
        self.bytes += weight(&item);
        self.items.push_back((now, Arc::new(item)));
        while self.items.len() > limits.ring_items.max(1)
            || (self.bytes > limits.ring_bytes && self.items.len() > 1)
        {
            self.drop_oldest();
        }
        self.expire(now, limits.ring_age);
        id
    }

    /// Forgets items older than `age`.
    pub(super) fn expire(&mut self, now: Instant, age: Duration) {
        while let Some((at, _)) = self.items.front()
            && now.duration_since(*at) > age
        {
            self.drop_oldest();
        }
    }

    /// The events at `cursor`, and the cursor after them. See [`crate::topic::Broker::next`].
    pub(super) fn read(
        &mut self,
        cursor: Cursor,
        now: Instant,
        limits: &Limits,
    ) -> (Vec<Event>, Cursor) {
        self.expire(now, limits.ring_age);
        let (start, gap) = self.locate(cursor);
        let mut events = Vec::new();
        if gap {
            events.push(Event::Gap {
                last_sequence: cursor.sequence - 1,
                new_sequence: start,
                new_page: self.page,
            });
        }
        let skip = usize::try_from(start - self.oldest()).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut sequence = start;
        for (_, item) in self.items.iter().skip(skip).take(limits.batch_items.max(1)) {
            bytes += item.value.bytes();
            if bytes > limits.batch_bytes && sequence > start {
                break;
            }
            events.push(Event::Item(item.clone()));
            sequence += 1;
        }
        let page = self.page;
        (events, Cursor { page, sequence })
    }

    /// When the items at `cursor` are to be handed out: see [`Limits::gather`]. `None` is at once.
    pub(super) fn ready_at(&self, cursor: Cursor, limits: &Limits) -> Option<Instant> {
        let (start, gap) = self.locate(cursor);
        let first = usize::try_from(start - self.oldest()).ok()?;
        if gap || self.items.len().saturating_sub(first) >= limits.batch_items {
            return None;
        }
        let (before, _) = self.items.get(first.checked_sub(AT_ONCE)?)?;
        let (at, _) = self.items.get(first)?;
        (at.duration_since(*before) < limits.gather).then(|| *at + limits.gather)
    }

    /// The number to go on with, and whether the subscriber must be told of a gap before it.
    fn locate(&self, cursor: Cursor) -> (u64, bool) {
        let named = cursor.page == self.page;
        if cursor.sequence == 0 {
            (self.next, false)
        } else if !named && cursor.page != 0 {
            (self.oldest(), true)
        } else if cursor.sequence > self.next {
            (if named { self.next } else { self.oldest() }, true)
        } else if cursor.sequence < self.oldest() {
            (self.oldest(), true)
        } else {
            (cursor.sequence, false)
        }
    }

    /// The number of the oldest item held; the next one's if none is.
    fn oldest(&self) -> u64 {
        self.items
            .front()
            .map_or(self.next, |(_, item)| item.sequence)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, item)) = self.items.pop_front() {
            self.bytes -= weight(&item);
        }
    }
}

fn weight(item: &Item) -> usize {
    ITEM_BYTES + item.value.bytes() + item.publisher.as_ref().map_or(0, |id| id.len())
}
