//! The figures of a burn-in.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Metrics, RENDER_BUCKETS};

/// The figures of a programme that reactions are burned into. Fields are handles: to clone one is
/// cheap, and whoever counts has a clone.
#[derive(Clone, Debug)]
pub struct Programme {
    /// Pictures that were decoded, and slates in place of those that were not.
    pub frames: Counter,
    /// Of these, those that were passed on without reactions because they were not ready.
    pub without_overlay: Counter,
    /// Packets of video that nobody had time to decode.
    pub overrun: Counter,
    /// Packets and pictures that outputs had no room for, or that came while they were lost.
    pub dropped: Counter,
    /// Packets or pictures that were damaged.
    pub damaged: Counter,
    /// Jumps of the input's time that were closed.
    pub jumps: Counter,
    /// Times that the input was lost.
    pub losses: Counter,
    /// 1 while the input is there, else 0.
    pub input_open: Gauge,
    /// Pictures that stood in for those of a lost input.
    pub slates: Counter,
    /// Milliseconds from the programme's first picture to its last one.
    pub time_ms: Gauge,
    /// Packets of video that wait to be decoded, but for those that are held back. One that the
    /// decoder's queue has no room for yet is among them.
    pub packets_waiting: Gauge,
    /// Pictures that wait for reactions, one that is held up by them included.
    pub pictures_waiting: Gauge,
    /// The time to put reactions into one picture, for all outputs, in seconds.
    pub overlay_seconds: Histogram,
}

/// The figures of one output of a programme.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// Pictures that wait for the encoder, one that is held up included.
    pub pictures_waiting: Gauge,
    /// Packets that wait for the thread that writes them, those that are held up included. Copied
    /// packets that this thread keeps until their time are not among them.
    pub packets_waiting: Gauge,
    /// Bytes of the packets that libavformat has taken, without what the container adds. Those of
    /// a connection that is lost count, whether they have arrived or not.
    pub bytes: Counter,
    /// Pictures that the encoder has had.
    pub pictures: Counter,
    /// The time that it took over them, in seconds.
    pub encode_seconds: Counter<f64, AtomicU64>,
}

impl Default for Programme {
    fn default() -> Self {
        Self {
            frames: Counter::default(),
            without_overlay: Counter::default(),
            overrun: Counter::default(),
            dropped: Counter::default(),
            damaged: Counter::default(),
            jumps: Counter::default(),
            losses: Counter::default(),
            input_open: Gauge::default(),
            slates: Counter::default(),
            time_ms: Gauge::default(),
            packets_waiting: Gauge::default(),
            pictures_waiting: Gauge::default(),
            overlay_seconds: Histogram::new(RENDER_BUCKETS),
        }
    }
}

impl Programme {
    /// Something was damaged.
    pub fn damaged(&self) {
        self.damaged.inc();
    }

    /// A packet of video was not decoded, for want of time.
    pub fn overrun(&self) {
        self.overrun.inc();
    }

    /// A packet or a picture is not in an output.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// The input's time has jumped.
    pub fn jumped(&self) {
        self.jumps.inc();
    }

    /// The input is lost, or is there.
    pub fn input_lost(&self, is_lost: bool) {
        self.input_open.set(i64::from(!is_lost));
        self.losses.inc_by(u64::from(is_lost));
    }

    /// A picture has no reactions in it because they were not ready.
    pub fn without_overlay(&self) {
        self.without_overlay.inc();
    }

    /// A picture has stood in for one of a lost input.
    pub fn slate(&self) {
        self.slates.inc();
    }

    /// A picture of this time, in microseconds since the first, is on its way.
    pub fn shown(&self, at_us: i64) {
        self.frames.inc();
        self.time_ms.set(at_us / 1_000);
    }

    /// Reactions were put into a picture.
    pub fn keyed(&self, took: Duration) {
        self.overlay_seconds.observe(took.as_secs_f64());
    }

    /// The programme's time since its first picture.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.time_ms.get()).unwrap_or(0))
    }

    fn register(&self, r: &mut Registry) {
        let counters = [
            ("frames", "Pictures decoded, and slates", &self.frames),
            (
                "frames_without_overlay",
                "Pictures passed on without reactions because they were not ready",
                &self.without_overlay,
            ),
            (
                "overrun",
                "Packets of video that nobody had time to decode",
                &self.overrun,
            ),
            (
                "dropped",
                "Packets and pictures that are not in an output",
                &self.dropped,
            ),
            (
                "damaged",
                "Packets or pictures that were damaged",
                &self.damaged,
            ),
            (
                "jumps",
                "Jumps of the input's time that were closed",
                &self.jumps,
            ),
            (
                "input_losses",
                "Times that the input was lost",
                &self.losses,
            ),
            (
                "slates",
                "Pictures in place of those of a lost input",
                &self.slates,
            ),
        ];
        for (name, help, counter) in counters {
            r.register(name, help, counter.clone());
        }
        let gauges = [
            ("input_open", "Whether the input is there", &self.input_open),
            (
                "time_milliseconds",
                "Time from the first picture to the last one",
                &self.time_ms,
            ),
            (
                "packets_waiting",
                "Packets that wait to be decoded",
                &self.packets_waiting,
            ),
            (
                "pictures_waiting",
                "Pictures that wait for reactions",
                &self.pictures_waiting,
            ),
        ];
        for (name, help, gauge) in gauges {
            r.register(name, help, gauge.clone());
        }
        r.register(
            "overlay_seconds",
            "Time to put reactions into one picture",
            self.overlay_seconds.clone(),
        );
    }
}

impl Encoding {
    /// The encoder has had a picture, over which it took so long.
    pub fn encoded(&self, took: Duration) {
        self.pictures.inc();
        self.encode_seconds.inc_by(took.as_secs_f64());
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutputLabel {
    output: String,
}

/// The figures of all outputs. Each is one family, for the text format has each name once.
#[derive(Default)]
struct Encodings {
    pictures_waiting: Family<OutputLabel, Gauge>,
    packets_waiting: Family<OutputLabel, Gauge>,
    bytes: Family<OutputLabel, Counter>,
    pictures: Family<OutputLabel, Counter>,
    encode_seconds: Family<OutputLabel, Counter<f64, AtomicU64>>,
}

impl Encodings {
    fn of(&self, output: &str) -> Encoding {
        let label = OutputLabel {
            output: output.into(),
        };
        Encoding {
            pictures_waiting: self.pictures_waiting.get_or_create_owned(&label),
            packets_waiting: self.packets_waiting.get_or_create_owned(&label),
            bytes: self.bytes.get_or_create_owned(&label),
            pictures: self.pictures.get_or_create_owned(&label),
            encode_seconds: self.encode_seconds.get_or_create_owned(&label),
        }
    }

    fn register(self, r: &mut Registry) {
        r.register(
            "pictures_waiting",
            "Pictures that wait for the encoder",
            self.pictures_waiting,
        );
        r.register(
            "packets_waiting",
            "Packets that wait to be written",
            self.packets_waiting,
        );
        r.register("bytes", "Bytes of the packets written", self.bytes);
        r.register("pictures", "Pictures encoded", self.pictures);
        r.register(
            "encode_seconds",
            "Time that the encoder took over them",
            self.encode_seconds,
        );
    }
}

impl Metrics {
    /// The figures of a programme that reactions are burned into, and of its outputs of these
    /// names, which must come from the settings.
    pub fn programme<'a>(
        &mut self,
        outputs: impl IntoIterator<Item = &'a str>,
    ) -> (Programme, Vec<Encoding>) {
        let programme = Programme::default();
        let registry = self.registry.sub_registry_with_prefix("programme");
        programme.register(registry);
        let encodings = Encodings::default();
        let each = outputs.into_iter().map(|output| encodings.of(output));
        let each = each.collect();
        encodings.register(registry.sub_registry_with_prefix("output"));
        (programme, each)
    }
}
