//! Fails a reload at each of its steps, for every graph of a few modules and for random ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use graceful_bench::subjects::{Lua, Rhai};
use graceful_core::Limits;
use graceful_testkit::faults::Way;
use graceful_testkit::sweep::graphs::{Cast, Edit, Graph};
use graceful_testkit::sweep::{Sweep, Swept};
use graceful_testkit::{Capabilities, ClockKind, Dialect, FakeSubject, Subject};

/// Histories are many small objects that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many things that stay wrong are shown.
const SHOWN: usize = 3;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Backend {
    Fake,
    Lua,
    Rhai,
}

/// Fails a reload at each of its steps in each way, and each step of each undo.
#[derive(Parser)]
struct Args {
    /// The language of the modules.
    #[arg(long, value_enum, default_value = "fake")]
    backend: Backend,
    /// Every acyclic graph up to so many modules.
    #[arg(long, default_value_t = 4)]
    modules: usize,
    /// Every edit of every graph, and every step of the undo, for five and six modules, too: takes long.
    #[arg(long)]
    deep: bool,
    /// Every graph of roles up to so many.
    #[arg(long, default_value_t = 3)]
    roles: usize,
    /// So many random graphs beside, of 7 to 12 modules, each with one fault in fifty.
    #[arg(long, default_value_t = 0)]
    random: u64,
    /// The seed of the first random graph.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Code that loops and takes memory, in every graph up to so many modules: each takes real time.
    #[arg(long, default_value_t = 2)]
    loops: usize,
}

/// Rhai without tasks: they are threads, which take real time on a clock that stands still.
struct Alone;

impl Subject for Alone {
    fn backend() -> Arc<dyn graceful_core::Backend> {
        Rhai::backend()
    }
    fn dialect() -> &'static dyn Dialect {
        Rhai::dialect()
    }
    fn capabilities() -> Capabilities {
        Capabilities { tasks: false, handover: false, ..Rhai::capabilities() }
    }
}

#[derive(Default)]
struct Total {
    graphs: usize,
    swept: Swept,
}

impl Total {
    fn add(&mut self, what: &str, swept: Swept) {
        let room = SHOWN.saturating_sub(self.swept.violations.len());
        swept.violations.iter().take(room).for_each(|violation| println!("{what}: {violation}"));
        self.swept.add(swept);
    }

    fn line(&self, what: &str, since: Instant) {
        let Swept { steps, faults, undo, stuck, violations } = &self.swept;
        let (took, wrong) = (since.elapsed().as_secs_f64(), violations.len());
        println!(
            "{what}: {} graphs, {steps} steps, {faults} faults, {undo} of them with one in the undo, {stuck} stuck, \
             {wrong} violations, {took:.1} s so far",
            self.graphs
        );
    }
}

/// Up to three modules the undo fails in three ways, up to five with an error, beyond not at all. From five on all
/// faults of a graph come to one app, until it is stuck.
fn sized(sweep: Sweep, modules: usize, deep: bool) -> Sweep {
    let sweep = sweep.clock(ClockKind::Manual);
    match modules {
        0..=3 => sweep.undo([Way::Error, Way::Panic, Way::Hang]),
        4 => sweep,
        6 if !deep => sweep.on_one_app().undo([]),
        _ => sweep.on_one_app(),
    }
}

fn every<S: Subject>(total: &mut Total, modules: usize, cast: Cast, deep: bool) {
    let began = Instant::now();
    for (turn, graph) in Graph::all(modules).iter().enumerate() {
        total.graphs += 1;
        for edit in edits(modules, turn, deep) {
            let sweep = sized(graph.sweep::<S>(edit, cast, turn), modules, deep);
            total.add(&format!("{cast:?} {graph:?} {edit:?} turn {turn}"), sweep.run());
        }
    }
    total.line(&format!("{cast:?} of {modules}"), began);
}

/// Every module alone and all of them; from five modules on one of these, in turn.
fn edits(modules: usize, turn: usize, deep: bool) -> Vec<Edit> {
    let all: Vec<Edit> = (0..modules).map(Edit::One).chain([Edit::All]).collect();
    if modules < 5 || deep { all } else { vec![all[turn % all.len()]] }
}

fn loops<S: Subject>(total: &mut Total, modules: usize) {
    let (began, ms) = (Instant::now(), Duration::from_millis);
    let limits = Limits { stage: ms(60), hook: ms(30), retire: ms(60), ..Limits::default() };
    for (turn, graph) in Graph::all(modules).iter().enumerate() {
        total.graphs += 1;
        for cast in [Cast::Modules, Cast::Roles] {
            let sweep =
                graph.sweep::<S>(Edit::All, cast, turn).clock(ClockKind::Manual).limits(limits.clone());
            let swept = sweep.ways([Way::Spin, Way::Memory]).run();
            total.add(&format!("loops {cast:?} {graph:?} turn {turn}"), swept);
        }
    }
    total.line(&format!("loops and memory, {modules} modules"), began);
}

fn random<S: Subject>(total: &mut Total, seeds: std::ops::Range<u64>) {
    let began = Instant::now();
    for seed in seeds {
        total.graphs += 1;
        let modules = 7 + (seed % 6) as usize;
        let graph = Graph::random(modules, seed);
        let edit = if seed % 3 == 0 { Edit::All } else { Edit::One(seed as usize % modules) };
        let cast = if seed % 4 == 0 { Cast::Roles } else { Cast::Modules };
        let sweep = sized(graph.sweep::<S>(edit, cast, seed as usize), modules, true).one_in(50, seed);
        total.add(&format!("seed {seed}: {cast:?} {edit:?}"), sweep.run());
    }
    total.line("random", began);
}

fn all<S: Subject>(args: &Args) -> Total {
    let mut total = Total::default();
    (1..=args.loops).for_each(|modules| loops::<S>(&mut total, modules));
    (1..=args.modules).for_each(|modules| every::<S>(&mut total, modules, Cast::Modules, args.deep));
    (1..=args.roles).for_each(|modules| every::<S>(&mut total, modules, Cast::Roles, args.deep));
    if args.random > 0 {
        random::<S>(&mut total, args.seed..args.seed + args.random);
    }
    total
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let total = match args.backend {
        Backend::Fake => all::<FakeSubject>(&args),
        Backend::Lua => all::<Lua>(&args),
        Backend::Rhai => all::<Alone>(&args),
    };
    let violations = total.swept.violations.len();
    println!("{} graphs, {} faults, {violations} violations", total.graphs, total.swept.faults);
    if violations == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
