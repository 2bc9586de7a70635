//! Amazon's own client, the package amazon-ivs-chat-messaging, in Node.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::{demo_arn, pass, start};
use crate::in_process::{DEADLINE, Server};
use crate::tree::root;

const MISSING: &str = "it comes with `make test`";

/// Runs a case of `tests/node/chat.mjs` against a server. When it says that it is ready, `time` passes.
async fn check(server: &Server, case: &str, time: Duration) {
    let folder = root().join("tests/node");
    let package = folder.join("node_modules/amazon-ivs-chat-messaging/package.json");
    assert!(package.exists(), "no {}: {MISSING}", package.display());
    let arn = demo_arn(server).await;
    let mut node = Command::new("node")
        .arg(folder.join("chat.mjs"))
        .args([&server.address.to_string(), &arn, case])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("node: {error}; {MISSING}"));
    let mut said = BufReader::new(node.stdout.take().unwrap()).lines();
    let run = async {
        while let Some(line) = said.next_line().await.unwrap() {
            assert_eq!(line, "ready");
            pass(time).await;
        }
        node.wait_with_output().await.unwrap()
    };
    let output = timeout(DEADLINE * 2 + time, run).await.expect("in time");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {told}");
}

#[tokio::test]
async fn it_sends_hears_deletes_and_disconnects() {
    check(&start().await, "messages", Duration::ZERO).await;
}

#[tokio::test]
async fn it_is_told_what_it_may_not_do() {
    check(&start().await, "capabilities", Duration::ZERO).await;
}

#[tokio::test]
async fn it_gives_up_with_a_token_that_lets_nobody_in() {
    check(&start().await, "refused", Duration::ZERO).await;
}

#[tokio::test]
async fn it_changes_to_another_socket_without_loss() {
    check(&start().await, "overlap", Duration::ZERO).await;
}

#[tokio::test]
async fn it_comes_back_when_its_session_is_over() {
    check(&start().await, "expiry", Duration::from_secs(60)).await;
}
