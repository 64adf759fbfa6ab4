//! A short storm on each backend; `cargo run --release -p graceful-bench --bin storm` makes a long one.

use std::time::Duration;

use graceful_bench::storm::app::Language;
use graceful_bench::storm::clients::Crowd;
use graceful_bench::storm::{Settings, run};

async fn short(language: Language) {
    // They are measured against clocks: one at a time.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let crowd = Crowd { kept: 4, new: 1, streams: 1 };
    let (least, tells) = (Duration::ZERO, true);
    let settings = Settings { reloads: 30, requests: 1_000, least, language, seed: 1, crowd, tells };
    let ended = run(&settings, |line| println!("{line}")).await.unwrap();
    println!("{ended}");
    assert!(ended.is_clean() && ended.broken > 3, "{ended}, {} broken", ended.broken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_or_mixed_in_a_storm_in_lua() {
    short(Language::Lua).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_or_mixed_in_a_storm_in_rhai() {
    short(Language::Rhai).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_or_mixed_in_a_storm_in_both() {
    short(Language::Mixed(true)).await;
}
