//! The history of reloads: what it says, over restarts, after a crash, and when it is damaged.

mod common;

use std::fs;

use common::AppDir;
use graceful_core::ReloadOptions;
use graceful_host::wire::{HistoryEntry, HistoryReply, ReloadEntry};
use graceful_host::{Cause, Running, history};

const MANIFEST: &str = "name = 'told'\nentry = ['web']\n";

const WEB: &str = "require('graceful').register_module('web', { version = '1.0.0', after_reload = function() end })
require('http').route('GET', '/again', function() return require('graceful').reload({ force = true }) and 'yes' end)\n";

fn app() -> AppDir {
    AppDir::new(&[("graceful.toml", MANIFEST), ("web.lua", WEB)])
}

async fn reload(running: &Running) -> bool {
    running.host().reload(Cause::Embedder, ReloadOptions::default()).await.is_ok()
}

/// Number, who asked, and outcome of each.
fn told(history: &HistoryReply) -> Vec<(u64, &str, &str)> {
    history.reloads().map(|reload| (reload.reload, &*reload.asked_by, &*reload.outcome)).collect()
}

fn last(history: &HistoryReply) -> &ReloadEntry {
    history.reloads().last().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_every_reload_is_in_the_history_with_its_report() {
    let dir = app();
    let running = dir.start(dir.options()).await;
    dir.edit("web.lua", "1.0.0", "1.1.0");
    assert!(reload(&running).await);
    let now = running.host().history(usize::MAX);
    assert_eq!(told(&now), [(1, "start", "committed"), (2, "embedder", "committed")]);
    let done = last(&now);
    assert_eq!((done.generation, done.run, done.purpose.as_str()), (Some(2), 1, "reload"));
    let change = &done.modules[0];
    assert_eq!(
        (change.module.as_str(), change.action.as_str(), change.reason.as_str()),
        ("web", "reload", "changed")
    );
    assert_eq!((change.old.as_deref(), change.new.as_deref()), (Some("1.0.0"), Some("1.1.0")));
    assert!(done.phases.iter().any(|phase| phase.phase == "commit") && done.took_ms > 0.0, "{done:?}");

    assert!(reload(&running).await, "nothing to do");
    dir.edit("web.lua", "after_reload = function() end", "after_reload = function() error('no') end");
    assert!(!reload(&running).await);
    dir.write("graceful.toml", "name = 5");
    assert!(!reload(&running).await);
    dir.write("graceful.toml", MANIFEST);
    dir.write("web.lua", WEB);
    assert_eq!(common::get(&running, "/again").await.1, "yes");
    let now = dir.admin().history(4).await.unwrap();
    let expected = [
        (3, "embedder", "unchanged"),
        (4, "embedder", "rolled_back"),
        (5, "embedder", "refused"),
        (6, "web", "committed"),
    ];
    assert_eq!(told(&now), expected);
    let [_, failed, manifest, _] = &now.reloads().collect::<Vec<_>>()[..] else { unreachable!() };
    assert_eq!(failed.code.as_deref(), Some("GR0105"), "{failed:?}");
    assert!(failed.message.as_ref().unwrap().contains("no") && !failed.rolled_back.is_empty(), "{failed:?}");
    assert_eq!((manifest.code.as_deref(), manifest.generation), (Some("GR0401"), Some(2)));
    assert!(running.stop().await);
    let whole = history(dir.path(), usize::MAX).unwrap();
    assert!(
        matches!(whole.entries.last(), Some(HistoryEntry::Stopped(ended)) if ended.clean && ended.run == 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_the_history_goes_on_after_a_restart() {
    let dir = app();
    for run in 1..=3 {
        let running = dir.start(dir.options()).await;
        assert!(running.stop().await);
        let now = history(dir.path(), usize::MAX).unwrap();
        assert_eq!((last(&now).reload, last(&now).run, &now.warnings[..]), (run, run, &[][..]));
    }
    let one = history(dir.path(), 1).unwrap();
    assert!(
        matches!(&one.entries[..], [HistoryEntry::Started(started), HistoryEntry::Reload(_), HistoryEntry::Stopped(_)]
        if started.run == 3 && !started.after_crash)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_a_reload_that_a_crash_interrupted_is_told_at_the_next_start() {
    let dir = app();
    let file = dir.file(".graceful/history.jsonl");
    assert!(dir.start(dir.options()).await.stop().await);
    let whole = fs::read_to_string(&file).unwrap();
    // Wherever the process was killed: after every line, and in the middle of every one.
    let ends: Vec<usize> = whole.match_indices('\n').map(|(at, _)| at + 1).collect();
    let mut interrupted = 0;
    for end in ends {
        for cut in [end, end - 10] {
            fs::write(&file, &whole.as_bytes()[..cut]).unwrap();
            let begun = whole[..cut].matches("begun").count() > 0
                && !whole[..cut].contains("\"outcome\":\"committed\"");
            let torn = !whole[..cut].ends_with('\n');
            assert!(dir.start(dir.options()).await.stop().await);
            let now = history(dir.path(), usize::MAX).unwrap();
            assert_eq!(now.warnings, [""; 0], "{cut} of {}", whole.len());
            let numbers: Vec<u64> = now.reloads().map(|reload| reload.reload).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
            let told = now.reloads().any(|reload| reload.outcome == "interrupted");
            assert!(told || !begun || torn, "{:?}", now.entries);
            interrupted += usize::from(told);
        }
    }
    assert!(interrupted > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn obs_05_a_damaged_history_is_told_and_keeps_nothing_from_running() {
    let dir = app();
    assert!(dir.start(dir.options()).await.stop().await);
    let file = dir.file(".graceful/history.jsonl");
    let text = fs::read_to_string(&file).unwrap().replacen("begun", "bgun", 1);
    fs::write(&file, text).unwrap();
    let running = dir.start(dir.options()).await;
    let now = running.host().history(usize::MAX);
    assert!(!now.ok && now.warnings.iter().any(|warning| warning.contains("cannot be read")), "{now:?}");
    assert!(running.stop().await);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let running = dir.start(dir.options()).await;
    assert!(reload(&running).await && !running.host().history(1).ok);
    assert!(running.stop().await);
}
