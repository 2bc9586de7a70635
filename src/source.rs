//! Following one topic: reconnect, resume, report gaps.
//!
//! A source hands each item's reactions on the moment they arrive. There is no queue in between:
//! what is behind it, a channel's stage, is bounded and never waits.

pub mod momento;

use std::time::Duration;

use momento::Momento;

use crate::metrics::Channel as ChannelMetrics;
use crate::reaction::{Palette, Reaction};
use crate::topic::{Broker, Cursor, Event, TopicName, Value};

/// What a source delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// The topic's incarnation.
    pub page: u64,
    /// The item's number on it.
    pub sequence: u64,
    /// What the item asks for.
    pub reactions: Vec<Reaction>,
}

/// Where reactions come from.
#[derive(Debug)]
pub enum Source {
    /// A topic of this process's own broker.
    Embedded(Broker, TopicName),
    /// An endpoint that speaks Momento's HTTP API.
    Momento(Momento),
}

/// How long one wait for the embedded broker lasts; any length will do.
const HOLD: Duration = Duration::from_secs(60);

/// How long to wait before asking a full broker again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

impl Source {
    /// Follows the topic for as long as the future is kept, from what is published next on.
    pub async fn follow(
        self,
        palette: &Palette,
        metrics: &ChannelMetrics,
        deliver: impl Fn(Cue),
    ) -> ! {
        match self {
            Self::Embedded(broker, name) => {
                embedded(&broker, &name, palette, metrics, deliver).await
            }
            Self::Momento(momento) => momento.follow(palette, metrics, deliver).await,
        }
    }
}

async fn embedded(
    broker: &Broker,
    name: &TopicName,
    palette: &Palette,
    metrics: &ChannelMetrics,
    deliver: impl Fn(Cue),
) -> ! {
    let mut cursor = broker.latest(name);
    let mut told = false;
    loop {
        let before = cursor;
        let events = match broker.next(name, cursor, HOLD).await {
            Ok((events, next)) => {
                cursor = next;
                told = false;
                events
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("topic {name}: {error}; waiting for a place");
                }
                tokio::time::sleep(FULL_PAUSE).await;
                continue;
            }
        };
        for event in events {
            match event {
                Event::Item(item) => {
                    if let Value::Text(text) = &item.value
                        && let Ok(reactions) = palette.decode(text)
                    {
                        deliver(Cue {
                            page: item.page,
                            sequence: item.sequence,
                            reactions,
                        });
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
                    report_gap(name, metrics, before, next);
                }
            }
        }
    }
}

/// Counts the items between the one that was expected and the one that comes. Of a topic that was
/// reset, only those of its new page are known to be missing.
fn report_gap(topic: &TopicName, metrics: &ChannelMetrics, expected: Cursor, next: Cursor) {
    let was_reset = expected.page != 0 && next.page != expected.page;
    let first = if was_reset { 1 } else { expected.sequence };
    let lost = next.sequence.saturating_sub(first);
    metrics.source_gap_items.inc_by(lost);
    if was_reset {
        tracing::warn!("topic {topic} was reset, with {lost} items lost since");
    } else {
        tracing::warn!("topic {topic}: {lost} items lost");
    }
}
