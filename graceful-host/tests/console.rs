//! The console of a running app, over its admin socket.

mod common;

use common::AppDir;
use graceful_host::wire::{ConsoleReply, ConsoleRequest};

const MAIN: &str = include_str!("../../examples/dependency/main.lua");
const LIBRARY: &str = include_str!("../../examples/dependency/my_dependency.lua");

async fn ask(app: &AppDir, line: &str) -> ConsoleReply {
    let request = ConsoleRequest { line: line.into(), limit_ms: Some(500), ..ConsoleRequest::default() };
    app.admin().console(&request).await.unwrap()
}

fn dependency() -> AppDir {
    let manifest = include_str!("../../examples/dependency/graceful.toml");
    AppDir::new(&[("graceful.toml", manifest), ("main.lua", MAIN), ("my_dependency.lua", LIBRARY)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reg_12_dofile_of_the_examples_app_reloads_its_library() {
    let app = dependency();
    let running = app.start(app.options()).await;
    assert_eq!(ask(&app, "dofile('main.lua')").await.values, ["unchanged, generation 1"]);
    app.edit("my_dependency.lua", "semver(1, 0, 0)", "semver(1, 1, 0)");
    let reloaded = "committed, generation 2: reload my_dependency 1.0.0 -> 1.1.0 (changed), \
                    reload main (depends on my_dependency)";
    assert_eq!(ask(&app, "dofile('main.lua')").await.values, [reloaded]);
    let versions = "local said = {} for _, m in ipairs(require('graceful').modules()) do said[m.name] = m.version end \
                    return said.my_dependency";
    assert_eq!(ask(&app, versions).await.values, ["\"1.1.0\""]);
    app.edit("my_dependency.lua", "finalize", "finilize");
    let failure = ask(&app, "dofile('main.lua')").await.failure.unwrap();
    assert_eq!(failure.code, "GR0305");
    assert!(failure.message.contains("did you mean `finalize`?"), "{failure:?}");
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_has_a_deadline_and_its_failure_a_place() {
    let app = dependency();
    let running = app.start(app.options()).await;
    for line in ["while true do end", "require('fiber').sleep(60)"] {
        let failure = ask(&app, line).await.failure.unwrap();
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            ("GR0303", "ran longer than 500ms and was cancelled")
        );
    }
    let failure = ask(&app, "local a\nreturn a.b").await.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.place.unwrap().to_string()), ("GR0302", "console:2".into()));
    assert_eq!(ask(&app, "1 + 1").await.values, ["2"]);
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reg_12_an_app_without_lua_has_a_console_in_rhai() {
    let app = AppDir::new(&[
        ("graceful.toml", "name = 'r'\nentry = ['main']\n[backends.rhai]\n"),
        ("main.rhai", "import \"counter\" as counter; fn n() { counter::n() }"),
        ("counter.rhai", "graceful::register_module(\"counter\", #{ version: \"1.0.0\" }); fn n() { 1 }"),
    ]);
    let running = app.start(app.options()).await;
    assert_eq!(ask(&app, "import \"main\" as m; m::n() + 1").await.values, ["2"]);
    app.edit("counter.rhai", "{ 1 }", "{ 2 }");
    app.edit("counter.rhai", "1.0.0", "1.1.0");
    let reloaded =
        "committed, generation 2: reload counter 1.0.0 -> 1.1.0 (changed), reload main (depends on counter)";
    assert_eq!(ask(&app, "dofile(\"main.rhai\")").await.values, [reloaded]);
    assert_eq!(ask(&app, "import \"main\" as m; m::n() + 1").await.values, ["3"]);
    for line in ["loop { }", "fiber::sleep(60)"] {
        let failure = ask(&app, line).await.failure.unwrap();
        assert!(failure.code == "GR0303" && failure.message.contains("ran longer than 500ms"), "{failure:?}");
    }
    let failure = ask(&app, "let a = 1;\nb").await.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.place.unwrap().to_string()), ("GR0302", "console:2:1".into()));
    let unknown =
        ConsoleRequest { line: "1".into(), language: Some("perl".into()), ..ConsoleRequest::default() };
    let failure = app.admin().console(&unknown).await.unwrap().failure.unwrap();
    assert!(failure.message.contains("perl"), "{failure:?}");
    assert!(running.stop().await);
}
