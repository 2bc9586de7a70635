//! The page: `docs/benchmarks.md`.

mod burn_in;

use ::floatup::pixel::SimdLevel;
use anyhow::Result;

use crate::frames::Fit;
use crate::machine::{cores, line_of, processor};
use crate::measure::Line;
use crate::outputs::Outputs;
use crate::page::{Page, Table, ms, ratio, three};
use crate::{Results, scene};

/// The text, of whatever was measured.
pub(crate) fn write(results: &Results, date: &str, chromium: &str) -> Result<String> {
    let mut page = Page::default();
    page.paragraph("# Benchmarks");
    page.paragraph(&format!(
        "Written by `make bench` on {date}; not edited.\n\n\
         | | |\n| --- | --- |\n\
         | processor | {} |\n\
         | cores | {} |\n\
         | SIMD levels | {} |\n\
         | busy before the start | {} of {} cores |\n\
         | system | {} |\n\
         | compiler | {}, profile `bench` |\n\
         | Chromium | {chromium} |",
        processor(),
        cores(),
        levels(),
        three(results.others),
        cores(),
        line_of("uname", &["-srm"])?,
        line_of("rustc", &["--version"])?,
    ));
    wanted(&mut page, results);
    how(&mut page);
    sections(&mut page, results);
    Ok(page.text())
}

fn levels() -> String {
    let levels = SimdLevel::available();
    let names: Vec<_> = levels.into_iter().map(SimdLevel::name).collect();
    names.join(", ")
}

/// Each figure that was wanted, and what it came to.
fn wanted(page: &mut Page, results: &Results) {
    let mut table = Table::new(["figure", "wanted", "got", "reached"]);
    let mut row = |figure: &str, wanted: &str, got: String, reached: bool| {
        let reached = if reached { "yes" } else { "no" };
        table.row([figure.into(), wanted.into(), got, reached.into()]);
    };
    if let Some(first) = results.first_frame {
        let ok = first.as_secs_f64() < 0.1;
        row(
            "a command's start to its first frame, 1920x1080",
            "under 100 ms",
            format!("{} ms", ms(first)),
            ok,
        );
    }
    if let Some((_, late)) = results.live {
        row(
            "5,000 sprites of 48 px, 4K, 60 frames/s, the service: late frames in 20 s",
            "0",
            format!("{late}"),
            late <= 0.0,
        );
    }
    if let Some((_, late)) = results.paced {
        row(
            "the same by the clock in one process: late frames in 10 s",
            "0",
            format!("{late}"),
            late == 0,
        );
    }
    if let Some(growth) = &results.growth {
        for (what, fit) in [
            ("a frame's cost from 100 to 20,000 sprites", growth.whole),
            ("its cost from 1,000 to 20,000 sprites", growth.many),
        ] {
            let off = 100.0 * fit.largest;
            row(
                &format!("{what}: largest deviation from a line"),
                "within 15 %",
                format!("{off:.1} %"),
                off <= 15.0,
            );
        }
    }
    if let Some(times) = results.paint_to_copy {
        row(
            "painting a touched pixel, from 1,000 sprites on, against copying it",
            "within 3 ×",
            ratio(times),
            times <= 3.0,
        );
    }
    if let Some(times) = results.skia_ratio {
        row(
            "tiny-skia's time against floatup's, 1,000 sprites of 48 px, 1920x1080, 1 thread",
            "25 ×",
            ratio(times),
            times >= 25.0,
        );
    }
    if let Some(times) = results.browser_ratio {
        row(
            "Chromium's CPU time for a delivered frame against floatup's, 1,000 sprites of 30 px",
            "150 ×",
            ratio(times),
            times >= 150.0,
        );
    }
    let outputs = &results.outputs;
    if let Some(raw) = &outputs.raw {
        row(
            "raw RGBA into a pipe, 1080p60, 200 sprites: CPU time, the whole service",
            "under 35 % of a core",
            format!("{:.1} %", 100.0 * raw.cores),
            raw.cores < 0.35,
        );
        row(
            "its late frames in 15 s, and those of 4K30",
            "0",
            format!("{} and {}", raw.late[0], raw.late[1]),
            raw.late.iter().sum::<f64>() <= 0.0,
        );
    }
    if let Some((_, share)) = outputs.pipe {
        row(
            "raw RGBA into a pipe, 1080p, 200 sprites, without a clock, against a bare loop of `write`",
            "0.9 ×",
            ratio(share),
            share >= 0.9,
        );
    }
    if let Some(vp9) = &outputs.vp9 {
        row(
            "WebM VP9 with alpha, live, 720p30, 20 sprites: CPU time, the whole service",
            "under 100 % of a core",
            format!("{:.1} %", 100.0 * vp9.cores),
            vp9.cores < 1.0,
        );
        row(
            "its late and dropped frames in 20 s",
            "0",
            vp9.lost.to_string(),
            vp9.lost <= 0.0,
        );
        row(
            "its bits",
            "under 3 Mbit/s",
            format!("{} Mbit/s", three(vp9.mbit_per_s)),
            vp9.mbit_per_s < 3.0,
        );
    }
    for (codec, times, of_ffmpeg) in outputs.files.iter().flat_map(|files| &files.codecs) {
        row(
            &format!("ten minutes of 1080p60 to {codec} in MOV, against real time"),
            "1 ×",
            ratio(*times),
            *times > 1.0,
        );
        row(
            "its time against ffmpeg's for the same frames",
            "at most 1.1 ×",
            ratio(*of_ffmpeg),
            *of_ffmpeg <= 1.1,
        );
    }
    burn_in::wanted(&mut row, &results.burn_in);
    page.heading("Figures wanted and got");
    page.table(&table);
}

fn how(page: &mut Page) {
    page.heading("How to read this");
    page.paragraph(&format!(
        "- *Sprites* are the tutorial's four emoji under the built-in stylesheet, 2 s of life, \
           arriving evenly at half their number a second, so that as many as the table says are \
           alive in every frame. They appear at frames' times, {fps} frames a second, as in the \
           live service, so that looks (emoji, size, age) come again.\n\
         - A *frame* is all from a due time to bytes that can be written: poses and places of all \
           sprites, clearing what the frame before drew, drawing, and conversion to straight RGBA. \
           Writing is not in it. Frames follow one another, and every look has been seen before, \
           except where a table says otherwise.\n\
         - *px* is the font size; an emoji of 30 px is about 38 pixels wide.\n\
         - Times are medians of wall-clock time. What is compared is measured in turn, in several \
           rounds of the same run. With 2 threads the frame loop is on one of them.\n\
         - SIMD level, where none is named: the widest. No pixel differs between levels or numbers \
           of threads.\n\
         - `cargo bench --bench table -- --only PART` measures a part again and prints it; \
           `cargo bench --bench paint` compares one change with the next.",
        fps = scene::FPS
    ));
}

fn sections(page: &mut Page, results: &Results) {
    if let Some(table) = &results.frames {
        page.heading("A frame, by sprites, font size and frame size");
        page.paragraph("In ms.");
        page.table(table);
    }
    if let Some(table) = &results.levels {
        page.heading("A frame, by SIMD level and threads");
        page.paragraph("1920x1080, 48 px, in ms.");
        page.table(table);
    }
    if let Some(table) = &results.pixels {
        page.heading("A pixel, against a copy of memory");
        page.paragraph(
            "1920x1080, 1 thread. *Touched pixels*: for each sprite, the pixels inside the frame \
             that it alone would make other than transparent, summed over all sprites of a frame; \
             a pixel under three sprites counts three times. Times are divided by that number; \
             clearing, and all that is done once a frame, is in them. *Paint* ends with a frame of \
             premultiplied RGBA, *straight* with one of straight RGBA; the *whole frame* is that \
             and the places of all sprites. *Copy* is one \
             `copy_from_slice` of as many bytes (4 a touched pixel), in turn with the frames, \
             through 256 MiB or more, so that it copies memory and not a cache.",
        );
        page.table(table);
    }
    if let Some(growth) = &results.growth {
        page.heading("Growth");
        let line = |fit: Fit| {
            let Line { at_zero, slope } = fit.line;
            format!(
                "{} ms + {} µs × sprites",
                three(at_zero),
                three(1e3 * slope)
            )
        };
        page.paragraph(&format!(
            "1920x1080, 48 px, 1 thread. A frame's line is {}; from 1,000 sprites on it is {}. Each is \
             the one whose largest deviation is the least. A sprite costs less the more there are: \
             the first ones each bring a look of their own into the cache, and pixels that had no \
             ink, which are converted and written once, however many sprites are on them.",
            line(growth.whole),
            line(growth.many),
        ));
        page.table(&growth.table);
    }
    if let Some(table) = &results.cold {
        page.heading("Cold");
        page.paragraph(
            "1920x1080, 48 px, 1 thread: a painter that has seen nothing, its frame's memory \
             untouched; and reactions between frames' times, so that no sprite looks as another \
             one did and each is computed anew in each frame.",
        );
        page.table(table);
    }
    if let Some(table) = &results.cache {
        page.heading("Kept looks");
        page.paragraph(
            "Memory of the looks that are kept once each of the default palette's 56 emoji has \
             passed every age at 60 frames a second. At most 256 MiB are kept.",
        );
        page.table(table);
    }
    if let Some(table) = &results.start {
        page.heading("The first frame");
        page.table(table);
    }
    if results.live.is_some() || results.paced.is_some() {
        page.heading("5,000 sprites of 48 px at 4K, 60 frames a second, all cores");
    }
    if let Some((table, _)) = &results.live {
        page.paragraph(
            "`floatup serve --size 3840x2160 --font-size 48 --fps 60 --output null.rgba`, a link \
             to `/dev/null`, with 60 messages a second by HTTP; its own metrics, after 4 s. A \
             frame is late when it begins only after the next one is due.",
        );
        page.table(table);
    }
    if let Some((table, late)) = &results.paced {
        page.paragraph(&format!(
            "The same stage, painter, threads and frame in a loop by the clock, for the \
             times that metrics keep in buckets alone; {late} of 600 frames were late."
        ));
        page.table(table);
    }
    outputs(page, &results.outputs);
    burn_in::sections(page, &results.burn_in);
    if let Some(table) = &results.skia {
        page.heading("tiny-skia");
        page.paragraph(
            "1920x1080, 1 thread. The same layers through the same matrices, bilinear, with \
             opacity, source-over, the clear included; premultiplied pixels from both. tiny-skia uses the instructions that it is compiled for, here those of \
             every x86-64 or AArch64 processor; so floatup's time at that level stands beside. \
             tiny-skia computes every sprite anew, which floatup does where no look comes twice. \
             PSNR is of premultiplied channels over the pixels with ink, the worst of seven \
             frames; tiny-skia does not smooth a layer's edges.",
        );
        page.table(table);
    }
    if let Some((table, browser)) = &results.browser {
        page.heading("Chromium");
        page.paragraph(
            "1920x1080, 30 px. A page with the tutorial's element for each reaction under \
             floatup's stylesheet, in headless Chromium without a GPU; frames leave it by \
             `Page.startScreencast` as PNG with alpha, each acknowledged at once. Counted is CPU \
             time, user and system, of all of its processes over 8 s, divided by the frames that \
             arrived; what this program needs to receive them is not. floatup's is that of the \
             whole `floatup render` process with default settings, straight RGBA, over \
             2,400 frames to `/dev/null` or 600 into a pipe that is read, the start and the first \
             4 s taken off. Medians of three rounds, in turn. \
             *Alive* is what the page has on average: one that falls behind removes elements late.",
        );
        page.table(table);
        page.table(browser);
    }
}

fn outputs(page: &mut Page, outputs: &Outputs) {
    if outputs.raw.is_some() || outputs.pipe.is_some() {
        page.heading("Raw frames");
    }
    if let Some(raw) = &outputs.raw {
        page.paragraph(
            "`floatup serve --output FIFO`, straight RGBA by the clock, 30 px, with 100 reactions a \
             second by HTTP; the pipe's other end is read at once. CPU time is that of the whole \
             service.",
        );
        page.table(&raw.table);
    }
    if let Some((table, _)) = &outputs.pipe {
        page.paragraph(
            "`floatup render LOG -`, as fast as the reader reads, the start included, in turn with \
             a program that writes one buffer again and again through a pipe of the same width. \
             Medians of seven rounds.",
        );
        page.table(table);
    }
    if let Some(files) = &outputs.files {
        page.heading("Video files");
        page.paragraph(
            "`floatup render LOG out.mov`, ten seconds in turn with `ffmpeg -f rawvideo -i -` on the \
             same frames through a pipe (`png` with `-compression_level 1 -pred none`, its \
             fastest), and ten minutes alone. Medians of three rounds.",
        );
        page.table(&files.table);
    }
}
