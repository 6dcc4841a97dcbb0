//! Device addresses: six bytes, and the care that they never reach a log by accident.

use std::fmt;

/// The address of a device or an access point, six bytes in the low 48 bits.
///
/// `Debug` hides the value, so that a derived `Debug` or an error never prints a client's address; whoever is allowed to show it
/// asks for [`Mac::text`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mac(u64);

impl Mac {
    /// From the six bytes in the order they are written.
    #[must_use]
    pub const fn from_bytes(b: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]))
    }

    /// From the low 48 bits; the rest is cut.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & 0xffff_ffff_ffff)
    }

    /// The 48 bits, as a number below 2^48.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the address is locally administered: what phones invent to stay unknown.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 & 0x0200_0000_0000 != 0
    }

    /// Whether the address is a group (multicast) address, which no single device has.
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0 & 0x0100_0000_0000 != 0
    }

    /// The canonical text, lower case with colons.
    #[must_use]
    pub fn text(self) -> MacText {
        MacText(self)
    }

    /// Reads 12 hexadecimal digits of any case, with colons, hyphens, dots or nothing between them.
    ///
    /// `None` when there are not exactly six bytes, or when anything else stands among them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = 0_u64;
        let mut digits = 0_u32;
        for &byte in text.as_bytes() {
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                b':' | b'-' | b'.' if digits > 0 && digits < 12 => continue,
                _ => return None,
            };
            digits += 1;
            if digits > 12 {
                return None;
            }
            bits = bits << 4 | u64::from(value);
        }
        (digits == 12).then_some(Self(bits))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

/// Shows a [`Mac`] as `aa:bb:cc:dd:ee:ff`.
#[derive(Clone, Copy)]
pub struct MacText(Mac);

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, _, a, b, c, d, e, g] = self.0.0.to_be_bytes();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_address_is_the_same() {
        let mac = Mac::from_bytes([0x00, 0x18, 0x0a, 0xf3, 0x30, 0x26]);
        for text in ["00:18:0a:f3:30:26", "00-18-0A-F3-30-26", "0018.0af3.3026", "00180AF33026"] {
            assert_eq!(Mac::parse(text), Some(mac), "{text}");
        }
        assert_eq!(mac.text().to_string(), "00:18:0a:f3:30:26");
    }

    #[test]
    fn what_is_not_six_bytes_is_none() {
        for text in ["", "00:18:0a:f3:30", "00:18:0a:f3:30:26:77", "00:18:0a:f3:30:2g", " 0018:0af3:3026", "0018 0af3 3026", ":00180af33026", "00180af33026:"] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
    }

    #[test]
    fn debug_hides_the_address_and_the_bits_are_read_right() {
        let mac = Mac::from_bytes([0x03, 0, 0, 0, 0, 1]);
        assert_eq!(format!("{mac:?}"), "Mac(..)");
        assert!(mac.is_local() && mac.is_group());
        assert!(!Mac::from_bytes([0x18, 0, 0, 0, 0, 1]).is_local());
    }
}
