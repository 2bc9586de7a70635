//! `docs/faults.md` has each of these tests, and quotes what they hold and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The parts of a text between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_table_is_of_these_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let mut source = String::new();
    let mut tests = BTreeSet::new();
    for module in ["clock", "outputs", "process", "sources"] {
        let path = format!("tests/it/faults/{module}.rs");
        let text = fs::read_to_string(root.join(path)).unwrap();
        for after in text.split("#[test]\n").skip(1) {
            let name = after.split(['(', ' ']).nth(1).unwrap();
            tests.insert(format!("{module}::{name}"));
        }
        if text.contains("#[tokio::test") {
            tests.insert(format!("{module}::a_websocket_is_half_closed"));
        }
        source += &text.replace("\\\"", "\"");
    }
    source += &fs::read_to_string(root.join("tests/it/faults.rs")).unwrap();
    let mut told = BTreeSet::new();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    for row in rows.skip_while(|row| !row.starts_with("| ---")).skip(1) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, _, _, _, log, metric, test] = cells[..] else {
            panic!("{row}");
        };
        for line in quoted(log) {
            assert!(source.contains(line), "no test asks for {line:?}");
        }
        for metric in quoted(metric) {
            let name = metric.split('{').next().unwrap();
            let name = name.trim_start_matches("floatup_source_");
            let name = name.trim_start_matches("floatup_output_");
            assert!(source.contains(name), "no test asks for {metric:?}");
        }
        told.extend(quoted(test).map(str::to_owned));
    }
    assert_eq!(told, tests);
}
