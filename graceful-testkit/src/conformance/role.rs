//! ROLE: roles of any language in one graph, registered together with what they depend on.

use graceful_core::instance::Instance;
use graceful_core::{Enabled, Native, ReloadError, Report, Value};

use crate::op::*;
use crate::{App, Script, Subject};

/// A role whose callbacks say that they were called.
pub(super) fn role(name: &str, dependencies: &[&str]) -> Script {
    let told = |callback: &str| [note(format!("{callback} {name}")), ret(true)];
    let dependencies: Vec<Value> = dependencies.iter().map(|name| Value::from(*name)).collect();
    Script::plain(name)
        .value("dependencies", dependencies)
        .function("init", told("init"))
        .function("validate_config", told("validate"))
        .function("apply_config", told("apply"))
        .function("stop", told("stop"))
}

pub(super) fn roles(app: &App) -> Instance {
    let roles = app.engine().roles();
    roles.set_reload_allowed(true);
    roles
}

pub(super) fn cfg(app: &App, names: &[&str]) -> Result<Report, ReloadError> {
    app.time().block_on({
        let roles = roles(app);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        async move { roles.cfg(names).await }
    })
}

pub(super) fn must_cfg(app: &App, names: &[&str]) {
    let configured = cfg(app, names);
    configured.unwrap_or_else(|error| panic!("{}\n{}", crate::scenario::because(&error), app.trace().text()));
}

/// ROLE-01: a role is loaded with everything it depends on; its name is `role_name` or that of its module.
pub fn role_01_roles_are_registered_after_their_dependencies<S: Subject>() {
    let app = App::of::<S>()
        .module(role("web", &["store", "clock"]))
        .module(role("store", &["clock"]).value("role_name", "storage"))
        .module(role("clock", &[]))
        .start();
    must_cfg(&app, &["web"]);
    assert_eq!(roles(&app).get_all_roles(), ["clock", "storage", "web"]);
    assert_eq!(app.take_notes(), [""; 0], "nothing runs before a configuration is applied");
    let storage = roles(&app).get_role("storage").unwrap();
    assert_eq!((storage.module.as_str(), storage.dependencies), ("store", vec!["clock".into()]));
}

/// ROLE-01: one of them fails, and nothing is registered or loaded.
pub fn role_01_all_or_nothing<S: Subject>() {
    let bad = role("bad", &[]).top([throw("no")]);
    let app = App::of::<S>()
        .entry("main")
        .module(Script::plain("main"))
        .module(role("good", &[]))
        .module(bad)
        .start();
    assert_eq!(cfg(&app, &["good", "bad"]).unwrap_err().module().unwrap().as_str(), "bad");
    assert_eq!(roles(&app).get_all_roles(), [""; 0]);
    let loaded: Vec<String> = app.status().modules.into_iter().map(|module| module.name).collect();
    assert_eq!(loaded, ["main"]);
    app.edit(role("bad", &[]));
    must_cfg(&app, &["good", "bad"]);
    assert_eq!(roles(&app).get_all_roles(), ["good", "bad"]);
}

/// ROLE-02: what is wrong is said of the module that is wrong.
pub fn role_02_what_is_wrong_names_the_modules<S: Subject>() {
    let app = App::of::<S>()
        .module(role("number", &[]).value("role_name", 5))
        .module(role("text", &[]).value("dependencies", "number"))
        .module(role("one", &[]).value("role_name", "same"))
        .module(role("two", &[]).value("role_name", "same"))
        .module(role("a", &["b"]))
        .module(role("b", &["c"]))
        .module(role("c", &["a"]))
        .module(role("lost", &["nowhere"]))
        .start();
    let said = |names: &[&str]| {
        let error = cfg(&app, names).unwrap_err();
        assert_eq!(roles(&app).get_all_roles(), [""; 0]);
        format!("{} {}", error.code(), error.kind)
    };
    assert_eq!(
        said(&["number"]),
        "GR0501 module `number` is no role: `role_name` must be a string, got integer"
    );
    assert_eq!(
        said(&["text"]),
        "GR0501 module `text` is no role: `dependencies` must be a list of names of modules, got string"
    );
    assert_eq!(said(&["one", "two"]), "GR0502 role `same`: modules `one` and `two` both have this name");
    assert_eq!(said(&["b"]), "GR0503 roles depend on each other in a ring: b -> c -> a -> b");
    let lost = said(&["lost"]);
    assert!(lost.starts_with("GR0103 module `nowhere` is missing: required by lost"), "{lost}");
    let missing = said(&["gone"]);
    assert!(
        missing.starts_with("GR0103 module `gone` is missing: required by the list of roles"),
        "{missing}"
    );
}

/// ROLE-03, ROLE-06: hidden and permanent roles are registered and not listed.
pub fn role_03_hidden_and_permanent_roles_are_not_listed<S: Subject>() {
    let app = App::of::<S>()
        .module(role("web", &["store"]))
        .module(role("store", &["disk"]))
        .module(role("disk", &[]).value("hidden", true))
        .module(role("watchdog", &[]).value("permanent", true))
        .start();
    must_cfg(&app, &["web", "watchdog"]);
    let roles = roles(&app);
    assert_eq!(roles.get_all_roles(), ["disk", "store", "web", "watchdog"]);
    assert_eq!(roles.get_known_roles(), ["store", "web"]);
    assert_eq!(roles.get_role_dependencies("web").unwrap(), ["store"]);
    let unknown = roles.get_role_dependencies("stor").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no role `stor`, did you mean `store`?");
    assert!(roles.get_role("nobody").is_none());
    assert_eq!(roles.get_enabled_roles(&Enabled::default()).unwrap(), ["watchdog"]);
    let web: Enabled = ["web"].into();
    assert_eq!(roles.get_enabled_roles(&web).unwrap(), ["disk", "store", "web", "watchdog"]);
    assert_eq!(roles.get_enabled_roles_without_deps(&web).unwrap(), ["web"]);
}

/// ROLE-07: roles of several languages depend on each other as if they were of one.
pub fn role_07_roles_of_several_languages_are_in_one_graph<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["rules"]))
        .other(role("rules", &["store"]))
        .native("store", &[], |_| Ok(Native::plain().role(Store)))
        .start();
    must_cfg(&app, &["web"]);
    assert_eq!(roles(&app).get_all_roles(), ["storage", "rules", "web"]);
    super::cfg::apply(&app, &["web"]).unwrap();
    assert_eq!(
        app.take_notes(),
        ["validate rules", "validate web", "init rules", "apply rules", "init web", "apply web"]
    );
    assert_eq!(roles(&app).running(), ["storage", "rules", "web"]);
    app.time().block_on(roles(&app).reload()).unwrap();
    assert_eq!(roles(&app).running(), ["storage", "rules", "web"]);
}

/// A role in Rust.
struct Store;

#[async_trait::async_trait]
impl graceful_core::Role for Store {
    fn role_name(&self) -> Option<&str> {
        Some("storage")
    }
}

/// ROLE-06: permanent roles run whatever is enabled, hidden ones when they are depended on.
pub fn role_06_permanent_roles_run_everywhere_and_hidden_ones_when_depended_on<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>()
        .module(role("web", &["disk"]))
        .module(role("disk", &[]).value("hidden", true))
        .module(role("watchdog", &[]).value("permanent", true))
        .start();
    must_cfg(&app, &["web", "watchdog"]);
    super::cfg::apply(&app, &[]).unwrap();
    assert_eq!(roles(&app).running(), ["watchdog"]);
    super::cfg::apply(&app, &["web"]).unwrap();
    assert_eq!(roles(&app).running(), ["disk", "web", "watchdog"]);
}

/// FRB-01: nobody has allowed it.
pub fn frb_01_roles_are_not_reloaded_unless_the_application_allows_it<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &[])).module(Script::plain("other")).start();
    must_cfg(&app, &["web"]);
    super::cfg::apply(&app, &["web"]).unwrap();
    app.take_notes();
    app.engine().roles().set_reload_allowed(false);
    app.edit(Script::plain("other").comment("edited"));
    app.must_reload();
    app.edit(role("web", &[]).comment("edited"));
    let refused = app.must_fail();
    assert_eq!(refused.code().0, "GR0511");
    let said = refused.kind.to_string();
    for way in ["`reload_allowed = true`", "`[roles]` in graceful.toml", "set_reload_allowed(true)"] {
        assert!(said.contains(way), "{said}");
    }
    assert_eq!(app.take_notes(), [""; 0]);
}

/// FRB-02: a flag, not a counter; it survives reloads.
pub fn frb_02_a_reload_of_roles_can_be_forbidden_and_allowed_again<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(role("web", &[])).module(Script::plain("other")).start();
    must_cfg(&app, &["web"]);
    super::cfg::apply(&app, &["web"]).unwrap();
    let roles = roles(&app);
    roles.forbid_reload();
    roles.forbid_reload();
    app.edit(Script::plain("other").comment("edited"));
    app.must_reload();
    assert!(roles.is_reload_forbidden());
    assert_eq!(app.time().block_on(roles.reload()).unwrap_err().code().0, "GR0512");
    roles.allow_reload();
    app.time().block_on(roles.reload()).unwrap();
}
