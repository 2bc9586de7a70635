//! An account's key, in each form in which Momento has handed them out, and its hosts.

use std::fmt;

use reqwest::Url;
use serde::Deserialize;

use crate::token;

/// The longest key that is looked at, in bytes.
const KEY_BYTES_MAX: usize = 8_192;

/// What the names of all cells end with.
const DOMAIN: &str = ".prod.a.momentohq.com";

/// The cell of each region of Momento's serverless service. Names follow no rule.
pub const REGIONS: [(&str, &str); 11] = [
    ("us-east-1", "cell-us-east-1-1"),
    ("us-east-2", "cell-1-us-east-2-1"),
    ("us-west-2", "cell-4-us-west-2-1"),
    ("eu-west-1", "cell-1-eu-west-1-1"),
    ("eu-west-2", "cell-1-eu-west-2-1"),
    ("eu-central-1", "cell-1-eu-central-1-1"),
    ("eu-north-1", "cell-1-eu-north-1-1"),
    ("ap-south-1", "cell-1-ap-south-1-1"),
    ("ap-northeast-1", "cell-ap-northeast-1-1"),
    ("ap-southeast-1", "cell-1-ap-southeast-1-1"),
    ("ap-southeast-2", "cell-1-ap-southeast-2-1"),
];

/// The endpoint of a region: what comes after `cache.`, `token.` or `api.cache.` in the names of its
/// hosts.
#[must_use]
pub fn endpoint_of(region: &str) -> Option<String> {
    let (_, cell) = REGIONS.iter().find(|(name, _)| *name == region)?;
    Some(format!("{cell}{DOMAIN}"))
}

/// An account's key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: String,
    /// Where it is good, if it says so.
    endpoint: Option<String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A key, or an endpoint, that can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No form of a key.
    #[error(
        "the Momento API key is of no known form: expected what Momento's console shows, in one \
         piece"
    )]
    Form,
    /// A key that is good in any region.
    #[error(
        "this Momento API key needs an endpoint: a region, such as us-west-2, or the host that \
         Momento's console shows"
    )]
    NoEndpoint,
    /// Not an endpoint.
    #[error(
        "{0:?}: expected a region ({regions}), a host such as cell-us-east-1-1{DOMAIN}, or an \
         address with https://", regions = REGIONS.map(|(name, _)| name).join(", ")
    )]
    Endpoint(String),
}

impl Key {
    /// Reads a key: base64 with its endpoint, which is also what disposable tokens are (v1); a JSON
    /// Web Token for all regions (v2); or one that names its hosts (before those).
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Claims {
            t: Option<String>,
            c: Option<String>,
        }
        let text = text.trim();
        if text.len() > KEY_BYTES_MAX {
            return Err(KeyError::Form);
        }
        let is_secret =
            |secret: &str| !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some((endpoint, secret)) = token::unwrapped(text) {
            let key = Self {
                endpoint: Some(endpoint).filter(|endpoint| is_host(endpoint)),
                secret,
            };
            return is_secret(&key.secret).then_some(key).ok_or(KeyError::Form);
        }
        let claims: Claims = token::payload(text)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(KeyError::Form)?;
        let endpoint = match (claims.t.as_deref(), claims.c) {
            (Some("g"), _) => None,
            (_, Some(cache)) => Some(cache.trim_start_matches("cache.").to_owned()),
            (_, None) => return Err(KeyError::Form),
        };
        let secret = text.to_owned();
        let endpoint = endpoint.filter(|endpoint| is_host(endpoint));
        is_secret(&secret)
            .then_some(Self { secret, endpoint })
            .ok_or(KeyError::Form)
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The address of the HTTP API, and what to send it as token; `given` is a region or a host, in
    /// place of the key's own.
    ///
    /// # Errors
    /// There is no endpoint, or it is none.
    pub fn http_api(&self, given: Option<&str>) -> Result<(Url, &str), KeyError> {
        let (endpoint, _) = self.endpoint(given)?;
        let url = match given.filter(|given| given.contains("://")) {
            Some(given) => given.to_owned(),
            None => format!("https://api.cache.{endpoint}"),
        };
        let url = Url::parse(&url).map_err(|_| KeyError::Endpoint(endpoint))?;
        Ok((url, &self.secret))
    }

    /// The endpoint to use, `given` before the key's own, and the address of its token service for
    /// browsers.
    pub(super) fn endpoint(&self, given: Option<&str>) -> Result<(String, Url), KeyError> {
        let given = given.map(str::trim).filter(|given| !given.is_empty());
        let text = given
            .or(self.endpoint.as_deref())
            .ok_or(KeyError::NoEndpoint)?;
        let wrong = || KeyError::Endpoint(text.chars().take(200).collect());
        if let Some((_, host)) = text.split_once("://") {
            let url = Url::parse(text).ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            return Ok((
                host.trim_end_matches('/').to_owned(),
                url.ok_or_else(wrong)?,
            ));
        }
        let endpoint = endpoint_of(text).unwrap_or_else(|| text.to_owned());
        if !is_host(&endpoint) || !endpoint.contains('.') {
            return Err(wrong());
        }
        let url = Url::parse(&format!("https://web.token.{endpoint}")).map_err(|_| wrong())?;
        Ok((endpoint, url))
    }
}

/// Whether a text is a host's name and nothing more.
fn is_host(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
    (1..=253).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    fn jwt(claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.sign", encode(r#"{"alg":"HS512"}"#), encode(claims))
    }

    fn check(text: &str, given: Option<&str>, expected: Result<(&str, &str), KeyError>) {
        let found = Key::parse(text).and_then(|key| {
            let (endpoint, url) = key.endpoint(given)?;
            Ok((endpoint, url.to_string()))
        });
        let found = found.as_ref().map(|(e, u)| (e.as_str(), u.as_str()));
        assert_eq!(
            found,
            expected.as_ref().map(|found| *found),
            "{text} {given:?}"
        );
    }

    #[test]
    fn each_form_of_a_key_leads_to_its_hosts() {
        const EAST: &str = "cell-us-east-1-1.prod.a.momentohq.com";
        const EAST_URL: &str = "https://web.token.cell-us-east-1-1.prod.a.momentohq.com/";
        let v2 = jwt(r#"{"t":"g","jti":"some-id"}"#);
        let wrapped = STANDARD.encode(format!(r#"{{"endpoint": "{EAST}", "api_key": "{v2}"}}"#));
        let legacy = jwt(&format!(
            r#"{{"sub":"a","cp":"control.{EAST}","c":"cache.{EAST}"}}"#
        ));
        check(&wrapped, None, Ok((EAST, EAST_URL)));
        check(
            &format!(" {}\n", wrapped.trim_end_matches('=')),
            None,
            Ok((EAST, EAST_URL)),
        );
        check(&legacy, None, Ok((EAST, EAST_URL)));
        check(&v2, None, Err(KeyError::NoEndpoint));
        check(&v2, Some("us-east-1"), Ok((EAST, EAST_URL)));
        check(&v2, Some(EAST), Ok((EAST, EAST_URL)));
        let west = "cell-4-us-west-2-1.prod.a.momentohq.com";
        check(
            &wrapped,
            Some("us-west-2"),
            Ok((west, &format!("https://web.token.{west}/"))),
        );
        let local = ("127.0.0.1:81", "http://127.0.0.1:81/");
        check(&v2, Some("http://127.0.0.1:81"), Ok(local));
        for wrong in [
            "us-west-9",
            "a b.example",
            "ftp://a.example",
            "https://",
            "evil/x.example",
        ] {
            check(&v2, Some(wrong), Err(KeyError::Endpoint(wrong.into())));
        }
    }

    #[test]
    fn the_key_inside_a_wrapper_is_the_secret() {
        let wrapped = token::wrap("eyJ.a.b", "h.example");
        assert_eq!(Key::parse(&wrapped).unwrap().secret(), "eyJ.a.b");
        assert_eq!(format!("{:?}", Key::parse(&wrapped)), "Ok(Key(..))");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(KEY_BYTES_MAX + 1);
        let blank = token::wrap("a\nb", "h.example");
        for text in [
            "",
            "undefined",
            "a.b.c",
            &jwt("{}"),
            &jwt(r#"{"t":"x"}"#),
            &long,
            &blank,
        ] {
            assert_eq!(Key::parse(text), Err(KeyError::Form), "{text}");
        }
    }
}
