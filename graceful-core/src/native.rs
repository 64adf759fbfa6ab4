//! Modules written in Rust: the same graph, hooks and rollback as scripts.
//!
//! The *source* of a native module is a closure, its top level: it runs when the module is staged and
//! returns the module. Registering a name again is an edit of that source; the next reload applies it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::backend::{Backend, Control, StageCx, Txn, TxnCx};
use crate::error::{CallError, Place, ScriptError, ScriptErrorKind};
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::lease::Lease;
use crate::lifecycle::{Hook, HookCx, HookError, HookResult, Hooks, Lifecycle};
use crate::manifest::{CheckpointMode, Export, Manifest};
use crate::module::{Checkpoint, Compiled, Module, Require};
use crate::source::{Name, Source};
use crate::value::Value;
use crate::version::Version;

/// The name of the backend of native modules.
pub const NATIVE: &str = "native";

/// The state of a native module: a map that every version of it shares.
///
/// What the top level of a staged version writes is held back until the commit; hooks and calls write at
/// once, and hooks are undone from the checkpoint.
#[derive(Default)]
pub struct State {
    live: Mutex<BTreeMap<String, Value>>,
    staged: Mutex<BTreeMap<String, Value>>,
}

impl State {
    /// The entry `key`, `Null` if there is none.
    pub fn get(&self, key: &str) -> Value {
        if staging()
            && let Some(value) = self.staged.lock().unwrap().get(key)
        {
            return value.clone();
        }
        self.live.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// Writes the entry `key`.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        let map = if staging() { &self.staged } else { &self.live };
        map.lock().unwrap().insert(key.to_owned(), value.into());
    }

    /// Changes the entry `key` in one step and returns its new value.
    pub fn update(&self, key: &str, change: impl FnOnce(Value) -> Value) -> Value {
        if staging() {
            let next = change(self.get(key));
            self.set(key, next.clone());
            return next;
        }
        let mut live = self.live.lock().unwrap();
        let entry = live.entry(key.to_owned()).or_default();
        *entry = change(std::mem::take(entry));
        entry.clone()
    }

    /// A copy of the whole map.
    pub fn snapshot(&self) -> BTreeMap<String, Value> {
        self.live.lock().unwrap().clone()
    }

    fn restore(&self, map: BTreeMap<String, Value>) {
        *self.live.lock().unwrap() = map;
    }

    fn merge(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        let staged = std::mem::take(&mut *self.staged.lock().unwrap());
        let mut live = self.live.lock().unwrap();
        live.extend(staged);
        live
    }

    fn discard(&self) {
        self.staged.lock().unwrap().clear();
    }
}

fn staging() -> bool {
    Lease::current().is_some_and(|lease| lease.kind() == LeaseKind::Stage)
}

/// What a native module's top level is given.
#[derive(Clone)]
pub struct NativeCx {
    /// The instance that is being staged; its scope owns what it starts.
    pub instance: Arc<Instance>,
    /// The state it shares with the versions before and after it.
    pub state: Arc<State>,
    world: Weak<World>,
    control: Weak<dyn Control>,
}

impl NativeCx {
    /// The live world.
    pub fn world(&self) -> Result<Arc<World>, CallError> {
        self.world.upgrade().ok_or(CallError::Stopped)
    }

    /// The engine.
    pub fn control(&self) -> Result<Arc<dyn Control>, CallError> {
        self.control.upgrade().ok_or(CallError::Stopped)
    }

    /// Calls an export of another module, in any language, as this module sees it.
    pub async fn call(&self, module: &str, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let world = self.world()?;
        let instance = self.require(module)?;
        crate::dispatch::call(&world, &instance, function, args).await
    }

    /// The instance of `module` that this module sees now; records the edge.
    pub fn require(&self, module: &str) -> Result<Arc<Instance>, CallError> {
        use crate::generation::Resolved::*;
        match self.world()?.resolve(&self.instance, &module.into(), None) {
            Settled(instance) | Pinned(instance) => Ok(instance),
            Closing => Err(CallError::Suspended {
                module: module.to_owned(),
            }),
            Pending | Absent => Err(CallError::NoModule {
                module: module.to_owned(),
            }),
        }
    }
}

type Function = Arc<dyn Fn(Vec<Value>) -> Result<Value, CallError> + Send + Sync>;
type AsyncFunction = Arc<dyn Fn(Vec<Value>) -> BoxFuture<'static, Result<Value, CallError>> + Send + Sync>;

enum Callee {
    Sync(Function),
    Async(AsyncFunction),
}

struct NoHooks;

impl Lifecycle for NoHooks {}

/// One version of a native module, as its top level returns it.
///
/// ```
/// use graceful_core::{Native, Value};
/// let store = Native::new("1.0.0")
///     .function("double", |args| Ok(Value::Int(args[0].as_int().unwrap_or(0) * 2)));
/// # let _ = store;
/// ```
pub struct Native {
    version: Option<String>,
    lifecycle: Arc<dyn Lifecycle>,
    hooks: Hooks,
    registered: bool,
    checkpoint: CheckpointMode,
    drain: bool,
    functions: BTreeMap<String, Callee>,
    values: BTreeMap<String, Value>,
}

impl Native {
    /// A registered module of this version.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: Some(version.into()),
            registered: true,
            ..Self::plain()
        }
    }

    /// A plain module: no version, no hooks.
    pub fn plain() -> Self {
        Self {
            version: None,
            lifecycle: Arc::new(NoHooks),
            hooks: Hooks::default(),
            registered: false,
            checkpoint: CheckpointMode::Auto,
            drain: false,
            functions: BTreeMap::new(),
            values: BTreeMap::new(),
        }
    }

    /// Exports a function.
    pub fn function(
        mut self,
        name: &str,
        function: impl Fn(Vec<Value>) -> Result<Value, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.functions
            .insert(name.to_owned(), Callee::Sync(Arc::new(function)));
        self
    }

    /// Exports an asynchronous function.
    pub fn async_function<F>(
        mut self,
        name: &str,
        function: impl Fn(Vec<Value>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value, CallError>> + Send + 'static,
    {
        let function: AsyncFunction = Arc::new(move |args| Box::pin(function(args)));
        self.functions.insert(name.to_owned(), Callee::Async(function));
        self
    }

    /// Exports plain data.
    pub fn value(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// Gives it hooks. `hooks` says which of them do something, so that the others cost nothing: a module
    /// without a reload hook is neither drained nor checkpointed.
    pub fn lifecycle(mut self, hooks: Hooks, lifecycle: impl Lifecycle + 'static) -> Self {
        self.hooks = hooks;
        self.lifecycle = Arc::new(lifecycle);
        self
    }

    /// How its state is protected while hooks run on it.
    pub fn checkpoint(mut self, mode: CheckpointMode) -> Self {
        self.checkpoint = mode;
        self
    }

    /// Asks for its calls to be drained at every reload.
    pub fn drain(mut self) -> Self {
        self.drain = true;
        self
    }

    fn finish(self, name: &Name, origin: &str, state: Arc<State>) -> Result<NativeModule, ScriptError> {
        let version = match self.version.as_deref().map(Version::parse).transpose() {
            Ok(version) => version,
            Err(error) => {
                let message = format!("module `{name}`, option `version`: {error}");
                return Err(ScriptError::new(ScriptErrorKind::Registration, message).at(Place::file(origin)));
            }
        };
        let functions = self.functions.keys().map(|name| (name.clone(), Export::Function));
        let values = self
            .values
            .into_iter()
            .map(|(name, value)| (name, Export::Value(value)));
        let manifest = Manifest {
            name: name.clone(),
            version,
            registered: self.registered,
            hooks: self.hooks,
            checkpoint: self.checkpoint,
            drain: self.drain,
            exports: functions.chain(values).collect(),
        };
        Ok(NativeModule {
            manifest,
            state,
            lifecycle: self.lifecycle,
            functions: self.functions,
        })
    }
}

struct NativeModule {
    manifest: Manifest,
    state: Arc<State>,
    lifecycle: Arc<dyn Lifecycle>,
    functions: BTreeMap<String, Callee>,
}

impl NativeModule {
    fn callee(&self, function: &str) -> Result<&Callee, CallError> {
        self.functions.get(function).ok_or_else(|| CallError::NoExport {
            module: self.manifest.name.to_string(),
            export: function.to_owned(),
            generation: Lease::current_generation().unwrap_or(Generation(0)).0,
        })
    }
}

#[async_trait]
impl Lifecycle for NativeModule {
    async fn init(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.init(cx).await
    }
    async fn before_reload(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.before_reload(cx).await
    }
    async fn after_reload(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.after_reload(cx).await
    }
    async fn rollback(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.rollback(cx).await
    }
    async fn finalize(&self, cx: &HookCx) -> HookResult {
        self.lifecycle.finalize(cx).await
    }
}

#[async_trait]
impl Module for NativeModule {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        match self.callee(function)? {
            Callee::Sync(function) => function(args),
            Callee::Async(function) => function(args).await,
        }
    }

    fn call_blocking(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        match self.callee(function)? {
            Callee::Sync(function) => function(args),
            Callee::Async(_) => {
                let reason = format!("`{function}` is asynchronous and was called where nothing can wait");
                Err(CallError::BadValue {
                    module: self.manifest.name.to_string(),
                    reason,
                })
            }
        }
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        Ok(Box::new(self.state.snapshot()))
    }

    async fn restore(&self, checkpoint: &Checkpoint) -> Result<(), HookError> {
        let map = checkpoint.downcast_ref::<BTreeMap<String, Value>>();
        self.state
            .restore(map.ok_or("not a checkpoint of a native module")?.clone());
        Ok(())
    }

    fn save(&self) -> Value {
        Value::Map(self.state.snapshot())
    }
}

type TopLevel = Arc<dyn Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync>;

#[derive(Clone)]
struct NativeSource {
    revision: u64,
    requires: Vec<Name>,
    top_level: TopLevel,
}

/// The backend of native modules. Every engine has one.
#[derive(Default)]
pub struct NativeBackend {
    sources: Mutex<BTreeMap<Name, NativeSource>>,
    engine: OnceLock<(Weak<World>, Weak<dyn Control>)>,
}

impl NativeBackend {
    /// Sets the source of `name`: what it requires while loading, and its top level.
    pub fn set(
        &self,
        name: impl Into<Name>,
        requires: &[&str],
        top_level: impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static,
    ) {
        let name = name.into();
        let mut sources = self.sources.lock().unwrap();
        let revision = sources.get(&name).map_or(1, |source| source.revision + 1);
        let requires = requires.iter().map(|name| Name::from(*name)).collect();
        sources.insert(
            name,
            NativeSource {
                revision,
                requires,
                top_level: Arc::new(top_level),
            },
        );
    }

    /// Takes the source of `name` away; the next reload removes the module.
    pub fn remove(&self, name: &str) {
        self.sources.lock().unwrap().remove(name);
    }

    /// The source of `name`, if there is one.
    pub fn find(&self, name: &Name) -> Option<Source> {
        let sources = self.sources.lock().unwrap();
        let revision = sources.get(name)?.revision;
        let text = format!("native {name} revision {revision}");
        Some(Source::new(
            name.clone(),
            NATIVE,
            format!("native:{name}"),
            text.into_bytes(),
        ))
    }
}

#[async_trait]
impl Backend for NativeBackend {
    fn name(&self) -> &str {
        NATIVE
    }

    fn extensions(&self) -> &[&str] {
        &[]
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let _ = self.engine.set((Arc::downgrade(world), control));
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        let sources = self.sources.lock().unwrap();
        let native = sources.get(&source.name).cloned();
        let native = native.ok_or_else(|| ScriptError::runtime("native source was taken away"))?;
        let place = Place::file(&source.origin);
        let requires = native.requires.iter();
        let requires = requires.map(|name| Require {
            name: name.clone(),
            place: place.clone(),
            deferred: false,
        });
        Ok(Compiled {
            requires: requires.collect(),
            artifact: Arc::new(native),
        })
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        let (world, control) = self
            .engine
            .get()
            .cloned()
            .expect("attached when the engine was built");
        Box::new(NativeTxn {
            cx,
            world,
            control,
            states: Mutex::default(),
        })
    }
}

struct NativeTxn {
    cx: TxnCx,
    world: Weak<World>,
    control: Weak<dyn Control>,
    states: Mutex<Vec<Arc<State>>>,
}

#[async_trait]
impl Txn for NativeTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let native = cx
            .compiled
            .artifact
            .downcast_ref::<NativeSource>()
            .expect("compiled by this backend");
        let previous = cx
            .previous
            .as_ref()
            .and_then(|module| module.as_any().downcast_ref::<NativeModule>());
        let state = previous.map(|module| module.state.clone()).unwrap_or_default();
        self.states.lock().unwrap().push(state.clone());
        let instance = cx.instance.clone();
        let (world, control) = (self.world.clone(), self.control.clone());
        let native_cx = NativeCx {
            instance,
            state: state.clone(),
            world,
            control,
        };
        let top_level = std::panic::AssertUnwindSafe(|| (native.top_level)(&native_cx));
        let made = std::panic::catch_unwind(top_level)
            .unwrap_or_else(|_| Err(ScriptError::new(ScriptErrorKind::Panic, "the top level panicked")))
            .map_err(|error| {
                if error.place.is_none() {
                    error.at(Place::file(&cx.source.origin))
                } else {
                    error
                }
            })?;
        let module = Arc::new(made.finish(&cx.source.name, &cx.source.origin, state)?);
        if self.cx.start && module.manifest.registered && module.manifest.hooks.init {
            self.initialise(&cx, &module).await?;
        }
        Ok(module)
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        // Every state stays locked over the swap, so that nobody sees a staged key early or misses one late.
        let states = self.states.lock().unwrap();
        let merged: Vec<_> = states.iter().map(|state| state.merge()).collect();
        swap();
        drop(merged);
    }

    fn rollback(&self) {
        self.states
            .lock()
            .unwrap()
            .iter()
            .for_each(|state| state.discard());
    }
}

impl NativeTxn {
    async fn initialise(&self, cx: &StageCx, module: &Arc<NativeModule>) -> Result<(), ScriptError> {
        let hook = |hook| HookCx {
            module: cx.source.name.clone(),
            hook,
            generation: self.cx.generation,
            budget: self.cx.stage_budget,
        };
        let failed =
            |error: HookError| ScriptError::runtime(error.message).at(Place::file(&cx.source.origin));
        module.init(&hook(Hook::Init)).await.map_err(failed)?;
        let (module, finalize) = (module.clone(), hook(Hook::Finalize));
        let name = cx.source.name.clone();
        cx.importer.initialised(
            &name,
            Box::new(move || Box::pin(async move { module.finalize(&finalize).await })),
        );
        Ok(())
    }
}
