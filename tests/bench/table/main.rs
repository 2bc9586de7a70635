//! Measures floatup and its peers on this machine, and writes `docs/benchmarks.md`; with
//! `--only burn-in --out docs/benchmarks-burn-in.md` the page on burning in.
//!
//! `make bench`, or `cargo bench --bench table`. After `--`: `--only PART,PART` measures some
//! parts and prints them, `--out FILE` writes to that file, `--date DATE` names another day,
//! `--clip SECONDS` is the length of the recording that reactions are burned into, 4 to 3600, and
//! `--minutes N` that of the live programme whose memory is looked at, 1 to 1440.

#[expect(dead_code, clippy::unwrap_used, reason = "the tests' browser")]
#[path = "../../it/chromium.rs"]
mod chromium;
#[expect(dead_code, reason = "the tests' floatup")]
#[path = "../../it/floatup.rs"]
mod floatup;
#[path = "../scene.rs"]
mod scene;

mod browser;
mod burn_in;
mod frames;
mod machine;
mod measure;
mod outputs;
mod paced;
mod page;
mod peers;
mod program;
mod report;
mod service;
mod skia;

use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use burn_in::{BurnIn, Lengths};
use frames::Growth;
use outputs::{Outputs, WRITE_LOOP};
use page::Table;

/// The parts, by the names that `--only` takes.
const PARTS: [&str; 15] = [
    "frames", "levels", "pixels", "cold", "growth", "cache", "skia", "browser", "live", "paced",
    "start", "raw", "pipe", "vp9", "files",
];

/// All parts, and the name of those of the page on burning in.
fn parts() -> impl Iterator<Item = &'static str> {
    let burn_in = burn_in::PARTS.into_iter().chain([burn_in::ALL]);
    PARTS.into_iter().chain(burn_in)
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Results {
    frames: Option<Table>,
    levels: Option<Table>,
    pixels: Option<Table>,
    /// The most that painting a pixel takes of copying it, from 1,000 sprites on.
    paint_to_copy: Option<f64>,
    cold: Option<Table>,
    growth: Option<Growth>,
    cache: Option<Table>,
    skia: Option<Table>,
    /// What tiny-skia takes of what floatup does, for 1,000 sprites of 48 px.
    skia_ratio: Option<f64>,
    /// The comparison, and more about the browser.
    browser: Option<(Table, Table)>,
    /// What Chromium takes of what floatup does into nothing, for 1,000 sprites.
    browser_ratio: Option<f64>,
    /// Late frames too.
    live: Option<(Table, f64)>,
    paced: Option<(Table, u32)>,
    start: Option<Table>,
    /// From a command's start to its first frame, the slower of the two that deliver frames.
    first_frame: Option<Duration>,
    outputs: Outputs,
    burn_in: BurnIn,
    /// CPU seconds a second of everything, this program included, while nothing was measured.
    others: f64,
}

/// Says on stderr what is measured now.
pub(crate) fn progress(what: &str) {
    eprintln!("measuring: {what}");
}

struct Arguments {
    only: Option<Vec<String>>,
    out: Option<PathBuf>,
    date: String,
    lengths: Lengths,
}

fn arguments() -> Result<Option<Arguments>> {
    let mut asked = false;
    let mut only = None;
    let mut out = None;
    let mut date = None;
    let mut lengths = Lengths {
        clip_s: 20,
        minutes: 30,
    };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || {
            rest.next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--bench" => asked = true,
            "--only" => {
                let parts: Vec<_> = value()?.split(',').map(str::to_owned).collect();
                if let Some(unknown) = parts
                    .iter()
                    .find(|p| !self::parts().any(|known| known == **p))
                {
                    let known: Vec<_> = self::parts().collect();
                    bail!("--only {unknown}: expected some of {}", known.join(","));
                }
                only = Some(parts);
            }
            "--out" => out = Some(value()?.into()),
            "--date" => date = Some(value()?),
            "--clip" => lengths.clip_s = number("--clip", &value()?, 4..=3_600)?,
            "--minutes" => lengths.minutes = number("--minutes", &value()?, 1..=1_440)?,
            other => bail!(
                "{other}: expected --only PARTS, --out FILE, --date DATE, --clip SECONDS or \
                 --minutes N"
            ),
        }
    }
    let date = match date {
        Some(date) => date,
        None => machine::line_of("date", &["-u", "+%Y-%m-%d"])?,
    };
    Ok(asked.then_some(Arguments {
        only,
        out,
        date,
        lengths,
    }))
}

fn number(name: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = range.into_inner();
    number.with_context(|| format!("{name} {text}: expected a whole number, {least} to {most}"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut all = std::env::args().skip(1);
    if let (Some(WRITE_LOOP), Some(frames)) = (all.next().as_deref(), all.next()) {
        return outputs::write_loop(&frames);
    }
    let Some(arguments) = arguments()? else {
        eprintln!("nothing is measured without `cargo bench`");
        return Ok(());
    };
    let wanted = |part: &str| match &arguments.only {
        None => PARTS.contains(&part),
        Some(parts) => parts
            .iter()
            .any(|named| named == part || named == burn_in::ALL && burn_in::PARTS.contains(&part)),
    };
    let browser = wanted("browser").then(chromium::executable);
    if browser.is_some() && !Path::new("/proc/self/stat").exists() {
        bail!("CPU time of processes is read from /proc, which this system has not");
    }
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let folder = folder.path();
    let mut results = Results {
        others: others(),
        ..Results::default()
    };

    let parts = [
        ("frames", frames::sweep as fn(&mut Results)),
        ("levels", frames::levels),
        ("pixels", frames::pixels),
        ("cold", frames::cold),
        ("growth", frames::growth),
        ("cache", frames::cache),
    ];
    for (name, part) in parts {
        if wanted(name) {
            part(&mut results);
        }
    }
    if wanted("skia") {
        skia::compare(&mut results)?;
    }
    if wanted("start") {
        program::start(&mut results, folder)?;
    }
    if wanted("paced") {
        paced::paced(&mut results)?;
    }
    if wanted("live") {
        service::live(&mut results, folder)?;
    }
    for (name, part) in [
        ("raw", outputs::raw as fn(&mut Results, &Path) -> Result<()>),
        ("pipe", outputs::pipe),
        ("vp9", outputs::vp9),
        ("files", outputs::files),
    ] {
        if wanted(name) {
            part(&mut results, folder)?;
        }
    }
    results.burn_in = burn_in::measure(arguments.lengths, folder, wanted)?;
    if wanted("browser") {
        peers::compare(&mut results, folder)?;
    }

    let chromium = match browser {
        Some(path) => machine::line_of(&path.display().to_string(), &["--version"])?,
        None => "not measured".into(),
    };
    let text = report::write(&results, &arguments.date, &chromium)?;
    let page = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md"));
    let out = match (&arguments.only, &arguments.out) {
        (_, Some(out)) => out,
        (None, None) => page,
        (Some(_), None) => {
            let mut stdout = std::io::stdout();
            return stdout.write_all(text.as_bytes()).context("cannot write");
        }
    };
    std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    eprintln!("wrote {}", out.display());
    Ok(())
}

/// What else is going on: CPU seconds a second of all processes while this one waits.
fn others() -> f64 {
    let (begun, before) = (measure::now(), machine::busy_s());
    measure::sleep_until(begun + Duration::from_secs(3));
    (machine::busy_s() - before) / begun.elapsed().as_secs_f64()
}
