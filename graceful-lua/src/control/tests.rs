//! Reloads asked for by scripts.

use graceful_core::Value;

use crate::testing::{Bench, hooked, list};

fn bench(app: &str) -> Bench {
    Bench::new(&[("app", app), ("dep", "return { version = 1 }")])
}

#[test]
fn hook_04_a_call_that_asks_is_parked_and_resumes_with_the_report() {
    let bench = bench(
        "state = require('graceful').register_module('app', { drain = true }).state
        return { reload = function()
            local before = require('dep').version
            local report = require('graceful').reload()
            return { report.outcome, report.generation, before, report.pause >= 0, #report.phases > 0 }
        end }",
    );
    bench.call("reload").unwrap();
    bench.put("dep", "return { version = 2 }");
    let committed = list(["committed".into(), 2.into(), 1.into(), true.into(), true.into()]);
    assert_eq!(bench.call("reload").unwrap(), committed);
    let unchanged = list(["unchanged".into(), 2.into(), 2.into(), true.into(), true.into()]);
    assert_eq!(bench.call("reload").unwrap(), unchanged);
}

#[test]
fn hook_04_a_failure_is_thrown_as_a_table() {
    let app = "return { reload = function()
        local ok, err = pcall(require('graceful').reload)
        local place = err.place.file .. ':' .. err.place.line
        return { tostring(ok), err.code, err.module, place, err.phase, err.outcome, tostring(err) }
    end }";
    let bench = bench(app);
    bench.put("app", &format!("require 'dep' {app}"));
    bench.put("dep", "error('broken')");
    let message = "GR0302: module `dep` cannot be loaded: dep.lua:1: broken";
    let wanted = ["false", "GR0302", "dep", "dep.lua:1", "stage", "refused", message];
    assert_eq!(bench.call("reload").unwrap(), list(wanted.map(Value::from)));
}

#[test]
fn a_failure_that_nobody_catches_says_its_code() {
    let bench = bench("return { leave = function() require('graceful').unregister_module('none') end }");
    let error = bench.call("leave").unwrap_err().to_string();
    assert_eq!(error, "app.lua:1: GR0113: no module `none` is loaded");
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
    bench.put(
        "app",
        &hooked(
            "local graceful = require 'graceful'
            local _, err = pcall(graceful.reload)
            local _, other = pcall(graceful.unregister_module, 'dep')
            mod.state.codes = err.code .. other.code",
        ),
    );
    bench.reload();
    assert_eq!(bench.state("codes"), "GR0116GR0116");
}

#[test]
fn hook_04_where_it_cannot_yield_a_ticket_is_returned() {
    let bench = bench(
        "local graceful = require 'graceful'
        return {
            queue = function()
                table.sort({ 1, 2 }, function(a, b) state.ticket = state.ticket or graceful.reload() return a < b end)
                local ticket = state.ticket
                return { ticket.queued, ticket.done(), select('#', ticket.result()) }
            end,
            result = function()
                local report = state.ticket:result()
                return { state.ticket:done(), report.outcome }
            end,
        }",
    );
    bench.put("app", "return {}");
    assert_eq!(bench.call("queue").unwrap(), list([true.into(), false.into(), 0.into()]));
    bench.pass(10);
    let done =
        bench.lua.load("return state.ticket.done() and state.ticket.result().outcome").eval::<String>();
    assert_eq!(done.unwrap(), "committed");
}

#[test]
fn a_task_may_ask_too() {
    let bench = bench(&format!(
        "local fiber = require 'fiber' {}
        state.f = state.f or fiber.new(function()
            state.outcome = require('graceful').reload{{ force = true }}.outcome
        end)",
        hooked("require('fiber').yield()")
    ));
    bench.pass(100);
    assert_eq!((bench.state("outcome"), bench.engine.world().gate.live().0), ("committed".into(), 2));
    assert!(bench.engine.world().gate.leases().is_empty());
}

#[test]
fn options_are_checked_by_name_and_type() {
    let bench = bench(
        "local function try(options)
            local _, err = pcall(require('graceful').reload, options)
            return (tostring(err):gsub('\\n.*', ''):gsub('^runtime error: ', ''))
        end
        return { try = function() return {
            try{ forced = true }, try{ colour = 1 }, try{ force = 1 }, try{ changed = 'a' }, try{ on_busy = 'x' }, try{ drain = 2 }, try(5),
        } end }",
    );
    assert_eq!(
        bench.call("try").unwrap(),
        list(
            [
                "reload: unknown option `forced`, did you mean `force`?",
                "reload: unknown option `colour`; there are: force, changed, load, remove, on_busy, drain, check, forgive_before_reload",
                "reload: option `force` wants a boolean, got integer",
                "reload: option `changed` wants a list of module names, got `a`",
                "reload: option `on_busy` wants `join`, `wait` or `refuse`, got `x`",
                "reload: option `drain` wants `abort` or `cancel`, got integer",
                "reload: expected a table of options, got integer",
            ]
            .map(Value::from)
        )
    );
}

#[test]
fn plan_and_modules_are_tables() {
    let bench = bench(
        "local graceful = require 'graceful'
        require 'dep'
        return {
            plan = function()
                local said = {}
                for i, step in ipairs(graceful.plan().steps) do
                    said[i] = step.action .. ' ' .. step.module .. ' (' .. step.reason .. ')'
                end
                return said
            end,
            modules = function()
                local said = {}
                for i, m in ipairs(graceful.modules()) do
                    said[i] = m.name .. ' ' .. m.backend .. ' ' .. m.generation .. ' ' .. tostring(m.registered)
                end
                return said
            end,
        }",
    );
    assert_eq!(bench.call("modules").unwrap(), list(["app lua 1 true".into(), "dep lua 1 false".into()]));
    bench.put("dep", "return { version = 2 }");
    let steps = list(["reload dep (changed)".into(), "reload app (depends on dep)".into()]);
    assert_eq!(bench.call("plan").unwrap(), steps);
    assert_eq!(bench.engine.world().gate.live().0, 1);
}

#[test]
fn shut_01_a_call_asks_for_the_shutdown_and_ends_before_it() {
    let module = |name: &str| {
        format!(
            "require('graceful').register_module('{name}', {{ finalize = function() say('{name}') end }})"
        )
    };
    let app = format!(
        "require 'dep' local graceful, fiber = require 'graceful', require 'fiber' {}
        return {{
            leave = function() local said = graceful.shutdown{{ drain = 1.5 }} fiber.sleep(1) say('left') return said end,
            wrong = function() graceful.shutdown{{ drain = 'x' }} end,
            n = function() return 1 end,
        }}",
        module("app")
    );
    let bench = Bench::app("return {}");
    let said: std::sync::Arc<std::sync::Mutex<Vec<String>>> = Default::default();
    let into = said.clone();
    let say = move |_: &mlua::Lua, text: String| {
        into.lock().unwrap().push(text);
        Ok(())
    };
    bench.lua.globals().set("say", bench.lua.create_function(say).unwrap()).unwrap();
    bench.put("dep", &module("dep"));
    bench.put("app", &app);
    bench.reload();
    let wrong = bench.call("wrong").unwrap_err().to_string();
    assert_eq!(wrong, "app.lua:4: shutdown: option `drain` wants a number of seconds, got `x`");
    bench.put("app", &app.replace("return {", "graceful.shutdown() error('no') return {"));
    bench.try_reload().unwrap_err();
    assert_eq!(bench.call("n").unwrap(), 1.into());
    assert_eq!(bench.call("leave").unwrap(), true.into());
    bench.pass(100);
    assert_eq!(said.lock().unwrap().clone(), ["left", "app", "dep"]);
    assert_eq!(bench.call("n").unwrap_err().code().to_string(), "GR0207");
}

#[test]
fn reg_09_a_module_that_is_required_is_unregistered_by_force_only() {
    let bench = bench(
        "require 'dep'
        return { leave = function(force)
            local ok, got = pcall(require('graceful').unregister_module, 'dep', { force = force })
            return ok and got.outcome or got.code
        end }",
    );
    assert_eq!(bench.call_with("leave", vec![false.into()]).unwrap(), "GR0112".into());
    assert_eq!(bench.call_with("leave", vec![true.into()]).unwrap(), "committed".into());
}

#[test]
fn scope_07_what_is_owned_is_released_with_its_generation_or_its_failed_reload() {
    let app = |n: i32, rest: &str| {
        format!(
            "local graceful, fiber = require 'graceful', require 'fiber'
            local socket = graceful.own('socket', {{ n = {n} }}, function(socket)
                fiber.sleep(1)
                log(socket.n)
            end)
            {rest}
            return {{ n = function() return socket.n end }}"
        )
    };
    let bench = Bench::app("return {}");
    let closed: std::sync::Arc<std::sync::Mutex<Vec<i64>>> = Default::default();
    let into = closed.clone();
    let log = move |_: &mlua::Lua, n: i64| {
        into.lock().unwrap().push(n);
        Ok(())
    };
    bench.lua.globals().set("log", bench.lua.create_function(log).unwrap()).unwrap();
    bench.put("app", &app(1, ""));
    bench.reload();
    bench.put("app", &app(2, "error('no')"));
    bench.try_reload().unwrap_err();
    bench.pass(2_000);
    assert_eq!((bench.call("n").unwrap(), closed.lock().unwrap().clone()), (1.into(), vec![2]));
    bench.put("app", &app(3, ""));
    bench.reload();
    bench.pass(2_000);
    assert_eq!((bench.call("n").unwrap(), closed.lock().unwrap().clone()), (3.into(), vec![2, 1]));
}
