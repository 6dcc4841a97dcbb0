//! Values of the tape as parts of rows.

use store::batch::Discard;
use store::mac::Mac;
use store::texts::Text;

use super::Value;
use crate::wire::rows::{self, Rows, Whole};
use crate::wire::time;

impl Rows<'_> {
    /// A string that is kept: none when it is empty, null or of another type.
    pub(super) fn text(&mut self, value: Value<'_>) -> Text {
        value.string().map_or(Text::NONE, |text| self.intern(text))
    }

    /// Tags as a JSON array without empty ones; none when the value is no array.
    pub(super) fn tags_of(&mut self, value: Value<'_>) -> Text {
        value.elements().map_or(Text::NONE, |elements| self.tags(elements.filter_map(Value::string)))
    }

    /// A time of a row that stands as text.
    pub(super) fn time_text(&self, value: Value<'_>) -> Result<i64, Discard> {
        self.time(value.string().and_then(time::seconds))
    }

    /// The name that a Bluetooth device gives itself, if it tells one.
    pub(super) fn device_name_of(&mut self, value: Value<'_>) -> Text {
        value.string().map_or(Text::NONE, |name| self.device_name(name))
    }
}

/// A device's address.
pub(super) fn mac(value: Value<'_>) -> Result<Mac, Discard> {
    value.string().and_then(Mac::parse).ok_or(Discard::Mac)
}

/// A signal strength that is told in dBm, or above a floor that counts as `floor` dBm.
pub(super) fn dbm(value: Value<'_>, floor: Option<i64>) -> Result<i8, Discard> {
    let Whole::Number(told) = value.whole() else { return Err(Discard::Scale) };
    rows::dbm(told, floor)
}

/// Both coordinates, or neither.
pub(super) fn pair(first: Value<'_>, second: Value<'_>) -> (f64, f64) {
    rows::both(first.number(), second.number())
}

/// Metres of uncertainty: the cloud's negative ones are zero.
pub(super) fn uncertainty(value: Value<'_>) -> f64 {
    rows::not_negative(value.number())
}
