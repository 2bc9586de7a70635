//! The `floatup` command.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use floatup::config::{self, Command, ConfigError};

/// A wrong command line or setting, as clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = match config::from_process() {
        Ok(command) => command,
        // It knows whether it is help for stdout or an error for stderr, and its exit code.
        Err(ConfigError::Usage(error)) => error.exit(),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::CheckConfig(path) => {
            if let Err(error) = config::check_file(&path) {
                eprintln!("{error}");
                return Ok(ExitCode::FAILURE);
            }
            writeln!(std::io::stdout(), "{}: ok", path.display()).context("stdout")?;
            Ok(ExitCode::SUCCESS)
        }
        command => bail!("not built yet: {command:?}"),
    }
}
