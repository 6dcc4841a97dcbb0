//! The bytes of a segment file: its header block and the heads of its records. Pure functions, little endian throughout.
//!
//! ```text
//! block of 8 KiB   the header at 0 and once more at 4096, zeros between and after
//! record           magic u32 | sealed length u32 | position u64 | received ns u64 | kind u16 | in group u16 | crc32c u32 | sealed bytes
//! record ...
//! zeros            preallocated and not used yet
//! ```
//!
//! The checksum starts from the segment's random salt, so neither zeros nor what another segment left on the disk ever validates. A
//! record never spans two files.

use crate::position::JournalId;

/// Bytes of the header block; the first record stands here.
pub(crate) const BLOCK_BYTES: u64 = 8192;
/// Where the second copy of the header stands: on a page of its own, since a bad sector takes all of the page that it lies in.
pub(crate) const SECOND_COPY: usize = 4096;
/// Bytes of a record before its sealed bytes.
pub(crate) const HEAD_BYTES: usize = 32;
/// The part of a head that is authenticated: all but the checksum.
pub(crate) const AUTHENTICATED_BYTES: usize = 28;
/// Bytes that sealing adds.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of the receiver's length inside the sealed part.
pub(crate) const RECEIVER_LENGTH_BYTES: usize = 2;
/// No record is smaller; how many a torn end may have held follows from it.
pub(crate) const RECORD_BYTES_MIN: u64 = (HEAD_BYTES + RECEIVER_LENGTH_BYTES + TAG_BYTES) as u64;
/// The first bytes of each record.
pub(crate) const RECORD_MAGIC: [u8; 4] = [0xf7, 0x4a, 0x0e, 0xd3];
/// The version that this program writes.
pub(crate) const VERSION: u32 = 1;

/// `kind` of a parsed post.
pub(crate) const KIND_POST: u16 = 1;
/// `kind` of a post of unknown shape.
pub(crate) const KIND_UNKNOWN: u16 = 2;
/// `kind` of what recovery writes over an unfinished place: the positions `position .. position + received ns` hold nothing. The sealed
/// part is whatever stood there and is never opened.
pub(crate) const KIND_VOID: u16 = u16::MAX;

const FILE_MAGIC: [u8; 8] = *b"FTFLJRNL";
const HEADER_BYTES: usize = 116;

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The journal it belongs to.
    pub(crate) journal: JournalId,
    /// Grows with each segment made.
    pub(crate) number: u64,
    /// The position of its first record.
    pub(crate) base: u64,
    /// When it was made.
    pub(crate) created_at_ms: i64,
    /// The latest received time before it: that of the newest record of the segment before.
    pub(crate) received_floor_ns: u64,
    /// How many records the journal was given before it.
    pub(crate) records_before: u64,
    /// Random, makes its key and its checksums its own.
    pub(crate) salt: [u8; 32],
    /// Tells whether a key is the one it was sealed with.
    pub(crate) key_check: [u8; 8],
}

/// What a header block holds.
#[derive(Debug)]
pub(crate) enum HeaderRead {
    /// The file's header; `damaged` when one of its two copies is not as it was written.
    Valid { header: SegmentHeader, damaged: bool },
    /// A header of a version that this program does not know.
    Newer(u32),
    /// No header.
    Invalid,
}

impl SegmentHeader {
    /// The whole block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(HEADER_BYTES);
        copy.extend_from_slice(&FILE_MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        copy.extend_from_slice(&[0; 4]);
        copy.extend_from_slice(&self.journal.0);
        for number in [self.number, self.base, self.created_at_ms.cast_unsigned(), self.received_floor_ns, self.records_before] {
            copy.extend_from_slice(&number.to_le_bytes());
        }
        copy.extend_from_slice(&self.salt);
        copy.extend_from_slice(&self.key_check);
        let crc = crc32c::crc32c(&copy);
        copy.extend_from_slice(&crc.to_le_bytes());
        let mut block = vec![0; BLOCK_BYTES as usize];
        block[..HEADER_BYTES].copy_from_slice(&copy);
        block[SECOND_COPY..SECOND_COPY + HEADER_BYTES].copy_from_slice(&copy);
        block
    }

    /// Reads the block, or as much of it as the file has: one whole copy is enough. A copy with another base than the file's name tells
    /// belongs to another file, whatever brought it here.
    pub(crate) fn decode(block: &[u8], base: u64) -> HeaderRead {
        let of_this_file = |header: Self| if header.base == base { Ok(header) } else { Err(None) };
        let first = Self::decode_copy(block, 0).and_then(of_this_file);
        let second = Self::decode_copy(block, SECOND_COPY).and_then(of_this_file);
        match (first, second) {
            (Ok(header), Ok(other)) => HeaderRead::Valid { damaged: header != other, header },
            (Ok(header), Err(_)) | (Err(_), Ok(header)) => HeaderRead::Valid { header, damaged: true },
            // One flipped bit is no version: only both copies together are believed.
            (Err(Some(version)), Err(Some(other))) if version == other && version > VERSION => HeaderRead::Newer(version),
            (Err(_), Err(_)) => HeaderRead::Invalid,
        }
    }

    /// One copy, or the version it claims when it is none of ours.
    fn decode_copy(block: &[u8], at: usize) -> Result<Self, Option<u32>> {
        let Some(copy) = block.get(at..at + HEADER_BYTES) else { return Err(None) };
        if copy[..8] != FILE_MAGIC {
            return Err(None);
        }
        let version = u32_at(copy, 8);
        if version != VERSION || crc32c::crc32c(&copy[..HEADER_BYTES - 4]) != u32_at(copy, HEADER_BYTES - 4) {
            return Err(Some(version));
        }
        Ok(Self {
            journal: JournalId(array_at(copy, 16)),
            number: u64_at(copy, 32),
            base: u64_at(copy, 40),
            created_at_ms: u64_at(copy, 48).cast_signed(),
            received_floor_ns: u64_at(copy, 56),
            records_before: u64_at(copy, 64),
            salt: array_at(copy, 72),
            key_check: array_at(copy, 104),
        })
    }

    /// The name of the file that holds the segment whose first position is `base`.
    pub(crate) fn file_name(base: u64) -> String {
        format!("{base:020}.seg")
    }

    /// The first position that a file's name tells; `None` when it names no segment.
    pub(crate) fn base_of_name(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".seg")?;
        (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    }
}

/// A record's head without its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    /// Bytes of the sealed part.
    pub(crate) sealed_bytes: u32,
    /// The record's number; of a void the first that it covers.
    pub(crate) position: u64,
    /// When the post had arrived; of a void how many positions it covers.
    pub(crate) received_ns: u64,
    /// One of the `KIND_` constants.
    pub(crate) kind: u16,
    /// Its place in the group that was committed with it, the first being 0.
    pub(crate) in_group: u16,
}

impl RecordHead {
    /// Bytes of the whole record.
    pub(crate) fn total_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.sealed_bytes)
    }

    /// The position after it.
    pub(crate) fn end(&self) -> u64 {
        if self.kind == KIND_VOID { self.position.saturating_add(self.received_ns.max(1)) } else { self.position.saturating_add(1) }
    }

    /// The position of the first record of its group.
    pub(crate) fn group_start(&self) -> u64 {
        self.position.saturating_sub(u64::from(self.in_group))
    }

    /// The authenticated bytes.
    pub(crate) fn encode(&self) -> [u8; AUTHENTICATED_BYTES] {
        let mut bytes = [0; AUTHENTICATED_BYTES];
        bytes[..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4..8].copy_from_slice(&self.sealed_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.received_ns.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.kind.to_le_bytes());
        bytes[26..28].copy_from_slice(&self.in_group.to_le_bytes());
        bytes
    }

    /// Reads a head and its checksum; `None` when the bytes are no head. The checksum is the caller's to compare.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        if bytes.len() < HEAD_BYTES || bytes[..4] != RECORD_MAGIC {
            return None;
        }
        let head = Self {
            sealed_bytes: u32_at(bytes, 4),
            position: u64_at(bytes, 8),
            received_ns: u64_at(bytes, 16),
            kind: u16::from_le_bytes(array_at(bytes, 24)),
            in_group: u16::from_le_bytes(array_at(bytes, 26)),
        };
        let least = if head.kind == KIND_VOID { 1 } else { (RECEIVER_LENGTH_BYTES + TAG_BYTES) as u32 };
        (head.sealed_bytes >= least).then(|| (head, u32_at(bytes, AUTHENTICATED_BYTES)))
    }
}

/// The checksum of a record under a segment's salt.
pub(crate) fn record_crc(salt_crc: u32, head: &[u8], sealed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt_crc, head), sealed)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            journal: JournalId([7; 16]),
            number: 3,
            base: 41,
            created_at_ms: -5,
            received_floor_ns: 9,
            records_before: 40,
            salt: [0xab; 32],
            key_check: [1, 2, 3, 4, 5, 6, 7, 8],
        }
    }

    #[test]
    fn no_flipped_byte_of_the_header_block_loses_it() {
        let block = header().encode();
        assert_eq!(block.len() as u64, BLOCK_BYTES);
        for at in 0..block.len() {
            let mut flipped = block.clone();
            flipped[at] ^= 0xff;
            let HeaderRead::Valid { header: read, damaged } = SegmentHeader::decode(&flipped, 41) else { panic!("lost at {at}") };
            assert_eq!(read, header());
            assert_eq!(damaged, at % SECOND_COPY < HEADER_BYTES, "at {at}");
        }
    }

    #[test]
    fn zeros_are_neither_a_header_nor_a_record() {
        assert!(matches!(SegmentHeader::decode(&[0; BLOCK_BYTES as usize], 0), HeaderRead::Invalid));
        assert!(matches!(SegmentHeader::decode(&[], 0), HeaderRead::Invalid));
        assert!(RecordHead::decode(&[0; 64]).is_none());
    }

    #[test]
    fn a_newer_version_is_told_apart_from_a_flipped_bit() {
        let mut block = header().encode();
        block[8] = 2;
        assert!(matches!(SegmentHeader::decode(&block, 41), HeaderRead::Valid { damaged: true, .. }));
        block[SECOND_COPY + 8] = 2;
        assert!(matches!(SegmentHeader::decode(&block, 41), HeaderRead::Newer(2)));
    }

    #[test]
    fn a_copy_of_another_file_s_header_is_none_of_this_one() {
        let (block, other) = (header().encode(), SegmentHeader { base: 90, number: 4, ..header() }.encode());
        for at in [0, SECOND_COPY] {
            let mut mixed = block.clone();
            mixed[at..at + HEADER_BYTES].copy_from_slice(&other[at..at + HEADER_BYTES]);
            let HeaderRead::Valid { header: read, damaged: true } = SegmentHeader::decode(&mixed, 41) else { panic!("lost at {at}") };
            assert_eq!(read, header());
        }
        assert!(matches!(SegmentHeader::decode(&other, 41), HeaderRead::Invalid));
    }

    #[test]
    fn names_and_bases_match() {
        assert_eq!(SegmentHeader::base_of_name(&SegmentHeader::file_name(41)), Some(41));
        for wrong in ["41.seg", "prepared.tmp", "00000000000000000041.tmp", "+0000000000000000041.seg", "99999999999999999999.seg"] {
            assert_eq!(SegmentHeader::base_of_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_first_version_s_bytes_stand() {
        let head = RecordHead { sealed_bytes: 18, position: 2, received_ns: 3, kind: KIND_POST, in_group: 4 };
        let bytes = head.encode();
        assert_eq!(bytes, [0xf7, 0x4a, 0x0e, 0xd3, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0]);
        assert_eq!(blake3::hash(&header().encode()).to_hex().as_str(), GOLDEN_HEADER);
    }

    const GOLDEN_HEADER: &str = "b8bb1fc2149fc1ad687067b1c13dfe119575e764cb766ff2f6108876a9f57699";
}
