//! What Lua adds to migrations: metatables, functions, cycles, finalizers; and what is told of a wrong option.

use graceful_core::{ReloadError, Value};

use crate::testing::Bench;

fn module(version: &str, options: &str, rest: &str) -> String {
    format!(
        "local graceful = require('graceful')
        state = graceful.register_module('app', {{ version = '{version}', {options} }}).state
        {rest}"
    )
}

/// An app whose state `fill` makes, migrated by `up`.
fn migrated(fill: &str, up: &str, look: &str) -> Value {
    let bench = Bench::app(&module("1.0.0", "", fill));
    let up = format!("migrations = {{ ['1.0.0'] = {{ to = '2.0.0', up = function(state) {up} end }} }}");
    bench.put("app", &module("2.0.0", &up, &format!("return {{ look = function() {look} end }}")));
    bench.reload();
    bench.call("look").unwrap()
}

fn failed(options: &str) -> String {
    let bench = Bench::app(&module("1.0.0", "", ""));
    bench.put("app", &module("2.0.0", options, ""));
    let error: ReloadError = bench.try_reload().unwrap_err();
    let source = std::error::Error::source(&*error.kind);
    source.map_or_else(|| error.kind.to_string(), ToString::to_string)
}

#[test]
fn ver_02_metatables_functions_aliases_and_cycles_are_there_afterwards() {
    let fill = "local class = { area = function(self) return self.n * self.n end }
        class.__index = class
        state.square = setmetatable({ n = 3 }, class)
        state.alias, state.double = state.square, function(n) return 2 * n end
        state.square.up = state";
    let look =
        "return { state.square:area(), state.alias == state.square, state.square.up.square == state.square,
        state.double(4), state.square.up == state }";
    let expected = Value::from([Value::Int(16), true.into(), true.into(), 8.into(), true.into()]);
    let looked = migrated(fill, "state.square.n = 4", look);
    let Value::List(looked) = looked else { panic!("{looked:?}") };
    let Value::List(expected) = expected else { unreachable!() };
    for (got, expected) in looked.iter().zip(&expected) {
        assert!(got == expected || got.as_int().is_some_and(|n| expected.as_int() == Some(n)), "{looked:?}");
    }
}

#[test]
fn ver_02_a_metatable_of_the_new_state_is_that_of_the_state() {
    let up = "return setmetatable({ n = 1 }, { __index = function(_, key) return key end })";
    assert_eq!(
        migrated("state.old = true", up, "return { state.any, tostring(state.n) }"),
        ["any", "1"].into()
    );
    let fill = "setmetatable(state, { __index = function() return 'kept' end })";
    assert_eq!(migrated(fill, "return { n = 1 }", "return state.any"), "kept".into());
}

#[cfg(feature = "lua54")]
#[test]
fn ver_02_what_has_a_finalizer_is_not_copied() {
    let fill = "local live, file = state, setmetatable({}, {
            __gc = function() live.closed = (live.closed or 0) + 1 end,
        })
        state.file, state.get = file, function() return file end";
    let look = "collectgarbage() collectgarbage()
        return { tostring(state.closed), tostring(state.file == state.get()) }";
    assert_eq!(migrated(fill, "state.file.name = 'a'", look), ["nil", "true"].into());
}

#[test]
fn ver_02_a_step_that_returns_no_state_is_told() {
    let up = "migrations = { ['1.0.0'] = { to = '2.0.0', up = function() return 7 end } }";
    assert!(failed(up).ends_with("a step returns the new state or nothing, got number"), "{}", failed(up));
    let up = "migrations = { ['1.0.0'] = { to = '2.0.0', up = function() return _G.state end } }";
    assert!(failed(up).contains("not the live state"), "{}", failed(up));
}

#[test]
fn ver_02_steps_may_begin_at_any_form_of_a_version_and_several_at_one() {
    for migrations in [
        "[graceful.semver(1, 0, 0)] = { to = '2.0.0', up = up }",
        "[{1, 0, 0}] = { to = { 2, 0, 0 }, up = up }",
        "{ from = '1.0.0', to = graceful.semver('2.0.0'), up = up }",
        "['1.0.0'] = { { to = '1.5.0', up = error }, { to = '2.0.0', up = up } }",
    ] {
        let bench = Bench::app(&module("1.0.0", "", "state.n = 1"));
        let text = module(
            "2.0.0",
            &format!("migrations = {{ {migrations} }}"),
            "return { n = function() return state.n end }",
        );
        bench.put(
            "app",
            &text.replace("state = graceful", "local function up(state) state.n = 2 end state = graceful"),
        );
        bench.reload();
        assert_eq!(bench.call("n").unwrap().as_int(), Some(2), "{migrations}");
    }
}

#[test]
fn ver_02_a_wrong_option_is_told() {
    for (migrations, told) in [
        ("5", "module `app`, option `migrations`: expected a table of steps, got "),
        ("{ 5 }", "module `app`, option `migrations`: a step: expected a table, got "),
        ("{ ['1.0'] = {} }", "module `app`, option `migrations`: `1.0` is not a version"),
        ("{ ['1.0.0'] = 'up' }", "the step from 1.0.0: expected a table, got string"),
        ("{ ['1.0.0'] = { up = print } }", "the step from 1.0.0: `to`: expected a version, got nil"),
        ("{ { to = '1.0.0', up = print } }", "a step: `from`: expected a version, got nil"),
        ("{ ['1.0.0'] = { to = 'x', up = print } }", "the step from 1.0.0: `to`: `x` is not a version"),
        ("{ ['1.0.0'] = { to = print } }", "the step from 1.0.0: `to`: expected a version, got function"),
        ("{ ['1.0.0'] = { to = '2.0.0', up = 5 } }", "the step from 1.0.0: `up`: expected a function, got "),
        (
            "{ ['1.0.0'] = { to = '2.0.0', lossy = 1 } }",
            "the step from 1.0.0: `lossy`: expected a boolean, got ",
        ),
        ("{ ['1.0.0'] = { to = '2.0.0', dwon = print } }", "unknown entry `dwon`, did you mean `down`?"),
        ("{ ['1.0.0'] = { to = '2.0.0' } }", "the step 1.0.0 -> 2.0.0 has neither `up` nor `down`"),
        ("{ ['1.0.0'] = { from = '1.1.0', to = '2.0.0' } }", "the step from 1.0.0: `from` is 1.1.0"),
    ] {
        let got = failed(&format!("migrations = {migrations}"));
        assert!(got.contains(told), "{migrations}: {got}");
    }
}
