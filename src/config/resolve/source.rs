//! The settings of sources: their secrets found, and their names held against the palette.

use std::path::Path;

use super::{Env, Layers, read_secret};
use crate::config::keys::SourceKeys;
use crate::config::value::{Name, Text};
use crate::config::{ChannelConfig, ConfigError, SourceConfig};
use crate::reaction::Rules;
use crate::source::{Address, Secrets};

/// Emoji of a text that count by themselves where people talk to each other.
const EMOJI_IN_TALK: u32 = 3;

/// The sources of the service: those of flags or of the environment, which are the first
/// channel's, or else those of the file.
pub(super) fn sources(
    given: Option<Vec<Text<Address>>>,
    layers: &Layers,
    channels: &[ChannelConfig],
    env: Env<'_>,
) -> Result<Vec<SourceConfig>, ConfigError> {
    let tables = match given {
        Some(addresses) => addresses.into_iter().map(SourceKeys::from).collect(),
        None => layers.file.sources.clone(),
    };
    all(tables, layers, channels, env)
}

fn all(
    tables: Vec<SourceKeys>,
    layers: &Layers,
    channels: &[ChannelConfig],
    env: Env<'_>,
) -> Result<Vec<SourceConfig>, ConfigError> {
    let mut sources: Vec<SourceConfig> = Vec::with_capacity(tables.len());
    for keys in tables {
        let channel = channel_of(&keys, channels);
        let Some(source) = source(keys, channel, layers, env)? else {
            continue;
        };
        // By what it is called, in the log and in metrics.
        let name = source.address.to_string();
        let same =
            |other: &SourceConfig| other.channel == channel && other.address.to_string() == name;
        if sources.iter().any(same) {
            return Err(ConfigError::Refused(format!(
                "source: {name} is given twice: expected each address once for a channel"
            )));
        }
        sources.push(source);
    }
    Ok(sources)
}

/// The sources of one channel: those given, or else those of the file's channel of this name.
pub(super) fn of_channel(
    given: Vec<Text<Address>>,
    channel: &Text<Name>,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Vec<SourceConfig>, ConfigError> {
    let channels = layers.channels()?;
    let number = channels.iter().position(|c| c.name == channel.0.0);
    let tables = match given.is_empty() {
        false => given.into_iter().map(SourceKeys::from).collect(),
        true => {
            // Another channel's secrets need not be there.
            let tables = layers.file.sources.iter();
            let is_its = |keys: &&SourceKeys| Some(channel_of(keys, &channels)) == number;
            tables.filter(is_its).cloned().collect()
        }
    };
    all(tables, layers, &channels, env)
}

/// That there is such a channel was seen in the file.
fn channel_of(keys: &SourceKeys, channels: &[ChannelConfig]) -> usize {
    let named = |channel: &ChannelConfig| {
        let name = keys.channel.as_ref();
        name.is_none_or(|name| name.0.0 == channel.name)
    };
    channels.iter().position(named).unwrap_or_default()
}

fn source(
    keys: SourceKeys,
    channel: usize,
    layers: &Layers,
    env: Env<'_>,
) -> Result<Option<SourceConfig>, ConfigError> {
    let Some(Text(address)) = keys.from else {
        return Ok(None);
    };
    let refused = |message: String| ConfigError::Refused(format!("source {address}: {message}"));
    let talks = address.is_conversation();
    let in_text = keys.emoji_in_text.and_then(|n| u32::try_from(n.0.0).ok());
    let names = keys.names.unwrap_or_default();
    let names = names.iter().map(|(name, reaction)| (&**name, &**reaction));
    let rules = Rules::new(layers.palette.clone())
        .with_emoji_in_text(in_text.unwrap_or(if talks { EMOJI_IN_TALK } else { 0 }))
        .with_words(keys.words.unwrap_or(!talks))
        .with_names(names)
        .map_err(|error| refused(format!("names: {error}")))?;
    let own = match (keys.secret_file.as_deref(), keys.secret_env.as_deref()) {
        (Some(_), Some(_)) => {
            return Err(refused(
                "secret_file and secret_env are both given: expected one of them".into(),
            ));
        }
        (Some(path), None) => Some(secret_of(path)?),
        (None, Some(name)) => {
            let value = variable(name, env)?;
            Some(value.ok_or_else(|| refused(format!("{name} is not set (for secret_env)")))?)
        }
        (None, None) => None,
    };
    Ok(Some(SourceConfig {
        rules,
        secrets: secrets(&address, own, env)?,
        channel,
        weight: keys.weight.map_or(1.0, |weight| weight.0.0),
        is_required: keys.required.unwrap_or(false),
        address,
    }))
}

/// What opens a source: its own secret, and the variables of its kind.
pub(super) fn secrets(
    address: &Address,
    own: Option<String>,
    env: Env<'_>,
) -> Result<Secrets, ConfigError> {
    let mut secrets = Secrets::of(own);
    for name in address.variables() {
        if let Some(value) = variable(name, env)? {
            secrets.variables.insert(name, value);
        }
    }
    Ok(secrets)
}

fn secret_of(path: &Path) -> Result<String, ConfigError> {
    let secret = read_secret(path, "secret_file")?;
    Ok(secret.expose().to_owned())
}

/// A variable of another program's name; one that is empty is as good as none.
pub(super) fn variable(name: &str, env: Env<'_>) -> Result<Option<String>, ConfigError> {
    let Some(value) = env(name) else {
        return Ok(None);
    };
    // The value stays out of the message: it may be most of a secret.
    let text = value.into_string().map_err(|_| ConfigError::Env {
        name: name.into(),
        message: "is not UTF-8: expected text".into(),
    })?;
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}
