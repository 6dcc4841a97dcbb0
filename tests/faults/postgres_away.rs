//! A Postgres that is shut down, crashes, or does nothing at all. Answers go on, and afterwards each record is in it once.

use crate::cluster::Cluster;
use crate::dice::is_long;
use crate::scene::{Road, Scene};

#[test]
fn crashed_and_recovered_again_and_again() {
    let mut cluster = Cluster::start();
    for road in Road::Tail.and_in_the_long_form_both() {
        let scene = Scene::start(&cluster.make_database(&format!("crashed_{road:?}").to_lowercase()), road, "2");
        for _ in 0..if is_long() { 20 } else { 2 } {
            cluster.crash();
            scene.wait_for_state("retrying", "");
            scene.answers_go_on();
            cluster.restart();
            scene.served.wait_until("running", |status| status["store"]["state"] == "running");
        }
        scene.settle();
    }
}

/// In the long form the outage is longer than every timeout of the program.
#[test]
fn stopped_for_a_long_time() {
    for road in Road::Disk.and_in_the_long_form_both() {
        let mut cluster = Cluster::start();
        let mut scene = Scene::start_for(&cluster.make_database("stopped"), road, "3", if is_long() { 720 } else { 8 });
        cluster.stop();
        scene.wait_for_state("retrying", "");
        scene.answers_go_on();
        let promised = scene.wait_for_the_end_of_the_load();
        assert_eq!(scene.served.admin("/readyz").0, 200, "a database that is away is no reason to take no posts");
        cluster.restart();
        scene.settle_with(&promised);
    }
}

/// No connection is closed and none is answered. In the long form it lasts longer than the time that a statement may take.
#[test]
fn frozen_and_going_on() {
    for road in Road::Tail.and_in_the_long_form_both() {
        let cluster = Cluster::start();
        let mut scene = Scene::start_for(&cluster.make_database("frozen"), road, "2", if is_long() { 200 } else { 8 });
        let frozen = cluster.freeze();
        scene.answers_go_on();
        let promised = scene.wait_for_the_end_of_the_load();
        if is_long() {
            scene.wait_for_state("retrying", "no answer from Postgres");
        }
        drop(frozen);
        scene.settle_with(&promised);
    }
}
