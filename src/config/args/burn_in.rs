//! The command line of `burn-in`: options that hold for all of it, and those of each output.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, FromArgMatches};

use crate::burn_in::settings::{Bitrate, Delay, Fit, OnInputLoss, Region, Sync};
use crate::config::args::{ConfigArgs, TopicArgs};
use crate::config::keys::{LookKeys, SpriteKeys, StageKeys};
use crate::config::value::{Crf, EncoderOption, EvenSize, Listen, Text, Whole, place};
use crate::shown;
use crate::source::Address;

const USAGE: &str = "\
floatup burn-in [OPTIONS] <INPUT> <OUTPUT> [--output <TARGET> [VIDEO OPTIONS]]...";

const AFTER_HELP: &str = "\
Video options after an --output are that output's alone. Those before the first
are OUTPUT's, and the defaults of the others, but for a preset, a tune and encoder
options where another codec is named. A -- ends the options of the last output:
what follows are INPUT and OUTPUT.";

#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE, after_help = AFTER_HELP)]
pub(in crate::config) struct BurnInArgs {
    /// Programme: a file, a FIFO, - for stdin, or an address that libav opens, such as
    /// srt://HOST:PORT
    #[arg(value_parser = place("stdin"))]
    pub input: OsString,

    /// Where the programme goes with its reactions: a file, a FIFO, - for stdout, or an address
    #[arg(value_name = "OUTPUT", value_parser = place("stdout"))]
    pub out: OsString,

    /// Where it goes, too, with the video options that follow; may be given several times
    #[arg(long = "output", value_name = "TARGET", value_parser = place("stdout"))]
    pub to: Vec<OsString>,

    /// Those options, one for each of `to`.
    #[arg(skip)]
    pub of_each: Vec<VideoArgs>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// Reaction log, one JSON object a line, whose times are from the programme's first frame
    /// [default: none, a topic is followed]
    #[arg(long, value_name = "FILE", help_heading = "Reactions")]
    #[arg(conflicts_with_all = ["channel", "url", "cache", "token_file"])]
    pub reactions: Option<PathBuf>,

    /// Skip lines of the log that are no reaction, each with a warning, in place of ending at the
    /// first
    #[arg(long, help_heading = "Reactions", requires = "reactions")]
    pub skip_bad_lines: bool,

    #[command(flatten, next_help_heading = "Reactions")]
    pub topic: TopicArgs,

    /// Follow this in place of a topic, such as twitch:CHANNEL; may be given several times
    /// [default: none]
    #[arg(long = "source", value_name = "ADDRESS", help_heading = "Reactions")]
    #[arg(conflicts_with_all = ["reactions", "url", "cache", "token_file"])]
    pub sources: Vec<Text<Address>>,

    /// How much later than it came a reaction appears, up to an hour: 8s, 250ms, 1.5s; or earlier,
    /// -8s, for which a live programme is held back, at most 60 s [default: 0s]
    #[arg(
        long,
        value_name = "TIME",
        help_heading = "Reactions",
        allow_hyphen_values = true
    )]
    pub delay: Option<Delay>,

    /// Which frame a reaction appears in: arrival, the next one, or pts, the one of its own time
    /// stamp, where it and the programme have one [default: arrival]
    #[arg(long, value_name = "HOW", help_heading = "Reactions")]
    pub sync: Option<Sync>,

    /// Part of the picture that sprites stay within: full, title-safe, action-safe, left, right,
    /// top, bottom, strip-left, strip-right, or WIDTHxHEIGHT+X+Y in pixels or with %
    /// [default: full]
    #[arg(long, value_name = "REGION", help_heading = "Reactions")]
    pub region: Option<Region>,

    #[command(flatten)]
    pub video: VideoArgs,

    /// Print what would happen to each stream, and write nothing
    #[arg(long, help_heading = "Behaviour")]
    pub dry_run: bool,

    /// Overwrite files that are there
    #[arg(long, help_heading = "Behaviour")]
    pub force: bool,

    /// Leave out streams that an output can't hold, in place of refusing it
    #[arg(long, help_heading = "Behaviour")]
    pub drop_unsupported: bool,

    /// What happens while the input is lost: wait, slate (a still picture) or exit [default: wait
    /// for addresses, exit for files and pipes]
    #[arg(long, value_name = "WHAT", help_heading = "Behaviour")]
    pub on_input_loss: Option<OnInputLoss>,

    /// PNG to show with --on-input-loss slate [default: black]
    #[arg(long, value_name = "FILE", help_heading = "Behaviour")]
    pub slate: Option<PathBuf>,

    /// Read a file no faster than it plays
    #[arg(long, help_heading = "Behaviour")]
    pub realtime: bool,

    /// What the input is, by libavformat's name of its demuxer [default: found out]
    #[arg(long, value_name = "NAME", help_heading = "Behaviour")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub input_format: Option<String>,

    /// IP address and port to serve /metrics and /healthz on [default: none]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Behaviour")]
    pub metrics: Option<Listen>,

    #[command(flatten)]
    pub look: LookKeys,
    #[command(flatten)]
    pub sprites: SpriteKeys,
    #[command(flatten)]
    pub stage: StageKeys,
}

/// How one output is written.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Video")]
pub(in crate::config) struct VideoArgs {
    /// Encoder or codec, by libavcodec's name, such as libx264 or hevc [default: the
    /// input's codec]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub video_codec: Option<String>,

    /// Bits a second, 1k to 1G, such as 6M or 2500k [default: as suits the input]
    #[arg(long, value_name = "BITS", conflicts_with = "crf")]
    pub bitrate: Option<Bitrate>,

    /// Constant rate factor, 0 (best) to 63 (smallest), in place of a bit rate [default: as suits
    /// the input]
    #[arg(long, value_name = "NUMBER")]
    pub crf: Option<Crf>,

    /// Preset, by the encoder's name of it, such as veryfast [default: the encoder's]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub preset: Option<String>,

    /// What the encoder is tuned for, by its name of it, such as zerolatency [default: nothing]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub tune: Option<String>,

    /// Frames from one from which decoding can begin to the next, 1 to 100000 [default: as the
    /// input]
    #[arg(long, value_name = "FRAMES")]
    pub gop: Option<Whole<1, 100_000>>,

    /// Picture size in pixels, even numbers up to 16384 [default: the input's]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub output_size: Option<EvenSize>,

    /// How the picture is brought to that size: contain (with black beside it), cover (cut) or
    /// stretch [default: contain]
    #[arg(long, value_name = "HOW")]
    pub fit: Option<Fit>,

    /// What holds the streams, by libavformat's name of its muxer, such as mpegts [default: the
    /// target's ending; mpegts for srt: and udp:, flv for rtmp:]
    #[arg(long = "container", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub muxer: Option<String>,

    /// Another option of the encoder, by its own name; may be given several times [default: none]
    #[arg(long = "encoder-option", value_name = "NAME=VALUE")]
    pub encoder_options: Vec<EncoderOption>,
}

impl VideoArgs {
    /// These options, and where one is not given, `under`'s.
    pub(in crate::config) fn over(self, under: Self) -> Self {
        // What one encoder takes, another may not know.
        let other_codec = self.video_codec.is_some() && self.video_codec != under.video_codec;
        let under = match other_codec {
            true => Self {
                preset: None,
                tune: None,
                encoder_options: Vec::new(),
                ..under
            },
            false => under,
        };
        let (bitrate, crf) = match (self.bitrate, self.crf) {
            (None, None) => (under.bitrate, under.crf),
            own => own,
        };
        let mut encoder_options = under.encoder_options;
        encoder_options.retain(|option| {
            self.encoder_options
                .iter()
                .all(|own| own.name != option.name)
        });
        encoder_options.extend(self.encoder_options);
        Self {
            video_codec: self.video_codec.or(under.video_codec),
            bitrate,
            crf,
            preset: self.preset.or(under.preset),
            tune: self.tune.or(under.tune),
            gop: self.gop.or(under.gop),
            output_size: self.output_size.or(under.output_size),
            fit: self.fit.or(under.fit),
            muxer: self.muxer.or(under.muxer),
            encoder_options,
        }
    }
}

/// Takes the options after each `--output TARGET` out of a command line: what is left of it, and
/// the options of each. Requests for help, and all from `--` on, stay.
pub(in crate::config) fn split(args: Vec<OsString>) -> (Vec<OsString>, Vec<Vec<OsString>>) {
    let mut left = Vec::new();
    let mut of_each: Vec<Vec<OsString>> = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let stays = arg == "-h" || arg == "--help";
        if arg == "--" {
            left.push(arg);
            left.extend(args);
            break;
        } else if arg == "--output" {
            left.push(arg);
            // Whether it is a target is the parser's to say.
            left.extend(args.next());
            of_each.push(Vec::new());
        } else if arg.as_encoded_bytes().starts_with(b"--output=") {
            left.push(arg);
            of_each.push(Vec::new());
        } else {
            match of_each.last_mut() {
                Some(own) if !stays => own.push(arg),
                _ => left.push(arg),
            }
        }
    }
    (left, of_each)
}

/// Parses the options after `--output TARGET`.
///
/// # Errors
/// A wrong option or value, with the target.
pub(in crate::config) fn parse_video(
    target: &OsStr,
    args: &[OsString],
) -> Result<VideoArgs, clap::Error> {
    let command = clap::Command::new("burn-in").no_binary_name(true);
    let command = VideoArgs::augment_args(command).override_usage(USAGE);
    let parsed = command.try_get_matches_from(args);
    let parsed = parsed.and_then(|matches| VideoArgs::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let text = misplaced(&error).unwrap_or_else(|| error.render().to_string());
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        clap::Error::raw(
            error.kind(),
            format!("--output {}: {text}", shown::place(target)),
        )
    })
}

/// What to do with an argument that isn't an output's, if it is one of the whole command.
fn misplaced(error: &clap::Error) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(argument))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let Some(name) = argument.strip_prefix("--") else {
        let is_flag = argument.starts_with('-');
        return (!is_flag).then(|| {
            format!(
                "unexpected argument '{argument}': expected INPUT and OUTPUT before the first \
                 --output, or after --\n"
            )
        });
    };
    let command = BurnInArgs::augment_args(clap::Command::new("burn-in"));
    let known = command.get_arguments().any(|known| {
        let aliases = known.get_visible_aliases().unwrap_or_default();
        known.get_long() == Some(name) || aliases.contains(&name)
    });
    known.then(|| {
        format!(
            "'{argument}' holds for the whole programme, not for one output: expected it before \
             the first --output\n"
        )
    })
}
