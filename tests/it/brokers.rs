//! Sources of real brokers: nats-server, redis-server and mosquitto, each started for one test on a
//! port of loopback, with its data in a folder of its own, and killed while messages are on their
//! way.

mod mqtt;
mod nats;
mod redis;
mod relay;
pub(crate) mod tls;

use std::fs::{File, read_to_string};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use floatup::source::{Secrets, Source};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

use crate::floatup::{Running, send_signal, wait};
use crate::following::Following;
use crate::in_process::{DEADLINE, until};

/// What every broker is sent, and what the default palette makes of it.
const SAMPLES: [(&[u8], Option<&str>); 8] = [
    (b"heart", Some("❤️1")),
    (b"\xf0\x9f\x94\xa5\xf0\x9f\x94\xa5", Some("🔥2")),
    (br#"{"heart":37,"fire":3}"#, Some("🔥3 ❤️37")),
    (b"nope", None),
    (br#"{"type":"comment","message":"heart"}"#, None),
    (b"\xff\xfe\x00", None),
    (&[b'x'; 64 * 1024 + 1], None),
    (br#"{"reaction":"clap"}"#, Some("👏1")),
];

/// A broker's program: where Debian puts servers, or else where PATH leads.
fn program(name: &str) -> Command {
    let mut folders = ["/usr/sbin", "/usr/local/sbin"].iter().map(Path::new);
    let found = folders.find(|folder| folder.join(name).is_file());
    Command::new(found.map_or(PathBuf::from(name), |folder| folder.join(name)))
}

/// What comes of starting a program that may not be installed.
fn installed<T>(program: &Command, started: io::Result<T>) -> T {
    let name = program.get_program().display();
    started.unwrap_or_else(|error| panic!("{name}: {error}: `make test` installs it"))
}

/// A port that nobody listens on, below those that systems give to clients: a broker that comes back
/// finds it free.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(10_000..32_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("some are free")
}

/// A broker that runs, or ran, on a port of its own.
struct Broker {
    name: String,
    folder: tempfile::TempDir,
    port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
}

impl Broker {
    /// One that is not started yet.
    fn new(name: &str, arguments: impl FnOnce(&Path, u16) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        Self {
            name: name.to_owned(),
            arguments: arguments(folder.path(), port),
            folder,
            port,
            running: None,
        }
    }

    /// Starts it, again on the same port and data, and waits until it listens.
    async fn start(&mut self) {
        let log = self.folder.path().join("log");
        let file = File::create(&log).unwrap();
        let mut program = program(&self.name);
        program
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let started = program.spawn();
        let mut running = Running(installed(&program, started));
        let listens = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                let ended = running.try_wait().unwrap();
                assert!(ended.is_none(), "{}", read_to_string(&log).unwrap());
                // Yields to the broker.
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, listens).await.expect("it listens");
        self.running = Some(running);
    }

    /// Ends it as a crash would.
    fn kill(&mut self) {
        drop(self.running.take().expect("it runs"));
    }

    /// Ends it as a person would.
    fn stop(&mut self) {
        let mut running = self.running.take().expect("it runs");
        send_signal(&running, "TERM");
        wait(&mut running);
    }
}

/// The source at an address, with a secret.
fn source(address: &str, secret: Option<&str>) -> Source {
    let secrets = Secrets::of(secret.map(str::to_owned));
    Source::new(&address.parse().unwrap(), &secrets).unwrap()
}

fn follow(address: &str) -> Following {
    Following::start(source(address, None))
}

/// What is shown of [`SAMPLES`].
fn shown_samples() -> Vec<&'static str> {
    SAMPLES.iter().filter_map(|(_, shown)| *shown).collect()
}

/// Waits for what is shown of [`SAMPLES`], and that each of the others is counted as what it is.
async fn check_samples(following: &Following) {
    following.delivered(shown_samples().len()).await;
    assert_eq!(following.shown(), shown_samples());
    let metrics = &following.metrics;
    until("all is counted", || metrics.refused.get() >= 2).await;
    let counts = [
        metrics.accepted.get(),
        metrics.unknown.get(),
        metrics.other_type.get(),
        metrics.refused.get(),
        metrics.duplicate.get(),
    ];
    assert_eq!(counts, [4, 1, 1, 2, 0]);
}

/// The payload that shows a number, up to a thousand.
fn numbered(number: u32) -> String {
    format!(r#"{{"heart":{number}}}"#)
}

/// A message that is one of many, and how many these are: more than fit anywhere on the way at once.
const BACKLOG: (u32, &str) = (20_000, "heart");

/// Waits for the whole of [`BACKLOG`], and for one more that is published then: what comes twice comes
/// before it.
async fn check_backlog(following: &Following, publish: impl AsyncFnOnce()) {
    let (count, _) = BACKLOG;
    let accepted = &following.metrics.accepted;
    until("all have come", || accepted.get() >= count.into()).await;
    publish().await;
    until("one more has come", || accepted.get() > count.into()).await;
    assert_eq!(accepted.get(), u64::from(count) + 1);
    assert_eq!(following.metrics.gap_items.get(), 0);
}

/// Waits for the numbers up to this one, each once and in order. What comes twice after the last of
/// them is seen with the next one.
async fn check_numbers(following: &Following, last: u32) {
    let all: Vec<_> = (1..=last).map(|number| format!("❤️{number}")).collect();
    following.delivered(all.len()).await;
    assert_eq!(following.shown(), all);
}
