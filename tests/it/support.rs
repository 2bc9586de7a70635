//! What several tests need.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// The `floatup` binary, with none of this process's settings.
pub(crate) fn floatup() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floatup"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FLOATUP_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a process wrote to stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
