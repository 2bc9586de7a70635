//! What stages count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::ChannelLabel;
use crate::stage::{self, Tally};

/// The figures of all stages.
#[derive(Debug, Default)]
pub(super) struct Stages {
    live: Family<ChannelLabel, Gauge>,
    waiting: Family<ChannelLabel, Gauge>,
    shown: Family<ChannelLabel, Counter>,
    dropped: Family<DropLabel, Counter>,
    merged: Family<MergeLabel, Counter>,
    fainter: Family<ChannelLabel, Counter>,
}

/// The figures of one channel's stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Sprites on it now.
    pub live: Gauge,
    /// Sprites that wait for room now.
    pub waiting: Gauge,
    /// Sprites that came on.
    pub shown: Counter,
    /// Of those, the ones that made room for others before their end.
    pub retired: Counter,
    /// Sprites that never came on, since the stage was full.
    pub dropped: Counter,
    /// Sprites that never came on, since the queue was full.
    pub queue_full: Counter,
    /// Sprites that never came on, since they had waited too long.
    pub queue_stale: Counter,
    /// Reactions for which another sprite of the same message stands.
    pub condensed: Counter,
    /// Reactions that are in the number beside another sprite.
    pub aggregated: Counter,
    /// Reactions that are on the bar of a quiet stage.
    pub on_bar: Counter,
    /// Frames that are fainter than they would be, so that they don't flash.
    pub fainter: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DropLabel {
    channel: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MergeLabel {
    channel: String,
    into: &'static str,
}

impl Stage {
    /// Counts what has become of reactions, and shows how many sprites there are.
    pub fn show(&self, stage: &mut stage::Stage) {
        self.count(stage.take_tally());
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.live.set(gauge(stage.len()));
        self.waiting.set(gauge(stage.waiting()));
    }

    /// Counts what has become of reactions.
    pub fn count(&self, tally: Tally) {
        let counts = [
            (&self.shown, tally.shown),
            (&self.retired, tally.retired),
            (&self.dropped, tally.dropped),
            (&self.queue_full, tally.queue_full),
            (&self.queue_stale, tally.queue_stale),
            (&self.condensed, tally.condensed),
            (&self.aggregated, tally.aggregated),
            (&self.on_bar, tally.on_bar),
        ];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
    }
}

impl Stages {
    /// Those of the channel of this name.
    pub(super) fn of(&self, channel: &str) -> Stage {
        let label = ChannelLabel {
            channel: channel.into(),
        };
        let dropped = |reason| {
            let channel = channel.into();
            self.dropped
                .get_or_create_owned(&DropLabel { channel, reason })
        };
        let merged = |into| {
            let channel = channel.into();
            self.merged
                .get_or_create_owned(&MergeLabel { channel, into })
        };
        Stage {
            live: self.live.get_or_create_owned(&label),
            waiting: self.waiting.get_or_create_owned(&label),
            shown: self.shown.get_or_create_owned(&label),
            retired: dropped("retire_oldest"),
            dropped: dropped("drop_newest"),
            queue_full: dropped("queue_full"),
            queue_stale: dropped("queue_stale"),
            condensed: merged("message"),
            aggregated: merged("badge"),
            on_bar: merged("bar"),
            fainter: self.fainter.get_or_create_owned(&label),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register("sprites_live", "Sprites on the stage", self.live.clone());
        r.register(
            "sprites_waiting",
            "Sprites that wait for room on the stage",
            self.waiting.clone(),
        );
        r.register(
            "sprites_shown",
            "Sprites that came on the stage",
            self.shown.clone(),
        );
        r.register(
            "sprites_dropped",
            "Sprites that a full stage did not show to their end",
            self.dropped.clone(),
        );
        r.register(
            "reactions_merged",
            "Reactions for which another sprite stands",
            self.merged.clone(),
        );
        r.register(
            "frames_fainter",
            "Frames drawn fainter by the flash guard",
            self.fainter.clone(),
        );
    }
}
