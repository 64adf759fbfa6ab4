//! SM, FRB: roles that resist: a `stop` that never ends, tasks that will not, what is kept by owner and name.

use std::time::Duration;

use graceful_core::{InstanceState, Limits, Outcome};

use super::cfg::apply;
use super::role::{must_cfg, role, roles};
use crate::op::{Op, *};
use crate::{App, Script, Subject};

fn limited<S: Subject>() -> crate::scenario::AppBuilder {
    let limits = Limits { hook: Duration::from_millis(200), ..Limits::default() };
    App::of::<S>().limits(limits)
}

fn tasks(app: &App) -> usize {
    app.status().modules.iter().map(|module| module.tasks).sum()
}

/// SM-03, HOOK-05: a `stop` that waits for ever has its deadline; it is reported, and the reload goes on.
pub fn sm_03_a_stop_that_never_returns_holds_up_nothing<S: Subject>() {
    needs!(S: hooks, waits);
    let web = role("web", &[]).function("stop", [note("stopping"), wait("never")]);
    let app = limited::<S>().module(web).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let report = app.time().block_on(roles(&app).reload()).unwrap();
    let warnings = report.warnings.join("\n");
    assert!(warnings.contains("stop of role `web` ran longer than 200ms"), "{warnings}");
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
}

/// The same for one that does not give its thread back.
pub fn sm_03_a_stop_that_spins_is_stopped<S: Subject>() {
    needs!(S: hooks, stops_loops);
    let app = limited::<S>().module(role("web", &[]).function("stop", [Op::Spin])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let report = app.time().block_on(roles(&app).reload()).unwrap();
    assert!(report.warnings.join("\n").contains("stop of role `web`"), "{:?}", report.warnings);
    assert_eq!(roles(&app).running(), ["web"]);
}

/// CFG-02: and for an `init` outside of a reload: the role fails, and nothing of it is left.
pub fn cfg_02_an_init_that_spins_is_stopped<S: Subject>() {
    needs!(S: hooks, stops_loops);
    let limits = Limits { role: Duration::from_millis(200), ..Limits::default() };
    let app = App::of::<S>().limits(limits).module(role("web", &[]).function("init", [Op::Spin])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap_err();
    assert_eq!(roles(&app).state(), InstanceState::OperationError);
    app.edit(role("web", &[]));
    app.must_reload();
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
}

/// SCOPE-02: a role's task that swallows every error ends with its role, and is awaited.
pub fn scope_02_a_roles_task_that_swallows_cancellation_ends<S: Subject>() {
    needs!(S: hooks, tasks, catches);
    let stubborn = [spawn_loop([attempt([sleep(5), throw("again")])]), ret(true)];
    let app =
        limited::<S>().module(role("web", &[]).function("init", stubborn)).module(role("other", &[])).start();
    must_cfg(&app, &["web", "other"]);
    apply(&app, &["web", "other"]).unwrap();
    assert_eq!(tasks(&app), 1);
    app.time().block_on(roles(&app).reload()).unwrap();
    assert_eq!(tasks(&app), 1, "the old one ended, the new one runs");
    apply(&app, &["other"]).unwrap();
    assert_eq!(tasks(&app), 0);
}

/// SCOPE-02: nobody waits for a task of a role that stands still while its role is stopped: it ends there and then, before
/// the new code starts.
pub fn scope_02_a_task_that_stands_still_ends_with_its_role<S: Subject>() {
    needs!(S: hooks, tasks, waits);
    let ticks = |name: &str| [spawn_loop([sleep(5)]), note(format!("init {name}")), ret(true)];
    let web = role("web", &["store"]).function("init", ticks("web"));
    let app = App::of::<S>()
        .module(web.function("stop", [note("stopping"), wait("go")]))
        .module(role("store", &[]).function("init", ticks("store")))
        .start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.trace().clear();
    let instance = roles(&app);
    let reloading = app.time().spawn(async move { instance.reload().await });
    app.until_noted("stopping");
    app.time().pass(Duration::from_millis(20));
    app.open("go");
    let report = reloading.join().unwrap();
    assert_eq!(report.warnings, [""; 0]);
    let trace = app.trace().text();
    let at = |text: &str| trace.find(text).unwrap_or_else(|| panic!("{text}\n{trace}"));
    assert!(at("released store task") < at("init of role store"), "{trace}");
    assert_eq!(tasks(&app), 2, "the new ones");
}

/// FRB-03: a global that is kept lives on, by its owner and its name; another one of the same role does not.
pub fn frb_03_globals_are_kept_by_owner_and_name<S: Subject>() {
    needs!(S: hooks, globals);
    let makes = |name: &str| {
        let sets = [set_global("kept", name), set_global("lost", name), ret(true)];
        Script::plain(name).function("init", sets)
    };
    let look = Script::plain("look").function("all", [ret(list([global("kept"), global("lost")]))]);
    let app = App::of::<S>().module(makes("web")).module(look).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let seen = |kept: &str, lost: &str| {
        assert_eq!(app.ask("look", "all"), vec![kept.into(), lost.into()].into());
    };
    seen("web", "web");
    roles(&app).keep_global("web", "kept");
    roles(&app).keep_global("other", "lost");
    app.edit(role("web", &[]));
    app.time().block_on(roles(&app).reload()).unwrap();
    seen("web", "none");
}

/// SM-03: what is loaded since roles are registered is reloaded, plain modules too; what was there before is not.
pub fn sm_03_everything_since_cfg_is_reloaded_and_nothing_before<S: Subject>() {
    needs!(S: hooks, plain);
    let app = App::of::<S>()
        .entry("main")
        .module(Script::plain("main").requires("early"))
        .module(Script::plain("early"))
        .module(role("web", &[]).requires("early").requires("late"))
        .module(Script::plain("late"))
        .start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    let report = app.time().block_on(roles(&app).reload()).unwrap();
    let reloaded: Vec<&str> = report.modules.iter().map(|module| module.module.as_str()).collect();
    assert!(["late", "web"].iter().all(|name| reloaded.contains(name)), "{reloaded:?}");
    assert!(!["early", "main"].iter().any(|name| reloaded.contains(name)), "{reloaded:?}");
}

/// SM-05: a permanent role is enabled everywhere: it does not go with its source.
pub fn sm_05_a_permanent_role_whose_source_is_gone_is_an_error<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &[]))
        .module(role("off", &[]))
        .module(role("watchdog", &[]).value("permanent", true))
        .start();
    must_cfg(&app, &["web", "off", "watchdog"]);
    apply(&app, &["web"]).unwrap();
    app.take_notes();
    app.remove("watchdog");
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().unwrap().as_str()), ("GR0506", "watchdog"));
    assert_eq!((app.take_notes().len(), roles(&app).running().len()), (0, 2));
    app.edit(role("watchdog", &[]).value("permanent", true));
    app.remove("off");
    app.must_reload();
    assert_eq!(roles(&app).get_all_roles(), ["web", "watchdog"], "one that does not run may go");
}

/// SM-04: what failed was put back as it was: there is nothing to reload, and the failure is over.
pub fn sm_04_a_failure_is_over_when_nothing_is_left_to_reload<S: Subject>() {
    needs!(S: hooks, texts);
    let app = App::of::<S>().module(role("web", &[])).start();
    must_cfg(&app, &["web"]);
    apply(&app, &["web"]).unwrap();
    app.edit(role("web", &[]).function("init", [throw("no")]));
    app.must_fail();
    assert_eq!(roles(&app).state(), InstanceState::ReloadError);
    app.take_notes();
    app.edit(role("web", &[]));
    assert_eq!(app.must_reload().outcome, Outcome::Unchanged);
    assert_eq!(roles(&app).state(), InstanceState::RolesConfigured);
    assert!(roles(&app).trouble().is_none());
    assert_eq!(app.take_notes(), [""; 0], "nothing was stopped, started or told");
}

/// SM-04, ST-02: a state that is too large to be copied does not keep its module from ever being reloaded again.
pub fn sm_04_new_code_may_say_that_its_roles_state_is_not_to_be_copied<S: Subject>() {
    needs!(S: hooks);
    let counts = |name: &str| Script::new(name).function("init", [inc("starts"), ret(true)]);
    let app = App::of::<S>().module(counts("web")).module(counts("store")).start();
    must_cfg(&app, &["web", "store"]);
    apply(&app, &["web", "store"]).unwrap();
    app.edit(counts("store").checkpoint("none"));
    app.edit(counts("web").function("apply_config", [throw("no")]));
    let error = app.must_fail();
    let undone = ["web: state", "web: role web", "store: role store"];
    assert_eq!(error.report.rolled_back, undone, "{error:?}");
}
