//! Loading many Rhai modules, beside Rhai's own file resolver on the same graph.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Engine, ReloadOptions};
use graceful_rhai::RhaiBackend;
use graceful_rhai::rhai::module_resolvers::FileModuleResolver;
use graceful_rhai::rhai::{self, Scope};
use graceful_testkit::{MemorySources, TokioClock};

#[path = "../../../../graceful-rhai/benches/reload/text.rs"]
mod text;

use crate::app::graph;
use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// How many modules the large graph has.
const MODULES: usize = 1_000;

type Texts = Vec<(String, String)>;

fn texts(graph: &[Vec<usize>], main: impl IntoIterator<Item = usize>) -> Texts {
    let modules = graph
        .iter()
        .enumerate()
        .map(|(at, requires)| (format!("m{at}"), text::module(at, requires.iter().copied())));
    modules.chain([("main".to_owned(), text::imports(main))]).collect()
}

/// Rhai alone: every file compiled and evaluated by its own resolver.
fn bare(folder: &Path) -> Duration {
    let mut engine = rhai::Engine::new();
    engine.set_module_resolver(FileModuleResolver::new_with_path(folder));
    engine.set_max_modules(1_000_000);
    time(|| {
        let main = fs::read_to_string(folder.join("main.rhai")).unwrap();
        let main = engine.compile(main).unwrap();
        engine.run_ast_with_scope(&mut Scope::new(), &main).unwrap();
    })
}

fn loaded(texts: &Texts) -> Duration {
    let (clock, sources) = (TokioClock::new(), MemorySources::new());
    texts.iter().for_each(|(name, text)| sources.put(name, "rhai", "rhai", text.as_str()));
    let backend: Arc<RhaiBackend> = RhaiBackend::builder().build();
    let engine = Engine::builder(clock.clone()).backend(backend).sources(sources).entry("main").build();
    time(|| drop(clock.block_on(engine.reload(ReloadOptions::default())).unwrap()))
}

/// Both, in turn.
fn both(texts: &Texts, runs: usize) -> (Duration, Duration) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        fs::write(folder.path().join(format!("{name}.rhai")), text).unwrap();
    }
    let times: Vec<_> = (0..runs).map(|_| (bare(folder.path()), loaded(texts))).collect();
    (median(times.iter().map(|both| both.0)), median(times.iter().map(|both| both.1)))
}

/// The texts compiled by Rhai alone, and nothing else: no loader can take less on one core.
fn compiled(texts: &Texts) -> Duration {
    let engine = rhai::Engine::new();
    time(|| texts.iter().for_each(|(_, text)| drop(engine.compile(text).unwrap())))
}

/// Each module imports the two before it.
fn ladder(modules: usize) -> Texts {
    let graph: Vec<Vec<usize>> = (0..modules).map(|at| (at.saturating_sub(2)..at).collect()).collect();
    texts(&graph, [modules - 1])
}

/// Each module imports two of those before it, drawn once and for all.
fn two_each(modules: usize) -> Texts {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let requires = (0..modules).map(|at| (0..at.min(2)).map(|_| draw(at)).collect());
    let graph: Vec<Vec<usize>> = requires.collect();
    texts(&graph, 0..modules)
}

pub fn rhai(size: &Size, table: &mut Table) {
    let runs = size.runs.min(5);
    let all = texts(&graph(MODULES), 0..MODULES);
    let (bare, ours) = both(&all, runs);
    table.add(
        Row::ratio("Rhai: 1,000 modules in a graph, load, of the file resolver", ours, bare).at_most(0.1),
    );
    let least = median((0..runs).map(|_| compiled(&all)));
    table.add(Row::ratio("the same, of only compiling the texts", ours, least));
    let (bare, ours) = both(&two_each(MODULES), runs);
    table.add(
        Row::ratio("Rhai: 1,000 modules that import two each, of the file resolver", ours, bare).at_most(0.1),
    );
    let (bare, ours) = both(&ladder(20), runs);
    table.add(
        Row::ratio("Rhai: 20 modules that import the two before, of the file resolver", ours, bare)
            .at_most(0.1),
    );
    let [half, whole] = [15, 30].map(ladder).map(|texts| median((0..3 * runs).map(|_| loaded(&texts))));
    table.add(Row::ratio("Rhai: 30 modules that import the two before, of 15", whole, half).at_most(2.2));
}
