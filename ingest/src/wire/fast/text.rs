//! Strings that become part of rows.

use store::texts::Text;

use super::kernel::Kernel;
use super::scan::{Elements, Raw, Scan};
use super::{skip, unescape};
use crate::wire::rows::Rows;

impl<'b, K: Kernel> Scan<'b, K> {
    /// Reads a string or null, to be kept: none when it is empty or null.
    #[inline(always)]
    pub(super) fn text(&mut self, rows: &mut Rows<'_>) -> Option<Text> {
        match self.text_or_null()? {
            None => Some(Text::NONE),
            Some(Raw::Plain(text)) => Some(rows.intern_plain(text)),
            Some(Raw::Escaped(text)) => unescaped(text, rows, Rows::intern),
        }
    }

    /// Reads the name of a device or null.
    #[inline(always)]
    pub(super) fn device_name(&mut self, rows: &mut Rows<'_>) -> Option<Text> {
        match self.text_or_null()? {
            None => Some(Text::NONE),
            Some(Raw::Plain(name)) => Some(rows.device_name(name)),
            Some(Raw::Escaped(name)) => unescaped(name, rows, Rows::device_name),
        }
    }

    /// Reads an address, perhaps with a host name before it, or null: both as they are kept.
    #[inline(always)]
    pub(super) fn host_and_address(&mut self, rows: &mut Rows<'_>) -> Option<(Text, Text)> {
        match self.text_or_null()? {
            None => Some((Text::NONE, Text::NONE)),
            Some(Raw::Plain(text)) => Some(rows.host_and_address(text)),
            Some(Raw::Escaped(text)) => unescaped(text, rows, Rows::host_and_address),
        }
    }

    #[inline(always)]
    fn text_or_null(&mut self) -> Option<Option<Raw<'b>>> {
        if self.peek() == b'"' { self.string().map(Some) } else { self.null().then_some(None) }
    }

    /// Reads an array of tags or null: as it is kept, a JSON array without empty ones.
    pub(super) fn tags(&mut self, rows: &mut Rows<'_>) -> Option<Text> {
        if self.null() {
            return Some(Text::NONE);
        }
        let json = &mut rows.work.mended;
        json.clear();
        json.push('[');
        let mut tags = Elements::new();
        while tags.next(self)? {
            // A string without escapes needs none in the array that is kept.
            let tag = self.plain()?;
            if !tag.is_empty() {
                json.push_str(if json.len() > 1 { ",\"" } else { "\"" });
                json.push_str(tag);
                json.push('"');
            }
        }
        json.push(']');
        Some(rows.batch.texts.intern(json))
    }

    /// Passes over an array of strings.
    #[inline(always)]
    pub(super) fn strings(&mut self) -> Option<()> {
        let mut strings = Elements::new();
        while strings.next(self)? {
            skip::string(self)?;
        }
        Some(())
    }
}

/// Keeps of an escaped string what is to be kept of it.
#[cold]
fn unescaped<'b, T>(escaped: &str, rows: &mut Rows<'b>, keep: impl FnOnce(&mut Rows<'b>, &str) -> T) -> Option<T> {
    let mut text = std::mem::take(&mut rows.work.mended);
    let kept = unescape::write(escaped, &mut text).map(|()| keep(rows, &text));
    rows.work.mended = text;
    kept
}
