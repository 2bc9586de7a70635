//! What the service counts, in the Prometheus text format.
//!
//! One [`Metrics`] is made at start and handed to whoever counts; there are no globals, so tests
//! run side by side. Every label takes its values from the code or from the settings, never from
//! a viewer, so the number of series is bounded.

mod chat;
mod gate;
mod connections;
mod output;
mod programme;
mod source;
mod stage;
mod timed_metadata;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use self::chat::{Chat, Code, Review};
pub use self::connections::{Connections, Why};
pub use self::gate::Gate;
pub use self::output::Output;
pub use self::programme::{Encoding, Programme};
pub use self::source::{Lag, Source};
pub use self::stage::Stage;
pub use self::timed_metadata::TimedMetadata;

/// Upper bounds of [`Channel::frame_render_seconds`], in seconds. A frame at 60 a second has
/// 0.0167 s, at 30 a second 0.0333 s.
const RENDER_BUCKETS: [f64; 9] = [
    0.001, 0.002, 0.004, 0.008, 0.0167, 0.0333, 0.0667, 0.1333, 0.5,
];

/// Upper bounds of [`Channel::frame_lateness_seconds`], in seconds: fine where a frame is in time,
/// and then in frames of 60 a second.
const LATENESS_BUCKETS: [f64; 10] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.0083, 0.0167, 0.0667, 0.5,
];

/// Every figure of one process. Fields are handles: to clone one is cheap.
#[derive(Debug)]
pub struct Metrics {
    /// Answers to `POST /topics/…`, by status.
    pub publishes: Family<Status, Counter>,
    /// Answers to `GET /topics/…`, by status.
    pub polls: Family<Status, Counter>,
    /// Long polls that wait for an item now.
    pub polls_waiting: Gauge,
    /// Browser sources and other subscribers of `/channels/…/events` now.
    pub sse_subscribers: Gauge,
    /// Topics that the broker holds now.
    pub topics: Gauge,
    /// Items handed to subscribers, each subscriber counted.
    pub items_delivered: Counter,
    /// Requests that were let in without a readable token.
    pub anonymous_admissions: Counter,
    /// Published payloads, by what the palette makes of them.
    pub reactions: Family<Outcome, Counter>,
    /// Times that the settings were read anew, by whether they were taken.
    pub settings_reloads: Family<Outcome, Counter>,
    /// Emoji that had no glyph and were drawn as the documented substitute.
    pub glyphs_substituted: Counter,
    /// The chat.
    pub chat: Chat,
    stages: stage::Stages,
    gates: gate::Gates,
    /// The server's connections.
    pub connections: Connections,
    frames_rendered: Family<ChannelLabel, Counter>,
    frames_late: Family<ChannelLabel, Counter>,
    frame_render_seconds: Family<ChannelLabel, Histogram, fn() -> Histogram>,
    frame_lateness_seconds: Family<ChannelLabel, Histogram, fn() -> Histogram>,
    sources: source::Sources,
    timed_metadata: timed_metadata::All,
    outputs: output::Outputs,
    registry: Registry,
}

/// The figures of one channel, looked up once so that its frame loop does no lookups.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its stage.
    pub stage: Stage,
    /// Frames drawn.
    pub frames_rendered: Counter,
    /// Frames that were not ready when they were due.
    pub frames_late: Counter,
    /// The time to draw one frame, in seconds.
    pub frame_render_seconds: Histogram,
    /// How long after it was due each frame was begun, in seconds.
    pub frame_lateness_seconds: Histogram,
}

/// The label `status`: an HTTP status code.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Status {
    status: u16,
}

/// The label `outcome`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    outcome: &'static str,
}

impl Status {
    /// The label for one status code.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status }
    }
}

impl Outcome {
    /// A payload that names at least one reaction of the palette.
    pub const ACCEPTED: Self = Self::new("accepted");
    /// A payload that names none.
    pub const UNKNOWN: Self = Self::new("unknown");
    /// A message of another kind: a comment, a heartbeat.
    pub const OTHER_TYPE: Self = Self::new("other_type");

    /// Settings that are in force.
    pub const TAKEN: Self = Self::new("taken");
    /// Settings that are not.
    pub const REFUSED: Self = Self::new("refused");

    const fn new(outcome: &'static str) -> Self {
        Self { outcome }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            publishes: Family::default(),
            polls: Family::default(),
            polls_waiting: Gauge::default(),
            sse_subscribers: Gauge::default(),
            topics: Gauge::default(),
            items_delivered: Counter::default(),
            anonymous_admissions: Counter::default(),
            reactions: Family::default(),
            settings_reloads: Family::default(),
            glyphs_substituted: Counter::default(),
            chat: Chat::default(),
            stages: stage::Stages::default(),
            gates: gate::Gates::default(),
            connections: Connections::default(),
            frames_rendered: Family::default(),
            frames_late: Family::default(),
            frame_render_seconds: Family::new_with_constructor(|| Histogram::new(RENDER_BUCKETS)),
            frame_lateness_seconds: Family::new_with_constructor(|| {
                Histogram::new(LATENESS_BUCKETS)
            }),
            sources: source::Sources::default(),
            timed_metadata: timed_metadata::All::default(),
            outputs: output::Outputs::default(),
            registry: Registry::with_prefix("floatup"),
        };
        // A series that exists from the start can be told from one that is missing.
        for outcome in [Outcome::ACCEPTED, Outcome::UNKNOWN, Outcome::OTHER_TYPE] {
            drop(metrics.reactions.get_or_create(&outcome));
        }
        for outcome in [Outcome::TAKEN, Outcome::REFUSED] {
            drop(metrics.settings_reloads.get_or_create(&outcome));
        }
        metrics.register();
        metrics
    }

    /// The figures of the channel of this name, which must come from the settings.
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        let label = ChannelLabel {
            channel: name.into(),
        };
        Channel {
            stage: self.stages.of(name),
            frames_rendered: self.frames_rendered.get_or_create_owned(&label),
            frames_late: self.frames_late.get_or_create_owned(&label),
            frame_render_seconds: self.frame_render_seconds.get_or_create_owned(&label),
            frame_lateness_seconds: self.frame_lateness_seconds.get_or_create_owned(&label),
        }
    }

    /// All figures, in the text format that [`CONTENT_TYPE`] names.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "to write into a String cannot fail"
    )]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("invariant: a String takes any text");
        text
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "publishes",
            "Answers to publishes, by HTTP status",
            self.publishes.clone(),
        );
        r.register(
            "polls",
            "Answers to long polls, by HTTP status",
            self.polls.clone(),
        );
        r.register(
            "polls_waiting",
            "Long polls that wait for an item",
            self.polls_waiting.clone(),
        );
        r.register(
            "sse_subscribers",
            "Subscribers of server-sent events",
            self.sse_subscribers.clone(),
        );
        r.register("topics", "Topics held", self.topics.clone());
        r.register(
            "items_delivered",
            "Items handed to subscribers",
            self.items_delivered.clone(),
        );
        r.register(
            "anonymous_admissions",
            "Requests let in without a readable token",
            self.anonymous_admissions.clone(),
        );
        r.register(
            "settings_reloads",
            "Times that the settings were read anew",
            self.settings_reloads.clone(),
        );
        r.register(
            "reactions",
            "Published payloads, by what the palette makes of them",
            self.reactions.clone(),
        );
        r.register(
            "glyphs_substituted",
            "Emoji drawn as the substitute",
            self.glyphs_substituted.clone(),
        );
        self.stages.register(r);
        self.gates.register(r);
        r.register(
            "frames_rendered",
            "Frames drawn",
            self.frames_rendered.clone(),
        );
        r.register(
            "frames_late",
            "Frames not ready when due",
            self.frames_late.clone(),
        );
        r.register(
            "frame_render_seconds",
            "Time to draw one frame",
            self.frame_render_seconds.clone(),
        );
        r.register(
            "frame_lateness_seconds",
            "Time after it was due that a frame was begun",
            self.frame_lateness_seconds.clone(),
        );
        self.chat.register(r);
        self.connections.register(r);
        self.sources.register(r);
        self.timed_metadata.register(r);
        self.outputs.register(r);
    }
}

/// The content type of [`Metrics::encode`]: `OpenMetrics` text, which Prometheus reads.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
