//! One room: its settings, and what everyone in it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::metrics::Outcome;
use crate::reaction::Palette;
use crate::server::Service;
use crate::server::chat::arn;
use crate::server::chat::rate::Rate;
use crate::server::chat::review::Handler;
use crate::server::chat::wire::{Attributes, Message, event};
use crate::source::since_epoch;
use crate::topic::{TopicName, Value};

/// Frames that a room keeps for members that are slow to read. One that is further behind is
/// disconnected, so that it can come back, in place of being sent a chat with holes.
const PUSHES_MAX: usize = 256;

/// A room's settings unless others are given: those of the service.
const RATE_DEFAULT: u32 = 10;
pub(super) const RATE_MAX: u32 = 100;
pub(super) const LENGTH_MAX: u32 = 500;

/// What every member's session is told.
#[derive(Clone, Debug)]
pub(super) enum Push {
    /// To be sent.
    Frame(Utf8Bytes),
    /// To be sent, and the end for this user.
    Disconnect { user_id: Arc<str>, frame: Utf8Bytes },
    /// The room has been deleted.
    Deleted,
}

/// What can be set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    /// Messages of all members in a second, 1 to [`RATE_MAX`].
    pub(super) rate_per_second: u32,
    /// Characters of a message, 1 to [`LENGTH_MAX`].
    pub(super) length_max: u32,
    pub(super) review: Option<Arc<Handler>>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rate_per_second: RATE_DEFAULT,
            length_max: LENGTH_MAX,
            review: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: String,
    /// The channel that its reactions float on, and that channel's topic.
    pub(super) channel: Option<String>,
    pub(super) topic: Option<TopicName>,
    /// Since the Unix epoch.
    pub(super) made_at: Duration,
    pushes: broadcast::Sender<Push>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    set_at: Duration,
    sent: Rate,
}

impl Room {
    pub(super) fn new(id: String, settings: Settings) -> Self {
        let made_at = since_epoch();
        let state = State {
            settings,
            set_at: made_at,
            sent: Rate::default(),
        };
        Self {
            id,
            channel: None,
            topic: None,
            made_at,
            pushes: broadcast::Sender::new(PUSHES_MAX),
            state: Mutex::new(state),
        }
    }

    /// The same, as the room of a channel.
    pub(super) fn of_channel(mut self, name: &str, topic: &TopicName) -> Self {
        self.channel = Some(name.to_owned());
        self.topic = Some(topic.clone());
        self
    }

    pub(super) fn arn(&self) -> String {
        arn(&self.id)
    }

    pub(super) fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// When they were set, since the Unix epoch.
    pub(super) fn set_at(&self) -> Duration {
        self.lock().set_at
    }

    pub(super) fn set(&self, settings: Settings) {
        let mut state = self.lock();
        state.settings = settings;
        state.set_at = since_epoch();
    }

    pub(super) fn members(&self) -> usize {
        self.pushes.receiver_count()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Push> {
        self.pushes.subscribe()
    }

    /// Whether one more message may be sent in this second.
    pub(super) fn takes_message(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let per_second = usize::try_from(state.settings.rate_per_second).unwrap_or(usize::MAX);
        state.sent.take(per_second, now)
    }

    /// Sends a message to everyone, its sender too, and floats what it asks for.
    pub(super) fn post(&self, message: &Message, service: &Service) {
        self.push(Push::Frame(message.frame()));
        let Some(topic) = &self.topic else { return };
        let Some(payload) = reactions_of(message, &service.palette) else {
            return;
        };
        let publisher = Some(message.sender.user_id.as_str().into());
        let value = Value::Text(payload.into());
        match service
            .broker
            .publish(topic, value, publisher, message.sent_at)
        {
            Ok(_) => {
                let accepted = service.metrics.reactions.get_or_create(&Outcome::ACCEPTED);
                accepted.inc();
            }
            Err(error) => tracing::warn!("a reaction in the chat of {topic}: {error}"),
        }
    }

    /// Sends an event to everyone, and gives its id.
    pub(super) fn announce(
        &self,
        name: &str,
        attributes: &Attributes,
        request_id: Option<&str>,
    ) -> String {
        let (id, frame) = event(name, attributes, request_id, since_epoch());
        self.push(Push::Frame(frame));
        id
    }

    /// Tells everyone that a message is deleted, and gives the event's id. Whether there was such
    /// a message is not looked at, as in the service, which keeps none.
    pub(super) fn delete(
        &self,
        message_id: &str,
        reason: Option<&str>,
        request_id: Option<&str>,
    ) -> String {
        // The first spelling is outdated, and what the official client for scripts reads.
        let mut attributes = Attributes::from([
            ("MessageID".into(), message_id.to_owned()),
            ("MessageId".into(), message_id.to_owned()),
        ]);
        put_reason(&mut attributes, reason);
        self.announce("aws:DELETE_MESSAGE", &attributes, request_id)
    }

    /// Tells everyone that a user is disconnected, and ends all of that user's sessions.
    pub(super) fn disconnect(&self, user_id: &str, reason: Option<&str>, request_id: Option<&str>) {
        let mut attributes = Attributes::from([("UserId".into(), user_id.to_owned())]);
        put_reason(&mut attributes, reason);
        let name = "aws:DISCONNECT_USER";
        let (_, frame) = event(name, &attributes, request_id, since_epoch());
        self.push(Push::Disconnect {
            user_id: user_id.into(),
            frame,
        });
    }

    /// Ends every session.
    pub(super) fn close(&self) {
        self.push(Push::Deleted);
    }

    fn push(&self, push: Push) {
        // An error says that nobody is there.
        drop(self.pushes.send(push));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics halfway through a change, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_reason(attributes: &mut Attributes, reason: Option<&str>) {
    if let Some(reason) = reason {
        attributes.insert("Reason".into(), reason.to_owned());
    }
}

/// What is published of a message that is a reaction.
fn reactions_of(message: &Message, palette: &Palette) -> Option<String> {
    palette.decode(&message.content).ok()?;
    Some(message.content.clone())
}
