//! Whole apps and single modules of Lua, beside clearing `package.loaded` and requiring again.

use std::time::Duration;

use graceful_core::event::Phase;
use graceful_core::{PhaseTime, ReloadOptions, Report};

use crate::app::{App, Floor, Naive, dependents, names};
use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// How many modules the app has that is reloaded whole.
pub const ALL: usize = 1_000;
/// How many the app has in which little is edited.
const SOME: usize = 5_000;
/// The collector takes a step more often than that, while there is something to collect.
const QUIET: Duration = Duration::from_millis(60);
/// The share of naive in which others cannot use the VM.
const BLOCKED: f64 = if cfg!(feature = "luajit") { 0.2 } else { 0.4 };

pub fn forced() -> ReloadOptions {
    ReloadOptions { force: true, ..ReloadOptions::default() }
}

/// Times of one kind of reload, and of the naive way in turn with it.
#[derive(Default)]
struct Times {
    naive: Vec<Duration>,
    wall: Vec<Duration>,
    blocked: Vec<Duration>,
    collecting: Vec<Duration>,
    phases: Vec<Vec<PhaseTime>>,
}

/// Waits until the collector is done with what is there: a reload is measured, and not what the one before it left.
fn settle(app: &App) {
    let collecting = || app.backend.pauses().collecting;
    let mut before = collecting();
    loop {
        std::thread::sleep(QUIET);
        let now = collecting();
        if std::mem::replace(&mut before, now) == now {
            return;
        }
    }
}

impl Times {
    fn taken(
        app: &App,
        runs: usize,
        naively: impl Fn(),
        reload: impl Fn(usize) -> (Report, Duration),
    ) -> Self {
        let mut times = Self::default();
        for run in 0..runs {
            settle(app);
            times.naive.push(time(&naively));
            let before = app.backend.pauses();
            let (report, wall) = reload(run);
            let after = app.backend.pauses();
            settle(app);
            let settled = app.backend.pauses();
            times.wall.push(wall);
            times.blocked.push(after.total - before.total);
            times.collecting.push(settled.collecting - before.collecting);
            times.phases.push(report.phases);
        }
        times
    }

    fn rows(&self, what: &str, table: &mut Table) {
        let naive = median(self.naive.iter().copied());
        let ratio = |of: &[Duration], name: &str| {
            Row::ratio(format!("{what}: {name}"), median(of.iter().copied()), naive)
        };
        table.add(ratio(&self.blocked, "VM blocked, in total").at_most(BLOCKED));
        table.add(ratio(&self.wall, "wall time").at_most(1.3));
        let phase = |phase| median(self.phases.iter().map(|phases| took(phases, phase)));
        for part in [Phase::Plan, Phase::Stage, Phase::Retire] {
            table.add(Row::ratio(format!("{what}: of it the {}", part.as_str()), phase(part), naive));
        }
        table.add(ratio(&self.collecting, "the collector's steps, most of them after it"));
        let commit = phase(Phase::Commit);
        let commit = Row::new(format!("{what}: commit"), commit.as_secs_f64() * 1e6, "us");
        table.add(commit.at_most(50.0));
    }
}

fn took(phases: &[PhaseTime], phase: Phase) -> Duration {
    phases.iter().filter(|time| time.phase == phase).map(|time| time.took).sum()
}

/// Everything is reloaded.
pub fn all(size: &Size, table: &mut Table) {
    let app = App::new(ALL);
    let (naive, names) = (Naive::new(&app.graph), names(ALL));
    let naively = || naive.reload(&names);
    let edited = Times::taken(&app, size.runs, naively, |run| {
        (0..ALL).for_each(|at| app.edit(at, run + 1));
        app.reload(ReloadOptions::default())
    });
    edited.rows("all 1,000 edited", table);
    let forced = Times::taken(&app, size.runs, naively, |_| app.reload(forced()));
    forced.rows("all 1,000 forced, same texts", table);
    let floor = Floor::new(&app.graph, &names);
    let naive = median(forced.naive.iter().chain(&edited.naive).copied());
    let mut least = |what, time: &dyn Fn() -> Duration| {
        table.add(Row::ratio(what, median((0..size.runs).map(|_| time())), naive));
    };
    least("the least: their bytecode loaded and run, nothing else", &|| floor.time());
    least("the same, each in a coroutine, and the globals compared after it", &|| floor.isolated());
    least("their texts parsed, nothing else", &|| app.parse());
}

/// How long it takes to edit `module` and reload, if somebody says what changed, or if all sources are hashed.
fn edits(app: &App, module: usize, runs: usize, hashed: bool, taken: usize) -> Duration {
    let name = format!("m{module}");
    let told = || ReloadOptions { changed: Some([name.as_str().into()].into()), ..ReloadOptions::default() };
    let edited = |run: usize| {
        app.edit(module, 2 * run + 1 + usize::from(hashed));
        let (report, took) = app.reload(if hashed { ReloadOptions::default() } else { told() });
        assert_eq!(report.modules.len(), taken, "{name} and its dependents");
        took
    };
    edited(runs);
    settle(app);
    median((0..runs).map(edited))
}

/// One module of many is edited.
pub fn leaf(size: &Size, table: &mut Table) {
    let app = App::new(SOME);
    let (naive, all) = (Naive::new(&app.graph), names(SOME));
    let runs = size.runs;
    let naive = median((0..runs.min(5)).map(|_| time(|| naive.reload(&all))));
    let leaf = app.leaf();
    let above = dependents(&app.graph, leaf).len();
    let told = edits(&app, leaf, runs, false, above);
    table.add(Row::ratio("one leaf of 5,000, of all the naive way", told, naive).at_most(0.01));
    let hashed = edits(&app, leaf, runs, true, above);
    table.add(Row::ratio("the same, all 5,000 read and hashed", hashed, naive));
    let (fifty, dependents) = fifty(&app.graph);
    let told_fifty = edits(&app, fifty, runs, false, dependents + 1);
    let what = format!("one with {dependents} dependents of 5,000, of all the naive way");
    table.add(Row::ratio(what, told_fifty, naive).at_most(0.03));
    drop(app);
    let app = App::new(size.large);
    let leaf = app.leaf();
    let large = edits(&app, leaf, runs, false, self::dependents(&app.graph, leaf).len());
    let what = format!("one leaf of {}, of one leaf of 5,000", size.large);
    table.add(Row::ratio(what, large, told).at_most(2.0));
}

/// The module whose dependents, areas included, are nearest to fifty; and how many they are.
fn fifty(graph: &[Vec<usize>]) -> (usize, usize) {
    let counts = (0..graph.len()).rev().step_by(7).map(|at| (at, dependents(graph, at).len() - 1));
    counts.take(400).min_by_key(|(_, count)| count.abs_diff(50)).expect("there are modules")
}
