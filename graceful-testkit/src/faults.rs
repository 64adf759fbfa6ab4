//! Faults on demand: a backend whose n-th stage, checkpoint, restore, hook or migration fails.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::{
    Backend, CallError, Checkpoint, Compiled, Control, Draft, Hook, HookCx, HookError, Lifecycle, Manifest,
    MigrationCx, Module, Name, ScriptError, Source, StageCx, Txn, TxnCx, Value, World,
};

/// Where a fault can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A module is staged.
    Stage,
    /// A state is copied.
    Checkpoint,
    /// A state is brought back.
    Restore,
    /// A hook runs, after it did its work.
    Hook(&'static str),
    /// A step of a migration runs, after it did its work.
    Migration,
    /// A migrated state is about to be poured in.
    Pour,
}

/// Every point there is.
pub const POINTS: [Point; 10] = [
    Point::Stage,
    Point::Checkpoint,
    Point::Restore,
    Point::Hook("init"),
    Point::Hook("before_reload"),
    Point::Hook("after_reload"),
    Point::Hook("rollback"),
    Point::Hook("finalize"),
    Point::Migration,
    Point::Pour,
];

/// Which faults are to come, and how often each point was passed.
#[derive(Default)]
pub struct Faults {
    armed: Mutex<BTreeMap<Point, u64>>,
    passed: Mutex<BTreeMap<Point, u64>>,
}

impl Faults {
    /// None.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fails the `nth` time from now that `point` is passed, the next time being 1.
    pub fn arm(&self, point: Point, nth: u64) {
        self.armed.lock().unwrap().insert(point, nth);
    }

    /// Takes every fault back and counts from 0 again.
    pub fn clear(&self) {
        self.armed.lock().unwrap().clear();
        self.passed.lock().unwrap().clear();
    }

    /// How often `point` was passed.
    pub fn passed(&self, point: Point) -> u64 {
        self.passed.lock().unwrap().get(&point).copied().unwrap_or_default()
    }

    /// Whether every fault that was armed has come.
    pub fn have_come(&self) -> bool {
        self.armed.lock().unwrap().values().all(|left| *left == 0)
    }

    fn pass(&self, point: Point) -> Result<(), String> {
        *self.passed.lock().unwrap().entry(point).or_default() += 1;
        match self.armed.lock().unwrap().get_mut(&point) {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Ok(()),
        }
        let come = self.armed.lock().unwrap().get(&point) == Some(&0);
        if come { Err(format!("a fault at {point:?}")) } else { Ok(()) }
    }
}

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

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        self.inner.compile(source)
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        Box::new(FaultyTxn { inner: self.inner.begin(cx), faults: self.faults.clone() })
    }
}

struct FaultyTxn {
    inner: Box<dyn Txn>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Txn for FaultyTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let inner = self.inner.stage(cx).await?;
        self.faults.pass(Point::Stage).map_err(ScriptError::runtime)?;
        Ok(Arc::new(FaultyModule { inner, faults: self.faults.clone() }))
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
    faults: Arc<Faults>,
}

impl FaultyModule {
    fn after(&self, hook: Hook, result: HookResult) -> HookResult {
        result?;
        self.faults.pass(Point::Hook(hook.as_str())).map_err(HookError::from)
    }
}

#[async_trait]
impl Lifecycle for FaultyModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Init, self.inner.init(cx).await)
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::BeforeReload, self.inner.before_reload(cx).await)
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::AfterReload, self.inner.after_reload(cx).await)
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Rollback, self.inner.rollback(cx).await)
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.after(Hook::Finalize, self.inner.finalize(cx).await)
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

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.inner.call_blocking(function, args)
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        self.faults.pass(Point::Checkpoint)?;
        self.inner.checkpoint().await
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        self.inner.restore(checkpoint).await?;
        self.faults.pass(Point::Restore).map_err(HookError::from)
    }

    fn save(&self) -> Value {
        self.inner.save()
    }

    async fn draft(&self, recorded: Option<&Value>) -> Result<Draft, HookError> {
        self.inner.draft(recorded).await
    }

    async fn migrate(&self, cx: &MigrationCx, draft: Draft) -> Result<Draft, HookError> {
        let draft = self.inner.migrate(cx, draft).await?;
        self.faults.pass(Point::Migration)?;
        Ok(draft)
    }

    fn pour(&self, draft: Draft) -> Result<Checkpoint, HookError> {
        self.faults.pass(Point::Pour)?;
        self.inner.pour(draft)
    }

    fn save_draft(&self, draft: &Draft) -> Value {
        self.inner.save_draft(draft)
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        self.inner.kept(candidates)
    }
}
