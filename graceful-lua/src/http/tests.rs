//! Routes: registered with their module, replaced with it, called as plain values.

use graceful_core::{CallError, Value};

use crate::testing::Bench;

fn ask(bench: &Bench, key: &str, request: Value) -> Result<Value, CallError> {
    bench.clock.block_on(bench.engine.call_registered("route", key, vec![request]))
}

#[test]
fn a_route_answers_with_plain_values_and_may_wait() {
    let app = "local http, fiber = require 'http', require 'fiber'
        http.route('get', '/price/:item', function(request)
            fiber.sleep(1)
            return { status = 200, body = request.params.item }
        end)
        http.route('POST', '/bad', function(request) error('bad ' .. request.n) end)
        http.route('GET', '/function', function() return { f = print } end)";
    let bench = Bench::app(app);
    let request = |key: &str, value: Value| Value::Map([(key.to_owned(), value)].into());
    let params = request("item", "tea".into());
    let answer = ask(&bench, "GET /price/:item", request("params", params)).unwrap();
    assert_eq!((answer.get("status"), answer.get("body")), (Some(&200.into()), Some(&"tea".into())));
    let error = ask(&bench, "POST /bad", request("n", 5.into())).unwrap_err();
    assert_eq!(error.to_string(), "app.lua:6: bad 5");
    let error = ask(&bench, "GET /function", Value::Null).unwrap_err();
    assert_eq!(error.to_string(), "module `app`: `f` is a function");
    assert!(matches!(ask(&bench, "GET /price", Value::Null), Err(CallError::NoModule { .. })));
}

#[test]
fn scope_04_routes_change_with_their_module_and_not_before() {
    let app = |path: &str, answer: &str| {
        format!("require('http').route('GET', '{path}', function() return '{answer}' end)")
    };
    let bench = Bench::app(&app("/", "old"));
    bench.put("app", &format!("{} error('no')", app("/", "never")));
    bench.try_reload().unwrap_err();
    assert_eq!(ask(&bench, "GET /", Value::Null).unwrap(), "old".into());
    bench.put("app", &app("/", "new"));
    bench.reload();
    assert_eq!(ask(&bench, "GET /", Value::Null).unwrap(), "new".into());
    bench.put("app", &app("/moved", "new"));
    bench.reload();
    assert!(ask(&bench, "GET /", Value::Null).is_err());
    assert_eq!(ask(&bench, "GET /moved", Value::Null).unwrap(), "new".into());
}

#[test]
fn a_wrong_route_is_an_error_where_it_stands() {
    let wrong = |args: &str| {
        let bench = Bench::app("return {}");
        bench.put("app", &format!("require('http').route({args})"));
        let error = bench.try_reload().unwrap_err();
        std::error::Error::source(&*error.kind).unwrap().to_string()
    };
    assert_eq!(wrong("'GET', '/', 1"), "app.lua:1: http.route: expected a function, got integer");
    assert_eq!(wrong("nil, '/', print"), "app.lua:1: http.route: expected a method such as `GET`, got nil");
    assert_eq!(
        wrong("'GET', 'x', print"),
        "app.lua:1: http.route: the path `x` does not begin with `/`: write `/x`"
    );
}
