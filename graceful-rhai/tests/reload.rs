//! Reloads of Rhai modules, end to end.

mod support;

use std::time::{Duration, Instant};

use graceful_core::{Outcome, ReloadErrorKind, Value};
use support::{App, committed};

const HITS: &str = r#"
    import "probe" as probe;

    let me = graceful::register_module("hits", #{
        version: graceful::semver(1, 0, 0),
        init: |m| { m.state.hits = 0; probe::tell("init " + m.version); },
        before_reload: |m| { m.state.from = m.version.string(); probe::tell("before " + m.version); },
        after_reload: |m| probe::tell(`after ${m.version} from ${m.state.from}`),
        finalize: |m| probe::tell("finalize"),
    });

    fn hit() { me.state.hits += 1; me.state.hits }
    fn answer() { probe::answer }
    fn version() { me.version.string() }
"#;

#[test]
fn start_edit_and_reload() {
    let app = App::start(&[("hits", HITS)]);
    assert_eq!(app.told(), ["init 1.0.0"]);
    assert_eq!(app.get("hits", "hit"), Value::Int(1));
    assert_eq!(app.get("hits", "answer"), Value::Int(42));
    app.edit("hits", &HITS.replace("1, 0, 0", "1, 1, 0").replace("hits += 1", "hits += 10"));
    let report = committed(app.reload());
    assert_eq!(report.modules[0].new.as_ref().unwrap().to_string(), "1.1.0");
    assert_eq!(app.told(), ["before 1.0.0", "after 1.1.0 from 1.0.0"]);
    assert_eq!(app.get("hits", "hit"), Value::Int(11));
    assert_eq!(app.get("hits", "version"), Value::from("1.1.0"));
}

#[test]
fn st_01_the_state_is_the_same_table_before_and_after() {
    let text = r#"
        let me = graceful::register_module("a");
        fn remember() { me.state.itself = me.state; }
        fn same() { me.state.itself == graceful::state() && graceful::me().state == me.state }
    "#;
    let app = App::start(&[("a", text)]);
    app.get("a", "remember");
    app.edit("a", &format!("{text} // edited"));
    committed(app.reload());
    assert_eq!(app.get("a", "same"), Value::Bool(true));
}

#[test]
fn tx_02_a_syntax_error_keeps_the_old_code() {
    let app = App::start(&[("a", "fn f() { 1 }")]);
    app.edit("a", "fn f() { 2 }\nfn g( { }");
    let error = app.broken();
    assert_eq!(error.to_string(), "a.rhai:2:7: expecting ')' to close the parameters list of function 'g'");
    assert_eq!(error.source_line.as_deref(), Some("fn g( { }"));
    assert_eq!(error.code().to_string(), "GR0301");
    assert_eq!(app.get("a", "f"), Value::Int(1));
    app.edit("a", "fn f() { 3 }");
    committed(app.reload());
    assert_eq!(app.get("a", "f"), Value::Int(3));
}

#[test]
fn tx_03_a_runtime_error_at_load_keeps_the_old_code() {
    let app = App::start(&[("a", "import \"b\" as b;\nfn f() { b::f() }"), ("b", "fn f() { 1 }")]);
    app.edit("b", "fn f() { 2 }\n\nfn deep(x) {\n    throw `bad ${x}`;\n}\ndeep(7);");
    let error = app.broken();
    assert_eq!(error.to_string(), "b.rhai:4:5: bad 7");
    assert_eq!(error.source_line.as_deref(), Some("    throw `bad ${x}`;"));
    assert_eq!(error.traceback.as_deref(), Some("b.rhai:4:5 in `deep`\nb.rhai:6:1"));
    assert_eq!(app.get("a", "f"), Value::Int(1));
}

#[test]
fn tx_03_an_infinite_loop_at_load_is_stopped() {
    let app = App::start(&[("a", "fn f() { 1 }")]);
    app.edit("a", "fn f() { 2 }\nlet n = 0;\nloop { try { n += 1; } catch { } }");
    let began = Instant::now();
    let error = app.broken();
    assert_eq!(error.code().to_string(), "GR0303", "{error}");
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(error.place.unwrap().line, Some(3));
    assert_eq!(app.get("a", "f"), Value::Int(1));
}

#[test]
fn tx_03_a_recursion_without_end_is_an_error() {
    let app = App::start(&[
        ("a", "import \"b\" as b; fn f(x) { b::f(x) }"),
        ("b", "fn f(x) { x.more() } fn more() { this.more() }"),
    ]);
    let error = app.call_with("a", "f", vec![1.into()]).unwrap_err();
    assert!(error.to_string().contains("stack overflow"), "{error}");
    app.edit("b", "fn f(n) { if n > 0 { f(n - 1) } } f(1_000);");
    assert!(app.broken().message.contains("stack overflow"));
}

#[test]
fn tx_03_a_memory_blow_up_at_load_is_stopped_where_sizes_are_limited() {
    let limits = graceful_rhai::Limits {
        string_size: Some(1 << 16),
        array_size: Some(1 << 12),
        ..graceful_rhai::Limits::default()
    };
    let backend = graceful_rhai::RhaiBackend::builder().limits(limits).build();
    let app = App::with(&[("a", "fn f() { 1 }")], backend);
    committed(app.reload());
    for text in ["let s = \"x\";\nloop { s += s; }", "let a = [1];\nloop { a += a; }"] {
        app.edit("a", text);
        let error = app.broken();
        assert_eq!(error.code().to_string(), "GR0304", "{error}");
        assert_eq!(error.place.unwrap().line, Some(2));
    }
    assert_eq!(app.get("a", "f"), Value::Int(1));
}

const CHAIN: &str = r#"
    import "probe" as probe;
    import "DEP" as dep;
    let me = graceful::register_module("NAME", #{
        before_reload: |m| { m.state.touched = true; m.state.list.push(1); probe::tell("before NAME"); },
        after_reload: |m| { m.state.after = true; probe::tell("after NAME"); FAIL },
        rollback: |m| probe::tell("rollback NAME"),
    });
    let state = me.state;
    if state.list == () { state.list = [0]; }
    fn seen() { [graceful::state().touched, graceful::state().after, graceful::state().list] }
    fn value() { dep::value() + 1 }
"#;

fn link(name: &str, dep: &str, fail: &str) -> String {
    CHAIN.replace("NAME", name).replace("DEP", dep).replace("FAIL", fail)
}

#[test]
fn hook_02_hooks_run_in_order_and_tx_04_roll_back() {
    let base = "fn value() { 1 }";
    let app = App::start(&[("web", &link("web", "db", "")), ("db", &link("db", "base", "")), ("base", base)]);
    assert_eq!(app.get("web", "value"), Value::Int(3));
    app.edit("base", "fn value() { 10 }");
    committed(app.reload());
    assert_eq!(app.told(), ["before web", "before db", "after db", "after web"]);
    assert_eq!(app.get("web", "value"), Value::Int(12));
    let before = app.get("web", "seen");

    app.edit("web", &link("web", "db", "throw \"no\";"));
    app.edit("base", "fn value() { 100 }");
    let error = app.refused();
    assert_eq!(error.report.outcome, Outcome::RolledBack);
    let ReloadErrorKind::Hook { message, place, .. } = &*error.kind else { panic!("{error}") };
    assert_eq!((message.as_str(), place.as_ref().unwrap().line), ("no", Some(6)));
    let told = ["before web", "before db", "after db", "after web", "rollback db", "rollback web"];
    assert_eq!(app.told(), told);
    assert_eq!(app.get("web", "value"), Value::Int(12));
    assert_eq!(app.get("web", "seen"), before);
    app.edit("web", &link("web", "db", ""));
    committed(app.reload());
    assert_eq!(app.get("web", "value"), Value::Int(102));
}

#[test]
fn hook_05_a_hook_that_spins_is_stopped_and_rolled_back() {
    let text = |body: &str| {
        format!("graceful::register_module(\"a\", #{{ after_reload: |m| {{ {body} }} }}); fn f() {{ 1 }}")
    };
    let app = App::start(&[("a", &text(""))]);
    app.edit("a", &text("let n = 0; loop { n += 1; }").replace("1 }", "2 }"));
    let began = Instant::now();
    let error = app.refused();
    assert_eq!(error.code().to_string(), "GR0106");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(app.get("a", "f"), Value::Int(1));
}

#[test]
fn ord_07_a_diamond_of_30_is_linear_and_each_module_runs_once() {
    let name = |n: usize| format!("m{n}");
    let text = |n: usize| match n {
        0 | 1 => format!("import \"probe\" as probe; probe::tell(\"m{n}\"); fn value() {{ 1 }}"),
        _ => {
            format!(
            "import \"m{}\" as one; import \"m{}\" as two; import \"probe\" as probe; probe::tell(\"m{n}\");
             fn value() {{ one::count() + two::count() }}",
            n - 1,
            n - 2
        ) + " fn count() { 1 }"
        }
    };
    let text = |n: usize| if n < 2 { text(n) + " fn count() { 1 }" } else { text(n) };
    let mut sources: Vec<(String, String)> = (0..30).map(|n| (name(n), text(n))).collect();
    sources.reverse();
    let borrowed: Vec<(&str, &str)> =
        sources.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let began = Instant::now();
    let app = App::start(&borrowed);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(app.told().len(), 30);
    assert_eq!(app.get("m29", "value"), Value::Int(2));
    app.edit("m0", &(text(0) + "// edited"));
    committed(app.reload());
    assert_eq!(app.told().len(), 29, "all but m1");
}

#[test]
fn ord_07_a_chain_of_2000_loads_and_reloads() {
    let text = |n: usize| match n {
        0 => "fn value() { 0 }".to_owned(),
        _ => format!("import \"m{}\" as below; fn value() {{ {n} }}", n - 1),
    };
    let sources: Vec<(String, String)> = (0..2_000).rev().map(|n| (format!("m{n}"), text(n))).collect();
    let borrowed: Vec<(&str, &str)> =
        sources.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let app = App::start(&borrowed);
    app.edit("m0", "fn value() { -1 }");
    assert_eq!(committed(app.reload()).modules.len(), 2_000);
    assert_eq!(app.get("m1999", "value"), Value::Int(1_999));
}

#[test]
fn hook_04_a_call_that_asks_for_a_reload_is_parked_and_goes_on() {
    let text = |n: usize| {
        format!(
            r#"
            let me = graceful::register_module("a", #{{ before_reload: |m| {{ m.state.seen = true; }} }});
            fn again() {{ let report = graceful::reload(); [report.outcome, version(), graceful::state().seen] }}
            fn version() {{ {n} }}
            "#
        )
    };
    let app = App::start(&[("a", &text(1))]);
    app.edit("a", &text(2));
    let expected = [Value::from("committed"), Value::Int(1), Value::Bool(true)];
    assert_eq!(app.get("a", "again"), Value::List(expected.to_vec()));
    assert_eq!(app.get("a", "version"), Value::Int(2));
}

#[test]
fn hook_04_a_hook_that_asks_for_a_reload_is_refused_and_the_reload_goes_on() {
    let text = |n: usize| {
        format!(
            r#"
            graceful::register_module("a", #{{ after_reload: |m| {{
                try {{ graceful::reload(); }} catch (e) {{ m.state.code = e.code; }}
            }} }});
            graceful::reload();
            fn code() {{ graceful::state().code }}
            fn version() {{ {n} }}
            "#
        )
    };
    let app = App::start(&[("a", &text(1))]);
    app.edit("a", &text(2));
    committed(app.reload());
    assert_eq!(app.get("a", "code"), Value::from("GR0116"));
    assert_eq!(app.get("a", "version"), Value::Int(2));
}
