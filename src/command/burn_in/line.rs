//! The status line of a burn-in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::burn_in::status::Status;
use crate::metrics::{Encoding, Output};

/// A live programme's rates are of this long.
const WINDOW: Duration = Duration::from_secs(5);

/// What the status line says of a programme and each of its outputs.
pub(super) struct Line {
    pub(super) status: Arc<Status>,
    outputs: Vec<(String, Output, Encoding)>,
    is_live: bool,
    /// What rates are since: one of the beginning, and of a live programme, which may last for
    /// days, those of the last [`WINDOW`] in its place.
    samples: VecDeque<Sample>,
}

/// What was counted at one time.
#[derive(Clone, Default)]
struct Sample {
    /// Since the beginning.
    at: Duration,
    /// Pictures that the input had.
    pictures: u64,
    /// The programme's own time.
    time: Duration,
    /// Of each output, pictures that its encoder has had, and its seconds.
    outputs: Vec<(u64, f64)>,
}

impl Line {
    /// Rates are since now, at which nothing has been counted.
    pub(super) fn new(
        status: Arc<Status>,
        outputs: Vec<(String, Output, Encoding)>,
        is_live: bool,
    ) -> Self {
        let first = Sample {
            outputs: vec![(0, 0.0); outputs.len()],
            ..Sample::default()
        };
        Self {
            status,
            outputs,
            is_live,
            samples: VecDeque::from([first]),
        }
    }

    fn sample(&self, at: Duration) -> Sample {
        let status = &self.status;
        let outputs = self.outputs.iter();
        let outputs = outputs
            .map(|(_, _, encoding)| (encoding.pictures.get(), encoding.encode_seconds.get()));
        Sample {
            at,
            pictures: status.frames.get().saturating_sub(status.slates.get()),
            time: status.time(),
            outputs: outputs.collect(),
        }
    }

    /// The line at this time since the beginning, which is later each time.
    pub(super) fn at(&mut self, at: Duration) -> String {
        let is_past = |sample: &Sample| sample.at + WINDOW <= at;
        while self.is_live && self.samples.get(1).is_some_and(is_past) {
            self.samples.pop_front();
        }
        let now = self.sample(at);
        let then = self.samples.front().unwrap_or(&now);
        let seconds = at.saturating_sub(then.at).as_secs_f64().max(0.001);
        let status = &self.status;
        let mut text = format!(
            "{:.1} s, {} frames, in {:.1} fps, {:.2}x",
            now.time.as_secs_f64(),
            status.frames.get(),
            (now.pictures - then.pictures) as f64 / seconds,
            now.time.saturating_sub(then.time).as_secs_f64() / seconds
        );
        if !self.is_live {
            return text;
        }
        text += &format!(
            ", waiting {}+{}, dropped {}",
            status.packets_waiting.get(),
            status.pictures_waiting.get(),
            status.overrun.get()
        );
        let outputs = self.outputs.iter().zip(&now.outputs).zip(&then.outputs);
        for (((name, output, encoding), now), then) in outputs {
            let pictures = (now.0 - then.0) as f64;
            text += &format!(
                " | {name}: out {:.1} fps, {:.1} ms, waiting {}, dropped {}",
                pictures / seconds,
                1_000.0 * (now.1 - then.1) / pictures.max(1.0),
                encoding.pictures_waiting.get() + encoding.packets_waiting.get(),
                output.frames_dropped.get()
            );
        }
        self.samples.push_back(now);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One output; after each second the programme has this much more of everything.
    fn line_after(is_live: bool, seconds: &[u64]) -> String {
        let (status, output, encoding) =
            (Status::default(), Output::default(), Encoding::default());
        let figures = (status.clone(), output.clone(), encoding.clone());
        let outputs = vec![("x.ts".to_owned(), output, encoding)];
        let mut line = Line::new(Arc::new(status), outputs, is_live);
        let (status, output, encoding) = figures;
        let mut text = String::new();
        for (fps, second) in seconds.iter().zip(1..) {
            for _ in 0..*fps {
                status.shown(status.time_ms.get() * 1_000 + 40_000);
                encoding.encoded(Duration::from_millis(100 / fps));
            }
            for quarter in 1..=4 {
                text = line.at(Duration::from_millis(1_000 * (second - 1) + 250 * quarter));
            }
        }
        for waiting in [&status.packets_waiting, &status.pictures_waiting] {
            waiting.set(7);
        }
        encoding.pictures_waiting.set(2);
        encoding.packets_waiting.set(3);
        output.frames_dropped.inc_by(4);
        status.overrun.inc_by(5);
        let last = line.at(Duration::from_secs(seconds.len() as u64));
        assert!(last.starts_with(text.split(", waiting").next().unwrap()));
        last
    }

    #[test]
    fn a_live_programmes_rates_are_of_the_last_seconds() {
        let hours: Vec<u64> = std::iter::repeat_n(100, 7_200).chain([25; 5]).collect();
        assert_eq!(
            line_after(true, &hours),
            "28805.0 s, 720125 frames, in 25.0 fps, 1.00x, waiting 7+7, dropped 5 \
             | x.ts: out 25.0 fps, 4.0 ms, waiting 5, dropped 4"
        );
        // At the beginning, of as long as there has been.
        assert!(line_after(true, &[50, 25]).contains("in 37.5 fps, 1.50x"));
    }

    #[test]
    fn a_recordings_rates_are_since_its_beginning() {
        let seconds: Vec<u64> = [50; 10].into_iter().chain([25; 10]).collect();
        assert_eq!(
            line_after(false, &seconds),
            "30.0 s, 750 frames, in 37.5 fps, 1.50x"
        );
    }

    #[test]
    fn slates_are_not_the_inputs() {
        let status = Status::default();
        for _ in 0..25 {
            status.slate();
            status.shown(status.time_ms.get() * 1_000 + 40_000);
        }
        let mut line = Line::new(Arc::new(status), Vec::new(), true);
        let text = line.at(Duration::from_secs(1));
        assert!(
            text.starts_with("1.0 s, 25 frames, in 0.0 fps, 1.00x"),
            "{text}"
        );
    }
}
