//! What the topic server takes: publishes a second, and subscribers held.
//!
//! `cargo bench --bench load`; after `--`, `--out FILE` writes the page. The server is the floatup
//! program; the load and the peer are this program again, in processes of their own, so that each
//! one's CPU time can be told.

#[path = "../../it/floatup.rs"]
#[expect(dead_code, reason = "what the tests share")]
mod floatup;
#[path = "../table/machine.rs"]
#[expect(dead_code, reason = "the table's machine")]
mod machine;
#[path = "../table/page.rs"]
#[expect(dead_code, reason = "the table's page")]
mod page;
#[path = "../provenance.rs"]
mod provenance;

mod bare;
mod child;
mod hold;
mod publish;

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::floatup::Service;
use crate::hold::Held;
use crate::page::{Page, Table, ratio, three};
use crate::provenance::provenance;
use crate::publish::Published;

/// Each figure is the median of so many rounds, in which all that is compared has its turn.
const ROUNDS: usize = 3;

/// What is wanted: publishes a second, subscribers, and the 99th percentile of a delivery in ms.
const PUBLISHES_WANTED: f64 = 20_000.0;
const SUBSCRIBERS: usize = 5_000;
const DELIVERY_MS_WANTED: f64 = 250.0;

/// Items a second: what a crowd's clients or a backend publish who put together what happens within
/// half a second, or within 200 ms.
const ITEMS_PER_S: [u32; 2] = [2, 5];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| *argument != "--bench")
        .collect();
    raise_file_limit()?;
    match arguments[..] {
        [publish::LOAD, address, topic] => publish::load(address, topic),
        [bare::SERVE] => bare::serve(),
        [hold::LOAD, address, topic, items] => hold::load(address, topic, items.parse()?),
        [] => Ok(std::io::stdout().write_all(measure()?.as_bytes())?),
        ["--out", file] => {
            std::fs::write(file, measure()?).with_context(|| format!("cannot write {file}"))
        }
        _ => bail!("expected nothing, or --out FILE"),
    }
}

/// Thousands of connections are open at once.
fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// A floatup whose ring holds what subscribers may be behind by at the highest rate.
fn service() -> Result<(tempfile::TempDir, Service)> {
    let folder = tempfile::tempdir()?;
    let args = ["--ring-items", "20000", "--size", "64x64", "--fps", "1"];
    let service = Service::start(folder.path(), &args);
    Ok((folder, service))
}

fn measure() -> Result<String> {
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    let mut held: [Vec<Held>; 2] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("publishes, round {round} of {ROUNDS}");
        bare.push(publish::to_bare()?);
        let (_folder, service) = service()?;
        own.push(publish::to_topic(&service, &format!("load-{round}"))?);
        for (items, held) in ITEMS_PER_S.iter().zip(&mut held) {
            eprintln!("{SUBSCRIBERS} subscribers, {items} items a second, round {round}");
            let topic = format!("hold-{round}-{items}");
            held.push(hold::measure(&service, &topic, *items)?);
        }
    }
    report(&own, &bare, &held)
}

/// The median of a figure over the rounds.
fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn report(own: &[Published], bare: &[Published], held: &[Vec<Held>; 2]) -> Result<String> {
    let mut wanted = Table::new(["figure", "wanted", "got", "reached"]);
    let mut row = |figure: String, target: String, got: String, reached: bool| {
        let reached = if reached { "yes" } else { "no" };
        wanted.row([figure, target, got, reached.into()]);
    };
    let rate = median(own, |run| run.per_s);
    row(
        "publishes a second to one topic, all seen by both subscribers".into(),
        format!("at least {PUBLISHES_WANTED}"),
        format!("{rate:.0}"),
        rate >= PUBLISHES_WANTED,
    );
    let mut deliveries = Table::new([
        "items a second",
        "deliveries a second",
        "median, ms",
        "p90",
        "p99",
        "longest",
        "server's cores",
        "server's memory, MB",
    ]);
    for (items, held) in ITEMS_PER_S.iter().zip(held) {
        let p99 = median(held, |run| run.ms[2]);
        row(
            format!(
                "{SUBSCRIBERS} event streams, {items} items a second: publish to delivery, p99"
            ),
            format!("under {DELIVERY_MS_WANTED} ms"),
            format!("{} ms", three(p99)),
            p99 < DELIVERY_MS_WANTED,
        );
        let cells = [
            items.to_string(),
            format!("{:.0}", f64::from(*items) * SUBSCRIBERS as f64),
        ];
        let times = (0..4).map(|n| three(median(held, |run| run.ms[n])));
        let cost = [
            three(median(held, |run| run.cores)),
            three(median(held, |run| run.memory / 1e6)),
        ];
        deliveries.row(cells.into_iter().chain(times).chain(cost));
    }
    let mut publishes = Table::new([
        "server",
        "publishes a second",
        "CPU µs a publish",
        "answer, median ms",
        "p99",
        "publishes a second, / bare",
        "CPU, / bare",
    ]);
    let cpu = |runs: &[Published]| median(runs, |run| run.cpu_us);
    for (name, runs) in [
        ("floatup, with an event stream and a long poll", own),
        ("a bare hyper server that answers 204", bare),
    ] {
        let per_s = median(runs, |run| run.per_s);
        publishes.row([
            name.to_owned(),
            format!("{per_s:.0}"),
            three(cpu(runs)),
            three(median(runs, |run| run.ms[0])),
            three(median(runs, |run| run.ms[1])),
            ratio(per_s / median(bare, |run| run.per_s)),
            ratio(cpu(runs) / cpu(bare)),
        ]);
    }
    let mut page = Page::default();
    page.paragraph("# The topic server, measured");
    page.paragraph(&provenance("`make bench`")?);
    page.table(&wanted);
    page.paragraph(&format!(
        "The server is the floatup program in a process of its own; load and subscribers are in \
         others on the same machine, which all share its cores. Of each figure the median of \
         {ROUNDS} rounds is told."
    ));
    page.heading("Publishes");
    page.paragraph(&format!(
        "`POST /topics/video/load` with `{}` over {} connections that are kept, each with one \
         request on its way at a time, as fast as answers come, for {} s after {} s of warming up. \
         One subscriber has the event stream, one the long poll; the run fails unless both get \
         every message, in order. The bare server reads a request and answers 204, with the same \
         runtime: what HTTP itself takes here.",
        publish::MESSAGE,
        publish::CONNECTIONS,
        publish::MEASURED.as_secs(),
        publish::WARM_UP.as_secs(),
    ));
    page.table(&publishes);
    page.heading("Subscribers");
    page.paragraph(&format!(
        "{SUBSCRIBERS} event streams of one topic, each of which must get every item, for {} s. An \
         item is what a crowd does in 200 or 500 ms, put together: `{}`. A delivery is timed from \
         just before the publish to when one process, which holds all the streams, has read it, so \
         the last of {SUBSCRIBERS} has the reading of all others in its time.",
        hold::MEASURED.as_secs(),
        hold::MESSAGE,
    ));
    page.table(&deliveries);
    page.paragraph("`cargo bench --bench load` measures it again and prints it.");
    Ok(page.text())
}
