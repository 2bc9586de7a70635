//! What a run has come to, for people and for machines.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde::Serialize;

/// The figures of one run. Its names are those of the JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) topic: String,
    pub(super) load: String,
    pub(super) publishers: usize,
    pub(super) ended_early: bool,
    /// From the beginning to the last answer.
    pub(super) seconds: f64,
    pub(super) planned: u64,
    pub(super) dropped: u64,
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) refused: BTreeMap<u16, Refused>,
    pub(super) unanswered: Refused,
    pub(super) seen: Option<Seen>,
    pub(super) until_sent_ms: Latencies,
    pub(super) until_answered_ms: Latencies,
    pub(super) until_seen_ms: Option<Latencies>,
}

/// Messages that were not accepted, for one reason.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Refused {
    pub(super) count: u64,
    /// What was said to the first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) first: String,
}

/// What the topic's subscriber got.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    pub(super) messages: u64,
    /// Accepted, and not seen.
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    /// Seen after one that the same publisher sent later.
    pub(super) out_of_order: u64,
}

/// Times since messages were due, in ms. None of no message.
#[derive(Debug, Serialize)]
pub(super) struct Latencies {
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    #[serde(rename = "p99.9")]
    p99_9: Option<f64>,
    max: Option<f64>,
}

impl Latencies {
    pub(super) fn of(times: &Histogram<u64>) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "at most an hour in microseconds"
        )]
        let ms = |us: u64| (!times.is_empty()).then_some(us as f64 / 1_000.0);
        let share = |share| ms(times.value_at_quantile(share));
        Self {
            p50: share(0.5),
            p90: share(0.9),
            p99: share(0.99),
            p99_9: share(0.999),
            max: ms(times.max()),
        }
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        write!(f, "  {name:<16}")?;
        for ms in [self.p50, self.p90, self.p99, self.p99_9, self.max] {
            match ms {
                Some(ms) => write!(f, "{ms:>11.3}")?,
                None => write!(f, "{:>11}", "-")?,
            }
        }
        writeln!(f)
    }
}

impl Report {
    pub(super) fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("invariant: text and numbers are valid JSON") + "\n"
    }

    /// Fails unless every message was accepted and seen once.
    pub(super) fn check_all(&self) -> Result<()> {
        let not_accepted = self.planned - self.accepted;
        let (lost, duplicates) = match &self.seen {
            Some(seen) => (seen.lost, seen.duplicates),
            None => (0, 0),
        };
        if not_accepted + lost + duplicates > 0 {
            bail!(
                "--expect-all: of {} messages {not_accepted} were not accepted, {lost} were lost \
                 and {duplicates} came twice",
                self.planned
            );
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, figure: &dyn fmt::Display, more: &str| {
            let line = format!("{name:<14}{figure:>10}  {more}");
            writeln!(f, "{}", line.trim_end())
        };
        #[expect(clippy::cast_precision_loss, reason = "at most MESSAGES_MAX")]
        let rate = self.accepted as f64 / self.seconds.max(f64::MIN_POSITIVE);
        let ended = match self.ended_early {
            true => ", ended early",
            false => "",
        };
        let s = if self.publishers == 1 { "" } else { "s" };
        let by = format!("by {} publisher{s}{ended}", self.publishers);
        row("topic", &"", &self.topic)?;
        row("load", &"", &format!("{}, {by}", self.load))?;
        row("planned", &self.planned, "")?;
        row("dropped", &self.dropped, "no publisher was free in time")?;
        row("sent", &self.sent, "")?;
        let about = format!("{rate:.1} a second, for {:.2} s", self.seconds);
        row("accepted", &self.accepted, &about)?;
        for (status, why) in &self.refused {
            row(&format!("answered {status}"), &why.count, &why.first)?;
        }
        row("unanswered", &self.unanswered.count, &self.unanswered.first)?;
        if let Some(seen) = &self.seen {
            row("seen", &seen.messages, "")?;
            row("lost", &seen.lost, "accepted, and not seen")?;
            row("duplicates", &seen.duplicates, "")?;
            row(
                "out of order",
                &seen.out_of_order,
                "of those of one publisher",
            )?;
        }
        write!(f, "\nms since due, to ")?;
        for name in ["median", "p90", "p99", "p99.9", "longest"] {
            write!(f, "{name:>11}")?;
        }
        writeln!(f)?;
        self.until_sent_ms.row(f, "being sent")?;
        self.until_answered_ms.row(f, "the answer")?;
        match &self.until_seen_ms {
            Some(seen) => seen.row(f, "being seen"),
            None => Ok(()),
        }
    }
}
