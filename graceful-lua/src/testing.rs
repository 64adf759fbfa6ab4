//! For this crate's tests: an engine on a manual clock, whose entry is the Lua module `app`.

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{CallError, Engine, ReloadError, ReloadOptions, Report, Value};
use graceful_testkit::{ManualClock, MemorySources};
use mlua::Lua;

use crate::backend::LuaBackend;
use crate::vm::Vm;

/// A VM, an engine and its sources.
pub(crate) struct Bench {
    pub(crate) lua: Lua,
    pub(crate) vm: Arc<Vm>,
    pub(crate) engine: Engine,
    pub(crate) clock: ManualClock,
    sources: Arc<MemorySources>,
}

impl Bench {
    /// An engine started with these texts; see [`Bench::put`].
    pub(crate) fn new(texts: &[(&str, &str)]) -> Self {
        let (clock, sources) = (ManualClock::new(), MemorySources::new());
        let backend = LuaBackend::builder().build().unwrap();
        let (lua, vm) = (backend.lua().clone(), backend.vm.clone());
        let engine = Engine::builder(Arc::new(clock.clone()))
            .backend(Arc::new(backend))
            .sources(sources.clone())
            .entry("app")
            .build();
        let bench = Self { lua, vm, engine, clock, sources };
        texts.iter().for_each(|(name, text)| bench.put(name, text));
        bench.reload();
        bench
    }

    /// An engine with nothing but `app`.
    pub(crate) fn app(text: &str) -> Self {
        Self::new(&[("app", text)])
    }

    /// Sets a source. The state of `app` is the global `state`; unless the text registers itself with hooks,
    /// it is registered here, in its first line.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let plain = name != "app" || text.contains("register_module('app'");
        let register = if plain { "" } else { "state = require('graceful').register_module('app').state " };
        self.sources.put(name, "lua", "lua", format!("{register}{text}"));
    }

    pub(crate) fn reload(&self) -> Report {
        self.try_reload().unwrap()
    }

    pub(crate) fn try_reload(&self) -> Result<Report, ReloadError> {
        self.clock.block_on(self.engine.reload(ReloadOptions::default()))
    }

    pub(crate) fn call(&self, function: &str) -> Result<Value, CallError> {
        self.call_with(function, Vec::new())
    }

    pub(crate) fn call_with(&self, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.clock.block_on(self.engine.call("app", function, args))
    }

    /// An entry of the state of `app`, as text.
    pub(crate) fn state(&self, key: &str) -> String {
        self.lua.load(format!("return tostring(state.{key})")).eval().unwrap()
    }

    /// How many tasks there are, in every generation.
    pub(crate) fn tasks(&self) -> usize {
        self.engine.world().instances().iter().map(|instance| instance.scope.count("task")).sum()
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

/// The text of `app` with a hook.
pub(crate) fn hooked(body: &str) -> String {
    format!(
        "state = require('graceful').register_module('app', {{ after_reload = function(mod) {body} end }}).state "
    )
}

/// A list of plain values.
pub(crate) fn list<const N: usize>(values: [Value; N]) -> Value {
    Value::List(values.into())
}
