//! Calls and routes across reloads.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use graceful_core::{CallError, DrainPolicy, ReloadOptions, Value};
use support::{App, committed};

#[test]
fn call_03_calls_wait_at_the_gate_of_a_module_with_hooks_and_none_is_lost() {
    let text = |n: usize| {
        format!(
            "let me = graceful::register_module(\"a\", #{{
                 init: |m| {{ m.state.hits = 0; }},
                 after_reload: |m| {{ fiber::sleep(0.02); }},
             }});
             fn hit() {{ me.state.hits += 1; {n} }} fn hits() {{ me.state.hits }}"
        )
    };
    let app = Arc::new(App::start(&[("a", &text(0))]));
    let threads: Vec<_> = (0..3)
        .map(|n| {
            let app = app.clone();
            std::thread::spawn(move || {
                let call = |_| match n {
                    0 => app.engine.call_blocking("a", "hit", Vec::new()),
                    _ => app.call("a", "hit"),
                };
                (0..200).map(call).collect::<Result<Vec<_>, _>>().unwrap()
            })
        })
        .collect();
    for n in 1..6 {
        app.edit("a", &text(n));
        committed(app.reload());
    }
    for thread in threads {
        let seen: Vec<i64> = thread.join().unwrap().iter().map(|value| value.as_int().unwrap()).collect();
        assert!(seen.is_sorted(), "{seen:?}");
    }
    assert_eq!(app.count("a", "hits"), 600);
}

#[test]
fn call_04_calls_that_outlast_the_drain_are_cancelled_if_the_policy_says_so() {
    let text = |n: usize| {
        format!(
            "graceful::register_module(\"a\", #{{ drain: true }});
             fn spin() {{ let n = 0; loop {{ n += 1; }} }} fn sleep() {{ fiber::sleep(60); }} fn n() {{ {n} }}"
        )
    };
    let app = Arc::new(App::start(&[("a", &text(1))]));
    let calls: Vec<_> = ["spin", "sleep"]
        .into_iter()
        .map(|function| {
            let app = app.clone();
            std::thread::spawn(move || app.call("a", function))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    app.edit("a", &text(2));
    let options = ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() };
    committed(app.clock.block_on(app.engine.reload(options)));
    for call in calls {
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error, CallError::Cancelled { module: "a".into() });
        assert!(error.is_retryable());
    }
    assert_eq!(app.get("a", "n"), Value::Int(2));
}

#[test]
fn call_06_what_is_not_exported_or_wrongly_called_is_told() {
    let app = App::start(&[("a", "fn f(x) { x } private fn hidden() { 1 } fn g() { |x| x }")]);
    let error = |function: &str| app.call("a", function).unwrap_err().to_string();
    assert_eq!(error("missing"), "module `a` has no export `missing` in generation 1");
    assert_eq!(error("hidden"), "module `a` has no export `hidden` in generation 1");
    assert_eq!(error("f"), "module `a`: `f` takes 1 arguments, 0 were given");
    assert_eq!(error("g"), "module `a`: what `g` returned: a function is no plain value");
}

#[test]
fn errors_say_where_across_modules() {
    let app = App::start(&[
        ("a", "import \"b\" as b;\nfn f(x) {\n  b::check(x)\n}"),
        ("b", "fn check(x) {\n  inner(x)\n}\nfn inner(x) {\n  throw #{ message: `no ${x}`, code: 7 };\n}"),
    ]);
    let Err(CallError::Script(error)) = app.call_with("a", "f", vec![1.into()]) else { panic!() };
    assert_eq!(error.to_string(), "b.rhai:5:3: no 1");
    assert_eq!(error.source_line.as_deref(), Some("  throw #{ message: `no ${x}`, code: 7 };"));
    assert_eq!(
        error.traceback.as_deref(),
        Some("b.rhai:5:3 in `inner`\nb.rhai:2:3 in `check`\na.rhai:3:6 in `f`")
    );
}

#[test]
fn routes_are_called_by_key_and_replaced_without_a_gap() {
    let text = |n: usize| {
        format!(
            "http::route(\"get\", \"/hits/:id\", |request| #{{ n: {n}, id: request.params.id }});
             http::route(\"GET\", \"/plain\", || \"text\");"
        )
    };
    let app = App::start(&[("a", &text(1))]);
    let request = || {
        let params = Value::Map([("id".to_owned(), Value::from("7"))].into());
        vec![Value::Map([("params".to_owned(), params)].into())]
    };
    let get = |key: &str| app.clock.block_on(app.engine.call_registered("route", key, request())).unwrap();
    assert_eq!(get("GET /hits/:id").get("n"), Some(&Value::Int(1)));
    assert_eq!(get("GET /plain"), Value::from("text"));
    app.edit("a", &text(2));
    committed(app.reload());
    assert_eq!(get("GET /hits/:id").get("n"), Some(&Value::Int(2)));
    assert_eq!(get("GET /hits/:id").get("id"), Some(&Value::from("7")));
    app.edit("a", &format!("{} throw 1;", text(3)));
    app.refused();
    assert_eq!(get("GET /hits/:id").get("n"), Some(&Value::Int(2)));
}

#[test]
fn scope_05_after_many_reloads_nothing_is_left_over() {
    let text = |n: usize| {
        format!(
            "import \"b\" as b;
             let me = graceful::register_module(\"a\", #{{
                 init: |m| {{ m.state.n = 0; }},
                 after_reload: |m| {{ m.state.n += 1; }},
             }});
             me.state.answer = |x| b::f(x);
             http::route(\"GET\", \"/a\", |request| {n});
             fiber::create(|| loop {{ fiber::sleep(0.001); }});
             fn f() {{ me.state.answer.call({n}) }}"
        )
    };
    let app = App::start(&[("a", &text(0)), ("b", "fn f(x) { x }")]);
    for n in 1..50 {
        app.edit("a", &text(n));
        committed(app.reload());
        assert_eq!(app.get("a", "f"), Value::Int(n as i64));
    }
    let status = app.engine.status();
    assert_eq!(status.modules.iter().map(|module| module.tasks).sum::<usize>(), 1);
    assert_eq!(app.engine.world().instances().len(), 2);
    assert_eq!(app.engine.world().table.snapshot().len(), 1);
}

#[test]
fn a_call_whose_caller_goes_away_is_stopped() {
    let app = App::start(&[(
        "a",
        "fn spin() { loop { graceful::state().add(\"n\", 1); } } fn n() { graceful::state().get(\"n\", 0) }",
    )]);
    let call = async {
        let spin = app.engine.call("a", "spin", Vec::new());
        tokio::time::timeout(Duration::from_millis(50), spin).await
    };
    assert!(app.clock.block_on(call).is_err());
    let began = Instant::now();
    app.until("nothing is in flight", || app.engine.world().gate.leases().is_empty());
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(app.count("a", "n") > 0);
}

#[test]
fn a_call_that_computes_for_long_does_not_keep_others_out() {
    let text =
        "fn long() { let n = 0; while true { n += 1; if graceful::state().stop == true { break; } } n }
        fn stop() { let s = graceful::state(); s.stop = true; }";
    let app = Arc::new(App::start(&[("a", text)]));
    let calling = app.clone();
    let long = std::thread::spawn(move || calling.call("a", "long"));
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    app.call("a", "stop").unwrap();
    assert!(long.join().unwrap().unwrap().as_int().unwrap() > 0);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn what_a_call_does_between_two_waits_is_not_interleaved() {
    let text = "let me = graceful::register_module(\"a\", #{ init: |m| { m.state.n = 0; } });
        fn hit() { let now = me.state.n; for i in 0..20 { now + i; } me.state.n = now + 1; me.state.n }";
    let app = Arc::new(App::start(&[("a", text)]));
    let threads = (0..4).map(|_| {
        let app = app.clone();
        std::thread::spawn(move || {
            (0..100).map(|_| app.engine.call_blocking("a", "hit", Vec::new())).collect::<Vec<_>>()
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut seen: Vec<i64> =
        threads.into_iter().flat_map(|t| t.join().unwrap()).map(|n| n.unwrap().as_int().unwrap()).collect();
    seen.sort();
    assert_eq!(seen, (1..=400).collect::<Vec<_>>());
}

#[test]
fn calls_that_cross_each_other_do_not_deadlock_while_reloads_run() {
    let a = |n: usize| {
        format!(
            "import \"b\" as b;
             graceful::register_module(\"a\", #{{ after_reload: |m| () }});
             fn down() {{ graceful::state().add(\"n\", 1); b::down() }} fn bottom() {{ graceful::state().get(\"n\", 0); {n} }}
             fn each() {{ let f = |x| bottom() + x; b::each(f) }}"
        )
    };
    let b = "graceful::register_module(\"b\", #{ after_reload: |m| () });
        fn down() { graceful::state().add(\"n\", 1); import \"a\" as a; a::bottom() }
        fn up() { import \"a\" as a; a::each() } fn each(f) { graceful::state().add(\"n\", 1); f.call(1) }";
    let app = Arc::new(App::start(&[("a", &a(0)), ("b", b)]));
    let threads: Vec<_> = [("a", "down"), ("b", "up"), ("a", "each"), ("b", "down")]
        .into_iter()
        .map(|(module, function)| {
            let app = app.clone();
            std::thread::spawn(move || (0..150).for_each(|_| drop(app.call(module, function).unwrap())))
        })
        .collect();
    for n in 1..8 {
        app.edit("a", &a(n));
        committed(app.reload());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(app.get("b", "up"), Value::Int(8));
}
