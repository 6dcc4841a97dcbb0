//! What the journal asks of the file system, behind a trait so that a test can make the disk fail at a chosen call.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// The calls that can fail in ways the journal answers to.
pub(crate) trait Disk: Send + Sync {
    /// Reads some bytes at an offset; none at the file's end.
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

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

/// Reads at an offset until the buffer is full or the file ends, and gives how many bytes. A page that the device cannot read comes back
/// as [`UNREADABLE`] bytes, which never validate: it is damage like any other.
pub(crate) fn read_at(disk: &dyn Disk, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        let at = offset + read as u64;
        match disk.read_at(file, &mut buffer[read..], at) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_bad_sector(&error) => {
                // Up to the end of the page and no further, so that what lies beside the bad place is kept.
                let page = (PAGE_BYTES - at % PAGE_BYTES) as usize;
                let end = buffer.len().min(read + page);
                match disk.read_at(file, &mut buffer[read..end], at) {
                    Ok(count) if count > 0 => read += count,
                    _ => {
                        buffer[read..end].fill(UNREADABLE);
                        read = end;
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads all of it, or fails where it cannot be read.
pub(crate) fn read_exact_at(disk: &dyn Disk, file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match disk.read_at(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_bad_sector(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// What the system reads at once: an error of one sector is the whole page's.
const PAGE_BYTES: u64 = 4096;
/// Stands for bytes that cannot be read. It is no zero: what cannot be read is not free space.
const UNREADABLE: u8 = 0xff;
