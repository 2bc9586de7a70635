//! What a live programme runs through: senders, `floatup burn-in`, and its topic server.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::numbered::{SIZE, pictures_of};
use crate::floatup::{Running, floatup, send_signal, until, wait};
use crate::media::tool;

/// A port of loopback that is free.
pub(super) fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The real ffmpeg, which sends numbered pictures and sound at the rate at which they play.
pub(super) struct Sender {
    child: Running,
    sent: Arc<AtomicU64>,
}

impl Sender {
    /// Sends pictures from this number on with these arguments of an output, of which the address
    /// is the last. It is started again until there is somebody to connect to.
    pub(super) fn start(base: u32, output: &[&str]) -> Self {
        Self::of_size(base, SIZE, output)
    }

    /// The same, in another size.
    pub(super) fn of_size(base: u32, size: (usize, usize), output: &[&str]) -> Self {
        let mut sender = None;
        until("somebody takes what is sent", || {
            let mut command = encoder(base, size, true);
            command.args(["-progress", "pipe:1"]).args(output);
            let mut child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let progress = BufReader::new(child.stdout.take().unwrap());
            let sent = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&sent);
            std::thread::spawn(move || {
                for line in progress.lines().map_while(Result::ok) {
                    let number = line
                        .strip_prefix("frame=")
                        .and_then(|n| n.trim().parse().ok());
                    if let Some(number) = number {
                        counted.store(number, Ordering::Relaxed);
                    }
                }
            });
            let mut child = Running(child);
            until("it sends, or gives up", || {
                sent.load(Ordering::Relaxed) > 0 || child.try_wait().unwrap().is_some()
            });
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            sender = Some(Self { child, sent });
            true
        });
        sender.unwrap()
    }

    /// How many pictures it has sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the programme as it should.
    pub(super) fn end(mut self) {
        send_signal(&self.child, "INT");
        wait(&mut self.child);
    }

    /// Cuts it off.
    pub(super) fn cut(mut self) {
        self.child.kill().unwrap();
        wait(&mut self.child);
    }
}

/// ffmpeg with all but an output: numbered pictures with a key each second, and two languages of
/// sound.
pub(super) fn encoder(base: u32, size: (usize, usize), live: bool) -> Command {
    let mut command = tool("ffmpeg");
    let pace: &[&str] = if live { &["-re"] } else { &[] };
    command
        .args(pace)
        .args(["-f", "lavfi", "-i", &pictures_of(base, size)]);
    command
        .args(pace)
        .args(["-f", "lavfi", "-i", "sine=440:r=48000"]);
    command.args([
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-metadata:s:a:0",
        "language=eng",
    ]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
    ]);
    command.args(["-g", "25", "-crf", "16", "-c:a", "aac", "-b:a", "64k"]);
    command
}

/// A running `floatup burn-in`.
pub(super) struct BurnIn {
    pub(super) child: Running,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

/// What a small picture is coded with, so that several of them can be on two cores.
pub(super) const FAST: [&str; 6] = [
    "--preset",
    "ultrafast",
    "--tune",
    "zerolatency",
    "--region",
    "bottom",
];

impl BurnIn {
    /// In a folder, with these arguments and those that make it fast.
    pub(super) fn start(folder: &Path, args: &[&str]) -> Self {
        Self::with(folder, args, Stdio::null(), Stdio::null())
    }

    pub(super) fn with(folder: &Path, args: &[&str], input: Stdio, output: Stdio) -> Self {
        let (first, outputs) = match args.iter().position(|arg| *arg == "--output") {
            Some(at) => args.split_at(at),
            None => (args, &[][..]),
        };
        let mut child = floatup()
            .current_dir(folder)
            .arg("burn-in")
            .args(first)
            .args(FAST)
            .args(outputs)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .expect("floatup starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&log);
        let reading = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = into.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self {
            child: Running(child),
            log,
            reading: Some(reading),
        }
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has said something so many times.
    pub(super) fn until_says(&self, what: &str, times: usize) {
        until(&format!("{what:?}, {times} times"), || {
            let has_ended = self.reading.as_ref().is_none_or(JoinHandle::is_finished);
            let log = self.log();
            let is_said = log.matches(what).count() >= times;
            assert!(is_said || !has_ended, "it never said {what:?}: {log}");
            is_said
        });
    }

    /// Ends it with a signal, and gives how it ended and what it said.
    pub(super) fn signal(self, signal: &str) -> (ExitStatus, String) {
        send_signal(&self.child, signal);
        self.end()
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        self.reading.take().unwrap().join().unwrap();
        (status, self.log())
    }

    /// Waits for its end, which is a good one.
    #[track_caller]
    pub(super) fn succeed(self) -> String {
        let (status, log) = self.end();
        assert!(status.success(), "{log}");
        log
    }
}

/// A child whose output is another's input.
pub(super) fn output_of(child: &mut Child) -> Stdio {
    child.stdout.take().expect("it is piped").into()
}

/// A topic server that takes connections, and never answers.
pub(super) struct Mute {
    pub(super) address: String,
    connections: Arc<AtomicU64>,
}

impl Mute {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept() {
                held.push(connection);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// How many have connected.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
