//! COPY BINARY by an encoder of our own: one reused buffer, a template per row, big-endian stores at constant offsets.

use std::time::Duration;

use sqlx::PgConnection;

use super::STEP_TIMEOUT;
use super::error::step;
use super::partition::{Day, Partitions};
use crate::dictionary::Resolved;
use crate::group::{LocationRow, ObservationRow};
use crate::writer::{Class, WriteError};

/// Encodes rows and sends them. The buffer's memory is kept from one COPY to the next.
#[derive(Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Copies observations, each into the partition of its day.
    pub(super) async fn observations(
        &mut self,
        connection: &mut PgConnection,
        rows: &[ObservationRow],
        resolved: &Resolved,
        partitions: &Partitions,
    ) -> Result<(), WriteError> {
        let targets = targets(rows.iter().map(|row| row.received_at_ms), partitions);
        for &target in &targets {
            let table = partitions.table("observation", target);
            let statement = format!("COPY {table} (observed_at, received_at, client, source, rssi, ssid) FROM STDIN (FORMAT binary)");
            let rows = rows.iter().filter(|row| targets.len() == 1 || partitions.target(row.received_at_ms) == target);
            self.copy(connection, "copy observations", &statement, rows, |bytes, row| {
                observation(bytes, row, resolved.known_source(row.source)?, resolved.text(row.ssid));
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Copies locations, each into the partition of its day.
    pub(super) async fn locations(
        &mut self,
        connection: &mut PgConnection,
        rows: &[LocationRow],
        resolved: &Resolved,
        partitions: &Partitions,
    ) -> Result<(), WriteError> {
        let targets = targets(rows.iter().map(|row| row.received_at_ms), partitions);
        for &target in &targets {
            let table = partitions.table("location", target);
            let statement = format!(
                "COPY {table} (observed_at, received_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m) \
                 FROM STDIN (FORMAT binary)"
            );
            let rows = rows.iter().filter(|row| targets.len() == 1 || partitions.target(row.received_at_ms) == target);
            self.copy(connection, "copy locations", &statement, rows, |bytes, row| {
                let plan = [resolved.text(row.floor_plan), resolved.text(row.floor_plan_name)];
                location(bytes, row, resolved.known_source(row.source)?, plan);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Copies rows by a statement; `encode` appends one row.
    pub(super) async fn copy<'a, R: 'a>(
        &mut self,
        connection: &mut PgConnection,
        what: &str,
        statement: &str,
        rows: impl Iterator<Item = &'a R>,
        mut encode: impl FnMut(&mut Vec<u8>, &R) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(HEADER);
        let mut copy = step(what, STEP_TIMEOUT, connection.copy_in_raw(statement)).await?;
        let mut encoded: u64 = 0;
        for row in rows {
            encode(bytes, row)?;
            encoded += 1;
            if bytes.len() >= CHUNK_BYTES {
                step(what, SEND_TIMEOUT, copy.send(bytes.as_slice())).await?;
                bytes.clear();
            }
        }
        bytes.extend_from_slice(&TRAILER);
        step(what, SEND_TIMEOUT, copy.send(bytes.as_slice())).await?;
        let copied = step(what, STEP_TIMEOUT, copy.finish()).await?;
        if copied == encoded { Ok(()) } else { Err(WriteError::new(Class::Retry, format!("{what}: {encoded} rows were sent and {copied} arrived"))) }
    }
}

/// The distinct targets of rows, which are mostly one.
pub(super) fn targets(received: impl Iterator<Item = i64>, partitions: &Partitions) -> Vec<Option<Day>> {
    let mut targets = Vec::new();
    let mut last = None;
    for received_at_ms in received {
        let day = Day::of_ms(received_at_ms);
        if last == Some(day) {
            continue;
        }
        last = Some(day);
        let target = partitions.target(received_at_ms);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

/// One row, value by value: for tables whose rows are few beside the observations.
pub(super) struct Tuple<'b>(&'b mut Vec<u8>);

impl<'b> Tuple<'b> {
    /// Begins a row of so many columns.
    pub(super) fn new(bytes: &'b mut Vec<u8>, columns: i16) -> Self {
        bytes.extend_from_slice(&columns.to_be_bytes());
        Self(bytes)
    }

    pub(super) fn int2(&mut self, value: i16) {
        self.value(&value.to_be_bytes());
    }

    pub(super) fn int4(&mut self, value: i32) {
        self.value(&value.to_be_bytes());
    }

    pub(super) fn int8(&mut self, value: i64) {
        self.value(&value.to_be_bytes());
    }

    pub(super) fn optional_int8(&mut self, value: Option<i64>) {
        self.optional(value.map(i64::to_be_bytes));
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.value(value);
    }

    pub(super) fn boolean(&mut self, value: Option<bool>) {
        self.optional(value.map(|value| [u8::from(value)]));
    }

    pub(super) fn float8(&mut self, value: Option<f64>) {
        self.optional(value.map(f64::to_be_bytes));
    }

    /// Also for json, which is sent as its text.
    pub(super) fn text(&mut self, value: Option<&str>) {
        self.optional(value.map(str::as_bytes));
    }

    /// Whole seconds since 1970.
    pub(super) fn time(&mut self, value: Option<i64>) {
        self.optional(value.map(|seconds| postgres_micros(seconds, MICROS_PER_SECOND).to_be_bytes()));
    }

    fn optional(&mut self, value: Option<impl AsRef<[u8]>>) {
        match value {
            Some(value) => self.value(value.as_ref()),
            None => self.0.extend_from_slice(&NULL),
        }
    }

    fn value(&mut self, value: &[u8]) {
        // A string is bounded by its post, and a post by 1 GiB.
        self.0.extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.0.extend_from_slice(value);
    }
}

/// Appends an observation.
fn observation(bytes: &mut Vec<u8>, row: &ObservationRow, source: i32, ssid: Option<i32>) {
    let mut tuple = OBSERVATION;
    head(&mut tuple, row.observed_at, row.received_at_ms, row.client.0, source);
    tuple[50..52].copy_from_slice(&i16::from(row.rssi_dbm).to_be_bytes());
    match ssid {
        Some(id) => {
            tuple[56..60].copy_from_slice(&id.to_be_bytes());
            bytes.extend_from_slice(&tuple);
        }
        None => {
            tuple[52..56].copy_from_slice(&NULL);
            bytes.extend_from_slice(&tuple[..56]);
        }
    }
}

/// Appends a location. `plan` is the floor plan's id and name.
fn location(bytes: &mut Vec<u8>, row: &LocationRow, source: i32, plan: [Option<i32>; 2]) {
    let mut tuple = LOCATION_HEAD;
    head(&mut tuple, row.observed_at, row.received_at_ms, row.client.0, source);
    bytes.extend_from_slice(&tuple);
    for id in plan {
        match id {
            Some(id) => {
                bytes.extend_from_slice(&4_i32.to_be_bytes());
                bytes.extend_from_slice(&id.to_be_bytes());
            }
            None => bytes.extend_from_slice(&NULL),
        }
    }
    for number in [row.x_m, row.y_m, row.lat, row.lng, row.uncertainty_m] {
        if number.is_nan() {
            bytes.extend_from_slice(&NULL);
        } else {
            bytes.extend_from_slice(&8_i32.to_be_bytes());
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Stores the four columns that both tables begin with.
fn head(tuple: &mut [u8], observed_at: i64, received_at_ms: i64, client: u64, source: i32) {
    tuple[6..14].copy_from_slice(&postgres_micros(observed_at, MICROS_PER_SECOND).to_be_bytes());
    tuple[18..26].copy_from_slice(&postgres_micros(received_at_ms, MICROS_PER_MILLI).to_be_bytes());
    tuple[30..38].copy_from_slice(&client.to_be_bytes());
    tuple[42..46].copy_from_slice(&source.to_be_bytes());
}

/// A time since 1970 in Postgres's microseconds since 2000. One that does not fit becomes a value that Postgres refuses as out of
/// range, and not one of the two that mean infinity.
fn postgres_micros(since_1970: i64, micros_per_unit: i64) -> i64 {
    since_1970.saturating_mul(micros_per_unit).saturating_sub(EPOCH_MICROS).clamp(i64::MIN + 1, i64::MAX - 1)
}

/// A time of Postgres in microseconds since 1970.
pub(super) fn unix_micros(postgres: i64) -> i64 {
    postgres.saturating_add(EPOCH_MICROS)
}

/// The row of an observation, with the number of columns and each column's length filled in.
const OBSERVATION: [u8; 60] = {
    let mut tuple = [0; 60];
    let lengths: [(usize, u8); 7] = [(1, 6), (5, 8), (17, 8), (29, 8), (41, 4), (49, 2), (55, 4)];
    let mut at = 0;
    while at < lengths.len() {
        tuple[lengths[at].0] = lengths[at].1;
        at += 1;
    }
    tuple
};

/// The row of a location as far as its widths are fixed.
const LOCATION_HEAD: [u8; 46] = {
    let mut tuple = [0; 46];
    let lengths: [(usize, u8); 5] = [(1, 11), (5, 8), (17, 8), (29, 8), (41, 4)];
    let mut at = 0;
    while at < lengths.len() {
        tuple[lengths[at].0] = lengths[at].1;
        at += 1;
    }
    tuple
};

/// Signature, flags and the length of the header's extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// The length that stands for null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// 2000-01-01 in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800 * MICROS_PER_SECOND;
pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_MILLI: i64 = 1_000;
/// Of one CopyData message.
const CHUNK_BYTES: usize = 192 * 1024;
/// For one message to leave; the server reads as fast as it writes rows.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientId;
    use crate::texts::Text;

    /// The columns of one encoded row; none for null.
    fn columns(mut bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let take = |bytes: &mut &[u8], n: usize| {
            let (head, tail) = bytes.split_at(n);
            *bytes = tail;
            head.to_vec()
        };
        let count = i16::from_be_bytes(take(&mut bytes, 2).try_into().unwrap());
        let columns = (0..count).map(|_| {
            let length = i32::from_be_bytes(take(&mut bytes, 4).try_into().unwrap());
            usize::try_from(length).ok().map(|length| take(&mut bytes, length))
        });
        let columns = columns.collect();
        assert!(bytes.is_empty());
        columns
    }

    #[test]
    fn an_observation_is_six_columns() {
        let row = ObservationRow {
            observed_at: 946_684_801,
            received_at_ms: 946_684_800_002,
            client: ClientId(0xf000_0000_0000_0001),
            source: 0,
            ssid: Text::NONE,
            rssi_dbm: -67,
            address: crate::group::Address::Global,
        };
        let mut bytes = Vec::new();
        observation(&mut bytes, &row, 7, Some(9));
        let head = [
            Some(1_000_000_i64.to_be_bytes().to_vec()),
            Some(2_000_i64.to_be_bytes().to_vec()),
            Some(0xf000_0000_0000_0001_u64.to_be_bytes().to_vec()),
            Some(7_i32.to_be_bytes().to_vec()),
            Some((-67_i16).to_be_bytes().to_vec()),
        ];
        assert_eq!(columns(&bytes), [&head[..], &[Some(9_i32.to_be_bytes().to_vec())]].concat());
        bytes.clear();
        observation(&mut bytes, &row, 7, None);
        assert_eq!(columns(&bytes), [&head[..], &[None]].concat());
    }

    #[test]
    fn a_location_is_eleven_columns_and_nan_is_null() {
        let row = LocationRow {
            observed_at: 0,
            received_at_ms: 0,
            client: ClientId(1),
            source: 0,
            floor_plan: Text::NONE,
            floor_plan_name: Text::NONE,
            x_m: 1.5,
            y_m: -2.0,
            lat: f64::NAN,
            lng: f64::NAN,
            uncertainty_m: 0.0,
        };
        let mut bytes = Vec::new();
        location(&mut bytes, &row, 7, [Some(1), None]);
        let columns = columns(&bytes);
        assert_eq!(columns.len(), 11);
        assert_eq!(columns[4..6], [Some(1_i32.to_be_bytes().to_vec()), None]);
        assert_eq!(columns[6..9], [Some(1.5_f64.to_be_bytes().to_vec()), Some((-2.0_f64).to_be_bytes().to_vec()), None]);
        assert_eq!(columns[10], Some(0.0_f64.to_be_bytes().to_vec()));
    }

    #[test]
    fn no_time_becomes_infinity() {
        for time in [i64::MIN, i64::MAX] {
            let micros = postgres_micros(time, MICROS_PER_SECOND);
            assert!(micros != i64::MIN && micros != i64::MAX);
        }
        assert_eq!(unix_micros(postgres_micros(5, MICROS_PER_SECOND)), 5_000_000);
    }
}
