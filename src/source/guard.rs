//! A channel's gate, as those see it who let messages in.

use std::sync::Arc;

use tokio::time::Instant;

use crate::gate::{Gate, Refusal};
use crate::metrics;
use crate::reaction::Reaction;

/// A channel's gate, whose refusals are counted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    gate: Arc<Gate>,
    refusals: metrics::Gate,
    /// When its time began.
    began: Instant,
}

impl Guard {
    /// A guard at this gate.
    #[must_use]
    pub fn new(gate: Arc<Gate>, refusals: metrics::Gate) -> Self {
        Self {
            gate,
            refusals,
            began: Instant::now(),
        }
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What of a message is let in now.
    ///
    /// # Errors
    /// Nothing of it is.
    pub fn admit(
        &self,
        publisher: Option<&str>,
        reactions: Vec<Reaction>,
    ) -> Result<Vec<Reaction>, Refusal> {
        let now = self.began.elapsed();
        let admitted = self.gate.admit(publisher, reactions, now);
        admitted.inspect_err(|refusal| self.refusals.count(*refusal))
    }
}
