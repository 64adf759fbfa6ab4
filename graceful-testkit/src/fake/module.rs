//! A loaded script as the engine sees it.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use graceful_core::lifecycle::HookResult;
use graceful_core::{
    CallError, Callable, Checkpoint, Draft, HookCx, HookError, Lease, Lifecycle, Manifest, MigrationCx,
    Module, ScriptError, Value,
};

use super::migration::FakeDraft;
use super::object::{Object, Snapshot};
use super::outside::without_waiting;
use super::room::{Room, failed};
use super::store::Store;
use super::text::Body;

/// A loaded script.
pub(crate) struct FakeModule {
    pub(crate) room: Arc<Room>,
    pub(crate) manifest: Manifest,
}

impl FakeModule {
    /// Runs an exported function.
    pub(crate) async fn run(&self, function: &str) -> Result<Object, ScriptError> {
        match self.room.program.functions.get(function) {
            Some(body) => self.room.run_body(body).await,
            None => Err(failed(self.no_export(function))),
        }
    }

    fn no_export(&self, function: &str) -> CallError {
        let generation = Lease::current_generation().unwrap_or_default().0;
        CallError::NoExport {
            module: self.manifest.name.to_string(),
            export: function.to_owned(),
            generation,
        }
    }

    fn state(&self) -> Result<&super::object::MapRef, HookError> {
        match &self.room.store {
            Store::Map(map) => Ok(map),
            Store::Native(_) => Err("the state is not this backend's".into()),
        }
    }
}

impl Room {
    /// Runs the hook of one of these names, at most as long as `cx` says.
    pub(crate) async fn hook(self: &Arc<Self>, names: &[&str], cx: &HookCx) -> HookResult {
        let Some(body) = names.iter().find_map(|name| self.program.hooks.get(*name)) else { return Ok(()) };
        let budget = self.vm.clock().map_err(failed)?.sleep(cx.budget);
        let ran = self.run_body(body).boxed();
        match select(ran, budget).await {
            Either::Left((ran, _)) => ran.map(drop).map_err(HookError::from),
            Either::Right(_) => Err(HookError { timeout: true, ..HookError::new("ran too long") }),
        }
    }
}

#[async_trait]
impl Lifecycle for FakeModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.room.hook(&["init"], cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.room.hook(&["before_reload"], cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.room.hook(&["after_reload", "on_reload"], cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.room.hook(&["rollback"], cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.room.hook(&["finalize"], cx).await
    }
}

#[async_trait]
impl Module for FakeModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        if !self.room.program.functions.contains_key(function) {
            return Err(self.no_export(function));
        }
        if args.is_empty() {
            return out(&self.room, self.run(function).await?);
        }
        let room = self.room.with(self.room.store.clone(), args);
        let body = &room.program.functions[function];
        out(&room, room.run_body(body).await?)
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let ended = without_waiting(|| self.call(function, args).now_or_never());
        ended.unwrap_or_else(|| Err(bad(&self.room, "had to wait where nothing can")))
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        Ok(Box::new(self.state()?.snapshot()))
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        checkpoint.downcast_ref::<Snapshot>().ok_or("not a checkpoint of this backend")?.restore();
        Ok(())
    }

    fn save(&self) -> Value {
        self.state().ok().and_then(|state| Object::Map(state.clone()).to_value()).unwrap_or_default()
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        Ok(Box::new(match recorded {
            Some(value) => FakeDraft::recorded(value)?,
            None => FakeDraft::of(self.state()?),
        }))
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        Ok(Box::new(self.room.migrate(cx, own(draft)?).await?))
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        let state = self.state()?;
        let (before, changed) = own(draft)?.pour(state);
        self.room.vm.forget(state, &changed);
        Ok(Box::new(before))
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        draft.downcast_ref::<FakeDraft>().map(FakeDraft::save).unwrap_or_default()
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        let tasks = self.state().map(|state| state.tasks()).unwrap_or_default();
        tasks.intersection(candidates).copied().collect()
    }
}

fn own(draft: Draft) -> Result<FakeDraft, HookError> {
    draft.downcast().map(|draft| *draft).map_err(|_| "not a draft of this backend".into())
}

/// What a function returned, as it leaves the language.
pub(crate) fn out(room: &Room, data: Object) -> Result<Value, CallError> {
    data.to_value().filter(|_| data.is_plain()).ok_or_else(|| bad(room, "returned what is not plain data"))
}

fn bad(room: &Room, reason: &str) -> CallError {
    CallError::BadValue { module: room.name.to_string(), reason: reason.into() }
}

/// A route of a script.
pub(crate) struct FakeRoute {
    pub(crate) room: Arc<Room>,
    pub(crate) body: Body,
}

#[async_trait]
impl Callable for FakeRoute {
    async fn call(&self, _args: Vec<Value>) -> Result<Value, CallError> {
        out(&self.room, self.room.run_body(&self.body).await?)
    }
}
