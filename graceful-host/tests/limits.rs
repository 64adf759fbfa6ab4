//! Code that spins, swallows errors, takes memory or recurses without end, as a top level, in a hook and in a call: it is
//! stopped, told, and everything else goes on.

mod common;

use std::time::{Duration, Instant};

use common::{AppDir, Client};
use graceful_core::ReloadOptions;
use graceful_core::status::EngineState;
use graceful_host::{Cause, Running};

const MANIFEST: &str = "name = 'limits'\nentry = ['good', 'bad']\n[reload]\nstage = '300ms'\nhook = '300ms'\n\
    [limits]\nturn = '400ms'\nmemory = 'MEMORY'\n";

/// Longer than any limit, on a machine that has much else to do.
const SOON: Duration = Duration::from_secs(15);

/// What is wrong with it, and its text in Lua: a statement. All of it ends in an error.
const LUA: &[(&str, &str)] = &[
    ("spins", "while true do end"),
    ("swallows", "while true do pcall(function() while true do end end) end"),
    (
        "swallows in coroutines",
        "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
    ),
    ("recurses", "local function f() return 1 + f() end f()"),
    (
        "recurses through metatables",
        "local t = setmetatable({}, { __index = function(t, k) return t[k] end }) local _ = t.x",
    ),
    (
        "has an index that is itself",
        "local t = {} setmetatable(t, { __index = t }) local _ = t.x error('none')",
    ),
    ("recurses through coroutines", "local function f() coroutine.wrap(f)() end f()"),
    ("recurses through sort", "local function f() table.sort({ 1, 2, 3 }, function() f() end) end f()"),
    ("recurses through gsub", "local function f() local _ = ('x'):gsub('x', f) end f()"),
    ("takes memory", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"),
    ("takes it at once", "local s = ('x'):rep(1e10) error('none')"),
    ("formats without end", "local s = ('%99d'):rep(1e6):format(1)"),
    (
        "throws what throws when it is shown",
        "error(setmetatable({}, { __tostring = function() error('no') end }))",
    ),
    (
        "throws what spins when it is shown",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    ("handles errors without end", "xpcall(error, function() while true do end end)"),
    (
        "handles errors without end, again and again",
        "while true do xpcall(error, function() while true do end end) end",
    ),
    (
        "spins in what handles its end",
        "xpcall(function() while true do end end, function() while true do end end)",
    ),
    ("handles errors by errors", "while true do xpcall(error, function() error('again') end) end"),
    ("recurses and swallows", "local function f() pcall(f) return f() end f()"),
    ("recurses in a handler", "local function f() xpcall(error, f) return 1 + f() end f()"),
    ("doubles a text", "local s = 'x' while true do s = s .. s end"),
    ("repeats with a separator", "local s = ('x'):rep(1e8, ('y'):rep(1e6)) error('none')"),
    (
        "joins without end",
        "local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1e5) end local s = table.concat(t)",
    ),
    ("formats widths", "local s = ('%99999d'):format(1)"),
    (
        "formats many widths",
        "local t, n = {}, {} for i = 1, 200 do n[i] = i end \
         while true do t[#t + 1] = ('%99d'):rep(200):format((table.unpack or unpack)(n)) end",
    ),
    ("compiled loops", "local n = 0 while true do for i = 1, 1e9 do n = n + i % 7 end end"),
    (
        "compiled loops that swallow",
        "while true do pcall(function() local n = 0 for i = 1, 1e12 do n = n + i % 7 end end) end",
    ),
    ("a closing value that spins", CLOSES),
    ("throws a table in itself", "local t = {} t.t = t error(t)"),
];

/// Only plain Lua has values that are closed at the end of their block.
const CLOSES: &str = if cfg!(feature = "lua54") {
    "local x <close> = setmetatable({}, { __close = function() while true do end end }) error('out')"
} else {
    "error('out')"
};

/// The same in Rhai.
const RHAI: &[(&str, &str)] = &[
    ("spins", "loop {}"),
    ("swallows", "loop { try { loop {} } catch {} }"),
    ("recurses", "deeper(1);"),
    ("recurses and swallows", "swallowing(1);"),
    ("nests without end", "let a = []; for i in 0..200000 { a = [a]; }"),
    ("nests without end, moved", "let a = [[]]; loop { a = [[a.pop()]]; }"),
    ("nests maps", "let a = #{}; loop { a = #{ next: a }; }"),
    ("doubles a text", "let s = \"x\"; loop { s += s; }"),
    ("doubles a list", "let a = [1]; loop { a += a; }"),
    ("makes a huge blob", "let a = blob(100000000000);"),
    ("takes memory", "let a = []; loop { a.push(\"xxxxxxxxxxxxxxxx\" + a.len()); }"),
    ("sleeps", "sleep(1000); throw 1;"),
];

const RHAI_HEAD: &str = "import \"graceful\" as graceful;\nimport \"http\" as http;\n\
    fn deeper(n) { deeper(n + 1) + 1 }\n\
    fn swallowing(n) { try { swallowing(n + 1); } catch {} swallowing(n + 1); }\n";

fn lua(top: &str, hook: &str, call: &str) -> String {
    format!(
        "{top}\nrequire('graceful').register_module('bad', {{ after_reload = function() {hook} end }})\n\
         require('http').route('GET', '/bad', function() {call} end)\n"
    )
}

fn rhai(top: &str, hook: &str, call: &str) -> String {
    format!(
        "{RHAI_HEAD}fn called() {{ {call} }}\n{top}\ngraceful::register_module(\"bad\", #{{ after_reload: |m| {{ {hook} }} }});\n\
         http::route(\"GET\", \"/bad\", |request| called());\n"
    )
}

struct Limited {
    dir: AppDir,
    running: Running,
    file: &'static str,
    text: fn(&str, &str, &str) -> String,
    task: fn(&str) -> String,
    edits: usize,
}

impl Limited {
    async fn start(file: &'static str, text: fn(&str, &str, &str) -> String) -> Self {
        let good = "require('http').route('GET', '/', function() return 'good' end)";
        // A single operation of Rhai copies as much as it may hold, which takes long without optimisation.
        let memory = if file.ends_with("lua") { "64MiB" } else { "8MiB" };
        let manifest = MANIFEST.replace("MEMORY", memory);
        let dir = AppDir::new(&[("graceful.toml", &manifest), ("good.lua", good), (file, &text("", "", ""))]);
        let running = dir.start(dir.options()).await;
        let task = if file.ends_with("lua") { lua_task } else { rhai_task };
        Self { dir, running, file, text, task, edits: 0 }
    }

    async fn put(&mut self, top: &str, hook: &str, call: &str) -> Result<(), String> {
        self.edits += 1;
        let comment = if self.file.ends_with("lua") { "--" } else { "//" };
        let text = format!("{comment} {}\n{}", self.edits, (self.text)(top, hook, call));
        self.dir.write(self.file, &text);
        let result = self.running.host().reload(Cause::Embedder, ReloadOptions::default()).await;
        result
            .map(drop)
            .map_err(|failure| format!("{} {}: {}", failure.outcome, failure.code, failure.message))
    }

    async fn get(&self, path: &str) -> (u16, String) {
        tokio::time::timeout(SOON, async { Client::connect(&self.running).await.get(path).await.unwrap() })
            .await
            .unwrap()
    }

    /// It is stopped in time, and everything else goes on.
    async fn stops(&mut self, name: &str, text: &str) {
        for (place, top, hook, call) in
            [("top level", text, "", ""), ("hook", "", text, ""), ("call", "", "", text)]
        {
            let began = Instant::now();
            let put = self.put(top, hook, call).await;
            let told = if place == "call" {
                put.unwrap_or_else(|failure| panic!("{name}: {failure}"));
                let (status, body) = self.get("/bad").await;
                assert_eq!(status, 500, "{name} in a {place}: {body}");
                body
            } else {
                put.expect_err(name)
            };
            println!("{name} in a {place}: {:?}: {:.160}", began.elapsed(), told);
            assert!(began.elapsed() < SOON, "{name} in a {place} took {:?}: {told}", began.elapsed());
            assert!(!told.starts_with("stuck"), "{name} in a {place}: {told}");
            assert_eq!(self.get("/").await, (200, "good".to_owned()), "{name} in a {place}");
        }
        self.put("", "", "").await.unwrap_or_else(|failure| panic!("after {name}: {failure}"));
    }

    /// A task of it keeps nobody from being answered, and goes with its generation.
    async fn leaves(&mut self, name: &str, text: &str) {
        let began = Instant::now();
        let started = self.put(&(self.task)(text), "", "").await;
        started.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(self.get("/").await, (200, "good".to_owned()), "{name} in a task");
        self.put("", "", "").await.unwrap_or_else(|failure| panic!("after a task that {name}: {failure}"));
        let status = self.running.host().engine().status();
        let left: usize = status.modules.iter().map(|module| module.tasks).sum();
        println!("{name} in a task: {:?}", began.elapsed());
        assert_eq!((left, status.state), (0, EngineState::Idle), "{name} in a task");
        assert!(began.elapsed() < SOON, "{name} in a task took {:?}", began.elapsed());
    }
}

fn lua_task(text: &str) -> String {
    format!("require('fiber').create(function() {text} end)")
}

fn rhai_task(text: &str) -> String {
    format!("import \"fiber\" as fiber;\nfiber::create(|| {{ {text} }});")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_03_whatever_lua_does_without_end_is_stopped_and_told() {
    let mut app = Limited::start("bad.lua", lua).await;
    for (name, text) in LUA {
        app.stops(name, text).await;
    }
    assert!(app.running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_03_whatever_rhai_does_without_end_is_stopped_and_told() {
    let mut app = Limited::start("bad.rhai", rhai).await;
    for (name, text) in RHAI {
        app.stops(name, text).await;
    }
    assert!(app.running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scope_02_a_task_that_does_it_ends_with_its_generation() {
    for (file, text, all) in
        [("bad.lua", lua as fn(&str, &str, &str) -> String, LUA), ("bad.rhai", rhai, RHAI)]
    {
        let mut app = Limited::start(file, text).await;
        for (name, text) in all {
            app.leaves(name, text).await;
        }
        assert!(app.running.stop().await);
    }
}

/// Sources that are nested deeper than any stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_02_a_text_that_is_nested_too_deep_is_a_syntax_error() {
    for (file, text) in [("bad.lua", lua as fn(&str, &str, &str) -> String), ("bad.rhai", rhai)] {
        let mut app = Limited::start(file, text).await;
        let deep = 100_000;
        for (open, close) in [("(", ")"), ("{", "}"), ("[", "]")] {
            let text = format!("local x = {}1{}", open.repeat(deep), close.repeat(deep));
            let text = if file.ends_with("rhai") { text.replace("local", "let") + ";" } else { text };
            let told = app.put(&text, "", "").await.expect_err(open);
            println!("{file} {open}: {told:.200}");
            assert!(told.starts_with("refused"), "{told}");
            assert_eq!(app.get("/").await.0, 200);
        }
        app.put("", "", "").await.unwrap();
        assert!(app.running.stop().await);
    }
}

/// Values that are nested deeper than any stack, or in themselves, as answers of routes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn st_04_a_value_that_is_nested_too_deep_is_an_error() {
    let lua_texts =
        ["local t = {} for i = 1, 200000 do t = { t } end return t", "local t = {} t.t = t return t"];
    let rhai_texts =
        ["let a = []; for i in 0..100 { a = [a]; } a", "let a = []; for i in 0..200000 { a = [a]; } a"];
    let both =
        [("bad.lua", lua as fn(&str, &str, &str) -> String, lua_texts), ("bad.rhai", rhai, rhai_texts)];
    for (file, text, calls) in both {
        let mut app = Limited::start(file, text).await;
        for call in calls {
            app.put("", "", call).await.unwrap();
            let (status, body) = app.get("/bad").await;
            println!("{call}: {status} {body:.200}");
            assert_eq!(status, 500, "{body:.200}");
            assert_eq!(app.get("/").await.0, 200);
        }
        assert!(app.running.stop().await);
    }
}
