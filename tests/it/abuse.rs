//! What the server bears on real sockets: clients that are slow, gone, too many or too fast.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use floatup::metrics::Why;
use floatup::server::{Bounds, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::in_process::{DEADLINE, Server, channel, client, pass, raw, until};

const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Bounds that hold for this machine, too.
fn bounds(service: &mut Service, change: impl FnOnce(&mut Bounds)) {
    service.bounds.unlimited = Vec::new();
    change(&mut service.bounds);
}

/// A connection from one of this machine's addresses.
async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let connected = timeout(DEADLINE, socket.connect(to)).await;
    connected.expect("in time").expect("a connection")
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const THERE: [u8; 4] = [127, 0, 0, 2];

/// One answer's head on a connection that stays; its body must be short.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = timeout(DEADLINE, stream.read(&mut answer)).await;
    answer.truncate(read.expect("an answer in time").expect("an answer"));
    String::from_utf8(answer).unwrap()
}

fn refused(server: &Server, why: &Why) -> u64 {
    let refused = &server.service.metrics.connections.refused;
    refused.get_or_create(why).get()
}

async fn connections(server: &Server, count: i64) {
    let open = &server.service.metrics.connections.open;
    until("connections are open", || open.get() == count).await;
}

/// Lets seconds go by, one by one, until a condition holds; the server runs between them.
async fn seconds_until(server: &Server, mut condition: impl AsyncFnMut() -> bool) -> u64 {
    let start = Instant::now();
    while !condition().await {
        let answer = client().get(server.url("/healthz")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok");
        pass(Duration::from_secs(1)).await;
        assert!(start.elapsed().as_secs() < 1_000, "in vain");
    }
    start.elapsed().as_secs()
}

/// Whether the other end has closed; what it has sent is passed over.
fn is_closed(stream: &TcpStream) -> bool {
    loop {
        match stream.try_read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_given_up_after_ten_seconds() {
    let server = Server::start().await;
    let stream = connect_from(HERE, server.address).await;
    let mut head = HEALTHZ.bytes();
    let took = seconds_until(&server, async || {
        let sent = head.next().map(|byte| stream.try_write(&[byte]));
        assert!(sent.is_some(), "the head was taken to its end");
        is_closed(&stream)
    });
    let took = took.await;
    assert!((10..=13).contains(&took), "{took} s");
    assert_eq!(refused(&server, &Why::SLOW), 1);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_and_one_may_pause() {
    let server = Server::start().await;
    let silent = connect_from(HERE, server.address).await;
    let mut pausing = connect_from(HERE, server.address).await;
    assert!(ask(&mut pausing, HEALTHZ).await.ends_with("ok"));
    pass(Duration::from_secs(60)).await;
    assert!(ask(&mut pausing, HEALTHZ).await.ends_with("ok"));
    let took = seconds_until(&server, async || is_closed(&silent)).await;
    assert!((14..=17).contains(&took), "{took} s");
    assert!(!is_closed(&pausing));
    let took = seconds_until(&server, async || is_closed(&pausing)).await;
    assert!((58..=62).contains(&took), "{took} s");
    assert_eq!(refused(&server, &Why::SLOW), 0, "nobody was cut short");
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_and_answered() {
    let server = Server::start().await;
    let mut stream = connect_from(HERE, server.address).await;
    let head = "POST /topics/video/a HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::with_capacity(4096);
    let took = seconds_until(&server, async || {
        // Refused once the answer is there, as it should be.
        drop(stream.try_write(b"x"));
        stream.try_read_buf(&mut answer).is_ok()
    });
    let took = took.await;
    assert!((10..=13).contains(&took), "{took} s");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("slow_body"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_left_after_two_minutes() {
    let (sender, receiver) = mpsc::channel(1);
    let feed = std::sync::Mutex::new(Some(receiver));
    let server = Server::with(|service| {
        let mut demo = channel("demo", || Err("no still".into()));
        demo.feed = Box::new(move |_| Ok(feed.lock().unwrap().take().unwrap()));
        service.channels.insert("demo".into(), demo);
    });
    let server = server.await;
    let mut stream = connect_from(HERE, server.address).await;
    let request = "GET /channels/demo/feed.mkv HTTP/1.1\r\nhost: h\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let feeding = {
        let sender = sender.clone();
        tokio::spawn(async move { while sender.send(chunk.clone()).await.is_ok() {} })
    };
    let took = seconds_until(&server, async || refused(&server, &Why::UNREAD) > 0).await;
    assert!((120..=125).contains(&took), "{took} s");
    timeout(DEADLINE, sender.closed())
        .await
        .expect("it is free again");
    feeding.await.unwrap();
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_others_have_theirs() {
    let server = Server::with(|service| bounds(service, |b| b.connections_per_address = 2)).await;
    let mut first = connect_from(HERE, server.address).await;
    let mut second = connect_from(HERE, server.address).await;
    assert!(ask(&mut first, HEALTHZ).await.ends_with("ok"));
    assert!(ask(&mut second, HEALTHZ).await.ends_with("ok"));
    let told = raw(server.address, HEALTHZ.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    assert!(told.contains("retry-after: 1\r\n"), "{told}");
    assert!(told.contains(r#"{"code":"too_many_connections""#), "{told}");
    assert_eq!(refused(&server, &Why::ADDRESS), 1);
    let mut other = connect_from(THERE, server.address).await;
    assert!(ask(&mut other, HEALTHZ).await.ends_with("ok"));
    drop(first);
    connections(&server, 2).await;
    let mut third = connect_from(HERE, server.address).await;
    assert!(ask(&mut third, HEALTHZ).await.ends_with("ok"));
    assert!(ask(&mut second, HEALTHZ).await.ends_with("ok"));
}

#[tokio::test]
async fn so_many_connections_are_all_there_may_be() {
    let server = Server::with(|service| service.bounds.connections = 3).await;
    let mut open = Vec::new();
    for from in [HERE, THERE, HERE] {
        open.push(connect_from(from, server.address).await);
    }
    connections(&server, 3).await;
    // Even those that nobody has time to tell are closed.
    for _ in 0..200 {
        let further = connect_from(THERE, server.address).await;
        let closed = async {
            while !is_closed(&further) {
                further.readable().await.unwrap();
            }
        };
        timeout(DEADLINE, closed).await.expect("it is closed");
    }
    assert_eq!(refused(&server, &Why::FULL), 200);
    open.pop();
    connections(&server, 2).await;
    let mut again = connect_from(THERE, server.address).await;
    assert!(ask(&mut again, HEALTHZ).await.ends_with("ok"));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered() {
    let server = Server::start().await;
    let long = "x".repeat(40_000);
    let many = "a: b\r\n".repeat(101);
    for (request, statuses) in [
        (
            format!("GET /healthz HTTP/1.1\r\nx: {long}\r\n\r\n"),
            &[431][..],
        ),
        (format!("GET /healthz HTTP/1.1\r\n{many}\r\n"), &[431]),
        (
            format!("GET /{long} HTTP/1.1\r\nhost: h\r\n\r\n"),
            &[414, 431],
        ),
        // It never ends, and is answered all the same.
        (format!("GET /healthz HTTP/1.1\r\nx: {long}"), &[431]),
        ("GET /healthz HTTP/1.1\r\nx y\r\n\r\n".into(), &[400]),
        ("\0\u{1}\u{2} TLS?\r\n\r\n".into(), &[400]),
    ] {
        let answer = raw(server.address, request.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
        let start: String = request.chars().take(40).collect();
        assert!(
            status.is_some_and(|s| statuses.contains(&s)),
            "{start}: {answer}"
        );
    }
    let token = "x".repeat(8_192);
    let url = server.url(&format!("/topics/video/a?token={token}"));
    let answer = client().post(url).body("heart").send().await.unwrap();
    assert_eq!(answer.status(), 204, "the longest token fits");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let server = Server::with(|service| bounds(service, |b| b.requests_per_second = 5)).await;
    let publish = "POST /topics/video/a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nheart";
    let mut stream = connect_from(HERE, server.address).await;
    tokio::time::pause();
    for _ in 0..5 {
        assert!(ask(&mut stream, publish).await.starts_with("HTTP/1.1 204"));
    }
    let told = ask(&mut stream, publish).await;
    assert!(told.starts_with("HTTP/1.1 429"), "{told}");
    assert!(told.contains("retry-after: 1\r\n"), "{told}");
    assert!(
        told.contains("access-control-allow-origin: *\r\n"),
        "{told}"
    );
    assert!(told.contains(r#"{"code":"too_many_requests""#), "{told}");
    assert!(told.contains("5 requests a second"), "{told}");
    let mut other = connect_from(THERE, server.address).await;
    assert!(ask(&mut other, publish).await.starts_with("HTTP/1.1 204"));
    tokio::time::advance(Duration::from_millis(200)).await;
    assert!(ask(&mut stream, publish).await.starts_with("HTTP/1.1 204"));
    assert!(ask(&mut stream, publish).await.starts_with("HTTP/1.1 429"));
    let refused = server.service.metrics.connections.requests_refused.get();
    assert_eq!(refused, 2);
    // A script that asks again at once waits for its answer.
    let before = Instant::now();
    let told = ask(
        &mut stream,
        "GET /topics/video/a HTTP/1.1\r\nhost: h\r\n\r\n",
    )
    .await;
    assert!(told.starts_with("HTTP/1.1 429"), "{told}");
    assert!(before.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_proxy_speaks_for_its_callers_if_it_is_trusted() {
    let server = Server::with(|service| {
        bounds(service, |bounds| {
            bounds.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
            bounds.connections_per_address = 1;
            bounds.requests_per_second = 2;
        });
    });
    let server = server.await;
    let status = async |stream: &mut TcpStream, forwarded: &str| {
        let request = format!(
            "POST /topics/video/a HTTP/1.1\r\nhost: h\r\nx-forwarded-for: {forwarded}\r\n\
             content-length: 5\r\n\r\nheart"
        );
        let answer = ask(stream, &request).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    tokio::time::pause();
    let mut proxy = connect_from(HERE, server.address).await;
    let mut second = connect_from(HERE, server.address).await;
    for caller in ["192.0.2.1", "192.0.2.2, 127.0.0.1"] {
        assert_eq!(status(&mut proxy, caller).await, "204", "{caller}");
        assert_eq!(status(&mut second, caller).await, "204", "{caller}");
        // What a caller invents stands first.
        let invented = format!("198.51.100.7, {caller}");
        assert_eq!(status(&mut proxy, &invented).await, "429", "{caller}");
    }
    let mut stranger = connect_from(THERE, server.address).await;
    for (caller, expected) in [
        ("192.0.2.3", "204"),
        ("192.0.2.4", "204"),
        ("192.0.2.5", "429"),
    ] {
        assert_eq!(status(&mut stranger, caller).await, expected, "{caller}");
    }
    let refused = connect_from(THERE, server.address).await;
    let closed = async {
        while !is_closed(&refused) {
            refused.readable().await.unwrap();
        }
    };
    timeout(DEADLINE, closed)
        .await
        .expect("a second one is refused");
}

#[tokio::test]
async fn every_answer_says_what_it_is_and_nothing_to_other_sites() {
    let server = Server::start().await;
    for path in [
        "/",
        "/healthz",
        "/metrics",
        "/nothing",
        "/overlay/a",
        "/overlay/..%2f",
    ] {
        let answer = client().get(server.url(path)).send().await.unwrap();
        assert_eq!(
            answer.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
        assert_eq!(answer.headers()["referrer-policy"], "no-referrer", "{path}");
    }
    let figures = Arc::clone(&server.service.metrics).encode();
    assert!(figures.contains("floatup_connections 1"), "{figures}");
}

/// A service that may have so many files open.
#[cfg(unix)]
fn service_with_files(folder: &std::path::Path, files: u32) -> crate::floatup::Service {
    let script = format!("ulimit -n {files}; exec floatup --listen 127.0.0.1:0");
    crate::floatup::Service::run(crate::floatup::shell(folder, &script))
}

#[cfg(unix)]
#[tokio::test]
async fn connections_leave_files_for_everything_else() {
    let folder = tempfile::tempdir().unwrap();
    for files in [40, 400] {
        let service = service_with_files(folder.path(), files);
        let address: SocketAddr = service.address.parse().unwrap();
        let mut open = Vec::new();
        for _ in 0..files {
            open.push(connect_from(HERE, address).await);
        }
        // As many as there may be are served, and the others are not kept waiting.
        assert!(ask(&mut open[0], HEALTHZ).await.ends_with("ok"));
        let last = open.last_mut().unwrap();
        let mut told = String::new();
        let read = timeout(DEADLINE, last.read_to_string(&mut told)).await;
        assert!(read.is_ok(), "it is closed: {told}");
        drop(open);
        let mut after = connect_from(HERE, address).await;
        let served = async {
            while !ask(&mut after, HEALTHZ).await.ends_with("ok") {
                after = connect_from(HERE, address).await;
            }
        };
        timeout(DEADLINE, served).await.expect("it is served again");
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
    }
}
