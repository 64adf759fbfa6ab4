//! Errors that every layer speaks: stable codes, places in sources, script failures, failed calls.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A stable, machine-readable error code such as `GR0201`. Documented one by one in `docs/errors.md`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A place in a source: file, and line and column counted from 1 where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file as the source provider names it.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
}

impl Place {
    /// A place known only by its file.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None }
    }

    /// A place with line and column.
    pub fn new(file: impl Into<String>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line: Some(line), column: Some(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// What kind of failure a script had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScriptErrorKind {
    /// The text does not parse.
    Syntax,
    /// The code ran and threw.
    Runtime,
    /// The code ran longer than it may.
    Timeout,
    /// The code used more memory than it may.
    Memory,
    /// A wrong use of the registration interface.
    Registration,
    /// Something required could not be given.
    Import,
    /// Native code panicked.
    Panic,
}

/// A failure inside a script, the same for every language: adapters bring their interpreter's text into
/// this form, so that places and tracebacks are fields and not prose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}{message}", .place.as_ref().map(|p| format!("{p}: ")).unwrap_or_default())]
pub struct ScriptError {
    /// What kind of failure.
    pub kind: ScriptErrorKind,
    /// The message without any place in front.
    pub message: String,
    /// Where it was raised.
    pub place: Option<Place>,
    /// The text of that line, where the source is at hand.
    pub source_line: Option<String>,
    /// The interpreter's traceback, if it has one.
    pub traceback: Option<String>,
}

/// Generated sources have lines, and interpreters messages about them, that are of no use to anybody.
const LONGEST_LINE: usize = 1000;
const LONGEST_MESSAGE: usize = 10_000;

fn no_longer_than(most: usize, mut text: String) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("...");
    }
    text
}

impl ScriptError {
    /// A failure of `kind` with no place yet.
    pub fn new(kind: ScriptErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: no_longer_than(LONGEST_MESSAGE, message.into()),
            place: None,
            source_line: None,
            traceback: None,
        }
    }

    /// A thrown error.
    pub fn runtime(message: impl Into<String>) -> Self {
        Self::new(ScriptErrorKind::Runtime, message)
    }

    /// The same failure at `place`.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Fills in the text of the failing line from the source it came from, unless that is one that nobody reads.
    pub fn with_source(mut self, text: &[u8]) -> Self {
        let line = self.place.as_ref().and_then(|p| p.line);
        if let Some(line) = line {
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            let found = text.split(|byte| *byte == b'\n').nth(line.saturating_sub(1) as usize);
            let found = found.filter(|line| line.len() <= LONGEST_LINE).map(String::from_utf8_lossy);
            self.source_line = found.map(|line| line.trim_end_matches('\r').to_owned());
        }
        self
    }

    /// The stable code of this kind of failure.
    pub fn code(&self) -> Code {
        Code(match self.kind {
            ScriptErrorKind::Syntax => "GR0301",
            ScriptErrorKind::Runtime => "GR0302",
            ScriptErrorKind::Timeout => "GR0303",
            ScriptErrorKind::Memory => "GR0304",
            ScriptErrorKind::Registration => "GR0305",
            ScriptErrorKind::Import => "GR0306",
            ScriptErrorKind::Panic => "GR0307",
        })
    }
}

/// Why a call into a module failed. [`CallError::is_retryable`] says whether the same call may be sent again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// No live module has this name.
    #[error("no module `{module}` is loaded")]
    NoModule {
        /// The name asked for.
        module: String,
    },
    /// The module is there, the export is not (removed by a newer version, perhaps).
    #[error("module `{module}` has no export `{export}` in generation {generation}")]
    NoExport {
        /// The module.
        module: String,
        /// The export asked for.
        export: String,
        /// The generation it was looked up in.
        generation: u64,
    },
    /// The module was suspended by a reload for longer than a call waits. Retryable.
    #[error("module `{module}` was suspended by a reload for more than {waited:?}")]
    GateTimeout {
        /// The module.
        module: String,
        /// How long the call waited.
        waited: Duration,
    },
    /// The module is suspended by a reload and this way of calling does not wait. Retryable.
    #[error("module `{module}` is suspended by a reload")]
    Suspended {
        /// The module.
        module: String,
    },
    /// The call was cancelled by a reload whose drain policy is `cancel`, or by shutdown. Retryable.
    #[error("the call into `{module}` was cancelled")]
    Cancelled {
        /// The module.
        module: String,
    },
    /// The script threw.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A value could not cross between the languages.
    #[error("module `{module}`: {reason}")]
    BadValue {
        /// The module.
        module: String,
        /// What was wrong with the value.
        reason: String,
    },
    /// The engine is gone or shut down.
    #[error("the engine is shut down")]
    Stopped,
}

impl CallError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            CallError::NoModule { .. } => Code("GR0201"),
            CallError::NoExport { .. } => Code("GR0202"),
            CallError::GateTimeout { .. } => Code("GR0203"),
            CallError::Suspended { .. } => Code("GR0204"),
            CallError::Cancelled { .. } => Code("GR0205"),
            CallError::Script(error) => error.code(),
            CallError::BadValue { .. } => Code("GR0206"),
            CallError::Stopped => Code("GR0207"),
        }
    }

    /// Whether the same call may be sent again as it is.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            CallError::GateTimeout { .. } | CallError::Suspended { .. } | CallError::Cancelled { .. }
        )
    }
}
