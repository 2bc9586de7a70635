//! What the sources of message brokers have in common: where a broker is, who reads, and what a
//! payload is.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

use super::address::{AddressError, Secrets};
use super::inbox::Inbox;

/// The longest payload that is read. A longer one is refused, whatever the broker lets through.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// How long a connection may take, from asking for its address to the broker's welcome; and how long
/// a broker that is connected may take for an answer, and to read what it is sent.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A payload as text. One that is longer than [`PAYLOAD_BYTES_MAX`], or no UTF-8, is refused.
pub(super) fn text<'a>(inbox: &Inbox, payload: &'a [u8]) -> Option<&'a str> {
    let text = match payload.len() {
        ..=PAYLOAD_BYTES_MAX => std::str::from_utf8(payload).ok(),
        _ => None,
    };
    if text.is_none() {
        inbox.refuse();
    }
    text
}

/// A broker's host and port. IPv6 addresses stand in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    name: String,
    pub(super) port: u16,
}

impl Host {
    /// That of a URL, or its scheme's own port.
    pub(super) fn of(url: &Url, port: u16) -> Self {
        Self {
            name: url.host_str().unwrap_or_default().to_owned(),
            port: url.port().unwrap_or(port),
        }
    }

    /// The name without an IPv6 address's brackets.
    pub(super) fn bare(&self) -> &str {
        self.name.trim_matches(['[', ']'])
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Who reads. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

impl Login {
    /// The source's own secret, `USER:PASSWORD` or a password alone, or else what these variables
    /// say. A user without a password is refused.
    pub(super) fn of(
        secrets: &Secrets,
        user: &str,
        password: &str,
    ) -> Result<Option<Self>, AddressError> {
        if let Some(own) = &secrets.own {
            return Ok(Some(Self::parse(own)));
        }
        let variable = |name| secrets.variables.get(name).cloned();
        match (variable(user), variable(password)) {
            (user, Some(password)) => Ok(Some(Self { user, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(AddressError::new(format_args!(
                "{user} is set, and {password} is not: set both"
            ))),
        }
    }

    /// A text of the server's, which might repeat whom it was told reads.
    pub(super) fn redacted(&self, text: &str) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        let mut text = text.to_owned();
        for (secret, shown) in [(self.password.as_str(), "[password]"), (user, "[user]")] {
            if !secret.is_empty() {
                text = text.replace(secret, shown);
            }
        }
        text
    }

    /// `USER:PASSWORD`, or a password without a colon.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim_end_matches(['\r', '\n']);
        match text.split_once(':') {
            Some((user, password)) => Self {
                user: (!user.is_empty()).then(|| user.to_owned()),
                password: password.to_owned(),
            },
            None => Self {
                user: None,
                password: text.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_its_own_secret_or_two_variables() {
        let login = |user: Option<&str>, password: &str| Login {
            user: user.map(str::to_owned),
            password: password.to_owned(),
        };
        for (text, expected) in [
            ("ann:s3:cret\n", login(Some("ann"), "s3:cret")),
            ("s3cret\r\n", login(None, "s3cret")),
            (":s3:cret", login(None, "s3:cret")),
        ] {
            let secrets = Secrets::of(Some(text.to_owned()));
            assert_eq!(Login::of(&secrets, "U", "P"), Ok(Some(expected)), "{text}");
        }
        let of = |variables: &[(&'static str, &str)]| {
            let own = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
            let secrets = Secrets {
                own: None,
                variables: variables.iter().map(own).collect(),
            };
            Login::of(&secrets, "U", "P")
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("P", "a:b")]), Ok(Some(login(None, "a:b"))));
        let both = of(&[("U", "ann"), ("P", "b")]);
        assert_eq!(both, Ok(Some(login(Some("ann"), "b"))));
        let told = of(&[("U", "ann")]).unwrap_err().to_string();
        assert_eq!(told, "U is set, and P is not: set both");
        assert_eq!(format!("{both:?}"), "Ok(Some(Login(..)))");
        for (login, told) in [
            (login(Some("ann"), "s3"), "no [password] of [user]"),
            (login(None, "s3"), "no [password] of ann"),
            (login(None, ""), "no s3 of ann"),
        ] {
            assert_eq!(login.redacted("no s3 of ann"), told);
        }
    }
}
