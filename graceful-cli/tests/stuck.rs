//! A call that nothing can interrupt: everybody who waits for it is told what it is, and the end comes all the same.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes, and much shorter than the minute after which a process ends whatever runs.
const PATIENCE: Duration = Duration::from_secs(30);

const MANIFEST: &str = "name = 'app'\nentry = ['web', 'other']\nlisten = '127.0.0.1:0'\n\
    [limits]\nturn = '300ms'\nshutdown = '3s'\n[reload]\nretire = '1s'\n";

/// One call into C that takes longer than the sun will last.
const MATCHES: &str = "local _ = string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60))";

/// Lua lets nothing interrupt what the collector calls.
const COLLECTS: &str = "
    (function(spins)
        if newproxy then
            getmetatable(newproxy(true)).__gc = spins
        else
            setmetatable({}, { __gc = spins })
        end
    end)(function() while true do end end) collectgarbage()";

const WEB: &str = "
require('graceful').register_module('web', { finalize = function() require('log').warn('web is finalized') end })
require('http').route('GET', '/', function() return 'one' end)
require('http').route('GET', '/stuck', function()
    STUCK
    return 'two'
end)
";

const OTHER: &str = "
import \"graceful\" as graceful;
let me = graceful::register_module(\"other\", #{ finalize: |m| log::warn(\"other is finalized\") });
";

fn graceful(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
    let run = folder.join(".run");
    let _ = fs::create_dir(&run);
    command.args(arguments).current_dir(folder).env_clear().env("XDG_RUNTIME_DIR", run);
    command
}

struct Served {
    dir: TempDir,
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// An app in which a call is stuck.
    fn stuck(by: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let web = WEB.replace("STUCK", by);
        for (file, text) in [("graceful.toml", MANIFEST), ("web.lua", &web), ("other.rhai", OTHER)] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut child = graceful(dir.path(), &["run"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said =
            lines.map_while(Result::ok).find_map(|line| Some(line.split_once("http://")?.1.to_owned()));
        let served = Self { dir, child, address: said.expect("it starts") };
        assert!(served.ask("/").ends_with("one"));
        let (address, request) = (served.address.clone(), request("/stuck"));
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        served
    }

    fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request(path).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let begun = Instant::now();
        let output = graceful(self.dir.path(), arguments).output().unwrap();
        assert!(begun.elapsed() < PATIENCE, "{arguments:?}");
        output
    }

    fn until_said(&self, arguments: &[&str], said: &str) -> String {
        let begun = Instant::now();
        loop {
            let text = String::from_utf8(self.run(arguments).stdout).unwrap();
            if text.contains(said) {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?}: no `{said}` in:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

const KEPT: &str = "a call into `web` has kept the interpreter for";

#[test]
fn shut_01_a_call_that_nothing_interrupts_is_named_and_does_not_hold_up_the_end() {
    is_named_and_does_not_hold_up_the_end(MATCHES);
}

#[test]
fn shut_01_what_the_collector_calls_is_named_and_does_not_hold_up_the_end() {
    is_named_and_does_not_hold_up_the_end(COLLECTS);
}

fn is_named_and_does_not_hold_up_the_end(stuck: &str) {
    let mut served = Served::stuck(stuck);
    served.until_said(&["status"], KEPT);
    // Whatever else asks for the interpreter waits for it, and takes a thread of the host with it.
    for _ in 0..8 {
        let (address, request) = (served.address.clone(), request("/"));
        std::thread::spawn(move || drop(TcpStream::connect(address).unwrap().write_all(request.as_bytes())));
    }
    let begun = Instant::now();
    while !served.log().contains(KEPT) {
        assert!(begun.elapsed() < PATIENCE, "the log does not say it:\n{}", served.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let reload = served.run(&["reload", "--force"]);
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(reload.status.code() == Some(4) && said.contains("GR0120") && said.contains(KEPT), "{said}");
    let console = served.run(&["console", "--eval", "1 + 1"]);
    let said = String::from_utf8(console.stderr).unwrap();
    assert!(console.status.code() == Some(1) && said.contains(KEPT), "{said}");
    let told = Command::new("kill").args(["-TERM", &served.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    let begun = Instant::now();
    let stopping = served.until_said(&["status"], "stopping");
    assert!(stopping.contains(KEPT), "{stopping}");
    let code = loop {
        if let Some(status) = served.child.try_wait().unwrap() {
            break status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", served.log());
        std::thread::sleep(Duration::from_millis(20));
    };
    let log = served.log();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("other is finalized") && !log.contains("web is finalized"), "{log}");
    assert!(log.contains("at the shutdown: finalize of web: a call into `web` has kept"), "{log}");
}
