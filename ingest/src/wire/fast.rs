//! The first road: one pass over the body, for what the cloud sends every minute.
//!
//! No tree and no tape: the order of members is learned from the objects before ([`keys`]), strings, digits and addresses are read 16 and
//! 32 bytes at a time ([`kernel`]), and rows are written as they are read ([`v2`], [`v3`]). Whatever this road does not own makes it
//! answer `None`: a duplicate key, an odd type, a broken escape, a row to be discarded, a wrong secret. Then the body is untouched and the
//! second road reads it from the beginning. What this road does read, it reads exactly as the second one does.

mod address;
mod clock;
mod envelope;
mod kernel;
mod keys;
mod number;
mod place;
mod scan;
mod skip;
mod text;
mod unescape;
mod v2;
mod v3;

use super::Secrets;
use super::rows::Rows;
use kernel::{Kernel, Work};
use scan::Scan;

/// What is learned from post to post. It decides about speed and about nothing else.
#[derive(Default)]
pub(super) struct Learned {
    top: keys::Order,
    v2: v2::Orders,
    v3: v3::Orders,
    day: clock::Day,
}

/// Parses a body that ends in [`super::PADDING`] zeros: where its secret begins, or `None` when the second road must be taken. The rows hold
/// anything then.
pub(super) fn parse(padded: &[u8], secrets: Secrets<'_>, rows: &mut Rows<'_>, learned: &mut Learned) -> Option<usize> {
    kernel::run(Post { padded, secrets, rows, learned })
}

/// A post to be parsed, on whichever kernel.
struct Post<'p, 'r> {
    padded: &'p [u8],
    secrets: Secrets<'p>,
    rows: &'p mut Rows<'r>,
    learned: &'p mut Learned,
}

impl<K: Kernel> Work<K> for Post<'_, '_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run(self, kernel: K) -> Option<usize> {
        let mut scan = Scan::new(self.padded, kernel)?;
        let secret = envelope::read(&mut scan, self.secrets, self.rows, self.learned)?;
        // A string of the body, so that this cannot wrap.
        Some(secret.as_ptr().addr() - self.padded.as_ptr().addr())
    }
}
