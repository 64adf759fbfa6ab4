//! Many reloads of one app: what is left behind is counted, by whoever cares to look.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graceful_core::{Backend, Clock, Engine, Limits, Name, Outcome, ReloadOptions};

use crate::clock::{IDLE, TokioClock};
use crate::sources::MemorySources;

/// How many modules the app has.
const MODULES: usize = 50;
/// How long old code may take to go.
const PATIENCE: Duration = Duration::from_secs(20);

/// An app of fifty modules in a tree, each with what its text starts, that is reloaded over and over.
pub struct Endurance {
    clock: Arc<TokioClock>,
    engine: Engine,
    sources: Arc<MemorySources>,
    language: (String, String),
    text: fn(name: &str, requires: Option<&str>, edit: usize) -> String,
    edits: usize,
}

/// What there is of everything that a module can start, and what holds old code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Tasks, globals and whatever else scopes own, each with how many there are.
    pub owned: Vec<(&'static str, usize)>,
    /// What is registered by key: routes.
    pub registered: usize,
    /// Versions of modules in memory.
    pub instances: usize,
    /// Generations that have code in memory.
    pub generations: usize,
    /// Leases that calls hold.
    pub in_flight: usize,
}

fn name(at: usize) -> String {
    format!("m{at:02}")
}

impl Endurance {
    /// The app, started. `text` is the source of a module that requires another one, as edited for the n-th
    /// time.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(
        backend: Arc<dyn Backend>,
        text: fn(name: &str, requires: Option<&str>, edit: usize) -> String,
    ) -> Self {
        let (clock, sources) = (TokioClock::new(), MemorySources::new());
        let language = (backend.name().to_owned(), backend.extensions()[0].to_owned());
        let limits = Limits { held_wait: PATIENCE, ..Limits::default() };
        let engine =
            Engine::builder(clock.clone() as Arc<dyn Clock>).backend(backend).sources(sources.clone());
        let engine = engine.limits(limits).build();
        engine.set_entries((0..MODULES).map(name).map(Name::from));
        let app = Self { clock, engine, sources, language, text, edits: 0 };
        (0..MODULES).for_each(|at| app.put(at));
        app.reload(false);
        app
    }

    fn put(&self, at: usize) {
        // A tree: an edit near its root takes many modules, one of a leaf only that.
        let above = (at > 0).then(|| name((at - 1) / 3));
        let text = (self.text)(&name(at), above.as_deref(), self.edits);
        self.sources.put(&name(at), &self.language.0, &self.language.1, text);
    }

    fn reload(&self, force: bool) {
        let options = ReloadOptions { force, ..ReloadOptions::default() };
        let report = self
            .clock
            .block_on(self.engine.reload(options))
            .unwrap_or_else(|error| panic!("{error}: {error:?}"));
        assert_eq!(report.outcome, Outcome::Committed);
    }

    /// Edits every module and reloads.
    ///
    /// # Panics
    /// If the reload fails.
    pub fn reload_all(&mut self) {
        self.edits += 1;
        (0..MODULES).for_each(|at| self.put(at));
        self.reload(false);
    }

    /// Edits one module and reloads, `times` times, each time another module; every fiftieth time all of them.
    ///
    /// # Panics
    /// If a reload fails.
    pub fn reloads(&mut self, times: usize) {
        for _ in 0..times {
            self.edits += 1;
            self.put(self.edits % MODULES);
            self.reload(self.edits.is_multiple_of(MODULES));
        }
    }

    /// What there is now, once old code has gone.
    ///
    /// # Panics
    /// If it does not go.
    pub fn count(&self) -> Count {
        let began = Instant::now();
        while self.engine.status().generations > 1 {
            assert!(began.elapsed() < PATIENCE, "old code is held: {:?}", self.engine.status());
            std::thread::sleep(Duration::from_millis(5));
        }
        let world = self.engine.world();
        let mut owned: Vec<(&'static str, usize)> = Vec::new();
        for resource in world.instances().iter().flat_map(|instance| instance.scope.resources()) {
            match owned.iter_mut().find(|(kind, _)| *kind == resource.kind()) {
                Some((_, count)) => *count += 1,
                None => owned.push((resource.kind(), 1)),
            }
        }
        owned.sort_unstable();
        let status = self.engine.status();
        Count {
            owned,
            registered: world.table.snapshot().len(),
            instances: world.instances().len(),
            generations: status.generations,
            in_flight: status.modules.iter().map(|module| module.in_flight).sum(),
        }
    }

    /// Whether the memory of the process grows by less than 2 % from `first` to `last`, or else by less than that
    /// in one of two times a thousand further reloads: an allocator takes a while until it has what it needs, and
    /// what leaks grows every time. `settle` lets go of what can go.
    ///
    /// # Panics
    /// If a reload fails.
    pub fn is_flat(&mut self, first: usize, last: usize, settle: impl Fn()) -> bool {
        let mut before = last;
        grown(first, last) < 2.0
            || (0..2).any(|_| {
                self.reloads(1_000);
                settle();
                let now = Self::process_memory().unwrap_or(before);
                grown(std::mem::replace(&mut before, now), now) < 2.0
            })
    }

    /// The memory of this process that is in use, in bytes, where the system tells. Lets threads that have
    /// nothing to do go first: each has a stack.
    pub fn process_memory() -> Option<usize> {
        std::thread::sleep(2 * IDLE);
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}

/// By how much more `after` is than `before`, in per cent.
pub fn grown(before: usize, after: usize) -> f64 {
    100.0 * (after as f64 - before as f64) / before as f64
}

/// Whether this is the process in which the test `name` is to measure: the test is run again in a process of its
/// own, whose allocator keeps one pool and not one for each thread, so that what its memory shows is what the
/// program holds.
///
/// # Panics
/// In the first process, if the test fails in the other one.
pub fn is_apart(name: &str) -> bool {
    const APART: &str = "GRACEFUL_TEST_APART";
    if std::env::var_os(APART).is_some() {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().expect("a test knows its own file"));
    again.args([name, "--exact", "--nocapture"]).env(APART, "1").env("MALLOC_ARENA_MAX", "1");
    // Nor does the system keep the stacks of threads that have ended.
    again.env("GLIBC_TUNABLES", "glibc.pthread.stack_cache_size=0");
    let output = again.output().expect("a test can be started again");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{told}\n{failed}");
    println!("{told}");
    false
}
