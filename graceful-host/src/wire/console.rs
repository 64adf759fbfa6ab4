//! A line for the console, and what came of it.

use graceful_core::{CallError, Place};
use serde::{Deserialize, Serialize};

use super::SCHEMA_VERSION;

/// A line to evaluate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleRequest {
    /// An expression or statements.
    pub line: String,
    /// In which language; Lua if the app has it, else its first.
    pub language: Option<String>,
    /// After how many milliseconds it is cancelled; ten seconds unless given.
    pub limit_ms: Option<u64>,
}

/// What came of a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsoleReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether it did not fail.
    pub ok: bool,
    /// What it printed, then what it returned, as text.
    pub values: Vec<String>,
    /// What it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ConsoleFailure>,
}

/// A line that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsoleFailure {
    /// The stable code.
    pub code: String,
    /// The error in words, without its place.
    pub message: String,
    /// Where.
    pub place: Option<Box<Place>>,
    /// The text of that line.
    pub source_line: Option<String>,
    /// The interpreter's traceback.
    pub traceback: Option<String>,
}

impl ConsoleReply {
    /// The reply that says what came of a line.
    pub fn new(result: Result<Vec<String>, CallError>) -> Self {
        let (ok, values, failure) = match result {
            Ok(values) => (true, values, None),
            Err(error) => (false, Vec::new(), Some(ConsoleFailure::from(&error))),
        };
        Self { schema_version: SCHEMA_VERSION, ok, values, failure }
    }
}

impl From<&CallError> for ConsoleFailure {
    fn from(error: &CallError) -> Self {
        let script = match error {
            CallError::Script(script) => Some(script),
            _ => None,
        };
        let message = script.map_or_else(|| error.to_string(), |script| script.message.clone());
        // A reload that failed throws its own code, which says more than that something was thrown.
        let (code, message) = match message.split_once(": ").filter(|(code, _)| is_code(code)) {
            Some((code, message)) => (code.to_owned(), message.to_owned()),
            None => (error.code().to_string(), message),
        };
        Self {
            code,
            message,
            place: script.and_then(|script| script.place.clone()).map(Box::new),
            source_line: script.and_then(|script| script.source_line.clone()),
            traceback: script.and_then(|script| script.traceback.clone()),
        }
    }
}

fn is_code(text: &str) -> bool {
    text.strip_prefix("GR")
        .is_some_and(|number| number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()))
}
