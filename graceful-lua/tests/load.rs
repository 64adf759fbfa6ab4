//! Calls of every kind while reloads run: none is lost, and none sees two generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use graceful_core::{CallError, Engine, Native, ReloadOptions, Value};
use graceful_lua::LuaBackend;
use graceful_testkit::{MemorySources, TokioClock};

const RELOADS: i64 = 150;

fn texts(n: i64) -> [(&'static str, String); 2] {
    let main = format!(
        "local graceful, dep, native = require 'graceful', require 'dep', require 'native'
        local state = graceful.register_module('main', {{
            init = function(mod) mod.state.calls = 0 end,
            after_reload = function(mod) mod.state.seen = {n} end,
        }}).state
        local M = {{}}
        function M.both() return {n}, dep.n(), require('de' .. 'p').n() end
        function M.list() return {{ M.both() }} end
        function M.slow() local a = {n} native.nap() return {{ a, dep.n(), require('de' .. 'p').n() }} end
        function M.count() state.calls = state.calls + 1 return state.calls end
        return M"
    );
    [("main", main), ("dep", format!("return {{ n = function() return {n} end }}"))]
}

/// Newest generation first seen is never followed by an older one.
struct Seen(AtomicU64);

impl Seen {
    fn take(&self, all: &[i64]) {
        assert!(all.iter().all(|n| *n == all[0]), "two generations in one call: {all:?}");
        let before = self.0.fetch_max(all[0] as u64, Ordering::SeqCst);
        assert!(all[0] as u64 + 1 >= before, "generation {} after {before}", all[0]);
    }
}

fn numbers(value: &Value) -> Vec<i64> {
    let Value::List(all) = value else { panic!("{value:?}") };
    all.iter().filter_map(Value::as_int).collect()
}

#[test]
fn call_01_call_02_no_call_sees_two_generations_and_none_is_lost() {
    let (clock, sources) = (TokioClock::new(), MemorySources::new());
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let engine = Engine::builder(clock.clone())
        .backend(backend.clone())
        .sources(sources.clone())
        .entry("main")
        .native("native", &[], |_| {
            Ok(Native::plain().async_function("nap", |_| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(Value::Null)
            }))
        })
        .build();
    let put = |n| texts(n).iter().for_each(|(name, text)| sources.put(name, "lua", "lua", text.as_str()));
    put(0);
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let (stop, counted) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let both = backend.function::<(), (i64, i64, i64)>("main", "both");
            let count = backend.function::<(), i64>("main", "count");
            let seen = Seen(AtomicU64::new(0));
            while !stop.load(Ordering::SeqCst) {
                let (a, b, c) = both.call_wait((), Duration::from_secs(5)).unwrap();
                seen.take(&[a, b, c]);
                match count.call(()) {
                    Ok(_) => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    Err(error) => assert!(matches!(error, CallError::Suspended { .. }), "{error}"),
                }
            }
        });
        scope.spawn(|| {
            let seen = Seen(AtomicU64::new(0));
            while !stop.load(Ordering::SeqCst) {
                seen.take(&numbers(&engine.call_blocking("main", "list", vec![]).unwrap()));
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let slow = futures_util::future::join(call(&engine, "slow"), call(&engine, "slow"));
                let (a, b) = clock.block_on(slow);
                for all in [numbers(&a), numbers(&b)] {
                    assert!(all.iter().all(|n| *n == all[0]), "two generations in one call: {all:?}");
                }
                call_count(&clock, &engine, &counted);
            }
        });
        for n in 1..=RELOADS {
            put(n);
            clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
            let now = numbers(&engine.call_blocking("main", "list", vec![]).unwrap());
            assert_eq!(now, [n, n, n]);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let calls = engine.world().live("main").unwrap().module().unwrap().save();
    assert_eq!(calls.get("calls").and_then(Value::as_int), Some(counted.load(Ordering::SeqCst) as i64));
    assert_eq!(calls.get("seen").and_then(Value::as_int), Some(RELOADS));
}

async fn call(engine: &Engine, function: &str) -> Value {
    engine.call("main", function, vec![]).await.unwrap()
}

fn call_count(clock: &TokioClock, engine: &Engine, counted: &AtomicU64) {
    clock.block_on(call(engine, "count"));
    counted.fetch_add(1, Ordering::SeqCst);
}
