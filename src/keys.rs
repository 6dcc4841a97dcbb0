//! The keys in `data_dir/keys`: made at the first start, and never made anew when something was sealed or named with the old one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use store::client::{Epochs, Pseudonyms};
use store::epoch::{Ring, Rule};
use store::key::Key;

use crate::clock::now_s;
use crate::config::{Clients, Config, Hidden, Mode};
use crate::failure::{Code, Failure};

/// The keys of one data directory.
pub(crate) struct Keys {
    /// Seals the journal and the quarantine.
    pub(crate) journal: Key,
    /// Turn addresses into pseudonyms.
    pub(crate) clients: Pseudonyms,
    /// The keys of epochs; where clients are known for good, those that another mode has left.
    pub(crate) ring: Arc<Mutex<Ring>>,
    /// Since when clients are known here, seconds since 1970: nobody can be known to return from before. The least there is when all keys came
    /// from elsewhere.
    pub(crate) born_at: i64,
}

impl Keys {
    /// Reads the keys, from the configuration or their files; a first start makes them.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        let dir = config.data_dir.join("keys");
        make_private_dir(&dir)?;
        let journal_is_used = store::journal::exists(&config.data_dir.join("journal"));
        let journal = open_key(&dir.join("journal.key"), config.journal.key.as_ref(), journal_is_used, "posts in the journal could never be read again")?;
        if let Some(ring) = open_ring(config, &dir)? {
            let born_at = first_made_at(Some(&ring));
            let ring = Arc::new(Mutex::new(ring));
            return Ok(Self { journal, clients: Pseudonyms::Epochs(Epochs::new(Arc::clone(&ring))), ring, born_at });
        }
        // What another mode has left is ended; and whose rows there are is written down there, for a mode that ends them.
        let (marker, epochs) = (dir.join(STATIC), dir.join(EPOCHS));
        let was_static = marker.exists() || !epochs.exists();
        make_private_dir(&epochs)?;
        let ring = read_ring(&dir, no_epochs(), Ring::open)?;
        // Plain clients have a key too, so that they can be given pseudonyms later.
        let is_missed = journal_is_used && was_static;
        let client = open_key(&dir.join(LASTING), config.privacy.key.as_ref(), is_missed, "every client in the database would get another pseudonym")?;
        let clients = match config.privacy.clients {
            Clients::Pseudonym => Pseudonyms::Keyed(client),
            Clients::Plain => Pseudonyms::Plain,
        };
        fs::write(&marker, "")
            .and_then(|()| fs::set_permissions(&marker, fs::Permissions::from_mode(0o600)))
            .map_err(|error| Failure::new(Code::CannotCreate, format!("cannot write {}: {error}; make it writable for this user", marker.display())))?;
        let ring = Arc::new(Mutex::new(ring));
        Ok(Self { journal, clients, ring, born_at: born_at(config) })
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

/// The keys of epochs, for looking at them; none where clients are known for good and always were.
pub(crate) fn look_at_ring(config: &Config) -> Result<Option<Ring>, Failure> {
    let dir = config.data_dir.join("keys");
    if !dir.join(EPOCHS).exists() {
        return Ok(None);
    }
    let rule = rule_of(config)?.unwrap_or_else(no_epochs);
    read_ring(&dir, rule, Ring::read).map(Some)
}

fn open_ring(config: &Config, dir: &Path) -> Result<Option<Ring>, Failure> {
    let Some(rule) = rule_of(config)? else { return Ok(None) };
    make_private_dir(&dir.join(EPOCHS))?;
    let mut ring = read_ring(dir, rule, Ring::open)?;
    for lasting in [dir.join(LASTING), dir.join(STATIC)] {
        let Ok(file) = fs::metadata(&lasting) else { continue };
        let Some(mode) = config.privacy.mode else {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "privacy.mode is left out, and {} knows clients for good: set mode = \"static\" to go on with it, or mode = \"day\" to destroy it; the rows \
                     that are stored then lose their clients",
                    lasting.display()
                ),
            ));
        };
        if ring.has_older_than(file.mtime()) {
            // Nothing was taken in with it: the keys of epochs would have been destroyed before.
            store::epoch::wipe(&lasting).map_err(|error| cannot_read_keys(&error))?;
            continue;
        }
        tracing::warn!(mode = mode.name(), "privacy.mode was static: its key is destroyed now, and what is stored loses its clients");
        ring.end_foreign("static", &lasting, file.mtime());
    }
    Ok(Some(ring))
}

fn read_ring(dir: &Path, rule: Rule, read: fn(&Path, Rule) -> io::Result<Ring>) -> Result<Ring, Failure> {
    read(&dir.join(EPOCHS), rule).map_err(|error| cannot_read_keys(&error))
}

fn rule_of(config: &Config) -> Result<Option<Rule>, Failure> {
    config.key_rule().map_err(|(key, what, remedy)| Failure::new(Code::Usage, format!("{key}: {what}; {remedy}")))
}

/// Under it every key of an epoch is of the past.
fn no_epochs() -> Rule {
    Rule { kind: "static".to_owned(), divide: Box::new(|_| (i64::MIN, i64::MAX)), grace_s: 0, now: now_s }
}

fn cannot_read_keys(error: &io::Error) -> Failure {
    Failure::new(Code::Usage, format!("the keys of epochs cannot be read: {error}; correct its permissions, or restore it"))
}

/// Since when clients are known, seconds since 1970. Where a key for good came from elsewhere or names nobody, the first start of this data
/// directory stands for its making; the least there is when nothing tells that either.
pub(crate) fn born_at(config: &Config) -> i64 {
    if config.privacy.mode() != Mode::Static {
        return first_made_at(look_at_ring(config).ok().flatten().as_ref());
    }
    let made = [(LASTING, &config.privacy.key), ("journal.key", &config.journal.key)].into_iter().find(|(_, told)| told.is_none());
    let file = made.and_then(|(file, _)| fs::metadata(config.data_dir.join("keys").join(file)).ok());
    file.map_or(i64::MIN, |file| file.mtime())
}

/// When the first key of an epoch was made; now, when none is yet.
fn first_made_at(ring: Option<&Ring>) -> i64 {
    ring.and_then(Ring::born_at).unwrap_or_else(now_s)
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

/// The key of clients that are known for good.
const LASTING: &str = "client.key";
/// Says that clients are known for good here, whatever their key comes from.
const STATIC: &str = "static";
/// The directory of the keys of epochs.
const EPOCHS: &str = "epochs";
