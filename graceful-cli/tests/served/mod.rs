//! An app in a folder of its own, and the command that serves it in a process of its own.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An app in a folder of its own.
pub struct App {
    pub dir: TempDir,
}

impl App {
    /// An app without any file.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    /// The command with nothing of this shell's own in its surroundings; its sockets are inside the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
        command.args(arguments).current_dir(self.path()).env_clear();
        let run = self.path().join(".run");
        let _ = fs::create_dir(&run);
        command.env("XDG_RUNTIME_DIR", run);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn serve(&self, arguments: &[&str]) -> Served {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(errors).read_to_string(&mut text);
            text
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it did not start: {said:?} {}", errors.join().unwrap())
            };
            let address =
                line.rsplit_once("http://").map(|(_, rest)| rest.trim_matches(['"', '}']).to_owned());
            said.push(line);
            if let Some(address) = address {
                break address.split('"').next().unwrap().to_owned();
            }
        };
        let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        Served { child, address, said, rest: Some(rest), errors: Some(errors) }
    }
}

/// A host that runs until this is dropped.
pub struct Served {
    pub child: Child,
    pub address: String,
    pub said: Vec<String>,
    rest: Option<std::thread::JoinHandle<Vec<String>>>,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Served {
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    pub fn until(&self, path: &str, good: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let got = self.get(path);
            if good(&got) {
                return got;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} still answers {got:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Exit code, and all that was said on standard output and standard error.
    pub fn wait(mut self) -> (Option<i32>, String, String) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let code = self.child.wait().unwrap().code();
        let mut said = std::mem::take(&mut self.said);
        said.extend(self.rest.take().unwrap().join().unwrap());
        (code, said.join("\n"), self.errors.take().unwrap().join().unwrap())
    }

    pub fn end(self) -> (Option<i32>, String, String) {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
