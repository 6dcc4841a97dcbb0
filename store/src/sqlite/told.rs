//! Rows in memory as tables that SQLite reads: `INSERT .. SELECT` from them costs a third of binding the same values.
//!
//! Each connection has a module per table (an eponymous virtual table). The rows of a transaction are packed into words, and one statement
//! takes them all. It runs on the caller's thread, which holds the connection meanwhile.
//!
//! Unsafe because a virtual table is what SQLite calls back through pointers, and because the driver's connection is used by its handle.

// Every block below has its proof.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rusqlite::vtab::{Context, Filters, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor, eponymous_only_module};
use rusqlite::{Connection, ffi};
use sqlx::SqliteConnection;

use super::error;
use crate::dictionary::Resolved;
use crate::group::{LocationRow, ObservationRow};
use crate::presence::told::{self as presence, Dialect};
use crate::writer::{Class, WriteError};

/// The tables of one connection.
pub(super) struct Told {
    observations: Table,
    locations: Table,
    presence: Vec<Table>,
}

impl Told {
    /// Gives the connection its tables.
    pub(super) async fn register(connection: &mut SqliteConnection) -> Result<Self, WriteError> {
        let presence = PRESENCE.iter().map(Table::new).collect();
        let told = Self { observations: Table::new(&OBSERVATION), locations: Table::new(&LOCATION), presence };
        on_handle(connection, "make the tables of rows in memory", |connection| {
            told.observations.register(connection)?;
            told.locations.register(connection)?;
            told.presence.iter().try_for_each(|table| table.register(connection))
        })
        .await?;
        Ok(told)
    }

    /// Appends observations.
    pub(super) async fn write_observations(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &[ObservationRow],
        resolved: &Resolved,
    ) -> Result<(), WriteError> {
        let pack = |words: &mut Vec<i64>, row: &ObservationRow| {
            let (source, ssid) = (resolved.known_source(row.source)?.into(), optional(resolved.text(row.ssid)));
            words.extend([row.observed_at, row.received_at_ms, row.client.0.cast_signed(), source, ssid, row.rssi_dbm.into()]);
            Ok(())
        };
        self.observations.insert(connection, rows, pack).await
    }

    /// Merges told rows of presence, of the shape with this number.
    pub(super) async fn merge_presence(&mut self, connection: &mut SqliteConnection, number: usize, words: &[i64]) -> Result<(), WriteError> {
        let table = &self.presence[number];
        if words.is_empty() {
            return Ok(());
        }
        table.fill(|all| {
            all.extend_from_slice(words);
            Ok(())
        })?;
        on_handle(connection, table.shape.what, |connection| connection.execute(&table.shape.insert, [])).await.map(drop)
    }

    /// Appends locations.
    pub(super) async fn write_locations(&mut self, connection: &mut SqliteConnection, rows: &[LocationRow], resolved: &Resolved) -> Result<(), WriteError> {
        let pack = |words: &mut Vec<i64>, row: &LocationRow| {
            let source = resolved.known_source(row.source)?.into();
            let [plan, name] = [row.floor_plan, row.floor_plan_name].map(|text| optional(resolved.text(text)));
            words.extend([row.observed_at, row.received_at_ms, row.client.0.cast_signed(), source, plan, name]);
            words.extend([row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m].map(|number| number.to_bits().cast_signed()));
            Ok(())
        };
        self.locations.insert(connection, rows, pack).await
    }
}

/// What a table is called and has.
struct Shape {
    what: &'static str,
    module: Cow<'static, CStr>,
    declaration: Cow<'static, str>,
    insert: Cow<'static, str>,
    columns: Cow<'static, [Column]>,
}

/// How a word is read.
#[derive(Clone, Copy)]
enum Column {
    Whole,
    /// [`NOTHING`] is null.
    OptionalWhole,
    /// The bits of a number; NaN is null.
    Number,
}

static OBSERVATION: Shape = Shape {
    what: "write observations",
    module: Cow::Borrowed(c"told_observation"),
    declaration: Cow::Borrowed("CREATE TABLE x (observed_at, received_at, client, source, ssid, rssi)"),
    insert: Cow::Borrowed(
        "INSERT INTO main.observation (observed_at, received_at, client, source, ssid, rssi)
             SELECT observed_at, received_at, client, source, ssid, rssi FROM told_observation",
    ),
    columns: Cow::Borrowed(&[Column::Whole, Column::Whole, Column::Whole, Column::Whole, Column::OptionalWhole, Column::Whole]),
};

static LOCATION: Shape = Shape {
    what: "write locations",
    module: Cow::Borrowed(c"told_location"),
    declaration: Cow::Borrowed("CREATE TABLE x (observed_at, received_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m)"),
    insert: Cow::Borrowed(
        "INSERT INTO main.location (observed_at, received_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m)
             SELECT observed_at, received_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m FROM told_location",
    ),
    columns: Cow::Borrowed(&[
        Column::Whole,
        Column::Whole,
        Column::Whole,
        Column::Whole,
        Column::OptionalWhole,
        Column::OptionalWhole,
        Column::Number,
        Column::Number,
        Column::Number,
        Column::Number,
        Column::Number,
    ]),
};

/// The tables of presence, in the order in which they must be merged.
static PRESENCE: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape = |shape: &presence::Shape| Shape {
        what: shape.what,
        module: Cow::Owned(CString::new(shape.told).unwrap_or_default()),
        declaration: Cow::Owned(format!("CREATE TABLE x ({})", shape.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", "))),
        insert: Cow::Owned(shape.statement(Dialect::Sqlite)),
        columns: Cow::Owned(vec![Column::OptionalWhole; shape.columns.len()]),
    };
    presence::SHAPES.iter().map(shape).collect()
});

/// One of the tables: its shape, and its rows word by word.
struct Table {
    shape: &'static Shape,
    words: Arc<Mutex<Arc<Vec<i64>>>>,
}

impl Table {
    fn new(shape: &'static Shape) -> Self {
        Self { shape, words: Arc::default() }
    }

    fn register(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.create_module(self.shape.module.as_ref(), eponymous_only_module::<Module>(), Some((self.shape, Arc::clone(&self.words))))
    }

    async fn insert<R>(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &[R],
        pack: impl Fn(&mut Vec<i64>, &R) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.fill(|words| {
            words.reserve(rows.len() * self.shape.columns.len());
            rows.iter().try_for_each(|row| pack(words, row))
        })?;
        let inserted = on_handle(connection, self.shape.what, |connection| connection.execute(&self.shape.insert, [])).await?;
        if inserted == rows.len() {
            Ok(())
        } else {
            Err(WriteError::new(Class::Retry, format!("{}: {} rows were given and {inserted} arrived", self.shape.what, rows.len())))
        }
    }
}

impl Table {
    /// Puts rows in the place of those before.
    fn fill(&self, fill: impl FnOnce(&mut Vec<i64>) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let mut shared = lock(&self.words);
        // No statement is under way, so that nobody else holds the rows.
        let words = Arc::make_mut(&mut shared);
        words.clear();
        fill(words)
    }
}

/// Does something with the driver's connection by its handle, while nobody else can use it.
async fn on_handle<T>(connection: &mut SqliteConnection, what: &str, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, WriteError> {
    let mut handle = connection.lock_handle().await.map_err(|error| error::of(what, &error))?;
    // SAFETY: the handle is that of an open connection, and stays locked, and so open and unused by the driver's thread, until it is dropped at the
    // end of this function, after `borrowed`, which does not close it.
    let borrowed = unsafe { Connection::from_handle(handle.as_raw_handle().as_ptr()) };
    borrowed.and_then(|connection| work(&connection)).map_err(|error| error::of_rusqlite(what, &error))
}

type Aux = (&'static Shape, Arc<Mutex<Arc<Vec<i64>>>>);

/// The table as SQLite sees it.
#[repr(C)]
struct Module {
    /// SQLite's own part, which must be the first.
    base: ffi::sqlite3_vtab,
    aux: Aux,
}

// SAFETY: `repr(C)` with SQLite's part first, as the trait asks.
unsafe impl<'vtab> VTab<'vtab> for Module {
    type Aux = Aux;
    type Cursor = Cursor<'vtab>;

    fn connect(connection: &mut VTabConnection, aux: Option<&Aux>, _: &[&[u8]]) -> rusqlite::Result<(String, Self)> {
        // Nobody reaches it through a view or a trigger of the file.
        connection.config(VTabConfig::DirectOnly)?;
        let (shape, words) = aux.ok_or(rusqlite::Error::InvalidQuery)?;
        Ok((shape.declaration.clone().into_owned(), Self { base: ffi::sqlite3_vtab::default(), aux: (shape, Arc::clone(words)) }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<()> {
        info.set_estimated_cost(1.0);
        Ok(())
    }

    fn open(&'vtab mut self) -> rusqlite::Result<Cursor<'vtab>> {
        Ok(Cursor { base: ffi::sqlite3_vtab_cursor::default(), columns: &self.aux.0.columns, words: Arc::clone(&lock(&self.aux.1)), at: 0, table: PhantomData })
    }
}

/// A walk over the rows.
#[repr(C)]
struct Cursor<'vtab> {
    /// SQLite's own part, which must be the first.
    base: ffi::sqlite3_vtab_cursor,
    columns: &'static [Column],
    words: Arc<Vec<i64>>,
    /// The first word of the row.
    at: usize,
    table: PhantomData<&'vtab Module>,
}

// SAFETY: `repr(C)` with SQLite's part first, as the trait asks.
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, _: c_int, _: Option<&str>, _: &Filters<'_>) -> rusqlite::Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += self.columns.len();
        Ok(())
    }

    fn eof(&self) -> bool {
        self.at >= self.words.len()
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let column = column as usize;
        let (Some(kind), Some(&word)) = (self.columns.get(column), self.words.get(self.at + column)) else {
            return Err(rusqlite::Error::InvalidColumnIndex(column));
        };
        let number = f64::from_bits(word.cast_unsigned());
        match kind {
            Column::OptionalWhole if word == NOTHING => context.set_result(&None::<i64>),
            Column::Number if number.is_nan() => context.set_result(&None::<f64>),
            Column::Number => context.set_result(&number),
            Column::Whole | Column::OptionalWhole => context.set_result(&word),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok((self.at / self.columns.len()) as i64)
    }
}

fn optional(id: Option<i32>) -> i64 {
    id.map_or(NOTHING, i64::from)
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands for null; no id is so small.
const NOTHING: i64 = i64::MIN;
