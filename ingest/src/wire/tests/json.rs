//! What is JSON: a table of texts, each judged by us as by `serde_json`, with the exceptions of interface.md 7 apart.

use super::*;

/// Texts that are put where a value is skipped, and alone.
const VALUES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "01",
    "-01",
    "00",
    "-",
    "+1",
    "1.",
    ".1",
    "1.0",
    "-1.5",
    "1.e1",
    "1e",
    "1e+",
    "1e5",
    "1E-5",
    "1e05",
    "0e0",
    "0e1",
    "1e999",
    "-1e999",
    "1e-999",
    "0e999",
    "0e99999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "1e308",
    "1e309",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "9007199254740993",
    "5e-324",
    "2e-324",
    "0x10",
    "1_000",
    "1a",
    "1-2",
    "1 2",
    "1,2",
    "0.1.2",
    "1ee5",
    "1e5.5",
    "--1",
    "-a",
    "Infinity",
    "-Infinity",
    "NaN",
    "inf",
    "nan",
    "true",
    "false",
    "null",
    "True",
    "NULL",
    "tru",
    "truex",
    "true1",
    "nulll",
    "fals",
    "undefined",
    "''",
    "'a'",
    "\"\"",
    "\"a\"",
    "\"",
    "\"a",
    "a\"",
    "\"a\"b",
    "\"a\"\"b\"",
    "\"\\\"",
    "\"\\\\\"",
    "\"\\a\"",
    "\"\\x41\"",
    "\"\\u12\"",
    "\"\\u123g\"",
    "\"\\u0041\"",
    "\"\\U0041\"",
    "\"\\n\\r\\t\\b\\f\\/\\\\\\\"\"",
    "\"\\",
    "\\\"a\"",
    "\"a\\u00",
    "\"\t\"",
    "\"\n\"",
    "\"\u{0}\"",
    "\"\u{1f}\"",
    "\"\u{7f}\"",
    "\"\u{2028}\"",
    "\"\u{feff}\"",
    "\u{feff}1",
    "\u{a0}1",
    "[",
    "]",
    "{",
    "}",
    "[]",
    "{}",
    "[1]",
    "[1,]",
    "[,1]",
    "[,]",
    "[1 2]",
    "[1:2]",
    "[1",
    "[1}",
    "{1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1",
    "{\"a\":1]",
    "{\"a\":1,}",
    "{,}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\",1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    "{\"a\":1,\"a\":2}",
    "{\"a\"::1}",
    "{:1}",
    "[[[[[]]]]]",
    "[[[[[]]]]",
    "[1]]",
    "{}}",
    "{\"a\":{\"b\":[{},[],1]}}",
    "// c\n1",
    "/* c */1",
    "# c\n1",
    "1 // c",
    " 1 ",
    "\t1\n",
    "\r1",
    "\u{b}1",
    "\u{c}1",
    "\u{0}1",
    "1\u{0}",
    "1\u{c}",
    "[1\u{0}]",
    "[\u{0}]",
    "[1\u{1}]",
    "\u{85}1",
    ";",
    "1;",
    "[1;2]",
    "{\"a\"=1}",
    "*",
    "&",
    "@",
    "",
    " ",
    "\n",
    "\"a\\\nb\"",
    "[\"a\",\"b\" \"c\"]",
    "[true false]",
    "[-]",
    "[- 1]",
    "[1e1 ]",
    "[\"\\ud83d\\ude00\"]",
    "{\"\\u0061\":1,\"a\":2}",
    "[1\"a\"]",
    "[\"a\"1]",
    "[null\"a\"]",
    "[true[]]",
    "[[]true]",
    "[{}[]]",
    "[1\\]",
    "\\",
    "[\\\"]",
    "`",
    "[1,\\u0031]",
];

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

#[test]
fn what_serde_json_refuses_is_refused() {
    for value in VALUES {
        for body in [(*value).to_owned(), format!("{{\"skipped\":{value}}}"), format!("[{value}]"), format!("{{\"a\":[1,{value},\"lat\"]}}")] {
            assert_eq!(is_not_json(&body), !is_json(body.as_bytes()), "{body:?}");
        }
        let skipped = v2_wifi(&heard(&format!(",\"skipped\":{value}")));
        assert_eq!(is_not_json(&skipped), !is_json(skipped.as_bytes()), "{value:?}");
    }
}

#[test]
fn every_single_byte_is_judged_alike_wherever_it_stands() {
    for byte in 0..=127_u8 {
        for template in
            ["{\"a\":~}", "{\"a\":1~}", "~{}", "{}~", "[1~2]", "[\"a\"~]", "\"a~b\"", "\"a\\~b\"", "[true~]", "[-~]", "{~\"a\":1}", "[1.~]", "[1e~]", "[0~1]"]
        {
            let body: Vec<u8> = template.bytes().map(|at| if at == b'~' { byte } else { at }).collect();
            assert_eq!(is_not_json(&body), !is_json(&body), "{:?}", String::from_utf8_lossy(&body));
        }
    }
}

#[test]
fn bytes_that_are_no_utf8_are_repaired_in_strings_only() {
    for byte in 128..=255_u8 {
        assert!(is_not_json([b'[', byte, b']']) && is_not_json([byte]));
        assert!(is_not_json([b'"', byte]) && is_not_json([b'"', byte, 1, b'"']));
        assert!(matches!(outcome([b'"', byte, b'"']), Err(Rejection::Secret)), "repaired, and no object");
    }
}

#[test]
fn texts_longer_than_a_vector_are_judged_alike() {
    for padding in 0..140 {
        for value in ["1", "1e999", "\"\\u0041\"", "\"\\ux\"", "\"\\", "tru", "\"\u{1}\"", "-", "1.5}"] {
            let body = format!("{{\"a\":\"{}\",\"b\":{value}}}", "x".repeat(padding));
            assert_eq!(is_not_json(&body), !is_json(body.as_bytes()), "{padding} {value:?}");
        }
    }
}

#[test]
fn positions_in_a_repaired_copy_lead_back() {
    let body = b"{\"a\":\"\\ud800\xff\xffz\",\"lat\":NaN,\"x\":[NaN],\"k\":\"v\"}";
    let mut copy = Vec::new();
    let repairs = repair::repair(body, &mut copy);
    assert_eq!((repairs.strings, repairs.nulls), (1, 2));
    assert!(is_json(&copy));
    for needle in [&b"a\":"[..], b"lat", b"x\":", b"k\":", b"v\"}"] {
        let find = |text: &[u8]| memchr::memmem::find(text, needle).unwrap();
        assert_eq!(repair::place_before(body, find(&copy)), find(body));
    }
}
