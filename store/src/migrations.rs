//! The migrations, embedded: files of `migrations/` by number and name. A number that a release has carried never changes again.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::writer::{Class, WriteError};

/// Number, name and text of a migration.
type File = (i64, &'static str, &'static str);

/// A list of the named files of a folder of `migrations/`.
macro_rules! files {
    ($folder:literal, $(($number:literal, $name:literal)),+ $(,)?) => {
        &[$(($number, $name, include_str!(concat!("../../migrations/", $folder, "/000", $number, "_", $name, ".sql")))),+]
    };
}

/// Those of Postgres.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: &[File] = files!("postgres", (1, "spine"), (2, "views"), (3, "presence"), (4, "presence_views"));

/// Those of SQLite.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: &[File] = files!("sqlite", (1, "spine"), (2, "views"), (3, "presence"), (4, "presence_views"));

/// What runs them.
pub(crate) fn migrator(files: &'static [File]) -> Migrator {
    let migrations = files.iter().map(|&(number, name, sql)| Migration::new(number, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false));
    Migrator::with_migrations(migrations.collect())
}

/// What is being tried while migrations run.
pub(crate) const DOING: &str = "bring the schema up to date";

/// What an error of the migrations means. `of` classes an error of the database; rows are not at fault here.
pub(crate) fn failure(error: &MigrateError, of: impl FnOnce(&str, &sqlx::Error) -> WriteError) -> WriteError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            let mut error = of(DOING, error);
            if error.class == Class::Data {
                error.class = Class::Schema;
            }
            error
        }
        MigrateError::VersionMissing(version) => WriteError::new(
            Class::Schema,
            format!("{DOING}: the database has migration {version}, which this version of footfall does not know: run the newer version"),
        ),
        error => WriteError::new(Class::Schema, format!("{DOING}: {error}")),
    }
}

#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed() {
        for (folder, files) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(folder);
            let mut found: Vec<String> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            found.sort();
            let listed: Vec<String> = files.iter().map(|(number, name, _)| format!("{number:04}_{name}.sql")).collect();
            assert_eq!(found, listed);
        }
    }
}
