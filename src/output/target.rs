//! Where an output goes, as a person writes it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::shown;

/// Protocols of libavformat that carry a stream to somewhere else.
const URL_SCHEMES: &[&str] = &[
    "srt", "rtmp", "rtmps", "udp", "rtp", "http", "https", "icecast",
];

/// Where frames go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This process's stdout: `-`.
    Stdout,
    /// A file, or a FIFO that is there: `out.mov`, `file:out.mov`.
    File(PathBuf),
    /// A TCP socket: `tcp://HOST:PORT`, `tcp://HOST:PORT?listen`.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// Who waits for whom.
        role: Role,
    },
    /// A Unix domain socket: `unix:PATH`, `unix:PATH?listen`.
    Unix {
        /// The socket's file.
        path: PathBuf,
        /// Who waits for whom.
        role: Role,
    },
    /// What libavformat writes to: `srt://…`, `rtmp://…`, `udp://…`.
    Url(String),
    /// A reader of the channel's live feed, who came by HTTP.
    Feed,
}

/// Which end of a socket floatup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It connects to a reader that listens.
    Connect,
    /// It listens, and a reader connects.
    Listen,
}

/// A text that names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {expected}")]
pub struct TargetError {
    text: String,
    expected: String,
}

impl Target {
    /// Reads a target's name.
    ///
    /// # Errors
    /// A socket without an address, and a protocol that is not known.
    pub fn new(name: &OsStr) -> Result<Self, TargetError> {
        let Some(text) = name.to_str() else {
            return Ok(Self::File(name.into()));
        };
        let error = |expected: &str| TargetError {
            text: shown::place(name),
            expected: expected.into(),
        };
        if text.is_empty() {
            return Err(error("expected a path, a URL, or - for stdout"));
        }
        if text == "-" {
            return Ok(Self::Stdout);
        }
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(path.into()));
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, role) = role(rest);
            if path.is_empty() {
                return Err(error("expected a socket's path, such as unix:/run/feed"));
            }
            let path = path.into();
            return Ok(Self::Unix { path, role });
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::File(name.into()));
        };
        match scheme {
            "tcp" => {
                let (address, role) = role(rest);
                let port = address.rsplit_once(':').map(|(_, port)| port);
                if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
                    return Err(error(
                        "expected a host and a port, such as tcp://127.0.0.1:9000, and perhaps \
                         ?listen",
                    ));
                }
                let address = address.into();
                Ok(Self::Tcp { address, role })
            }
            scheme if URL_SCHEMES.contains(&scheme) => Ok(Self::Url(text.into())),
            _ => Err(error(&format!(
                "expected a path, - for stdout, or an address with one of tcp, unix, {}",
                URL_SCHEMES.join(", ")
            ))),
        }
    }

    /// The ending of a file's name, in lower case, or nothing.
    #[must_use]
    pub fn ending(&self) -> String {
        let path = match self {
            Self::File(path) => path,
            // The path of a URL, without what follows it.
            Self::Url(url) => Path::new(url.split(['?', '#']).next().unwrap_or_default()),
            _ => return String::new(),
        };
        let ending = path.extension().and_then(OsStr::to_str);
        ending.unwrap_or_default().to_ascii_lowercase()
    }

    /// Whether readers come to it.
    #[must_use]
    pub fn listens(&self) -> bool {
        match self {
            Self::Tcp { role, .. } | Self::Unix { role, .. } => *role == Role::Listen,
            _ => false,
        }
    }

    /// Whether it can be opened again after its reader has gone.
    #[must_use]
    pub fn reopens(&self) -> bool {
        match self {
            Self::Stdout | Self::Feed => false,
            Self::File(path) => is_fifo(path),
            Self::Tcp { .. } | Self::Unix { .. } | Self::Url(_) => true,
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        Self::new(OsStr::new(text))
    }
}

/// Splits off `?listen`.
fn role(text: &str) -> (&str, Role) {
    match text.strip_suffix("?listen") {
        Some(rest) => (rest, Role::Listen),
        None => (text, Role::Connect),
    }
}

/// Whether a FIFO is there.
pub(super) fn is_fifo(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

impl fmt::Display for Target {
    /// For messages: of a URL no more than protocol and host, since the rest may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Feed => f.write_str("feed"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Tcp { address, .. } => write!(f, "tcp://{address}"),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Url(url) => f.write_str(&shown::place(url.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<Target, TargetError> {
        Target::new(OsStr::new(text))
    }

    #[test]
    fn a_target_is_read_as_it_is_written() {
        let tcp = |address: &str, role| Target::Tcp {
            address: address.into(),
            role,
        };
        let unix = |path: &str, role| Target::Unix {
            path: path.into(),
            role,
        };
        for (text, expected) in [
            ("-", Target::Stdout),
            ("a.mov", Target::File("a.mov".into())),
            ("./-", Target::File("./-".into())),
            ("file:tcp://a:1", Target::File("tcp://a:1".into())),
            ("tcp://a:1", tcp("a:1", Role::Connect)),
            ("tcp://[::1]:1?listen", tcp("[::1]:1", Role::Listen)),
            ("unix:/a b", unix("/a b", Role::Connect)),
            ("unix:a?listen", unix("a", Role::Listen)),
            ("srt://a:1?b=c", Target::Url("srt://a:1?b=c".into())),
        ] {
            assert_eq!(target(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "unix:",
            "tcp://",
            "tcp://a",
            "tcp://a:b",
            "tcp://a:65536",
            "gopher://a",
        ] {
            let error = target(bad).unwrap_err().to_string();
            assert!(error.contains("expected"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_message_shows_no_key() {
        for (text, shown) in [
            ("rtmp://live.example/app/key", "rtmp://live.example"),
            ("srt://user:word@a:1?passphrase=x", "srt://a:1"),
            ("udp://a:1#x", "udp://a:1"),
        ] {
            assert_eq!(target(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn the_ending_is_the_paths() {
        for (text, ending) in [
            ("a.b/c.MOV", "mov"),
            ("http://a.b/c.ts?d=e.f", "ts"),
            ("tcp://a.b:1", ""),
            ("-", ""),
        ] {
            assert_eq!(target(text).unwrap().ending(), ending, "{text}");
        }
    }
}
