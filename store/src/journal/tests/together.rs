//! Senders, the keeper, a reader and a moving cursor at once, with the threads that run in production.

use super::*;

#[test]
fn senders_keeper_reader_and_cursor_work_at_once() {
    const SENDERS: u64 = 16;
    const POSTS: u64 = 150;
    let mut place = place();
    (place.settings.max_bytes, place.settings.keep) = (1 << 30, Duration::ZERO);
    let tuning = Tuning { tick: Some(Duration::from_millis(1)), ..STILL };
    let (journal, _) = Journal::open_on(place.settings.clone(), Arc::new(disk::System), tuning).unwrap();
    let journal = Arc::new(journal);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let journal = Arc::clone(&journal);
            runtime.spawn(async move {
                for number in 0..POSTS {
                    // Sizes that fill a segment every few dozen posts, so that rotation and preparation meet often.
                    let mut body = vec![sender as u8; 8 + (number as usize * 131) % 6000];
                    body[..8].copy_from_slice(&(sender * POSTS + number).to_le_bytes());
                    journal.append(post(&body)).await.unwrap();
                }
            })
        })
        .collect();
    let mut seen = vec![false; (SENDERS * POSTS) as usize];
    let mut next = Position::FIRST;
    let mut reader = journal.reader(next);
    // A pipeline that now and then prefers the disk; it ends when everything has come.
    while next.0 <= SENDERS * POSTS {
        assert!(runtime.block_on(journal.tail().wait(next)));
        let until = journal.durable().next;
        reader.seek(next);
        while let Some(record) = reader.next_before(until).unwrap() {
            assert_eq!(record.position, next, "no position is missing");
            let mut number = [0; 8];
            number.copy_from_slice(&record.body[..8]);
            let number = u64::from_le_bytes(number);
            assert!(!std::mem::replace(&mut seen[number as usize], true), "none comes twice");
            assert!(record.body[8..].iter().all(|byte| u64::from(*byte) == number / POSTS));
            next = next.next();
        }
        journal.applied(next);
    }
    senders.into_iter().for_each(|sender| runtime.block_on(sender).unwrap());
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!((journal.status().state, journal.status().corrupt), (State::Ready, 0));
    journal.stop();
    let recovered = place.open().1;
    assert_eq!((recovered.next, recovered.torn, recovered.corrupt), (Position(SENDERS * POSTS + 1), 0, 0));
}

#[test]
fn a_small_full_journal_drains_and_fills_again_while_posts_keep_coming() {
    let mut place = place();
    (place.settings.max_bytes, place.settings.keep) = (3 * place.settings.segment_bytes, Duration::from_secs(900));
    let tuning = Tuning { tick: Some(Duration::from_millis(1)), ..STILL };
    let (journal, _) = Journal::open_on(place.settings.clone(), Arc::new(disk::System), tuning).unwrap();
    let (mut taken, mut refused, mut next) = (0_u64, 0_u64, Position::FIRST);
    let mut reader = journal.reader(next);
    while taken < 200 {
        match append(&journal, post(&[5; 9000])) {
            Ok(appended) => {
                taken += 1;
                assert_eq!(appended.position.0, taken, "a refused post takes no position");
            }
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                refused += 1;
                while let Some(record) = reader.next().unwrap() {
                    assert_eq!(record.position, next);
                    next = next.next();
                }
                journal.applied(next);
            }
        }
        assert!(journal.status().bytes <= place.settings.max_bytes);
    }
    assert!(refused > 5);
}
