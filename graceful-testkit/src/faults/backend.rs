//! A backend around another one, whose every step passes the faults.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::{
    Backend, CallError, Callback, Checkpoint, Compiled, Control, Draft, Hook, HookCx, HookError, Kept,
    Lifecycle, Manifest, MigrationCx, Module, Name, ScriptError, Source, StageCx, Txn, TxnCx, Value, World,
};

use super::{Faults, HOG, Point, SPIN, Way};
use crate::op::Op;

/// A backend that fails where [`Faults`] says.
pub struct Faulty {
    inner: Arc<dyn Backend>,
    faults: Arc<Faults>,
}

impl Faulty {
    /// `inner`, with faults.
    pub fn new(inner: Arc<dyn Backend>, faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self { inner, faults })
    }
}

#[async_trait]
impl Backend for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn extensions(&self) -> &[&str] {
        self.inner.extensions()
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        self.inner.attach(world, control);
    }

    fn cancelling(&self) {
        self.inner.cancelling();
    }

    fn kept(&self) -> Option<Kept> {
        self.inner.kept()
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        self.faults.meet_now(Point::Compile, &source.name).map_err(ScriptError::runtime)?;
        self.inner.compile(source)
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        let txn = FaultyTxn {
            inner: self.inner.begin(cx),
            backend: self.inner.clone(),
            faults: self.faults.clone(),
        };
        Box::new(txn)
    }

    async fn evaluate(&self, line: &str, limit: Duration) -> Result<Vec<String>, CallError> {
        self.inner.evaluate(line, limit).await
    }
}

struct FaultyTxn {
    inner: Box<dyn Txn>,
    backend: Arc<dyn Backend>,
    faults: Arc<Faults>,
}

impl FaultyTxn {
    /// The same module with a top level that does `op` at its end.
    fn spoiled(&self, cx: StageCx, op: Op) -> Result<StageCx, ScriptError> {
        let Some(text) = self.faults.spoiled(&cx.source.name, op) else {
            return Err(ScriptError::runtime("a fault at Stage"));
        };
        let was = &cx.source;
        let source = Source::new(was.name.clone(), &*was.backend, &*was.origin, text.into_bytes());
        Ok(StageCx { compiled: self.backend.compile(&source)?, source: Arc::new(source), ..cx })
    }
}

#[async_trait]
impl Txn for FaultyTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let (name, faults) = (cx.source.name.clone(), self.faults.clone());
        let way = faults.pass(Point::Stage, &name);
        let cx = match way {
            Some(Way::Spin) => self.spoiled(cx, Op::Spin)?,
            Some(Way::Memory) => self.spoiled(cx, Op::Hog)?,
            _ => cx,
        };
        let inner = self.inner.stage(cx).await?;
        if let Some(way) = way {
            faults.strike(way, Point::Stage).await.map_err(ScriptError::runtime)?;
        }
        Ok(Arc::new(FaultyModule { inner, name, faults }))
    }

    fn slice(&self, work: &mut dyn FnMut() -> bool) {
        self.inner.slice(work);
    }

    fn join(&self, module: &Arc<dyn Module>) {
        self.inner.join(module);
    }

    async fn quiesce(&self, modules: &BTreeSet<Name>) {
        self.inner.quiesce(modules).await;
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        self.inner.commit(swap);
    }

    fn rollback(&self) {
        self.inner.rollback();
    }
}

struct FaultyModule {
    inner: Arc<dyn Module>,
    name: Name,
    faults: Arc<Faults>,
}

impl FaultyModule {
    async fn after(&self, hook: Hook, cx: &HookCx, result: HookResult) -> HookResult {
        result?;
        self.meet(Point::Hook(hook.as_str()), cx.budget).await
    }

    /// A point in code of the module, which may also loop and take memory.
    async fn meet(&self, point: Point, budget: Duration) -> HookResult {
        let function = match self.faults.pass(point, &self.name) {
            None => return Ok(()),
            Some(Way::Spin) => SPIN,
            Some(Way::Memory) => HOG,
            Some(way) => return self.faults.strike(way, point).await.map_err(HookError::from),
        };
        self.inner.callback(function, Vec::new(), budget).await?;
        Err(format!("a fault at {point:?}, where `{function}` returned").into())
    }
}

#[async_trait]
impl Lifecycle for FaultyModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Init, cx, self.inner.init(cx).await).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::BeforeReload, cx, self.inner.before_reload(cx).await).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::AfterReload, cx, self.inner.after_reload(cx).await).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Rollback, cx, self.inner.rollback(cx).await).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Finalize, cx, self.inner.finalize(cx).await).await
    }
}

#[async_trait]
impl Module for FaultyModule {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    /// The module inside, so that its backend recognises its own.
    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.inner.call(function, args).await
    }

    async fn callback(
        &self,
        function: &str,
        args: Vec<Value>,
        budget: Duration,
    ) -> Result<Vec<Value>, HookError> {
        let values = self.inner.callback(function, args, budget).await?;
        if let Some(callback) = Callback::ALL.into_iter().find(|callback| callback.as_str() == function) {
            self.meet(Point::Callback(callback.as_str()), budget).await?;
        }
        Ok(values)
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.inner.call_blocking(function, args)
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        self.faults.meet(Point::Checkpoint, &self.name).await?;
        self.inner.checkpoint().await
    }

    fn unrestorable(&self, checkpoint: &Checkpoint) -> Vec<String> {
        self.inner.unrestorable(checkpoint)
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        self.inner.restore(checkpoint).await?;
        self.faults.meet(Point::Restore, &self.name).await.map_err(HookError::from)
    }

    fn save(&self) -> Value {
        self.inner.save()
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        let draft = self.inner.draft(recorded).await?;
        self.faults.meet(Point::Draft, &self.name).await?;
        Ok(draft)
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        let draft = self.inner.migrate(cx, draft).await?;
        self.meet(Point::Migration, cx.budget).await?;
        Ok(draft)
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        self.faults.meet_now(Point::Pour, &self.name)?;
        self.inner.pour(draft)
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        self.inner.save_draft(draft)
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        self.inner.kept(candidates)
    }
}
