//! Undeclared globals are errors for who asked, and for nobody else.

use crate::testing::{Bench, hooked};

const STRICT: &str = "require('strict').on() ";

fn bench(dep: &str) -> Bench {
    Bench::new(&[("app", "dep = require('dep') return dep"), ("dep", dep)])
}

fn strict(rest: &str) -> Bench {
    Bench::app(&format!("require('strict').on()\n{rest}"))
}

#[test]
fn reg_10_undeclared_globals_are_neither_read_nor_assigned() {
    let bench = strict(
        "local function write() undeclared = 1 end
        return {
            read = function() return undeclared end,
            write = write,
            known = function() return type(string.format) .. type(_G) end,
            raw = function() return rawget(_G, 'undeclared') == nil and _G.undeclared == nil end,
        }",
    );
    assert_eq!(
        bench.call("read").unwrap_err().to_string(),
        "app.lua:4: variable 'undeclared' is not declared"
    );
    assert_eq!(
        bench.call("write").unwrap_err().to_string(),
        "app.lua:2: assign to undeclared variable 'undeclared'"
    );
    assert_eq!(bench.call("known").unwrap(), "functiontable".into());
    assert_eq!(bench.call("raw").unwrap(), true.into());
}

#[test]
fn a_top_level_declares_by_assigning() {
    let bench = strict(
        "counter, nothing = 1, nil
        return { next = function() counter = counter + 1 nothing = nil return counter end }",
    );
    assert_eq!(bench.call("next").unwrap(), 2.into());
    assert_eq!(bench.lua.globals().get::<i64>("counter").unwrap(), 2);
}

#[test]
fn it_holds_for_the_module_that_asked_only() {
    let bench = bench(&format!("{STRICT} return {{ read = function() return undeclared end }}"));
    bench.put("app", "require('dep') written = 1 return { read = function() return undeclared == nil end }");
    bench.reload();
    assert_eq!(bench.call("read").unwrap(), true.into());
    let plain = bench.lua.load("return undeclared == nil and getmetatable(_G) == nil").eval::<bool>();
    assert!(plain.unwrap());
}

#[test]
fn it_holds_for_the_generation_that_asked_only() {
    let read = "return { read = function() return undeclared == nil end }";
    let bench = Bench::app(read);
    bench.put("app", &format!("{STRICT} {read}"));
    bench.reload();
    bench.call("read").unwrap_err();
    bench.put("app", read);
    bench.reload();
    assert_eq!(bench.call("read").unwrap(), true.into());
}

#[test]
fn off_ends_it_and_everything_around_the_caller_is_covered() {
    let bench = Bench::app(
        "local strict = require('strict')
        local function setup() strict.on() end
        setup()
        return { read = function() return undeclared end, off = strict.off }",
    );
    bench.call("read").unwrap_err();
    bench.call("off").unwrap();
    bench.call("read").unwrap();
}

#[test]
fn tx_05_globals_of_a_strict_module_take_effect_with_the_commit_or_not_at_all() {
    let bench = Bench::app("return { see = function() return flag end }");
    bench.put("app", &format!("{STRICT} {} flag = 'new' error('no')", hooked("")));
    bench.try_reload().unwrap_err();
    assert_eq!(bench.call("see").unwrap(), graceful_core::Value::Null);
    let hook = hooked("assert(flag == 'new') flag = 'hook'");
    bench.put(
        "app",
        &format!("{STRICT} flag = 'new' state = nil {hook} return {{ see = function() return flag end }}"),
    );
    bench.reload();
    assert_eq!(bench.call("see").unwrap(), "hook".into());
    bench.put("app", "return {}");
    bench.reload();
    bench.pass(10);
    assert_eq!(bench.lua.globals().get::<Option<String>>("flag").unwrap(), None);
}
