//! What others notice while everything is reloaded: a caller from Rust, a thousand times a second, waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use graceful_lua::LuaFunction;

use crate::app::{App, Naive, names};
use crate::lua::{ALL, forced};
use crate::measure::{Size, median};
use crate::table::{Row, Table};

/// When each call began, since the start, and how late its answer came: after the millisecond in which it was due.
pub type Waits = Vec<(Duration, Duration)>;

/// Calls a thousand times a second until it is stopped.
pub struct Caller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

impl Caller {
    pub fn start(mut call: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (first, mut waits) = (Instant::now(), Waits::new());
            let mut due = first;
            while !stopped.load(Ordering::Relaxed) {
                due += Duration::from_millis(1);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                call();
                waits.push((due - first, due.elapsed()));
                // A call that came after the next was due already counts once.
                due = due.max(Instant::now() - Duration::from_millis(1));
            }
            waits
        });
        Self { stop, thread }
    }

    pub fn of(app: &App) -> Self {
        let call: LuaFunction<i64, i64> = app.backend.function("m0", "twice");
        Self::start(move || assert_eq!(call.call_wait(1, Duration::from_secs(5)).unwrap(), 2))
    }

    pub fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn longest(waits: &Waits) -> Duration {
    waits.iter().map(|(_, wait)| *wait).max().unwrap_or_default()
}

/// The longest wait with nothing going on, and while everything is reloaded and its garbage collected.
pub fn stall(size: &Size, table: &mut Table) {
    let app = App::new(ALL);
    let waited = |work: &dyn Fn()| {
        longest(&{
            let caller = Caller::of(&app);
            work();
            caller.stop()
        })
    };
    // As long as the reload and the collection after it.
    let rest = Duration::from_millis(100);
    let reload = || {
        app.reload(forced());
        std::thread::sleep(rest);
    };
    // A thread that has nothing to do with the VM and computes for as long as a reload takes.
    let compute = || {
        let lasts = crate::measure::time(|| drop(app.reload(forced())));
        let began = Instant::now();
        waited(&|| {
            let work = move || while began.elapsed() < lasts {};
            std::thread::spawn(work).join().unwrap();
            std::thread::sleep(rest);
        })
    };
    let (mut idle, mut busy, mut computing) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.runs {
        idle.push(waited(&|| std::thread::sleep(rest)));
        busy.push(waited(&reload));
        computing.push(compute());
    }
    let (idle, busy, computing) = (median(idle), median(busy), median(computing));
    table.add(Row::time("a call each ms: longest wait with nothing going on", idle));
    table.add(Row::time("a call each ms: longest wait during a reload of all 1,000", busy));
    table.add(Row::time("the same beside a thread that computes as long and touches nothing", computing));
    table.add(Row::time("during the reload, above idle", busy.saturating_sub(idle)).at_most(1.0));
    let naive = Naive::new(&app.graph);
    let all = names(ALL);
    let naive = median((0..size.runs).map(|_| crate::measure::time(|| naive.reload(&all))));
    table.add(Row::time("what the naive way makes it wait", naive));
}
