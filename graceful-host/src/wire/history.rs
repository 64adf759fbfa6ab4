//! What there was: every reload and how it ended, over restarts.

use serde::{Deserialize, Serialize};

use super::{MigrationStep, ModuleChange, SCHEMA_VERSION};

/// The last reloads, oldest first, and the starts and ends of the host between them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HistoryReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether it could be read.
    pub ok: bool,
    /// What happened, oldest first.
    pub entries: Vec<HistoryEntry>,
    /// What is wrong with what is kept: lines that cannot be read, numbers that are missing.
    pub warnings: Vec<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum HistoryEntry {
    /// The host started.
    Started(StartedEntry),
    /// A reload; the first one of a run is the start of the app.
    Reload(Box<ReloadEntry>),
    /// The host ended in order.
    Stopped(StoppedEntry),
}

/// A start of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedEntry {
    /// Which start, from 1.
    pub run: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The process.
    pub pid: u32,
    /// The run before did not end in order: it was killed, it crashed, or its machine did.
    pub after_crash: bool,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedEntry {
    /// Which run.
    pub run: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether everything ended by itself and was finalized.
    pub clean: bool,
}

/// One reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadEntry {
    /// Which reload, from 1, over all runs.
    pub reload: u64,
    /// In which run.
    pub run: u64,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who asked for it: `start`, `watch`, `signal`, `admin`, `embedder`, or the module whose code did.
    pub asked_by: String,
    /// `committed`, `unchanged`, `checked`, `refused`, `rolled_back`, `stuck`; `running` while it runs, and `interrupted` if
    /// the process ended in the middle of it: what it did was in memory, and is gone.
    pub outcome: String,
    /// What it was asked for: `reload`, `check`, `load` or `unregister`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// The generation that was live afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The modules, in load order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleChange>,
    /// How long each phase took, in milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseEntry>,
    /// From the shutting of the gates to their opening, in milliseconds.
    #[serde(default)]
    pub pause_ms: f64,
    /// The whole reload, in milliseconds.
    #[serde(default)]
    pub took_ms: f64,
    /// What is worth knowing and failed nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The code of the error, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error in words, with its causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rolled_back: Vec<String>,
    /// What could not be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// One phase of a reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseEntry {
    /// Which.
    pub phase: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

impl HistoryReply {
    /// A history.
    pub(crate) fn new(entries: Vec<HistoryEntry>, warnings: Vec<String>) -> Self {
        Self { schema_version: SCHEMA_VERSION, ok: warnings.is_empty(), entries, warnings }
    }

    /// Every reload in it.
    pub fn reloads(&self) -> impl Iterator<Item = &ReloadEntry> {
        self.entries.iter().filter_map(|entry| match entry {
            HistoryEntry::Reload(reload) => Some(&**reload),
            _ => None,
        })
    }
}

impl ReloadEntry {
    /// The change of `module`.
    pub(crate) fn module(&mut self, module: &str) -> Option<&mut ModuleChange> {
        self.modules.iter_mut().find(|change| change.module == module)
    }

    /// A step of `module`'s migration was found.
    pub(crate) fn migrates(&mut self, module: &str, steps: Vec<MigrationStep>) {
        if let Some(change) = self.module(module) {
            change.migration = steps;
        }
    }
}
