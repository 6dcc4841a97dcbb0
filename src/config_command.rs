//! `footfall config check` and `config example`, and the reading of the real world for every command.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, EXAMPLE, World};
use crate::failure::{Code, Failure};

/// Reads and checks the configuration from the real environment and files.
pub(crate) fn load(named: Option<&Path>) -> Result<(Config, Option<PathBuf>), Failure> {
    let world = World { environment: &|name| std::env::var(name).ok(), file: &|path| std::fs::read_to_string(path) };
    Ok(Config::load(named, &world)?)
}

/// What is unwise in a configuration that was read from `file`.
pub(crate) fn warnings(config: &Config, file: Option<&Path>) -> Vec<String> {
    let others_read = file.and_then(|file| std::fs::metadata(file).ok()).is_some_and(|meta| meta.permissions().mode() & 0o044 != 0);
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    config.warnings(others_read, text.as_deref())
}

/// `footfall config check`
pub(crate) fn check(named: Option<&Path>) -> Result<(), Failure> {
    let (config, file) = load(named)?;
    for warning in warnings(&config, file.as_deref()) {
        eprintln!("warning: {warning}");
    }
    let from = file.map_or_else(|| "built-in defaults".to_owned(), |file| file.display().to_string());
    print(&format!(
        "ok: {from}: {} listener(s), {} receiver(s), database {}, data in {}\n",
        config.listen.len(),
        config.receiver.len(),
        config.database.address_shown(),
        config.data_dir.display()
    ))
}

/// `footfall config example`
pub(crate) fn example() -> Result<(), Failure> {
    print(EXAMPLE)
}

/// Writes data to standard output. A reader that has gone away is no failure: `| head` is fine.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(Code::Io, format!("write to standard output: {error}"))),
        _ => Ok(()),
    }
}
