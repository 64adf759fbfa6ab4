//! One loaded version of a Rhai module, as the engine sees it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::lifecycle::{Hook, HookResult};
use graceful_core::module::{Checkpoint, Draft};
use graceful_core::role::is_declared;
use graceful_core::{
    CallError, Export, HookCx, HookError, Lease, Lifecycle, Manifest, MigrationCx, Module, Value,
};
use rhai::{Dynamic, FnPtr, Shared};

use crate::checkpoint::{Copied, copy};
use crate::error;
use crate::failure::Thrown;
use crate::migration::RhaiDraft;
use crate::overlay::Overlay;
use crate::reach::Reach;
use crate::run::{off_thread, on_this_thread};
use crate::table::Table;
use crate::unit::{Common, Unit};
use crate::value::{from_value, to_plain, to_value};
use crate::watch::{self, Watch};

/// One loaded version of a module.
pub(crate) struct RhaiModule {
    manifest: Manifest,
    unit: Arc<Unit>,
    exports: Shared<rhai::Module>,
    tenure: Arc<Tenure>,
    /// Where the reload that staged it holds back what it writes to its state.
    overlay: Weak<Overlay>,
}

/// What all versions of a module share. When the last of them goes, so does what the state holds: functions
/// in it hold the module, whose state it is.
pub(crate) struct Tenure(pub(crate) Common);

impl Tenure {
    pub(crate) fn new() -> Self {
        Self(Common { state: Table::state(), monitor: Arc::default(), hooks: Arc::default() })
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        Reach::of(&self.0.state).clear();
    }
}

impl RhaiModule {
    pub(crate) fn new(unit: Arc<Unit>, exports: Shared<rhai::Module>, tenure: Arc<Tenure>) -> Self {
        let registration = unit.registered();
        let registered = registration.is_some();
        let registration = registration.unwrap_or_default();
        let functions = unit.program.exports.iter().map(|(name, _)| (name.clone(), Export::Function));
        let mut unfit = BTreeMap::new();
        let mut values = BTreeMap::new();
        for (name, value) in exports.iter_var() {
            let plain = || to_value(value).map(Export::Value);
            match if value.is_fnptr() { Ok(Export::Function) } else { plain() } {
                Ok(export) => drop(values.insert(name.to_owned(), export)),
                Err(reason) if is_declared(name) => drop(unfit.insert(name.to_owned(), reason)),
                Err(_) => {}
            }
        }
        let manifest = Manifest {
            name: unit.name.clone(),
            version: registration.version.clone(),
            registered,
            hooks: registration.hooks(),
            checkpoint: registration.checkpoint,
            drain: registration.drain,
            migrations: registration.steps.declared.clone(),
            exports: values.into_iter().chain(functions).collect(),
            unfit,
            returned: None,
        };
        let overlay = watch::overlay().map(|overlay| Arc::downgrade(&overlay)).unwrap_or_default();
        Self { manifest, unit, exports, tenure, overlay }
    }

    pub(crate) fn exports(&self) -> &Shared<rhai::Module> {
        &self.exports
    }

    pub(crate) fn unit(&self) -> &Arc<Unit> {
        &self.unit
    }

    pub(crate) fn tenure(&self) -> &Arc<Tenure> {
        &self.tenure
    }

    /// How many of `given` arguments a callback takes: as many as it has room for.
    fn takes(&self, function: &str, given: usize) -> usize {
        let named = self.unit.program.exports.iter().filter(|(name, n)| name == function && *n <= given);
        let pointer = || self.exports.get_var(function).and_then(|value| value.try_cast::<FnPtr>());
        let by_pointer = || pointer().and_then(|pointer| self.unit.takes(&pointer, given));
        named.map(|(_, n)| *n).max().or_else(by_pointer).unwrap_or(given)
    }

    fn callee(&self, function: &str, given: usize) -> Result<Callee, CallError> {
        let unit = self.unit.clone();
        if unit.program.exports.contains(&(function.to_owned(), given)) {
            return Ok(Callee { unit, function: function.to_owned(), pointer: None });
        }
        if let Some(pointer) = self.exports.get_var(function).filter(Dynamic::is_fnptr) {
            return Ok(Callee { unit, function: function.to_owned(), pointer: Some(pointer) });
        }
        let module = self.manifest.name.to_string();
        let arities: Vec<String> = unit
            .program
            .exports
            .iter()
            .filter(|(name, _)| name == function)
            .map(|(_, n)| n.to_string())
            .collect();
        if arities.is_empty() {
            let generation = Lease::current_generation().map_or(0, |generation| generation.0);
            return Err(CallError::NoExport { module, export: function.to_owned(), generation });
        }
        let reason = format!("`{function}` takes {} arguments, {given} were given", arities.join(" or "));
        Err(CallError::BadValue { module, reason })
    }
}

struct Callee {
    unit: Arc<Unit>,
    function: String,
    pointer: Option<Dynamic>,
}

impl Callee {
    fn called_back(self, args: Vec<Value>) -> Result<Value, HookError> {
        let ran = self.run(args).map_err(|thrown| error::hook_error(thrown, &self.unit.name, &*self.unit))?;
        // What is no plain data is told in words.
        Ok(to_value(&ran).unwrap_or_else(|_| Value::Str(ran.to_string())))
    }

    fn run(&self, args: Vec<Value>) -> Thrown<Dynamic> {
        let args = args.into_iter().map(from_value).collect();
        match &self.pointer {
            None => self.unit.call_named(None, &self.function, args),
            Some(pointer) => self.unit.call_pointer(None, &pointer.clone_cast(), args),
        }
    }

    fn call(self, args: Vec<Value>) -> Result<Value, CallError> {
        let result =
            self.run(args).map_err(|thrown| error::call_error(thrown, &self.unit.name, &*self.unit))?;
        to_value(&result).map_err(|reason| {
            let reason = format!("what `{}` returned: {reason}", self.function);
            CallError::BadValue { module: self.unit.name.to_string(), reason }
        })
    }
}

impl Unit {
    /// Runs one hook, if there is one.
    pub(crate) async fn hook(self: Arc<Self>, hook: Hook, watch: Watch) -> HookResult {
        let Some(function) = self.registered().and_then(|registration| registration.hook(hook).cloned())
        else {
            return Ok(());
        };
        let world = self.runtime.world().map_err(|error| HookError::new(error.to_string()))?;
        let counted = self.common.hooks.count();
        let work = move || {
            let _counted = counted;
            let ran = self.call_pointer(None, &function, vec![Dynamic::from(self.object())]);
            ran.map(drop).map_err(|thrown| error::hook_error(thrown, &self.name, &*self))
        };
        off_thread(&*world.clock, watch, work).await?
    }
}

impl RhaiModule {
    /// Watches a call from outside.
    fn watch(&self) -> Watch {
        Watch::call(Lease::current()).of(&self.overlay).turns(self.unit.runtime.turn)
    }

    async fn run(&self, cx: &HookCx) -> HookResult {
        let watch = Watch::call(Lease::current()).of(&self.overlay).within(cx.budget);
        self.unit.clone().hook(cx.hook, watch).await
    }
}

#[async_trait]
impl Lifecycle for RhaiModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.run(cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.run(cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.run(cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.run(cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.run(cx).await
    }
}

#[async_trait]
impl Module for RhaiModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let callee = self.callee(function, args.len())?;
        let world = self.unit.runtime.world()?;
        off_thread(&*world.clock, self.watch(), move || callee.call(args)).await?
    }

    async fn callback(
        &self,
        function: &str,
        mut args: Vec<Value>,
        budget: Duration,
    ) -> Result<Vec<Value>, HookError> {
        args.truncate(self.takes(function, args.len()));
        let callee = self.callee(function, args.len()).map_err(|error| HookError::new(error.to_string()))?;
        let world = self.unit.runtime.world().map_err(|error| HookError::new(error.to_string()))?;
        let counted = self.unit.common.hooks.count();
        let work = move || {
            let _counted = counted;
            callee.called_back(args).map(|value| vec![value])
        };
        off_thread(&*world.clock, Watch::call(Lease::current()).of(&self.overlay).within(budget), work)
            .await?
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let callee = self.callee(function, args.len())?;
        on_this_thread(self.watch(), || callee.call(args))?
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        let reach = Reach::of(&self.unit.common.state);
        Ok(Box::new(copy(reach)))
    }

    fn unrestorable(&self, checkpoint: &Checkpoint) -> Vec<String> {
        let copied = checkpoint.downcast_ref::<Copied>();
        let opaque = copied.map(|copied| copied.opaque.as_slice()).unwrap_or_default();
        opaque.iter().map(|kind| format!("what it holds of the host's type `{kind}`")).collect()
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        let copied = checkpoint.downcast_ref::<Copied>().ok_or("not a checkpoint of a Rhai module")?;
        // A hook that was given up on may still be about to notice.
        self.unit.common.hooks.none().await;
        copied.restore();
        Ok(())
    }

    fn save(&self) -> Value {
        to_plain(&Dynamic::from(self.unit.common.state.clone()))
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        Ok(Box::new(match recorded {
            Some(value) => RhaiDraft::recorded(value)?,
            None => RhaiDraft::of(&self.unit.common.state),
        }))
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        Ok(Box::new(self.unit.clone().migrate(cx, own(draft)?).await?))
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        Ok(Box::new(own(draft)?.pour(&self.unit.common.state, self.overlay.upgrade())))
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        draft.downcast_ref::<RhaiDraft>().map(RhaiDraft::save).unwrap_or_default()
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        Reach::of(&self.unit.common.state).fibers.intersection(candidates).copied().collect()
    }
}

fn own(draft: Draft) -> Result<RhaiDraft, HookError> {
    draft.downcast().map(|draft| *draft).map_err(|_| "not a draft of a Rhai module".into())
}
