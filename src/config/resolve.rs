//! Keys to settings: layers merged, defaults put in, and what must go together checked.

mod account;
mod burn_in;
mod gate;
mod publishing;
mod source;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::burn_in::burn_in;
pub(super) use self::gate::rules;
pub(super) use self::publishing::{publish, simulate};
use crate::config::args::{
    ConfigArgs, CuesArgs, EnvKeys, FollowArgs, FrameArgs, ObsArgs, PageArgs, PipeArgs, RenderArgs,
    ServeArgs, TopicArgs, env_keys, env_name,
};
use crate::config::file::{self, ChannelTable, FileKeys, OutputTable};
use crate::config::keys::{
    ChannelKeys, GateKeys, LogKeys, LookKeys, OutputKeys, PictureKeys, ServiceKeys, SpriteKeys,
    StageKeys,
};
use crate::config::value::{Name, Secret, Text};
use crate::config::{
    ChannelConfig, ConfigError, CuesJob, DEFAULT_CACHE, DEFAULT_CHANNEL, FollowJob, FrameJob,
    LookSettings, ObsForm, ObsJob, OutputConfig, PageJob, Picture, Pipe, RenderJob, Serve,
    TlsFiles, cache_exists,
};
use crate::frame::{FrameRate, Size};
use crate::matte::Matte;
use crate::output::{Form, Policy, Target};
use crate::reaction::Palette;
use crate::server::{
    Bounds, CONTROL_KEY_BYTES_MIN, ChatSettings, Network, WEBHOOK_SECRET_BYTES_MIN,
};
use crate::stage::Limits;
use crate::token::KEY_BYTES_MIN;

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);

/// Over how long the sprites of one message come on at most, where reactions come as they are sent.
pub(super) const SPREAD: Duration = Duration::from_secs(1);

/// A settings file, a key or a token longer than this is no such thing.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A process's environment, or a test's.
type Env<'e> = &'e dyn Fn(&str) -> Option<OsString>;

pub(super) fn serve(args: ServeArgs, env: Env<'_>) -> Result<Serve, ConfigError> {
    let layers = Layers {
        gate: args.gate,
        ..Layers::read(&args.config, args.look, args.picture, args.output, env)?
    };
    let keys = args.service.clone();
    let keys = keys.over(layers.env.service.clone());
    let keys = keys.over(layers.file.service.clone());
    let listen = keys.listen.map_or(DEFAULT_LISTEN, |text| text.0.0);
    let signing_key = signing_key(&args.service, &layers, env)?;
    let webhook_secret = webhook_secret(&args.service, &layers, env)?;
    let control_key = control_key(&args.service, &layers, env)?;
    let tls = tls(&keys)?;
    let loopback = listen.ip().to_canonical().is_loopback();
    if !loopback && signing_key.is_none() {
        return Err(ConfigError::Refused(format!(
            "listen: {listen} is beyond loopback, where tokens need a signing key: set {} to the \
             output of `openssl rand -hex 32`, or name a file that holds it with \
             --signing-key-file",
            env_name("signing_key")
        )));
    }
    if !loopback && keys.require_token == Some(false) {
        return Err(ConfigError::Refused(format!(
            "require_token: false is for loopback alone, and listen is {listen}: expected true, \
             or a listen address such as {DEFAULT_LISTEN}"
        )));
    }
    let caches = keys.caches.filter(|caches| !caches.is_empty());
    let channels = layers.channels()?;
    for channel in &channels {
        cache_exists(&channel.cache, caches.as_deref().unwrap_or_default())
            .map_err(|e| ConfigError::Refused(format!("channel {:?}: cache {e}", channel.name)))?;
    }
    let outputs = outputs(keys.output, &layers, &channels)?;
    let sources = source::sources(keys.source, &layers, &channels, env)?;
    let (chat, bounds) = (ChatSettings::default(), Bounds::default());
    let networks = |given: Option<Vec<Text<Network>>>, default| {
        given.map_or(default, |given| {
            given.into_iter().map(|text| text.0).collect()
        })
    };
    let seconds = |given: Option<u64>, default| Duration::from_secs(given.unwrap_or(default));
    let log = layers.log.over(layers.env.log).over(layers.file.log);
    Ok(Serve {
        log_format: log.format(),
        listen,
        signing_key,
        webhook_secret,
        control_key,
        tls,
        require_token: keys.require_token.unwrap_or(!loopback),
        caches: caches.map(|names| names.into_iter().map(|name| name.0.0).collect()),
        gap_cure: keys.gap_cure.unwrap_or(true),
        poll_hold: seconds(keys.poll_hold_seconds.map(|n| n.0.0), 25),
        ring_items: keys.ring_items.map_or(1_000, |n| n.0.count()),
        ring_age: seconds(keys.ring_seconds.map(|n| n.0.0), 60),
        topics_max: keys.topics_max.map_or(1_000, |n| n.0.count()),
        topic_idle: seconds(keys.topic_idle_seconds.map(|n| n.0.0), 600),
        channels,
        outputs,
        sources,
        bounds: Bounds {
            connections: keys
                .connections_max
                .map_or(bounds.connections, |n| n.0.small()),
            connections_per_address: keys
                .connections_per_address
                .map_or(bounds.connections_per_address, |n| n.0.small()),
            requests_per_second: keys
                .requests_per_second
                .map_or(bounds.requests_per_second, |n| n.0.small()),
            unlimited: networks(keys.unlimited_addresses, bounds.unlimited),
            trusted_proxies: networks(keys.trusted_proxies, bounds.trusted_proxies),
        },
        chat: ChatSettings {
            rate_per_second: keys.chat_rate.map_or(chat.rate_per_second, |n| n.0.small()),
            length_max: keys.chat_length.map_or(chat.length_max, |n| n.0.small()),
            review: keys.chat_review.map(|uri| uri.0),
            fallback: keys.chat_review_fallback.map_or(chat.fallback, |to| to.0),
        },
        momento_tokens: keys
            .momento_tokens
            .map(|endpoint| account::momento_tokens(endpoint, env))
            .transpose()?,
        timed_metadata: keys
            .timed_metadata
            .map(|Text(address)| account::timed_metadata(address, env))
            .transpose()?,
    })
}

pub(super) fn pipe(args: PipeArgs, env: Env<'_>) -> Result<Pipe, ConfigError> {
    let layers = Layers::read(&args.config, args.look, args.picture, args.output, env)?;
    let sources = match args.sources.is_empty() {
        true => Vec::new(),
        false => source::of_channel(args.sources, &args.topic.channel, &layers, env)?,
    };
    let Followed {
        url,
        channel,
        token,
    } = layers.followed(args.topic, env)?;
    Ok(Pipe {
        sources,
        url,
        output: layers.only_output(args.to, args.key.key, &channel.picture)?,
        channel,
        token,
        pace: args.clock.0,
        frames: args.frames.map(|n| n.0.0),
    })
}

pub(super) fn follow(args: FollowArgs, env: Env<'_>) -> Result<FollowJob, ConfigError> {
    let keys = (LookKeys::default(), PictureKeys::default());
    let layers = Layers::read(&args.config, keys.0, keys.1, OutputKeys::default(), env)?;
    let sources = source::of_channel(args.sources, &args.channel, &layers, env)?;
    if sources.is_empty() {
        return Err(ConfigError::Refused(format!(
            "there is nothing to follow: expected a source, such as twitch:CHANNEL, or a settings \
             file with sources of the channel {:?}",
            args.channel.0.0
        )));
    }
    Ok(FollowJob {
        channel: args.channel.0.0,
        sources,
        count: args.count.map(|n| n.0.0),
        log: args.log,
    })
}

pub(super) fn cues(args: CuesArgs, env: Env<'_>) -> Result<CuesJob, ConfigError> {
    let keys = (LookKeys::default(), PictureKeys::default());
    let layers = Layers::read(&args.config, keys.0, keys.1, OutputKeys::default(), env)?;
    Ok(CuesJob {
        input: args.input,
        palette: layers.palette,
    })
}

pub(super) fn frame(args: FrameArgs, env: Env<'_>) -> Result<FrameJob, ConfigError> {
    let (picture, output) = (PictureKeys::default(), OutputKeys::default());
    let layers = Layers::read(&args.config, args.look, picture, output, env)?;
    let keys = layers.look(LookKeys::default());
    Ok(FrameJob {
        scene: args.scene,
        out: args.out,
        simd: keys.simd.unwrap_or_default().0,
        scale: keys.scale_factor.map(|factor| factor.0.0),
        look: layers.look_settings(keys, None),
        palette: Arc::clone(&layers.palette),
    })
}

pub(super) fn render(args: RenderArgs, env: Env<'_>) -> Result<RenderJob, ConfigError> {
    if args
        .output
        .policy
        .is_some_and(|policy| policy.0 == Policy::Drop)
    {
        return Err(ConfigError::Refused(
            "--policy drop: render writes every frame: expected block".into(),
        ));
    }
    let layers = Layers::read(&args.config, args.look, args.picture, args.output, env)?;
    let picture = layers.picture_of_log(LookKeys::default());
    Ok(RenderJob {
        log: args.log,
        output: layers.only_output(args.out, args.key.key, &picture)?,
        picture,
        frames: args.frames.map(|n| n.0.0),
        skip_bad_lines: args.skip_bad_lines,
    })
}

pub(super) fn overlay_page(args: PageArgs, env: Env<'_>) -> Result<PageJob, ConfigError> {
    let look = LookKeys {
        css: args.css,
        vary: args.vary,
        ..LookKeys::default()
    };
    let picture = PictureKeys {
        sprites: SpriteKeys {
            font_size_px: args.font_size_px,
            ..SpriteKeys::default()
        },
        ..PictureKeys::default()
    };
    let layers = Layers::read(&args.config, look, picture, OutputKeys::default(), env)?;
    let url = match args.url {
        Some(url) => url.0.0,
        None => url_of(&layers)?,
    };
    Ok(PageJob {
        out: args.out,
        url,
        channel: layers.channel(layers.table(args.channel))?,
    })
}

pub(super) fn obs_source(args: ObsArgs, env: Env<'_>) -> Result<ObsJob, ConfigError> {
    let keys = (LookKeys::default(), PictureKeys::default());
    let layers = Layers::read(&args.config, keys.0, keys.1, OutputKeys::default(), env)?;
    let url = match args.url {
        Some(url) => url.0.0,
        None => url_of(&layers)?,
    };
    let form = match args.scene_collection {
        Some(path) => ObsForm::SceneCollection(path),
        None if args.json => ObsForm::Json,
        None => ObsForm::Text,
    };
    let channel = layers.channel(layers.table(args.channel))?.name;
    Ok(ObsJob { url, channel, form })
}

/// Reads and checks a settings file.
pub(super) fn read_file(path: &Path) -> Result<FileKeys, ConfigError> {
    let text = read_text(path, "settings file")?;
    file::read(&text).map_err(|mistakes| ConfigError::File {
        path: path.into(),
        mistakes,
    })
}

/// The keys of each layer, and the palette that they share.
struct Layers {
    look: LookKeys,
    picture: PictureKeys,
    gate: GateKeys,
    output: OutputKeys,
    log: LogKeys,
    env: EnvKeys,
    file: FileKeys,
    palette: Arc<Palette>,
}

/// A topic on its endpoint, as a channel.
struct Followed {
    url: reqwest::Url,
    channel: ChannelConfig,
    token: Option<Secret>,
}

impl Layers {
    fn read(
        config: &ConfigArgs,
        look: LookKeys,
        picture: PictureKeys,
        output: OutputKeys,
        env: Env<'_>,
    ) -> Result<Self, ConfigError> {
        let from_env = || env(&env_name("config")).map(PathBuf::from);
        let mut file = match config.config.clone().or_else(from_env) {
            Some(path) => read_file(&path)?,
            None => FileKeys::default(),
        };
        let palette = Arc::new(file.palette.take().unwrap_or_default());
        Ok(Self {
            look,
            picture,
            gate: GateKeys::default(),
            output,
            log: config.log.clone(),
            env: env_keys(env)?,
            file,
            palette,
        })
    }

    /// The channels of the settings file, or the one that exists without any.
    fn channels(&self) -> Result<Vec<ChannelConfig>, ConfigError> {
        let tables = self.file.channels.clone();
        if tables.is_empty() {
            return Ok(vec![self.channel(ChannelTable::default())?]);
        }
        tables.into_iter().map(|t| self.channel(t)).collect()
    }

    /// The table of a channel, or one with nothing but its name.
    fn table(&self, name: Text<Name>) -> ChannelTable {
        let is_it = |table: &&ChannelTable| table.keys.name.as_ref() == Some(&name);
        let table = self.file.channels.iter().find(is_it).cloned();
        table.unwrap_or_else(|| ChannelTable {
            keys: ChannelKeys {
                name: Some(name),
                ..ChannelKeys::default()
            },
            ..ChannelTable::default()
        })
    }

    fn channel(&self, table: ChannelTable) -> Result<ChannelConfig, ConfigError> {
        let name = table
            .keys
            .name
            .map_or_else(|| DEFAULT_CHANNEL.into(), |name| name.0.0);
        let topic = table.keys.topic.map(|topic| topic.0.0);
        let gate = self.gate.clone().over(self.env.gate.clone());
        let gate = gate.over(table.gate).over(self.file.gate.clone());
        Ok(ChannelConfig {
            gate: rules(gate, &self.palette)?,
            topic: topic.unwrap_or_else(|| name.clone()),
            name,
            cache: table
                .keys
                .cache
                .map_or_else(|| DEFAULT_CACHE.into(), |cache| cache.0.0),
            picture: self.picture(table.look, table.picture),
        })
    }

    /// What is followed, and where.
    fn followed(&self, args: TopicArgs, env: Env<'_>) -> Result<Followed, ConfigError> {
        let mut table = self.table(args.channel);
        table.keys.cache = args.cache.or(table.keys.cache);
        Ok(Followed {
            url: match args.url {
                Some(url) => url.0.0,
                None => url_of(self)?,
            },
            channel: self.channel(table)?,
            token: match args.token_file {
                Some(path) => Some(read_secret(&path, "--token-file")?),
                None => env_secret("token", env)?,
            },
        })
    }

    /// The only output of a command.
    fn only_output(
        &self,
        target: Target,
        key: Option<Target>,
        picture: &Picture,
    ) -> Result<OutputConfig, ConfigError> {
        let mut table = OutputTable::default();
        table.keys.key = key.map(Text);
        self.output(target, 0, table, picture)
    }

    /// An output of a channel, by its number.
    fn output(
        &self,
        target: Target,
        channel: usize,
        table: OutputTable,
        picture: &Picture,
    ) -> Result<OutputConfig, ConfigError> {
        let keys = self.output.clone().over(self.env.output.clone());
        let keys = keys.over(table.output).over(self.file.output.clone());
        // A channel's own kind of alpha gives way to the output's, and that to flag and variable.
        let alpha = self
            .picture
            .frame
            .alpha
            .or(self.env.picture.frame.alpha)
            .or(table.keys.alpha);
        let background = keys.background.map(|colour| Matte::Over(colour.0));
        let output = OutputConfig {
            target,
            channel,
            alpha: alpha.map_or(picture.alpha, |alpha| alpha.0),
            form: Form {
                container: keys.container.map(|container| container.0),
                codec: keys.codec.map(|codec| codec.0),
                format: keys.format.map(|format| format.0),
                quality: keys.quality.map(|quality| quality.0),
                speed: keys.speed.map(|speed| speed.0),
                matte: keys.matte.map(|matte| matte.0).or(background),
                key_range: keys.key_range.map(|range| range.0),
            },
            policy: keys.policy.map(|policy| policy.0),
            key: table.keys.key.map(|key| key.0),
            is_required: table.keys.required.unwrap_or(false),
        };
        let refused = match &output {
            OutputConfig { key: None, .. } => return Ok(output),
            OutputConfig { target, .. } if output.key.as_ref() == Some(target) => {
                "key and fill are one target: expected two"
            }
            OutputConfig { form, .. } if form.matte.is_some() => {
                "a key of its own goes with fill alone: expected neither matte nor background"
            }
            OutputConfig { policy, .. } if *policy == Some(Policy::Drop) => {
                "key and fill have the same frames, all of them: expected the policy block"
            }
            _ => return Ok(output),
        };
        Err(ConfigError::Refused(format!(
            "output {}: {refused}",
            output.target
        )))
    }

    fn look(&self, channel: LookKeys) -> LookKeys {
        let keys = self.look.clone().over(self.env.look.clone());
        keys.over(channel).over(self.file.look.clone())
    }

    /// The picture of a reaction log, which has no channel.
    fn picture_of_log(&self, look: LookKeys) -> Picture {
        let keys = PictureKeys::default();
        self.picture_with(look, keys, Duration::ZERO)
    }

    fn picture(&self, look: LookKeys, picture: PictureKeys) -> Picture {
        self.picture_with(look, picture, SPREAD)
    }

    /// `spread` is what [`Limits::spread`] is when it isn't given.
    fn picture_with(&self, look: LookKeys, picture: PictureKeys, spread: Duration) -> Picture {
        let look = self.look(look);
        let keys = self.picture.clone().with_mode();
        let keys = keys.over(self.env.picture.clone().with_mode());
        let keys = keys.over(picture.with_mode());
        let keys = keys.over(self.file.picture.clone().with_mode());
        let PictureKeys {
            frame,
            sprites,
            stage,
        } = keys;
        let limits = limits(stage, spread);
        Picture {
            size: frame.size.map_or_else(default_size, |size| size.0),
            rate: frame.fps.map_or_else(default_rate, |rate| rate.0),
            scan: frame.scan.unwrap_or_default().0,
            threads: look.threads.map_or_else(default_threads, |n| n.0.count()),
            simd: look.simd.unwrap_or_default().0,
            seed: sprites.seed.map_or(0, |seed| seed.0.0),
            alpha: frame.alpha.unwrap_or_default().0,
            limits,
            test_pattern: sprites.test_pattern.unwrap_or(false),
            look: self.look_settings(look, sprites.font_size_px.map(|px| px.0.0)),
            palette: Arc::clone(&self.palette),
        }
    }

    fn look_settings(&self, keys: LookKeys, font_size_px: Option<f64>) -> LookSettings {
        LookSettings {
            css: keys.css,
            vary: keys.vary.unwrap_or_default().0,
            font_size_px,
            scale: keys.scale_factor.map_or(1.0, |factor| factor.0.0),
            emoji_font: keys.emoji_font,
            images: self.file.images.clone(),
        }
    }
}

/// How full a stage may get; `spread` is [`Limits::spread`] when it isn't given.
pub(super) fn limits(stage: StageKeys, spread: Duration) -> Limits {
    let default = Limits::default();
    Limits {
        sprites_max: stage
            .sprites_max
            .map_or(default.sprites_max, |n| n.0.count()),
        overflow: stage.overflow.unwrap_or_default().0,
        queue_max: stage.queue_max.map_or(default.queue_max, |n| n.0.count()),
        queue_age: stage
            .queue_seconds
            .map_or(default.queue_age, |s| Duration::from_secs(s.0.0)),
        coverage_max: stage.coverage_max.map(|share| share.0.0),
        spread: stage
            .spread_ms
            .map_or(spread, |ms| Duration::from_millis(ms.0.0)),
        opacity_max: stage
            .opacity_max
            .map_or(default.opacity_max, |share| share.0.0),
        flash_guard: stage.flash_guard.unwrap_or(default.flash_guard),
        quiet: stage.quiet.unwrap_or(false),
    }
}

/// The outputs of the service: those of flags or of the environment, or else those of the file.
fn outputs(
    given: Option<Vec<Target>>,
    layers: &Layers,
    channels: &[ChannelConfig],
) -> Result<Vec<OutputConfig>, ConfigError> {
    let tables = match given {
        Some(targets) => targets.into_iter().map(OutputTable::to).collect(),
        None => layers.file.outputs.clone(),
    };
    let mut outputs: Vec<OutputConfig> = Vec::with_capacity(tables.len());
    for mut table in tables {
        let Some(target) = table.keys.to.take() else {
            continue;
        };
        let target = target.0;
        if outputs.iter().any(|output| output.target == target) {
            return Err(ConfigError::Refused(format!(
                "output: {target} is given twice: expected each target once"
            )));
        }
        // That there is such a channel was seen in the file.
        let named = |channel: &ChannelConfig| {
            let name = table.keys.channel.as_ref();
            name.is_none_or(|name| name.0.0 == channel.name)
        };
        let channel = channels.iter().position(named).unwrap_or_default();
        outputs.push(layers.output(target, channel, table, &channels[channel].picture)?);
    }
    Ok(outputs)
}

fn default_size() -> Size {
    Size::new(1920, 1080).expect("invariant: the default size is in range")
}

fn default_rate() -> FrameRate {
    FrameRate::new(60, 1).expect("invariant: the default rate is in range")
}

/// More than a few threads wait for memory, and for one another.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// The address of a service with the same settings, as seen from this machine.
fn url_of(layers: &Layers) -> Result<reqwest::Url, ConfigError> {
    let keys = layers.env.service.clone().over(layers.file.service.clone());
    let mut listen = keys.listen.map_or(DEFAULT_LISTEN, |text| text.0.0);
    if listen.port() == 0 {
        return Err(ConfigError::Refused(format!(
            "listen: {listen} says no port to connect to: expected --url, such as --url \
             http://{DEFAULT_LISTEN}"
        )));
    }
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = match keys.tls_cert {
        Some(_) => "https",
        None => "http",
    };
    let url = reqwest::Url::parse(&format!("{scheme}://{listen}"));
    Ok(url.expect("invariant: an IP address and a port make an address"))
}

/// What signs tokens, of the highest layer that has it.
fn signing_key(
    flags: &ServiceKeys,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Option<Secret>, ConfigError> {
    let file = |keys: &ServiceKeys| keys.signing_key_file.clone();
    let secret = service_secret("signing_key", file, flags, layers, env)?;
    long_enough(secret, "signing key", KEY_BYTES_MIN)
}

/// What webhooks are signed with, of the highest layer that has it.
fn webhook_secret(
    flags: &ServiceKeys,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Option<Secret>, ConfigError> {
    let file = |keys: &ServiceKeys| keys.webhook_secret_file.clone();
    let secret = service_secret("webhook_secret", file, flags, layers, env)?;
    long_enough(secret, "webhook secret", WEBHOOK_SECRET_BYTES_MIN)
}

/// What changes to the service are made with, of the highest layer that has it.
fn control_key(
    flags: &ServiceKeys,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Option<Secret>, ConfigError> {
    let file = |keys: &ServiceKeys| keys.control_key_file.clone();
    let secret = service_secret("control_key", file, flags, layers, env)?;
    long_enough(secret, "control key", CONTROL_KEY_BYTES_MIN)
}

/// The files of a certificate and its key: both or neither.
fn tls(keys: &ServiceKeys) -> Result<Option<TlsFiles>, ConfigError> {
    match (keys.tls_cert.clone(), keys.tls_key.clone()) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::Refused(
            "tls_cert: a certificate needs its key: expected --tls-key, too".into(),
        )),
        (None, Some(_)) => Err(ConfigError::Refused(
            "tls_key: a key needs its certificate: expected --tls-cert, too".into(),
        )),
    }
}

/// A secret in the variable of a key, or in a file that `file` gives of a layer's keys, and where it
/// is.
fn service_secret(
    key: &str,
    file: impl Fn(&ServiceKeys) -> Option<PathBuf>,
    flags: &ServiceKeys,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Option<(Secret, String)>, ConfigError> {
    let name = env_name(key);
    let file_key = format!("{key}_file");
    let direct = env_secret(key, env)?;
    Ok(Some(if let Some(path) = file(flags) {
        let source = format!("--{}", file_key.replace('_', "-"));
        (read_secret(&path, &source)?, source)
    } else if let Some(path) = file(&layers.env.service) {
        let source = env_name(&file_key);
        if direct.is_some() {
            return Err(ConfigError::Refused(format!(
                "{name} and {source} are both set: expected one of them"
            )));
        }
        (read_secret(&path, &source)?, source)
    } else if let Some(key) = direct {
        (key, name)
    } else if let Some(path) = file(&layers.file.service) {
        (read_secret(&path, &file_key)?, file_key)
    } else {
        return Ok(None);
    }))
}

fn long_enough(
    secret: Option<(Secret, String)>,
    what: &str,
    bytes_min: usize,
) -> Result<Option<Secret>, ConfigError> {
    let Some((secret, source)) = secret else {
        return Ok(None);
    };
    let bytes = secret.expose().len();
    if bytes < bytes_min {
        return Err(ConfigError::Refused(format!(
            "{source}: the {what} has {bytes} bytes: expected at least {bytes_min}, such as the \
             output of `openssl rand -hex 32`"
        )));
    }
    Ok(Some(secret))
}

fn env_secret(key: &str, env: Env<'_>) -> Result<Option<Secret>, ConfigError> {
    let name = env_name(key);
    let Some(value) = env(&name) else {
        return Ok(None);
    };
    // The value stays out of the message: it may be most of a secret.
    let error = |message: &str| ConfigError::Env {
        name: name.clone(),
        message: message.into(),
    };
    let text = value
        .into_string()
        .map_err(|_| error("is not UTF-8: expected text"))?;
    match text.trim() {
        "" => Err(error("is empty: give it a value or unset it")),
        text => Ok(Some(Secret::new(text))),
    }
}

fn read_secret(path: &Path, setting: &str) -> Result<Secret, ConfigError> {
    let text = read_text(path, setting)?;
    match text.trim() {
        "" => Err(ConfigError::Read {
            path: path.into(),
            message: format!("is empty: expected a secret as text (for {setting})"),
        }),
        text => Ok(Secret::new(text)),
    }
}

fn read_text(path: &Path, setting: &str) -> Result<String, ConfigError> {
    let error = |message: String| ConfigError::Read {
        path: path.into(),
        message: format!("{message} (for {setting})"),
    };
    let file = File::open(path).map_err(|e| error(format!("can't be opened: {e}")))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| error(format!("can't be read: {e}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(error(format!(
            "is too long: expected at most {FILE_BYTES_MAX} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        error(format!("is not UTF-8 at byte {at}: expected text"))
    })
}
