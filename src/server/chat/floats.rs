//! What messages of a channel's room ask for, as its topic has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::metrics::Outcome;
use crate::reaction::{self, Rules};
use crate::server::{Channel, Service};
use crate::source::{Guard, since_epoch};
use crate::topic::{Broker, ItemId, TopicName, Value};

/// Messages that float, remembered so that they can be taken back; the oldest is forgotten. A sprite
/// is over sooner than this many come.
const FLOATING_MAX: usize = 2_000;

/// Where a room's reactions float.
#[derive(Debug)]
pub(super) struct Floats {
    /// The channel's name.
    pub(super) name: String,
    pub(super) topic: TopicName,
    broker: Broker,
    rules: Rules,
    guard: Guard,
    accepted: Counter,
    /// The newest, oldest first. At most [`FLOATING_MAX`].
    floating: Mutex<VecDeque<Floating>>,
}

/// A message that floats, or has.
#[derive(Debug)]
struct Floating {
    message_id: String,
    user_id: Option<String>,
    item: ItemId,
}

impl Floats {
    /// A channel of a service, with the rules of a source that follows such a chat.
    pub(super) fn new(name: &str, channel: &Channel, service: &Service) -> Self {
        let reactions = &service.metrics.reactions;
        Self {
            name: name.to_owned(),
            topic: channel.topic.clone(),
            broker: service.broker.clone(),
            rules: Rules::new(Arc::clone(&service.palette)),
            guard: channel.guard.clone(),
            accepted: reactions.get_or_create_owned(&Outcome::ACCEPTED),
            floating: Mutex::default(),
        }
    }

    /// Publishes what a message asks for, if it asks for anything.
    pub(super) fn float(
        &self,
        message: &reaction::Message<'_>,
        message_id: &str,
        user_id: Option<&str>,
        at: Duration,
    ) {
        let Ok(reactions) = self.rules.read(message) else {
            return;
        };
        let Ok(reactions) = self.guard.admit(user_id, reactions) else {
            return;
        };
        let value = Value::Text(reaction::encode(&reactions).into());
        let publisher = user_id.map(Into::into);
        match self.broker.publish(&self.topic, value, publisher, at) {
            Ok(item) => {
                self.accepted.inc();
                let mut floating = self.lock();
                if floating.len() >= FLOATING_MAX {
                    floating.pop_front();
                }
                floating.push_back(Floating {
                    message_id: message_id.to_owned(),
                    user_id: user_id.map(str::to_owned),
                    item,
                });
            }
            Err(error) => tracing::warn!("a reaction in the chat of {}: {error}", self.topic),
        }
    }

    /// Takes back what floats of a message.
    pub(super) fn retract_message(&self, message_id: &str) {
        self.retract(|one| one.message_id == message_id);
    }

    /// Takes back what floats of a user's messages.
    pub(super) fn retract_user(&self, user_id: &str) {
        self.retract(|one| one.user_id.as_deref() == Some(user_id));
    }

    /// Takes back what floats of these messages.
    fn retract(&self, which: impl Fn(&Floating) -> bool) {
        let mut items = Vec::new();
        self.lock().retain(|one| {
            let is_meant = which(one);
            if is_meant {
                items.push(one.item);
            }
            !is_meant
        });
        self.broker.retract(&self.topic, &items, since_epoch());
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Floating>> {
        // No code under the lock panics halfway through a change, so a poisoned list is whole.
        self.floating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
