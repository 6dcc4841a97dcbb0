//! The caps on open connections: in all, and per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;

/// Which cap a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// `limits.connections`.
    Total,
    /// `limits.connections_per_address`.
    Address,
}

/// Counts open connections.
pub(crate) struct Slots {
    total: usize,
    per_address: usize,
    gauge: Gauge,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Slots {
    pub(crate) fn new(total: usize, per_address: usize, gauge: Gauge) -> Arc<Self> {
        gauge.set(0.0);
        Arc::new(Self { total, per_address, gauge, open: Mutex::default() })
    }

    /// A slot for a connection from `address`; a unix socket has none and counts in the total only.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Slot, Over> {
        let address = address.map(holder);
        let mut open = self.lock();
        if open.total >= self.total {
            return Err(Over::Total);
        }
        if let Some(address) = address {
            let count = open.by_address.entry(address).or_default();
            // A cap of nothing leaves an entry behind for nobody: the count is at least 1 otherwise.
            if *count >= self.per_address {
                return Err(Over::Address);
            }
            *count += 1;
        }
        open.total += 1;
        self.gauge.set(open.total as f64);
        Ok(Slot { slots: Arc::clone(self), address })
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection; dropping it makes room.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    address: Option<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        open.total -= 1;
        self.slots.gauge.set(open.total as f64);
        if let Some(address) = self.address
            && let Some(count) = open.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// Who counts as one: an IPv4 address, also inside IPv6, or a whole /64, which is what one IPv6 site has to itself.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_and_slots_come_back() {
        let slots = Slots::new(3, 2, Gauge::noop());
        let from = |text: &str| slots.take(Some(text.parse().unwrap()));
        let first = from("192.0.2.1").unwrap();
        let second = from("::ffff:192.0.2.1").unwrap();
        assert_eq!(from("192.0.2.1").err(), Some(Over::Address), "an IPv4 address inside IPv6 is the same address");
        let third = from("2001:db8::1").unwrap();
        assert_eq!(slots.take(None).err(), Some(Over::Total));
        drop(first);
        assert!(slots.take(None).is_ok());
        let fourth = from("2001:db8::ffff:1").unwrap();
        drop(second);
        assert_eq!(from("2001:db8::2").err(), Some(Over::Address), "a /64 is one holder");
        drop((third, fourth));
        assert_eq!(slots.open(), 0);
        assert!(slots.lock().by_address.is_empty());
    }
}
