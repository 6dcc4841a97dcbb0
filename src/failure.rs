//! How a command fails: a message for a person, and the exit code of sysexits.

use std::fmt;
use std::process::ExitCode;

use crate::config::Mistake;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

/// Exit codes, as in sysexits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// The command line or the configuration is wrong.
    Usage = 64,
    /// Something needed is not reachable.
    Unavailable = 69,
    /// A defect of ours.
    Software = 70,
    /// A file cannot be created.
    CannotCreate = 73,
    /// A file cannot be written or read.
    Io = 74,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        Self::new(Code::Usage, mistake.to_string())
    }
}
