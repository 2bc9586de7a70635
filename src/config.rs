//! Settings: arguments, environment and file to checked values, once, at the start.
//!
//! Precedence, rising: the settings file's own keys, its `[[channel]]` tables, environment,
//! flags. Nothing is read again later, and nothing that was refused here reaches the service.

mod args;
mod distance;
pub mod file;
mod keys;
pub mod live;
mod log;
mod resolve;
pub mod value;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::log::{LogFormat, log_format};
use crate::aws::{self, Arn};
use crate::burn_in;
use crate::config::args::{ObsSub, Sub};
use crate::config::file::Mistake;
use crate::config::keys::{GateKeys, LogKeys, LookKeys, OutputKeys, PictureKeys, ServiceKeys};
use crate::config::value::{Name, Secret, Text};
use crate::crowd::{Schedule, Words};
use crate::frame::{Alpha, FrameRate, Scan, Size};
use crate::gate;
use crate::matte::Matte;
use crate::momento;
use crate::motion;
use crate::output::{Form, Pace, Policy, Spec, Target};
use crate::pixel::SimdLevel;
use crate::planes::Range;
use crate::reaction::{Palette, Rules};
use crate::server::{Bounds, ChatSettings};
use crate::source::{Address, Secrets};
use crate::stage::Limits;

/// Channels of one process; a file with more is refused.
pub const CHANNELS_MAX: usize = 64;

/// The cache of a channel that names none: the tutorial's.
pub const DEFAULT_CACHE: &str = "video";

/// The channel that exists when the settings name none, and its topic.
pub const DEFAULT_CHANNEL: &str = "demo";

/// What floatup was asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Run the service.
    Serve(Box<Serve>),
    /// Write a channel's live frames to one output.
    Pipe(Pipe),
    /// Draw one still.
    Frame(FrameJob),
    /// Draw a reaction log.
    Render(RenderJob),
    /// Burn reactions into a programme.
    BurnIn(Box<BurnInJob>),
    /// Print what sources get.
    Follow(FollowJob),
    /// Write the timed metadata of a recording as a reaction log.
    Cues(CuesJob),
    /// Publish to a topic.
    Publish(PublishJob),
    /// Send as a crowd does.
    Simulate(Box<SimulateJob>),
    /// Say what of the service's settings, or why there are none, would not work here.
    Doctor(Box<Result<Serve, String>>),
    /// Report the mistakes of a settings file.
    CheckConfig(PathBuf),
    /// Write the browser-source page as one file.
    OverlayPage(PageJob),
    /// Say how OBS Studio shows the live feed.
    ObsSource(ObsJob),
    /// List the stylesheets that are built in.
    Presets,
    /// Say what became of the test chart in a capture.
    VerifyAlpha(VerifyJob),
}

/// Settings of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// Where to listen; beyond loopback only with a signing key.
    pub listen: SocketAddr,
    /// The key that signs tokens, at least [`KEY_BYTES_MIN`](crate::token::KEY_BYTES_MIN) bytes;
    /// `None`, on loopback alone, stands for a new random one.
    pub signing_key: Option<Secret>,
    /// What webhooks are signed with, at least
    /// [`WEBHOOK_SECRET_BYTES_MIN`](crate::server::WEBHOOK_SECRET_BYTES_MIN) bytes; without it they
    /// are let in where anyone is.
    pub webhook_secret: Option<Secret>,
    /// What changes to the service are made with, at least
    /// [`CONTROL_KEY_BYTES_MIN`](crate::server::CONTROL_KEY_BYTES_MIN) bytes.
    pub control_key: Option<Secret>,
    /// What it speaks TLS with.
    pub tls: Option<TlsFiles>,
    /// Whether a missing or unreadable token is refused.
    pub require_token: bool,
    /// The caches that exist; `None` for any.
    pub caches: Option<Vec<String>>,
    /// Whether a poll without sequence number resumes where the same client's last one ended.
    pub gap_cure: bool,
    /// How long a poll waits, 1 to 300 s.
    pub poll_hold: Duration,
    /// Items that a topic keeps, 1 to 100,000.
    pub ring_items: usize,
    /// How long a topic keeps an item, 1 s to a day.
    pub ring_age: Duration,
    /// Topics at once, 1 to 1,000,000.
    pub topics_max: usize,
    /// After how long an unused topic is removed, 1 s to a week.
    pub topic_idle: Duration,
    /// 1 to [`CHANNELS_MAX`] channels, each with a name of its own.
    pub channels: Vec<ChannelConfig>,
    /// The channels' outputs, each to a target of its own.
    pub outputs: Vec<OutputConfig>,
    /// The channels' sources beside their own topics, each address once for a channel.
    pub sources: Vec<SourceConfig>,
    /// How much of the server callers may have.
    pub bounds: Bounds,
    /// What the channels' chat rooms are set to.
    pub chat: ChatSettings,
    /// What mints tokens, in place of the signing key.
    pub momento_tokens: Option<MomentoTokens>,
    /// Where the first channel's reactions go as timed metadata.
    pub timed_metadata: Option<MetadataConfig>,
    /// What is said on stderr.
    pub log_format: LogFormat,
}

/// Where a certificate and its key are, both as PEM.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsFiles {
    /// The certificate, and those that sign it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Tokens of a Momento account.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentoTokens {
    /// The account's key.
    pub key: momento::Key,
    /// A region or a host; `None` for the key's own.
    pub endpoint: Option<String>,
}

/// Where timed metadata goes.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataConfig {
    /// The channel, one of Amazon IVS.
    pub channel: Arn,
    /// What speaks for AWS, if it is not AWS.
    pub endpoint: Option<reqwest::Url>,
    /// Where its credentials are.
    pub place: aws::Place,
}

/// A source of a channel's reactions.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Where it is.
    pub address: Address,
    /// What opens it.
    pub secrets: Secrets,
    /// Which of the channels, from 0.
    pub channel: usize,
    /// What its messages are.
    pub rules: Rules,
    /// How often each of its reactions counts, a number in [`WEIGHT`](crate::source::WEIGHT).
    pub weight: f64,
    /// Whether the service is not ready without it.
    pub is_required: bool,
}

impl SourceConfig {
    /// The same, for someone who only looks on: see [`Address::for_a_look`].
    #[must_use]
    pub fn for_a_look(&self) -> Self {
        Self {
            address: self.address.for_a_look(),
            ..self.clone()
        }
    }
}

/// Where a channel's frames go, and as what.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputConfig {
    /// The file, pipe, socket or address.
    pub target: Target,
    /// Which of the channels, from 0.
    pub channel: usize,
    /// How colour and alpha are related.
    pub alpha: Alpha,
    /// What frames are written as.
    pub form: Form,
    /// What happens to frames that it is too slow for; `None` for what suits the target.
    pub policy: Option<Policy>,
    /// Where the key goes, frame to frame with the fill that the target gets.
    pub key: Option<Target>,
    /// Whether the service is not ready while it is not open.
    pub is_required: bool,
}

impl OutputConfig {
    /// What is to be written of a channel's frames: where to, and as what; fill and key are two.
    #[must_use]
    pub fn parts(&self, picture: &Picture) -> Vec<(Target, Spec)> {
        let part = |target: &Target, matte| {
            let form = Form { matte, ..self.form };
            let spec = Spec {
                size: picture.size,
                rate: picture.rate,
                scan: picture.scan,
                alpha: self.alpha,
                form,
            };
            (target.clone(), spec)
        };
        match &self.key {
            None => vec![part(&self.target, self.form.matte)],
            Some(key) => vec![
                part(&self.target, Some(Matte::Fill)),
                part(key, Some(Matte::Key(Range::Full))),
            ],
        }
    }
}

/// One stream's sources and picture.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelConfig {
    /// The channel's name in addresses: one path segment, 1 to 256 bytes.
    pub name: String,
    /// The cache of its topic.
    pub cache: String,
    /// The topic that it follows.
    pub topic: String,
    /// Its picture.
    pub picture: Picture,
    /// What is let in to its topic.
    pub gate: gate::Rules,
}

/// What sprites look like.
#[derive(Clone, Debug, PartialEq)]
pub struct LookSettings {
    /// The stylesheet's file, or the name of a preset; `None` for the one built in.
    pub css: Option<PathBuf>,
    /// Ranges of the stylesheet's custom properties, in place of its own.
    pub vary: Vec<(String, motion::Range)>,
    /// An emoji's font size in px, 1 to 1000; `None` for the stylesheet's.
    pub font_size_px: Option<f64>,
    /// Device px per CSS px, in [`SCALE_FACTOR`](crate::scene::SCALE_FACTOR).
    pub scale: f64,
    /// A colour bitmap font that was named; `None` for the built-in set and the system's.
    pub emoji_font: Option<PathBuf>,
    /// The image files of reactions, by their names in the palette.
    pub images: Vec<(String, PathBuf)>,
}

impl Default for LookSettings {
    fn default() -> Self {
        Self {
            css: None,
            vary: Vec::new(),
            font_size_px: None,
            scale: 1.0,
            emoji_font: None,
            images: Vec::new(),
        }
    }
}

/// What a channel's frames look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// What is on them.
    pub look: LookSettings,
    /// The frames' size.
    pub size: Size,
    /// The frames' rate.
    pub rate: FrameRate,
    /// Whether frames are interlaced.
    pub scan: Scan,
    /// The page number of a reaction log's sprites.
    pub seed: u64,
    /// Threads that draw its frames, 1 to 64.
    pub threads: usize,
    /// The vector instructions to draw with.
    pub simd: SimdLevel,
    /// How colour and alpha are related in pixels that leave.
    pub alpha: Alpha,
    /// How full it may get, and what happens beyond that.
    pub limits: Limits,
    /// Whether a test chart is drawn in place of sprites.
    pub test_pattern: bool,
    /// The reactions that are allowed.
    pub palette: Arc<Palette>,
}

/// Settings of `floatup pipe`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipe {
    /// The topic endpoint, `http` or `https`, perhaps with a base path.
    pub url: reqwest::Url,
    /// What to follow, and its picture.
    pub channel: ChannelConfig,
    /// The token to follow it with; `None` to ask the endpoint for one.
    pub token: Option<Secret>,
    /// What to follow in place of the topic, if there is any.
    pub sources: Vec<SourceConfig>,
    /// Where its frames go.
    pub output: OutputConfig,
    /// Whether frames follow the clock or their reader.
    pub pace: Pace,
    /// How many frames to write, 1 or more; `None` for no end.
    pub frames: Option<u64>,
}

/// Settings of `floatup frame`.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameJob {
    /// The scene to read, JSON.
    pub scene: PathBuf,
    /// The PNG to write.
    pub out: PathBuf,
    /// What sprites look like. The scene's font size is taken, and so is its stylesheet where none
    /// is set.
    pub look: LookSettings,
    /// Device px per CSS px; `None` for the scene's.
    pub scale: Option<f64>,
    /// The reactions, by whose names sprites have their classes.
    pub palette: Arc<Palette>,
    /// The vector instructions to draw with.
    pub simd: SimdLevel,
}

/// Settings of `floatup render`.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderJob {
    /// The reaction log to read.
    pub log: PathBuf,
    /// Where frames go; never with a policy of its own.
    pub output: OutputConfig,
    /// What the frames look like.
    pub picture: Picture,
    /// How many frames to draw, 1 or more; `None` for all until the last sprite is gone.
    pub frames: Option<u64>,
    /// Whether a bad line is skipped with a warning; otherwise it ends the work.
    pub skip_bad_lines: bool,
}

/// Settings of `floatup burn-in`.
#[derive(Clone, Debug, PartialEq)]
pub struct BurnInJob {
    /// A file, `-`, or an address.
    pub input: OsString,
    /// libavformat's name of the input's demuxer; `None` to find out.
    pub input_format: Option<String>,
    /// Where reactions come from.
    pub reactions: Reactions,
    /// What they look like; its size, rate, scan and alpha are not those of the programme.
    pub picture: Picture,
    /// By how much later than they came they appear, or earlier.
    pub delay: burn_in::settings::Delay,
    /// Which frame they appear in.
    pub sync: burn_in::settings::Sync,
    /// The part of the picture that they stay within.
    pub region: burn_in::settings::Region,
    /// At least one, each with a target of its own.
    pub outputs: Vec<burn_in::settings::OutputSettings>,
    /// Whether streams that an output can't hold are left out.
    pub drop_unsupported: bool,
    /// Whether files are overwritten.
    pub force: bool,
    /// Whether only to say what would be done.
    pub dry_run: bool,
    /// What to do without input; `None` for what suits it.
    pub on_input_loss: Option<burn_in::settings::OnInputLoss>,
    /// A PNG to show while there is no input; `None` for black.
    pub slate: Option<PathBuf>,
    /// Whether a file is read no faster than it plays.
    pub realtime: bool,
    /// Where to serve metrics.
    pub metrics: Option<SocketAddr>,
}

/// Where the reactions of a burn-in come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Reactions {
    /// A reaction log, its times from the programme's first frame.
    Log {
        /// The file.
        path: PathBuf,
        /// Whether a bad line is skipped with a warning; otherwise it ends the work.
        skip_bad_lines: bool,
    },
    /// A topic.
    Topic {
        /// The topic endpoint.
        url: reqwest::Url,
        /// The channel's name.
        name: String,
        /// The cache of the topic.
        cache: String,
        /// The topic's name.
        topic: String,
        /// The token to follow it with; `None` to ask the endpoint for one.
        token: Option<Secret>,
    },
    /// Other sources.
    Sources {
        /// The channel's name.
        name: String,
        /// At least one.
        sources: Vec<SourceConfig>,
        /// What of them is let in.
        gate: gate::Rules,
    },
}

/// Settings of `floatup cues`.
#[derive(Clone, Debug, PartialEq)]
pub struct CuesJob {
    /// The recording or stream.
    pub input: OsString,
    /// The reactions that are allowed.
    pub palette: Arc<Palette>,
}

/// Settings of `floatup publish`.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishJob {
    /// The topic.
    pub address: Address,
    /// What opens it.
    pub secrets: Secrets,
    /// What to publish; none for the lines of stdin.
    pub messages: Vec<String>,
}

/// Settings of `floatup simulate`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateJob {
    /// The topic.
    pub address: Address,
    /// What opens it.
    pub secrets: Secrets,
    /// How many publish at once, 1 to 10,000.
    pub publishers: usize,
    /// When messages are due.
    pub schedule: Schedule,
    /// What that schedule is, for people.
    pub about: String,
    /// What they say.
    pub words: Words,
    /// Whether what the topic makes of them is looked at.
    pub follow: bool,
    /// Whether one that is lost makes it fail.
    pub expect_all: bool,
    /// Whether the report is for machines.
    pub json: bool,
}

/// Settings of `floatup follow`.
#[derive(Clone, Debug, PartialEq)]
pub struct FollowJob {
    /// The channel's name.
    pub channel: String,
    /// At least one.
    pub sources: Vec<SourceConfig>,
    /// How many messages to print, 1 or more; `None` for no end.
    pub count: Option<u64>,
    /// Whether to print a reaction log.
    pub log: bool,
}

/// Settings of `floatup overlay-page`.
#[derive(Clone, Debug, PartialEq)]
pub struct PageJob {
    /// The file to write; `-` is stdout.
    pub out: PathBuf,
    /// The service that the page connects to.
    pub url: reqwest::Url,
    /// The channel that it shows, with the stylesheet and the font size of its picture.
    pub channel: ChannelConfig,
}

/// Settings of `floatup obs source`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObsJob {
    /// The service that OBS connects to.
    pub url: reqwest::Url,
    /// The channel that it shows.
    pub channel: String,
    /// How the settings are told.
    pub form: ObsForm,
}

/// How a source's settings are told.
#[derive(Clone, Debug, PartialEq)]
pub enum ObsForm {
    /// For a person, as OBS names them.
    Text,
    /// As obs-websocket takes them.
    Json,
    /// A scene collection, in a file; `-` is stdout.
    SceneCollection(PathBuf),
}

/// Settings of `floatup verify-alpha`.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyJob {
    /// A file, or an address.
    pub capture: OsString,
    /// What the chart was put over, in a capture that is to be opaque.
    pub background: Option<[u8; 3]>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A wrong command line, or a request for help or the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// An environment variable's value.
    #[error("{name}: {message}")]
    Env {
        /// The variable.
        name: String,
        /// What is wrong, and what is accepted.
        message: String,
    },
    /// A settings file's text.
    #[error("{}", Mistakes(.path, .mistakes))]
    File {
        /// The file.
        path: PathBuf,
        /// At least one.
        mistakes: Vec<Mistake>,
    },
    /// A file that a setting names can't be read.
    #[error("{}: {message}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong, and which setting named it.
        message: String,
    },
    /// Values that are each good and don't go together.
    #[error("{0}")]
    Refused(String),
}

struct Mistakes<'a>(&'a Path, &'a [Mistake]);

impl fmt::Display for Mistakes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, mistakes) = self;
        let path = path.display();
        let s = if mistakes.len() == 1 { "" } else { "s" };
        write!(f, "{} mistake{s} in {path}", mistakes.len())?;
        // Each on a line of its own, as editors and other tools look for places in a file.
        mistakes
            .iter()
            .try_for_each(|mistake| write!(f, "\n{path}:{mistake}"))
    }
}

/// The settings of this process: its arguments and its environment; and how to say what is wrong
/// with them.
///
/// # Errors
/// As [`command`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
pub fn from_process() -> (LogFormat, Result<Command, ConfigError>) {
    let args: Vec<OsString> = std::env::args_os().collect();
    let env = |name: &str| std::env::var_os(name);
    (log_format(&args, env), command(args, env))
}

/// The settings that `args` (the program's name first), `env` and the files they name make.
///
/// # Errors
/// The first wrong flag or variable, all mistakes of the settings file, a file that can't be
/// read, or values that don't go together. A request for help is a [`ConfigError::Usage`].
pub fn command(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Command, ConfigError> {
    Ok(match args::parse(args)?.command {
        Sub::Serve(args) => Command::Serve(Box::new(resolve::serve(args, &env)?)),
        Sub::Pipe(args) => Command::Pipe(resolve::pipe(args, &env)?),
        Sub::Frame(args) => Command::Frame(resolve::frame(args, &env)?),
        Sub::Render(args) => Command::Render(resolve::render(args, &env)?),
        Sub::BurnIn(args) => Command::BurnIn(Box::new(resolve::burn_in(*args, &env)?)),
        Sub::Follow(args) => Command::Follow(resolve::follow(args, &env)?),
        Sub::Cues(args) => Command::Cues(resolve::cues(args, &env)?),
        Sub::Publish(args) => Command::Publish(resolve::publish(args, &env)?),
        Sub::Simulate(args) => Command::Simulate(Box::new(resolve::simulate(args, &env)?)),
        Sub::Doctor(args) => {
            let serve = resolve::serve(args, &env);
            Command::Doctor(Box::new(serve.map_err(|error| error.to_string())))
        }
        Sub::CheckConfig(args) => Command::CheckConfig(args.file),
        Sub::Obs(ObsSub::Source(args)) => Command::ObsSource(resolve::obs_source(args, &env)?),
        Sub::Presets => Command::Presets,
        Sub::VerifyAlpha(args) => Command::VerifyAlpha(VerifyJob {
            capture: args.capture,
            background: args.over.map(|colour| colour.0),
        }),
        Sub::OverlayPage(args) => Command::OverlayPage(resolve::overlay_page(args, &env)?),
    })
}

/// Checks a settings file. The files that it names are not looked at.
///
/// # Errors
/// Every mistake, or why the file can't be read.
pub fn check_file(path: &Path) -> Result<(), ConfigError> {
    resolve::read_file(path).map(|_| ())
}

/// The command line's help texts: the program's, then each command's.
#[must_use]
pub fn help_texts() -> Vec<String> {
    fn add(command: &mut clap::Command, texts: &mut Vec<String>) {
        texts.push(command.render_long_help().to_string());
        let others = command.get_subcommands_mut();
        let others = others.filter(|command| command.get_name() != "help");
        others.for_each(|command| add(command, texts));
    }
    let mut command = args::command_line();
    command.build();
    let mut texts = Vec::new();
    add(&mut command, &mut texts);
    texts
}

/// The names that may stand at the top of a settings file: keys, then tables.
#[must_use]
pub fn key_names() -> Vec<String> {
    let tables = file::TABLES.map(String::from);
    [
        keys::names::<ServiceKeys>(),
        keys::names::<LookKeys>(),
        keys::names::<PictureKeys>(),
        keys::names::<GateKeys>(),
        keys::names::<OutputKeys>(),
        keys::names::<LogKeys>(),
        tables.to_vec(),
    ]
    .concat()
}

/// Whether `cache` is among those that exist.
fn cache_exists(cache: &str, caches: &[Text<Name>]) -> Result<(), String> {
    if caches.is_empty() || caches.iter().any(|name| name.0.0 == cache) {
        return Ok(());
    }
    let names: Vec<&str> = caches.iter().map(|name| name.0.0.as_str()).collect();
    Err(format!(
        "{cache:?} is not in caches: expected one of {}",
        names.join(", ")
    ))
}
