//! Copies damaged bytes of the journal aside, so that what cannot be read today is not gone tomorrow.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::{self, Disk};
use super::scan::read_block;

/// Copies a place of a segment into a file of its own, behind the segment's header block: with it the bytes can be opened again when
/// somebody mends them. They stay sealed. A copy that is there already stands.
pub(crate) fn copy_aside(disk: &dyn Disk, quarantine: &Path, segment: &File, base: u64, offset: u64, bytes: u64) -> io::Result<()> {
    disk::create_dir(quarantine)?;
    let name = format!("{base:020}-{offset:012}.damaged");
    let path = quarantine.join(&name);
    if path.exists() {
        return Ok(());
    }
    let unfinished = quarantine.join(format!("{name}.tmp"));
    let copy = disk::create_file(&unfinished)?;
    let block = read_block(disk, segment)?;
    copy.write_all_at(&block, 0)?;
    let mut written = block.len() as u64;
    let (mut at, end) = (offset, offset + bytes);
    let mut buffer = vec![0; bytes.min(COPY_BYTES) as usize];
    while at < end {
        let wanted = (end - at).min(COPY_BYTES) as usize;
        let read = disk::read_at(disk, segment, &mut buffer[..wanted], at)?;
        if read == 0 {
            break;
        }
        copy.write_all_at(&buffer[..read], written)?;
        at += read as u64;
        written += read as u64;
    }
    copy.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(quarantine)?.sync_all()
}

const COPY_BYTES: u64 = 1024 * 1024;
