//! Tasks: their life, their leases, their end.

use graceful_core::LeaseKind;

use crate::testing::{Bench, hooked, list};

#[test]
fn a_fiber_runs_beside_its_maker_and_sleeps_on_the_hosts_clock() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return { go = function()
            local f = fiber.new(function(a, b) fiber.sleep(2) state.sum = a + b end, 1, 2)
            return f:status()
        end }",
    );
    assert_eq!(bench.call("go").unwrap(), "suspended".into());
    bench.pass(1_999);
    assert_eq!((bench.state("sum"), bench.tasks()), ("nil".into(), 1));
    bench.pass(2);
    assert_eq!((bench.state("sum"), bench.tasks()), ("3".into(), 0));
}

#[test]
fn scope_01_what_a_top_level_starts_runs_at_commit_and_belongs_to_the_module() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        fiber.create(function() while true do state.n = (state.n or 0) + 1 fiber.sleep(1) end end)
        assert(state.n == nil)",
    );
    bench.pass(2_500);
    assert_eq!((bench.state("n"), bench.tasks()), ("3".into(), 1));
    bench.put("app", "return {}");
    bench.reload();
    bench.pass(5_000);
    assert_eq!((bench.state("n"), bench.tasks()), ("3".into(), 0));
}

#[test]
fn scope_03_a_kept_fiber_is_taken_over_and_takes_a_new_lease_at_each_turn() {
    let app = "local fiber = require 'fiber'
        state.fib = state.fib or fiber.new(function()
            while true do state.seen = config and config() fiber.sleep(1) end
        end)
        return { stop = function() state.fib:cancel() end, status = function() return state.fib:status() end }";
    let bench = Bench::new(&[("app", app)]);
    for generation in 2..5 {
        bench.put("app", &format!("{app} -- {generation}"));
        bench
            .lua
            .globals()
            .set("config", bench.lua.create_function(move |_, ()| Ok(generation)).unwrap())
            .unwrap();
        bench.reload();
        bench.pass(2_000);
        assert_eq!((bench.state("seen"), bench.tasks()), (generation.to_string(), 1));
        assert_eq!(bench.call("status").unwrap(), "suspended".into());
    }
    bench.call("stop").unwrap();
    bench.call("stop").unwrap();
    assert_eq!((bench.call("status").unwrap(), bench.tasks()), ("dead".into(), 0));
}

#[test]
fn scope_02_an_end_is_at_once_inside_pcall_too_and_runs_close() {
    let local = if cfg!(feature = "lua54") { "local _ <close> =" } else { "local _ =" };
    let bench = Bench::app(&format!(
        "local fiber = require 'fiber'
        return {{ go = function()
            local f = fiber.new(function()
                while true do pcall(function()
                    {local} setmetatable({{}}, {{ __close = function() state.closed = true end }})
                    fiber.sleep(1e6)
                end) state.swallowed = true end
            end)
            fiber.yield() fiber.yield()
            f:cancel()
            local ok, why = f:join()
            return {{ ok, why, f:status() }}
        end }}"
    ));
    assert_eq!(bench.call("go").unwrap(), list([false.into(), "cancelled".into(), "dead".into()]));
    let closed = if cfg!(feature = "lua54") { "true" } else { "nil" };
    assert_eq!((bench.state("swallowed"), bench.state("closed")), ("nil".into(), closed.into()));
}

#[test]
fn scope_02_a_fiber_that_spins_and_swallows_errors_is_stopped() {
    let time = graceful_testkit::TokioClock::new();
    let (sources, backend) =
        (graceful_testkit::MemorySources::new(), crate::LuaBackend::builder().build().unwrap());
    let spins = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = spins.clone();
    let tell = move |_: &mlua::Lua, ()| {
        told.store(true, std::sync::atomic::Ordering::Release);
        Ok(())
    };
    backend.lua().globals().set("tell", backend.lua().create_function(tell).unwrap()).unwrap();
    let text = "local fiber = require('fiber') fiber.new(function()
        fiber.sleep(0.2)
        while true do pcall(function() while true do tell() end end) end
    end)";
    sources.put("app", "lua", "lua", text);
    let engine = graceful_core::Engine::builder(time.clone())
        .backend(std::sync::Arc::new(backend))
        .sources(sources.clone())
        .entry("app")
        .build();
    let scope = time.block_on(async {
        engine.reload(Default::default()).await.unwrap();
        engine.world().live("app").unwrap().scope.clone()
    });
    while !spins.load(std::sync::atomic::Ordering::Acquire) {
        std::thread::yield_now();
    }
    let began = std::time::Instant::now();
    for task in scope.resources() {
        time.block_on(task.release()).unwrap();
    }
    assert_eq!(scope.count("task"), 0);
    assert!(began.elapsed().as_secs() < 5);
}

#[test]
fn join_gives_what_it_returned_or_why_it_ended() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return {
            returned = function() return { fiber.join(fiber.new(function(...) fiber.yield() return ... end, 1, 'a')) } end,
            failed = function() return { fiber.new(function() error('no', 0) end):join() } end,
            itself = function() return { fiber.new(function() fiber.self():join() end):join() } end,
        }",
    );
    assert_eq!(bench.call("returned").unwrap(), list([true.into(), 1.into(), "a".into()]));
    assert_eq!(bench.call("failed").unwrap(), list([false.into(), "no".into()]));
    assert_eq!(bench.call("itself").unwrap(), list([false.into(), "a fiber cannot join itself".into()]));
}

#[test]
fn a_fiber_knows_itself() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return { go = function()
            local f = fiber.new(function()
                fiber.name('worker')
                state.same = fiber.self() == state.f and rawequal(fiber.self(), state.f)
                state.name = fiber.name() .. fiber.self():name() .. fiber.status()
                state.id = fiber.id() == state.f:id()
            end)
            state.f = f
            f:join()
            state.text = tostring(f) == 'fiber: ' .. f:id()
            return fiber.self() == nil
        end }",
    );
    assert_eq!(bench.call("go").unwrap(), true.into());
    assert_eq!([bench.state("same"), bench.state("id"), bench.state("text")], ["true", "true", "true"]);
    assert_eq!(bench.state("name"), "workerworkerrunning");
}

#[test]
fn wrong_uses_are_errors() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return {
            new = function() fiber.new(1) end,
            sleep = function() fiber.sleep(-1) end,
        }",
    );
    let new = bench.call("new").unwrap_err().to_string();
    assert_eq!(new, "app.lua:3: fiber.new: expected a function, got integer");
    let sleep = bench.call("sleep").unwrap_err().to_string();
    assert_eq!(sleep, "app.lua:4: fiber.sleep: -1 is not a number of seconds");
}

#[test]
fn tx_05_a_failed_reload_starts_and_cancels_nothing() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        state.f = fiber.new(function() while true do fiber.sleep(1) state.n = (state.n or 0) + 1 end end)
        return { n = function() return state.n end }",
    );
    let hook = hooked(
        "state.f:cancel()
        local own
        own = require('fiber').new(function() state.leaked = own end)
        assert(own:status() == 'suspended')
        assert(not pcall(own.join, own))
        error('no')",
    );
    bench.put("app", &hook);
    assert_eq!(bench.try_reload().unwrap_err().code().to_string(), "GR0105");
    bench.pass(3_500);
    assert_eq!((bench.call("n").unwrap(), bench.tasks()), (3.into(), 1));
    assert_eq!(bench.state("leaked"), "nil");
    bench.lua.gc_collect().unwrap();
    let handles: mlua::Table = bench.lua.named_registry_value(super::HANDLES).unwrap();
    assert_eq!(handles.pairs::<u64, mlua::Value>().count(), 1);
}

#[test]
fn tx_05_a_hooks_cancel_waits_for_the_commit() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        state.f = fiber.new(function() while true do fiber.sleep(1) end end)",
    );
    bench.put("app", &hooked("state.f:cancel() state.before = state.f:status()"));
    bench.reload();
    bench.pass(1);
    assert_eq!((bench.state("before"), bench.state("f:status()")), ("suspended".into(), "dead".into()));
}

#[test]
fn call_04_a_frozen_fiber_stays_stopped_until_the_reload_ends() {
    let app = format!(
        "local fiber = require 'fiber' {}
        state.f = state.f or fiber.new(function() while true do fiber.sleep(0.01) state.n = (state.n or 0) + 1 end end)",
        hooked("local n = mod.state.n fiber.sleep(1) mod.state.moved = mod.state.n - n")
    );
    let bench = Bench::app(&app);
    bench.pass(50);
    assert!(bench.engine.world().gate.leases().iter().all(|lease| lease.kind != LeaseKind::Task));
    bench.put("app", &format!("{app} -- 2"));
    bench.reload();
    bench.pass(50);
    assert_eq!((bench.state("moved"), bench.state("f:status()")), ("0".into(), "suspended".into()));
    assert!(bench.state("n").parse::<i64>().unwrap() > 5);
}

#[test]
fn coroutines_of_the_script_may_wait() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return {
            wrap = function() return coroutine.wrap(function(a) fiber.sleep(1) return a end)(7) end,
            nested = function()
                local inner = coroutine.wrap(function() fiber.sleep(1) coroutine.yield(1) fiber.sleep(1) return 2 end)
                local outer = coroutine.wrap(function() return { inner(), inner() } end)
                return outer()
            end,
            each = function()
                local sum = 0
                for n in coroutine.wrap(function() for i = 1, 3 do fiber.sleep(1) coroutine.yield(i) end end) do sum = sum + n end
                return sum
            end,
            fails = function()
                local co = coroutine.create(function() fiber.sleep(1) error('late', 0) end)
                local ok, why = coroutine.resume(co)
                return { ok, why, coroutine.status(co) }
            end,
            throws = function() coroutine.wrap(function() fiber.sleep(1) error('out') end)() end,
        }",
    );
    assert_eq!(bench.call("wrap").unwrap(), 7.into());
    assert_eq!(bench.call("nested").unwrap(), list([1.into(), 2.into()]));
    assert_eq!(bench.call("each").unwrap(), 6.into());
    assert_eq!(bench.call("fails").unwrap(), list([false.into(), "late".into(), "dead".into()]));
    assert_eq!(bench.call("throws").unwrap_err().to_string(), "app.lua:19: out");
}

#[test]
fn a_signal_is_not_lost_on_a_cancelled_fiber_that_waited_in_a_coroutine_of_its_own() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        local cond = fiber.cond()
        return { go = function()
            local gone = fiber.new(function() coroutine.wrap(function() cond:wait() end)() end)
            fiber.sleep(1)
            fiber.new(function() cond:wait() state.woken = true end)
            fiber.sleep(1)
            gone:cancel()
            fiber.sleep(1)
            cond:signal()
            fiber.sleep(1)
            return state.woken
        end }",
    );
    assert_eq!(bench.call("go").unwrap(), true.into());
}
