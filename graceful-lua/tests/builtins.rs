//! The modules that are there without a source, and who goes before them.

use std::sync::Arc;

use graceful_core::{CallError, Engine, Native, ReloadOptions, Value};
use graceful_lua::{LuaBackend, mlua};
use graceful_testkit::{MemorySources, TokioClock};

const MAIN: &str = "local clock = require 'clock'
    return { time = function() return clock.time() end, checks = function() return require('checks') ~= nil end }";

struct App {
    clock: Arc<TokioClock>,
    sources: Arc<MemorySources>,
    engine: Engine,
}

impl App {
    fn new(lua: Option<mlua::Lua>, native: bool) -> Self {
        let (clock, sources) = (TokioClock::new(), MemorySources::new());
        let builder = LuaBackend::builder();
        let backend = lua.into_iter().fold(builder, |builder, lua| builder.lua(lua)).build().unwrap();
        let mut engine =
            Engine::builder(clock.clone()).backend(Arc::new(backend)).sources(sources.clone()).entry("main");
        if native {
            engine = engine.native("clock", &[], |_| {
                Ok(Native::new("1.0.0").function("time", |_| Ok(Value::from("native"))))
            });
        }
        let app = Self { clock, sources, engine: engine.build() };
        app.put("main", MAIN);
        app
    }

    fn put(&self, name: &str, text: &str) {
        self.sources.put(name, "lua", "lua", text);
    }

    fn reload(&self) -> Vec<String> {
        let report = self.clock.block_on(self.engine.reload(ReloadOptions::default())).unwrap();
        report.modules.iter().map(|module| module.module.to_string()).collect()
    }

    fn call(&self, function: &str) -> Result<Value, CallError> {
        self.clock.block_on(self.engine.call("main", function, vec![]))
    }
}

#[test]
fn a_source_of_the_app_goes_before_a_builtin_whenever_it_comes_and_until_it_goes() {
    let app = App::new(None, false);
    app.reload();
    assert!(matches!(app.call("time").unwrap(), Value::Float(_)));
    app.put("clock", "return { time = function() return 'own' end }");
    assert_eq!(app.reload(), ["clock", "main"]);
    assert_eq!(app.call("time").unwrap(), "own".into());
    app.sources.remove("clock");
    assert_eq!(app.reload(), ["main", "clock"]);
    assert!(matches!(app.call("time").unwrap(), Value::Float(_)));
    assert_eq!(app.call("checks").unwrap(), true.into());
}

#[test]
fn a_native_module_goes_before_a_builtin() {
    let app = App::new(None, true);
    assert_eq!(app.reload(), ["clock", "main"]);
    assert_eq!(app.call("time").unwrap(), "native".into());
}

#[test]
fn what_the_embedders_vm_has_goes_before_a_builtin() {
    let lua = mlua::Lua::new();
    lua.load("package.loaded.clock = { time = function() return 'preset' end }").exec().unwrap();
    let app = App::new(Some(lua), false);
    assert_eq!(app.reload(), ["main"]);
    assert_eq!(app.call("time").unwrap(), "preset".into());
}

#[test]
fn graceful_is_nobody_elses() {
    let app = App::new(None, false);
    app.put("graceful", "return { register_module = false }");
    app.put("main", "return { f = function() return type(require('graceful').register_module) end }");
    assert_eq!(app.reload(), ["main"]);
    assert_eq!(app.call("f").unwrap(), "function".into());
}
