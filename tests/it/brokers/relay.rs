//! A line to a broker that can be cut, and that can lose what goes one way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use floatup::source::State;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Broker, follow};
use crate::following::Following;

/// Carries each connection on to a broker's port.
pub(super) struct Relay {
    pub(super) port: u16,
    /// How many times it was cut, and whether it is down since.
    state: watch::Sender<(u32, bool)>,
    /// How many bytes it still carries to the broker; what comes after them is lost.
    budget: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Relay {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (state, watched) = watch::channel((0, false));
        let budget = Arc::new(AtomicUsize::new(usize::MAX));
        let carried = Arc::clone(&budget);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (watched, carried) = (watched.clone(), Arc::clone(&carried));
                if !watched.borrow().1 {
                    tokio::spawn(carry(client, port, watched, carried));
                }
            }
        });
        Self {
            port: own,
            state,
            budget,
            task: task.abort_handle(),
        }
    }

    /// Ends every connection, and each that comes before it is up again.
    pub(super) fn cut(&self) {
        self.state.send_modify(|(cuts, is_down)| {
            *cuts += 1;
            *is_down = true;
        });
    }

    /// Carries connections again, and all that they bring.
    pub(super) fn mend(&self) {
        self.budget.store(usize::MAX, Ordering::SeqCst);
        self.state.send_modify(|(_, is_down)| *is_down = false);
    }

    /// Loses what goes to the broker, after so many bytes.
    pub(super) fn lose_after(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

/// Follows what a broker has at an address, which is that of a port, by a relay; waits until it does.
pub(super) async fn relayed(
    broker: &Broker,
    address: impl FnOnce(u16) -> String,
) -> (Relay, Following) {
    let relay = Relay::to(broker.port).await;
    let following = follow(&address(relay.port));
    following.is(State::Live).await;
    (relay, following)
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    port: u16,
    mut state: watch::Receiver<(u32, bool)>,
    budget: Arc<AtomicUsize>,
) {
    let Ok(mut broker) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    state.mark_unchanged();
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let left = budget.load(Ordering::SeqCst);
                let carried = length.min(left);
                if left != usize::MAX {
                    budget.store(left - carried, Ordering::SeqCst);
                }
                if broker.write_all(&up[..carried]).await.is_err() {
                    return;
                }
            }
            read = broker.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
            _ = state.changed() => {
                if state.borrow().1 {
                    return;
                }
            }
        }
    }
}
