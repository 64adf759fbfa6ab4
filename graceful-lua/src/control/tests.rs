//! Reloads asked for by scripts.

use graceful_core::Value;
use graceful_testkit::ClockKind;

use crate::testing::Bench;

const APP: &str = "local graceful = require 'graceful'
    return {
        reload = function()
            local before = require('dep').version
            local ok, report = graceful.reload()
            return { ok or 'nil', report.outcome, report.code or report.generation, before }
        end,
        call = function(request) return 1 end,
    }";

fn bench(app: &str) -> Bench {
    Bench::new(ClockKind::Manual, &[("app", app), ("dep", "return { version = 1 }")])
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::List(values.into_iter().collect())
}

#[test]
fn hook_04_a_call_that_asks_is_parked_and_resumes_with_the_report() {
    let bench = bench(&APP.replace("call =", "hook = function() end, call ="));
    bench.put("dep", "return { version = 2 }");
    assert_eq!(bench.call("reload").unwrap(), {
        list([true.into(), "committed".into(), 2.into(), 1.into()])
    });
    assert_eq!(bench.call("reload").unwrap(), list([true.into(), "unchanged".into(), 2.into(), 2.into()]));
}

#[test]
fn hook_04_a_failure_comes_back_as_an_error_table() {
    let app = "local graceful = require 'graceful'
        return { reload = function()
            local ok, err = graceful.reload()
            return { tostring(ok), err.code, err.module, err.place.file .. ':' .. err.place.line, err.phase, err.outcome, tostring(err) }
        end }";
    let bench = bench(app);
    bench.put("app", &format!("require 'dep' {app}"));
    bench.put("dep", "error('broken')");
    let message = "reload failed in stage: module `dep` cannot be loaded: dep.lua:1: broken";
    let wanted = ["nil", "GR0302", "dep", "dep.lua:1", "stage", "refused", message];
    assert_eq!(bench.call("reload").unwrap(), list(wanted.map(Value::from)));
}

#[test]
fn reg_12_a_top_level_that_asks_goes_on_and_gets_true() {
    let bench =
        bench("local said = require('graceful').reload() return { said = function() return said end }");
    assert_eq!(bench.call("said").unwrap(), true.into());
    assert_eq!(bench.engine.world().gate.live().0, 1);
}

#[test]
fn hook_04_in_a_hook_it_is_refused_and_the_outer_reload_goes_on() {
    let bench = bench("return {}");
    let hook = "local graceful = require 'graceful'
        return { hook = function()
            local ok, err = graceful.reload()
            state.code = tostring(ok) .. ' ' .. err.code
            local ok, err = graceful.unregister_module('dep')
            state.other = tostring(ok) .. ' ' .. err.code
        end }";
    bench.put("app", hook);
    bench.reload();
    assert_eq!((bench.state("code"), bench.state("other")), ("nil GR0116".into(), "nil GR0116".into()));
}

#[test]
fn hook_04_where_it_cannot_yield_a_ticket_is_returned() {
    let app = "local graceful = require 'graceful'
        local lt = setmetatable({}, { __lt = function() local ok, t = graceful.reload() state.t = t return ok end })
        return {
            queue = function()
                table.sort({ lt, lt }, function(a, b) if not state.t then local _ = a < b end return false end)
                return { state.t.queued, state.t.done(), select('#', state.t.result()) }
            end,
            result = function() local ok, report = state.t:result() return { state.t.done(), ok, report.outcome } end,
        }";
    let bench = bench(app);
    bench.put("dep", "return { version = 2 }");
    assert_eq!(bench.call("queue").unwrap(), list([true.into(), false.into(), 0.into()]));
    bench.pass(10);
    assert_eq!(bench.call("result").unwrap(), list([true.into(), true.into(), "unchanged".into()]));
}

#[test]
fn a_task_may_ask_too() {
    let app = "local graceful, fiber = require 'graceful', require 'fiber'
        state.f = state.f or fiber.new(function()
            local ok, report = graceful.reload{ force = true }
            state.outcome = report.outcome
        end)
        return { hook = function() fiber.yield() end }";
    let bench = bench(app);
    bench.pass(100);
    assert_eq!((bench.state("outcome"), bench.engine.world().gate.live().0), ("committed".into(), 2));
}

#[test]
fn options_are_checked_by_name_and_type() {
    let app = "local graceful = require 'graceful'
        local function try(options)
            local _, err = pcall(graceful.reload, options)
            return (tostring(err):gsub('\\n.*', ''))
        end
        return { try = function() return {
            try{ forced = true }, try{ force = 1 }, try{ changed = 'a' }, try{ on_busy = 'x' }, try{ drain = 2 }, try(5),
        } end }";
    let bench = bench(app);
    let said = bench.call("try").unwrap();
    let Value::List(said) = said else { panic!("{said:?}") };
    let said: Vec<&str> =
        said.iter().map(|text| text.as_str().unwrap().trim_start_matches("runtime error: ")).collect();
    assert_eq!(
        said,
        [
            "reload: unknown option `forced`; there are: force, changed, load, remove, on_busy, drain",
            "reload: option `force` wants a boolean, got integer",
            "reload: option `changed` wants a list of module names, got `a`",
            "reload: option `on_busy` wants `join`, `wait` or `refuse`, got `x`",
            "reload: option `drain` wants `abort` or `cancel`, got integer",
            "reload: expected a table of options, got integer",
        ]
    );
}

#[test]
fn plan_and_modules_are_tables() {
    let app = "local graceful = require 'graceful'
        require 'dep'
        return {
            plan = function()
                local plan = graceful.plan()
                local said = {}
                for i, step in ipairs(plan.steps) do said[i] = step.action .. ' ' .. step.module .. ' (' .. step.reason .. ')' end
                return said
            end,
            modules = function()
                local said = {}
                for i, m in ipairs(graceful.modules()) do said[i] = m.name .. ' ' .. m.backend .. ' ' .. m.generation end
                return said
            end,
        }";
    let bench = bench(app);
    assert_eq!(bench.call("modules").unwrap(), list(["app lua 1".into(), "dep lua 1".into()]));
    bench.put("dep", "return { version = 2 }");
    assert_eq!(
        bench.call("plan").unwrap(),
        list(["reload dep (changed)".into(), "reload app (depends on dep)".into()])
    );
    assert_eq!(bench.engine.world().gate.live().0, 1);
}

#[test]
fn reg_09_a_module_that_is_required_is_unregistered_by_force_only() {
    let app = "local graceful = require 'graceful'
        require 'dep'
        return { leave = function(force)
            local ok, err = graceful.unregister_module('dep', { force = force })
            return { tostring(ok), not ok and err.code or err.outcome }
        end }";
    let bench = bench(app);
    let leave =
        |force: bool| bench.time.block_on(bench.engine.call("app", "leave", vec![force.into()])).unwrap();
    assert_eq!(leave(false), list(["nil".into(), "GR0112".into()]));
    assert_eq!(leave(true), list(["true".into(), "committed".into()]));
}

#[test]
fn scope_07_what_is_owned_is_released_with_its_generation_or_its_failed_reload() {
    let app = |n: i32, rest: &str| {
        format!(
            "local graceful, fiber = require 'graceful', require 'fiber'
            local socket = graceful.own('socket', {{ n = {n} }}, function(socket)
                fiber.sleep(1)
                state.closed = (state.closed or '') .. socket.n
            end)
            {rest}
            return {{ n = function() return socket.n end }}"
        )
    };
    let bench = bench(&app(1, ""));
    assert_eq!((bench.call("n").unwrap(), bench.state("closed")), (1.into(), "nil".into()));
    bench.put("app", &app(2, "error('no')"));
    bench.time.block_on(bench.engine.reload(Default::default())).unwrap_err();
    bench.pass(2_000);
    assert_eq!((bench.call("n").unwrap(), bench.state("closed")), (1.into(), "2".into()));
    bench.put("app", &app(3, ""));
    bench.reload();
    bench.pass(2_000);
    assert_eq!((bench.call("n").unwrap(), bench.state("closed")), (3.into(), "21".into()));
}
