//! Addresses as they are spoken of: in messages, logs and figures, without what opens them.
//!
//! A stream's key is a part of its path (`rtmp://HOST/APP/KEY`), a passphrase or a token one of its
//! query, and a user's password stands before the host. None of these is anyone else's to read, and
//! logs and figures are read by many.

use std::ffi::OsStr;

/// No more of an address than its protocol and host: of a stream whose path may be its key. A path of
/// this machine, and what is no address at all, is shown as it is.
#[must_use]
pub fn place(address: &OsStr) -> String {
    let text = address.to_string_lossy();
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.into_owned();
    };
    if scheme == "file" {
        return text.into_owned();
    }
    let (host, after) = split_host(rest);
    match is_host(host) && !after.contains('@') {
        true => format!("{scheme}://{host}"),
        // A password with a slash in it ends what looks like a host.
        false => format!("{scheme}://…"),
    }
}

/// An address without user, password and query: one whose path says what it is and opens nothing,
/// which that of a stream over RTMP or SRT is not taken for.
#[must_use]
pub fn address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    if scheme.starts_with("rtmp") || scheme.starts_with("srt") {
        return place(text.as_ref());
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = match rest.rfind('@') {
        // What stands before it may be a password, with any of the other marks in it.
        Some(at) if at >= path.len() => "…",
        _ => path.rsplit('@').next().unwrap_or_default(),
    };
    format!("{scheme}://{path}")
}

/// The host with its port, and what comes after it; a user and a password are passed over.
fn split_host(rest: &str) -> (&str, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    (host, after)
}

/// Whether it is a name or an address, perhaps with a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, ""),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:%".contains(c);
    host.chars().all(is_plain) && port.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};

    use super::*;

    #[test]
    fn a_place_is_protocol_and_host() {
        for (text, shown) in [
            ("a.mov", "a.mov"),
            ("-", "-"),
            ("/a b/c@d?e=f", "/a b/c@d?e=f"),
            ("file:///a/b", "file:///a/b"),
            ("rtmp://live.example/app/key", "rtmp://live.example"),
            (
                "rtmps://live.example:443/app/key",
                "rtmps://live.example:443",
            ),
            ("srt://user:word@a:1?passphrase=x", "srt://a:1"),
            ("srt://[::1]:9000?streamid=x", "srt://[::1]:9000"),
            ("http://[2001:db8::1]/a", "http://[2001:db8::1]"),
            ("udp://a:1#x", "udp://a:1"),
            ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
            ("http://user:pa/ss@a/b", "http://…"),
            ("http://user:12/34@a/b", "http://…"),
            ("rtmp://a b/c", "rtmp://…"),
            ("rtmp://", "rtmp://"),
        ] {
            assert_eq!(place(OsStr::new(text)), shown, "{text}");
        }
    }

    #[test]
    fn an_address_keeps_its_path() {
        for (text, shown) in [
            ("twitch:somebody", "twitch:somebody"),
            ("https://h/topics/a/b", "https://h/topics/a/b"),
            ("https://ann:word@h/topics/a", "https://h/topics/a"),
            ("nats://tok/en@h/subject", "nats://h/subject"),
            ("redis://h?channel=a&x=y", "redis://h"),
            ("rtmp://h/app/key", "rtmp://h"),
            ("https://h/a?word", "https://h/a"),
            ("https://h/a#word", "https://h/a"),
            ("https://ann:wo?rd@h/a", "https://…"),
        ] {
            assert_eq!(address(text), shown, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_secret_is_in_a_place(
            user in "[a-z:/?#%]{0,6}",
            key in "[!-~]{8,20}",
            host in "[0-9.]{1,9}(:[0-9]{1,5})?",
        ) {
            // Longer than a host's name, and of other characters, so that no host has it.
            let key = format!("K{key}");
            for text in [
                format!("rtmp://{host}/app/{key}"),
                format!("srt://{host}?passphrase={key}"),
                format!("http://{user}{key}@{host}/x"),
                format!("http://{host}/x#{key}"),
            ] {
                let shown = place(OsStr::new(&text));
                assert!(!shown.contains(&key), "{text}: {shown}");
            }
            for text in [
                format!("redis://{host}/0?password={key}"),
                format!("https://{user}{key}@{host}/x"),
            ] {
                let shown = address(&text);
                assert!(!shown.contains(&key), "{text}: {shown}");
            }
        }
    }
}
