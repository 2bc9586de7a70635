//! What trouble with the topic does to a live programme.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::latency::live_burn_in;
use super::live::{Live, Passage, Programme, interval};
use super::{PROGRAMME_FPS, SPRITES, free_address};
use crate::floatup::{Service, floatup};
use crate::measure::{median, quantile, sleep_until};
use crate::page::{Table, ms};
use crate::progress;
use crate::service::{Metrics, publish};

/// Until then the input is looked at, and what has come meanwhile is caught up with.
const WARM_UP_S: u32 = 10;

/// When a server is killed, and when there is one again.
const KILLED_S: u32 = 12;
const AGAIN_S: u32 = 17;

const SECONDS: u32 = 35;

/// Messages a second, and reactions a second of a flood.
const TICKS: u32 = 20;
const FLOOD: u32 = 10_000;

/// Reactions in each message of a flood.
const FLOOD_COUNT: u32 = 20;

/// What was measured.
pub(crate) struct Trouble {
    pub(crate) table: Table,
    /// Of each trouble, the pictures that were lost or late, and what `dropped` and `overrun`
    /// count.
    pub(crate) bad: Vec<(&'static str, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Quiet,
    Hung,
    Killed,
    Flooded,
}

/// One programme for each trouble, and one without any.
pub(super) fn make(folder: &Path) -> Result<Trouble> {
    let programme = Programme::make(folder, SECONDS)?;
    let mut table = Table::new([
        "the topic's server",
        "reactions sent",
        "pictures in",
        "out",
        "lost",
        "late",
        "dropped",
        "overrun",
        "without reactions",
        "median ms",
        "longest ms",
    ]);
    let mut bad = Vec::new();
    for (name, case) in [
        ("is well", Case::Quiet),
        ("accepts and never answers", Case::Hung),
        ("is killed and started again", Case::Killed),
        ("is flooded", Case::Flooded),
    ] {
        progress(&format!("a live programme whose topic's server {name}"));
        let (sent, passage, figures) = run(case, &programme, folder)?;
        let latencies = passage.latencies(usize::try_from(WARM_UP_S * PROGRAMME_FPS)?);
        let (middle, longest) = (median(&latencies), quantile(&latencies, 1.0));
        let late = latencies.iter();
        let late = late.filter(|latency| **latency > middle + interval());
        let (lost, late) = (passage.lost(), late.count());
        let [dropped, overrun, without] = ["dropped", "overrun", "frames_without_overlay"]
            .map(|name| figures.get(&format!("floatup_programme_{name}_total")));
        table.row([
            name.to_owned(),
            sent.to_string(),
            passage.pictures_in.to_string(),
            passage.pictures_out.to_string(),
            lost.to_string(),
            late.to_string(),
            dropped.to_string(),
            overrun.to_string(),
            without.to_string(),
            ms(middle),
            ms(longest),
        ]);
        if case != Case::Quiet {
            let pictures = u32::try_from(lost + late)?;
            bad.push((name, f64::from(pictures) + dropped + overrun));
        }
    }
    Ok(Trouble { table, bad })
}

/// A programme from its beginning to its end: the reactions that were sent, what became of its
/// pictures, and floatup's figures when the last had been handed in.
fn run(case: Case, programme: &Arc<Programme>, folder: &Path) -> Result<(u32, Passage, Metrics)> {
    let metrics = free_address()?;
    let start = |url: &str| {
        let mut command = floatup();
        command.args(["burn-in", "--url", url]);
        Live::start(&mut live_burn_in(command, &metrics), programme)
    };
    if case == Case::Hung {
        let hung = Hung::start()?;
        let live = start(&format!("http://{}", hung.address))?.handed_in()?;
        let figures = Metrics::read(&metrics)?;
        let asked = hung.connections.load(Ordering::Relaxed);
        ensure!(asked > 0, "the server that hangs was not asked");
        return Ok((0, live.end()?, figures));
    }
    let mut service = Service::start(folder, &[]);
    let address = service.address.clone();
    let live = start(&service.url(""))?;
    let mut sent = 0;
    match case {
        Case::Flooded => sent += flood(&address, live.begun, 0..SECONDS)?,
        Case::Killed => {
            sent += react(&service, live.begun, 0..KILLED_S)?;
            service.signal("KILL");
            drop(service);
            sleep_until(live.begun + seconds(AGAIN_S));
            service = Service::start(folder, &["--listen", &address]);
            sent += react(&service, live.begun, AGAIN_S..SECONDS)?;
        }
        Case::Quiet | Case::Hung => sent += react(&service, live.begun, 0..SECONDS)?,
    }
    let live = live.handed_in()?;
    let figures = Metrics::read(&metrics)?;
    let alive = figures.get("floatup_sprites_live");
    ensure!(alive > 0.0, "no reaction is in the picture at the end");
    let passage = live.end()?;
    service.stop();
    Ok((sent, passage, figures))
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

/// Publishes as many reactions as keep [`SPRITES`] alive, in these seconds; gives how many.
fn react(service: &Service, begun: Instant, during: Range<u32>) -> Result<u32> {
    let mut published = 0;
    for tick in 0..(during.end - during.start) * TICKS {
        sleep_until(begun + seconds(during.start) + seconds(1) * tick / TICKS);
        let due = (tick + 1) * SPRITES / (2 * TICKS);
        publish(service, published..due)?;
        published = due;
    }
    Ok(published)
}

/// Publishes [`FLOOD`] reactions a second on one connection, in these seconds; gives how many.
fn flood(address: &str, begun: Instant, during: Range<u32>) -> Result<u32> {
    let mut stream = TcpStream::connect(address).context("the service is not there")?;
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        answers.read_to_end(&mut all).map(|_| all)
    });
    let payload = format!("{{\"reaction\":\"heart\",\"count\":{FLOOD_COUNT}}}");
    let request = |connection: &str| {
        format!(
            "POST /topics/video/demo HTTP/1.1\r\nhost: {address}\r\nconnection: {connection}\r\n\
             content-length: {}\r\n\r\n{payload}",
            payload.len()
        )
    };
    let (again, last) = (request("keep-alive"), request("close"));
    let (ticks, mut published) = ((during.end - during.start) * TICKS, 0);
    for tick in 0..ticks {
        sleep_until(begun + seconds(during.start) + seconds(1) * tick / TICKS);
        while published < (tick + 1) * (FLOOD / TICKS) {
            published += FLOOD_COUNT;
            let is_last = published == ticks * (FLOOD / TICKS);
            let request = if is_last { &last } else { &again };
            stream.write_all(request.as_bytes())?;
        }
    }
    let answers = reading.join().expect("it reads")?;
    let taken = String::from_utf8_lossy(&answers)
        .matches("HTTP/1.1 204")
        .count();
    ensure!(
        u32::try_from(taken) == Ok(published / FLOOD_COUNT),
        "{taken} messages of a flood were taken, not {}",
        published / FLOOD_COUNT
    );
    Ok(published)
}

/// A server that accepts connections, and says nothing on any.
struct Hung {
    address: String,
    connections: Arc<AtomicUsize>,
}

impl Hung {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
        let address = listener.local_addr()?.to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                open.push(stream);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Self {
            address,
            connections,
        })
    }
}
