//! What the chat counts, over all rooms.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of the chat. They are of all rooms: those that the control API makes have no bound
/// that series could have.
#[derive(Clone, Debug, Default)]
pub struct Chat {
    /// Sessions now.
    pub members: Gauge,
    /// Messages that were sent to everyone in their room.
    pub messages: Counter,
    /// Requests that were answered with an error.
    pub refusals: Family<Code, Counter>,
    /// Messages that review handlers were asked about.
    pub reviews: Family<Review, Counter>,
}

/// The label `code`: that of an error, all of which come from the code of the server.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Code {
    code: u16,
}

impl Code {
    /// All that there are.
    const ALL: [u16; 5] = [400, 403, 406, 413, 429];

    /// The label for one code.
    #[must_use]
    pub fn new(code: u16) -> Self {
        Self { code }
    }
}

/// The label `outcome`: `allowed`, `denied` or `failed`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Review {
    outcome: &'static str,
}

impl Review {
    /// The handler lets it through, perhaps changed.
    pub const ALLOWED: Self = Self::new("allowed");
    /// The handler does not.
    pub const DENIED: Self = Self::new("denied");
    /// It gave no valid answer in time, and the room's fallback decided.
    pub const FAILED: Self = Self::new("failed");

    const fn new(outcome: &'static str) -> Self {
        Self { outcome }
    }
}

impl Chat {
    pub(super) fn register(&self, r: &mut Registry) {
        // A series that exists from the start can be told from one that is missing.
        for outcome in [Review::ALLOWED, Review::DENIED, Review::FAILED] {
            drop(self.reviews.get_or_create(&outcome));
        }
        for code in Code::ALL {
            drop(self.refusals.get_or_create(&Code::new(code)));
        }
        r.register(
            "chat_members",
            "Sessions in rooms of the chat",
            self.members.clone(),
        );
        r.register(
            "chat_messages",
            "Messages sent in rooms of the chat",
            self.messages.clone(),
        );
        r.register(
            "chat_refusals",
            "Requests of the chat answered with an error, by its code",
            self.refusals.clone(),
        );
        r.register(
            "chat_reviews",
            "Messages given to review handlers, by what they made of them",
            self.reviews.clone(),
        );
    }
}
