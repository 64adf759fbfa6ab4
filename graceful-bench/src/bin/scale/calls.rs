//! What calls, globals and upvalues cost in code that was reloaded, beside bare Lua.

use std::hint::black_box;

use graceful_lua::LuaFunction;
use graceful_lua::mlua::{Function, Lua, Table as LuaTable};

use crate::app::App;
use crate::measure::{Size, best};
use crate::table::{Row, Table};

const ROUNDS: usize = 45;
/// How often the loops go round for each call that is timed: long enough for a clock to see.
const LONGER: u32 = 10;
const CALLEE: &str = "return { twice = function(x) return x * 2 end }";
/// Each function does one thing many times, and each time on what came of the one before, so that a compiler of
/// traces can leave none out.
const USER: &str = "
    local callee = require 'callee'
    local M, count = {}, 1
    function M.across(n) local x = 1 for i = 1, n do x = callee.twice(x) % 8191 + i % 3 end return x end
    function M.globals(n) tally = 1 for i = 1, n do tally = tally * 5 % 8191 + i % 3 end return tally end
    function M.upvalues(n) count = 1 for i = 1, n do count = count * 5 % 8191 + i % 3 end return count end
    return M";

/// The same modules in a bare VM.
fn bare() -> (Lua, LuaTable) {
    let lua = Lua::new();
    let modules = "local callee, user = ...
        package.preload.callee, package.preload.user = (loadstring or load)(callee), (loadstring or load)(user)
        return require 'user'";
    let user: LuaTable = lua.load(modules).call((CALLEE, USER)).unwrap();
    user.set("twice", lua.load(CALLEE).eval::<LuaTable>().unwrap().get::<Function>("twice").unwrap())
        .unwrap();
    (lua, user)
}

/// An app in which both were reloaded.
fn live() -> App {
    let app = App::of(&[("main", "require 'user'"), ("user", USER), ("callee", CALLEE)]);
    for edition in 0..3 {
        app.put("user", format!("{USER} -- {edition}"));
        app.put("callee", format!("{CALLEE} -- {edition}"));
        app.reload(Default::default());
    }
    app
}

pub fn calls(size: &Size, table: &mut Table) {
    let (app, (_lua, bare), calls) = (live(), bare(), size.calls);
    let handle: LuaFunction<i64, i64> = app.backend.function("callee", "twice");
    let twice: Function = bare.get("twice").unwrap();
    let rounds = ROUNDS * size.runs / Size::WHOLE.runs;
    let [plain, handled] = best(
        rounds,
        [&|| (0..calls).for_each(|_| assert_eq!(twice.call::<i64>(black_box(21)).unwrap(), 42)), &|| {
            (0..calls).for_each(|_| assert_eq!(handle.call(black_box(21)).unwrap(), 42))
        }],
    );
    table.add(Row::ratio("a call from Rust through a handle", handled, plain).at_most(1.03));
    for (function, what) in [
        ("across", "a call from Lua to a function of another module"),
        ("globals", "a global read and written"),
        ("upvalues", "an upvalue read and written"),
    ] {
        let inner: Function = bare.get(function).unwrap();
        let outer: LuaFunction<u32, f64> = app.backend.function("user", function);
        let many = LONGER * calls;
        let [plain, live] = best(
            rounds,
            [&|| assert!(black_box(inner.call::<f64>(many).unwrap()) >= 0.0), &|| {
                assert!(black_box(outer.call(black_box(many)).unwrap()) >= 0.0)
            }],
        );
        table.add(Row::ratio(what, live, plain).at_most(1.0));
    }
}
