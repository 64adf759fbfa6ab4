//! Modules written in Rust: the same graph, hooks and rollback as scripts.
//!
//! The *source* of a native module is a closure, its top level: it runs when the module is staged and
//! returns the module. Registering a name again is an edit of that source; the next reload applies it.

mod backend;
mod migration;
mod module;
mod role;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;

use crate::backend::Control;
use crate::error::{CallError, Place, ScriptError, ScriptErrorKind};
use crate::generation::{Instance, World};
use crate::lifecycle::{Hooks, Lifecycle};
use crate::manifest::{CheckpointMode, Export, Manifest};
use crate::source::Name;
use crate::value::Value;
use crate::version::Version;
use module::NativeModule;

use migration::Steps;

pub use backend::NativeBackend;
pub use migration::{Entries, NativeMigration};
pub use state::State;

/// The name of the backend of native modules.
pub const NATIVE: &str = "native";

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
        let instance = self.wait_for(&world, module).await?;
        crate::dispatch::call(&world, &instance, function, args).await
    }

    /// As [`require`](Self::require); where the module is being replaced, it waits as long as calls wait.
    async fn wait_for(&self, world: &World, module: &str) -> Result<Arc<Instance>, CallError> {
        let name = Name::from(module);
        loop {
            match self.require(module) {
                Err(CallError::Suspended { .. }) => world.settled(&name).await?,
                found => return found,
            }
        }
    }

    /// The instance of `module` that this module sees now; records the edge.
    pub fn require(&self, module: &str) -> Result<Arc<Instance>, CallError> {
        use crate::generation::Resolved::*;
        match self.world()?.resolve(&self.instance, &module.into(), || None) {
            Settled(instance) | Pinned(instance) => Ok(instance),
            Closing => Err(CallError::Suspended { module: module.to_owned() }),
            Pending | Absent => Err(CallError::NoModule { module: module.to_owned() }),
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
    version: Option<Value>,
    migrations: Vec<NativeMigration>,
    lifecycle: Arc<dyn Lifecycle>,
    hooks: Hooks,
    registered: bool,
    checkpoint: CheckpointMode,
    drain: bool,
    functions: BTreeMap<String, Callee>,
    values: BTreeMap<String, Value>,
}

impl Native {
    /// A registered module of this version: `"1.0.0"`, `[1, 0, 0]` or a [`Version`].
    pub fn new(version: impl Into<Value>) -> Self {
        Self { version: Some(version.into()), registered: true, ..Self::plain() }
    }

    /// A plain module: no version, no hooks.
    pub fn plain() -> Self {
        Self {
            version: None,
            migrations: Vec::new(),
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
        self.functions.insert(name.to_owned(), Callee::Sync(Arc::new(function)));
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

    /// Declares a step between two versions of its state.
    pub fn migration(mut self, step: NativeMigration) -> Self {
        self.migrations.push(step);
        self
    }

    fn finish(self, name: &Name, origin: &str, state: Arc<State>) -> Result<NativeModule, ScriptError> {
        let wrong = |option: &str, error: String| {
            let message = format!("module `{name}`, option `{option}`: {error}");
            ScriptError::new(ScriptErrorKind::Registration, message).at(Place::file(origin))
        };
        let version = self.version.as_ref().map(Version::from_value).transpose();
        let version = version.map_err(|error| wrong("version", error.to_string()))?;
        let (migrations, steps) = Steps::of(self.migrations).map_err(|error| wrong("migrations", error))?;
        if version.is_none() && !migrations.is_empty() {
            return Err(wrong("migrations", "they need the option `version`".into()));
        }
        let functions = self.functions.keys().map(|name| (name.clone(), Export::Function));
        let values = self.values.into_iter().map(|(name, value)| (name, Export::Value(value)));
        let manifest = Manifest {
            name: name.clone(),
            version,
            registered: self.registered,
            hooks: self.hooks,
            checkpoint: self.checkpoint,
            drain: self.drain,
            migrations,
            exports: functions.chain(values).collect(),
            unfit: BTreeMap::new(),
            returned: None,
        };
        Ok(NativeModule { manifest, state, lifecycle: self.lifecycle, steps, functions: self.functions })
    }
}
