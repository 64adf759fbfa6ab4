//! SM, FRB: the reload of roles, and what the instance's state says of it.

use std::time::Duration;

use graceful_core::{InstanceState, Outcome, ReloadError, Report, Value};

use super::cfg::apply;
use super::role::{must_cfg, role, roles};
use crate::op::{Op, *};
use crate::{App, AppBuilder, Script, Subject};

/// What `web` and `store`, on which it depends, note when both are reloaded.
const RESTARTED: [&str; 8] = [
    "validate store",
    "validate web",
    "stop web",
    "stop store",
    "init store",
    "apply store",
    "init web",
    "apply web",
];

/// `app` with the roles `of` registered and enabled.
pub(super) fn running(app: AppBuilder, of: &[&str]) -> App {
    let app = app.start();
    must_cfg(&app, of);
    apply(&app, of).unwrap();
    app.take_notes();
    app
}

pub(super) fn reload(app: &App) -> Result<Report, ReloadError> {
    app.time().block_on(roles(app).reload())
}

/// SM-03: the new code is staged and asked before the old roles stop; then they stop, dependents first, and the new
/// ones start, dependencies first.
pub fn sm_03_the_new_code_is_asked_before_the_old_roles_stop<S: Subject>() {
    needs!(S: hooks);
    let app = running(App::of::<S>().module(role("web", &["store"])).module(role("store", &[])), &["web"]);
    let report = reload(&app).unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    assert_eq!(app.take_notes(), RESTARTED);
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
    assert_eq!(roles(&app).running(), ["store", "web"]);
}

/// SM-04: a failure before *stop* touches no role; the state says so, and the next reload is allowed.
pub fn sm_04_a_failure_before_stop_touches_no_role<S: Subject>() {
    needs!(S: hooks);
    let app = running(App::of::<S>().module(role("web", &["store"])).module(role("store", &[])), &["web"]);
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
    let app = running(
        App::of::<S>()
            .module(role("web", &["store"]).function("look", [ret("old")]))
            .module(role("store", &[])),
        &["web"],
    );
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
    let undone = ["web: state", "store: state", "store: role store", "web: role web"];
    assert_eq!(error.report.rolled_back, undone);
    assert_eq!(roles(&app).state(), InstanceState::ReloadError);
    assert_eq!(roles(&app).running(), ["store", "web"]);
    assert_eq!(app.ask("web", "look"), "old".into());
}

/// SM-02, FRB-01, FRB-02: the ban comes first, then the flag, then the state; nothing is touched.
pub fn sm_02_a_reload_that_is_not_allowed_touches_nothing<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &[])).start();
    must_cfg(&app, &["web"]);
    let roles = app.engine().roles();
    let refused = || app.time().block_on(app.engine().roles().reload()).unwrap_err().code().0;
    assert_eq!(refused(), "GR0513");
    roles.forbid_reload();
    assert_eq!(refused(), "GR0512");
    roles.set_reload_allowed(false);
    assert_eq!(refused(), "GR0511");
    assert!(roles.is_reload_forbidden());
    assert_eq!(roles.state(), InstanceState::Unconfigured);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    roles.set_reload_allowed(false);
    assert_eq!(refused(), "GR0511");
    roles.set_reload_allowed(true);
    assert_eq!(refused(), "GR0512");
    app.edit(role("web", &[]).comment("edited"));
    assert_eq!(app.must_fail().code().0, "GR0512", "a reload of what changed stops roles as well");
    assert_eq!((roles.state(), app.take_notes().len()), (InstanceState::RolesConfigured, 0));
    roles.allow_reload();
    assert!(!roles.is_reload_forbidden());
    app.must_reload();
}

/// SM-05: a role that is enabled and that the new code renamed.
pub fn sm_05_an_enabled_role_that_is_renamed_is_an_error<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &[])).module(role("off", &[])).start();
    must_cfg(&app, &["web", "off"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    app.edit(role("web", &[]).value("role_name", "site"));
    let error = reload(&app).unwrap_err();
    assert_eq!(
        error.kind.to_string(),
        "role `web` is enabled and the new code has no such role; module `web` had it"
    );
    assert_eq!((app.take_notes().len(), roles(&app).state()), (0, InstanceState::ReloadError));
    app.edit(role("web", &[]));
    app.edit(role("off", &[]).value("role_name", "away"));
    reload(&app).unwrap();
    assert_eq!(roles(&app).get_all_roles(), ["web", "away"]);
}

/// SM-06: waiting for a state works from any other, and gives up in time.
pub fn sm_06_a_state_is_waited_for_from_any_other<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &[])).start();
    must_cfg(&app, &["web"]);
    let wait = |state: InstanceState, ms: u64| {
        let roles = roles(&app);
        async move { roles.wait_for(state, Duration::from_millis(ms)).await }
    };
    let waiting = app.time().spawn(wait(InstanceState::RolesConfigured, 5_000));
    assert_eq!(app.time().block_on(wait(InstanceState::Stuck, 20)), Err(InstanceState::Unconfigured));
    apply(&app, &["web"]).unwrap();
    assert_eq!(waiting.join(), Ok(()));
}

/// SM-07: a reload of what changed stops and starts the roles in its set and what depends on them, and no others.
pub fn sm_07_an_incremental_reload_restarts_only_its_roles<S: Subject>() {
    needs!(S: hooks);
    let app = running(
        App::of::<S>().module(role("web", &["store"])).module(role("store", &[])).module(role("other", &[])),
        &["web", "other"],
    );
    app.edit(role("store", &[]).comment("edited"));
    let plan = app.plan().unwrap();
    let reason = |module: &str| plan.step(module).map(|step| step.reason.to_string());
    assert_eq!(reason("store").as_deref(), Some("changed"));
    assert_eq!(reason("web").as_deref(), Some("depends on store"));
    assert_eq!(reason("other"), None);
    app.must_reload();
    assert_eq!(app.take_notes(), RESTARTED);
}

/// SM-03: a role that the new code begins to depend on is started, whoever asks what is enabled while the old ones stop.
pub fn sm_03_a_new_dependency_is_started<S: Subject>() {
    needs!(S: hooks, waits);
    let app = App::of::<S>()
        .entry("main")
        .module(Script::plain("main"))
        .module(role("web", &["store"]).function("stop", [note("stopping"), wait("go")]))
        .module(role("store", &[]))
        .module(role("cache", &[]))
        .start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.edit(role("web", &["cache"]));
    let instance = roles(&app);
    let reloading = app.time().spawn(async move { instance.reload().await });
    app.until_noted("stopping");
    let web = ["web"].into();
    assert_eq!(roles(&app).get_enabled_roles(&web).unwrap(), ["store", "web"]);
    app.open("go");
    reloading.join().unwrap();
    assert_eq!(roles(&app).get_enabled_roles(&web).unwrap(), ["cache", "web"]);
    assert_eq!(roles(&app).running(), ["cache", "web"], "{}", app.trace().text());
    let gone = |app: &App| !app.status().modules.iter().any(|module| module.name == "store");
    app.edit(role("cache", &[]).comment("edited"));
    app.must_reload();
    assert!(gone(&app), "what no role depends on any more has left");
}

/// SM-04: the roles before it cannot be started again: stuck, until a reload repairs it.
pub fn sm_04_roles_that_cannot_be_brought_back_are_stuck<S: Subject>() {
    needs!(S: hooks, kept_functions);
    // It can be started once: what it starts with is gone when it stops.
    let web = Script::new("web")
        .top([keep("f", [ret(true)])])
        .function("init", [eval(kept("f")), ret(true)])
        .function("stop", [set("f", Value::Null)]);
    let app = App::of::<S>().module(web.clone()).module(role("other", &[])).start();
    must_cfg(&app, &["web", "other"]);
    apply(&app, &["web", "other"]).unwrap();
    app.edit(web.clone().function("init", [throw("new")]));
    let error = reload(&app).unwrap_err();
    assert!(error.is_stuck(), "{error:?}");
    assert!(error.left[0].starts_with("web: role web: init of role `web` failed"), "{:?}", error.left);
    assert_eq!(
        (roles(&app).state(), roles(&app).running()),
        (InstanceState::Stuck, vec!["other".to_owned()])
    );
    assert_eq!(apply(&app, &["web"]).unwrap_err().code().0, "GR0513");
    app.edit(web.comment("mended"));
    reload(&app).unwrap();
    assert_eq!((roles(&app).state(), roles(&app).running().len()), (InstanceState::RolesConfigured, 2));
}

/// CALL-03: a request that comes while the roles are down waits, and none fails.
pub fn call_03_requests_wait_while_roles_are_down<S: Subject>() {
    needs!(S: hooks, waits, routes);
    let web = |text: &str| role("web", &[]).route("GET /web", [ret(text)]);
    let app = App::of::<S>().module(web("old").function("stop", [note("stopping"), wait("go")])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.edit(web("new"));
    let reloading = app.begin_reload();
    app.until_noted("stopping");
    let engine = app.engine().clone();
    let asked = async move { engine.call_registered("route", "GET /web", vec![Value::map()]).await };
    let asking = app.time().spawn(asked);
    app.time().settle();
    assert!(!asking.is_done());
    app.open("go");
    reloading.join().unwrap();
    assert_eq!(asking.join(), Ok("new".into()));
}

/// FRB-03: tasks end with a reload from a clean slate, those in a state too, unless they are kept by owner and name.
pub fn frb_03_tasks_end_unless_they_are_kept<S: Subject>() {
    needs!(S: hooks, tasks, handover);
    let web = |key: &str| {
        let keeps = Op::Spawn { keep: Some(key.into()), forever: true, body: vec![sleep(5)] };
        Script::new("web").function("init", [keeps, ret(true)])
    };
    let app = App::of::<S>().module(web("one")).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let tasks = || app.status().modules.iter().map(|module| module.tasks).sum::<usize>();
    assert_eq!(tasks(), 1);
    reload(&app).unwrap();
    assert_eq!(tasks(), 1, "the old one ended, the new one runs");
    app.edit(web("two"));
    app.must_reload();
    assert_eq!(tasks(), 2, "one that is kept in the state is taken over by an incremental reload");
    reload(&app).unwrap();
    assert_eq!(tasks(), 1, "and ends with the next one from a clean slate");
}

/// SHUT-01: a shutdown stops the roles, dependents first, before any module is finalized.
pub fn shut_01_roles_stop_before_modules_are_finalized<S: Subject>() {
    needs!(S: hooks);
    let told = |name: &str| [note(format!("stop {name}")), ret(true)];
    let store = Script::new("store").finalize([note("finalize store")]).function("stop", told("store"));
    let web = Script::new("web").value("dependencies", ["store"]).function("stop", told("web"));
    let app = App::of::<S>().module(web.finalize([note("finalize web")])).module(store).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let report = app.time().block_on(app.engine().shutdown(Default::default()));
    assert!(report.is_clean(), "{report:?}");
    let notes = app.take_notes();
    assert_eq!(notes[..2], ["stop web", "stop store"]);
    assert_eq!(notes.len(), 4);
    assert_eq!(roles(&app).state(), InstanceState::Stopped);
}
