//! Requests to other services: where a proxy is in the way, bounded answers, and errors that fit
//! into a line of the log.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, Url};

use crate::calendar::http_date;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest part of a foreign text that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The longest pause that a server is taken to ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be had. Without the address, which may have secrets in it.
    #[error("{}", causes(.0))]
    Transport(reqwest::Error),
    /// It has more bytes than are read.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

/// What reaches an address, over a proxy if this system has one, unless it is on this machine.
pub(crate) fn client(address: &Url) -> ClientBuilder {
    match is_loopback(address) {
        true => any_client().no_proxy(),
        false => any_client(),
    }
}

/// What reaches any address that is not on this machine, over a proxy if this system has one.
pub(crate) fn any_client() -> ClientBuilder {
    use_ring();
    Client::builder().connect_timeout(CONNECT_TIMEOUT)
}

/// Has TLS use the cryptography of *ring* in this process.
pub(crate) fn use_ring() {
    // An error says that one is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str().unwrap_or_default() {
        "localhost" => true,
        host => host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    }
}

/// Reads an answer's body of at most `bytes_max`.
pub(crate) async fn read(response: &mut Response, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > bytes_max {
            return Err(FetchError::TooLong(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The pause that an answer asks for, as [`asked_pause`].
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    asked_pause(response.headers())
}

/// The pause that an answer with these headers asks for, of at most [`RETRY_AFTER_MAX`]: in seconds,
/// or until a date, by the clock of who answers.
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let after = text(RETRY_AFTER)?;
    let seconds = after.trim().parse().ok().map(Duration::from_secs);
    let until_then = || {
        let now = http_date(text(DATE)?)?;
        Some(http_date(after)?.saturating_sub(now))
    };
    let asked = seconds.or_else(until_then);
    asked.map(|asked| asked.min(RETRY_AFTER_MAX))
}

/// The message of an error answer, for the log, after a colon if there is one: its JSON's, else
/// its text's beginning.
pub(crate) fn message(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let told = json
        .as_ref()
        .and_then(|json| json.get("message")?.as_str().map(str::to_owned));
    let text = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let line = shown(&text);
    if line.is_empty() {
        line
    } else {
        format!(": {line}")
    }
}

/// The beginning of a foreign text, in one line.
pub(crate) fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(SHOWN_CHARS_MAX).collect()
}

/// An error and what caused it, in one line; `reqwest` itself tells only the first.
fn causes(error: &reqwest::Error) -> String {
    let mut line = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let separator = if line.is_empty() { "" } else { ": " };
        line += &format!("{separator}{error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_asks_for_a_pause_without_end() {
        let headers = |headers: &[(_, &'static str)]| {
            let value = reqwest::header::HeaderValue::from_static;
            let headers = headers.iter().cloned();
            asked_pause(&headers.map(|(name, text)| (name, value(text))).collect())
        };
        let asked = |text| headers(&[(RETRY_AFTER, text)]);
        assert_eq!(asked(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(asked("18446744073709551615"), Some(RETRY_AFTER_MAX));
        let at = |then| headers(&[(DATE, "Fri, 31 Dec 1999 23:59:59 GMT"), (RETRY_AFTER, then)]);
        let soon = Duration::from_secs(61);
        assert_eq!(at("Sat, 01 Jan 2000 00:01:00 GMT"), Some(soon));
        assert_eq!(at("Fri, 31 Dec 1999 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(at("Fri, 31 Dec 2100 00:00:00 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!(at("some day"), None);
        // Ours may be another time.
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(asked_pause(&HeaderMap::new()), None);
    }
}
