//! The steps by which a native module takes its state from version to version.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::lifecycle::{HookError, HookResult};
use crate::migration::{Migration, MigrationCx, MigrationStep, Migrations};
use crate::value::Value;
use crate::version::Version;

/// The entries of a native module's state.
pub type Entries = BTreeMap<String, Value>;

type Run = Arc<dyn Fn(Entries) -> BoxFuture<'static, Result<Entries, HookError>> + Send + Sync>;

/// One step between two versions of a native module's state. The closures get a copy of the state.
///
/// ```
/// use graceful_core::{Native, NativeMigration};
/// let step = NativeMigration::between("1.0.0", [2, 0, 0])
///     .up(|state| {
///         let hits = state.remove("count").ok_or("no count")?;
///         state.insert("hits".into(), hits);
///         Ok(())
///     })
///     .down(|state| {
///         let hits = state.remove("hits").ok_or("no hits")?;
///         state.insert("count".into(), hits);
///         Ok(())
///     });
/// let counter = Native::new("2.0.0").migration(step);
/// # let _ = counter;
/// ```
pub struct NativeMigration {
    from: Value,
    to: Value,
    up: Option<Run>,
    down: Option<Run>,
    lossy: bool,
}

/// What changes the copy of a state in place.
fn in_place(change: impl Fn(&mut Entries) -> HookResult + Send + Sync + 'static) -> Run {
    let change = Arc::new(change);
    Arc::new(move |mut state| {
        let change = change.clone();
        Box::pin(async move { change(&mut state).map(|()| state) })
    })
}

fn boxed<F>(make: impl Fn(Entries) -> F + Send + Sync + 'static) -> Run
where
    F: Future<Output = Result<Entries, HookError>> + Send + 'static,
{
    Arc::new(move |state| Box::pin(make(state)))
}

impl NativeMigration {
    /// A step between two versions, each `"1.0.0"`, `[1, 0, 0]` or a [`Version`].
    pub fn between(from: impl Into<Value>, to: impl Into<Value>) -> Self {
        Self { from: from.into(), to: to.into(), up: None, down: None, lossy: false }
    }

    /// The way up: changes a copy of the state.
    pub fn up(mut self, change: impl Fn(&mut Entries) -> HookResult + Send + Sync + 'static) -> Self {
        self.up = Some(in_place(change));
        self
    }

    /// The way back.
    pub fn down(mut self, change: impl Fn(&mut Entries) -> HookResult + Send + Sync + 'static) -> Self {
        self.down = Some(in_place(change));
        self
    }

    /// The way up, where it must wait: makes the new state of a copy of the old one.
    pub fn up_async<F>(mut self, make: impl Fn(Entries) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Entries, HookError>> + Send + 'static,
    {
        self.up = Some(boxed(make));
        self
    }

    /// The way back, where it must wait.
    pub fn down_async<F>(mut self, make: impl Fn(Entries) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Entries, HookError>> + Send + 'static,
    {
        self.down = Some(boxed(make));
        self
    }

    /// Going up and back down does not give what was there before, and need not.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }
}

/// The steps of one module, and what takes each.
#[derive(Default)]
pub(super) struct Steps(BTreeMap<(Version, Version), (Option<Run>, Option<Run>)>);

/// A state on its way, and what it was at first.
pub(super) struct NativeDraft {
    pub(super) was: Entries,
    pub(super) now: Entries,
}

impl Steps {
    /// The steps, checked.
    pub(super) fn of(given: Vec<NativeMigration>) -> Result<(Migrations, Self), String> {
        let version = |value: &Value| Version::from_value(value).map_err(|error| error.to_string());
        let (mut declared, mut steps) = (Vec::new(), BTreeMap::new());
        for NativeMigration { from, to, up, down, lossy } in given {
            let (from, to) = (version(&from)?, version(&to)?);
            let (from_too, to_too) = (from.clone(), to.clone());
            declared.push(Migration { from, to, up: up.is_some(), down: down.is_some(), lossy });
            steps.insert((from_too, to_too), (up, down));
        }
        let declared = Migrations::new(declared).map_err(|error| error.to_string())?;
        Ok((declared, Self(steps)))
    }

    pub(super) async fn take(&self, cx: &MigrationCx, draft: NativeDraft) -> Result<NativeDraft, HookError> {
        let run = self.run(&cx.step).ok_or_else(|| HookError::new("the module declares no such step"))?;
        let NativeDraft { was, now } = draft;
        Ok(NativeDraft { was, now: run(now).await? })
    }

    fn run(&self, step: &MigrationStep) -> Option<&Run> {
        let (from, to) = step.declared();
        let (up, down) = self.0.get(&(from.clone(), to.clone()))?;
        if step.is_up() { up.as_ref() } else { down.as_ref() }
    }
}
