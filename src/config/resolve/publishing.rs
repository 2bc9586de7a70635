//! Where messages are published to, and what a crowd sends there.

use std::path::PathBuf;

use super::{Env, Layers, read_secret, source, url_of};
use crate::config::args::{PublishArgs, SimulateArgs};
use crate::config::keys::{LookKeys, OutputKeys, PictureKeys};
use crate::config::value::{Name, PerSecond, Span, Text};
use crate::config::{ConfigError, PublishJob, SimulateJob};
use crate::crowd::{Schedule, Words};
use crate::source::{Address, Secrets, momento};
use crate::topic::TopicName;

pub(in crate::config) fn publish(
    args: PublishArgs,
    env: Env<'_>,
) -> Result<PublishJob, ConfigError> {
    let keys = (LookKeys::default(), PictureKeys::default());
    let layers = Layers::read(&args.config, keys.0, keys.1, OutputKeys::default(), env)?;
    let (address, secrets) = published_to(args.to, args.channel, args.token_file, &layers, env)?;
    Ok(PublishJob {
        address,
        secrets,
        messages: args.messages,
    })
}

pub(in crate::config) fn simulate(
    args: SimulateArgs,
    env: Env<'_>,
) -> Result<SimulateJob, ConfigError> {
    let keys = (LookKeys::default(), PictureKeys::default());
    let layers = Layers::read(&args.config, keys.0, keys.1, OutputKeys::default(), env)?;
    let (address, secrets) = published_to(args.to, args.channel, args.token_file, &layers, env)?;
    let (Text(PerSecond(rate)), Text(Span(duration))) = (args.rate, args.duration);
    let (Text(curve), seed) = (args.curve, args.seed.0.0);
    let schedule = Schedule::new(curve, rate, duration, seed).map_err(|error| {
        ConfigError::Refused(format!(
            "--rate {rate}/s and --duration {duration:?}: {error}"
        ))
    })?;
    Ok(SimulateJob {
        address,
        secrets,
        publishers: args.publishers.0.count(),
        about: format!("{curve}, at most {rate}/s, for {duration:?}"),
        schedule,
        words: Words {
            mix: args.emoji.0,
            counts: args.counts.0,
            seed,
        },
        follow: !args.no_follow,
        expect_all: args.expect_all,
        json: args.json,
    })
}

/// The topic that is published to, and what opens it.
fn published_to(
    to: Option<Text<Address>>,
    channel: Text<Name>,
    token_file: Option<PathBuf>,
    layers: &Layers,
    env: Env<'_>,
) -> Result<(Address, Secrets), ConfigError> {
    let address = match to {
        Some(Text(address)) => address,
        None => {
            let channel = layers.channel(layers.table(channel))?;
            let name = TopicName::new(&channel.cache, &channel.topic);
            let name = name.map_err(|error| ConfigError::Refused(error.to_string()))?;
            Address::Momento(momento::Address::new(url_of(layers)?, name))
        }
    };
    let own = match &token_file {
        Some(path) => Some(read_secret(path, "--token-file")?.expose().to_owned()),
        None => None,
    };
    let secrets = source::secrets(&address, own, env)?;
    Ok((address, secrets))
}
