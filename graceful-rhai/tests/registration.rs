//! What registering takes and what it refuses, in the words that a person reads.

mod support;

use graceful_core::{ReloadErrorKind, Value};
use support::{App, committed};

/// What a module that registers with these options is refused with.
fn refused(options: &str) -> String {
    let text = format!("let me = graceful::register_module(\"a\", {options});");
    let error = App::new(&[("a", &text)]).broken();
    assert_eq!(error.code().to_string(), "GR0305");
    error.to_string()
}

#[test]
fn reg_07_unknown_options_and_wrong_types_are_told_with_the_nearest_name() {
    let cases = [
        ("#{ finilize: |m| () }", "unknown option `finilize`, did you mean `finalize`?"),
        ("#{ init: 7 }", "option `init`: expected a function, got integer"),
        ("#{ init: \"go\" }", "option `init`: expected a function, got string"),
        ("#{ drain: \"yes\" }", "option `drain`: expected a boolean, got string"),
        ("#{ checkpoint: true }", "option `checkpoint`: expected a string, got boolean"),
        ("#{ checkpoint: \"deep\" }", "option `checkpoint`: expected `auto`, `own` or `none`, got `deep`"),
    ];
    for (options, expected) in cases {
        let expected = match expected.strip_prefix("option") {
            Some(rest) => format!("a.rhai:1:20: module `a`, option{rest}"),
            None => format!("a.rhai:1:20: module `a`: {expected}"),
        };
        assert_eq!(refused(options), expected);
    }
    let version = refused("#{ version: \"1.2\" }");
    assert!(
        version.starts_with("a.rhai:1:20: module `a`, option `version`: `1.2` is not a version"),
        "{version}"
    );
}

#[test]
fn reg_08_two_spellings_of_one_hook_are_an_error() {
    let error = refused("#{ after_reload: |m| (), on_reload: |m| () }");
    assert_eq!(error, "a.rhai:1:20: module `a`: `after_reload` and `on_reload` are the same hook");
}

#[test]
fn reg_06_another_name_is_an_error_that_says_both() {
    let error = App::new(&[("a", "graceful::register_module(\"b\");")]).broken();
    assert_eq!(error.to_string(), "a.rhai:1:11: module `a` registers under another name, `b`");
    let other = ("b", "graceful::register_module(\"a\");");
    let error = App::new(&[
        ("web", "import \"a\" as a; import \"b\" as b;"),
        ("a", "graceful::register_module(\"a\");"),
        other,
    ])
    .broken();
    let expected = "b.rhai:1:11: module `b` registers `a`, which is taken by a.rhai; it is b.rhai";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn reg_07_registering_is_for_the_top_level_and_once() {
    let app = App::start(&[("a", "fn late() { graceful::register_module(\"a\") }")]);
    let error = app.call("a", "late").unwrap_err().to_string();
    assert_eq!(error, "a.rhai:1:23: module `a` can only register itself while it loads");
    let error =
        App::new(&[("a", "graceful::register_module(\"a\"); graceful::register_module(\"a\");")]).broken();
    assert_eq!(error.message, "module `a` registers twice");
}

#[test]
fn reg_04_an_init_that_fails_leaves_nothing_and_runs_again_later() {
    let text = |fail: &str| {
        format!(
            "import \"probe\" as probe;
             graceful::register_module(\"a\", #{{ init: |m| {{ m.state.made = 1; probe::tell(\"init\"); {fail} }} }});
             fn made() {{ graceful::state().made }}"
        )
    };
    let app = App::new(&[("a", &text("throw \"no\";"))]);
    assert_eq!(app.broken().message, "no");
    app.edit("a", &text(""));
    committed(app.reload());
    assert_eq!(app.told(), ["init", "init"]);
    assert_eq!(app.get("a", "made"), Value::Int(1));
}

#[test]
fn hook_06_what_was_initialised_at_a_start_that_fails_is_finalized() {
    let a = "import \"probe\" as probe;
        graceful::register_module(\"a\", #{
            init: |m| { m.state.id = 7; probe::tell(\"init a\"); },
            finalize: |m| probe::tell(`finalize a ${m.state.id}`),
        });";
    let web = "import \"a\" as a; throw \"no\";";
    let app = App::new(&[("web", web), ("a", a)]);
    app.refused();
    assert_eq!(app.told(), ["init a", "finalize a 7"]);
}

#[test]
fn reg_02_init_of_a_module_that_is_new_runs_once_and_after_its_dependencies() {
    let module = |name: &str, dep: &str| {
        format!(
            "import \"probe\" as probe; {dep}
             graceful::register_module(\"{name}\", #{{ init: || probe::tell(\"init {name}\") }});"
        )
    };
    let app = App::start(&[
        ("web", "fn f() { 1 }"),
        ("db", &module("db", "")),
        ("trail", &module("trail", "import \"db\" as db;")),
    ]);
    app.edit("web", "import \"trail\" as trail;");
    let report = committed(app.reload());
    assert_eq!(report.modules.len(), 4, "{report:?}");
    assert_eq!(app.told(), ["init db", "init trail"]);
    app.edit("db", &(module("db", "") + "// edited"));
    committed(app.reload());
    assert_eq!(app.told(), Vec::<String>::new());
}

#[test]
fn reg_09_unregistering_finalizes_and_releases() {
    let plugin = "import \"probe\" as probe;
        graceful::register_module(\"plugin\", #{ finalize: |m| probe::tell(\"finalize\") });
        graceful::own(\"socket\", 5, |value| probe::tell(`released ${value}`));
        fn f() { 1 }";
    let web = "fn drop_it() { graceful::unregister_module(\"plugin\").outcome }
        fn f() { import \"plu\" + \"gin\" as plugin; plugin::f() }";
    let app = App::start(&[("web", web), ("plugin", plugin)]);
    let missing = app.call("web", "drop_it").unwrap_err();
    assert!(missing.to_string().contains("no module `plugin` is loaded"), "{missing}");
    assert_eq!(app.get("web", "f"), Value::Int(1));
    let refused = app.call("web", "drop_it").unwrap_err();
    assert!(refused.to_string().contains("still required by web"), "{refused}");
    app.edit("web", "fn drop_it() { graceful::unregister_module(\"plugin\", #{ force: true }).outcome }");
    committed(app.reload());
    assert_eq!(app.get("web", "drop_it"), Value::from("committed"));
    assert_eq!(app.told(), ["finalize", "released 5"]);
}

#[test]
fn hook_07_a_module_that_registers_no_more_keeps_its_state() {
    let app = App::start(&[("a", "graceful::register_module(\"a\", #{ init: |m| { m.state.n = 3; } });")]);
    app.edit("a", "fn n() { graceful::state().n }");
    let report = committed(app.reload());
    assert_eq!(report.warnings, ["a no longer registers itself: its hooks are gone"]);
    assert_eq!(app.get("a", "n"), Value::Int(3));
}

#[test]
fn ver_01_versions_are_a_semver_a_text_or_a_list() {
    for version in ["graceful::semver(1, 2, 3)", "\"1.2.3\"", "[1, 2, 3]"] {
        let text = format!(
            "let me = graceful::register_module(\"a\", #{{ version: {version} }}); fn v() {{ me.version }}"
        );
        assert_eq!(App::start(&[("a", &text)]).get("a", "v"), Value::from("1.2.3"));
    }
}

#[test]
fn ord_05_what_cannot_be_imported_is_told_with_its_place() {
    let app = App::new(&[("a", "\nimport \"nowhere\" as n;")]);
    let error = app.refused();
    let ReloadErrorKind::Missing { module, by, place, .. } = &*error.kind else { panic!("{error}") };
    assert_eq!((module.as_str(), by.as_str()), ("nowhere", "a at a.rhai:2:8"));
    assert_eq!(place.as_ref().unwrap().line, Some(2));
    let error = App::new(&[("a", "import \"b\" as b;"), ("b", "import \"a\" as a;")]).refused();
    assert_eq!(error.kind.to_string(), "requires form a cycle: a -> b -> a");
}
