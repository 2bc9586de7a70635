//! `floatup burn-in`: reactions in the programme itself.

#[cfg(feature = "ffmpeg")]
mod line;

use anyhow::Result;

use crate::config::BurnInJob;

#[cfg(not(feature = "ffmpeg"))]
pub(super) fn run(job: &BurnInJob) -> Result<()> {
    anyhow::bail!(
        "{}: this floatup is built without FFmpeg's libraries, which burning in takes",
        crate::shown::place(&job.input)
    )
}

#[cfg(feature = "ffmpeg")]
pub(super) fn run(job: &BurnInJob) -> Result<()> {
    with_libav::run(job)
}

#[cfg(feature = "ffmpeg")]
mod with_libav {
    use std::io::IsTerminal as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use anyhow::{Context as _, Result, bail};
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
    use rayon::ThreadPoolBuilder;
    use tokio::net::TcpListener;
    use tokio::runtime::Runtime;
    use tokio::sync::oneshot;

    use super::line::Line;
    use crate::burn_in::overlay::{Inbox, Reactions, Show};
    use crate::burn_in::settings::Sync;
    use crate::burn_in::status::Status;
    use crate::burn_in::{BurnIn, Job};
    use crate::command::render::read_log;
    use crate::command::{FINISH_GRACE, Names, asked_to_end, page, runtime, tell};
    use crate::config::{self, BurnInJob};
    use crate::look::Look;
    use crate::metrics::Metrics;
    use crate::reaction::{Emoji, Palette, Rules};
    use crate::server;
    use crate::source::momento::Momento;
    use crate::source::{self, Merge, Source};
    use crate::topic::TopicName;

    /// How often progress is shown.
    const TICK: Duration = Duration::from_millis(250);

    pub(super) fn run(job: &BurnInJob) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let is_file = Path::new(&job.input).is_file();
        // A log's times are those of the programme.
        let is_followed = !matches!(job.reactions, config::Reactions::Log { .. });
        let (sync, hold) = match is_followed {
            true if job.delay.earlier => (job.sync, job.delay.by),
            true => (job.sync, Duration::ZERO),
            false => (Sync::Arrival, Duration::ZERO),
        };
        let to_do = Job {
            input: job.input.clone(),
            input_format: job.input_format.clone(),
            outputs: job.outputs.clone(),
            region: job.region,
            on_input_loss: job.on_input_loss,
            slate: job.slate.clone(),
            // A recording into which comes what is sent while it plays.
            realtime: job.realtime || is_followed && hold.is_zero() && is_file,
            sync,
            hold,
            drop_unsupported: job.drop_unsupported,
            force: job.force,
        };
        if job.dry_run {
            return tell(&BurnIn::new(to_do, Arc::default(), stop)?.plan());
        }
        let mut all = Metrics::new();
        let mut names = Names::default();
        let names = job.outputs.iter().map(|output| names.name(output.name()));
        let names: Vec<String> = names.collect();
        let (status, encodings) = all.programme(names.iter().map(String::as_str));
        let status = Arc::new(status);
        let name = match &job.reactions {
            config::Reactions::Topic { name, .. } | config::Reactions::Sources { name, .. } => name,
            config::Reactions::Log { .. } => "log",
        };
        let metrics = all.channel(name);
        let runtime = runtime()?;
        let all = Arc::new(all);
        serve_figures(job, &all, &runtime)?;
        // A live input may be long in coming, and whoever watches wants to know.
        let burn_in = BurnIn::new(to_do, Arc::clone(&status), Arc::clone(&stop))?;
        let (reactions, emoji) = reactions(job, &all, &runtime)?;
        let look = Look::load(&job.picture.look)?;
        let palette = Arc::clone(&job.picture.palette);
        let threads = ThreadPoolBuilder::new().num_threads(job.picture.threads);
        let threads = threads.thread_name(|n| format!("paint-{n}")).build();
        let show = Show {
            cast: Box::new(move |size, scale| look.cast_at(&palette, &emoji, size, scale)),
            limits: job.picture.limits,
            simd: job.picture.simd,
            threads: Arc::new(threads.context("cannot start threads to draw on")?),
            seed: job.picture.seed,
            test_pattern: job.picture.test_pattern,
            delay: job.delay,
            metrics,
        };
        let figures = names.iter().zip(encodings);
        let figures = figures.map(|(output, encoding)| (all.output(name, output), encoding));
        let figures: Vec<_> = figures.collect();
        let is_live = burn_in.is_live();
        let outputs = names.iter().zip(figures.clone());
        let outputs = outputs.map(|(name, (output, encoding))| (name.clone(), output, encoding));
        let progress = progress(&burn_in);
        let mut line = Line::new(Arc::clone(&status), outputs.collect(), is_live);
        let (tell, mut done) = oneshot::channel();
        let work = move || drop(tell.send(burn_in.run(show, reactions, figures)));
        let thread = std::thread::Builder::new()
            .name("compose".into())
            .spawn(work);
        drop(thread.context("cannot start a thread")?);
        let result = runtime.block_on(async {
            let mut tick = tokio::time::interval(TICK);
            let asked = asked_to_end();
            tokio::pin!(asked);
            loop {
                tokio::select! {
                    result = &mut done => return result.context("a thread has panicked")?,
                    () = &mut asked => break,
                    _ = tick.tick() => show_progress(&progress, &mut line),
                }
            }
            stop.store(true, Ordering::Relaxed);
            match tokio::time::timeout(FINISH_GRACE, done).await {
                Ok(result) => result.context("a thread has panicked")?,
                Err(_) => bail!(
                    "an output took nothing for {} s, so its last pictures may be cut off",
                    FINISH_GRACE.as_secs()
                ),
            }
        });
        progress.finish_and_clear();
        runtime.shutdown_background();
        sum_up(&status);
        result
    }

    /// Serves what is counted, if that is asked for, and says where: the port may have been any.
    fn serve_figures(job: &BurnInJob, all: &Arc<Metrics>, runtime: &Runtime) -> Result<()> {
        let Some(address) = job.metrics else {
            return Ok(());
        };
        let listener = runtime.block_on(TcpListener::bind(address));
        let listener = listener.with_context(|| {
            format!("cannot listen on {address} (--metrics names another address)")
        })?;
        let address = listener.local_addr().context("cannot listen")?;
        tracing::info!("metrics at http://{address}/metrics");
        let all = Arc::clone(all);
        runtime.spawn(server::serve_figures(listener, all));
        Ok(())
    }

    /// Where reactions come from, and all emoji that may come.
    fn reactions(
        job: &BurnInJob,
        metrics: &Metrics,
        runtime: &Runtime,
    ) -> Result<(Reactions, Vec<Emoji>)> {
        let palette = &job.picture.palette;
        match &job.reactions {
            config::Reactions::Log {
                path,
                skip_bad_lines,
            } => {
                let log = read_log(path, palette, *skip_bad_lines)?;
                let emoji = log.iter().map(|entry| entry.reaction.emoji.clone());
                let emoji = emoji.collect();
                Ok((Reactions::Log(log), emoji))
            }
            config::Reactions::Topic {
                url,
                name,
                cache,
                topic,
                token,
            } => {
                let topic = TopicName::new(cache, topic)?;
                let token = token.as_ref().map(|token| token.expose().to_owned());
                let source = Momento::new(url, topic, token).context("cannot set up HTTP")?;
                let inbox = Arc::new(Inbox::default());
                let merge = Merge::new(Box::new(Arc::clone(&inbox)), page());
                let rules = Rules::new(Arc::clone(palette));
                let called = source.name().to_string();
                let way = source::Inbox::new(name, &called, rules, Arc::new(merge), metrics);
                crate::command::follow(Source::Momento(source), way, runtime);
                Ok((Reactions::Live(inbox), all_of(palette)))
            }
            config::Reactions::Sources {
                name,
                sources,
                gate,
            } => {
                let inbox = Arc::new(Inbox::default());
                let merge = Merge::new(Box::new(Arc::clone(&inbox)), page());
                let (guard, merge) = (crate::command::guard(gate, name, metrics), Arc::new(merge));
                crate::command::follow_all(sources, name, &guard, &merge, metrics, runtime)?;
                Ok((Reactions::Live(inbox), all_of(palette)))
            }
        }
    }

    /// All emoji that may come.
    fn all_of(palette: &Palette) -> Vec<Emoji> {
        palette.entries().map(|(_, emoji)| emoji.clone()).collect()
    }

    fn progress(burn_in: &BurnIn) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let target = ProgressDrawTarget::stderr();
        let (length, template) = match burn_in.duration().filter(|_| !burn_in.is_live()) {
            Some(length) => (Some(length), "{wide_bar} {msg}, {eta} left"),
            None => (None, "{spinner} {msg}"),
        };
        let milliseconds = length.map(|length| u64::try_from(length.as_millis()).unwrap_or(1));
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::with_draw_target(milliseconds, target);
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    fn show_progress(bar: &ProgressBar, line: &mut Line) {
        let time = line.status.time().as_millis();
        bar.set_position(u64::try_from(time).unwrap_or(u64::MAX));
        bar.set_message(line.at(bar.elapsed()));
    }

    /// Says what was not as it should be.
    fn sum_up(status: &Status) {
        for (number, what) in [
            (status.damaged.get(), "packets or pictures were damaged"),
            (status.jumps.get(), "jumps of the input's time were closed"),
            (status.losses.get(), "times the input was lost"),
            (
                status.without_overlay.get(),
                "pictures went on without reactions",
            ),
            (
                status.overrun.get(),
                "packets were not decoded, for want of time",
            ),
            (
                status.dropped.get(),
                "packets and pictures are not in an output",
            ),
        ] {
            if number > 0 {
                tracing::warn!("{number} {what}");
            }
        }
    }
}
