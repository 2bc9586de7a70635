//! One room: its settings, and what everyone in it is sent.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::reaction;
use crate::server::chat::arn;
use crate::server::chat::floats::Floats;
use crate::server::chat::rate::Rate;
use crate::server::chat::review::Handler;
use crate::server::chat::wire::{Attributes, Message, event};
use crate::source::since_epoch;

/// Frames that a room keeps for members that are slow to read. One that is further behind is
/// disconnected, so that it can come back, in place of being sent a chat with holes.
const PUSHES_MAX: usize = 256;

/// A room's settings unless others are given: those of the service.
pub(super) const RATE_DEFAULT: u32 = 10;
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
    /// Of a channel's room.
    pub(super) channel: Option<Floats>,
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
    /// By id: those who are here, and have not been disconnected since they came.
    users: HashMap<String, User>,
    /// How many stays there have been.
    stays: u64,
}

/// A user's stay in a room, over all of the user's sessions.
#[derive(Debug)]
struct User {
    stay: u64,
    sessions: usize,
}

/// A member's place in a room, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) room: Arc<Room>,
    pub(super) pushes: broadcast::Receiver<Push>,
    user_id: String,
    stay: u64,
}

impl Seat {
    /// Floats what a message of this member asks for, and then sends it to everyone, its sender
    /// too: who deletes it knows its id from there, and what it has floated is to be found. Drops
    /// it if the user has been disconnected, and says so.
    pub(super) fn post(&self, message: &Message) -> bool {
        // Held, so that no disconnection comes in between.
        let state = self.room.lock();
        let is_taken = self.is_taken(&state);
        if is_taken {
            self.room.post(message);
        }
        is_taken
    }

    fn is_taken(&self, state: &State) -> bool {
        let user = state.users.get(&self.user_id);
        user.is_some_and(|user| user.stay == self.stay)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        if !self.is_taken(&state) {
            return;
        }
        if let Entry::Occupied(mut user) = state.users.entry(self.user_id.clone()) {
            user.get_mut().sessions -= 1;
            if user.get().sessions == 0 {
                user.remove();
            }
        }
    }
}

impl Room {
    pub(super) fn new(id: String, settings: Settings, channel: Option<Floats>) -> Self {
        let made_at = since_epoch();
        let state = State {
            settings,
            set_at: made_at,
            sent: Rate::default(),
            users: HashMap::new(),
            stays: 0,
        };
        Self {
            id,
            channel,
            made_at,
            pushes: broadcast::Sender::new(PUSHES_MAX),
            state: Mutex::new(state),
        }
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

    /// Changes all of them or, after an error, none; those that nobody names stay as they are,
    /// whoever else changes some at the same time.
    pub(super) fn change<E>(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.lock();
        let mut settings = state.settings.clone();
        change(&mut settings)?;
        state.settings = settings;
        state.set_at = since_epoch();
        Ok(())
    }

    pub(super) fn members(&self) -> usize {
        self.pushes.receiver_count()
    }

    /// A place for one more session of a user.
    pub(super) fn seat(self: Arc<Self>, user_id: &str) -> Seat {
        let mut guard = self.lock();
        let state = &mut *guard;
        let user = state.users.entry(user_id.to_owned()).or_insert_with(|| {
            state.stays += 1;
            User {
                stay: state.stays,
                sessions: 0,
            }
        });
        user.sessions += 1;
        let stay = user.stay;
        // Under the lock, so that no disconnection comes in between.
        let pushes = self.pushes.subscribe();
        drop(guard);
        Seat {
            pushes,
            user_id: user_id.to_owned(),
            stay,
            room: self,
        }
    }

    /// Whether one more message may be sent in this second.
    pub(super) fn takes_message(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let per_second = usize::try_from(state.settings.rate_per_second).unwrap_or(usize::MAX);
        state.sent.take(per_second, now)
    }

    fn post(&self, message: &Message) {
        if let Some(channel) = &self.channel {
            let asks = reaction::Message {
                attributes: &message.attributes,
                ..reaction::Message::chat(&message.content)
            };
            let user_id = Some(message.sender.user_id.as_str());
            channel.float(&asks, &message.id, user_id, message.sent_at);
        }
        self.push(Push::Frame(message.frame()));
    }

    /// Floats what an application's event asks for, sends it to everyone, and gives its id.
    pub(super) fn send_event(&self, name: &str, attributes: &Attributes) -> String {
        let at = since_epoch();
        let (id, frame) = event(name, attributes, None, at);
        if let Some(channel) = &self.channel {
            let asks = reaction::Message::event(name, attributes);
            channel.float(&asks, &id, None, at);
        }
        self.push(Push::Frame(frame));
        id
    }

    /// Tells everyone that a message is deleted, takes back what floats of it, and gives the event's
    /// id. Whether there was such a message is not looked at, as in the service, which keeps none.
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
        let name = "aws:DELETE_MESSAGE";
        let (id, frame) = event(name, &attributes, request_id, since_epoch());
        self.push(Push::Frame(frame));
        if let Some(channel) = &self.channel {
            channel.retract_message(message_id);
        }
        id
    }

    /// Tells everyone that a user is disconnected, ends all of that user's sessions, and takes back
    /// what floats of the user's messages.
    pub(super) fn disconnect(&self, user_id: &str, reason: Option<&str>, request_id: Option<&str>) {
        let mut attributes = Attributes::from([("UserId".into(), user_id.to_owned())]);
        put_reason(&mut attributes, reason);
        let name = "aws:DISCONNECT_USER";
        let (_, frame) = event(name, &attributes, request_id, since_epoch());
        let mut state = self.lock();
        state.users.remove(user_id);
        self.push(Push::Disconnect {
            user_id: user_id.into(),
            frame,
        });
        drop(state);
        if let Some(channel) = &self.channel {
            channel.retract_user(user_id);
        }
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
