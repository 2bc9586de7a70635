//! What the server has of a channel that is drawn here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Controls;
use crate::metrics;
use crate::output::FeedForm;
use crate::source::{Guard, Monitor};
use crate::topic::TopicName;

/// Draws one PNG, or says why it can't. It may take long: it runs on a thread for blocking work.
pub type Still = Box<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>;

/// Starts a live feed to one reader, in chunks. It may take long, as a still.
pub type Feed = Box<dyn Fn(FeedForm) -> Result<mpsc::Receiver<Bytes>, String> + Send + Sync>;

/// For how long the clock of a channel's frames has stood still, if it does.
pub type Stalled = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

/// What is seen of an output.
#[derive(Clone, Debug)]
pub struct OutputMonitor {
    /// Whether the service is not ready while it is not open.
    pub is_required: bool,
    /// What it is called, and what it counts.
    pub metrics: metrics::Output,
}

/// A channel that is drawn here.
pub struct Channel {
    /// Where its reactions come from.
    pub topic: TopicName,
    /// How those sources stand.
    pub sources: Vec<Monitor>,
    /// Its outputs, live feeds apart.
    pub outputs: Vec<OutputMonitor>,
    /// Whether its clock goes.
    pub stalled: Stalled,
    /// What lets reactions in to its topic.
    pub guard: Guard,
    /// What an operator may do to it.
    pub controls: Box<dyn Controls>,
    /// The motion that its pages show: the text of a CSS file.
    pub stylesheet: Arc<str>,
    /// Its frame that is due.
    pub still: Still,
    /// Its frames from now on.
    pub feed: Feed,
}

/// Channels by name.
pub type Channels = BTreeMap<String, Channel>;

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
