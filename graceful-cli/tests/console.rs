//! `graceful console` as a person and a pipe use it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// An app that is served from a folder of its own, until this is dropped.
struct Served {
    dir: TempDir,
    child: Child,
}

impl Served {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(file, text)| fs::write(dir.path().join(file), text).unwrap());
        let mut child = graceful(dir.path(), &["run"]).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line == "app: running"), "it did not start");
        Self { dir, child }
    }

    fn console(&self, arguments: &[&str], typed: &str) -> Output {
        let mut command = graceful(self.dir.path(), &["console"]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn graceful(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
    let run = folder.join(".run");
    let _ = fs::create_dir(&run);
    command.args(arguments).current_dir(folder).env_clear().env("XDG_RUNTIME_DIR", run).stderr(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn reg_12_a_line_may_be_rhai() {
    let app = Served::new(&[
        ("graceful.toml", "name = 'app'\nentry = ['main', 'hits']\n[backends.lua]\n[backends.rhai]\n"),
        ("main.lua", "return {}"),
        ("hits.rhai", "fn hit(n) { n + 1 }"),
    ]);
    let output = app.console(&["--language", "rhai", "--eval", "import \"hits\" as hits; hits::hit(1)"], "");
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("2\n", ""));
    let output = app.console(&["-l", "rhai"], "fn twice(n) {\n  n * 2 } twice(2)\n");
    assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("4\n", ""));
    let output = app.console(&["-l", "rhai"], "let x = = 1;\nhits\n");
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with("error[GR0301]: unexpected '='\n --> console:1:9\nerror[GR0302]: "),
        "{errors}"
    );
}

#[test]
fn reg_12_the_app_is_reloaded_and_looked_at_from_the_console() {
    let app = Served::new(&[
        ("graceful.toml", "name = 'app'\nentry = ['main']\n"),
        ("main.lua", "require('graceful').reload()\nreturn require('dep')"),
        ("dep.lua", "return { n = 1 }"),
    ]);
    let output = app.console(&["--eval", "require('dep').n, dofile('main.lua')"], "");
    assert_eq!(text(&output.stdout), "1\nunchanged, generation 1\n");
    fs::write(app.dir.path().join("dep.lua"), "return { n = 2 }").unwrap();
    let typed = "dofile('main.lua')\n\nfor i = 1, 2 do\n  print(i, require('dep').n)\nend\n";
    let output = app.console(&[], typed);
    let reloaded = "committed, generation 2: reload dep (changed), reload main (depends on dep)";
    assert_eq!(text(&output.stdout), format!("{reloaded}\n1\t2\n2\t2\n"));
    assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
}

#[test]
fn a_line_that_fails_is_told_with_code_and_place_and_the_rest_goes_on() {
    let app = Served::new(&[
        ("graceful.toml", "name = 'app'\nentry = ['main']\n"),
        ("main.lua", "return { f = function() error('broken') end }"),
    ]);
    let output = app.console(&[], "require('main').f()\nlocal x = = 1\n");
    let main = app.dir.path().join("main.lua").display().to_string();
    let errors = "error[GR0302]: broken\n --> ./main.lua:1\nerror[GR0301]: unexpected symbol near '='\n --> console:1\n";
    assert_eq!(text(&output.stderr).replace(&main, "./main.lua"), errors);
    assert_eq!(output.status.code(), Some(1));
    let output = app.console(&["--json", "--limit", "0.2"], "require('fiber').sleep(9)\n");
    let reply: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(reply["failure"]["message"], "ran longer than 200ms and was cancelled");
    assert_eq!(reply["failure"]["code"], "GR0303");
    let nobody = graceful(tempfile::tempdir().unwrap().path(), &["console", "-e", "1"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(3));
}
