//! `floatup publish`: messages to a topic.

use std::io::BufRead as _;

use anyhow::{Context, Result, bail};

use super::runtime;
use crate::config::PublishJob;
use crate::source::Address;
use crate::source::momento::Momento;

pub(super) fn run(job: &PublishJob) -> Result<()> {
    let Address::Momento(address) = &job.address else {
        bail!(
            "{}: expected a topic to publish to, such as http://127.0.0.1:8787/topics/video/demo",
            job.address
        );
    };
    let mut topic = Momento::at(address, &job.secrets)?.publisher();
    let runtime = runtime()?;
    let mut publish = |text: &str| {
        let published = runtime.block_on(topic.publish(text));
        published.with_context(|| format!("{}: {text:?} is not published", job.address))
    };
    if !job.messages.is_empty() {
        return job.messages.iter().try_for_each(|text| publish(text));
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read stdin")?;
        if !line.trim().is_empty() {
            publish(&line)?;
        }
    }
    Ok(())
}
