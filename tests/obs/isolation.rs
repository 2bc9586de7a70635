//! A network namespace of a test's own, for what listens on every interface.
//!
//! obs-websocket can't be told to listen on loopback alone, and here it asks for no password. So
//! a test begins once more as a process in which loopback is the only network there is; floatup
//! and OBS, which that process starts, are in there with it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names, to the process inside, the file that it makes to say that it has run.
const INSIDE: &str = "OBS_TEST_INSIDE";

/// Becomes its first argument once loopback is up; unlike another program it can't be started
/// inside, for it needs the namespace's own loopback.
const LOOPBACK_UP: &str = "ip link set lo up && exec \"$0\" \"$@\"";

/// Ways to a namespace: that of root, and that of any user where the kernel lets users have some.
const WAYS: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];

/// Runs the body of the test that calls this, alone with loopback. The closure must be written in
/// the test function itself: its name is the test's.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    #[expect(clippy::disallowed_methods, reason = "it is no setting of floatup's")]
    let inside = std::env::var_os(INSIDE);
    if let Some(path) = inside {
        test();
        File::create(path).expect("the test outside has made a folder for it");
        return;
    }
    let name = std::any::type_name::<F>();
    let (_, name) = name.split_once("::").expect("a crate's name is first");
    let name = name.trim_end_matches("::{{closure}}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = folder.path().join("ran");
    let status = unshare()
        .args(["sh", "-c", LOOPBACK_UP])
        .arg(std::env::current_exe().expect("this test is a program"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, &ran)
        .stdin(Stdio::null())
        .status()
        .expect("unshare has just run");
    assert!(status.success(), "{name}, alone with loopback: {status}");
    assert!(Path::exists(&ran), "{name} names no test, or did not end");
}

/// `unshare` with the first way that works here.
fn unshare() -> Command {
    let mut complaints = Vec::new();
    for way in WAYS {
        let mut command = Command::new("unshare");
        command.args(way);
        let tried = Command::new("unshare")
            .args(way)
            .args(["sh", "-c", LOOPBACK_UP, "true"])
            .output()
            .unwrap_or_else(|e| panic!("unshare: {e}: apt-get install util-linux"));
        if tried.status.success() {
            return command;
        }
        let complaint = String::from_utf8_lossy(&tried.stderr);
        complaints.push(format!("unshare {}: {}", way.join(" "), complaint.trim()));
    }
    panic!(
        "no network namespace with a loopback; it takes root, or a kernel that lets users have \
         one, and ip (apt-get install iproute2):\n{}",
        complaints.join("\n")
    );
}
