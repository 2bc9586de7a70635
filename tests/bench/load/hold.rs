//! Subscribers held, and how soon each has an item.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::SUBSCRIBERS;
use crate::child::{Again, BEGUN, ENDED, say};
use crate::floatup::Service;
use crate::machine::resident_bytes;

/// The argument with which this program is the load, before an address, a topic and a rate.
pub(crate) const LOAD: &str = "--hold";

pub(crate) const MESSAGE: &str = r#"{"r":{"heart":12,"fire":3,"clap":2}}"#;
pub(crate) const MEASURED: Duration = Duration::from_secs(20);

/// How long all streams may take to be open, and the last item to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one run came to.
pub(crate) struct Held {
    /// From publish to delivery: median, 90th and 99th percentile, and the longest.
    pub(crate) ms: [f64; 4],
    /// CPU seconds of the server in a second.
    pub(crate) cores: f64,
    /// The server's, in bytes.
    pub(crate) memory: f64,
}

/// What the streams have in common.
struct Shared {
    /// When each item was published, by its number.
    sent: RefCell<Vec<Instant>>,
    times: RefCell<Histogram<u64>>,
    open: Cell<usize>,
    delivered: Cell<usize>,
}

/// The load: opens the streams, publishes, and times what comes.
pub(crate) fn load(address: &str, topic: &str, items_per_s: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let shared = Rc::new(Shared {
            // Numbers begin at 1.
            sent: RefCell::new(vec![Instant::now()]),
            times: RefCell::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
            open: Cell::new(0),
            delivered: Cell::new(0),
        });
        for _ in 0..SUBSCRIBERS {
            let stream = TcpStream::connect(address).await?;
            let head = format!("GET /channels/{topic}/events HTTP/1.1\r\nhost: {address}\r\n\r\n");
            let shared = Rc::clone(&shared);
            tokio::task::spawn_local(async move {
                if let Err(error) = read(stream, &head, &shared).await {
                    eprintln!("a stream: {error:#}");
                }
            });
        }
        wait("all streams are open", || shared.open.get() == SUBSCRIBERS).await?;
        let mut publisher = TcpStream::connect(address).await?;
        publisher.set_nodelay(true)?;
        say(BEGUN)?;
        let mut due = interval(Duration::from_secs(1) / items_per_s);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let items = u64::from(items_per_s) * MEASURED.as_secs();
        let request = format!(
            "POST /topics/video/{topic} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n\
             {MESSAGE}",
            MESSAGE.len()
        );
        let mut answer = Vec::new();
        for _ in 0..items {
            // When it was due, should this process be behind with reading.
            let at = due.tick().await;
            shared.sent.borrow_mut().push(at);
            publisher.write_all(request.as_bytes()).await?;
            answer.clear();
            while !answer.ends_with(b"\r\n\r\n") {
                ensure!(publisher.read_buf(&mut answer).await? > 0, "it hung up");
            }
            ensure!(answer.starts_with(b"HTTP/1.1 204 "), "it is not published");
        }
        let all = usize::try_from(items)? * SUBSCRIBERS;
        wait("all items are delivered", || shared.delivered.get() == all).await?;
        say(ENDED)?;
        let times = shared.times.borrow();
        let quantile = |share| times.value_at_quantile(share);
        let [median, p90, p99] = [0.5, 0.9, 0.99].map(quantile);
        say(&format!("{median} {p90} {p99} {}", times.max()))
    })
}

/// Reads one stream for good; each item must follow the one before.
async fn read(mut stream: TcpStream, head: &str, shared: &Shared) -> Result<()> {
    stream.write_all(head.as_bytes()).await?;
    let (mut text, mut next) = (Vec::new(), 0_usize);
    loop {
        ensure!(stream.read_buf(&mut text).await? > 0, "it hung up");
        let now = Instant::now();
        let mut done = 0;
        while let Some(length) = text[done..].windows(2).position(|end| end == b"\n\n") {
            let event = &text[done..done + length];
            done += length + 2;
            let at = event.windows(5).position(|begin| begin == b"\nid: ");
            let Some(at) = at else { continue };
            let id = event[at + 5..].split(|byte| *byte == b'\n').next();
            let id = std::str::from_utf8(id.unwrap_or_default())?;
            let number: usize = id.split_once('-').context("a page")?.1.parse()?;
            ensure!(number == next, "{number} in place of {next}");
            next += 1;
            if number == 0 {
                shared.open.set(shared.open.get() + 1);
                continue;
            }
            let took = now.duration_since(shared.sent.borrow()[number]);
            let us = u64::try_from(took.as_micros())?;
            shared.times.borrow_mut().saturating_record(us);
            shared.delivered.set(shared.delivered.get() + 1);
        }
        text.drain(..done);
    }
}

async fn wait(what: &str, is_so: impl Fn() -> bool) -> Result<()> {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    waited.with_context(|| format!("not within {PATIENCE:?}: {what}"))
}

/// Has the load run against a floatup.
pub(crate) fn measure(service: &Service, topic: &str, items_per_s: u32) -> Result<Held> {
    let mut load = Again::start(&[LOAD, &service.address, topic, &items_per_s.to_string()])?;
    let cpu_s = load.watch(service.child.id())?;
    let [memory, _] = resident_bytes(service.child.id())?;
    let line = load.line()?;
    let figures: Result<Vec<f64>, _> = line.split(' ').map(str::parse).collect();
    let ms: Vec<f64> = figures?.into_iter().map(|us: f64| us / 1e3).collect();
    Ok(Held {
        ms: ms.try_into().ok().context("four figures")?,
        cores: cpu_s / MEASURED.as_secs_f64(),
        memory,
    })
}
