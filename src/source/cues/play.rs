//! The cues of an input, each when it is due.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Address, Cue, Cues};
use crate::reaction::Message;
use crate::source::inbox::{Arrival, Inbox};
use crate::source::retry::{Backoff, Failure};

/// Cues that are read ahead of their time; reading waits for room.
const AHEAD_MAX: usize = 256;

/// A cue of a live input that is due later than this is one of time stamps that jumped.
const LIVE_AHEAD_MAX: Duration = Duration::from_secs(60);

/// The cues of an input, each when it is due.
#[derive(Debug)]
pub struct Replay(pub(in crate::source) Address);

/// What reading an input tells.
enum Told {
    /// It is open.
    Open {
        is_live: bool,
    },
    Cue(Cue),
    /// It is at its end.
    Ended,
    /// It can't be opened or read on.
    Failed(String),
}

impl Replay {
    /// Takes all cues, as the input plays, and returns at its end. An input that fails is opened
    /// again; what it then has once more is known by its time stamp.
    pub(in crate::source) async fn follow(self, inbox: &Inbox) {
        let mut backoff = Backoff::default();
        // A recording plays on while it is opened again.
        let mut begun = None;
        while let Err(failure) = self.play(inbox, &mut begun).await {
            let held = inbox.lost(&failure);
            backoff.wait(&failure, held).await;
        }
        inbox.ended("the input is at its end");
    }

    async fn play(&self, inbox: &Inbox, begun: &mut Option<Instant>) -> Result<(), Failure> {
        let (ahead, mut cues) = mpsc::channel(AHEAD_MAX);
        let address = self.0.clone();
        let reading = std::thread::Builder::new().name("cues".into());
        let reading = reading.spawn(move || {
            let told = read(&address, &ahead);
            if let Err(error) = told {
                // Nobody is told any more when nobody follows.
                drop(ahead.blocking_send(Told::Failed(format!("{error:#}"))));
            }
        });
        reading.map_err(|error| Failure::passing(format!("cannot start a thread: {error}")))?;
        let (mut at_zero, mut is_live) = (Instant::now(), false);
        while let Some(told) = cues.recv().await {
            match told {
                Told::Open { is_live: live } => {
                    is_live = live;
                    let now = Instant::now();
                    at_zero = match is_live {
                        true => now,
                        false => *begun.get_or_insert(now),
                    };
                    inbox.live();
                }
                Told::Cue(cue) => {
                    let now = Instant::now();
                    let is_plausible = |due: &Instant| !is_live || *due <= now + LIVE_AHEAD_MAX;
                    match at_zero.checked_add(cue.at).filter(is_plausible) {
                        Some(due) => sleep_until(due).await,
                        None => at_zero = now.checked_sub(cue.at).unwrap_or(now),
                    }
                    self.take(&cue, inbox);
                }
                Told::Ended => return Ok(()),
                Told::Failed(why) if self.0.is_remote() => return Err(Failure::passing(why)),
                Told::Failed(why) => return Err(Failure::refused(why)),
            }
        }
        Err(Failure::passing("reading it broke off"))
    }

    fn take(&self, cue: &Cue, inbox: &Inbox) {
        let (stamp, number) = cue.stamp;
        for (n, text) in cue.texts.iter().enumerate() {
            // The numbers first: of a long name the end is cut off.
            let id = format!("{}/{number}/{n} {}", stamp.as_micros(), self.0);
            inbox.take(&Arrival {
                id: Some(&id),
                ..Arrival::of(Message::payload(text))
            });
        }
    }
}

/// Tells that it is open, then cue after cue to its end, or until nobody takes them.
fn read(address: &Address, ahead: &mpsc::Sender<Told>) -> Result<()> {
    let mut cues = Cues::open(address)?;
    let is_live = cues.is_live();
    let mut told = Told::Open { is_live };
    loop {
        let is_end = matches!(told, Told::Ended);
        if ahead.blocking_send(told).is_err() || is_end {
            return Ok(());
        }
        told = cues.next_cue()?.map_or(Told::Ended, Told::Cue);
    }
}
