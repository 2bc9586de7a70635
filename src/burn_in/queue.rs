//! A bounded queue between two threads whose length is a figure.
//!
//! What waits is counted by itself: from when somebody begins to put it in, room or not, until
//! somebody has taken it out or dropped it, wherever that is. So the figure is never below what is
//! in the queue, nor above it by more than one for each thread that waits for room and one that is
//! being taken out; and it is 0 when the queue is gone.

use std::sync::mpsc::{self, RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use super::now;

/// Who waits for room for some time looks again after this.
const AGAIN: Duration = Duration::from_millis(2);

/// One in the figure, for as long as this lasts.
struct Place(Gauge);

impl Place {
    fn new(waiting: &Gauge) -> Self {
        waiting.inc();
        Self(waiting.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What waits, and its place in the figure.
struct Waiting<T> {
    item: T,
    _place: Place,
}

/// Where things are put in.
pub(super) struct Sender<T> {
    queue: mpsc::SyncSender<Waiting<T>>,
    waiting: Gauge,
}

/// Where they are taken out. When it goes, so does all that waits.
pub(super) struct Receiver<T>(mpsc::Receiver<Waiting<T>>);

/// The two ends of a queue with room for so many, of which this figure says how many there are.
pub(super) fn queue<T>(room: usize, waiting: &Gauge) -> (Sender<T>, Receiver<T>) {
    let (queue, ends) = mpsc::sync_channel(room);
    let waiting = waiting.clone();
    (Sender { queue, waiting }, Receiver(ends))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

impl<T> Sender<T> {
    fn place(&self, item: T) -> Waiting<T> {
        Waiting {
            item,
            _place: Place::new(&self.waiting),
        }
    }

    /// Puts it in; waits for room.
    ///
    /// # Errors
    /// Nobody takes anything out any more.
    pub(super) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = self.queue.send(self.place(item));
        sent.map_err(|back| SendError(back.0.item))
    }

    /// Puts it in, if there is room.
    ///
    /// # Errors
    /// There is none, or nobody takes anything out any more.
    pub(super) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.queue.try_send(self.place(item)).map_err(without_place)
    }

    /// Puts it in; waits for room that long.
    ///
    /// # Errors
    /// There was none, or nobody takes anything out any more.
    pub(super) fn send_within(&self, item: T, patience: Duration) -> Result<(), TrySendError<T>> {
        let mut item = self.place(item);
        let mut until = None;
        loop {
            item = match self.queue.try_send(item) {
                Err(TrySendError::Full(back)) => back,
                done => return done.map_err(without_place),
            };
            let now = now();
            if now >= *until.get_or_insert(now + patience) {
                return Err(TrySendError::Full(item.item));
            }
            std::thread::park_timeout(AGAIN);
        }
    }
}

fn without_place<T>(error: TrySendError<Waiting<T>>) -> TrySendError<T> {
    match error {
        TrySendError::Full(back) => TrySendError::Full(back.item),
        TrySendError::Disconnected(back) => TrySendError::Disconnected(back.item),
    }
}

impl<T> Receiver<T> {
    /// The next; waits for it.
    ///
    /// # Errors
    /// There will be none.
    pub(super) fn recv(&self) -> Result<T, RecvError> {
        self.0.recv().map(|waiting| waiting.item)
    }

    /// The next; waits for it that long.
    ///
    /// # Errors
    /// There was none, or there will be none.
    pub(super) fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_timeout(patience).map(|waiting| waiting.item)
    }

    /// The next, if there is one.
    ///
    /// # Errors
    /// There is none, or there will be none.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv().map(|waiting| waiting.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_counted_until_it_is_taken_out() {
        let waiting = Gauge::default();
        let (sender, receiver) = queue(4, &waiting);
        sender.send(1).unwrap();
        sender.try_send(2).unwrap();
        sender.clone().send_within(3, Duration::ZERO).unwrap();
        assert_eq!(waiting.get(), 3);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(waiting.get(), 2);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(2));
        assert_eq!(receiver.try_recv(), Ok(3));
        assert_eq!(waiting.get(), 0);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(waiting.get(), 0);
    }

    #[test]
    fn what_finds_no_room_is_given_back_and_not_counted() {
        let waiting = Gauge::default();
        let (sender, receiver) = queue(1, &waiting);
        sender.send(1).unwrap();
        assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
        let refused = sender.send_within(3, Duration::from_millis(5));
        assert_eq!(refused, Err(TrySendError::Full(3)));
        assert_eq!(waiting.get(), 1);
        drop(receiver);
    }

    #[test]
    fn nothing_is_left_when_nobody_takes_it() {
        let waiting = Gauge::default();
        let (sender, receiver) = queue(4, &waiting);
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        // While there is still somebody who puts things in.
        drop(receiver);
        assert_eq!(waiting.get(), 0);
        assert_eq!(sender.send(3), Err(SendError(3)));
        assert_eq!(sender.try_send(4), Err(TrySendError::Disconnected(4)));
        let refused = sender.send_within(5, Duration::from_secs(1));
        assert_eq!(refused, Err(TrySendError::Disconnected(5)));
        assert_eq!(waiting.get(), 0);
    }

    #[test]
    fn who_waits_for_room_is_counted_and_let_go() {
        let waiting = Gauge::default();
        let (sender, receiver) = queue(2, &waiting);
        sender.send(0).unwrap();
        sender.send(1).unwrap();
        let two = [sender.clone(), sender].map(|sender| {
            std::thread::spawn(move || (2..1_000).take_while(|n| sender.send(*n).is_ok()).count())
        });
        for _ in 0..500 {
            receiver.recv().unwrap();
            assert!((0..=4).contains(&waiting.get()), "{}", waiting.get());
        }
        drop(receiver);
        for sender in two {
            sender.join().unwrap();
        }
        assert_eq!(waiting.get(), 0);
    }
}
