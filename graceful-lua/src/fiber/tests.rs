//! Tasks: their life, their leases, their end.

use graceful_core::{LeaseKind, Value};
use graceful_testkit::ClockKind;

use crate::testing::Bench;

fn bench(text: &str) -> Bench {
    Bench::new(ClockKind::Manual, &[("app", text)])
}

#[test]
fn a_fiber_runs_beside_its_maker_and_sleeps_on_the_hosts_clock() {
    let bench = bench(
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
    let text = "local fiber = require 'fiber'
        fiber.create(function() while true do state.n = (state.n or 0) + 1 fiber.sleep(1) end end)
        assert(state.n == nil)";
    let bench = bench(text);
    bench.pass(2_500);
    assert_eq!((bench.state("n"), bench.tasks()), ("3".into(), 1));
    bench.put("app", "return {}");
    bench.reload();
    bench.pass(5_000);
    assert_eq!((bench.state("n"), bench.tasks()), ("3".into(), 0));
}

#[test]
fn scope_03_a_kept_fiber_is_taken_over_and_takes_a_new_lease_at_each_turn() {
    let bench = Bench::new(ClockKind::Manual, &[
        (
            "app",
            "local fiber = require 'fiber'
            state.fib = state.fib or fiber.new(function()
                while true do state.seen = require('dep').version fiber.sleep(1) end
            end)
            return { stop = function() state.fib:cancel() end, status = function() return state.fib:status() end }",
        ),
        ("dep", "return { version = 1 }"),
    ]);
    for version in 2..5 {
        bench.put("dep", &format!("return {{ version = {version} }}"));
        bench.reload();
        bench.pass(2_000);
        assert_eq!(bench.tasks(), 1);
        assert_eq!(bench.call("status").unwrap(), "suspended".into());
    }
    bench.call("stop").unwrap();
    bench.call("stop").unwrap();
    assert_eq!((bench.call("status").unwrap(), bench.tasks()), ("dead".into(), 0));
}

#[test]
fn scope_02_an_end_is_at_once_inside_pcall_too_and_runs_close() {
    let bench = bench(
        "local fiber = require 'fiber'
        return { go = function()
            local f = fiber.new(function()
                while true do pcall(function()
                    local _ <close> = setmetatable({}, { __close = function() state.closed = true end })
                    fiber.sleep(1e6)
                end) state.swallowed = true end
            end)
            fiber.yield() fiber.yield()
            f:cancel()
            local ok, why = f:join()
            return { ok, why, f:status() }
        end }"
            .replace(
                "local _ <close> =",
                if cfg!(feature = "lua54") { "local _ <close> =" } else { "local _ =" },
            )
            .as_str(),
    );
    let ended = Value::List(vec![false.into(), "cancelled".into(), "dead".into()]);
    assert_eq!(bench.call("go").unwrap(), ended);
    let closed = if cfg!(feature = "lua54") { "true" } else { "nil" };
    assert_eq!((bench.state("swallowed"), bench.state("closed")), ("nil".into(), closed.into()));
}

#[test]
fn join_gives_what_it_returned_or_why_it_ended() {
    let bench = bench(
        "local fiber = require 'fiber'
        return {
            returned = function() return { fiber.join(fiber.new(function(...) fiber.yield() return ... end, 1, 'a')) } end,
            failed = function() return { fiber.new(function() error('no', 0) end):join() } end,
            itself = function() return { fiber.new(function() fiber.self():join() end):join() } end,
        }",
    );
    assert_eq!(bench.call("returned").unwrap(), Value::List(vec![true.into(), 1.into(), "a".into()]));
    assert_eq!(bench.call("failed").unwrap(), Value::List(vec![false.into(), "no".into()]));
    assert_eq!(bench.call("itself").unwrap(), {
        Value::List(vec![false.into(), "a fiber cannot join itself".into()])
    });
}

#[test]
fn a_fiber_knows_itself() {
    let bench = bench(
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
    let bench = bench(
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
    let app = "local fiber = require 'fiber'
        state.f = state.f or fiber.new(function() while true do fiber.sleep(1) state.n = (state.n or 0) + 1 end end)
        return { n = function() return state.n end }";
    let bench = bench(app);
    let broken = "local fiber = require 'fiber'
        return { hook = function()
            state.f:cancel()
            local own
            own = fiber.new(function() state.leaked = own end)
            assert(own:status() == 'suspended')
            assert(not pcall(own.join, own))
            error('no')
        end }";
    bench.put("app", broken);
    let error = bench.time.block_on(bench.engine.reload(Default::default())).unwrap_err();
    assert_eq!(error.code().to_string(), "GR0105");
    bench.pass(3_500);
    assert_eq!((bench.call("n").unwrap(), bench.tasks()), (3.into(), 1));
    assert_eq!(bench.state("leaked"), "nil");
    bench.lua.gc_collect().unwrap();
    let handles: mlua::Table = bench.lua.named_registry_value(super::HANDLES).unwrap();
    assert_eq!(handles.pairs::<u64, mlua::Value>().count(), 1);
}

#[test]
fn tx_05_a_hooks_cancel_waits_for_the_commit() {
    let app = "local fiber = require 'fiber'
        state.f = state.f or fiber.new(function() while true do fiber.sleep(1) end end)
        return {}";
    let bench = bench(app);
    bench.put("app", "return { hook = function() state.f:cancel() state.then_ = state.f:status() end }");
    bench.reload();
    bench.pass(1);
    assert_eq!((bench.state("then_"), bench.state("f:status()")), ("suspended".into(), "dead".into()));
}

#[test]
fn call_04_a_frozen_fiber_stays_stopped_until_the_reload_ends() {
    let app = "local fiber = require 'fiber'
        state.f = state.f or fiber.new(function() while true do fiber.sleep(0.01) state.n = (state.n or 0) + 1 end end)
        return { hook = function() local n = state.n fiber.sleep(1) state.moved = state.n - n end }";
    let bench = bench(app);
    bench.pass(50);
    let world = bench.engine.world();
    assert!(world.gate.leases().iter().all(|lease| lease.kind != LeaseKind::Task));
    bench.put("app", &format!("{app} -- 2"));
    bench.reload();
    bench.pass(50);
    assert_eq!((bench.state("moved"), bench.state("f:status()")), ("0".into(), "suspended".into()));
    assert!(bench.state("n").parse::<i64>().unwrap() > 5);
}

#[test]
fn coroutines_of_the_script_may_wait() {
    let bench = bench(
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
    assert_eq!(bench.call("nested").unwrap(), Value::List(vec![1.into(), 2.into()]));
    assert_eq!(bench.call("each").unwrap(), 6.into());
    assert_eq!(bench.call("fails").unwrap(), Value::List(vec![false.into(), "late".into(), "dead".into()]));
    assert_eq!(bench.call("throws").unwrap_err().to_string(), "app.lua:19: out");
}

#[cfg(feature = "lua54")]
#[test]
fn an_end_reaches_the_coroutine_that_waits() {
    let bench = bench(
        "local fiber = require 'fiber'
        return { go = function()
            local f = fiber.new(function() coroutine.wrap(function()
                local _ <close> = setmetatable({}, { __close = function() state.closed = true end })
                fiber.sleep(1e6)
            end)() end)
            fiber.yield() fiber.yield()
            f:cancel()
            return { f:join() }
        end }",
    );
    assert_eq!(bench.call("go").unwrap(), Value::List(vec![false.into(), "cancelled".into()]));
    assert_eq!(bench.state("closed"), "true");
}
