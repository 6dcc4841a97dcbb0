//! What people carry and what stands about: phones, laptops, printers, watches, beacons.
//!
//! Addresses are invented. Universal ones start with `5c:f0`, whose third byte stands for a maker; random ones have the bit for
//! "locally administered" set. Within one run no two devices share an address (up to 16 million of each maker's).

use std::net::Ipv4Addr;
use std::sync::Arc;

use store::batch::Radio;
use store::mac::Mac;

use super::Addresses;
use super::dice::Dice;
use super::people::Kind;

/// Makers and the systems that their devices run, as Meraki names them.
const PHONES: [(u8, &str, &str); 6] = [
    (0x01, "Apple", "iOS"),
    (0x02, "Samsung(THAILAND)", "Android"),
    (0x03, "Xiaomi Communications", "Android"),
    (0x04, "Google", "Android"),
    (0x05, "Motorola (Wuhan) Mobil...", "Android"),
    (0x06, "Apple", "iPadOS"),
];
const LAPTOPS: [(u8, &str, &str); 4] =
    [(0x11, "Intel", "Windows 10"), (0x12, "Apple", "Mac OS X"), (0x13, "Hon Hai/Foxconn", "Windows 11"), (0x14, "Lenovo Mobile...", "Chrome OS")];
const FIXTURES: [(u8, &str, Option<&str>); 4] =
    [(0x21, "Seiko Epson", None), (0x22, "Espressif", Some("Generic Linux")), (0x23, "Canon", Some("Canon Printer")), (0x24, "Edimax Technology", None)];
const WEARABLES: [(u8, Option<&str>); 4] = [(0x31, None), (0x32, Some("Band 7")), (0x33, Some("Kopfhörer")), (0x34, None)];
const BEACON_MAKER: u8 = 0x41;
const GUEST_SSIDS: [&str; 3] = ["Mall Guest", "Mall Guest", "Café Gäste"];

/// Everything about a device that never changes.
pub(super) struct Identity {
    /// Unique in the whole world of one run.
    pub(super) number: u64,
    pub(super) mac: Mac,
    pub(super) radio: Radio,
    pub(super) is_random: bool,
    pub(super) manufacturer: Option<&'static str>,
    pub(super) os: Option<&'static str>,
    pub(super) association: Option<Association>,
    /// What a Bluetooth device calls itself.
    pub(super) name: Option<&'static str>,
    pub(super) beacon: Option<Beacon>,
}

impl Identity {
    /// The second of each minute of UTC at which a perfect radio hears it.
    pub(super) fn second(&self) -> i64 {
        (self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as i64 % 60
    }
}

/// A connection to one of the site's own networks.
pub(super) struct Association {
    pub(super) ssid: &'static str,
    pub(super) ipv4: Ipv4Addr,
    pub(super) hostname: Option<String>,
    pub(super) user: Option<String>,
}

/// What a Bluetooth beacon says.
#[derive(Clone, Copy)]
pub(super) enum Beacon {
    /// Apple's form.
    Region { major: u16, minor: u16 },
    /// Another form, told as bytes.
    Raw,
}

/// A device and when it is heard next.
pub(super) struct Device {
    pub(super) identity: Arc<Identity>,
    /// How much louder than the average of its kind.
    pub(super) gain_db: f64,
    /// Mean seconds between two moments in which it can be heard.
    pub(super) pause_s: f64,
    pub(super) next_at: i64,
    /// How often at least one access point heard it.
    pub(super) hearings: u64,
}

impl Device {
    fn new(identity: Identity, pause_s: f64, from: i64, dice: &mut Dice) -> Self {
        let next_at = from + dice.exponential(pause_s.min(20.0)) as i64;
        Self { identity: Arc::new(identity), gain_db: dice.normal(3.0).clamp(-8.0, 8.0), pause_s, next_at, hearings: 0 }
    }
}

/// Numbers devices and people of one site so that no other site uses the same numbers.
pub(super) struct Numbers {
    seed: u64,
    site: u32,
    sites: u32,
    addresses: Addresses,
    next: u64,
}

impl Numbers {
    pub(super) fn new(seed: u64, site: u32, sites: u32, addresses: Addresses) -> Self {
        Self { seed, site, sites, addresses, next: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        (self.next - 1) * u64::from(self.sites) + u64::from(self.site)
    }

    /// Whether a device has a random address. The chance is drawn in any case, so that the same people come whatever their addresses.
    fn is_random(&self, probability: f64, dice: &mut Dice) -> bool {
        dice.chance(probability) && self.addresses == Addresses::Mixed
    }

    fn address(&self, number: u64, maker: Option<u8>) -> Mac {
        match maker {
            Some(maker) => Mac::from_bits(0x5cf0_0000_0000 | u64::from(maker) << 24 | scramble(number, 24, self.seed)),
            None => {
                let bits = scramble(number, 46, self.seed);
                // The two low bits of the first byte say "local" and "one device".
                Mac::from_bits((bits >> 40) << 42 | 0x0200_0000_0000 | (bits & 0xff_ffff_ffff))
            }
        }
    }

    fn ipv4(&self, number: u64) -> Ipv4Addr {
        let [.., b, c] = (number / u64::from(self.sites)).to_be_bytes();
        Ipv4Addr::new(10, (self.site % 200) as u8, b, c.max(2))
    }
}

/// Spreads numbers over `bits` bits, one to one.
fn scramble(number: u64, bits: u32, seed: u64) -> u64 {
    let mask = (1_u64 << bits) - 1;
    let mut value = (number ^ (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8)) & mask;
    value = value.wrapping_mul(0x2545_f491_4f6c_dd1d) & mask;
    value ^= value >> (bits / 2);
    value.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask
}

/// What a person of this kind carries.
pub(super) fn carried(kind: Kind, person: u64, from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Vec<Device> {
    let mut devices = vec![phone(kind, person, from, numbers, dice)];
    if kind == Kind::Staff && dice.chance(0.3) {
        devices.push(laptop(from, numbers, dice));
    }
    if dice.chance(0.35) {
        devices.push(wearable(from, numbers, dice));
    }
    devices
}

fn phone(kind: Kind, person: u64, from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Device {
    let number = numbers.next();
    let (maker, manufacturer, os) = PHONES[dice.below(PHONES.len())];
    let (random, connected) = match kind {
        Kind::Staff => (0.1, 0.95),
        Kind::PasserBy => (0.45, 0.01),
        Kind::Visitor | Kind::Fixture => (0.45, 0.35),
    };
    let is_random = numbers.is_random(random, dice);
    let ssid = if kind == Kind::Staff { "staff" } else { GUEST_SSIDS[dice.below(GUEST_SSIDS.len())] };
    let user = (kind == Kind::Staff && dice.chance(0.3)).then(|| format!("staff{person}@example.com"));
    let association = dice.chance(connected).then(|| Association { ssid, ipv4: numbers.ipv4(number), hostname: None, user });
    let is_sleepy = dice.chance(0.6);
    let pause_s = if association.is_some() {
        25.0
    } else if is_sleepy {
        150.0
    } else {
        45.0
    };
    let identity = Identity {
        number,
        mac: numbers.address(number, (!is_random).then_some(maker)),
        radio: Radio::Wifi,
        is_random,
        manufacturer: (!is_random).then_some(manufacturer),
        // The system is guessed from traffic, so an idle phone's is mostly unknown.
        os: (association.is_some() || dice.chance(0.1)).then_some(os),
        association,
        name: None,
        beacon: None,
    };
    Device::new(identity, pause_s, from, dice)
}

fn laptop(from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Device {
    let number = numbers.next();
    let (maker, manufacturer, os) = LAPTOPS[dice.below(LAPTOPS.len())];
    let association = Association { ssid: "staff", ipv4: numbers.ipv4(number), hostname: Some(format!("laptop-{number}")), user: None };
    let identity = Identity {
        number,
        mac: numbers.address(number, Some(maker)),
        radio: Radio::Wifi,
        is_random: false,
        manufacturer: Some(manufacturer),
        os: Some(os),
        association: Some(association),
        name: None,
        beacon: None,
    };
    Device::new(identity, 12.0, from, dice)
}

fn wearable(from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Device {
    let number = numbers.next();
    let (maker, name) = WEARABLES[dice.below(WEARABLES.len())];
    let is_random = numbers.is_random(0.7, dice);
    let identity = Identity {
        number,
        mac: numbers.address(number, (!is_random).then_some(maker)),
        radio: Radio::Ble,
        is_random,
        manufacturer: None,
        os: None,
        association: None,
        name,
        beacon: None,
    };
    Device::new(identity, 30.0, from, dice)
}

/// A printer, a till, a screen: connected and always there.
pub(super) fn fixture(from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Device {
    let number = numbers.next();
    let (maker, manufacturer, os) = FIXTURES[dice.below(FIXTURES.len())];
    let hostname = dice.chance(0.5).then(|| format!("device-{number}"));
    let association = dice.chance(0.85).then(|| Association { ssid: ".things", ipv4: numbers.ipv4(number), hostname, user: None });
    let identity = Identity {
        number,
        mac: numbers.address(number, Some(maker)),
        radio: Radio::Wifi,
        is_random: false,
        manufacturer: Some(manufacturer),
        os,
        association,
        name: None,
        beacon: None,
    };
    Device::new(identity, 30.0, from, dice)
}

/// A Bluetooth beacon on a wall.
pub(super) fn beacon(from: i64, numbers: &mut Numbers, dice: &mut Dice) -> Device {
    let number = numbers.next();
    let beacon = if dice.chance(0.8) { Beacon::Region { major: (number % 7) as u16, minor: (number % 1000) as u16 } } else { Beacon::Raw };
    let identity = Identity {
        number,
        mac: numbers.address(number, Some(BEACON_MAKER)),
        radio: Radio::Ble,
        is_random: false,
        manufacturer: None,
        os: None,
        association: None,
        name: Some("wall beacon"),
        beacon: Some(beacon),
    };
    Device::new(identity, 12.0, from, dice)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_are_unique_and_tell_what_they_are() {
        let (mut left, mut right) = (Numbers::new(1, 0, 2, Addresses::Mixed), Numbers::new(1, 1, 2, Addresses::Mixed));
        let mut seen = BTreeSet::new();
        for _ in 0..20_000 {
            for numbers in [&mut left, &mut right] {
                let number = numbers.next();
                let (random, universal) = (numbers.address(number, None), numbers.address(number, Some(0x01)));
                assert!(random.is_local() && !random.is_group());
                assert!(!universal.is_local() && !universal.is_group());
                assert!(seen.insert(random) && seen.insert(universal));
            }
        }
    }
}
