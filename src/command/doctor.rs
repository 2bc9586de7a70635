//! `floatup doctor`: whether the settings would work here, and what to mend.

use std::fmt::Display;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::join_all;

use super::serve::tls;
use super::{open, page, runtime, tell};
use crate::config::{Serve, SourceConfig};
use crate::look::Look;
use crate::metrics::Metrics;
use crate::output::{Plan, missing_codecs};
use crate::source::{Address, Merge, State, Status};

/// How long a source may take to connect before that is said to be too long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// What was found, a line each.
#[derive(Default)]
struct Findings {
    text: String,
    faults: usize,
}

impl Findings {
    fn good(&mut self, what: impl Display) {
        self.text += &format!("ok    {what}\n");
    }

    /// Something that works, with less than there could be.
    fn note(&mut self, what: impl Display) {
        self.text += &format!("note  {what}\n");
    }

    fn fault(&mut self, what: impl Display) {
        self.faults += 1;
        self.text += &format!("FAULT {what}\n");
    }
}

/// `settings` are those of `serve`, or why there are none.
pub(super) fn run(settings: Result<Serve, String>) -> Result<()> {
    let mut findings = Findings::default();
    match settings {
        Ok(serve) => {
            findings.good("the settings can be read");
            listens(&serve, &mut findings);
            encrypts(&serve, &mut findings);
            draws(&serve, &mut findings);
            writes(&serve, &mut findings);
            follows(&serve, &mut findings)?;
        }
        Err(error) => findings.fault(format!("settings: {error}")),
    }
    tell(&findings.text)?;
    match findings.faults {
        0 => Ok(()),
        1 => bail!("1 fault found"),
        faults => bail!("{faults} faults found"),
    }
}

fn listens(serve: &Serve, findings: &mut Findings) {
    match TcpListener::bind(serve.listen) {
        Ok(_) => findings.good(format!("{} is free to listen on", serve.listen)),
        Err(error) => findings.fault(format!(
            "cannot listen on {}: {error}; end what listens there (another floatup?), or name \
             another address with --listen",
            serve.listen
        )),
    }
}

fn encrypts(serve: &Serve, findings: &mut Findings) {
    match serve.tls.as_ref().map(tls) {
        Some(Ok(_)) => findings.good("TLS has a certificate and its key"),
        Some(Err(error)) => findings.fault(format!("{error:#}")),
        None if serve.listen.ip().to_canonical().is_loopback() => {}
        None => findings.note(
            "beyond this machine anyone on the way can read tokens: name a certificate with \
             --tls-cert and --tls-key, or have a proxy speak TLS",
        ),
    }
}

fn draws(serve: &Serve, findings: &mut Findings) {
    for config in &serve.channels {
        let (name, picture) = (&config.name, &config.picture);
        let emoji = || picture.palette.entries().map(|(_, emoji)| emoji);
        let cast = Look::load(&picture.look)
            .and_then(|look| look.cast(&picture.palette, emoji(), picture.size));
        match cast {
            Ok(cast) => match cast.sheet().substituted() {
                [] => findings.good(format!(
                    "channel {name}: all {} reactions can be drawn",
                    emoji().count()
                )),
                missing => findings.fault(format!(
                    "channel {name}: no font has {}; install a colour bitmap emoji font (such as \
                     the package fonts-noto-color-emoji), or name one with --emoji-font",
                    list(missing)
                )),
            },
            Err(error) => findings.fault(format!("channel {name}: {error:#}")),
        }
    }
}

fn writes(serve: &Serve, findings: &mut Findings) {
    match missing_codecs() {
        missing if missing.is_empty() => findings.good("every codec is there"),
        missing => findings.note(format!("not here, and of no use: {}", list(&missing))),
    }
    for output in &serve.outputs {
        let channel = &serve.channels[output.channel];
        for (target, spec) in output.parts(&channel.picture) {
            let named = target.to_string();
            match Plan::new(target, spec) {
                Ok(plan) => findings.good(format!("output {plan}")),
                Err(error) => findings.fault(format!("output {named}: {error:#}")),
            }
        }
    }
}

fn follows(serve: &Serve, findings: &mut Findings) -> Result<()> {
    if serve.sources.is_empty() {
        findings.good("no source beside the channels' own topics");
        return Ok(());
    }
    let runtime = runtime()?;
    let sources: Vec<_> = serve.sources.iter().filter(can_be_tried).collect();
    let tried = sources.iter().map(|config| connect(config));
    let tried = runtime.block_on(join_all(tried));
    for (config, tried) in sources.into_iter().zip(tried) {
        let name = &config.address;
        match tried {
            Err(error) => findings.fault(format!("{error:#}")),
            Ok(None) => findings.note(format!(
                "source {name} is not tried: its token is good for one connection, the service's"
            )),
            Ok(Some(Status { state, why, .. })) => match state {
                State::Live => findings.good(format!("source {name} is live")),
                State::Ended if why.is_empty() => {
                    findings.good(format!("source {name} can be read"));
                }
                State::Ended => findings.good(format!("source {name} can be read: {why}")),
                State::Degraded => findings.note(format!("source {name} is {state}: {why}")),
                State::Connecting => findings.fault(format!(
                    "source {name} has not connected within {} s; is its address right, and is \
                     there a firewall in between?",
                    CONNECT_TIMEOUT.as_secs()
                )),
                State::Waiting | State::Refused => {
                    findings.fault(format!("source {name} is {state}: {why}"));
                }
            },
        }
    }
    runtime.shutdown_background();
    Ok(())
}

/// Whether a source can be tried: standard input is for who runs the service.
fn can_be_tried(config: &&SourceConfig) -> bool {
    config.address != Address::Stdin
}

/// How a source stands once it is no longer connecting, or the time is over; `None` of one whose
/// secret that would spend.
async fn connect(config: &SourceConfig) -> Result<Option<Status>> {
    let merge = Arc::new(Merge::new(Box::new(()), page()));
    let (source, inbox) = open(&config.for_a_look(), "doctor", &merge, &Metrics::new())?;
    if source.is_for_once() {
        return Ok(None);
    }
    let mut status = inbox.monitor().status;
    let following = source.follow(&inbox);
    let connected = status.wait_for(|status| status.state != State::Connecting);
    let tried = async {
        tokio::select! {
            () = following => None,
            status = connected => status.ok().map(|status| status.clone()),
        }
    };
    let tried = tokio::time::timeout(CONNECT_TIMEOUT, tried).await;
    let now = inbox.monitor().status.borrow().clone();
    Ok(Some(tried.ok().flatten().unwrap_or(now)))
}

fn list<T: Display>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}
