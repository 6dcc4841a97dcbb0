//! The wire: the bytes of one post in, a [`Batch`] or a reason out. Pure: no clock, no socket, no log.
//!
//! A post's way: a form body of API version 1 is told from JSON (`form`), the JSON is read onto a tape (`tape`, with the cold road of
//! `repair`), the secret is found and compared (`envelope`), and only then the dialect (`v2`, `v3`) makes rows. Time and memory are
//! linear in the body, nothing recurses, and no input makes it panic.

mod cost;
mod dialect;
mod fast;
mod form;
mod repair;
mod rows;
mod secret;
mod tape;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;

use store::batch::Batch;

pub use cost::cost_bytes;
pub use secret::{Secret, Secrets};

use fast::Learned;
use form::Form;
use rows::{Rows, Work};
use tape::Memory;

/// What a post is judged by besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The receiver's configured name.
    pub receiver: &'a Arc<str>,
    /// What the post's secret is compared with.
    pub secrets: Secrets<'a>,
    /// When the post had arrived, milliseconds since 1970.
    pub received_at_ms: i64,
}

/// A post with the right secret.
#[derive(Debug)]
pub enum Parsed {
    /// A dialect that is understood.
    Post(Box<Batch>),
    /// Kept whole in quarantine, since its rows cannot be told.
    Unknown {
        /// Why: `v1`, `version`, `type`, `shape`, `no_ap` or `no_network`.
        reason: &'static str,
    },
}

/// Why nothing of a post is kept: the sender's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// The bytes are no JSON, or JSON that nobody may trust: too deep, or with a deciding member twice.
    #[error("read the post: {reason}")]
    NotJson {
        /// What is wrong, without any content.
        reason: &'static str,
    },
    /// No secret, or a wrong one.
    #[error("compare the secret: missing or wrong")]
    Secret,
}

impl Rejection {
    /// The reason's name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::Secret => "secret",
        }
    }
}

/// The largest body that is parsed at all, whatever the configured limit: positions and strings are counted in 32 bits, and repairs
/// may triple the bytes.
pub const BODY_BYTES_MAX: usize = 1 << 30;

/// Room that parsing needs behind a body in its buffer; a buffer without it is moved.
pub const PADDING: usize = 64;

/// The memory of parsing, used again from post to post: one per worker.
#[derive(Default)]
pub struct Parser {
    learned: Learned,
    memory: Memory,
    work: Work,
    decoded: Vec<u8>,
    spare: Option<Box<Batch>>,
}

impl Parser {
    /// Parses one body and, when it is authentic, blanks the secret's value in `body` with spaces, so that the bytes may be kept.
    ///
    /// `reuse` is an earlier batch whose memory serves again. Parsing the blanked bytes with [`Secrets::Trusted`] gives the same
    /// result. After an error `body` may stand in any state.
    ///
    /// # Errors
    /// A [`Rejection`] says why nothing may be kept. Verdicts come in this order: the size, the JSON, duplicates at the top level, the
    /// secret; what follows is [`Parsed::Unknown`] at worst.
    pub fn parse(&mut self, body: &mut Vec<u8>, context: &Context<'_>, reuse: Option<Box<Batch>>) -> Result<Parsed, Rejection> {
        match self.parse_fast(body, context, reuse) {
            Some(batch) => Ok(Parsed::Post(batch)),
            None => self.parse_slow(body, context),
        }
    }

    /// Tries the fast road alone, which takes no memory but the batch's own: the post's rows, with the secret's value blanked.
    ///
    /// `None` says nothing about the post. `body` is as it was, and [`Parser::parse_slow`] has to judge it.
    pub fn parse_fast(&mut self, body: &mut Vec<u8>, context: &Context<'_>, reuse: Option<Box<Batch>>) -> Option<Box<Batch>> {
        let mut batch = reuse.or(self.spare.take()).unwrap_or_default();
        let length = body.len();
        let mut secret_at = None;
        if length <= BODY_BYTES_MAX {
            begin(&mut batch, context);
            body.reserve_exact(PADDING);
            body.resize(length + PADDING, 0);
            secret_at = fast::parse(body, context.secrets, &mut Rows::new(&mut batch, &mut self.work), &mut self.learned);
            body.truncate(length);
        }
        match secret_at {
            Some(start) => {
                blank(body, start);
                Some(batch)
            }
            None => {
                self.spare = Some(batch);
                None
            }
        }
    }

    /// Parses by the second road, which reads everything and takes up to [`cost_bytes`] of memory for it. As [`Parser::parse`].
    ///
    /// # Errors
    /// As [`Parser::parse`].
    pub fn parse_slow(&mut self, body: &mut [u8], context: &Context<'_>) -> Result<Parsed, Rejection> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Rejection::NotJson { reason: "larger than any post" });
        }
        match Form::find(body)? {
            Some(form) => self.parse_form(body, &form, context),
            None => self.parse_json(body, context),
        }
    }

    /// Takes a batch whose memory serves again for the next post.
    pub fn give_back(&mut self, batch: Box<Batch>) {
        self.spare = Some(batch);
    }

    /// Bytes of memory held between posts, roughly; a pool drops a parser that one giant post has swollen.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes() + self.work.bytes() + self.decoded.capacity() + self.spare.as_ref().map_or(0, |batch| batch.memory_bytes())
    }

    fn parse_json(&mut self, body: &mut [u8], context: &Context<'_>) -> Result<Parsed, Rejection> {
        let mut batch = self.spare.take().unwrap_or_default();
        begin(&mut batch, context);
        let told = self.memory.parse(body, context.secrets, &mut Rows::new(&mut batch, &mut self.work));
        let outcome = told.and_then(|told| {
            blank_secret(body, told.secret_at, context.secrets)?;
            Ok(told.outcome)
        });
        match outcome {
            Ok(Ok(())) => Ok(Parsed::Post(batch)),
            Ok(Err(reason)) => {
                self.spare = Some(batch);
                Ok(Parsed::Unknown { reason })
            }
            Err(rejection) => {
                self.spare = Some(batch);
                Err(rejection)
            }
        }
    }

    /// Version 1 is authenticated and kept whole; its events are not read.
    fn parse_form(&mut self, body: &mut [u8], form: &Form, context: &Context<'_>) -> Result<Parsed, Rejection> {
        form.decode(body, &mut self.decoded)?;
        let secret_at = self.memory.secret_at(&self.decoded, context.secrets)?;
        if let Some(start) = secret_at {
            let end = string_end(&self.decoded, start);
            reject_repaired(&self.decoded[start..end], context.secrets)?;
            form.blank(body, start..end);
        }
        form.blank_fields(body);
        Ok(Parsed::Unknown { reason: "v1" })
    }
}

fn begin(batch: &mut Batch, context: &Context<'_>) {
    batch.clear();
    batch.receiver = Arc::clone(context.receiver);
    batch.received_at_ms = context.received_at_ms;
}

fn blank_secret(body: &mut [u8], secret_at: Option<usize>, secrets: Secrets<'_>) -> Result<(), Rejection> {
    let Some(start) = secret_at else { return Ok(()) };
    reject_repaired(&body[start..string_end(body, start)], secrets)?;
    blank(body, start);
    Ok(())
}

fn blank(body: &mut [u8], start: usize) {
    let end = string_end(body, start);
    body[start..end].fill(b' ');
}

/// A secret in which something was unreadable is wrong, even where U+FFFD would match: so its blanked bytes never needed a repair
/// that a replay would miss.
fn reject_repaired(raw: &[u8], secrets: Secrets<'_>) -> Result<(), Rejection> {
    if matches!(secrets, Secrets::Any(_)) && repair::spoils_string(raw) { Err(Rejection::Secret) } else { Ok(()) }
}

/// Where the JSON string that begins at `start`, after its quote, ends: at its closing quote.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}
