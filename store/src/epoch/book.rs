//! The files of the keys: the book of what was destroyed, the keys' own files, and how each is written and removed.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Ended, Epoch};

impl Ended {
    /// Whether it is the end of a key. One that another rule has ended has an earlier end.
    pub(super) fn is_of(&self, kind: &str, epoch: Epoch, made_at: i64) -> bool {
        self.kind == kind && self.epoch.from == epoch.from && self.made_at == made_at
    }
}

/// A line of the book.
pub(super) enum Line<'a> {
    Destroyed(&'a Ended),
    Cleared(&'a Ended, i64, u64),
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroyed(ended) => {
                let Ended { kind, epoch: Epoch { from, to }, made_at, destroyed_at, .. } = ended;
                writeln!(f, "destroyed\t{kind}\t{from}\t{to}\t{made_at}\t{destroyed_at}")
            }
            Self::Cleared(ended, at, rows) => writeln!(f, "cleared\t{}\t{}\t{}\t{}\t{at}\t{rows}", ended.kind, ended.epoch.from, ended.epoch.to, ended.made_at),
        }
    }
}

/// Writes a line into the book, durably.
pub(super) fn append(path: &Path, line: &Line<'_>) -> io::Result<()> {
    let write = || {
        let is_new = !path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if is_new {
            file.write_all(BOOK_HEAD.as_bytes())?;
        }
        file.write_all(line.to_string().as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|error| about(path, &error))
}

/// What the book tells. A last line that a power cut has torn is left out: its destruction was not done yet.
pub(super) fn read_book(path: &Path) -> io::Result<Vec<Ended>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(about(path, &error)),
    };
    let mut ended: Vec<Ended> = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n') && !line.starts_with('#')) {
        let words: Vec<&str> = line.trim_end().split('\t').collect();
        let [what, kind, numbers @ ..] = &words[..] else { continue };
        let numbers: Vec<i64> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
        match (*what, &numbers[..]) {
            ("destroyed", &[from, to, made_at, destroyed_at]) => {
                ended.push(Ended { kind: (*kind).to_owned(), epoch: Epoch { from, to }, made_at, destroyed_at, cleared: None });
            }
            ("cleared", &[from, to, made_at, at, rows]) => {
                for one in ended.iter_mut().filter(|one| one.kind == *kind && one.epoch == Epoch { from, to } && one.made_at == made_at) {
                    one.cleared = Some((at, rows.unsigned_abs()));
                }
            }
            _ => {
                let message = format!("{line:?} is no line of the book of destroyed keys; restore the file, or delete it: its epochs are then forgotten");
                return Err(about(path, &io::Error::new(io::ErrorKind::InvalidData, message)));
            }
        }
    }
    Ok(ended)
}

/// Cuts off a line that a power cut has torn, and what is so old that nobody asks for it when there is much.
pub(super) fn mend_book(path: &Path) -> io::Result<()> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let ended = read_book(path)?;
    if whole == text.len() && ended.len() <= BOOK_LINES_MAX {
        return Ok(());
    }
    let mut kept = BOOK_HEAD.to_owned();
    let old = ended.len().saturating_sub(BOOK_LINES_MAX / 2);
    for one in ended.iter().enumerate().filter(|(at, one)| *at >= old || one.cleared.is_none()).map(|(_, one)| one) {
        kept += &Line::Destroyed(one).to_string();
        if let Some((at, rows)) = one.cleared {
            kept += &Line::Cleared(one, at, rows).to_string();
        }
    }
    replace(path, kept.as_bytes())
}

/// Puts a file in the place of another, whole or not at all.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// A key's file, by its name.
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) kind: String,
    pub(super) epoch: Epoch,
    pub(super) made_at: i64,
}

/// The files of keys in a directory; none when it is not there.
pub(super) fn key_files(dir: &Path) -> io::Result<Vec<KeyFile>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries.map_err(|error| about(dir, &error))?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".key")) else { continue };
        let words: Vec<&str> = name.rsplitn(4, '_').collect();
        let &[made_at, to, from, kind] = &words[..] else { continue };
        if let (Ok(from), Ok(to), Ok(made_at)) = (from.parse(), to.parse(), made_at.parse()) {
            files.push(KeyFile { kind: kind.to_owned(), epoch: Epoch { from, to }, made_at, path });
        }
    }
    Ok(files)
}

/// Overwrites a key's file and removes it. What a file system, a snapshot or a backup keeps beside it is not in our hands.
///
/// # Errors
/// When it cannot be written or removed; one that is not there is gone already.
pub fn wipe(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = file;
    let bytes = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&vec![0; bytes])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// An error with the file that it is about.
pub(super) fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

const BOOK_HEAD: &str = "# Keys that footfall has destroyed: what, kind, first second, end, made at, done at, rows.\n";
/// Epochs in the book at most: two months of ten minutes each.
pub(super) const BOOK_LINES_MAX: usize = 10_000;
