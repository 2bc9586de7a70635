//! The settings of accounts elsewhere: keys and credentials found in the environment.

use super::{Env, source::variable};
use crate::aws::Place;
use crate::config::value::MetadataAddress;
use crate::config::{ConfigError, MetadataConfig, MomentoTokens};
use crate::momento::Key;

/// Where a Momento account's key is looked for.
const MOMENTO_KEY: &str = "MOMENTO_API_KEY";

pub(super) fn momento_tokens(endpoint: String, env: Env<'_>) -> Result<MomentoTokens, ConfigError> {
    let refused = |message: String| ConfigError::Refused(format!("momento_tokens: {message}"));
    let key = variable(MOMENTO_KEY, env)?;
    let key = key.ok_or_else(|| refused(format!("expected an API key in {MOMENTO_KEY}")))?;
    let key = Key::parse(&key).map_err(|error| refused(error.to_string()))?;
    let endpoint = Some(endpoint).filter(|endpoint| endpoint != "key");
    let checked = key.http_api(endpoint.as_deref());
    drop(checked.map_err(|error| refused(error.to_string()))?);
    Ok(MomentoTokens { key, endpoint })
}

pub(super) fn timed_metadata(
    address: MetadataAddress,
    env: Env<'_>,
) -> Result<MetadataConfig, ConfigError> {
    let refused = |message: String| ConfigError::Refused(format!("timed_metadata: {message}"));
    let value = |name: &str| variable(name, env).ok().flatten();
    let place = Place::from_env(&value, &std::path::Path::is_file);
    Ok(MetadataConfig {
        channel: address.channel,
        endpoint: address.endpoint,
        place: place.map_err(|error| refused(error.to_string()))?,
    })
}
