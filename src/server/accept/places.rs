//! How many connections there are, over all and of each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Why;
use crate::server::bounds::Bounds;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    /// At most as many as there are connections: each has at least one.
    by_address: HashMap<IpAddr, u32>,
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    counted_as: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            taken: Mutex::default(),
        }
    }

    /// A place for one more connection from an address, or why there is none.
    pub(super) fn place(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Why> {
        let counted_as = self.bounds.connects_as(peer);
        let mut taken = self.lock();
        if taken.all >= self.bounds.connections {
            return Err(Why::FULL);
        }
        if let Some(address) = counted_as {
            let own = taken.by_address.entry(address).or_default();
            if *own >= self.bounds.connections_per_address {
                return Err(Why::ADDRESS);
            }
            *own += 1;
        }
        taken.all += 1;
        Ok(Place {
            places: Arc::clone(self),
            counted_as,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No code under the lock panics halfway through a change, so a poisoned state is whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        let Some(address) = self.counted_as else {
            return;
        };
        if let Some(own) = taken.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_over_all_and_by_address() {
        let places = Arc::new(Places::new(Bounds {
            connections: 4,
            connections_per_address: 2,
            ..Bounds::default()
        }));
        let place = |ip: &str| places.place(ip.parse().unwrap());
        let first = place("192.0.2.1").unwrap();
        let _second = place("192.0.2.1").unwrap();
        assert_eq!(place("192.0.2.1").unwrap_err(), Why::ADDRESS);
        let _other = place("2001:db8::1").unwrap();
        let _here = place("127.0.0.1").unwrap();
        assert_eq!(place("192.0.2.2").unwrap_err(), Why::FULL);
        assert_eq!(place("127.0.0.1").unwrap_err(), Why::FULL);
        drop(first);
        let third = place("192.0.2.1").unwrap();
        drop((third, _second, _other, _here));
        assert!(places.lock().by_address.is_empty());
        assert_eq!(places.lock().all, 0);
    }
}
