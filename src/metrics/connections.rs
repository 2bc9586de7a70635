//! What the HTTP server counts of its connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of the server's connections, and of the requests that it doesn't look at.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// Connections now.
    pub open: Gauge,
    /// Connections that were not served, or not to their end, by why.
    pub refused: Family<Why, Counter>,
    /// Requests beyond what one address may ask for.
    pub requests_refused: Counter,
}

/// The label `reason`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Why {
    reason: &'static str,
}

impl Why {
    /// There were as many as there may be.
    pub const FULL: Self = Self::new("full");
    /// Its address had as many as one may have.
    pub const ADDRESS: Self = Self::new("address");
    /// Nobody came to an understanding over TLS, or not in time.
    pub const HANDSHAKE: Self = Self::new("handshake");
    /// A request's head was not whole in time.
    pub const SLOW: Self = Self::new("slow");
    /// Its client took nothing of an answer for too long.
    pub const UNREAD: Self = Self::new("unread");

    const ALL: [Self; 5] = [
        Self::FULL,
        Self::ADDRESS,
        Self::HANDSHAKE,
        Self::SLOW,
        Self::UNREAD,
    ];

    const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl Connections {
    /// Counts a connection that was refused or given up.
    pub fn refuse(&self, why: &Why) {
        self.refused.get_or_create(why).inc();
    }

    pub(super) fn register(&self, r: &mut Registry) {
        // A series that exists from the start can be told from one that is missing.
        for why in Why::ALL {
            drop(self.refused.get_or_create(&why));
        }
        r.register("connections", "Connections open", self.open.clone());
        r.register(
            "connections_refused",
            "Connections refused or given up, by why",
            self.refused.clone(),
        );
        r.register(
            "requests_refused",
            "Requests beyond what one address may ask for",
            self.requests_refused.clone(),
        );
    }
}
