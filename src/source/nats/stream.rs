//! A subject out of a JetStream stream: an ordered consumer (NATS ADR-17) of our own making, which
//! begins where the last one ended.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{ConsumerErrorKind, Info as StreamInfo};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Message, StatusCode, Subject, Subscriber};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::{Link, Nats};
use crate::reaction;
use crate::source::broker::text;
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;
use crate::topic::ItemId;

/// A consumer with nothing to tell says so this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A consumer that says nothing for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(12);

/// The header of a heartbeat with the number of the consumer's last delivery.
const LAST_CONSUMER: &str = "Nats-Last-Consumer";

/// The header of a heartbeat with the stream's number up to which the consumer has looked.
const LAST_STREAM: &str = "Nats-Last-Stream";

/// The header of a heartbeat with the subject to answer to, if the consumer waits to be told that we
/// keep up: the question was lost.
const STALLED: &str = "Nats-Consumer-Stalled";

/// Where the reading of a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The stream's incarnation: when it was made, in milliseconds since the Unix epoch; and the
    /// sequence number that is expected next. `None` before the first connection.
    at: Option<(u64, u64)>,
}

impl Place {
    /// Where to begin in a stream that is now like this, and what is missing before it: how many
    /// messages, and whether the stream is another one.
    fn resume(self, page: u64, first: u64, last: u64) -> (u64, Option<(u64, bool)>) {
        match self.at {
            None => (last.saturating_add(1), None),
            // It was made anew: all that it has is new.
            Some((before, _)) if before != page => {
                let first = first.max(1);
                (first, Some((first - 1, true)))
            }
            // It was put back to an earlier state: what it has was seen.
            Some((_, next)) if last.saturating_add(1) < next => (last + 1, Some((0, true))),
            Some((_, next)) if first > next => (first, Some((first - next, false))),
            Some((_, next)) => (next, None),
        }
    }
}

impl Nats {
    /// Follows the stream until the connection is over.
    pub(super) async fn stream(
        &self,
        link: &mut Link,
        stream: &str,
        place: &mut Place,
        inbox: &Inbox,
    ) -> Failure {
        let context = jetstream::new(link.client.clone());
        let begun = self.begin(&context, stream, *place, inbox);
        tokio::pin!(begun);
        let mut consumer = loop {
            tokio::select! {
                begun = &mut begun => match begun {
                    Ok((consumer, at)) => {
                        *place = at;
                        break consumer;
                    }
                    Err(failure) => return failure,
                },
                event = link.events.recv() => {
                    if let Some(failure) = self.ended(event.as_ref()) {
                        return failure;
                    }
                }
            }
        };
        inbox.live();
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            tokio::select! {
                message = consumer.messages.next() => {
                    let Some(message) = message else { break };
                    silent_at = Instant::now() + SILENCE_MAX;
                    if let Err(why) = consumer.take(message, place, inbox).await {
                        // The next session asks for it again.
                        return Failure::passing(format_args!("{}: {why}", self.address.host));
                    }
                }
                event = link.events.recv() => {
                    if let Some(failure) = self.ended(event.as_ref()) {
                        return failure;
                    }
                }
                () = sleep_until(silent_at) => {
                    let why = "the stream's consumer is silent";
                    return Failure::passing(format_args!("{}: {why}", self.address.host));
                }
            }
        }
        self.lost()
    }

    /// Looks at the stream, says what is missing, and makes a consumer that begins after that.
    async fn begin(
        &self,
        context: &Context,
        stream: &str,
        place: Place,
        inbox: &Inbox,
    ) -> Result<(Consumer, Place), Failure> {
        let info = self.info(context, stream).await?;
        let (page, state) = (page(&info), &info.state);
        let (next, missing) = place.resume(page, state.first_sequence, state.last_sequence);
        let messages = self.consume(context, stream, next).await?;
        let subject = &self.address.subject;
        let is_whole_stream = info.config.subjects == [subject.as_str()] || subject == ">";
        match missing {
            None => {}
            Some((lost, was_reset)) if is_whole_stream => inbox.gap(lost, was_reset),
            Some((_, true)) => inbox.gap(0, true),
            Some((_, false)) => inbox.note(format_args!(
                "stream {stream:?} dropped messages before they were read; whether any was of \
                 {subject:?} is not known"
            )),
        }
        let place = Place {
            at: Some((page, next)),
        };
        let consumer = Consumer {
            messages,
            context: context.clone(),
            delivered: 0,
            is_whole_stream,
        };
        Ok((consumer, place))
    }

    async fn info(&self, context: &Context, stream: &str) -> Result<StreamInfo, Failure> {
        let host = &self.address.host;
        let error = match context.get_stream(stream).await {
            Ok(stream) => return Ok(stream.cached_info().clone()),
            Err(error) => error,
        };
        let told = match error.kind() {
            GetStreamErrorKind::JetStream(error) => Some(error.error_code()),
            _ => None,
        };
        // Where there are no streams, nobody answers.
        let is_without = error.kind() == GetStreamErrorKind::Request
            && !context.client().server_info().jetstream;
        Err(match told {
            Some(ErrorCode::STREAM_NOT_FOUND) => Failure::refused(format_args!(
                "{host}: there is no stream {stream:?}; make it, or name one that exists"
            )),
            Some(
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
            ) => self.streamless(),
            _ if is_without => self.streamless(),
            _ => Failure::passing(format_args!("{host}: {error}")),
        })
    }

    fn streamless(&self) -> Failure {
        Failure::refused(format_args!(
            "{}: it has no streams; enable JetStream, or leave ?stream out",
            self.address.host
        ))
    }

    async fn consume(
        &self,
        context: &Context,
        stream: &str,
        next: u64,
    ) -> Result<Subscriber, Failure> {
        let host = &self.address.host;
        let client = context.client();
        let deliver_subject = client.new_inbox();
        let subscribed = client.subscribe(deliver_subject.clone()).await;
        let messages =
            subscribed.map_err(|error| Failure::passing(format_args!("{host}: {error}")))?;
        let config = push::Config {
            deliver_subject,
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: next,
            },
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: self.address.subject.clone(),
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            memory_storage: true,
            num_replicas: 1,
            ..push::Config::default()
        };
        match context.create_consumer_on_stream(config, stream).await {
            Ok(_) => Ok(messages),
            Err(error) => Err(match error.kind() {
                // The server is not ready for it yet, as after a start.
                ConsumerErrorKind::JetStream(error) if error.code() >= 500 => {
                    Failure::passing(format_args!("{host}: {error}"))
                }
                ConsumerErrorKind::JetStream(error) => Failure::refused(format_args!(
                    "{host}: stream {stream:?} can't be read: {error}; it needs the subject {:?} \
                     and a retention by limits",
                    self.address.subject
                )),
                _ => Failure::passing(format_args!("{host}: {error}")),
            }),
        }
    }
}

/// A stream's incarnation, by when it was made.
fn page(info: &StreamInfo) -> u64 {
    let milliseconds = info.created.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(milliseconds).unwrap_or_default()
}

struct Consumer {
    messages: Subscriber,
    context: Context,
    /// The number of its last delivery.
    delivered: u64,
    /// Whether the subject is all that the stream has, so that each number missing is a message.
    is_whole_stream: bool,
}

impl Consumer {
    /// Takes what came: a message, or what the server has to say about the consumer. An error says
    /// why the consumer is of no more use.
    async fn take(
        &mut self,
        message: Message,
        place: &mut Place,
        inbox: &Inbox,
    ) -> Result<(), &'static str> {
        const MISSED: &str = "a delivery was missed";
        if let Some(status) = message.status {
            if status != StatusCode::IDLE_HEARTBEAT {
                return Err("the stream's consumer was deleted");
            }
            let last = number(&message, LAST_CONSUMER);
            if last.is_some_and(|last| last != self.delivered) {
                return Err(MISSED);
            }
            // Other subjects' messages up to there are none that may be missing.
            if let (Some(last), false) = (number(&message, LAST_STREAM), self.is_whole_stream) {
                let (page, next) = place.at.unwrap_or_default();
                place.at = Some((page, next.max(last.saturating_add(1))));
            }
            // Asked whether we keep up (flow control), we are.
            if let Some(to) = asked_by(&message) {
                let client = self.context.client();
                let told = client.publish(to, "".into());
                told.await.map_err(|_| "the connection is lost")?;
            }
            return Ok(());
        }
        let delivery = jetstream::Message {
            message,
            context: self.context.clone(),
        };
        let info = delivery
            .info()
            .map_err(|_| "a delivery is not as JetStream documents it")?;
        if info.consumer_sequence != self.delivered + 1 {
            return Err(MISSED);
        }
        self.delivered = info.consumer_sequence;
        let (page, next) = place.at.unwrap_or_default();
        let sequence = info.stream_sequence;
        if sequence < next {
            return Ok(());
        }
        if self.is_whole_stream && sequence > next {
            inbox.gap(sequence - next, false);
        }
        place.at = Some((page, sequence.saturating_add(1)));
        let published_ns = info.published.unix_timestamp_nanos();
        let published_at = u64::try_from(published_ns).ok().map(Duration::from_nanos);
        // Its id is the stream's affair, which takes none twice: other streams may use the same ones.
        if let Some(text) = text(inbox, &delivery.payload) {
            inbox.take(&Arrival {
                place: Some(ItemId { page, sequence }),
                published_at,
                ..Arrival::of(reaction::Message::payload(text))
            });
        }
        Ok(())
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

fn number(message: &Message, name: &str) -> Option<u64> {
    header(message, name)?.parse().ok()
}

/// Where a consumer wants to be told that we keep up: it asks, or waits since it did.
fn asked_by(message: &Message) -> Option<Subject> {
    let stalled = || header(message, STALLED).map(Subject::from);
    message.reply.clone().or_else(stalled)
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    #[test]
    fn a_consumer_is_told_that_we_keep_up_when_it_asks_and_when_it_waits() {
        let heartbeat = |reply: Option<&str>, stalled: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(LAST_CONSUMER, "7");
            if let Some(stalled) = stalled {
                headers.insert(STALLED, stalled);
            }
            Message {
                subject: "to".into(),
                reply: reply.map(Subject::from),
                payload: "".into(),
                headers: Some(headers),
                status: Some(StatusCode::IDLE_HEARTBEAT),
                description: None,
                length: 0,
            }
        };
        for (reply, stalled, expected) in [
            (None, None, None),
            (Some("$JS.FC.a"), None, Some("$JS.FC.a")),
            (None, Some("$JS.FC.b"), Some("$JS.FC.b")),
        ] {
            let message = heartbeat(reply, stalled);
            assert_eq!(asked_by(&message).as_deref(), expected);
            assert_eq!(number(&message, LAST_CONSUMER), Some(7));
        }
    }

    #[test]
    fn reading_goes_on_where_it_was_and_says_what_is_missing() {
        let place = |next| Place {
            at: Some((7, next)),
        };
        for (place, now, expected) in [
            // From what is sent next on; of an empty stream, and of one that was purged.
            (Place::default(), (7, 1, 5), (6, None)),
            (Place::default(), (7, 0, 0), (1, None)),
            (Place::default(), (7, 6, 5), (6, None)),
            // Nothing new, and something.
            (place(6), (7, 1, 5), (6, None)),
            (place(6), (7, 6, 5), (6, None)),
            (place(6), (7, 3, 9), (6, None)),
            // Removed before it was read: three of them, all of them.
            (place(6), (7, 9, 12), (9, Some((3, false)))),
            (place(6), (7, 13, 12), (13, Some((7, false)))),
            // Made anew; with its first two removed.
            (place(6), (8, 1, 9), (1, Some((0, true)))),
            (place(6), (8, 3, 9), (3, Some((2, true)))),
            (place(6), (8, 0, 0), (1, Some((0, true)))),
            // Put back.
            (place(6), (7, 1, 3), (4, Some((0, true)))),
        ] {
            let (page, first, last) = now;
            assert_eq!(
                place.resume(page, first, last),
                expected,
                "{place:?} {now:?}"
            );
        }
    }
}
