//! The functions of roles, called from Rhai: what Lua returns as an error is thrown.

mod support;

use std::time::Duration;

use graceful_core::Value;
use support::App;

const WEB: &str = r#"
import "probe" as probe;
export const role_name = "web";
export const dependencies = ["store"];
fn init(opts) { probe::tell(`init web ${opts.is_master}`); }
fn apply_config(conf) { probe::tell(`apply web ${conf.get("web")?.port}`); }
fn before_apply_config(conf, opts) {
    if "loud" in conf { probe::tell(`before ${opts.is_master}`); }
}
fn on_apply_config(conf, state) {
    if "loud" in conf { throw `on ${state}`; }
}
fn stop() { probe::tell("stop web"); }
fn port() { 80 }
"#;

const STORE: &str = r#"
export const role_name = "storage";
export const hidden = true;
fn validate_config(conf, old) {
    if "bad" in conf { throw `bad is ${conf.bad}, was ${old.bad}`; }
    true
}
fn read(key) { `value of ${key}` }
"#;

/// An app whose function `run` tries what its cases say, and tells what came.
fn app(cases: &[&str]) -> App {
    let tried = cases.iter().map(|case| {
        format!(
            "try {{ probe::tell(`${{{case}}}`); }} catch (e) {{ probe::tell(`${{e.class}} ${{e.code}}: ${{e.message}}`); }}"
        )
    });
    let tried = tried.collect::<Vec<_>>().join("\n");
    let main = format!("import \"probe\" as probe;\nfn run() {{ {tried} }}");
    App::start(&[("app", &main), ("web", WEB), ("store", STORE)])
}

/// Runs the cases, and compares what each came to.
fn all(wanted: &[(&str, &str)]) -> App {
    let cases: Vec<&str> = wanted.iter().map(|(case, _)| *case).collect();
    let app = app(&cases);
    app.call("app", "run").unwrap();
    let told = app.told();
    for ((case, shown), told) in wanted.iter().zip(&told) {
        assert_eq!(told, shown, "{case}");
    }
    assert_eq!(told.len(), wanted.len());
    app
}

#[test]
fn role_08_every_function_answers_with_what_it_is_about() {
    let cases = [
        ("graceful::roles::state()", "Unconfigured"),
        ("graceful::roles::cfg([\"web\"])", "true"),
        ("graceful::roles::get_all_roles()", "[\"storage\", \"web\"]"),
        ("graceful::roles::get_known_roles()", "[\"web\"]"),
        ("graceful::roles::get_enabled_roles([\"web\"])", "#{\"storage\": true, \"web\": true}"),
        ("graceful::roles::get_enabled_roles(#{ web: false })", "#{}"),
        ("graceful::roles::get_enabled_roles()", "#{}"),
        ("graceful::roles::get_enabled_roles_without_deps([\"web\", \"storage\"])", "[\"web\"]"),
        ("graceful::roles::get_role_dependencies(\"web\")", "[]"),
        ("graceful::roles::get_role(\"web\").dependencies", "[\"store\"]"),
        ("graceful::roles::get_role(\"none\")", ""),
        ("graceful::roles::service_get(\"storage\")", ""),
        ("graceful::roles::validate_config(#{})", "true"),
    ];
    all(&cases);
}

#[test]
fn role_08_roles_are_applied_reloaded_and_stopped() {
    let app = app(&[
        "graceful::roles::cfg([\"web\"])",
        "graceful::roles::apply_config(#{ web: #{ port: 80 } }, #{ roles: [\"web\"] }, true)",
        "graceful::roles::service_get(\"storage\").read(\"k\")",
        "graceful::roles::service_get(\"web\").invoke(\"port\", [])",
        "graceful::roles::service_get(\"web\").module_name",
        "graceful::roles::wait_for(\"RolesConfigured\", 0.5)",
        "graceful::roles::before_apply_config(#{ loud: 1 }, (), true)",
        "graceful::roles::on_apply_config(#{ loud: 1 }, \"OperationError\")",
        "graceful::roles::reload()",
        "graceful::roles::stop()",
        "graceful::roles::state()",
    ]);
    app.engine.roles().set_reload_allowed(true);
    app.call("app", "run").unwrap();
    let told = [
        "true",
        "init web true",
        "apply web 80",
        "true",
        "value of k",
        "80",
        "web",
        "true",
        "before true",
        "[]",
        "[\"on_apply_config of role `web` failed: on OperationError\"]",
        "stop web",
        "init web true",
        "apply web 80",
        "true",
        "stop web",
        "true",
        "Stopped",
    ];
    assert_eq!(app.told(), told);
}

#[test]
fn role_08_what_fails_is_thrown_with_class_code_and_message() {
    let app = all(&[
        ("graceful::roles::cfg([\"web\"])", "true"),
        (
            "graceful::roles::get_role_dependencies(\"stoage\")",
            "RoleError GR0504: there is no role `stoage`, did you mean `storage`?",
        ),
        (
            "graceful::roles::validate_config(#{ bad: 1 }, #{ bad: 2 }, #{ roles: [\"web\"] })",
            "ValidateConfigError GR0507: role `storage` refuses the configuration: bad is 1, was 2",
        ),
        (
            "graceful::roles::reload()",
            "HotReloadError GR0511: this application does not allow its roles to be reloaded: set `reload_allowed = true` under `[roles]` in graceful.toml, or call `roles().set_reload_allowed(true)` in Rust",
        ),
        (
            "graceful::roles::wait_for(\"Stopped\", 0.01)",
            "StateError GR0519: the state is Unconfigured, and was not Stopped within 10ms",
        ),
    ]);
    app.edit(
        "app",
        "fn run() {
            try { graceful::roles::validate_config(#{ bad: 1 }, (), #{ roles: [\"web\"] }); } catch (e) {
                return [e.module_name, e.file, e.line, e.retryable, e.place];
            }
        }",
    );
    app.reload().unwrap();
    let told: Vec<Value> =
        vec!["store".into(), "store.rhai".into(), 5.into(), false.into(), "store.rhai:5:24".into()];
    assert_eq!(app.get("app", "run"), Value::List(told));
}

#[test]
fn role_02_what_is_declared_and_is_no_plain_data_is_an_error() {
    let cases = ["graceful::roles::cfg([\"lists\"])", "graceful::roles::cfg([\"schema\"])"];
    let tried = cases.map(|case| format!("try {{ {case}; }} catch (e) {{ probe::tell(e.message); }}"));
    let main = format!("import \"probe\" as probe;\nfn run() {{ {} }}", tried.join("\n"));
    let lists = "export const dependencies = [\"store\", |x| x];";
    let schema = "export const config_schema = #{ f: |x| x };";
    let app = App::start(&[("app", &main), ("lists", lists), ("schema", schema), ("store", STORE)]);
    app.call("app", "run").unwrap();
    let told = [
        "module `lists` is no role: `dependencies` is no plain data: a function is no plain value",
        "module `schema` is no role: `config_schema` is no plain data: a function is no plain value",
    ];
    assert_eq!(app.told(), told);
}

#[test]
fn role_08_wrong_use_is_told() {
    all(&[
        (
            "graceful::roles::cfg(\"web\")",
            "RoleError GR0518: cfg: expected a list of names of modules, got string",
        ),
        (
            "graceful::roles::cfg([1])",
            "RoleError GR0518: cfg: expected a list of names of modules, got one that holds `1`",
        ),
        (
            "graceful::roles::get_role()",
            "RoleError GR0518: get_role: expected the name of a role, got nothing",
        ),
        (
            "graceful::roles::apply_config(#{}, #{ role: [] })",
            "RoleError GR0518: apply_config: unknown option `role`, did you mean `roles`?",
        ),
        (
            "graceful::roles::apply_config(#{}, #{ is_master: false }, true)",
            "RoleError GR0518: apply_config: `is_master` is given twice, as false and as true",
        ),
        (
            "graceful::roles::on_apply_config(#{})",
            "RoleError GR0518: on_apply_config: expected the name of a state, got nothing",
        ),
        (
            "graceful::roles::apply_config(#{ f: |x| x })",
            "RoleError GR0518: apply_config: a function is no plain value",
        ),
        (
            "graceful::roles::wait_for(\"RoleConfigured\", 1)",
            "RoleError GR0518: wait_for: there is no state `RoleConfigured`, did you mean `RolesConfigured`?",
        ),
        (
            "graceful::roles::get_enabled_roles(5)",
            "RoleError GR0505: the names of roles are a list of strings, or a map of names to booleans; got integer",
        ),
    ]);
}

#[test]
fn frb_02_forbidding_is_a_flag_and_the_order_of_checks_is_ban_flag_state() {
    let app = app(&["graceful::roles::reload()"]);
    let tried = || {
        app.call("app", "run").unwrap();
        app.told().remove(0)[..].split(':').next().unwrap().to_owned()
    };
    let roles = app.engine.roles();
    roles.forbid_reload();
    assert_eq!(tried(), "HotReloadError GR0511");
    roles.set_reload_allowed(true);
    assert_eq!(tried(), "HotReloadError GR0512");
    roles.allow_reload();
    assert_eq!(tried(), "StateError GR0513");
    let flags = all(&[
        ("graceful::roles::is_reload_forbidden()", "true"),
        ("graceful::roles::forbid_reload()", "true"),
        ("graceful::roles::allow_reload()", "true"),
    ]);
    assert!(flags.engine.roles().is_reload_forbidden(), "it was never allowed");
}

#[test]
fn sm_03_a_call_that_reloads_the_roles_is_parked_and_goes_on_with_the_new_code() {
    let caller = r#"
        let me = graceful::register_module("app", #{ drain: true, after_reload: |m| () });
        fn setup() {
            graceful::roles::cfg(["web"]);
            graceful::roles::apply_config(#{}, #{ roles: ["web"] })
        }
        fn run() {
            graceful::roles::reload();
            graceful::roles::service_get("web").port()
        }
    "#;
    let app = App::start(&[("app", caller), ("web", WEB), ("store", STORE)]);
    app.engine.roles().set_reload_allowed(true);
    assert_eq!(app.get("app", "setup"), true.into());
    assert_eq!(app.get("app", "run"), 80.into());
    app.edit("web", &WEB.replace("80", "90"));
    assert_eq!(app.get("app", "run"), 90.into());
}

#[test]
fn role_08_in_a_callback_what_would_wait_for_it_is_refused_at_once() {
    let web = r#"
        import "probe" as probe;
        probe::tell(`${graceful::roles::reload()}`);
        fn init() {
            try { graceful::roles::apply_config(#{}); } catch (e) { probe::tell(e.code); }
            try { graceful::roles::stop(); } catch (e) { probe::tell(e.code); }
            try { graceful::roles::cfg([]); } catch (e) { probe::tell(e.code); }
            try { graceful::roles::reload(); } catch (e) { probe::tell(e.code); }
        }
    "#;
    let app = app(&[
        "graceful::roles::cfg([\"web\"])",
        "graceful::roles::apply_config(#{}, #{ roles: [\"web\"] })",
    ]);
    app.edit("web", web);
    app.call("app", "run").unwrap();
    assert_eq!(app.told(), ["true", "true", "GR0514", "GR0514", "GR0514", "GR0116", "true"]);
}

#[test]
fn sm_06_a_fiber_waits_for_a_state() {
    let caller = r#"
        import "probe" as probe;
        let me = graceful::register_module("app", #{ init: |m| {
            m.state.f = fiber::create(|| {
                graceful::roles::wait_for("RolesConfigured", 60);
                probe::tell(graceful::roles::state());
            });
        } });
        fn run() {
            graceful::roles::cfg(["store"]);
            graceful::roles::apply_config(#{}, #{ roles: ["storage"] })
        }
    "#;
    let app = App::start(&[("app", caller), ("store", STORE)]);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(app.told(), [""; 0]);
    app.call("app", "run").unwrap();
    app.until("the fiber saw the state", || app.told() == ["RolesConfigured"]);
}
