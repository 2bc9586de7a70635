//! What gates don't let in.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::gate::Refusal;

/// The figures of all gates.
#[derive(Debug, Default)]
pub(super) struct Gates(Family<Label, Counter>);

/// The figures of one channel's gate.
#[derive(Clone, Debug)]
pub struct Gate {
    /// In the order of [`Refusal::ALL`].
    refusals: [Counter; Refusal::ALL.len()],
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    channel: String,
    reason: &'static str,
}

impl Gate {
    /// Counts a message that wasn't let in.
    pub fn count(&self, refusal: Refusal) {
        let all = Refusal::ALL.iter().zip(&self.refusals);
        for (_, counter) in all.filter(|(one, _)| **one == refusal) {
            counter.inc();
        }
    }
}

impl Metrics {
    /// The figures of the gate of the channel of this name, which must come from the settings.
    #[must_use]
    pub fn gate(&self, channel: &str) -> Gate {
        let counter = |refusal: Refusal| {
            self.gates.0.get_or_create_owned(&Label {
                channel: channel.into(),
                reason: refusal.word(),
            })
        };
        Gate {
            refusals: Refusal::ALL.map(counter),
        }
    }
}

impl Gates {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "gate_refusals",
            "Messages that a channel's gate did not let in",
            self.0.clone(),
        );
    }
}
