//! Where figures are from.

use anyhow::Result;

use crate::machine::{cores, line_of, processor};

/// What wrote them, when and on which machine, in Markdown.
pub(crate) fn provenance(by: &str) -> Result<String> {
    Ok(format!(
        "Written by {by} on {}; not edited.\n\n\
         | | |\n| --- | --- |\n\
         | processor | {} |\n\
         | cores | {} |\n\
         | system | {} |\n\
         | compiler | {}, profile `bench` |",
        line_of("date", &["-u", "+%Y-%m-%d"])?,
        processor(),
        cores(),
        line_of("uname", &["-srm"])?,
        line_of("rustc", &["--version"])?,
    ))
}
