//! The functions of roles, called from Lua.

use graceful_core::Value;

use crate::testing::{Bench, list};

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
            ("roles.stop()", "true"),
            ("notes.said", " init web true apply web 80 apply web 81 stop web"),
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
            ("(function() local _, e = roles.validate_config({bad = 1}, nil, {roles = {'web'}}) return e.module, e.file, e.line, e.code, e.retryable end)()", "store, store.lua, 4, GR0507, false"),
            (
                "roles.cfg({'web', 'nowhere'})",
                "nil, RegisterRoleError GR0103: module `nowhere` is missing: required by the list of roles; searched memory:nowhere",
            ),
            ("roles.reload()", "nil, HotReloadError GR0511: this application forbids reloading roles; it is allowed by `roles_reload_allowed`"),
            ("roles.wait_for('RolesConfigured', 0.01)", "nil, StateError GR0518: the state is Unconfigured, and was not RolesConfigured within 10ms"),
        ],
    );
}

#[test]
fn role_08_wrong_use_is_told() {
    let bench = bench();
    let wrong = |text: &str| tried(&bench, text).replace("nil, RoleError GR0517: ", "! ");
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
    assert_eq!(shown, "nil, RoleError GR0517: apply_config: it waits, and nothing can wait here");
    let queued = format!("(function() local t = {} return t.queued, t.done() end)()", sorted("roles.reload()"));
    assert_eq!(tried(&bench, &queued), "true, false");
}

#[test]
fn frb_02_forbidding_is_a_flag_and_the_order_of_checks_is_ban_flag_state() {
    let bench = bench();
    let reload = |code: &str| {
        let shown = tried(&bench, "roles.reload()");
        assert!(shown.starts_with(&format!("nil, {code}")), "{shown}");
    };
    all(&bench, &[("roles.is_reload_forbidden()", "true"), ("roles.forbid_reload()", "true")]);
    reload("HotReloadError GR0511");
    bench.engine.roles().set_reload_allowed(true);
    reload("HotReloadError GR0512");
    all(&bench, &[("roles.allow_reload()", "true"), ("roles.is_reload_forbidden()", "false")]);
    reload("StateError GR0513");
    all(
        &bench,
        &[
            ("roles.cfg({'web'})", "true"),
            ("roles.apply_config({}, {roles = {'web'}})", "true"),
            ("roles.forbid_reload()", "true"),
        ],
    );
    reload("HotReloadError GR0512");
    all(&bench, &[("roles.state()", "RolesConfigured"), ("roles.allow_reload()", "true"), ("roles.reload()", "true")]);
}

#[test]
fn sm_03_a_call_that_reloads_the_roles_is_parked_and_goes_on_with_the_new_code() {
    let caller = "local graceful, roles = require 'graceful', require 'graceful.roles'
        state = graceful.register_module('app', { drain = true }).state
        return {
            try = function()
                local ok, err = roles.reload()
                return { tostring(ok), tostring(err), roles.service_get('web').port }
            end,
        }";
    let bench = bench();
    bench.engine.roles().set_reload_allowed(true);
    all(&bench, &[("roles.cfg({'web'})", "true"), ("roles.apply_config({}, {roles = {'web'}})", "true")]);
    bench.put("app", caller);
    bench.reload();
    bench.put("web", &WEB.replace("80", "90"));
    assert_eq!(bench.call("try").unwrap(), list(["true".into(), "nil".into(), 90.into()]));
}

#[test]
fn role_08_in_a_callback_what_would_wait_for_it_is_refused_at_once() {
    let bench = bench();
    let web = "local roles = require 'graceful.roles'
        local notes, at_load = require 'notes', tostring(roles.reload())
        return {
            init = function()
                notes.said = at_load
                local function refused(_, err) notes.said = notes.said .. ' ' .. err.code end
                for _, name in ipairs{'cfg', 'validate_config', 'apply_config', 'stop', 'reload'} do refused(roles[name]({})) end
                refused(roles.wait_for('Stopped', 1))
            end,
        }";
    bench.put("web", web);
    all(
        &bench,
        &[
            ("roles.cfg({'web'})", "true"),
            ("roles.apply_config({}, {roles = {'web'}})", "true"),
            ("notes.said", "true GR0514 GR0514 GR0514 GR0514 GR0116 GR0514"),
        ],
    );
}

#[test]
fn frb_02_what_is_forbidden_in_a_reload_that_fails_is_not_forbidden() {
    let bench = bench();
    bench.engine.roles().set_reload_allowed(true);
    bench.put("web", "require('graceful.roles').forbid_reload() error('no') return {}");
    let shown = tried(&bench, "roles.cfg({'web'})");
    assert!(shown.starts_with("nil, RegisterRoleError GR0302: "), "{shown}");
    assert_eq!(tried(&bench, "roles.is_reload_forbidden()"), "false");
    bench.put("web", "require('graceful.roles').forbid_reload() return {}");
    all(&bench, &[("roles.cfg({'web'})", "true"), ("roles.is_reload_forbidden()", "true")]);
}

#[test]
fn frb_03_what_is_kept_by_name_outlives_a_reload_of_roles() {
    let bench = bench();
    bench.engine.roles().set_reload_allowed(true);
    let web = "local roles, fiber = require 'graceful.roles', require 'fiber'
        return {
            init = function()
                roles.keep_global('kept')
                kept, lost = (kept or 0) + 1, (lost or 0) + 1
            end,
        }";
    bench.put("web", web);
    all(
        &bench,
        &[
            ("roles.cfg({'web'})", "true"),
            ("roles.apply_config({}, {roles = {'web'}})", "true"),
            ("roles.reload()", "true"),
            ("{kept, lost}", "{2 1}"),
        ],
    );
}

#[test]
fn sm_06_a_task_waits_for_a_state() {
    let bench = bench();
    bench.put(
        "app",
        &APP.replace(
            "return {",
            "state = require('graceful').register_module('app', { drain = true }).state
            state.f = state.f or fiber.new(function()
                state.saw = select('#', roles.wait_for('RolesConfigured', 60)) .. roles.state()
            end)
            return {",
        ),
    );
    bench.reload();
    bench.pass(10);
    assert_eq!(bench.state("saw"), "nil");
    all(&bench, &[("roles.cfg({'web'})", "true"), ("roles.apply_config({}, {roles = {'web'}})", "true")]);
    bench.pass(10);
    assert_eq!(bench.state("saw"), "1RolesConfigured");
    assert_eq!(Value::from("Stopped"), bench.call_with("try", vec!["roles.stop() and roles.state()".into()]).unwrap());
}
