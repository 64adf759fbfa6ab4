//! One loaded version of a Lua module: its exports, its hooks, its state.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::module::{Checkpoint, Draft};
use graceful_core::{
    CallError, DrainPolicy, HookCx, HookError, Lease, Lifecycle, Manifest, MigrationCx, Module, Source, Value,
};
use mlua::{Function, MultiValue, Table};

use crate::checkpoint::LuaCheckpoint;
use crate::migration::LuaDraft;
use crate::overlay::{Open, Veil};
use crate::record::{Kept, Record};
use crate::run::{How, Run, Watched};
use crate::value::{from_lua, to_lua};
use crate::vm::Vm;

/// How long reading a state waits for code that keeps the VM.
const PATIENCE: Duration = Duration::from_secs(1);

/// One loaded version of a Lua module. Its Lua side lies in the VM under its record's number.
pub(crate) struct LuaModule {
    manifest: Manifest,
    kept: Arc<Kept>,
}

impl LuaModule {
    pub(crate) fn new(manifest: Manifest, kept: Arc<Kept>) -> Self {
        Self { manifest, kept }
    }

    pub(crate) fn record(&self) -> &Arc<Record> {
        &self.kept.record
    }

    pub(crate) fn id(&self) -> u64 {
        self.kept.record.id
    }

    /// Whether it was made of `source`, and not of an equal one.
    pub(crate) fn is_of(&self, source: &Arc<Source>) -> bool {
        Arc::ptr_eq(&self.kept.record.source, source)
    }

    pub(crate) fn is_in(&self, vm: &Vm) -> bool {
        std::ptr::eq(&*self.kept.vm, vm)
    }

    pub(crate) fn vm(&self) -> &Arc<Vm> {
        &self.kept.vm
    }

    /// The exported function, looked up now: a module may change its exports. Called under the VM's lock.
    pub(crate) fn function(&self, name: &str) -> Result<Function, CallError> {
        let exports: mlua::Result<mlua::Value> =
            self.vm().table(self.id()).and_then(|own| own.raw_get("exports"));
        let found = match exports {
            Ok(mlua::Value::Table(exports)) => exports.get::<mlua::Value>(name),
            other => other.map(|_| mlua::Value::Nil),
        };
        match found {
            Ok(mlua::Value::Function(function)) => Ok(function),
            Ok(_) => Err(CallError::NoExport {
                module: self.manifest.name.to_string(),
                export: name.to_owned(),
                generation: Lease::current_generation()
                    .or_else(|| Some(self.vm().world()?.gate.live()))
                    .unwrap_or_default()
                    .0,
            }),
            Err(error) => Err(self.failed(&error)),
        }
    }

    pub(crate) fn args(&self, args: &[Value]) -> Result<MultiValue, CallError> {
        let args: mlua::Result<MultiValue> = args.iter().map(|arg| to_lua(&self.vm().lua, arg)).collect();
        args.map_err(|error| self.bad_value(error.to_string()))
    }

    fn plain(&self, value: &mlua::Value) -> Result<Value, CallError> {
        from_lua(value).map_err(|reason| self.bad_value(format!("the result {reason}")))
    }

    fn bad_value(&self, reason: String) -> CallError {
        CallError::BadValue { module: self.manifest.name.to_string(), reason }
    }

    fn failed(&self, error: &mlua::Error) -> CallError {
        self.vm().call_error(&self.manifest.name, error)
    }

    async fn hook(&self, cx: &HookCx) -> HookResult {
        run_hook(&self.kept, Veil::current(self.vm()), cx).await
    }

    fn state(&self) -> mlua::Result<Option<Table>> {
        self.vm().table(self.id())?.raw_get("state")
    }
}

/// Runs the hook that `cx` names, if the module has it.
async fn run_hook(kept: &Kept, veil: Option<Veil>, cx: &HookCx) -> HookResult {
    let vm = &kept.vm;
    let how = How { veil, budget: Some(cx.budget), ..How::default() };
    let run = Run::new(vm, how, || {
        let called = (|| {
            let own = vm.table(kept.record.id)?;
            let hook: Option<Function> = match own.raw_get::<Option<Table>>("hooks")? {
                Some(hooks) => hooks.raw_get(cx.hook.as_str())?,
                None => None,
            };
            let Some(hook) = hook else { return Ok(None) };
            let module: Table = own.raw_get("mod")?;
            let call = vm.guard.call_async::<()>((hook, module));
            Ok::<_, mlua::Error>(Some(Watched::new(vm, call)))
        })();
        async move {
            match called? {
                Some(call) => call.await,
                None => Ok(()),
            }
        }
    });
    match run.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(vm.script_error(&error).into()),
        Err(overrun) => Err(overrun.into_error(vm).into()),
    }
}

/// Runs `finalize` of a module that is no [`LuaModule`] yet, or never became one.
pub(crate) async fn finalize(kept: Arc<Kept>, open: Arc<Open>, cx: HookCx) -> HookResult {
    let veil = Veil::hook(&open, &kept.record);
    run_hook(&kept, Some(veil), &cx).await
}

#[async_trait]
impl Lifecycle for LuaModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.hook(cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.hook(cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.hook(cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.hook(cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.hook(cx).await
    }
}

#[async_trait]
impl Module for LuaModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let vm = self.vm();
        let run = Run::new(vm, How::call(vm), || {
            let called = self.function(function).and_then(|function| {
                let mut all = self.args(&args)?;
                all.push_front(mlua::Value::Function(function));
                Ok(Watched::new(vm, vm.guard.call_async::<mlua::Value>(all)))
            });
            async move { self.plain(&called?.await.map_err(|error| self.failed(&error))?) }
        });
        run.await.unwrap_or_else(|overrun| Err(CallError::Script(overrun.into_error(vm))))
    }

    async fn callback(
        &self,
        function: &str,
        args: Vec<Value>,
        budget: Duration,
    ) -> Result<Vec<Value>, HookError> {
        self.called_back(function, &args, budget).await
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let vm = self.vm();
        vm.turn(&How::call(vm), None, || {
            let callee = self.function(function)?;
            let mut all = self.args(&args)?;
            all.push_front(mlua::Value::Function(callee));
            vm.turns.runs_in_main();
            let result = vm.guard.call::<mlua::Value>(all);
            vm.turns.left();
            match result {
                Ok(value) => self.plain(&value),
                Err(error) if error.to_string().contains("attempt to yield") => {
                    let reason = format!("`{function}` waits and was called where nothing can wait");
                    Err(self.bad_value(reason))
                }
                Err(error) => Err(self.failed(&error)),
            }
        })
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        let vm = self.vm();
        let copy = vm.hold(|| vm.copy(self.id()))?;
        Ok(Box::new(LuaCheckpoint { copy, vm: vm.clone() }))
    }

    fn unrestorable(&self, checkpoint: &Checkpoint) -> Vec<String> {
        let checkpoint = checkpoint.downcast_ref::<LuaCheckpoint>();
        let foreign = checkpoint.map(|checkpoint| checkpoint.copy.foreign.as_slice()).unwrap_or_default();
        foreign.iter().map(|place| format!("the native object `{place}`")).collect()
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        let checkpoint = checkpoint.downcast_ref::<LuaCheckpoint>();
        let checkpoint = checkpoint.ok_or("not a checkpoint of a Lua module")?;
        let vm = self.vm();
        vm.hold(|| vm.restore(&checkpoint.copy))
    }

    fn save(&self) -> Value {
        self.vm().hold_at_last(PATIENCE, DrainPolicy::Abort, || match self.state() {
            Ok(Some(state)) => crate::state::plain(&state),
            _ => Value::Map(BTreeMap::new()),
        })
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        Ok(Box::new(LuaDraft::of(self.vm(), self.id(), recorded)?))
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        let (from, to) = cx.step.declared();
        let mut steps = self.manifest.migrations.steps().iter();
        let at = steps.position(|step| step.from == *from && step.to == *to);
        let at = at.ok_or("the module declares no such step")?;
        own(&draft)?.step(&self.kept, at, cx).await?;
        Ok(draft)
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        Ok(Box::new(own(&draft)?.pour(self.id())?))
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        own(draft).map(LuaDraft::save).unwrap_or_default()
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        let vm = self.vm();
        let mut kept = vm.globals.renewed(candidates);
        vm.hold_at_last(PATIENCE, DrainPolicy::Abort, || {
            if let Ok(Some(state)) = self.state() {
                crate::state::tasks(&state, candidates, &mut kept);
            }
        });
        kept
    }
}

fn own(draft: &Draft) -> Result<&LuaDraft, HookError> {
    draft.downcast_ref().ok_or_else(|| "not a draft of a Lua module".into())
}
