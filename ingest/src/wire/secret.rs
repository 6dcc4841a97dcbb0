//! Shared secrets: kept out of logs, wiped when dropped, compared in constant time.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A receiver's shared secret. `Debug` hides it, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the secret over.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a post's secret is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Secrets<'a> {
    /// It must equal one of these; with none, no post is authentic.
    Any(&'a [Secret]),
    /// The post was authenticated before it was kept, and its secret is blank.
    Trusted,
}

impl Secrets<'_> {
    /// Whether the secret is right. Every configured secret is compared, whichever matches; the time tells lengths at most.
    pub(super) fn accept(&self, told: &str) -> bool {
        match self {
            Self::Any(secrets) => {
                let right = secrets.iter().fold(Choice::from(0), |right, secret| right | secret.0.as_bytes().ct_eq(told.as_bytes()));
                right.into()
            }
            Self::Trusted => true,
        }
    }
}
