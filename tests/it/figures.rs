//! What `/metrics` says of a service at work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Read;
use std::net::TcpListener;
use std::str::FromStr;

use crate::floatup::{Service, floatup, http, publish, until};
use crate::tree::read;

/// All series by their names and labels.
fn figures(service: &Service) -> BTreeMap<String, String> {
    let (status, text) = http(&service.address, "GET", "/metrics", b"");
    assert_eq!(status, 200);
    let text = String::from_utf8(text).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| line.rsplit_once(' ').unwrap());
    series
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A figure, or zero where there is none.
fn figure<T: FromStr<Err: Debug> + Default>(service: &Service, series: &str) -> T {
    let value = figures(service).remove(series);
    value.map_or_else(T::default, |value| value.parse().unwrap())
}

/// The series of an output of the channel `demo`.
fn of_output(name: &str, output: &str) -> String {
    format!("floatup_output_{name}{{channel=\"demo\",output=\"{output}\"}}")
}

#[test]
fn a_reaction_is_timed_until_an_output_has_written_it() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = format!("tcp://{}", listener.local_addr().unwrap());
    let args = ["--size", "320x180", "--fps", "30"];
    let outputs = ["--output", "all.rgba", "--output", &tcp];
    let service = Service::start(folder.path(), &[&args[..], &outputs].concat());
    let (mut stuck, _) = listener.accept().unwrap();
    // Its socket is full.
    until("nothing is taken", || {
        let drawn: u64 = figure(&service, "floatup_frames_rendered_total{channel=\"demo\"}");
        drawn > 10 + figure::<u64>(&service, &of_output("frames_total", &tcp))
    });
    for text in ["heart", "nothing known", "{\"heart\":40}"] {
        publish(&service.address, "demo", text);
    }
    let count = |output| figure::<u64>(&service, &of_output("latency_seconds_count", output));
    until("they are written", || count("all.rgba") == 2);
    assert_eq!(count(&tcp), 0);
    let waiting = |output: &str, state| {
        let labels = format!("channel=\"demo\",output=\"{output}\",state=\"{state}\"");
        figure::<u64>(
            &service,
            &format!("floatup_output_queue_frames{{{labels}}}"),
        )
    };
    // Three drawn ones are held for it, and it is owed the rest.
    assert_eq!(waiting(&tcp, "drawn"), 3);
    assert!(waiting(&tcp, "owed") >= 6);
    let sum = |output| figure::<f64>(&service, &of_output("latency_seconds_sum", output));
    let in_time = sum("all.rgba");

    let reader = std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while stuck.read(&mut bytes).unwrap() > 0 {}
    });
    until("they are written there too", || count(&tcp) == 2);
    assert!(sum(&tcp) > in_time, "{} {in_time}", sum(&tcp));
    assert_eq!(count("all.rgba"), 2, "each once");
    until("it has caught up", || waiting(&tcp, "owed") == 0);
    for output in ["all.rgba", &tcp] {
        until("whole frames are counted", || {
            let figures = figures(&service);
            let of = |name| figures[&of_output(name, output)].parse::<u64>().unwrap();
            of("bytes_total") == of("frames_total") * 320 * 180 * 4
        });
    }

    let begun = "floatup_frame_lateness_seconds_count{channel=\"demo\"}";
    assert!(figure::<u64>(&service, begun) > 10);
    drop(listener);
    service.stop();
    reader.join().unwrap();
}

#[test]
fn a_source_says_how_late_its_messages_are_and_how_often_it_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Service::start(folder.path(), &[]);
    let source = upstream.url("/topics/video/demo");
    let service = Service::start(folder.path(), &["--source", &source]);
    let of = |name: &str, source: &str| {
        format!("floatup_source_{name}{{channel=\"demo\",source=\"{source}\"}}")
    };
    let live = format!("channel=\"demo\",source=\"{source}\",state=\"live\"");
    let live = format!("floatup_source_state{{{live}}}");
    until("it follows", || figure::<u64>(&service, &live) == 1);
    for name in [&source, "embedded", "webhook"] {
        assert!(
            !figures(&service).contains_key(&of("lag_seconds", name)),
            "{name}"
        );
    }
    publish(&upstream.address, "demo", "heart");
    until("it comes", || {
        figures(&service).contains_key(&of("lag_seconds", "embedded"))
    });
    for name in [&source, "embedded"] {
        let lag = figures(&service)[&of("lag_seconds", name)]
            .parse::<f64>()
            .unwrap();
        assert!((0.0..10.0).contains(&lag), "{name}: {lag}");
    }
    assert!(!figures(&service).contains_key(&of("lag_seconds", "webhook")));
    assert_eq!(figure::<u64>(&service, &of("reconnects_total", &source)), 0);
    upstream.stop();
    until("it is lost", || {
        figure::<u64>(&service, &of("reconnects_total", &source)) == 1
    });
    service.stop();
}

/// A family of an exposition: its type, and its series.
#[derive(Debug, Default)]
struct Figure {
    kind: String,
    has_help: bool,
    series: Vec<(String, Labels, f64)>,
}

type Labels = Vec<(String, String)>;

/// Reads an exposition, and holds it to the rules of `OpenMetrics` text that a scraper relies on.
fn exposition(text: &str) -> BTreeMap<String, Figure> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
    let mut families: BTreeMap<String, Figure> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    for line in body.lines() {
        assert!(!line.is_empty() && line.trim() == line, "{line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && name.starts_with("floatup_"), "{line}");
            let begins = word == "HELP";
            assert_eq!(begins, name != current, "families are not mixed: {line}");
            current = name.into();
            let before = families.contains_key(name);
            assert_eq!(begins, !before, "a family comes once: {line}");
            let family = families.entry(name.into()).or_default();
            match word {
                "HELP" => {
                    assert!(rest.len() > 3 && rest.ends_with('.'), "{line}");
                    family.has_help = true;
                }
                "TYPE" => {
                    let known = ["counter", "gauge", "histogram"];
                    assert!(known.contains(&rest) && family.kind.is_empty(), "{line}");
                    family.kind = rest.into();
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series.to_owned()), "twice: {series}");
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect("a brace"))),
            None => (series, Labels::new()),
        };
        let suffix = name.strip_prefix(current.as_str());
        let suffix = suffix.unwrap_or_else(|| panic!("{name} is none of {current}"));
        let family = families.get_mut(&current).unwrap();
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            _ => &["_sum", "_count", "_bucket"],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        family.series.push((suffix.into(), labels, value));
    }
    for (name, family) in &families {
        assert!(family.has_help && !family.kind.is_empty(), "{name}");
        assert!(!name.ends_with("_total"), "{name}");
        assert!(!family.series.is_empty(), "{name}");
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    families
}

fn is_name(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `a="b",c="d"`; a quote in a value has a backslash before it.
fn labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{text}");
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.expect("a value ends");
        labels.push((name.into(), after[..end].into()));
        rest = after[end + 1..].trim_start_matches(',');
    }
    let names: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "{text}");
    labels
}

/// Buckets rise, each has all of those before it, and the last has all.
fn check_histogram(name: &str, family: &Figure) {
    #[derive(Default)]
    struct Histogram {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        has_sum: bool,
    }
    let mut all: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for (suffix, labels, value) in &family.series {
        let mut labels = labels.clone();
        let bound = labels.iter().position(|(name, _)| name == "le");
        let bound = bound.map(|at| labels.remove(at).1.replace("+Inf", "inf"));
        let histogram = all.entry(labels).or_default();
        match suffix.as_str() {
            "_bucket" => histogram
                .buckets
                .push((bound.unwrap().parse().unwrap(), *value)),
            "_count" => histogram.count = Some(*value),
            _ => histogram.has_sum = true,
        }
    }
    for (labels, histogram) in all {
        let Histogram {
            buckets,
            count,
            has_sum,
        } = histogram;
        let rises = |(a, b): &(f64, f64), (c, d): &(f64, f64)| a < c && b <= d;
        assert!(
            buckets.is_sorted_by(rises),
            "{name} {labels:?}: {buckets:?}"
        );
        let (bound, all) = *buckets.last().unwrap();
        assert!(bound.is_infinite() && has_sum, "{name} {labels:?}");
        assert!(Some(all) == count, "{name} {labels:?}");
    }
}

/// The series that the documentation names, with the labels of each.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("docs/http.md");
    let (_, text) = text.split_once("\n## Metrics\n").unwrap();
    let (text, _) = text.split_once("\n### From reaction to pixel").unwrap();
    let quoted = |cell: &str| {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(String::from).collect::<Vec<_>>()
    };
    let mut all = BTreeMap::new();
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let row = format!("`{row}");
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!(cells.len(), 4, "{row}");
        // What follows a colon are the values of the label before it, which is the last one.
        let mut labels = BTreeSet::new();
        let mut of_values = false;
        for piece in cells[1].split('`') {
            match piece.trim() {
                ":" => of_values = true,
                "," | "" => {}
                label if !of_values => drop(labels.insert(label.to_owned())),
                _ => {}
            }
        }
        for name in quoted(cells[0]) {
            assert!(
                all.insert(name.clone(), labels.clone()).is_none(),
                "{name} twice"
            );
        }
    }
    all
}

#[test]
fn the_whole_exposition_is_valid_and_documented() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = floatup();
    command.current_dir(folder.path());
    let arn = "arn:aws:ivs:us-east-1:123456789012:channel/abcd1234?endpoint=http://127.0.0.1:9";
    command.args(["--listen", "127.0.0.1:0", "--size", "64x36", "--fps", "30"]);
    command.args(["--output", "all.rgba", "--timed-metadata", arn]);
    command.args(["--source", "http://127.0.0.1:9/topics/a/b"]);
    command
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b");
    let service = Service::run(command);
    for text in [
        "heart",
        "{\"heart\":40,\"fire\":3}",
        "<b>\"nothing\nknown\\",
        "\u{1f525}",
    ] {
        publish(&service.address, "demo", text);
        // A topic's name is its publisher's.
        publish(&service.address, "of%22somebody", text);
    }
    let poll = "/topics/video/demo?sequence_number=1";
    assert_eq!(http(&service.address, "GET", poll, b"").0, 200);
    assert_eq!(
        http(&service.address, "GET", "/topics/video/a%2Fb", b"").0,
        400
    );
    assert_eq!(
        http(&service.address, "GET", "/channels/demo/frame.png", b"").0,
        200
    );
    let latency = of_output("latency_seconds_count", "all.rgba");
    until("reactions are timed", || {
        figure::<u64>(&service, &latency) == 3
    });

    let (status, text) = http(&service.address, "GET", "/metrics", b"");
    assert_eq!(status, 200);
    let text = String::from_utf8(text).unwrap();
    let families = exposition(&text);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, family) in &families {
        let suffix = if family.kind == "counter" {
            "_total"
        } else {
            ""
        };
        let labels = family.series.iter().flat_map(|(_, labels, _)| labels);
        let labels = labels.map(|(label, _)| label.clone());
        let labels = labels.filter(|label| label != "le").collect();
        found.insert(format!("{name}{suffix}"), labels);
    }
    let mut documented = documented();
    documented.retain(|name, _| !name.starts_with("floatup_programme_"));
    assert_eq!(found, documented);
    // Nothing that a viewer has sent is in it.
    for word in ["somebody", "nothing", "video"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    service.stop();
}
