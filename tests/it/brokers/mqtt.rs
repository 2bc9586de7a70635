//! MQTT, by Mosquitto.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use floatup::source::State;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::relay::relayed;
use super::{
    BACKLOG, Broker, SAMPLES, check_backlog, check_numbers, check_samples, follow, installed,
    numbered, program, source,
};
use crate::floatup::send_signal;
use crate::following::Following;
use crate::in_process::{DEADLINE, until};

fn broker(more: &str) -> Broker {
    Broker::new("mosquitto", |folder, port| {
        // As root it would become a user who may not write here.
        let settings = format!(
            "user root\nlistener {port} 127.0.0.1\npersistence true\npersistence_location {}/\n\
             autosave_interval 1800\nmax_queued_messages 50000\n{more}\n",
            folder.display()
        );
        let path = folder.join("settings");
        std::fs::write(&path, settings).unwrap();
        vec!["-c".into(), path.display().to_string()]
    })
}

async fn started() -> Broker {
    let mut broker = broker("allow_anonymous true");
    broker.start().await;
    broker
}

impl Broker {
    fn mqtt(&self, filter: &str) -> String {
        format!("mqtt://127.0.0.1:{}/{filter}", self.port)
    }

    /// Has Mosquitto save its sessions, which otherwise it does when it ends; waits for the file.
    async fn save(&self) {
        let path = self.folder.path().join("mosquitto.db");
        let file = || std::fs::metadata(&path).map(|file| file.ino()).ok();
        let before = file();
        send_signal(self.running.as_ref().unwrap(), "USR1");
        until("a file takes the place of the last", || file() != before).await;
    }
}

/// What publishes, and knows what the broker has.
pub(super) struct Publisher {
    client: AsyncClient,
    taken: mpsc::Receiver<()>,
    task: AbortHandle,
}

impl Publisher {
    pub(super) fn new(port: u16) -> Self {
        let mut options = MqttOptions::new("publisher", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut events) = AsyncClient::new(options, 10);
        let (sender, taken) = mpsc::channel(10);
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(
                        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_))
                        | Event::Outgoing(Outgoing::Publish(0)),
                    ) => sender.send(()).await.unwrap(),
                    Ok(_) => {}
                    // Yields to the broker, which is being started.
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        });
        Self {
            client,
            taken,
            task: task.abort_handle(),
        }
    }

    pub(super) async fn publish(&mut self, topic: &str, qos: QoS, retain: bool, payload: &[u8]) {
        let sent = self.client.publish(topic, qos, retain, payload);
        sent.await.unwrap();
        let taken = timeout(DEADLINE, self.taken.recv()).await;
        taken.expect("the broker takes it").unwrap();
    }

    /// Publishes a message so many times with QoS 1.
    async fn repeat(&mut self, payload: &[u8], count: u32) {
        let mut on_the_way = 0;
        for _ in 0..count {
            let sent = self
                .client
                .publish("live", QoS::AtLeastOnce, false, payload);
            sent.await.unwrap();
            on_the_way += 1;
            if on_the_way == 5 {
                self.taken.recv().await.unwrap();
                on_the_way -= 1;
            }
        }
        for _ in 0..on_the_way {
            self.taken.recv().await.unwrap();
        }
    }

    /// Publishes a number with QoS 1.
    async fn number(&mut self, number: u32) {
        let payload = numbered(number);
        self.publish("live", QoS::AtLeastOnce, false, payload.as_bytes())
            .await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn what_is_published_to_topics_is_read_and_counted() {
    let broker = started().await;
    let mut publisher = Publisher::new(broker.port);
    for qos in 0..=2 {
        let following = follow(&broker.mqtt(&format!("live/#?qos={qos}")));
        following.is(State::Live).await;
        let sent = [QoS::AtMostOnce, QoS::AtLeastOnce];
        for (index, (payload, _)) in SAMPLES.iter().enumerate() {
            let qos = sent[index % 2];
            publisher.publish("live/a/b", qos, false, payload).await;
        }
        publisher.publish("other", sent[1], false, b"heart").await;
        check_samples(&following).await;
        following.is(State::Live).await;
        assert_eq!(following.metrics.reconnects.get(), 0);
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_acknowledged_and_passed_over() {
    let broker = started().await;
    let mut publisher = Publisher::new(broker.port);
    for qos in 1..=2 {
        let options = format!("live?qos={qos}&client_id=floatup-{qos}");
        let following = follow(&broker.mqtt(&options));
        following.is(State::Live).await;
        // Longer than a packet may be, more often than messages may be on their way at once.
        for _ in 0..30 {
            let long = vec![b'x'; 200_000];
            publisher
                .publish("live", QoS::AtLeastOnce, false, &long)
                .await;
        }
        publisher.number(1).await;
        check_numbers(&following, 1).await;
        assert_eq!(following.metrics.refused.get(), 30);
        assert_eq!(following.metrics.reconnects.get(), 0);
    }
}

#[tokio::test]
async fn what_a_topic_retains_is_no_reaction_unless_it_is_asked_for() {
    let broker = started().await;
    let mut publisher = Publisher::new(broker.port);
    publisher
        .publish("live", QoS::AtLeastOnce, true, b"fire")
        .await;
    let ignoring = follow(&broker.mqtt("live"));
    let taking = follow(&broker.mqtt("live?retained=true"));
    taking.delivered(1).await;
    let refused = &ignoring.metrics.refused;
    until("it is counted", || refused.get() == 1).await;
    publisher.number(1).await;
    ignoring.delivered(1).await;
    taking.delivered(2).await;
    assert_eq!(ignoring.shown(), ["❤️1"]);
    assert_eq!(taking.shown(), ["🔥1", "❤️1"]);
}

#[tokio::test]
async fn topics_go_on_after_their_broker_was_away() {
    let mut broker = broker("allow_anonymous true");
    let following = follow(&broker.mqtt("live"));
    let status = following.is(State::Waiting).await;
    assert!(status.why.contains("127.0.0.1"), "{}", status.why);
    broker.start().await;
    following.is(State::Live).await;
    for number in 1..=3 {
        Publisher::new(broker.port).number(number).await;
        check_numbers(&following, number).await;
        broker.kill();
        let status = following.is(State::Waiting).await;
        assert!(
            status.why.contains("client_id") || number > 1,
            "{}",
            status.why
        );
        broker.start().await;
        following.is(State::Live).await;
    }
}

#[tokio::test]
async fn a_session_loses_and_doubles_nothing_when_its_broker_is_restarted() {
    for qos in [1, 2] {
        let mut broker = started().await;
        let mut publisher = Publisher::new(broker.port);
        let options = format!("live?client_id=floatup&qos={qos}");
        let following = follow(&broker.mqtt(&options));
        following.is(State::Live).await;
        for number in 1..=300 {
            publisher.number(number).await;
            if number % 100 == 0 {
                broker.stop();
                broker.start().await;
                publisher = Publisher::new(broker.port);
            }
        }
        publisher.number(301).await;
        check_numbers(&following, 301).await;
        assert!(following.metrics.reconnects.get() >= 1);
        assert_eq!(following.metrics.gap_items.get(), 0);
    }
}

#[tokio::test]
async fn a_session_loses_and_doubles_nothing_when_its_broker_is_killed() {
    let mut broker = started().await;
    let mut publisher = Publisher::new(broker.port);
    let following = follow(&broker.mqtt("live?client_id=floatup"));
    following.is(State::Live).await;
    for number in 1..=30 {
        publisher.number(number).await;
        if number % 10 == 0 {
            // What Mosquitto sends after it has saved, it sends again as if it were new.
            check_numbers(&following, number).await;
            broker.save().await;
            broker.kill();
            broker.start().await;
            publisher = Publisher::new(broker.port);
        }
    }
    publisher.number(31).await;
    check_numbers(&following, 31).await;
}

#[tokio::test]
async fn a_backlog_of_a_session_is_read_whole() {
    let broker = started().await;
    let address = |port| format!("mqtt://127.0.0.1:{port}/live?client_id=floatup");
    let (relay, following) = relayed(&broker, address).await;
    relay.cut();
    following.is(State::Waiting).await;
    let (count, message) = BACKLOG;
    let mut publisher = Publisher::new(broker.port);
    publisher.repeat(message.as_bytes(), count).await;
    relay.mend();
    check_backlog(&following, async || publisher.number(1).await).await;
}

#[tokio::test]
async fn messages_whose_acknowledgement_was_lost_are_not_doubled() {
    for qos in [1, 2] {
        let broker = started().await;
        let mut publisher = Publisher::new(broker.port);
        let address = |port| format!("mqtt://127.0.0.1:{port}/live?client_id=floatup&qos={qos}");
        let (relay, following) = relayed(&broker, address).await;
        let mut number = 0;
        // Of nothing, of one acknowledgement, of half of an exchange of QoS 2.
        for carried in [0, 4, 8] {
            relay.lose_after(carried);
            for _ in 0..5 {
                number += 1;
                let payload = numbered(number);
                let sent = match qos {
                    1 => QoS::AtLeastOnce,
                    _ => QoS::ExactlyOnce,
                };
                publisher
                    .publish("live", sent, false, payload.as_bytes())
                    .await;
            }
            check_numbers(&following, number).await;
            relay.cut();
            following.is(State::Waiting).await;
            relay.mend();
            following.is(State::Live).await;
            number += 1;
            publisher.number(number).await;
            check_numbers(&following, number).await;
        }
        number += 1;
        publisher.number(number).await;
        check_numbers(&following, number).await;
        assert_eq!(following.metrics.gap_items.get(), 0);
    }
}

#[tokio::test]
async fn what_a_session_still_has_of_another_filter_is_refused() {
    let broker = started().await;
    let mut publisher = Publisher::new(broker.port);
    let before = follow(&broker.mqtt("before/+?client_id=floatup"));
    before.is(State::Live).await;
    drop(before);
    let following = follow(&broker.mqtt("live?client_id=floatup"));
    following.is(State::Live).await;
    for topic in ["before/a", "live", "before/b"] {
        publisher
            .publish(topic, QoS::AtLeastOnce, false, b"heart")
            .await;
    }
    let refused = &following.metrics.refused;
    until("they are counted", || refused.get() == 2).await;
    assert_eq!(following.shown(), ["❤️1"]);
}

#[tokio::test]
async fn a_session_that_the_broker_has_forgotten_is_made_anew() {
    let mut broker = started().await;
    let following = follow(&broker.mqtt("live?client_id=floatup"));
    following.is(State::Live).await;
    broker.kill();
    following.is(State::Waiting).await;
    broker.start().await;
    following.is(State::Live).await;
    Publisher::new(broker.port).number(1).await;
    check_numbers(&following, 1).await;
}

#[tokio::test]
async fn who_reads_is_shown_by_a_user_and_its_password() {
    let mut broker = broker("allow_anonymous false\npassword_file passwords");
    let mut make = program("mosquitto_passwd");
    make.args(["-b", "-c", "passwords", "ann", "s3cret"]);
    let made = make.current_dir(broker.folder.path()).status();
    assert!(installed(&make, made).success());
    broker.start().await;
    let address = broker.mqtt("live");
    for secret in [None, Some("ann:wr0ng")] {
        let following = Following::start(source(&address, secret));
        let status = following.is(State::Refused).await;
        assert!(status.why.contains("MQTT_PASSWORD"), "{}", status.why);
        assert!(!status.why.contains("wr0ng"), "{}", status.why);
    }
    let following = Following::start(source(&address, Some("ann:s3cret")));
    following.is(State::Live).await;
    // Who is refused is let in when that is mended.
    let refused = follow(&address);
    refused.is(State::Refused).await;
    broker.kill();
    let path = broker.folder.path().join("settings");
    let settings = std::fs::read_to_string(&path).unwrap();
    let settings = settings.replace("anonymous false", "anonymous true");
    std::fs::write(&path, settings).unwrap();
    broker.start().await;
    refused.is(State::Live).await;
    Publisher::new(broker.port).number(1).await;
    check_numbers(&refused, 1).await;
}
