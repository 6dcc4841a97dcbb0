//! A Postgres that is there and says no: sessions ended, read-only, tables locked, too many connections, a partition that is gone.

use crate::dice::is_long;
use crate::load::wait_for_posts;
use crate::scene::{Road, Scene, fresh_name, shared_cluster};

/// Ends the program's sessions.
fn terminate(database: &str) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'footfall' AND datname = current_database()";
    shared_cluster().run("psql", &["--dbname", database, "--quiet", "--command", sql], b"");
}

/// SQLSTATE 57P01, in the middle of whatever it does.
#[test]
fn sessions_are_terminated_again_and_again() {
    for road in Road::Disk.and_in_the_long_form_both() {
        let name = fresh_name();
        let scene = Scene::start(&shared_cluster().make_database(&name), road, "2");
        for _ in 0..if is_long() { 200 } else { 15 } {
            terminate(&name);
            wait_for_posts(&scene.served, 5);
        }
        assert!(scene.served.metric("footfall_store_errors_total{class=\"retry\"}") > 3);
        scene.settle();
    }
}

/// SQLSTATE 25006, as after a failover to a replica that has not been promoted.
#[test]
fn read_only_and_writable_again() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let name = fresh_name();
        let scene = Scene::start(&shared_cluster().make_database(&name), road, "3");
        shared_cluster().sql("postgres", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        terminate(&name);
        scene.wait_for_state("retrying", "25006");
        scene.answers_go_on();
        shared_cluster().sql("postgres", &format!("ALTER DATABASE {name} RESET default_transaction_read_only"));
        scene.settle();
    }
}

/// In the long form it is held until the server itself refuses to wait (SQLSTATE 55P03).
#[test]
fn tables_are_locked() {
    for road in Road::Disk.and_in_the_long_form_both() {
        let name = fresh_name();
        let scene = Scene::start(&shared_cluster().make_database(&name), road, "2");
        let lock = shared_cluster().session(&name, "BEGIN; LOCK TABLE observation IN ACCESS EXCLUSIVE MODE");
        scene.answers_go_on();
        if is_long() {
            scene.wait_for_state("retrying", "55P03");
            scene.answers_go_on();
        }
        drop(lock);
        scene.settle();
    }
}

/// SQLSTATE 53300, to a login that is no superuser and owns its tables.
#[test]
fn there_are_too_many_connections() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let name = fresh_name();
        let url = shared_cluster().make_database(&name);
        shared_cluster().sql("postgres", &format!("CREATE ROLE {name} LOGIN; ALTER DATABASE {name} OWNER TO {name}"));
        shared_cluster().sql(&name, &format!("GRANT ALL ON SCHEMA public TO {name}"));
        let scene = Scene::start(&url.replacen("postgres@", &format!("{name}@"), 1), road, "3");
        shared_cluster().sql("postgres", &format!("ALTER ROLE {name} CONNECTION LIMIT 0"));
        terminate(&name);
        scene.wait_for_state("retrying", "53300");
        scene.answers_go_on();
        shared_cluster().sql("postgres", &format!("ALTER ROLE {name} CONNECTION LIMIT -1"));
        scene.settle();
    }
}

/// Somebody drops the partitions that rows go into. It is a fault of the schema, which the program mends by itself at its next look.
#[test]
fn a_partition_is_gone() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let name = fresh_name();
        let url = shared_cluster().make_database(&name);
        let scene = Scene::start_after(&url, road, "2", |served| {
            served.wait_for_log("partitions made");
            let drop_all = "DO $$ DECLARE day regclass; BEGIN
                FOR day IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'observation'::regclass AND inhrelid::regclass::text NOT LIKE '%default'
                LOOP EXECUTE 'DROP TABLE ' || day; END LOOP; END $$";
            shared_cluster().sql(&name, drop_all);
        });
        scene.wait_for_state("paused", "42P01");
        scene.answers_go_on();
        scene.settle();
    }
}
