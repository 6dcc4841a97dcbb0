//! Device addresses, and the reading of one access point that a post of v3 is mostly made of.
#![allow(unsafe_code)]

use store::mac::Mac;

use super::kernel::Kernel;
use super::scan::Scan;

impl<K: Kernel> Scan<'_, K> {
    /// Reads an address. `None` also for a text that is none.
    #[inline(always)]
    pub(super) fn mac(&mut self) -> Option<Mac> {
        let mut scan = *self;
        if scan.next_is(b'"')
            && let Some(bits) = scan.kernel.mac(scan.window())
        {
            // SAFETY: the kernel has found 17 characters of an address.
            unsafe { scan.pass(17) };
            if scan.next_is(b'"') {
                *self = scan;
                return Some(Mac::from_bits(bits));
            }
        }
        let (mac, behind) = other_mac(*self)?;
        *self = behind;
        Some(mac)
    }

    /// Reads `{"apMac":"..","rssi":-NN}` to the letter, as almost every reading is spelled; nothing is read otherwise.
    #[inline(always)]
    pub(super) fn usual_reading(&mut self) -> Option<(Mac, i8)> {
        let (bits, rssi_dbm) = self.kernel.reading(self.window())?;
        // SAFETY: the kernel has found 40 characters of a reading.
        unsafe { self.pass(40) };
        Some((Mac::from_bits(bits), rssi_dbm))
    }
}

/// An address that is spelled in another way.
#[cold]
fn other_mac<K: Kernel>(mut scan: Scan<'_, K>) -> Option<(Mac, Scan<'_, K>)> {
    Some((Mac::parse(scan.plain()?)?, scan))
}
