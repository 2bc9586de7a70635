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
use floatup::stage::{Overflow, Stage, StageSettings};
use floatup::topic::ItemId;
use futures_util::SinkExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use machine::{cores, line_of, processor};
use page::{Table, ms, ratio};

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
        stage.spawn(cue.page, cue.sequence, &cue.reactions, at);
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
    Ok(Stage::new(StageSettings {
        cast: Cast::new(stylesheet.into(), sheet, Size::new(1_920, 1_080)?, 1.0),
        sprites_max: 1_000,
        overflow: Overflow::RetireOldest,
    }))
}

/// Delays of the messages that came, in the order of their coming.
type Delays = Arc<Mutex<Vec<Duration>>>;

/// Follows an address; messages say in nanoseconds after `begun` when they were sent.
fn follow(address: &str, secret: Option<&str>, begun: Instant) -> Result<(Delays, Inbox, Source)> {
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
        let digits = told.rsplit("\"t\":").next().unwrap_or_default();
        let sent = digits
            .trim_end_matches('}')
            .parse()
            .map(Duration::from_nanos);
        if let Ok(sent) = sent {
            let mut delays = into.lock().expect("nothing panics with it");
            delays.push(now.saturating_sub(sent));
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
) -> Result<Vec<Duration>> {
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
    for n in 0..count {
        if n.is_multiple_of(AT_ONCE) {
            ticks.tick().await;
        }
        send_one(u64::try_from(begun.elapsed().as_nanos())?).await?;
    }
    Ok(count)
}

/// What came after the warm-up, if all has come.
fn measured(mut delays: Vec<Duration>, count: u64) -> Result<Vec<Duration>> {
    ensure!(
        delays.len() as u64 == count,
        "{} of {count} came",
        delays.len()
    );
    let warm_up = usize::try_from(WARM_UP.as_secs() * PER_SECOND)?;
    Ok(delays.split_off(warm_up))
}

/// A floatup of its own process, as an endpoint of Momento's API.
async fn momento(begun: Instant) -> Result<Vec<Duration>> {
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
        webhook: None,
        address,
    };
    let serving = serve(listener, Arc::new(service), std::future::pending());
    let serving = tokio::spawn(serving);
    let name = TopicName::new("video", "demo")?;
    let following = follow(&format!("http://{address}/topics/video/demo"), None, begun)?;
    let delays = measure(following, begun, async |at| {
        let text = format!("{{\"reaction\":\"heart\",\"t\":{at}}}");
        broker.publish(&name, Value::Text(text.into()), None, since_epoch())?;
        Ok(())
    });
    let delays = delays.await;
    serving.abort();
    delays
}

/// A WebSocket that sends what IVS Chat sends.
async fn ivs_chat(begun: Instant) -> Result<Vec<Duration>> {
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
    let following = follow(&format!("ivs-chat:ws://{address}"), Some("token"), begun)?;
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
            "Attributes": {"reaction": "heart", "t": at.to_string()},
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

async fn nats(begun: Instant) -> Result<Vec<Duration>> {
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
    let following = follow(&format!("nats://127.0.0.1:{port}/live"), None, begun)?;
    measure(following, begun, async |at| {
        let text = format!("{{\"reaction\":\"heart\",\"t\":{at}}}");
        client.publish("live", text.into()).await?;
        Ok(())
    })
    .await
}

/// A line a message over a bare connection, in the same runtime: what the machine itself takes.
async fn bare(begun: Instant) -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut sending = TcpStream::connect(listener.local_addr()?).await?;
    sending.set_nodelay(true)?;
    let (receiving, _) = listener.accept().await?;
    let received = tokio::spawn(async move {
        let mut lines = BufReader::new(receiving).lines();
        let mut delays = Vec::new();
        while let Some(line) = lines.next_line().await? {
            let sent = Duration::from_nanos(line.trim_start().parse()?);
            delays.push(begun.elapsed().saturating_sub(sent));
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

/// Median, 90th, 99th and 99.9th percentile.
const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

fn percentiles(mut delays: Vec<Duration>) -> [Duration; 4] {
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

fn report(rounds: &[Vec<[Duration; 4]>; 4]) -> Result<String> {
    let names = [
        "a bare TCP connection",
        "Momento's API (long poll of a floatup)",
        "Amazon IVS Chat (WebSocket)",
        "NATS (nats-server, core)",
    ];
    let header = ["from", "median, ms", "p90", "p99", "p99.9", "p99, / bare"];
    let mut table = Table::new(header);
    let mut wanted = Table::new(["figure", "wanted", "got", "reached"]);
    let bare = medians(&rounds[0]);
    for (n, (name, rounds)) in names.iter().zip(rounds).enumerate() {
        let got = medians(rounds);
        let cells = std::iter::once((*name).to_owned()).chain(got.map(ms));
        let against = ratio(got[2].as_secs_f64() / bare[2].as_secs_f64());
        table.row(cells.chain([against]));
        if n > 0 {
            wanted.row([
                format!("{name}: from being sent to the stage's queue, p99"),
                "under 1 ms".into(),
                format!("{} ms", ms(got[2])),
                if got[2] < Duration::from_millis(1) {
                    "yes"
                } else {
                    "no"
                }
                .into(),
            ]);
        }
    }
    Ok(format!(
        "# Sources, measured\n\n\
         Written by `make bench` on {}; not edited.\n\n\
         | | |\n| --- | --- |\n\
         | processor | {} |\n\
         | cores | {} |\n\
         | system | {} |\n\
         | compiler | {}, profile `bench` |\n\n\
         {}\n\
         A message's way from the call that sends it until its reactions are on a stage of 1920x1080 \
         with 1,000 sprites: the upstream, the loopback network, the source, its inbox with every \
         rule and counter, and the stage. {PER_SECOND} messages a second, {AT_ONCE} at once each \
         millisecond; {} s are measured after {} s of warming up, {ROUNDS} rounds in turn, and of \
         each percentile the median round is told. Sender, upstream and source share the machine, \
         and so the *bare* connection, a line of 60 bytes a message into the same runtime, is what \
         nothing here can be faster than. None of the messages was lost: the run fails if one is.\n\n\
         {}\n\
         `cargo bench --bench sources` measures it again and prints it.\n",
        line_of("date", &["-u", "+%Y-%m-%d"])?,
        processor(),
        cores(),
        line_of("uname", &["-srm"])?,
        line_of("rustc", &["--version"])?,
        wanted.markdown(),
        MEASURED.as_secs(),
        WARM_UP.as_secs(),
        table.markdown(),
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
    let mut rounds: [Vec<_>; 4] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(percentiles(runtime.block_on(bare(begun))?));
        rounds[1].push(percentiles(runtime.block_on(momento(begun))?));
        rounds[2].push(percentiles(runtime.block_on(ivs_chat(begun))?));
        rounds[3].push(percentiles(runtime.block_on(nats(begun))?));
    }
    let page = report(&rounds)?;
    match out {
        Some(file) => {
            std::fs::write(&file, page).with_context(|| format!("cannot write {file}"))?
        }
        None => std::io::stdout().write_all(page.as_bytes())?,
    }
    Ok(())
}
