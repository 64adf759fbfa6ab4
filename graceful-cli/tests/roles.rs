//! Roles from the command line: what they are, enabled, configured, forbidden; a start that they refuse; what is left
//! of a configuration when the process is killed.

mod served;

use std::fs;

use serde_json::Value;
use served::App;

const MANIFEST: &str = "name = 'roles'\nlisten = '127.0.0.1:0'\n[roles]\nmodules = ['router', 'extra']\n\
    enabled = ['router']\nreload_allowed = true\n[config.router]\ngreeting = 'hello'\n";

const ROUTER: &str = "
local http = require('http')
local greeting, settled
return {
    role_name = 'router',
    dependencies = { 'storage' },
    config_schema = { type = 'object', required = { 'greeting' },
        properties = { greeting = { type = 'string', maxLength = 40 } } },
    validate_config = function(conf)
        if conf.router.greeting == 'no' then error('no is no greeting') end
        return true
    end,
    init = function() http.route('GET', '/', function() return greeting end) end,
    apply_config = function(conf) greeting = conf.router.greeting end,
    stop = function() end,
}
";

const STORAGE: &str = "return { role_name = 'storage', hidden = true, init = function() end }";

/// An app of three roles.
fn app() -> App {
    let app = App::empty();
    app.write("graceful.toml", MANIFEST);
    app.write("router.lua", ROUTER);
    app.write("storage.lua", STORAGE);
    app.write(
        "extra.lua",
        "return { role_name = 'extra', dependencies = { 'storage' }, init = function() end }",
    );
    app
}

fn json(app: &App, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = app.run(&[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {text}")))
}

fn text(app: &App, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = app.run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn roles_are_listed_enabled_and_disabled() {
    let app = app();
    let served = app.serve(&["run"]);
    let (code, out, _) = text(&app, &["roles"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("RolesConfigured, 2 of 3 roles run\n"), "{out}");
    assert!(out.contains("\nstorage  storage  lua      hidden  runs  -\n"), "{out}");
    let (_, reply) = json(&app, &["roles", "enable", "extra"]);
    assert_eq!((&reply["ok"], &reply["roles"][2]["did"]), (&true.into(), &"started".into()), "{reply}");
    let (code, out, error) = text(&app, &["roles", "enable", "extar"]);
    assert_eq!((code, out.as_str()), (Some(4), ""));
    assert!(error.contains("GR0504") && error.contains("did you mean `extra`?"), "{error}");
    let (code, out, _) = text(&app, &["roles", "disable", "router"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("applied: stopped router, applied storage, applied extra"), "{out}");
    assert!(served.get("/").contains("GR0404"));
    let (_, out, _) = text(&app, &["status"]);
    assert!(out.contains("\nrunning: storage, extra"), "{out}");
    let (_, status) = json(&app, &["status"]);
    assert_eq!(status["roles"]["state"], "RolesConfigured");
    served.signal("TERM");
    assert_eq!(served.wait().0, Some(0));
}

#[test]
fn a_configuration_is_shown_checked_compared_and_applied() {
    let app = app();
    let served = app.serve(&["run"]);
    assert_eq!(served.get("/"), "hello");
    app.write("new.toml", "[router]\ngreeting = 'good day'\n");
    app.write("new.json", r#"{"router": {"greeting": "good night"}}"#);
    app.write("no.toml", "[router]\ngreeting = 'no'\n");
    app.write("wrong.toml", "[router]\ngreeting = 5\n");
    app.write("half.toml", "[router\n");
    assert_eq!(text(&app, &["config", "check", "new.toml"]).0, Some(0));
    assert_eq!(text(&app, &["config", "diff", "new.toml"]).1, "~ router.greeting: hello -> good day\n");
    for (file, code, told) in [
        ("no.toml", "GR0507", "no is no greeting"),
        ("wrong.toml", "GR0517", "`router.greeting`: 5 is not of type \"string\""),
        ("half.toml", "GR0408", "half.toml:1:"),
    ] {
        for what in ["check", "apply"] {
            let (exit, _, error) = text(&app, &["config", what, file]);
            assert_eq!(exit, Some(4), "{what} {file}: {error}");
            assert!(error.contains(code) && error.contains(told), "{what} {file}: {error}");
        }
        assert_eq!(json(&app, &["config", "apply", file]).1["failure"]["code"], code);
    }
    assert_eq!(served.get("/"), "hello");
    assert_eq!(text(&app, &["config", "apply", "new.toml"]).0, Some(0));
    assert_eq!(served.get("/"), "good day");
    let (_, reply) = json(&app, &["config", "show"]);
    assert_eq!(
        (&reply["source"], &reply["config"]["router"]["greeting"]),
        (&"applied".into(), &"good day".into())
    );
    assert_eq!(json(&app, &["config", "apply", "new.json", "--master", "false"]).0, Some(0));
    assert_eq!(served.get("/"), "good night");
    assert_eq!(json(&app, &["config", "show"]).1["opts"]["is_master"], false);
    assert_eq!(text(&app, &["config", "reset"]).0, Some(0));
    assert_eq!(served.get("/"), "hello");
    assert_eq!(json(&app, &["config", "show"]).1["source"], "manifest");
    drop(served);
}

#[test]
fn frb_02_reloading_roles_is_forbidden_and_allowed() {
    let app = app();
    let served = app.serve(&["run"]);
    app.write("router.lua", &ROUTER.replace("return greeting end", "return greeting .. '!' end"));
    assert_eq!(text(&app, &["forbid"]).1, "reloading roles is forbidden\n");
    let (code, _, error) = text(&app, &["roles", "reload"]);
    assert_eq!(code, Some(4));
    assert!(error.contains("GR0512"), "{error}");
    assert_eq!(text(&app, &["allow"]).1, "reloading roles is allowed\n");
    assert_eq!(served.get("/"), "hello");
    assert_eq!(text(&app, &["roles", "reload"]).0, Some(0));
    assert_eq!(served.get("/"), "hello!");
    let (code, _, error) = {
        app.write("router.lua", &ROUTER.replace("init = function()", "init = function() error('not now')"));
        text(&app, &["roles", "reload"])
    };
    assert_eq!(code, Some(5), "{error}");
    assert!(error.contains("GR0508") && error.contains("not now"), "{error}");
    assert_eq!(served.get("/"), "hello!");
    let (_, out, _) = text(&app, &["status"]);
    assert!(out.contains("ReloadError") && out.contains("trouble in activate: GR0508"), "{out}");
    app.write("graceful.toml", &MANIFEST.replace("reload_allowed = true\n", ""));
    app.write("router.lua", ROUTER);
    let (code, _, error) = text(&app, &["roles", "reload"]);
    assert_eq!(code, Some(4));
    assert!(error.contains("GR0511"), "{error}");
    drop(served);
}

#[test]
fn a_start_that_roles_refuse_fails_and_check_says_the_same() {
    let app = app();
    assert_eq!(text(&app, &["check"]).0, Some(0));
    let cases = [
        (MANIFEST.replace("'hello'", "'no'"), "GR0507", "router.lua:10"),
        (MANIFEST.replace("'hello'", "5"), "GR0517", "`router.greeting`"),
        (MANIFEST.replace("['router']", "['ruoter']"), "GR0504", "did you mean `router`?"),
        (MANIFEST.replace("'extra']", "'extra', 'plain']"), "GR0501", "`plain` is no role"),
    ];
    app.write("plain.lua", "return 5");
    for (manifest, code, told) in cases {
        app.write("graceful.toml", &manifest);
        let (exit, _, error) = text(&app, &["check"]);
        assert_eq!(exit, Some(4), "{error}");
        assert!(error.contains(code) && error.contains(told), "{error}");
        let (exit, _, error) = text(&app, &["run"]);
        assert_eq!(exit, Some(4), "{error}");
        assert!(error.contains(code) && error.contains(told), "{error}");
    }
    assert!(
        !fs::exists(app.path().join(".graceful/applied.json")).unwrap(),
        "nothing was applied, so nothing is kept"
    );
}
