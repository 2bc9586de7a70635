//! Viewers, in a process of their own: `floatup simulate`.

use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::floatup::floatup;

/// A crowd on its way.
pub(crate) struct Crowd(Child);

/// What came of its messages.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Report {
    pub(crate) planned: u64,
    pub(crate) accepted: u64,
    pub(crate) unanswered: Unanswered,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Unanswered {
    pub(crate) count: u64,
}

impl Crowd {
    /// Reacts on the topic `demo` of a service.
    pub(crate) fn start(address: &str, arguments: &[&str]) -> Result<Self> {
        let to = format!("http://{address}/topics/video/demo");
        let mut command = floatup();
        command.args(["simulate", "--to", &to, "--no-follow", "--json"]);
        command
            .args(["--emoji", "heart=4,fire=2,clap=1"])
            .args(arguments);
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot start floatup simulate")?;
        Ok(Self(process))
    }

    /// Waits for its end.
    pub(crate) fn report(self) -> Result<Report> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "floatup simulate failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
