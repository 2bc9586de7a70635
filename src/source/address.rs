//! Where reactions come from, as a person writes it: `twitch:somebody`, `nats://127.0.0.1/reactions`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{cues, ivs_chat, lines, momento, mqtt, nats, redis, replay, twitch, youtube};
use crate::shown;

/// A source's address, checked. It holds no secrets: what it shows is what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A topic of an endpoint that speaks Momento's HTTP API.
    Momento(momento::Address),
    /// A room of Amazon IVS Chat.
    IvsChat(ivs_chat::Address),
    /// Timed metadata in a recording or a stream.
    Cues(cues::Address),
    /// Topics of an MQTT broker.
    Mqtt(mqtt::Address),
    /// A NATS subject, perhaps out of a stream.
    Nats(nats::Address),
    /// A channel or a stream of Redis.
    Redis(redis::Address),
    /// A channel's chat on Twitch.
    Twitch(twitch::Address),
    /// A live stream's chat on YouTube.
    Youtube(youtube::Address),
    /// A reaction log.
    Log(replay::Address),
    /// Lines of another program, on standard input.
    Stdin,
}

/// An address that can't be taken, or a secret that its source needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(pub(super) String);

impl AddressError {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

/// What an address can be, for messages.
const EXPECTED: [&str; 11] = [
    "momento:CACHE/TOPIC",
    "ivs-chat:ROOM_ARN",
    "twitch:CHANNEL",
    "youtube:VIDEO_ID",
    "https://HOST/topics/CACHE/TOPIC",
    "mqtt://HOST/TOPIC",
    "nats://HOST/SUBJECT",
    "redis://HOST?channel=NAME",
    "cues:INPUT",
    "log:PATH",
    "- for standard input",
];

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" | "momento" => Ok(Self::Momento(text.parse()?)),
            "ivs-chat" => Ok(Self::IvsChat(text.parse()?)),
            "twitch" => Ok(Self::Twitch(text.parse()?)),
            "youtube" => Ok(Self::Youtube(text.parse()?)),
            "log" => Ok(Self::Log(text.parse()?)),
            lines::NAME if text == lines::NAME => Ok(Self::Stdin),
            "cues" => Ok(Self::Cues(rest.parse()?)),
            "mqtt" | "mqtts" => Ok(Self::Mqtt(text.parse()?)),
            "nats" | "tls" => Ok(Self::Nats(text.parse()?)),
            "redis" | "rediss" => Ok(Self::Redis(text.parse()?)),
            _ => Err(AddressError(format!(
                "{:?}: expected an address such as {}",
                shown::place(text.as_ref()),
                EXPECTED.join(", ")
            ))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Momento(address) => address.fmt(f),
            Self::IvsChat(address) => address.fmt(f),
            Self::Cues(address) => address.fmt(f),
            Self::Mqtt(address) => address.fmt(f),
            Self::Nats(address) => address.fmt(f),
            Self::Redis(address) => address.fmt(f),
            Self::Twitch(address) => address.fmt(f),
            Self::Youtube(address) => address.fmt(f),
            Self::Log(address) => address.fmt(f),
            Self::Stdin => f.write_str(lines::NAME),
        }
    }
}

impl Address {
    /// The environment variables in which a secret of this source is looked for.
    #[must_use]
    pub fn variables(&self) -> &'static [&'static str] {
        match self {
            Self::Momento(_) => momento::VARIABLES,
            Self::IvsChat(_) => ivs_chat::VARIABLES,
            Self::Cues(_) | Self::Log(_) | Self::Stdin => &[],
            Self::Mqtt(_) => mqtt::VARIABLES,
            Self::Nats(_) => nats::VARIABLES,
            Self::Redis(_) => redis::VARIABLES,
            Self::Twitch(_) => twitch::VARIABLES,
            Self::Youtube(_) => youtube::VARIABLES,
        }
    }

    /// The same, for someone who only looks on: a session that the broker keeps for the service is
    /// not taken over, nor is what waits in it.
    #[must_use]
    pub fn for_a_look(&self) -> Self {
        match self {
            Self::Mqtt(address) => Self::Mqtt(address.for_a_look()),
            other => other.clone(),
        }
    }

    /// Whether people talk to each other there, so that a bare `no` is a word, and most reactions
    /// stand between words.
    #[must_use]
    pub fn is_conversation(&self) -> bool {
        match self {
            Self::Twitch(_) | Self::Youtube(_) => true,
            Self::IvsChat(_)
            | Self::Momento(_)
            | Self::Cues(_)
            | Self::Log(_)
            | Self::Stdin
            | Self::Mqtt(_)
            | Self::Nats(_)
            | Self::Redis(_) => false,
        }
    }
}

/// What opens a source, read once by the settings. It is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// What a settings table gives this source, in a file or a variable of its own.
    pub own: Option<String>,
    /// The variables of [`Address::variables`] that are set.
    pub variables: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// A secret that was given.
    #[must_use]
    pub fn of(secret: Option<String>) -> Self {
        Self {
            own: secret,
            variables: BTreeMap::new(),
        }
    }

    /// The source's own secret, or else the variable's.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&str> {
        let own = self.own.as_deref();
        own.or_else(|| self.variables.get(variable).map(String::as_str))
    }
}

/// An address in parts: what stands before `?`, and the options after it.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) path: &'a str,
    options: BTreeMap<String, String>,
}

impl<'a> Parts<'a> {
    /// Splits what follows the scheme. `known` are the options that there are.
    pub(super) fn of(text: &'a str, known: &[&str]) -> Result<Self, AddressError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let mut options = BTreeMap::new();
        for (name, value) in url_pairs(query) {
            if !known.contains(&name.as_str()) {
                let known = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                return Err(AddressError(format!("?{name}: the options are: {known}")));
            }
            if options.insert(name.clone(), value).is_some() {
                return Err(AddressError(format!("?{name} is given twice")));
            }
        }
        Ok(Self { path, options })
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }
}

/// The names and values of a query, decoded.
fn url_pairs(query: &str) -> Vec<(String, String)> {
    let base = reqwest::Url::parse("x:?").ok();
    let Some(mut url) = base else {
        return Vec::new();
    };
    url.set_query(Some(query));
    let pairs = url.query_pairs();
    pairs
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

/// A URL of one of these schemes, without a password in it: that would be seen in lists of
/// processes and in logs.
pub(super) fn url(text: &str, schemes: &[&str]) -> Result<reqwest::Url, AddressError> {
    let expected = schemes.join(":// or ");
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| schemes.contains(&url.scheme()) && url.has_host())
        .ok_or_else(|| {
            let text = text.split('@').next_back().unwrap_or_default();
            AddressError(format!(
                "{text:?}: expected an address that begins with {expected}://"
            ))
        })?;
    if url.password().is_some() || !url.username().is_empty() {
        return Err(AddressError::new(
            "user and password don't belong into an address: put them into a file that \
             secret_file names",
        ));
    }
    Ok(url)
}
