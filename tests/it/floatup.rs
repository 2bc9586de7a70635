//! The `floatup` binary, as a person runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Starting, stopping and answering must each be done within this time.
const DEADLINE: Duration = Duration::from_secs(30);

/// The command, with no setting from this environment.
pub(crate) fn floatup() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_floatup")))
}

/// A shell that runs a script in a folder, with this floatup as the command of that name.
pub(crate) fn shell(folder: &Path, script: &str) -> Command {
    let floatup = Path::new(env!("CARGO_BIN_EXE_floatup"));
    let programs = floatup.parent().expect("it is in a folder").display();
    let mut shell = without_settings(Command::new("sh"));
    shell.current_dir(folder).stdin(Stdio::null());
    shell.args(["-ec", &format!("PATH='{programs}':$PATH\n{script}")]);
    shell
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLOATUP_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end, in a folder.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    floatup()
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("floatup starts")
}

/// Its standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `floatup serve`, on a free port of loopback unless told otherwise.
pub(crate) struct Service {
    pub(crate) child: Running,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let listen = if args.contains(&"--listen") {
            &[][..]
        } else {
            &["--listen", "127.0.0.1:0"]
        };
        let mut command = floatup();
        command.current_dir(folder).args(listen).args(args);
        Self::run(command)
    }

    /// One that a command of its own starts, on a free port.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("floatup starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (found, address) = mpsc::sync_channel(1);
        let log = Arc::<Mutex<String>>::default();
        let said = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(url) = metrics_url(&line) {
                    let (_, rest) = url.split_once("://").expect("an address");
                    let address = rest.trim_end_matches("/metrics").to_owned();
                    found.send(address).expect("somebody waits for it");
                }
                *said.lock().expect("no test panics with it") += &format!("{line}\n");
            }
        });
        let Ok(address) = address.recv_timeout(DEADLINE) else {
            child.kill().expect("it is ours");
            reader.join().expect("the log is read");
            panic!("no address: {}", log.lock().expect("nor does its reader"));
        };
        Self {
            child: Running(child),
            address,
            log,
            reader: Some(reader),
        }
    }

    /// `http://127.0.0.1:port` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A figure of an output of the channel `demo`, such as `frames_total`.
    pub(crate) fn figure(&self, name: &str, output: &str) -> u64 {
        self.metric(&format!(
            "floatup_output_{name}{{channel=\"demo\",output=\"{output}\"}}"
        ))
    }

    /// A whole figure by its name and labels; 0 if there is none.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let (_, text) = http(&self.address, "GET", "/metrics", b"");
        let text = String::from_utf8_lossy(&text);
        let series = format!("{series} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// What it has said until now.
    pub(crate) fn said(&self) -> String {
        self.log.lock().expect("no test panics with it").clone()
    }

    /// Sends a signal, by its number.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(&self.child, signal);
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is ours");
        wait(&mut self.child);
    }

    /// Ends it as Ctrl-C does, and gives how it ended and what it said.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal("INT");
        self.end()
    }

    /// Waits for its end, and gives the same.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        let reader = self.reader.take().expect("it is taken once");
        reader.join().expect("the log is read");
        (status, self.said())
    }
}

/// The address that a line of text or of JSON says.
fn metrics_url(line: &str) -> Option<String> {
    if let Some((_, url)) = line.split_once("metrics         ") {
        return Some(url.into());
    }
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_it = line["message"] == "metrics";
    is_it.then(|| line["url"].as_str().expect("an address").into())
}

/// A child that doesn't outlive a test that fails.
pub(crate) struct Running(pub(crate) Child);

impl std::ops::Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or a test has failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sends a signal by name to a child of this test.
pub(crate) fn send_signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Waits for a child, up to the deadline.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process ends", || {
        status = child.try_wait().expect("it is ours");
        status.is_some()
    });
    status.expect("it has one")
}

/// Waits for a condition, up to the deadline, and says how long.
#[expect(
    clippy::disallowed_methods,
    reason = "this is how a test without tokio waits for a condition"
)]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    begun.elapsed()
}

/// One HTTP/1.1 request on a connection of its own; the status and the body.
pub(crate) fn http(address: &str, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(address).expect("the service is there");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a time-out is set");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("it takes a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("headers end");
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("a status");
    (status, answer[end + 4..].to_vec())
}

/// Publishes one payload to a topic of the cache `video`.
pub(crate) fn publish(address: &str, topic: &str, payload: &str) {
    let (status, body) = http(
        address,
        "POST",
        &format!("/topics/video/{topic}"),
        payload.as_bytes(),
    );
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&body));
}
