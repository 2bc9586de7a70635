//! How much of the chat one caller may have, so that none has all of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::server::bounds::household;

/// Sockets of one caller, as of its polls: a few pages of one viewer fit.
const SOCKETS_PER_CALLER_MAX: u32 = 16;

/// Sockets of one address, behind which there may be a whole house.
const SOCKETS_PER_ADDRESS_MAX: u32 = 1_000;

/// Tokens vended to one caller, and to one address, in a second.
const TOKENS_PER_CALLER: usize = 10;
const TOKENS_PER_ADDRESS: usize = 50;

/// For whom sockets and tokens are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// An address, or the network of one.
    Address(IpAddr),
    /// One caller, by a hash of who it is.
    Caller(u64),
    /// Who an operator has made a token for.
    User { room: String, user_id: String },
}

impl Party {
    /// A caller by the address that it comes from, since anyone can have any number of tokens; but
    /// this machine's own callers, before whom a proxy may stand, by who they are otherwise.
    pub(super) fn at(ip: IpAddr, otherwise: impl FnOnce() -> Self) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() || ip.is_unspecified() => otherwise(),
            ip => Self::Address(household(ip)),
        }
    }

    /// Tokens that may be vended to it in a second.
    pub(super) fn tokens_per_second(&self) -> usize {
        match self {
            Self::Address(_) => TOKENS_PER_ADDRESS,
            Self::Caller(_) | Self::User { .. } => TOKENS_PER_CALLER,
        }
    }

    /// Sockets that it may have at once.
    pub(super) fn sockets_max(&self) -> u32 {
        match self {
            Self::Address(_) => SOCKETS_PER_ADDRESS_MAX,
            Self::Caller(_) | Self::User { .. } => SOCKETS_PER_CALLER_MAX,
        }
    }
}

/// Counts the sockets of each.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<HashMap<Party, u32>>);

/// The place of one socket, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    party: Party,
}

impl Crowd {
    /// A place for one more socket, or none if there are too many.
    pub(super) fn place(self: &Arc<Self>, party: Party) -> Option<Place> {
        let mut crowd = self.lock();
        let sockets = crowd.get(&party).copied().unwrap_or_default();
        if sockets >= party.sockets_max() {
            return None;
        }
        crowd.insert(party.clone(), sockets + 1);
        Some(Place {
            crowd: Arc::clone(self),
            party,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Party, u32>> {
        // No code under the lock panics halfway through a change, so a poisoned map is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut crowd = self.crowd.lock();
        if let Some(sockets) = crowd.get_mut(&self.party) {
            *sockets -= 1;
            if *sockets == 0 {
                crowd.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_by_address_but_on_this_machine() {
        let party = |ip: &str| Party::at(ip.parse().unwrap(), || Party::Caller(7));
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
        ] {
            assert_eq!(party(ip), Party::Caller(7), "{ip}");
        }
        for ip in ["192.0.2.1", "2001:db8:1:2::1"] {
            assert!(matches!(party(ip), Party::Address(_)), "{ip}");
        }
    }

    #[test]
    fn places_are_free_again() {
        let crowd = Arc::<Crowd>::default();
        let party = Party::Caller(7);
        let mut places = Vec::new();
        for _ in 0..SOCKETS_PER_CALLER_MAX {
            places.push(crowd.place(party.clone()).unwrap());
        }
        assert!(crowd.place(party.clone()).is_none());
        assert!(crowd.place(Party::Caller(8)).is_some());
        places.pop();
        assert!(crowd.place(party).is_some());
        places.clear();
        assert!(crowd.lock().is_empty());
    }
}
