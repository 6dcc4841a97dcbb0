//! What the tables of presence look like to both stores: each row a few whole numbers, told in bulk and merged by one statement per table.

use super::{COUNTS, Changes, Class, Level, Place, SessionKey};
use crate::client::ClientId;

/// A table, and how told rows change it.
pub(crate) struct Shape {
    /// What is being tried, for errors.
    pub(crate) what: &'static str,
    /// The table.
    pub(crate) table: &'static str,
    /// The name of the told rows.
    pub(crate) told: &'static str,
    /// The columns of a told row.
    pub(crate) columns: &'static [Column],
    /// How many of them, from the first, are the key.
    pub(crate) key: usize,
    /// What told rows do.
    pub(crate) merge: Merge,
}

/// A column: a whole number, [`NOTHING`] for null.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// What a number means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number, and nothing else.
    Number,
    /// Seconds since 1970: a timestamp in Postgres.
    Time,
    /// 0 or 1: a boolean in Postgres.
    Flag,
}

/// What told rows do to rows with their key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Add their numbers, from a column on; what stands before it is written anew.
    Add { from: usize },
    /// Take their place, and count the revision up where the table has one.
    Replace { rev: bool },
    /// Delete them; or all that have the key but for its last column, which is not below what is told.
    Delete { from: bool },
}

/// Who belongs to which zones of the scopes that are shown.
pub(crate) const MEMBERS: &str = "SELECT c.site, z.name, m.ap, m.since, m.until FROM presence_member m
     JOIN presence_scope c ON c.id = m.scope AND c.is_shown JOIN presence_zone z ON z.id = m.zone";

/// Stands for null.
pub(crate) const NOTHING: i64 = i64::MIN;

/// Packs rows, in one buffer for all shapes.
pub(crate) struct Packer<'a> {
    changes: &'a Changes,
    /// The ids of the changes' scopes and zones.
    scopes: &'a [i64],
    zones: &'a [i64],
    words: Vec<i64>,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(changes: &'a Changes, scopes: &'a [i64], zones: &'a [i64]) -> Self {
        Self { changes, scopes, zones, words: Vec::new() }
    }

    /// The rows of a shape by its place in [`SHAPES`], word by word.
    pub(crate) fn pack(&mut self, at: usize) -> &[i64] {
        self.words.clear();
        let changes = self.changes;
        match at {
            0 => changes.gone.iter().for_each(|key| self.session_key(*key)),
            1 => changes.stays_gone.iter().for_each(|gone| {
                self.session_key(gone.visit);
                self.words.extend([i64::from(gone.in_zones), gone.from.into()]);
            }),
            2 => changes.sessions.iter().for_each(|row| {
                self.session_key(row.key);
                let [high, low] = [0, 8].map(|at| i64::from_be_bytes(std::array::from_fn(|byte| row.visit_id[at + byte])));
                let class = i64::from(row.class == Class::Visit);
                let cut = i64::from(row.cut.start) + 2 * i64::from(row.cut.end);
                let returning = row.is_returning.map_or(NOTHING, i64::from);
                let connected = row.connected_at.unwrap_or(NOTHING);
                self.words.extend([high, low, row.ended_at, row.minutes.into(), class, row.identity as i64, connected, returning, cut]);
                self.place(row.last_place);
                self.words.push(row.last_since);
            }),
            3 => changes.stays.iter().for_each(|row| {
                self.session_key(row.visit);
                let in_zones = matches!(row.place, Place::Zone(_));
                self.words.extend([i64::from(in_zones), row.number.into()]);
                self.place(row.place);
                self.words.extend([row.started_at, row.ended_at, row.is_measured.into()]);
            }),
            4 => changes.counts.iter().for_each(|row| {
                self.words.extend([self.scopes[row.scope as usize], level(row.level), row.start]);
                self.place(row.place);
                self.words.extend([row.day.into(), row.from, row.to]);
                self.words.extend(row.counts);
            }),
            5 => changes.occupancy.iter().for_each(|row| {
                self.words.extend([self.scopes[row.scope as usize], row.minute]);
                self.place(row.place);
                self.words.extend([row.devices, row.connected]);
            }),
            6 => changes.flow.iter().for_each(|row| {
                self.words.extend([self.scopes[row.scope as usize], row.hour]);
                self.place(row.from);
                self.place(row.to);
                self.words.push(row.transitions);
            }),
            7 => changes.covered.iter().for_each(|row| {
                self.words.extend([self.scopes[row.scope as usize], level(row.level), row.start, row.minutes]);
            }),
            8 => changes.members_of.iter().for_each(|&scope| self.words.push(self.scopes[scope as usize])),
            _ => changes.members.iter().for_each(|row| {
                // Times that both databases have.
                let [since, until] = [row.since, row.until].map(|at| at.clamp(0, LATEST));
                self.words.extend([self.scopes[row.scope as usize], self.zones[row.zone as usize], row.ap.bits().cast_signed(), since, until]);
            }),
        }
        &self.words
    }

    fn session_key(&mut self, key: SessionKey) {
        self.words.extend([self.scopes[key.scope as usize], key.started_at, client(key.client)]);
    }

    fn place(&mut self, place: Place) {
        let id = match place {
            Place::Ap(ap) => ap.bits().cast_signed(),
            Place::Zone(zone) => self.zones[zone as usize],
            Place::Site | Place::Unlocated | Place::Outside => 0,
        };
        self.words.extend([place.kind().into(), id]);
    }
}

/// The number of a client in the database.
pub(crate) fn client(client: ClientId) -> i64 {
    client.0.cast_signed()
}

fn level(level: Level) -> i64 {
    match level {
        Level::Hour => 0,
        Level::Day => 1,
    }
}

/// Whose words a statement is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The table stands in `main`, and told rows in a virtual table.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// Told rows stand in a temporary table.
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Dialect {
    /// What is read of a told column.
    fn read(self, column: &Column) -> String {
        match (self, column.kind) {
            #[cfg(feature = "postgres")]
            (Self::Postgres, Kind::Time) => format!("to_timestamp(g.{}::float8)", column.name),
            #[cfg(feature = "postgres")]
            (Self::Postgres, Kind::Flag) => format!("(g.{} <> 0)", column.name),
            _ => format!("g.{}", column.name),
        }
    }

    fn table(self, table: &str) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => format!("main.{table}"),
            #[cfg(feature = "postgres")]
            Self::Postgres => table.to_owned(),
        }
    }
}

impl Shape {
    /// The statement that merges told rows.
    pub(crate) fn statement(&self, dialect: Dialect) -> String {
        let (table, told) = (dialect.table(self.table), self.told);
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let values: Vec<String> = self.columns.iter().map(|column| dialect.read(column)).collect();
        let keys = names[..self.key].join(", ");
        let mut sets: Vec<String> = Vec::new();
        match self.merge {
            Merge::Add { from } => {
                sets.extend(names[self.key..from].iter().map(|name| format!("{name} = excluded.{name}")));
                sets.extend(names[from..].iter().map(|name| format!("{name} = {}.{name} + excluded.{name}", self.table)));
                if self.table == "presence_count" {
                    // Its default: lengths may have changed.
                    sets.push("is_stale = excluded.is_stale".to_owned());
                }
            }
            Merge::Replace { rev } => {
                sets.extend(names[self.key..].iter().map(|name| format!("{name} = excluded.{name}")));
                if rev {
                    sets.push(format!("rev = {}.rev + 1", self.table));
                }
            }
            Merge::Delete { from } => return self.deletion(dialect, &table, &names, &values, from),
        }
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {told} g WHERE true ON CONFLICT ({keys}) DO UPDATE SET {}",
            names.join(", "),
            values.join(", "),
            sets.join(", ")
        )
    }

    fn deletion(&self, dialect: Dialect, table: &str, names: &[&str], values: &[String], from: bool) -> String {
        let last = names.len() - 1;
        let same: Vec<String> = names
            .iter()
            .zip(values)
            .enumerate()
            .map(|(at, (name, value))| format!("s.{name} {} {value}", if from && at == last { ">=" } else { "=" }))
            .collect();
        let same = same.join(" AND ");
        match dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("DELETE FROM {table} s USING {} g WHERE {same}", self.told),
            // The cross join keeps the order: each told key is looked up by the primary key.
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                let (keys, found) = (names.join(", "), names.join(", s."));
                format!("DELETE FROM {table} WHERE ({keys}) IN (SELECT s.{found} FROM {} g CROSS JOIN {table} s WHERE {same})", self.told)
            }
        }
    }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn time(name: &'static str) -> Column {
    Column { name, kind: Kind::Time }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: Kind::Flag }
}

/// In the order in which they must be merged: what is gone before what may take its place.
pub(crate) static SHAPES: [Shape; 10] = [
    Shape {
        what: "delete sessions",
        table: "presence_session",
        told: "told_session_gone",
        columns: &[number("scope"), time("started_at"), number("client")],
        key: 3,
        merge: Merge::Delete { from: false },
    },
    Shape {
        what: "delete stays",
        table: "presence_stay",
        told: "told_stay_gone",
        columns: &[number("scope"), time("visit_started_at"), number("client"), flag("in_zones"), number("number")],
        key: 5,
        merge: Merge::Delete { from: true },
    },
    Shape {
        what: "write sessions",
        table: "presence_session",
        told: "told_session",
        columns: &[
            number("scope"),
            time("started_at"),
            number("client"),
            number("visit_high"),
            number("visit_low"),
            time("ended_at"),
            number("minutes"),
            flag("is_visit"),
            number("identity"),
            time("connected_at"),
            flag("is_returning"),
            number("cut"),
            number("last_kind"),
            number("last_place"),
            time("last_since"),
        ],
        key: 3,
        merge: Merge::Replace { rev: true },
    },
    Shape {
        what: "write stays",
        table: "presence_stay",
        told: "told_stay",
        columns: &[
            number("scope"),
            time("visit_started_at"),
            number("client"),
            flag("in_zones"),
            number("number"),
            number("place_kind"),
            number("place"),
            time("started_at"),
            time("ended_at"),
            flag("is_measured"),
        ],
        key: 5,
        merge: Merge::Replace { rev: false },
    },
    Shape { what: "add to counts", table: "presence_count", told: "told_count", columns: &counted(), key: 5, merge: Merge::Add { from: FIXED } },
    Shape {
        what: "add to occupancy",
        table: "presence_occupancy",
        told: "told_occupancy",
        columns: &[number("scope"), time("minute"), number("place_kind"), number("place"), number("devices"), number("connected")],
        key: 4,
        merge: Merge::Add { from: 4 },
    },
    Shape {
        what: "add to flow",
        table: "presence_flow",
        told: "told_flow",
        columns: &[number("scope"), time("hour"), number("from_kind"), number("from_place"), number("to_kind"), number("to_place"), number("transitions")],
        key: 6,
        merge: Merge::Add { from: 6 },
    },
    Shape {
        what: "add to the minutes covered",
        table: "presence_covered",
        told: "told_covered",
        columns: &[number("scope"), number("level"), time("start_at"), number("minutes")],
        key: 3,
        merge: Merge::Add { from: 3 },
    },
    Shape {
        what: "delete members of zones",
        table: "presence_member",
        told: "told_member_gone",
        columns: &[number("scope")],
        key: 1,
        merge: Merge::Delete { from: false },
    },
    Shape {
        what: "write members of zones",
        table: "presence_member",
        told: "told_member",
        columns: &[number("scope"), number("zone"), number("ap"), time("since"), time("until")],
        key: 4,
        merge: Merge::Replace { rev: false },
    },
];

/// The end of the year 9999.
pub(crate) const LATEST: i64 = 253_402_300_799;

/// The columns of a count row before the counts.
const FIXED: usize = 8;

const fn counted() -> [Column; FIXED + COUNTS.len()] {
    let fixed = [number("scope"), number("level"), time("start_at"), number("place_kind"), number("place"), number("day"), time("opens_at"), time("closes_at")];
    let mut columns = [number(""); FIXED + COUNTS.len()];
    let mut at = 0;
    while at < FIXED {
        columns[at] = fixed[at];
        at += 1;
    }
    while at < columns.len() {
        columns[at] = number(COUNTS[at - FIXED]);
        at += 1;
    }
    columns
}
