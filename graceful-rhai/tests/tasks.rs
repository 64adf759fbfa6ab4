//! Tasks across reloads: taken over, ended, frozen, asking for a reload themselves.

mod support;

use std::time::Duration;

use graceful_core::Value;
use support::{App, committed};

#[test]
fn scope_03_a_task_whose_handle_is_kept_is_taken_over_and_others_end() {
    let text = |n: usize| {
        format!(
            r#"
            let me = graceful::register_module("a", #{{ init: |m| {{
                m.state.ticks = 0;
                m.state.fib = fiber::create("kept", || loop {{
                    graceful::state().add("ticks", 1);
                    fiber::sleep(0.002);
                }});
            }} }});
            fiber::create("other", || loop {{ graceful::state().add("others_{n}", 1); fiber::sleep(0.002); }});
            fn ticks() {{ graceful::state().get("ticks", 0) }}
            fn others() {{ graceful::state().get("others_{n}", 0) }}
            fn stop() {{ graceful::state().fib.cancel(); }}
            fn fate() {{ graceful::state().fib.status() }}
            "#
        )
    };
    let app = App::start(&[("a", &text(1))]);
    app.until("it ticks", || app.count("a", "ticks") > 2);
    app.edit("a", &text(2));
    committed(app.reload());
    assert_eq!(app.engine.status().modules[0].tasks, 2);
    let now = app.count("a", "ticks");
    app.until("it ticks on", || app.count("a", "ticks") > now + 2);
    app.until("the new one ticks", || app.count("a", "others") > 2);
    app.get("a", "stop");
    app.until("it ended", || app.get("a", "fate") == Value::from("cancelled"));
    app.sources.remove("a");
    app.engine.set_entries(Vec::<String>::new());
    committed(app.reload());
}

#[test]
fn scope_02_a_task_that_spins_is_ended_with_its_generation() {
    let text = "fiber::create(|| { let n = 0; loop { n += 1; } }); fn f() { 1 }";
    let app = App::start(&[("a", text)]);
    app.edit("a", "fn f() { 2 }");
    let report = committed(app.reload());
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(app.engine.status().modules[0].tasks, 0);
}

#[test]
fn st_03_a_task_that_writes_is_frozen_while_hooks_run() {
    let text = |hook: &str| {
        format!(
            "let me = graceful::register_module(\"a\", #{{
                 init: |m| {{
                     m.state.n = 0;
                     m.state.fib = fiber::create(|| loop {{ graceful::state().add(\"n\", 1); }});
                 }},
                 after_reload: |m| {{ {hook} }},
             }});
             fn n() {{ me.state.n }} fn moved() {{ me.state.moved }}"
        )
    };
    let app = App::start(&[("a", &text(""))]);
    app.until("it counts", || app.count("a", "n") > 100);
    app.edit("a", &text("let before = m.state.n; fiber::sleep(0.1); m.state.moved = m.state.n - before;"));
    committed(app.reload());
    assert_eq!(app.count("a", "moved"), 0);
    let now = app.count("a", "n");
    app.until("it counts on", || app.count("a", "n") > now);
}

#[test]
fn tx_05_a_task_of_a_failed_reload_never_starts_and_a_cancel_waits_for_the_commit() {
    let text = |hook: &str| {
        format!(
            "import \"probe\" as probe;
             let me = graceful::register_module(\"a\", #{{
                 init: |m| {{ m.state.fib = fiber::create(|| loop {{ fiber::sleep(0.01); }}); }},
                 after_reload: |m| {{ {hook} }},
             }});
             fn fate() {{ me.state.fib.status() }}"
        )
    };
    let app = App::start(&[("a", &text(""))]);
    let hook = "m.state.fib.cancel(); fiber::create(|| probe::tell(\"started\"));";
    app.edit("a", &text(&format!("{hook} throw 1;")));
    app.refused();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(app.get("a", "fate"), Value::from("running"));
    assert!(app.told().is_empty());
    app.edit("a", &text(hook));
    committed(app.reload());
    app.until("the new one started", || app.told() == ["started"]);
    app.until("the old one ended", || app.get("a", "fate") == Value::from("cancelled"));
}

#[test]
fn a_fiber_can_be_joined_and_tells_what_became_of_it() {
    let app = App::start(&[(
        "a",
        "fn f() {
             let good = fiber::create(|| { fiber::sleep(0.01); 7 });
             let bad = fiber::create(|| throw \"no\");
             let value = good.join();
             let failed = try_join(bad);
             [value, failed, good.status(), bad.status()]
         }
         fn try_join(fib) { try { fib.join(); } catch (e) { return e.message; } }",
    )]);
    let expected = [Value::Int(7), "a.rhai:3:41: no".into(), "done".into(), "failed".into()];
    assert_eq!(app.get("a", "f"), Value::List(expected.to_vec()));
}

#[test]
fn hook_04_a_task_may_ask_for_a_reload_and_sees_the_new_code_through_imports() {
    let a = "let me = graceful::register_module(\"a\", #{ before_reload: |m| () });
        fn begin() { me.state.fib = fiber::create(|| {
            let s = graceful::state();
            s.outcome = graceful::reload().outcome;
            import \"b\" as b;
            s.seen = b::f();
        }); }
        fn seen() { [me.state.outcome, me.state.seen] }";
    let app =
        App::start(&[("web", "import \"b\" as b; import \"a\" as a;"), ("a", a), ("b", "fn f() { 1 }")]);
    app.edit("b", "fn f() { 2 }");
    app.get("a", "begin");
    let expected = Value::List(vec!["committed".into(), 2.into()]);
    app.until("it saw it", || app.get("a", "seen") == expected);
}
