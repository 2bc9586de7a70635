//! Once it runs, neither the frame loop nor a raw output allocates anything.

use std::path::Path;
use std::sync::Arc;

use floatup::frame::{Alpha, FrameRate, Scan, Size};
use floatup::metrics::Metrics;
use floatup::output::{
    Artist, Debuts, Fanout, Flow, Form, Moment, Pace, Plan, Policy, Sink, Spec, Target,
};
use floatup::paint::Painter;
use floatup::stage::Stage;

use crate::compositor::busy_stage;

fn rate() -> FrameRate {
    FrameRate::new(60, 1).unwrap()
}

/// Raw formats of each way to convert.
const ENDINGS: [&str; 4] = ["rgba", "bgra", "yuva420p", "yuva422p10le"];

/// A raw output that forgets its frames.
fn plan(folder: &Path, size: Size, ending: &str) -> Plan {
    let path = folder.join(format!("null.{ending}"));
    if !path.exists() {
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    }
    let spec = Spec {
        size,
        rate: rate(),
        scan: Scan::Progressive,
        alpha: Alpha::Straight,
        form: Form::default(),
    };
    Plan::new(Target::File(path), spec).unwrap()
}

fn scene() -> (Size, Stage, Artist) {
    let size = Size::new(640, 360).unwrap();
    let (stage, sheet) = busy_stage(size, 48.0, 200);
    let artist = Artist::new(Painter::new(sheet, size), Scan::Progressive, None);
    (size, stage, artist)
}

/// The four frames whose looks have all been seen.
fn moment(moment: &mut Moment, stage: &Stage, index: u64) {
    moment.index = 120 + index % 4;
    moment.see(stage, rate(), Scan::Progressive);
    moment.index = index;
}

#[test]
fn the_frame_loop_allocates_no_frame_after_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (size, stage, artist) = scene();
    let metrics = Metrics::new();
    let mut fanout = Fanout::new(artist.clone(), Pace::Readers);
    let debuts = Debuts::default();
    let came = tokio::time::Instant::now().into_std();
    (0..1_000).for_each(|frame| debuts.add(frame, came));
    for ending in ENDINGS {
        let plan = plan(folder.path(), size, ending);
        let spare = Arc::new(artist.clone());
        let (metrics, debuts) = (metrics.output("demo", ending), debuts.clone());
        let sink = Sink::start(plan, Policy::Block, metrics, spare, debuts);
        fanout.add(sink.unwrap());
    }
    let mut now = Moment::default();
    let mut frame = |index| {
        moment(&mut now, &stage, index);
        assert!(fanout.give(&now, false, || false));
    };
    (0..50).for_each(&mut frame);
    let counted = allocation_counter::measure(|| (50..550).for_each(&mut frame));
    // A sink that is slower than ever before may hold one frame more, which has three parts.
    assert!(
        counted.count_total <= 3 * ENDINGS.len() as u64,
        "{counted:?}"
    );
    fanout.finish().unwrap();
    let written = ENDINGS.map(|ending| metrics.output("demo", ending).frames.get());
    assert_eq!(written, [550; 4]);
    // Every reaction was timed, once by each output.
    let figures = metrics.encode();
    let counts = figures.lines().filter_map(|line| {
        let line = line.strip_prefix("floatup_output_latency_seconds_count{")?;
        line.split_once("} ").map(|(_, count)| count)
    });
    assert_eq!(counts.collect::<Vec<_>>(), ["550"; 4], "{figures}");
}

#[test]
fn raw_outputs_allocate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (size, stage, mut artist) = scene();
    for ending in ENDINGS {
        let mut plan = plan(folder.path(), size, ending);
        let mut output = plan.open().unwrap().unwrap();
        let mut drawn = [Arc::new(plan.kind().frame())];
        let mut now = Moment::default();
        let mut frame = |index| {
            moment(&mut now, &stage, index);
            artist.draw(&now, &mut drawn);
            assert_eq!(output.write(&drawn[0], index).unwrap(), Flow::Open);
        };
        (0..20).for_each(&mut frame);
        let counted = allocation_counter::measure(|| (20..70).for_each(&mut frame));
        assert_eq!(counted.count_total, 0, "{ending}");
    }
}
