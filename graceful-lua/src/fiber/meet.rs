//! Tests of conditions and channels: fibers that wait for each other.

use graceful_core::Value;

use crate::testing::{Bench, hooked, list};

#[test]
fn reg_10_a_condition_wakes_one_or_all_who_wait() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        local cond, woken = fiber.cond(), 0
        local function wait() cond:wait() woken = woken + 1 end
        return {
            wait = function() for _ = 1, 3 do fiber.new(wait) end end,
            signal = function() cond:signal() fiber.sleep(1) return woken end,
            broadcast = function() cond:broadcast() fiber.sleep(1) return woken end,
            timeout = function()
                local began = fiber.clock()
                return { cond:wait(2), fiber.clock() - began == 2 }
            end,
            bad = function() cond:wait(0 / 0) end,
        }",
    );
    bench.call("wait").unwrap();
    bench.pass(10);
    assert_eq!(bench.call("signal").unwrap(), 1.into());
    assert_eq!(bench.call("broadcast").unwrap(), 3.into());
    assert_eq!(bench.call("timeout").unwrap(), list([false.into(), true.into()]));
    assert!(bench.call("bad").unwrap_err().to_string().contains("is not a number of seconds"));
}

#[test]
fn reg_10_a_channel_with_room_takes_messages_in_order() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return {
            order = function()
                local ch, got = fiber.channel(2), {}
                local writer = fiber.new(function() for i = 1, 5 do ch:put(i) end ch:put(nil) end)
                fiber.sleep(1)
                local full = { ch:size(), ch:count(), ch:is_full(), ch:is_empty() }
                for i = 1, 5 do got[i] = ch:get() end
                return { full, got, ch:get() == nil, writer:status(), ch:is_empty() }
            end,
            timeouts = function()
                local ch = fiber.channel(1)
                return { ch:put(1), ch:put(2, 1), ch:get(), ch:get(0.5) == nil }
            end,
            closed = function()
                local ch, said = fiber.channel(1), 'nothing'
                local reader = fiber.new(function() said = ch:get() == nil and 'closed' end)
                fiber.sleep(1)
                ch:close()
                reader:join()
                return { said, ch:put(1), ch:get() == nil, ch:is_closed() }
            end,
            wrong = function() fiber.channel('x') end,
        }",
    );
    let full = list([2.into(), 2.into(), true.into(), false.into()]);
    let got = list([1, 2, 3, 4, 5].map(Value::from));
    assert_eq!(bench.call("order").unwrap(), list([full, got, true.into(), "dead".into(), true.into()]));
    assert_eq!(bench.call("timeouts").unwrap(), list([true.into(), false.into(), 1.into(), true.into()]));
    assert_eq!(
        bench.call("closed").unwrap(),
        list(["closed".into(), false.into(), true.into(), true.into()])
    );
    let wrong = bench.call("wrong").unwrap_err().to_string();
    assert_eq!(wrong, "app.lua:23: fiber.channel: expected a number of messages, got x");
}

#[test]
fn reg_10_a_channel_without_room_hands_over() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return {
            meet = function()
                local ch, log = fiber.channel(), {}
                fiber.new(function() ch:put('a') log[#log + 1] = 'put' end)
                fiber.sleep(1)
                log[#log + 1] = 'before'
                log[#log + 1] = ch:get()
                fiber.sleep(1)
                return log
            end,
            given_up = function()
                local ch = fiber.channel()
                local gone = fiber.new(function() ch:put('gone') end)
                fiber.sleep(1)
                gone:cancel()
                fiber.sleep(1)
                return { ch:put('late', 1), ch:get(1) == nil, ch:count() }
            end,
        }",
    );
    assert_eq!(bench.call("meet").unwrap(), list(["before", "a", "put"].map(Value::from)));
    assert_eq!(bench.call("given_up").unwrap(), list([false.into(), true.into(), 0.into()]));
}

#[test]
fn tx_05_a_signal_of_new_code_waits_for_the_commit() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        state.cond = fiber.cond()
        state.f = fiber.new(function() while true do state.cond:wait() state.n = (state.n or 0) + 1 end end)",
    );
    bench.pass(1);
    bench.put("app", "state.cond:signal() error('no')");
    bench.try_reload().unwrap_err();
    bench.pass(10);
    assert_eq!(bench.state("n"), "nil");
    bench.put("app", &hooked("mod.state.cond:signal()"));
    let report = bench.reload();
    bench.pass(10);
    assert_eq!((bench.state("n"), report.warnings), ("1".into(), vec![]));
}

#[test]
fn tx_05_what_new_code_does_at_a_channel_waits_for_the_commit() {
    let bare = |text: &str| text.replace("after_reload", "checkpoint = 'none', after_reload");
    let text = bare(&hooked(""));
    let bench = Bench::new(&[(
        "app",
        &(text
            + "
        local fiber = require 'fiber'
        local ch, got = fiber.channel(3), {}
        state.ch, state.got = ch, got
        ch:put('first') ch:put('second')
        return {
            take = function() got[#got + 1] = ch:get(0) return table.concat(got, ' ') end,
            say = function() return table.concat({ ch:count(), tostring(ch:is_full()), tostring(ch:is_closed()) }, ' ') end,
            late = function() return ch:put('late', 0) end,
        }"),
    )]);
    let change = "local ch = mod.state.ch
        local seen = { ch:get(0), ch:put('new'), tostring(ch:put('more', 0)), ch:count(), ch:get(0), tostring(ch:get(0)) }
        local own = require 'fiber'.channel(1)
        own:put(1)
        seen[#seen + 1] = own:get(0)
        own:close()
        ch:close()
        for i = 1, #seen do seen[i] = tostring(seen[i]) end
        mod.state.seen = table.concat(seen, ' ') ";
    bench.put("app", &bare(&hooked(&format!("{change} error('no')"))));
    bench.try_reload().unwrap_err();
    assert_eq!(bench.call("say").unwrap(), "2 false false".into());
    assert_eq!(bench.call("take").unwrap(), "first".into());
    assert_eq!(bench.call("late").unwrap(), true.into());
    assert_eq!(
        (bench.call("take").unwrap(), bench.call("say").unwrap()),
        ("first second".into(), "1 false false".into())
    );
    bench.put("app", &bare(&hooked(&change.replace("ch:close()\n        for", "for"))));
    bench.reload();
    assert_eq!(bench.state("seen"), "late true true 0 nil nil 1");
}

#[test]
fn a_fiber_says_whether_it_may_be_joined() {
    let bench = Bench::app(
        "local fiber = require 'fiber'
        return { go = function()
            local f = fiber.create(function() return 1 end)
            f:set_joinable(false)
            local ok = pcall(f.join, f)
            fiber.set_joinable(f, true)
            return { ok, f:join() }
        end }",
    );
    assert_eq!(bench.call("go").unwrap(), list([false.into(), true.into(), 1.into()]));
}
