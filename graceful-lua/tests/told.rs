//! Wrong use is answered well: what is wrong, where, and what was meant.

use std::sync::Arc;

use graceful_core::failure::ReloadErrorKind;
use graceful_core::{Engine, ReloadOptions};
use graceful_lua::LuaBackend;
use graceful_testkit::{ManualClock, MemorySources};

/// What a start with these modules, the first of them the entry, fails with.
fn told(texts: &[(&str, &str)]) -> String {
    let (clock, sources) = (ManualClock::new(), MemorySources::new());
    texts.iter().for_each(|(name, text)| sources.put(name, "lua", "lua", *text));
    let engine = Engine::builder(Arc::new(clock.clone()))
        .backend(Arc::new(LuaBackend::builder().build().unwrap()))
        .sources(sources)
        .entry(texts[0].0)
        .build();
    let error = clock.block_on(engine.reload(ReloadOptions::default())).unwrap_err();
    match *error.kind {
        ReloadErrorKind::Load { error, .. } => format!("{} {error}", error.code()),
        other => panic!("{other}"),
    }
}

fn option(option: &str) -> String {
    told(&[(
        "a",
        &format!("local graceful = require 'graceful'\ngraceful.register_module('a', {{ {option} }})"),
    )])
}

#[test]
fn reg_07_a_wrong_option_says_module_expected_and_got_and_what_was_meant() {
    let wrong = [
        ("finilize = function() end", "unknown option `finilize`, did you mean `finalize`?"),
        ("before_relaod = function() end", "unknown option `before_relaod`, did you mean `before_reload`?"),
        (
            "colour = 1",
            "unknown option `colour`; there are: init, finalize, before_reload, after_reload, on_reload, rollback, \
             version, checkpoint, drain, migrations",
        ),
        ("init = 5", "option `init`: expected a function, got integer"),
        ("drain = 'yes'", "option `drain`: expected a boolean, got string"),
        ("checkpoint = 'copy'", "option `checkpoint`: expected 'auto', 'own' or 'none', got 'copy'"),
        ("checkpoint = true", "option `checkpoint`: expected 'auto', 'own' or 'none', got boolean"),
        ("checkpoint = 'own'", "option `checkpoint`: 'own' needs a `rollback` hook"),
        (
            "after_reload = function() end, on_reload = function() end",
            "`after_reload` and `on_reload` are the same hook: give one",
        ),
        ("'init'", "options have names, got integer"),
    ];
    for (given, message) in wrong {
        assert_eq!(option(given), format!("GR0305 a.lua:2: module `a`, {message}"), "{given}");
    }
    let opts = told(&[("a", "require('graceful').register_module('a', 'fast')")]);
    assert_eq!(opts, "GR0305 a.lua:1: module `a`, expected a table of options, got string");
}

#[test]
fn ver_01_what_is_no_version_says_what_came() {
    let no_version = "is not a version: expected `maj.min.patch` of three whole numbers";
    let wrong = [
        ("version = '1.2'", format!("`1.2` {no_version}")),
        ("version = 'new'", format!("`new` {no_version}")),
        ("version = { 1, 2 }", format!("`[1, 2]` {no_version}")),
        ("version = { 1, 2, -3 }", format!("`[1, 2, -3]` {no_version}")),
        ("version = 5", format!("`5` {no_version}")),
        ("version = function() end", "expected a version, got function".to_owned()),
    ];
    for (given, message) in wrong {
        let said = option(given);
        let wanted = format!("GR0305 a.lua:2: module `a`, option `version`: {message}");
        assert!(said.starts_with(&wanted), "{given}:\n{said}\n{wanted}");
    }
    let part = told(&[("a", "require('graceful').semver(1, 'two', 0)")]);
    assert_eq!(part, "GR0302 a.lua:1: semver: min must be a whole number from 0, got two");
}

#[test]
fn reg_06_a_name_that_is_not_the_files_says_both() {
    let text = "require('graceful').register_module('b')";
    assert_eq!(told(&[("a", text)]), "GR0305 a.lua:1: a.lua is loaded as `a` but registers itself as `b`");
    let taken = told(&[("a", &format!("require 'b'\n{text}")), ("b", "return {}")]);
    assert_eq!(taken, "GR0305 a.lua:2: a.lua is loaded as `a` but registers itself as `b`; `b` is b.lua");
    let nothing = told(&[("a", "require('graceful').register_module()")]);
    assert_eq!(nothing, "GR0305 a.lua:1: register_module expects the module's name, got nil");
}

#[test]
fn what_else_is_used_wrongly_is_told_where_it_is_used() {
    let wrong = [
        (
            "require('http').route('GET', 'price', print)",
            "http.route: the path `price` does not begin with `/`: write `/price`",
        ),
        ("require('http').route('GET', '/price')", "http.route: expected a function, got nil"),
        ("require('fiber').new()", "fiber.new: expected a function, got nil"),
        ("require('fiber').sleep('soon')", "fiber.sleep: expected a number of seconds, got string"),
        ("require('fiber').sleep(-1)", "fiber.sleep: -1 is not a number of seconds"),
        ("require('graceful').own('socket', 1)", "own: expected a function that releases it, got nil"),
        ("require('graceful').own(nil, 1, print)", "own: expected a key, got nil"),
        ("require('graceful').class()", "class: expected the name of a class, got nil"),
    ];
    for (text, message) in wrong {
        assert_eq!(told(&[("a", text)]), format!("GR0302 a.lua:1: {message}"));
    }
}
