//! Addresses of opted-out devices, overwritten in a body before it is kept. Pure: bytes and a list in, the same number of bytes out.
//!
//! The journal keeps bodies as they came, and of a device that is opted out not even a sealed address is to be kept. Its digits become zeros
//! wherever they stand in a string of the body: in every spelling that the parser takes for an address, JSON's escapes included, and inside
//! of longer texts such as host names. An IPv6 address that was made from the device's address tells it too and becomes zeros whole.

use std::net::Ipv6Addr;

use hashbrown::HashSet;
use memchr::{memchr, memmem};
use store::batch::{Batch, Client};
use store::mac::Mac;
use store::optout::List;

/// Overwrites the addresses of those clients of `batch` that are on the list, in the body that told the batch. Says whether it found any: the
/// body tells another batch then. Takes time linear in the body.
pub(crate) fn redact(body: &mut [u8], batch: &Batch, list: &List) -> bool {
    let opted_out: Vec<&Client> = batch.clients.iter().filter(|client| list.has(client.mac)).collect();
    if opted_out.is_empty() {
        return false;
    }
    let addresses = opted_out.iter().map(|client| client.mac).collect();
    let mut found = overwrite_addresses(body, &addresses);
    for client in opted_out {
        // With a prefix length or without.
        let ipv6 = batch.texts.get(client.ipv6).and_then(|text| text.split('/').next());
        if let Some(text) = ipv6.filter(|text| text.parse().is_ok_and(|ipv6| is_made_from(ipv6, client.mac))) {
            found |= overwrite_text(body, text.as_bytes());
        }
    }
    found
}

/// Whether the lower half of the address is the device's with `ff:fe` in its middle and one bit turned (RFC 4291, appendix A).
fn is_made_from(ipv6: Ipv6Addr, mac: Mac) -> bool {
    let [_, _, a, b, c, d, e, f] = mac.bits().to_be_bytes();
    ipv6.octets()[8..] == [a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

fn overwrite_text(body: &mut [u8], text: &[u8]) -> bool {
    let places: Vec<usize> = memmem::find_iter(body, text).collect();
    for &place in &places {
        for byte in body[place..place + text.len()].iter_mut().filter(|byte| byte.is_ascii_hexdigit()) {
            *byte = b'0';
        }
    }
    !places.is_empty()
}

fn overwrite_addresses(body: &mut [u8], addresses: &HashSet<Mac>) -> bool {
    let (mut at, mut found) = (0, false);
    let mut digits = Digits::default();
    // Only strings: a number of zeros would be no JSON.
    while let Some(quote) = memchr(b'"', &body[at..]) {
        at += quote + 1;
        digits.count = 0;
        while let Some(&first) = body.get(at) {
            let (byte, length) = if first == b'\\' { escaped(&body[at..]) } else { (first, 1) };
            if first == b'"' {
                break;
            }
            match char::from(byte).to_digit(16) {
                Some(digit) => {
                    if digits.push(digit, at).is_some_and(|mac| addresses.contains(&mac)) {
                        digits.overwrite(body);
                        found = true;
                    }
                }
                None if matches!(byte, b':' | b'-' | b'.') => {}
                None => digits.count = 0,
            }
            at += length;
        }
        at = (at + 1).min(body.len());
    }
    found
}

/// The ASCII character that a JSON escape stands for, or NUL for any other, and the bytes it takes.
fn escaped(json: &[u8]) -> (u8, usize) {
    match json {
        [b'\\', b'u', hex @ ..] => {
            let code = hex.get(..4).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u16::from_str_radix(hex, 16).ok());
            // An escape that is none ends where the next character begins: no quote is missed.
            code.map_or((0, 2), |code| (u8::try_from(code).unwrap_or(0), 6))
        }
        _ => (0, 2),
    }
}

/// The last digits that were read, and where they stand.
#[derive(Default)]
struct Digits {
    bits: u64,
    places: [usize; 12],
    count: usize,
}

impl Digits {
    /// Takes a digit in; the address that it is the last of.
    fn push(&mut self, digit: u32, place: usize) -> Option<Mac> {
        self.bits = self.bits << 4 | u64::from(digit);
        self.places[self.count % 12] = place;
        self.count += 1;
        (self.count >= 12).then(|| Mac::from_bits(self.bits))
    }

    fn overwrite(&mut self, body: &mut [u8]) {
        for place in self.places {
            match body[place] {
                // `\u0030` is a zero.
                b'\\' => body[place + 4..place + 6].copy_from_slice(b"30"),
                _ => body[place] = b'0',
            }
        }
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::key::Key;

    use super::*;
    use crate::wire::{Context, Parsed, Parser, Secrets};

    const OUT: &str = "02:aa:bc:de:f0:01";
    const STAYS: &str = "02:aa:bc:de:f0:02";

    fn list() -> List {
        List::of(Key::from_bytes([5; 32]), [Mac::parse(OUT).unwrap()])
    }

    fn parse(body: &[u8]) -> Box<Batch> {
        let context = Context { receiver: &Arc::from("mall"), secrets: Secrets::Trusted, received_at_ms: 1_790_000_000_000 };
        let Ok(Parsed::Post(batch)) = Parser::default().parse(&mut body.to_vec(), &context, None) else { panic!("{}", String::from_utf8_lossy(body)) };
        batch
    }

    fn v2(mac: &str, more: &str) -> String {
        let entry = |mac: &str| format!(r#"{{"clientMac":"{mac}","seenEpoch":1789999999,"rssi":30,"ssid":null{more}}}"#);
        format!(
            r#"{{"version":"2.0","secret":"","type":"DevicesSeen","data":{{"apMac":"02:00:00:00:0a:01","observations":[{},{}]}}}}"#,
            entry(mac),
            entry(STAYS).replace(more, "")
        )
    }

    /// The body afterwards.
    fn redacted(body: &str) -> String {
        let (mut bytes, batch) = (body.as_bytes().to_vec(), parse(body.as_bytes()));
        assert!(redact(&mut bytes, &batch, &list()), "{body}");
        assert_eq!(bytes.len(), body.len());
        let again = parse(&bytes);
        assert_eq!(again.told(), batch.told());
        assert!(!redact(&mut bytes, &again, &list()), "nobody is found again");
        let clients: Vec<Mac> = again.clients.iter().map(|client| client.mac).collect();
        assert_eq!(clients, [Mac::default(), Mac::parse(STAYS).unwrap()], "{body}");
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_address_goes_in_every_spelling_that_the_parser_takes_and_nothing_else_does() {
        for (spelled, zeros) in [
            (OUT, "00:00:00:00:00:00"),
            ("02-AA-BC-DE-F0-01", "00-00-00-00-00-00"),
            ("02aa.bcde.f001", "0000.0000.0000"),
            ("02aAbcDEf001", "000000000000"),
            ("0::2aa--bc.def001", "0::000--00.000000"),
            (r"\u00302:\u0061\u0041\u003abc:de:f0:01", r"\u00300:\u0030\u0030\u003a00:00:00:00"),
        ] {
            let body = v2(spelled, "");
            assert_eq!(redacted(&body), body.replacen(spelled, zeros, 1));
        }
    }

    #[test]
    fn it_goes_wherever_it_stands_in_a_string() {
        let more = r#","ipv4":"phone-02AABCDEF001/10.1.2.3","os":"\"\\02aabc\u002ddef001\n","manufacturer":"é02aabcdef0012","other":["x02:aa:bc:de:f0:01"]"#;
        let kept = redacted(&v2(OUT, more));
        for gone in ["02AABCDEF001", "def001", "bcdef0012", "x02:aa"] {
            assert!(!kept.contains(gone), "{kept}");
        }
        for stays in ["phone-000000000000/10.1.2.3", r#""\"\\000000\u002d000000\n""#, "é0000000000002", STAYS, "1789999999"] {
            assert!(kept.contains(stays), "{kept}");
        }
    }

    #[test]
    fn an_ipv6_address_that_was_made_from_it_goes_too() {
        let kept = redacted(&v2(OUT, r#","ipv6":"/fe80::AA:bcff:fede:f001""#));
        assert!(kept.contains(r#""/0000::00:0000:0000:0000""#), "{kept}");
        for private in ["/fe80::aa:bcff:fede:f002", "/2001:db8::1", "/not an address"] {
            assert!(redacted(&v2(OUT, &format!(r#","ipv6":"{private}""#))).contains(private));
        }
    }

    #[test]
    fn numbers_and_others_are_left_alone() {
        let list = List::of(Key::from_bytes([5; 32]), [Mac::parse("178999999900").unwrap(), Mac::parse(OUT).unwrap()]);
        let body = v2("17:89:99:99:99:00", r#","longitude":178999999900,"seen":1789999.99900"#);
        let mut bytes = body.as_bytes().to_vec();
        assert!(redact(&mut bytes, &parse(body.as_bytes()), &list));
        let kept = String::from_utf8(bytes).unwrap();
        assert!(kept.contains("178999999900") && kept.contains("1789999.99900") && !kept.contains("17:89"), "{kept}");

        let body = v2(STAYS, &format!(r#","os":"{OUT}""#));
        let mut bytes = body.clone().into_bytes();
        assert!(!redact(&mut bytes, &parse(body.as_bytes()), &list), "only clients of the post are looked for");
        assert_eq!(bytes, body.into_bytes());
    }
}
