//! Lua modules in an engine: start, edit, reload, and what is left after a failure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use graceful_core::error::ScriptErrorKind;
use graceful_core::failure::ReloadErrorKind;
use graceful_core::{
    CallError, DrainPolicy, Engine, Event, EventKind, Lease, Limits, Native, Observer, Outcome, ReloadError,
    ReloadOptions, Report, Value,
};
use graceful_lua::{LuaBackend, LuaBackendBuilder, LuaFunction, mlua};
use graceful_testkit::{MemorySources, TokioClock, Trace};

struct App {
    clock: Arc<TokioClock>,
    sources: Arc<MemorySources>,
    backend: Arc<LuaBackend>,
    engine: Engine,
    trace: Arc<Trace>,
}

impl App {
    fn new(texts: &[(&str, &str)]) -> Self {
        Self::with(LuaBackend::builder(), texts)
    }

    fn with(builder: LuaBackendBuilder, texts: &[(&str, &str)]) -> Self {
        let limit = Duration::from_millis(400);
        Self::limited(Limits { stage: limit, hook: limit, ..Limits::default() }, builder, texts)
    }

    fn limited(limits: Limits, builder: LuaBackendBuilder, texts: &[(&str, &str)]) -> Self {
        let (clock, sources, trace) = (TokioClock::new(), MemorySources::new(), Trace::new());
        let backend = Arc::new(builder.build().unwrap());
        let engine = Engine::builder(clock.clone())
            .backend(backend.clone())
            .sources(sources.clone())
            .observer(trace.clone())
            .entry("main")
            .limits(limits)
            .native("store", &[], |_| {
                let calls = AtomicUsize::new(0);
                Ok(Native::new("1.0.0")
                    .value("name", "store")
                    .function("count", move |_| {
                        Ok(Value::Int(calls.fetch_add(1, Ordering::SeqCst) as i64 + 1))
                    })
                    .async_function("nap", |_| async {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        Ok(Value::Null)
                    })
                    .async_function("later", |mut args| async move { Ok(args.remove(0)) }))
            })
            .build();
        let app = Self { clock, sources, backend, engine, trace };
        texts.iter().for_each(|(name, text)| app.put(name, text));
        app
    }

    /// An app that was started.
    fn started(texts: &[(&str, &str)]) -> Self {
        let app = Self::new(texts);
        app.reload().unwrap();
        app
    }

    fn put(&self, name: &str, text: &str) {
        self.sources.put(name, "lua", "lua", text);
    }

    fn reload(&self) -> Result<Report, ReloadError> {
        self.clock.block_on(self.engine.reload(ReloadOptions::default()))
    }

    fn edit(&self, name: &str, text: &str) -> Result<Report, ReloadError> {
        self.put(name, text);
        self.reload()
    }

    fn call(&self, module: &str, function: &str) -> Value {
        self.try_call(module, function).unwrap()
    }

    fn try_call(&self, module: &str, function: &str) -> Result<Value, CallError> {
        self.clock.block_on(self.engine.call(module, function, vec![]))
    }

    fn global(&self, name: &str) -> mlua::Value {
        self.backend.lua().globals().raw_get(name).unwrap()
    }
}

fn int(value: i64) -> Value {
    Value::Int(value)
}

fn load_error(error: &ReloadError) -> &graceful_core::ScriptError {
    match &*error.kind {
        ReloadErrorKind::Load { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_edit_is_live_after_a_reload_and_dependents_follow() {
    let app = App::started(&[
        ("main", "local dep = require 'dep' return { get = function() return dep.n end }"),
        ("dep", "return { n = 1 }"),
    ]);
    assert_eq!(app.call("main", "get"), int(1));
    let report = app.edit("dep", "return { n = 2 }").unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    assert_eq!(app.call("main", "get"), int(2));
}

#[test]
fn st_01_state_keeps_its_identity_and_hooks_run_in_order() {
    let text = |version: &str| {
        format!(
            "local graceful = require 'graceful'
            local function note(mod, what) table.insert(mod.state.log, what .. '{version}') end
            local mod = graceful.register_module('main', {{
                version = '{version}.0.0',
                init = function(mod) mod.state.log = {{}} note(mod, 'init') mod.state.self = mod.state end,
                before_reload = function(mod) note(mod, 'before') end,
                on_reload = function(mod) note(mod, 'after') end,
            }})
            local state = mod.state
            return {{
                log = function() return table.concat(state.log, ' ') end,
                same = function() return rawequal(state, state.self) end,
                version = function() return tostring(mod.version) end,
            }}"
        )
    };
    let app = App::started(&[("main", &text("1"))]);
    assert_eq!(app.call("main", "log"), "init1".into());
    app.edit("main", &text("2")).unwrap();
    assert_eq!(app.call("main", "log"), "init1 before1 after2".into());
    assert_eq!(app.call("main", "same"), true.into());
    assert_eq!(app.call("main", "version"), "2.0.0".into());
}

#[test]
fn tx_02_a_syntax_error_keeps_the_old_code_serving() {
    let app = App::started(&[("main", "return { get = function() return 'old' end }")]);
    let error = app.edit("main", "local x = 1\nreturn { get = = 2 }").unwrap_err();
    let script = load_error(&error);
    let place = script.place.clone().unwrap();
    assert_eq!((place.file.as_str(), place.line, place.column), ("main.lua", Some(2), Some(16)));
    assert_eq!(script.source_line.as_deref(), Some("return { get = = 2 }"));
    assert_eq!(app.call("main", "get"), "old".into());
    app.edit("main", "return { get = function() return 'new' end }").unwrap();
    assert_eq!(app.call("main", "get"), "new".into());
}

#[test]
fn tx_03_a_runtime_error_at_load_keeps_the_old_code_serving() {
    let app = App::started(&[("main", "return { get = function() return 'old' end }")]);
    let error = app.edit("main", "local t = {}\n\nerror('no')").unwrap_err();
    let script = load_error(&error);
    assert_eq!((script.kind, script.message.as_str()), (ScriptErrorKind::Runtime, "no"));
    assert_eq!(script.place.clone().unwrap().line, Some(3));
    assert_eq!(app.call("main", "get"), "old".into());
}

#[test]
fn tx_03_a_loop_at_load_is_stopped() {
    let loops = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "local function spin() while true do end end\nrequire('dep').call(spin)",
    ];
    for text in loops {
        let app = App::started(&[
            ("main", "require 'dep' return { get = function() return 'old' end }"),
            ("dep", "return { call = function(f) for _ = 1, 100 do end return f() end }"),
        ]);
        let began = Instant::now();
        let error = app.edit("main", text).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(4), "{text}");
        let script = load_error(&error);
        assert_eq!(script.kind, ScriptErrorKind::Timeout, "{text}: {script:?}");
        assert_eq!(script.place.clone().unwrap().file, "main.lua");
        assert_eq!(app.call("main", "get"), "old".into());
    }
}

#[test]
fn tx_03_a_memory_blow_up_at_load_is_stopped() {
    let builder = LuaBackend::builder().stage_memory(8 << 20);
    let app = App::with(builder, &[("main", "return { get = function() return 'old' end }")]);
    app.reload().unwrap();
    for text in ["local t = {} for i = 1, 1e9 do t[i] = {} end", "local s = 'x' while true do s = s .. s end"]
    {
        let error = app.edit("main", text).unwrap_err();
        assert_eq!(load_error(&error).kind, ScriptErrorKind::Memory, "{error:?}");
        assert_eq!(app.call("main", "get"), "old".into());
    }
    app.edit("main", "return { get = function() return 'new' end }").unwrap();
    assert_eq!(app.call("main", "get"), "new".into());
}

#[test]
fn tx_03_a_top_level_may_make_more_garbage_than_it_may_keep() {
    let garbage = "local kept for i = 1, 2e5 do kept = { i, tostring(i), { i } } end
        return { get = function() return kept[1] end }";
    let names: Vec<String> = (0..6).map(|at| format!("m{at}")).collect();
    let mut texts = vec![("main", "for at = 0, 5 do require('m' .. at) end return require('m5')")];
    texts.extend(names.iter().map(|name| (name.as_str(), garbage)));
    let limit = Duration::from_secs(60);
    let limits = Limits { stage: limit, hook: limit, ..Limits::default() };
    let app = App::limited(limits, LuaBackend::builder().stage_memory(8 << 20), &texts);
    // All of them in one reload, one by one with what others left lying about, and all of them again.
    app.reload().unwrap();
    for name in &names {
        app.edit(name, &format!("{garbage} -- again")).unwrap();
    }
    let all = ReloadOptions { force: true, ..ReloadOptions::default() };
    app.clock.block_on(app.engine.reload(all)).unwrap();
    assert_eq!(app.call("main", "get").to_string().trim_end_matches(".0"), "200000");
}

#[test]
fn tx_05_globals_of_new_code_are_seen_at_commit_or_never() {
    let writes = [
        "leak = 'x'",
        "_G.leak = 'x'",
        "rawset(_G, 'leak', 'x')",
        "load('leak = 1')()",
        "local G = _G coroutine.wrap(function() G.leak = 1 end)()",
        "setmetatable(_G, { __newindex = function(t, k, v) rawset(t, k, v) end }) leak = 1",
        "kept = 'changed' leak = 1",
        "kept = nil leak = 1",
    ];
    for text in writes {
        let text = text.replace("load(", "(loadstring or load)(");
        let app = App::started(&[("main", "kept = 'kept' return {}")]);
        app.edit("main", &format!("{text} error('no')")).unwrap_err();
        assert!(app.global("leak").is_nil(), "{text}");
        assert_eq!(app.global("kept").to_string().unwrap(), "kept", "{text}");
        assert!(app.backend.lua().globals().metatable().is_none(), "{text}");
        app.edit("main", &text).unwrap();
        assert!(!app.global("leak").is_nil(), "{text}");
        assert_eq!(app.backend.lua().globals().metatable().is_some(), text.contains("setmetatable"));
    }
}

#[test]
fn tx_05_globals_of_a_top_level_that_sleeps_are_not_seen_meanwhile() {
    let app = App::started(&[
        ("main", "return { look = function() return leak == nil end, later = require('store').later }"),
        ("slow", "return {}"),
    ]);
    let seen = Arc::new(AtomicBool::new(true));
    app.engine.natives().set("pause", &[], {
        let (engine, seen) = (app.engine.clone(), seen.clone());
        move |_| {
            let (engine, seen) = (engine.clone(), seen.clone());
            Ok(Native::plain().async_function("now", move |_| {
                let (engine, seen) = (engine.clone(), seen.clone());
                async move {
                    let other =
                        std::thread::spawn(move || engine.call_blocking("main", "look", vec![]).unwrap());
                    while !other.is_finished() {
                        tokio::task::yield_now().await;
                    }
                    seen.store(other.join().unwrap() == Value::Bool(false), Ordering::SeqCst);
                    Ok(Value::Null)
                }
            }))
        }
    });
    app.put("extra", "leak = 1 require('pause').now() assert(leak == 1) leak = 2 return {}");
    app.edit("main", "require 'extra' return { look = function() return leak end }").unwrap();
    assert!(!seen.load(Ordering::SeqCst));
    assert_eq!(app.call("main", "look"), int(2));
}

#[test]
fn scope_02_a_global_goes_with_the_generation_that_made_it() {
    let app = App::started(&[
        ("main", "require 'a' return { see = function() return tostring(x) .. tostring(y) end }"),
        ("a", "x = 1 y = 1 return {}"),
    ]);
    assert_eq!(app.call("main", "see"), "11".into());
    app.edit("a", "x = x or 2 return {}").unwrap();
    assert_eq!(app.call("main", "see"), "1nil".into());
    app.edit("main", "return { see = function() return tostring(x) .. tostring(y) end }").unwrap();
    assert_eq!(app.call("main", "see"), "nilnil".into());
}

#[test]
fn scope_02_top_levels_that_follow_at_once_own_what_each_made() {
    let see = "function() return tostring(x) .. tostring(y) .. tostring(z) .. tostring(rawget(_G, 'w')) end";
    let main = |requires: &str| format!("{requires} return {{ see = {see} }}");
    let app = App::started(&[
        ("main", &main("require 'a' require 'b' require 'c'")),
        ("a", "x = 1 w = 1 return {}"),
        ("b", "assert(x == 1) y = 2 x = 'b' return {}"),
        ("c", "assert(y == 2) z = 3 w = nil rawset(_G, 'require', _G.require) return {}"),
    ]);
    assert_eq!(app.call("main", "see"), "b23nil".into());
    // What `b` made goes with it, and `x` is again what `a` made it.
    app.edit("main", &main("require 'a' require 'c'")).unwrap();
    assert_eq!(app.call("main", "see"), "1nil3nil".into());
    app.edit("main", &main("require 'c'")).unwrap();
    assert_eq!(app.call("main", "see"), "nilnil3nil".into());
}

/// Plain Lua only: LuaJIT cannot go on later with what a hook interrupted.
#[cfg(feature = "lua54")]
#[test]
fn tx_03_a_long_top_level_lets_calls_in_and_shows_them_nothing() {
    let app = App::started(&[
        ("main", "require 'a' return { see = function() return tostring(x) end }"),
        ("a", "return {}"),
    ]);
    let (engine, done) = (app.engine.clone(), Arc::<AtomicBool>::default());
    let over = done.clone();
    let calls = std::thread::spawn(move || {
        let mut calls = 0;
        while !over.load(Ordering::SeqCst) {
            assert_eq!(engine.call_blocking("main", "see", Vec::new()), Ok("nil".into()));
            calls += 1;
        }
        calls
    });
    let error = app.edit("a", "x = 1 while true do pcall(function() x = x + 1 end) end").unwrap_err();
    done.store(true, Ordering::SeqCst);
    let ReloadErrorKind::Load { error, .. } = *error.kind else { panic!("{error}") };
    assert_eq!(error.kind, ScriptErrorKind::Timeout);
    assert_eq!(error.place.and_then(|place| place.line), Some(1));
    // In one turn it would be one.
    let calls = calls.join().unwrap();
    assert!(calls > 10, "{calls} calls");
}

#[test]
fn tx_03_a_long_top_level_ends_as_if_nothing_had_been_in_between() {
    // Long for its slices; a machine that is busy may take much longer.
    let limits = Limits { stage: Duration::from_secs(60), ..Limits::default() };
    let texts = [("main", "return { sum = function() return 0 end }")];
    let app = App::limited(limits, LuaBackend::builder(), &texts);
    app.reload().unwrap();
    let text = "
        local function slow(n) local sum = 0 for i = 1, n do sum = sum + i % 3 end return sum end
        local inner = coroutine.wrap(function(n) while true do n = coroutine.yield(slow(n)) end end)
        local list = { 3, 1, 2 }
        table.sort(list, function(a, b) slow(30000) return a < b end)
        local sum, again = slow(100000), select(2, pcall(slow, 100000))
        assert(inner(50000) == slow(50000) and inner(10) == slow(10) and sum == again)
        local text = ('x'):rep(3):gsub('x', function() slow(30000) return 'y' end)
        return { sum = function() return table.concat(list, ' ') .. text end }";
    app.edit("main", text).unwrap();
    assert_eq!(app.call("main", "sum"), "1 2 3yyy".into());
}

#[test]
fn call_01_a_text_that_is_run_again_shares_nothing_with_the_version_before() {
    let counter = "local dep = require('dep')
        local n = 0
        return { hit = function() n = n + 1 return n .. dep.tag end,
            slow = function() n = n + 10 require('store').nap() n = n + 10 return n .. dep.tag end }";
    let environment = "local dep = require('dep') local M, print = {}, print
        if setfenv then setfenv(1, { M = M }) else _ENV = { M = M } end
        own = 1
        function M.own() own = own + 1 return own end
        return M";
    let app = App::started(&[
        ("main", "require 'counter' require 'environment' return {}"),
        ("counter", counter),
        ("environment", environment),
        ("dep", "return { tag = 'a' }"),
    ]);
    assert_eq!(app.call("counter", "hit"), "1a".into());
    assert_eq!(app.call("environment", "own"), 2.into());
    let (engine, clock) = (app.engine.clone(), app.clock.clone());
    let slow = std::thread::spawn(move || clock.block_on(engine.call("counter", "slow", vec![])));
    while app.engine.status().modules.iter().all(|module| module.in_flight == 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.edit("dep", "return { tag = 'b' }").unwrap();
    assert_eq!(app.call("counter", "hit"), "1b".into());
    assert_eq!(app.call("environment", "own"), 2.into());
    assert_eq!(slow.join().unwrap(), Ok("21a".into()));
}

/// Calls a script whenever a module was staged.
struct Caller {
    engine: Engine,
    typed: LuaFunction<(), String>,
    seen: Mutex<Vec<Value>>,
}

impl Observer for Caller {
    fn on_event(&self, event: &Event) {
        if matches!(event.kind, EventKind::Staged { .. }) {
            let value = self.engine.call_blocking("main", "see", Vec::new()).unwrap();
            assert_eq!(Value::from(self.typed.call(()).unwrap()), value);
            self.seen.lock().unwrap().push(value);
        }
    }
}

#[test]
fn tx_05_an_observer_that_calls_while_top_levels_run_sees_live_code_only() {
    let app = App::started(&[
        ("main", "require 'a' require 'b' return { see = function() return tostring(x) end }"),
        ("a", "return {}"),
        ("b", "return {}"),
    ]);
    let typed = app.backend.function("main", "see");
    let caller = Arc::new(Caller { engine: app.engine.clone(), typed, seen: Mutex::default() });
    app.engine.subscribe(caller.clone());
    app.put("b", "assert(x == 1) return {}");
    app.edit("a", "x = 1 return {}").unwrap();
    assert_eq!(*caller.seen.lock().unwrap(), vec![Value::from("nil"); 3]);
    assert_eq!(app.call("main", "see"), "1".into());
}

#[test]
fn st_06_new_state_keys_of_a_top_level_are_held_back_until_the_commit() {
    let text = |rest: &str| {
        format!(
            "local state = require('graceful').register_module('main').state
            {rest}
            return {{ keys = function() local n = {{}} for k in pairs(state) do n[#n + 1] = k end
                table.sort(n) return table.concat(n, ' ') end,
                meta = function() return getmetatable(state) ~= nil end }}"
        )
    };
    let app = App::started(&[("main", &text("state.first = 1"))]);
    for change in [
        "state.more = 1",
        "rawset(state, 'more', 1)",
        "state.first = nil",
        "table.insert(state, 1)",
        "setmetatable(state, {})",
        "state.cache = state.cache or {} assert(state.cache)",
    ] {
        let error = app.edit("main", &text(&format!("{change} error('no')"))).unwrap_err();
        assert_eq!(load_error(&error).message, "no", "{change}");
        assert_eq!(app.call("main", "keys"), "first".into(), "{change}");
        assert_eq!(app.call("main", "meta"), false.into(), "{change}");
    }
    app.edit("main", &text("state.more = 1 state.first = nil setmetatable(state, {})")).unwrap();
    assert_eq!(app.call("main", "keys"), "more".into());
    assert_eq!(app.call("main", "meta"), true.into());
}

#[test]
fn st_06_a_state_of_very_many_keys_holds_new_keys_back_too() {
    let text = |rest: &str| {
        format!(
            "local state = require('graceful').register_module('main', {{
                init = function(mod) for i = 1, 1000 do mod.state['k' .. i] = i end end }}).state
            {rest}
            return {{ more = function() return state.more end,
                count = function() local n = 0 for _ in pairs(state) do n = n + 1 end return n end }}"
        )
    };
    let app = App::started(&[("main", &text(""))]);
    app.edit("main", &text("state.more = 1 assert(state.more == 1) error('no')")).unwrap_err();
    assert_eq!(app.call("main", "more"), Value::Null);
    app.edit("main", &text("state.more = 1")).unwrap();
    assert_eq!(app.call("main", "more"), int(1));
    assert_eq!(app.call("main", "count"), int(1001));
}

#[test]
fn tx_04_a_failing_hook_restores_state_and_globals() {
    let text = |rest: &str, after: &str| {
        format!(
            "local mod = require('graceful').register_module('main', {{
                init = function(mod)
                    local shared = {{ n = 1 }}
                    mod.state.a, mod.state.b = shared, shared
                    mod.state.loop = mod.state
                    mod.state.meta = setmetatable({{}}, {{ __metatable = 'locked' }})
                end,
                before_reload = function(mod) mod.state.a.n = 2 mod.state.gone = nil mod.state.extra = 1 seen = 1 end,
                after_reload = function(mod) mod.state.b = nil mod.state.a.deep = {{}} {after} end,
            }})
            {rest}
            local state = mod.state
            return {{ look = function()
                return state.a.n == 1 and state.a == state.b and state.a.deep == nil and state.loop == state
                    and state.extra == nil and state.top == nil and getmetatable(state.meta) == 'locked' and seen == nil
            end }}"
        )
    };
    let app = App::started(&[("main", &text("", ""))]);
    assert_eq!(app.call("main", "look"), true.into());
    let error =
        app.edit("main", &text("state = nil mod.state.top = 1", "assert(mod.state.top == 1) error('no')"));
    let error = error.unwrap_err();
    assert!(matches!(&*error.kind, ReloadErrorKind::Hook { message, .. } if message == "no"), "{error:?}");
    assert_eq!(error.report.outcome, Outcome::RolledBack);
    assert_eq!(app.call("main", "look"), true.into());
    app.edit("main", &text("-- changed", "")).unwrap();
    assert_eq!(app.call("main", "look"), false.into());
}

#[test]
fn hook_05_a_hook_that_spins_is_stopped() {
    let text = |after: &str| {
        format!(
            "require('graceful').register_module('main', {{ after_reload = function(mod) {after} end }})
            return {{ get = function() return 'old' end }}"
        )
    };
    let app = App::started(&[("main", &text(""))]);
    let error = app.edit("main", &text("while true do pcall(error) end")).unwrap_err();
    assert!(matches!(&*error.kind, ReloadErrorKind::HookTimeout { .. }), "{error:?}");
    assert_eq!(app.call("main", "get"), "old".into());
}

#[test]
fn ord_10_a_require_in_a_function_follows_the_caller_and_may_load() {
    let app = App::started(&[
        (
            "main",
            "return { get = function() return require('de' .. 'p').n end,
            more = function() return require(('x'):rep(3)).n end,
            none = function() return pcall(require, ('y'):rep(3)) end }",
        ),
        ("dep", "return { n = 1 }"),
    ]);
    assert_eq!(app.call("main", "get"), int(1));
    app.edit("dep", "return { n = 2 }").unwrap();
    assert_eq!(app.call("main", "get"), int(2));
    app.put("xxx", "return { n = 3 }");
    assert_eq!(app.call("main", "more"), int(3));
    assert_eq!(app.call("main", "none"), false.into());
}

#[test]
fn a_top_level_may_import_by_a_computed_name() {
    let app = App::started(&[
        ("main", "local n = require('de' .. 'p').n return { get = function() return n end }"),
        ("dep", "local more = require('mo' .. 're') return { n = more.n + 1 }"),
        ("more", "return { n = 1 }"),
    ]);
    assert_eq!(app.call("main", "get"), int(2));
    app.edit("more", "return { n = 5 }").unwrap();
    assert_eq!(app.call("main", "get"), int(6));
}

#[test]
fn code_made_by_load_and_coroutines_require_for_their_module() {
    let app = App::started(&[
        (
            "main",
            "local l = loadstring or load
            return { get = function() return l('return require(\"dep\").n')() end,
            co = function() return coroutine.wrap(function() return require('dep').n end)() end,
            loaded = function() return package.loaded['dep'] and package.loaded['dep'].n end }",
        ),
        ("dep", "return { n = 1 }"),
    ]);
    for n in 1..3 {
        app.edit("dep", &format!("return {{ n = {n} }}")).unwrap();
        for function in ["get", "co", "loaded"] {
            assert_eq!(app.call("main", function), int(n), "{function}");
        }
    }
}

#[test]
fn reg_11_native_modules_are_required_like_any_other() {
    let app = App::started(&[(
        "main",
        "local store = require 'store'
        return { name = function() return store.name end, count = function() return store.count() end,
            later = function() return store.later('x') end,
            wrapped = function() return coroutine.wrap(function() return store.later('y') end)() end }",
    )]);
    assert_eq!(app.call("main", "name"), "store".into());
    assert_eq!(app.call("main", "count"), int(1));
    assert_eq!(app.call("main", "later"), "x".into());
    assert_eq!(app.call("main", "wrapped"), "y".into());
    assert_eq!(app.engine.call_blocking("main", "count", vec![]), Ok(int(2)));
    let error = app.engine.call_blocking("main", "later", vec![]).unwrap_err();
    assert!(error.to_string().contains("wait"), "{error}");
}

#[test]
fn reg_07_options_are_checked_with_suggestions() {
    for (opts, text) in [
        ("{ finilize = function() end }", "unknown option `finilize`, did you mean `finalize`?"),
        ("{ init = 1 }", "option `init`: expected a function, got"),
        ("{ version = '1.2' }", "option `version`: `1.2` is not a version"),
        ("{ checkpoint = 'some' }", "expected 'auto', 'own' or 'none', got 'some'"),
        ("{ checkpoint = 'own' }", "needs a `rollback` hook"),
        ("{ on_reload = print, after_reload = print }", "are the same hook"),
        ("1", "expected a table of options"),
    ] {
        let app = App::new(&[("main", &format!("\nrequire('graceful').register_module('main', {opts})"))]);
        let error = app.reload().unwrap_err();
        let script = load_error(&error);
        assert!(script.message.contains(text), "{script}");
        assert!(script.message.contains("module `main`"), "{script}");
        assert_eq!(script.kind, ScriptErrorKind::Registration);
        assert_eq!(script.place.clone().unwrap().line, Some(2));
    }
}

#[test]
fn reg_06_the_registered_name_must_be_the_one_it_is_loaded_by() {
    let app = App::new(&[("main", "require('graceful').register_module('other')")]);
    let error = app.reload().unwrap_err();
    let text = &load_error(&error).message;
    assert!(text.contains("`main`") && text.contains("`other`"), "{text}");
}

#[test]
fn reg_04_an_init_that_fails_leaves_nothing_registered() {
    let text = |rest: &str| {
        format!(
            "inits = 1 require('graceful').register_module('main', {{ init = function() {rest} end }}) return {{}}"
        )
    };
    let app = App::new(&[("main", &text("error('no')"))]);
    app.reload().unwrap_err();
    assert!(app.engine.status().modules.is_empty());
    assert!(app.global("inits").is_nil());
    app.edit("main", &text("")).unwrap();
    assert!(!app.global("inits").is_nil());
}

#[test]
fn hook_06_finalize_undoes_an_init_when_the_start_fails_later() {
    let app = App::new(&[
        ("main", "require 'dep' error('no')"),
        (
            "dep",
            "require('graceful').register_module('dep', {
            init = function() require('store').count() end,
            finalize = function() require('store').count() end }) return {}",
        ),
    ]);
    let error = app.reload().unwrap_err();
    assert_eq!(load_error(&error).message, "no");
    assert!(app.trace.text().contains("dep"), "{}", app.trace.text());
}

#[test]
fn os_exit_does_not_end_the_host() {
    let app = App::started(&[("main", "return { leave = function() os.exit(1) end }")]);
    let error = app.try_call("main", "leave").unwrap_err();
    assert!(error.to_string().contains("os.exit"), "{error}");
}

#[test]
fn a_typed_handle_follows_the_live_generation() {
    let app = App::started(&[("main", "return { add = function(a, b) return a + b end }")]);
    let add = app.backend.function::<(i64, i64), i64>("main", "add");
    assert_eq!(add.call((1, 2)).unwrap(), 3);
    assert_eq!(add.call((1, 2)).unwrap(), 3);
    app.edit("main", "return { add = function(a, b) return a * b + 10 end }").unwrap();
    assert_eq!(add.call((1, 2)).unwrap(), 12);
    assert_eq!(app.clock.block_on(add.call_async((2, 2))).unwrap(), 14);
    app.edit("main", "return {}").unwrap();
    assert_eq!(add.call((1, 2)).unwrap_err().code().0, "GR0202");
}

#[test]
fn own_releases_when_the_generation_retires() {
    let text = |n: i64| {
        format!(
            "released = released or {{}}
            require('graceful').own('thing', {n}, function(value) table.insert(_G.done, value) end)
            return {{ done = function() return table.concat(_G.done, ' ') end }}"
        )
    };
    let app = App::new(&[("main", &text(1))]);
    app.backend.lua().load("done = {}").exec().unwrap();
    app.reload().unwrap();
    app.edit("main", &text(2)).unwrap();
    assert_eq!(app.call("main", "done"), "1".into());
    app.edit("main", &text(3)).unwrap();
    assert_eq!(app.call("main", "done"), "1 2".into());
}

#[test]
fn a_vm_of_the_embedders_own_keeps_what_it_has_loaded() {
    let lua = mlua::Lua::new();
    lua.load("package.loaded.mine = { n = 7 } package.preload.other = function() return { n = 8 } end")
        .exec()
        .unwrap();
    let app = App::with(
        LuaBackend::builder().lua(lua),
        &[(
            "main",
            "local a, b = require 'mine', require 'other' return { get = function() return a.n + b.n end }",
        )],
    );
    app.reload().unwrap();
    assert_eq!(app.call("main", "get"), int(15));
}

#[test]
fn scope_05_a_thousand_reloads_leave_no_more_memory_than_the_first() {
    let text = |n: usize| {
        format!(
            "g{} = 1
            local mod = require('graceful').register_module('main', {{ after_reload = function() end }})
            local t = {{}} for i = 1, 200 do t[i] = {{ i }} end
            return {{ get = function() return #t end, n = {n} }}",
            n % 2
        )
    };
    let app = App::started(&[("main", &text(0))]);
    let lua = app.backend.lua().clone();
    let used = || {
        lua.gc_collect().unwrap();
        lua.gc_collect().unwrap();
        lua.used_memory()
    };
    for n in 1..20 {
        app.edit("main", &text(n)).unwrap();
    }
    let first = used();
    for n in 20..1000 {
        app.edit("main", &text(n)).unwrap();
    }
    let last = used();
    assert!(last < first + 200_000, "{first} {last}");
    assert!(app.global("g1").is_integer() || app.global("g1").is_number());
    assert!(app.global("g0").is_nil());
}

/// A call that spins, in coroutines inside coroutines, while its module is drained under the policy that cancels.
#[test]
fn call_04_a_cancelled_call_that_spins_is_stopped() {
    let spins = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() coroutine.wrap(function() while true do pcall(error) end end)() end)()",
        "kept = coroutine.create(function() coroutine.yield() while true do end end)
            while true do coroutine.resume(kept) end",
    ];
    for spin in spins {
        let text = |n: u32| {
            format!(
                "local kept
                require('graceful').register_module('main', {{ drain = true }})
                return {{ spin = function() require('store').nap() {spin} end, n = function() return {n} end }}"
            )
        };
        let app = App::started(&[("main", &text(1))]);
        let engine = app.engine.clone();
        let clock = app.clock.clone();
        let call = std::thread::spawn(move || clock.block_on(engine.call("main", "spin", vec![])));
        while app.engine.status().modules.iter().all(|module| module.in_flight == 0) {
            std::thread::yield_now();
        }
        app.put("main", &text(2));
        let options = ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() };
        app.clock.block_on(app.engine.reload(options)).unwrap();
        let ended = call.join().unwrap();
        assert!(matches!(ended, Err(CallError::Cancelled { .. })), "{spin}: {ended:?}");
        assert_eq!(app.call("main", "n"), int(2));
    }
}

/// A call that is cancelled in the turn in which it begins to wait, and that the watch stops before it waits.
#[test]
fn call_04_a_call_that_is_cancelled_as_it_begins_to_wait_lets_go_of_what_it_waits_for() {
    let held = Arc::new(());
    let given = held.clone();
    let lua = "local wait = require('slow').wait
        return { go = function() pcall(wait) return 1 end, wrapped = function() coroutine.wrap(wait)() end }";
    let app = App::new(&[("main", lua)]);
    app.engine.natives().set("slow", &[], move |_| {
        let given = given.clone();
        Ok(Native::plain().async_function("wait", move |_| {
            let held = given.clone();
            async move {
                Lease::current().unwrap().cancel();
                std::thread::sleep(Duration::from_millis(70));
                std::future::pending::<()>().await;
                drop(held);
                Ok(Value::Null)
            }
        }))
    });
    app.reload().unwrap();
    for function in ["go", "wrapped"] {
        let before = Arc::strong_count(&held);
        let ended = app.try_call("main", function);
        assert!(matches!(ended, Err(CallError::Cancelled { .. })), "{function}: {ended:?}");
        assert_eq!(Arc::strong_count(&held), before, "{function}");
        assert!(app.engine.status().modules.iter().all(|module| module.in_flight == 0), "{function}");
    }
}

#[test]
fn a_reload_does_not_hang_for_a_call_that_keeps_the_vm() {
    let text = "return { spin = function(n) local t = os.clock() while os.clock() < t + 1 do end return 'done' end }";
    let app = App::started(&[("main", text)]);
    let engine = app.engine.clone();
    let call = std::thread::spawn(move || engine.call_blocking("main", "spin", vec![]));
    std::thread::sleep(Duration::from_millis(50));
    let error = app.edit("main", &format!("{text} -- 2")).unwrap_err();
    assert_eq!(load_error(&error).kind, ScriptErrorKind::Timeout);
    assert!(load_error(&error).message.contains("`main` has kept the VM"), "{error:?}");
    assert_eq!(call.join().unwrap().unwrap(), "done".into());
    app.reload().unwrap();
}

#[test]
fn scope_02_a_task_that_began_to_spin_a_moment_ago_does_not_hang_a_reload() {
    let text = |n: u32| {
        format!(
            "local fiber, begun = require('fiber'), begun
            if {n} == 1 then fiber.create(function() fiber.sleep(0.01) begun() while true do end end) end
            return {{ n = function() return {n} end }}"
        )
    };
    let app = App::new(&[("main", &text(1))]);
    let begun = Arc::new(AtomicBool::new(false));
    let seen = begun.clone();
    let lua = app.backend.lua();
    let begin = lua.create_function(move |_, ()| {
        seen.store(true, Ordering::SeqCst);
        Ok(())
    });
    lua.globals().set("begun", begin.unwrap()).unwrap();
    app.reload().unwrap();
    app.put("main", &text(2));
    while !begun.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    app.reload().unwrap();
    assert_eq!(app.call("main", "n"), int(2));
}

#[test]
fn call_04_a_call_that_keeps_the_vm_from_the_new_top_level_is_cancelled_if_the_policy_says_so() {
    let spins = ["while true do end", "while true do pcall(function() while true do end end) end"];
    for spin in spins {
        let text =
            |n: u32| format!("return {{ spin = function() {spin} end, n = function() return {n} end }}");
        let app = App::started(&[("main", &text(1))]);
        let engine = app.engine.clone();
        let call = std::thread::spawn(move || engine.call_blocking("main", "spin", vec![]));
        std::thread::sleep(Duration::from_millis(50));
        app.put("main", &text(2));
        let options = ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() };
        app.clock.block_on(app.engine.reload(options)).unwrap();
        let ended = call.join().unwrap();
        assert!(matches!(ended, Err(CallError::Cancelled { .. })), "{spin}: {ended:?}");
        assert_eq!(app.call("main", "n"), int(2));
        assert!(app.trace.text().contains("`main` has kept the VM"), "{}", app.trace.text());
    }
}

#[test]
fn st_03_what_no_rollback_restores_is_named_in_the_report() {
    let text = |n: u32| {
        format!(
            "local main = require('graceful').register_module('main', {{ after_reload = function() end,
                init = function(mod) mod.state.open = {{ files = {{ io.tmpfile() }} }} mod.state.n = {n} end }})
            return {{}}"
        )
    };
    let app = App::started(&[("main", &text(1))]);
    let report = app.edit("main", &text(2)).unwrap();
    let named = "a rollback would not restore the native object `open.files.1` in the state of main";
    assert_eq!(report.warnings, [named]);
}

/// A pattern match in C that takes some seconds, at a top level.
#[test]
fn tx_06_a_pattern_match_at_a_top_level_is_told_as_stuck_and_undone_when_it_ends() {
    let limits =
        Limits { stage: Duration::from_millis(200), grace: Duration::from_millis(100), ..Limits::default() };
    let first = "return { n = function() return 1 end }";
    let app = App::limited(limits, LuaBackend::builder(), &[("main", first)]);
    app.reload().unwrap();
    let one = "local n = ... local s = ('a'):rep(n) string.find(s, ('a?'):rep(n) .. ('a'):rep(n) .. 'b')";
    // How long a text takes differs by machine: each letter doubles it.
    let mut letters = 14;
    let lua = mlua::Lua::new();
    let match_of = lua.load(one).into_function().unwrap();
    let takes = |letters: i32| {
        let began = Instant::now();
        match_of.call::<()>(letters).unwrap();
        began.elapsed()
    };
    // The better of two, for a machine under load makes one look slow.
    while takes(letters).min(takes(letters)) < Duration::from_millis(200) {
        letters += 1;
    }
    let slow = format!(
        "{} return {{ n = function() return 2 end }}",
        one.replace("...", &(letters + 4).to_string())
    );
    app.put("main", &slow);
    let began = Instant::now();
    let error = app.reload().unwrap_err();
    assert!(error.is_stuck() && error.kind.code().0 == "GR0120", "{error:?}");
    assert_eq!(error.module().map(|module| module.as_str()), Some("main"));
    let answered = began.elapsed();
    assert_eq!(app.engine.status().state, graceful_core::status::EngineState::Stuck);
    let refused = app.reload().unwrap_err();
    assert_eq!((refused.code().0, refused.report.outcome), ("GR0120", Outcome::Refused));
    while app.engine.status().state != graceful_core::status::EngineState::Idle {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", app.engine.status());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(answered < began.elapsed(), "it was answered before the match ended");
    assert_eq!(app.call("main", "n"), int(1));
    app.edit("main", "return { n = function() return 3 end }").unwrap();
    assert_eq!(app.call("main", "n"), int(3));
}

#[test]
fn a_turn_that_lasts_too_long_is_cancelled_where_that_is_asked_for() {
    let builder = LuaBackend::builder().turn_limit(Duration::from_millis(100));
    let app = App::with(
        builder,
        &[("main", "return { n = function() return 1 end, spin = function()\n  while true do end\nend }")],
    );
    app.reload().unwrap();
    let error = app.try_call("main", "spin").unwrap_err();
    let graceful_core::CallError::Script(script) = &error else { panic!("{error:?}") };
    let place = script.place.as_ref().map(|place| (place.file.as_str(), place.line));
    assert_eq!(
        (place, script.source_line.as_deref()),
        (Some(("main.lua", Some(2))), Some("  while true do end"))
    );
    let said = "main.lua:2: kept the interpreter for more than 100ms without yielding, and was stopped";
    assert_eq!((error.code().0, error.to_string().as_str(), error.is_retryable()), ("GR0303", said, false));
    assert_eq!(app.call("main", "n"), int(1));
}

#[test]
fn tx_03_a_call_through_a_typed_handle_that_keeps_the_vm_does_not_hang_the_reload() {
    let app =
        App::started(&[("main", "return { spin = function(stop) while not stop() do end return 1 end }")]);
    let stop = Arc::<AtomicBool>::default();
    let asked = stop.clone();
    let asks = app.backend.lua().create_function(move |_, ()| Ok(asked.load(Ordering::SeqCst))).unwrap();
    let spin = app.backend.function::<mlua::Function, i64>("main", "spin");
    let again = asks.clone();
    stop.store(true, Ordering::SeqCst);
    // From its second call on it is not counted.
    assert_eq!(spin.call(asks).unwrap(), 1);
    stop.store(false, Ordering::SeqCst);
    let spins = std::thread::spawn(move || spin.call(again).unwrap());
    std::thread::sleep(Duration::from_millis(100));
    let error = app.edit("main", "return {}").unwrap_err();
    stop.store(true, Ordering::SeqCst);
    assert_eq!(spins.join().unwrap(), 1);
    assert!(format!("{error:?}").contains("main"), "{error:?}");
    // The one that was given up for hung has to end first.
    let mended = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        app.reload().is_ok()
    });
    assert!(mended);
}
