//! What goes wrong, against the real thing: the picture has no gap, what is published is kept, and
//! all is right again within a time that is measured. `docs/faults.md` is the table of it.

mod clock;
mod outputs;
mod process;
mod sources;
mod table;
mod upstream;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use crate::floatup::{Service, floatup, http, publish, until};
use crate::sinks::{FRAME_BYTES, assert_no_gap, record};
use crate::sources::source;

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(5);

/// A service that follows a source, and records every frame of a numbered picture to `all.rgba`.
struct Watched {
    service: Service,
    folder: TempDir,
    /// What the source is called; empty if there is none.
    source: String,
}

impl Watched {
    fn start(source: &str, more: &[&str]) -> Self {
        Self::with(source, more, |_| ())
    }

    /// One whose command is changed first.
    fn with(source: &str, more: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = floatup();
        command.current_dir(folder.path()).args(more);
        command.args(["--test-pattern", "--size", "320x180", "--fps", "30"]);
        if !more.contains(&"--config") {
            command.args(["--output", "all.rgba"]);
        }
        if !more.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !source.is_empty() {
            command.args(["--source", source]);
        }
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        change(&mut command);
        Self {
            service: Service::run(command),
            folder,
            source: source.into(),
        }
    }

    /// Waits for so many more frames.
    fn record(&self, more: u64) {
        record(self.folder.path(), more);
    }

    fn accepted(&self) -> u64 {
        let told = source(&self.service, &self.source);
        told["accepted"].as_u64().unwrap()
    }

    /// Waits until so many items came, and says how long.
    fn gets(&self, count: u64) -> Duration {
        until("items come", || self.accepted() >= count)
    }

    /// Waits until the source is in a state, as metrics have it, and says how long.
    fn is(&self, state: &str) -> Duration {
        let name = &self.source;
        let series =
            format!("floatup_source_state{{channel=\"demo\",source=\"{name}\",state=\"{state}\"}}");
        until(state, || self.service.metric(&series) == 1)
    }

    /// A counter of the source.
    fn counted(&self, name: &str) -> u64 {
        let source = &self.source;
        self.service.metric(&format!(
            "floatup_source_{name}{{channel=\"demo\",source=\"{source}\"}}"
        ))
    }

    /// Waits until the log has a line.
    fn says(&self, what: &str) {
        until(what, || self.service.said().contains(what));
    }

    /// Ends it: all came that was published, once, and every frame is there.
    fn ends_with_all(self, published: u64) -> String {
        assert_eq!(self.accepted(), published);
        let told = source(&self.service, "embedded");
        assert_eq!(told["accepted"], published, "what floats: {told}");
        assert_eq!(self.counted("gap_items_total"), 0);
        let (status, log) = self.ends();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Ends it: every frame is there.
    fn ends(self) -> (ExitStatus, String) {
        assert_eq!(self.service.figure("frames_dropped_total", "all.rgba"), 0);
        let (status, log) = self.service.stop();
        whole(self.folder.path());
        (status, log)
    }
}

/// Every frame of the recording is there.
fn whole(folder: &Path) {
    let all = fs::read(folder.join("all.rgba")).unwrap();
    assert_eq!(all.len() % FRAME_BYTES, 0, "the last frame is whole");
    assert_no_gap("the recording", &all);
}

/// Publishes so many items to the topic that is followed.
fn publish_hearts(upstream: &Service, count: usize) {
    for _ in 0..count {
        publish(&upstream.address, "demo", "heart");
    }
}

/// Waits until a poll waits: what is published from then on is had.
fn is_polled(upstream: &Service) -> Duration {
    until("the poll waits", || {
        upstream.metric("floatup_polls_waiting") == 1
    })
}

fn get(service: &Service, path: &str) -> (u16, Vec<u8>) {
    http(&service.address, "GET", path, b"")
}

/// Says how long it took until all was right again, which must be within the bound.
fn right_again(fault: &str, took: Duration, bound: Duration) {
    eprintln!("{fault}: right again after {:.2} s", took.as_secs_f64());
    assert!(took <= bound + SLACK, "{fault}: {took:?}, not {bound:?}");
}
