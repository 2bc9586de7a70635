//! Hours of service: spikes, an upstream whose connections break, and a reader that stands still, in
//! turn.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::begin;
use crate::crowd::{Crowd, Report};
use crate::floatup::Service;
use crate::measure::{now, sleep_until};
use crate::page::{Table, three};
use crate::pipe::Reader;
use crate::process::{Control, Course, beyond_stalls, figure, resident};
use crate::proxy::Proxy;
use crate::reached;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const FPS: u32 = 30;

/// Of each turn of three minutes: when a spike begins, when connections are cut, each second, and when
/// the second reader stands still.
const TURN_S: u64 = 180;
const SPIKE_S: u64 = 10;
const CUT_S: std::ops::Range<u64> = 70..90;
const STILL_S: std::ops::Range<u64> = 120..135;

/// For so long in the beginning both readers stand still for a moment each second: see
/// [`Reader::falter`].
const FALTERS_S: u64 = 60;

/// A spike's and all other messages.
const SPIKE: [&str; 8] = [
    "--rate",
    "2000/s",
    "--curve",
    "spike",
    "--duration",
    "45s",
    "--publishers",
    "32",
];
const STEADY: &str = "50/s";

/// What memory may grow by in an hour as a share of it, and what it may be, in MB.
const GROWTH: f64 = 0.05;
const MEMORY_MB: f64 = 250.0;

pub(crate) fn measure(minutes: u64) -> Result<String> {
    ensure!((1..=1_440).contains(&minutes), "expected 1 to 1440 minutes");
    let folder = tempfile::tempdir()?;
    let upstream = Service::start(
        folder.path(),
        &["--ring-items", "100000", "--size", "64x64", "--fps", "1"],
    );
    let proxy = Proxy::start(upstream.address.clone())?;
    let bytes = 4 * WIDTH * HEIGHT;
    let quick = Reader::start(folder.path().join("quick.rgba"), (bytes, 1), |_, _| {})?;
    let slow = Reader::start(folder.path().join("slow.rgba"), (bytes, 1), |_, _| {})?;
    let outputs = [&quick, &slow].map(|reader| reader.path.display().to_string());
    let source = format!("http://{}/topics/video/demo", proxy.address);
    let picture = [
        "--size",
        "1280x720",
        "--fps",
        "30",
        "--sprites-max",
        "500",
        "--source",
        &source,
    ];
    let outputs = ["--output", &outputs[0], "--output", &outputs[1]];
    let service = Service::start(folder.path(), &[&picture[..], &outputs].concat());
    let get = |name: &str, labels: &[&str]| figure(&service.address, name, labels);
    let duration = format!("{}s", 60 * minutes);
    let steady = [
        "--rate",
        STEADY,
        "--duration",
        &duration,
        "--publishers",
        "8",
        "--seed",
        "1",
    ];
    let steady = Crowd::start(&upstream.address, &steady)?;
    let (begun, control) = (now(), Control::start(FPS));
    let (mut memory, mut seconds) = (Course::default(), Vec::new());
    let (mut spikes, mut reports, mut cuts) = (Vec::new(), Vec::<Report>::new(), 0);
    let mut late = 0.0;
    for second in 0..60 * minutes {
        // What is left at the end is for all to come through.
        let (in_turn, is_end) = (second % TURN_S, second + 60 > 60 * minutes);
        if in_turn == SPIKE_S && !is_end {
            spikes.push(Crowd::start(&upstream.address, &SPIKE)?);
        }
        if CUT_S.contains(&in_turn) {
            proxy.cut();
            cuts += 1;
        }
        if second < FALTERS_S {
            Reader::falter(&[&quick, &slow]);
        }
        slow.pause(STILL_S.contains(&in_turn));
        if in_turn == TURN_S - 1 {
            for spike in spikes.drain(..) {
                reports.push(spike.report()?);
            }
        }
        sleep_until(begun + Duration::from_secs(second + 1));
        memory.add(begun, resident(service.child.id())?);
        let now_late = get("floatup_frames_late_total", &[])?;
        seconds.push(now_late - late);
        late = now_late;
        if second % 60 == 59 {
            eprintln!(
                "{} min: {} MB, {late:.0} late, {} and {} frames",
                second / 60 + 1,
                three(resident(service.child.id())? / 1e6),
                quick.frames(),
                slow.frames()
            );
        }
    }
    let stalls = control.stop();
    slow.pause(false);
    for crowd in spikes.into_iter().chain([steady]) {
        reports.push(crowd.report()?);
    }
    let accepted = reports.iter().map(|report| report.accepted).sum::<u64>() as f64;
    let unanswered: u64 = reports.iter().map(|report| report.unanswered.count).sum();
    let own = |outcome: &str| {
        get(
            "floatup_source_messages_total",
            &[&format!("source=\"{source}\""), outcome],
        )
    };
    // The last ones are on their way.
    let patience = now() + Duration::from_secs(30);
    while own("accepted")? < accepted && now() < patience {
        sleep_until(now() + Duration::from_millis(100));
    }
    let taken = own("accepted")?;
    let gaps = get("floatup_source_gap_items_total", &[])?;
    let reconnects = get("floatup_source_reconnects_total", &[])?;
    let dropped = get("floatup_output_frames_dropped_total", &[])?;
    let rendered = get("floatup_frames_rendered_total", &[])?;
    let peak = memory.most();
    service.stop();
    upstream.stop();
    let frames = [quick.join()?, slow.join()?];
    let warm_up = Duration::from_secs(6 * minutes);
    let growth = memory.per_hour(warm_up) / peak;
    let missed = beyond_stalls(&seconds, &stalls);
    let stalled: u64 = stalls.iter().sum();

    let mut table = Table::new(["figure", "wanted", "got", "reached"]);
    let mut all = true;
    let mut row = |name: &str, wanted: String, got: String, is_so: bool| {
        all &= is_so;
        table.row([name.to_owned(), wanted, got, reached(is_so)]);
    };
    row(
        "memory: growth in an hour",
        format!("within {} % of it", 100.0 * GROWTH),
        format!("{} %", three(100.0 * growth)),
        growth < GROWTH,
    );
    row(
        "memory, at most",
        format!("under {MEMORY_MB} MB"),
        format!("{} MB", three(peak / 1e6)),
        peak / 1e6 < MEMORY_MB,
    );
    row(
        "frames late while the machine was not",
        "0".into(),
        format!("{missed:.0}"),
        missed == 0.0,
    );
    row(
        "messages of the upstream that came, of those it accepted",
        accepted.to_string(),
        taken.to_string(),
        (taken - accepted).abs() < 0.5,
    );
    row(
        "messages reported lost",
        "0".into(),
        format!("{gaps:.0}"),
        gaps == 0.0,
    );
    row(
        "frames dropped by either output",
        "0".into(),
        format!("{dropped:.0}"),
        dropped == 0.0,
    );
    let same = frames[0].abs_diff(frames[1]) <= 1 && frames[0] as f64 + 1.0 >= rendered;
    row(
        "frames read, by the quick reader and by the slow one",
        format!("{rendered:.0}"),
        format!("{}, {}", frames[0], frames[1]),
        same,
    );
    let mut page = begin(
        "Hours of service",
        &format!("`make soak MINUTES={minutes}`"),
    )?;
    page.table(&table);
    page.paragraph(&format!(
        "A floatup of {WIDTH}x{HEIGHT} at {FPS} frames a second follows another one, from which {STEADY} \
         messages come all the time. In every three minutes there is a goal of up to 2,000 messages a \
         second, all connections to the upstream are cut twenty times, and one of two readers of raw \
         frames stands still for {} s; in the first minute both do for a moment each second, so that all \
         memory that there is for frames comes into use. Memory's growth is the slope of the line \
         through all but the first tenth, by least squares. A frame is late when the next is due before it is begun; a \
         thread that only sleeps says when the machine itself stood still.",
        STILL_S.end - STILL_S.start
    ));
    let mut table = Table::new(["figure", "value"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("minutes", minutes.to_string());
    row("connections cut, times", cuts.to_string());
    row(
        "losses of the source that it said",
        format!("{reconnects:.0}"),
    );
    row("messages without an answer", unanswered.to_string());
    row("frames late, in all", format!("{late:.0}"));
    row(
        "times that a thread that only sleeps was late by half a frame",
        stalled.to_string(),
    );
    row(
        "memory's growth, MB an hour",
        three(memory.per_hour(warm_up) / 1e6),
    );
    page.table(&table);
    page.paragraph("`make soak MINUTES=60` lets it run again.");
    let text = page.text();
    if !all {
        eprint!("{text}");
    }
    ensure!(all, "a figure is not as it is wanted");
    Ok(text)
}
