//! What a file asks to be checked: its variables, its arguments.

mod support;

use graceful_core::Value;
use graceful_rhai::RhaiBackend;
use support::{App, committed};

#[test]
fn reg_10_a_strict_file_is_refused_for_a_variable_that_nobody_declared() {
    let good = "strict::on();
        let me = graceful::register_module(\"a\");
        const MOST = 3;
        let twice = |n| { let m = n; m * 2 };
        fn f(n) {
            for i in 0..MOST { if n == i { return twice.call(i); } }
            try { throw \"x\"; } catch (error) { me.state.told = error; }
            let pick = |x| x + n;
            [me.state.told, pick.call(1), Fn(\"g\").call()]
        }
        fn g() { MOST }";
    let app = App::start(&[("a", good)]);
    let told = vec!["x".into(), 9.into(), 3.into()];
    assert_eq!(app.call_with("a", "f", vec![8.into()]), Ok(Value::List(told)));
    for (wrong, said) in [
        (
            "strict::on(); let count = 1; fn f() { if false { cuont } else { count } }",
            "a.rhai:1:50: variable `cuont` is not declared, did you mean `count`?",
        ),
        (
            "strict::on(); print(later); let later = 1;",
            "a.rhai:1:21: variable `later` is used before it is declared",
        ),
        ("let f = |x| { nowhere }; strict::on();", "a.rhai:1:15: variable `nowhere` is not declared"),
    ] {
        app.edit("a", wrong);
        let error = app.broken();
        assert_eq!(error.to_string(), said);
        assert_eq!(error.source_line.as_deref(), Some(wrong));
    }
    app.edit("a", "fn f(n) { if false { cuont } else { n } }");
    committed(app.reload());
    assert_eq!(app.call_with("a", "f", vec![8.into()]), Ok(8.into()), "without it Rhai looks when it runs");
}

#[test]
fn reg_10_an_engine_with_strict_variables_has_it_on_for_every_file() {
    let strict = || {
        RhaiBackend::builder()
            .configure(|engine| {
                engine.set_strict_variables(true);
            })
            .build()
    };
    let app = App::with(&[("a", "let me = graceful::register_module(\"a\"); fn f() { me.name }")], strict());
    committed(app.reload());
    assert_eq!(app.get("a", "f"), "a".into());
    app.edit("a", "fn f() { you }");
    assert_eq!(app.broken().to_string(), "a.rhai:1:10: variable `you` is not declared");
}

#[test]
fn reg_10_arguments_are_checked_and_the_caller_is_blamed() {
    let text = "let Item = graceful::class(\"Item\", #{});
        fn total(item, quantity, options) {
            checks::arg(\"item\", item, \"string|Item\");
            checks::arg(\"quantity\", quantity, \"?integer\");
            checks::arg(\"options\", options, #{ currency: \"?string\", each: #{ f: \"?function\" } });
            1
        }
        fn good() { total(\"a\", 1, #{ currency: \"eur\" }) + total(Item.create(), (), graceful::table()) + total(\"a\", (), ()) }
        fn wrong() {
            total(5, 1, #{})
        }
        fn missing() { total(\"a\", \"b\", #{}) }
        fn option() { total(\"a\", 1, #{ curency: \"eur\" }) }
        fn nested() { total(\"a\", 1, #{ each: #{ f: 1 } }) }
        fn list() { total(\"a\", 1, []) }
        fn caught() { try { total(5, 1, #{}) } catch (error) { return error.message; } }
        fn fits() { [checks::fits(1, \"number\"), checks::fits(1.5, \"integer\"), checks::fits((), \"?string\"), checks::fits([], \"any\"),
            checks::fits(graceful::semver(1, 2, 3), \"Semver\")] }";
    let app = App::start(&[("a", text)]);
    assert_eq!(app.count("a", "good"), 3);
    let told = |function: &str| app.call("a", function).unwrap_err().to_string();
    assert_eq!(told("wrong"), "a.rhai:10:13: argument `item`: expected string|Item, got integer");
    assert_eq!(told("missing"), "a.rhai:12:24: argument `quantity`: expected integer, got string");
    assert_eq!(
        told("option"),
        "a.rhai:13:23: argument `options`: unknown option `curency`, did you mean `currency`?"
    );
    assert_eq!(told("nested"), "a.rhai:14:23: argument `options.each.f`: expected function, got integer");
    assert_eq!(told("list"), "a.rhai:15:21: argument `options`: expected map, got list");
    assert_eq!(app.get("a", "caught"), "argument `item`: expected string|Item, got integer".into());
    let is = [true, false, true, true, true].map(Value::from).to_vec();
    assert_eq!(app.get("a", "fits"), Value::List(is));
    let outside = app.call_with("a", "total", vec![1.into(), 1.into(), Value::Null]).unwrap_err().to_string();
    assert_eq!(outside, "a.rhai:3:21: argument `item`: expected string|Item, got integer");
}
