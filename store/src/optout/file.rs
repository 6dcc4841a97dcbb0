//! The list as a file, and the one way to change it.
//!
//! The first line names the format and the key; each other line is a digest of 32 hexadecimal digits, sorted. The file is replaced whole, so
//! that a reader sees the old list or the new one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{List, OptOutError, digest};
use crate::journal::disk;
use crate::key::Key;
use crate::mac::Mac;

/// Where a list and its key lie.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) list: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { list: data_dir.join(LIST), key: data_dir.join("keys").join("optout.key") }
    }

    /// The list; none when there is no such file.
    pub(super) fn read(&self) -> Result<Option<List>, OptOutError> {
        let text = match fs::read_to_string(&self.list) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OptOutError::Read { path: self.list.clone(), source }),
        };
        let Some(key) = self.read_key()? else { return Err(OptOutError::KeyGone { key: self.key.clone(), list: self.list.clone() }) };
        let wrong = |line, what| OptOutError::Format { list: self.list.clone(), line, what };
        let mut lines = text.lines();
        match lines.next().and_then(|first| first.strip_prefix(FORMAT)) {
            None => return Err(wrong(1, "not that of an opt-out list of this version")),
            Some(name) if name != name_of(&key) => return Err(OptOutError::OtherKey { key: self.key.clone(), list: self.list.clone() }),
            Some(_) => {}
        }
        // A file that was cut short by somebody's editor or disk is not whole: its people would be written again.
        if !text.ends_with('\n') {
            return Err(wrong(text.lines().count(), "cut short"));
        }
        let digests = lines.enumerate().map(|(at, line)| parse(line).ok_or_else(|| wrong(at + 2, "not 32 hexadecimal digits"))).collect::<Result<_, _>>()?;
        Ok(Some(List { key, digests }))
    }

    fn read_key(&self) -> Result<Option<Key>, OptOutError> {
        Key::read(&self.key).map_err(|source| OptOutError::Read { path: self.key.clone(), source })
    }

    /// How both files are now; equal as long as nobody has changed them.
    pub(super) fn stamp(&self) -> Stamp {
        // A replaced file has another number even within one tick of the clock.
        [&self.list, &self.key].map(|path| fs::metadata(path).ok().map(|meta| (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())))
    }
}

/// Inode, bytes, and the time of the last change, of the list and of its key.
pub(super) type Stamp = [Option<(u64, u64, i64, i64)>; 2];

/// Changes the list of a data directory. One at a time: another editor waits at [`Editor::open`] until this one is dropped.
pub struct Editor {
    files: Files,
    data_dir: PathBuf,
    key: Key,
    /// Whether the key has no file yet.
    is_new_key: bool,
    digests: BTreeSet<u128>,
    _lock: File,
}

impl Editor {
    /// Reads the list, or begins one when there is neither list nor key. The directory and `keys` in it must be there. Blocks on the disk and
    /// on other editors.
    ///
    /// # Errors
    /// As [`super::OptOuts::open`], and when the lock cannot be had.
    pub fn open(data_dir: &Path) -> Result<Self, OptOutError> {
        let path = data_dir.join(LOCK);
        let lock = disk::create_file(&path).and_then(|file| flock(&file, FlockOperation::LockExclusive).map(|()| file).map_err(Into::into));
        let lock = lock.map_err(|source| OptOutError::Write { path, source })?;
        let files = Files::of(data_dir);
        let (key, is_new_key, digests) = match files.read()? {
            Some(List { key, digests }) => (key, false, digests.into_iter().collect()),
            None => match files.read_key()? {
                Some(key) => (key, false, BTreeSet::new()),
                None => (Key::random().map_err(|source| OptOutError::Write { path: files.key.clone(), source })?, true, BTreeSet::new()),
            },
        };
        Ok(Self { files, data_dir: data_dir.to_owned(), key, is_new_key, digests, _lock: lock })
    }

    /// Puts a device on the list; says whether it was not there.
    pub fn add(&mut self, mac: Mac) -> bool {
        self.digests.insert(digest(&self.key, mac))
    }

    /// Takes a device off the list; says whether it was there.
    pub fn remove(&mut self, mac: Mac) -> bool {
        self.digests.remove(&digest(&self.key, mac))
    }

    /// How many devices are on the list.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.digests.len()
    }

    /// Writes the list durably, whole or not at all; with its first entry also the key.
    ///
    /// # Errors
    /// When a file cannot be written; the list is the old one then.
    pub fn save(&mut self) -> Result<(), OptOutError> {
        if self.is_new_key {
            // First, so that there is never a list without its key.
            self.key.write_new(&self.files.key).map_err(|source| OptOutError::Write { path: self.files.key.clone(), source })?;
            self.is_new_key = false;
        }
        let mut text = format!("{FORMAT}{}\n", name_of(&self.key));
        for digest in &self.digests {
            use std::fmt::Write as _;
            let _ = writeln!(text, "{digest:032x}");
        }
        disk::write_durably(&self.data_dir, LIST, text.as_bytes()).map_err(|source| OptOutError::Write { path: self.files.list.clone(), source })
    }
}

fn parse(line: &str) -> Option<u128> {
    let is_digest = line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| u128::from_str_radix(line, 16).ok()).flatten()
}

/// Tells one key from another and says nothing about either. No device has this digest: an address is six bytes.
fn name_of(key: &Key) -> String {
    blake3::keyed_hash(key.bytes(), b"footfall opt-out list").to_hex()[..16].to_owned()
}

const LIST: &str = "optout.list";
const LOCK: &str = "optout.lock";
/// What the first line begins with; the name of the key follows.
const FORMAT: &str = "footfall-optout 1 key ";
