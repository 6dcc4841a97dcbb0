//! The cell: what one client did at one site in one UTC minute. All that is published of sessions and stays is a function of cells.
//!
//! Merging cells is commutative, associative and idempotent, so neither the order of observations, nor repeats, nor who gathered them can
//! matter. Beside the cells stand the hearings, which say at which access points a client was heard at all.

use store::mac::Mac;

/// One client at one site in one minute: only qualifying observations are in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Minutes since 1970.
    pub minute: u32,
    /// Second of the first qualifying observation, 0 to 59.
    pub first: u8,
    /// Second of the last one.
    pub last: u8,
    /// Second of the first entering one; [`NEVER`] when there is none.
    pub entering: u8,
    /// Second of the first associated one; [`NEVER`] when there is none.
    pub associated: u8,
    /// The strongest signal and who heard it.
    pub best: Best,
}

impl Cell {
    /// Takes the other one of the same minute in.
    pub fn merge(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.entering = self.entering.min(other.entering);
        self.associated = self.associated.min(other.associated);
        self.best = self.best.max(other.best);
    }

    /// Seconds since 1970 of the minute's beginning.
    #[must_use]
    pub fn minute_s(&self) -> i64 {
        i64::from(self.minute) * 60
    }

    /// When it qualified first, seconds since 1970.
    #[must_use]
    pub fn first_s(&self) -> i64 {
        self.minute_s() + i64::from(self.first)
    }

    /// When it qualified last, seconds since 1970.
    #[must_use]
    pub fn last_s(&self) -> i64 {
        self.minute_s() + i64::from(self.last)
    }

    /// When it entered, seconds since 1970.
    #[must_use]
    pub fn entering_s(&self) -> Option<i64> {
        (self.entering != NEVER).then(|| self.minute_s() + i64::from(self.entering))
    }

    /// When it was associated first, seconds since 1970.
    #[must_use]
    pub fn associated_s(&self) -> Option<i64> {
        (self.associated != NEVER).then(|| self.minute_s() + i64::from(self.associated))
    }
}

/// No second of the minute; more than each, so that the least of two seconds is the one that is.
pub const NEVER: u8 = u8::MAX;

/// A signal strength and who heard it, in the order in which they win a minute: the stronger, and of equal ones the lower address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Best(u64);

impl Best {
    /// A strength in dBm at an access point.
    #[must_use]
    pub fn new(rssi_dbm: i8, ap: Mac) -> Self {
        let strength = u64::from(rssi_dbm.cast_unsigned() ^ 0x80);
        Self(strength << 48 | (ADDRESS ^ ap.bits()))
    }

    /// The strength in dBm.
    #[must_use]
    pub fn rssi_dbm(self) -> i8 {
        // The upper byte is zero.
        ((self.0 >> 48) as u8 ^ 0x80).cast_signed()
    }

    /// Who heard it.
    #[must_use]
    pub fn ap(self) -> Mac {
        Mac::from_bits(ADDRESS ^ self.0 & ADDRESS)
    }

    /// As a number, for the store.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From the number.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

const ADDRESS: u64 = (1 << 48) - 1;

/// At which minutes of one UTC hour an access point heard a client.
///
/// Of a client with a random address only associated observations are heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hearing {
    /// Hours since 1970.
    pub hour: u32,
    /// Who heard.
    pub ap: Mac,
    /// A bit per minute in which it was heard, the hour's first the lowest.
    pub heard: u64,
    /// A bit per minute with an associated qualifying observation.
    pub associated: u64,
}

impl Hearing {
    /// The order in which a record keeps them.
    #[must_use]
    pub fn key(&self) -> (u32, Mac) {
        (self.hour, self.ap)
    }

    /// Takes the other one of the same hour and access point in.
    pub fn merge(&mut self, other: Self) {
        self.heard |= other.heard;
        self.associated |= other.associated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_wins_and_of_equals_the_lower_address() {
        let mac = |bits| Mac::from_bits(bits);
        let order = [(-120, 0xff), (-61, 3), (-60, 0xffff_ffff_ffff), (-60, 2), (-60, 1), (-1, 9)];
        for pair in order.windows(2) {
            let [weaker, stronger] = [0, 1].map(|at| Best::new(pair[at].0, mac(pair[at].1)));
            assert!(weaker < stronger, "{pair:?}");
        }
        for (rssi, ap) in order {
            let best = Best::new(rssi, mac(ap));
            assert_eq!((best.rssi_dbm(), best.ap()), (rssi, mac(ap)));
        }
    }
}
