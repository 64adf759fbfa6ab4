//! Fails a reload at each of its steps, for every graph of a few modules and for random ones.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use graceful_bench::cores::stay_on_one_core;
use graceful_bench::subjects::{Lua, Rhai};
use graceful_core::Limits;
use graceful_testkit::faults::Way;
use graceful_testkit::sweep::graphs::{Cast, Edit, Graph};
use graceful_testkit::sweep::{Sweep, Swept};
use graceful_testkit::{ClockKind, FakeSubject, Subject};

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
    /// Every edit of every graph of five and six modules, too, instead of one each in turn: takes hours.
    #[arg(long)]
    deep: bool,
    /// Every graph of roles up to so many.
    #[arg(long, default_value_t = 3)]
    roles: usize,
    /// So many random graphs beside, of 7 to 12 modules, each with one fault in fifty.
    #[arg(long, default_value_t = 0)]
    random: usize,
    /// The seed of the first random graph.
    #[arg(long, default_value_t = 1)]
    seed: usize,
    /// Code that loops and takes memory, in every graph up to so many modules: each takes real time.
    #[arg(long, default_value_t = 2)]
    loops: usize,
    /// How many threads; one for each core unless told.
    #[arg(long)]
    threads: Option<usize>,
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

/// Up to three modules the undo fails in three ways, beyond with an error. From five on all faults of a graph come to one
/// app, until it is stuck.
fn sized(sweep: Sweep, clock: ClockKind, modules: usize) -> Sweep {
    let sweep = sweep.clock(clock);
    match modules {
        0..=3 => sweep.undo([Way::Error, Way::Panic, Way::Hang]),
        4 => sweep,
        _ => sweep.on_one_app(),
    }
}

/// Every module alone and all of them; from five modules on one of these, in turn.
fn edits(modules: usize, turn: usize, deep: bool) -> Vec<Edit> {
    let all: Vec<Edit> = (0..modules).map(Edit::One).chain([Edit::All]).collect();
    if modules < 5 || deep { all } else { vec![all[turn % all.len()]] }
}

/// The sweeps of one program: what was asked for, and what came of it so far.
struct Run {
    args: Args,
    clock: ClockKind,
    began: Instant,
    total: Mutex<Total>,
}

impl Run {
    /// Does `sweep` for each number, on as many threads as were asked for.
    fn each(&self, what: &str, numbers: Range<usize>, sweep: impl Fn(usize) -> Vec<(String, Sweep)> + Sync) {
        let (next, end) = (AtomicUsize::new(numbers.start), numbers.end);
        let serve = |thread| {
            stay_on_one_core(thread);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= end {
                    return;
                }
                for (what, sweep) in sweep(at) {
                    let swept = sweep.run();
                    self.total().add(&what, swept);
                }
                self.total().graphs += 1;
            }
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.args.threads.unwrap_or_else(cores);
        std::thread::scope(|scope| (0..threads).for_each(|at| drop(scope.spawn(move || serve(at)))));
        self.total().line(what, self.began);
    }

    fn total(&self) -> MutexGuard<'_, Total> {
        self.total.lock().expect("no sweep panics while it adds")
    }

    fn loops<S: Subject>(&self, modules: usize) {
        let ms = Duration::from_millis;
        let limits = Limits { stage: ms(60), hook: ms(30), retire: ms(60), ..Limits::default() };
        let graphs = Graph::all(modules);
        self.each(&format!("loops and memory, {modules} modules"), 0..graphs.len(), |turn| {
            let sweep = |cast| {
                let sweep = graphs[turn].sweep::<S>(Edit::All, cast, turn).clock(self.clock);
                let sweep = sweep.limits(limits.clone()).ways([Way::Spin, Way::Memory]);
                (format!("loops {cast:?} {:?} turn {turn}", graphs[turn]), sweep)
            };
            [Cast::Modules, Cast::Roles].map(sweep).into()
        });
    }

    fn every<S: Subject>(&self, modules: usize, cast: Cast) {
        let graphs = Graph::all(modules);
        self.each(&format!("{cast:?} of {modules}"), 0..graphs.len(), |turn| {
            let sweep = |edit| {
                let sweep = sized(graphs[turn].sweep::<S>(edit, cast, turn), self.clock, modules);
                (format!("{cast:?} {:?} {edit:?} turn {turn}", graphs[turn]), sweep)
            };
            edits(modules, turn, self.args.deep).into_iter().map(sweep).collect()
        });
    }

    fn random<S: Subject>(&self) {
        let Args { seed, random, .. } = self.args;
        self.each("random", seed..seed + random, |seed| {
            let modules = 7 + seed % 6;
            let edit = if seed % 3 == 0 { Edit::All } else { Edit::One(seed % modules) };
            let cast = if seed % 4 == 0 { Cast::Roles } else { Cast::Modules };
            let sweep = Graph::random(modules, seed as u64).sweep::<S>(edit, cast, seed);
            let sweep = sized(sweep, self.clock, modules).one_in(50, seed as u64);
            vec![(format!("seed {seed}: {cast:?} {edit:?}"), sweep)]
        });
    }

    fn all<S: Subject>(&self) {
        (1..=self.args.loops).for_each(|modules| self.loops::<S>(modules));
        (1..=self.args.modules).for_each(|modules| self.every::<S>(modules, Cast::Modules));
        (1..=self.args.roles).for_each(|modules| self.every::<S>(modules, Cast::Roles));
        if self.args.random > 0 {
            self.random::<S>();
        }
    }
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let (backend, clock) = match args.backend {
        Backend::Rhai => (Run::all::<Rhai> as fn(&Run), ClockKind::Driven),
        Backend::Lua => (Run::all::<Lua> as fn(&Run), ClockKind::Manual),
        Backend::Fake => (Run::all::<FakeSubject> as fn(&Run), ClockKind::Manual),
    };
    let run = Run { args, clock, began: Instant::now(), total: Mutex::default() };
    backend(&run);
    let total = run.total();
    let violations = total.swept.violations.len();
    println!("{} graphs, {} faults, {violations} violations", total.graphs, total.swept.faults);
    if violations == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
