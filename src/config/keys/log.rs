//! The keys of the log.

use crate::config::LogFormat;
use crate::config::value::Text;

/// What is said on stderr.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Log")]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct LogKeys {
    /// What lines on stderr are: text, or json, an object a line [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<Text<LogFormat>>,
}

impl LogKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(in crate::config) fn over(self, under: Self) -> Self {
        Self {
            log_format: self.log_format.or(under.log_format),
        }
    }

    /// What they ask for.
    pub(in crate::config) fn format(&self) -> LogFormat {
        self.log_format
            .as_ref()
            .map_or_else(LogFormat::default, |text| text.0)
    }
}
