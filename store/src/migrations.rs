//! The migrations, embedded: files of `migrations/` by number and name. A number that a release has carried never changes again.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

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
pub(crate) const POSTGRES: &[File] = files!("postgres", (1, "spine"), (2, "views"));

/// Those of SQLite.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: &[File] = files!("sqlite", (1, "spine"), (2, "views"));

/// What runs them.
pub(crate) fn migrator(files: &'static [File]) -> Migrator {
    let migrations = files.iter().map(|&(number, name, sql)| Migration::new(number, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false));
    Migrator::with_migrations(migrations.collect())
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
