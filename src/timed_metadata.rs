//! Reactions as Amazon IVS timed metadata: counts in the stream itself, in step with its picture,
//! so that recordings and players far from any topic have them too.
//!
//! A topic's reactions are added up and sent by `PutMetadata` as `{"r":{"heart":12,"100":3}}`: at most
//! 5 times a second and 1 KB each (IVS low-latency API reference, `PutMetadata`). What doesn't fit, or is
//! refused for now, waits for the next call; what has waited too long is dropped, counted and said.
//! A reaction that is taken back after it was counted stays.

mod pending;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use self::pending::Pending;
pub use self::pending::{KEPT, METADATA_BYTES_MAX};
use crate::aws::{Arn, AwsError, Client};
use crate::metrics::TimedMetadata as Figures;
use crate::reaction::{Palette, Reaction};
use crate::topic::{Broker, Event, TopicName, Value};

/// From one answer to the next call. A channel takes 5 calls a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// After calls that failed, pauses double from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(5));

/// The pause after a refusal that only a person can mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that the service may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);

/// How long one wait for the topic lasts; any length will do.
const HOLD: Duration = Duration::from_secs(60);

/// How long to wait before asking a full broker again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// A channel that takes metadata.
#[derive(Debug)]
pub struct TimedMetadata {
    client: Client,
    channel: Arn,
    figures: Figures,
}

impl TimedMetadata {
    /// Sends to the channel of this name, which is one of IVS: `arn:aws:ivs:REGION:ACCOUNT:channel/ID`.
    #[must_use]
    pub fn new(client: Client, channel: Arn, figures: Figures) -> Self {
        Self {
            client,
            channel,
            figures,
        }
    }

    /// Sends a topic's reactions for as long as the future is kept, from what is published next on.
    pub async fn run(&self, broker: &Broker, topic: &TopicName, palette: &Palette) -> ! {
        let counted = Counted {
            pending: Mutex::new(Pending::new(palette)),
            is_new: Notify::new(),
        };
        tokio::select! {
            never = count(broker, topic, palette, &counted) => never,
            never = self.send(&counted) => never,
        }
    }

    async fn send(&self, counted: &Counted) -> ! {
        let mut trouble = Trouble::default();
        loop {
            let (batch, dropped) = counted.lock().take(Instant::now());
            self.drop_counts(dropped);
            let Some(batch) = batch else {
                counted.is_new.notified().await;
                continue;
            };
            let request = json!({ "channelArn": self.channel.as_str(), "metadata": batch.text });
            let region = self.channel.region();
            let answer = self.client.call("ivs", region, "PutMetadata", &request);
            let pause = match answer.await {
                Ok(_) => {
                    self.figures.calls.inc();
                    self.figures.sent.inc_by(batch.sum());
                    if trouble.end() {
                        tracing::info!("{}: metadata is sent again", self.channel);
                    }
                    INTERVAL
                }
                Err(error) => {
                    self.figures.failures.inc();
                    counted.lock().put_back(batch);
                    trouble.pause(&self.channel, &error)
                }
            };
            sleep(pause).await;
        }
    }

    fn drop_counts(&self, dropped: u64) {
        if dropped > 0 {
            self.figures.dropped.inc_by(dropped);
            tracing::debug!(
                "{}: {dropped} reactions were not sent in time",
                self.channel
            );
        }
    }
}

/// What the topic adds to and the channel takes from.
struct Counted {
    pending: Mutex<Pending>,
    is_new: Notify,
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, reactions: &[Reaction]) {
        self.lock().add(reactions, Instant::now());
        self.is_new.notify_one();
    }
}

/// Adds up what is published.
async fn count(broker: &Broker, topic: &TopicName, palette: &Palette, counted: &Counted) -> ! {
    let mut cursor = broker.latest(topic);
    loop {
        let Ok((events, next)) = broker.next(topic, cursor, HOLD).await else {
            // Whoever else needs the topic says so.
            sleep(FULL_PAUSE).await;
            continue;
        };
        cursor = next;
        for event in events {
            match event {
                Event::Item(item) => {
                    if let Value::Text(text) = &item.value
                        && let Ok(reactions) = palette.decode(text)
                    {
                        counted.add(&reactions);
                    }
                }
                Event::Gap { .. } => tracing::warn!("topic {topic}: too fast for timed metadata"),
            }
        }
    }
}

/// Calls that failed in a row.
#[derive(Debug, Default)]
struct Trouble {
    /// How far the pause has grown.
    attempts: u32,
    /// What was said about it last; empty while all is well.
    told: String,
}

impl Trouble {
    /// How long to wait after an error. It is said once.
    fn pause(&mut self, channel: &Arn, error: &AwsError) -> Duration {
        let is_off = error.kind() == "ChannelNotBroadcasting";
        let told = error.to_string();
        if told != self.told {
            match is_off {
                true => tracing::info!("{channel} is not live: its metadata waits"),
                false => tracing::warn!("{channel}: {told}"),
            }
            self.told = told;
        }
        let (first, last) = BACKOFF;
        let grown = first.saturating_mul(1 << self.attempts.min(8)).min(last);
        self.attempts = self.attempts.saturating_add(1);
        let ours = match error.is_refusal() && !is_off {
            true => REFUSED_PAUSE,
            false => grown,
        };
        let asked = error.retry_after().unwrap_or_default();
        ours.max(asked.min(ASKED_PAUSE_MAX))
    }

    /// A call was answered well; whether there was trouble.
    fn end(&mut self) -> bool {
        !std::mem::take(self).told.is_empty()
    }
}
