//! floatup and Chromium in turn, with the same load.

use std::path::Path;

use anyhow::{Context, Result};

use crate::browser::{self, Row};
use crate::measure::median_of;
use crate::page::{Table, ratio, three};
use crate::program::{Sink, render_cpu_s};
use crate::{Results, progress};

const SPRITES: [u32; 3] = [50, 200, 1_000];
const ROUNDS: usize = 3;

/// What was measured with one number of sprites, a figure a round.
#[derive(Default)]
struct Load {
    browser: Vec<Row>,
    to_null: Vec<f64>,
    to_pipe: Vec<f64>,
}

pub(crate) fn compare(results: &mut Results, folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let mut loads: [Load; 3] = Default::default();
    let mut animated = Vec::new();
    for round in 1..=ROUNDS {
        for (load, sprites) in loads.iter_mut().zip(SPRITES) {
            progress(&format!(
                "Chromium and floatup, {sprites} sprites, {round} of {ROUNDS}"
            ));
            load.browser
                .push(runtime.block_on(browser::measure(sprites, true))?);
            let cpu_ms = |sink, frames| {
                Ok::<_, anyhow::Error>(1e3 * render_cpu_s(folder, sprites, sink, frames)?)
            };
            load.to_null.push(cpu_ms(Sink::Null, 2_400)?);
            load.to_pipe.push(cpu_ms(Sink::Pipe, 600)?);
        }
        progress(&format!("Chromium, animation alone, {round} of {ROUNDS}"));
        animated.push(runtime.block_on(browser::measure(200, false))?);
    }

    let mut browser = Table::new([
        "Chromium",
        "sprites",
        "alive",
        "animation frames/s",
        "delivered frames/s",
        "of them unique/s",
        "CPU s/s",
        "CPU ms/delivered frame",
    ]);
    let mut table = Table::new([
        "sprites",
        "Chromium, CPU ms/frame",
        "floatup to /dev/null, CPU ms/frame",
        "floatup into a pipe, CPU ms/frame",
        "Chromium / floatup to /dev/null",
        "Chromium / floatup into a pipe",
    ]);
    let row = |mode: &str, sprites: u32, rows: &[Row], delivers: bool| {
        let of =
            |part: fn(&Row) -> f64| three(median_of(&rows.iter().map(part).collect::<Vec<_>>()));
        let frames = |part| if delivers { of(part) } else { "none".into() };
        [
            mode.to_owned(),
            sprites.to_string(),
            of(|row| row.alive),
            of(|row| row.animated_per_s),
            frames(|row| row.delivered_per_s),
            frames(|row| row.unique_per_s),
            of(|row| row.cpu),
            frames(Row::ms_per_frame),
        ]
    };
    for (load, sprites) in loads.iter().zip(SPRITES) {
        browser.row(row("screencast, PNG", sprites, &load.browser, true));
        let theirs: Vec<_> = load.browser.iter().map(Row::ms_per_frame).collect();
        let [theirs, null, pipe] =
            [&theirs, &load.to_null, &load.to_pipe].map(|all| median_of(all));
        // The last is the fullest.
        results.browser_ratio = Some(theirs / null);
        table.row([
            sprites.to_string(),
            three(theirs),
            three(null),
            three(pipe),
            ratio(theirs / null),
            ratio(theirs / pipe),
        ]);
    }
    browser.row(row("animates only", 200, &animated, false));
    results.browser = Some((table, browser));
    Ok(())
}
