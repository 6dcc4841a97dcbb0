//! Keys of 256 bits: made once, kept in files that only their owner reads, never shown.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// A secret key of 256 bits. `Debug` hides it and its memory is wiped when it goes.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// From its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh random one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        Ok(Self(bytes))
    }

    /// From 64 hexadecimal digits; white space around them is ignored. `None` when the text is anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 64 || !text.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The key's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Writes the key as hexadecimal digits into a new file that only its owner may read, durably.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut hex = Zeroizing::new(String::with_capacity(65));
        for byte in self.0.iter() {
            use fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
        }
        hex.push('\n');
        // Half a key is none, and would be in the way of a whole one.
        if let Err(error) = file.write_all(hex.as_bytes()).and_then(|()| file.sync_all()) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    }

    /// Reads a key file; `None` when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold 64 hexadecimal digits.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::from_hex(&text).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a key of 64 hexadecimal digits"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_survives_its_file_which_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        assert!(Key::read(&path).unwrap().is_none());
        let key = Key::random().unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(Key::read(&path).unwrap().unwrap().bytes(), key.bytes());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(key.write_new(&path).is_err(), "a key is never overwritten");
        fs::write(&path, "short").unwrap();
        assert_eq!(Key::read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
