//! The database is lost and restored from a backup that was made under load: the cursor in it says where to go on, and the journal has
//! the rest. What the journal has let go is a gap, counted and told with its exact positions.

use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::cluster::Cluster;
use crate::harness::{Served, Site};
use crate::ledger::stored;
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, position, wait_for_posts};
use crate::scene::{Road, Scene};
use crate::verdict::{life_goes_on, no_alarm_but, posts_in_store, settle};

/// Waits until the store has more posts than now.
fn wait_for_commits(served: &Served, more: u64) {
    let before = served.status()["store"]["cursor"].as_u64().unwrap();
    served.wait_until("applying", |status| status["store"]["cursor"].as_u64().unwrap() > before + more);
}

#[test]
fn a_base_backup_under_the_running_program() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let mut cluster = Cluster::start();
        let scene = Scene::start(&cluster.make_database("restored"), road, "3");
        cluster.back_up("backup");
        wait_for_commits(&scene.served, 100);
        cluster.restore("backup");
        scene.served.wait_for_log("the store was set back");
        scene.settle();
    }
}

/// Of an earlier process of the program, while it is stopped.
#[test]
fn a_base_backup_between_two_starts() {
    let mut cluster = Cluster::start();
    let site = Site::on_with(&cluster.make_database("restored"), &Road::Disk.configuration());
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 1_200));
    wait_for_commits(&served, 50);
    cluster.back_up("backup");
    wait_for_commits(&served, 100);
    served.stop();
    cluster.restore("backup");
    let served = site.serve();
    wait_for_commits(&served, 100);
    let promised = load.stop(&site);
    settle(&site, &served, &promised);
    served.stop();
}

/// Restored under another name, which becomes the database's own: the program never meets half of it, and posts are answered throughout.
#[test]
fn a_dump_under_the_running_program() {
    let cluster = Cluster::start();
    let scene = Scene::start(&cluster.make_database("dumped"), Road::Disk, "3");
    let dump = cluster.run("pg_dump", &["dumped"], b"");
    wait_for_commits(&scene.served, 50);
    cluster.sql("postgres", "DROP DATABASE dumped WITH (FORCE)");
    scene.wait_for_state("paused", "3D000");
    scene.answers_go_on();
    cluster.make_database("restored");
    cluster.run("psql", &["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname", "restored"], &dump);
    cluster.sql("postgres", "ALTER DATABASE restored RENAME TO dumped");
    scene.served.wait_for_log("the store was set back");
    scene.settle();
}

/// The backup is older than what the journal keeps: what is missing is said once, and life goes on.
#[test]
fn a_backup_older_than_the_journal() {
    let mut cluster = Cluster::start();
    let configuration = Road::Tail.configuration().replace("1h", "1ms");
    let site = Site::on_with(&cluster.make_database("restored"), &configuration);
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "3", (300, 1_200));
    wait_for_commits(&served, 20);
    cluster.back_up("backup");
    wait_for_commits(&served, 400);
    let promised = load.stop(&site);
    served.wait_until_applied();
    let next = position(&served);
    served.stop();
    // The next process lets go of the last segment too, so that not even a post comes after the gap.
    let served = site.serve();
    served.wait_until("let go", |status| status["journal"]["records"] == 0);
    served.stop();
    cluster.restore("backup");
    let restored = (posts_in_store(&site), stored(&site));

    let served = site.serve();
    let (from, to) = gap_in(&served.wait_for_log(GAP));
    // Each record before the backup's cursor is in the backup, and one record is one post.
    assert_eq!(from, restored.0 as u64 + 1);
    served.wait_until_applied();
    assert!(from < to && to == next);
    assert_eq!(served.metric("footfall_store_gap_records_total"), to - from);
    // Nothing but the gap is missing, nothing is doubled or invented.
    assert_eq!((posts_in_store(&site), stored(&site)), restored);
    assert!(restored.1.is_subset(&promised.observations));
    no_alarm_but(&served, &["footfall_store_gap_records_total"]);
    served.stop();
    // The gap is passed for good.
    let served = site.serve();
    life_goes_on(&site, &served);
    no_alarm_but(&served, &[]);
    served.stop();
}

/// The same while the program runs and takes posts: what came before the gap and after it is there.
#[test]
fn a_backup_older_than_the_journal_under_the_running_program() {
    let mut cluster = Cluster::start();
    let configuration = Road::Disk.configuration().replace("1h", "1ms");
    let site = Site::on_with(&cluster.make_database("restored"), &configuration);
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "3", (300, 1_200));
    wait_for_commits(&served, 20);
    cluster.back_up("backup");
    wait_for_commits(&served, 400);
    cluster.restore("backup");
    let (from, to) = gap_in(&served.wait_for_log(GAP));
    wait_for_commits(&served, 20);
    let promised = load.stop(&site);
    served.wait_until_applied();
    assert_eq!(served.metric("footfall_store_gap_records_total"), to - from);
    assert_eq!(posts_in_store(&site) as u64, from - 1 + position(&served) - to, "each record but those of the gap once");
    assert!(stored(&site).is_subset(&promised.observations));
    no_alarm_but(&served, &["footfall_store_gap_records_total"]);
    life_goes_on(&site, &served);
    served.stop();
}

/// The positions in the line that tells of a gap.
fn gap_in(line: &str) -> (u64, u64) {
    let of = |name: &str| line.split(name).nth(1)?.split(' ').next()?.parse().ok();
    of("from=").zip(of("to=")).unwrap_or_else(|| panic!("{line}"))
}

const GAP: &str = "the store asks for records that the journal no longer holds";

/// Copies a SQLite database that is in use, as `sqlite3 footfall.db "VACUUM INTO 'copy.db'"` does.
fn copy_sqlite(from: &Path, to: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(from).connect().await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("VACUUM INTO '{}'", to.display())))).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_copy_of_the_sqlite_file() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 1_200));
    wait_for_commits(&served, 50);
    let (database, copy) = (site.data().join("footfall.db"), site.path("copy.db"));
    copy_sqlite(&database, &copy);
    wait_for_commits(&served, 100);
    served.stop();
    for companion in ["footfall.db", "footfall.db-wal", "footfall.db-shm"] {
        let _ = fs::remove_file(site.data().join(companion));
    }
    fs::rename(&copy, &database).unwrap();
    let served = site.serve();
    wait_for_commits(&served, 100);
    let promised = load.stop(&site);
    settle(&site, &served, &promised);
    served.stop();
}

/// The file is moved away under the running program, as a careless restore does: the rows must not go on into a file that has no name.
#[test]
fn the_sqlite_file_is_replaced_under_the_running_program() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "3", (60, 1_200));
    wait_for_commits(&served, 50);
    let (database, copy) = (site.data().join("footfall.db"), site.path("copy.db"));
    copy_sqlite(&database, &copy);
    wait_for_posts(&served, 50);
    for companion in ["footfall.db-wal", "footfall.db-shm"] {
        let _ = fs::remove_file(site.data().join(companion));
    }
    fs::rename(&copy, &database).unwrap();
    served.wait_for_log("the store was set back");
    wait_for_commits(&served, 50);
    let promised = load.stop(&site);
    settle(&site, &served, &promised);
    served.stop();
}

/// The file is gone: the journal has everything, and a start applies it.
#[test]
fn the_sqlite_file_is_deleted_under_the_running_program() {
    let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
    site.keep_address();
    let served = site.serve();
    let load = Load::start(&site, &served, "load", "2", (60, 1_200));
    wait_for_commits(&served, 50);
    for companion in ["footfall.db", "footfall.db-wal", "footfall.db-shm"] {
        let _ = fs::remove_file(site.data().join(companion));
    }
    served.wait_until("paused", |status| {
        status["store"]["state"] == "paused" && status["store"]["last_error"].as_str().unwrap().contains("lost this journal's cursor")
    });
    wait_for_posts(&served, 20);
    served.stop();
    let served = site.serve();
    wait_for_commits(&served, 50);
    let promised = load.stop(&site);
    settle(&site, &served, &promised);
    served.stop();
}
