//! The commands: each does its whole work from checked settings.

mod overlay_page;
mod pipe;
mod render;
mod serve;
mod still;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::config::Command;

/// Runs one command to its end.
///
/// # Errors
/// Whatever kept it from its work, with what can be done about it.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(job) => serve::run(job),
        Command::Pipe(job) => pipe::run(&job),
        Command::Frame(job) => still::run(&job),
        Command::Render(job) => render::run(&job),
        Command::OverlayPage(job) => overlay_page::run(&job),
        Command::CheckConfig(path) => {
            crate::config::check_file(&path)?;
            tell(&format!("{}: ok\n", path.display()))
        }
    }
}

/// Writes an answer to stdout, for commands whose stdout is not frames.
fn tell(text: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to stdout")
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// Resolves when the process is asked to end: SIGINT or SIGTERM.
async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if interrupt.await.is_err() {
        std::future::pending::<()>().await;
    }
}
