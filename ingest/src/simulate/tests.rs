//! Tests of the simulated world: the same again to the byte, bodies of the promised shapes, people who are where the truth says.

mod bodies;
mod perfect;
mod sending;
mod truth;

use std::hash::{DefaultHasher, Hasher};

use super::*;

const START: i64 = 1_800_000_000;

fn options(version: Version) -> WorldOptions {
    WorldOptions { version, sites: 2, access_points: 9, clients: 50, keep_rows: true, ..WorldOptions::example(START) }
}

fn posts(options: &WorldOptions, minutes: usize) -> Vec<Post> {
    World::new(options).take(minutes).flatten().collect()
}

fn fingerprint(posts: &[Post]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for post in posts {
        hasher.write(post.network.as_bytes());
        hasher.write(&post.body);
    }
    hasher.finish()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    for version in [Version::V2, Version::V3] {
        let options = options(version);
        assert_eq!(fingerprint(&posts(&options, 12)), fingerprint(&posts(&options, 12)));
        let other = WorldOptions { seed: 2, ..options.clone() };
        assert_ne!(fingerprint(&posts(&options, 12)), fingerprint(&posts(&other, 12)));
    }
}

#[test]
fn a_site_does_not_depend_on_how_sites_are_driven() {
    let options = options(Version::V2);
    let together: Vec<Post> = posts(&options, 5).into_iter().filter(|post| post.network.ends_with('1')).collect();
    let mut site = World::new(&options).into_sites().remove(1);
    let alone: Vec<Post> = (0..together.len()).map(|_| site.next_post()).collect();
    assert_eq!(fingerprint(&together), fingerprint(&alone));
}

#[test]
fn a_radio_posts_the_same_whether_or_not_the_other_is_on() {
    let both = options(Version::V2);
    let wifi_only = WorldOptions { radios: Radios::Wifi, ..both.clone() };
    let bodies = |options: &WorldOptions| {
        let mut posts = posts(options, 5);
        posts.retain(|post| post.radio == Radio::Wifi);
        posts.iter().map(|post| post.rows.clone()).collect::<Vec<_>>()
    };
    // Posts leave at other seconds, but say the same.
    assert_eq!(bodies(&both), bodies(&wifi_only));
}

#[test]
fn posts_of_a_network_leave_in_order_and_tell_no_future() {
    for version in [Version::V2, Version::V3] {
        let options = WorldOptions { sites: 1, ..options(version) };
        let posts = posts(&options, 5);
        assert_eq!(posts.len() as u64, 5 * options.posts_per_minute());
        assert!(posts.is_sorted_by_key(|post| post.sent_at));
        for post in &posts {
            assert!(post.rows.iter().all(|row| row.observed_at < post.sent_at && row.observed_at >= START));
        }
        assert!(posts.iter().all(|post| post.sent_at >= START + 60 && post.sent_at < START + 360));
    }
}

#[test]
fn the_secret_is_not_in_debug() {
    let options = WorldOptions { secret: "hush".into(), ..options(Version::V3) };
    assert!(!format!("{options:?}").contains("hush"));
}

#[test]
fn wrong_options_name_the_remedy() {
    let example = WorldOptions::example(START);
    assert_eq!(example.check(), Ok(()));
    for (wrong, word) in [
        (WorldOptions { sites: 0, ..example.clone() }, "--sites"),
        (WorldOptions { access_points: 1000, sites: 100_000, ..example.clone() }, "lower one"),
        (WorldOptions { start: -1, ..example.clone() }, "--start"),
    ] {
        assert!(wrong.check().unwrap_err().contains(word));
    }
}

#[test]
fn warm_up_fills_the_first_post() {
    let cold = WorldOptions { sites: 1, ..options(Version::V2) };
    let warm = WorldOptions { warm_up_minutes: 8, ..cold.clone() };
    let told = |options: &WorldOptions| posts(options, 1).iter().map(|post| post.observations).sum::<u32>();
    assert!(told(&warm) > told(&cold) * 3 / 2, "{} {}", told(&warm), told(&cold));
}
