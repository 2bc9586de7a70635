//! How a channel is named.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::source::address::{AddressError, Parts, url};

const SERVER: &str = "wss://irc-ws.chat.twitch.tv/";

/// The longest name of a channel.
const NAME_CHARS_MAX: usize = 25;

/// A channel by its name: `twitch:CHANNEL`, perhaps with `?server=ws://HOST:PORT` of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(super) channel: String,
    pub(super) server: Url,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (_, rest) = text.split_once(':').unwrap_or_default();
        let parts = Parts::of(rest, &["server"])?;
        let name = parts.path.strip_prefix('#').unwrap_or(parts.path);
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || name.is_empty() || name.len() > NAME_CHARS_MAX {
            return Err(AddressError(format!(
                "{text:?}: expected twitch:CHANNEL, the name at the end of twitch.tv/CHANNEL: 1 to \
                 {NAME_CHARS_MAX} letters, digits and _"
            )));
        }
        Ok(Self {
            channel: name.to_ascii_lowercase(),
            server: url(parts.option("server").unwrap_or(SERVER), &["ws", "wss"])?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "twitch:{}", self.channel)?;
        match self.server.as_str() {
            SERVER => Ok(()),
            server => write!(f, "?server={server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_named_as_its_page_is() {
        for (text, shown) in [
            ("twitch:somebody", "twitch:somebody"),
            ("twitch:#Some_Body1", "twitch:some_body1"),
            (
                "TWITCH:a?server=ws://127.0.0.1:9",
                "twitch:a?server=ws://127.0.0.1:9/",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
        }
        for (text, told) in [
            ("twitch:", "expected twitch:CHANNEL"),
            ("twitch:a b", "expected twitch:CHANNEL"),
            ("twitch:a\r\nJOIN", "expected twitch:CHANNEL"),
            ("twitch:é", "expected twitch:CHANNEL"),
            ("twitch:aaaaaaaaaaaaaaaaaaaaaaaaaa", "1 to 25 letters"),
            ("twitch:a?sever=x", "the options are: server"),
            ("twitch:a?server=http://h", "begins with ws:// or wss://"),
            ("twitch:a?server=ws://me:hush@h", "don't belong into"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told) && !error.contains("hush"), "{error}");
        }
    }
}
