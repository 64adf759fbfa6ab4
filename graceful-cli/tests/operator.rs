//! What an operator sees who does not read the manual first: what is said, where, and with which exit code.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const MANIFEST: &str = "name = 'app'\nentry = ['web', 'tool']\n";
const WEB: &str = "require('http').route('GET', '/', function() return 'one' end)";
const TOOL: &str = "require('graceful').register_module('tool')";

struct App(TempDir);

impl App {
    fn new() -> Self {
        let app = Self(tempfile::tempdir().unwrap());
        app.write("graceful.toml", MANIFEST).write("web.lua", WEB).write("tool.lua", TOOL);
        fs::create_dir(app.0.path().join(".run")).unwrap();
        app
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(file), text).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("XDG_RUNTIME_DIR", self.path().join(".run"));
        command
    }

    /// Exit code, and what was said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let said = [stdout, stderr].concat();
        (status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn serve(&self, verb: &str) -> Served<'_> {
        let log = self.path().join(".log");
        let errors = fs::File::create(&log).unwrap();
        let mut child = self.command(&[verb]).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line == "app: running");
        assert!(ready, "it did not start: {}", fs::read_to_string(&log).unwrap());
        let said = self.path().join(".said");
        let mut copy = fs::File::create(&said).unwrap();
        std::thread::spawn(move || {
            use std::io::Write;
            lines.map_while(Result::ok).for_each(|line| writeln!(copy, "{line}").unwrap());
        });
        Served { app: self, child }
    }
}

struct Served<'a> {
    app: &'a App,
    child: Child,
}

impl Served<'_> {
    /// Waits for `expected` in the file `.log` or `.said`.
    fn says(&self, file: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(self.app.path().join(file)).unwrap();
            if text.contains(expected) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no `{expected}` in:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn obs_01_a_reload_that_the_console_asked_for_is_in_the_hosts_log() {
    let app = App::new();
    let served = app.serve("run");
    app.write("web.lua", format!("{WEB} -- two"));
    assert_eq!(app.run(&["console", "--eval", "require('graceful').reload()"]).0, 0);
    served.says(".log", "a reload that the console asked for committed, generation 2");
    app.write("web.lua", "error('no')");
    assert_eq!(app.run(&["console", "--eval", "require('graceful').reload()"]).0, 1);
    served.says(
        ".log",
        "a reload that the console asked for was refused, generation 2 serves: module `web` cannot",
    );
}

#[test]
fn what_is_read_at_the_start_only_is_said_when_it_changes() {
    let app = App::new();
    let served = app.serve("dev");
    app.write("graceful.toml", format!("{MANIFEST}[limits]\nturn = '1s'\n"));
    served.says(".said", "`limits` changed in the manifest: it takes effect at the next start");
}

#[test]
fn reg_09_an_unregistered_entry_comes_back_with_a_reload() {
    let app = App::new();
    let _served = app.serve("run");
    assert_eq!(app.run(&["console", "--eval", "require('graceful').unregister_module('tool')"]).0, 0);
    let (code, plan) = app.run(&["plan"]);
    assert!(code == 0 && plan.contains("entry that was unregistered"), "{plan}");
    let (code, said) = app.run(&["reload"]);
    assert!(code == 0 && said.starts_with("generation 3: load tool"), "{said}");
}

#[test]
fn run_and_check_refuse_with_the_same_exit_code() {
    let app = App::new();
    app.write("web.lua", "local x = }");
    assert_eq!((app.run(&["check"]).0, app.run(&["run"]).0), (4, 4));
    app.write("graceful.toml", "name = 'app'\nentri = ['web']\n");
    assert_eq!((app.run(&["check"]).0, app.run(&["run"]).0), (4, 4));
}

#[test]
fn a_line_may_begin_with_a_minus_and_no_answer_is_waited_for_longer_than_asked() {
    let app = App::new();
    let _served = app.serve("run");
    assert_eq!(app.run(&["console", "-e", "-1"]), (0, "-1\n".to_owned()));
    let mut typed = app.command(&["console"]);
    let typed = typed.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut typed = typed.spawn().unwrap();
    std::io::Write::write_all(&mut typed.stdin.take().unwrap(), b"x = '\xff'\n").unwrap();
    let typed = typed.wait_with_output().unwrap();
    let said = String::from_utf8(typed.stderr).unwrap();
    assert!(
        typed.status.code() == Some(1) && said.contains("cannot be read"),
        "what is no text is told: {said}"
    );
    let begun = Instant::now();
    let (code, said) = app.run(&["console", "-e", "require('fiber').sleep(60)", "--timeout", "0.5"]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(code == 7 || said.contains("ran longer than 500ms"), "{code} {said}");
}

#[test]
fn shut_02_a_start_that_is_told_to_end_is_undone() {
    let app = App::new();
    let slow = "local log, fiber = require('log'), require('fiber')
        require('graceful').register_module('tool', {
            init = function() log.warn('begun') fiber.sleep(4) log.warn('init is over') end,
            finalize = function() log.warn('finalized') end })";
    app.write("tool.lua", slow).write("web.lua", "require('fiber').sleep(4)");
    app.write("graceful.toml", "name = 'app'\nentry = ['tool', 'web']\n");
    let log = app.path().join(".log");
    let mut child = app.command(&["run"]).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let begun = Instant::now();
    while !said().contains("begun") {
        assert!(begun.elapsed() < PATIENCE, "it does not start: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it does not end: {}", said());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0), "{}", said());
    assert!(!said().contains("init is over"), "{}", said());
}
