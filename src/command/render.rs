//! `floatup render`: a reaction log to frames, as fast as it goes.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::chart::Chart;
use crate::config::RenderJob;
use crate::flash::FlashGuard;
use crate::log::{Entry, entries};
use crate::look::Look;
use crate::metrics::Output;
use crate::output::{Artist, Debuts, Fanout, Moment, Pace, Plan, Sink};
use crate::paint::Painter;
use crate::reaction::Palette;
use crate::stage::{Entrance, Stage};

pub(super) fn run(job: &RenderJob) -> Result<()> {
    let threads = ThreadPoolBuilder::new().num_threads(job.picture.threads);
    let threads = threads.build().context("cannot start threads to draw on")?;
    let threads = Arc::new(threads);
    threads.install(|| draw(job, &threads))
}

/// The whole work, on one of the threads.
fn draw(job: &RenderJob, threads: &Arc<ThreadPool>) -> Result<()> {
    let log = read_log(&job.log, &job.picture.palette, job.skip_bad_lines)?;
    let picture = &job.picture;
    let look = Look::load(&picture.look)?;
    let emoji = log.iter().map(|entry| &entry.reaction.emoji);
    let cast = look.cast(&picture.palette, emoji, picture.size)?;
    let sheet = Arc::clone(cast.sheet());
    let mut stage = Stage::new(cast, picture.limits);
    let guard = || FlashGuard::new(&sheet, picture.size).with_level(picture.simd);
    let mut flashes = picture.limits.flash_guard.then(guard);
    let painter = Painter::new(sheet, picture.size).with_level(picture.simd);
    let chart = picture.test_pattern.then(|| Chart::new(picture.size));
    let chart = chart.transpose()?;
    let spare = Arc::new(Artist::new(painter.clone(), picture.scan, chart));
    let artist = Artist::new(
        painter.with_threads(Arc::clone(threads)),
        picture.scan,
        chart,
    );
    let mut fanout = Fanout::new(artist, Pace::Readers);
    let plans = job.output.parts(picture).into_iter();
    let plans = plans.map(|(target, spec)| Ok((Plan::new(target, spec)?, Output::default())));
    let plans = plans.collect::<Result<Vec<_>>>()?;
    for sink in Sink::start_all(plans, &spare, &Debuts::default(), false)? {
        fanout.add(sink);
    }

    let progress = progress(frames_about(job, &log, &look));
    let mut coming = log.iter().peekable();
    let mut moment = Moment::default();
    while moment.index < job.frames.unwrap_or(u64::MAX) {
        let pts = picture.rate.pts(moment.index);
        while let Some(entry) = coming.next_if(|entry| entry.at <= pts) {
            stage.retire(entry.at);
            stage.spawn(&Entrance {
                page: picture.seed,
                sequence: entry.line,
                publisher: None,
                reactions: std::slice::from_ref(&entry.reaction),
                at: entry.at,
            });
        }
        stage.retire(pts);
        moment.see(&stage, picture.rate, picture.scan);
        if let Some(flashes) = &mut flashes {
            moment.guard(flashes, picture.rate);
        }
        fanout.give(&moment, false, || false);
        if fanout.is_empty() {
            break;
        }
        moment.index += 1;
        progress.inc(1);
        // The first frame on which nothing is left ends every animation, and the file.
        if job.frames.is_none() && coming.peek().is_none() && stage.is_empty() {
            break;
        }
    }
    progress.finish_and_clear();
    let tally = stage.take_tally();
    let gave_way = tally.retired + tally.dropped + tally.queue_full + tally.queue_stale;
    if gave_way > 0 {
        tracing::warn!(
            "{gave_way} sprites gave way at the cap of {}",
            picture.limits.sprites_max
        );
    }
    fanout.finish()
}

/// How many frames there will be, or thereabouts: sprites may live longer than plain ones.
fn frames_about(job: &RenderJob, log: &[Entry], look: &Look) -> u64 {
    let lifetime = look.stylesheet.motion(None, &[]).lifetime();
    let end = log
        .last()
        .map_or(Duration::ZERO, |entry| entry.at + lifetime);
    let whole = job.picture.rate.first_at_or_after(end).saturating_add(1);
    job.frames.unwrap_or(whole)
}

/// A log's entries by rising time; entries at one time stay in the log's order.
pub(super) fn read_log(path: &Path, palette: &Palette, skip_bad_lines: bool) -> Result<Vec<Entry>> {
    let name = path.display();
    let log = fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let mut good = Vec::new();
    for entry in entries(&log, palette) {
        match entry {
            Ok(entry) => good.push(entry),
            Err(bad) if skip_bad_lines => tracing::warn!("{name}: {bad}; skipped"),
            Err(bad) => bail!("{name}: {bad} (--skip-bad-lines goes on without such lines)"),
        }
    }
    good.sort_by_key(|entry| entry.at);
    Ok(good)
}

fn progress(frames: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(frames), ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
