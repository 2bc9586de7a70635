//! Following one topic: reconnect, resume, report gaps.
//!
//! A source hands each item's reactions on the moment they arrive. There is no queue in between:
//! what is behind it, a channel's stage, is bounded and never waits.

mod momento;

use std::time::Duration;

pub use momento::Momento;

use crate::metrics::Channel as ChannelMetrics;
use crate::reaction::{Palette, Reaction};
use crate::topic::{Broker, Event, TopicName, Value};

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
    loop {
        let events = match broker.next(name, cursor, HOLD).await {
            Ok((events, next)) => {
                cursor = next;
                events
            }
            Err(error) => {
                tracing::warn!("topic {name}: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
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
                    last_sequence,
                    new_sequence,
                    ..
                } => {
                    report_gap(&name.to_string(), metrics, last_sequence, new_sequence);
                }
            }
        }
    }
}

/// Items between the last that was had and the next; unknown after a reset counts as none.
fn report_gap(topic: &str, metrics: &ChannelMetrics, last_sequence: u64, new_sequence: u64) {
    let lost = new_sequence.saturating_sub(last_sequence.saturating_add(1));
    metrics.source_gap_items.inc_by(lost);
    tracing::warn!("topic {topic}: {lost} items lost; goes on at {new_sequence}");
}
