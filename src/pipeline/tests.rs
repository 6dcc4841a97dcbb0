//! The pipeline against a scripted store: doubt at COMMIT, set-backs, other writers, poison. The journal is a real one.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use store::batch::{Batch, Client, Observation};
use store::forget::{Forget, Forgotten};
use store::group::{Group, LocationRow, ObservationRow, Part};
use store::journal::{self, Append, Kind};
use store::key::Key;
use store::mac::Mac;
use store::position::JournalId;
use store::presence::{RecordKey, Stored};
use store::texts::Text;

use super::report::State;
use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

/// What the scripted store does at its next write.
#[derive(Clone, Copy)]
enum Act {
    Commit,
    /// Fails before anything is written.
    Fail(Class),
    /// Commits, and the answer is lost.
    CommitAndLose,
    /// Another process takes the cursor over first.
    TakenOver,
    /// Is set back to a backup that has only the first rows, then fails.
    SetBack {
        rows: usize,
        position: u64,
    },
    /// The same, and the backup is older than this process.
    SetFarBack {
        rows: usize,
        position: u64,
    },
}

#[derive(Default)]
struct Inner {
    cursor: Option<Cursor>,
    rows: Vec<ObservationRow>,
    acts: VecDeque<Act>,
    poison_rssi: Option<i8>,
    refuses_presence: bool,
    connected: bool,
    writes: usize,
    /// Of each committed group: observations, and when its clients were seen last.
    groups: Vec<(usize, Vec<i64>)>,
    /// How many posts were folded at the end of each write.
    folded: Vec<usize>,
}

/// A store, and how many posts the pipeline has folded.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Inner>>, Arc<AtomicUsize>);

impl Scripted {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    fn seconds(&self) -> Vec<i64> {
        self.inner().rows.iter().map(|row| row.observed_at - NOW_MS / 1_000).collect()
    }
}

fn lost() -> WriteError {
    WriteError::new(Class::Retry, "the connection is lost")
}

impl Store for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn connect(&mut self) -> Result<(), WriteError> {
        self.inner().connected = true;
        Ok(())
    }

    async fn adopt(&mut self, _: JournalId, first: Position) -> Result<Cursor, WriteError> {
        let mut inner = self.inner();
        let epoch = inner.cursor.map_or(1, |cursor| cursor.epoch + 1);
        let position = inner.cursor.map_or(first, |cursor| cursor.position);
        let turn = inner.cursor.map_or(0, |cursor| cursor.turn);
        Ok(*inner.cursor.insert(Cursor { epoch, position, turn }))
    }

    async fn cursor(&mut self, _: JournalId) -> Result<Option<Cursor>, WriteError> {
        Ok(self.inner().cursor)
    }

    async fn write(&mut self, group: &Group, advance: &Advance) -> Result<(), WriteError> {
        // A real store takes its time, and the next group is gathered in it.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let folded = self.1.load(Relaxed);
        let mut inner = self.inner();
        inner.folded.push(folded);
        assert!(inner.connected, "a write needs a connection");
        inner.writes += 1;
        let act = inner.acts.pop_front();
        match act {
            Some(Act::Fail(class)) => {
                inner.connected = false;
                return Err(WriteError::new(class, "scripted"));
            }
            Some(Act::TakenOver) => inner.cursor.as_mut().unwrap().epoch += 1,
            Some(Act::SetBack { rows, position }) => {
                inner.rows.truncate(rows);
                inner.cursor.as_mut().unwrap().position = Position(position);
            }
            Some(Act::SetFarBack { rows, position }) => {
                inner.rows.truncate(rows);
                inner.cursor = Some(Cursor { epoch: 0, position: Position(position), turn: 0 });
            }
            Some(Act::Commit | Act::CommitAndLose) | None => {}
        }
        if inner.cursor != Some(advance.start()) {
            inner.connected = false;
            return Err(WriteError::new(Class::CursorMoved, "moved"));
        }
        if group.observations.iter().any(|row| Some(row.rssi_dbm) == inner.poison_rssi) {
            inner.connected = false;
            return Err(WriteError::new(Class::Data, "a row is refused"));
        }
        if inner.refuses_presence && !group.presence.is_empty() {
            inner.connected = false;
            return Err(WriteError::new(Class::Data, "a row of presence is refused"));
        }
        inner.rows.extend(&group.observations);
        inner.groups.push((group.observations.len(), group.clients.iter().map(|row| row.last_seen - NOW_MS / 1_000).collect()));
        inner.cursor = Some(advance.end());
        if let Some(Act::CommitAndLose) = act {
            inner.connected = false;
            return Err(lost());
        }
        Ok(())
    }

    async fn probe(&mut self, group: &Group, part: &Part) -> Result<(), WriteError> {
        let mut inner = self.inner();
        assert!(inner.connected, "a probe needs a connection");
        if group.observations[part.observations.clone()].iter().any(|row| Some(row.rssi_dbm) == inner.poison_rssi) {
            inner.connected = false;
            return Err(WriteError::new(Class::Data, "a row is refused"));
        }
        Ok(())
    }

    async fn newest_received_ms(&mut self) -> Result<Option<i64>, WriteError> {
        Ok(self.inner().rows.last().map(|row| row.received_at_ms))
    }

    async fn recent(&mut self, _: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        let mut group = Group::default();
        let receiver = group.texts.intern("mall");
        group.sources.push(store::group::Source { receiver, network: Text::NONE, ap: Some(Mac::from_bits(7)), radio: store::batch::Radio::Wifi });
        group.observations = self.inner().rows.iter().map(|row| ObservationRow { source: 0, ssid: Text::NONE, ..*row }).collect();
        each(&group);
        Ok(())
    }

    async fn catch_up(&mut self, _: i64) -> Result<(), WriteError> {
        Ok(())
    }

    async fn find_observations(&mut self, _: &Group, rows: &[ObservationRow]) -> Result<Vec<bool>, WriteError> {
        Ok(vec![false; rows.len()])
    }

    async fn find_locations(&mut self, _: &Group, rows: &[LocationRow]) -> Result<Vec<bool>, WriteError> {
        Ok(vec![false; rows.len()])
    }

    async fn presence(&mut self, _: JournalId) -> Result<Stored, WriteError> {
        Ok(Stored::default())
    }

    async fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
        Ok(vec![Vec::new(); keys.len()])
    }

    async fn tend(&mut self, _: i64, _: &store::presence::Keep) -> Result<bool, WriteError> {
        Ok(false)
    }

    async fn forget(&mut self, _: &Forget) -> Result<Forgotten, WriteError> {
        Ok(Forgotten::default())
    }

    async fn maintain(&mut self, _: i64, _: Duration) -> Result<Maintained, WriteError> {
        Ok(Maintained::default())
    }
}

/// A journal in a directory of its own, and a pipeline that runs on it.
struct Bench {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    store: Scripted,
    rows_max: usize,
}

impl Bench {
    fn new(acts: &[Act]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = journal::Settings {
            dir: dir.path().join("journal"),
            quarantine: dir.path().join("quarantine"),
            key: Key::from_bytes([9; 32]),
            segment_bytes: 1 << 20,
            max_bytes: 8 << 20,
            free_min_bytes: 0,
            keep: Duration::from_secs(60),
            record_bytes_max: 1 << 16,
            tail_bytes_max: 1 << 16,
            now_ms: || NOW_MS,
        };
        let (journal, _) = Journal::open(settings).unwrap();
        let store = Scripted::default();
        store.inner().acts.extend(acts);
        Self { dir, journal: Arc::new(journal), store, rows_max: 1_000 }
    }

    /// A post with one observation, `second` seconds after the beginning, with the signal strength -60 - `weaker`.
    async fn post(&self, second: i64, weaker: i8) {
        let none = Text::NONE;
        let mut batch = Batch { receiver: "mall".into(), received_at_ms: NOW_MS, ap: Some(Mac::from_bits(7)), ..Batch::default() };
        let (mac, last_observed_at) = (Mac::from_bits(1), NOW_MS / 1_000 + second);
        let client = Client { mac, manufacturer: none, os: none, ipv4: none, ipv6: none, hostname: none, user: none, device_name: none, last_observed_at };
        batch.clients.push(client);
        batch.observations.push(Observation { observed_at: last_observed_at, ap: Mac::from_bits(7), client: 0, ssid: none, rssi_dbm: -60 - weaker });
        let body = serde_json::json!({"version": "2.0", "secret": "", "type": "DevicesSeen", "data": {"apMac": "00:00:00:00:00:07", "observations":
            [{"clientMac": "00:00:00:00:00:01", "seenEpoch": last_observed_at, "rssi": -60 - weaker}]}});
        self.append(Kind::Post, body.to_string(), Some(Box::new(batch))).await;
    }

    async fn append(&self, kind: Kind, body: String, batch: Option<Box<Batch>>) {
        let post = Append { kind, receiver: "mall".into(), received_at_ms: NOW_MS, body: body.into_bytes(), batch, held: Box::new(()) };
        self.journal.append(post).await.unwrap();
    }

    /// Runs a pipeline until `done` says so of its report.
    async fn run_until(&self, done: impl Fn(&Report) -> bool) -> Arc<Report> {
        let report = Arc::new(Report::new());
        let (stop, stopping) = watch::channel(false);
        let settings = Settings {
            pseudonyms: Pseudonyms::Keyed(Key::from_bytes([1; 32])),
            ring: None,
            presence: crate::config::Config::default().presence_settings(0).unwrap(),
            keep: Keep::default(),
            opted_out: Arc::default(),
            excluded: Arc::default(),
            receivers: vec!["mall".to_owned()],
            rows_max: self.rows_max,
            retention: Duration::from_secs(86_400),
            keep_quarantine: Duration::from_secs(86_400),
            keep_presence: crate::config::Config::default().retention.presence(crate::config::Config::default().presence.allowed_lateness),
            now_ms: || NOW_MS,
            filter_key: (1, 2),
            reuse: {
                let folded = Arc::clone(&self.store.1);
                Box::new(move |_| _ = folded.fetch_add(1, Relaxed))
            },
        };
        let quarantine = Quarantine::open(&self.dir.path().join("quarantine"), Key::from_bytes([9; 32])).unwrap();
        let pipeline = Pipeline::new(self.store.clone(), Arc::clone(&self.journal), quarantine, settings, Arc::clone(&report), stopping);
        let running = tokio::spawn(pipeline.run());
        // Time is paused: it moves on as soon as everybody waits.
        while !done(&report) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // A fenced pipeline has ended already.
        let _ = stop.send(true);
        running.await.unwrap();
        report
    }

    async fn run(&self) -> Arc<Report> {
        let next = self.journal.durable().next;
        self.run_until(|report| report.cursor() == next && report.state() == State::Running).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_what_waits_and_is_written_once() {
    let bench = Bench::new(&[]);
    for second in 0..5 {
        bench.post(second, 0).await;
    }
    bench.post(4, 0).await;
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1, 2, 3, 4]);
    assert_eq!(bench.store.inner().writes, 1, "all that waited is one transaction");
    let outcomes = report.applied().1;
    assert_eq!((outcomes.written, outcomes.repeats, report.mismatch()), (5, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_next_group_is_gathered_while_one_is_in_flight() {
    let bench = Bench { rows_max: 2, ..Bench::new(&[Act::Commit, Act::CommitAndLose, Act::Fail(Class::Retry)]) };
    for second in 0..7 {
        bench.post(second, 0).await;
    }
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1, 2, 3, 4, 5, 6]);
    // Two in flight and two that wait; the third group is written twice, and the last write is of what was put off.
    assert_eq!(bench.store.inner().folded, [4, 6, 7, 7, 7, 7]);
    assert_eq!((report.applied().1.written, report.mismatch(), report.lag_s(NOW_MS + 1)), (7, 0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_not_repeated() {
    let bench = Bench::new(&[Act::CommitAndLose]);
    bench.post(0, 0).await;
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0]);
    assert_eq!((bench.store.inner().writes, report.applied().1.written, report.mismatch()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_tried_until_it_is_back() {
    let bench = Bench::new(&[Act::Fail(Class::Retry), Act::Fail(Class::Retry), Act::Fail(Class::Schema), Act::Fail(Class::Retry)]);
    bench.post(0, 0).await;
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0]);
    assert_eq!((bench.store.inner().writes, report.mismatch(), report.last_error()), (5, 0, None));
}

#[tokio::test(start_paused = true)]
async fn schema_trouble_pauses_and_posts_are_still_kept() {
    let bench = Bench::new(&[Act::Fail(Class::Schema)]);
    bench.post(0, 0).await;
    let report = bench.run_until(|report| report.state() == State::Paused).await;
    assert!(report.last_error().is_some());
    bench.post(1, 0).await;
    bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn another_writer_fences_this_one_and_nothing_is_written() {
    let bench = Bench::new(&[Act::TakenOver]);
    bench.post(0, 0).await;
    bench.run_until(|report| report.state() == State::Fenced).await;
    assert!(bench.store.seconds().is_empty());
    assert_eq!(bench.journal.status().state, journal::State::Fenced);
}

#[tokio::test(start_paused = true)]
async fn a_store_ahead_of_the_journal_fences_it() {
    let bench = Bench::new(&[]);
    bench.store.inner().cursor = Some(Cursor { epoch: 3, position: Position(50), turn: 9 });
    bench.run_until(|report| report.state() == State::Fenced).await;
    assert_eq!(bench.journal.status().state, journal::State::Fenced);
    assert_eq!(bench.store.inner().cursor, Some(Cursor { epoch: 3, position: Position(50), turn: 9 }), "the live process is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_start_tells_the_journal_what_is_applied() {
    let bench = Bench::new(&[]);
    for second in 0..200 {
        bench.post(second, 0).await;
    }
    bench.store.inner().cursor = Some(Cursor { epoch: 1, position: Position(201), turn: 9 });
    assert_eq!(bench.journal.applied_position(), Position(0));
    bench.run().await;
    assert_eq!(bench.journal.applied_position(), Position(201));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_set_back_gets_everything_since_then_again() {
    for set_back in [Act::SetBack { rows: 1, position: 2 }, Act::SetFarBack { rows: 1, position: 2 }] {
        let mut bench = Bench::new(&[Act::Commit, Act::Commit, Act::Commit, set_back]);
        bench.rows_max = 1;
        for second in 0..4 {
            bench.post(second, 0).await;
        }
        let report = bench.run().await;
        assert_eq!(bench.store.seconds(), [0, 1, 2, 3]);
        let outcomes = report.applied().1;
        assert_eq!((outcomes.written, outcomes.replayed, report.mismatch()), (6, 2, 0), "two were applied a second time");
    }
}

#[tokio::test(start_paused = true)]
async fn presence_that_is_refused_holds_no_observation_up() {
    let bench = Bench::new(&[]);
    bench.store.inner().refuses_presence = true;
    for second in 0..3 {
        bench.post(second, 0).await;
    }
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1, 2]);
    assert_eq!((report.applied().1.written, report.applied().1.discarded, report.mismatch()), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn poison_goes_into_quarantine_and_its_neighbours_land() {
    let bench = Bench::new(&[]);
    bench.store.inner().poison_rssi = Some(-77);
    for second in 0..20 {
        bench.post(second, if second % 7 == 3 { 17 } else { 0 }).await;
    }
    let report = bench.run().await;
    let expected: Vec<i64> = (0..20).filter(|second| second % 7 != 3).collect();
    assert_eq!(bench.store.seconds(), expected);
    assert_eq!((report.applied().1.discarded, report.mismatch()), (3, 0));
    let quarantine = Quarantine::open(&bench.dir.path().join("quarantine"), Key::from_bytes([9; 32])).unwrap();
    let held = quarantine.list().unwrap();
    assert_eq!(held.iter().map(|file| file.reason.as_str()).collect::<Vec<_>>(), ["poison"]);
    let rows = quarantine.read(&held[0].file).unwrap().records;
    assert_eq!(rows.len(), 3);
    assert!(String::from_utf8(rows[0].body.clone()).unwrap().contains("rssi -77"));
}

#[tokio::test(start_paused = true)]
async fn too_much_poison_is_the_schemas_fault() {
    let bench = Bench::new(&[]);
    bench.store.inner().poison_rssi = Some(-60);
    for second in 0..20 {
        bench.post(second, 0).await;
    }
    let report = bench.run_until(|report| report.state() == State::Paused).await;
    assert!(report.last_error().unwrap().contains("the schema is at fault"), "{:?}", report.last_error());
    assert!(bench.store.seconds().is_empty());
    bench.store.inner().poison_rssi = None;
    bench.run().await;
    assert_eq!(bench.store.seconds().len(), 20, "nothing was dropped");
}

#[tokio::test(start_paused = true)]
async fn unknown_posts_are_in_quarantine_before_the_cursor_passes_them() {
    let bench = Bench::new(&[]);
    bench.post(0, 0).await;
    bench.append(Kind::Unknown, "{\"version\":\"9\"}".to_owned(), None).await;
    bench.post(1, 0).await;
    bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1]);
    let quarantine = Quarantine::open(&bench.dir.path().join("quarantine"), Key::from_bytes([9; 32])).unwrap();
    let held = quarantine.list().unwrap();
    assert_eq!(quarantine.read(&held[0].file).unwrap().records[0].body, b"{\"version\":\"9\"}");
}

#[tokio::test(start_paused = true)]
async fn what_the_tail_cannot_hold_is_read_back_from_disk_and_repeats_are_known() {
    let bench = Bench::new(&[]);
    bench.post(0, 0).await;
    bench.run().await;
    bench.post(1, 0).await;
    bench.post(0, 0).await;
    // Asking for a later position empties the tail, as a full one would have dropped them.
    assert!(matches!(bench.journal.tail().try_take(Position(4)), journal::Taken::Nothing));
    let report = bench.run().await;
    assert_eq!(bench.store.seconds(), [0, 1]);
    assert_eq!(report.applied().1.repeats, 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_is_not_understood_any_more_goes_into_quarantine_whole() {
    let bench = Bench::new(&[]);
    let bodies = ["{\"secret\":\"   \",", "{\"secret\":\"   \",\"version\":\"9\",\"canary\":1}"];
    for body in bodies {
        bench.append(Kind::Post, body.to_owned(), None).await;
    }
    bench.post(0, 0).await;
    bench.run().await;
    assert_eq!(bench.store.seconds(), [0]);
    let quarantine = Quarantine::open(&bench.dir.path().join("quarantine"), Key::from_bytes([9; 32])).unwrap();
    let held = quarantine.list().unwrap();
    assert_eq!(held.iter().map(|file| file.reason.as_str()).collect::<Vec<_>>(), ["unreadable"]);
    let records = quarantine.read(&held[0].file).unwrap().records;
    assert_eq!(records.iter().map(|record| record.body.as_slice()).collect::<Vec<_>>(), bodies.map(str::as_bytes));
}

#[tokio::test(start_paused = true)]
async fn times_of_last_sight_are_put_off_until_nothing_else_comes() {
    let bench = Bench { rows_max: 1, ..Bench::new(&[]) };
    for second in [0, 10, 20] {
        bench.post(second, 0).await;
    }
    let settled = bench.store.clone();
    bench.run_until(|_| settled.inner().groups.len() == 4).await;
    assert_eq!(bench.store.inner().groups, [(1, vec![0]), (1, vec![]), (1, vec![]), (0, vec![20])]);
}

#[tokio::test(start_paused = true)]
async fn what_was_put_off_is_written_at_the_stop_and_again_when_in_doubt() {
    for act in [Act::Commit, Act::CommitAndLose, Act::Fail(Class::Retry)] {
        let bench = Bench { rows_max: 1, ..Bench::new(&[Act::Commit, Act::Commit, act]) };
        bench.post(0, 0).await;
        bench.post(10, 0).await;
        bench.run().await;
        let groups = std::mem::take(&mut bench.store.inner().groups);
        let settled = if let Act::Fail(_) = act { &[][..] } else { &[(0, vec![10])] };
        assert_eq!(groups[..2], [(1, vec![0]), (1, vec![])]);
        assert_eq!(groups[2..], *settled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_without_records_whose_answer_is_lost_is_not_written_again() {
    let bench = Bench { rows_max: 1, ..Bench::new(&[Act::Commit, Act::Commit, Act::CommitAndLose]) };
    bench.post(0, 0).await;
    bench.post(10, 0).await;
    let settled = bench.store.clone();
    // Sums of presence go with it, which a second time would count twice.
    bench.run_until(|report| settled.inner().groups.len() == 3 && settled.inner().connected && report.state() == State::Running).await;
    assert_eq!(bench.store.inner().groups[2..], [(0, vec![10])]);
}
