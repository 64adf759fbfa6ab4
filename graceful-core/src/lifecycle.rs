//! The hooks of a module.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::error::{Place, ScriptError};
use crate::gate::Generation;
use crate::manifest::HookSet;
use crate::source::Name;

/// A hook, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// Once per registration.
    Init,
    /// On old code, before the new one is activated.
    BeforeReload,
    /// On new code.
    AfterReload,
    /// On old code, after a failed reload.
    Rollback,
    /// Once, when the module leaves.
    Finalize,
}

impl Hook {
    /// The hook as scripts spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Init => "init",
            Hook::BeforeReload => "before_reload",
            Hook::AfterReload => "after_reload",
            Hook::Rollback => "rollback",
            Hook::Finalize => "finalize",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Another name of [`HookSet`], for implementors.
pub type Hooks = HookSet;

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct HookCx {
    /// The module whose hook it is.
    pub module: Name,
    /// Which hook.
    pub hook: Hook,
    /// The generation the hook's code belongs to.
    pub generation: Generation,
    /// How long it may run. Past it the future is dropped; code that spins must be stopped by its backend.
    pub budget: Duration,
}

/// What a hook failed with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// The message.
    pub message: String,
    /// Where, if a script raised it.
    pub place: Option<Place>,
    /// Whether it was stopped because it ran too long.
    pub timeout: bool,
}

impl HookError {
    /// An error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, timeout: false }
    }
}

impl From<ScriptError> for HookError {
    fn from(error: ScriptError) -> Self {
        let timeout = error.kind == crate::error::ScriptErrorKind::Timeout;
        Self { message: error.message, place: error.place, timeout }
    }
}

impl From<String> for HookError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for HookError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// What a hook returns.
pub type HookResult = Result<(), HookError>;

/// The hooks of one module, each with a default that does nothing. After the `graceful` rock of the
/// Tarantool world, whose `init`, `finalize`, `before_reload` and `on_reload` these are.
///
/// In one reload, for one module: the *old* code's [`before_reload`](Lifecycle::before_reload), then the
/// *new* code's [`after_reload`](Lifecycle::after_reload), then the commit. All `before_reload` of a reload
/// run dependents first, all `after_reload` and `init` dependencies first. A hook that fails, panics or
/// outlasts [`HookCx::budget`] rolls the whole reload back.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    /// Runs once per registration: at the first start, or in *activate* of the reload that brings the
    /// module. Undone by [`finalize`](Lifecycle::finalize) if that reload fails. Never runs on a reload.
    async fn init(&self, _cx: &HookCx) -> HookResult {
        Ok(())
    }

    /// Runs on the old code in *suspend*. The state was checkpointed just before; undone by restoring it.
    async fn before_reload(&self, _cx: &HookCx) -> HookResult {
        Ok(())
    }

    /// Runs on the new code in *activate*, on the same state. Undone by restoring the checkpoint.
    async fn after_reload(&self, _cx: &HookCx) -> HookResult {
        Ok(())
    }

    /// Runs on the old code after a failed reload, once the checkpoint (if there is one) is restored. The
    /// undo of [`before_reload`](Lifecycle::before_reload) where the module declares
    /// [`CheckpointMode::Own`](crate::CheckpointMode::Own). An error makes the reload *stuck*.
    async fn rollback(&self, _cx: &HookCx) -> HookResult {
        Ok(())
    }

    /// Runs exactly once for each [`init`](Lifecycle::init) that ran to its end: on unregister, on removal,
    /// on shutdown, or when the reload that introduced the module rolls back. Its errors are reported.
    async fn finalize(&self, _cx: &HookCx) -> HookResult {
        Ok(())
    }
}
