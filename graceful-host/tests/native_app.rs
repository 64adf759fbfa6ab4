//! A whole host around modules written in Rust: HTTP, event streams, the admin socket, shutdown.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{AppDir, Client, Load, Stream, get, until};
use graceful_core::{
    CallError, Callable, HookCx, HookError, Hooks, Lifecycle, Native, NativeCx, ReloadOptions, ScriptError,
    ShutdownOptions, Value,
};
use graceful_host::wire::ReloadRequest;
use graceful_host::{Cause, Host, HostError, Signals};
use http_body_util::BodyExt;

const MANIFEST: &str = "name = 'native'\nentry = ['site']\n";

struct Route(Box<dyn Fn(Value) -> Result<Value, CallError> + Send + Sync>);

#[async_trait]
impl Callable for Route {
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError> {
        (self.0)(args.into_iter().next().unwrap_or_default())
    }
}

fn route(
    cx: &NativeCx,
    key: &str,
    answer: impl Fn(Value) -> Result<Value, CallError> + Send + Sync + 'static,
) {
    cx.instance.scope.register("route", key, Arc::new(Route(Box::new(answer)))).unwrap();
}

/// Version `n` of the site: its number, an echo, a failure, and a stream.
fn site(n: i64) -> impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static {
    move |cx| {
        route(cx, "GET /version", move |_| Ok(format!("version {n}").into()));
        route(cx, "POST /echo/:name", Ok);
        route(cx, "GET /fail", |_| Err(ScriptError::runtime("a secret").into()));
        route(cx, "GET /events", |_| Ok(Value::Map([("events".to_owned(), "news".into())].into())));
        let inner = cx.clone();
        let publish = move |request: Value| {
            let text = request.get("body").and_then(Value::as_str).unwrap_or_default().to_owned();
            let events = inner.require("events")?;
            let module = events.module().ok_or(CallError::Stopped)?;
            module.call_blocking("publish", vec!["news".into(), text.into()])
        };
        route(cx, "POST /publish", publish);
        Ok(Native::new(format!("{n}.0.0")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_reach_their_route_and_answers_their_client() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let running = dir.start(dir.options().native("site", &["events"], site(1))).await;
    let mut client = Client::connect(&running).await;
    assert_eq!(client.get("/version").await.unwrap(), (200, "version 1".into()));
    assert_eq!(client.get("/nowhere").await.unwrap().0, 404);
    let echo = client.send("POST", "/echo/tea?size=2", "hot").await.unwrap();
    assert_eq!(echo.headers()["content-type"], "application/json");
    assert_eq!(client.send("GET", "/echo/tea", "").await.unwrap().headers()["allow"], "POST");
    let (status, body) = client.get("/fail").await.unwrap();
    assert!(status == 500 && body.contains("GR0302") && !body.contains("secret"), "{status} {body}");
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_reads_does_not_take_the_answer_with_it() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let running = dir.start(dir.options().native("site", &["events"], site(1))).await;
    let large = "x".repeat(8 << 20);
    for _ in 0..20 {
        for (path, status) in [("/echo/a", 413), ("/nowhere", 404), ("/version", 405)] {
            let mut client = Client::connect(&running).await;
            let response = client.send("POST", path, &large).await.unwrap();
            assert_eq!(response.status(), status);
            assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
    }
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_breaks_no_connection_and_no_stream() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let running = dir.start(dir.options().native("site", &["events"], site(1))).await;
    let stream = Stream::open(&running, "/events").await;
    let load = Load::start(&running, 16, "/version", |status, body| {
        let good = status == 200 && body.starts_with("version ");
        (!good).then(|| format!("{status} {body}"))
    })
    .await;
    let mut client = Client::connect(&running).await;
    for n in 2..40 {
        running.host().engine().natives().set("site", &["events"], site(n));
        let reloaded = running.host().reload(Cause::Embedder, ReloadOptions::default()).await.unwrap();
        assert_eq!((reloaded.outcome.as_str(), reloaded.generation), ("committed", n as u64));
        assert_eq!(client.get("/version").await.unwrap().1, format!("version {n}"));
        assert_eq!(client.send("POST", "/publish", &format!("news {n}")).await.unwrap().status(), 200);
    }
    stream.more_than(37).await;
    let events = stream.events();
    assert!(events[0].contains("data: news 2") && events[37].contains("data: news 39"), "{events:?}");
    assert!(load.finish().await > 100);
    assert!(running.stop().await, "streams and kept connections do not hold up the end");
    stream.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_socket_shows_plans_and_reloads() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let running = dir.start(dir.options().native("site", &["events"], site(1))).await;
    let admin = dir.admin();
    let status = admin.status().await.unwrap();
    assert_eq!((status.name.as_str(), status.state.as_str(), status.generation), ("native", "idle", 1));
    assert_eq!(status.listen, running.address().map(|address| address.to_string()));
    assert_eq!(status.last_reload.unwrap().result, "committed");
    assert!(admin.plan(false).await.unwrap().steps.is_empty());
    running.host().engine().natives().set("site", &["events"], site(2));
    let plan = admin.plan(false).await.unwrap();
    assert_eq!((plan.steps[0].module.as_str(), plan.steps[0].reason.as_str()), ("site", "changed"));
    let reply = admin.reload(&ReloadRequest::default()).await.unwrap();
    let change = &reply.reload.unwrap().modules[0];
    assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("1.0.0"), Some("2.0.0")));
    running.host().engine().natives().set("site", &["events"], |_| Err(ScriptError::runtime("broken")));
    let failure = admin.reload(&ReloadRequest::default()).await.unwrap().failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0302", "refused"));
    assert_eq!(get(&running, "/version").await.1, "version 2");
    let again = Host::open(dir.path(), dir.options().native("site", &["events"], site(1))).unwrap();
    assert!(matches!(again.start().await, Err(HostError::Admin { .. })), "one host for one socket");
    running.stop().await;
    assert!(admin.status().await.unwrap_err().to_string().contains("no host is running"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifest_is_part_of_what_is_reloaded_and_of_what_goes_back() {
    let dir = AppDir::new(&[("graceful.toml", "name='a'\nentry='site'\n[config]\ngreeting='hello'")]);
    let greet = |cx: &NativeCx| {
        let inner = cx.clone();
        route(cx, "GET /greet", move |_| {
            let config = inner.require("config")?;
            let module = config.module().ok_or(CallError::Stopped)?;
            match module.manifest().exports.get("greeting") {
                Some(graceful_core::Export::Value(value)) => Ok(value.clone()),
                _ => Ok("no greeting".into()),
            }
        });
        Ok(Native::plain())
    };
    let mut options = dir.options().native("site", &["config"], greet);
    options.watch = Some(true);
    let running = dir.start(options).await;
    assert_eq!(get(&running, "/greet").await.1, "hello");
    dir.edit("graceful.toml", "hello", "good day");
    until(&running, "/greet", "good day").await;
    dir.write("graceful.toml", "name='a'\nentry=['site', 'absent']\n[config]\ngreeting='lost'");
    let failure = dir.admin().reload(&ReloadRequest::default()).await.unwrap().failure.unwrap();
    assert_eq!(failure.code, "GR0103");
    dir.write("graceful.toml", "name='a'\nentri=['site']");
    let failure = dir.admin().reload(&ReloadRequest::default()).await.unwrap().failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.place.unwrap().to_string()),
        ("GR0401", "graceful.toml:2:1".into())
    );
    assert_eq!(get(&running, "/greet").await.1, "good day");
    dir.write("graceful.toml", "name='a'\nentry=['site']\n[config]\ngreeting='back'");
    until(&running, "/greet", "back").await;
    running.stop().await;
}

static FINALIZED: AtomicU64 = AtomicU64::new(0);

struct Counted;

#[async_trait]
impl Lifecycle for Counted {
    async fn finalize(&self, _: &HookCx) -> Result<(), HookError> {
        FINALIZED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shut_01_a_call_in_flight_ends_before_its_module_is_finalized() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let slow = |cx: &NativeCx| {
        route(cx, "GET /slow", |_| {
            std::thread::sleep(Duration::from_millis(400));
            Ok(Value::Int(FINALIZED.load(Ordering::SeqCst) as i64))
        });
        let hooks = Hooks { init: true, finalize: true, ..Hooks::default() };
        Ok(Native::new("1.0.0").lifecycle(hooks, Counted))
    };
    let running = dir.start(dir.options().native("site", &[], slow)).await;
    let mut client = Client::connect(&running).await;
    let asking = tokio::spawn(async move { client.get("/slow").await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let address = running.address().unwrap();
    assert!(running.stop().await);
    assert_eq!(asking.await.unwrap().unwrap(), (200, "0".into()));
    assert_eq!(FINALIZED.load(Ordering::SeqCst), 1);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(!dir.file(".admin.sock").exists());
}

struct SlowReload;

#[async_trait]
impl Lifecycle for SlowReload {
    async fn after_reload(&self, _: &HookCx) -> Result<(), HookError> {
        tokio::time::sleep(Duration::from_millis(800)).await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shut_01_a_host_ends_when_somebody_shuts_its_engine_down() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST)]);
    let running = dir.start(dir.options().native("site", &[], site(1))).await;
    let (engine, address) = (running.host().engine().clone(), running.address().unwrap());
    let signals = Signals::listen(Duration::from_secs(30), || {}).await.unwrap();
    let serving = tokio::spawn(running.until(signals));
    assert!(engine.shutdown(ShutdownOptions::default()).await.is_clean());
    assert!(tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_a_request_that_a_reload_keeps_too_long_is_told_to_come_again() {
    let dir = AppDir::new(&[("graceful.toml", "name='a'\nentry='site'\n[reload]\ncall_wait='100ms'\n")]);
    let slow = |cx: &NativeCx| {
        route(cx, "GET /", |_| Ok("here".into()));
        let hooks = Hooks { after_reload: true, ..Hooks::default() };
        Ok(Native::new("1.0.0").lifecycle(hooks, SlowReload))
    };
    let running = dir.start(dir.options().native("site", &[], slow)).await;
    let host = running.host().clone();
    let options = ReloadOptions { force: true, ..ReloadOptions::default() };
    let reload = tokio::spawn(async move { host.reload(Cause::Embedder, options).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut client = Client::connect(&running).await;
    let response = client.send("GET", "/", "").await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    reload.await.unwrap().unwrap();
    assert_eq!(get(&running, "/").await.0, 200);
    running.stop().await;
}
