//! A channel, or all whose names match a pattern.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::timeout;

use super::Redis;
use crate::reaction::Message;
use crate::source::broker::text;
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

/// Messages that wait to be taken. What comes while they are that many is dropped and counted as
/// lost.
const WAITING_MAX: usize = 16_384;

/// A connection on which nothing came for this long is asked whether it still is one.
const SILENCE: Duration = Duration::from_secs(15);

/// A server answers sooner, or is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Redis {
    /// Follows a channel until the connection is over.
    pub(super) async fn channel(&self, name: &str, is_pattern: bool, inbox: &Inbox) -> Failure {
        let (sender, mut pushes) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_push_sender(move |push: PushInfo| match sender.try_send(push) {
                Err(TrySendError::Full(_)) => {
                    counter.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                sent => sent,
            });
        let mut connection = match self.connect(config).await {
            Ok(connection) => connection,
            Err(failure) => return failure,
        };
        let subscribed = match is_pattern {
            false => connection.subscribe(name).await,
            true => connection.psubscribe(name).await,
        };
        if let Err(error) = subscribed {
            return self.failure(&error);
        }
        inbox.live();
        loop {
            match timeout(SILENCE, pushes.recv()).await {
                Ok(Some(push)) if push.kind == PushKind::Disconnection => break,
                Ok(Some(push)) => take(&push, inbox),
                Ok(None) => break,
                Err(_) => {
                    let pong: redis::RedisResult<Value> =
                        redis::cmd("PING").query_async(&mut connection).await;
                    if pong.is_err() {
                        break;
                    }
                }
            }
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                inbox.gap(lost, false);
            }
        }
        Failure::passing(format_args!(
            "{}: the connection is lost, and with it what is published meanwhile; a stream would \
             keep it",
            self.address.host
        ))
    }
}

/// Takes a message: its payload is what comes last, after the channel and perhaps the pattern.
fn take(push: &PushInfo, inbox: &Inbox) {
    if !matches!(push.kind, PushKind::Message | PushKind::PMessage) {
        return;
    }
    match push.data.last() {
        Some(Value::BulkString(payload)) => {
            if let Some(text) = text(inbox, payload) {
                inbox.take(&Arrival::of(Message::payload(text)));
            }
        }
        _ => inbox.refuse(),
    }
}
