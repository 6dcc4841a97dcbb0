//! No device address, secret or validator stands where it must not: in a file, a log line, a metric or an answer.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{SECRET, Site, VALIDATOR, files_below};
use crate::posts::v2_post;

/// Every spelling in which a client's address of [`v2_post`] could leak.
const CANARIES: [&[u8]; 6] = [b"02:aa:00:00:00:01", b"02-aa-00-00-00-01", b"02aa00000001", b"10.1.2.3", &[0x02, 0xaa, 0, 0, 0, 1], &[1, 0, 0, 0, 0xaa, 0x02]];

/// Ruling 11.
#[test]
fn neither_addresses_nor_secrets_lie_in_plain_bytes_anywhere() {
    let site = Site::sqlite_with("[process]\nlog = \"trace\"");
    let served = site.serve();
    let body = v2_post().to_string();
    assert_eq!(served.post("/meraki/mall", body.as_bytes()).0, 200);
    let unknown = body.replace("\"2.0\"", "\"7.0\"");
    assert_eq!(served.post("/meraki/mall", unknown.as_bytes()).0, 200, "one for the quarantine");
    assert_eq!(served.post("/meraki/mall", format!("{{\"secret\":\"{SECRET}x\"}}").as_bytes()).0, 403);
    served.wait_until_applied();
    let mut places: Vec<(String, Vec<u8>)> = files_below(&site.data()).into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)).collect();
    for path in ["/metrics", "/v1/status", "/v1/heard"] {
        places.push((path.to_owned(), served.admin(path).1.into_bytes()));
    }
    places.push(("journal inspect".to_owned(), site.run(&["journal", "inspect"]).stdout));
    places.push(("the log".to_owned(), served.stop().into_bytes()));
    assert!(places.len() > 8);
    for (place, bytes) in &places {
        let finds = |canary: &[u8]| bytes.windows(canary.len()).any(|window| window == canary);
        for canary in CANARIES {
            assert!(!finds(canary), "{place} holds {}", String::from_utf8_lossy(canary));
        }
        assert!(!finds(SECRET.as_bytes()) && !finds(VALIDATOR.as_bytes()), "{place} holds a secret");
    }
}

#[test]
fn the_data_directory_is_its_owners_alone() {
    let site = Site::sqlite();
    let served = site.serve();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&site.data()), 0);
    for (path, _) in files_below(&site.data().join("keys")) {
        assert_eq!(mode(&path), 0, "{}", path.display());
    }
    served.stop();
}

/// Ruling 12.
#[test]
fn a_crash_leaves_no_core_unless_asked_for() {
    for (more, limit) in [("", Some("0")), ("[process]\ncore_dumps = true", None)] {
        let site = Site::sqlite_with(more);
        let served = site.serve();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        let allowed = core.split_whitespace().next();
        let inherited = std::fs::read_to_string("/proc/self/limits").unwrap();
        let inherited = inherited.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap().split_whitespace().next().map(str::to_owned);
        assert_eq!(allowed.map(str::to_owned), limit.map(str::to_owned).or(inherited), "{core}");
        served.stop();
    }
}
