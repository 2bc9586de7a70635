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
fn http_request() {
    check_texts("http_request", bodies::http_request);
}

#[test]
fn irc_line() {
    check_texts("irc_line", bodies::irc_line);
}

#[test]
fn ivs_frame() {
    check_texts("ivs_frame", bodies::ivs_frame);
}

#[test]
fn reaction_decode() {
    check_texts("reaction_decode", bodies::reaction_decode);
}

#[test]
fn reaction_log() {
    check_corpus("reaction_log", bodies::reaction_log);
}

#[test]
fn scene() {
    check_texts("scene", bodies::scene);
}

#[test]
fn settings() {
    check_texts("settings", bodies::settings);
}

#[test]
fn stylesheet() {
    check_texts("stylesheet", bodies::stylesheet);
}

#[test]
fn token() {
    check_texts("token", bodies::token);
}

/// What is long but no larger than what people have is read, or refused, in a time like its length.
#[test]
fn long_texts_are_read_soon_or_refused() {
    let keys: String = (0..20_000).map(|n| format!("k{n}=1\n")).collect();
    bodies::settings(&keys);
    assert_eq!(floatup::config::file::check(&keys).len(), 1_000);
    let tables = "[[channel]]\n".repeat(5_000);
    bodies::settings(&tables);
    let rules = (0..5_000).map(|n| format!(".reaction-r{n} {{ font-size: 9px }}\n"));
    let css = floatup::look::STYLESHEET.to_owned() + &rules.collect::<String>();
    bodies::stylesheet(&css);
    let error = floatup::motion::Stylesheet::parse(&css).unwrap_err();
    assert!(error.message.contains("5000 reactions"), "{error}");
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
