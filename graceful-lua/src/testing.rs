//! For this crate's tests: a backend of the least that builtins need, so that they can be tested on their own.
//! No overlay, no registration; `state` is one global table, and `hook` the export that runs as `after_reload`.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::{
    Backend, CallError, Checkpoint, Compiled, Control, Engine, HookCx, HookError, Hooks, Instance, Lifecycle,
    Manifest, Module, ReloadOptions, Resolved, ScriptError, Source, StageCx, Txn, TxnCx, Value, World,
};
use graceful_testkit::{ClockKind, MemorySources, Time};
use mlua::{Function, Lua, Table};

use crate::builtins::Builtins;
use crate::caller::source_of;
use crate::error::{call_error, guard, script_error};
use crate::fiber::fiber_id;
use crate::scan::scan;
use crate::value::{from_lua, to_lua};

/// A VM, an engine and its sources.
pub(crate) struct Bench {
    pub(crate) lua: Lua,
    pub(crate) engine: Engine,
    pub(crate) sources: Arc<MemorySources>,
    pub(crate) time: Time,
}

impl Bench {
    /// An engine whose entry is `app`, started with these texts.
    pub(crate) fn new(clock: ClockKind, texts: &[(&str, &str)]) -> Self {
        let (lua, time, sources) = (Lua::new(), Time::new(clock), MemorySources::new());
        lua.globals().set("state", lua.create_table().unwrap()).unwrap();
        let backend = Arc::new(Least { lua: lua.clone(), world: OnceLock::new(), builtins: OnceLock::new() });
        let engine =
            Engine::builder(time.clock()).backend(backend).sources(sources.clone()).entry("app").build();
        let bench = Self { lua, engine, sources, time };
        texts.iter().for_each(|(name, text)| bench.put(name, text));
        bench.reload();
        bench
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        self.sources.put(name, "lua", "lua", text);
    }

    pub(crate) fn reload(&self) {
        self.time.block_on(self.engine.reload(ReloadOptions::default())).unwrap();
    }

    pub(crate) fn call(&self, function: &str) -> Result<Value, CallError> {
        self.time.block_on(self.engine.call("app", function, Vec::new()))
    }

    pub(crate) fn started(&self, function: &str) -> graceful_testkit::Pending<Result<Value, CallError>> {
        let (engine, function) = (self.engine.clone(), function.to_owned());
        self.time.spawn(async move { engine.call("app", &function, Vec::new()).await })
    }

    /// An entry of `state`, as text.
    pub(crate) fn state(&self, key: &str) -> String {
        self.lua.load(format!("return tostring(state.{key})")).eval().unwrap()
    }

    pub(crate) fn tasks(&self) -> usize {
        self.engine.world().instances().iter().map(|instance| instance.scope.count("task")).sum()
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.time.pass(Duration::from_millis(ms));
    }
}

struct Least {
    lua: Lua,
    world: OnceLock<Weak<World>>,
    builtins: OnceLock<Arc<Builtins>>,
}

impl Least {
    fn world(&self) -> Arc<World> {
        self.world.get().unwrap().upgrade().unwrap()
    }
}

#[async_trait]
impl Backend for Least {
    fn name(&self) -> &str {
        "lua"
    }

    fn extensions(&self) -> &[&str] {
        &["lua"]
    }

    fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let _ = self.world.set(Arc::downgrade(world));
        let _ = self.builtins.set(Arc::new(Builtins::new(&self.lua, world, control).unwrap()));
    }

    fn compile(&self, source: &Source) -> Result<Compiled, ScriptError> {
        let known = |name: &str| ["fiber", "log", "http", "graceful"].contains(&name);
        let requires = scan(&source.text, &source.origin).into_iter().filter(|require| !known(&require.name));
        Ok(Compiled { requires: requires.collect(), artifact: Arc::new(()) })
    }

    fn begin(&self, _: TxnCx) -> Box<dyn Txn> {
        Box::new(Staging {
            lua: self.lua.clone(),
            world: self.world(),
            builtins: self.builtins.get().unwrap().clone(),
        })
    }
}

struct Staging {
    lua: Lua,
    world: Arc<World>,
    builtins: Arc<Builtins>,
}

#[async_trait]
impl Txn for Staging {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let failed = |error: mlua::Error| {
            script_error(&error, |file| {
                crate::error::shows(file, &cx.source.origin).then(|| cx.source.clone())
            })
        };
        let require = require(&self.lua, &self.world, &self.builtins, &cx.instance).map_err(failed)?;
        let text = String::from_utf8_lossy(&cx.source.text);
        let chunk =
            self.lua.load(format!("local require = ...; {text}")).set_name(format!("@{}", cx.source.origin));
        let chunk = chunk.into_function().map_err(failed)?;
        let call = guard(&self.lua).map_err(failed)?.call_async::<Option<Table>>((chunk, require));
        let exports =
            call.await.map_err(failed)?.map_or_else(|| self.lua.create_table(), Ok).map_err(failed)?;
        let mut manifest = Manifest::plain(cx.source.name.clone());
        manifest.registered = true;
        manifest.hooks =
            Hooks { after_reload: exports.contains_key("hook").unwrap_or(false), ..Hooks::default() };
        Ok(Arc::new(Loaded { lua: self.lua.clone(), world: Arc::downgrade(&self.world), exports, manifest }))
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        self.lua.exec_raw_lua(|_| swap());
    }

    fn rollback(&self) {}
}

fn require(
    lua: &Lua,
    world: &Arc<World>,
    builtins: &Arc<Builtins>,
    instance: &Arc<Instance>,
) -> mlua::Result<Function> {
    // The instance keeps itself alive through its own require: tests may leak it.
    let (world, builtins, instance) = (Arc::downgrade(world), builtins.clone(), instance.clone());
    lua.create_function(move |lua, name: String| {
        let world = world.upgrade().unwrap();
        if name == "graceful" {
            let graceful = lua.create_table()?;
            builtins.extend(lua, &graceful, &instance)?;
            return Ok(graceful);
        }
        if let Some(builtin) = builtins.open(lua, &name, &instance) {
            return builtin;
        }
        match world.resolve(&instance, &name.as_str().into(), None) {
            Resolved::Settled(found) | Resolved::Pinned(found) => {
                let loaded = found.module().unwrap().as_any().downcast_ref::<Loaded>().unwrap();
                Ok(loaded.exports.clone())
            }
            other => Err(mlua::Error::runtime(format!("{name}: {other:?}"))),
        }
    })
}

struct Loaded {
    lua: Lua,
    world: Weak<World>,
    exports: Table,
    manifest: Manifest,
}

impl Loaded {
    async fn run(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let failed = |error: mlua::Error| match call_error(&error) {
            Some(error) => error.clone(),
            None => script_error(&error, |file| source_of(self.world.upgrade()?.as_ref(), file)).into(),
        };
        let f: Function = self.exports.get(function).map_err(failed)?;
        let args = args.iter().map(|arg| to_lua(&self.lua, arg)).collect::<mlua::Result<mlua::MultiValue>>();
        let call = guard(&self.lua).map_err(failed)?.call_async::<mlua::Value>((f, args.map_err(failed)?));
        let value = call.await.map_err(failed)?;
        from_lua(&value)
            .map_err(|reason| CallError::BadValue { module: self.manifest.name.to_string(), reason })
    }
}

#[async_trait]
impl Lifecycle for Loaded {
    async fn after_reload(&self, _: &HookCx) -> Result<(), HookError> {
        match self.run("hook", Vec::new()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        }
    }
}

#[async_trait]
impl Module for Loaded {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.run(function, args).await
    }

    async fn checkpoint(&self) -> Result<Checkpoint, HookError> {
        Ok(Box::new(()))
    }

    async fn restore(&self, _: &Checkpoint) -> Result<(), HookError> {
        Ok(())
    }

    fn kept(&self, candidates: &BTreeSet<u64>) -> BTreeSet<u64> {
        let state: Table = self.lua.globals().get("state").unwrap();
        let ids = state.pairs::<mlua::Value, mlua::Value>().filter_map(|pair| fiber_id(&pair.unwrap().1));
        ids.filter(|id| candidates.contains(id)).collect()
    }
}
