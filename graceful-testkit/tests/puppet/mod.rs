//! A backend whose modules are closures of the test: what a top level does, in which order, how long, and
//! what fails, is the test's own.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_types, reason = "tests")]

mod module;
mod theatre;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graceful_core::module::Require;
use graceful_core::source::SourceError;
use graceful_core::*;
use module::PuppetModule;
#[allow(unused_imports, reason = "not every test file has a stage")]
pub use theatre::Theatre;

pub type Work<T> = BoxFuture<'static, T>;
type Stage = Arc<dyn Fn(Arc<StageCx>) -> Work<Result<(), ScriptError>> + Send + Sync>;
type Function = Arc<dyn Fn(Vec<Value>) -> Work<Result<Value, CallError>> + Send + Sync>;
type OnHook = Arc<dyn Fn(HookCx) -> Work<Result<(), HookError>> + Send + Sync>;
type Step = Arc<dyn Fn() -> Result<(), HookError> + Send + Sync>;

/// One version of a module's source.
#[derive(Clone, Default)]
pub struct Play {
    requires: Vec<(Name, bool)>,
    stage: Option<Stage>,
    functions: BTreeMap<String, Function>,
    hooks: BTreeMap<&'static str, OnHook>,
    checkpoint: Option<Step>,
    restore: Option<Step>,
    mode: CheckpointMode,
    plain: bool,
    version: Option<&'static str>,
    broken: bool,
    kept: bool,
    imports: Vec<Name>,
}

impl Play {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }
    pub fn broken(mut self) -> Self {
        self.broken = true;
        self
    }
    pub fn keeps_tasks(mut self) -> Self {
        self.kept = true;
        self
    }
    pub fn requires(mut self, names: &[&str]) -> Self {
        self.requires.extend(names.iter().map(|name| (Name::from(*name), false)));
        self
    }
    pub fn defers(mut self, names: &[&str]) -> Self {
        self.requires.extend(names.iter().map(|name| (Name::from(*name), true)));
        self
    }
    pub fn mode(mut self, mode: CheckpointMode) -> Self {
        self.mode = mode;
        self
    }
    pub fn stage<F>(mut self, stage: impl Fn(Arc<StageCx>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ScriptError>> + Send + 'static,
    {
        self.stage = Some(Arc::new(move |cx| Box::pin(stage(cx))));
        self
    }
    /// A top level that imports `names` one after the other.
    pub fn imports(mut self, names: &[&str]) -> Self {
        self.imports.extend(names.iter().map(|name| Name::from(*name)));
        self
    }
    pub fn function<F>(mut self, name: &str, f: impl Fn(Vec<Value>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Value, CallError>> + Send + 'static,
    {
        self.functions.insert(name.into(), Arc::new(move |args| Box::pin(f(args))));
        self
    }
    pub fn returns(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.function(name, move |_| std::future::ready(Ok(value.clone())))
    }
    pub fn hook<F>(mut self, name: &'static str, f: impl Fn(HookCx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        self.hooks.insert(name, Arc::new(move |cx| Box::pin(f(cx))));
        self
    }
    pub fn checkpoint(mut self, f: impl Fn() -> Result<(), HookError> + Send + Sync + 'static) -> Self {
        self.checkpoint = Some(Arc::new(f));
        self
    }
    pub fn restore(mut self, f: impl Fn() -> Result<(), HookError> + Send + Sync + 'static) -> Self {
        self.restore = Some(Arc::new(f));
        self
    }
}

/// The backend, and the sources of its modules.
#[derive(Default)]
pub struct Puppet {
    name: &'static str,
    plays: Mutex<BTreeMap<Name, (u64, Play)>>,
    revision: Mutex<u64>,
    engine: OnceLock<(Weak<World>, Weak<dyn Control>)>,
    /// Its VM is held by code that never lets go.
    pub held: Arc<std::sync::atomic::AtomicBool>,
    pub on_commit: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl Puppet {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { name: "puppet", ..Self::default() })
    }
    pub fn set(&self, name: &str, play: Play) {
        let mut revision = self.revision.lock().unwrap();
        *revision += 1;
        self.plays.lock().unwrap().insert(name.into(), (*revision, play));
    }
    pub fn remove(&self, name: &str) {
        self.plays.lock().unwrap().remove(name);
    }
    pub fn world(&self) -> Arc<World> {
        self.engine.get().unwrap().0.upgrade().unwrap()
    }
    pub fn control(&self) -> Arc<dyn Control> {
        self.engine.get().unwrap().1.upgrade().unwrap()
    }
}

/// The sources of a puppet, as the engine takes them.
pub struct Script(pub Arc<Puppet>);

impl Sources for Script {
    fn find(&self, name: &Name) -> Result<Found, SourceError> {
        let plays = self.0.plays.lock().unwrap();
        Ok(match plays.get(name) {
            None => Found::Missing { searched: vec![format!("puppet:{name}")] },
            Some((revision, _)) => {
                let text = revision.to_string().into_bytes();
                Found::Source(Source::new(name.clone(), self.0.name, format!("{name}.puppet"), text))
            }
        })
    }
}

impl Backend for Puppet {
    fn name(&self) -> &str {
        self.name
    }
    fn extensions(&self) -> &[&str] {
        &[]
    }
    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let _ = self.engine.set((Arc::downgrade(world), control));
    }
    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        let play = self.plays.lock().unwrap()[&source.name].1.clone();
        if play.broken {
            return Err(ScriptError::new(error::ScriptErrorKind::Syntax, "broken").at(Place::new(
                &*source.origin,
                1,
                1,
            )));
        }
        let place = |line| Place::new(&*source.origin, line as u32 + 1, 1);
        let requires = play.requires.iter().enumerate();
        let requires = requires.map(|(at, (name, deferred))| Require {
            name: name.clone(),
            place: place(at),
            deferred: *deferred,
        });
        Ok(Compiled::new(requires.collect(), Arc::new(play)))
    }
    fn begin(&self, _: TxnCx) -> Box<dyn Txn> {
        let (world, _) = self.engine.get().unwrap().clone();
        Box::new(PuppetTxn { world, hook: self.on_commit.lock().unwrap().take(), held: self.held.clone() })
    }
}

struct PuppetTxn {
    world: Weak<World>,
    held: Arc<std::sync::atomic::AtomicBool>,
    hook: Option<Box<dyn Fn() + Send + Sync>>,
}

#[async_trait]
impl Txn for PuppetTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let play = cx.compiled.artifact.downcast_ref::<Play>().unwrap().clone();
        let cx = Arc::new(cx);
        for name in &play.imports {
            let world = self.world.upgrade().unwrap();
            match world.resolve(&cx.instance, name, || None) {
                Resolved::Pending | Resolved::Absent => {
                    cx.importer.import(&cx.instance, name, None).await?;
                    world.resolve(&cx.instance, name, || None);
                }
                _ => {}
            }
        }
        if let Some(stage) = &play.stage {
            stage(cx.clone()).await?;
        }
        let hooks = Hooks {
            init: play.hooks.contains_key("init"),
            before_reload: play.hooks.contains_key("before_reload"),
            after_reload: play.hooks.contains_key("after_reload"),
            rollback: play.hooks.contains_key("rollback"),
            finalize: play.hooks.contains_key("finalize"),
        };
        let manifest = Manifest {
            name: cx.source.name.clone(),
            version: play.version.map(|text| Version::parse(text).unwrap()),
            registered: !play.plain,
            hooks,
            checkpoint: play.mode,
            exports: play.functions.keys().map(|name| (name.clone(), Export::Function)).collect(),
            ..Manifest::default()
        };
        Ok(Arc::new(PuppetModule { manifest, play }))
    }
    async fn quiesce(&self, _: &BTreeSet<Name>) {
        if self.held.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending().await
        }
    }
    fn commit(&self, swap: &mut dyn FnMut()) {
        if let Some(hook) = &self.hook {
            hook();
        }
        swap();
    }
    fn rollback(&self) {}
}
