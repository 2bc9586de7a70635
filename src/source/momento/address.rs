//! A topic's address: at an endpoint, or of an account.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::endpoint::topic_url;
use crate::momento::Key;
use crate::shown;
use crate::source::address::{AddressError, Parts, Secrets, url};
use crate::topic::{TopicName, encoded};

/// The account's key, and the endpoint of one that names none.
pub(super) const KEY: &str = "MOMENTO_API_KEY";
pub(super) const ENDPOINT: &str = "MOMENTO_ENDPOINT";

/// A token for a topic at an endpoint.
pub(super) const TOKEN: &str = "FLOATUP_TOKEN";

/// Where an account's key belongs. To no other endpoint it goes unless it is given for that one.
const MOMENTO: &str = "momentohq.com";

/// A topic by its endpoint, `https://HOST/BASE/topics/CACHE/TOPIC`, or of a Momento account,
/// `momento:CACHE/TOPIC`, whose key says where it is, or `?endpoint=` with a region or a host. A
/// topic at an endpoint may have `?tokens=URL` of a token vending machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    place: Place,
    pub(super) name: TopicName,
    pub(super) tokens: Option<Url>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Endpoint(Url),
    /// A region or a host, if it is given.
    Account(Option<String>),
}

impl Address {
    /// The topic `name` of an endpoint, which may have a base path.
    #[must_use]
    pub fn new(endpoint: Url, name: TopicName) -> Self {
        Self {
            place: Place::Endpoint(endpoint),
            name,
            tokens: None,
        }
    }

    /// The endpoint, and the token or key for it if there is one.
    pub(super) fn opened(&self, secrets: &Secrets) -> Result<(Url, Option<String>), AddressError> {
        let given = secrets.get(KEY);
        let endpoint = match &self.place {
            Place::Endpoint(url) => {
                let token = match &self.tokens {
                    // A vending machine is asked unless the source has a secret of its own.
                    Some(_) => secrets.own.as_deref(),
                    None if is_momentos(url) => secrets.get(TOKEN).or(given),
                    None => secrets.get(TOKEN),
                };
                return Ok((url.clone(), token.map(str::to_owned)));
            }
            Place::Account(endpoint) => endpoint.as_deref(),
        };
        let key = given.ok_or_else(|| {
            AddressError(format!(
                "{self} needs an API key: set {KEY}, or secret_file"
            ))
        })?;
        let key = Key::parse(key).map_err(AddressError::new)?;
        let endpoint = endpoint.or(secrets.variables.get(ENDPOINT).map(String::as_str));
        let (api, secret) = key.http_api(endpoint).map_err(AddressError::new)?;
        Ok((api, Some(secret.to_owned())))
    }
}

fn is_momentos(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let under = host.strip_suffix(MOMENTO);
    url.scheme() == "https" && under.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let expected = || {
            AddressError(format!(
                "{:?}: expected https://HOST/topics/CACHE/TOPIC or momento:CACHE/TOPIC, each name \
                 percent-encoded",
                shown::address(text)
            ))
        };
        let decoded = |names: &str| {
            let (cache, topic) = names.split_once('/').ok_or_else(expected)?;
            let decode = |name| {
                let name = percent_decode_str(name).decode_utf8();
                name.map_err(|_| expected())
            };
            TopicName::new(&decode(cache)?, &decode(topic)?).map_err(AddressError::new)
        };
        if let Some(rest) = text.strip_prefix("momento:") {
            let parts = Parts::of(rest, &["endpoint"])?;
            return Ok(Self {
                place: Place::Account(parts.option("endpoint").map(str::to_owned)),
                name: decoded(parts.path)?,
                tokens: None,
            });
        }
        let parts = Parts::of(text, &["tokens"])?;
        let mut endpoint = url(parts.path, &["http", "https"])?;
        let path = endpoint.path().to_owned();
        let (base, names) = path.rsplit_once("/topics/").ok_or_else(expected)?;
        let name = decoded(names)?;
        endpoint.set_path(base);
        let tokens = parts.option("tokens");
        Ok(Self {
            place: Place::Endpoint(endpoint),
            name,
            tokens: tokens
                .map(|text| url(text, &["http", "https"]))
                .transpose()?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Endpoint(endpoint) => f.write_str(topic_url(endpoint, &self.name).as_str()),
            Place::Account(None) => write!(f, "momento:{}", self.name),
            Place::Account(Some(at)) => write!(f, "momento:{}?endpoint={}", self.name, encoded(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_V1: &str =
        r#"{"endpoint":"cell-us-east-1-1.prod.a.momentohq.com","api_key":"eyJ.a.b"}"#;

    fn opened(text: &str, key: Option<&str>, endpoint: Option<&str>) -> Result<String, String> {
        let address: Address = text.parse().map_err(|e: AddressError| e.to_string())?;
        let mut secrets = Secrets::of(None);
        let both = [(KEY, key), (ENDPOINT, endpoint)];
        let set = both
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())));
        secrets.variables.extend(set);
        let (url, token) = address.opened(&secrets).map_err(|e| e.to_string())?;
        Ok(format!("{url} {}", token.unwrap_or_default()))
    }

    #[test]
    fn an_accounts_key_says_where_its_topics_are() {
        use base64::Engine as _;
        let key = base64::engine::general_purpose::STANDARD.encode(KEY_V1);
        let east = "https://api.cache.cell-us-east-1-1.prod.a.momentohq.com/ eyJ.a.b";
        let west = "https://api.cache.cell-4-us-west-2-1.prod.a.momentohq.com/ eyJ.a.b";
        let at = "momento:video/demo?endpoint=us-west-2";
        assert_eq!(
            opened("momento:video/demo", Some(&key), None).as_deref(),
            Ok(east)
        );
        assert_eq!(opened(at, Some(&key), None).as_deref(), Ok(west));
        let by_variable = opened("momento:video/demo", Some(&key), Some("us-west-2"));
        assert_eq!(by_variable.as_deref(), Ok(west));
        for (text, key, part) in [
            ("momento:video/demo", None, "set MOMENTO_API_KEY"),
            ("momento:video/demo", Some("hunter2"), "no known form"),
            ("momento:video", None, "momento:CACHE/TOPIC"),
            ("momento:video/de/mo", None, "topic name"),
            ("momento:a/b?x=1", None, "the options are: endpoint"),
            (
                "momento:video/demo?endpoint=nowhere",
                Some(&*key),
                "expected a region",
            ),
        ] {
            let told = opened(text, key, None).unwrap_err();
            assert!(
                told.contains(part) && !told.contains("hunter2"),
                "{text}: {told}"
            );
        }
    }

    #[test]
    fn an_accounts_key_goes_to_momento_alone() {
        for (at, expected) in [
            ("https://api.cache.x.prod.a.momentohq.com/topics/a/b", "key"),
            ("http://api.cache.x.prod.a.momentohq.com/topics/a/b", ""),
            ("https://xmomentohq.com/topics/a/b", ""),
            ("https://h/topics/a/b", ""),
            ("https://h/topics/a/b?tokens=https://v/tokens", ""),
        ] {
            let got = opened(at, Some("key"), None).unwrap();
            assert_eq!(got.split(' ').nth(1), Some(expected), "{at}");
        }
    }

    #[test]
    fn a_topic_at_an_endpoint_has_a_token_or_asks_for_one() {
        let at = "https://h/base/topics/my%20cache/%C3%A4";
        let vended = format!("{at}?tokens=https://v/tokens");
        let opened = |text: &str, secrets: &Secrets| {
            let address: Address = text.parse().unwrap();
            let (url, token) = address.opened(secrets).unwrap();
            format!("{url} {}", token.unwrap_or_default())
        };
        let mut secrets = Secrets::of(None);
        secrets.variables.insert(TOKEN, "t".to_owned());
        assert_eq!(opened(at, &secrets), "https://h/base t");
        assert_eq!(opened(&vended, &secrets), "https://h/base ");
        secrets.own = Some("own".to_owned());
        assert_eq!(opened(at, &secrets), "https://h/base own");
        assert_eq!(opened(&vended, &secrets), "https://h/base own");
    }

    #[test]
    fn an_address_shows_what_tells_it_from_others() {
        for text in [
            "https://h/base/topics/my%20cache/%C3%A4",
            "momento:video/demo",
            "momento:video/demo?endpoint=us-west-2",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }
}
