//! This program again, as a process that says with a line each when what is measured begins and
//! ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result};

/// The lines between which a server's CPU time counts.
pub(crate) const BEGUN: &str = "begun";
pub(crate) const ENDED: &str = "ended";

/// Says a line to whoever started this process.
pub(crate) fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// A process that ends with this.
pub(crate) struct Again {
    pub(crate) process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Again {
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start this program again")?;
        let stdout = process.stdout.take().context("it is piped")?;
        Ok(Self {
            process,
            lines: BufReader::new(stdout).lines(),
        })
    }

    pub(crate) fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().context("the process has ended")??)
    }

    /// Waits for the end of what is measured, and gives the CPU seconds that a process used in it.
    pub(crate) fn watch(&mut self, server: u32) -> Result<f64> {
        while self.line()? != BEGUN {}
        let before = cpu_s(server)?;
        while self.line()? != ENDED {}
        Ok(cpu_s(server)? - before)
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// CPU seconds of a process so far, user and system, which Linux counts in hundredths.
pub(crate) fn cpu_s(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name is in parentheses, and may have any character in it.
    let after = stat.rfind(')').context("a name")? + 1;
    let fields: Vec<&str> = stat[after..].split_whitespace().collect();
    let ticks =
        |field: usize| -> Result<f64> { Ok(fields.get(field).context("a field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
