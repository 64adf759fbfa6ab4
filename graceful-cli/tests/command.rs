//! The command as a person and a script use it: exit codes, output, signals, a process that dies.

mod served;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use served::{App, PATIENCE};

const WEB: &str = "
local http = require('http')
local counter = require('counter')
http.route('GET', '/', function() return 'one ' .. counter.add() end)
";

const COUNTER: &str = "
local counter = require('graceful').register_module('counter', {
    version = '1.0.0',
    init = function(mod) mod.state.n = 0 end,
    after_reload = function(mod) end,
})
return { add = function() counter.state.n = counter.state.n + 1 return counter.state.n end }
";

impl App {
    fn new() -> Self {
        let app = Self::empty();
        app.write("graceful.toml", "name = 'app'\nentry = ['web']\nlisten = '127.0.0.1:0'\n");
        app.write("web.lua", WEB);
        app.write("counter.lua", COUNTER);
        fs::create_dir(app.path().join("lib")).unwrap();
        app
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {:?} {:?}", text(&output.stdout), text(&output.stderr));
    });
    assert_eq!(value["schema_version"], 1);
    value
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn check_says_whether_an_app_loads() {
    let app = App::new();
    let good = app.run(&["check", "."]);
    assert_eq!((code(&good), text(&good.stdout).as_str()), (0, "2 modules load: counter, web\n"));
    app.write("counter.lua", "local x = = 1\n");
    let bad = app.run(&["check"]);
    assert_eq!(code(&bad), 4);
    let told = text(&bad.stderr);
    assert!(told.starts_with("error[GR0301]: module `counter` cannot be loaded: "), "{told}");
    assert!(told.contains("--> counter.lua:1") && told.contains("1 | local x = = 1\n"), "{told}");
    assert!(!told.contains('\x1b') && bad.stdout.is_empty(), "no colours into a pipe: {told}");
    let bad = json(&app.run(&["check", "--json"]));
    assert_eq!((&bad["ok"], &bad["failure"]["code"]), (&Value::Bool(false), &"GR0301".into()));
    app.write("graceful.toml", "name = 'app'\nentry = ['web']\nlistn = 'x'\n");
    let bad = app.run(&["check"]);
    assert_eq!(code(&bad), 4);
    assert!(text(&bad.stderr).contains("did you mean `listen`?"), "{}", text(&bad.stderr));
    assert_eq!(code(&app.run(&["check", "nowhere"])), 4);
}

#[test]
fn ver_02_check_sends_recorded_states_through_the_migrations() {
    let app = App::new();
    let counter = |rest: &str| {
        let up = "up = function(state) state.hits, state.n = state.n, nil end";
        let down = "down = function(state) state.n, state.hits = state.hits, nil end";
        let migrations = format!("migrations = {{ ['1.0.0'] = {{ to = '2.0.0', {up}, {down}, {rest} }} }},");
        COUNTER.replace("version = '1.0.0',", &format!("version = '2.0.0', {migrations}"))
    };
    app.write("counter.lua", &counter(""));
    fs::create_dir(app.path().join("states")).unwrap();
    app.write("states/counter@1.0.0.json", r#"{"n": 3, "users": {"ada": {"age": 36}}}"#);
    app.write("states/counter@2.0.0.json", r#"{"hits": 3}"#);
    let good = app.run(&["check", "--states", "states"]);
    assert_eq!(code(&good), 0, "{}", text(&good.stderr));
    let told = text(&good.stdout);
    assert!(told.contains("2 modules load: counter, web"), "{told}");
    assert!(
        told.contains("state counter@1.0.0.json: ok\n  1.0.0 -> 2.0.0: up and down give what was there"),
        "{told}"
    );
    app.write("states/counter@1.0.0@other.json", r#"{"n": 3, "hits": 4}"#);
    app.write("states/web.json", "{}");
    app.write("states/gone@1.0.0.json", "{}");
    let bad = app.run(&["check", "--states", "states"]);
    assert_eq!(code(&bad), 4);
    let told = text(&bad.stdout);
    for line in [
        "state counter@1.0.0@other.json: wrong\n  1.0.0 -> 2.0.0: up and down make nothing of 4 at `hits`",
        "state gone@1.0.0.json: wrong\n  no module `gone` is loaded",
        "state web.json: wrong\n  the name of a recorded state is `module@version.json`",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    let bad = json(&app.run(&["check", "--json", "--states", "states"]));
    assert_eq!((bad["ok"].as_bool(), bad["states"][0]["ok"].as_bool()), (Some(false), Some(true)), "{bad}");
    fs::remove_file(app.path().join("states/web.json")).unwrap();
    fs::remove_file(app.path().join("states/gone@1.0.0.json")).unwrap();
    app.write("counter.lua", &counter("lossy = true"));
    assert_eq!(code(&app.run(&["check", "--states", "states"])), 0, "declared to lose it");
    assert_ne!(code(&app.run(&["check", "--states", "nowhere"])), 0);
}

#[test]
fn tx_01_check_finds_two_modules_that_claim_one_route() {
    let app = App::new();
    app.write("graceful.toml", "name = 'app'\nentry = ['web', 'other']\nlisten = '127.0.0.1:0'\n");
    app.write("other.lua", "require('http').route('GET', '/', function() return 'other' end)\n");
    let bad = json(&app.run(&["check", "--json"]));
    assert_eq!((&bad["ok"], &bad["failure"]["code"]), (&Value::Bool(false), &"GR0111".into()));
    let bad = app.run(&["check"]);
    assert_eq!(code(&bad), 4);
    assert!(text(&bad.stderr).contains("`web`") && text(&bad.stderr).contains("`other`"), "{bad:?}");
}

#[test]
fn tx_07_a_reload_can_be_checked_only_and_can_go_on_past_an_old_hook() {
    let app = App::new();
    let failing = "before_reload = function() error('always') end";
    app.write("counter.lua", &COUNTER.replace("after_reload = function(mod) end", failing));
    let served = app.serve(&["run", "."]);
    app.write("counter.lua", &COUNTER.replace("1.0.0", "1.1.0"));
    let checked = app.run(&["reload", "--check"]);
    assert_eq!(code(&checked), 0);
    let told = text(&checked.stdout);
    assert!(
        told.starts_with("generation 1 stays") && told.contains("reload counter 1.0.0 -> 1.1.0"),
        "{told}"
    );
    assert_eq!(json(&app.run(&["status", "--json"]))["generation"], 1);
    let blocked = app.run(&["reload", "--force"]);
    assert_eq!(code(&blocked), 5);
    assert!(text(&blocked.stderr).contains("`forgive_before_reload`"), "{}", text(&blocked.stderr));
    let past = app.run(&["reload", "--forgive-before-reload"]);
    assert_eq!(code(&past), 0, "{}", text(&past.stderr));
    assert!(text(&past.stdout).contains("warning: before_reload of counter"), "{}", text(&past.stdout));
    assert_eq!(code(&app.run(&["reload", "--force"])), 0, "the hook has left");
    app.write("counter.lua", "local x = = 1\n");
    assert_eq!(code(&app.run(&["reload", "--check"])), 4);
    let (_, out, _) = served.end();
    assert!(
        !out.contains("would be done") && !out.contains("= = 1"),
        "a check is not told as a reload: {out}"
    );
}

#[test]
fn a_wrong_command_line_is_2_and_no_host_is_3() {
    let app = App::new();
    assert_eq!(code(&app.run(&["chekc"])), 2);
    assert_eq!(code(&app.run(&["status", "--timeout", "soon"])), 2);
    for command in ["status", "plan", "reload"] {
        let none = app.run(&[command]);
        assert_eq!(code(&none), 3, "{command}");
        assert!(text(&none.stderr).contains("no host is running"));
        assert_eq!(json(&app.run(&[command, "--json"]))["exit"], 3);
    }
}

#[test]
fn a_running_app_is_found_from_inside_its_folder_and_says_what_it_does() {
    let app = App::new();
    let served = app.serve(&["run", "."]);
    let mut inside = app.command(&["status", "--json"]);
    let status = json(&inside.current_dir(app.path().join("lib")).output().unwrap());
    assert_eq!((&status["state"], &status["generation"]), (&"idle".into(), &1.into()));
    assert_eq!(status["modules"][0]["name"], "counter");
    assert_eq!(status["modules"][0]["version"], "1.0.0");
    assert_eq!(status["last_reload"]["result"], "committed");

    let nothing = app.run(&["reload"]);
    assert_eq!((code(&nothing), text(&nothing.stdout).contains("nothing to do")), (0, true));
    app.write("counter.lua", &COUNTER.replace("1.0.0", "1.1.0"));
    let plan = json(&app.run(&["plan", "--json"]));
    let steps: Vec<_> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["reason"].as_str().unwrap()).collect();
    assert_eq!(steps, ["changed", "depends on counter"]);
    assert_eq!(served.get("/"), "one 1");
    let reload = app.run(&["reload"]);
    assert!(
        text(&reload.stdout).contains("reload counter 1.0.0 -> 1.1.0, reload web"),
        "{}",
        text(&reload.stdout)
    );
    assert_eq!(served.get("/"), "one 2");
    let forced = json(&app.run(&["reload", "--force", "--json"]));
    assert_eq!((&forced["ok"], &forced["reload"]["generation"]), (&Value::Bool(true), &3.into()));
    assert!(app.run(&["reload", "--quiet", "--force"]).stdout.is_empty());
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let app = App::new();
    let served = app.serve(&["run", "."]);
    app.write("web.lua", "local x = = 1");
    let refused = app.run(&["reload"]);
    assert_eq!(code(&refused), 4);
    let told = text(&refused.stderr);
    assert!(told.contains("1 | local x = = 1") && told.contains("generation 1 serves"), "{told}");
    assert_eq!(code(&app.run(&["plan"])), 4);
    app.write("web.lua", WEB);

    app.write(
        "counter.lua",
        &COUNTER.replace("after_reload = function(mod) end", "after_reload = function() error('no') end"),
    );
    let back = app.run(&["reload", "--json"]);
    assert_eq!(code(&back), 5);
    assert_eq!(json(&back)["failure"]["code"], "GR0105");
    let hooks = "checkpoint = 'own', rollback = function() error('cannot') end, after_reload = function() error('no') end";
    let owns = COUNTER.replace("after_reload = function(mod) end", hooks);
    app.write(
        "counter.lua",
        &owns.replace("after_reload = function() error('no') end", "after_reload = function() end"),
    );
    assert_eq!(code(&app.run(&["reload"])), 0);
    app.write("counter.lua", &owns);
    let stuck = app.run(&["reload"]);
    assert_eq!(code(&stuck), 6, "{}", text(&stuck.stderr));
    assert_eq!(json(&app.run(&["status", "--json"]))["state"], "stuck");
    app.write("counter.lua", COUNTER);
    assert_eq!(code(&app.run(&["reload"])), 0, "a good reload mends it");
    assert_eq!(json(&app.run(&["status", "--json"]))["state"], "idle");

    app.write("web.lua", "local until_then = os.time() + 3 while os.time() < until_then do end");
    let late = app.run(&["reload", "--timeout", "0.3"]);
    assert_eq!(code(&late), 7, "{}", text(&late.stderr));
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn hup_reloads_term_ends_and_a_second_host_is_told_so() {
    let app = App::new();
    let served = app.serve(&["run", ".", "--log", "warn"]);
    app.write("web.lua", &WEB.replace("one", "two"));
    served.signal("HUP");
    served.until("/", |answer| answer.starts_with("two"));
    app.write("web.lua", "local x = = 1");
    served.signal("HUP");
    // A signal is not there at once, and an end would overtake it.
    let refused = |_| {
        std::thread::sleep(Duration::from_millis(20));
        json(&app.run(&["status", "--json"]))["last_reload"]["code"] == "GR0301"
    };
    assert!((0..200).any(refused), "{}", text(&app.run(&["status"]).stdout));
    let second = app.run(&["run", "."]);
    assert_eq!(code(&second), 1);
    assert!(text(&second.stderr).contains("is the app running already?"), "{}", text(&second.stderr));
    let (code, out, errors) = served.end();
    assert_eq!(code, Some(0));
    assert!(out.contains("generation 2: reload web"), "{out}");
    assert!(errors.contains("error[GR0301]") && errors.contains("1 | local x = = 1"), "{errors}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let app = App::new();
    app.write(
        "web.lua",
        "local http, fiber = require('http'), require('fiber')
        http.route('GET', '/', function() return 'here' end)
        http.route('GET', '/slow', function() fiber.sleep(15) return 'late' end)",
    );
    let served = app.serve(&["run", "."]);
    let mut slow = TcpStream::connect(&served.address).unwrap();
    write!(slow, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    served.until("/", |answer| answer == "here");
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    served.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    served.signal("INT");
    assert_eq!(served.wait().0, Some(1));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_host_whose_threads_all_spin_still_says_how_it_is_and_ends() {
    let app = App::new();
    app.write("web.lua", "require('http').route('GET', '/spin', function() while true do end end)");
    let served = app.serve(&["run", "."]);
    let mut asking = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&served.address).unwrap();
        write!(stream, "GET /spin HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        asking.push(stream);
    }
    std::thread::sleep(Duration::from_millis(300));
    let status = json(&app.run(&["status", "--json", "--timeout", "5"]));
    let web = status["modules"].as_array().unwrap().iter().find(|module| module["name"] == "web").unwrap();
    assert!(web["in_flight"].as_u64() > Some(0), "{status}");
    served.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    served.signal("TERM");
    assert_eq!(served.wait().0, Some(1));
}

#[test]
fn dev_waits_for_the_change_that_mends_the_app() {
    let app = App::new();
    app.write("counter.lua", "return {");
    let served = app.serve(&["dev", "."]);
    assert!(served.get("/").contains("GR0403"));
    app.write("counter.lua", COUNTER);
    served.until("/", |answer| answer.starts_with("one"));
    app.write("web.lua", &WEB.replace("counter.add()", "counter.subtract()"));
    let shown = served.until("/", |answer| answer.contains("error"));
    assert!(shown.contains("subtract"), "dev tells what was thrown: {shown}");
    let (code, out, errors) = served.end();
    assert_eq!(code, Some(0));
    assert!(out.contains("generation 1: ") && out.contains("generation 2: reload web"), "{out}");
    assert!(errors.contains("error[GR0301]") && errors.contains("waiting for the next change"), "{errors}");
}

#[test]
fn a_process_that_dies_in_a_reload_leaves_nothing_in_the_way() {
    let app = App::new();
    for round in 0..5 {
        let served = app.serve(&["run", "."]);
        let mut reload = app.command(&["reload", "--force"]);
        let mut reload = reload.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(3 * round));
        served.signal("KILL");
        assert_eq!(served.wait().0, None);
        reload.wait().unwrap();
        assert_eq!(code(&app.run(&["status"])), 3, "the socket of a dead host is not a host");
    }
    let served = app.serve(&["run", ".", "--json"]);
    assert!(served.get("/").starts_with("one"));
    let ready: Value = serde_json::from_str(served.said.last().unwrap()).unwrap();
    assert_eq!((&ready["event"], &ready["name"]), (&"ready".into(), &"app".into()));
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn flags_go_before_variables_and_variables_before_the_manifest() {
    let app = App::new();
    let socket: PathBuf = app.path().join("own.sock");
    let mut command = app.command(&["run", "."]);
    let mut child = command
        .env("GRACEFUL_LISTEN", "127.0.0.1:0")
        .env("GRACEFUL_ADMIN", &socket)
        .env("GRACEFUL_JSON", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.by_ref().map_while(Result::ok).find(|line| line.contains("\"ready\"")).unwrap();
    assert!(said.contains("own.sock"), "{said}");
    let path = socket.to_str().unwrap();
    assert_eq!(code(&app.run(&["status", "--admin", path])), 0);
    let elsewhere =
        app.command(&["status", "--admin", "other.sock"]).env("GRACEFUL_ADMIN", path).output().unwrap();
    assert_eq!(code(&elsewhere), 3);
    assert_eq!(code(&app.command(&["status"]).env("GRACEFUL_ADMIN", path).output().unwrap()), 0);
    let _ = child.kill();
    let _ = child.wait();
}

/// Two modules that say when they are finalized; the inner one in its own way.
fn finalizing(app: &App, inner: &str) {
    let base = format!(
        "local log = require('log')\n\
         local mod = require('graceful').register_module('base', {{ version = '1.0.0', init = function() end,\n\
         finalize = function() log.info('finalize base') {inner} end }})\n\
         return {{}}"
    );
    app.write("base.lua", &base);
    let web = "local log, base = require('log'), require('base')\n\
        require('graceful').register_module('web', { init = function() end,\n\
        finalize = function() log.info('finalize web') end })\n\
        require('http').route('GET', '/', function() return 'here' end)\n\
        return {}";
    app.write("web.lua", web);
}

#[test]
fn shut_01_term_and_int_finalize_dependents_first_and_the_exit_code_tells() {
    for (signal, inner, expected) in [("TERM", "", 0), ("INT", "", 0), ("TERM", "error('not today')", 1)] {
        let app = App::new();
        finalizing(&app, inner);
        let served = app.serve(&["run", "."]);
        served.until("/", |answer| answer == "here");
        served.signal(signal);
        let (code, _, log) = served.wait();
        assert_eq!(code, Some(expected), "{log}");
        let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("`{text}` is not in {log}"));
        assert!(at("finalize web") < at("finalize base"), "{log}");
        assert_eq!(log.contains("finalize of base: not today"), expected == 1, "{log}");
    }
}

#[test]
fn shut_02_term_in_the_middle_of_a_reload_undoes_it_and_then_ends() {
    let app = App::new();
    app.write(
        "graceful.toml",
        "name = 'ends'\nentry = 'web'\nlisten = '127.0.0.1:0'\n[reload]\nexclusive = '20s'\nhook = '20s'",
    );
    finalizing(&app, "");
    let served = app.serve(&["run", "."]);
    served.until("/", |answer| answer == "here");
    let hangs = "require('graceful').register_module('base', {\n\
        finalize = function() require('log').info('finalize the new') end,\n\
        after_reload = function() io.open('in-the-hook', 'w'):close() require('fiber').sleep(60) end })\n\
        return {}";
    app.write("base.lua", hangs);
    let mut reload = app.command(&["reload", "--json"]);
    let reload = reload.stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !app.path().join("in-the-hook").exists() {
        assert!(begun.elapsed() < PATIENCE, "the reload does not come to its hook");
        std::thread::sleep(Duration::from_millis(10));
    }
    served.signal("TERM");
    let (code, _, log) = served.wait();
    let told = json(&reload.wait_with_output().unwrap());
    assert_eq!(
        (&told["failure"]["code"], &told["failure"]["outcome"]),
        (&"GR0119".into(), &"rolled_back".into())
    );
    assert_eq!(code, Some(0), "{log}");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("`{text}` is not in {log}"));
    assert!(at("finalize web") < at("finalize base"), "{log}");
    assert!(!log.contains("finalize the new"), "{log}");
}

#[test]
fn obs_02_the_command_prints_the_metrics_of_the_running_app() {
    let app = App::new();
    let served = app.serve(&["run", ".", "--metrics", "127.0.0.1:0", "--json"]);
    served.get("/");
    let printed = text(&app.run(&["metrics"]).stdout);
    assert!(printed.contains("\n# TYPE graceful_reloads_total counter\n"), "{printed}");
    assert!(
        printed.contains("\ngraceful_reloads_total{result=\"committed\",phase=\"none\"} 1\n"),
        "{printed}"
    );
    let ready: Value = serde_json::from_str(served.said.last().unwrap()).unwrap();
    let address =
        ready["metrics"].as_str().unwrap().trim_start_matches("http://").trim_end_matches("/metrics");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("text/plain; version=0.0.4") && answer.contains("graceful_generation 1"),
        "{answer}"
    );
    assert_eq!(served.end().0, Some(0));
    assert_eq!(code(&app.run(&["metrics"])), 3);
}

#[test]
fn shut_01_a_script_ends_the_host_and_its_caller_is_answered() {
    let app = App::new();
    finalizing(&app, "");
    let stop =
        "require('http').route('POST', '/stop', function() require('graceful').shutdown() return 'bye' end)";
    app.write("stop.lua", stop);
    app.write("graceful.toml", "name = 'app'\nentry = ['web', 'stop']\nlisten = '127.0.0.1:0'\n");
    let served = app.serve(&["run", "."]);
    let mut stream = TcpStream::connect(&served.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("bye"), "{answer}");
    let (code, _, log) = served.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("finalize web") && log.contains("finalize base"), "{log}");
}
