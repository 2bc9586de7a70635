//! What lines on stderr are, which must be known before there are settings: to say what is wrong
//! with them.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use crate::config::args::env_name;
use crate::config::resolve::read_file;

/// What a line on stderr is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object, for programs: `timestamp`, `level`, `message`, and what it is about.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("log format {text:?}: expected text or json")),
        }
    }
}

/// What is asked for, as far as it can be read: by the flag, or else by the environment, or else by
/// the settings file. Anything that can't be read is passed over, since [`command`](super::command)
/// refuses it.
pub fn log_format(args: &[OsString], env: impl Fn(&str) -> Option<OsString>) -> LogFormat {
    let read = |text: OsString| text.to_str()?.parse().ok();
    let by_flag = flag(args, "--log-format").and_then(read);
    let by_env = || env(&env_name("log_format")).and_then(read);
    let by_file = || {
        let path = flag(args, "--config").or_else(|| env(&env_name("config")))?;
        let file = read_file(&PathBuf::from(path)).ok()?;
        Some(file.log.format())
    };
    by_flag.or_else(by_env).or_else(by_file).unwrap_or_default()
}

/// The value of a flag, as `--flag value` or `--flag=value`.
fn flag(args: &[OsString], flag: &str) -> Option<OsString> {
    let args = args.iter().take_while(|arg| *arg != "--");
    let values = args.clone().skip(1).map(Some).chain([None]);
    args.zip(values).find_map(|(arg, value)| {
        let rest = arg.as_encoded_bytes().strip_prefix(flag.as_bytes())?;
        match rest {
            [] => value.cloned(),
            [b'=', value @ ..] => std::str::from_utf8(value)
                .ok()
                .map(|v| OsStr::new(v).into()),
            _ => None,
        }
    })
}
