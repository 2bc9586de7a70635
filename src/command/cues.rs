//! `floatup cues`: the timed metadata of a recording as a reaction log.

use anyhow::Result;

use crate::config::CuesJob;

#[cfg(not(feature = "ffmpeg"))]
pub(super) fn run(_: &CuesJob) -> Result<()> {
    anyhow::bail!(
        "this floatup is built without FFmpeg's libraries, which read recordings: build it with the \
         feature ffmpeg, which is on by default"
    )
}

#[cfg(feature = "ffmpeg")]
pub(super) fn run(job: &CuesJob) -> Result<()> {
    use std::io::Write as _;

    use anyhow::Context as _;

    use crate::log;
    use crate::reaction::{Message, Rules};
    use crate::shown;
    use crate::source::cues::{Address, Cue, Cues};

    let name = shown::place(&job.input);
    let address = Address::new(job.input.clone());
    let mut cues = Cues::open(&address).with_context(|| format!("cannot read {name}"))?;
    let rules = Rules::new(job.palette.clone());
    let (mut reactions, mut others) = (0_u64, 0_u64);
    while let Some(Cue { at, texts, .. }) = cues.next_cue().with_context(|| name.clone())? {
        for text in &texts {
            let Ok(read) = rules.read(&Message::payload(text)) else {
                others += 1;
                continue;
            };
            for reaction in &read {
                reactions += 1;
                let line = log::line(at, reaction);
                writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")?;
            }
        }
    }
    tracing::info!("{reactions} lines; {others} texts are no reactions");
    Ok(())
}
