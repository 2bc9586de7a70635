//! A subject, as it is published.

use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::{Link, Nats, take};
use crate::source::broker::CONNECT_TIMEOUT;
use crate::source::inbox::Inbox;
use crate::source::retry::Failure;

impl Nats {
    /// Follows the subject until the connection is over.
    pub(super) async fn core(&self, link: &mut Link, inbox: &Inbox) -> Failure {
        let host = &self.address.host;
        let subscribed = link.client.subscribe(self.address.subject.clone()).await;
        let mut messages = match subscribed {
            Ok(messages) => messages,
            Err(error) => return Failure::passing(format_args!("{host}: {error}")),
        };
        if let Err(failure) = self.settle(link).await {
            return failure;
        }
        inbox.live();
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => take(inbox, &message, |arrival| arrival),
                    None => return self.ended(None).unwrap_or_else(|| self.unauthorized()),
                },
                event = link.events.recv() => {
                    if let Some(failure) = self.ended(event.as_ref()) {
                        return failure;
                    }
                }
            }
            let lost = link.dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                inbox.gap(lost, false);
            }
        }
    }

    /// Waits until the server has read the subscription. It reads in order, and answers at once
    /// that nobody listens to a subject that is made up for this, or that we may not publish to it.
    async fn settle(&self, link: &mut Link) -> Result<(), Failure> {
        // What it says against the subscription is told apart from answers, and may be told a
        // little later: not later than a second answer.
        for _ in 0..2 {
            let question = link.client.request(link.client.new_inbox(), "".into());
            tokio::select! {
                biased;
                event = link.events.recv() => {
                    if let Some(failure) = self.ended(event.as_ref()) {
                        return Err(failure);
                    }
                }
                _ = timeout(CONNECT_TIMEOUT, question) => {}
            }
        }
        Ok(())
    }
}
