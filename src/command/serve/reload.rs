//! Settings taken anew while the service runs: on SIGHUP.

use std::io::IsTerminal;
use std::sync::Arc;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Desk;
use crate::config::live::Live;
use crate::config::{self, ChannelConfig, Command, Serve};
use crate::metrics::{Metrics, Outcome};

/// Takes the settings anew as often as it is asked to, until the terminal that the service runs in is
/// closed.
pub(super) struct Reload {
    /// What the settings were when they were taken last.
    settings: Serve,
    /// In the order of the channels.
    desks: Vec<Desk>,
    metrics: Arc<Metrics>,
    #[cfg(unix)]
    asked: std::io::Result<Signal>,
    has_terminal: bool,
}

impl Reload {
    /// From now on SIGHUP doesn't end the process; what it asks for is done once this runs.
    pub(super) fn new(settings: Serve, desks: Vec<Desk>, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            desks,
            metrics,
            #[cfg(unix)]
            asked: signal(SignalKind::hangup()),
            has_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Ends when the terminal is closed, and where there is no such signal never.
    pub(super) async fn run(mut self) {
        #[cfg(unix)]
        {
            while let Ok(asked) = &mut self.asked
                && asked.recv().await.is_some()
            {
                if self.has_terminal && !std::io::stderr().is_terminal() {
                    return;
                }
                self = self.once().await;
            }
        }
        drop(self);
        std::future::pending::<()>().await;
    }

    /// Reads the settings anew, from the same arguments and environment, and the files that they name.
    async fn once(mut self) -> Self {
        let read = tokio::task::spawn_blocking(|| config::from_process().1).await;
        let outcome = match read {
            Ok(Ok(Command::Serve(settings))) => {
                self.take(*settings);
                Outcome::TAKEN
            }
            Ok(Err(error)) => {
                tracing::warn!("the settings stay as they are: {error}");
                Outcome::REFUSED
            }
            // The arguments are those that this command came from, and to read them doesn't panic.
            Ok(Ok(_)) | Err(_) => Outcome::REFUSED,
        };
        self.metrics.settings_reloads.get_or_create(&outcome).inc();
        self
    }

    /// Every channel as its settings are now, what was changed over HTTP too; whether it is paused
    /// stays.
    fn take(&mut self, settings: Serve) {
        let running = self.settings.channels.iter().zip(&self.desks);
        for (before, desk) in running {
            let now = settings.channels.iter().find(|now| now.name == before.name);
            if let Some(now) = now {
                desk.set(Live {
                    limits: now.picture.limits,
                    rules: now.gate.clone(),
                });
            }
        }
        match needs_restart(&self.settings, &settings) {
            changed if changed.is_empty() => tracing::info!("the settings are taken anew"),
            changed => tracing::warn!(
                "the settings are taken anew, but for what needs a restart: {}",
                changed.join(", ")
            ),
        }
        // Against what the service runs with, so that it is said until it is so.
        for (before, now) in self.settings.channels.iter_mut().zip(settings.channels) {
            if before.name == now.name {
                before.picture.limits = now.picture.limits;
                before.gate = now.gate;
            }
        }
    }
}

/// What differs and can't change while the service runs, by the names of settings.
fn needs_restart(old: &Serve, new: &Serve) -> Vec<&'static str> {
    let names = |serve: &Serve| -> Vec<String> {
        let channels = serve.channels.iter();
        channels.map(|channel| channel.name.clone()).collect()
    };
    // All that a channel has but what was set.
    let rest = |serve: &Serve| -> Vec<ChannelConfig> {
        let mut channels = serve.channels.clone();
        for channel in &mut channels {
            channel.picture.limits = crate::stage::Limits::default();
            channel.gate = crate::gate::Rules::default();
        }
        channels
    };
    let changed = [
        ("log_format", old.log_format != new.log_format),
        ("listen", old.listen != new.listen),
        ("tls_cert, tls_key", old.tls != new.tls),
        (
            "keys and secrets",
            (&old.signing_key, &old.webhook_secret, &old.control_key)
                != (&new.signing_key, &new.webhook_secret, &new.control_key),
        ),
        ("require_token", old.require_token != new.require_token),
        ("caches", old.caches != new.caches),
        ("gap_cure", old.gap_cure != new.gap_cure),
        ("poll_hold_seconds", old.poll_hold != new.poll_hold),
        (
            "the rings of topics",
            (old.ring_items, old.ring_age, old.topics_max, old.topic_idle)
                != (new.ring_items, new.ring_age, new.topics_max, new.topic_idle),
        ),
        ("channel", names(old) != names(new)),
        (
            "a channel's topic, picture or palette",
            names(old) == names(new) && rest(old) != rest(new),
        ),
        ("output", old.outputs != new.outputs),
        ("source", old.sources != new.sources),
        ("what callers may have", old.bounds != new.bounds),
        ("chat", old.chat != new.chat),
        ("momento_tokens", old.momento_tokens != new.momento_tokens),
        ("timed_metadata", old.timed_metadata != new.timed_metadata),
    ];
    let changed = changed.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(name, _)| name).collect()
}
