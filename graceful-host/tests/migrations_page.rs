//! The programs of docs/migrations.md, run as they stand there.

mod common;

use common::AppDir;
use graceful_core::{ReloadOptions, Value};
use graceful_host::{Host, HostOptions, check};

const PAGE: &str = include_str!("../../docs/migrations.md");
const MANIFEST: &str = "name = 'page'\nentry = ['counter']\n";

/// The texts of one language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let opened = PAGE.split(&format!("\n```{language}\n")).skip(1).collect::<Vec<_>>();
    opened.into_iter().map(|rest| rest.split("\n```").next().unwrap_or_default()).collect()
}

fn open(dir: &AppDir) -> Host {
    let mut options = HostOptions::default();
    options.no_admin = true;
    Host::open(dir.path(), options).unwrap()
}

/// Reloads, and gives the steps that the counter's state took.
async fn reload(host: &Host) -> Vec<String> {
    let report =
        host.engine().reload(ReloadOptions::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let counter = report.modules.iter().find(|module| module.module.as_str() == "counter").unwrap();
    counter.migration.iter().map(ToString::to_string).collect()
}

async fn hit(host: &Host) -> Option<i64> {
    host.engine().call("counter", "hit", Vec::new()).await.unwrap().as_int()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ver_02_the_page_s_counter_in_lua_migrates_and_goes_back() {
    let lua = blocks("lua");
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("counter.lua", lua[0])]);
    let host = open(&dir);
    assert!(reload(&host).await.is_empty());
    assert_eq!((hit(&host).await, hit(&host).await), (Some(1), Some(2)));
    dir.write("counter.lua", lua[1]);
    assert_eq!(reload(&host).await, ["1.0.0 -> 2.0.0"]);
    assert_eq!(hit(&host).await, Some(3));
    let other = host.engine().call("counter", "hit", vec!["about".into()]).await.unwrap();
    assert_eq!(other.as_int(), Some(1), "another page");
    dir.write("counter.lua", lua[0]);
    assert_eq!(reload(&host).await, ["2.0.0 -> 1.0.0"]);
    assert_eq!(hit(&host).await, Some(5), "all pages together, and one more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ver_02_the_page_s_counter_in_rhai_migrates_and_goes_back() {
    let two = blocks("rhai")[0];
    let one = "let me = graceful::register_module(\"counter\", #{ version: \"1.0.0\", init: |m| { m.state.count = 0; } });
        fn hit() { me.state.add(\"count\", 1) }";
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("counter.rhai", one)]);
    let host = open(&dir);
    assert!(reload(&host).await.is_empty());
    assert_eq!((hit(&host).await, hit(&host).await), (Some(1), Some(2)));
    dir.write("counter.rhai", two);
    assert_eq!(reload(&host).await, ["1.0.0 -> 2.0.0"]);
    assert_eq!(hit(&host).await, Some(3));
    dir.write("counter.rhai", one);
    assert_eq!(reload(&host).await, ["2.0.0 -> 1.0.0"]);
    assert_eq!(hit(&host).await, Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ver_02_the_page_s_recorded_state_goes_up_and_back() {
    let (lua, recorded) = (blocks("lua"), blocks("json")[0]);
    let dir = AppDir::new(&[
        ("graceful.toml", MANIFEST),
        ("counter.lua", lua[1]),
        ("states/counter@1.0.0.json", recorded),
    ]);
    let mut options = HostOptions::default();
    options.no_admin = true;
    let reply = check(dir.path(), options, Some(&dir.file("states"))).await.unwrap();
    assert!(reply.ok, "{reply:?}");
    assert_eq!(reply.modules.len(), 1, "the check's own module is not shown");
    let [state] = &reply.states[..] else { panic!("{reply:?}") };
    assert_eq!(state.steps, ["1.0.0 -> 2.0.0: lossy, as declared"]);
    let told: Value = serde_json::from_str(recorded).unwrap();
    assert_eq!(told.get("count").and_then(Value::as_int), Some(12));
}
