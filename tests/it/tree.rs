//! The project's own files.

use std::path::{Path, PathBuf};

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project, as text.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files below a folder of the project, sorted; none when there is no such folder.
pub(crate) fn files_below(folder: &str) -> Vec<PathBuf> {
    let mut left = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = left.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What the run without the libav libraries leaves out doesn't know of them.
#[test]
fn what_is_tested_once_is_the_same_without_libav() {
    let settings = read(".config/nextest.toml");
    let (_, filter) = settings.split_once("not test(/^(").unwrap();
    let (names, _) = filter.split_once(")::/)").unwrap();
    let names = names.replace("\\\n", "");
    let names: Vec<&str> = names.split('|').collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let mut files = files_below(&format!("tests/it/{name}"));
        files.push(root().join(format!("tests/it/{name}.rs")));
        for file in files {
            let text = read(&file).to_lowercase();
            for word in ["ffmpeg", "libav"] {
                assert!(!text.contains(word), "{}: {word}", file.display());
            }
        }
    }
}
