//! When a service says that it is not ready, and why.

use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::floatup::{Service, http, until};
use crate::in_process::{Server, channel, client};

fn ready(service: &Service) -> (u16, String) {
    let (status, text) = http(&service.address, "GET", "/readyz", b"");
    (status, String::from_utf8(text).unwrap())
}

#[test]
fn a_service_is_not_ready_while_nobody_reads_an_output_that_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[[output]]\nto = 'unix:required'\nrequired = true\n\
                    [[output]]\nto = 'unix:other'\n\
                    [[output]]\nto = 'all.rgba'";
    fs::write(folder.path().join("floatup.toml"), settings).unwrap();
    let args = ["--config", "floatup.toml", "--size", "64x36", "--fps", "30"];
    let service = Service::start(folder.path(), &args);
    let socket = folder.path().join("required");
    let others = ["demo unix:other not open", "demo all.rgba open"];
    for _ in 0..2 {
        until("nobody is there", || {
            let (status, text) = ready(&service);
            let lines: Vec<_> = text.lines().collect();
            lines.contains(&"demo unix:required not open: it is required")
                && others.iter().all(|line| lines.contains(line))
                && lines[0] == "not ready"
                && status == 503
        });
        let listener = UnixListener::bind(&socket).unwrap();
        let (reader, _) = listener.accept().unwrap();
        until("it is read", || {
            let (status, text) = ready(&service);
            let lines: Vec<_> = text.lines().collect();
            lines.contains(&"demo unix:required open")
                && others.iter().all(|line| lines.contains(line))
                && lines[0] == "ready"
                && status == 200
        });
        fs::remove_file(&socket).unwrap();
        drop((listener, reader));
    }
    service.stop();
}

#[tokio::test]
async fn a_service_is_not_ready_while_a_channels_clock_stands_still() {
    let stands = Arc::new(AtomicBool::new(true));
    let standing = Arc::clone(&stands);
    let server = Server::with(|service| {
        let mut still = channel("a", || Ok(Vec::new()));
        let for_long = Duration::from_millis(2_340);
        still.stalled = Box::new(move || standing.load(Ordering::Relaxed).then_some(for_long));
        service.channels.insert("still".into(), still);
        let other = channel("b", || Ok(Vec::new()));
        service.channels.insert("other".into(), other);
    });
    let server = server.await;
    let ask = async || {
        let answer = client().get(server.url("/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let told = "not ready\nstill clock stalled: no frame for 2.3 s";
    assert_eq!(ask().await, (503, told.into()));
    stands.store(false, Ordering::Relaxed);
    assert_eq!(ask().await, (200, "ready".into()));
}
