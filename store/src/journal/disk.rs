//! What the journal asks of the file system, behind a trait so that a test can make the disk fail at a chosen call.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// The calls that can fail in ways the journal answers to.
pub(crate) trait Disk: Send + Sync {
    /// Writes all of it at an offset.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// `fdatasync`.
    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// `fsync`.
    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Makes the names of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Reserves the blocks of a file; where the file system cannot, the file is only made that long.
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(bytes),
            result => Ok(result?),
        }
    }

    /// Bytes that an unprivileged process may still take.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// The real one.
pub(crate) struct System;

impl Disk for System {}

/// Makes a directory, and those above it, that only its owner may enter.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes an empty file that only its owner may read; what stood under the name is emptied.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes a small file durably under its name: whole or not at all.
pub(crate) fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}.tmp"));
    let file = create_file(&unfinished)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Whether a failure means that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Reads at an offset until the buffer is full or the file ends, and gives how many bytes. A place that the device cannot read comes
/// back as zeros, which never validate: it is damage like any other.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                let end = buffer.len().min(read + UNREADABLE_STEP_BYTES);
                // One block at a time, so that what lies beside the bad place is kept.
                match file.read_at(&mut buffer[read..end], offset + read as u64) {
                    Ok(count) if count > 0 => read += count,
                    _ => {
                        buffer[read..end].fill(0);
                        read = end;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

const UNREADABLE_STEP_BYTES: usize = 4096;
