//! The same error reads the same in every dialect.

use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, ScriptError, Source};
use mlua::{Error, ErrorContext, Function, Lua, Value};

use super::{call_error, guard, script_error, shows};

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source::new("t", "lua", "app/t.lua", text.as_bytes()))
}

fn load(lua: &Lua, text: &str) -> mlua::Result<Function> {
    lua.load(text).set_name("@app/t.lua").into_function()
}

fn read(error: &Error, text: &str) -> ScriptError {
    script_error(error, |file| shows(file, "app/t.lua").then(|| source(text)))
}

/// What running `text` fails with.
fn run(text: &str) -> ScriptError {
    let lua = Lua::new();
    run_in(&lua, text)
}

fn run_in(lua: &Lua, text: &str) -> ScriptError {
    let native =
        lua.create_function(|_, text: String| -> mlua::Result<()> { Err(Error::runtime(text)) }).unwrap();
    lua.globals().set("native", native).unwrap();
    let back = lua.create_function(|_, f: Function| f.call::<()>(())).unwrap();
    lua.globals().set("back", back).unwrap();
    let result = load(lua, text).and_then(|chunk| guard(lua)?.call::<Value>(chunk));
    read(&result.unwrap_err(), text)
}

fn line(error: &ScriptError) -> String {
    format!("{error} | {}", error.source_line.as_deref().unwrap_or("-"))
}

#[test]
fn a_thrown_text_has_its_place_beside_it() {
    let error = run("local x = 1\n  error('boom')\nreturn x");
    assert_eq!(error.message, "boom");
    assert_eq!(error.kind, ScriptErrorKind::Runtime);
    assert_eq!(line(&error), "app/t.lua:2: boom |   error('boom')");
    assert_eq!(error.traceback.unwrap(), "app/t.lua:2: in main chunk");
}

#[test]
fn the_words_are_those_of_one_dialect() {
    let nil = |text| line(&run(text)).split(" | ").next().unwrap().to_owned();
    assert_eq!(nil("local x\nlocal _ = x.y"), "app/t.lua:2: attempt to index a nil value (local 'x')");
    assert_eq!(nil("foo() return"), "app/t.lua:1: attempt to call a nil value (global 'foo')");
    assert_eq!(nil("local t = {} t:m() return"), "app/t.lua:1: attempt to call a nil value (method 'm')");
    assert_eq!(
        nil("local x local _ = 'a' .. x"),
        "app/t.lua:1: attempt to concatenate a nil value (local 'x')"
    );
    assert_eq!(nil("local _ = 1 + {}"), "app/t.lua:1: attempt to perform arithmetic on a table value");
    assert_eq!(nil("assert(false, 'msg') return"), "app/t.lua:1: msg");
    assert_eq!(nil("error('plain', 0) return"), "app/t.lua:1: plain");
}

#[test]
fn frames_are_named_without_the_kind_of_variable() {
    let error = run("local function f() error('in f') end\nlocal function g() f() return end\ng() return");
    assert_eq!(
        error.traceback.unwrap().lines().collect::<Vec<_>>(),
        ["app/t.lua:1: in f", "app/t.lua:2: in g", "app/t.lua:3: in main chunk"]
    );
}

#[test]
fn what_native_code_throws_gets_the_place_it_was_called_at() {
    assert_eq!(line(&run("\nnative('x') return")), "app/t.lua:2: x | native('x') return");
    assert_eq!(
        line(&run("back(function()\nnative('y') return end) return")),
        "app/t.lua:2: y | native('y') return end) return"
    );
    assert_eq!(
        line(&run("local ok, e = pcall(native, 'z')\nerror(e)")),
        "app/t.lua:1: z | local ok, e = pcall(native, 'z')"
    );
    assert_eq!(
        run("native({}) return").message,
        "bad argument #1: expected String, got table (expected string or number)"
    );
}

#[test]
fn the_deepest_place_wins_when_an_error_is_thrown_on() {
    let text = "local ok, e = pcall(function() error('deep') end)\nerror(e)";
    assert_eq!(run(text).to_string(), "app/t.lua:1: deep");
    assert_eq!(run("coroutine.wrap(function()\nerror('co') end)() return").to_string(), "app/t.lua:2: co");
}

#[test]
fn error_objects_keep_their_message() {
    let text = "error({message = 'no money', code = 7}) return";
    assert_eq!(run(text).to_string(), "app/t.lua:1: no money (7)");
    assert_eq!(run("error({1}) return").message, "a table was thrown");
    assert_eq!(
        run("error(setmetatable({}, {__tostring = function() return 'own' end})) return").message,
        "own"
    );
    assert_eq!(run("error() return").message, "nil");
    let caught = "local ok, e = pcall(error, {n = 1}) if e.n == 1 then error('still a table') end";
    assert_eq!(run(caught).message, "still a table");
}

#[test]
fn a_place_that_is_only_text_stays_in_the_message() {
    assert_eq!(run("error('see notes:12: there', 0) return").to_string(), "app/t.lua:1: see notes:12: there");
    let other = "local f = (loadstring or load)('error(\"x\")', '=given') f() return";
    assert_eq!(run(other).to_string(), "given:1: x");
}

#[test]
fn syntax_errors_have_a_column() {
    let at = |text| line(&run(text));
    assert_eq!(run("x = }").kind, ScriptErrorKind::Syntax);
    assert_eq!(at("local y\n  x = }"), "app/t.lua:2:7: unexpected symbol near '}' |   x = }");
    assert_eq!(
        at("local s, x = 'é' = 1"),
        "app/t.lua:1:18: unexpected symbol near '=' | local s, x = 'é' = 1"
    );
    assert_eq!(
        at("local return_ = return"),
        "app/t.lua:1:17: unexpected symbol near 'return' | local return_ = return"
    );

    assert!(at("s = ' ) ' f()) y = (2)").starts_with("app/t.lua:1:14: "));
    assert_eq!(at("if x then\n"), "app/t.lua:2: 'end' expected (to close 'if' at line 1) near <eof> | -");
    assert_eq!(at("for"), "app/t.lua:1: <name> expected near <eof> | for");
}

#[test]
fn a_long_line_of_candidates_is_searched_fast() {
    let text = format!("{} x = = 1 {}", "a = 1 ".repeat(30_000), "a = 1 ".repeat(30_000));
    let start = std::time::Instant::now();
    assert_eq!(run(&text).place.unwrap().column, Some(180_006));
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn memory_is_a_kind_of_its_own() {
    for text in [
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local ok, e = pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) error(e, 0)",
    ] {
        let lua = Lua::new();
        lua.set_memory_limit(lua.used_memory() + 4_000_000).unwrap();
        assert_eq!(run_in(&lua, text).kind, ScriptErrorKind::Memory, "{text}");
    }
}

#[test]
fn a_stack_overflow_is_an_error_like_any_other() {
    let error = run("local function f() return 1 + f() end\nf() return");
    assert_eq!(error.kind, ScriptErrorKind::Runtime);
    assert!(error.message.contains("stack overflow"), "{error}");
}

#[test]
fn native_script_errors_pass_through_whole() {
    let lua = Lua::new();
    let stop = |_: &Lua, ()| -> mlua::Result<()> {
        Err(Error::external(ScriptError::new(ScriptErrorKind::Timeout, "too slow")))
    };
    lua.globals().set("stop", lua.create_function(stop).unwrap()).unwrap();
    let error = run_in(&lua, "\nstop() return");
    assert_eq!(
        (error.kind, error.to_string()),
        (ScriptErrorKind::Timeout, "app/t.lua:2: too slow".to_owned())
    );
    let closed = CallError::Suspended { module: "m".into() };
    let thrown = Error::external(closed.clone()).with_context(|_| "calling m");
    assert_eq!(call_error(&thrown), Some(&closed));
    assert_eq!(read(&thrown, "").message, "calling m: module `m` is suspended by a reload");
}

#[test]
fn long_file_names_are_known_by_their_end() {
    assert!(shows("app/t.lua", "app/t.lua"));
    assert!(shows("...t/very/long/t.lua", "app/not/very/long/t.lua"));
    assert!(!shows("t.lua", "app/t.lua") && !shows("...x.lua", "app/t.lua"));
}
