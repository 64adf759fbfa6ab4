//! Everything of graceful that reads input from outside, with a corpus for each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use graceful_core::asked;
use graceful_core::{Backend, Config, Enabled, Source, Value, Version};
use graceful_host::{App, read_document, same_route, wire};
use graceful_lua::LuaBackend;
use graceful_rhai::RhaiBackend;
use graceful_testkit::fuzz::{Fuzz, Fuzzed};

/// A reader.
pub struct Reader {
    /// Its name.
    pub name: &'static str,
    fuzz: Fuzz,
    read: Read,
}

type Read = Box<dyn Fn(&[u8])>;

impl Reader {
    fn new(name: &'static str, corpus: &[&str], read: impl Fn(&[u8]) + 'static) -> Self {
        Self { name, fuzz: Fuzz::of(corpus), read: Box::new(read) }
    }

    /// Lets it read so many inputs, drawn from `seed`.
    pub fn run(self, inputs: u64, seed: u64) -> Fuzzed {
        self.fuzz.seed(seed).run(inputs, self.read)
    }
}

const MANIFESTS: [&str; 4] = [
    include_str!("../../examples/shop/graceful.toml"),
    include_str!("../../examples/roles/graceful.toml"),
    include_str!("../../examples/dependency/graceful.toml"),
    "name = \"a\"\nentry = [\"b\"]\nlisten = \"127.0.0.1:80\"\n[limits]\nhook = \"2s\"\nstage = \"100ms\"\n[backends.lua]\n\
     paths = [\"a\", \"b/c\"]\n[reload]\nwatch = true\n[admin]\nsocket = \"x\"\n[config.a]\nb = [1, 2.5, \"c\"]\n",
];

const LUA: [&str; 7] = [
    include_str!("../../examples/shop/web.lua"),
    include_str!("../../examples/shop/catalog.lua"),
    include_str!("../../examples/roles/router.lua"),
    include_str!("../../examples/roles/storage.lua"),
    include_str!("../../examples/dependency/main.lua"),
    include_str!("../../examples/dependency/my_dependency.lua"),
    "#!/usr/bin/lua\nlocal a <const> = require 'a.b' ::x:: local s = [==[ ]] ]==] --[[ c ]] goto x\nreturn \
     require('graceful').register_module('m', {version = semver(1, 2, 3), migrations = {{from = '1.0.0', to = {2, 0, 0}, \
     up = function(s) return s end}}})",
];

const RHAI: [&str; 4] = [
    include_str!("../../examples/shop/pricing.rhai"),
    include_str!("../../examples/roles/pricing.rhai"),
    include_str!("../../examples/roles/heartbeat.rhai"),
    "import \"a/b\" as b;\nexport const X = #{a: 1, b: [1, 2], c: `${1 + 2}`};\nprivate fn f(x) { switch x { 1 => 2, _ => \
     { import \"c\" as c; c::d() } } }\nfn int.g() { this + 1 }\nregister(#{version: [1, 0, 0], migrations: [#{from: \"1\", \
     to: \"2\", up: |s| s}]});\ntry { throw 1 } catch (e) { loop { break } }",
];

const JSON: [&str; 8] = [
    r#"{"force":true,"check":false,"forgive_before_reload":true}"#,
    r#"{"line":"1 + 1","language":"lua","limit_ms":10}"#,
    r#"{"names":["storage","router"]}"#,
    r#"{"config":{"router":{"port":80,"tags":[1,2.5,null,true,"é"]}},"master":true}"#,
    r#"{"version":"1.2.3","timeout":1.5,"nested":[[[[[[{"a":{}}]]]]]]}"#,
    r#"{"a":true,"b":false}"#,
    r#"["a","b"]"#,
    r#"[1,0,0]"#,
];

const VERSIONS: [&str; 6] =
    ["1.2.3", "1.0.0-rc.1+build.5", "0.0.0", "18446744073709551615.0.1", "1.2", "=1.2.3, <2"];

const ROUTES: [&str; 6] =
    ["GET /", "GET /price/:item", "POST /a/b/*rest", "DELETE /a/:b/c/:d", "ANY /x%20y", "PUT  /a//b/"];

/// All of them.
///
/// # Panics
/// If a backend or a temporary folder cannot be made.
pub fn readers() -> Vec<Reader> {
    let (lua, rhai) = (LuaBackend::builder().build().expect("a VM"), RhaiBackend::builder().build());
    vec![
        Reader::new("manifest", &MANIFESTS, |input| {
            if let Err(error) = App::parse("graceful.toml", &String::from_utf8_lossy(input)) {
                let _ = error.to_string();
            }
        }),
        document("config.toml", &MANIFESTS),
        document("config.json", &JSON),
        Reader::new("lua source", &LUA, move |input| drop(lua.compile(&source("lua", input)))),
        Reader::new("rhai source", &RHAI, move |input| drop(rhai.compile(&source("rhai", input)))),
        Reader::new("admin body", &JSON, |input| {
            let _ = serde_json::from_slice::<wire::ReloadRequest>(input);
            let _ = serde_json::from_slice::<wire::ConsoleRequest>(input);
            let _ = serde_json::from_slice::<wire::NamesRequest>(input);
            let _ = serde_json::from_slice::<wire::ConfigRequest>(input);
        }),
        Reader::new("value", &JSON, |input| {
            let Ok(value) = serde_json::from_slice::<Value>(input) else { return };
            let _ = Enabled::from_value(&value);
            if let Value::Map(options) = &value {
                let _ = asked::reload(options.clone());
                let _ = asked::shutdown(options.clone());
                let _ = asked::removal(options.clone());
            }
            let _ = Version::from_value(&value).map(|version| version.to_string());
            let _ = Config::new(value).map(|config| config.document().to_string());
        }),
        Reader::new("version", &VERSIONS, |input| {
            let text = String::from_utf8_lossy(input);
            let Ok(version) = Version::parse(&text) else { return };
            assert_eq!(Version::parse(&version.to_string()).ok(), Some(version));
        }),
        Reader::new("route", &ROUTES, |input| {
            let key = String::from_utf8_lossy(input);
            if let Ok(same) = same_route(&key) {
                assert_eq!(same_route(&key), Ok(same));
            }
        }),
    ]
}

fn source(backend: &str, text: &[u8]) -> Source {
    Source::new("m", backend, format!("m.{backend}"), text)
}

/// A document is read from a file.
fn document(name: &'static str, corpus: &[&str]) -> Reader {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Reader::new(name, corpus, move |input| {
        let path = folder.path().join(name);
        std::fs::write(&path, input).expect("it can be written");
        if let Err(error) = read_document(&path) {
            let _ = error.to_string();
        }
    })
}

/// Whole requests to the admin socket of a host that serves.
pub mod requests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::Arc;

    use graceful_host::{Host, HostOptions};

    use super::{AtomicBool, Duration, Fuzz, Fuzzed, Ordering};

    const CORPUS: [(&str, &str, &str); 10] = [
        ("GET", "/status", ""),
        ("GET", "/plan?force=true", ""),
        ("POST", "/reload", r#"{"check":true}"#),
        ("POST", "/console", r#"{"line":"","limit_ms":10}"#),
        ("GET", "/metrics", ""),
        ("GET", "/roles", ""),
        ("POST", "/roles/enable", r#"{"names":["a"]}"#),
        ("POST", "/config/check", r#"{"config":{"a":{"b":1}}}"#),
        ("POST", "/config/diff", r#"{"config":{"a":[1,2]},"master":true}"#),
        ("POST", "/roles/forbid", ""),
    ];
    const STATUS: &[u8] = b"GET /status HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    /// Sends so many mutated requests; after every twentieth the host must still answer. A panic of the host's is one.
    ///
    /// # Panics
    /// If the host cannot be started.
    pub fn run(inputs: u64, seed: u64) -> Fuzzed {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("graceful.toml"), "name = \"f\"\nentry = [\"m\"]\n")
            .expect("written");
        std::fs::write(folder.path().join("m.lua"), "return {}\n").expect("written");
        let socket = folder.path().join("admin.sock");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mut options = HostOptions::default();
        options.admin = Some(socket.clone());
        let entered = runtime.enter();
        let host = Host::open(folder.path(), options).expect("an app");
        drop(entered);
        let running = runtime.block_on(host.start()).expect("it starts");
        let panicked = Arc::new(AtomicBool::new(false));
        let (told, shown) = (panicked.clone(), std::panic::take_hook());
        let own = std::thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            told.fetch_or(std::thread::current().id() != own, Ordering::AcqRel);
            shown(panic);
        }));
        let corpus = CORPUS.iter().map(|(method, path, body)| {
            format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        });
        let sent = std::cell::Cell::new(0_u64);
        let fuzzed = Fuzz::of(corpus).seed(seed).run(inputs, |input| {
            // Half of them end there, as a client that is gone.
            let gone = sent.get().is_multiple_of(2);
            let _ = send(&socket, input, gone, Duration::from_millis(20));
            sent.set(sent.get() + 1);
            assert!(!panicked.load(Ordering::Acquire), "the host panicked");
            if sent.get().is_multiple_of(20) {
                let answer = send(&socket, STATUS, false, Duration::from_secs(10)).unwrap_or_default();
                assert!(answer.starts_with(b"HTTP/1.1 200"), "the host does not answer any more");
            }
        });
        let _ = std::panic::take_hook();
        drop(running);
        runtime.shutdown_background();
        fuzzed
    }

    fn send(socket: &Path, request: &[u8], gone: bool, patience: Duration) -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(request)?;
        if gone {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        let mut answer = vec![0; 1 << 16];
        let read = stream.read(&mut answer)?;
        answer.truncate(read);
        Ok(answer)
    }
}
