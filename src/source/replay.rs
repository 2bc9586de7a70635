//! A reaction log, played with its own times from when it is followed.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::address::{AddressError, Parts};
use super::inbox::{Arrival, Inbox};
use super::retry::{Backoff, Failure};
use crate::log::{BadLine, Entry, entries};
use crate::reaction::Message;

/// The longest log, in bytes: it is read whole, to be brought into order.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// How often its own pace a log may be played.
const SPEED: (f64, f64) = (0.01, 100.0);

/// A log that is played again and again lasts at least this long.
const LOOP_AT_LEAST: Duration = Duration::from_secs(1);

/// A log's file: `log:PATH`, perhaps with `?loop=true`, `?speed=2`. A path can have no `?`.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    path: PathBuf,
    is_endless: bool,
    speed: f64,
}

/// A speed is a finite number.
impl Eq for Address {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (_, rest) = text.split_once(':').unwrap_or_default();
        let parts = Parts::of(rest, &["loop", "speed"])?;
        if parts.path.is_empty() {
            return Err(AddressError(format!("{text:?}: expected log:PATH")));
        }
        let is_endless = match parts.option("loop") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                let message = format!("?loop={other}: expected true or false");
                return Err(AddressError(message));
            }
        };
        let speed = parts.option("speed").unwrap_or("1");
        let (least, most) = SPEED;
        let in_range = |speed: &f64| (least..=most).contains(speed);
        let speed =
            speed.parse().ok().filter(in_range).ok_or_else(|| {
                AddressError(format!("?speed={speed}: expected {least} to {most}"))
            })?;
        Ok(Self {
            path: parts.path.into(),
            is_endless,
            speed,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log:{}", self.path.display())
    }
}

/// A log to be played.
#[derive(Debug)]
pub struct Replay(Address);

impl Replay {
    /// The log at an address.
    #[must_use]
    pub fn new(address: &Address) -> Self {
        Self(address.clone())
    }

    /// Plays the log to its end. One that can't be read is tried again, slowly.
    pub(super) async fn follow(self, inbox: &Inbox) {
        let mut backoff = Backoff::default();
        let entries = loop {
            match self.load(inbox).await {
                Ok(entries) => break entries,
                Err(failure) => {
                    inbox.lost(&failure);
                    backoff.wait(&failure, Duration::ZERO).await;
                }
            }
        };
        let count = entries.len();
        let Some(last) = entries.last() else {
            return inbox.ended("there is no reaction in the log");
        };
        let length = last.at.div_f64(self.0.speed).max(LOOP_AT_LEAST);
        let mut begun = Instant::now();
        loop {
            for entry in &entries {
                sleep_until(begun + entry.at.div_f64(self.0.speed)).await;
                let reaction = &entry.reaction;
                // By the name of its emoji it passes the same rules as any other.
                let payload = json!({ "r": { reaction.emoji.as_str(): reaction.count } });
                inbox.take(&Arrival::of(Message::payload(&payload.to_string())));
            }
            if !self.0.is_endless {
                return inbox.ended(format_args!("it is at its end, after {count} reactions"));
            }
            begun += length;
            sleep_until(begun).await;
        }
    }

    /// All of the log's reactions, in the order of their times.
    async fn load(&self, inbox: &Inbox) -> Result<Vec<Entry>, Failure> {
        let palette = inbox.rules().palette().clone();
        let path = self.0.path.clone();
        let loaded = spawn_blocking(move || {
            let bytes = read(&path)?;
            let (mut good, mut bad) = (Vec::new(), Bad::default());
            for entry in entries(&bytes, &palette) {
                match entry {
                    Ok(entry) => good.push(entry),
                    Err(error) => bad.add(error),
                }
            }
            good.sort_by_key(|entry| entry.at);
            Ok((good, bad))
        });
        let loaded = loaded.await.map_err(Failure::passing)?;
        let (good, bad) = loaded.map_err(|error: std::io::Error| {
            Failure::refused(format!(
                "{}: {error}; expected a reaction log, which is a file of NDJSON",
                self.0.path.display()
            ))
        })?;
        for _ in 0..bad.count {
            inbox.refuse();
        }
        match bad.first {
            None => inbox.live(),
            Some(first) if bad.count == 1 => inbox.degraded(first),
            Some(first) => {
                let others = bad.count - 1;
                inbox.degraded(format_args!("{first} (and {others} more such lines)"));
            }
        }
        Ok(good)
    }
}

/// Lines that are no entries.
#[derive(Default)]
struct Bad {
    count: u64,
    first: Option<BadLine>,
}

impl Bad {
    fn add(&mut self, line: BadLine) {
        self.count += 1;
        self.first.get_or_insert(line);
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LOG_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LOG_BYTES_MAX {
        let message = format!("longer than {} MiB", LOG_BYTES_MAX >> 20);
        return Err(std::io::Error::other(message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_by_its_path() {
        let address: Address = "log:/a b/c%20.ndjson?speed=2.5&loop=true".parse().unwrap();
        assert_eq!(address.path, Path::new("/a b/c%20.ndjson"));
        assert!(address.is_endless);
        assert_eq!(address.speed.to_bits(), 2.5_f64.to_bits());
        assert_eq!(address.to_string(), "log:/a b/c%20.ndjson");
        for (text, told) in [
            ("log:", "expected log:PATH"),
            ("log:?loop=true", "expected log:PATH"),
            ("log:a?loop=1", "expected true or false"),
            ("log:a?speed=0", "expected 0.01 to 100"),
            ("log:a?speed=NaN", "expected 0.01 to 100"),
            ("log:a?spede=1", "the options are: loop, speed"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
