//! A screen that nobody sees: Xvfb.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::floatup::{Running, send_signal, wait};

/// One running Xvfb.
pub(crate) struct Screen {
    server: Running,
    number: u32,
}

impl Screen {
    /// Starts it under a number that nobody uses, which it finds itself.
    pub(crate) fn start(log: &Path) -> Self {
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x800x24"])
            .args(["-nolisten", "tcp", "-noreset", "+extension", "GLX"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log).expect("a log"))
            .spawn();
        let server = server.unwrap_or_else(|e| panic!("Xvfb: {e}: apt-get install xvfb"));
        let mut server = Running(server);
        let mut number = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        let read = BufReader::new(stdout).read_line(&mut number);
        read.expect("it says its number");
        let number = number.trim().parse().unwrap_or_else(|_| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("Xvfb does not start: {log}")
        });
        Self { server, number }
    }

    /// What `DISPLAY` is for those who draw on it.
    pub(crate) fn display(&self) -> String {
        format!(":{}", self.number)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Killed, it would leave its lock file behind.
        if matches!(self.server.try_wait(), Ok(None)) {
            send_signal(&self.server, "TERM");
            wait(&mut self.server);
        }
    }
}
