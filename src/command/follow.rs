//! `floatup follow`: what sources get, a JSON object a line.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{asked_to_end, follow, milliseconds, open, page, runtime};
use crate::config::FollowJob;
use crate::log;
use crate::metrics::Metrics;
use crate::reaction::Reaction;
use crate::source::{Merge, Observation, Outcome};

/// Messages that wait to be printed. Of more, the newest are not printed, and how many is said at
/// the end: sources don't wait for a slow terminal.
const MESSAGES_MAX: usize = 65_536;

/// The same, in bytes of their lines.
const BYTES_MAX: usize = 64 << 20;

#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reactions: &'a [Counted<'a>],
}

#[derive(Serialize)]
struct Counted<'a> {
    emoji: &'a str,
    count: u32,
}

/// Lines that wait to be printed.
#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    left_out: AtomicU64,
}

pub(super) fn run(job: FollowJob) -> Result<()> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let metrics = Metrics::new();
    let merge = Arc::new(Merge::new(Box::new(()), page()));
    let (lines, printed) = mpsc::channel::<String>(MESSAGES_MAX);
    let waiting = Arc::new(Waiting::default());
    let begun = Instant::now();
    for config in &job.sources {
        let config = &config.for_a_look();
        let (source, inbox) = open(config, &job.channel, &merge, &metrics)?;
        let (name, lines, log) = (config.address.to_string(), lines.clone(), job.log);
        let waiting = Arc::clone(&waiting);
        let observe = move |seen: &Observation<'_>| {
            let told = match log {
                true => log_lines(seen, begun.elapsed()),
                false => line(&name, seen),
            };
            if !told.is_empty() {
                waiting.send(&lines, told);
            }
        };
        follow(source, inbox.with_observer(observe), &runtime);
    }
    // Each source has its own, and drops it when it is over.
    drop(lines);
    let count = job.count.unwrap_or(u64::MAX);
    let (tell, told) = oneshot::channel();
    let to_print = Arc::clone(&waiting);
    // A terminal that stands still doesn't keep this from ending.
    let printing = std::thread::Builder::new().name("print".into());
    printing
        .spawn(move || tell.send(print(printed, count, &to_print)))
        .context("cannot start a thread")?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = told => result.unwrap_or(Ok(())),
            () = asked_to_end() => Ok(()),
        }
    });
    runtime.shutdown_background();
    let left_out = waiting.left_out.load(Ordering::Relaxed);
    if left_out > 0 {
        tracing::warn!("too much to print: {left_out} messages were left out");
    }
    result
}

impl Waiting {
    /// Has a message's lines printed, if there is room for them.
    fn send(&self, lines: &mpsc::Sender<String>, told: String) {
        let length = told.len();
        let has_room = self.bytes.fetch_add(length, Ordering::Relaxed) < BYTES_MAX;
        if !has_room || lines.try_send(told).is_err() {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Prints so many messages.
fn print(mut lines: mpsc::Receiver<String>, count: u64, waiting: &Waiting) -> Result<()> {
    for _ in 0..count {
        let Some(line) = lines.blocking_recv() else {
            break;
        };
        waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())
            .context("cannot write to stdout")?;
    }
    Ok(())
}

fn line(source: &str, seen: &Observation<'_>) -> String {
    let reactions: Vec<_> = seen.reactions.iter().map(counted).collect();
    let line = Line {
        source,
        outcome: seen.outcome,
        sent_at_ms: seen.sent_at.map(milliseconds),
        id: seen.arrival.id,
        user: seen.arrival.user,
        text: seen.arrival.message.text,
        reactions: &reactions,
    };
    json(&line) + "\n"
}

/// A line for each reaction of a message that is accepted.
fn log_lines(seen: &Observation<'_>, at: Duration) -> String {
    if seen.outcome != Outcome::Accepted {
        return String::new();
    }
    let line = |reaction: &Reaction| log::line(at, reaction) + "\n";
    seen.reactions.iter().map(line).collect()
}

fn counted(reaction: &Reaction) -> Counted<'_> {
    Counted {
        emoji: reaction.emoji.as_str(),
        count: reaction.count,
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("invariant: text and numbers are valid JSON")
}
