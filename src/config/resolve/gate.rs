//! What a channel's gate lets in.

use std::collections::HashSet;
use std::time::Duration;

use crate::config::ConfigError;
use crate::config::keys::GateKeys;
use crate::gate::Rules;
use crate::reaction::{Emoji, Palette};

/// The rules that keys say, in the palette's reactions.
pub(in crate::config) fn rules(keys: GateKeys, palette: &Palette) -> Result<Rules, ConfigError> {
    let find = |key: &str, names: Vec<String>| {
        let emoji = names.iter().map(|name| {
            palette.find(name).ok_or_else(|| {
                let known: Vec<&str> = palette.entries().map(|(name, _)| name).collect();
                ConfigError::Refused(format!(
                    "{key}: {name:?} is no reaction of the palette: expected some of {}",
                    known.join(", ")
                ))
            })
        });
        emoji.collect::<Result<HashSet<Emoji>, _>>()
    };
    let allow = keys.allow.filter(|names| !names.is_empty());
    Ok(Rules {
        publisher_rate: keys.publisher_rate.map(|rate| rate.0.0),
        channel_rate: keys.channel_rate.map(|rate| rate.0.0),
        repeat: Duration::from_millis(keys.repeat_ms.map_or(0, |ms| ms.0.0)),
        allow: allow.map(|names| find("allow", names)).transpose()?,
        block: find("block", keys.block.unwrap_or_default())?,
        block_publishers: keys
            .block_publishers
            .unwrap_or_default()
            .into_iter()
            .collect(),
        paused: false,
    })
}
