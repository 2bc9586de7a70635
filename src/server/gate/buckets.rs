//! Requests of each address, against a rate.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered. When there are as many, those whose allowance is whole again are
/// forgotten; while that makes no room, all further addresses share one allowance.
const ADDRESSES_MAX: usize = 65_536;

/// How often they are gone through for that.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How much may be asked for at once: what comes in this time, so that twice the rate is asked for in
/// the first second.
const BURST: Duration = Duration::from_secs(1);

/// An allowance for each address, which fills by the rate (GCRA, the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Buckets {
    interval: Duration,
    /// When an address's allowance will be whole again.
    whole_at: HashMap<IpAddr, Instant>,
    shared: Option<Instant>,
    swept: Option<Instant>,
}

impl Buckets {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            whole_at: HashMap::new(),
            shared: None,
            swept: None,
        }
    }

    /// Takes one, or says after how long there will be one.
    pub(super) fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let interval = self.interval;
        let mut shared = self.shared.unwrap_or(now);
        let whole_at = match self.has_room_for(address, now) {
            true => self.whole_at.entry(address).or_insert(now),
            false => &mut shared,
        };
        let next = (*whole_at).max(now) + interval;
        let ahead = next - now;
        let result = match ahead.checked_sub(BURST.max(interval)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *whole_at = next;
                Ok(())
            }
        };
        self.shared = Some(shared);
        result
    }

    fn has_room_for(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.whole_at.len() < ADDRESSES_MAX || self.whole_at.contains_key(&address) {
            return true;
        }
        let is_due = |at: Instant| now.duration_since(at) >= SWEEP_INTERVAL;
        if self.swept.is_none_or(is_due) {
            self.swept = Some(now);
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        self.whole_at.len() < ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn an_address_has_its_rate_and_a_burst() {
        let start = Instant::now();
        let mut buckets = Buckets::new(10);
        let mut taken = |ms| {
            let at = start + Duration::from_millis(ms);
            (0..100).filter(|_| buckets.take(ip(1), at).is_ok()).count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(99), 0);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(1_000), 9);
        assert_eq!(taken(10_000), 10);
        let at = start + Duration::from_millis(10_000);
        let wait = buckets.take(ip(1), at).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(buckets.take(ip(2), at).is_ok(), "another has its own");
    }

    #[test]
    fn one_a_second_is_one_a_second() {
        let start = Instant::now();
        let mut buckets = Buckets::new(1);
        assert!(buckets.take(ip(1), start).is_ok());
        assert!(
            buckets
                .take(ip(1), start + Duration::from_millis(999))
                .is_err()
        );
        assert!(buckets.take(ip(1), start + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn who_does_not_fit_shares_and_who_is_quiet_is_forgotten() {
        let start = Instant::now();
        let mut buckets = Buckets::new(10);
        let count = u32::try_from(ADDRESSES_MAX).unwrap();
        for number in 0..count {
            assert!(buckets.take(ip(number), start).is_ok());
        }
        let further = (count..).take(100);
        let taken = further.filter(|number| buckets.take(ip(*number), start).is_ok());
        assert_eq!(taken.count(), 10);
        assert_eq!(buckets.whole_at.len(), ADDRESSES_MAX);
        let later = start + Duration::from_secs(2);
        assert!(buckets.take(ip(count), later).is_ok());
        assert_eq!(buckets.whole_at.len(), 1);
    }
}
