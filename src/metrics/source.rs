//! What a source counts, and the state that it is in.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;

/// The figures of all sources.
#[derive(Debug, Default)]
pub(super) struct Sources {
    messages: Family<MessageLabel, Counter>,
    reconnects: Family<SourceLabel, Counter>,
    gap_items: Family<SourceLabel, Counter>,
    state: Family<StateLabel, Gauge>,
    lag_seconds: Family<SourceLabel, Gauge<f64, AtomicU64>>,
}

/// The figures of one source of a channel, looked up once.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Messages that asked for reactions, and got them.
    pub accepted: Counter,
    /// Messages that name nothing in the palette.
    pub unknown: Counter,
    /// Messages of another kind.
    pub other_type: Counter,
    /// Messages that had come before.
    pub duplicate: Counter,
    /// Messages that were not looked at: too long, malformed, or wrongly signed.
    pub refused: Counter,
    /// Messages that the channel's gate did not let in.
    pub limited: Counter,
    /// Times that it had to connect again.
    pub reconnects: Counter,
    /// Messages that it reported as lost.
    pub gap_items: Counter,
    /// 1 for the state that it is in, else 0; in the order of the names given.
    pub states: Vec<Gauge>,
    /// How long its newest message was on its way.
    pub lag: Lag,
}

/// How long a source's newest message was on its way. It is in no exposition before it is known.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    all: Family<SourceLabel, Gauge<f64, AtomicU64>>,
    label: SourceLabel,
}

impl Lag {
    /// A message was on its way for so long.
    pub fn set(&self, lag: Duration) {
        self.all.get_or_create(&self.label).set(lag.as_secs_f64());
    }
}

#[derive(Clone, Debug, Default, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SourceLabel {
    channel: String,
    source: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MessageLabel {
    channel: String,
    source: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    channel: String,
    source: String,
    state: &'static str,
}

impl Metrics {
    /// The figures of a channel's source, which is in one of these states.
    #[must_use]
    pub fn source(&self, channel: &str, source: &str, states: &[&'static str]) -> Source {
        let label = SourceLabel {
            channel: channel.into(),
            source: source.into(),
        };
        let messages = |outcome| {
            self.sources.messages.get_or_create_owned(&MessageLabel {
                channel: channel.into(),
                source: source.into(),
                outcome,
            })
        };
        let state = |&state: &&'static str| {
            self.sources.state.get_or_create_owned(&StateLabel {
                channel: channel.into(),
                source: source.into(),
                state,
            })
        };
        Source {
            accepted: messages("accepted"),
            unknown: messages("unknown"),
            other_type: messages("other_type"),
            duplicate: messages("duplicate"),
            refused: messages("refused"),
            limited: messages("limited"),
            reconnects: self.sources.reconnects.get_or_create_owned(&label),
            gap_items: self.sources.gap_items.get_or_create_owned(&label),
            states: states.iter().map(state).collect(),
            lag: Lag {
                all: self.sources.lag_seconds.clone(),
                label,
            },
        }
    }
}

impl Sources {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "source_messages",
            "Messages that a source got, by what became of them",
            self.messages.clone(),
        );
        r.register(
            "source_state",
            "1 for the state that a source is in",
            self.state.clone(),
        );
        r.register(
            "source_reconnects",
            "Times that a source connected again",
            self.reconnects.clone(),
        );
        r.register(
            "source_gap_items",
            "Items that a source reported as lost",
            self.gap_items.clone(),
        );
        r.register(
            "source_lag_seconds",
            "Time that a source's newest message was on its way",
            self.lag_seconds.clone(),
        );
    }
}
