//! Routes of a whole app: what matches the same requests is one route, and what cannot be is told where it stands.

mod common;

use common::{AppDir, Client};
use graceful_core::{CallError, Callable, Native, NativeCx, ReloadOptions, ScriptError, Value};
use graceful_host::wire::Failure;
use graceful_host::{Cause, HostOptions, Running};

const MANIFEST: &str = "name = 'routes'\nentry = ['web']\n";

fn lua(path: &str) -> String {
    format!(
        "local http = require 'http'\nhttp.route('GET', '{path}', function(r) return 'lua ' .. r.params.id end)\n"
    )
}

fn rhai(path: &str) -> String {
    format!("import \"http\" as http;\n\nhttp::route(\"GET\", \"{path}\", |r| \"rhai \" + r.params.name);\n")
}

async fn reload(running: &Running) -> Result<(), Failure> {
    running.host().reload(Cause::Watch, ReloadOptions::default()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_04_a_route_that_matches_the_same_requests_is_a_clash() {
    let web = format!("require 'more'\n{}", lua("/u/:id"));
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("web.lua", &web), ("more.rhai", "")]);
    let running = dir.start(dir.options()).await;
    let mut client = Client::connect(&running).await;
    dir.write("more.rhai", &rhai("/u/:name"));
    let failure = reload(&running).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0111", "refused"));
    for said in ["`GET /u/:id`", "`web`", "`GET /u/:name`", "`more`"] {
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    let check = graceful_host::check(dir.path(), HostOptions::default(), None).await.unwrap();
    assert_eq!(check.failure.map(|failure| failure.code).as_deref(), Some("GR0111"));
    assert_eq!(client.get("/u/7").await.unwrap(), (200, "lua 7".into()));
    // It moves from one module to the other, and its parameter gets another name.
    dir.write("web.lua", "require 'more'");
    reload(&running).await.unwrap();
    assert_eq!(client.get("/u/7").await.unwrap(), (200, "rhai 7".into()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_04_a_route_that_cannot_be_is_told_where_it_stands() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("web.lua", &lua("/u/:id"))]);
    let running = dir.start(dir.options()).await;
    let wrong = [("/*a/b", "write `:a`"), ("/:a/:a", "`a`"), ("u", "write `/u`"), ("/x?y=1", "write `/x`")];
    for (path, said) in wrong {
        for (file, text, line, column) in
            [("web.lua", lua(path), 2, None), ("web.rhai", rhai(path), 3, Some(7))]
        {
            let _ = std::fs::remove_file(dir.file("web.lua"));
            let _ = std::fs::remove_file(dir.file("web.rhai"));
            dir.write(file, &text);
            let failure = reload(&running).await.unwrap_err();
            let place = failure.place.as_ref().unwrap();
            assert_eq!((failure.module.as_deref(), place.file.as_str()), (Some("web"), file), "{failure:?}");
            assert_eq!((place.line, place.column), (Some(line), column), "{failure:?}");
            assert!(failure.message.contains(said), "{}", failure.message);
            assert_eq!(failure.outcome, "refused");
        }
    }
    assert_eq!(Client::connect(&running).await.get("/u/7").await.unwrap().1, "lua 7");
    running.stop().await;
}

struct Echo;

#[async_trait::async_trait]
impl Callable for Echo {
    async fn call(&self, _: Vec<Value>) -> Result<Value, CallError> {
        Ok("echo".into())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_04_a_native_route_that_cannot_be_is_told() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let site = |cx: &NativeCx| -> Result<Native, ScriptError> {
        cx.instance.scope.register("route", "FROBNICATE /x", std::sync::Arc::new(Echo))?;
        Ok(Native::plain())
    };
    let check = graceful_host::check(dir.path(), HostOptions::default().native("web", &[], site), None).await;
    let failure = check.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.module.as_deref()), ("GR0305", Some("web")));
    for said in ["route `FROBNICATE /x`", "`FROBNICATE` is no method of HTTP", "there are: GET"] {
        assert!(failure.message.contains(said), "{}", failure.message);
    }
    assert_eq!(failure.place.map(|place| place.file).as_deref(), Some("native:web"));
}
