//! One source's way into its channel, and the state that it is in.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use super::guard::Guard;
use super::merge::Merge;
use super::{plausible, sent_at, since_epoch};
use crate::metrics::{Metrics, Source as SourceMetrics};
use crate::reaction::{
    Emoji, Kind, Message, NotAReaction, Reaction, Rules, SPRITES_PER_PAYLOAD_MAX,
};
use crate::stage::Publisher;
use crate::topic::ItemId;

/// The longest reason for a state that is kept, in characters; the rest of a longer one is cut.
const WHY_CHARS_MAX: usize = 300;

/// How often a reaction of a source may count.
pub const WEIGHT: RangeInclusive<f64> = 0.001..=1_000.0;

/// How a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The first attempt is under way.
    Connecting,
    /// Messages come as they are sent.
    Live,
    /// Messages come, but something is wrong that may end that.
    Degraded,
    /// The connection is lost, and is tried again soon.
    Waiting,
    /// It is refused for a reason that trying again does not mend; it is tried again slowly.
    Refused,
    /// It is over, as a log is at its end.
    Ended,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::Connecting,
        Self::Live,
        Self::Degraded,
        Self::Waiting,
        Self::Refused,
        Self::Ended,
    ];

    /// The word for it, the same everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }

    /// Whether messages come.
    #[must_use]
    pub fn is_up(self) -> bool {
        matches!(self, Self::Live | Self::Degraded)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A state, why, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why it is in it, and what a person can do about that; empty while all is well.
    pub why: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// What others see of a source.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Its address, without secrets.
    pub name: Arc<str>,
    /// Whether the service is not ready without it.
    pub is_required: bool,
    /// How it stands.
    pub status: watch::Receiver<Status>,
    /// What it counts.
    pub metrics: SourceMetrics,
}

/// A message, and what its source knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What it says.
    pub message: Message<'a>,
    /// What tells it from every other; with the source's platform in it, where ids of several could
    /// be the same.
    pub id: Option<&'a str>,
    /// Who sent it.
    pub user: Option<&'a str>,
    /// The topic's page and its number there, where the source has them.
    pub place: Option<ItemId>,
    /// When it was published, since the Unix epoch.
    pub published_at: Option<Duration>,
    /// When the topic took it that it comes from, if that is one of this process.
    pub taken_at: Option<Instant>,
}

impl<'a> Arrival<'a> {
    /// A message of which nothing else is known.
    #[must_use]
    pub fn of(message: Message<'a>) -> Self {
        Self {
            message,
            id: None,
            user: None,
            place: None,
            published_at: None,
            taken_at: None,
        }
    }

    /// How long it was on its way, as far as that is known: since this process's topic took it, or
    /// else since it was published, by the clock of whoever says so.
    fn lag(&self, now: Duration) -> Option<Duration> {
        let here = self.taken_at.map(|at| at.elapsed());
        let published = || plausible(self.published_at, now);
        here.or_else(|| published().map(|at| now.saturating_sub(at)))
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It asks for reactions, and they are shown.
    Accepted,
    /// It names nothing in the palette.
    Unknown,
    /// It is of another kind.
    OtherType,
    /// It came before.
    Duplicate,
    /// It could not be taken.
    Refused,
    /// The channel's gate does not let it in.
    Limited,
}

/// A message as someone who looks on sees it.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The message.
    pub arrival: &'a Arrival<'a>,
    /// What became of it.
    pub outcome: Outcome,
    /// What it asks for.
    pub reactions: &'a [Reaction],
    /// When it was sent, since the Unix epoch.
    pub sent_at: Option<Duration>,
}

type Observer = Box<dyn Fn(&Observation<'_>) + Send + Sync>;

/// One source's way into its channel.
pub struct Inbox {
    /// The channel's and the source's name, for the log.
    label: String,
    channel: Arc<str>,
    name: Arc<str>,
    rules: Rules,
    weight: f64,
    /// What is left over of each emoji's weighted counts. Bounded by the palette.
    left_over: Mutex<HashMap<Emoji, f64>>,
    is_required: bool,
    guard: Option<Guard>,
    merge: Arc<Merge>,
    metrics: SourceMetrics,
    status: watch::Sender<Status>,
    observer: Option<Observer>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl Inbox {
    /// The way of the source called `name` into the channel whose sources `merge` brings together.
    #[must_use]
    pub fn new(
        channel: &str,
        name: &str,
        rules: Rules,
        merge: Arc<Merge>,
        metrics: &Metrics,
    ) -> Self {
        let words = State::ALL.map(State::word);
        let inbox = Self {
            label: format!("channel {channel}: {name}"),
            channel: channel.into(),
            name: name.into(),
            rules,
            weight: 1.0,
            left_over: Mutex::default(),
            is_required: false,
            guard: None,
            merge,
            metrics: metrics.source(channel, name, &words),
            status: watch::Sender::new(Status {
                state: State::Connecting,
                why: String::new(),
                since_ms: milliseconds(since_epoch()),
            }),
            observer: None,
        };
        inbox.show(State::Connecting);
        inbox
    }

    /// Each reaction counts this often, a number in [`WEIGHT`]; what is not whole is made up for by the next
    /// ones of that emoji.
    #[must_use]
    pub fn with_weight(self, weight: f64) -> Self {
        Self {
            weight: weight.clamp(*WEIGHT.start(), *WEIGHT.end()),
            ..self
        }
    }

    /// What lets its messages in. Without one, all are.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        Self {
            guard: Some(guard),
            ..self
        }
    }

    /// Whether the service is not ready without this source.
    #[must_use]
    pub fn with_required(self, is_required: bool) -> Self {
        Self {
            is_required,
            ..self
        }
    }

    /// Someone who looks on: told of each message, whatever becomes of it.
    #[must_use]
    pub fn with_observer(
        self,
        observer: impl Fn(&Observation<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            observer: Some(Box::new(observer)),
            ..self
        }
    }

    /// What others see of the source.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor {
            name: Arc::clone(&self.name),
            is_required: self.is_required,
            status: self.status.subscribe(),
            metrics: self.metrics.clone(),
        }
    }

    /// What the source's messages are read by.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes a message: decides what it is, shows what it asks for, and counts it.
    pub fn take(&self, arrival: &Arrival<'_>) -> Outcome {
        let read = self.rules.read(&arrival.message);
        let now = since_epoch();
        if let Some(lag) = arrival.lag(now) {
            self.metrics.lag.set(lag);
        }
        let sent_at = match arrival.message.kind {
            Kind::Payload => sent_at(arrival.message.text, arrival.published_at, now),
            Kind::Chat | Kind::Event(_) => plausible(arrival.published_at, now),
        };
        let (outcome, reactions) = match read {
            Err(NotAReaction::Unknown) => (Outcome::Unknown, Vec::new()),
            Err(NotAReaction::OtherType) => (Outcome::OtherType, Vec::new()),
            Ok(reactions) => match arrival.id {
                Some(id) if !self.merge.is_new(id, arrival.user) => (Outcome::Duplicate, reactions),
                id => self.let_in(arrival, id, reactions, sent_at),
            },
        };
        self.counter(outcome).inc();
        if let Some(observer) = &self.observer {
            observer(&Observation {
                arrival,
                outcome,
                reactions: &reactions,
                sent_at,
            });
        }
        outcome
    }

    /// Shows what a message asks for that has not come before, as far as the gate lets it in.
    fn let_in(
        &self,
        arrival: &Arrival<'_>,
        id: Option<&str>,
        reactions: Vec<Reaction>,
        sent_at: Option<Duration>,
    ) -> (Outcome, Vec<Reaction>) {
        let admitted = match &self.guard {
            None => Ok(reactions),
            Some(guard) => guard.admit(arrival.user, reactions),
        };
        let Ok(reactions) = admitted else {
            return (Outcome::Limited, Vec::new());
        };
        let shown = self.weighted(&reactions);
        let publisher = arrival.user.map(Publisher::named);
        let is_taken = shown.is_empty() || self.merge.deliver(arrival, publisher, shown, sent_at);
        if is_taken {
            return (Outcome::Accepted, reactions);
        }
        // It may be sent again.
        if let Some(id) = id {
            self.merge.forget(id);
        }
        (Outcome::Refused, reactions)
    }

    /// A message that was not looked at: too long, malformed, or wrongly signed.
    pub(crate) fn refuse(&self) {
        self.metrics.refused.inc();
        if let Some(observer) = &self.observer {
            observer(&Observation {
                arrival: &Arrival::of(Message::payload("")),
                outcome: Outcome::Refused,
                reactions: &[],
                sent_at: None,
            });
        }
    }

    /// A message was taken back by its platform.
    pub(super) fn retract_message(&self, id: &str) {
        self.merge.retract_message(id);
    }

    /// All that a user sent was taken back.
    pub(super) fn retract_user(&self, user: &str) {
        self.merge.retract_user(user);
    }

    /// What came as these items was taken back.
    pub(super) fn retract(&self, items: &[ItemId]) {
        self.merge.retract(items);
    }

    /// Messages are missing: so many as are known of.
    pub(super) fn gap(&self, lost: u64, was_reset: bool) {
        self.metrics.gap_items.inc_by(lost);
        let (label, channel, source) = self.labels();
        match was_reset {
            true => tracing::warn!(
                channel,
                source,
                lost,
                "{label} was reset, with {lost} messages lost since"
            ),
            false => tracing::warn!(channel, source, lost, "{label}: {lost} messages lost"),
        }
    }

    /// Whether messages come, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.status.borrow().state.is_up()
    }

    /// Messages come as they are sent.
    pub(crate) fn live(&self) {
        self.set_state(State::Live, "");
    }

    /// Messages come, but something is wrong.
    pub(super) fn degraded(&self, why: impl fmt::Display) {
        self.set_state(State::Degraded, &why.to_string());
    }

    /// It is over.
    pub(super) fn ended(&self, why: impl fmt::Display) {
        self.set_state(State::Ended, &why.to_string());
    }

    /// Says something that is no state.
    pub(super) fn note(&self, what: impl fmt::Display) {
        let (label, channel, source) = self.labels();
        tracing::info!(channel, source, "{label}: {what}");
    }

    /// Notes and says a state, once for each reason: a server that is away for an hour is one line
    /// in the log.
    pub(super) fn set_state(&self, state: State, why: &str) {
        let line: String = why
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let why: String = line.chars().take(WHY_CHARS_MAX).collect();
        let mut before = None;
        self.status.send_if_modified(|status| {
            let is_news = status.state != state || status.why != why;
            if is_news {
                let since_ms = match status.state == state {
                    true => status.since_ms,
                    false => milliseconds(since_epoch()),
                };
                let now = Status {
                    state,
                    why: why.clone(),
                    since_ms,
                };
                before = Some(std::mem::replace(status, now).state);
            }
            is_news
        });
        let Some(before) = before else { return };
        if !state.is_up()
            && state != State::Ended
            && (before.is_up() || before == State::Connecting)
        {
            self.metrics.reconnects.inc();
        }
        self.show(state);
        let (label, channel, source) = self.labels();
        let word = state.word();
        match state {
            State::Live | State::Connecting => {
                tracing::info!(channel, source, state = word, "{label} is {state}");
            }
            State::Ended => {
                tracing::info!(channel, source, state = word, "{label} has {state}: {why}");
            }
            State::Degraded | State::Waiting | State::Refused => {
                tracing::warn!(channel, source, state = word, "{label} is {state}: {why}");
            }
        }
    }

    /// What the log has of it: in words, and the channel's and the source's names.
    fn labels(&self) -> (&str, &str, &str) {
        (&self.label, &self.channel, &self.name)
    }

    fn show(&self, state: State) {
        for (gauge, one) in self.metrics.states.iter().zip(State::ALL) {
            gauge.set(i64::from(one == state));
        }
    }

    fn counter(&self, outcome: Outcome) -> &prometheus_client::metrics::counter::Counter {
        match outcome {
            Outcome::Accepted => &self.metrics.accepted,
            Outcome::Unknown => &self.metrics.unknown,
            Outcome::OtherType => &self.metrics.other_type,
            Outcome::Duplicate => &self.metrics.duplicate,
            Outcome::Refused => &self.metrics.refused,
            Outcome::Limited => &self.metrics.limited,
        }
    }

    /// The reactions as often as they count; none, if too little has come together.
    fn weighted(&self, reactions: &[Reaction]) -> Vec<Reaction> {
        if (self.weight - 1.0).abs() < f64::EPSILON {
            return reactions.to_vec();
        }
        let left_over = self.left_over.lock();
        let mut left_over = left_over.unwrap_or_else(PoisonError::into_inner);
        let mut weighted = Vec::new();
        let mut room = f64::from(SPRITES_PER_PAYLOAD_MAX);
        for Reaction { emoji, count } in reactions {
            let left = left_over.entry(emoji.clone()).or_default();
            let exact = f64::from(*count) * self.weight + *left;
            let whole = exact.floor().min(room);
            room -= whole;
            *left = (exact - whole).min(1.0);
            if whole >= 1.0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "1 to SPRITES_PER_PAYLOAD_MAX"
                )]
                let count = whole as u32;
                weighted.push(Reaction {
                    emoji: emoji.clone(),
                    count,
                });
            }
        }
        weighted
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
