//! Reactions burned into real media, read back packet by packet and sample by sample.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::floatup::{run, stderr};

pub(crate) mod media;
mod overlays;
mod pixels;
mod probe;
pub(crate) mod ts;

mod checkers;
mod figures;
mod hostile;
mod live;
mod pictures;
mod placement;
mod recipes;
mod refused;
mod streams;
mod sync;

/// Sprites from the first frame on, over the two seconds that most programmes here last.
const LOG: &str = "{\"at_ms\":0,\"reaction\":\"heart\",\"count\":2}
{\"at_ms\":150,\"reaction\":\"100\",\"count\":3}
{\"at_ms\":400,\"reaction\":\"fire\",\"count\":3}
{\"at_ms\":880,\"reaction\":\"rainbow\",\"count\":2}
{\"at_ms\":1400,\"reaction\":\"heart\",\"count\":3}
";

/// A folder with the log.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.ndjson"), LOG).unwrap();
    folder
}

/// Where sprites begin, in every run here.
const SEED: [&str; 2] = ["--seed", "7"];

/// Runs a burn-in of the log: its arguments are words.
fn burn_in(folder: &Path, arguments: &str) -> Output {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let burn_in = ["burn-in", "--reactions", "log.ndjson"];
    run(folder, &[&burn_in, &SEED[..], &arguments].concat())
}

/// Burns the log in, which must succeed, and gives what was said on stderr.
fn burn(folder: &Path, arguments: &str) -> String {
    let output = burn_in(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", stderr(&output));
    assert!(
        output.stdout.is_empty(),
        "{arguments}: stdout is for frames"
    );
    stderr(&output)
}
