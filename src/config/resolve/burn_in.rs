//! The settings of a burn-in, and what of them doesn't go together.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::burn_in::settings::{Coding, Delay, OnInputLoss, OutputSettings};
use crate::config::args::{BurnInArgs, VideoArgs};
use crate::config::keys::{LookKeys, OutputKeys, PictureKeys};
use crate::config::resolve::{Env, Followed, Layers, source};
use crate::config::{BurnInJob, ConfigError, Reactions};
use crate::shown;

pub(in crate::config) fn burn_in(args: BurnInArgs, env: Env<'_>) -> Result<BurnInJob, ConfigError> {
    let keys = PictureKeys {
        sprites: args.sprites,
        stage: args.stage,
        ..PictureKeys::default()
    };
    let layers = Layers::read(&args.config, args.look, keys, OutputKeys::default(), env)?;
    let (reactions, picture) = match args.reactions {
        Some(path) => {
            let skip_bad_lines = args.skip_bad_lines;
            let picture = layers.picture_of_log(LookKeys::default());
            (
                Reactions::Log {
                    path,
                    skip_bad_lines,
                },
                picture,
            )
        }
        None if !args.sources.is_empty() => {
            let channel = layers.channel(layers.table(args.topic.channel.clone()))?;
            let sources = source::of_channel(args.sources, &args.topic.channel, &layers, env)?;
            let sources = Reactions::Sources {
                name: channel.name,
                sources,
                gate: channel.gate,
            };
            (sources, channel.picture)
        }
        None => {
            let Followed {
                url,
                channel,
                token,
            } = layers.followed(args.topic, env)?;
            let topic = Reactions::Topic {
                url,
                name: channel.name,
                cache: channel.cache,
                topic: channel.topic,
                token,
            };
            (topic, channel.picture)
        }
    };
    let mut outputs = vec![output(args.out, args.video.clone())?];
    for (target, own) in args.to.into_iter().zip(args.of_each) {
        outputs.push(output(target, own.over(args.video.clone()))?);
    }
    let job = BurnInJob {
        input: args.input,
        input_format: args.input_format,
        reactions,
        picture,
        delay: args.delay.unwrap_or_default(),
        sync: args.sync.unwrap_or_default(),
        region: args.region.unwrap_or_default(),
        outputs,
        drop_unsupported: args.drop_unsupported,
        force: args.force,
        dry_run: args.dry_run,
        on_input_loss: args.on_input_loss,
        slate: args.slate,
        realtime: args.realtime,
        metrics: args.metrics.map(|listen| listen.0),
    };
    check(&job)?;
    Ok(job)
}

fn output(target: OsString, video: VideoArgs) -> Result<OutputSettings, ConfigError> {
    let mut options: Vec<(String, String)> = Vec::new();
    for option in video.encoder_options {
        if options.iter().any(|(name, _)| *name == option.name) {
            return Err(ConfigError::Refused(format!(
                "output {}: --encoder-option {} is given twice: expected each name once",
                shown::place(&target),
                option.name
            )));
        }
        options.push((option.name, option.value));
    }
    Ok(OutputSettings {
        target,
        container: video.muxer,
        size: video.output_size.map(|size| size.0),
        fit: video.fit.unwrap_or_default(),
        coding: Coding {
            codec: video.video_codec,
            bitrate: video.bitrate,
            crf: video.crf.map(|crf| crf.0),
            preset: video.preset,
            tune: video.tune,
            gop: video.gop.and_then(|frames| u32::try_from(frames.0).ok()),
            options,
        },
    })
}

/// Looks for values that are each good and don't go together.
fn check(job: &BurnInJob) -> Result<(), ConfigError> {
    let delay = job.delay;
    let held = delay.earlier && !matches!(job.reactions, Reactions::Log { .. });
    if held && delay.by > Delay::HELD_MAX {
        return Err(ConfigError::Refused(format!(
            "--delay {delay}: a programme is held back for at most {} s: expected at least -{0}s, \
             or a log with --reactions",
            Delay::HELD_MAX.as_secs()
        )));
    }
    if job.slate.is_some() && job.on_input_loss != Some(OnInputLoss::Slate) {
        return Err(ConfigError::Refused(
            "--slate is never shown: expected --on-input-loss slate with it".into(),
        ));
    }
    check_places(job)
}

/// Looks for a place that is written to twice, or that is read from, too.
fn check_places(job: &BurnInJob) -> Result<(), ConfigError> {
    let log = match &job.reactions {
        Reactions::Log { path, .. } => Some(path.as_os_str()),
        Reactions::Topic { .. } | Reactions::Sources { .. } => None,
    };
    let read = [
        // One - is stdin, the other stdout.
        (
            "INPUT",
            Some(job.input.as_os_str()).filter(|input| *input != "-"),
        ),
        ("--reactions", log),
        ("--slate", job.slate.as_ref().map(|path| path.as_os_str())),
    ];
    let read = read.map(|(name, place)| (name, place.map(real)));
    let mut written: Vec<PathBuf> = Vec::with_capacity(job.outputs.len());
    for output in &job.outputs {
        let target = output.name();
        let place = real(&output.target);
        if let Some((name, _)) = read.iter().find(|(_, read)| read.as_ref() == Some(&place)) {
            return Err(ConfigError::Refused(format!(
                "output {target} is {name}, too: expected another output"
            )));
        }
        if written.contains(&place) {
            return Err(ConfigError::Refused(format!(
                "output {target} is given twice: expected each target once"
            )));
        }
        written.push(place);
    }
    Ok(())
}

/// One name for each file, whether it is there or is to be made; an address as it is.
fn real(place: &OsStr) -> PathBuf {
    let text = place.to_str().unwrap_or_default();
    if place == "-" || text.contains("://") {
        return place.into();
    }
    let path = text
        .strip_prefix("file:")
        .map_or(Path::new(place), Path::new);
    let in_folder = || {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    let found = path.canonicalize().ok().or_else(in_folder);
    found.unwrap_or_else(|| path.into())
}
