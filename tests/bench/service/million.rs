//! A million reactions a minute, and five hundred places.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::child::cpu_s;
use crate::crowd::{Crowd, Report};
use crate::floatup::Service;
use crate::measure::{now, sleep_until};
use crate::page::{Page, Table, three};
use crate::pipe::{FPS, HEIGHT, Reader, WIDTH};
use crate::process::{Control, Course, beyond_stalls, figure, resident};
use crate::reached;

/// Messages a second, and how many reactions each is for.
const MESSAGES: &str = "833.3334/s";
const COUNT: &str = "20";

const SPRITES_MAX: &str = "500";

/// What is wanted: the share of frames that are late, and the growth of memory that is none, as a
/// share of it in an hour.
const LATE: f64 = 0.001;
const GROWTH: f64 = 0.02;

/// What is wanted of memory, in MB.
const MEMORY_MB: f64 = 120.0;

pub(crate) struct Million {
    took: Duration,
    crowd: Report,
    rendered: f64,
    late: f64,
    /// Of those, when a thread that only sleeps was not late.
    own: f64,
    memory: Course,
    live: Course,
    retired: f64,
    cores: f64,
}

pub(crate) fn measure(length: Duration) -> Result<Million> {
    eprintln!("a million a minute, for {} s", length.as_secs());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("frames.rgba");
    let reader = Reader::start(path, (4 * WIDTH * HEIGHT, 1), |_, _| {})?;
    let (size, fps) = (format!("{WIDTH}x{HEIGHT}"), FPS.to_string());
    let output = reader.path.display().to_string();
    let arguments = [
        "--size",
        &size,
        "--fps",
        &fps,
        "--output",
        &output,
        "--sprites-max",
        SPRITES_MAX,
    ];
    let service = Service::start(folder.path(), &arguments);
    let get = |name: &str| figure(&service.address, name, &[]);
    let duration = format!("{}s", length.as_secs());
    let crowd = [
        "--rate",
        MESSAGES,
        "--counts",
        COUNT,
        "--duration",
        &duration,
        "--publishers",
        "16",
    ];
    let crowd = Crowd::start(&service.address, &crowd)?;
    let (begun, before) = (now(), cpu_s(service.child.id())?);
    let control = Control::start(FPS);
    let (mut memory, mut live) = (Course::default(), Course::default());
    let (mut seconds, mut late, mut early) = (Vec::new(), 0.0, [0.0; 2]);
    for second in 1..=length.as_secs() {
        if second <= length.as_secs() / 10 {
            Reader::falter(&[&reader]);
        }
        sleep_until(begun + Duration::from_secs(second));
        memory.add(begun, resident(service.child.id())?);
        live.add(begun, get("floatup_sprites_live")?);
        let now_late = get("floatup_frames_late_total")?;
        seconds.push(now_late - late);
        late = now_late;
        if second == length.as_secs() / 10 {
            early = [get("floatup_frames_rendered_total")?, late];
            seconds.fill(0.0);
        }
    }
    let own = beyond_stalls(&seconds, &control.stop());
    let took = begun.elapsed();
    let million = Million {
        took,
        crowd: crowd.report()?,
        rendered: get("floatup_frames_rendered_total")? - early[0],
        late: late - early[1],
        own,
        memory,
        live,
        retired: figure(
            &service.address,
            "floatup_sprites_dropped_total",
            &["retire_oldest"],
        )?,
        cores: (cpu_s(service.child.id())? - before) / took.as_secs_f64(),
    };
    service.stop();
    reader.join()?;
    ensure!(million.rendered > 0.0, "the service drew nothing");
    Ok(million)
}

impl Million {
    /// Of its second half: what the allocator has to set apart, it has by then.
    fn growth(&self) -> f64 {
        self.memory.per_hour(self.took / 2) / self.memory.most()
    }

    pub(crate) fn rows(&self) -> [[String; 4]; 4] {
        let late = self.late / self.rendered;
        let minutes = self.took.as_secs() / 60;
        [
            [
                format!(
                    "1,000,000 reactions a minute for {minutes} min, cap {SPRITES_MAX}: frames late"
                ),
                format!("under {} %", 100.0 * LATE),
                format!("{} %", three(100.0 * late)),
                reached(late < LATE),
            ],
            [
                "of those while the machine did not stand still".into(),
                format!("under {} %", 100.0 * LATE),
                format!("{} %", three(100.0 * self.own / self.rendered)),
                reached(self.own / self.rendered < LATE),
            ],
            [
                "memory meanwhile: growth in an hour".into(),
                format!("none: within {} % of it", 100.0 * GROWTH),
                format!("{} %", three(100.0 * self.growth())),
                reached(self.growth() < GROWTH),
            ],
            [
                "the same memory, one channel of 1080p60 with 4 emoji: at most".into(),
                format!("under {MEMORY_MB} MB"),
                format!("{} MB", three(self.memory.most() / 1e6)),
                reached(self.memory.most() / 1e6 < MEMORY_MB),
            ],
        ]
    }

    pub(crate) fn tell(&self, page: &mut Page) {
        page.paragraph(&format!(
            "`floatup simulate --rate {MESSAGES} --counts {COUNT}` for {} s, onto a channel of 1080p{FPS} \
             whose raw frames go through a pipe to a reader, which stands still for a moment each second of \
             the first tenth, so that all memory that there is for frames comes into use. That tenth \
             is not counted. A thread beside it does nothing but sleep until each frame is due; within a second of when it is \
             late by half a frame, the machine stood still. Memory is looked at each second; its \
             growth is the slope of the line through it, by least squares, over the second half: what \
             adds up with reactions or frames adds up there as well.",
            self.took.as_secs()
        ));
        let mut table = Table::new(["figure", "value"]);
        let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
        row("messages accepted", self.crowd.accepted.to_string());
        row("of those planned", self.crowd.planned.to_string());
        row("frames", format!("{:.0}", self.rendered));
        row("late", format!("{:.0}", self.late));
        row(
            "of those while a thread that only sleeps was not",
            format!("{:.0}", self.own),
        );
        row(
            "sprites at once, at most",
            format!("{:.0}", self.live.most()),
        );
        row(
            "sprites that made room for others",
            format!("{:.0}", self.retired),
        );
        row("memory, at most, MB", three(self.memory.most() / 1e6));
        for (name, warm_up) in [
            ("its growth in the second half, MB an hour", self.took / 2),
            ("the same after the first tenth", self.took / 10),
        ] {
            row(name, three(self.memory.per_hour(warm_up) / 1e6));
        }
        row("cores", three(self.cores));
        page.table(&table);
        let minutes = self.memory.minutes();
        let minutes = minutes.iter().map(|bytes| format!("{:.2}", bytes / 1e6));
        page.paragraph(&format!(
            "Memory at the end of each minute, MB: {}.",
            minutes.collect::<Vec<_>>().join(", ")
        ));
    }
}
