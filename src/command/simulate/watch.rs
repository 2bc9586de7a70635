//! The topic, followed as any channel follows it, to see what came of what was sent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::tally::Tally;
use super::{Mark, cannot};
use crate::command::page;
use crate::config::SimulateJob;
use crate::metrics::Metrics;
use crate::reaction::{Palette, Rules};
use crate::source::momento::Publisher;
use crate::source::{Inbox, Merge, Observation, Source};

/// How long a probe may take to be seen until there is another, and all of them. A poll that asks
/// for what comes next may begin after a probe was published.
const PROBE: Duration = Duration::from_millis(500);
const PROBES: Duration = Duration::from_secs(15);

/// A subscriber of the topic.
pub(super) struct Watch {
    /// A message that is no reaction, by which it is known that the topic is followed.
    probe: String,
    probed: watch::Receiver<bool>,
}

impl Watch {
    /// Starts to follow.
    pub(super) fn start(job: &SimulateJob, run: &Arc<str>, tally: &Arc<Tally>) -> Result<Self> {
        let source = Source::new(&job.address, &job.secrets).with_context(|| cannot(job))?;
        let probe = serde_json::json!({ "type": "probe", "run": &**run }).to_string();
        let (tell, probed) = watch::channel(false);
        let (expected, run, tally) = (probe.clone(), Arc::clone(run), Arc::clone(tally));
        let observe = move |seen: &Observation<'_>| {
            let text = seen.arrival.message.text;
            // Others may publish to the topic, too.
            match serde_json::from_str::<Mark<'_>>(text) {
                Ok(mark) if mark.run == &*run => tally.saw(&mark),
                _ if text == expected => drop(tell.send_replace(true)),
                _ => {}
            }
        };
        let merge = Arc::new(Merge::new(Box::new(()), page()));
        let rules = Rules::new(Arc::new(Palette::default()));
        let name = job.address.to_string();
        let inbox = Inbox::new("simulate", &name, rules, merge, &Metrics::new());
        let inbox = inbox.with_observer(observe);
        tokio::spawn(async move { source.follow(&inbox).await });
        Ok(Self { probe, probed })
    }

    /// Resolves when what is published is seen.
    pub(super) async fn begin(mut self, publisher: &mut Publisher) -> Result<()> {
        let asked = Instant::now();
        while asked.elapsed() < PROBES {
            publisher.publish(&self.probe).await?;
            if let Ok(seen) = timeout(PROBE, self.probed.wait_for(|seen| *seen)).await {
                seen.context("the topic can't be followed")?;
                return Ok(());
            }
        }
        bail!(
            "nothing that is published is seen within {} s; --no-follow publishes alone",
            PROBES.as_secs()
        )
    }
}
