//! An applied configuration outlives the process, whenever that is killed: the last one that was answered for, whole.

mod served;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use served::{App, PATIENCE};

const MANIFEST: &str = "name = 'kept'\nlisten = '127.0.0.1:0'\n[reload]\nwatch = true\n\
    [roles]\nmodules = ['router', 'extra']\nenabled = ['router']\n[config.router]\nnumber = 0\nfiller = []\n";

/// Every part of a configuration has its number.
const ROUTER: &str = "
local number
return {
    validate_config = function(conf)
        for _, part in ipairs(conf.router.filler) do
            if part ~= conf.router.number then return nil, 'half of one' end
        end
        return true
    end,
    init = function() require('http').route('GET', '/', function() return tostring(number) end) end,
    apply_config = function(conf) number = conf.router.number end,
}
";

fn app() -> App {
    let app = App::empty();
    app.write("graceful.toml", MANIFEST);
    app.write("router.lua", ROUTER);
    app.write("extra.lua", "return { init = function() require('http').route('GET', '/extra', function() return 'extra' end) end }");
    app
}

fn number(app: &App, number: u32) -> String {
    let file = format!("{number}.json");
    let filler = vec![number.to_string(); 8_000].join(",");
    app.write(&file, &format!(r#"{{"router": {{"number": {number}, "filler": [{filler}]}}}}"#));
    file
}

/// Applies one after the other until the host does not answer. The last that was asked for, and the last that the host
/// answered for.
fn apply(app: &App, asked: &AtomicU32, answered: &AtomicU32, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        let next = asked.fetch_add(1, Ordering::AcqRel) + 1;
        let file = number(app, next);
        let done = app.run(&["config", "apply", &file]);
        fs::remove_file(app.path().join(&file)).unwrap();
        if done.status.code() != Some(0) {
            return;
        }
        answered.store(next, Ordering::Release);
    }
}

/// Returns as soon as anything that is kept is being written.
fn in_the_middle(app: &App) {
    let look = || {
        let files = fs::read_dir(app.path().join(".graceful")).into_iter().flatten().flatten();
        let applied = files.filter(|file| file.file_name().to_string_lossy().starts_with("applied"));
        let times = applied.filter_map(|file| file.metadata().ok()?.modified().ok());
        times.collect::<std::collections::BTreeSet<_>>()
    };
    let (before, begun) = (look(), Instant::now());
    while look() == before {
        assert!(begun.elapsed() < PATIENCE, "nothing is kept");
    }
}

#[test]
fn cfg_05_after_a_kill_at_any_moment_the_last_applied_configuration_is_active() {
    let app = app();
    let (asked, answered) = (AtomicU32::new(0), AtomicU32::new(0));
    for round in 0..20_u64 {
        let mut served = app.serve(&["run"]);
        let got: u32 = served.get("/").parse().unwrap();
        let (least, most) = (answered.load(Ordering::Acquire), asked.load(Ordering::Acquire));
        assert!(least <= got && got <= most, "round {round}: {got} is active, {least} was answered for");
        // What the killed one had applied and not answered for may be active or not; from here on it is.
        answered.store(got, Ordering::Release);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| apply(&app, &asked, &answered, &over));
            if round % 2 == 0 {
                // Moments that are spread over the time that a few of them take.
                std::thread::sleep(Duration::from_micros(20_000 + round * 7_919 % 150_000));
            } else {
                in_the_middle(&app);
            }
            served.child.kill().unwrap();
            over.store(true, Ordering::Release);
        });
        served.wait();
    }
    assert!(answered.load(Ordering::Acquire) > 5, "the host was killed before it could apply anything");
    let served = app.serve(&["run"]);
    let reply = app.run(&["config", "show", "--json"]);
    let reply: serde_json::Value = serde_json::from_slice(&reply.stdout).unwrap();
    assert_eq!(reply["source"], "applied");
    assert_eq!(reply["config"]["router"]["number"].to_string(), served.get("/"));
}

#[test]
fn cfg_05_enabled_roles_are_kept_too_and_reset_goes_back_to_the_manifest() {
    let app = app();
    let served = app.serve(&["run"]);
    assert_eq!(app.run(&["roles", "enable", "extra"]).status.code(), Some(0));
    assert_eq!(app.run(&["config", "apply", &number(&app, 7)]).status.code(), Some(0));
    served.signal("KILL");
    served.wait();
    app.write("graceful.toml", &MANIFEST.replace("number = 0", "number = 5"));
    let served = app.serve(&["run"]);
    assert_eq!((served.get("/").as_str(), served.get("/extra").as_str()), ("7", "extra"));
    assert_eq!(app.run(&["config", "reset"]).status.code(), Some(0));
    assert!(served.get("/").starts_with('5') && served.get("/extra").contains("GR0404"));
    served.signal("KILL");
    served.wait();
    let served = app.serve(&["run"]);
    assert_eq!(served.get("/"), "5");
    assert_eq!(app.run(&["config", "apply", &number(&app, 8)]).status.code(), Some(0));
    served.signal("TERM");
    assert_eq!(served.wait().0, Some(0));
    // Of an app that does not run, too; what was applied is not lost.
    assert_eq!(app.run(&["config", "reset"]).status.code(), Some(0));
    assert!(app.path().join(".graceful/applied.json.unused-1").exists());
    assert_eq!(app.serve(&["run"]).get("/"), "5");
}

#[test]
fn cfg_05_what_is_not_whole_is_told_and_not_used() {
    let app = app();
    let served = app.serve(&["run"]);
    assert_eq!(app.run(&["config", "apply", &number(&app, 7)]).status.code(), Some(0));
    served.signal("KILL");
    served.wait();
    let kept = app.path().join(".graceful/applied.json");
    let whole = fs::read(&kept).unwrap();
    fs::write(&kept, &whole[..whole.len() / 2]).unwrap();
    let served = app.serve(&["run"]);
    assert_eq!(served.get("/"), "0");
    let shown = app.run(&["config", "show"]);
    let told = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(told.contains("applied.json is not used"), "{told}");
    assert_eq!(app.run(&["config", "apply", &number(&app, 9)]).status.code(), Some(0));
    served.signal("TERM");
    let (_, _, errors) = served.wait();
    assert!(errors.contains("applied.json is not used"), "{errors}");
    assert_eq!(
        fs::read(app.path().join(".graceful/applied.json.unused-1")).unwrap(),
        whole[..whole.len() / 2]
    );
    assert_eq!(app.serve(&["run"]).get("/"), "9");
}

#[test]
fn cfg_05_what_is_kept_in_the_watched_folder_reloads_nothing() {
    let app = app();
    app.write("graceful.toml", &MANIFEST.replace("listen", "state_dir = 'kept'\nlisten"));
    let served = app.serve(&["run"]);
    let status =
        || -> serde_json::Value { serde_json::from_slice(&app.run(&["status", "--json"]).stdout).unwrap() };
    let before = status()["generation"].clone();
    assert_eq!(app.run(&["config", "apply", &number(&app, 7)]).status.code(), Some(0));
    assert!(app.path().join("kept/applied.json").exists());
    // The watcher would have seen the file before this one.
    app.write("router.lua", &ROUTER.replace("tostring(number)", "number .. '!'"));
    let begun = Instant::now();
    while status()["last_reload"]["code"] != "GR0511" {
        assert!(begun.elapsed() < PATIENCE, "{}", status()["last_reload"]);
    }
    assert_eq!((status()["generation"].clone(), served.get("/")), (before, "7".to_owned()));
}
