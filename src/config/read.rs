//! From a file's text to a [`Config`]: references to the environment and to files are followed, unknown keys are refused, and a
//! mistake says where it is and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// What lies outside of the configuration: passed in, so that tests bring their own.
pub(crate) struct World<'a> {
    /// The value of an environment variable.
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub(crate) file: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

/// Something that a person wrote wrongly: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The configuration file, or `None` for the built-in defaults.
    pub(crate) file: Option<PathBuf>,
    /// The key's path, such as `limits.body`.
    pub(crate) key: String,
    /// What is wrong, with the value unless it is secret.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: ", file.display())?,
            None => f.write_str("built-in configuration: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl Config {
    /// Reads the file, or `./footfall.toml` when none is named, or takes the defaults when that is not there; and checks everything
    /// that can be checked without binding a port or changing a file.
    pub(crate) fn load(named: Option<&Path>, world: &World<'_>) -> Result<(Self, Option<PathBuf>), Mistake> {
        let path = named.unwrap_or(Path::new("footfall.toml"));
        let config = match (world.file)(path) {
            Ok(text) => (Self::parse(&text, Some(path), world)?, Some(path.to_owned())),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => (Self::default(), None),
            Err(error) => {
                return Err(Mistake {
                    file: Some(path.to_owned()),
                    key: String::new(),
                    what: format!("cannot be read: {error}"),
                    remedy: "name a readable file with --config, or write one: footfall config example > footfall.toml".to_owned(),
                });
            }
        };
        config.0.check(config.1.as_deref(), world)?;
        Ok(config)
    }

    /// Reads a configuration from text, without the checks of relations.
    pub(crate) fn parse(text: &str, file: Option<&Path>, world: &World<'_>) -> Result<Self, Mistake> {
        let at = |key: &str, what: String, remedy: &str| Mistake { file: file.map(Path::to_owned), key: key.to_owned(), what, remedy: remedy.to_owned() };
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            // The error's own display quotes the line, which may hold a secret: only its place and kind are shown.
            let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            at("", format!("line {line} is not TOML: {}", error.message()), "mend that line; footfall config example shows the form")
        })?;
        let mut value = Value::Table(table);
        follow(&mut value, "", file, world)?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let key = error.path().to_string();
            let what = error.inner().message().trim().replace('\n', " ");
            let what = if is_secret(&key) { "is of the wrong type".to_owned() } else { what };
            let key = if key == "." { String::new() } else { key };
            at(&key, what, "footfall config example lists every key with its meaning and range")
        })
    }
}

/// Replaces `env:NAME` and `file:PATH` by what they name, in every string.
fn follow(value: &mut Value, key: &str, file: Option<&Path>, world: &World<'_>) -> Result<(), Mistake> {
    match value {
        Value::String(text) => {
            if let Some(found) = referred(text, key, file, world)? {
                *text = found;
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                follow(item, &format!("{key}[{n}]"), file, world)?;
            }
        }
        Value::Table(table) => {
            for (name, item) in table.iter_mut() {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                follow(item, &key, file, world)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn referred(text: &str, key: &str, file: Option<&Path>, world: &World<'_>) -> Result<Option<String>, Mistake> {
    let mistake = |what: String, remedy: String| Mistake { file: file.map(Path::to_owned), key: key.to_owned(), what, remedy };
    if let Some(name) = text.strip_prefix("env:") {
        return match (world.environment)(name) {
            Some(found) => Ok(Some(found)),
            None => Err(mistake(
                format!("names the environment variable {name}, which is not set"),
                format!("set {name} for this process, or write file:PATH or the value itself"),
            )),
        };
    }
    if let Some(path) = text.strip_prefix("file:") {
        return match (world.file)(Path::new(path)) {
            // Editors and `echo` end a file with a line break, which is never part of a secret.
            Ok(found) => Ok(Some(found.trim_end_matches(['\n', '\r']).to_owned())),
            Err(error) => Err(mistake(
                format!("names the file {path}, which cannot be read: {error}"),
                "make the file readable for this user, or correct the path".to_owned(),
            )),
        };
    }
    Ok(None)
}

/// Whether a key's value must not be shown.
fn is_secret(key: &str) -> bool {
    key.starts_with("receiver") && (key.contains("secrets") || key.contains("validator"))
        || key == "database"
        || key.ends_with(".key") && !key.starts_with("listen")
}
