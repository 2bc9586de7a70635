//! `floatup simulate`: a crowd that publishes to a topic, and what became of what it sent.
//!
//! The load is *open*: when a message is due is the schedule's business alone, and each time is
//! measured from when it was due, not from when a publisher was free to send it. A server that
//! stalls so has every message of the stall count, not only those that were on their way (Gil
//! Tene's *coordinated omission*, as in wrk2).
//!
//! ```text
//! schedule ──► pace ──► backlog ──► publishers ──► topic
//!                          │                         │
//!                          └► dropped                └──► watch (the topic, followed)
//! ```

mod pace;
mod report;
mod tally;
mod watch;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, mpsc, watch as state};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use self::pace::Pace;
use self::report::Report;
use self::tally::Tally;
use self::watch::Watch;
use super::{asked_to_end, files, runtime, tell};
use crate::config::SimulateJob;
use crate::source::Address;
use crate::source::momento::{Momento, Publisher};

/// Messages that are due and wait for a publisher. A further one is dropped, and counted.
const BACKLOG_MAX: usize = 10_000;

/// Tokens that are asked for at once.
const TOKENS_AT_ONCE: usize = 16;

/// How long after the last answer what was accepted may take to be seen.
const STRAGGLERS: Duration = Duration::from_secs(5);

/// How often the progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(200);

/// A message that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// From 0.
    number: u64,
    /// After the beginning.
    at: Duration,
}

/// A payload: a reaction, and by what it is known again.
#[derive(Debug, Serialize)]
struct Payload<'a> {
    reaction: &'a str,
    count: u32,
    #[serde(flatten)]
    mark: Mark<'a>,
}

/// By what a message of this run is known.
#[derive(Debug, Deserialize, Serialize)]
struct Mark<'a> {
    /// The run's.
    run: &'a str,
    publisher: usize,
    number: u64,
    /// When it was due after the run's beginning, in microseconds.
    due_us: u64,
}

pub(super) fn run(job: &SimulateJob) -> Result<()> {
    let Address::Momento(address) = &job.address else {
        bail!(
            "--to {}: expected a topic to publish to, such as \
             http://127.0.0.1:8787/topics/video/demo",
            job.address
        );
    };
    files::make_room(job.publishers);
    let publisher = Momento::at(address, &job.secrets)?.publisher();
    let runtime = runtime()?;
    let report = runtime.block_on(simulate(job, publisher));
    // Polls that wait would keep it for long.
    runtime.shutdown_background();
    let report = report?;
    tell(&match job.json {
        true => report.json(),
        false => report.to_string(),
    })?;
    match job.expect_all {
        true => report.check_all(),
        false => Ok(()),
    }
}

async fn simulate(job: &SimulateJob, mut first: Publisher) -> Result<Report> {
    let run: Arc<str> = format!("{:016x}", rand::random::<u64>()).into();
    let tally = Arc::new(Tally::new(job.schedule.count(), job.publishers));
    first.ready().await.with_context(|| cannot(job))?;
    if job.follow {
        let watch = Watch::start(job, &run, &tally)?;
        watch.begin(&mut first).await.with_context(|| cannot(job))?;
    }
    let others = (1..job.publishers).map(|_| first.another());
    let ready = stream::iter(others).map(async |mut publisher| {
        let ready = publisher.ready().await;
        ready.map(|()| publisher)
    });
    let ready = ready.buffer_unordered(TOKENS_AT_ONCE).try_collect();
    let mut publishers: Vec<Publisher> = ready.await.with_context(|| cannot(job))?;
    publishers.push(first);

    let progress = progress(job.schedule.count());
    let (due, backlog) = mpsc::channel(BACKLOG_MAX);
    let backlog = Arc::new(Mutex::new(backlog));
    tally.begin(Instant::now());
    let pace = Pace::start(job.schedule.clone(), due, Arc::clone(&tally))?;
    let (end, ended) = state::channel(false);
    let mut sending = JoinSet::new();
    for (number, publisher) in publishers.into_iter().enumerate() {
        let sender = Sender {
            number,
            publisher,
            run: Arc::clone(&run),
            words: job.words.clone(),
            tally: Arc::clone(&tally),
        };
        sending.spawn(sender.send_all(Arc::clone(&backlog), ended.clone()));
    }
    let mut shown = interval(SHOWN_EVERY);
    let mut asked = std::pin::pin!(asked_to_end());
    let mut is_over = false;
    loop {
        tokio::select! {
            sent = sending.join_next() => match sent {
                Some(sent) => sent.context("a publisher failed")?,
                None => break,
            },
            _ = shown.tick() => show(&progress, &tally),
            () = &mut asked, if !is_over => {
                is_over = true;
                pace.stop();
                end.send_replace(true);
            }
        }
    }
    let seconds = tally.elapsed();
    if job.follow {
        // What is lost is not waited for any longer.
        drop(timeout(STRAGGLERS, tally.all_seen()).await);
    }
    show(&progress, &tally);
    progress.finish_and_clear();
    Ok(tally.report(job, seconds, is_over))
}

/// What it says when nothing can be sent at all.
fn cannot(job: &SimulateJob) -> String {
    format!(
        "cannot begin: {} (--to names another topic, --token-file a token)",
        job.address
    )
}

/// One of the crowd.
struct Sender {
    number: usize,
    publisher: Publisher,
    run: Arc<str>,
    words: crate::crowd::Words,
    tally: Arc<Tally>,
}

impl Sender {
    /// Sends what is due, one message after the other, until there is none or it is to end.
    async fn send_all(
        mut self,
        backlog: Arc<Mutex<mpsc::Receiver<Due>>>,
        ended: state::Receiver<bool>,
    ) {
        loop {
            // The one that waits longest is the next.
            let due = backlog.lock().await.recv().await;
            let Some(due) = due.filter(|_| !*ended.borrow()) else {
                return;
            };
            self.send(due).await;
        }
    }

    async fn send(&mut self, due: Due) {
        let (reaction, count) = self.words.of(due.number);
        let payload = Payload {
            reaction,
            count,
            mark: Mark {
                run: &self.run,
                publisher: self.number,
                number: due.number,
                due_us: u64::try_from(due.at.as_micros()).unwrap_or(u64::MAX),
            },
        };
        let payload = serde_json::to_string(&payload);
        let payload = payload.expect("invariant: text and numbers are valid JSON");
        self.tally.sent(due);
        let published = self.publisher.publish(&payload).await;
        self.tally.answered(due, published);
    }
}

fn progress(messages: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} sent, {msg}, {elapsed}");
    let bar = ProgressBar::with_draw_target(Some(messages), ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(progress: &ProgressBar, tally: &Tally) {
    if !progress.is_hidden() {
        let (sent, rest) = tally.so_far();
        progress.set_position(sent);
        progress.set_message(rest);
    }
}
