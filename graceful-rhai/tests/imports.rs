//! What an import gives: one instance for everybody, of the right time, with functions that stay those of
//! their module.

mod support;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::Value;
use support::{App, committed};

fn list(values: impl IntoIterator<Item = &'static str>) -> Value {
    Value::List(values.into_iter().map(Value::from).collect())
}

#[test]
fn functions_of_the_same_name_are_those_of_their_own_module() {
    let app = App::start(&[
        (
            "a",
            "import \"b\" as b; fn helper() { \"a\" }
            fn f() { let out = []; for i in 0..4 { out.push(helper()); out.push(b::f()); } out }",
        ),
        ("b", "fn helper() { \"b\" } fn f() { helper() }"),
    ]);
    assert_eq!(app.get("a", "f"), list(["a", "b", "a", "b", "a", "b", "a", "b"]));
}

#[test]
fn closures_run_in_the_module_they_come_from() {
    let app = App::start(&[
        ("a", "import \"b\" as b; import \"c\" as c; fn tag() { \"a\" + c::tag() }
            fn f() {
                let n = 2;
                let made = b::make();
                [b::apply(|x| `${tag()}${x}${n}`), made.call(7), b::apply(tag_of), b::all([|x| tag()]), b::exported.call(1)]
            }
            fn tag_of(x) { tag() + \"!\" }"),
        ("b", "fn tag() { \"b\" } fn apply(f) { f.call(1) } fn all(fs) { fs.map(|f| f.call(0))[0] }
            fn make() { |x| `${tag()}${x}` } export const exported = |x| `${tag()}${x}`;"),
        ("c", "fn tag() { \"c\" }"),
    ]);
    assert_eq!(app.get("a", "f"), list(["ac12", "b7", "ac!", "ac", "b1"]));
}

#[test]
fn values_are_exported_and_constants_are_seen_by_functions() {
    let app = App::start(&[
        ("a", "import \"b\" as b; fn f() { [b::LIMIT, b::name, b::sum(), b::qualified()] }"),
        (
            "b",
            "export const LIMIT = 3; let hidden = 4; export let name = \"bee\"; const MORE = LIMIT + hidden;
            let at_load = sum_constants();
            fn sum_constants() { LIMIT + 1 }
            fn sum() { LIMIT + hidden + MORE + at_load } fn qualified() { global::MORE }",
        ),
    ]);
    assert_eq!(app.get("a", "f"), Value::List(vec![3.into(), "bee".into(), 18.into(), 7.into()]));
    let app = App::start(&[("a", "import \"b\" as b; fn f() { b::hidden }"), ("b", "let hidden = 4;")]);
    assert!(app.call("a", "f").unwrap_err().to_string().contains("variable not found: b::hidden"));
}

#[test]
fn ord_10_imports_by_computed_names_are_loaded_and_tracked() {
    let app = App::start(&[
        (
            "a",
            "let which = \"b\"; import which as b; fn f() { [b::f(), later()] }
            fn later() { let which = \"c\"; import which as c; c::f() }",
        ),
        ("b", "fn f() { \"b1\" }"),
        ("c", "fn f() { \"c1\" }"),
    ]);
    assert_eq!(app.get("a", "f"), list(["b1", "c1"]));
    app.edit("b", "fn f() { \"b2\" }");
    app.edit("c", "fn f() { \"c2\" }");
    let report = committed(app.reload());
    let names: Vec<&str> = report.modules.iter().map(|module| module.module.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(app.get("a", "f"), list(["b2", "c2"]));
}

#[test]
fn ord_05_an_import_that_fails_while_staging_can_be_caught() {
    let app = App::start(&[(
        "a",
        "let which = \"nowhere\"; let failed = \"\"; try { import which as x; } catch (e) { failed = e.code; }
         export failed; fn f() { failed }",
    )]);
    assert_eq!(app.get("a", "f"), Value::from("GR0306"));
}

#[test]
fn ord_05_a_cycle_of_computed_imports_is_an_error() {
    let text = |other: &str| format!("let which = \"{other}\"; import which as x;");
    let error = App::new(&[("a", &text("b")), ("b", &text("a"))]).refused();
    assert_eq!(error.kind.to_string(), "requires form a cycle: a -> b -> a");
}

#[test]
fn call_01_a_call_in_flight_finishes_on_the_code_it_began_with() {
    let a = |n: usize| {
        format!(
            "import \"b\" as b; fn f() {{ fiber::sleep(0.3); import \"b\" as again; [{n}, b::f(), again::f()] }}"
        )
    };
    let b = |n: usize| format!("fn f() {{ {n} }}");
    let app = Arc::new(App::start(&[("a", &a(1)), ("b", &b(1))]));
    let calling = app.clone();
    let call = std::thread::spawn(move || calling.get("a", "f"));
    std::thread::sleep(Duration::from_millis(100));
    app.edit("a", &a(2));
    app.edit("b", &b(2));
    committed(app.reload());
    assert_eq!(app.get("a", "f"), Value::List(vec![2.into(); 3]));
    assert_eq!(call.join().unwrap(), Value::List(vec![1.into(); 3]));
}

#[test]
fn ord_09_native_modules_are_imported_like_any_other() {
    let app = App::start(&[(
        "a",
        "import \"probe\" as probe; fn f(x) { probe::tell(\"hi\"); graceful::invoke(\"probe\", \"tell\", [x]); probe::answer }",
    )]);
    assert_eq!(app.call_with("a", "f", vec!["there".into()]), Ok(Value::Int(42)));
    assert_eq!(app.told(), ["hi", "there"]);
    let error = app.call_with("a", "f", vec![Value::map()]).map(|_| ());
    assert_eq!(error, Ok(()));
    app.edit("a", "import \"probe\" as probe; fn f() { probe::nothing(1) }");
    committed(app.reload());
    let error = app.call("a", "f").unwrap_err().to_string();
    assert_eq!(error, "a.rhai:1:42: function not found: probe::nothing (i64)");
}

#[test]
fn the_modules_that_are_always_there_may_be_imported_too() {
    let app =
        App::start(&[("a", "import \"graceful\" as g; fn f() { log::info(\"x\"); g::semver(1, 2, 3) }")]);
    assert_eq!(app.get("a", "f"), Value::from("1.2.3"));
}

#[test]
fn paths_and_dotted_names_are_the_same() {
    let app = App::start(&[
        ("a", "import \"./lib/text\" as t; import \"lib.text\" as same; fn f() { t::f() + same::f() }"),
        ("lib.text", "fn f() { 1 }"),
    ]);
    assert_eq!(app.get("a", "f"), Value::Int(2));
}
