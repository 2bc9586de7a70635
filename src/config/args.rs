//! The command line and the environment, as keys.

mod burn_in;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, CommandFactory, FromArgMatches};

pub(super) use self::burn_in::{BurnInArgs, VideoArgs};
use crate::config::ConfigError;
use crate::config::keys::{
    GateKeys, LogKeys, LookKeys, OutputKeys, PictureKeys, ServiceKeys, names,
};
use crate::config::value::{BaseUrl, FontSize, Name, PerSecond, Span, Text, Vary, Whole, target};
use crate::crowd::{Counts, Curve, Mix};
use crate::matte::Colour;
use crate::output::{Pace, Target};
use crate::shown;
use crate::source::Address;

/// What every environment variable's name begins with.
pub(super) const ENV_PREFIX: &str = "FLOATUP_";

/// Burns a live audience's emoji reactions into the broadcast.
#[derive(Debug, clap::Parser)]
#[command(name = "floatup", version, after_help = AFTER_HELP)]
#[command(override_usage = "floatup [COMMAND] [OPTIONS]")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Sub,
}

const AFTER_HELP: &str = "\
Without a command, floatup is `floatup serve`, and takes its options.
A key may stand in a settings file, in the environment and in a flag; the one
named later here wins.
floatup.example.toml lists every key.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Sub {
    /// Runs the topic server, the pages and the live channels (the default command)
    Serve(ServeArgs),
    /// Writes live frames to stdout, or to wherever else
    Pipe(PipeArgs),
    /// Draws one still: a scene to a PNG with alpha
    Frame(FrameArgs),
    /// Draws a reaction log to frames, as fast as it goes
    Render(RenderArgs),
    /// Burns reactions into a programme, live or recorded, and leaves all else as it is
    BurnIn(Box<BurnInArgs>),
    /// Prints what sources get, a JSON object a line, to see whether their settings are right
    Follow(FollowArgs),
    /// Writes the reactions in the timed metadata (ID3) of a recording or stream as a reaction log
    Cues(CuesArgs),
    /// Publishes messages to a topic: a running floatup's, or one of Momento
    Publish(PublishArgs),
    /// Sends as a crowd of viewers does, and says what was accepted and seen, and how soon
    Simulate(SimulateArgs),
    /// Checks whether the settings of serve would work here, connects to its sources, and says what
    /// to mend
    Doctor(ServeArgs),
    /// Reports every mistake in a settings file, with its line
    CheckConfig(CheckArgs),
    /// Writes the browser-source page as one file
    OverlayPage(PageArgs),
    /// Says how OBS Studio shows the live feed
    #[command(subcommand)]
    Obs(ObsSub),
    /// Lists the stylesheets that are built in
    Presets,
    /// Reads a capture of the test chart, and says what became of its alpha and colours
    VerifyAlpha(VerifyArgs),
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum ObsSub {
    /// Prints the settings of a Media Source, or writes a scene collection to import
    Source(ObsArgs),
}

/// Where the key goes.
#[derive(Debug, Default, clap::Args)]
pub(super) struct KeyArgs {
    /// Write alpha as a picture of its own to this target, and the colours over black to the other;
    /// both get the same frames [default: none]
    #[arg(long, value_name = "TARGET", value_parser = target(), help_heading = "Output")]
    pub key: Option<Target>,
}

/// Where the settings file is, and what all commands that read one have.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ConfigArgs {
    /// Settings file, in TOML; its paths are relative to the current folder [default: none]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub service: ServiceKeys,
    #[command(flatten)]
    pub look: LookKeys,
    #[command(flatten)]
    pub picture: PictureKeys,
    #[command(flatten)]
    pub gate: GateKeys,
    #[command(flatten)]
    pub output: OutputKeys,
}

/// The topic that is followed.
#[derive(Debug, clap::Args)]
pub(super) struct TopicArgs {
    /// Channel to follow; one that the settings file doesn't have is its own topic's name
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub channel: Text<Name>,

    /// Topic endpoint: a running floatup, or any that speaks Momento's HTTP API
    /// [default: http:// and the listen key's address]
    #[arg(long, value_name = "URL")]
    pub url: Option<Text<BaseUrl>>,

    /// Cache of the topic [default: the channel's, else video]
    #[arg(long, value_name = "NAME")]
    pub cache: Option<Text<Name>>,

    /// File with the token to follow the topic with; or put the token itself in `FLOATUP_TOKEN`
    /// [default: asked from the endpoint]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CuesArgs {
    /// Recording or stream: a file, or an address that libav opens, such as an HLS playlist's
    pub input: OsString,
    #[command(flatten)]
    pub config: ConfigArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct PublishArgs {
    /// Messages to publish, such as heart [default: the lines of stdin]
    #[arg(value_name = "MESSAGE")]
    pub messages: Vec<String>,

    /// Topic to publish to, such as `http://127.0.0.1:8787/topics/video/demo` [default: that of the
    /// channel, at the listen key's address]
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<Text<Address>>,

    /// Channel to whose topic to publish
    #[arg(
        long,
        value_name = "NAME",
        default_value = "demo",
        conflicts_with = "to"
    )]
    pub channel: Text<Name>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// File with the token or key to publish with; or put a token in `FLOATUP_TOKEN`, Momento's
    /// key in `MOMENTO_API_KEY`
    /// [default: a token asked from the endpoint]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// Topic to publish to, such as `http://127.0.0.1:8787/topics/video/demo` [default: that of the
    /// channel, at the listen key's address]
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<Text<Address>>,

    /// Channel to whose topic to publish
    #[arg(
        long,
        value_name = "NAME",
        default_value = "demo",
        conflicts_with = "to"
    )]
    pub channel: Text<Name>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// File with the token or key to publish and follow with; or put a token in `FLOATUP_TOKEN`,
    /// Momento's key in `MOMENTO_API_KEY` [default: tokens asked from the endpoint, one for each
    /// publisher]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Publishers at once, each with a connection of its own, 1 to 10000
    #[arg(long, value_name = "COUNT", default_value = "10")]
    pub publishers: Text<Whole<1, 10_000>>,

    /// Highest rate, in messages a second of all publishers, 0.01 to 1000000
    #[arg(long, value_name = "COUNT/s", default_value = "50/s")]
    pub rate: Text<PerSecond>,

    /// How the rate goes over time: steady, ramp (up from nothing), or spike (a goal at a quarter
    /// of the time)
    #[arg(long, value_name = "CURVE", default_value = "steady")]
    pub curve: Text<Curve>,

    /// How long to send, 100ms to 24h
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub duration: Text<Span>,

    /// Reactions to send, and how often each compared with the others, such as heart=5,fire=1
    #[arg(long, value_name = "NAME=SHARE,...", default_value = "heart")]
    pub emoji: Text<Mix>,

    /// How many of its reaction a message has, 1 to 1000, or the first and the last of several
    /// numbers, such as 1..5
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub counts: Text<Counts>,

    /// What times, reactions and counts are drawn from; the same for the same run again
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub seed: Text<Whole<0, { u64::MAX }>>,

    /// Publish alone, for a token that may not follow the topic
    #[arg(long)]
    pub no_follow: bool,

    /// Fail with exit code 1 unless every message was accepted and seen once
    #[arg(long, conflicts_with = "no_follow")]
    pub expect_all: bool,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct FollowArgs {
    /// Sources to follow, such as twitch:CHANNEL [default: those of the settings file's channel]
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<Text<Address>>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// Channel whose sources they are
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub channel: Text<Name>,

    /// Messages to print before it ends, 1 or more [default: no end]
    #[arg(long, value_name = "COUNT")]
    pub count: Option<Text<Whole<1, { u64::MAX }>>>,

    /// Print a reaction log, as render and burn-in read it: reactions alone, with their times from
    /// the start on
    #[arg(long)]
    pub log: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PipeArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    #[command(flatten)]
    pub topic: TopicArgs,

    /// Follow this in place of a topic, such as twitch:CHANNEL; may be given several times
    /// [default: none]
    #[arg(long = "source", value_name = "ADDRESS", conflicts_with_all = ["url", "cache", "token_file"])]
    pub sources: Vec<Text<Address>>,

    /// Where frames go: - for stdout, a file, a FIFO, tcp://HOST:PORT, unix:PATH (both with ?listen
    /// to wait for readers), or an address such as srt://HOST:PORT
    #[arg(long = "output", value_name = "TARGET", default_value = "-", value_parser = target())]
    pub to: Target,

    /// What decides when a frame is drawn: wall, the clock, or output, the reader, who gets each
    /// frame as soon as there is room for it
    #[arg(long, value_name = "CLOCK", default_value = "wall")]
    pub clock: Text<Pace>,

    /// Frames to write before it ends, 1 or more [default: no end]
    #[arg(long, value_name = "COUNT")]
    pub frames: Option<Text<Whole<1, { u64::MAX }>>>,

    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub look: LookKeys,
    #[command(flatten)]
    pub picture: PictureKeys,
    #[command(flatten)]
    pub output: OutputKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct FrameArgs {
    /// Scene, in JSON
    pub scene: PathBuf,
    /// PNG to write
    pub out: PathBuf,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub look: LookKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct RenderArgs {
    /// Reaction log: one JSON object a line
    pub log: PathBuf,
    /// File to write, whose ending picks the format; - for raw frames on stdout; or another target
    /// as of serve's --output
    #[arg(value_parser = target())]
    pub out: Target,
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Frames to draw, 1 or more [default: until the last sprite is gone]
    #[arg(long, value_name = "COUNT")]
    pub frames: Option<Text<Whole<1, { u64::MAX }>>>,

    /// Skip lines that are no reaction, each with a warning, in place of ending at the first
    #[arg(long)]
    pub skip_bad_lines: bool,

    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub look: LookKeys,
    #[command(flatten)]
    pub picture: PictureKeys,
    #[command(flatten)]
    pub output: OutputKeys,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Settings file, in TOML
    pub file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Video or still, or the address of one
    #[arg(value_name = "FILE|URL")]
    pub capture: OsString,

    /// Colour that the chart was put over, in a capture that is to be opaque, such as a screenshot
    /// of OBS [default: the capture is to have alpha]
    #[arg(long = "background", value_name = "#RRGGBB")]
    pub over: Option<Colour>,
}

#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// File to write; or - for stdout
    #[arg(default_value = "-")]
    pub out: PathBuf,
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Channel to show
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub channel: Text<Name>,

    /// Service to connect to [default: http:// and the listen key's address]
    #[arg(long, value_name = "URL")]
    pub url: Option<Text<BaseUrl>>,

    /// Stylesheet with the animation: a file, or a preset's name [default: float-up-and-out]
    #[arg(long, value_name = "FILE|PRESET")]
    pub css: Option<PathBuf>,

    /// Ranges of the stylesheet's custom properties, in which each sprite has its own value, such
    /// as sway=10px..29px,turn=-30deg..29deg [default: the stylesheet's]
    #[arg(long, value_name = "NAME=FROM..TO,...")]
    pub vary: Option<Vary>,

    /// Font size of an emoji in px, 1 to 1000 [default: the stylesheet's]
    #[arg(long = "font-size", visible_alias = "font-size-px", value_name = "PX")]
    pub font_size_px: Option<Text<FontSize>>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ObsArgs {
    #[command(flatten)]
    pub config: ConfigArgs,

    /// Channel to show
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub channel: Text<Name>,

    /// Service to connect to [default: http:// and the listen key's address]
    #[arg(long, value_name = "URL")]
    pub url: Option<Text<BaseUrl>>,

    /// Print the settings as JSON, as obs-websocket takes them
    #[arg(long)]
    pub json: bool,

    /// Write a scene collection with the source, to be imported; or - for stdout
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub scene_collection: Option<PathBuf>,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct EnvKeys {
    pub service: ServiceKeys,
    pub look: LookKeys,
    pub picture: PictureKeys,
    pub gate: GateKeys,
    pub output: OutputKeys,
    pub log: LogKeys,
}

/// Parses a command line, the program's name first.
///
/// # Errors
/// A wrong flag or value, and a request for help or the version.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    parse_all(args).map_err(without_secrets)
}

/// What was written is quoted in a message, but not what opens an address.
fn without_secrets(error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg] {
        if let Some(ContextValue::String(given)) = error.get(kind)
            && given.contains("://")
        {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let text = text.replace(given, &shown::place(given.as_ref()));
            return clap::Error::raw(error.kind(), text);
        }
    }
    error
}

fn parse_all(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let asks = ["-h", "--help", "-V", "--version"].map(OsStr::new);
    let command = args.get(1);
    if command.is_none_or(|arg| is_flag(arg) && !asks.contains(&arg.as_os_str())) {
        args.insert(args.len().min(1), "serve".into());
    }
    let mut of_each = Vec::new();
    if args.get(1).is_some_and(|command| command == "burn-in") {
        (args, of_each) = burn_in::split(args);
    }
    let mut matches = command_line().try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches_mut(&mut matches)?;
    if let Sub::BurnIn(args) = &mut cli.command {
        let each = args.to.iter().zip(&of_each);
        let each = each.map(|(target, options)| burn_in::parse_video(target, options));
        args.of_each = each.collect::<Result<_, _>>()?;
    }
    Ok(cli)
}

/// The whole command line, with each key's environment variable in its help.
pub(super) fn command_line() -> clap::Command {
    let mut keys = names::<ServiceKeys>();
    keys.extend(names::<LookKeys>());
    keys.extend(names::<PictureKeys>());
    keys.extend(names::<OutputKeys>());
    keys.extend(names::<LogKeys>());
    keys.push("config".into());
    Cli::command().mut_subcommands(move |command| {
        let keys = keys.clone();
        command.mut_args(move |argument| {
            let id = argument.get_id().to_string();
            if keys.contains(&id) {
                let help = argument.get_help().map(ToString::to_string);
                let help = help.unwrap_or_default();
                argument.help(format!("{help} [env: {}]", env_name(&id)))
            } else {
                argument
            }
        })
    })
}

/// Reads the keys' environment variables. Others that begin with `FLOATUP_` are let be: a
/// cluster sets some for a service of that name.
///
/// # Errors
/// The first variable whose value can't be taken, by name.
pub(super) fn env_keys(env: &dyn Fn(&str) -> Option<OsString>) -> Result<EnvKeys, ConfigError> {
    Ok(EnvKeys {
        service: env_group(env)?,
        look: env_group(env)?,
        picture: env_group(env)?,
        gate: env_group(env)?,
        output: env_group(env)?,
        log: env_group(env)?,
    })
}

/// The name of a key's environment variable.
pub(super) fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_uppercase())
}

/// A group's variables go through the group's own flags, so both take the same values.
fn env_group<G: clap::Args>(env: &dyn Fn(&str) -> Option<OsString>) -> Result<G, ConfigError> {
    let command = G::augment_args(clap::Command::new("environment").no_binary_name(true));
    let mut flags: Vec<OsString> = Vec::new();
    for argument in command.get_arguments() {
        let name = env_name(argument.get_id().as_str());
        let (Some(value), Some(long)) = (env(&name), argument.get_long()) else {
            continue;
        };
        let error = |message: String| ConfigError::Env {
            name: name.clone(),
            message,
        };
        if value.is_empty() {
            return Err(error("is empty: give it a value or unset it".into()));
        }
        let mut flag = OsString::from(format!("--{long}="));
        flag.push(&value);
        let alone = command.clone().try_get_matches_from([&flag]);
        alone.map_err(|e| {
            let given = value.to_string_lossy();
            error(reason(&e).replace(&*given, &shown::place(&value)))
        })?;
        flags.push(flag);
    }
    let env_error = |e: clap::Error| ConfigError::Env {
        name: format!("{ENV_PREFIX}*"),
        message: reason(&e),
    };
    let mut matches: ArgMatches = command.try_get_matches_from(flags).map_err(env_error)?;
    G::from_arg_matches_mut(&mut matches).map_err(env_error)
}

/// Why a flag's value was refused, without the flag that nobody wrote.
fn reason(error: &clap::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.kind().to_string(),
    }
}

fn is_flag(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}
