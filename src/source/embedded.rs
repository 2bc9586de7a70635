//! The topic of this process's own broker: how a channel follows it, and how other sources get in.

use std::time::Duration;

use super::inbox::{Arrival, Inbox, State};
use super::merge::{Cue, Receiver};
use super::since_epoch;
use crate::reaction::{self, Message};
use crate::topic::{Broker, Cursor, Event, ItemId, TopicName, Value};

/// What the channel's own topic is called among its sources.
pub const EMBEDDED: &str = "embedded";

/// How long one wait for the embedded broker lasts; any length will do.
const HOLD: Duration = Duration::from_secs(60);

/// How long to wait before asking a full broker again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Follows a topic of this process's own broker for as long as the future is kept, from what is
/// published next on.
pub async fn follow_topic(broker: &Broker, name: &TopicName, inbox: &Inbox) -> ! {
    let mut cursor = broker.latest(name);
    inbox.live();
    loop {
        let before = cursor;
        let events = match broker.next(name, cursor, HOLD).await {
            Ok((events, next)) => {
                cursor = next;
                inbox.live();
                events
            }
            Err(error) => {
                let why = format!("{error}; waiting for a place");
                inbox.set_state(State::Waiting, &why);
                tokio::time::sleep(FULL_PAUSE).await;
                continue;
            }
        };
        for event in events {
            match event {
                Event::Item(item) => {
                    let place = ItemId {
                        page: item.page,
                        sequence: item.sequence,
                    };
                    match &item.value {
                        Value::Text(text) => {
                            inbox.take(&Arrival {
                                place: Some(place),
                                user: item.publisher.as_deref(),
                                published_at: Some(item.published_at),
                                taken_at: Some(item.taken_at.into_std()),
                                ..Arrival::of(Message::payload(text))
                            });
                        }
                        Value::Retraction(sequences) => {
                            let of_page = |&sequence| ItemId { sequence, ..place };
                            let items: Vec<_> = sequences.iter().map(of_page).collect();
                            inbox.retract(&items);
                        }
                        Value::Binary(_) => inbox.refuse(),
                    }
                }
                Event::Gap {
                    new_sequence,
                    new_page,
                    ..
                } => {
                    let next = Cursor {
                        page: new_page,
                        sequence: new_sequence,
                    };
                    report_gap(inbox, before, next);
                }
            }
        }
    }
}

/// Counts the items between the one that was expected and the one that comes. Of a topic that was
/// reset, only those of its new page are known to be missing.
pub(super) fn report_gap(inbox: &Inbox, expected: Cursor, next: Cursor) {
    let was_reset = expected.page != 0 && next.page != expected.page;
    let first = if was_reset { 1 } else { expected.sequence };
    inbox.gap(next.sequence.saturating_sub(first), was_reset);
}

/// Publishes what other sources deliver to a topic, so that its pages and its channel show the same.
#[derive(Debug)]
pub struct Bridge {
    broker: Broker,
    name: TopicName,
}

impl Bridge {
    /// A bridge to a topic.
    #[must_use]
    pub fn new(broker: Broker, name: TopicName) -> Self {
        Self { broker, name }
    }
}

impl Receiver for Bridge {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let text = reaction::encode(&cue.reactions);
        let at = cue.sent_at.unwrap_or_else(since_epoch);
        // Told from others, and not named to everyone who reads the topic.
        let publisher = cue.publisher.map(|publisher| publisher.to_string().into());
        let published = self
            .broker
            .publish(&self.name, Value::Text(text.into()), publisher, at);
        published
            .inspect_err(|error| tracing::warn!("topic {}: {error}", self.name))
            .ok()
    }

    fn retract(&self, items: &[ItemId]) {
        self.broker.retract(&self.name, items, since_epoch());
    }
}
