//! The keys of a channel's gate: who may add to its picture, and how often.

use crate::config::value::{PerSecond, Text, Whole};

/// Who may add to a channel's picture, and how often.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Limits")]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct GateKeys {
    /// Reactions' messages a second of each publisher, 0.01 to 1000000, and at once as many as in two
    /// seconds [default: no bound]
    #[arg(long, value_name = "RATE")]
    pub publisher_rate: Option<Text<PerSecond>>,

    /// Reactions' messages a second of all together, 0.01 to 1000000 [default: no bound]
    #[arg(long, value_name = "RATE")]
    pub channel_rate: Option<Text<PerSecond>>,

    /// Milliseconds in which the same reactions of one publisher count once, 0 to 60000
    /// [default: 0]
    #[arg(long, value_name = "MS")]
    pub repeat_ms: Option<Text<Whole<0, 60_000>>>,

    /// The only reactions that are shown, by names of the palette [default: all of them]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub allow: Option<Vec<String>>,

    /// Reactions that are not shown, by names of the palette [default: none]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub block: Option<Vec<String>>,

    /// Publishers whose reactions are not shown, by the ids of their tokens or users [default: none]
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    pub block_publishers: Option<Vec<String>>,
}

impl GateKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(in crate::config) fn over(self, under: Self) -> Self {
        Self {
            publisher_rate: self.publisher_rate.or(under.publisher_rate),
            channel_rate: self.channel_rate.or(under.channel_rate),
            repeat_ms: self.repeat_ms.or(under.repeat_ms),
            allow: self.allow.or(under.allow),
            block: self.block.or(under.block),
            block_publishers: self.block_publishers.or(under.block_publishers),
        }
    }
}
