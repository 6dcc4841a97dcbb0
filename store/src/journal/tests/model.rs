//! The journal beside a plain list: whatever is done to both, both hold the same.

use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// One group of posts of these sizes.
    Append(Vec<usize>),
    /// The cursor passes this share of what is there.
    Apply(u8),
    /// A round of the keeper.
    Tend,
    /// A clean restart.
    Restart,
    /// The process is killed; these bytes of an unfinished write stand at the end.
    Kill(Vec<u8>),
    /// The power goes and the newest segment is cut to this share.
    Cut(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec(prop_oneof![0_usize..200, 0_usize..30_000], 1..5).prop_map(Step::Append),
        2 => any::<u8>().prop_map(Step::Apply),
        2 => Just(Step::Tend),
        1 => Just(Step::Restart),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Step::Kill),
        1 => any::<u8>().prop_map(Step::Cut),
    ];
    prop::collection::vec(step, 1..40)
}

struct Model {
    place: Place,
    journal: Option<Journal>,
    /// Position and body of every record that must be there.
    records: Vec<(u64, Vec<u8>)>,
    /// No position up to this one is given again.
    highest: u64,
    made: u64,
}

impl Model {
    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn append(&mut self, sizes: &[usize]) {
        let bodies: Vec<Vec<u8>> = sizes
            .iter()
            .map(|size| {
                self.made += 1;
                let mut body = self.made.to_le_bytes().to_vec();
                body.resize(8 + size, self.made as u8);
                body
            })
            .collect();
        let answers = append_together(self.journal(), bodies.iter().map(|body| post(body)).collect());
        for (answer, body) in answers.into_iter().zip(bodies) {
            match answer {
                Ok(appended) => {
                    assert!(appended.position.0 > self.highest, "a position was given twice");
                    self.highest = appended.position.0;
                    self.records.push((appended.position.0, body));
                }
                Err(error) => assert_eq!(error, AppendError::Full),
            }
        }
    }

    fn open(&mut self) -> Recovered {
        let (journal, recovered) = self.place.open();
        self.journal = Some(journal);
        assert!(recovered.next.0 > self.highest && recovered.corrupt == 0);
        self.highest = recovered.next.0 - 1;
        recovered
    }

    fn kill(&mut self, unfinished: &[u8]) {
        let killed = self.place.copy();
        self.journal = None;
        self.place = killed;
        let newest = self.place.newest();
        let used = inspect(&self.place.settings.dir, None).unwrap().pop().unwrap();
        let used = used.records.min(1) * end_of_records(&newest);
        let fits = used > 0 && used + unfinished.len() as u64 <= self.place.settings.segment_bytes;
        if fits {
            let mut raw = fs::read(&newest).unwrap();
            // Without room there is no preallocated segment behind the records.
            raw.resize(raw.len().max(used as usize + unfinished.len()), 0);
            raw[used as usize..used as usize + unfinished.len()].copy_from_slice(unfinished);
            fs::write(&newest, raw).unwrap();
        }
        let recovered = self.open();
        assert_eq!(recovered.torn, u64::from(fits && unfinished.iter().any(|byte| *byte != 0)));
    }

    fn cut(&mut self, share: u8) {
        self.journal().stop();
        self.journal = None;
        let newest = self.place.newest();
        let bytes = fs::metadata(&newest).unwrap().len();
        let kept = codec::BLOCK_BYTES + (bytes - codec::BLOCK_BYTES) * u64::from(share) / 255;
        OpenOptions::new().write(true).open(&newest).unwrap().set_len(kept).unwrap();
        let report = inspect(&self.place.settings.dir, None).unwrap().pop().unwrap();
        let last = report.positions.map_or(report.base.0 - 1, |(_, last)| last.0);
        self.records.retain(|(position, _)| *position <= last);
        // The numbers of lost records may come again only if the file's end tells nothing of them.
        self.highest = last;
        self.open();
    }

    fn check(&mut self) {
        let first = self.journal().first_position().0;
        self.records.retain(|(position, _)| *position >= first);
        assert_eq!(read_bodies(self.journal()), self.records);
        let status = self.journal().status();
        assert_eq!((status.records, status.corrupt), (self.records.len() as u64, 0));
        assert!(status.bytes <= self.place.settings.max_bytes);
    }

    fn step(&mut self, step: &Step, applied: &mut u64) {
        match step {
            Step::Append(sizes) => self.append(sizes),
            Step::Apply(share) => {
                let next = self.journal().durable().next.0;
                *applied = (*applied).max(next * u64::from(*share) / 255);
                self.journal().applied(Position(*applied));
                self.journal().settle();
                assert!(self.journal().first_position().0 <= (*applied).max(1).max(next));
            }
            Step::Tend => self.journal().tend(),
            Step::Restart => {
                self.journal = None;
                assert_eq!(self.open().torn, 0);
            }
            Step::Kill(unfinished) => self.kill(unfinished),
            Step::Cut(share) => self.cut(*share),
        }
    }
}

/// The offset after the last record of a file without damage.
fn end_of_records(path: &Path) -> u64 {
    let raw = fs::read(path).unwrap();
    let mut at = codec::BLOCK_BYTES as usize;
    while let Some((head, _)) = raw.get(at..).and_then(codec::RecordHead::decode) {
        at += head.total_bytes() as usize;
    }
    at as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_and_a_list_hold_the_same(steps in steps()) {
        let mut place = place();
        place.settings.max_bytes = 6 * place.settings.segment_bytes;
        place.settings.keep = Duration::ZERO;
        let mut model = Model { place, journal: None, records: Vec::new(), highest: 0, made: 0 };
        model.open();
        let mut applied = 0;
        for step in &steps {
            model.step(step, &mut applied);
            model.check();
        }
    }

    #[test]
    fn any_bytes_in_a_segment_s_place_open_and_are_told(bytes in prop::collection::vec(any::<u8>(), 0..600), whole_header in any::<bool>()) {
        let place = place();
        drop(place.open());
        let newest = place.newest();
        let mut raw = if whole_header { fs::read(&newest).unwrap() } else { Vec::new() };
        raw.extend_from_slice(&bytes);
        fs::File::create(&newest).unwrap().write_all(&raw).unwrap();
        let (journal, recovered) = place.open();
        let told = recovered.torn + recovered.corrupt;
        prop_assert_eq!(told, u64::from(!whole_header || bytes.iter().any(|byte| *byte != 0)));
        append(&journal, post(b"after")).unwrap();
        prop_assert_eq!(read_bodies(&journal).len(), 1);
    }
}
