//! CFG: a configuration is validated by every role and applied in order; a role that fails takes down what depends on
//! it, and nothing else.

use graceful_core::instance::ApplyOptions;
use graceful_core::role::{ApplyReport, Did};
use graceful_core::{Config, InstanceState, RoleError, Value};

use super::role::{must_cfg, role, roles};
use crate::op::*;
use crate::{App, Subject};

pub(super) fn apply(app: &App, enabled: &[&str]) -> Result<ApplyReport, RoleError> {
    let options = ApplyOptions {
        enabled: Some(enabled.iter().map(|name| (*name).to_owned()).collect()),
        opts: Value::map(),
    };
    let roles = roles(app);
    app.time().block_on(async move { roles.configure(Config::default(), options.master(true)).await })
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
