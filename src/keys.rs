//! The keys in `data_dir/keys`: made at the first start, and never made anew when something was sealed or named with the old one.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use store::key::Key;

use crate::config::{Config, Hidden};
use crate::failure::{Code, Failure};

/// The keys of one data directory.
pub(crate) struct Keys {
    /// Seals the journal and the quarantine.
    pub(crate) journal: Key,
    /// Turns addresses into pseudonyms.
    pub(crate) client: Key,
    /// Since when clients are known here, seconds since 1970: nobody can be known to return from before. The least there is when both keys came
    /// from elsewhere.
    pub(crate) born_at: i64,
}

impl Keys {
    /// Reads both keys, from the configuration or their files; a first start makes them.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let dir = config.data_dir.join("keys");
        make_private_dir(&dir)?;
        let journal_is_used = store::journal::exists(&config.data_dir.join("journal"));
        let journal = open_key(&dir.join("journal.key"), config.journal.key.as_ref(), journal_is_used, "posts in the journal could never be read again")?;
        // Both keys are made in one start: when the journal's is there, the client's was too.
        let client =
            open_key(&dir.join("client.key"), config.privacy.key.as_ref(), journal_is_used, "every client in the database would get another pseudonym")?;
        Ok(Self { journal, client, born_at: born_at(config) })
    }

    /// Reads the journal's key only, and makes nothing: for looking at a journal.
    pub(crate) fn journal_only(config: &Config) -> Result<Key, Failure> {
        let path = config.data_dir.join("keys").join("journal.key");
        match read_key(&path, config.journal.key.as_ref())? {
            Some(key) => Ok(key),
            None => Err(missing(&path, "the journal cannot be read without it")),
        }
    }
}

/// Makes a directory that only its owner enters, with those above it.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Failure> {
    // One that was there already, made by a package or a person, is closed too.
    let close = || match fs::metadata(path)?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).and_then(|()| close()).map_err(|error| {
        Failure::new(Code::CannotCreate, format!("cannot make the directory {}: {error}; make it writable for this user, or set data_dir", path.display()))
    })
}

fn open_key(path: &Path, configured: Option<&Hidden>, used: bool, loss: &str) -> Result<Key, Failure> {
    if let Some(key) = read_key(path, configured)? {
        return Ok(key);
    }
    if used {
        return Err(missing(path, loss));
    }
    let key = Key::random().map_err(|error| Failure::new(Code::Software, format!("make a key: {error}")))?;
    key.write_new(path).map_err(|error| Failure::new(Code::CannotCreate, format!("cannot write the key {}: {error}", path.display())))?;
    Ok(key)
}

/// Since when clients are known by their key, seconds since 1970. Where the key came from elsewhere or names nobody, the first start of this data
/// directory stands for its making; the least there is when nothing tells that either.
pub(crate) fn born_at(config: &Config) -> i64 {
    let made = [("client.key", &config.privacy.key), ("journal.key", &config.journal.key)].into_iter().find(|(_, told)| told.is_none());
    let file = made.and_then(|(file, _)| fs::metadata(config.data_dir.join("keys").join(file)).ok());
    file.map_or(i64::MIN, |file| file.mtime())
}

fn read_key(path: &Path, configured: Option<&Hidden>) -> Result<Option<Key>, Failure> {
    if let Some(hidden) = configured {
        return Ok(Key::from_hex(hidden.reveal()));
    }
    Key::read(path).map_err(|error| {
        Failure::new(Code::Usage, format!("the key {} cannot be read: {error}; restore it from a backup, or correct its permissions", path.display()))
    })
}

fn missing(path: &Path, loss: &str) -> Failure {
    Failure::new(
        Code::Usage,
        format!(
            "the key {} is missing, and with a new one {loss}; restore it from a backup, or give it as env: or file: in the configuration, or move the data directory aside to begin anew",
            path.display()
        ),
    )
}
