//! How a reload ended, and how one is asked for.

use graceful_core::failure::ReloadErrorKind;
use graceful_core::{Place, ReloadError, Report};
use serde::{Deserialize, Serialize};

use super::{SCHEMA_VERSION, word_fields};
use crate::app::ManifestError;

/// A reload that did not fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// `committed`, `unchanged` or `checked`.
    pub outcome: String,
    /// The generation that is live now.
    pub generation: u64,
    /// The modules, in load order.
    pub modules: Vec<ModuleChange>,
    /// From the shutting of the gates to their opening, in milliseconds.
    pub pause_ms: f64,
    /// The whole reload, in milliseconds.
    pub took_ms: f64,
    /// What is worth knowing and failed nothing.
    pub warnings: Vec<String>,
}

/// What was done with one module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleChange {
    /// The module.
    pub module: String,
    /// `load`, `reload`, `remove` or `retire`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// The version before.
    pub old: Option<String>,
    /// The version after.
    pub new: Option<String>,
    /// The steps by which its state got from the one to the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migration: Vec<MigrationStep>,
}

/// One step of a migration, in the direction it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStep {
    /// The version that the state had.
    pub from: String,
    /// The version that it got.
    pub to: String,
}

/// A reload, a start or a check that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// `refused`, `rolled_back` or `stuck`.
    pub outcome: String,
    /// In which phase; the manifest is read before the first one.
    pub phase: Option<String>,
    /// The module at fault.
    pub module: Option<String>,
    /// The error in words, with its causes.
    pub message: String,
    /// Where.
    pub place: Option<Box<Place>>,
    /// The text of that line.
    pub source_line: Option<String>,
    /// The interpreter's traceback.
    pub traceback: Option<String>,
    /// What was undone.
    pub rolled_back: Vec<String>,
    /// What could not be undone.
    pub left: Vec<String>,
    /// Whether the same reload may succeed without any source changing.
    pub retryable: bool,
    /// The generation that serves.
    pub generation: u64,
}

/// How a reload ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReloadReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether it did not fail.
    pub ok: bool,
    /// What was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Summary>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What asks for a reload.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadRequest {
    /// Reload every module, changed or not.
    pub force: bool,
    /// Go as far as *validate* and back: say whether the reload would be refused.
    pub check: bool,
    /// Go on past a `before_reload` of the live code that fails.
    pub forgive_before_reload: bool,
}

impl ReloadReply {
    /// The reply that says how a reload ended.
    pub fn new(result: Result<Summary, Failure>) -> Self {
        let (ok, reload, failure) = match result {
            Ok(summary) => (true, Some(summary), None),
            Err(failure) => (false, None, Some(failure)),
        };
        Self { schema_version: SCHEMA_VERSION, ok, reload, failure }
    }
}

impl Summary {
    /// This one, with another one that followed it.
    pub(crate) fn follow(&mut self, next: Summary) {
        if next.outcome != "unchanged" {
            self.outcome = next.outcome;
        }
        self.generation = next.generation;
        self.modules.extend(next.modules);
        self.pause_ms += next.pause_ms;
        self.took_ms += next.took_ms;
        self.warnings.extend(next.warnings);
    }
}

impl From<&Report> for Summary {
    fn from(report: &Report) -> Self {
        let took = report.phases.iter().map(|phase| phase.took.as_secs_f64());
        Self {
            outcome: report.outcome.as_str().to_owned(),
            generation: report.generation,
            modules: word_fields(&report.modules),
            pause_ms: millis(report.pause.as_secs_f64()),
            took_ms: millis(took.sum()),
            warnings: report.warnings.clone(),
        }
    }
}

fn millis(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e3
}

impl Failure {
    /// A failure that is not the engine's.
    pub(crate) fn refused(code: &str, message: String, generation: u64) -> Self {
        Self {
            code: code.to_owned(),
            outcome: "refused".to_owned(),
            phase: None,
            module: None,
            message,
            place: None,
            source_line: None,
            traceback: None,
            rolled_back: Vec::new(),
            left: Vec::new(),
            retryable: false,
            generation,
        }
    }

    /// A file that cannot be used.
    pub fn file(error: &ManifestError) -> Self {
        let (code, outcome) = ("GR0408".to_owned(), "failed".to_owned());
        Self { code, outcome, ..Self::manifest(error, 0) }
    }

    pub(crate) fn manifest(error: &ManifestError, generation: u64) -> Self {
        Self {
            place: Some(Box::new(Place::new(&error.file, error.line, error.column))),
            source_line: Some(error.source_line.clone()).filter(|line| !line.is_empty()),
            ..Self::refused("GR0401", error.message.clone(), generation)
        }
    }
}

impl From<&ReloadError> for Failure {
    fn from(error: &ReloadError) -> Self {
        let script = match &*error.kind {
            ReloadErrorKind::Load { error, .. } => Some(error),
            _ => None,
        };
        let mut message = error.kind.to_string();
        if let Some(script) = script {
            message.push_str(&format!(": {}", script.message));
        }
        Self {
            code: error.code().to_string(),
            outcome: error.report.outcome.as_str().to_owned(),
            phase: Some(error.phase.as_str().to_owned()),
            module: error.module().map(ToString::to_string),
            message,
            place: error.kind.place().cloned().map(Box::new),
            source_line: script.and_then(|script| script.source_line.clone()),
            traceback: script.and_then(|script| script.traceback.clone()),
            rolled_back: error.report.rolled_back.clone(),
            left: error.left.clone(),
            retryable: error.is_retryable(),
            generation: error.report.generation,
        }
    }
}
