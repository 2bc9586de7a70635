//! Following whatever carries reactions: reconnect, resume, report gaps, and say how it stands.
//!
//! Each kind of source is a module that turns a connection into messages. What they have in common is
//! here: [`Inbox`] decides by `reaction`'s rules what a message is, drops what came before, counts,
//! and holds the source's [`State`]; [`Merge`] brings several sources together. Nothing waits in
//! between: what is behind it, a channel's stage or a topic's ring, is bounded and never waits.

mod address;
pub mod cues;
mod broker;
mod embedded;
mod guard;
mod inbox;
pub mod ivs_chat;
pub mod lines;
mod merge;
pub mod momento;
pub mod mqtt;
pub mod nats;
pub mod redis;
pub mod replay;
mod retry;
pub mod twitch;
pub mod youtube;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use serde::Deserialize;

pub use self::address::{Address, AddressError, Secrets};
pub use self::embedded::{Bridge, EMBEDDED, follow_topic};
pub use self::guard::Guard;
pub use self::inbox::{Arrival, Inbox, Monitor, Observation, Outcome, State, Status, WEIGHT};
pub use self::merge::{Cue, Merge, Receiver};

/// One source of a channel, ready to be followed.
#[derive(Debug)]
pub enum Source {
    /// An endpoint that speaks Momento's HTTP API.
    Momento(momento::Momento),
    /// A room of Amazon IVS Chat.
    IvsChat(ivs_chat::IvsChat),
    /// Timed metadata, when it is due.
    #[cfg(feature = "ffmpeg")]
    Cues(cues::Replay),
    /// An MQTT broker.
    Mqtt(mqtt::Mqtt),
    /// A NATS server.
    Nats(nats::Nats),
    /// A Redis server.
    Redis(redis::Redis),
    /// A channel's chat on Twitch.
    Twitch(twitch::Twitch),
    /// A live stream's chat on YouTube.
    Youtube(youtube::Youtube),
    /// A reaction log.
    Log(replay::Replay),
    /// Lines of another program.
    Lines(lines::Lines),
}

impl Source {
    /// The source at an address.
    ///
    /// # Errors
    /// A secret that it needs is not there or of no form that it knows, or this system's TLS roots
    /// can't be read.
    pub fn new(address: &Address, secrets: &Secrets) -> Result<Self, AddressError> {
        match address {
            Address::Momento(address) => {
                let source = momento::Momento::at(address, secrets)?;
                Ok(Self::Momento(source))
            }
            Address::IvsChat(address) => {
                let source = ivs_chat::IvsChat::at(address, secrets)?;
                Ok(Self::IvsChat(source))
            }
            #[cfg(feature = "ffmpeg")]
            Address::Cues(address) => Ok(Self::Cues(cues::Replay(address.clone()))),
            #[cfg(not(feature = "ffmpeg"))]
            Address::Cues(_) => Err(AddressError::new(
                "this floatup is built without FFmpeg's libraries, which read recordings",
            )),
            Address::Mqtt(address) => Ok(Self::Mqtt(mqtt::Mqtt::at(address, secrets)?)),
            Address::Nats(address) => Ok(Self::Nats(nats::Nats::at(address, secrets)?)),
            Address::Redis(address) => Ok(Self::Redis(redis::Redis::at(address, secrets)?)),
            Address::Twitch(address) => Ok(Self::Twitch(twitch::Twitch::new(address))),
            Address::Youtube(address) => {
                let source = youtube::Youtube::new(address, secrets)?;
                Ok(Self::Youtube(source))
            }
            Address::Log(address) => Ok(Self::Log(replay::Replay::new(address))),
            Address::Stdin => Ok(Self::Lines(lines::Lines::stdin())),
        }
    }

    /// Whether connecting to it once spends its secret.
    #[must_use]
    pub fn is_for_once(&self) -> bool {
        matches!(self, Self::IvsChat(source) if source.is_for_once())
    }

    /// Follows it for as long as the future is kept, from what is sent next on. Of a source that has
    /// an end, such as a log, it returns there.
    ///
    /// A source that panics, which is a fault of its own, is said to be refused: none goes deaf
    /// without a word.
    pub async fn follow(self, inbox: &Inbox) {
        let followed = AssertUnwindSafe(self.run(inbox)).catch_unwind().await;
        if followed.is_err() {
            inbox.set_state(
                State::Refused,
                "a fault in floatup has ended it, which the log shows: start floatup again, and \
                 please report it",
            );
        }
    }

    async fn run(self, inbox: &Inbox) {
        match self {
            Self::Momento(source) => source.follow(inbox).await,
            Self::IvsChat(source) => source.follow(inbox).await,
            #[cfg(feature = "ffmpeg")]
            Self::Cues(source) => source.follow(inbox).await,
            Self::Mqtt(source) => source.follow(inbox).await,
            Self::Nats(source) => source.follow(inbox).await,
            Self::Redis(source) => source.follow(inbox).await,
            Self::Twitch(source) => source.follow(inbox).await,
            Self::Youtube(source) => source.follow(inbox).await,
            Self::Log(source) => source.follow(inbox).await,
            Self::Lines(source) => source.follow(inbox).await,
        }
    }
}

/// A time that is further from now than this is that of a clock that is wrong.
const PLAUSIBLE: Duration = Duration::from_secs(3_600);

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
        .find_map(|at| plausible(Some(at), now))
}

/// A time that is not more than [`PLAUSIBLE`] from `now`.
fn plausible(at: Option<Duration>, now: Duration) -> Option<Duration> {
    at.filter(|at| at.abs_diff(now) <= PLAUSIBLE)
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
pub fn since_epoch() -> Duration {
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
