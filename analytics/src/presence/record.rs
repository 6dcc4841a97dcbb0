//! What is known of one client at one site: its cells and hearings, and of longer ago what they left behind.

use store::mac::Mac;

use super::cell::{Best, Cell, Hearing, NEVER};
use super::profile::Profile;

/// Everything that one client's presence at one site is a function of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// In order of their minutes, each once.
    pub cells: Vec<Cell>,
    /// In order of hour and access point, each once.
    pub hearings: Vec<Hearing>,
    /// Whether the address is a random one.
    pub is_random: bool,
    /// What is left of cells that are gone; most clients have none.
    pub past: Option<Box<Past>>,
}

/// What is left of cells that are gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// Fixtures, in order of time, apart from each other and from all cells by more than the gap.
    pub fixtures: Vec<Span>,
    /// Local days, in order.
    pub days: Vec<DayMark>,
}

/// The run of a session that is too long for a visit: within it nothing matters any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First qualifying observation of the run, seconds since 1970.
    pub first: i64,
    /// First entering one.
    pub start: i64,
    /// Last qualifying one.
    pub end: i64,
}

/// What one local day leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DayMark {
    /// Days since 1970.
    pub day: i32,
    /// A bit per hour of the local day in which the client qualified.
    pub hours: u32,
    /// Whether a visit started on it.
    pub is_visited: bool,
}

/// An observation, as far as presence cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// Seconds since 1970.
    pub observed_at: i64,
    /// Who heard.
    pub ap: Mac,
    /// -120 to -1 dBm.
    pub rssi_dbm: i8,
    /// Whether the client was connected.
    pub is_associated: bool,
    /// Whether the client's address is a random one.
    pub is_random: bool,
}

impl Record {
    /// Takes an observation in; says whether it matters.
    pub fn observe(&mut self, told: &Told, profile: &Profile) -> bool {
        let Told { observed_at, ap, rssi_dbm, is_associated, is_random } = *told;
        let qualifies = profile.qualifies(rssi_dbm, is_associated);
        let is_heard = profile.hears(rssi_dbm, is_associated) && (!is_random || is_associated);
        let minute = observed_at.div_euclid(60);
        // Before 1970 and after the year 10000 nobody was heard.
        let Ok(minute_number) = u32::try_from(minute) else { return false };
        if !qualifies && !is_heard {
            return false;
        }
        // 0 to 59.
        let second = (observed_at - minute * 60) as u8;
        self.is_random |= is_random;
        if qualifies {
            let entering = if profile.enters(rssi_dbm, is_associated) { second } else { NEVER };
            let associated = if is_associated { second } else { NEVER };
            self.add_cell(Cell { minute: minute_number, first: second, last: second, entering, associated, best: Best::new(rssi_dbm, ap) });
        }
        let bit = 1 << (minute_number % 60);
        let [heard, associated] = [is_heard, qualifies && is_associated].map(|is| if is { bit } else { 0 });
        if heard | associated != 0 {
            self.add_hearing(Hearing { hour: minute_number / 60, ap, heard, associated });
        }
        true
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.hearings.is_empty() && self.past.is_none()
    }

    /// Bytes of memory held beside the record itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let past =
            self.past.as_ref().map_or(0, |past| size_of::<Past>() + past.fixtures.capacity() * size_of::<Span>() + past.days.capacity() * size_of::<DayMark>());
        self.cells.capacity() * size_of::<Cell>() + self.hearings.capacity() * size_of::<Hearing>() + past
    }

    /// Takes a cell in.
    pub fn add_cell(&mut self, cell: Cell) {
        match self.cells.last_mut() {
            Some(last) if last.minute == cell.minute => last.merge(cell),
            Some(last) if last.minute > cell.minute => match self.cells.binary_search_by_key(&cell.minute, |cell| cell.minute) {
                Ok(at) => self.cells[at].merge(cell),
                Err(at) => self.cells.insert(at, cell),
            },
            _ => self.cells.push(cell),
        }
    }

    /// Takes a hearing in.
    pub fn add_hearing(&mut self, hearing: Hearing) {
        match self.hearings.last_mut() {
            Some(last) if last.key() == hearing.key() => last.merge(hearing),
            Some(last) if last.key() > hearing.key() => match self.hearings.binary_search_by_key(&hearing.key(), Hearing::key) {
                Ok(at) => self.hearings[at].merge(hearing),
                Err(at) => self.hearings.insert(at, hearing),
            },
            _ => self.hearings.push(hearing),
        }
    }

    /// Takes cells and hearings of the other one in.
    pub fn merge(&mut self, other: &Self) {
        self.is_random |= other.is_random;
        other.cells.iter().for_each(|cell| self.add_cell(*cell));
        other.hearings.iter().for_each(|hearing| self.add_hearing(*hearing));
    }

    /// What of it was before a second and before a local day: fixtures that had begun, and marks of days.
    #[must_use]
    pub fn before(&self, second: i64, day: i32) -> Self {
        let past = self.past.as_deref().map(|past| Past {
            fixtures: past.fixtures.iter().filter(|span| span.start < second).copied().collect(),
            days: past.days.iter().filter(|mark| mark.day < day).copied().collect(),
        });
        Self { is_random: self.is_random, past: past.filter(|past| *past != Past::default()).map(Box::new), ..Self::default() }
    }

    /// Forgets cells and hearings, and keeps their memory.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.hearings.clear();
        self.past = None;
    }

    /// When the client was observed last, seconds since 1970; 0 when never.
    #[must_use]
    pub fn last_s(&self) -> i64 {
        let heard = self.hearings.last().map_or(0, |hearing| i64::from(hearing.hour) * 3_600 + 3_599);
        let qualified = self.cells.last().map_or(0, Cell::last_s);
        let fixture = self.past.as_ref().and_then(|past| past.fixtures.last()).map_or(0, |span| span.end);
        qualified.max(fixture).max(heard)
    }

    /// Appends the record for the store, compact; nothing of an empty one.
    pub fn pack(&self, bytes: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        bytes.reserve(16 + self.cells.len() * CELL_BYTES + self.hearings.len() * HEARING_BYTES);
        bytes.push(FORMAT);
        bytes.push(u8::from(self.is_random));
        put(bytes, self.cells.len());
        put(bytes, self.hearings.len());
        for cell in &self.cells {
            bytes.extend(cell.minute.to_le_bytes());
            bytes.extend([cell.first, cell.last, cell.entering, cell.associated]);
            bytes.extend(&cell.best.bits().to_le_bytes()[..7]);
        }
        for hearing in &self.hearings {
            bytes.extend(hearing.hour.to_le_bytes());
            bytes.extend(&hearing.ap.bits().to_le_bytes()[..6]);
            bytes.extend(&hearing.heard.to_le_bytes());
            bytes.extend(&hearing.associated.to_le_bytes());
        }
        if let Some(past) = &self.past {
            put(bytes, past.fixtures.len());
            put(bytes, past.days.len());
            for span in &past.fixtures {
                [span.first, span.start, span.end].iter().for_each(|time| bytes.extend(time.to_le_bytes()));
            }
            for mark in &past.days {
                bytes.extend(mark.day.to_le_bytes());
                bytes.extend((mark.hours << 1 | u32::from(mark.is_visited)).to_le_bytes());
            }
        }
    }

    /// The record that was packed; none when the bytes are none of ours.
    #[must_use]
    pub fn unpack(mut bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let [format, is_random] = take(&mut bytes)?;
        if format != FORMAT {
            return None;
        }
        let (cells, hearings) = (count(&mut bytes)?, count(&mut bytes)?);
        let mut record = Self { is_random: is_random != 0, ..Self::default() };
        for _ in 0..cells {
            let minute = u32::from_le_bytes(take(&mut bytes)?);
            let [first, last, entering, associated] = take(&mut bytes)?;
            let best = Best::from_bits(wide(take::<7>(&mut bytes)?));
            record.cells.push(Cell { minute, first, last, entering, associated, best });
        }
        for _ in 0..hearings {
            let hour = u32::from_le_bytes(take(&mut bytes)?);
            let ap = Mac::from_bits(wide(take::<6>(&mut bytes)?));
            let [heard, associated] = [u64::from_le_bytes(take(&mut bytes)?), u64::from_le_bytes(take(&mut bytes)?)];
            record.hearings.push(Hearing { hour, ap, heard, associated });
        }
        if !bytes.is_empty() {
            let (fixtures, days) = (count(&mut bytes)?, count(&mut bytes)?);
            let mut past = Past::default();
            for _ in 0..fixtures {
                let mut time = || take(&mut bytes).map(i64::from_le_bytes);
                past.fixtures.push(Span { first: time()?, start: time()?, end: time()? });
            }
            for _ in 0..days {
                let day = i32::from_le_bytes(take(&mut bytes)?);
                let bits = u32::from_le_bytes(take(&mut bytes)?);
                past.days.push(DayMark { day, hours: bits >> 1, is_visited: bits & 1 == 1 });
            }
            record.past = Some(Box::new(past));
        }
        bytes.is_empty().then_some(record)
    }
}

impl Past {
    /// Marks hours of a day, and a visit on it.
    pub fn mark(&mut self, day: i32, hours: u32, is_visited: bool) {
        match self.days.binary_search_by_key(&day, |mark| mark.day) {
            Ok(at) => {
                self.days[at].hours |= hours;
                self.days[at].is_visited |= is_visited;
            }
            Err(at) => self.days.insert(at, DayMark { day, hours, is_visited }),
        }
    }
}

fn put(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn count(bytes: &mut &[u8]) -> Option<usize> {
    take(bytes).and_then(|count| usize::try_from(u32::from_le_bytes(count)).ok())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn wide<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(wide)
}

const FORMAT: u8 = 1;
const CELL_BYTES: usize = 15;
const HEARING_BYTES: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let ap = Mac::from_bits(0x0200_0000_000a);
        let mut record = Record { is_random: true, ..Record::default() };
        for minute in [29_000_003, 29_000_001, 29_000_003] {
            record.add_cell(Cell { minute, first: 3, last: 40, entering: 7, associated: super::super::cell::NEVER, best: Best::new(-70, ap) });
        }
        record.add_hearing(Hearing { hour: 483_334, ap, heard: 5, associated: 4 });
        record.add_hearing(Hearing { hour: 483_333, ap, heard: 1 << 59, associated: 0 });
        record.add_hearing(Hearing { hour: 483_334, ap, heard: 2, associated: 0 });
        record
    }

    #[test]
    fn cells_and_hearings_stand_in_order_and_once() {
        let record = record();
        assert_eq!(record.cells.iter().map(|cell| cell.minute).collect::<Vec<_>>(), [29_000_001, 29_000_003]);
        assert_eq!(record.hearings.iter().map(|hearing| (hearing.hour, hearing.heard)).collect::<Vec<_>>(), [(483_333, 1 << 59), (483_334, 7)]);
    }

    fn packed(record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.pack(&mut bytes);
        bytes
    }

    #[test]
    fn what_is_packed_comes_back() {
        let mut record = record();
        assert_eq!(Record::unpack(&packed(&record)), Some(record.clone()));
        let mut past = Past { fixtures: vec![Span { first: 1, start: -2, end: 3 }], days: Vec::new() };
        past.mark(20_000, 1 << 24, false);
        past.mark(19_999, 3, true);
        past.mark(20_000, 1, true);
        record.past = Some(Box::new(past));
        let bytes = packed(&record);
        assert_eq!(Record::unpack(&bytes), Some(record));
        for cut in 1..bytes.len() {
            let read = Record::unpack(&bytes[..cut]);
            assert!(read.is_none() || read.is_some_and(|read| read.past.is_none()), "cut at {cut}");
        }
        assert_eq!(Record::unpack(&[]), Some(Record::default()));
    }
}
