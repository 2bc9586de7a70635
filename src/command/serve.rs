//! `floatup serve`: topics, pages, and the channels that draw them.

mod reload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use self::reload::Reload;
use super::{FrameLoop, Names, asked_to_end, files, page, runtime};
use crate::aws;
use crate::channel::{Channel, Run};
use crate::config::live::Live;
use crate::config::{ChannelConfig, LogFormat, MetadataConfig, Picture, Serve, TlsFiles};
use crate::gate;
use crate::look::Look;
use crate::metrics::Metrics;
use crate::momento::Minter;
use crate::output::{Body, FeedForm, Form, Newest, Pace, Plan, Policy, Spec};
use crate::reaction::{Palette, Rules};
use crate::server::{
    self, Access, Bounds, Channels, ControlKey, Controls, OutputMonitor, REACTION_CACHE, Service,
    Tls, TlsFile, Webhook, WebhookSecret,
};
use crate::source::{Bridge, EMBEDDED, Guard, Inbox, Merge, Monitor, follow_topic, since_epoch};
use crate::timed_metadata::TimedMetadata;
use crate::token::Key;
use crate::topic::{Broker, Limits, TopicName, encoded};

/// What a channel's webhook is called among its sources.
const WEBHOOK: &str = "webhook";

pub(super) fn run(job: Serve) -> Result<()> {
    let metrics = Arc::new(Metrics::new());
    let broker = Broker::new(limits(&job), page());
    let looks = job.channels.iter().map(load).collect::<Result<Vec<_>>>()?;
    let channels = job
        .channels
        .iter()
        .zip(&looks)
        .map(|(config, look)| {
            Channel::new(config, look, metrics.channel(&config.name)).map(Arc::new)
        })
        .collect::<Result<Vec<_>>>()?;
    for channel in &channels {
        metrics.glyphs_substituted.inc_by(channel.substituted());
    }

    let tls = job.tls.as_ref().map(tls).transpose()?;
    let runtime = runtime()?;
    let listener = runtime
        .block_on(TcpListener::bind(job.listen))
        .with_context(|| {
            format!(
                "cannot listen on {} (--listen names another address)",
                job.listen
            )
        })?;
    let address = listener.local_addr().context("cannot listen")?;
    let outputs = record(&job, &channels, &metrics)?;
    let run = Run {
        frames: None,
        pace: Pace::Clock,
        lasting: true,
    };
    let loops = channels
        .iter()
        .map(|channel| FrameLoop::start(Arc::clone(channel), run))
        .collect::<Result<Vec<_>>>()?;

    let guards = job.channels.iter();
    let guards = guards.map(|config| super::guard(&config.gate, &config.name, &metrics));
    let guards: Vec<Guard> = guards.collect();
    let desks = job.channels.iter().zip(&channels).zip(&guards);
    let desks = desks.map(|((config, channel), guard)| Desk {
        channel: Arc::clone(channel),
        guard: guard.clone(),
        palette: Arc::clone(&config.picture.palette),
        changes: watch::Sender::new(()),
        clearings: watch::Sender::new(()),
    });
    let desks: Vec<Desk> = desks.collect();
    let (mut monitors, mut hooks) = (Vec::new(), BTreeMap::new());
    for (number, (config, channel)) in job.channels.iter().zip(&channels).enumerate() {
        let topic = TopicName::new(&config.cache, &config.topic)?;
        let page = page();
        let merge = Merge::new(Box::new(Arc::clone(channel)), page);
        let rules = Rules::new(Arc::clone(&config.picture.palette));
        let inbox = Inbox::new(&config.name, EMBEDDED, rules, Arc::new(merge), &metrics);
        // What other sources bring goes to the topic first, so that pages show it too.
        let bridge = Bridge::new(broker.clone(), topic.clone());
        let merge = Arc::new(Merge::new(Box::new(bridge), page));
        let own = job.sources.iter().filter(|source| source.channel == number);
        let mut all = vec![inbox.monitor()];
        let broker = broker.clone();
        runtime.spawn(async move { follow_topic(&broker, &topic, &inbox).await });
        all.extend(super::follow_all(
            own,
            &config.name,
            &guards[number],
            &merge,
            &metrics,
            &runtime,
        )?);
        let rules = Rules::new(Arc::clone(&config.picture.palette));
        let hook = Inbox::new(&config.name, WEBHOOK, rules, merge, &metrics);
        let hook = hook.with_guard(guards[number].clone());
        all.push(hook.monitor());
        hooks.insert(config.name.clone(), hook);
        monitors.push(all);
    }
    let first = &job.channels[0];
    if let Some(config) = &job.timed_metadata {
        send_metadata(config, first, &broker, &metrics, &runtime)?;
    }
    let service = Service {
        broker,
        metrics: Arc::clone(&metrics),
        key: key(&job)?,
        control_key: control_key(&job)?,
        minter: minter(&job)?,
        access: if job.require_token {
            Access::Required
        } else {
            Access::Open
        },
        palette: Arc::clone(&first.picture.palette),
        stylesheet: Arc::clone(&looks[0].text),
        images: looks[0].images.clone(),
        default_topic: first.topic.clone(),
        caches: job.caches.clone(),
        gap_cure: job.gap_cure,
        hold: job.poll_hold,
        channels: served(
            &job.channels,
            &looks,
            &desks,
            monitors.into_iter().zip(outputs).zip(guards),
            &metrics,
        )?,
        chat: job.chat.clone(),
        webhook: Some(webhook(&job, hooks)?),
        bounds: Bounds {
            connections: files::connections(job.bounds.connections),
            ..job.bounds.clone()
        },
        tls,
        address,
    };
    let entered = runtime.enter();
    let asked = asked_to_end();
    let (channels, format) = (job.channels.clone(), job.log_format);
    let reload = Reload::new(job, desks, metrics);
    drop(entered);
    // Whoever reads the address may send a signal.
    announce(&service, &channels, format);
    let end = async {
        tokio::select! {
            () = asked => {}
            () = reload.run() => {}
        }
        tracing::info!(
            "asked to end; clients have {} s to take their answers, and outputs {} s to write what is left",
            server::STOP_GRACE.as_secs(),
            super::FINISH_GRACE.as_secs()
        );
    };
    runtime.block_on(server::serve(listener, Arc::new(service), end));
    let finished = runtime.block_on(futures_util::future::join_all(
        loops.into_iter().map(FrameLoop::finish),
    ));
    runtime.shutdown_timeout(Duration::from_secs(1));
    finished.into_iter().collect()
}

fn limits(job: &Serve) -> Limits {
    Limits {
        ring_items: job.ring_items,
        ring_age: job.ring_age,
        topics_max: job.topics_max,
        idle: job.topic_idle,
        ..Limits::default()
    }
}

fn load(config: &ChannelConfig) -> Result<Look> {
    Look::load(&config.picture.look).with_context(|| format!("channel {}", config.name))
}

/// The configured signing key, or one for this run alone.
fn key(job: &Serve) -> Result<Key> {
    Ok(match &job.signing_key {
        Some(secret) => Key::new(secret.expose().as_bytes())?,
        None => Key::new(rand::random::<[u8; 32]>())?,
    })
}

/// What changes to the service are made with.
fn control_key(job: &Serve) -> Result<Option<ControlKey>> {
    let key = job.control_key.as_ref();
    let key = key.map(|secret| ControlKey::new(secret.expose()));
    Ok(key.transpose()?)
}

/// The certificate and its key.
pub(super) fn tls(files: &TlsFiles) -> Result<Tls> {
    Tls::load(&files.cert, &files.key).map_err(|error| {
        let flag = match error.file {
            TlsFile::Cert => "--tls-cert",
            TlsFile::Key => "--tls-key",
        };
        anyhow!("{flag}: {error}")
    })
}

/// What mints tokens of an account elsewhere, if that is asked for.
fn minter(job: &Serve) -> Result<Option<Minter>> {
    let minter = job.momento_tokens.clone();
    let minter = minter.map(|tokens| Minter::new(tokens.key, tokens.endpoint.as_deref()));
    minter.transpose().context("Momento tokens")
}

/// Sends a channel's reactions as timed metadata.
fn send_metadata(
    config: &MetadataConfig,
    channel: &ChannelConfig,
    broker: &Broker,
    metrics: &Metrics,
    runtime: &Runtime,
) -> Result<()> {
    let _entered = runtime.enter();
    let client = aws::Client::new(config.place.clone(), config.endpoint.clone(), since_epoch);
    let client = client.context("timed metadata")?;
    let figures = metrics.timed_metadata(&channel.name);
    let metadata = TimedMetadata::new(client, config.channel.clone(), figures);
    let topic = TopicName::new(&channel.cache, &channel.topic)?;
    let (broker, palette) = (broker.clone(), Arc::clone(&channel.picture.palette));
    runtime.spawn(async move { metadata.run(&broker, &topic, &palette).await });
    Ok(())
}

/// Where other services' reactions go, and what they are signed with.
fn webhook(job: &Serve, channels: BTreeMap<String, Inbox>) -> Result<Webhook> {
    let secret = job.webhook_secret.as_ref();
    let secret = secret.map(|secret| WebhookSecret::new(secret.expose().as_bytes()));
    Ok(Webhook {
        secret: secret.transpose()?,
        channels,
    })
}

/// Starts the channels' outputs, and gives what others see of those of each.
fn record(
    job: &Serve,
    channels: &[Arc<Channel>],
    metrics: &Metrics,
) -> Result<Vec<Vec<OutputMonitor>>> {
    let mut outputs = vec![Vec::new(); channels.len()];
    let mut names: Vec<Names> = channels.iter().map(|_| Names::default()).collect();
    for output in &job.outputs {
        let number = output.channel;
        let (channel, config) = (&channels[number], &job.channels[number]);
        let names = &mut names[number];
        outputs[number].extend(super::attach(channel, config, output, metrics, names)?);
    }
    Ok(outputs)
}

/// What a channel's feed has in common.
fn spec(picture: &Picture) -> Spec {
    Spec {
        size: picture.size,
        rate: picture.rate,
        scan: picture.scan,
        alpha: picture.alpha,
        form: Form::default(),
    }
}

/// What the server shows of each channel.
fn served(
    configs: &[ChannelConfig],
    looks: &[Look],
    desks: &[Desk],
    watched: impl Iterator<Item = ((Vec<Monitor>, Vec<OutputMonitor>), Guard)>,
    metrics: &Metrics,
) -> Result<Channels> {
    let channels = configs.iter().zip(looks).zip(desks).zip(watched);
    let served = channels.map(|(((config, look), desk), ((sources, outputs), guard))| {
        let (fed, newest) = (Arc::clone(&desk.channel), Newest::default());
        let beating = Arc::clone(&desk.channel);
        let (spec, counted) = (spec(&config.picture), metrics.output(&config.name, "feed"));
        let feed = move |form: FeedForm| {
            let (body, chunks) = Body::new();
            let plan = Plan::feed(body, form, newest.clone(), spec);
            let attached = fed.attach(plan, Policy::Drop, counted.clone());
            attached.map_err(|e| format!("{e:#}")).map(|()| chunks)
        };
        let channel = Arc::clone(&desk.channel);
        let served = server::Channel {
            topic: TopicName::new(&config.cache, &config.topic)?,
            sources,
            outputs,
            stalled: Box::new(move || beating.stalled()),
            controls: Box::new(desk.clone()),
            guard,
            stylesheet: Arc::clone(&look.text),
            still: Box::new(move || channel.still().map_err(|e| format!("{e:#}"))),
            feed: Box::new(feed),
        };
        Ok((config.name.clone(), served))
    });
    served.collect()
}

/// A channel as its operator has it.
#[derive(Clone)]
struct Desk {
    channel: Arc<Channel>,
    guard: Guard,
    palette: Arc<Palette>,
    /// Told whenever something is set; who looks for it sees the last time alone.
    changes: watch::Sender<()>,
    /// Told whenever the stage is cleared, in the same way.
    clearings: watch::Sender<()>,
}

impl Desk {
    fn live(&self) -> Live {
        Live {
            limits: self.channel.limits(),
            rules: self.guard.gate().rules(),
        }
    }

    /// Sets all of it, but whether it is paused.
    fn set(&self, Live { limits, rules }: Live) {
        self.channel.set_limits(limits);
        self.guard.gate().change(|now| {
            *now = gate::Rules {
                paused: now.paused,
                ..rules
            }
        });
        self.changes.send_replace(());
    }
}

impl Controls for Desk {
    fn settings(&self) -> Map<String, Value> {
        self.live().settings(&self.palette)
    }

    fn change(&self, changes: &Map<String, Value>) -> Result<(), String> {
        self.set(self.live().changed(changes, &self.palette)?);
        Ok(())
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn pause(&self, paused: bool) {
        self.guard.gate().change(|rules| rules.paused = paused);
    }

    fn is_paused(&self) -> bool {
        self.guard.gate().rules().paused
    }

    fn clear(&self) {
        self.channel.clear();
        self.clearings.send_replace(());
    }

    fn clearings(&self) -> watch::Receiver<()> {
        self.clearings.subscribe()
    }

    fn sprites(&self) -> usize {
        self.channel.sprites()
    }
}

/// Addresses to open go to stderr: stdout is for frames alone.
fn announce(service: &Service, channels: &[ChannelConfig], format: LogFormat) {
    let scheme = match service.tls {
        Some(_) => "https",
        None => "http",
    };
    let url = format!("{scheme}://{}", service.address);
    let running = format!("floatup {} is running", env!("CARGO_PKG_VERSION"));
    match format {
        LogFormat::Text => eprintln!("{running}; Ctrl-C ends it."),
        LogFormat::Json => tracing::info!(url, "{running}"),
    }
    let say = |channel: Option<&str>, what: &str, url: &str| match format {
        LogFormat::Text => eprintln!("  {what:16}{url}"),
        LogFormat::Json => tracing::info!(channel, url, "{what}"),
    };
    for channel in channels {
        let name = encoded(&channel.name);
        let of = Some(channel.name.as_str());
        // The viewer page's topics are of one cache.
        if channel.cache == REACTION_CACHE {
            let topic = encoded(&channel.topic);
            say(of, "viewer page", &format!("{url}/?videoId={topic}"));
        }
        say(of, "browser source", &format!("{url}/overlay/{name}"));
        say(of, "still", &format!("{url}/channels/{name}/frame.png"));
        say(of, "live feed", &format!("{url}/channels/{name}/feed.mkv"));
    }
    say(None, "metrics", &format!("{url}/metrics"));
}
