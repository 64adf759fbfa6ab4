//! docs/api.md: its module in three languages does the same in each, and what it lists for Lua is there.

mod common;

use async_trait::async_trait;
use common::AppDir;
use graceful_core::{
    HookCx, HookError, Hooks, Lifecycle, Native, NativeCx, ReloadOptions, ScriptError, Value,
};
use graceful_host::{Host, HostOptions};

const PAGE: &str = include_str!("../../docs/api.md");

fn block(language: &str) -> &'static str {
    let opened = PAGE.split(&format!("\n```{language}\n")).nth(1).expect("a block");
    opened.split("\n```").next().unwrap_or_default()
}

/// Counts, reloads everything, counts on; the app's only module is `counter`.
async fn counts_on(files: &[(&str, &str)], options: HostOptions) {
    let dir = AppDir::new(files);
    let mut options = options;
    options.no_admin = true;
    let host = Host::open(dir.path(), options).unwrap();
    let engine = host.engine();
    let call = async |function: &str, args: Vec<Value>| {
        engine.call("counter", function, args).await.unwrap().as_int()
    };
    engine.reload(ReloadOptions::default()).await.unwrap();
    assert_eq!(call("hit", vec![2.into()]).await, Some(2));
    assert_eq!(call("reloads", Vec::new()).await, Some(0));
    engine.reload(ReloadOptions { force: true, ..ReloadOptions::default() }).await.unwrap();
    assert_eq!(call("hit", vec![3.into()]).await, Some(5));
    assert_eq!(call("reloads", Vec::new()).await, Some(1));
}

const MANIFEST: &str = "name = 'page'\nentry = ['counter']\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_01_the_pages_counter_in_lua_counts_on() {
    counts_on(&[("graceful.toml", MANIFEST), ("counter.lua", block("lua"))], HostOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_01_the_pages_counter_in_rhai_counts_on() {
    counts_on(&[("graceful.toml", MANIFEST), ("counter.rhai", block("rhai"))], HostOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_07_the_pages_books_follow_the_code() {
    let text =
        PAGE.split("// shelf.rhai\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the shelf");
    let dir = AppDir::new(&[("graceful.toml", "name = 'page'\nentry = ['shelf']\n"), ("shelf.rhai", text)]);
    let running = dir.start(dir.options()).await;
    let engine = running.host().engine();
    let lend = async |number: i64| {
        engine
            .call("shelf", "lend", vec![number.into(), "ada".into()])
            .await
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(lend(0).await, "Emma is with ada");
    dir.edit("shelf.rhai", "is with", "was lent to");
    engine.reload(ReloadOptions::default()).await.unwrap();
    assert_eq!(lend(0).await, "Emma was lent to ada");
    assert_eq!(lend(1).await, "atlases stay here");
    assert!(running.stop().await);
}

// The page's Rust, which a test below holds to be the same.
// BEGIN
struct Counter(NativeCx);

#[async_trait]
impl Lifecycle for Counter {
    async fn init(&self, _: &HookCx) -> Result<(), HookError> {
        self.0.state.set("count", 0);
        Ok(())
    }

    async fn after_reload(&self, _: &HookCx) -> Result<(), HookError> {
        self.0.state.update("reloads", |n| Value::Int(n.as_int().unwrap_or(0) + 1));
        Ok(())
    }
}

fn counter(cx: &NativeCx) -> Result<Native, ScriptError> {
    let (hits, reloads) = (cx.state.clone(), cx.state.clone());
    let hooks = Hooks { init: true, after_reload: true, ..Hooks::default() };
    Ok(Native::new("1.0.0")
        .function("hit", move |args| {
            let by = args.first().and_then(Value::as_int).unwrap_or(1);
            Ok(hits.update("count", |n| Value::Int(n.as_int().unwrap_or(0) + by)))
        })
        .function("reloads", move |_| Ok(Value::Int(reloads.get("reloads").as_int().unwrap_or(0))))
        .lifecycle(hooks, Counter(cx.clone())))
}
// END

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_01_the_pages_counter_in_rust_counts_on() {
    let here =
        include_str!("api_page.rs").split("// BEGIN\n").nth(1).and_then(|rest| rest.split("// END").next());
    let page = block("rust").split_once("\n\n").expect("imports come first").1;
    assert_eq!(here.expect("it is between the marks").trim(), page.trim());
    let options = HostOptions::default().native("counter", &[], counter);
    counts_on(&[("graceful.toml", MANIFEST)], options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_lists_for_lua_is_there() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("counter.lua", "return {}")]);
    let running = dir.start(dir.options()).await;
    let mut seen = 0;
    for module in ["graceful", "fiber", "log", "clock", "strict"] {
        let opening = format!("`{module}.");
        for rest in PAGE.split(&opening).skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let line = format!("type(require('{module}').{name})");
            let shown = running.host().engine().evaluate("lua", &line, common::PATIENCE).await.unwrap();
            assert_eq!(shown, ["\"function\""], "{module}.{name}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen} names were looked up");
    let methods = [
        ("require('fiber').channel(1)", "put get close count size is_empty is_full is_closed"),
        ("require('fiber').cond()", "wait signal broadcast"),
    ];
    for (made, names) in methods {
        for name in names.split(' ') {
            assert!(PAGE.contains(&format!("`{name}(")), "{name}");
            let line = format!("type({made}.{name})");
            let shown = running.host().engine().evaluate("lua", &line, common::PATIENCE).await.unwrap();
            assert_eq!(shown, ["\"function\""], "{name}");
        }
    }
    assert!(running.stop().await);
}
