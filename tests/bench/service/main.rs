//! A whole service: how soon a reaction is in the picture, what it takes when there are too many, or
//! none, and how it is after hours.
//!
//! `cargo bench --bench service`; after `--`, `--out FILE` writes the page; `soak MINUTES` (with
//! `--out FILE`, too) lets a service run for so long with spikes, reconnects and a slow reader in
//! turn, and `million MINUTES` with a million reactions a minute alone. The service is the floatup
//! program; what reads from it and reacts is in other processes.

#[path = "../load/child.rs"]
#[expect(dead_code, reason = "what the load says")]
mod child;
#[path = "../../it/floatup.rs"]
#[expect(dead_code, reason = "what the tests share")]
mod floatup;
#[path = "../table/machine.rs"]
#[expect(dead_code, reason = "the table's machine")]
mod machine;
#[path = "../table/measure.rs"]
#[expect(dead_code, reason = "the table's clock")]
mod measure;
#[path = "../table/page.rs"]
#[expect(dead_code, reason = "the table's page")]
mod page;
#[path = "../provenance.rs"]
mod provenance;

mod crowd;
mod idle;
mod latency;
mod million;
mod pipe;
mod process;
mod proxy;
mod soak;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::page::{Page, Table};
use crate::provenance::provenance;

/// How long the million a minute comes.
const MILLION: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments
        .filter(|argument| *argument != "--bench")
        .collect();
    let (page, file) = match arguments[..] {
        [pipe::WRITE, path] => return pipe::write(path, |_| ()),
        [pipe::WRITE, path, address] => return latency::write_marked(path, address),
        [] => (measure()?, None),
        ["--out", file] => (measure()?, Some(file)),
        ["million", minutes] => (million(minutes.parse()?)?, None),
        ["soak", minutes] => (soak::measure(minutes.parse()?)?, None),
        ["soak", minutes, "--out", file] => (soak::measure(minutes.parse()?)?, Some(file)),
        _ => bail!("expected nothing, million MINUTES or soak MINUTES; and perhaps --out FILE"),
    };
    match file {
        None => Ok(std::io::stdout().write_all(page.as_bytes())?),
        Some(file) => std::fs::write(file, page).with_context(|| format!("cannot write {file}")),
    }
}

/// The page's beginning: what it is, and where it was measured.
fn begin(title: &str, how: &str) -> Result<Page> {
    let mut page = Page::default();
    page.paragraph(&format!("# {title}"));
    page.paragraph(&provenance(how)?);
    Ok(page)
}

/// Whether what is wanted was reached.
fn reached(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

/// A million a minute alone, for as long as one likes.
fn million(minutes: u64) -> Result<String> {
    let million = million::measure(Duration::from_secs(60 * minutes))?;
    let mut page = begin(
        "A million a minute",
        "`cargo bench --bench service -- million`",
    )?;
    let mut wanted = Table::new(["figure", "wanted", "got", "reached"]);
    for row in million.rows() {
        wanted.row(row);
    }
    page.table(&wanted);
    million.tell(&mut page);
    Ok(page.text())
}

fn measure() -> Result<String> {
    let latency = latency::measure()?;
    let idle = idle::measure()?;
    let million = million::measure(MILLION)?;
    let mut page = begin("A whole service, measured", "`make bench`")?;
    let mut wanted = Table::new(["figure", "wanted", "got", "reached"]);
    for row in [latency.row(), idle.row()]
        .into_iter()
        .chain(million.rows())
    {
        wanted.row(row);
    }
    page.table(&wanted);
    page.paragraph(
        "The service is the floatup program in a process of its own; what reacts and what reads its \
         frames are other processes on the same machine, which all share its cores.",
    );
    page.heading("From reaction to pixel");
    latency.tell(&mut page);
    page.heading("Nothing on stage");
    idle.tell(&mut page);
    page.heading("A million a minute");
    million.tell(&mut page);
    page.paragraph("`cargo bench --bench service` measures it again and prints it.");
    Ok(page.text())
}
