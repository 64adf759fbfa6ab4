//! The example shop, edited while it serves.

mod common;

use std::time::Duration;

use common::{AppDir, Client, Load, Stream, get, until};
use graceful_host::Running;
use graceful_host::wire::{Failure, ReloadRequest};

/// A copy of the example, with a port of its own.
fn shop() -> AppDir {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop");
    let dir = AppDir::new(&[]);
    for file in std::fs::read_dir(example).unwrap() {
        let path = file.unwrap().path();
        // Somebody may have run it there: what it keeps is no part of it.
        if path.is_dir() {
            continue;
        }
        dir.write(path.file_name().unwrap().to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
    }
    dir
}

async fn watched(dir: &AppDir) -> Running {
    let mut options = dir.options();
    options.watch = Some(true);
    dir.start(options).await
}

async fn refused(dir: &AppDir) -> Failure {
    dir.admin().reload(&ReloadRequest::default()).await.unwrap().failure.expect("the reload fails")
}

const TEN_TEAS: &str = "/price/tea?quantity=10";

fn ten_teas(cents: u32) -> String {
    format!(r#"{{"cents":{cents},"currency":"EUR","item":"tea","quantity":10}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_each_language_is_live_within_a_moment_and_keeps_the_state() {
    let dir = shop();
    let running = watched(&dir).await;
    assert_eq!(get(&running, TEN_TEAS).await, (200, ten_teas(3696)));
    dir.edit("pricing.rhai", "_ => 12", "_ => 50");
    until(&running, TEN_TEAS, &ten_teas(2100)).await;
    dir.edit("catalog.lua", "return catalog.state.items[item]", "return catalog.state.items[item] + 80");
    until(&running, TEN_TEAS, &ten_teas(2500)).await;
    let before: u64 = get(&running, "/hits").await.1.parse().unwrap();
    dir.edit("web.lua", "return tostring(catalog.hits())", "return 'hits: ' .. catalog.hits()");
    until(&running, "/hits", &format!("hits: {before}")).await;
    dir.edit("graceful.toml", "EUR", "SEK");
    until(&running, TEN_TEAS, &ten_teas(2500).replace("EUR", "SEK")).await;
    let status = dir.admin().status().await.unwrap();
    let backends: Vec<_> = status.modules.iter().map(|module| module.backend.as_str()).collect();
    assert_eq!(backends, ["lua", "native", "native", "rhai", "lua"]);
    assert_eq!(status.modules.iter().find(|module| module.name == "web").unwrap().tasks, 1);
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_02_every_kind_of_broken_edit_leaves_the_shop_open() {
    let dir = shop();
    let running = dir.start(dir.options()).await;
    let load = Load::start(&running, 4, TEN_TEAS, |status, body| {
        (body != ten_teas(3696)).then(|| format!("{status} {body}"))
    })
    .await;
    let whole = |file: &str| std::fs::read_to_string(dir.file(file)).unwrap();
    let (web, pricing) = (whole("web.lua"), whole("pricing.rhai"));

    dir.write("web.lua", &web.replace("local function tick(state)", "local function tick(state"));
    let failure = refused(&dir).await;
    let place = failure.place.unwrap();
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0301", "refused"));
    assert!(place.file == "web.lua" && place.line.is_some() && failure.source_line.is_some(), "{place}");

    dir.write("web.lua", &format!("{web}\nerror('not today')\n"));
    let failure = refused(&dir).await;
    assert_eq!((failure.code.as_str(), failure.module.as_deref()), ("GR0302", Some("web")));
    assert!(failure.message.contains("not today"), "{}", failure.message);
    assert_eq!(failure.source_line.as_deref(), Some("error('not today')"));

    dir.write(
        "web.lua",
        &web.replace("before_reload = function(mod)", "before_reload = function(mod) error('no')"),
    );
    assert!(
        dir.admin().reload(&ReloadRequest::default()).await.unwrap().ok,
        "the old before_reload runs first"
    );
    let failure = refused_after(&dir, "web.lua", &web).await;
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0105", "rolled_back"));
    dir.write("web.lua", &web.replace("before_reload = function(mod)", "before_reload = function(mod) --"));
    let failure = refused(&dir).await;
    assert_eq!(failure.outcome, "rolled_back", "what is live still fails: {}", failure.message);
    load.finish().await;

    let load =
        Load::start(&running, 2, "/hits", |status, body| (status != 200).then(|| body.to_owned())).await;
    dir.remove("pricing.rhai");
    let failure = refused(&dir).await;
    assert_eq!((failure.code.as_str(), failure.module.as_deref()), ("GR0103", Some("pricing")));
    assert!(failure.message.contains("pricing.lua, pricing.rhai, pricing/init.lua"), "{}", failure.message);

    dir.write("pricing.rhai", &format!("import \"catalog\" as catalog;\n{pricing}"));
    dir.edit("catalog.lua", "local M = {}", "local pricing = require('pricing')\nlocal M = {}");
    let failure = refused(&dir).await;
    assert!(
        failure.code == "GR0104" && failure.message.contains("catalog -> pricing -> catalog"),
        "{failure:?}"
    );
    load.finish().await;
    running.stop().await;
}

async fn refused_after(dir: &AppDir, file: &str, text: &str) -> Failure {
    dir.write(file, text);
    refused(dir).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_10_a_file_written_in_pieces_is_loaded_when_it_is_whole() {
    use std::io::Write;
    let dir = shop();
    let mut options = dir.options();
    options.watch = Some(true);
    let failures = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = failures.clone();
    options.on_reload = Some(std::sync::Arc::new(move |_, result: &Result<_, Failure>| {
        into.lock().unwrap().extend(result.as_ref().err().map(|failure| failure.message.clone()));
    }));
    dir.edit("graceful.toml", "[reload]", "[reload]\ndebounce = \"250ms\"");
    let running = dir.start(options).await;
    let text = std::fs::read_to_string(dir.file("pricing.rhai")).unwrap();
    for round in 1..4 {
        let text = text.replace("_ => 12", &format!("_ => {}", 10 * round));
        let mut file = std::fs::File::create(dir.file("pricing.rhai")).unwrap();
        for piece in text.as_bytes().chunks(text.len() / 7) {
            file.write_all(piece).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until(&running, TEN_TEAS, &ten_teas(4200 - 420 * round)).await;
    }
    assert!(failures.lock().unwrap().is_empty(), "{:?}", failures.lock().unwrap());
    running.stop().await;
}

/// What a tick carries.
fn tick(event: &str) -> u64 {
    let json = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str::<serde_json::Value>(json).unwrap()["tick"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_03_the_ticker_goes_on_over_reloads_and_starts_anew_with_a_new_version() {
    let dir = shop();
    dir.edit("web.lua", "fiber.sleep(0.2)", "fiber.sleep(0.02)");
    let running = watched(&dir).await;
    let stream = Stream::open(&running, "/events").await;
    let mut client = Client::connect(&running).await;
    for round in 0..5 {
        stream.more_than(stream.events().len() + 3).await;
        dir.edit("pricing.rhai", "_ => 12", "_ => 13");
        until(&running, TEN_TEAS, &ten_teas(3654)).await;
        dir.edit("pricing.rhai", "_ => 13", "_ => 12");
        until(&running, TEN_TEAS, &ten_teas(3696)).await;
        assert_eq!(client.get("/hits").await.unwrap().0, 200, "round {round}");
    }
    // The version is what makes web start another ticker: it counts in thousands.
    let text = std::fs::read_to_string(dir.file("web.lua")).unwrap();
    let text = text.replace("state.ticks + 1\n", "state.ticks + 1000\n").replace("'1.0.0'", "'1.1.0'");
    dir.write("web.lua", &text);
    let begun = std::time::Instant::now();
    while stream.events().last().map(|event| tick(event)).unwrap_or_default() < 3000 {
        assert!(begun.elapsed() < common::PATIENCE, "the new ticker does not tick");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ticks: Vec<u64> = stream.events().iter().map(|event| tick(event)).collect();
    let steps: Vec<u64> = ticks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let turn = steps.iter().position(|step| *step == 1000).unwrap();
    assert!(steps[..turn].iter().all(|step| *step == 1), "one ticker, none lost: {steps:?}");
    assert!(steps[turn..].iter().all(|step| *step == 1000), "the old one has ended: {steps:?}");
    assert!(stream.is_open());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_spins_is_stopped_and_the_edit_that_mends_it_is_taken() {
    let dir = shop();
    dir.edit("graceful.toml", "[limits]", "[limits]\nturn = \"300ms\"");
    let running = watched(&dir).await;
    dir.edit(
        "web.lua",
        "return tostring(catalog.hits())",
        "while true do pcall(function() while true do end end) end",
    );
    let begun = std::time::Instant::now();
    while get(&running, "/hits").await.0 == 200 {
        assert!(begun.elapsed() < common::PATIENCE, "the edit is not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut spinning = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(&running).await;
        spinning.push(tokio::spawn(async move { client.get("/hits").await }));
    }
    dir.edit("web.lua", "while true do pcall(function() while true do end end) end", "return 'mended'");
    for answer in spinning {
        let (status, body) = answer.await.unwrap().unwrap();
        let stopped = status == 500 && body.contains("GR0303");
        assert!(stopped || status == 503 || body == "mended", "{status} {body}");
    }
    until(&running, "/hits", "mended").await;
    assert_eq!(get(&running, TEN_TEAS).await.1, ten_teas(3696));
    running.stop().await;
}
