//! What an embedder brings: an interpreter of his own, native functions, other encodings.

mod support;

use graceful_core::Value;
use graceful_rhai::{Limits, RhaiBackend};
use support::{App, committed};

#[test]
fn an_engine_that_is_handed_over_keeps_its_functions_types_and_limits() {
    let mut engine = rhai::Engine::new();
    engine.register_fn("twice", |n: i64| n * 2);
    engine.set_max_operations(5_000);
    engine.register_custom_operator("twiced", 160).unwrap();
    engine.register_fn("twiced", |a: i64, b: i64| (a + b) * 2);
    let backend = RhaiBackend::builder().engine(engine).build();
    let app = App::with(
        &[(
            "a",
            "fn f() { twice(4) + (1 twiced 2) } fn long() { let n = 0; for i in 0..9_999 { n += i; } n }",
        )],
        backend,
    );
    committed(app.reload());
    assert_eq!(app.get("a", "f"), Value::Int(14));
    let error = app.call("a", "long").unwrap_err();
    assert_eq!(error.code().to_string(), "GR0303", "{error}");
}

#[test]
fn tx_09_a_panic_in_a_native_function_is_a_failed_load_or_call() {
    let configure = |engine: &mut rhai::Engine| {
        engine.register_fn("explode", || -> i64 { panic!("boom") });
    };
    let backend = RhaiBackend::builder().configure(configure).limits(Limits::default()).build();
    let app = App::with(&[("a", "fn f() { explode() } fn g() { 1 }")], backend);
    committed(app.reload());
    for _ in 0..2 {
        let error = app.call("a", "f").unwrap_err();
        assert_eq!((error.code().to_string(), error.to_string().contains("boom")), ("GR0307".into(), true));
    }
    assert_eq!(app.engine.call_blocking("a", "f", Vec::new()).unwrap_err().code().to_string(), "GR0307");
    app.edit("a", "explode();");
    assert_eq!(app.broken().code().to_string(), "GR0307");
    assert_eq!(app.get("a", "g"), Value::Int(1));
}

#[test]
fn a_source_in_another_encoding_is_told_with_its_place() {
    let app = App::start(&[("a", "fn f() { 1 }")]);
    app.sources.put("a", "rhai", "rhai", b"fn f() { 2 }\nlet s = \"\xe9\";".to_vec());
    assert_eq!(app.broken().to_string(), "a.rhai:2:10: the source is not UTF-8");
    app.sources.put("a", "rhai", "rhai", b"\xef\xbb\xbffn f() { 3 }".to_vec());
    committed(app.reload());
    assert_eq!(app.get("a", "f"), Value::Int(3));
}
