//! The app that is measured, live in an engine and in a bare VM.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use graceful_core::source::SourceError;
use graceful_core::{Backend, Engine, Found, Name, ReloadOptions, Report, Source, Sources};
use graceful_lua::LuaBackend;
use graceful_lua::mlua::{Function, Lua};
use graceful_testkit::TokioClock;

/// How many modules one area requires, and an area of areas, up to the entry.
pub const AREA: usize = 70;

/// Which modules each requires: up to three of those before it, drawn once and for all.
pub fn graph(modules: usize) -> Vec<Vec<usize>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let requires = (0..modules).map(|at| (0..draw(4).min(at)).map(|_| draw(at)).collect());
    requires.collect()
}

/// The areas above `modules` modules, dependencies first, each with what it requires. The last one is the entry.
fn areas(modules: usize) -> Vec<(String, Vec<String>)> {
    let mut areas: Vec<(String, Vec<String>)> = Vec::new();
    let mut below: Vec<String> = (0..modules).map(|at| format!("m{at}")).collect();
    while below.len() > AREA {
        let level: Vec<_> = below.chunks(AREA).map(<[String]>::to_vec).collect();
        below = (areas.len()..areas.len() + level.len()).map(|at| format!("area{at}")).collect();
        areas.extend(below.iter().cloned().zip(level));
    }
    areas.push(("main".to_owned(), below));
    areas
}

/// Every module, dependencies first: what a forced reload takes.
pub fn names(modules: usize) -> Vec<String> {
    (0..modules).map(|at| format!("m{at}")).chain(areas(modules).into_iter().map(|(name, _)| name)).collect()
}

/// `module` and everything that requires it, directly or not, dependencies first.
pub fn dependents(graph: &[Vec<usize>], module: usize) -> Vec<String> {
    let mut taken: BTreeSet<String> = [format!("m{module}")].into();
    let mut order = vec![format!("m{module}")];
    let requires = graph.iter().enumerate().map(|(at, below)| {
        (format!("m{at}"), below.iter().map(|below| format!("m{below}")).collect::<Vec<_>>())
    });
    for (name, below) in requires.chain(areas(graph.len())) {
        if below.iter().any(|below| taken.contains(below)) && taken.insert(name.clone()) {
            order.push(name);
        }
    }
    order
}

/// The sources of an app: the modules, and the areas.
fn app(graph: &[Vec<usize>]) -> BTreeMap<String, String> {
    let texts = graph.iter().enumerate().map(|(at, requires)| (format!("m{at}"), text(at, requires, 0)));
    let area = |(name, below): (String, Vec<String>)| {
        (name, below.iter().map(|below| format!("require '{below}'\n")).collect())
    };
    texts.chain(areas(graph.len()).into_iter().map(area)).collect()
}

/// About forty lines, as modules are: constants, tables, functions that use each other.
fn text(at: usize, requires: &[usize], edition: usize) -> String {
    let mut text =
        format!("-- module {at}, edition {edition}\nlocal M = {{ name = 'm{at}', edition = {edition} }}\n");
    for other in requires {
        text += &format!("local m{other} = require 'm{other}'\n");
    }
    text += "local limits = { low = 1, high = 100, step = 5 }\nlocal names = { 'a', 'b', 'c', 'd' }\n";
    for function in 0..5 {
        text += &format!(
            "local function step_{function}(x, y)
    local sum = 0
    for i = limits.low, x % limits.high, limits.step do
        sum = sum + i * y
    end
    return sum + #names
end\n"
        );
    }
    text += "function M.run(x)\n    return step_0(x, 1) + step_1(x, 2) + step_4(x, 3)\nend\n";
    text += "function M.twice(x)\n    return x * 2\nend\nreturn M\n";
    text
}

#[derive(Default)]
struct Texts(Mutex<BTreeMap<Name, Source>>);

impl Texts {
    fn put(&self, name: &str, text: String) {
        let source = Source::new(name, "lua", format!("{name}.lua"), text.into_bytes());
        self.0.lock().unwrap().insert(name.into(), source);
    }
}

impl Sources for Texts {
    fn find(&self, name: &Name) -> Result<Found, SourceError> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Ok(found.map_or(Found::Missing { searched: Vec::new() }, Found::Source))
    }
}

pub struct App {
    pub clock: Arc<TokioClock>,
    texts: Arc<Texts>,
    pub backend: Arc<LuaBackend>,
    pub engine: Engine,
    pub graph: Vec<Vec<usize>>,
}

impl App {
    /// So many modules in a graph, and their areas.
    pub fn new(modules: usize) -> Self {
        let graph = graph(modules);
        let texts = app(&graph);
        let texts: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self { graph, ..Self::of(&texts) }
    }

    /// These modules, of which `main` is the entry.
    pub fn of(texts: &[(&str, &str)]) -> Self {
        Self::on(LuaBackend::builder().build().unwrap(), texts)
    }

    /// The same in a VM that was made before.
    pub fn on(backend: LuaBackend, modules: &[(&str, &str)]) -> Self {
        let (clock, texts, backend) = (TokioClock::new(), Arc::<Texts>::default(), Arc::new(backend));
        modules.iter().for_each(|(name, text)| texts.put(name, (*text).to_owned()));
        let engine = Engine::builder(clock.clone())
            .backend(backend.clone())
            .sources(texts.clone())
            .entry("main")
            .build();
        let app = Self { clock, texts, backend, engine, graph: Vec::new() };
        app.reload(ReloadOptions::default());
        app
    }

    /// Writes the source of a module.
    pub fn put(&self, name: &str, text: String) {
        self.texts.put(name, text);
    }

    pub fn reload(&self, options: ReloadOptions) -> (Report, Duration) {
        let began = Instant::now();
        let report = self.clock.block_on(self.engine.reload(options)).unwrap();
        (report, began.elapsed())
    }

    pub fn edit(&self, at: usize, edition: usize) {
        self.put(&format!("m{at}"), text(at, &self.graph[at], edition));
    }

    /// How long it takes to parse all texts, and nothing else.
    pub fn parse(&self) -> Duration {
        let texts: Vec<Source> = self.texts.0.lock().unwrap().values().cloned().collect();
        let began = Instant::now();
        let parsed = self.backend.compile_all(&texts);
        let took = began.elapsed();
        assert!(parsed.iter().all(Result::is_ok));
        took
    }

    pub fn leaf(&self) -> usize {
        let required = |at: &usize| self.graph.iter().any(|requires| requires.contains(at));
        (0..self.graph.len()).rev().find(|at| !required(at)).unwrap()
    }
}

/// What people do without: the same modules in a VM of their own, names cleared from `package.loaded` and
/// required again.
pub struct Naive {
    reload: Function,
    pub call: Function,
    _lua: Lua,
}

impl Naive {
    pub fn new(graph: &[Vec<usize>]) -> Self {
        let lua = Lua::new();
        let chunk = lua.load(
            "local texts = ...
            table.insert(package.searchers or package.loaders, 2, function(name)
                local text = texts[name]
                return text and assert((loadstring or load)(text, '@' .. name .. '.lua'))
            end)
            local function reload(names)
                for _, name in ipairs(names) do package.loaded[name] = nil end
                for _, name in ipairs(names) do require(name) end
            end
            require('main')
            return reload, require('m0').twice",
        );
        let (reload, call) = chunk.call(app(graph)).unwrap();
        Self { reload, call, _lua: lua }
    }

    pub fn reload(&self, names: &[String]) {
        self.reload.call::<()>(names).unwrap();
    }
}

/// The least that all top levels take in a VM: their bytecode, made before, is loaded and run, and the collector rests.
pub struct Floor {
    run: Function,
    isolated: Function,
    lua: Lua,
}

impl Floor {
    pub fn new(graph: &[Vec<usize>], names: &[String]) -> Self {
        let lua = Lua::new();
        let chunk = lua.load(
            "local texts, names = ...
            local load, dumps, loaded, before = loadstring or load, {}, {}, {}
            for at, name in ipairs(names) do
                local text = 'local require=require;' .. texts[name]
                dumps[at] = string.dump(assert(load(text, '@' .. name .. '.lua')))
            end
            function require(name) return loaded[name] end
            for name, value in next, _G do before[name] = value end
            local function run()
                for at, name in ipairs(names) do loaded[name] = load(dumps[at], '@' .. name .. '.lua')(name) or true end
            end
            local function isolated()
                for at, name in ipairs(names) do
                    local function own(other) return loaded[other] end
                    require, before.require = own, own
                    local top = coroutine.create(load(dumps[at], '@' .. name .. '.lua'))
                    local _, value = assert(coroutine.resume(top, name))
                    for name, value in next, _G do assert(before[name] == value) end
                    loaded[name] = value or true
                end
            end
            return run, isolated",
        );
        let (run, isolated) = chunk.call((app(graph), names)).unwrap();
        Self { run, isolated, lua }
    }

    /// How long it takes once.
    pub fn time(&self) -> Duration {
        self.timed(&self.run)
    }

    /// The same, each in a coroutine and with a `require` of its own, and the globals compared after it: what it takes
    /// that a top level may wait, and that it is known who made a global.
    pub fn isolated(&self) -> Duration {
        self.timed(&self.isolated)
    }

    fn timed(&self, run: &Function) -> Duration {
        (0..2).for_each(|_| self.lua.gc_collect().unwrap());
        self.lua.gc_stop();
        let began = Instant::now();
        run.call::<()>(()).unwrap();
        let took = began.elapsed();
        self.lua.gc_restart();
        took
    }
}
