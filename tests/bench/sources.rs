//! How long a message takes from being sent until it is on stage, at 5,000 messages a second.
//!
//! `cargo bench --bench sources`; after `--`, `--out FILE` writes the page. The upstreams are real or, for Amazon IVS, a WebSocket that sends
//! its frames; upstream, network and source are on this machine and share it, so each figure has
//! sending, the loopback network and the upstream's own time in it.

#[expect(dead_code, reason = "the table's machine")]
#[path = "table/machine.rs"]
mod machine;
#[expect(dead_code, reason = "the table's page")]
#[path = "table/page.rs"]
mod page;
mod provenance;

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use floatup::cast::Cast;
use floatup::emoji::EmojiFonts;
use floatup::frame::Size;
use floatup::metrics::Metrics;
use floatup::motion::Stylesheet;
use floatup::reaction::{Palette, Rules};
use floatup::source::{
    Address, Cue, Inbox, Merge, Observation, Receiver, Secrets, Source, State, since_epoch,
};
use floatup::sprite::{SpriteSheet, Subject};
use floatup::stage::{Limits, Stage};
use floatup::topic::ItemId;
use futures_util::SinkExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use page::{Table, ms, ratio};
use provenance::provenance;

const PER_SECOND: u64 = 5_000;

/// Sent before anything is measured, and measured.
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);

const ROUNDS: usize = 3;

/// Messages that are sent each millisecond, one after the other.
const AT_ONCE: u64 = PER_SECOND / 1_000;

/// A stage as a channel has it.
struct OnStage(Mutex<Stage>, Instant);

impl Receiver for OnStage {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let mut stage = self.0.lock().expect("nothing panics with it");
        let at = self.1.elapsed();
        stage.retire(at);
        stage.spawn(&cue.entrance(at));
        Some(cue.item())
    }

    fn retract(&self, _: &[ItemId]) {}
}

fn stage() -> Result<Stage> {
    let palette = Palette::default();
    let stylesheet = Stylesheet::parse(floatup::look::STYLESHEET)?;
    let subjects = palette.entries().map(|(name, emoji)| Subject {
        emoji,
        reaction: Some(name),
        font_size_px: stylesheet.font_size_px(Some(name)),
        growth: 1.0,
        artwork: None,
    });
    let sheet = Arc::new(SpriteSheet::new(&EmojiFonts::bundled(), subjects)?);
    let cast = Cast::new(stylesheet.into(), sheet, Size::new(1_920, 1_080)?, 1.0);
    Ok(Stage::new(cast, Limits::default()))
}

/// When each message came to floatup's socket, by when it was sent, both since the beginning.
type Arrivals = Arc<Mutex<HashMap<Duration, Duration>>>;

/// Of the messages that came, in the order of their coming: the time since it was sent, and since it
/// came to the socket.
type Delays = Arc<Mutex<Vec<[Duration; 2]>>>;

/// What stands on both sides of the time, in nanoseconds, at which a message was sent.
const MARK: char = '@';

fn marked(at: u64) -> String {
    format!("{MARK}{at}{MARK}")
}

/// Stands before an upstream, and notes when what it says goes on to floatup's socket.
async fn relay(upstream: SocketAddr, begun: Instant) -> Result<(SocketAddr, Arrivals)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let arrivals = Arrivals::default();
    let noted = Arc::clone(&arrivals);
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await?;
            let far = TcpStream::connect(upstream).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let (mut asks, mut hears) = near.into_split();
            let (mut says, mut takes) = far.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut asks, &mut takes).await });
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let (mut bytes, mut rest) = (vec![0; 65_536], Vec::new());
                loop {
                    let count = says.read(&mut bytes).await?;
                    if count == 0 {
                        return anyhow::Ok(());
                    }
                    note(&mut rest, &bytes[..count], begun, &noted);
                    hears.write_all(&bytes[..count]).await?;
                }
            });
        }
        #[expect(unreachable_code, reason = "the task's type")]
        anyhow::Ok(())
    });
    Ok((address, arrivals))
}

/// Notes the messages whose mark is whole in these bytes, after what was left of those before.
fn note(rest: &mut Vec<u8>, bytes: &[u8], begun: Instant, arrivals: &Arrivals) {
    rest.extend_from_slice(bytes);
    let now = begun.elapsed();
    let mut arrivals = arrivals.lock().expect("nothing panics with it");
    let mut done = 0;
    while let Some(from) = rest[done..].iter().position(|b| *b == MARK as u8) {
        let from = done + from + 1;
        let Some(length) = rest[from..].iter().position(|b| *b == MARK as u8) else {
            done = from - 1;
            break;
        };
        let digits = std::str::from_utf8(&rest[from..from + length]).unwrap_or_default();
        if let Ok(sent) = digits.parse() {
            arrivals.insert(Duration::from_nanos(sent), now);
        }
        done = from + length + 1;
    }
    let has_part = rest.get(done) == Some(&(MARK as u8));
    rest.drain(..if has_part { done } else { rest.len() });
}

/// Follows an address; messages say in nanoseconds after `begun` when they were sent.
fn follow(
    address: &str,
    secret: Option<&str>,
    begun: Instant,
    arrivals: Arrivals,
) -> Result<(Delays, Inbox, Source)> {
    let address: Address = address.parse()?;
    let source = Source::new(&address, &Secrets::of(secret.map(str::to_owned)))?;
    let receiver = OnStage(Mutex::new(stage()?), begun);
    let merge = Arc::new(Merge::new(Box::new(receiver), since_epoch().as_secs()));
    let rules = Rules::new(Arc::new(Palette::default()));
    let delays = Delays::default();
    let into = Arc::clone(&delays);
    let observe = move |seen: &Observation<'_>| {
        let now = begun.elapsed();
        let message = &seen.arrival.message;
        let told = message
            .attributes
            .get("t")
            .map_or(message.text, String::as_str);
        let sent = told.split(MARK).nth(1).and_then(|at| at.parse().ok());
        if let Some(sent) = sent.map(Duration::from_nanos) {
            let came = arrivals
                .lock()
                .expect("nothing panics with it")
                .remove(&sent);
            let came = came.expect("it came by the relay");
            let mut delays = into.lock().expect("nothing panics with it");
            delays.push([sent, came].map(|then| now.saturating_sub(then)));
        }
    };
    let inbox = Inbox::new("bench", "source", rules, merge, &Metrics::new());
    Ok((delays, inbox.with_observer(observe), source))
}

/// Sends at the rate, for as long as is measured, once the source is live.
async fn measure(
    following: (Delays, Inbox, Source),
    begun: Instant,
    mut send_one: impl AsyncFnMut(u64) -> Result<()>,
) -> Result<Vec<[Duration; 2]>> {
    let (delays, inbox, source) = following;
    let mut status = inbox.monitor().status;
    let task = tokio::spawn(async move { source.follow(&inbox).await });
    let live = status.wait_for(|status| status.state == State::Live);
    tokio::time::timeout(Duration::from_secs(30), live)
        .await
        .context("it is not live")??;
    let count = send(begun, &mut send_one).await?;
    for _ in 0..100 {
        if delays.lock().expect("nothing panics with it").len() as u64 == count {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    task.abort();
    let delays = delays.lock().expect("nothing panics with it").clone();
    measured(delays, count)
}

/// Sends at the rate, and says how much.
async fn send(begun: Instant, mut send_one: impl AsyncFnMut(u64) -> Result<()>) -> Result<u64> {
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let count = (WARM_UP + MEASURED).as_secs() * PER_SECOND;
    let mut at = 0;
    for n in 0..count {
        if n.is_multiple_of(AT_ONCE) {
            ticks.tick().await;
        }
        // No two at the same time, so that each can be told.
        at = u64::try_from(begun.elapsed().as_nanos())?.max(at + 1);
        send_one(at).await?;
    }
    Ok(count)
}

/// What came after the warm-up, if all has come.
fn measured(mut delays: Vec<[Duration; 2]>, count: u64) -> Result<Vec<[Duration; 2]>> {
    ensure!(
        delays.len() as u64 == count,
        "{} of {count} came",
        delays.len()
    );
    let warm_up = usize::try_from(WARM_UP.as_secs() * PER_SECOND)?;
    Ok(delays.split_off(warm_up))
}

/// A floatup of its own process, as an endpoint of Momento's API.
async fn momento(begun: Instant) -> Result<Vec<[Duration; 2]>> {
    use floatup::server::{Access, Service, serve};
    use floatup::token::Key;
    use floatup::topic::{Broker, Limits, TopicName, Value};

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // The ring holds four seconds.
    let limits = Limits {
        ring_items: 20_000,
        ..Limits::default()
    };
    let broker = Broker::new(limits, since_epoch().as_secs());
    let service = Service {
        broker: broker.clone(),
        metrics: Arc::new(Metrics::new()),
        key: Key::new([7; 32])?,
        minter: None,
        access: Access::Open,
        palette: Arc::default(),
        stylesheet: "".into(),
        default_topic: "demo".into(),
        caches: None,
        gap_cure: true,
        hold: Duration::from_secs(25),
        images: Vec::new(),
        channels: Default::default(),
        chat: Default::default(),
        webhook: None,
        bounds: Default::default(),
        control_key: None,
        tls: None,
        address,
    };
    let serving = serve(listener, Arc::new(service), std::future::pending());
    let serving = tokio::spawn(serving);
    let name = TopicName::new("video", "demo")?;
    let (near, arrivals) = relay(address, begun).await?;
    let topic = format!("http://{near}/topics/video/demo");
    let following = follow(&topic, None, begun, arrivals)?;
    let delays = measure(following, begun, async |at| {
        let text = format!("{{\"reaction\":\"heart\",\"t\":\"{}\"}}", marked(at));
        broker.publish(&name, Value::Text(text.into()), None, since_epoch())?;
        Ok(())
    });
    let delays = delays.await;
    serving.abort();
    delays
}

/// A WebSocket that sends what IVS Chat sends.
async fn ivs_chat(begun: Instant) -> Result<Vec<[Duration; 2]>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (tell, accepted) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let echo = |request: &Request, mut response: Response| {
            let name = "sec-websocket-protocol";
            if let Some(token) = request.headers().get(name) {
                response.headers_mut().insert(name, token.clone());
            }
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, echo).await?;
        drop(tell.send(socket));
        anyhow::Ok(())
    });
    let (near, arrivals) = relay(address, begun).await?;
    let room = format!("ivs-chat:ws://{near}");
    let following = follow(&room, Some("token"), begun, arrivals)?;
    let mut socket = None;
    let mut accepted = Some(accepted);
    let mut number = 0_u64;
    measure(following, begun, async |at| {
        if let Some(accepted) = accepted.take() {
            socket = Some(accepted.await?);
        }
        number += 1;
        let frame = serde_json::json!({
            "Type": "MESSAGE", "Id": format!("{number:012}"), "RequestId": "",
            "Attributes": {"reaction": "heart", "t": marked(at)},
            "Content": "heart", "SendTime": "2026-11-21T02:51:00.113Z",
            "Sender": {"UserId": "u", "Attributes": {}},
        });
        let socket = socket.as_mut().context("it is accepted")?;
        Ok(socket.send(Frame::text(frame.to_string())).await?)
    })
    .await
}

/// A real server, ended when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn nats(begun: Instant) -> Result<Vec<[Duration; 2]>> {
    let free: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let port = free.port().to_string();
    let server = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Server(server.context("nats-server: `make bench` installs it")?);
    let mut client = None;
    for _ in 0..200 {
        client = async_nats::connect(format!("127.0.0.1:{port}")).await.ok();
        if client.is_some() {
            break;
        }
        sleep(Duration::from_millis(25)).await;
    }
    let client = client.context("the server is not there")?;
    let (near, arrivals) = relay(free, begun).await?;
    let following = follow(&format!("nats://{near}/live"), None, begun, arrivals)?;
    measure(following, begun, async |at| {
        let text = format!("{{\"reaction\":\"heart\",\"t\":\"{}\"}}", marked(at));
        client.publish("live", text.into()).await?;
        Ok(())
    })
    .await
}

/// A line a message over a bare connection, in the same runtime: what the machine itself takes.
async fn bare(begun: Instant) -> Result<Vec<[Duration; 2]>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut sending = TcpStream::connect(listener.local_addr()?).await?;
    sending.set_nodelay(true)?;
    let (receiving, _) = listener.accept().await?;
    let received = tokio::spawn(async move {
        let mut lines = BufReader::new(receiving).lines();
        let mut delays = Vec::new();
        while let Some(line) = lines.next_line().await? {
            let sent = Duration::from_nanos(line.trim_start().parse()?);
            delays.push([begun.elapsed().saturating_sub(sent); 2]);
        }
        anyhow::Ok(delays)
    });
    let count = send(begun, async |at| {
        // As long as a message.
        Ok(sending.write_all(format!("{at:>60}\n").as_bytes()).await?)
    });
    let count = count.await?;
    drop(sending);
    measured(received.await??, count)
}

/// Where a delay since sending, and one since arrival, stands.
const SENT: usize = 0;
const ARRIVED: usize = 1;

/// Median, 90th, 99th and 99.9th percentile.
const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Of all delays since sending, or since arrival.
fn percentiles(delays: &[[Duration; 2]], since: usize) -> [Duration; 4] {
    let mut delays: Vec<_> = delays.iter().map(|delay| delay[since]).collect();
    delays.sort_unstable();
    SHARES.map(|share| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a few hundred thousand"
        )]
        let index = (delays.len() as f64 * share) as usize;
        delays[index.min(delays.len() - 1)]
    })
}

/// Of each percentile the median of the rounds.
fn medians(rounds: &[[Duration; 4]]) -> [Duration; 4] {
    std::array::from_fn(|n| {
        let mut all: Vec<_> = rounds.iter().map(|round| round[n]).collect();
        all.sort_unstable();
        all[all.len() / 2]
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a message takes is measured by the clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// Of one upstream, a round each: percentiles since sending, and since arrival.
type Rounds = Vec<[[Duration; 4]; 2]>;

fn report(rounds: &[Rounds; 4]) -> Result<String> {
    let names = [
        "a bare TCP connection",
        "Momento's API (long poll of a floatup)",
        "Amazon IVS Chat (WebSocket)",
        "NATS (nats-server, core)",
    ];
    let header = ["from", "median, ms", "p90", "p99", "p99.9", "p99, / bare"];
    let mut tables = [Table::new(header), Table::new(header)];
    let mut wanted = Table::new(["figure", "wanted", "got", "reached"]);
    for (n, (name, of_one)) in names.iter().zip(rounds).enumerate() {
        for (since, table) in tables.iter_mut().enumerate() {
            let median = |rounds: &Rounds| {
                medians(&rounds.iter().map(|round| round[since]).collect::<Vec<_>>())
            };
            let (got, bare) = (median(of_one), median(&rounds[0]));
            let cells = std::iter::once((*name).to_owned()).chain(got.map(ms));
            let against = ratio(got[2].as_secs_f64() / bare[2].as_secs_f64());
            table.row(cells.chain([against]));
            if n > 0 && since == ARRIVED {
                let reached = got[2] < Duration::from_millis(1);
                wanted.row([
                    format!("{name}: from its arrival on the socket to the stage's queue, p99"),
                    "under 1 ms".into(),
                    format!("{} ms", ms(got[2])),
                    if reached { "yes" } else { "no" }.into(),
                ]);
            }
        }
    }
    let [sent, arrived] = tables.map(|table| table.markdown());
    Ok(format!(
        "# Sources, measured\n\n\
         {}\n\n\
         {}\n\
         {PER_SECOND} messages a second, {AT_ONCE} at once each millisecond; {} s are measured after \
         {} s of warming up, {ROUNDS} rounds in turn, and of each percentile the median round is \
         told. Sender, upstream, a relay that notes what goes on to floatup's socket and when, and \
         the source share the machine, and so the *bare* connection, a line of 60 bytes a message \
         into the same runtime, is what nothing here can be faster than. No message was lost: the \
         run fails if one is.\n\n\
         ## From its arrival on the socket to the stage's queue\n\n\
         The socket, the source, its inbox with every rule and counter, and a stage of 1920x1080 \
         with 1,000 sprites.\n\n\
         {arrived}\n\
         ## From being sent to the stage's queue\n\n\
         With the upstream and the network before it. A message that is sent while no poll waits \
         is had by the next one, a round trip later.\n\n\
         {sent}\n\
         `cargo bench --bench sources` measures it again and prints it.\n",
        provenance("`make bench`")?,
        wanted.markdown(),
        MEASURED.as_secs(),
        WARM_UP.as_secs(),
    ))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let out = match (arguments.next().as_deref(), arguments.next()) {
        (None, None) => None,
        (Some("--out"), Some(file)) => Some(file),
        _ => bail!("expected nothing, or --out FILE"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let begun = now();
    let mut rounds: [Rounds; 4] = Default::default();
    for _ in 0..ROUNDS {
        let all = [
            runtime.block_on(bare(begun))?,
            runtime.block_on(momento(begun))?,
            runtime.block_on(ivs_chat(begun))?,
            runtime.block_on(nats(begun))?,
        ];
        for (rounds, delays) in rounds.iter_mut().zip(all) {
            rounds.push([SENT, ARRIVED].map(|since| percentiles(&delays, since)));
        }
    }
    let page = report(&rounds)?;
    match out {
        Some(file) => std::fs::write(&file, page).with_context(|| format!("cannot write {file}")),
        None => Ok(std::io::stdout().write_all(page.as_bytes())?),
    }
}
