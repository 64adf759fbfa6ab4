//! One loaded version of a module.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{CallError, Place};
use crate::lifecycle::{HookError, Lifecycle};
use crate::manifest::Manifest;
use crate::migration::{MigrationCx, Migrations};
use crate::source::Name;
use crate::value::Value;
use crate::version::Version;

/// A `require` or `import` with a constant name, found by reading the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Require {
    /// The module it names.
    pub name: Name,
    /// Where it stands.
    pub place: Place,
    /// It stands inside a function, so it does not run while the module loads.
    pub deferred: bool,
}

/// A source that was parsed: what it requires, and whatever its backend made of it.
#[derive(Clone)]
pub struct Compiled {
    /// Its requires, in the order of the text. Shared: whoever plans, stages or runs it has them.
    pub requires: Arc<[Require]>,
    /// Bytecode, a tree: its backend's own.
    pub artifact: Arc<dyn Any + Send + Sync>,
    /// What it will register with, where the text says that for certain.
    pub declared: Option<Declared>,
}

impl Compiled {
    /// A source that says nothing for certain of what it will register with.
    pub fn new(requires: Vec<Require>, artifact: Arc<dyn Any + Send + Sync>) -> Self {
        Self { requires: requires.into(), artifact, declared: None }
    }
}

/// Version and migrations of a registration, as they can be read from a text before it runs: constants, in a
/// call that stands in no function and in no branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The version.
    pub version: Option<Version>,
    /// The steps.
    pub migrations: Migrations,
}

/// A copy of a module's state, opaque to everybody but its backend.
pub type Checkpoint = Box<dyn Any + Send + Sync>;

/// A deep copy of a module's state for its migrations to work on, opaque to everybody but its backend.
pub type Draft = Box<dyn Any + Send + Sync>;

/// One loaded version of a module: its exports, its hooks and the state it shares with the versions before
/// and after it. Made by [`Txn::stage`](crate::Txn::stage); dropped when its generation is purged.
#[async_trait]
pub trait Module: Lifecycle {
    /// What the module says of itself. Fixed once the module is staged.
    fn manifest(&self) -> &Manifest;

    /// The module as its backend made it, so that the backend can recognise its own.
    fn as_any(&self) -> &dyn Any;

    /// Calls the exported `function`. Runs inside a lease ([`Lease::current`](crate::Lease::current)); what
    /// it calls in other modules must be looked up at that lease's generation.
    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError>;

    /// Calls the exported `function` as a callback of the engine's: under a lease of kind
    /// [`Hook`](crate::LeaseKind::Hook), stopped after `budget` even if it does not yield. A function that takes
    /// fewer arguments gets the first ones. Returns all its values, for languages that have more than one.
    async fn callback(
        &self,
        function: &str,
        args: Vec<Value>,
        _budget: Duration,
    ) -> Result<Vec<Value>, HookError> {
        let called = self.call(function, args).await;
        called.map(|value| vec![value]).map_err(|error| match error {
            CallError::Script(error) => error.into(),
            other => other.to_string().into(),
        })
    }

    /// The same as [`call`](Module::call), on this thread, without a runtime. The default says that the module cannot.
    fn call_blocking(&self, function: &str, _args: Vec<Value>) -> Result<Value, CallError> {
        let reason = format!("`{function}` can only be called asynchronously");
        Err(CallError::BadValue { module: self.manifest().name.to_string(), reason })
    }

    /// Copies the state so that [`restore`](Module::restore) can bring back the very same: identity,
    /// aliases, cycles. Called in *suspend*, with the module drained and frozen, before its first hook.
    async fn checkpoint(&self) -> Result<Checkpoint, HookError>;

    /// What in `checkpoint` could not be copied and would not be restored (foreign userdata), for the report.
    fn unrestorable(&self, _checkpoint: &Checkpoint) -> Vec<String> {
        Vec::new()
    }

    /// Brings the state back to `checkpoint`. The undo of whatever hooks did. An error means *stuck*.
    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError>;

    /// The state as plain data, for tests, status and storage. What is not plain data is left out.
    fn save(&self) -> Value {
        Value::Null
    }

    /// A deep copy of the state for migrations to work on: each table once, so that aliases and cycles stay
    /// inside of the copy; functions, tasks and what else has no copy, as they are. With `recorded` a draft of
    /// that plain data instead. Called at the begin of *activate*, with the module drained and frozen, on the
    /// new code. The default says that the backend has no migrations; then its manifests declare none.
    async fn draft(&self, _recorded: Option<&Value>) -> Result<Draft, HookError> {
        Err("this language has no migrations".into())
    }

    /// Takes one step that this module declares, `up` or `down`, on a draft, under a lease of kind
    /// [`Hook`](crate::LeaseKind::Hook). What the function returns is the next draft; if it returns nothing,
    /// what it made of the one it got.
    async fn migrate(&self, _cx: &MigrationCx, _draft: Draft) -> Result<Draft, HookError> {
        Err("this language has no migrations".into())
    }

    /// Makes the first level of the state what the draft has, in one step and in the very same state. What a
    /// staged top level wrote to an entry that the migration changed is forgotten. Returns what
    /// [`restore`](Module::restore) needs to take it out again; after an error nothing has changed.
    fn pour(&self, _draft: Draft) -> Result<Checkpoint, HookError> {
        Err("this language has no migrations".into())
    }

    /// A draft as plain data, as [`save`](Module::save) does it with the state.
    fn save_draft(&self, _draft: &Draft) -> Value {
        Value::Null
    }

    /// Which of the task keys in `candidates` are kept in this module's state, so that the next generation
    /// takes them over. Called at commit on the old module, only when it owns tasks.
    fn kept(&self, _candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        BTreeSet::new()
    }
}
