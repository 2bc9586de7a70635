//! The architecture, held by a test: who may import whom, what the core never touches, and that
//! no asset and no flag is forgotten.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tree::{files_below, read, root};

/// Pure modules: no clock, IO, environment, thread or tokio.
const CORE: &[&str] = &[
    "pixel", "frame", "planes", "keyer", "matte", "motion", "reaction", "scatter", "token",
    "emoji", "artwork", "sprite", "cast", "stage", "gate", "paint", "flash", "scene", "log",
    "calendar", "shown", "chart", "crowd",
];

/// Modules that meet the world.
const SHELL: &[&str] = &[
    "metrics",
    "fetch",
    "aws",
    "momento",
    "topic",
    "source",
    "timed_metadata",
    "output",
    "capture",
    "burn_in",
    "server",
    "config",
    "stderr",
    "look",
    "channel",
    "command",
];

/// What the core must not name.
const NOT_IN_CORE: &[&str] = &[
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    // Would hide one of those.
    "std::{",
    "tokio",
];

/// The modules in the order of `lib.rs`: a module may import those before it.
fn modules() -> Vec<String> {
    let code = code_of(&read("src/lib.rs"));
    let names = code.lines().filter_map(|line| {
        let name = line.trim().strip_prefix("pub mod ")?;
        Some(name.trim_end_matches(';').to_owned())
    });
    names.collect()
}

/// Every source file of a module: the module's name, the file's path and its code.
fn sources() -> Vec<(String, String, String)> {
    let mut sources = Vec::new();
    for path in files_below("src") {
        let path = path.strip_prefix(root()).unwrap();
        let inside = path.strip_prefix("src").unwrap();
        let first = Path::new(inside.iter().next().unwrap());
        let module = first.file_stem().unwrap().to_str().unwrap();
        let is_rust = path.extension().is_some_and(|ending| ending == "rs");
        if is_rust && !matches!(module, "lib" | "main") {
            let code = code_of(&read(path));
            sources.push((module.into(), path.display().to_string(), code));
        }
    }
    sources
}

/// Rust without comments and without the content of strings and characters.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            code.push_str("\"\"");
            string_len(rest)
        } else if let Some(hashes) = raw_string(rest, &code) {
            code.push_str("\"\"");
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            let end = rest[open..].find(&close);
            end.map_or(rest.len(), |end| open + end + close.len())
        } else if let Some(len) = char_len(rest) {
            code.push_str("''");
            len
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    code
}

/// The length of the string literal at the beginning, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// The number of `#` of the raw string at the beginning, if there is one.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let byte = before.ends_with('b');
    (rest[hashes..].starts_with('"') && (!in_word || byte)).then_some(hashes)
}

/// The length of the character literal at the beginning; a lifetime is none.
fn char_len(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    let first = rest.chars().next()?;
    if first == '\\' {
        return rest[2..].find('\'').map(|end| end + 4);
    }
    let end = 1 + first.len_utf8();
    text[end..].starts_with('\'').then_some(end + 1)
}

/// The modules that code names by `crate::`, with the line of each.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        let before = &code[..at];
        if before.ends_with(is_word) || before.ends_with('$') {
            continue;
        }
        let rest = &code[at + path.len()..];
        let name: String = rest.chars().take_while(|&c| is_word(c)).collect();
        found.push((1 + before.matches('\n').count(), name));
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether code has `name` as a whole path or word.
fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let after = &code[at + name.len()..];
        let ends = !name.ends_with(is_word) || !after.starts_with(is_word);
        ends && !code[..at].ends_with(is_word)
    })
}

#[test]
fn code_is_told_from_comments_and_strings() {
    let text = r####"a // crate::x
        "crate::y \" // " b /* crate::z */ '"' 'c' '\'' '\u{1f}' &'a d
        r"\" e r#"" crate::w "# f br"x" g"####;
    let words: Vec<_> = code_of(text)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let expected = ["a", "\"\"", "b", "''", "''", "''", "''", "&'a", "d"];
    assert_eq!(words[..9], expected);
    assert_eq!(words[9..], ["\"\"", "e", "\"\"", "f", "b\"\"", "g"]);
    let code = "use crate::a::{b};\nlet x = crate::c::d; $crate::e; mycrate::f; crate::{g}";
    let names = [(1, "a"), (2, "c"), (2, "")].map(|(line, name)| (line, name.to_owned()));
    assert_eq!(imports(code), names);
    assert!(mentions("use tokio::x", "tokio") && !mentions("tokios my_tokio", "tokio"));
    assert!(mentions("use std::{fs}", "std::{"));
}

#[test]
fn a_module_imports_only_modules_above_it() {
    let modules = modules();
    let place = |name: &str| modules.iter().position(|module| module == name);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, path, code) in sources() {
        let Some(own) = place(&module) else {
            wrong.push(format!("{path}: {module} is not in lib.rs"));
            continue;
        };
        seen.insert(module.clone());
        for (line, name) in imports(&code) {
            match place(&name) {
                Some(other) if other <= own => {}
                Some(_) => wrong.push(format!(
                    "{path}: {module} imports {name}, which lib.rs lists below it (line {line} \
                     of the code without comments)"
                )),
                None => wrong.push(format!("{path}: crate::{name} names no module")),
            }
        }
        // In a file of a folder, super is a module of the same name; else it is the crate.
        let nested = Path::new(&path).components().count() > 2;
        for (at, _) in code.match_indices("super::") {
            let rest = &code[at..];
            let hides = rest.starts_with("super::super::") || !nested;
            if hides && !rest.starts_with("super::*;") {
                wrong.push(format!(
                    "{path}: super:: hides what is imported; write crate::"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed: BTreeSet<String> = modules.iter().cloned().collect();
    assert_eq!(listed, seen, "each module of lib.rs was read");
}

#[test]
fn the_core_sees_no_clock_io_environment_or_thread() {
    let mut wrong = Vec::new();
    let mut shell_began = false;
    for module in modules() {
        let core = CORE.contains(&&module[..]);
        if !core && !SHELL.contains(&&module[..]) {
            wrong.push(format!("{module}: add it to CORE or SHELL in this file"));
        }
        if core && shell_began {
            wrong.push(format!("{module}: a core module below the shell in lib.rs"));
        }
        shell_began |= !core;
    }
    for (module, path, code) in sources() {
        if CORE.contains(&&module[..]) {
            // Tests, at the foot, may read what they compare with.
            let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
            for name in NOT_IN_CORE {
                if mentions(code, name) {
                    wrong.push(format!("{path}: the core mentions {name}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pages that people read: README.md, where there is one, and those in docs.
fn documents() -> Vec<(String, String)> {
    let mut paths = files_below("docs");
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    if root().join("README.md").exists() {
        paths.push(root().join("README.md"));
    }
    let documents = paths
        .iter()
        .map(|path| (path.display().to_string(), read(path)));
    documents.collect()
}

#[test]
fn every_asset_is_used() {
    let assets = files_below("assets");
    let mut users: Vec<(String, String)> = Vec::new();
    for path in files_below("src").iter().chain(&assets) {
        if let Ok(text) = std::fs::read_to_string(path) {
            users.push((path.display().to_string(), text));
        }
    }
    for asset in assets {
        let name = asset.file_name().unwrap().to_str().unwrap();
        let own = asset.display().to_string();
        let mut used = users
            .iter()
            .any(|(path, text)| *path != own && text.contains(name));
        // The list of presets has their names without the ending.
        if own.contains("assets/motion/") {
            let preset = name.trim_end_matches(".css");
            used |= floatup::look::preset::find(preset).is_some();
        }
        // These are for people; a page needs no other page that names it.
        used |= name == "README.md";
        if name.contains("LICENSE") || name.contains("OFL") {
            used |= documents().iter().any(|(_, text)| text.contains(name));
        }
        assert!(used, "{own} is named in no source and no other asset");
    }
}

/// The long flags in a text, such as `--font-size`.
fn flags(text: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for (at, dashes) in text.match_indices("--") {
        let inside = text[..at].ends_with(|c: char| is_word(c) || c == '-');
        let rest = &text[at + dashes.len()..];
        let name = rest
            .chars()
            .take_while(|&c| c.is_ascii_lowercase() || c == '-');
        let name: String = name.collect();
        if !inside && name.starts_with(|c: char| c.is_ascii_lowercase()) {
            flags.insert(format!("--{}", name.trim_end_matches('-')));
        }
    }
    flags
}

#[test]
fn every_flag_is_documented_and_every_documented_flag_exists() {
    let help = floatup::config::help_texts();
    assert_eq!(help.len(), 17, "the program, its commands and theirs");
    let help = flags(&help.join("\n"));
    assert!(
        help.contains("--listen") && help.contains("--skip-bad-lines"),
        "{help:?}"
    );
    let documents: Vec<String> = documents().into_iter().map(|(_, text)| text).collect();
    let documented = flags(&documents.join("\n"));
    let missing: Vec<_> = help.difference(&documented).collect();
    assert!(missing.is_empty(), "in no document: {missing:?}");
    let settings = flags(&read("docs/settings.md"));
    let unknown: Vec<_> = settings.difference(&help).collect();
    assert!(
        unknown.is_empty(),
        "in docs/settings.md and no flag: {unknown:?}"
    );
}

#[test]
fn unsafe_code_is_in_one_module() {
    let with_unsafe = sources().into_iter().filter(|(_, _, code)| {
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "unsafe" || word == "unsafe_code")
    });
    let files: Vec<_> = with_unsafe.map(|(_, path, _)| path).collect();
    let is_there =
        |path: &String| path == "src/burn_in/ffi.rs" || path.starts_with("src/burn_in/ffi/");
    assert!(!files.is_empty() && files.iter().all(is_there), "{files:?}");
}
