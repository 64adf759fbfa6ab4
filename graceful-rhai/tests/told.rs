//! Wrong use is answered well: what is wrong, where, and what was meant.

mod support;

use support::{App, committed};

/// What a start with this module `a` fails with.
fn told(text: &str) -> String {
    let error = App::new(&[("a", text)]).broken();
    let place = error.place.map(|place| place.to_string()).unwrap_or_default();
    format!("{place}: {}", error.message)
}

fn option(option: &str) -> String {
    told(&format!("graceful::register_module(\"a\", #{{ {option} }});"))
}

#[test]
fn reg_07_a_wrong_option_says_module_expected_and_got_and_what_was_meant() {
    let wrong = [
        ("finilize: || 1", "a.rhai:1:11: module `a`: unknown option `finilize`, did you mean `finalize`?"),
        (
            "colour: 1",
            "a.rhai:1:11: module `a`: unknown option `colour`; there are: init, before_reload, after_reload, \
             on_reload, rollback, finalize, version, checkpoint, drain, migrations",
        ),
        ("init: 5", "a.rhai:1:11: module `a`, option `init`: expected a function, got integer"),
        ("drain: \"yes\"", "a.rhai:1:11: module `a`, option `drain`: expected a boolean, got string"),
        (
            "checkpoint: \"copy\"",
            "a.rhai:1:11: module `a`, option `checkpoint`: expected `auto`, `own` or `none`, got `copy`",
        ),
        (
            "after_reload: || 1, on_reload: || 1",
            "a.rhai:1:11: module `a`: `after_reload` and `on_reload` are the same hook",
        ),
    ];
    for (given, message) in wrong {
        assert_eq!(option(given), message);
    }
}

#[test]
fn ver_01_what_is_no_version_says_what_came() {
    let versions = [
        ("\"1.2\"", "`1.2` is not a version: expected `maj.min.patch` of three whole numbers"),
        ("[1, 2]", "`[1, 2]` is not a version: expected `maj.min.patch` of three whole numbers"),
        ("5", "`5` is not a version: expected `maj.min.patch` of three whole numbers"),
    ];
    for (version, message) in versions {
        let said = option(&format!("version: {version}"));
        assert!(said.starts_with(&format!("a.rhai:1:11: module `a`, option `version`: {message}")), "{said}");
    }
}

#[test]
fn reg_06_a_name_that_is_not_the_files_says_both() {
    let said = told("graceful::register_module(\"b\");");
    assert_eq!(said, "a.rhai:1:11: module `a` registers under another name, `b`");
    let app =
        App::new(&[("a", "import \"b\" as b; graceful::register_module(\"b\");"), ("b", "fn f() { 1 }")]);
    let error = app.broken();
    assert_eq!(error.message, "module `a` registers `b`, which is taken by b.rhai; it is a.rhai");
}

#[test]
fn the_time_is_the_systems_and_the_hosts() {
    let app = App::start(&[(
        "a",
        "fn time() { clock::time() > 1.7e9 && clock::realtime() >= 1.7e9 }
        fn later() { let began = clock::monotonic(); fiber::sleep(0.01); clock::monotonic() - began >= 0.01 }
        fn steps() { graceful::plan(#{ force: true }).steps.len() }",
    )]);
    assert_eq!(app.get("a", "time"), true.into());
    assert_eq!(app.get("a", "later"), true.into());
    assert_eq!(app.count("a", "steps"), 1);
}

#[test]
fn shut_01_a_call_asks_for_the_shutdown_and_ends_before_it() {
    let app = App::start(&[(
        "a",
        "import \"probe\" as probe;
        graceful::register_module(\"a\", #{ finalize: |m| probe::tell(\"finalize\") });
        fn leave() { graceful::shutdown(#{ drain: 5 }); fiber::sleep(0.05); probe::tell(\"left\"); 1 }
        fn wrong() { graceful::shutdown(#{ drain: \"x\" }) }",
    )]);
    let wrong = app.call("a", "wrong").unwrap_err().to_string();
    assert_eq!(wrong, "a.rhai:4:32: shutdown: option `drain` wants a number of seconds, got `x`");
    app.edit("a", "graceful::shutdown(); throw \"no\";");
    app.refused();
    assert_eq!(app.count("a", "leave"), 1);
    app.until("it ended", || app.told.lock().unwrap().len() == 2);
    assert_eq!(app.told(), ["left", "finalize"]);
    assert_eq!(app.call("a", "leave").unwrap_err().code().to_string(), "GR0207");
}

#[test]
fn a_module_of_the_apps_own_named_clock_goes_before() {
    let app =
        App::start(&[("a", "import \"clock\" as clock; fn n() { clock::n() }"), ("clock", "fn n() { 1 }")]);
    assert_eq!(app.count("a", "n"), 1);
    app.edit("clock", "fn n() { 2 }");
    committed(app.reload());
    assert_eq!(app.count("a", "n"), 2);
}
