//! The `floatup` command.

use std::process::ExitCode;

use floatup::config::{self, ConfigError, LogFormat};
use floatup::{command, stderr};

/// A wrong command line or setting, as clap's own.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let (format, command) = config::from_process();
    let log = stderr::start(format);
    let command = match command {
        Ok(command) => command,
        // It knows whether it is help for stdout or an error for stderr, and its exit code.
        Err(ConfigError::Usage(error)) if format == LogFormat::Text || !error.use_stderr() => {
            error.exit()
        }
        Err(error) => {
            log.fail(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let result = command::run(command);
    log.end();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.fail(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
