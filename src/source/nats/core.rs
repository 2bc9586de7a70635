//! A subject as it is published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Event, Message, ServerError, Statistics, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::task::coop::unconstrained;
use tokio::time::{MissedTickBehavior, interval};

use super::{Link, Nats, is_violation};
use crate::reaction;
use crate::source::broker::text;
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

/// How often it is checked, while nothing comes, whether all that came was taken, and whether the
/// connection is still the one that it was.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Nats {
    /// Follows the subject until the connection is over.
    pub(super) async fn core(&self, link: &mut Link, inbox: &Inbox) -> Failure {
        let host = &self.address.host;
        let mut tally = Tally::new(link);
        let subscribed = link.client.subscribe(self.address.subject.clone()).await;
        let mut messages = match subscribed {
            Ok(messages) => messages,
            Err(error) => return Failure::passing(format_args!("{host}: {error}")),
        };
        match self.settle(link).await {
            Ok(answers) => tally.begun += answers,
            Err(failure) => return failure,
        }
        inbox.live();
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let failure = loop {
            tokio::select! {
                // What came before a connection was lost is taken before that is looked at.
                biased;
                message = messages.next() => match message {
                    Some(message) => tally.take(&message, inbox),
                    None => break self.lost(),
                },
                event = link.events.recv() => {
                    if let Some(failure) = self.ended(event.as_ref()) {
                        break failure;
                    }
                }
                _ = check.tick() => {
                    tally.take_all(&mut messages, inbox);
                    if link.is_over() {
                        break self.lost();
                    }
                }
            }
            tally.tell(inbox);
        };
        tally.take_all(&mut messages, inbox);
        failure
    }

    /// Waits until the server has read the subscription, and says how many answers that took. It
    /// reads in order, and answers at once that nobody listens to a subject that is made up for
    /// this, or that we may not publish to it, or listen to answers.
    async fn settle(&self, link: &mut Link) -> Result<u64, Failure> {
        // What it says against the subscription is told apart from answers, and may be told a
        // little later: not later than a second answer.
        let mut answers = 0;
        while answers < 2 {
            let question = link.client.request(link.client.new_inbox(), "".into());
            tokio::pin!(question);
            let answered = loop {
                tokio::select! {
                    biased;
                    event = link.events.recv() => {
                        if let Some(failure) = self.ended(event.as_ref()) {
                            return Err(failure);
                        }
                        // It is told in the same way as what is said against the subscription.
                        if event.is_some_and(|event| is_about_answers(&event)) {
                            return Ok(answers);
                        }
                    }
                    answered = &mut question => break answered,
                }
            };
            match answered {
                Ok(_) => answers += 1,
                Err(error) if error.kind() == RequestErrorKind::NoResponders => answers += 1,
                Err(error) => {
                    let host = &self.address.host;
                    return Err(Failure::passing(format_args!("{host}: {error}")));
                }
            }
        }
        Ok(answers)
    }
}

/// Whether an event says that what is asked can't be answered.
fn is_about_answers(event: &Event) -> bool {
    match event {
        Event::ServerError(ServerError::Other(text)) => {
            is_violation(text) && text.contains("\"_INBOX.")
        }
        _ => false,
    }
}

impl Link {
    /// Whether the connection is lost, or is another one that the library made in its place.
    fn is_over(&self) -> bool {
        let connects = self.client.statistics().connects.load(Ordering::Relaxed);
        self.client.connection_state() != State::Connected || connects > 1
    }
}

/// How many messages came by a connection, and what became of them.
struct Tally {
    statistics: Arc<Statistics>,
    dropped: Arc<AtomicU64>,
    /// What came that is none of the subject's.
    begun: u64,
    taken: u64,
    /// How many are said to be lost.
    told: u64,
}

impl Tally {
    fn new(link: &Link) -> Self {
        let statistics = link.client.statistics();
        Self {
            begun: statistics.in_messages.load(Ordering::Relaxed),
            statistics,
            dropped: Arc::clone(&link.dropped),
            taken: 0,
            told: 0,
        }
    }

    fn take(&mut self, message: &Message, inbox: &Inbox) {
        self.taken += 1;
        let Some(text) = text(inbox, &message.payload) else {
            return;
        };
        let headers = message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get("Nats-Msg-Id"));
        let id = id.map(|id| format!("nats:{}", id.as_str()));
        inbox.take(&Arrival {
            id: id.as_deref(),
            ..Arrival::of(reaction::Message::payload(text))
        });
    }

    /// Takes all that has come, and tells what is missing of it.
    fn take_all(&mut self, messages: &mut Subscriber, inbox: &Inbox) {
        let came = self.statistics.in_messages.load(Ordering::Relaxed);
        // Without this there might be none for the only reason that it is another task's turn.
        while let Some(Some(message)) = unconstrained(messages.next()).now_or_never() {
            self.take(&message, inbox);
        }
        // One may be on its way from the count to us, so nothing is missing where nothing was
        // dropped.
        if self.dropped.load(Ordering::Relaxed) > 0 {
            let missing = came.saturating_sub(self.begun).saturating_sub(self.taken);
            self.tell_of(missing, inbox);
        }
    }

    /// Tells of the messages that are known to be dropped.
    fn tell(&mut self, inbox: &Inbox) {
        self.tell_of(self.dropped.load(Ordering::Relaxed), inbox);
    }

    fn tell_of(&mut self, lost: u64, inbox: &Inbox) {
        if lost > self.told {
            inbox.gap(lost - self.told, false);
            self.told = lost;
        }
    }
}
