//! Devices that are not to be written: keyed digests of their addresses, read again while the process runs.
//!
//! The list is the file `optout.list` of the data directory, its key `keys/optout.key`; [`Editor`] changes it, also from another process.
//! It holds no address, and without the key nobody can try addresses on it. The key is its own and lives as long as the list: pseudonyms
//! may get another key and the list goes on.

mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use hashbrown::HashSet;

pub use self::file::Editor;
use self::file::{Files, Stamp};
use crate::key::Key;
use crate::mac::Mac;

/// The list of now, shared by all that ask it. The default is nobody.
#[derive(Default)]
pub struct OptOuts {
    files: Option<Files>,
    /// None when nobody is on it.
    list: ArcSwapOption<List>,
    /// The files as they were when they were read last; none when they must be read again. Under its lock, so that two looks are one after
    /// the other.
    seen: Mutex<Option<Stamp>>,
}

impl OptOuts {
    /// Reads the list of a data directory; nobody is on one that does not exist. Blocks on the disk and makes nothing.
    ///
    /// # Errors
    /// When the list cannot be read or understood, or its key is missing or another one.
    pub fn open(data_dir: &Path) -> Result<Self, OptOutError> {
        let opted_out = Self { files: Some(Files::of(data_dir)), ..Self::default() };
        opted_out.look()?;
        Ok(opted_out)
    }

    /// The list of now, for a batch of questions; none when nobody is on it.
    #[must_use]
    pub fn list(&self) -> Option<Arc<List>> {
        self.list.load_full()
    }

    /// How many devices are on it.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.list.load().as_ref().map_or(0, |list| list.digests.len())
    }

    /// Reads the files again when they are not as they were; says whether they were read. A list that is of no use leaves the old one, and is
    /// read again at the next call. Blocks on the disk.
    ///
    /// # Errors
    /// As [`OptOuts::open`], and when a list has gone that was there.
    pub fn look(&self) -> Result<bool, OptOutError> {
        let Some(files) = &self.files else { return Ok(false) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: what changes meanwhile is seen at the next look.
        let stamp = files.stamp();
        if seen.as_ref() == Some(&stamp) {
            return Ok(false);
        }
        *seen = None;
        let list = match files.read()? {
            None if self.entries() > 0 => return Err(OptOutError::Gone { list: files.list.clone() }),
            list => list.filter(|list| !list.digests.is_empty()),
        };
        self.list.store(list.map(Arc::new));
        *seen = Some(stamp);
        Ok(true)
    }

    /// Reads the files again, changed or not. Blocks on the disk.
    ///
    /// # Errors
    /// As [`OptOuts::look`].
    pub fn reload(&self) -> Result<(), OptOutError> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.look().map(|_| ())
    }
}

impl fmt::Debug for OptOuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptOuts").field("entries", &self.entries()).finish_non_exhaustive()
    }
}

/// The digests of one reading.
pub struct List {
    key: Key,
    digests: HashSet<u128>,
}

impl List {
    /// A list of these addresses, for tests and other callers that have no file.
    #[must_use]
    pub fn of(key: Key, macs: impl IntoIterator<Item = Mac>) -> Self {
        let digests = macs.into_iter().map(|mac| digest(&key, mac)).collect();
        Self { key, digests }
    }

    /// Whether the device is on the list. Costs one keyed hash.
    #[must_use]
    pub fn has(&self, mac: Mac) -> bool {
        self.digests.contains(&digest(&self.key, mac))
    }
}

impl From<List> for OptOuts {
    fn from(list: List) -> Self {
        Self { list: ArcSwapOption::from_pointee(list), ..Self::default() }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("entries", &self.digests.len()).finish_non_exhaustive()
    }
}

/// Keyed BLAKE3 of the six bytes, cut to 128 bits: two devices do not meet by chance.
fn digest(key: &Key, mac: Mac) -> u128 {
    let hash = blake3::keyed_hash(key.bytes(), &mac.bits().to_be_bytes()[2..]);
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *hash.as_bytes();
    u128::from_be_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// Why a list cannot be used or changed. No message holds an address.
#[derive(thiserror::Error, Debug)]
pub enum OptOutError {
    /// A file cannot be read.
    #[error("read {}: {source}; restore it from a backup, or make it readable for this user", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("write {}: {source}; make its directory writable for this user, and look at free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no list, or one of another version.
    #[error("read {}: line {line} is {what}; restore the file from a backup, or move it aside and import the addresses again", list.display())]
    Format {
        /// The list.
        list: PathBuf,
        /// From 1.
        line: usize,
        /// What stands there.
        what: &'static str,
    },
    /// There is a list, and its key is gone.
    #[error(
        "the key {} is missing, and without it nobody on the list {} would be known; restore the key from a backup, or move the list aside and import \
         the addresses again",
        key.display(),
        list.display()
    )]
    KeyGone {
        /// The key.
        key: PathBuf,
        /// The list.
        list: PathBuf,
    },
    /// The list was made with another key.
    #[error(
        "the list {} was made with another key than {}; restore the two from one backup, or move the list aside and import the addresses again",
        list.display(),
        key.display()
    )]
    OtherKey {
        /// The key.
        key: PathBuf,
        /// The list.
        list: PathBuf,
    },
    /// The list was there and is not any more.
    #[error("the list {} is gone; restore it from a backup, or restart to go on without it", list.display())]
    Gone {
        /// The list.
        list: PathBuf,
    },
}
