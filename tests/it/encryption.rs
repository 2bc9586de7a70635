//! TLS with a certificate and a key from files.

use std::path::Path;
use std::time::Duration;

use floatup::metrics::Why;
use floatup::server::{Tls, TlsFile};
use reqwest::{Certificate, Client};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::brokers::tls::certify;
use crate::floatup::{Service, run, stderr};
use crate::in_process::{DEADLINE, Server, client, pass, raw, until};

fn load(folder: &Path) -> Tls {
    Tls::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap()
}

/// A client that trusts a folder's certificate alone.
fn trusting(folder: &Path) -> Client {
    // Sets up what rustls computes with.
    drop(client());
    let pem = std::fs::read(folder.join("cert.pem")).unwrap();
    let builder = Client::builder().no_proxy().timeout(DEADLINE);
    let roots = [Certificate::from_pem(&pem).unwrap()];
    builder.tls_certs_only(roots).build().unwrap()
}

fn https(server: &Server, path: &str) -> String {
    format!("https://localhost:{}{path}", server.address.port())
}

#[tokio::test]
async fn everything_is_served_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tls = load(folder.path());
    let server = Server::with(|service| service.tls = Some(tls)).await;
    let client = trusting(folder.path());
    for path in ["/", "/overlay/demo", "/healthz", "/metrics"] {
        let answer = client.get(https(&server, path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let topic = https(&server, "/topics/video/a");
    let heart = "heart".repeat(500);
    let sent = client.post(&topic).body(heart.clone()).send().await;
    assert_eq!(sent.unwrap().status(), 204);
    let read = client.get(format!("{topic}?sequence_number=1"));
    let read = read.send().await.unwrap().text().await.unwrap();
    assert!(read.contains(&heart), "{read}");
    // Who speaks plain HTTP learns nothing.
    let plain = raw(server.address, b"GET /healthz HTTP/1.1\r\n\r\n").await;
    assert!(!plain.contains("HTTP"), "{plain}");
    let refused = &server.service.metrics.connections.refused;
    let handshakes = refused.get_or_create_owned(&Why::HANDSHAKE);
    until("it is counted", || handshakes.get() == 1).await;
    drop(client);
    timeout(DEADLINE, server.stop())
        .await
        .expect("it stops")
        .unwrap();
}

#[tokio::test]
async fn who_never_shakes_hands_is_left() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tls = load(folder.path());
    let server = Server::with(|service| service.tls = Some(tls)).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // Once another has been served, this one has been taken.
    let client = trusting(folder.path());
    client.get(https(&server, "/healthz")).send().await.unwrap();
    pass(Duration::from_secs(10)).await;
    let ended = timeout(DEADLINE, silent.read(&mut [0; 8])).await;
    assert_eq!(ended.expect("it is closed").unwrap_or(0), 0);
    let refused = &server.service.metrics.connections.refused;
    assert_eq!(refused.get_or_create(&Why::HANDSHAKE).get(), 1);
}

#[tokio::test]
async fn a_new_certificate_is_taken_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tls = load(folder.path());
    let server = Server::with(|service| service.tls = Some(tls)).await;
    let before = trusting(folder.path());
    let ask = async |client: &Client| {
        let answer = client.get(https(&server, "/healthz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    assert!(ask(&before).await);
    // It connects only once all is over.
    let old = trusting(folder.path());
    // Half of it, as in the middle of a renewal, changes nothing.
    std::fs::write(folder.path().join("key.pem"), "").unwrap();
    pass(Duration::from_secs(60)).await;
    assert!(ask(&trusting(folder.path())).await);
    certify(folder.path());
    let after = trusting(folder.path());
    assert!(!ask(&after).await, "not yet");
    let taken = async {
        while !ask(&after).await {
            pass(Duration::from_secs(60)).await;
        }
    };
    timeout(Duration::from_secs(600), taken)
        .await
        .expect("it is taken");
    assert!(!ask(&old).await);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certify(folder.path());
    certify(other.path());
    let of = |name: &str| folder.path().join(name);
    std::fs::write(of("empty.pem"), "").unwrap();
    std::fs::write(of("text.pem"), "hunter2").unwrap();
    let cert = std::fs::read_to_string(of("cert.pem")).unwrap();
    std::fs::write(of("cut.pem"), &cert[..cert.len() - 40]).unwrap();
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    std::fs::write(of("garbage.pem"), garbage).unwrap();
    let (cert, key) = (of("cert.pem"), of("key.pem"));
    for (cert, key, file, part) in [
        (
            of("none.pem"),
            key.clone(),
            TlsFile::Cert,
            "can't be opened",
        ),
        (of("empty.pem"), key.clone(), TlsFile::Cert, "has none"),
        (of("text.pem"), key.clone(), TlsFile::Cert, "has none"),
        (of("cut.pem"), key.clone(), TlsFile::Cert, "is cut off"),
        (
            of("garbage.pem"),
            key.clone(),
            TlsFile::Cert,
            "no certificate",
        ),
        (key.clone(), key.clone(), TlsFile::Cert, "has none"),
        ("/dev/zero".into(), key.clone(), TlsFile::Cert, "too long"),
        (
            cert.clone(),
            of("none.pem"),
            TlsFile::Key,
            "can't be opened",
        ),
        (cert.clone(), cert.clone(), TlsFile::Key, "a private key"),
        (
            cert.clone(),
            other.path().join("key.pem"),
            TlsFile::Key,
            "is not the key of",
        ),
    ] {
        let error = Tls::load(&cert, &key).unwrap_err();
        assert_eq!(error.file, file, "{error}");
        let told = error.to_string();
        assert!(told.contains(part) && !told.contains("hunter2"), "{told}");
    }
    let output = run(
        folder.path(),
        &[
            "--listen=127.0.0.1:0",
            "--tls-cert=cert.pem",
            "--tls-key=none.pem",
        ],
    );
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("--tls-key: none.pem: can't be opened"),
        "{told}"
    );
}

#[tokio::test]
async fn the_command_says_where_it_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let args = ["--tls-cert=cert.pem", "--tls-key=key.pem"];
    let service = Service::start(folder.path(), &args);
    let port = service.address.rsplit_once(':').unwrap().1;
    let url = format!("https://localhost:{port}/healthz");
    let answer = trusting(folder.path()).get(url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    let address = service.address.clone();
    let (status, log) = service.stop();
    assert!(status.success(), "{log}");
    let viewer = format!("viewer page     https://{address}/?videoId=demo");
    assert!(log.contains(&viewer) && !log.contains("http://"), "{log}");
}
