//! A room's address.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::aws::{Arn, is_region};
use crate::source::address::{AddressError, Parts, url};

/// A room: `ivs-chat:ROOM_ARN`, or `ivs-chat:REGION` or `ivs-chat:wss://HOST` of which only tokens
/// know the room. The options are `tokens`, the address of an application that gives tokens;
/// `endpoint`, one that speaks for AWS, such as another floatup; and `user`, what we are called there.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was written, without the options.
    text: String,
    pub(super) room: Option<Arn>,
    pub(super) messaging: Url,
    pub(super) tokens: Option<Url>,
    pub(super) endpoint: Option<Url>,
    pub(super) user: Option<String>,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parts = Parts::of(text, &["tokens", "endpoint", "user"])?;
        let (_, place) = parts.path.split_once(':').unwrap_or_default();
        let place = place.trim();
        // Without what was written, in which there may be a key.
        let bad = |name| {
            AddressError(format!(
                "?{name}: expected an address that begins with http:// or https://, without a \
                 user and password"
            ))
        };
        let http = |name| {
            let url = |text| url(text, &["http", "https"]).map_err(|_| bad(name));
            parts.option(name).map(url)
        };
        let (tokens, endpoint) = (http("tokens").transpose()?, http("endpoint").transpose()?);
        let room = match place.starts_with("arn:") {
            true => Some(Arn::parse(place, "ivschat", "room").map_err(AddressError::new)?),
            false => None,
        };
        let region = room.as_ref().map_or(place, Arn::region);
        let messaging = match &endpoint {
            _ if place.contains("://") => url(place, &["ws", "wss"])?,
            _ if !is_region(region) || !region.contains('-') => {
                return Err(AddressError(format!(
                    "{:?}: expected ivs-chat: and a room's ARN, a region, or wss://HOST",
                    parts.path
                )));
            }
            Some(endpoint) => socket_of(endpoint)?,
            None => url(
                &format!("wss://edge.ivschat.{region}.amazonaws.com"),
                &["wss"],
            )?,
        };
        let user = parts.option("user").map(str::to_owned);
        if let Some(user) = &user
            && !(1..=128).contains(&user.chars().count())
        {
            return Err(AddressError::new("?user: expected 1 to 128 characters"));
        }
        Ok(Self {
            text: format!("ivs-chat:{place}"),
            room,
            messaging,
            tokens,
            endpoint,
            user,
        })
    }
}

/// The WebSocket beside an HTTP endpoint.
fn socket_of(endpoint: &Url) -> Result<Url, AddressError> {
    let socket = match endpoint.as_str().strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}"),
        None => endpoint.as_str().replacen("http://", "ws://", 1),
    };
    url(&socket, &["ws", "wss"])
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    /// Of addresses the host alone: their queries may have keys in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<Url>| url.as_ref()?.host_str().map(str::to_owned);
        f.debug_struct("Address")
            .field("text", &self.text)
            .field("tokens", &host(&self.tokens))
            .field("endpoint", &host(&self.endpoint))
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_to_connect() {
        const ROOM: &str = "arn:aws:ivschat:eu-west-1:123456789012:room/AbCdEf";
        for (text, shown, messaging) in [
            (
                format!("ivs-chat:{ROOM}"),
                format!("ivs-chat:{ROOM}"),
                "wss://edge.ivschat.eu-west-1.amazonaws.com/",
            ),
            (
                format!("ivs-chat:{ROOM}?endpoint=http%3A%2F%2F127.0.0.1%3A8787&user=me"),
                format!("ivs-chat:{ROOM}"),
                "ws://127.0.0.1:8787/",
            ),
            (
                "ivs-chat:us-west-2?tokens=https://app.example/chat%3Fkey=s3cret".into(),
                "ivs-chat:us-west-2".into(),
                "wss://edge.ivschat.us-west-2.amazonaws.com/",
            ),
            (
                "IVS-chat:wss://chat.example/room".into(),
                "ivs-chat:wss://chat.example/room".into(),
                "wss://chat.example/room",
            ),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.messaging.as_str(), messaging);
        }
        let long = format!("ivs-chat:us-west-2?user={}", "x".repeat(129));
        for (text, told) in [
            ("ivs-chat:", "expected ivs-chat: and a room's ARN"),
            ("ivs-chat", "expected ivs-chat: and a room's ARN"),
            (
                "ivs-chat:evil.example/",
                "expected ivs-chat: and a room's ARN",
            ),
            ("ivs-chat:room", "expected ivs-chat: and a room's ARN"),
            (
                "ivs-chat:arn:aws:ivs:eu-west-1:1:room/a",
                "expected an ARN as arn:aws:ivschat",
            ),
            (
                "ivs-chat:https://chat.example",
                "begins with ws:// or wss://",
            ),
            (
                "ivs-chat:wss://u:p@chat.example",
                "user and password don't belong",
            ),
            (
                "ivs-chat:us-west-2?tokens=ftp://x",
                "begins with http:// or https://",
            ),
            (
                "ivs-chat:us-west-2?token=x",
                "the options are: tokens, endpoint, user",
            ),
            (&long, "1 to 128 characters"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn no_key_in_an_address_is_shown() {
        let tokens = "tokens=https://app.example/chat%3Fkey=s3cret";
        let good: Address = format!("ivs-chat:us-west-2?{tokens}").parse().unwrap();
        let shown = format!("{good:?}");
        assert!(
            shown.contains("app.example") && !shown.contains("s3cret"),
            "{shown}"
        );
        for text in [
            format!("ivs-chat:?{tokens}"),
            "ivs-chat:us-west-2?tokens=app.example/chat%3Fkey=s3cret".into(),
            "ivs-chat:us-west-2?tokens=https://u:s3cret@app.example/".into(),
            "ivs-chat:us-west-2?endpoint=ftp://app.example/%3Fkey=s3cret".into(),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
