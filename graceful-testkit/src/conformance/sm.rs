//! SM, FRB: the reload of roles, and what the instance's state says of it.

use graceful_core::{InstanceState, Outcome, ReloadError, Report};

use super::cfg::apply;
use super::role::{must_cfg, role, roles};
use crate::op::*;
use crate::{App, Subject};

fn reload(app: &App) -> Result<Report, ReloadError> {
    app.time().block_on(roles(app).reload())
}

/// SM-03: the new code is staged and asked before the old roles stop; then they stop, dependents first, and the new
/// ones start, dependencies first.
pub fn sm_03_the_new_code_is_asked_before_the_old_roles_stop<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &["store"])).module(role("store", &[])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    let report = reload(&app).unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    let expected = [
        "validate store",
        "validate web",
        "stop web",
        "stop store",
        "init store",
        "apply store",
        "init web",
        "apply web",
    ];
    assert_eq!(app.take_notes(), expected);
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
    assert_eq!(roles(&app).running(), ["store", "web"]);
}

/// SM-04: a failure before *stop* touches no role; the state says so, and the next reload is allowed.
pub fn sm_04_a_failure_before_stop_touches_no_role<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &["store"])).module(role("store", &[])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    app.edit(role("store", &[]).function("validate_config", [note("validate store"), throw("never")]));
    let error = reload(&app).unwrap_err();
    assert_eq!((error.code().0, error.module().unwrap().as_str()), ("GR0507", "store"));
    assert_eq!(app.take_notes(), ["validate store"]);
    assert_eq!(roles(&app).state(), InstanceState::ReloadError);
    assert_eq!(roles(&app).trouble().unwrap().code, "GR0507");
    app.edit(role("store", &[]));
    reload(&app).unwrap();
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
    assert!(roles(&app).trouble().is_none());
}

/// SM-04: after *stop* the previous code is started again, and serves.
pub fn sm_04_after_a_failing_init_the_previous_roles_serve_again<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["store"]).function("look", [ret("old")]))
        .module(role("store", &[]))
        .start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    app.edit(role("web", &["store"]).function("look", [ret("new")]).function("init", [throw("no")]));
    let error = reload(&app).unwrap_err();
    assert_eq!((error.code().0, error.module().unwrap().as_str()), ("GR0508", "web"));
    let expected = [
        "validate store",
        "validate web",
        "stop web",
        "stop store",
        "init store",
        "apply store", // the new store
        "init store",
        "apply store",
        "init web",
        "apply web",
    ];
    assert_eq!(app.take_notes(), expected);
    assert_eq!(error.report.rolled_back, ["store: role store", "web: role web"]);
    assert_eq!(roles(&app).state(), InstanceState::ReloadError);
    assert_eq!(roles(&app).running(), ["store", "web"]);
    assert_eq!(app.ask("web", "look"), "old".into());
}
