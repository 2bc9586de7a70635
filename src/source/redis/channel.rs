//! A channel, or all whose names match a pattern.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::sync::mpsc::{self, Sender, error::TrySendError};
use tokio::time::timeout;

use super::Redis;
use crate::reaction::Message;
use crate::source::broker::{PAYLOAD_BYTES_MAX, text};
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

/// Messages that wait to be taken. What comes while they are that many is dropped and counted as
/// lost.
const WAITING_MAX: usize = 16_384;

/// The bytes of their payloads. What comes while they are that many is dropped, too.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A connection on which nothing came for this long is asked whether it still is one.
const SILENCE: Duration = Duration::from_secs(15);

/// A server answers sooner, or is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Redis {
    /// Follows a channel until the connection is over.
    pub(super) async fn channel(&self, name: &str, is_pattern: bool, inbox: &Inbox) -> Failure {
        let (sender, mut pushes) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Waiting::default());
        let room = Arc::clone(&waiting);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_push_sender(move |push| room.send(&sender, push));
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
                Ok(Some(push)) => {
                    waiting.received(&push);
                    take(&push, inbox);
                }
                Ok(None) => break,
                Err(_) => {
                    let pong: redis::RedisResult<Value> =
                        redis::cmd("PING").query_async(&mut connection).await;
                    if pong.is_err() {
                        break;
                    }
                }
            }
            waiting.tell(inbox);
        }
        waiting.tell(inbox);
        Failure::passing(format_args!(
            "{}: the connection is lost, and with it what is published meanwhile; a stream would \
             keep it",
            self.address.host
        ))
    }
}

/// What waits to be taken.
#[derive(Debug, Default)]
struct Waiting {
    /// The bytes of their payloads.
    bytes: AtomicUsize,
    /// Messages that found no room, since that was last told.
    dropped: AtomicU64,
}

impl Waiting {
    fn send(
        &self,
        sender: &Sender<PushInfo>,
        mut push: PushInfo,
    ) -> Result<(), TrySendError<PushInfo>> {
        let mut bytes = payload(&push).map_or(0, <[u8]>::len);
        if bytes > PAYLOAD_BYTES_MAX {
            // It is refused, for which nothing of it is needed.
            push.data.clear();
            bytes = 0;
        }
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_BYTES_MAX {
            match sender.try_send(push) {
                Err(TrySendError::Full(_)) => {}
                sent => return sent,
            }
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn received(&self, push: &PushInfo) {
        let bytes = payload(push).map_or(0, <[u8]>::len);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn tell(&self, inbox: &Inbox) {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            inbox.gap(lost, false);
        }
    }
}

fn is_message(push: &PushInfo) -> bool {
    matches!(push.kind, PushKind::Message | PushKind::PMessage)
}

/// A message's payload is what comes last, after the channel and perhaps the pattern.
fn payload(push: &PushInfo) -> Option<&[u8]> {
    match push.data.last() {
        Some(Value::BulkString(payload)) if is_message(push) => Some(payload),
        _ => None,
    }
}

fn take(push: &PushInfo, inbox: &Inbox) {
    match payload(push) {
        Some(payload) => {
            if let Some(text) = text(inbox, payload) {
                inbox.take(&Arrival::of(Message::payload(text)));
            }
        }
        None if is_message(push) => inbox.refuse(),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_bytes_and_what_is_too_long_takes_none() {
        let message = |bytes: usize| PushInfo {
            kind: PushKind::Message,
            data: vec![
                Value::BulkString(b"live".to_vec()),
                Value::BulkString(vec![b'x'; bytes]),
            ],
        };
        let (sender, mut pushes) = mpsc::channel(WAITING_MAX);
        let waiting = Waiting::default();
        let send = |bytes| waiting.send(&sender, message(bytes)).unwrap();
        let dropped = || waiting.dropped.load(Ordering::Relaxed);
        let count = WAITING_BYTES_MAX / PAYLOAD_BYTES_MAX;
        for _ in 0..count {
            send(PAYLOAD_BYTES_MAX);
        }
        assert_eq!(dropped(), 0);
        send(1);
        assert_eq!(dropped(), 1);
        send(PAYLOAD_BYTES_MAX + 1);
        assert_eq!((pushes.len(), dropped()), (count + 1, 1));
        waiting.received(&pushes.try_recv().unwrap());
        send(PAYLOAD_BYTES_MAX);
        assert_eq!(dropped(), 1);
        while let Ok(push) = pushes.try_recv() {
            waiting.received(&push);
        }
        assert_eq!(waiting.bytes.into_inner(), 0);
    }
}
