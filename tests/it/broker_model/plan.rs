//! Who acts on the broker at the same time, and in which steps.

use std::time::Duration;

use proptest::prelude::*;

/// Who acts at the same time, and how often each gives way to others before it goes on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) ring_items: usize,
    pub(super) batch_items: usize,
    pub(super) gather: Duration,
    /// Whether items are too old once a topic is idle.
    pub(super) expires: bool,
    pub(super) publishers: Vec<Vec<Publish>>,
    pub(super) readers: Vec<Reader>,
    pub(super) reaps: Vec<u8>,
    pub(super) on_one_thread: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Publish {
    pub(super) pause: u8,
    /// Most are for the topic that is read; the others take its place when nobody waits on it.
    pub(super) topic: &'static str,
    /// Whether some of the publisher's last items are taken back afterwards.
    pub(super) retracts: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// Whether it begins with what is held, or with what comes next.
    pub(super) from_start: bool,
    /// Whether it waits for what comes, or asks again.
    pub(super) waits: bool,
    /// Whether every other wait is given up, and asked for again.
    pub(super) gives_up: bool,
    pub(super) pauses: Vec<u8>,
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let topic = prop_oneof![12 => Just("a"), 1 => Just("b"), 1 => Just("c")];
    let publish =
        (pause(), topic, prop::bool::weighted(0.1)).prop_map(|(pause, topic, retracts)| Publish {
            pause,
            topic,
            retracts,
        });
    let publisher = prop::collection::vec(publish, 1..150);
    let reader = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop::collection::vec(pause(), 1..20),
    );
    let reader = reader.prop_map(|(from_start, waits, gives_up, pauses)| Reader {
        from_start,
        waits,
        gives_up,
        pauses,
    });
    let sizes = (1..40_usize, 1..9_usize);
    let gather = prop_oneof![3 => Just(Duration::ZERO), 1 => Just(Duration::from_micros(100))];
    (
        sizes,
        gather,
        prop::bool::weighted(0.3),
        prop::collection::vec(publisher, 1..5),
        prop::collection::vec(reader, 1..6),
        prop::collection::vec(pause(), 0..30),
        prop::bool::weighted(0.3),
    )
        .prop_map(
            |(sizes, gather, expires, publishers, readers, reaps, on_one_thread)| Plan {
                ring_items: sizes.0,
                batch_items: sizes.1,
                gather,
                expires,
                publishers,
                readers,
                reaps,
                on_one_thread,
            },
        )
}

fn pause() -> impl Strategy<Value = u8> {
    prop_oneof![6 => 0..3_u8, 2 => 3..20_u8, 1 => 20..200_u8]
}
