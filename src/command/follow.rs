//! `floatup follow`: what sources get, a JSON object a line.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;

use super::{asked_to_end, follow, log_line, milliseconds, open, runtime};
use crate::config::FollowJob;
use crate::metrics::Metrics;
use crate::reaction::Reaction;
use crate::source::{Merge, Observation, Outcome, State, since_epoch};

/// Lines that wait to be printed. Of more, the newest are not printed, and how many is said at the
/// end: sources don't wait for a slow terminal.
const LINES_MAX: usize = 65_536;

/// How often it is looked whether all sources are over.
const ENDED_INTERVAL: Duration = Duration::from_millis(50);

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

pub(super) fn run(job: FollowJob) -> Result<()> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let metrics = Metrics::new();
    let merge = Arc::new(Merge::new(Box::new(()), since_epoch().as_secs()));
    let (lines, mut printed) = mpsc::channel::<String>(LINES_MAX);
    let begun = Instant::now();
    let mut monitors = Vec::new();
    for config in &job.sources {
        let (source, inbox) = open(config, &job.channel, &merge, &metrics)?;
        let (name, lines, log) = (config.address.to_string(), lines.clone(), job.log);
        let observe = move |seen: &Observation<'_>| {
            for line in match log {
                true => log_lines(seen, begun.elapsed()),
                false => vec![line(&name, seen)],
            } {
                if let Err(TrySendError::Full(_)) = lines.try_send(line) {
                    tracing::warn!("too much to print: a message is left out");
                }
            }
        };
        let inbox = inbox.with_observer(observe);
        monitors.push(inbox.monitor());
        follow(source, inbox, &runtime);
    }
    drop(lines);
    let all_ended = async {
        while !monitors
            .iter()
            .all(|monitor| monitor.status.borrow().state == State::Ended)
        {
            tokio::time::sleep(ENDED_INTERVAL).await;
        }
    };
    let print = async {
        let mut left = job.count.unwrap_or(u64::MAX);
        let mut ended = std::pin::pin!(all_ended);
        while left > 0 {
            let line = tokio::select! {
                biased;
                line = printed.recv() => line,
                () = &mut ended => printed.try_recv().ok(),
            };
            let Some(line) = line else { break };
            writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")?;
            left -= 1;
        }
        Ok(())
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = print => result,
            () = asked_to_end() => Ok(()),
        }
    });
    runtime.shutdown_background();
    result
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
    json(&line)
}

fn log_lines(seen: &Observation<'_>, at: Duration) -> Vec<String> {
    if seen.outcome != Outcome::Accepted {
        return Vec::new();
    }
    let line = |reaction: &Reaction| log_line(at, reaction);
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
