//! What a reload is asked and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::config::Config;
use crate::event::{Phase, Purpose};
use crate::migration::MigrationStep;
use crate::plan::{Action, Plan, Reason};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::version::Version;

/// What a second reload does while one runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// It gets the running one's report.
    Join,
    /// It waits for the running one to end and then runs itself.
    #[default]
    Wait,
    /// It is refused.
    Refuse,
}

/// What happens when calls in flight outlast the drain deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrainPolicy {
    /// The reload is rolled back.
    #[default]
    Abort,
    /// The calls are cancelled and told so.
    Cancel,
}

/// How a reload is asked for.
#[derive(Clone, Debug, Default)]
pub struct ReloadOptions {
    /// Reload every module, changed or not.
    pub force: bool,
    /// Only these sources are read again (a watcher knows which files changed); `None` reads all.
    pub changed: Option<BTreeSet<Name>>,
    /// Apply exactly this plan; refused if the sources changed since it was made.
    pub plan: Option<Plan>,
    /// What to do while another reload runs.
    pub on_busy: OnBusy,
    /// What to do when the drain deadline passes.
    pub drain: DrainPolicy,
    /// Modules to unregister: they leave although their source is there.
    pub remove: BTreeSet<Name>,
    /// Unregister them although modules that stay require them; those keep what they hold.
    pub leave_dependents: bool,
    /// Modules to load although no entry requires them.
    pub load: BTreeSet<Name>,
    /// Reloads everything that was loaded since roles were registered, from a clean slate: roles are stopped, their
    /// tasks end, and they start anew. See [`Instance::reload`](crate::instance::Instance::reload).
    pub roles: bool,
    /// The modules to register as roles, in place of those that are; `None` leaves them. See
    /// [`Instance::cfg`](crate::instance::Instance::cfg).
    pub register: Option<Vec<Name>>,
    /// The configuration that roles with new code are asked about, and the roles that are enabled by it, instead of
    /// the active ones: what a check of an app that does not run is for. Only with `check`.
    pub candidate: Option<(Config, Enabled)>,
    /// Goes as far as *validate* and then back: says whether the reload would be refused, and touches nothing
    /// live. At a start an `init` that ran while its module registered is undone by its `finalize`.
    pub check: bool,
    /// The module whose code asks, if a script does: events say so.
    pub by: Option<Name>,
    /// Goes on past a `before_reload` of the live code that fails: that module's state is put back to what it
    /// was before the hook, and the report has a warning. Without it such a hook stops every reload of its
    /// module, for an edit does not replace the code that runs.
    pub forgive_before_reload: bool,
}

impl ReloadOptions {
    /// What it is asked for.
    pub fn purpose(&self) -> Purpose {
        let reads_nothing = self.changed.as_ref().is_some_and(BTreeSet::is_empty) && !self.force;
        match (self.check, reads_nothing) {
            (true, _) => Purpose::Check,
            (_, true) if !self.remove.is_empty() => Purpose::Unregister,
            (_, true) if !self.load.is_empty() => Purpose::Load,
            _ => Purpose::Reload,
        }
    }
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new generation is live.
    Committed,
    /// There was nothing to do.
    Unchanged,
    /// It was to be checked only, and it passed; nothing live was touched.
    Checked,
    /// It was refused before anything live was touched.
    Refused,
    /// It failed and everything is as before.
    RolledBack,
    /// It failed and so did part of the undo.
    Stuck,
}

impl Outcome {
    /// The outcome as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Committed => "committed",
            Outcome::Unchanged => "unchanged",
            Outcome::Checked => "checked",
            Outcome::Refused => "refused",
            Outcome::RolledBack => "rolled_back",
            Outcome::Stuck => "stuck",
        }
    }
}

/// What was done with one module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleReport {
    /// The module.
    pub module: Name,
    /// What was done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The version before.
    pub old: Option<Version>,
    /// The version after.
    pub new: Option<Version>,
    /// The steps by which its state got from the one to the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub migration: Vec<MigrationStep>,
}

/// How long one phase took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Its duration.
    pub took: Duration,
}

/// What a reload did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which reload, from 1.
    pub reload: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The generation that is live now.
    pub generation: u64,
    /// The modules, in load order.
    pub modules: Vec<ModuleReport>,
    /// The phases that ran.
    pub phases: Vec<PhaseTime>,
    /// From the shutting of the gates to their opening; zero where none was shut.
    pub pause: Duration,
    /// What is worth knowing and failed nothing.
    pub warnings: Vec<String>,
    /// What was undone, in the order it was undone in.
    pub rolled_back: Vec<String>,
}

impl Report {
    /// The report of a reload that did nothing.
    pub(crate) fn empty(outcome: Outcome, generation: u64) -> Self {
        let (modules, phases, warnings, rolled_back) = Default::default();
        Self { reload: 0, outcome, generation, modules, phases, pause: Duration::ZERO, warnings, rolled_back }
    }
}
