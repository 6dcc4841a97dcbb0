//! The quarantine: what was answered and cannot become rows, kept whole and sealed until somebody looks at it.
//!
//! A file `{first position}-{reason}.seal` has the format of a journal's segment (see [`crate::journal`]), under a salt of its own.
//! Putting the same records again, as a pipeline does that was killed before its cursor moved, changes nothing; putting more under the
//! same name adds them. The journal keeps its damaged places in the same directory as `.damaged` files.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::codec::{BLOCK_BYTES, HeaderRead, KIND_UNKNOWN, RecordHead, SegmentHeader};
use crate::journal::disk::{self, Disk, System};
use crate::journal::scan::{Scanner, Step, read_block};
use crate::journal::seal::SegmentKey;
use crate::journal::{Kind, Record};
use crate::key::Key;
use crate::metrics::QUARANTINE_RECORDS_TOTAL;
use crate::position::{JournalId, Position};

/// The directory. Its methods block on the disk.
pub struct Quarantine {
    dir: PathBuf,
    key: Key,
    /// One writer at a time.
    writing: Mutex<()>,
}

/// A record to be set aside.
#[derive(Clone, Copy)]
pub struct Aside<'a> {
    /// Its position in the journal. Several may have the same one: parts of one post.
    pub position: Position,
    /// The receiver's configured name.
    pub receiver: &'a str,
    /// When the post was received, milliseconds since 1970.
    pub received_at_ms: i64,
    /// Its bytes, the secret blanked.
    pub body: &'a [u8],
}

/// A file of the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Its name, for [`Quarantine::read`].
    pub file: String,
    /// The position of its first record.
    pub first: Position,
    /// Why its records are here.
    pub reason: String,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What a file of the quarantine holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its records in the order of their positions.
    pub records: Vec<Record>,
    /// Places of the file that do not verify.
    pub damaged: u64,
}

impl Quarantine {
    /// Makes the directory when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: &Path, key: Key) -> io::Result<Self> {
        disk::create_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), key, writing: Mutex::default() })
    }

    /// Sets records aside, durably: when this returns, the cursor may move past them. Records that the file has already are not
    /// written or counted again.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub fn put(&self, reason: &'static str, records: &[Aside<'_>]) -> io::Result<()> {
        let Some(first) = records.iter().map(|record| record.position).min() else { return Ok(()) };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{:020}-{reason}{SUFFIX}", first.0);
        let path = self.dir.join(&name);
        let present = match self.read(&name) {
            Ok(contents) => {
                if contents.damaged > 0 {
                    // Its readable records are written anew below; the damaged bytes are kept beside.
                    fs::copy(&path, self.dir.join(format!("{name}.damaged")))?;
                }
                contents.records
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let known: HashSet<_> = present.iter().map(|record| fingerprint(&Aside::from(record))).collect();
        let missing: Vec<_> = records.iter().filter(|record| !known.contains(&fingerprint(record))).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let added = missing.len() as u64;
        let mut all: Vec<_> = present.iter().map(Aside::from).chain(missing).collect();
        all.sort_by_key(|record| record.position);
        self.write(&path, &name, &all)?;
        metrics::counter!(QUARANTINE_RECORDS_TOTAL, "reason" => reason).increment(added);
        Ok(())
    }

    /// Removes the files that were written last before a time, in milliseconds since 1970; says how many.
    ///
    /// # Errors
    /// When the directory cannot be read or a file not be removed.
    pub fn remove_before(&self, ms: i64) -> io::Result<usize> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut removed = 0;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let written = entry.metadata()?;
            if written.is_file() && written.mtime().saturating_mul(1_000) < ms {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The sealed files, oldest positions first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<SealedFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let Some((first, reason)) = name.strip_suffix(SUFFIX).and_then(|stem| stem.split_once('-')) else { continue };
            let Ok(first) = first.parse() else { continue };
            files.push(SealedFile { file: name.to_owned(), first: Position(first), reason: reason.to_owned(), bytes: entry.metadata()?.len() });
        }
        files.sort_by(|a, b| (a.first, &a.reason).cmp(&(b.first, &b.reason)));
        Ok(files)
    }

    /// Opens a file that [`list`](Quarantine::list) names.
    ///
    /// # Errors
    /// When it cannot be read or is sealed with another key. Damage is no error.
    pub fn read(&self, file: &str) -> io::Result<Contents> {
        let mut contents = Contents { records: Vec::new(), damaged: 0 };
        let first = file.split_once('-').and_then(|(first, _)| first.parse().ok()).unwrap_or(0);
        let file = File::open(self.dir.join(file))?;
        let disk: Arc<dyn Disk> = Arc::new(System);
        let header = match SegmentHeader::decode(&read_block(&*disk, &file)?, first) {
            HeaderRead::Valid { header, damaged } => {
                contents.damaged += u64::from(damaged);
                header
            }
            HeaderRead::Newer(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "a newer program wrote the file")),
            HeaderRead::Invalid => return Ok(Contents { damaged: 1, ..contents }),
        };
        if header.key_check != SegmentKey::check(&self.key, &header.salt) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is sealed with another key"));
        }
        let key = SegmentKey::new(&self.key, &header.salt)?;
        let bytes = file.metadata()?.len();
        let mut scanner = Scanner::with_repeats(&disk, file, &header, bytes);
        loop {
            match scanner.step()? {
                Step::Record(found) => match key.open_record(found.offset, scanner.record(&found)) {
                    Some((receiver, body)) => contents.records.push(Record {
                        position: Position(found.head.position),
                        kind: Kind::Unknown,
                        receiver: Arc::from(receiver),
                        received_at_ms: found.head.received_ns.cast_signed(),
                        body: body.to_vec(),
                    }),
                    None => contents.damaged += 1,
                },
                Step::Damage { .. } | Step::Tail { .. } => contents.damaged += 1,
                Step::End => return Ok(contents),
            }
        }
    }

    fn write(&self, path: &Path, name: &str, records: &[Aside<'_>]) -> io::Result<()> {
        let salt = SegmentKey::random_salt()?;
        let first = records.first();
        let header = SegmentHeader {
            journal: JournalId([0; 16]),
            number: 0,
            base: first.map_or(0, |record| record.position.0),
            created_at_ms: first.map_or(0, |record| record.received_at_ms),
            received_floor_ns: 0,
            records_before: 0,
            salt,
            key_check: SegmentKey::check(&self.key, &salt),
        };
        let key = SegmentKey::new(&self.key, &salt)?;
        let unfinished = self.dir.join(format!("{name}.tmp"));
        let file = disk::create_file(&unfinished)?;
        file.write_all_at(&header.encode(), 0)?;
        let mut offset = BLOCK_BYTES;
        let mut buffer = Vec::new();
        for record in records {
            buffer.clear();
            let head = RecordHead {
                sealed_bytes: 0,
                position: record.position.0,
                // Milliseconds here: a record may be from before 1970 as far as this file knows.
                received_ns: record.received_at_ms.cast_unsigned(),
                kind: KIND_UNKNOWN,
                in_group: 0,
            };
            // Positions may repeat within the file; offsets do not, so they are the nonce.
            key.push_record(&mut buffer, offset, head, record.receiver, record.body)?;
            file.write_all_at(&buffer, offset)?;
            offset += buffer.len() as u64;
        }
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(&self.dir)?.sync_all()
    }
}

impl<'a> From<&'a Record> for Aside<'a> {
    fn from(record: &'a Record) -> Self {
        Self { position: record.position, receiver: &record.receiver, received_at_ms: record.received_at_ms, body: &record.body }
    }
}

fn fingerprint(record: &Aside<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record.position.0.to_le_bytes()).update(&(record.receiver.len() as u64).to_le_bytes());
    *hasher.update(record.receiver.as_bytes()).update(record.body).finalize().as_bytes()
}

const SUFFIX: &str = ".seal";

#[cfg(test)]
mod tests;
