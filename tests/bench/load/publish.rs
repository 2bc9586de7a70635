//! Publishes a second, with subscribers that must get them all.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use crate::bare;
use crate::child::{Again, BEGUN, ENDED, say};
use crate::floatup::Service;

/// The argument with which this program is the load, before an address and a topic.
pub(crate) const LOAD: &str = "--publish";

pub(crate) const MESSAGE: &str = r#"{"reaction":"heart","count":1}"#;
pub(crate) const CONNECTIONS: usize = 32;
pub(crate) const WARM_UP: Duration = Duration::from_secs(2);
pub(crate) const MEASURED: Duration = Duration::from_secs(10);

/// How long the last message may take to a subscriber.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one run came to.
pub(crate) struct Published {
    pub(crate) per_s: f64,
    /// The server's.
    pub(crate) cpu_us: f64,
    /// Until the answer: median and 99th percentile.
    pub(crate) ms: [f64; 2],
    total: u64,
}

/// The load: as fast as answers come. Prepared bytes, since a client would take more CPU time than
/// the server.
pub(crate) fn load(address: &str, topic: &str) -> Result<()> {
    let request = format!(
        "POST /topics/video/{topic} HTTP/1.1\r\nhost: {address}\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\n\r\n{MESSAGE}",
        MESSAGE.len()
    );
    let request: Rc<[u8]> = request.into_bytes().into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let times = Rc::new(RefCell::new(Histogram::<u64>::new_with_bounds(
            1, 60_000_000, 3,
        )?));
        let total = Rc::new(RefCell::new(0_u64));
        let begin = Instant::now() + WARM_UP;
        let end = begin + MEASURED;
        let mut tasks: Vec<JoinHandle<Result<()>>> = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (request, times, total) = (request.clone(), times.clone(), total.clone());
            tasks.push(tokio::task::spawn_local(async move {
                let mut answer = Vec::new();
                loop {
                    let asked = Instant::now();
                    if asked >= end {
                        return Ok(());
                    }
                    stream.write_all(&request).await?;
                    answer.clear();
                    while !answer.ends_with(b"\r\n\r\n") {
                        ensure!(stream.read_buf(&mut answer).await? > 0, "it hung up");
                    }
                    if !answer.starts_with(b"HTTP/1.1 204 ") {
                        bail!("{}", String::from_utf8_lossy(&answer));
                    }
                    *total.borrow_mut() += 1;
                    if asked >= begin {
                        let us = asked.elapsed().as_micros();
                        times.borrow_mut().saturating_record(u64::try_from(us)?);
                    }
                }
            }));
        }
        tokio::time::sleep_until(begin).await;
        say(BEGUN)?;
        for task in tasks {
            task.await??;
        }
        say(ENDED)?;
        let times = times.borrow();
        say(&format!(
            "{} {} {} {}",
            total.borrow(),
            times.len(),
            times.value_at_quantile(0.5),
            times.value_at_quantile(0.99)
        ))
    })
}

/// Has the load run against a server.
fn run(address: &str, topic: &str, server: u32) -> Result<Published> {
    let mut load = Again::start(&[LOAD, address, topic])?;
    let cpu_s = load.watch(server)?;
    let line = load.line()?;
    let mut figures = line.split(' ').map(str::parse::<u64>);
    let mut figure = || -> Result<u64> { Ok(figures.next().context("a figure")??) };
    let [total, counted, median, p99] = [figure()?, figure()?, figure()?, figure()?];
    Ok(Published {
        per_s: counted as f64 / MEASURED.as_secs_f64(),
        cpu_us: 1e6 * cpu_s / counted as f64,
        ms: [median, p99].map(|us| us as f64 / 1e3),
        total,
    })
}

/// The peer under the same load.
pub(crate) fn to_bare() -> Result<Published> {
    let mut server = Again::start(&[bare::SERVE])?;
    let address = server.line()?;
    run(&address, "load", server.process.id())
}

/// A floatup's topic, with a subscriber of each kind.
pub(crate) fn to_topic(service: &Service, topic: &str) -> Result<Published> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let [events, polled] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    // Publishes what numbers begin at, so that the long poll names one.
    crate::floatup::publish(&service.address, topic, MESSAGE);
    // The client wants one, though nothing here is encrypted; a second one is refused.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = service.url(&format!("/channels/{topic}/events?last_event_id=1-0"));
    let streaming = runtime.spawn(stream(client.clone(), url, Arc::clone(&events)));
    let url = service.url(&format!("/topics/video/{topic}"));
    let polling = runtime.spawn(poll(client, url, Arc::clone(&polled)));
    let published = run(&service.address, topic, service.child.id())?;
    runtime.block_on(async {
        let all = published.total + 1;
        let asked = Instant::now();
        loop {
            let seen = [&events, &polled].map(|seen| seen.load(Ordering::Relaxed));
            if seen == [all, all] {
                return Ok(published);
            }
            if streaming.is_finished() {
                streaming.await??;
                bail!("the event stream has ended");
            }
            if polling.is_finished() {
                polling.await??;
                bail!("the long poll has ended");
            }
            ensure!(asked.elapsed() < PATIENCE, "of {all} came {seen:?}");
            sleep(Duration::from_millis(5)).await;
        }
    })
}

/// Reads events; what is kept is the number of the last, each of which must follow the one before.
async fn stream(client: reqwest::Client, url: String, last: Arc<AtomicU64>) -> Result<()> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        text.extend_from_slice(&chunk);
        let mut done = 0;
        while let Some(length) = text[done..].windows(2).position(|end| end == b"\n\n") {
            let event = std::str::from_utf8(&text[done..done + length])?;
            done += length + 2;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            let Some(id) = field("id: ") else { continue };
            let number: u64 = id.split_once('-').context("a page")?.1.parse()?;
            let before = last.swap(number, Ordering::Relaxed);
            // The ring's page is not known when the stream begins.
            let is_beginning = matches!(field("event: "), Some("hello" | "gap")) && before <= 1;
            ensure!(
                is_beginning || number == before + 1,
                "{before}, then {event}"
            );
        }
        text.drain(..done);
    }
    Ok(())
}

/// Polls, and keeps the same.
async fn poll(client: reqwest::Client, url: String, last: Arc<AtomicU64>) -> Result<()> {
    #[derive(Deserialize)]
    struct Answer {
        items: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        item: Option<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        topic_sequence_number: u64,
        sequence_page: u64,
    }
    let (mut next, mut page) = (1, 0);
    loop {
        let asked = client
            .get(&url)
            .query(&[("sequence_number", next), ("sequence_page", page)]);
        let body = asked.send().await?.error_for_status()?.bytes().await?;
        let answer: Answer = serde_json::from_slice(&body)?;
        for entry in answer.items {
            let item = entry.item.with_context(|| format!("lost after {next}"))?;
            ensure!(item.topic_sequence_number == next, "not {next}");
            (next, page) = (next + 1, item.sequence_page);
        }
        last.store(next - 1, Ordering::Relaxed);
    }
}
