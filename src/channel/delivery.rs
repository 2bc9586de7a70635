//! What sources bring to the stage.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Channel, lock, now};
use crate::source::{Cue, Receiver};
use crate::topic::ItemId;

impl Channel {
    /// Puts a cue on stage, in the frame that is next.
    pub fn deliver(&self, cue: &Cue) {
        let came = cue.taken_at.unwrap_or_else(now);
        let mut on_stage = lock(&self.stage);
        let elapsed = self.started.elapsed();
        let at = self.next_frame(&on_stage);
        let over = on_stage.drawn_until.unwrap_or(elapsed);
        on_stage.stage.retire(over);
        self.metrics.stage.show(&mut on_stage.stage);
        on_stage.stage.spawn(&cue.entrance(at));
        let tally = on_stage.stage.take_tally();
        self.metrics.stage.count(tally);
        self.metrics.stage.show(&mut on_stage.stage);
        if tally.shown + tally.aggregated + tally.on_bar > 0 {
            self.debuts.add(self.rate.first_at_or_after(at), came);
        }
    }

    /// Takes the sprites of these items off the stage.
    pub fn retract(&self, items: &[ItemId]) {
        let items: HashSet<_> = items.iter().copied().collect();
        let is_retracted = |page, sequence| items.contains(&ItemId { page, sequence });
        let mut on_stage = lock(&self.stage);
        on_stage.stage.retract(is_retracted);
        self.metrics.stage.show(&mut on_stage.stage);
    }
}

impl Receiver for Arc<Channel> {
    fn cue(&self, cue: Cue) -> Option<ItemId> {
        self.deliver(&cue);
        Some(cue.item())
    }

    fn retract(&self, items: &[ItemId]) {
        Channel::retract(self, items);
    }
}
