//! The functions of roles, called from Lua.

use graceful_core::Value;

use crate::testing::{Bench, list};

mod reload;

/// Tries each of `calls` in the module `app`, and gives what each returned, in words.
const APP: &str = "local roles, fiber, notes = require('graceful.roles'), require('fiber'), require('notes')
local function show(value)
    if type(value) ~= 'table' then return tostring(value) end
    if getmetatable(value) then return value.class .. ' ' .. tostring(value) end
    local shown = {}
    for key, item in pairs(value) do shown[#shown + 1] = type(key) == 'number' and show(item) or key .. '=' .. show(item) end
    if #value == 0 then table.sort(shown) end
    return '{' .. table.concat(shown, ' ') .. '}'
end
local function told(...)
    local shown = {}
    for i = 1, select('#', ...) do shown[i] = show((select(i, ...))) end
    return table.concat(shown, ', ')
end
return {
    try = function(text) return told((loadstring or load)('local roles, notes = ... return ' .. text)(roles, notes)) end,
}";

const WEB: &str = "local notes = require 'notes'
local function say(text) notes.said = notes.said .. text end
return {
    role_name = 'web', dependencies = { 'store' },
    init = function(opts) say(' init web ' .. tostring(opts.is_master)) end,
    apply_config = function(conf) say(' apply web ' .. tostring(conf.web and conf.web.port)) end,
    before_apply_config = function(conf, opts)
        if conf.loud then say(' before ' .. tostring(opts.is_master)) end
    end,
    on_apply_config = function(conf, state)
        if conf.loud then error('on ' .. state, 0) end
    end,
    stop = function() say(' stop web') end,
    port = 80,
}";

const STORE: &str = "return {
    role_name = 'storage', hidden = true,
    validate_config = function(new, old)
        if new.bad then error('bad is ' .. tostring(new.bad) .. ', was ' .. tostring(old.bad)) end
        return true
    end,
    get = function(key) return 'value of ' .. key end,
}";

fn bench() -> Bench {
    Bench::new(&[("app", APP), ("web", WEB), ("store", STORE), ("notes", "return { said = '' }")])
}

fn tried(bench: &Bench, text: &str) -> String {
    let shown = bench.call_with("try", vec![text.into()]).unwrap_or_else(|error| error.to_string().into());
    shown.as_str().unwrap().to_owned()
}

fn all(bench: &Bench, wanted: &[(&str, &str)]) {
    for (text, shown) in wanted {
        assert_eq!(tried(bench, text), *shown, "{text}");
    }
}

#[test]
fn role_08_every_function_answers_with_what_it_is_about() {
    let bench = bench();
    all(
        &bench,
        &[
            ("roles.state()", "Unconfigured"),
            ("roles.cfg({'web'})", "true"),
            ("roles.get_all_roles()", "{storage web}"),
            ("roles.get_known_roles()", "{web}"),
            ("roles.get_enabled_roles({'web'})", "{storage=true web=true}"),
            ("roles.get_enabled_roles({web = false})", "{}"),
            ("roles.get_enabled_roles_without_deps({'web', 'storage'})", "{web}"),
            ("roles.get_role_dependencies('web')", "{}"),
            ("roles.get_role('web').module", "web"),
            ("roles.get_role('web').dependencies", "{store}"),
            ("roles.get_role('storage').hidden", "true"),
            ("roles.get_role('none')", "nil"),
            ("roles.validate_config({bad = false})", "true"),
            ("roles.service_get('storage')", "nil"),
            ("roles.apply_config({web = {port = 80}}, {roles = {'web'}}, true)", "true"),
            ("roles.state()", "RolesConfigured"),
            ("notes.said", " init web true apply web 80"),
            ("roles.get_enabled_roles_without_deps()", "{web}"),
            ("roles.service_get('storage').get('k')", "value of k"),
            ("roles.service_get('web').port", "80"),
            ("roles.wait_for('RolesConfigured', 0.5)", "true"),
            ("roles.apply_config({web = {port = 81}}, {is_master = true})", "true"),
            ("roles.before_apply_config({loud = 1}, nil, true)", "{}"),
            (
                "roles.on_apply_config({loud = 1}, 'OperationError')",
                "{on_apply_config of role `web` failed: on OperationError}",
            ),
            ("roles.stop()", "true"),
            ("notes.said", " init web true apply web 80 apply web 81 before true stop web"),
            ("roles.state()", "Stopped"),
            ("roles.service_get('web')", "nil"),
        ],
    );
}

#[test]
fn role_08_what_fails_is_nothing_and_an_error_object() {
    let bench = bench();
    all(
        &bench,
        &[
            ("roles.cfg({'web'})", "true"),
            (
                "roles.get_role_dependencies('stoage')",
                "nil, RoleError GR0504: there is no role `stoage`, did you mean `storage`?",
            ),
            (
                "roles.validate_config({bad = 1}, {bad = 2}, {roles = {'web'}})",
                "nil, ValidateConfigError GR0507: role `storage` refuses the configuration: bad is 1, was 2",
            ),
            (
                "(function() local _, e = roles.validate_config({bad = 1}, nil, {roles = {'web'}}) return e.module, e.file, e.line, e.code, e.retryable end)()",
                "store, store.lua, 4, GR0507, false",
            ),
            (
                "roles.cfg({'web', 'nowhere'})",
                "nil, RegisterRoleError GR0103: module `nowhere` is missing: required by the list of roles; searched memory:nowhere",
            ),
            (
                "roles.reload()",
                "nil, HotReloadError GR0511: this application does not allow its roles to be reloaded: set `reload_allowed = true` under `[roles]` in graceful.toml, or call `roles().set_reload_allowed(true)` in Rust",
            ),
            (
                "roles.wait_for('RolesConfigured', 0.01)",
                "nil, StateError GR0519: the state is Unconfigured, and was not RolesConfigured within 10ms",
            ),
        ],
    );
}

#[test]
fn role_02_what_is_declared_and_is_no_plain_data_is_an_error() {
    let bench = Bench::new(&[
        ("app", APP),
        ("notes", "return { said = '' }"),
        ("store", STORE),
        ("lists", "return { dependencies = { 'store', print } }"),
        ("schema", "return { config_schema = { type = 'object', properties = { f = print } } }"),
        ("ring", "local t = {} t.properties = t return { config_schema = t }"),
        ("begins", "return { init = coroutine.create(print) }"),
        ("many", "local d = {} for i = 1, 1100 do d[i] = 'store' end return { dependencies = d }"),
    ]);
    let refused = |module: &str| {
        let told = tried(&bench, &format!("roles.cfg({{'{module}'}})"));
        told.replace("nil, RegisterRoleError GR0501: ", "")
    };
    assert_eq!(
        refused("lists"),
        "module `lists` is no role: `dependencies` is no plain data: `[2]` is a function"
    );
    assert_eq!(
        refused("schema"),
        "module `schema` is no role: `config_schema` is no plain data: `properties.f` is a function"
    );
    assert_eq!(
        refused("ring"),
        "module `ring` is no role: `config_schema` is no plain data: `properties` contains itself"
    );
    assert_eq!(
        refused("begins"),
        "module `begins` is no role: `init` is no plain data: the value is a thread"
    );
    assert_eq!(refused("many"), "true");
    assert_eq!(tried(&bench, "#roles.get_role('many').dependencies"), "1100");
}

#[test]
fn role_08_wrong_use_is_told() {
    let bench = bench();
    let wrong = |text: &str| tried(&bench, text).replace("nil, RoleError GR0518: ", "! ");
    let asked = [
        "roles.cfg('web')",
        "roles.cfg({1})",
        "roles.cfg()",
        "roles.get_role(5)",
        "roles.get_role_dependencies()",
        "roles.get_enabled_roles('web')",
        "roles.get_enabled_roles({web = 1})",
        "roles.apply_config()",
        "roles.apply_config(5)",
        "roles.apply_config({}, true)",
        "roles.apply_config({}, {role = {'web'}})",
        "roles.apply_config({}, {colour = 1})",
        "roles.apply_config({}, {roles = 'web'})",
        "roles.apply_config({}, {is_master = 1})",
        "roles.apply_config({}, {is_master = false}, true)",
        "roles.apply_config({f = function() end})",
        "roles.before_apply_config()",
        "roles.before_apply_config({}, {colour = 1})",
        "roles.on_apply_config({})",
        "roles.on_apply_config({}, 'Applied')",
        "roles.validate_config()",
        "roles.wait_for('RoleConfigured', 1)",
        "roles.wait_for('RolesConfigured')",
        "roles.wait_for('RolesConfigured', -1)",
        "roles.keep_task()",
        "roles.keep_global(5)",
        "roles.service_get()",
    ];
    let shown: Vec<String> = asked.iter().map(|text| format!("{text}\n    {}", wrong(text))).collect();
    assert_eq!(shown.join("\n"), include_str!("wrong_use.txt").trim_end());
}

#[test]
fn role_08_an_error_of_the_caller_says_where_it_called_and_a_colon_is_a_dot() {
    let bench = Bench::app(
        "local roles = require 'graceful.roles'
        return {
            ask = function()
                local _, err = roles.get_role_dependencies('none')
                return { err.file, err.line, roles:state(), select(2, roles:get_role(5)).message }
            end,
        }",
    );
    let told = ["app.lua".into(), 4.into(), "Unconfigured".into()];
    let wrong = Value::from("get_role: expected the name of a role, got integer");
    let [file, line, state] = told;
    assert_eq!(bench.call("ask").unwrap(), list([file, line, state, wrong]));
}

#[test]
fn role_08_where_nothing_can_wait_it_is_said() {
    let bench = bench();
    let sorted = |call: &str| {
        format!(
            "(function() local a, b table.sort({{ 1, 2 }}, function(x, y) a, b = {call} return x < y end) return a, b end)()"
        )
    };
    let shown = tried(&bench, &sorted("roles.apply_config({})"));
    assert_eq!(shown, "nil, RoleError GR0518: apply_config: it waits, and nothing can wait here");
    let queued =
        format!("(function() local t = {} return t.queued, t.done() end)()", sorted("roles.reload()"));
    assert_eq!(tried(&bench, &queued), "true, false");
}
