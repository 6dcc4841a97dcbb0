//! Sealing: AES-256-GCM under a key of the segment's own, the record's head authenticated with it.
//!
//! A segment's key is derived from the journal's key and the segment's random salt, and the nonce is a number that occurs once in the
//! segment, so no pair of key and nonce is ever used twice: a position is written once into one segment, and whatever has to be written
//! again goes into a new one.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand;

use super::codec::{AUTHENTICATED_BYTES, HEAD_BYTES, RECEIVER_LENGTH_BYTES, RecordHead, TAG_BYTES, record_crc};
use crate::key::Key;

/// Seals and opens the records of one segment.
pub(crate) struct SegmentKey {
    aead: LessSafeKey,
    salt_crc: u32,
}

impl SegmentKey {
    /// Of the segment with this salt.
    pub(crate) fn new(key: &Key, salt: &[u8; 32]) -> io::Result<Self> {
        let derived = derive("footfall journal 2026 segment key", key, salt);
        let unbound = UnboundKey::new(&AES_256_GCM, derived.as_bytes()).map_err(|_| io::Error::other("make the segment's key"))?;
        Ok(Self { aead: LessSafeKey::new(unbound), salt_crc: crc32c::crc32c(salt) })
    }

    /// What a header keeps to tell a wrong key from damage.
    pub(crate) fn check(key: &Key, salt: &[u8; 32]) -> [u8; 8] {
        let mut check = [0; 8];
        check.copy_from_slice(&derive("footfall journal 2026 key check", key, salt).as_bytes()[..8]);
        check
    }

    /// Fresh random bytes for a new segment.
    pub(crate) fn random_salt() -> io::Result<[u8; 32]> {
        let mut salt = [0; 32];
        rand::fill(&mut salt).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Ok(salt)
    }

    /// Appends one whole record to `out`, sealed in place. `head.sealed_bytes` is set here.
    pub(crate) fn push_record(&self, out: &mut Vec<u8>, nonce: u64, mut head: RecordHead, receiver: &str, body: &[u8]) -> io::Result<()> {
        let receiver_length = u16::try_from(receiver.len()).map_err(|_| io::Error::other("the receiver's name is too long"))?;
        let sealed = RECEIVER_LENGTH_BYTES + receiver.len() + body.len() + TAG_BYTES;
        head.sealed_bytes = u32::try_from(sealed).map_err(|_| io::Error::other("the record is too long"))?;
        let start = out.len();
        out.reserve_exact(HEAD_BYTES + sealed);
        let authenticated = head.encode();
        out.extend_from_slice(&authenticated);
        out.extend_from_slice(&[0; HEAD_BYTES - AUTHENTICATED_BYTES]);
        out.extend_from_slice(&receiver_length.to_le_bytes());
        out.extend_from_slice(receiver.as_bytes());
        out.extend_from_slice(body);
        let tag = self
            .aead
            .seal_in_place_separate_tag(nonce_of(nonce), Aad::from(authenticated), &mut out[start + HEAD_BYTES..])
            .map_err(|_| io::Error::other("seal the record"))?;
        out.extend_from_slice(tag.as_ref());
        let crc = record_crc(self.salt_crc, &authenticated, &out[start + HEAD_BYTES..]);
        out[start + AUTHENTICATED_BYTES..start + HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Opens a whole record in place and gives the receiver and the body; `None` when it is not what was sealed.
    pub(crate) fn open_record<'a>(&self, nonce: u64, record: &'a mut [u8]) -> Option<(&'a str, &'a [u8])> {
        let (head, sealed) = record.split_at_mut_checked(HEAD_BYTES)?;
        let opened = self.aead.open_in_place(nonce_of(nonce), Aad::from(&head[..AUTHENTICATED_BYTES]), sealed).ok()?;
        let (length, rest) = opened.split_first_chunk::<RECEIVER_LENGTH_BYTES>()?;
        let (receiver, body) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some((std::str::from_utf8(receiver).ok()?, body))
    }
}

fn derive(context: &str, key: &Key, salt: &[u8; 32]) -> blake3::Hash {
    blake3::Hasher::new_derive_key(context).update(key.bytes()).update(salt).finalize()
}

fn nonce_of(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::codec::KIND_POST;

    const HEAD: RecordHead = RecordHead { sealed_bytes: 0, position: 9, received_ns: 8, kind: KIND_POST, in_group: 7 };

    #[test]
    fn a_record_opens_only_whole_and_only_with_its_own_key_and_nonce() {
        let key = SegmentKey::new(&Key::from_bytes([1; 32]), &[2; 32]).unwrap();
        let mut record = Vec::new();
        key.push_record(&mut record, 9, HEAD, "mall", b"body").unwrap();
        assert_eq!(key.open_record(9, &mut record.clone()), Some(("mall", &b"body"[..])));
        assert_eq!(key.open_record(10, &mut record.clone()), None);
        for at in (0..record.len()).filter(|at| !(AUTHENTICATED_BYTES..HEAD_BYTES).contains(at)) {
            let mut flipped = record.clone();
            flipped[at] ^= 1;
            assert_eq!(key.open_record(9, &mut flipped), None, "flipped at {at}");
        }
        let other_salt = SegmentKey::new(&Key::from_bytes([1; 32]), &[3; 32]).unwrap();
        assert_eq!(other_salt.open_record(9, &mut record), None);
    }
}
