//! What is said on stderr: as text or as JSON, and no line so often that it hides the others.

mod limit;

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Instant;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{
    self, FormatEvent, FormatFields, JsonFields, Writer, debug_fn,
};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::limit::{LeftOut, Limits};
use crate::config::LogFormat;

/// The log of this process, from [`start`] on.
#[derive(Debug)]
pub struct Log {
    format: LogFormat,
    limits: Arc<Limits>,
}

/// Lets all that is said go to stderr. Of lines that are alike the first 20 in a minute are said, and
/// then how many more there were.
///
/// # Panics
/// It is called twice.
#[must_use]
pub fn start(format: LogFormat) -> Log {
    let limits = Arc::new(Limits::default());
    // What a source has to say it says itself; the client of NATS says it again, and as an error.
    let filter = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("async_nats", LevelFilter::OFF);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = Layer::default().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let lines = Limited {
                inner: format::format().with_target(false),
                format,
                limits: Arc::clone(&limits),
            };
            // The message alone: the other fields are in it, in words.
            let message = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{value:?}"),
                _ => Ok(()),
            });
            let layer = layer.with_ansi(std::io::stderr().is_terminal());
            registry
                .with(layer.event_format(lines).fmt_fields(message))
                .init();
        }
        LogFormat::Json => {
            let json = format::format().json().with_target(false);
            let lines = Limited {
                inner: json.flatten_event(true).with_current_span(false),
                format,
                limits: Arc::clone(&limits),
            };
            let layer = layer.with_ansi(false).event_format(lines);
            registry.with(layer.fmt_fields(JsonFields::new())).init();
            std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        }
    }
    Log { format, limits }
}

impl Log {
    /// Says why the process ends.
    pub fn fail(&self, error: &str) {
        match self.format {
            LogFormat::Text => eprintln!("error: {error}"),
            LogFormat::Json => tracing::error!("{error}"),
        }
    }

    /// Says of which lines there were more.
    pub fn end(&self) {
        for left_out in self.limits.take_left_out() {
            eprint!("{}", line(&left_out, self.format));
        }
    }
}

/// Lines that are not said too often.
struct Limited<F> {
    inner: F,
    format: LogFormat,
    limits: Arc<Limits>,
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What is written of an event that is left out is nothing.
        let Some(left_out) = self.limits.admit(event, now()) else {
            return Ok(());
        };
        if let Some(left_out) = left_out {
            writer.write_str(&line(&left_out, self.format))?;
        }
        self.inner.format_event(context, writer, event)
    }
}

/// How many lines were left out, as a line.
fn line(LeftOut { count, last }: &LeftOut, format: LogFormat) -> String {
    let message = format!("{count} more lines like this one were left out: {last}");
    let mut time = String::new();
    if SystemTime.format_time(&mut Writer::new(&mut time)).is_err() {
        time.clear();
    }
    match format {
        LogFormat::Text => format!("{time}  WARN {message}\n"),
        LogFormat::Json => {
            let line = serde_json::json!({
                "timestamp": time,
                "level": "WARN",
                "message": message,
                "left_out": count,
            });
            format!("{line}\n")
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the log is bounded in lines a minute"
)]
fn now() -> Instant {
    Instant::now()
}
