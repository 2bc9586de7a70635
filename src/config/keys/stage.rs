//! The keys of a channel's stage: how full it gets, and what happens beyond that.

use crate::config::value::{Fraction, Text, Whole, switch};
use crate::stage::Overflow;

/// How much a channel's stage takes on.
#[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Stage")]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct StageKeys {
    /// Sprites at once, 1 to 100000; an eighth of the places is kept for those that fade out
    /// [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub sprites_max: Option<Text<Whole<1, 100_000>>>,

    /// What happens beyond that: retire-oldest (an old sprite fades out), drop-newest (the new one
    /// isn't drawn), aggregate (one of the same emoji shows how many it stands for) or queue (the
    /// new one waits) [default: retire-oldest]
    #[arg(long, value_name = "POLICY")]
    pub overflow: Option<Text<Overflow>>,

    /// Sprites that wait at most, with --overflow queue, 1 to 100000 [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub queue_max: Option<Text<Whole<1, 100_000>>>,

    /// Seconds that a sprite waits at most, with --overflow queue, 1 to 60 [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub queue_seconds: Option<Text<Whole<1, 60>>>,

    /// Milliseconds over which the sprites of one message come on at most, 0 to 10000
    /// [default: 1000; 0 for a reaction log, which has its own times]
    #[arg(long, value_name = "MS")]
    pub spread_ms: Option<Text<Whole<0, 10_000>>>,

    /// Share of the frame that all sprites' boxes may cover together, 0.01 to 1 [default: no bound]
    #[arg(long, value_name = "SHARE")]
    pub coverage_max: Option<Text<Fraction>>,

    /// How opaque the picture is at most, 0.01 to 1 [default: 1]
    #[arg(long, value_name = "SHARE")]
    pub opacity_max: Option<Text<Fraction>>,

    /// Draw sprites fainter that would flash more than three times a second [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub flash_guard: Option<bool>,

    /// Show a row of emoji with how many there were of late in place of sprites [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_parser = switch)]
    pub quiet: Option<bool>,
}

impl StageKeys {
    /// These keys, and where one is not given, `under`'s.
    pub(in crate::config) fn over(self, under: Self) -> Self {
        Self {
            sprites_max: self.sprites_max.or(under.sprites_max),
            overflow: self.overflow.or(under.overflow),
            queue_max: self.queue_max.or(under.queue_max),
            queue_seconds: self.queue_seconds.or(under.queue_seconds),
            spread_ms: self.spread_ms.or(under.spread_ms),
            coverage_max: self.coverage_max.or(under.coverage_max),
            opacity_max: self.opacity_max.or(under.opacity_max),
            flash_guard: self.flash_guard.or(under.flash_guard),
            quiet: self.quiet.or(under.quiet),
        }
    }
}
