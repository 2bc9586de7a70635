//! What is counted of timed metadata.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{ChannelLabel, Metrics};

/// The figures of all channels.
#[derive(Debug, Default)]
pub(super) struct All {
    calls: Family<ChannelLabel, Counter>,
    failures: Family<ChannelLabel, Counter>,
    sent: Family<ChannelLabel, Counter>,
    dropped: Family<ChannelLabel, Counter>,
}

/// What is counted of one channel's metadata. Fields are handles: to clone one is cheap.
#[derive(Clone, Debug, Default)]
pub struct TimedMetadata {
    /// Calls that were answered well.
    pub calls: Counter,
    /// Calls that were refused or failed.
    pub failures: Counter,
    /// Reactions that were sent.
    pub sent: Counter,
    /// Reactions that were dropped, since they could not be sent in time.
    pub dropped: Counter,
}

impl Metrics {
    /// The figures of a channel's timed metadata.
    #[must_use]
    pub fn timed_metadata(&self, channel: &str) -> TimedMetadata {
        let label = ChannelLabel {
            channel: channel.into(),
        };
        let all = &self.timed_metadata;
        TimedMetadata {
            calls: all.calls.get_or_create_owned(&label),
            failures: all.failures.get_or_create_owned(&label),
            sent: all.sent.get_or_create_owned(&label),
            dropped: all.dropped.get_or_create_owned(&label),
        }
    }
}

impl All {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "timed_metadata_calls",
            "Calls of PutMetadata that were answered well",
            self.calls.clone(),
        );
        r.register(
            "timed_metadata_failures",
            "Calls of PutMetadata that were refused or failed",
            self.failures.clone(),
        );
        r.register(
            "timed_metadata_reactions",
            "Reactions that were sent as timed metadata",
            self.sent.clone(),
        );
        r.register(
            "timed_metadata_reactions_dropped",
            "Reactions that could not be sent in time",
            self.dropped.clone(),
        );
    }
}
