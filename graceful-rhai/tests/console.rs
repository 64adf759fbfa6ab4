//! The console: lines of Rhai in the live app.

mod support;

use std::time::Duration;

use graceful_core::CallError;
use support::App;

const LIMIT: Duration = Duration::from_millis(500);

fn line(app: &App, line: &str) -> Result<Vec<String>, CallError> {
    app.clock.block_on(app.engine.evaluate("rhai", line, LIMIT))
}

fn shown(app: &App, text: &str) -> Vec<String> {
    line(app, text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn counter(by: i64) -> String {
    format!(
        "let me = graceful::register_module(\"counter\", #{{ version: \"1.{by}.0\", init: |m| {{ m.state.n = 0; }} }});
        fn hit() {{ me.state.add(\"n\", {by}) }}
        fn slow() {{ fiber::sleep(60) }}
        fn state() {{ me.state }}"
    )
}

#[test]
fn reg_12_a_line_is_evaluated_in_the_live_app() {
    let app = App::start(&[("main", "import \"counter\" as counter;"), ("counter", &counter(1))]);
    assert_eq!(shown(&app, "1 + 1"), ["2"]);
    assert_eq!(
        shown(&app, "print(\"a\"); print(1); let x = [1, \"b\", #{ c: () }]; x"),
        ["a", "1", "[1, \"b\", #{c: ()}]"]
    );
    assert_eq!(shown(&app, "import \"counter\" as c; c::hit(); c::hit()"), ["2"]);
    assert_eq!(shown(&app, "import \"counter\" as c; c::state()"), ["#{n: 2}"]);
    assert_eq!(shown(&app, "fn twice(n) { n * 2 } twice(4)"), ["8"]);
    assert_eq!(shown(&app, "graceful::modules().map(|m| m.name)"), ["[\"counter\", \"main\"]"]);
    assert_eq!(
        shown(&app, "[graceful::semver(1, 2, 3), fiber::channel(2), |x| x]"),
        ["[1.2.3, channel (0 of 2), a function]"]
    );
    assert!(shown(&app, "let a = 1;").is_empty());
    app.edit("counter", &counter(10));
    let reloaded =
        "committed, generation 2: reload counter 1.1.0 -> 1.10.0 (changed), reload main (depends on counter)";
    assert_eq!(shown(&app, "dofile(\"main.rhai\")"), [reloaded]);
    assert_eq!(shown(&app, "import \"counter\" as c; c::hit()"), ["12"]);
    assert_eq!(shown(&app, "graceful::reload().outcome"), ["\"unchanged\""]);
}

#[test]
fn reg_12_a_line_that_fails_has_a_code_a_place_and_a_deadline() {
    let app = App::start(&[("main", "fn f() { 1 }")]);
    let told = |text: &str| {
        let error = line(&app, text).unwrap_err();
        (error.code().0, error.to_string())
    };
    assert_eq!(told("let a = 1;\nlet b = a.x.y;").0, "GR0302");
    assert!(told("let a = 1;\nb").1.starts_with("console:2:1: "), "{:?}", told("let a = 1;\nb"));
    assert_eq!(told("let a = = 1").0, "GR0301");
    for half in ["fn f() {", "let a = ", "f(1,", "let a = #{ b: 1,\n", "if x {\n y"] {
        let (code, text) = told(half);
        assert!(code == "GR0301" && text.ends_with(" near <eof>"), "{half}: {text}");
    }
    for endless in ["loop { }", "fiber::sleep(60)", "fiber::cond().wait()"] {
        let (code, text) = told(endless);
        assert_eq!((code, text.contains("ran longer than 500ms")), ("GR0303", true), "{endless}: {text}");
    }
    assert_eq!(told("import \"nowhere\" as n; n::f()").0, "GR0302");
    let owned = told("fiber::create(|| 1)").1;
    assert!(owned.contains("the console owns nothing"), "{owned}");
    assert!(told("dofile(\"other.rhai\")").1.contains("is no module of this app"));
    assert_eq!(shown(&app, "import \"main\" as main; main::f()"), ["1"]);
}

#[test]
fn call_04_a_reload_waits_for_a_line_in_what_it_drains() {
    let text = |tag: &str| {
        format!(
            "let me = graceful::register_module(\"main\", #{{ init: |m| {{ }}, after_reload: |m| {{ }} }});
            import \"probe\" as probe;
            fn slow() {{ probe::tell(\"in\"); fiber::sleep(0.1); \"{tag}\" }}"
        )
    };
    let app = App::start(&[("main", &text("one"))]);
    let (engine, clock) = (app.engine.clone(), app.clock.clone());
    let slow = "import \"main\" as m; [m::slow(), m::slow()]";
    let slow = std::thread::spawn(move || clock.block_on(engine.evaluate("rhai", slow, 10 * LIMIT)));
    app.until("it began", || !app.told().is_empty());
    app.edit("main", &text("two"));
    support::committed(app.reload());
    assert_eq!(slow.join().unwrap().unwrap(), ["[\"one\", \"one\"]"]);
    assert_eq!(shown(&app, "import \"main\" as m; m::slow()"), ["\"two\""]);
}
