//! Rows on their way back from a store: gathers them into chunks for [`crate::writer::Store::recent`].

use std::collections::HashMap;

use crate::client::ClientId;
use crate::dictionary::radio_of;
use crate::group::{Address, Group, LocationRow, ObservationRow, Source};
use crate::mac::Mac;
use crate::texts::Text;
use crate::writer::{Class, WriteError};

/// A source as it is stored.
pub(crate) struct StoredSource {
    pub(crate) receiver: String,
    pub(crate) network: Option<String>,
    pub(crate) ap: Option<i64>,
    pub(crate) radio: i16,
}

/// The kind of address that the client's row tells; a maker's when there is none.
pub(crate) fn address(is_random: Option<bool>, is_group: Option<bool>, is_excluded: Option<bool>) -> Address {
    match (is_excluded, is_group, is_random) {
        (Some(true), ..) => Address::Excluded,
        (_, Some(true), _) => Address::Group,
        (.., Some(true)) => Address::Local,
        _ => Address::Global,
    }
}

/// Fills one reused group and hands it over whenever it is full.
pub(crate) struct Readback<'a> {
    sources: HashMap<i32, StoredSource>,
    each: &'a mut (dyn FnMut(&Group) + Send),
    group: Group,
    /// Where a stored source stands in the group.
    places: HashMap<i32, u32>,
}

impl<'a> Readback<'a> {
    pub(crate) fn new(sources: HashMap<i32, StoredSource>, each: &'a mut (dyn FnMut(&Group) + Send)) -> Self {
        Self { sources, each, group: Group::default(), places: HashMap::new() }
    }

    /// Takes a stored observation.
    pub(crate) fn observation(&mut self, row: ObservationRow, source: i32, ssid: Option<&str>) -> Result<(), WriteError> {
        let (source, ssid) = (self.place(source)?, self.text(ssid));
        self.group.observations.push(ObservationRow { source, ssid, ..row });
        self.hand_over_when_full();
        Ok(())
    }

    /// Takes a stored location.
    pub(crate) fn location(&mut self, row: LocationRow, source: i32, plan: Option<&str>, plan_name: Option<&str>) -> Result<(), WriteError> {
        let (source, floor_plan, floor_plan_name) = (self.place(source)?, self.text(plan), self.text(plan_name));
        self.group.locations.push(LocationRow { source, floor_plan, floor_plan_name, ..row });
        self.hand_over_when_full();
        Ok(())
    }

    /// Hands over what is left.
    pub(crate) fn finish(mut self) {
        self.hand_over();
    }

    fn text(&mut self, text: Option<&str>) -> Text {
        text.map_or(Text::NONE, |text| self.group.texts.intern(text))
    }

    fn place(&mut self, source: i32) -> Result<u32, WriteError> {
        if let Some(&place) = self.places.get(&source) {
            return Ok(place);
        }
        let stored = self.sources.get(&source).ok_or_else(|| WriteError::new(Class::Retry, "read back recent rows: a row names an unknown source"))?;
        let texts = &mut self.group.texts;
        let row = Source {
            receiver: texts.intern(&stored.receiver),
            network: stored.network.as_deref().map_or(Text::NONE, |network| texts.intern(network)),
            ap: stored.ap.map(|bits| Mac::from_bits(bits.cast_unsigned())),
            radio: radio_of(stored.radio),
        };
        let place = u32::try_from(self.group.sources.len()).unwrap_or(u32::MAX);
        self.group.sources.push(row);
        self.places.insert(source, place);
        Ok(place)
    }

    fn hand_over_when_full(&mut self) {
        if self.group.observations.len() + self.group.locations.len() >= CHUNK_ROWS {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.group.observations.is_empty() && self.group.locations.is_empty() {
            return;
        }
        (self.each)(&self.group);
        self.group.texts.clear();
        self.group.sources.clear();
        self.group.observations.clear();
        self.group.locations.clear();
        self.places.clear();
    }
}

/// A client from its stored bits.
pub(crate) fn client(bits: i64) -> ClientId {
    ClientId(bits.cast_unsigned())
}

/// A signal strength as stored; the writer stores none that does not fit.
pub(crate) fn rssi(stored: i16) -> i8 {
    i8::try_from(stored).unwrap_or(i8::MIN)
}

/// Rows of a chunk.
const CHUNK_ROWS: usize = 10_000;
