//! Both kernels against the plainest answers there are.

use proptest::prelude::*;

use super::*;

/// Asks every kernel that this processor has about a window, and holds its answers against the plain ones.
fn assert_all_agree(window: &[u8; 48]) {
    assert_agrees(Portable, window);
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = Avx2::detect() {
        assert_agrees(kernel, window);
    }
}

fn assert_agrees(kernel: impl Kernel, window: &[u8; 48]) {
    let (half, short) = (window.first_chunk::<32>().unwrap(), window.first_chunk::<16>().unwrap());
    assert_eq!(kernel.plain(half), plain(half), "{window:?}");
    assert_eq!(kernel.digits(short), digits(short), "{window:?}");
    assert_eq!(kernel.mac(half), mac(window), "{window:?}");
    assert_eq!(kernel.reading(window), reading(window), "{window:?}");
    for length in 0..=16 {
        let mask: [u8; 16] = std::array::from_fn(|at| if at < length { 0xff } else { 0 });
        for changed in 0..16 {
            let mut pattern = *short;
            pattern[changed] ^= 0x10;
            assert_eq!(kernel.is(short, &pattern, &mask), changed >= length, "{window:?} {length} {changed}");
        }
    }
}

fn plain(window: &[u8]) -> usize {
    window.iter().take_while(|byte| (b' '..=0x7f).contains(byte) && !matches!(byte, b'"' | b'\\')).count()
}

fn digits(window: &[u8]) -> (usize, u64) {
    let digits = window.iter().take_while(|byte| byte.is_ascii_digit());
    (digits.clone().count(), digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn mac(window: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(&window[..17]).ok()?;
    let pairs: Vec<&str> = text.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    (pairs.len() == 6 && pairs.iter().all(is_pair)).then(|| u64::from_str_radix(&pairs.concat(), 16).unwrap())
}

fn reading(window: &[u8]) -> Option<(u64, i8)> {
    let rest = window.strip_prefix(b"{\"apMac\":\"")?;
    let address = mac(rest)?;
    let rest = rest[17..].strip_prefix(b"\",\"rssi\":")?;
    let rssi: i8 = std::str::from_utf8(&rest[..3]).ok()?.parse().ok()?;
    (rest[3] == b'}' && (-99..=-10).contains(&rssi) && rest[0] == b'-').then_some((address, rssi))
}

#[test]
fn every_byte_at_every_place_is_told_apart() {
    let windows = [
        [b'a'; 48],
        [b'7'; 48],
        *b"0a:1B:c2:D3:4e:5F                               ",
        *b"{\"apMac\":\"0a:1B:c2:D3:4e:5F\",\"rssi\":-39},{\"apMac",
        *b"{\"apMac\":\"ff:ff:ff:ff:ff:ff\",\"rssi\":-10}]       ",
    ];
    for window in windows {
        assert_all_agree(&window);
        for place in 0..48 {
            for byte in 0..=255 {
                let mut changed = window;
                changed[place] = byte;
                assert_all_agree(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_window_is_read_alike(window in prop::collection::vec(any::<u8>(), 48), letters in "[ -~\\x80-\\xff\\x00\"\\\\]{48}") {
        assert_all_agree(window.first_chunk().unwrap());
        assert_all_agree(letters.as_bytes().first_chunk().unwrap());
    }

    #[test]
    fn numbers_addresses_and_readings_are_exact(number in 0..=9_999_999_999_999_999_u64, width in 1..=16_usize, bits in 0..1_u64 << 48, rssi in -99..=-10_i8) {
        let number = number % 10_u64.pow(width as u32);
        let octets: Vec<String> = bits.to_be_bytes()[2..].iter().map(|octet| if number.is_multiple_of(2) { format!("{octet:02X}") } else { format!("{octet:02x}") }).collect();
        let (address, digits) = (octets.join(":"), format!("{number:0width$}{:z<48}", ""));
        let reading = format!("{{\"apMac\":\"{address}\",\"rssi\":{rssi}}},       ");
        let address = format!("{address:\u{0}<48}");
        let [digits, address, reading] = [&digits, &address, &reading].map(|text| *text.as_bytes().first_chunk::<48>().unwrap());
        [digits, address, reading].iter().for_each(assert_all_agree);
        prop_assert_eq!(Portable.digits(digits.first_chunk().unwrap()), (width, number));
        prop_assert_eq!(Portable.mac(address.first_chunk().unwrap()), Some(bits));
        prop_assert_eq!(Portable.reading(&reading), Some((bits, rssi)));
    }
}
