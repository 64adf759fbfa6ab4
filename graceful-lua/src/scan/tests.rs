//! What counts as a require, and that no text makes the scan slow or fail.

use proptest::prelude::*;

use super::{scan, scan_to};

/// Reads all of `text`, whatever stands in it.
fn whole(text: &[u8]) -> (Vec<graceful_core::Require>, Option<graceful_core::Declared>) {
    scan_to(usize::MAX, text, "t.lua", "t")
}

/// `name`, or `name*` if deferred.
fn names(text: impl AsRef<[u8]>) -> Vec<String> {
    let show = |r: graceful_core::Require| format!("{}{}", r.name, if r.deferred { "*" } else { "" });
    scan(text.as_ref(), "t.lua", "t").0.into_iter().map(show).collect()
}

fn places(text: &str) -> Vec<String> {
    scan(text.as_bytes(), "t.lua", "t").0.into_iter().map(|r| format!("{} {}", r.name, r.place)).collect()
}

#[test]
fn every_way_to_write_a_constant_require() {
    assert_eq!(names("require 'a'"), ["a"]);
    assert_eq!(names("local b = require \"b\""), ["b"]);
    assert_eq!(names("require('c').run() require ( 'd' )"), ["c", "d"]);
    assert_eq!(names("require[[e]] require([==[\nf]==])"), ["e", "f"]);
    assert_eq!(names("f(require'g', require\n-- why\n'h')"), ["g", "h"]);
    assert_eq!(names("local s = 'x' .. require 'i'.name"), ["i"]);
    assert_eq!(names("require('j', 1)"), ["j"]);
}

#[test]
fn names_that_are_not_constant_are_left_to_the_running_code() {
    assert_eq!(names("require(name) require('a' .. b) require(('c')) local r = require r 'd'"), [""; 0]);
    assert_eq!(names("pcall(require, 'a') require{'b'} require"), [""; 0]);
    assert_eq!(names(b"require '\xff\xfe'"), [""; 0]);
}

#[test]
fn other_things_called_require_are_none() {
    assert_eq!(names("foo.require 'a' foo:require 'b' foo . require('c')"), [""; 0]);
    assert_eq!(names("local t = { require = 'a' } goto require ::require:: require 'b'"), ["b"]);
    assert_eq!(names("-- require 'a'\n--[[ require 'b' ]] --[==[\nrequire 'c' ]] ]==] require 'd'"), ["d"]);
    assert_eq!(names("s = \"require 'a'\" t = [[ require 'b' ]] required 'c' _require 'd'"), [""; 0]);
}

#[test]
fn a_local_of_that_name_hides_it_to_the_end_of_its_block() {
    assert_eq!(names("local require = require require 'a'"), ["a"]);
    assert_eq!(names("local require = require 'loader' require 'a'"), ["loader"]);
    assert_eq!(names("local require = require('loader') require 'a'"), ["loader"]);
    assert_eq!(names("local require = lib.require require 'a'"), [""; 0]);
    assert_eq!(names("do local x <const>, require = 1 require 'a' end require 'b'"), ["b"]);
    assert_eq!(names("do local function require() end require 'a' end require 'b'"), ["b"]);
    assert_eq!(names("local f = function(x, require) require 'a' end require 'b'"), ["b"]);
}

#[test]
fn inside_a_function_means_deferred() {
    assert_eq!(names("function m.f:g(a, ...) require 'a' end require 'b'"), ["a*", "b"]);
    assert_eq!(
        names("local function f() if x then require 'a' else require 'b' end end require 'c'"),
        ["a*", "b*", "c"]
    );
    assert_eq!(
        names(
            "x = function() for i = 1, 2 do while a do end repeat local y until require 'a' end end require 'b'"
        ),
        ["a*", "b"]
    );
    assert_eq!(
        names("if a then require 'a' elseif b then require 'b' end do require 'c' end"),
        ["a", "b", "c"]
    );
    assert_eq!(names("f(function() return function() end, require 'a' end, require 'b')"), ["a*", "b"]);
}

#[test]
fn places_count_lines_and_characters_from_one() {
    assert_eq!(places("require 'a'\n  require 'b'"), ["a t.lua:1:1", "b t.lua:2:3"]);
    assert_eq!(
        places("x = 'é' require 'a'\r\n\r\nrequire 'b'\rrequire 'c'"),
        ["a t.lua:1:9", "b t.lua:3:1", "c t.lua:4:1"]
    );
    assert_eq!(places("x = [[\n\n]] y = 'a\\\nb\\z\n  ' require 'a'"), ["a t.lua:5:5"]);
    assert_eq!(places("\u{feff}#!/usr/bin/lua\nrequire 'a'"), ["a t.lua:2:1"]);
}

#[test]
fn escapes_are_resolved() {
    assert_eq!(
        names(
            r"require 'a\46b\x2ec\u{2e}d\z
        e'"
        ),
        ["a.b.c.de"]
    );
    assert_eq!(names(r"require 'bad\q' require 'bad\999' require 'a'"), ["a"]);
    assert_eq!(names("require 'open\nrequire 'a'"), ["a"]);
}

#[test]
fn numbers_end_where_they_should() {
    assert_eq!(names("x=0xe-require'a'.n y=1e-5 z=.5 w=1LL v=0x1p-4 u=1_000 t=5//require'b'.n"), ["a", "b"]);
    assert_eq!(names("local a = ... if a then require 'a' end f(1 ..require'b')"), ["a", "b"]);
}

#[test]
fn luau_expressions_do_not_upset_the_blocks() {
    assert_eq!(
        names("function f() local x = if a then 1 elseif b then 2 else 3 return x end require 'a'"),
        ["a"]
    );
    assert_eq!(
        names("function f() return if a then if b then 1 else 2 else if c then 3 else 4 end require 'a'"),
        ["a"]
    );
    assert_eq!(
        names("function f() x = if a then function() end else nil if x then end end require 'a'"),
        ["a"]
    );
    assert_eq!(
        names("local x: Array<string>\nif x then require 'a' end function f() end require 'b'"),
        ["a", "b"]
    );
    assert_eq!(names("local s = `n {f({1, '}'})} {require 'a'} \\` require 'no'` require 'b'"), ["a", "b"]);
    assert_eq!(names("local m = require('a') :: any x += require('b').n"), ["a", "b"]);
}

#[test]
fn unbalanced_text_is_read_to_its_end() {
    assert_eq!(names("end end until ) } require 'a' function f() require 'b'"), ["a", "b*"]);
    assert_eq!(names("require 'a' [[ require 'b'"), ["a"]);
    assert_eq!(names("require 'a' --[[ require 'b'"), ["a"]);
    assert_eq!(names("require 'a' ` require 'b'"), ["a"]);
    assert_eq!(names("require('a"), [""; 0]);
}

#[test]
fn a_megabyte_of_any_pattern_is_read_in_linear_time() {
    let patterns = [
        "[=",
        "[==[ ]=",
        "]",
        "'\\",
        "`{",
        "{",
        "if ",
        "function(",
        "require(",
        "require'a'",
        "--[=",
        "\\z",
        "é",
        "0x",
    ];
    for pattern in patterns {
        let text = pattern.repeat(1_000_000 / pattern.len());
        let start = std::time::Instant::now();
        whole(text.as_bytes());
        let took = start.elapsed();
        assert!(took.as_secs() < 5, "{pattern:?} took {took:?}");
    }
}

#[cfg(feature = "lua54")]
/// Statements with what they require, each nested in blocks that run exactly once.
fn program() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["a", "b.c", "d_e", "f"]);
    let leaf = prop_oneof![
        names.clone().prop_map(|n| format!("require '{n}'")),
        names.clone().prop_map(|n| format!("local _ <const> = require(\"{n}\").x")),
        names.clone().prop_map(|n| format!("f(1, require [=[{n}]=], {{ if_ = '`' }})")),
        names.prop_map(|n| format!("local function g() return require '{n}' end")),
        Just("-- require 'no' [[ end".to_owned()),
        Just("--[==[ require 'no' ]] end ]==]".to_owned()),
        Just("local s = [[ require 'no' ]] .. '\\'require' .. \"\\\\\"".to_owned()),
        Just("do goto l ::l:: end t.require('no')".to_owned()),
        Just("x = 0x1e+3 - 3. / .5 // 1e-5".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|lines| lines.join("\n"));
        prop_oneof![
            body.clone().prop_map(|b| format!("do {b}\nend")),
            body.clone().prop_map(|b| format!("if x then {b}\nelseif y then {b}\nelse {b}\nend")),
            body.clone().prop_map(|b| format!("repeat {b}\nuntil true")),
            body.clone().prop_map(|b| format!("for i = 1, 1 do {b}\nend")),
            body.clone().prop_map(|b| format!("while true do {b}\nbreak end")),
            body.prop_map(|b| format!("local h = function(a, ...) {b}\nend")),
        ]
    })
}

#[cfg(feature = "lua54")]
/// What the interpreter itself requires when it runs `text`: names and lines.
fn required(text: &str) -> Vec<(String, u32)> {
    let lua = mlua::Lua::new();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    let require = lua.create_function(move |lua, name: String| {
        let line = lua.inspect_stack(1, |frame| frame.current_line()).flatten();
        log.lock().unwrap().push((name, line.unwrap_or(0) as u32));
        lua.create_table()
    });
    let globals = lua.globals();
    globals.set("require", require.unwrap()).unwrap();
    globals.set("f", lua.create_function(|_, ()| Ok(())).unwrap()).unwrap();
    globals.set("t", lua.load("{ require = function() end }").eval::<mlua::Table>().unwrap()).unwrap();
    globals.set("x", true).unwrap();
    lua.load(text).exec().unwrap();
    drop(lua);
    std::sync::Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert_eq!(scan(&bytes, "t.lua", "t"), whole(&bytes));
    }

    #[test]
    fn no_lua_like_text_makes_it_fail(parts in prop::collection::vec(prop::sample::select(vec![
        "require", "local g = require 'graceful' ", " g.register_module('t', { version = '1.0.0' }) ", ".register_module", "return", "'", "\"", "[[", "]]", "[=[", "--", "`", "{", "}", "(", ")", "function", "end", "if", "then", "else",
        "elseif", "local", "repeat", "until", "do", "\\", "\n", "\r", "\\u{", "\\x", "0x", "1e", ".", "..", ":", "<", "=", " a ", "é",
    ]), 0..200)) {
        let text = parts.concat();
        prop_assert_eq!(scan(text.as_bytes(), "t.lua", "t"), whole(text.as_bytes()));
    }

    #[cfg(feature = "lua54")]
    #[test]
    fn it_finds_what_the_interpreter_requires(parts in prop::collection::vec(program(), 0..6)) {
        // One arm of each `if` runs, so only what the run saw must be found, at the same line.
        let text = parts.join("\n");
        prop_assert_eq!(scan(text.as_bytes(), "t.lua", "t"), whole(text.as_bytes()));
        let found = scan(text.as_bytes(), "t.lua", "t").0;
        let at_load: Vec<_> = found.iter().filter(|r| !r.deferred).map(|r| (r.name.to_string(), r.place.line.unwrap())).collect();
        let mut rest = at_load.iter();
        for seen in required(&text) {
            prop_assert!(rest.any(|found| *found == seen), "{seen:?} is not in {at_load:?} of\n{text}");
        }
        prop_assert!(found.iter().all(|r| &*r.name != "no"));
        prop_assert_eq!(found.len(), text.matches("require").count() - text.matches("'no'").count() - text.matches("'require'").count());
    }
}
