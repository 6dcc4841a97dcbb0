//! The command line: exit codes, messages, and that data and messages keep to their streams.

use std::fs;

use serde_json::json;

use crate::harness::Site;
use crate::posts::v2_post;

#[test]
fn help_names_every_command_and_mistakes_exit_64() {
    let site = Site::sqlite();
    let help = site.run(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for command in ["serve", "simulate", "config", "migrate", "query", "report", "journal", "privacy"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(site.run(&[command, "--help"]).status.success());
    }
    for wrong in [&["serve", "--colour"][..], &["dance"], &["query"], &["simulate"]] {
        let out = site.run(wrong);
        assert_eq!(out.status.code(), Some(64), "{wrong:?}");
        assert!(out.stdout.is_empty() && !out.stderr.is_empty());
    }
}

#[test]
fn a_wrong_configuration_exits_64_before_anything_is_made() {
    let site = Site::sqlite_with("[limits]\nbody = \"64\"");
    for command in [&["serve"][..], &["config", "check"], &["migrate"], &["query", "SELECT 1"]] {
        let out = site.run(command);
        let message = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(64), "{message}");
        for part in ["footfall.toml", "limits.body", "\"64\"", "64MiB"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(!site.data().exists());
    let out = site.run(&["serve", "--config", "gone.toml"]);
    assert_eq!(out.status.code(), Some(64));
    assert!(String::from_utf8(out.stderr).unwrap().contains("gone.toml"));
}

#[test]
fn the_example_is_printed_and_the_configuration_checked() {
    let site = Site::sqlite();
    let example = site.run(&["config", "example"]);
    assert_eq!(example.stdout, fs::read("config.example.toml").unwrap());
    let check = site.run(&["config", "check"]);
    assert!(check.status.success());
    assert!(String::from_utf8(check.stdout).unwrap().starts_with("ok: footfall.toml: 2 listener(s), 2 receiver(s)"));
    assert!(String::from_utf8(check.stderr).unwrap().contains("chmod 600"), "the file holds a secret and is readable by others");
    assert!(!site.data().exists(), "a check changes nothing");
}

#[test]
fn queries_print_table_csv_and_json_and_write_nothing() {
    let site = Site::sqlite();
    assert!(site.run(&["migrate"]).status.success());
    let served = site.serve();
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    served.wait_until_applied();
    let sql = "SELECT ap, rssi_dbm, ssid FROM observations ORDER BY rssi_dbm";
    assert_eq!(
        json!(site.query(sql)),
        json!([{"ap": "02:18:5a:00:00:01", "rssi_dbm": -85, "ssid": null}, {"ap": "02:18:5a:00:00:01", "rssi_dbm": -60, "ssid": "guest"}])
    );
    let csv = String::from_utf8(site.run(&["query", sql, "--format", "csv"]).stdout).unwrap();
    assert_eq!(csv, "ap,rssi_dbm,ssid\n02:18:5a:00:00:01,-85,\n02:18:5a:00:00:01,-60,guest\n");
    let table = String::from_utf8(site.run(&["query", sql]).stdout).unwrap();
    assert!(table.contains("rssi_dbm") && table.contains("-85"), "{table}");
    assert_eq!(site.query("SELECT 1 AS one WHERE 1 = 0"), Vec::<serde_json::Value>::new());

    for (wrong, code) in [("DELETE FROM journal_cursor", 64), ("SELECT nonsense", 64), ("", 64)] {
        let out = site.run(&["query", wrong]);
        assert_eq!(out.status.code(), Some(code), "{wrong}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout.is_empty());
    }
    served.stop();
    assert_eq!(Site::on("postgres://nobody@127.0.0.1:1/none").run(&["query", "SELECT 1"]).status.code(), Some(69));
}

#[test]
fn the_journal_is_inspected_and_verified_and_damage_is_told() {
    let site = Site::sqlite();
    let served = site.serve();
    for _ in 0..3 {
        assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    }
    let inspected = String::from_utf8(site.run(&["journal", "inspect"]).stdout).unwrap();
    assert!(inspected.contains(".seg"), "{inspected}");
    assert!(site.run(&["journal", "verify"]).status.success(), "beside the running process");
    served.stop();

    let (path, mut bytes) =
        crate::harness::files_below(&site.data().join("journal")).into_iter().find(|(path, _)| path.extension().is_some_and(|end| end == "seg")).unwrap();
    bytes[8_192 + 40] ^= 1;
    fs::write(path, bytes).unwrap();
    let out = site.run(&["journal", "verify"]);
    assert_eq!(out.status.code(), Some(74), "{}", String::from_utf8_lossy(&out.stdout));
}

/// Ruling 11.
#[test]
fn a_missing_key_is_refused_with_the_remedy() {
    let site = Site::sqlite_with("[privacy]\nmode = \"static\"\n");
    let served = site.serve();
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    served.stop();
    for key in ["journal.key", "client.key"] {
        let path = site.data().join("keys").join(key);
        let aside = site.path(key);
        fs::rename(&path, &aside).unwrap();
        let (status, log) = site.try_serve().err().unwrap();
        assert_eq!(status.code(), Some(64), "{log}");
        assert!(!path.exists(), "a new key would lose what the old one sealed");
        fs::rename(&aside, &path).unwrap();
    }
    site.serve().stop();
}
