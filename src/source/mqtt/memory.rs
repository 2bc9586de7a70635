//! What is remembered of a session from one connection to the next.

use std::collections::{BTreeSet, VecDeque, hash_map::DefaultHasher};
use std::hash::{Hash as _, Hasher as _};

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::Publish;

/// Messages of QoS 1 that are remembered, in case the broker did not get our acknowledgement and
/// sends them again. The oldest is forgotten first; brokers have far fewer on their way at once.
const TAKEN_MAX: usize = 1_024;

/// What is remembered across connections.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The newest messages of QoS 1: packet identifier, and a hash of topic and payload.
    /// At most [`TAKEN_MAX`].
    taken: VecDeque<(u16, u64)>,
    /// How many of them, the oldest, had been acknowledged when the broker was last pinged. With its
    /// answer it has all of that, and what bears their identifiers from then on is new.
    pinged: usize,
    /// The messages of QoS 2 that were taken and not yet released. Bounded by their 16 bits.
    pub(super) unreleased: BTreeSet<u16>,
    /// Whether a session was subscribed before.
    pub(super) is_known: bool,
    /// Whether the broker keeps the session since before that: by another filter, perhaps.
    pub(super) is_inherited: bool,
}

impl Memory {
    /// Whether a message is to be shown: QoS 0 always, others unless they came before.
    pub(super) fn is_new(&mut self, publish: &Publish) -> bool {
        match publish.qos {
            QoS::AtMostOnce => true,
            QoS::ExactlyOnce => self.unreleased.insert(publish.pkid),
            QoS::AtLeastOnce => {
                let mut hasher = DefaultHasher::new();
                (&publish.topic, &publish.payload).hash(&mut hasher);
                let mark = (publish.pkid, hasher.finish());
                if publish.dup && self.taken.contains(&mark) {
                    return false;
                }
                if self.taken.len() >= TAKEN_MAX {
                    self.taken.pop_front();
                    self.pinged = self.pinged.saturating_sub(1);
                }
                self.taken.push_back(mark);
                true
            }
        }
    }

    /// All that was taken is acknowledged, and the broker is asked whether it is there.
    pub(super) fn ping(&mut self) {
        self.pinged = self.taken.len();
    }

    /// The broker has answered, so it has read what was sent before.
    pub(super) fn pong(&mut self) {
        self.taken.drain(..std::mem::take(&mut self.pinged));
    }

    /// A connection begins. A ping by the last one is not answered any more.
    pub(super) fn connected(&mut self, is_kept: bool) {
        self.pinged = 0;
        self.is_inherited = is_kept && (self.is_inherited || !self.is_known);
        if !is_kept {
            self.taken.clear();
            self.unreleased.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(id: u16, payload: &str) -> Publish {
        let mut publish = Publish::new("live", QoS::AtLeastOnce, payload);
        publish.pkid = id;
        publish
    }

    fn again(publish: &Publish) -> Publish {
        Publish {
            dup: true,
            ..publish.clone()
        }
    }

    #[test]
    fn what_comes_again_is_known_until_the_broker_has_our_acknowledgement() {
        let mut memory = Memory::default();
        let [one, two] = [publish(1, "heart"), publish(2, "heart")];
        assert!(memory.is_new(&one) && !memory.is_new(&again(&one)));
        memory.ping();
        assert!(memory.is_new(&two));
        memory.pong();
        // Its identifier is another message's by now, which came to a connection that was lost.
        assert!(memory.is_new(&again(&one)));
        assert!(!memory.is_new(&again(&two)));
        // The answer to the ping of a connection that was lost.
        memory.ping();
        memory.connected(true);
        memory.pong();
        assert!(!memory.is_new(&again(&two)));
        for id in 0..2_000 {
            memory.ping();
            assert!(memory.is_new(&publish(id, "fire")));
        }
        memory.pong();
        assert_eq!(memory.taken.len(), 1);
    }
}
