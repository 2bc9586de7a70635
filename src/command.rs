//! The commands: each does its whole work from checked settings.

mod burn_in;
mod cues;
mod doctor;
mod files;
mod follow;
mod publish;
mod obs_source;
mod overlay_page;
mod pipe;
mod render;
mod serve;
mod simulate;
mod still;
mod verify_alpha;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::channel::{Channel, Run};
use crate::config::{ChannelConfig, Command, OutputConfig, SourceConfig};
use crate::gate::{self, Gate};
use crate::look::preset::{PRESETS, Preset};
use crate::metrics::Metrics;
use crate::output::Plan;
use crate::server::OutputMonitor;
use crate::source::{Guard, Inbox, Merge, Monitor, Source, since_epoch};

/// How long outputs may take to write the last frame and their ends, once asked to.
const FINISH_GRACE: Duration = Duration::from_secs(5);

/// Runs one command to its end.
///
/// # Errors
/// Whatever kept it from its work, with what can be done about it.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(job) => serve::run(*job),
        Command::Pipe(job) => pipe::run(&job),
        Command::Frame(job) => still::run(&job),
        Command::Render(job) => render::run(&job),
        Command::BurnIn(job) => burn_in::run(&job),
        Command::Follow(job) => follow::run(job),
        Command::Cues(job) => cues::run(&job),
        Command::Publish(job) => publish::run(&job),
        Command::Simulate(job) => simulate::run(&job),
        Command::Doctor(settings) => doctor::run(*settings),
        Command::OverlayPage(job) => overlay_page::run(&job),
        Command::ObsSource(job) => obs_source::run(&job),
        Command::Presets => {
            let line = |preset: &Preset| format!("{:24}{}\n", preset.name, preset.about);
            tell(&PRESETS.iter().map(line).collect::<String>())
        }
        Command::VerifyAlpha(job) => verify_alpha::run(&job),
        Command::CheckConfig(path) => {
            crate::config::check_file(&path)?;
            tell(&format!("{}: ok\n", path.display()))
        }
    }
}

/// Writes an answer to stdout, for commands whose stdout is not frames.
fn tell(text: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")
}

/// A frame loop on a thread of its own.
struct FrameLoop {
    channel: Arc<Channel>,
    done: oneshot::Receiver<Result<()>>,
}

impl FrameLoop {
    fn start(channel: Arc<Channel>, run: Run) -> Result<Self> {
        let (tell, done) = oneshot::channel();
        let running = Arc::clone(&channel);
        let run = move || {
            // Nobody waits for it any more when the process is about to end anyway.
            drop(tell.send(running.run(run)));
        };
        let thread = std::thread::Builder::new().name("frames".into()).spawn(run);
        drop(thread.context("cannot start a thread")?);
        Ok(Self { channel, done })
    }

    /// Resolves when the loop has ended by itself.
    async fn ended(&mut self) -> Result<()> {
        (&mut self.done)
            .await
            .unwrap_or_else(|_| Err(anyhow!("the frame loop panicked")))
    }

    /// Ends the loop, the last frame whole and every file finished.
    async fn finish(mut self) -> Result<()> {
        self.channel.stop();
        match tokio::time::timeout(FINISH_GRACE, self.ended()).await {
            Ok(result) => result,
            Err(_) => bail!(
                "an output took nothing for {} s, so its last frame may be cut off",
                FINISH_GRACE.as_secs()
            ),
        }
    }
}

/// What outputs are called in figures: two whose addresses differ in what is not shown of them, such
/// as a stream's key, are told apart.
#[derive(Debug, Default)]
struct Names(Vec<String>);

impl Names {
    /// The name of one more, of which this is shown.
    fn name(&mut self, shown: String) -> String {
        let same = self.0.iter().filter(|other| {
            let rest = other.strip_prefix(shown.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
        });
        let name = match same.count() {
            0 => shown,
            before => format!("{shown} ({})", before + 1),
        };
        self.0.push(name.clone());
        name
    }
}

/// Adds an output to a channel, and gives what others see of it; fill and key are two that have the
/// same frames.
fn attach(
    channel: &Channel,
    config: &ChannelConfig,
    output: &OutputConfig,
    metrics: &Metrics,
    names: &mut Names,
) -> Result<Vec<OutputMonitor>> {
    let mut monitors = Vec::new();
    let plans = output.parts(&config.picture).into_iter();
    let plans = plans.map(|(target, spec)| {
        let plan = Plan::new(target, spec)?;
        let counted = metrics.output(&config.name, &names.name(plan.to_string()));
        monitors.push(OutputMonitor {
            is_required: output.is_required,
            metrics: counted.clone(),
        });
        Ok((plan, counted))
    });
    let mut plans = plans.collect::<Result<Vec<_>>>()?;
    let attached = match (plans.pop(), plans.is_empty()) {
        (Some((plan, counted)), true) => {
            let policy = output.policy.unwrap_or_else(|| plan.policy());
            channel.attach(plan, policy, counted)
        }
        (last, _) => {
            plans.extend(last);
            channel.attach_locked(plans)
        }
    };
    attached.map(|()| monitors)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The first page of this run's topics, above those of every run before: milliseconds since 1970.
fn page() -> u64 {
    milliseconds(since_epoch())
}

/// What lets messages in to a channel.
fn guard(rules: &gate::Rules, channel: &str, metrics: &Metrics) -> Guard {
    let gate = Arc::new(Gate::new(rules.clone()));
    Guard::new(gate, metrics.gate(channel))
}

/// Follows one source of a channel on the runtime.
fn follow(source: Source, inbox: Inbox, runtime: &Runtime) {
    runtime.spawn(async move { source.follow(&inbox).await });
}

/// Follows sources of a channel on the runtime, and gives what others see of each.
fn follow_all<'s>(
    sources: impl IntoIterator<Item = &'s SourceConfig>,
    channel: &str,
    guard: &Guard,
    merge: &Arc<Merge>,
    metrics: &Metrics,
    runtime: &Runtime,
) -> Result<Vec<Monitor>> {
    let mut monitors = Vec::new();
    for config in sources {
        let (source, inbox) = open(config, channel, merge, metrics)?;
        let inbox = inbox.with_guard(guard.clone());
        monitors.push(inbox.monitor());
        follow(source, inbox, runtime);
    }
    Ok(monitors)
}

/// A source, and its way into its channel.
fn open(
    config: &SourceConfig,
    channel: &str,
    merge: &Arc<Merge>,
    metrics: &Metrics,
) -> Result<(Source, Inbox)> {
    let name = config.address.to_string();
    let source = Source::new(&config.address, &config.secrets);
    let source = source.with_context(|| format!("source {name}"))?;
    let inbox = Inbox::new(
        channel,
        &name,
        config.rules.clone(),
        Arc::clone(merge),
        metrics,
    )
    .with_weight(config.weight)
    .with_required(config.is_required);
    Ok((source, inbox))
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// Resolves when the process is asked to end: by SIGINT or SIGTERM, which from this call on end nothing
/// by themselves.
fn asked_to_end() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let mut caught: Vec<_> = kinds.into_iter().flat_map(signal).collect();
        async move {
            let asked = caught.iter_mut().map(|signal| Box::pin(signal.recv()));
            match asked.len() {
                0 => std::future::pending().await,
                _ => drop(futures_util::future::select_all(asked).await),
            }
        }
    }
    #[cfg(not(unix))]
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_shown_alike_are_told_apart() {
        let mut names = Names::default();
        let given = [
            "rtmp://a/…",
            "b.mov",
            "rtmp://a/…",
            "rtmp://a/…",
            "rtmp://a",
        ];
        let names = given.map(|shown| names.name(shown.into()));
        let expected = [
            "rtmp://a/…",
            "b.mov",
            "rtmp://a/… (2)",
            "rtmp://a/… (3)",
            "rtmp://a",
        ];
        assert_eq!(names, expected);
    }
}
