//! `floatup pipe`: a channel's live frames, on stdout or wherever else.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::{FrameLoop, asked_to_end, page, runtime};
use crate::channel::{Channel, Run};
use crate::config::Pipe;
use crate::look::Look;
use crate::metrics::Metrics;
use crate::reaction::Rules;
use crate::source::momento::Momento;
use crate::source::{Inbox, Merge, Source};
use crate::topic::TopicName;

pub(super) fn run(job: &Pipe) -> Result<()> {
    let picture = &job.channel.picture;
    let look = Look::load(&picture.look)?;
    let all = Metrics::new();
    let metrics = all.channel(&job.channel.name);
    let channel = Arc::new(Channel::new(&job.channel, &look, metrics)?);
    let mut names = super::Names::default();
    drop(super::attach(
        &channel,
        &job.channel,
        &job.output,
        &all,
        &mut names,
    )?);
    let runtime = runtime()?;
    let merge = Merge::new(Box::new(Arc::clone(&channel)), page());
    let (name, merge) = (&job.channel.name, Arc::new(merge));
    if job.sources.is_empty() {
        let topic = TopicName::new(&job.channel.cache, &job.channel.topic)?;
        let token = job.token.as_ref().map(|token| token.expose().to_owned());
        let source = Momento::new(&job.url, topic, token).context("cannot set up HTTP")?;
        let rules = Rules::new(Arc::clone(&picture.palette));
        let called = source.name().to_string();
        let inbox = Inbox::new(name, &called, rules, merge, &all);
        super::follow(Source::Momento(source), inbox, &runtime);
    } else {
        let guard = super::guard(&job.channel.gate, name, &all);
        super::follow_all(&job.sources, name, &guard, &merge, &all, &runtime)?;
    }
    let run = Run {
        frames: job.frames,
        pace: job.pace,
        lasting: false,
    };
    let mut frames = FrameLoop::start(channel, run)?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = frames.ended() => return result,
            () = asked_to_end() => {}
        }
        frames.finish().await
    });
    // Nothing that the source still does matters.
    runtime.shutdown_background();
    result
}
