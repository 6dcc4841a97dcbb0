//! The disk of the database is full (SQLSTATE 53100) and has room again.

use super::{Disk, run};
use crate::dice::is_long;
use crate::scene::{Road, Scene, fresh_name, shared_cluster};

#[test]
fn the_disk_of_the_database_is_full() {
    let cluster = shared_cluster();
    for road in Road::Disk.and_in_the_long_form_both() {
        let dir = tempfile::tempdir().unwrap();
        // The server's user must be able to go there.
        run("chmod", &["755", dir.path().to_str().unwrap()]);
        let disk = Disk::tmpfs(&dir.path().join("disk"), 64);
        cluster.own(&disk.point);
        let name = fresh_name();
        // The database, and nothing else of the server, is on that disk.
        cluster.sql("postgres", &format!("CREATE TABLESPACE {name} LOCATION '{}'", disk.point.display()));
        cluster.sql("postgres", &format!("CREATE DATABASE {name} TABLESPACE {name}"));
        let scene = Scene::start(&cluster.url(&name), road, "2");
        for _ in 0..if is_long() { 5 } else { 1 } {
            let file = disk.fill();
            scene.wait_for_state("retrying", "53100");
            scene.answers_go_on();
            std::fs::remove_file(file).unwrap();
            scene.served.wait_until("running", |status| status["store"]["state"] == "running");
        }
        scene.settle();
        cluster.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
        cluster.sql("postgres", &format!("DROP TABLESPACE {name}"));
    }
}
