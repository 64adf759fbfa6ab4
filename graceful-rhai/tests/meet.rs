//! Conditions and channels: fibers that wait for each other.

mod support;

use graceful_core::Value;
use support::{App, committed};

fn list<const N: usize>(items: [Value; N]) -> Value {
    items.to_vec().into()
}

#[test]
fn reg_10_a_condition_wakes_one_or_all_who_wait() {
    let app = App::start(&[(
        "a",
        "let me = graceful::register_module(\"a\", #{ init: |m| { m.state.cond = fiber::cond(); m.state.woken = 0; } });
        fn begin() {
            for n in 0..3 {
                fiber::create(|| { graceful::state().cond.wait(); graceful::state().add(\"woken\", 1); });
            }
        }
        fn one() { me.state.cond.signal(); }
        fn all() { me.state.cond.broadcast(); }
        fn woken() { me.state.woken }
        fn late() {
            let began = clock::monotonic();
            [me.state.cond.wait(0.05), clock::monotonic() - began >= 0.05]
        }
        fn bad() { me.state.cond.wait(\"x\") }",
    )]);
    app.get("a", "begin");
    app.until("one is woken", || {
        app.get("a", "one");
        app.count("a", "woken") > 0
    });
    app.until("all are woken", || {
        app.get("a", "all");
        app.count("a", "woken") == 3
    });
    assert_eq!(app.get("a", "late"), list([false.into(), true.into()]));
    let bad = app.call("a", "bad").unwrap_err().to_string();
    assert_eq!(bad, "a.rhai:14:34: wait: expected seconds, got string");
}

#[test]
fn reg_10_a_channel_with_room_takes_messages_in_order() {
    let app = App::start(&[(
        "a",
        "let ch = fiber::channel(2);
        fn order() {
            let writer = fiber::create(|| { for n in 1..=5 { ch.put(n); } });
            while !ch.is_full() { fiber::sleep(0.001); }
            let full = [ch.size(), ch.count(), ch.is_full(), ch.is_empty()];
            let got = [];
            for n in 0..5 { got.push(ch.get()); }
            writer.join();
            [full, got, ch.is_empty()]
        }
        fn late() {
            let ch = fiber::channel(1);
            [ch.put(1), ch.put(2, 0.02), ch.get(), ch.get(0.02)]
        }
        fn closed() {
            let ch = fiber::channel(1);
            let reader = fiber::create(|| if ch.get() == () { \"closed\" } else { \"?\" });
            fiber::sleep(0.02);
            ch.close();
            [reader.join(), ch.put(1), ch.get(), ch.is_closed()]
        }
        fn wrong() { fiber::channel(-1) }",
    )]);
    let full = list([2.into(), 2.into(), true.into(), false.into()]);
    let got = list([1, 2, 3, 4, 5].map(Value::from));
    assert_eq!(app.get("a", "order"), list([full, got, true.into()]));
    assert_eq!(app.get("a", "late"), list([true.into(), false.into(), 1.into(), Value::Null]));
    assert_eq!(app.get("a", "closed"), list(["closed".into(), false.into(), Value::Null, true.into()]));
    let wrong = app.call("a", "wrong").unwrap_err().to_string();
    assert_eq!(wrong, "a.rhai:22:29: channel: expected a number of messages, got -1");
}

#[test]
fn reg_10_a_channel_without_room_hands_over() {
    let app = App::start(&[(
        "a",
        "fn meet() {
            let ch = fiber::channel();
            let log = fiber::channel(9);
            let writer = fiber::create(|| { ch.put(\"a\"); log.put(\"put\"); });
            fiber::sleep(0.03);
            log.put(\"before\");
            log.put(ch.get());
            writer.join();
            [log.get(), log.get(), log.get()]
        }
        fn given_up() {
            let ch = fiber::channel();
            let gone = fiber::create(|| ch.put(\"gone\"));
            while ch.count() == 0 { fiber::sleep(0.001); }
            gone.cancel();
            while ch.count() == 1 { fiber::sleep(0.001); }
            [ch.put(\"late\", 0.02), ch.get(0.02), ch.count()]
        }",
    )]);
    assert_eq!(app.get("a", "meet"), list(["before".into(), "a".into(), "put".into()]));
    assert_eq!(app.get("a", "given_up"), list([false.into(), Value::Null, 0.into()]));
}

/// `app` with a condition and a channel of two in its state, and a fiber that counts what comes.
fn waiting(hook: &str, top: &str) -> String {
    format!(
        "let me = graceful::register_module(\"app\", #{{
            init: |m| {{
                m.state.cond = fiber::cond();
                m.state.ch = fiber::channel(4);
                m.state.ch.put(\"first\");
                m.state.ch.put(\"second\");
                m.state.n = 0;
                m.state.fib = fiber::create(|| loop {{
                    graceful::state().cond.wait();
                    graceful::state().add(\"n\", 1);
                }});
            }},
            after_reload: |m| {{ {hook} }},
        }});
        {top}
        fn n() {{ me.state.n }}
        fn count() {{ me.state.ch.count() }}
        fn all() {{ let all = []; while !me.state.ch.is_empty() {{ all.push(me.state.ch.get()); }} all }}
        fn wake() {{ me.state.cond.signal(); }}"
    )
}

#[test]
fn tx_05_what_new_code_does_at_conditions_and_channels_waits_for_the_commit() {
    let app = App::start(&[("app", &waiting("", ""))]);
    app.until("it waits", || {
        app.get("app", "wake");
        app.count("app", "n") > 0
    });
    let before = app.count("app", "n");
    let touch = "m.state.cond.signal(); let got = m.state.ch.get(); m.state.ch.put(`${got} again`);";
    let failing = [
        waiting(&format!("{touch} throw \"no\""), ""),
        waiting(
            "",
            "let m = graceful::me(); m.state.cond.signal(); m.state.ch.get(); m.state.ch.get(); throw \"no\";",
        ),
        waiting("m.state.ch.close(); throw \"no\"", ""),
    ];
    for text in failing {
        app.edit("app", &text);
        app.refused();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!((app.count("app", "n"), app.count("app", "count")), (before, 2), "{text}");
    }
    app.edit("app", &waiting(touch, ""));
    let report = committed(app.reload());
    assert_eq!(report.warnings, Vec::<String>::new());
    app.until("it is woken", || app.count("app", "n") > before);
    assert_eq!(app.get("app", "all"), list(["second".into(), "first again".into()]));
}

#[test]
fn scope_02_who_waits_at_a_condition_or_a_channel_ends_with_its_generation() {
    let text = |n: i64| {
        format!(
            "import \"probe\" as probe;
            let cond = fiber::cond();
            let (ch, full) = (fiber::channel(), fiber::channel(1));
            fiber::create(|| {{ probe::tell(\"in\"); cond.wait(); }});
            fiber::create(|| {{ probe::tell(\"in\"); ch.get(); }});
            fiber::create(|| {{ full.put(1); probe::tell(\"in\"); full.put(2); }});
            fn n() {{ {n} }}"
        )
        .replace(
            "let (ch, full) = (fiber::channel(), fiber::channel(1));",
            "let ch = fiber::channel(); let full = fiber::channel(1);",
        )
    };
    let app = App::start(&[("a", &text(1))]);
    let mut began = 0;
    app.until("all wait", || {
        began += app.told().len();
        began == 3
    });
    app.edit("a", "fn n() { 2 }");
    let report = committed(app.reload());
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(app.engine.status().modules[0].tasks, 0);
}

#[test]
fn st_03_a_fiber_that_waits_is_frozen_while_hooks_run() {
    let text = |hook: &str| {
        format!(
            "let me = graceful::register_module(\"a\", #{{
                init: |m| {{
                    m.state.ch = fiber::channel(1);
                    m.state.n = 0;
                    m.state.fib = fiber::create(|| loop {{
                        graceful::state().ch.get();
                        graceful::state().add(\"n\", 1);
                    }});
                }},
                before_reload: |m| {{ }},
                after_reload: |m| {{ {hook} }},
            }});
            fn n() {{ me.state.n }}
            fn at() {{ me.state.at }}
            fn send() {{ graceful::state().ch.put(1, 1); }}"
        )
    };
    let app = App::start(&[("a", &text("")), ("b", "import \"a\" as a;")]);
    app.get("a", "send");
    app.until("it counts", || app.count("a", "n") == 1);
    // Another module's fiber goes on sending while the hook runs; nothing is counted before the commit.
    app.edit("a", &text("m.state.ch.put(1); fiber::sleep(0.1); m.state.at = m.state.n;"));
    committed(app.reload());
    assert_eq!(app.count("a", "at"), 1);
    app.until("it goes on", || app.count("a", "n") == 2);
}

#[test]
fn hook_05_a_hook_that_waits_for_ever_is_cancelled() {
    let text = |hook: &str| {
        format!(
            "let me = graceful::register_module(\"a\", #{{ init: |m| {{ }}, after_reload: |m| {{ {hook} }} }});
            fn n() {{ 1 }}"
        )
    };
    let app = App::start(&[("a", &text(""))]);
    for wait in [
        "fiber::cond().wait()",
        "fiber::channel(1).get()",
        "let ch = fiber::channel(1); ch.put(1); ch.put(2);",
    ] {
        app.edit("a", &text(wait));
        let error = app.refused();
        assert_eq!(error.code().0, "GR0106", "{wait}: {error}");
        assert_eq!(app.count("a", "n"), 1);
    }
    app.edit("a", &text("fiber::channel().put(1);"));
    let error = app.refused();
    assert!(error.kind.to_string().contains("give the channel room"), "{}", error.kind);
}

#[test]
fn reg_10_a_fiber_knows_itself_and_says_whether_it_may_be_joined() {
    let app = App::start(&[(
        "a",
        "fn me() {
            let f = fiber::create(\"worker\", || [fiber::current().id, fiber::current().name]);
            f.join() == [f.id, \"worker\"] && fiber::current() == ()
        }
        fn joined() {
            let f = fiber::create(|| { fiber::pause(); 1 });
            f.set_joinable(false);
            let told = \"\";
            try { f.join(); } catch (error) { told = error.message; }
            f.set_joinable(true);
            [told, f.join()]
        }",
    )]);
    assert_eq!(app.get("a", "me"), true.into());
    let told = "nobody may wait for this fiber: it was made not joinable";
    assert_eq!(app.get("a", "joined"), list([told.into(), 1.into()]));
}

#[test]
fn reg_10_clocks_are_by_the_names_of_tarantool() {
    let app = App::start(&[(
        "a",
        "fn wall() { clock::time() > 1.7e9 && (clock::time64() / 1000000000 - clock::realtime().to_int()).abs() < 60 }
        fn slept() {
            let seconds = clock::monotonic();
            let nanos = clock::monotonic64();
            fiber::sleep(0.02);
            clock::monotonic() - seconds >= 0.02 && clock::monotonic64() - nanos >= 20000000
        }
        fn used() {
            let program = clock::proc();
            let before = clock::thread64();
            let n = 0;
            for i in 0..20000 { n += i; }
            clock::proc() > program && clock::thread64() > before && clock::of_thread() > 0.0 && clock::proc64() > 0
        }
        fn bench() {
            let took = clock::bench(|a, b| [b, a], [1, 2]);
            [took[0] >= 0.0, took[1], clock::bench(|| 5)[1]]
        }",
    )]);
    assert_eq!(app.get("a", "wall"), true.into());
    assert_eq!(app.get("a", "slept"), true.into());
    if cfg!(unix) {
        assert_eq!(app.get("a", "used"), true.into());
    }
    assert_eq!(app.get("a", "bench"), list([true.into(), list([2.into(), 1.into()]), 5.into()]));
}
