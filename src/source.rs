//! Following one topic: reconnect, resume, report gaps.
//!
//! A source hands each item's reactions on the moment they arrive. There is no queue in between:
//! what is behind it, a channel's stage, is bounded and never waits.

pub mod momento;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use momento::Momento;
use serde::Deserialize;

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
    /// When it was sent, since the Unix epoch, if that is known: what the payload says, or else
    /// when it was published.
    pub sent_at: Option<Duration>,
}

/// Where reactions come from.
#[derive(Debug)]
pub enum Source {
    /// A topic of this process's own broker.
    Embedded(Broker, TopicName),
    /// An endpoint that speaks Momento's HTTP API.
    Momento(Momento),
}

/// A time that is further from now than this is that of a clock that is wrong.
const PLAUSIBLE: Duration = Duration::from_secs(3_600);

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
                            sent_at: sent_at(text, Some(item.published_at), since_epoch()),
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

/// When a payload was sent, since the Unix epoch: the number of milliseconds that its JSON has as
/// `sent_at` or `timestamp`, or else when it was published. A time more than [`PLAUSIBLE`] from
/// `now` is none.
fn sent_at(payload: &str, published_at: Option<Duration>, now: Duration) -> Option<Duration> {
    #[derive(Default, Deserialize)]
    struct Stamps {
        sent_at: Option<serde_json::Value>,
        timestamp: Option<serde_json::Value>,
    }
    let stamps: Stamps = match payload.trim_start().starts_with('{') {
        true => serde_json::from_str(payload).unwrap_or_default(),
        false => Stamps::default(),
    };
    let told = [stamps.sent_at, stamps.timestamp];
    let told = told.iter().flatten().filter_map(milliseconds);
    told.chain(published_at)
        .find(|at| at.abs_diff(now) <= PLAUSIBLE)
}

/// A number of milliseconds.
fn milliseconds(number: &serde_json::Value) -> Option<Duration> {
    let whole = number.as_u64().map(Duration::from_millis);
    whole.or_else(|| Duration::try_from_secs_f64(number.as_f64()? / 1_000.0).ok())
}

/// The calendar's time, since the Unix epoch; zero if the clock stands before that.
#[expect(
    clippy::disallowed_methods,
    reason = "when messages are sent is a time of the calendar"
)]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_when_it_was_sent() {
        const NOW: u64 = 1_763_000_000_000;
        let sent = |payload: &str, published: Option<u64>| {
            let published = published.map(Duration::from_millis);
            sent_at(payload, published, Duration::from_millis(NOW))
        };
        let at = |ms: u64| Some(Duration::from_millis(ms));
        let cases = [
            ("heart", None, None),
            ("heart", Some(NOW - 5), at(1_762_999_999_995)),
            (
                r#" {"reaction":"heart","timestamp":1762999999000}"#,
                Some(NOW),
                at(1_762_999_999_000),
            ),
            (
                r#"{"timestamp":1762999999000,"sent_at":1762999998000.0}"#,
                None,
                at(1_762_999_998_000),
            ),
            // An hour is as far as it may be.
            (r#"{"sent_at":1763003600000}"#, None, at(1_763_003_600_000)),
            (r#"{"sent_at":1763003600001}"#, None, None),
            (
                r#"{"sent_at":1762996399999}"#,
                Some(NOW),
                at(1_763_000_000_000),
            ),
            // Seconds, text, and what is no time.
            (r#"{"timestamp":1763000000}"#, None, None),
            (r#"{"timestamp":"1763000000000"}"#, None, None),
            (r#"{"timestamp":-1}"#, None, None),
            (r#"{"timestamp":1e300}"#, None, None),
            (r#"{"timestamp":1763000000000"#, None, None),
            ("1763000000000", None, None),
            ("heart", Some(0), None),
            ("heart", Some(u64::MAX), None),
        ];
        for (payload, published, expected) in cases {
            assert_eq!(
                sent(payload, published),
                expected,
                "{payload} {published:?}"
            );
        }
    }
}
