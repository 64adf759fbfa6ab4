//! Objects follow the code of their class, at the commit and not before.

use crate::testing::{Bench, hooked, list};

/// `app` with a class whose method `name` says `n`; `rest` is run after that.
fn app(method: &str, n: i32, rest: &str) -> String {
    format!(
        "{} local Account = require('graceful').class('Account')
        function Account.new() return setmetatable({{ n = 0 }}, Account) end
        function Account:{method}() self.n = self.n + 1 return {n} end
        state.account = state.account or Account.new()
        {rest}
        return {{
            call = function() return state.account:{method}() end,
            has = function() return {{ state.account.first ~= nil, state.account.second ~= nil, state.account.n }} end,
            same = function() return getmetatable(state.account) == Account end,
        }}",
        hooked("mod.state.said = mod.state.account and mod.state.account:now()").replace("now", method)
    )
}

#[test]
fn st_07_objects_in_state_get_the_new_methods_with_the_commit() {
    let bench = Bench::app(&app("first", 1, ""));
    assert_eq!(bench.call("call").unwrap(), 1.into());
    bench.put("app", &app("first", 2, ""));
    bench.reload();
    assert_eq!((bench.call("call").unwrap(), bench.state("said")), (2.into(), "2".into()));
    assert_eq!(bench.call("same").unwrap(), true.into());
    bench.put("app", &app("second", 3, ""));
    bench.reload();
    assert_eq!(bench.call("has").unwrap(), list([false.into(), true.into(), 4.into()]));
    assert_eq!(bench.call("call").unwrap(), 3.into());
}

#[test]
fn st_07_a_failed_reload_leaves_the_methods_as_they_were() {
    let bench = Bench::app(&app("first", 1, ""));
    let failing = [
        app("second", 2, "error('no')"),
        app("second", 2, "").replace("mod.state.said =", "error('no') mod.state.said ="),
    ];
    for text in failing {
        bench.put("app", &text);
        bench.try_reload().unwrap_err();
        assert_eq!(bench.call("has").unwrap(), list([true.into(), false.into(), 0.into()]), "{text}");
    }
    assert_eq!(bench.call("call").unwrap(), 1.into());
}

#[test]
fn tx_05_staged_methods_are_not_seen_by_live_code() {
    let bench = Bench::app("return {}");
    let seen: std::sync::Arc<std::sync::Mutex<Vec<String>>> = Default::default();
    let into = seen.clone();
    let note = move |_: &mlua::Lua, said: String| {
        into.lock().unwrap().push(said);
        Ok(())
    };
    bench.lua.globals().set("note", bench.lua.create_function(note).unwrap()).unwrap();
    let watch = "local fiber = require 'fiber'
        local function has(name) return state.account[name] and name or '' end
        fiber.new(function() while true do note('live ' .. has 'first' .. has 'second') fiber.sleep(0.01) end end)";
    bench.put("other", watch);
    bench.put("app", &format!("require('other') {}", app("first", 1, "")));
    bench.reload();
    bench.pass(5);
    let peek = "note('staged ' .. tostring(state.account.first)) require('fiber').sleep(0.025)";
    bench.put("app", &format!("require('other') {}", app("second", 2, peek)));
    bench.reload();
    bench.pass(10);
    assert_eq!(
        seen.lock().unwrap()[..5],
        ["live first", "staged nil", "live first", "live first", "live second"]
    );
    assert_eq!(bench.call("call").unwrap(), 2.into());
}

#[test]
fn a_class_is_its_modules_own_and_is_made_while_that_loads() {
    let bench = Bench::new(&[
        ("dep", "return require('graceful').class('Account')"),
        (
            "app",
            "local graceful = require 'graceful'
            local Account = graceful.class('Account')
            return {
                own = function() return Account ~= require('dep') and Account == graceful.class('Account') end,
                late = function() graceful.class('Late') end,
                wrong = function() graceful.class(5) end,
            }",
        ),
    ]);
    assert_eq!(bench.call("own").unwrap(), true.into());
    let late = bench.call("late").unwrap_err().to_string();
    assert_eq!(late, "app.lua:5: class: a class is made while its module loads, not later");
    let wrong = bench.call("wrong").unwrap_err().to_string();
    assert_eq!(wrong, "app.lua:6: class: expected the name of a class, got integer");
}

#[test]
fn a_metatable_of_a_class_follows_the_code_too() {
    let text = |base: &str| {
        format!(
            "{} local Base = {{ {base} = function() return '{base}' end }}
            local Item = setmetatable(require('graceful').class('Item'), {{ __index = Base }})
            state.item = state.item or setmetatable({{}}, Item)
            return {{ call = function() return (state.item.one or state.item.two)() end }}",
            hooked("")
        )
    };
    let bench = Bench::app(&text("one"));
    assert_eq!(bench.call("call").unwrap(), "one".into());
    bench.put("app", &text("two"));
    bench.reload();
    assert_eq!(bench.call("call").unwrap(), "two".into());
}

#[test]
fn st_07_a_migration_keeps_objects_in_their_class() {
    let text = |version: &str, word: &str, migrations: &str| {
        format!(
            "local graceful = require 'graceful'
            local Account = graceful.class('Account')
            function Account:say() return '{word} ' .. self.n end
            state = graceful.register_module('app', {{ version = '{version}', {migrations}
                init = function(mod) mod.state.account = setmetatable({{ n = 1 }}, Account) end,
            }}).state
            return {{
                say = function() return state.account:say() end,
                same = function() return getmetatable(state.account) == Account end,
            }}"
        )
    };
    let bench = Bench::app(&text("1.0.0", "old", ""));
    assert_eq!(bench.call("say").unwrap(), "old 1".into());
    let up = "migrations = { ['1.0.0'] = { to = '2.0.0', up = function(state)
        assert(state.account:say() == 'new 1') state.account.n = 2
    end } },";
    bench.put("app", &text("2.0.0", "new", up));
    bench.reload();
    assert_eq!(bench.call("say").unwrap(), "new 2".into());
    assert_eq!(bench.call("same").unwrap(), true.into());
}

#[test]
fn st_05_a_class_of_a_module_that_left_begins_anew() {
    let class = "local Account = require('graceful').class('Account')
        local had = Account.old ~= nil
        function Account.old() end
        return { had = function() return had end, class = Account }";
    let user = "local dep = require 'dep' return { had = function() return dep.had() end }";
    let bench = Bench::new(&[("app", user), ("dep", class)]);
    bench.put("app", "return {}");
    bench.reload();
    bench.pass(10);
    assert!(bench.engine.world().live("dep").is_none());
    bench.put("app", user);
    bench.reload();
    assert_eq!(bench.call("had").unwrap(), false.into());
}

#[test]
fn tx_05_another_module_that_is_staged_sees_the_new_methods_and_live_ones_the_old() {
    let class = |n: i32| {
        format!(
            "local Account = require('graceful').class('Account')
            function Account:n() return {n} end
            return {{ new = function() return setmetatable({{}}, Account) end }}"
        )
    };
    let user = "account = account or require('dep').new()
        local seen = require('dep').new():n() + account:n() * 10
        return { seen = function() return seen end, now = function() return account:n() end }";
    let bench = Bench::new(&[("app", user), ("dep", &class(1))]);
    assert_eq!(bench.call("seen").unwrap(), 11.into());
    bench.put("dep", &class(2));
    bench.put("app", &user.replace("return {", "error('no') return {"));
    bench.try_reload().unwrap_err();
    assert_eq!(bench.call("now").unwrap(), 1.into());
    bench.put("app", user);
    bench.reload();
    assert_eq!(bench.call("seen").unwrap(), 22.into());
    assert_eq!(bench.call("now").unwrap(), 2.into());
}
