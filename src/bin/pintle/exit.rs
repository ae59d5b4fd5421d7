//! Exit codes that mean something, and errors that say what to do next.

use std::process::ExitCode;

/// What a command comes to.
pub type Outcome = Result<(), Failure>;

/// Why a command failed; the number is the exit code.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Anything not named below.
    Other = 1,
    /// The arguments or a file's contents are wrong.
    Usage = 2,
    /// A key, file or token is not there.
    NotFound = 3,
    /// The token can't be used.
    Token = 5,
    /// A check or verification said no.
    Verification = 6,
    /// Someone else is at it, or it is already there.
    Conflict = 7,
}

/// A failure with its text and the next step.
pub struct Failure {
    kind: Kind,
    text: String,
    next: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, text: impl std::fmt::Display) -> Self {
        Self {
            kind,
            text: text.to_string(),
            next: None,
        }
    }

    /// What went wrong.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the operator should do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Kind::Other, format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Kind::Other, error)
    }
}

/// Prints a failure to standard error and gives its code.
pub fn report(outcome: Outcome) -> ExitCode {
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    eprintln!("pintle: {}", failure.text);
    if let Some(next) = &failure.next {
        eprintln!("  next: {next}");
    }
    ExitCode::from(failure.kind as u8)
}
