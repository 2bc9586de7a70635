//! What outputs count.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Metrics;

/// Upper bounds of [`Output::latency_seconds`], in seconds: in frames of 60 a second, and then what
/// a viewer notices.
const LATENCY_BUCKETS: [f64; 13] = [
    0.0042, 0.0083, 0.0167, 0.025, 0.0333, 0.05, 0.0667, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0,
];

/// The figures of all outputs.
#[derive(Debug)]
pub(super) struct Outputs {
    frames: Family<Label, Counter>,
    frames_dropped: Family<Label, Counter>,
    open: Family<Label, Gauge>,
    reopened: Family<Label, Counter>,
    latency_seconds: Family<Label, Histogram, fn() -> Histogram>,
    bytes: Family<Label, Counter>,
    queue_frames: Family<QueueLabel, Gauge>,
}

/// The figures of one output.
#[derive(Clone, Debug)]
pub struct Output {
    /// The channel's name.
    pub channel: Arc<str>,
    /// What the output is called.
    pub name: Arc<str>,
    /// Frames written.
    pub frames: Counter,
    /// Frames that it was not given, or that gave way to newer ones.
    pub frames_dropped: Counter,
    /// 1 while it is open, else 0; of live feeds, how many there are.
    pub open: Gauge,
    /// Times that its reader went away, or that it failed, and it was to be opened again.
    pub reopened: Counter,
    /// The time from when this process took a message until the first frame with its reactions was
    /// written, in seconds.
    pub latency_seconds: Histogram,
    /// Bytes written.
    pub bytes: Counter,
    /// Drawn frames that wait to be written.
    pub queued_drawn: Gauge,
    /// Frames that wait to be drawn and written.
    pub queued_owed: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    channel: String,
    output: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabel {
    channel: String,
    output: String,
    state: &'static str,
}

impl Default for Output {
    fn default() -> Self {
        Outputs::default().of("", "")
    }
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            frames: Family::default(),
            frames_dropped: Family::default(),
            open: Family::default(),
            reopened: Family::default(),
            latency_seconds: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            bytes: Family::default(),
            queue_frames: Family::default(),
        }
    }
}

impl Metrics {
    /// The figures of an output of a channel, whose names must come from the settings.
    #[must_use]
    pub fn output(&self, channel: &str, output: &str) -> Output {
        self.outputs.of(channel, output)
    }
}

impl Outputs {
    fn of(&self, channel: &str, output: &str) -> Output {
        let label = Label {
            channel: channel.into(),
            output: output.into(),
        };
        let queued = |state| {
            self.queue_frames.get_or_create_owned(&QueueLabel {
                channel: channel.into(),
                output: output.into(),
                state,
            })
        };
        Output {
            channel: channel.into(),
            name: output.into(),
            frames: self.frames.get_or_create_owned(&label),
            frames_dropped: self.frames_dropped.get_or_create_owned(&label),
            open: self.open.get_or_create_owned(&label),
            reopened: self.reopened.get_or_create_owned(&label),
            latency_seconds: self.latency_seconds.get_or_create_owned(&label),
            bytes: self.bytes.get_or_create_owned(&label),
            queued_drawn: queued("drawn"),
            queued_owed: queued("owed"),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "output_frames",
            "Frames that an output has written",
            self.frames.clone(),
        );
        r.register(
            "output_frames_dropped",
            "Frames that an output was not given, or that gave way to newer ones",
            self.frames_dropped.clone(),
        );
        r.register(
            "output_open",
            "Whether an output is open",
            self.open.clone(),
        );
        r.register(
            "output_reopened",
            "Times that an output was to be opened again",
            self.reopened.clone(),
        );
        r.register(
            "output_latency_seconds",
            "Time from a message until the first frame with its reactions was written",
            self.latency_seconds.clone(),
        );
        r.register(
            "output_bytes",
            "Bytes that an output has written",
            self.bytes.clone(),
        );
        r.register(
            "output_queue_frames",
            "Frames that wait for an output",
            self.queue_frames.clone(),
        );
    }
}
