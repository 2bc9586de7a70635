//! A source that is being followed, and all that comes of it.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatup::metrics::{Metrics, Source as SourceMetrics};
use floatup::reaction::{Palette, Rules};
use floatup::source::{Cue, Inbox, Merge, Monitor, Receiver, Source, State, Status, follow_topic};
use floatup::topic::{Broker, ItemId, TopicName};
use tokio::task::AbortHandle;

use crate::in_process::until;

/// What the merged sources of a channel have delivered.
#[derive(Clone, Default)]
pub(crate) struct Caught {
    cues: Arc<Mutex<Vec<Cue>>>,
    retracted: Arc<Mutex<Vec<ItemId>>>,
}

impl Receiver for Caught {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        let item = cue.item();
        self.cues.lock().unwrap().push(cue);
        Some(item)
    }

    fn retract(&self, items: &[ItemId]) {
        self.retracted.lock().unwrap().extend_from_slice(items);
    }
}

/// A source that is being followed, until this is dropped.
pub(crate) struct Following {
    caught: Caught,
    pub(crate) monitor: Monitor,
    pub(crate) metrics: SourceMetrics,
    task: AbortHandle,
}

impl Following {
    /// Follows a source with the default palette.
    pub(crate) fn start(source: Source) -> Self {
        Self::with(|rules| rules, source)
    }

    /// Follows a source by other rules.
    pub(crate) fn with(rules: impl FnOnce(Rules) -> Rules, source: Source) -> Self {
        let rules = rules(Rules::new(Arc::new(Palette::default())));
        Self::of(rules, |inbox| async move { source.follow(&inbox).await })
    }

    /// Follows a topic of a broker in this process.
    pub(crate) fn topic(broker: &Broker, name: &TopicName) -> Self {
        let (broker, name) = (broker.clone(), name.clone());
        let rules = Rules::new(Arc::new(Palette::default()));
        Self::of(rules, |inbox| async move {
            follow_topic(&broker, &name, &inbox).await;
        })
    }

    /// Follows what a source makes of its inbox.
    pub(crate) fn of<F: Future<Output = ()> + Send + 'static>(
        rules: Rules,
        follow: impl FnOnce(Inbox) -> F,
    ) -> Self {
        let caught = Caught::default();
        let merge = Merge::new(Box::new(caught.clone()), crate::in_process::PAGE);
        let inbox = Inbox::new("demo", "test", rules, Arc::new(merge), &Metrics::new());
        let monitor = inbox.monitor();
        Self {
            caught,
            metrics: monitor.metrics.clone(),
            monitor,
            task: tokio::spawn(follow(inbox)).abort_handle(),
        }
    }

    /// Waits until as many cues as these have come, and says which: page and number.
    pub(crate) async fn delivered(&self, count: usize) -> Vec<(u64, u64)> {
        let what = format!("{count} cues");
        until(&what, || self.caught.cues.lock().unwrap().len() >= count).await;
        self.now()
    }

    /// The cues that have come: page and number.
    pub(crate) fn now(&self) -> Vec<(u64, u64)> {
        let cues = self.caught.cues.lock().unwrap();
        cues.iter().map(|cue| (cue.page, cue.sequence)).collect()
    }

    /// What they ask for, each as its emoji and counts, such as `❤️1 🔥2`.
    pub(crate) fn shown(&self) -> Vec<String> {
        let cues = self.caught.cues.lock().unwrap();
        let shown = |cue: &Cue| {
            let each = cue
                .reactions
                .iter()
                .map(|r| format!("{}{}", r.emoji, r.count));
            each.collect::<Vec<_>>().join(" ")
        };
        cues.iter().map(shown).collect()
    }

    /// When they were sent.
    pub(crate) fn sent_at(&self) -> Vec<Option<Duration>> {
        let cues = self.caught.cues.lock().unwrap();
        cues.iter().map(|cue| cue.sent_at).collect()
    }

    /// The items that were taken back.
    pub(crate) fn retracted(&self) -> Vec<ItemId> {
        self.caught.retracted.lock().unwrap().clone()
    }

    /// Waits until it is in this state, and gives its status.
    pub(crate) async fn is(&self, state: State) -> Status {
        let status = &self.monitor.status;
        until(state.word(), || status.borrow().state == state).await;
        status.borrow().clone()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
