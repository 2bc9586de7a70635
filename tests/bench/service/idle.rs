//! What a channel costs on which nothing happens, beyond what it costs to write its frames.

use std::time::Duration;

use anyhow::Result;

use crate::child::{Again, cpu_s};
use crate::floatup::Service;
use crate::measure::{median_of, now, sleep_until};
use crate::page::{Page, Table, three};
use crate::pipe::{FPS, HEIGHT, Reader, WIDTH, WRITE};
use crate::reached;

/// Rounds in which both have their turn, and for how long each.
const ROUNDS: usize = 5;
const MEASURED: Duration = Duration::from_secs(20);
const WARM_UP: Duration = Duration::from_secs(3);

/// What is wanted, in hundredths of a core.
const PERCENT: f64 = 2.0;

/// Hundredths of a core, of each round.
#[derive(Default)]
pub(crate) struct Idle {
    floatup: Vec<f64>,
    writer: Vec<f64>,
}

pub(crate) fn measure() -> Result<Idle> {
    let mut idle = Idle::default();
    for round in 1..=ROUNDS {
        eprintln!("nothing on stage, round {round} of {ROUNDS}");
        let folder = tempfile::tempdir()?;
        let reader = |name: &str| {
            Reader::start(folder.path().join(name), (4 * WIDTH * HEIGHT, 1), |_, _| {})
        };
        let fifo = reader("floatup.rgba")?;
        let (size, fps) = (format!("{WIDTH}x{HEIGHT}"), FPS.to_string());
        let output = fifo.path.display().to_string();
        let arguments = ["--size", &size, "--fps", &fps, "--output", &output];
        let service = Service::start(folder.path(), &arguments);
        idle.floatup.push(percent(service.child.id())?);
        service.stop();
        fifo.join()?;
        let fifo = reader("writer.rgba")?;
        let writer = Again::start(&[WRITE, &fifo.path.display().to_string()])?;
        idle.writer.push(percent(writer.process.id())?);
        drop(writer);
        // Its last frame may be cut.
        drop(fifo.join());
    }
    Ok(idle)
}

/// What a process takes of a core, in hundredths.
fn percent(process: u32) -> Result<f64> {
    sleep_until(now() + WARM_UP);
    let (before, begun) = (cpu_s(process)?, now());
    sleep_until(begun + MEASURED);
    Ok(100.0 * (cpu_s(process)? - before) / begun.elapsed().as_secs_f64())
}

impl Idle {
    /// Of each round what it took more.
    fn beyond(&self) -> Vec<f64> {
        let rounds = self.floatup.iter().zip(&self.writer);
        rounds.map(|(floatup, writer)| floatup - writer).collect()
    }

    pub(crate) fn row(&self) -> [String; 4] {
        let beyond = median_of(&self.beyond());
        [
            format!(
                "an idle channel, 1080p{FPS} into a raw pipe: CPU of a core, beyond writing the frames"
            ),
            format!("under {PERCENT} %"),
            format!("{} %", three(beyond)),
            reached(beyond < PERCENT),
        ]
    }

    pub(crate) fn tell(&self, page: &mut Page) {
        page.paragraph(&format!(
            "In turn for {} s each, {ROUNDS} times: a floatup on which nothing happens, and a program \
             that writes one buffer into a pipe of the same size, at the same rate. The median is \
             told.",
            MEASURED.as_secs()
        ));
        let mut table = Table::new(["program", "% of a core"]);
        let mut row =
            |name: &str, values: &[f64]| table.row([name.to_owned(), three(median_of(values))]);
        row("floatup", &self.floatup);
        row("the writer", &self.writer);
        row("floatup beyond the writer of its round", &self.beyond());
        page.table(&table);
    }
}
