//! Brokers over TLS, followed by the command itself: it trusts the roots of the system, for which a
//! variable names others here.

use std::path::Path;
use std::process::Stdio;

use async_nats::ConnectOptions;
use rumqttc::QoS;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::mqtt::Publisher;
use super::{Broker, free_port, installed, program};
use crate::floatup::floatup;
use crate::in_process::DEADLINE;

/// Makes a certificate of this machine and its key, `cert.pem` and `key.pem` in a folder.
pub(crate) fn certify(folder: &Path) {
    let mut make = program("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext"])
        .args(["basicConstraints=critical,CA:FALSE", "-addext"])
        .args(["subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .stderr(Stdio::null());
    let made = make.status();
    assert!(installed(&make, made).success());
}

/// `floatup follow`, with the broker's certificate among its roots or not.
fn following(broker: &Broker, address: &str, trusts: bool) -> Child {
    let mut command = Command::from(floatup());
    command.args(["follow", "--count", "1", address]);
    if trusts {
        command.env("SSL_CERT_FILE", broker.folder.path().join("cert.pem"));
    }
    command
        .current_dir(broker.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Reads on to a line that has this in it.
async fn line(from: impl AsyncRead + Unpin, wanted: &str) -> String {
    let mut lines = BufReader::new(from).lines();
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(wanted) {
                return line;
            }
        }
        panic!("it ends without {wanted:?}");
    };
    timeout(DEADLINE, found).await.expect(wanted)
}

/// A broker is followed by who trusts its certificate, and by nobody else.
async fn check(broker: &Broker, address: &str, publish: impl AsyncFnOnce()) {
    let mut stranger = following(broker, address, false);
    let told = line(stranger.stderr.take().unwrap(), "waiting").await;
    assert!(told.contains("certificate"), "{told}");
    let mut friend = following(broker, address, true);
    line(friend.stderr.take().unwrap(), "is live").await;
    publish().await;
    let told = line(friend.stdout.take().unwrap(), "accepted").await;
    assert!(told.contains("heart"), "{told}");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn nats_over_tls() {
    let mut broker = Broker::new("nats-server", |folder, port| {
        certify(folder);
        let tls = ["--tls", "--tlscert", "cert.pem", "--tlskey", "key.pem"];
        words(&[&["-a", "127.0.0.1", "-p", &port.to_string()], &tls[..]].concat())
    });
    broker.start().await;
    let host = format!("localhost:{}", broker.port);
    let roots = broker.folder.path().join("cert.pem");
    let publish = async || {
        let options = ConnectOptions::new().add_root_certificates(roots.clone());
        let client = options.connect(format!("tls://{host}")).await.unwrap();
        client.publish("live", "heart".into()).await.unwrap();
        client.flush().await.unwrap();
    };
    check(&broker, &format!("tls://{host}/live"), publish).await;
}

#[tokio::test]
async fn redis_over_tls() {
    let plain = free_port();
    let mut broker = Broker::new("redis-server", |folder, port| {
        certify(folder);
        let (port, plain) = (port.to_string(), plain.to_string());
        words(
            &[
                &["--tls-port", &port, "--port", &plain, "--bind", "127.0.0.1"][..],
                &["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"],
                &["--tls-auth-clients", "no", "--save", ""],
            ]
            .concat(),
        )
    });
    broker.start().await;
    let publish = async || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{plain}")).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("live").arg("heart");
        publish.exec_async(&mut connection).await.unwrap();
    };
    let address = format!("rediss://localhost:{}?channel=live", broker.port);
    check(&broker, &address, publish).await;
}

#[tokio::test]
async fn mqtt_over_tls() {
    let plain = free_port();
    let mut broker = Broker::new("mosquitto", |folder, port| {
        certify(folder);
        let settings = format!(
            "user root\nallow_anonymous true\nlistener {plain} 127.0.0.1\n\
             listener {port} 127.0.0.1\ncertfile cert.pem\nkeyfile key.pem\n"
        );
        std::fs::write(folder.join("settings"), settings).unwrap();
        words(&["-c", "settings"])
    });
    broker.start().await;
    let publish = async || {
        let mut publisher = Publisher::new(plain);
        let sent = publisher.publish("live", QoS::AtLeastOnce, false, b"heart");
        sent.await;
    };
    let address = format!("mqtts://localhost:{}/live", broker.port);
    check(&broker, &address, publish).await;
}
