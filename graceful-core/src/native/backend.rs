//! The backend of native modules.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use async_trait::async_trait;

use super::module::NativeModule;
use super::{NATIVE, Native, NativeCx, State};
use crate::backend::{Backend, Control, StageCx, Txn, TxnCx};
use crate::error::{Place, ScriptError, ScriptErrorKind};
use crate::generation::World;
use crate::lifecycle::{Hook, HookCx, HookError, Lifecycle};
use crate::module::{Compiled, Module, Require};
use crate::source::{Name, Source};

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
    /// Counts every edit of every source, so that no two texts of a name are the same.
    edits: AtomicU64,
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
        let revision = self.edits.fetch_add(1, Ordering::Relaxed) + 1;
        let requires = requires.iter().map(|name| Name::from(*name)).collect();
        sources.insert(name, NativeSource { revision, requires, top_level: Arc::new(top_level) });
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
        Some(Source::new(name.clone(), NATIVE, format!("native:{name}"), text.into_bytes()))
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
        let requires =
            requires.map(|name| Require { name: name.clone(), place: place.clone(), deferred: false });
        Ok(Compiled::new(requires.collect(), Arc::new(native)))
    }

    fn begin(&self, cx: TxnCx) -> Box<dyn Txn> {
        let (world, control) = self.engine.get().cloned().expect("attached when the engine was built");
        Box::new(NativeTxn { cx, world, control, states: Mutex::default() })
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
        let native = cx.compiled.artifact.downcast_ref::<NativeSource>().expect("compiled by this backend");
        let previous = cx.previous.as_ref().and_then(|module| module.as_any().downcast_ref::<NativeModule>());
        let state = previous.map(|module| module.state.clone()).unwrap_or_default();
        self.states.lock().unwrap().push(state.clone());
        let instance = cx.instance.clone();
        let (world, control) = (self.world.clone(), self.control.clone());
        let native_cx = NativeCx { instance, state: state.clone(), world, control };
        let top_level = AssertUnwindSafe(|| (native.top_level)(&native_cx));
        let made =
            catch_unwind(top_level)
                .unwrap_or_else(|_| Err(ScriptError::new(ScriptErrorKind::Panic, "the top level panicked")))
                .map_err(|error| {
                    if error.place.is_none() { error.at(Place::file(&cx.source.origin)) } else { error }
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
        self.states.lock().unwrap().iter().for_each(|state| state.discard());
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
        cx.importer.initialising(&cx.source.name);
        module.init(&hook(Hook::Init)).await.map_err(failed)?;
        let (module, finalize) = (module.clone(), hook(Hook::Finalize));
        let name = cx.source.name.clone();
        cx.importer
            .initialised(&name, Box::new(move || Box::pin(async move { module.finalize(&finalize).await })));
        Ok(())
    }
}
