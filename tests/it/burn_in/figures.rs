//! What a burn-in counts, and that what it says of itself is so.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use super::media::ffmpeg;
use super::{SEED, folder};
use crate::floatup::{Running, floatup, http, send_signal, until, wait};
use crate::media::{frame_count, output, tool};

/// Room in each queue, one for each thread that puts something in and waits for room, and one that
/// is being taken out.
const PROGRAMME_BOUNDS: [(&str, i64); 2] = [
    ("floatup_programme_packets_waiting", 512 + 2),
    ("floatup_programme_pictures_waiting", 3 + 2),
];
const OUTPUT_BOUNDS: [(&str, i64); 2] = [
    ("floatup_programme_output_packets_waiting", 1_024 + 3),
    ("floatup_programme_output_pictures_waiting", 4 + 2),
];

const OUTPUTS: [&str; 2] = ["rec.nut", "small.mkv"];

/// Pictures of the programme.
const PICTURES: i64 = 100;

/// Figures by name and labels, of a text in the format of `OpenMetrics`.
struct Figures(BTreeMap<String, String>);

impl Figures {
    /// Reads them; the text must be as the format has it.
    fn parse(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").expect("it has an end");
        let mut families: BTreeMap<&str, &str> = BTreeMap::new();
        let (mut described, mut family) = (None, ("", ""));
        let mut figures = BTreeMap::new();
        for line in lines.lines() {
            if let Some(told) = line.strip_prefix("# HELP ") {
                described = Some(told.split_once(' ').expect(line).0);
            } else if let Some(told) = line.strip_prefix("# TYPE ") {
                family = told.split_once(' ').expect(line);
                assert_eq!(described, Some(family.0), "{line}");
                let before = families.insert(family.0, family.1);
                assert_eq!(before, None, "a family is there once: {line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                assert!(labels.ends_with('}'), "{line}");
                let kind = name.strip_prefix(family.0).expect(line);
                let kinds: &[_] = match family.1 {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => panic!("{line}"),
                };
                assert!(kinds.contains(&kind), "{line} of a {}", family.1);
                value.parse::<f64>().expect(line);
                let before = figures.insert(series.to_owned(), value.to_owned());
                assert_eq!(before, None, "a figure is there once: {line}");
            }
        }
        Self(figures)
    }

    #[track_caller]
    fn text(&self, series: &str) -> &str {
        let value = self.0.get(series);
        value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }

    #[track_caller]
    fn get(&self, series: &str) -> i64 {
        self.text(series).parse().expect(series)
    }

    /// One that is a time, whose unit is in its name.
    #[track_caller]
    fn seconds(&self, series: &str) -> f64 {
        self.text(series).parse().expect(series)
    }

    /// A figure of the programme.
    #[track_caller]
    fn programme(&self, name: &str) -> i64 {
        self.get(&format!("floatup_programme_{name}"))
    }

    /// A figure of an output, whose encoder is counted with the programme.
    #[track_caller]
    fn output(&self, name: &str, output: &str) -> i64 {
        self.get(&format!("{name}{{output=\"{output}\"}}"))
    }

    /// A figure that every kind of output has.
    #[track_caller]
    fn any_output(&self, name: &str, output: &str) -> i64 {
        self.get(&format!(
            "floatup_output_{name}{{channel=\"log\",output=\"{output}\"}}"
        ))
    }

    /// Checks that no queue is longer than there is room for; gives how much waits in all.
    fn check_queues(&self) -> i64 {
        let mut all = 0;
        let mut see = |what: &str, waiting: i64, bound: i64| {
            assert!((0..=bound).contains(&waiting), "{what}: {waiting}");
            all += waiting;
        };
        for (name, bound) in PROGRAMME_BOUNDS {
            see(name, self.get(name), bound);
        }
        for output in OUTPUTS {
            for (name, bound) in OUTPUT_BOUNDS {
                see(name, self.output(name, output), bound);
            }
        }
        all
    }
}

/// A running burn-in that says where its figures are.
struct BurnIn {
    child: Running,
    address: String,
}

impl BurnIn {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = floatup()
            .current_dir(folder)
            .args(["burn-in", "--reactions", "log.ndjson"])
            .args(SEED)
            .args(["--metrics", "127.0.0.1:0"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("floatup starts");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let child = Running(child);
        let address = loop {
            let from = said.len();
            let length = log.read_line(&mut said).unwrap();
            assert!(length > 0, "it never said where its figures are: {said}");
            if let Some((_, rest)) = said[from..].split_once("metrics at http://") {
                let address = rest.trim_end().strip_suffix("/metrics");
                break address.expect("an address of figures").to_owned();
            }
        };
        // Somebody has to read on.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    fn figures(&self) -> Figures {
        let (status, text) = http(&self.address, "GET", "/metrics", b"");
        assert_eq!(status, 200);
        Figures::parse(&String::from_utf8(text).unwrap())
    }

    /// Waits until figures are so; no queue is ever too long meanwhile.
    fn until(&self, what: &str, is_so: impl Fn(&Figures) -> bool) -> Figures {
        let mut found = None;
        until(what, || {
            let figures = self.figures();
            figures.check_queues();
            let done = is_so(&figures);
            found = Some(figures);
            done
        });
        found.unwrap()
    }
}

/// A transport stream of four seconds, with sound in the first of them.
fn programme(folder: &Path) -> Vec<u8> {
    ffmpeg(
        folder,
        "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=440:d=1:r=48000 -map 0 -map 1 \
         -c:v libx264 -preset ultrafast -g 25 -bf 0 -c:a mp2 in.ts",
    );
    fs::read(folder.join("in.ts")).unwrap()
}

/// The sizes of all packets of a file, those of the picture last.
fn packet_sizes(path: &Path) -> Vec<i64> {
    let show = ["-show_entries", "packet=size", "-of", "csv=p=0"];
    let sizes = |streams: &str| {
        let mut command = tool("ffprobe");
        let text = output(
            command
                .args(["-select_streams", streams])
                .args(show)
                .arg(path),
        );
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().map(|line| line.trim_end_matches(','));
        let sizes = lines.filter(|line| !line.is_empty());
        sizes.map(|size| size.parse().unwrap()).collect::<Vec<_>>()
    };
    [sizes("a"), sizes("v")].concat()
}

#[test]
fn a_live_burn_in_counts_what_it_does() {
    let folder = folder();
    let folder = folder.path();
    let stream = programme(folder);
    let source = TcpListener::bind("127.0.0.1:0").unwrap();
    let input = format!("tcp://{}", source.local_addr().unwrap());
    let (first, rest) = stream.split_at(stream.len() * 3 / 4);
    let burn_in = BurnIn::start(
        folder,
        &[
            &*input,
            OUTPUTS[0],
            "--on-input-loss",
            "wait",
            "--preset",
            "ultrafast",
            "--tune",
            "zerolatency",
            "--output",
            OUTPUTS[1],
            "--output-size",
            "160x90",
        ],
    );
    let (status, _) = http(&burn_in.address, "GET", "/healthz", b"");
    assert_eq!(status, 200);
    // Nothing has come, and that is said, too.
    let figures = burn_in.figures();
    assert_eq!(figures.programme("input_open"), 0);
    assert_eq!(figures.programme("frames_total"), 0);

    let mut sender = source.accept().unwrap().0;
    sender.write_all(first).unwrap();
    let figures = burn_in.until("pictures come", |figures| {
        figures.programme("frames_total") >= 40
    });
    assert_eq!(figures.programme("input_open"), 1);
    assert_eq!(figures.programme("input_losses_total"), 0);
    let sprites = "floatup_sprites_live{channel=\"log\"}";
    burn_in.until("sprites are on stage", |figures| figures.get(sprites) > 0);
    for output in OUTPUTS {
        assert_eq!(figures.any_output("open", output), 1, "{output}");
    }

    // Whoever asks for the input once more is let in, and is told nothing.
    sender.write_all(rest).unwrap();
    drop(sender);
    let silent = source.accept().unwrap();
    let figures = burn_in.until("all that came is done with", |figures| {
        let encoded = |output| figures.output("floatup_programme_output_pictures_total", output);
        figures.programme("input_open") == 0
            && OUTPUTS.iter().all(|output| encoded(output) == PICTURES)
            && figures.check_queues() == 0
    });
    assert_eq!(figures.programme("input_losses_total"), 1);
    assert_eq!(figures.programme("frames_total"), PICTURES);
    assert_eq!(figures.programme("overlay_seconds_count"), PICTURES);
    assert!(figures.seconds("floatup_programme_overlay_seconds_sum") > 0.0);
    assert_eq!(figures.programme("time_milliseconds"), 3_960);
    for none in ["slates", "jumps", "damaged", "overrun", "dropped"] {
        let figure = figures.programme(&format!("{none}_total"));
        assert_eq!(figure, 0, "{none}");
    }
    for output in OUTPUTS {
        let seconds =
            format!("floatup_programme_output_encode_seconds_total{{output=\"{output}\"}}");
        assert!(figures.seconds(&seconds) > 0.0, "{output}");
        let frames = figures.any_output("frames_total", output);
        assert_eq!(frames, PICTURES, "{output}");
    }
    drop((silent, source));
    send_signal(&burn_in.child, "INT");
    let mut child = burn_in.child;
    assert!(wait(&mut child).success());
    assert_eq!(
        frame_count(&folder.join(OUTPUTS[1])),
        PICTURES.unsigned_abs()
    );

    // NUT has packets as they come. When nothing waits any more, the last may be in hand yet.
    let bytes = figures.output("floatup_programme_output_bytes_total", OUTPUTS[0]);
    let sizes = packet_sizes(&folder.join(OUTPUTS[0]));
    let all: i64 = sizes.iter().sum();
    let without_last = all - sizes.last().unwrap();
    assert!([all, without_last].contains(&bytes), "{bytes} of {all}");
}
