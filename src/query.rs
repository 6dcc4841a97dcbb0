//! `footfall query`: one read-only statement, printed as a table, CSV or JSON.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use store::query::{Cell, QueryError, Sink};

use crate::cli::{Format, Query};
use crate::config_command;
use crate::failure::{Code, Failure};

/// Asks, and prints the answer to standard output.
pub(crate) async fn run(arguments: &Query) -> Result<(), Failure> {
    let (config, _) = config_command::load(arguments.at.config.as_deref())?;
    let mut printer = Printer::new(arguments.format);
    let asked = store::query::query(config.database.reveal(), &arguments.sql, &mut printer).await;
    match asked.and_then(|()| printer.finish().map_err(QueryError::Sink)) {
        // Whoever reads the rows has seen enough.
        Err(QueryError::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Ok(()) => Ok(()),
        Err(error) => Err(failure(&error, &config.database.address_shown())),
    }
}

pub(crate) fn failure(error: &QueryError, database: &str) -> Failure {
    match error {
        QueryError::Url(_) => Failure::new(Code::Usage, format!("database: {error}")),
        QueryError::Unreachable(_) => {
            Failure::new(Code::Unavailable, format!("{database}: {error}; is the database running, and has footfall made its tables (footfall migrate)?"))
        }
        QueryError::Refused(_) => Failure::new(
            Code::Usage,
            format!("{error}; the views are observations, locations, access_points, clients, posts, visits, stays, occupancy, hourly, daily, flow and now"),
        ),
        QueryError::Sink(_) => Failure::new(Code::Io, error.to_string()),
    }
}

/// Rows gathered for a caller that wants them all.
#[derive(Default)]
pub(crate) struct Rows(pub(crate) Vec<Vec<Cell>>);

impl Sink for Rows {
    fn columns(&mut self, _names: Vec<String>) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        self.0.push(cells);
        Ok(())
    }
}

/// Prints rows as they come; a table alone waits for all, because its widths depend on them.
enum Printer {
    Table(Table),
    Csv(csv::Writer<io::Stdout>),
    Json { out: io::BufWriter<io::Stdout>, names: Vec<String>, rows: u64 },
}

impl Printer {
    fn new(format: Format) -> Self {
        match format {
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
                Self::Table(table)
            }
            Format::Csv => Self::Csv(csv::Writer::from_writer(io::stdout())),
            Format::Json => Self::Json { out: io::BufWriter::new(io::stdout()), names: Vec::new(), rows: 0 },
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Table(table) => writeln!(io::stdout(), "{table}"),
            Self::Csv(mut csv) => csv.flush(),
            Self::Json { mut out, rows, .. } => {
                out.write_all(if rows == 0 { b"[]\n" } else { b"\n]\n" })?;
                out.flush()
            }
        }
    }
}

impl Sink for Printer {
    fn columns(&mut self, columns: Vec<String>) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                table.set_header(columns);
            }
            Self::Csv(csv) => csv.write_record(&columns)?,
            Self::Json { names, .. } => *names = columns,
        }
        Ok(())
    }

    fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                table.add_row(cells.iter().map(shown));
            }
            Self::Csv(csv) => csv.write_record(cells.iter().map(text))?,
            Self::Json { out, names, rows } => {
                out.write_all(if *rows == 0 { b"[\n  " } else { b",\n  " })?;
                *rows += 1;
                // Members stand in the order of the columns.
                let mut serializer = serde_json::Serializer::new(out);
                let mut object = serializer.serialize_map(Some(names.len()))?;
                for (name, cell) in names.iter().zip(cells) {
                    object.serialize_entry(name, &json(cell))?;
                }
                object.end()?;
            }
        }
        Ok(())
    }
}

/// The value as CSV has it: null is empty.
pub(crate) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(value) => value.to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Number(value) => value.to_string(),
        Cell::Decimal(text) | Cell::Json(text) | Cell::Text(text) => text.clone(),
    }
}

/// The value as a terminal may show it: names of networks and devices come from strangers, and must not steer the terminal.
fn shown(cell: &Cell) -> String {
    text(cell).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn json(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => value.into(),
        Cell::Integer(value) => value.into(),
        // What JSON has no number for stays text.
        Cell::Number(value) => serde_json::Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number),
        Cell::Decimal(text) => text.parse().map_or(Value::String(text), Value::Number),
        Cell::Json(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Cell::Text(text) => Value::String(text),
    }
}
