//! Lines that a person types.

use std::time::Duration;

use graceful_core::{CallError, Outcome, ReloadOptions};

use crate::testing::Bench;

const LIMIT: Duration = Duration::from_secs(10);

fn say(bench: &Bench, line: &str) -> Result<Vec<String>, CallError> {
    bench.clock.block_on(bench.engine.evaluate("lua", line, LIMIT))
}

fn said(bench: &Bench, line: &str) -> String {
    say(bench, line).unwrap().join(" | ")
}

/// Lets a line run until it waits.
fn begin(line: &mut (impl Future + Unpin)) {
    for _ in 0..2 {
        assert!(futures_util::FutureExt::now_or_never(&mut *line).is_none());
    }
}

fn bench() -> Bench {
    Bench::new(&[
        (
            "app",
            "local dep = require 'dep' return { n = function() return dep.n end, add = function(a, b) return a + b end }",
        ),
        ("dep", "return { n = 1, nap = function() require('fiber').sleep(5) return 'rested' end }"),
    ])
}

#[test]
fn a_line_is_an_expression_or_statements_and_its_results_are_shown() {
    let bench = bench();
    let shown = [
        ("1 + 1, 'two', nil", "2 | \"two\" | nil"),
        ("require('app').add(1, 2)", "3"),
        ("{ 1, { 'b' }, x = true, ['a b'] = {} }", "{1, {\"b\"}, [\"a b\"] = {}, x = true}"),
        ("local t = {} t.t = t return t", "{t = {t = {t = {t = {...}}}}}"),
        ("print('a', 1) return 2", "a\t1 | 2"),
        ("require('graceful').semver(1, 2, 3)", "1.2.3"),
        ("for i = 1, 2 do print(i) end", "1 | 2"),
        ("require('dep').nap()", "\"rested\""),
        ("kept = 5", ""),
        ("kept", "5"),
        ("#require('graceful').modules()", "2"),
        ("require('clock').monotonic() > 0 and type(require('checks'))", "\"function\""),
    ];
    for (line, result) in shown {
        assert_eq!(said(&bench, line), result, "{line}");
    }
    bench.pass(1);
    assert!(bench.engine.world().gate.leases().is_empty());
}

#[test]
fn errors_have_their_place() {
    let bench = bench();
    let error = |line: &str| say(&bench, line).unwrap_err().to_string();
    assert_eq!(error("x = = 1"), "console:1: unexpected symbol near '='");
    assert_eq!(error("local a\nreturn a.b"), "console:2: attempt to index a nil value (local 'a')");
    assert_eq!(
        error("require('app').add(1, {})"),
        "app.lua:1: attempt to perform arithmetic on a table value (local 'b')"
    );
    assert!(
        error("require('nowhere')").contains("module 'nowhere' cannot be loaded"),
        "{}",
        error("require('nowhere')")
    );
    let owns = "the console owns nothing: let a module start it";
    assert_eq!(error("require('fiber').new(print)"), owns);
    let late = error("require('graceful').register_module('the console')");
    assert!(late.contains("register_module is called while its module loads, not later"), "{late}");
    assert!(error("dofile('other.lua')").contains("other.lua"));
    let other = bench.clock.block_on(bench.engine.evaluate("cobol", "1", LIMIT)).unwrap_err();
    assert_eq!(other.to_string(), "there is no language `cobol`");
}

#[test]
fn reg_12_dofile_of_the_apps_file_reloads_what_changed_below_it() {
    let bench = bench();
    assert_eq!(said(&bench, "dofile('app.lua')"), "unchanged, generation 1");
    bench.put("dep", "return { n = 2 }");
    let reloaded = "committed, generation 2: reload dep (changed), reload app (depends on dep)";
    assert_eq!(said(&bench, "require('dep') return dofile('/srv/shop/app.lua')"), reloaded);
    assert_eq!(said(&bench, "require('app').n(), require('dep').n"), "2 | 2");
    bench.put("dep", "error('broken')");
    let error = say(&bench, "dofile 'app.lua'").unwrap_err().to_string();
    assert_eq!(error, "GR0302: module `dep` cannot be loaded: dep.lua:1: broken");
    assert_eq!(said(&bench, "require('app').n()"), "2");
}

#[test]
fn call_01_a_line_sees_one_generation_and_no_dependency_comes_of_it() {
    let bench = bench();
    said(&bench, "require('dep')");
    let mut line = Box::pin(bench.engine.evaluate(
        "lua",
        "local a = require('dep').n f.sleep(1) return a, require('app').n()",
        LIMIT,
    ));
    said(&bench, "f = require('fiber')");
    begin(&mut line);
    bench.put("dep", "return { n = 2 }");
    assert_eq!(bench.reload().outcome, Outcome::Committed);
    assert_eq!(bench.clock.block_on(line).unwrap().join(" "), "1 1");
    let plan = bench.clock.block_on(bench.engine.plan(ReloadOptions::default())).unwrap();
    assert_eq!(plan.steps.len(), 0);
}

#[test]
fn call_04_a_drain_waits_for_a_line_that_is_in_the_module() {
    let app = "local fiber = require 'fiber'
        require('graceful').register_module('app', { after_reload = function() end })
        return { nap = function() fiber.sleep(1) return 'done' end }";
    let bench = Bench::app(app);
    let mut line = Box::pin(bench.engine.evaluate("lua", "require('app').nap()", LIMIT));
    begin(&mut line);
    bench.put("app", &format!("{app} -- 2"));
    let error = bench.try_reload().unwrap_err();
    assert_eq!(error.code().to_string(), "GR0108");
    assert_eq!(bench.clock.block_on(line).unwrap(), ["\"done\""]);
    bench.reload();
}

#[test]
fn a_line_that_waits_too_long_is_cancelled() {
    let bench = bench();
    let line = bench.engine.evaluate("lua", "require('fiber').sleep(1e6)", LIMIT);
    assert_eq!(bench.clock.block_on(line).unwrap_err().to_string(), "ran longer than 10s and was cancelled");
    bench.pass(1);
    assert!(bench.engine.world().gate.leases().is_empty());
}

#[test]
fn a_line_that_spins_is_stopped() {
    let clock = graceful_testkit::TokioClock::new();
    let backend = std::sync::Arc::new(crate::LuaBackend::builder().build().unwrap());
    let sources = graceful_testkit::MemorySources::new();
    let engine = graceful_core::Engine::builder(clock.clone()).backend(backend).sources(sources).build();
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let limit = Duration::from_millis(100);
    let line = "while true do pcall(function() while true do end end) end";
    let error = clock.block_on(engine.evaluate("lua", line, limit)).unwrap_err();
    assert_eq!(error.to_string(), "ran longer than 100ms and was cancelled");
    assert_eq!(clock.block_on(engine.evaluate("lua", "1", LIMIT)).unwrap(), ["1"]);
}
