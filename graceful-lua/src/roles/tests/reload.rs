//! Reloading roles, from Lua: forbidden, parked, refused; what is kept.

use graceful_core::Value;

use super::{APP, STORE, WEB, all, bench, tried};
use crate::testing::{Bench, list};

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
    all(
        &bench,
        &[("roles.state()", "RolesConfigured"), ("roles.allow_reload()", "true"), ("roles.reload()", "true")],
    );
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
fn sm_03_new_code_gets_the_service_of_what_it_depends_on_while_it_starts() {
    let bench = bench();
    bench.engine.roles().set_reload_allowed(true);
    let web = "local roles, notes = require 'graceful.roles', require 'notes'
        return {
            dependencies = { 'store' },
            init = function() notes.said = notes.said .. ' ' .. roles.service_get('storage').get('k') end,
            stop = function() notes.said = notes.said .. ' stop ' .. roles.service_get('storage').get('s') end,
        }";
    bench.put("web", web);
    let start = [("roles.cfg({'web'})", "true"), ("roles.apply_config({}, {roles = {'web'}})", "true")];
    all(&bench, &start);
    bench.put("store", &STORE.replace("value of", "new value of"));
    all(&bench, &[("roles.reload()", "true"), ("notes.said", " value of k stop value of s new value of k")]);
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
    assert_eq!(
        Value::from("Stopped"),
        bench.call_with("try", vec!["roles.stop() and roles.state()".into()]).unwrap()
    );
}

#[test]
fn frb_03_a_task_is_kept_by_owner_and_name_in_a_reload_from_a_clean_slate() {
    let web = |starts: &str| {
        format!(
            "local fiber, roles = require 'fiber', require 'graceful.roles'
            local function start(name)
                local f = fiber.new(function() while true do fiber.sleep(1) end end)
                f:name(name)
            end
            return {{ init = function() {starts} end }}"
        )
    };
    let both = web("start('kept') start('lost') roles.keep_task('kept')");
    let other = "local roles = require 'graceful.roles'
        return { init = function() roles.keep_task('lost') end }";
    let bench = Bench::new(&[("app", "return {}"), ("web", &both), ("other", other)]);
    let roles = bench.engine.roles();
    roles.set_reload_allowed(true);
    bench.clock.block_on(roles.cfg(["web", "other"])).unwrap();
    let enabled = Some(["web", "other"].into());
    let options = graceful_core::instance::ApplyOptions { enabled, ..Default::default() };
    bench.clock.block_on(roles.apply_config(Default::default(), options)).unwrap();
    let tasks = || {
        let web = bench.engine.world().live("web").unwrap();
        let mut names: Vec<String> = web.scope.resources().iter().map(|task| task.key()).collect();
        names.sort();
        names
    };
    assert_eq!(tasks(), ["kept", "lost"]);
    bench.put("web", &web("start('new')"));
    bench.clock.block_on(roles.reload()).unwrap();
    assert_eq!(tasks(), ["kept", "new"], "`lost` is another owner's word");
}
