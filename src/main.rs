//! The `floatup` command.

use std::process::ExitCode;

use floatup::command;
use floatup::config::{self, ConfigError};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A wrong command line or setting, as clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    // What a source has to say it says itself; the client of NATS says it again, and as an error.
    let filter = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("async_nats", LevelFilter::OFF);
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    tracing_subscriber::registry().with(log).with(filter).init();
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
