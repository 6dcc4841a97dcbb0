//! Posts made durable: append and group commit, beside plain writes of the same bytes. `cargo bench --bench journal`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use store::journal::{Append, Journal, Kind, Settings};
use store::key::Key;
use tokio::runtime::Runtime;

use support::rounds::{Contest, Method, is_test, timed};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (kilobytes, posts) in [(2, 256), (48, 128), (1_000, 64)] {
        for writers in [1, 8, 64] {
            let posts = if is_test() { writers } else { posts };
            contest(&runtime, &mut criterion, kilobytes, writers, posts);
        }
    }
    criterion.final_summary();
}

fn contest(runtime: &Runtime, criterion: &mut Criterion, kilobytes: usize, writers: usize, posts: usize) {
    let dir = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..kilobytes * 1_000).map(|at| (at * at % 251) as u8).collect();
    let bytes = (body.len() * posts) as u64;
    let journal = Arc::new(open(dir.path()));
    let methods: Vec<Method<'_>> = vec![
        ("footfall", Box::new(|| append(runtime, &journal, &body, writers, posts))),
        ("a write and fdatasync each", plain(dir.path(), "each", &body, 1, posts)),
        ("a write and fdatasync for all who wait", plain(dir.path(), "all", &body, writers, posts)),
    ];
    let title = format!("journal, {kilobytes} KB, {writers} writers");
    Contest { title, units: (posts as u64, "post"), bytes, methods }.run(criterion, 15);
}

fn open(dir: &Path) -> Journal {
    let settings = Settings {
        dir: dir.join("journal"),
        quarantine: dir.join("quarantine"),
        key: Key::from_bytes([7; 32]),
        segment_bytes: 128 << 20,
        max_bytes: 2 << 30,
        free_min_bytes: 1 << 20,
        keep: Duration::ZERO,
        record_bytes_max: 64 << 20,
        tail_bytes_max: 1 << 20,
        now_ms: || 1_790_000_000_000,
    };
    Journal::open(settings).unwrap().0
}

/// Each of the writers appends its share, the next as soon as the last is durable.
fn append(runtime: &Runtime, journal: &Arc<Journal>, body: &[u8], writers: usize, posts: usize) -> Duration {
    // Bodies are made before: in the product they come with the post.
    let shares: Vec<Vec<Vec<u8>>> = (0..writers).map(|_| vec![body.to_vec(); posts / writers]).collect();
    let ((), time) = timed(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = shares.into_iter().map(|bodies| tokio::spawn(append_all(Arc::clone(journal), bodies))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    // A database would have it by now.
    journal.applied(journal.durable().next);
    time
}

async fn append_all(journal: Arc<Journal>, bodies: Vec<Vec<u8>>) {
    let receiver: Arc<str> = Arc::from("mall");
    for body in bodies {
        let post = Append { kind: Kind::Post, receiver: Arc::clone(&receiver), received_at_ms: 1_790_000_000_000, body, batch: None, held: Box::new(()) };
        journal.append(post).await.unwrap();
    }
}

/// What the disk can do: the same bytes into a file that has its blocks already, `together` posts for each sync, nothing sealed.
fn plain<'a>(dir: &Path, name: &str, body: &'a [u8], together: usize, posts: usize) -> Box<dyn FnMut() -> Duration + 'a> {
    let file = allocated(&dir.join(name), (body.len() * posts) as u64);
    Box::new(move || {
        let ((), time) = timed(|| {
            for (at, first) in (0..posts).step_by(together).enumerate() {
                let count = together.min(posts - first);
                let bytes = if together == 1 { body } else { &body.repeat(count) };
                file.write_all_at(bytes, (at * together * body.len()) as u64).unwrap();
                file.sync_data().unwrap();
            }
        });
        time
    })
}

fn allocated(path: &Path, bytes: u64) -> File {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    file.write_all_at(&vec![0; usize::try_from(bytes).unwrap()], 0).unwrap();
    file.sync_all().unwrap();
    file
}
