//! What is let through, and the words for what is not.

use graceful_core::Value;

use crate::testing::Bench;

/// What calling `f`, whose first line is `checks(types)`, with `args` says; the call is in line 4.
fn said(types: &str, args: &str) -> String {
    let bench = Bench::app(&format!(
        "local checks = require('checks')
        local function f(a, b, opts) checks({types}) return 'fine' end
        return {{ go = function()
            local said = f({args})
            return said
        end }}"
    ));
    match bench.call("go") {
        Ok(Value::Str(said)) => said,
        Ok(other) => panic!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reg_10_what_is_allowed_passes() {
    let fine = [
        ("'string', '?number'", "'a'"),
        ("'string', '?number'", "'a', 1"),
        ("'string|number', 'nil|table'", "1"),
        ("'string|number', 'nil|table'", "'a', {}"),
        ("'any', 'integer'", "1, 2"),
        ("'?', 'function'", "nil, print"),
        ("'?string|number'", "1"),
        ("'account'", "setmetatable({}, { __type = 'account' })"),
        ("'table'", "setmetatable({}, { __type = 'account' })"),
        ("'any', 'any', { timeout = '?number' }", "1, 2"),
        (
            "'any', 'any', { timeout = '?number', retry = { times = 'integer' } }",
            "1, 2, { retry = { times = 3 } }",
        ),
        ("'userdata'", "require('graceful').semver(1, 0, 0)"),
    ];
    for (types, args) in fine {
        assert_eq!(said(types, args), "fine", "checks({types}) for f({args})");
    }
}

#[test]
fn reg_10_what_is_not_names_argument_expected_and_got_and_blames_the_caller() {
    let wrong = [
        ("'string'", "5", "#1 'a' to 'f' (string expected, got number)"),
        ("'string'", "", "#1 'a' to 'f' (string expected, got nil)"),
        ("'string', '?number'", "'a', 'b'", "#2 'b' to 'f' (?number expected, got string)"),
        ("'string|number'", "{}", "#1 'a' to 'f' (string|number expected, got table)"),
        ("'integer'", "1.5", "#1 'a' to 'f' (integer expected, got number)"),
        ("'any'", "nil", "#1 'a' to 'f' (any expected, got nil)"),
        (
            "'account'",
            "setmetatable({}, { __type = 'order' })",
            "#1 'a' to 'f' (account expected, got order)",
        ),
        ("'any', 'any', { timeout = '?number' }", "1, 2, 3", "#3 'opts' to 'f' (table expected, got number)"),
        (
            "'any', 'any', { timeout = '?number' }",
            "1, 2, { timeout = 'x' }",
            "#3 'opts' to 'f' (option 'timeout': ?number expected, got string)",
        ),
        (
            "'any', 'any', { timeout = '?number' }",
            "1, 2, { timeuot = 1 }",
            "#3 'opts' to 'f' (unknown option 'timeuot', did you mean 'timeout'?)",
        ),
        (
            "'any', 'any', { name = 'string' }",
            "1, 2",
            "#3 'opts' to 'f' (option 'name': string expected, got nil)",
        ),
        (
            "'any', 'any', { retry = { times = 'integer' } }",
            "1, 2, { retry = { times = 'x' } }",
            "#3 'opts' to 'f' (option 'retry.times': integer expected, got string)",
        ),
        (
            "'any', 'any', { retry = { times = '?integer' } }",
            "1, 2, { retry = 5 }",
            "#3 'opts' to 'f' (option 'retry': table expected, got number)",
        ),
    ];
    for (types, args, message) in wrong {
        assert_eq!(
            said(types, args),
            format!("app.lua:4: bad argument {message}"),
            "checks({types}) for f({args})"
        );
    }
}

#[test]
fn a_wrong_check_blames_the_function_that_checks() {
    assert_eq!(
        said("5", "1"),
        "app.lua:2: checks: type #1 must be a string or a table of options, got number"
    );
    let many = "'any', 'any', '?table', 'string'";
    assert_eq!(said(many, "1, 2"), "app.lua:2: checks: there are 4 types and 3 arguments");
    assert_eq!(said("'any', 'any', '?table', '?string'", "1, 2"), "fine");
}

#[test]
fn a_method_is_named_too() {
    let bench = Bench::app(
        "local account = {}
        function account:deposit(amount) require('checks')('table', 'number') end
        return { go = function() account:deposit('x') end }",
    );
    let error = bench.call("go").unwrap_err().to_string();
    assert_eq!(error, "app.lua:3: bad argument #2 'amount' to 'deposit' (number expected, got string)");
}
