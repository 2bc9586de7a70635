//! The `floatup` command.

use std::process::ExitCode;

use floatup::command;
use floatup::config::{self, ConfigError};

/// A wrong command line or setting, as clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
    let command = match config::from_process() {
        Ok(command) => command,
        // It knows whether it is help for stdout or an error for stderr, and its exit code.
        Err(ConfigError::Usage(error)) => error.exit(),
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match command::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
