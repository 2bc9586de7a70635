//! Every file of the fuzz corpora, through the bodies of the fuzz targets.

use proptest::prelude::*;

use crate::tree::{files_below, read};

#[expect(unreachable_pub, reason = "the fuzz crate shares the file")]
#[path = "../fuzz/bodies.rs"]
pub(crate) mod bodies;

fn check_corpus(target: &str, body: impl Fn(&[u8])) {
    let files = files_below(&format!("tests/fuzz/corpus/{target}"));
    assert!(!files.is_empty(), "{target}");
    for file in files {
        eprintln!("{}", file.display());
        body(&std::fs::read(&file).unwrap());
    }
}

fn check_texts(target: &str, body: fn(&str)) {
    check_corpus(target, |bytes| {
        // As the fuzzer does: bytes that are no text are not for these targets.
        if let Ok(text) = std::str::from_utf8(bytes) {
            body(text);
        }
    });
}

#[test]
fn artwork() {
    check_corpus("artwork", bodies::artwork);
}

#[test]
fn irc_line() {
    check_texts("irc_line", bodies::irc_line);
}

#[test]
fn reaction_decode() {
    check_texts("reaction_decode", bodies::reaction_decode);
}

#[test]
fn settings() {
    check_texts("settings", bodies::settings);
}

#[test]
fn every_target_has_a_body_and_a_corpus() {
    let manifest = read("tests/fuzz/Cargo.toml");
    let bodies = read("tests/fuzz/bodies.rs");
    let replayed = read("tests/it/fuzz_corpus.rs");
    let targets = files_below("tests/fuzz/fuzz_targets");
    assert!(targets.len() > 1, "{targets:?}");
    for target in targets {
        let name = target.file_stem().unwrap().to_str().unwrap();
        assert!(
            manifest.contains(&format!("fuzz_targets/{name}.rs")),
            "{name}"
        );
        assert!(bodies.contains(&format!("pub fn {name}(")), "{name}");
        assert!(
            replayed.contains(&format!("\"{name}\", bodies::{name}")),
            "{name}"
        );
    }
}

proptest! {
    /// Pieces of settings in any order reach further than any text does.
    #[test]
    fn settings_in_pieces(
        pieces in proptest::collection::vec(
            prop_oneof![
                "[a-z_]{1,6}",
                "\\PC{0,4}",
                prop::sample::select(vec![
                    "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\n", "\r\n", "\"", "\"\"\"", "'",
                    "#", "\\", "-", "1", "1e9", "inf", "true", "1979-05-27", "❤️", "\u{feff}", "size",
                    "fps", "palette", "channel", "name", "caches", "seed", "output", "topic",
                ]).prop_map(String::from),
            ],
            0..40,
        )
    ) {
        bodies::settings(&pieces.concat());
    }
}
