//! What a module keeps: whose it is, what a failed reload leaves of it, and what threads may do to it at
//! once.

mod support;

use std::sync::Arc;

use graceful_core::Value;
use graceful_rhai::RhaiBackend;
use support::{App, committed, words};

#[test]
fn st_06_what_a_top_level_writes_is_live_at_the_commit_and_gone_after_a_failure() {
    let text = |tail: &str| {
        format!(
            "let me = graceful::register_module(\"a\");
             me.state.cache = me.state.cache ?? [];
             {tail}
             fn get() {{ [me.state.cache, me.state.fresh, me.state.fresh_seen] }}
             fn put() {{ me.state.cache.push(1) }}"
        )
    };
    let app = App::start(&[("a", &text(""))]);
    app.get("a", "put");
    let fresh = "me.state.fresh = 1; me.state.fresh_seen = me.state.fresh;";
    app.edit("a", &text(&format!("{fresh} throw \"no\";")));
    app.refused();
    let one = Value::List(vec![1.into()]);
    assert_eq!(app.get("a", "get"), Value::List(vec![one.clone(), Value::Null, Value::Null]));
    app.edit("a", &text(fresh));
    committed(app.reload());
    assert_eq!(app.get("a", "get"), Value::List(vec![one, 1.into(), 1.into()]));
}

#[test]
fn st_06_live_code_does_not_see_what_is_being_staged() {
    let text = |tail: &str| {
        format!("let me = graceful::register_module(\"a\"); {tail} fn get() {{ me.state.fresh }}")
    };
    let app = Arc::new(App::start(&[("a", &text(""))]));
    app.edit("a", &text("me.state.fresh = 1; fiber::sleep(0.3);"));
    let reloading = app.clone();
    let reload = std::thread::spawn(move || committed(reloading.reload()));
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(app.get("a", "get"), Value::Null);
    reload.join().unwrap();
    assert_eq!(app.get("a", "get"), Value::Int(1));
}

#[test]
fn st_02_functions_kept_in_the_state_survive_edits_above_them() {
    let text = |lines: &str, n: usize| {
        format!(
            "{lines}import \"low\" as low;
             let me = graceful::register_module(\"a\");
             fn named(x) {{ {n} + x }}
             fn keep() {{
                 let captured = 40;
                 me.state.closure = |x| captured + named(x) + low::value();
                 me.state.late = Fn(\"named\");
             }}
             fn both() {{ [me.state.closure.call(1), me.state.late.call(1)] }}"
        )
    };
    let app = App::start(&[("a", &text("", 1)), ("low", "fn value() { 100 }")]);
    app.get("a", "keep");
    assert_eq!(app.get("a", "both"), Value::List(vec![142.into(), 2.into()]));
    app.edit("a", &text("// new lines\n// above it\n", 5));
    app.edit("low", "fn value() { 200 }");
    committed(app.reload());
    // The closure is code of its own time; what is found by name is the code of the caller.
    assert_eq!(app.get("a", "both"), Value::List(vec![142.into(), 6.into()]));
    for n in 0..5 {
        app.edit("a", &text(&"// more\n".repeat(n), 5));
        committed(app.reload());
    }
    assert_eq!(app.get("a", "both"), Value::List(vec![142.into(), 6.into()]));
}

#[test]
fn st_03_a_rollback_restores_nested_tables_and_their_identity() {
    let text = |fail: &str| {
        format!(
            "let me = graceful::register_module(\"a\", #{{
                 init: |m| {{
                     m.state.users = graceful::table(#{{ bob: 1 }});
                     m.state.alias = m.state.users;
                     m.state.plain = #{{ deep: [1, 2] }};
                 }},
                 before_reload: |m| {{
                     m.state.users.bob = 9;
                     m.state.users.eve = 2;
                     m.state.plain.deep.push(3);
                     m.state.alias = ();
                 }},
                 after_reload: |m| {{ {fail} }},
             }});
             fn get() {{ [me.state.alias == me.state.users, me.state.users.keys(), me.state.users.bob, me.state.plain] }}"
        )
    };
    let app = App::start(&[("a", &text(""))]);
    let before = app.get("a", "get");
    app.edit("a", &text("throw \"no\";"));
    app.refused();
    assert_eq!(app.get("a", "get"), before);
    assert_eq!(before.to_owned(), {
        let keys = Value::List(vec!["bob".into()]);
        let plain = [("deep".to_owned(), Value::List(vec![1.into(), 2.into()]))];
        Value::List(vec![true.into(), keys, 1.into(), Value::Map(plain.into())])
    });
}

#[test]
fn statements_that_change_the_state_in_place_lose_nothing_between_threads() {
    let text = "let me = graceful::register_module(\"a\", #{ init: |m| {
            m.state.n = 0; m.state.list = []; m.state.map = #{ n: 0 }; m.state.summed = 0;
        } });
        fn hit() {
            me.state.n += 1;
            me.state[\"list\"].push(1);
            me.state.map.n += 1;
            graceful::state().update(\"summed\", |n| n + 1);
            graceful::state().add(\"added\", 1);
            graceful::state().push(\"pushed\", 1);
        }
        fn get() {
            let s = me.state;
            [s.n, s.list.len(), s.map.n, s.summed, s.added, s.pushed.len()]
        }";
    let app = Arc::new(App::start(&[("a", text)]));
    let threads = (0..4).map(|_| {
        let app = app.clone();
        std::thread::spawn(move || {
            for _ in 0..250 {
                app.engine.call_blocking("a", "hit", Vec::new()).unwrap();
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(app.get("a", "get"), Value::List(vec![1_000.into(); 6]));
}

#[test]
fn st_05_a_module_that_was_away_starts_fresh() {
    let text = "let me = graceful::register_module(\"a\", #{ init: |m| { m.state.n = (m.state.n ?? 0) + 1; } }); fn n() { me.state.n }";
    let app = App::start(&[("web", "import \"a\" as a; fn n() { a::n() }"), ("a", text)]);
    app.edit("web", "fn n() { -1 }");
    app.sources.remove("a");
    committed(app.reload());
    app.edit("a", text);
    app.edit("web", "import \"a\" as a; fn n() { a::n() }");
    committed(app.reload());
    assert_eq!(app.get("web", "n"), Value::Int(1));
}

#[test]
fn st_01_a_module_keeps_its_state_to_itself() {
    let app = App::start(&[
        (
            "a",
            "import \"b\" as b; fn f() { let s = graceful::state(); s.who = \"a\"; b::f(); [s.who, b::who()] }",
        ),
        ("b", "fn f() { let s = graceful::state(); s.who = \"b\"; } fn who() { graceful::state().who }"),
    ]);
    assert_eq!(app.get("a", "f"), Value::List(vec!["a".into(), "b".into()]));
}

#[test]
fn ver_02_the_last_value_of_a_step_is_a_new_state_if_the_step_made_it() {
    let text = |version: &str, rest: &str| {
        format!(
            "let me = graceful::register_module(\"a\", #{{ version: \"{version}\", {rest} }});
             fn fill() {{ me.state.n = 5; me.state.user = graceful::table(#{{ name: \"ada\" }}); me.state.map = #{{ x: 1 }}; }}
             fn listed() {{ me.state.keys() }}"
        )
    };
    let migrated = |up: &str| {
        let app = App::start(&[("a", &text("1.0.0", ""))]);
        app.get("a", "fill");
        app.edit(
            "a",
            &text("2.0.0", &format!("migrations: #{{ \"1.0.0\": #{{ to: \"2.0.0\", up: {up} }} }}")),
        );
        app.reload().map(|_| app.get("a", "listed")).map_err(|error| words(&error))
    };
    let keys = |keys: &[&str]| Ok(Value::List(keys.iter().map(|key| Value::from(*key)).collect()));
    assert_eq!(migrated("|s| #{ hits: s.n }"), keys(&["hits"]));
    assert_eq!(migrated("|s| graceful::table(#{ hits: s.n })"), keys(&["hits"]));
    assert_eq!(migrated("|s| { s.hits = s.n; s.remove(\"n\"); }"), keys(&["hits", "map", "user"]));
    assert_eq!(migrated("|s| { s.hits = s.n; s }"), keys(&["hits", "map", "n", "user"]));
    assert_eq!(migrated("|s| { s.remove(\"user\"); () }"), keys(&["map", "n"]));
    for up in ["|s| { s.remove(\"user\"); }", "|s| { s.remove(\"map\"); }", "|s| graceful::state()"] {
        let told = migrated(up).unwrap_err();
        assert!(told.contains("1.0.0 -> 2.0.0") && told.contains("a part of the old"), "{up}: {told}");
    }
}

#[test]
fn st_03_what_no_rollback_restores_is_named_in_the_report() {
    let text = |n: u32| {
        format!(
            "graceful::register_module(\"a\", #{{ after_reload: |m| (), init: |m| m.state.open = [open_file()] }});
             fn n() {{ {n} }}"
        )
    };
    #[derive(Clone)]
    struct File;
    let configure = |engine: &mut rhai::Engine| {
        engine.register_type_with_name::<File>("File").register_fn("open_file", || File);
    };
    let backend = RhaiBackend::builder().configure(configure).build();
    let app = App::with(&[("a", &text(1))], backend);
    committed(app.reload());
    app.edit("a", &text(2));
    let named = "File` in the state of a";
    let report = committed(app.reload());
    assert!(report.warnings.iter().any(|text| text.contains(named)), "{:?}", report.warnings);
}
