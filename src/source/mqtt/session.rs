//! One connection to a broker.

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, Publish, Subscribe,
    SubscribeReasonCode,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::filter::covers;
use super::memory::Memory;
use super::wire::{Incoming, Wire};
use super::{KEEP_ALIVE, Mqtt, SILENCE_MAX};
use crate::reaction::Message;
use crate::source::broker::{CONNECT_TIMEOUT, text};
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::Failure;

/// The packet identifier of the only request that we make.
const SUBSCRIBE_ID: u16 = 1;

/// One connection.
pub(super) struct Session<'a> {
    wire: Wire,
    source: &'a Mqtt,
    memory: &'a mut Memory,
    inbox: &'a Inbox,
    /// Whether what the broker has kept for topics is shown.
    with_retained: bool,
    /// When the broker must have answered the subscription; `None` once it has.
    subscribed_by: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Connects and subscribes.
    pub(super) async fn open(
        source: &'a Mqtt,
        memory: &'a mut Memory,
        inbox: &'a Inbox,
    ) -> Result<Self, Failure> {
        let host = &source.address.host;
        let welcome = async {
            let mut wire = Wire::connect(host, source.tls.as_ref()).await?;
            wire.send(&Packet::Connect(hello(source))).await?;
            let Some(Incoming::Packet(Packet::ConnAck(connack))) = wire.next().await? else {
                let why = "this is no MQTT broker";
                return Err(Failure::passing(format_args!("{host}: {why}")));
            };
            refusal(source, connack.code)?;
            Ok((wire, connack.session_present))
        };
        let welcome = timeout(CONNECT_TIMEOUT, welcome).await;
        let (wire, is_kept) =
            welcome.map_err(|_| Failure::passing(format_args!("{host}: no answer")))??;
        let mut session = Self {
            wire,
            with_retained: source.address.with_retained && !memory.is_known,
            source,
            memory,
            inbox,
            subscribed_by: None,
        };
        session.resume(is_kept).await?;
        Ok(session)
    }

    /// Goes on with the session that the broker has kept, or subscribes.
    async fn resume(&mut self, is_kept: bool) -> Result<(), Failure> {
        self.memory.connected(is_kept);
        if !is_kept && self.memory.is_known && self.source.address.client_id.is_some() {
            // What the broker had kept is gone; how much that was, nobody knows.
            self.inbox.gap(0, true);
        }
        if is_kept && self.memory.is_known {
            self.inbox.live();
            return Ok(());
        }
        let (filter, qos) = (&self.source.address.filter, self.source.address.qos());
        let mut subscribe = Subscribe::new(filter, qos);
        subscribe.pkid = SUBSCRIBE_ID;
        self.wire.send(&Packet::Subscribe(subscribe)).await?;
        self.subscribed_by = Some(Instant::now() + CONNECT_TIMEOUT);
        Ok(())
    }

    /// Takes messages until the connection is over.
    pub(super) async fn run(mut self) -> Failure {
        let mut failure = self.follow().await;
        if !failure.is_refused && self.source.address.client_id.is_none() {
            failure.why += "; messages sent meanwhile are lost, unless the address has a client_id";
        }
        failure
    }

    async fn follow(&mut self) -> Failure {
        let mut ping_at = Instant::now() + KEEP_ALIVE;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            let subscribed_by = self.subscribed_by;
            let incoming = tokio::select! {
                // What has come is read before anything is said of what has not.
                biased;
                incoming = self.wire.next() => incoming,
                () = sleep_until(silent_at) => return self.lost("nothing was heard of it"),
                () = sleep_until(subscribed_by.unwrap_or(silent_at)) => {
                    return self.lost("it does not answer a subscription");
                }
                () = sleep_until(ping_at) => {
                    ping_at = Instant::now() + KEEP_ALIVE;
                    self.memory.ping();
                    match self.wire.send(&Packet::PingReq).await {
                        Ok(()) => continue,
                        Err(failure) => return failure,
                    }
                }
            };
            silent_at = Instant::now() + SILENCE_MAX;
            let answered = match incoming {
                Ok(Some(incoming)) => self.take(incoming).await,
                Ok(None) => return self.lost("it closed the connection"),
                Err(failure) => return failure,
            };
            if let Err(failure) = answered {
                return failure;
            }
        }
    }

    fn lost(&self, why: &str) -> Failure {
        let host = &self.source.address.host;
        Failure::passing(format_args!("{host}: {why}"))
    }

    /// Takes what came, and answers it.
    async fn take(&mut self, incoming: Incoming) -> Result<(), Failure> {
        let packet = match incoming {
            Incoming::Packet(packet) => packet,
            Incoming::TooLong(qos, id) => {
                self.inbox.refuse();
                if qos == QoS::ExactlyOnce {
                    self.memory.unreleased.insert(id);
                }
                return self.acknowledge(qos, id).await;
            }
        };
        match packet {
            Packet::Publish(publish) => {
                self.message(&publish);
                self.acknowledge(publish.qos, publish.pkid).await
            }
            // Also of a message that we don't know of: that is how its exchange ends (4.3.3).
            Packet::PubRel(release) => {
                self.memory.unreleased.remove(&release.pkid);
                let complete = PubComp { pkid: release.pkid };
                self.wire.send(&Packet::PubComp(complete)).await
            }
            Packet::SubAck(answer) => match answer.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => {
                    self.subscribed_by = None;
                    self.memory.is_known = true;
                    self.inbox.live();
                    Ok(())
                }
                _ => Err(Failure::refused(format_args!(
                    "{}: the broker refuses a subscription to {:?}; allow this user to read it",
                    self.source.address.host, self.source.address.filter
                ))),
            },
            Packet::PingResp => {
                self.memory.pong();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, publish: &Publish) {
        // Whatever becomes of it, its identifier must not be forgotten.
        if !self.memory.is_new(publish) {
            return;
        }
        // What is retained stands for how things are, not for somebody who reacts now.
        let is_refused = (publish.retain && !self.with_retained)
            || (self.memory.is_inherited && !covers(&self.source.address.filter, &publish.topic));
        if is_refused {
            self.inbox.refuse();
            return;
        }
        if let Some(text) = text(self.inbox, &publish.payload) {
            self.inbox.take(&Arrival::of(Message::payload(text)));
        }
    }

    async fn acknowledge(&mut self, qos: QoS, id: u16) -> Result<(), Failure> {
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.wire.send(&Packet::PubAck(PubAck::new(id))).await,
            QoS::ExactlyOnce => self.wire.send(&Packet::PubRec(PubRec::new(id))).await,
        }
    }
}

fn hello(source: &Mqtt) -> Connect {
    let mut connect = Connect::new(&source.client_id);
    connect.keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
    connect.clean_session = source.address.client_id.is_none();
    if let Some(login) = &source.login {
        connect.set_login(login.user.clone().unwrap_or_default(), &login.password);
    }
    connect
}

/// What a broker's refusal of a connection means (3.2.2.3).
fn refusal(source: &Mqtt, code: ConnectReturnCode) -> Result<(), Failure> {
    use ConnectReturnCode as Code;
    let host = &source.address.host;
    Err(match code {
        Code::Success => return Ok(()),
        Code::ServiceUnavailable => Failure::passing(format_args!("{host}: it is not available")),
        Code::BadUserNamePassword | Code::NotAuthorized => {
            let what = match source.login {
                Some(_) => "refuses this user and password",
                None => "wants a user and a password",
            };
            Failure::refused(format_args!(
                "{host}: it {what}; give MQTT_USERNAME and MQTT_PASSWORD, or USER:PASSWORD as the \
                 source's secret"
            ))
        }
        Code::BadClientId => Failure::refused(format_args!(
            "{host}: it refuses the client_id {:?}; give another",
            source.client_id
        )),
        Code::RefusedProtocolVersion => Failure::refused(format_args!(
            "{host}: it does not speak MQTT 3.1.1; enable that on the broker"
        )),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::BytesMut;
    use rumqttc::mqttbytes::v4::SubAck;
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;
    use crate::metrics::Metrics;
    use crate::reaction::{Palette, Rules};
    use crate::source::Secrets;
    use crate::source::merge::Merge;

    /// How long a session lasts with a broker that says only this, and why it is over.
    async fn outlast(said: Option<Packet>) -> (Duration, String) {
        let source = Mqtt::at(
            &"mqtt://localhost/live".parse().unwrap(),
            &Secrets::default(),
        );
        let source = source.unwrap();
        let rules = Rules::new(Arc::new(Palette::default()));
        let merge = Arc::new(Merge::new(Box::new(()), 1));
        let inbox = Inbox::new("demo", "test", rules, merge, &Metrics::new());
        let (near, mut far) = duplex(1_024);
        let begun = Instant::now();
        let mut session = Session {
            wire: Wire::over(&source.address.host, near),
            source: &source,
            memory: &mut Memory::default(),
            inbox: &inbox,
            with_retained: false,
            subscribed_by: None,
        };
        session.resume(false).await.unwrap();
        if let Some(packet) = said {
            let mut bytes = BytesMut::new();
            packet.write(&mut bytes, usize::MAX).unwrap();
            far.write_all(&bytes).await.unwrap();
        }
        let failure = session.follow().await;
        (begun.elapsed(), failure.why)
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_says_nothing_is_given_up() {
        let (after, why) = outlast(None).await;
        assert!(why.contains("does not answer a subscription"), "{why}");
        assert_eq!(after.as_secs(), CONNECT_TIMEOUT.as_secs());
        let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
        let answer = Packet::SubAck(SubAck::new(SUBSCRIBE_ID, granted));
        let (after, why) = outlast(Some(answer)).await;
        assert!(why.contains("nothing was heard"), "{why}");
        assert_eq!(after.as_secs(), SILENCE_MAX.as_secs());
    }
}
