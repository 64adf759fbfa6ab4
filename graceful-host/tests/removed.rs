//! What a host keeps in files is removed while it runs; and what it is asked is too large.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use common::{AppDir, Client};
use graceful_core::{Config, ReloadOptions, Value};
use graceful_host::wire::{ConfigRequest, HistoryEntry};
use graceful_host::{AdminError, Cause, Running, history};

const MANIFEST: &str =
    "name = 'removed'\n[roles]\nmodules = ['greeter']\nenabled = ['greeter']\n[config.greeter]\nword = 'a'\n";

const GREETER: &str =
    "require('http').route('POST', '/', function(request) return #request.body end)\nreturn {}\n";

fn app() -> AppDir {
    AppDir::new(&[("graceful.toml", MANIFEST), ("greeter.lua", GREETER)])
}

fn config(word: &str) -> Config {
    let section = Value::Map([("word".to_owned(), word.into())].into());
    Config::new(Value::Map([("greeter".to_owned(), section)].into())).unwrap()
}

async fn reload(running: &Running, cause: Cause) {
    running.host().reload(cause, ReloadOptions::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_a_history_that_is_removed_begins_anew() {
    let dir = app();
    let running = dir.start(dir.options()).await;
    reload(&running, Cause::Watch).await;
    fs::remove_dir_all(dir.file(".graceful")).unwrap();
    running.host().engine().reload(ReloadOptions::default()).await.unwrap();
    let now = running.host().history(usize::MAX);
    let [HistoryEntry::Started(started), HistoryEntry::Reload(reload)] = &now.entries[..] else {
        panic!("{now:?}")
    };
    assert_eq!((started.run, started.after_crash, &now.warnings[..]), (1, false, &[][..]));
    assert!(reload.reload > 2 && reload.asked_by == "embedder", "{reload:?}");
    assert!(running.stop().await);
    assert!(dir.start(dir.options()).await.stop().await);
    let runs: Vec<_> = history(dir.path(), usize::MAX).unwrap().entries;
    let runs: Vec<_> = runs
        .iter()
        .filter_map(|entry| match entry {
            HistoryEntry::Started(started) => Some((started.run, started.after_crash)),
            _ => None,
        })
        .collect();
    assert_eq!(runs, [(1, false), (2, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_a_second_host_leaves_the_history_of_the_first_alone() {
    let dir = app();
    let running = dir.start(dir.options()).await;
    let mut options = dir.options();
    options.no_admin = true;
    assert!(dir.start(options).await.stop().await);
    reload(&running, Cause::Watch).await;
    let now = running.host().history(usize::MAX);
    let started = now.entries.iter().filter(|entry| matches!(entry, HistoryEntry::Started(_))).count();
    assert_eq!((started, now.reloads().last().map(|reload| &*reload.asked_by)), (1, Some("watch")));
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_05_a_configuration_that_was_removed_is_kept_again() {
    let dir = app();
    let mut running = dir.start(dir.options()).await;
    let applied = dir.file(".graceful/applied.json");
    assert!(
        running.host().apply_config(config("a"), None).await.ok && !applied.exists(),
        "it is the manifest's"
    );
    assert!(running.host().apply_config(config("b"), None).await.ok && applied.exists());
    for _ in 0..2 {
        fs::remove_dir_all(dir.file(".graceful")).unwrap();
        assert!(running.host().apply_config(config("b"), None).await.ok && applied.exists());
        assert!(running.stop().await);
        // The one that was kept is read, and is kept again, too.
        running = dir.start(dir.options()).await;
    }
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_with_413() {
    let dir = app();
    let running = dir.start(dir.options()).await;
    let request = ConfigRequest { config: Value::Str("x".repeat(17 << 20)), master: None };
    let refused = dir.admin().apply_config(&request).await.unwrap_err();
    assert!(matches!(refused, AdminError::TooLarge { size } if size > 17 << 20), "{refused}");

    let ask = |head: &str, body: usize| {
        let mut socket = UnixStream::connect(dir.file(".admin.sock")).unwrap();
        write!(socket, "POST /config/apply HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}\r\n\r\n")
            .unwrap();
        let _ = socket.write_all(&vec![b'x'; body]);
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    };
    for (head, body) in
        [("content-length: 20000000", 0), ("transfer-encoding: chunked\r\n\r\n1312D00", 20_000_000)]
    {
        let answer = ask(head, body);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("GR0413"), "{head}: {answer}");
    }
    assert!(running.host().reload(Cause::Admin, ReloadOptions::default()).await.is_ok());

    let mut client = Client::connect(&running).await;
    assert_eq!(client.send("POST", "/", &"x".repeat(1 << 20)).await.unwrap().status(), 200);
    assert_eq!(client.send("POST", "/", &"x".repeat((1 << 20) + 1)).await.unwrap().status(), 413);
    assert!(running.stop().await);
}
