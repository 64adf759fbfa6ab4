//! CFG: a configuration is validated by every role and applied in order; a role that fails takes down what depends on
//! it, and nothing else.

use std::time::Duration;

use graceful_core::instance::ApplyOptions;
use graceful_core::role::{ApplyReport, Did};
use graceful_core::{Config, Enabled, InstanceState, Limits, RoleError, Value};

use super::role::{must_cfg, role, roles};
use crate::op::*;
use crate::{App, Script, Subject};

pub(super) fn apply(app: &App, enabled: &[&str]) -> Result<ApplyReport, RoleError> {
    apply_this(app, enabled, &[])
}

fn apply_this(app: &App, enabled: &[&str], conf: &[(&str, Value)]) -> Result<ApplyReport, RoleError> {
    let conf = conf.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let conf = Config::new(Value::Map(conf)).unwrap();
    let options = ApplyOptions {
        enabled: Some(enabled.iter().map(|name| (*name).to_owned()).collect()),
        opts: Value::map(),
    };
    let roles = roles(app);
    app.time().block_on(async move { roles.configure(conf, options.master(true)).await })
}

/// CFG-02: what is enabled and does not run is started, what runs is told, what is not enabled any more is stopped.
pub fn cfg_02_roles_start_dependencies_first_and_stop_dependents_first<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["store"]))
        .module(role("store", &[]))
        .module(role("other", &[]))
        .start();
    must_cfg(&app, &["web", "other"]);
    apply(&app, &["web"]).unwrap();
    assert_eq!(
        app.take_notes(),
        ["validate store", "validate web", "init store", "apply store", "init web", "apply web"]
    );
    assert_eq!(roles(&app).running(), ["store", "web"]);
    apply(&app, &["web"]).unwrap();
    assert_eq!(app.take_notes(), ["validate store", "validate web", "apply store", "apply web"]);
    apply(&app, &["other"]).unwrap();
    assert_eq!(app.take_notes(), ["validate other", "stop web", "stop store", "init other", "apply other"]);
    assert_eq!(roles(&app).running(), ["other"]);
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
}

/// CFG-02: what a role has started goes when it stops, although its module stays.
pub fn cfg_02_what_a_role_started_is_released_when_it_stops<S: Subject>() {
    needs!(S: hooks, tasks, globals);
    let starts = [spawn_loop([sleep(5)]), set_global("mark", "web"), ret(true)];
    let app = App::of::<S>()
        .module(role("web", &[]).function("init", starts))
        .module(role("look", &[]).function("mark", [ret(list([global("mark")]))]))
        .start();
    must_cfg(&app, &["web", "look"]);
    let tasks = || app.status().modules.iter().map(|module| module.tasks).sum::<usize>();
    let seen = |mark: &str| assert_eq!(app.ask("look", "mark"), Value::List(vec![mark.into()]));
    seen("none");
    apply(&app, &["web", "look"]).unwrap();
    seen("web");
    assert_eq!(tasks(), 1);
    apply(&app, &["look"]).unwrap();
    seen("none");
    assert_eq!(tasks(), 0);
    apply(&app, &["web", "look"]).unwrap();
    seen("web");
    assert_eq!(tasks(), 1);
}

/// CFG-03: a role whose dependency failed is not started; the others go on, and the same may be tried again.
pub fn cfg_03_a_role_whose_dependency_failed_is_skipped<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["store"]))
        .module(role("store", &[]).function("init", [throw("no disk")]))
        .module(role("other", &[]))
        .start();
    must_cfg(&app, &["web", "other"]);
    let RoleError::Partly { report } = apply(&app, &["web", "other"]).unwrap_err() else { panic!("partly") };
    let did: Vec<_> = report.roles.iter().map(|role| (role.role.as_str(), role.did, role.running)).collect();
    assert_eq!(
        did,
        [("store", Did::Failed, false), ("web", Did::Skipped, false), ("other", Did::Started, true)]
    );
    assert!(report.failures().contains("no disk"), "{}", report.failures());
    assert_eq!(roles(&app).state(), InstanceState::OperationError);
    assert_eq!(roles(&app).trouble().unwrap().code, "GR0510");
    app.edit(role("store", &[]));
    app.must_reload();
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured, "{}", app.trace().text());
    assert_eq!(roles(&app).running(), ["store", "web", "other"]);
}

/// CFG-01: the first role that refuses is the last that is asked, and nothing has changed.
pub fn cfg_01_validation_stops_at_the_first_refusal_and_changes_nothing<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["store"]))
        .module(role("store", &[]).function("validate_config", [note("validate store"), ret(false)]))
        .module(role("off", &[]).function("validate_config", [note("validate off"), throw("off")]))
        .start();
    must_cfg(&app, &["web", "off"]);
    let refused = apply(&app, &["web"]).unwrap_err();
    assert_eq!(refused.to_string(), "role `store` refuses the configuration: validate_config returned false");
    assert_eq!(app.take_notes(), ["validate store"]);
    assert_eq!(roles(&app).state(), InstanceState::Unconfigured);
    assert_eq!(roles(&app).running(), [""; 0]);
}

/// CFG-01: a role that is not enabled is not asked, outside of a reload as in one.
pub fn cfg_01_a_disabled_role_is_not_asked<S: Subject>() {
    needs!(S: hooks);
    let off = role("off", &[]).function("validate_config", [throw("never")]);
    let app = App::of::<S>().module(role("web", &[])).module(off).start();
    must_cfg(&app, &["web", "off"]);
    apply(&app, &["web"]).unwrap();
    app.time().block_on(roles(&app).reload()).unwrap();
    assert_eq!(roles(&app).running(), ["web"]);
}

/// CFG-02, SCOPE-01: a role that fails to start leaves nothing that it had begun.
pub fn cfg_02_a_role_that_fails_to_start_leaves_nothing<S: Subject>() {
    needs!(S: hooks, tasks, globals);
    let starts = [spawn_loop([sleep(5)]), set_global("mark", "web"), throw("late")];
    let app = App::of::<S>()
        .module(role("web", &[]).function("init", starts))
        .module(role("look", &[]).function("mark", [ret(list([global("mark")]))]))
        .start();
    must_cfg(&app, &["web", "look"]);
    apply(&app, &["web", "look"]).unwrap_err();
    assert_eq!(app.ask("look", "mark"), Value::List(vec!["none".into()]));
    assert_eq!(app.status().modules.iter().map(|module| module.tasks).sum::<usize>(), 0);
}

/// CFG-04: the two callbacks around the apply; what they fail with is told and fails nothing.
pub fn cfg_04_the_callbacks_around_an_apply_fail_nothing<S: Subject>() {
    needs!(S: hooks);
    let web = role("web", &[])
        .function("before_apply_config", [note("before"), throw("before")])
        .function("on_apply_config", [note("on"), note(arg(0, "name")), throw("after")]);
    let app = App::of::<S>().module(web).start();
    must_cfg(&app, &["web"]);
    let report = apply_this(&app, &["web"], &[("name", "shop".into())]).unwrap();
    assert_eq!(app.take_notes(), ["validate web", "before", "init web", "apply web", "on", "shop"]);
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
}

/// CFG-04: each of the two can be called by itself, of the roles that an apply would tell; what they fail with is told.
pub fn cfg_04_the_callbacks_around_an_apply_can_be_called_by_themselves<S: Subject>() {
    needs!(S: hooks);
    let around = |name: &str, dependencies: &[&str]| {
        Script::plain(name)
            .value("dependencies", dependencies.iter().map(|name| Value::from(*name)).collect::<Vec<_>>())
            .function("before_apply_config", [note(format!("before {name}")), note(arg(1, "is_master"))])
            .function("on_apply_config", [note(format!("on {name}")), note(arg(0, "name")), throw("late")])
    };
    let app = App::of::<S>()
        .module(around("web", &["store"]))
        .module(around("store", &[]))
        .module(around("off", &[]))
        .start();
    must_cfg(&app, &["web", "off"]);
    let conf = || Config::new(Value::Map([("name".to_owned(), "shop".into())].into())).unwrap();
    let before = |enabled: Option<Enabled>| {
        let (roles, options) = (roles(&app), ApplyOptions { enabled, ..ApplyOptions::default() });
        app.time().block_on(async move { roles.before_apply_config(conf(), options.master(true)).await })
    };
    assert_eq!(before(Some(["web"].into())).unwrap(), [""; 0]);
    assert_eq!(app.take_notes(), ["before store", "true", "before web", "true"]);
    assert_eq!(before(Some(["wab"].into())).unwrap_err().code().0, "GR0504");
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    let on = || {
        let roles = roles(&app);
        let state = InstanceState::OperationError;
        app.time().block_on(async move { roles.on_apply_config(conf(), state).await })
    };
    let failed = on().unwrap();
    assert_eq!(app.take_notes(), ["on store", "shop", "on web", "shop"]);
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed[0].starts_with("on_apply_config of role `store` failed: "), "{failed:?}");
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured, "nothing was applied");
    assert_eq!(roles(&app).config().unwrap().section("name"), None);
    app.time()
        .block_on({
            let roles = roles(&app);
            async move { roles.stop().await }
        })
        .unwrap();
    assert_eq!((on().unwrap_err().code().0, before(None).unwrap_err().code().0), ("GR0513", "GR0513"));
    assert!(app.take_notes().is_empty());
}

/// CFG-05: every role is told the same document, and the last one that was applied is what a reload validates.
pub fn cfg_05_a_reload_validates_the_last_configuration_applied<S: Subject>() {
    needs!(S: hooks);
    let web = role("web", &[]).function("apply_config", [note(arg(0, "limit")), note(arg(1, "is_master"))]);
    let app = App::of::<S>().module(web.clone()).start();
    must_cfg(&app, &["web"]);
    apply_this(&app, &["web"], &[("limit", 5.into()), ("ok", true.into())]).unwrap();
    assert_eq!(app.take_notes(), ["validate web", "init web", "5", "true"]);
    app.edit(
        web.function("validate_config", [note(arg(0, "limit")), note(arg(1, "limit")), ret(arg(0, "ok"))]),
    );
    app.must_reload();
    assert_eq!(app.take_notes(), ["5", "5", "stop web", "init web", "5", "true"]);
    let refused = apply_this(&app, &["web"], &[("limit", 6.into()), ("ok", false.into())]).unwrap_err();
    assert_eq!(refused.code().0, "GR0507");
    assert_eq!(app.take_notes(), ["6", "5"]);
    assert_eq!(roles(&app).config().unwrap().section("limit"), Some(&5.into()));
}

/// CFG-06: every role is stopped, dependents first, whatever a `stop` fails with or however long it takes.
pub fn cfg_06_stop_stops_every_role_whatever_fails<S: Subject>() {
    needs!(S: hooks, waits);
    let limits = Limits { retire: Duration::from_millis(200), ..Limits::default() };
    let app = App::of::<S>()
        .limits(limits)
        .module(role("web", &["store"]).function("stop", [note("stop web"), wait("never")]))
        .module(role("store", &["disk"]).function("stop", [note("stop store"), throw("no")]))
        .module(role("disk", &[]))
        .start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    let instance = roles(&app);
    let report = app.time().block_on(async move { instance.stop().await }).unwrap();
    assert_eq!(app.take_notes(), ["stop web", "stop store", "stop disk"]);
    let codes: Vec<_> = report.roles.iter().map(|role| role.code.as_deref()).collect();
    assert_eq!(codes, [Some("GR0509"), Some("GR0508"), None]);
    assert_eq!((roles(&app).state(), roles(&app).running().len()), (InstanceState::Stopped, 0));
    assert_eq!(apply(&app, &["web"]).unwrap_err().code().0, "GR0513");
}
