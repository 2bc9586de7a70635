//! `floatup burn-in`: reactions in the programme itself.

use anyhow::{Result, bail};

use crate::config::BurnInJob;

pub(super) fn run(job: &BurnInJob) -> Result<()> {
    bail!("{}: not yet", job.input.display())
}
