//! What a person may write, what is refused, and with which words.

use std::io;
use std::path::Path;

use super::*;

fn world<'a>() -> World<'a> {
    World {
        environment: &|name| (name == "MALL_VALIDATOR" || name == "MALL_SECRET").then(|| format!("value-of-{name}")),
        file: &|_| Err(io::ErrorKind::NotFound.into()),
    }
}

fn parse(text: &str) -> Result<Config, Mistake> {
    let config = Config::parse(text, Some(Path::new("f.toml")), &world())?;
    config.check(Some(Path::new("f.toml")), &world())?;
    Ok(config)
}

const RECEIVER: &str = "[[receiver]]\nname = \"a\"\npath = \"/a\"\nvalidator = \"v\"\nsecrets = [\"hush\"]\n";

#[test]
fn the_example_says_every_default() {
    let mut example = parse(EXAMPLE).unwrap();
    let receivers = std::mem::take(&mut example.receiver);
    assert_eq!(example, Config::default());
    assert_eq!(receivers[0].secrets[0].reveal(), "value-of-MALL_SECRET");
}

#[test]
fn the_example_names_every_key() {
    // A key that the example does not name would be refused as missing from this list, or shown by the compiler as never read.
    let keys = [
        "data_dir",
        "database",
        "address",
        "tls",
        "http2",
        "insecure_plaintext",
        "names",
        "name",
        "path",
        "validator",
        "secrets",
        "body",
        "memory",
        "connections",
    ];
    let more = [
        "connections_per_address",
        "handshake_timeout",
        "header_timeout",
        "body_timeout",
        "idle_timeout",
        "stop_timeout",
        "max",
        "free_min",
        "keep",
        "# segment",
    ];
    let presence = ["profiles", "time_zone", "allowed_lateness", "publish_every", "visits", "occupancy", "counts", "# enter_dbm", "# networks", "# aps"];
    let rest = [
        "# key",
        "tail",
        "rows",
        "clients",
        "# mode",
        "epoch",
        "legal_basis",
        "purpose",
        "contact",
        "quarantine",
        "observations",
        "core_dumps",
        "log",
        "log_format",
    ];
    for key in keys.iter().chain(&more).chain(&presence).chain(&rest) {
        assert!(EXAMPLE.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

#[test]
fn both_versions_of_one_network_in_a_site_are_warned_of() {
    let site = |more: &str| format!("{RECEIVER}[[site]]\nname = \"west\"\nnetworks = [\"a/N_1\"]\n{more}");
    let warns = |text: &str| parse(text).unwrap().warnings(false, None).iter().any(|warning| warning.starts_with("site[0]"));
    assert!(warns(&site("receivers = [\"a\"]")) && !warns(&site("")));
}

#[test]
fn clients_are_known_for_a_day_unless_they_cannot_be_forgotten() {
    let key = format!("[privacy]\nkey = \"{}\"", "5a".repeat(32));
    let plain = "[privacy]\nclients = \"plain\"";
    for (text, mode, lasts) in [("", Mode::Day, Some(1)), (plain, Mode::Static, None), (&key, Mode::Static, None)] {
        let config = parse(text).unwrap();
        assert_eq!((config.privacy.mode(), config.presence_settings(7).unwrap().lasting.lasts_days()), (mode, lasts), "{text}");
        assert_eq!(config.key_rule().unwrap().is_none(), lasts.is_none(), "{text}");
    }
    let kind = |text: &str| parse(text).unwrap().key_rule().unwrap().unwrap().kind;
    assert_eq!(kind("[presence]\ntime_zone = \"America/New_York\""), "day-America.New_York");
    assert_eq!(kind("[privacy]\nmode = \"extended\"\nlegal_basis = \"consent\"\ntime_zone = \"Asia/Tokyo\""), "extended90-Asia.Tokyo");
    let anonymous = parse("[privacy]\nmode = \"anonymous\"").unwrap();
    assert!(anonymous.presence_settings(0).unwrap().profiles.is_empty(), "ten minutes make no visit");
}

#[test]
fn the_defaults_are_sound_and_warn_that_nobody_can_post() {
    Config::default().check(None, &world()).unwrap();
    assert!(Config::default().warnings(false, None).iter().any(|warning| warning.contains("404")));
}

#[test]
fn mistakes_name_the_key_the_value_and_the_remedy() {
    let cases = [
        ("colour = 1", "colour", "unknown field"),
        ("[limits]\nbdy = \"1MiB\"", "limits.bdy", "unknown field"),
        ("[limits]\nbody = \"64\"", "limits.body", "\"64\" is no size"),
        ("[limits]\nbody = 64", "limits.body", "invalid type"),
        ("[privacy]\nmode = \"weekly\"", "privacy.mode", "unknown variant"),
        ("[privacy]\nmode = \"extended\"", "privacy.legal_basis", "needs a reason in law"),
        ("[privacy]\nmode = \"extended\"\nlegal_basis = \"consent\"\nepoch = \"36h\"", "privacy.epoch", "out of range"),
        ("[privacy]\nmode = \"day\"\nclients = \"plain\"", "privacy.mode", "an address cannot be forgotten"),
        ("[privacy]\ntime_zone = \"Berlin\"", "privacy.time_zone", "no time zone"),
        ("[presence]\nprofiles = [\"standart\"]", "presence.profiles[0]", "\"standart\" is no profile; there are standard, meraki-gve"),
        ("[presence]\nprofiles = [\"cmx\", \"cmx\"]", "presence.profiles[1]", "named twice"),
        ("[presence]\ntime_zone = \"Berlin\"", "presence.time_zone", "\"Berlin\" is no time zone"),
        ("[presence]\nexcluded = [\"02:00:5e:00:00:01\", \"till 3\"]", "presence.excluded[1]", "\"till 3\" is no address"),
        ("[presence]\nexcluded = [\"01:00:5e:00:00:01\"]", "presence.excluded[0]", "of no single device"),
        ("[presence]\nexcluded = [\"02:00:5e:00:00:01\", \"02005E000001\"]", "presence.excluded[1]", "listed twice"),
        ("[presence]\nmemory = \"1KiB\"", "presence.memory", "1KiB holds nobody"),
        ("[[profile]]\nname = \"mist\"", "profile[0].name", "built-in"),
        ("[presence]\nprofiles = [\"cafe\"]\n[[profile]]\nname = \"cafe\"\nstay_dbm = -60", "profile[0]", "stay_dbm is -60; it must be between -120 and -80"),
        ("[[site]]\nname = \"west\"", "site[0].networks", "no network and no receiver"),
        ("[[site]]\nname = \"west\"\nreceivers = [\"a\"]\n[[site.zone]]\nname = \"food\"", "site[0].zone[0].aps", "no access point and no tag"),
        ("[[site]]\nname = \"west\"\nreceivers = [\"a\"]\n[[site.zone]]\nname = \"food\"\ntags = [\"\"]", "site[0].zone[0].tags", "an empty tag"),
        ("[[site]]\nname = \"west\"\nnetworks = [\"N_1\"]", "site[0].networks", "\"N_1\" is no network"),
        ("[[site]]\nname = \"west\"\nreceivers = [\"a\"]\nopening_hours = { mon = \"20:00-10:00\" }", "site[0].opening_hours.mon", "\"20:00-10:00\""),
        ("[[site]]\nname = \"west\"\nreceivers = [\"a\"]\n[[site.zone]]\nname = \"hall\"\naps = [\"12\"]", "site[0].zone[0].aps", "\"12\" is no address"),
        (
            "[[site]]\nname = \"west\"\nreceivers = [\"a\"]\n[[site.zone]]\nname = \"hall\"\naps = [\"02:00:00:00:00:0a\", \"02-00-00-00-00-0A\"]",
            "site[0].zone[0].aps",
            "listed twice",
        ),
        ("[retention]\nvisits = \"1d\"", "retention.visits", "less than three days"),
        ("[limits]\nbody_timeout = \"soon\"", "limits.body_timeout", "\"soon\" is no length of time"),
        ("[limits]\nbody = \"64MiB\"\nmemory = \"32MiB\"", "limits.memory", "32MiB cannot hold"),
        ("[limits]\nbody = \"100MiB\"\nmemory = \"1GiB\"\n[journal]\nsegment = \"64MiB\"", "journal.segment", "64MiB cannot hold a post"),
        ("[journal]\nmax = \"100MiB\"", "journal.max", "less than two segments"),
        ("[limits]\nidle_timeout = \"0s\"", "limits.idle_timeout", "out of range"),
        ("[limits]\nconnections = 0", "limits.connections", "lets nobody in"),
        ("[[listen]]\naddress = \"everywhere\"", "listen[0].address", "\"everywhere\" is no address"),
        ("[[listen]]\naddress = \"0.0.0.0:80\"\ntls = \"off\"", "listen[0].tls", "others reach"),
        ("[[listen]]\naddress = \"127.0.0.1:1\"\ntls = \"on\"", "listen[0].tls", "\"on\""),
        ("[[listen]]\naddress = \"127.0.0.1:1\"\n[[listen]]\naddress = \"127.0.0.1:1\"", "listen[1].address", "taken"),
        ("[[listen]]\naddress = \"127.0.0.1:1\"\ntls = { chain = \"c.pem\", key = \"k.pem\" }", "listen[0].tls.chain", "c.pem cannot be read"),
        ("database = \"mysql://x\"", "database", "mysql"),
        ("database = \"env:NOT_SET\"", "database", "environment variable NOT_SET"),
        ("database = \"file:gone\"", "database", "the file gone"),
        ("[process]\nlog = \"loud[\"", "process.log", "no log filter"),
        ("[privacy]\nkeep = [\"shoe_size\"]", "privacy.keep[0]", "unknown variant"),
        ("[privacy]\nkey = \"abc\"", "privacy.key", "64 hexadecimal"),
        ("[retention]\nobservations = \"5m\"", "retention.observations", "less than an hour"),
        ("[[receiver]]\nname = \"a b\"\npath = \"/\"\nvalidator = \"v\"\nsecrets = [\"s\"]", "receiver[0].name", "\"a b\""),
        ("[[receiver]]\nname = \"a\"\npath = \"x\"\nvalidator = \"v\"\nsecrets = [\"s\"]", "receiver[0].path", "\"x\""),
        ("[[receiver]]\nname = \"a\"\npath = \"/\"\nvalidator = \"v\"\nsecrets = []", "receiver[0].secrets", "no secret"),
        ("a = ", "", "line 1 is not TOML"),
    ];
    for (text, key, what) in cases {
        let mistake = parse(text).unwrap_err();
        assert!(mistake.to_string().starts_with("f.toml: "), "{mistake}");
        assert_eq!(mistake.key, key, "{mistake}");
        assert!(mistake.what.contains(what), "{mistake}");
        assert!(!mistake.remedy.is_empty());
    }
}

#[test]
fn a_name_or_path_stands_once() {
    for (second, key) in [(RECEIVER.replace("/a", "/b"), "receiver[1].name"), (RECEIVER.replace("\"a\"", "\"b\""), "receiver[1].path")] {
        assert_eq!(parse(&format!("{RECEIVER}{second}")).unwrap_err().key, key);
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let config = parse(&format!("database = \"postgres://u:geheim@h/d?password=geheim\"\n{RECEIVER}")).unwrap();
    let shown = format!("{config:?} {}", config.database.address_shown());
    assert!(!shown.contains("hush") && !shown.contains("geheim"), "{shown}");
    assert_eq!(config.database.address_shown(), "postgres://u@h/d");
    let mistake = parse(&RECEIVER.replace("[\"hush\"]", "\"hush\"")).unwrap_err();
    assert!(!mistake.to_string().contains("hush"), "{mistake}");
    let mistake = parse(&format!("{RECEIVER}secret = hush")).unwrap_err();
    assert!(!mistake.to_string().contains("hush"), "{mistake}");
}

#[test]
fn a_readable_file_with_a_secret_is_warned_of() {
    let text = RECEIVER.to_owned();
    let config = parse(&text).unwrap();
    assert!(config.warnings(true, Some(&text)).iter().any(|warning| warning.contains("chmod 600")));
    assert!(config.warnings(false, Some(&text)).is_empty());
    assert!(config.warnings(true, Some("secrets = [\"env:X\"]")).is_empty());
}

#[test]
fn a_store_that_throws_rows_away_is_warned_of() {
    let config = parse(&format!("database = \"null:\"\n{RECEIVER}")).unwrap();
    assert!(config.warnings(false, None).iter().any(|warning| warning.contains("thrown away")));
}

#[test]
fn sizes_and_times_are_shown_as_they_are_written() {
    assert_eq!([Size(64 << 20), Size(3 << 30), Size(1_000), Size(1 << 10)].map(|size| size.to_string()), ["64MiB", "3GiB", "1000B", "1KiB"]);
    for text in ["90d", "760d", "36h", "15m", "75s", "1500ms", "0s"] {
        assert_eq!(Span(humantime::parse_duration(text).unwrap()).to_string(), text);
    }
}

#[test]
fn a_small_journal_gets_small_segments_without_being_asked() {
    let config = parse("[limits]\nbody = \"1MiB\"\nmemory = \"2MiB\"\n[journal]\nmax = \"4MiB\"").unwrap();
    assert_eq!(config.segment_bytes(), config.segment_bytes_min());
    assert!(config.warnings(false, None).iter().any(|warning| warning.contains("limits.memory")));
    assert_eq!(parse("[limits]\nbody = \"1MiB\"\n[journal]\nmax = \"64MiB\"").unwrap().segment_bytes(), 16 << 20);
    assert_eq!(Config::default().segment_bytes(), 128 << 20);
}
