//! `footfall migrate`: the database's tables, brought up to date without serving.

use std::path::Path;

use store::database::Database;
use store::writer::{Class, Store};

use crate::config::Config;
use crate::config_command;
use crate::failure::{Code, Failure};
use crate::keys;

/// Connects once, which runs what migrations are missing.
pub(crate) async fn run(named: Option<&Path>) -> Result<(), Failure> {
    let (config, _) = config_command::load(named)?;
    let mut database = open(&config)?;
    database.connect().await.map_err(|error| {
        let code = if error.class == Class::Retry { Code::Unavailable } else { Code::Usage };
        Failure::new(code, format!("migrate {}: {error}", config.database.address_shown()))
    })?;
    eprintln!("the tables of {} are up to date", config.database.address_shown());
    Ok(())
}

/// The configured store, not yet connected. The data directory is made first: by default the database lies in it.
pub(crate) fn open(config: &Config) -> Result<Database, Failure> {
    keys::make_private_dir(&config.data_dir)?;
    Database::from_url(config.database.reveal()).map_err(|error| Failure::new(Code::Usage, format!("database: {error}")))
}
