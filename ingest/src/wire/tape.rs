//! The second road: JSON on a tape, simd-json's flat list of nodes, and small helpers to walk it.
//!
//! It takes every body that the fast road leaves, however odd, and tells what is no JSON at all. What it tells is right by definition:
//! the fast road is held against it.

mod envelope;
mod v2;
mod v3;
mod values;

use std::mem;

use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use super::dialect::Dialect;
use super::rows::{Rows, Whole, coordinate};
use super::{Rejection, Secrets, repair};
use envelope::Envelope;

/// The memory that reading needs: a padded copy of the body, which unescaping writes into, and the tape over it.
pub(super) struct Memory {
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    longest: usize,
    #[cfg(test)]
    last_nodes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            copy: Vec::new(),
            buffers: Buffers::with_max_depth(0, DEPTH_MAX),
            tape: Tape(Vec::new()),
            longest: 0,
            #[cfg(test)]
            last_nodes: 0,
        }
    }
}

/// A document that was read.
pub(super) struct Document<'t> {
    /// The whole of it.
    pub(super) root: Value<'t>,
    /// Strings in which something unreadable was replaced before it could be read.
    pub(super) repaired: u32,
    source: &'t [u8],
    copied_to: usize,
    is_repaired: bool,
}

impl Document<'_> {
    /// Where a string of this document begins in the bytes that were given to [`Memory::read`].
    pub(super) fn place(&self, text: &str) -> usize {
        // Strings keep their beginning when they are unescaped in place.
        let place = text.as_ptr().addr().wrapping_sub(self.copied_to);
        if self.is_repaired { repair::place_before(self.source, place) } else { place }
    }
}

/// What an authentic body tells.
pub(super) struct Told {
    /// Where the secret's characters begin in the body, behind the quote.
    pub(super) secret_at: Option<usize>,
    /// Whether the rows could be told, or why not.
    pub(super) outcome: Result<(), &'static str>,
}

impl Memory {
    /// Parses a body into the rows, which must be empty.
    pub(super) fn parse(&mut self, body: &[u8], secrets: Secrets<'_>, rows: &mut Rows<'_>) -> Result<Told, Rejection> {
        self.read(body, |document| {
            let envelope = Envelope::read(&document, secrets)?;
            rows.batch.repaired = document.repaired;
            Ok(Told { secret_at: envelope.secret_at, outcome: read_rows(&envelope, rows) })
        })
    }

    /// Where the secret of a body stands whose rows are not wanted, if it is right.
    pub(super) fn secret_at(&mut self, body: &[u8], secrets: Secrets<'_>) -> Result<Option<usize>, Rejection> {
        self.read(body, |document| Ok(Envelope::read(&document, secrets)?.secret_at))
    }

    /// Reads JSON and walks it. What plain JSON forbids and the API sends nevertheless is repaired in a second attempt.
    fn read<T>(&mut self, body: &[u8], mut walk: impl FnMut(Document<'_>) -> Result<T, Rejection>) -> Result<T, Rejection> {
        self.copy.clear();
        // At once and exactly: the padding must not double what a large body takes.
        self.copy.reserve_exact(body.len() + INPUT_PADDING);
        self.copy.extend_from_slice(body);
        if let Some(outcome) = self.attempt(body, None, &mut walk) {
            return outcome;
        }
        let repairs = repair::repair(body, &mut self.copy);
        if repairs.is_empty() {
            return Err(Rejection::NotJson { reason: "no JSON, or deeper than 127 levels" });
        }
        self.attempt(body, Some(repairs.strings), &mut walk).unwrap_or(Err(Rejection::NotJson { reason: "no JSON, even repaired" }))
    }

    /// Bytes of memory held, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.copy.capacity() + self.longest + self.tape.0.capacity() * (size_of::<Node<'_>>() + size_of::<u32>())
    }

    /// What the last reading has written to, but for unescaping.
    #[cfg(test)]
    pub(super) fn written_bytes(&self) -> usize {
        self.copy.len() + size_of_val(self.buffers.structural_indexes()) + self.last_nodes * size_of::<Node<'_>>()
    }

    /// Reads the copy, or tells with `None` that it is no JSON.
    fn attempt<T>(
        &mut self,
        source: &[u8],
        repaired: Option<u32>,
        walk: &mut impl FnMut(Document<'_>) -> Result<T, Rejection>,
    ) -> Option<Result<T, Rejection>> {
        let length = self.copy.len();
        self.longest = self.longest.max(length);
        self.copy.resize(length + INPUT_PADDING, 0);
        let copied_to = self.copy.as_ptr().addr();
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = fill_tape_padded(&mut self.copy, length, &mut self.buffers, &mut tape);
        let outcome = filled
            .is_ok()
            .then(|| walk(Document { root: Value(&tape.0), repaired: repaired.unwrap_or(0), source, copied_to, is_repaired: repaired.is_some() }));
        #[cfg(test)]
        {
            self.last_nodes = tape.0.len();
        }
        self.tape = tape.reset();
        outcome
    }
}

fn read_rows(envelope: &Envelope<'_>, rows: &mut Rows<'_>) -> Result<(), &'static str> {
    match envelope.dialect()? {
        Dialect::V2(radio) => v2::read(rows, radio, envelope.data),
        Dialect::V3(radio) => v3::read(rows, radio, envelope.data),
    }
}

/// A JSON value with all that stands in it; the default is the absent value, which every reader below takes as nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Value<'t>(&'t [Node<'t>]);

impl<'t> Value<'t> {
    /// Whether there is no value at all, not even a null.
    pub(super) fn is_absent(self) -> bool {
        self.0.is_empty()
    }

    /// An object's members in the order they stand, or `None` when it is none. Keys may come twice.
    pub(super) fn members(self) -> Option<Members<'t>> {
        match self.0 {
            [Node::Object { .. }, rest @ ..] => Some(Members(rest)),
            _ => None,
        }
    }

    /// An array's elements, or `None` when it is none.
    pub(super) fn elements(self) -> Option<Elements<'t>> {
        match self.0 {
            [Node::Array { .. }, rest @ ..] => Some(Elements(rest)),
            _ => None,
        }
    }

    /// How many elements the array has; 0 when it is none.
    pub(super) fn length(self) -> usize {
        match self.0 {
            [Node::Array { len, .. }, ..] => *len,
            _ => 0,
        }
    }

    /// The string, or `None` when it is none.
    pub(super) fn string(self) -> Option<&'t str> {
        match self.0 {
            [Node::String(text)] => Some(text),
            _ => None,
        }
    }

    /// The finite number that a number or a string tells, and NaN for everything else. Minus zero is zero: rows that are equal in
    /// SQL are equal in bits.
    pub(super) fn number(self) -> f64 {
        let number = match self.0 {
            [Node::Static(StaticNode::F64(number))] => *number,
            [Node::Static(StaticNode::I64(number))] => *number as f64,
            [Node::Static(StaticNode::U64(number))] => *number as f64,
            [Node::String(text)] => text.parse().unwrap_or(f64::NAN),
            _ => f64::NAN,
        };
        coordinate(number)
    }

    /// What stands where a whole number belongs.
    pub(super) fn whole(self) -> Whole {
        match self.0 {
            [Node::Static(StaticNode::I64(number))] => Whole::Number(*number),
            [Node::Static(StaticNode::U64(number))] => i64::try_from(*number).map_or(Whole::Unreadable, Whole::Number),
            [Node::Static(StaticNode::F64(_))] => whole_float(self.number()),
            [Node::String("")] => Whole::Absent,
            [Node::String(text)] => text.parse().map_or_else(|_| whole_float(self.number()), Whole::Number),
            _ => Whole::Absent,
        }
    }
}

fn whole_float(number: f64) -> Whole {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if number.trunc() == number && number.abs() < LIMIT { Whole::Number(number as i64) } else { Whole::Unreadable }
}

/// The members of an object.
#[derive(Clone)]
pub(super) struct Members<'t>(&'t [Node<'t>]);

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, Value<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        let [Node::String(key), rest @ ..] = self.0 else { return None };
        let (value, rest) = split_first(rest)?;
        self.0 = rest;
        Some((key, value))
    }
}

/// The elements of an array.
#[derive(Clone)]
pub(super) struct Elements<'t>(&'t [Node<'t>]);

impl<'t> Iterator for Elements<'t> {
    type Item = Value<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        let (value, rest) = split_first(self.0)?;
        self.0 = rest;
        Some(value)
    }
}

fn split_first<'t>(nodes: &'t [Node<'t>]) -> Option<(Value<'t>, &'t [Node<'t>])> {
    let span = match nodes.first()? {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    };
    let (value, rest) = nodes.split_at_checked(span)?;
    Some((Value(value), rest))
}

/// Levels of objects and arrays, the document's own included; `serde_json` draws the same line.
const DEPTH_MAX: usize = 127;
