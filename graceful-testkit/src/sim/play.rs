//! Plays a story on an engine.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use graceful_core::role::ApplyReport;
use graceful_core::shutdown::{ShutdownOptions, ShutdownReport};
use graceful_core::{CallError, Limits, Native, ReloadError, Report, RoleError, Value};
use tokio::sync::oneshot;

use super::cast::{self, LIVES, Range};
use super::check::Checker;
use super::desk::Desk;
use super::ledger::Ledger;
use super::story::*;
use super::violation::Told;
use crate::clock::{ClockKind, ManualClock, Pending, Time};
use crate::faults::{Faults, Point};
use crate::scenario::{App, AppBuilder};
use crate::subject::Subject;

/// How long anything may take that was begun.
pub(super) const PATIENCE: Duration = Duration::from_secs(6_000);

pub(super) type Outcome = Result<Report, ReloadError>;
type Call = (Asked, Pending<Result<Value, CallError>>);
type Reloading = (Option<oneshot::Sender<()>>, Pending<Option<Outcome>>);

/// A call: what, and the generation that was live when it was sent.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: i64,
    pub(super) module: usize,
    pub(super) function: Function,
    pub(super) live: u64,
}

/// The configuration that was applied last, and by which roles.
#[derive(Clone, Debug, Default)]
pub(super) struct Applied {
    pub(super) number: u64,
    pub(super) roles: Vec<usize>,
}

pub(super) struct Play<'a> {
    pub(super) app: App,
    pub(super) story: &'a Story,
    pub(super) range: Range,
    pub(super) desk: Arc<Mutex<Desk>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) checker: Checker,
    pub(super) seen: usize,
    pub(super) faults: Arc<Faults>,
    pub(super) armed: bool,
    pub(super) calls: Vec<Call>,
    pub(super) reloads: Vec<Reloading>,
    pub(super) applying: Option<(Applied, Pending<Result<ApplyReport, RoleError>>)>,
    pub(super) applied: Option<Applied>,
    /// Roles were reloaded from a clean slate, so that tasks in states have ended.
    pub(super) clean: bool,
    /// Someone unregistered this module, or its source went at some time.
    pub(super) left: BTreeSet<usize>,
    /// What a watcher has told already, as a moment of the desk.
    pub(super) told: usize,
    pub(super) ending: Option<Pending<ShutdownReport>>,
    pub(super) next: i64,
}

/// As in a real engine, half of the size: some backends measure what keeps the thread by the machine's own time,
/// and must never find that it took too long.
fn limits() -> Limits {
    let ms = Duration::from_millis;
    let (stage, exclusive, hook, call_wait) = (ms(2_500), ms(2_000), ms(1_000), ms(2_500));
    Limits { stage, exclusive, hook, call_wait, held_wait: ms(500), retire: ms(2_500), ..Limits::default() }
}

impl<'a> Play<'a> {
    /// The story's app, started.
    pub(super) fn new<S: Subject>(story: &'a Story, range: Range) -> Self {
        let faults = Faults::new();
        let clock = ManualClock::seeded(story.seed);
        let time = Time::Manual(match S::clock() {
            ClockKind::Manual => clock,
            ClockKind::Driven | ClockKind::Tokio => clock.with_threads(),
        });
        let lives = Arc::new(AtomicI64::new(0));
        let next = move |_: &[Value]| Ok(Value::from(lives.fetch_add(1, Ordering::Relaxed)));
        let next = Arc::new(next);
        let mut app =
            AppBuilder::new::<S>(time, Some(faults.clone())).limits(limits()).native(LIVES, &[], move |_| {
                let next = next.clone();
                Ok(Native::plain().function("next", move |args| next(&args)))
            });
        let desk = Desk::new(story);
        for at in 0..PRESENT {
            let text = desk.now[at].clone().expect("it is there from the start");
            let script = cast::script(at, &story.parts[at], &text.shape, &text.tag, range);
            app = if story.parts[at].other { app.other(script) } else { app.module(script) };
            app = app.entry(&name(at));
        }
        for (at, (shape, tag)) in desk.roles.iter().enumerate() {
            app = app.module(cast::role(at, shape, tag, range));
        }
        let app = app.build();
        let desk = Arc::new(Mutex::new(desk));
        let ledger = Ledger::new(app.engine(), desk.clone());
        app.engine().subscribe(ledger.clone());
        app.engine().roles().set_reload_allowed(true);
        app.must_reload();
        Self {
            app,
            story,
            range,
            desk,
            ledger,
            checker: Checker::default(),
            seen: 0,
            faults,
            armed: false,
            calls: Vec::new(),
            reloads: Vec::new(),
            applying: None,
            applied: None,
            clean: false,
            left: BTreeSet::new(),
            told: 0,
            ending: None,
            next: 0,
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays it all.
    pub(super) fn run(&mut self) -> Told {
        let story = self.story;
        for step in &story.steps {
            self.act(&step.act)?;
            self.app.time().pass(Duration::from_millis(step.then));
            self.ledger.told()?;
            if self.ending.is_some() {
                break;
            }
        }
        let told = match self.ending.take() {
            Some(ending) => self.shut_down(ending),
            None => self.end(),
        };
        self.read()?;
        self.ledger.told()?;
        told
    }

    fn act(&mut self, act: &Act) -> Told {
        match act {
            Act::Write(at, shape) => self.write(*at, |desk| desk.write(*at, shape.clone())),
            Act::Mend(at) => self.write(*at, |desk| desk.mend(*at)),
            Act::Revert(at) => self.write(*at, |desk| desk.revert(*at)),
            Act::Remove(at) => self.remove(*at),
            Act::Rename(from, to) => self.rename(*from, *to),
            Act::Unregister(at) => self.unregister(*at),
            Act::Call(at, function) => self.call(*at, *function),
            Act::Reload(how) if how.quiet => return self.reload_quietly(*how),
            Act::Reload(how) => self.reload(*how),
            Act::Drop => self.drop_a_reload(),
            Act::Fault(trouble, nth) => {
                self.faults.arm(point(*trouble), *nth);
                self.armed = true;
            }
            Act::WriteRole(at, shape) => {
                if *at < self.story.roles.len() {
                    self.desk().write_role(*at, shape.clone());
                    self.write_role(*at);
                }
            }
            Act::Cfg => self.cfg(),
            Act::Apply(number, roles) => self.apply(*number, roles),
            Act::Forbid => self.app.engine().roles().forbid_reload(),
            Act::Allow => self.app.engine().roles().allow_reload(),
            Act::Shutdown => {
                let ending = self.app.engine().shutdown(ShutdownOptions::default());
                self.ending = Some(self.app.time().spawn(ending));
            }
            Act::Nothing => {}
        }
        Ok(())
    }

    /// Changes the desk, and with it the source of a module.
    pub(super) fn write(&mut self, at: usize, change: impl FnOnce(&mut Desk)) {
        change(&mut self.desk());
        let Some(text) = self.desk().now[at].clone() else { return };
        let part = &self.story.parts[at];
        let script = cast::script(at, part, &text.shape, &text.tag, self.range);
        if part.other {
            self.app.edit_other(script)
        } else {
            self.app.edit(script)
        }
        self.set_entries();
    }

    pub(super) fn write_role(&self, at: usize) {
        let (shape, tag) = self.desk().roles[at].clone();
        self.app.edit(cast::role(at, &shape, &tag, self.range));
    }

    fn set_entries(&self) {
        let there: Vec<String> = (0..MODULES).filter(|at| self.desk().now[*at].is_some()).map(name).collect();
        self.app.engine().set_entries(there);
    }

    fn remove(&mut self, at: usize) {
        if self.desk().now[at].is_none() {
            return;
        }
        self.desk().remove(at);
        self.left.insert(at);
        self.app.remove(&name(at));
        self.set_entries();
    }

    fn rename(&mut self, from: usize, to: usize) {
        let text = self.desk().now[from].clone();
        let Some(text) = text.filter(|_| from != to && self.desk().now[to].is_none()) else { return };
        self.remove(from);
        let requires = text.shape.requires.into_iter().filter(|at| *at < to).collect();
        self.write(to, |desk| desk.write(to, Shape { requires, ..text.shape }));
    }

    /// Takes in what the trace says since the last time.
    pub(super) fn read(&mut self) -> Told {
        for line in self.app.trace().since(self.seen) {
            self.seen += 1;
            for line in line.lines() {
                self.checker.line(line)?;
            }
        }
        Ok(())
    }
}

fn point(trouble: Trouble) -> Point {
    match trouble {
        Trouble::Stage => Point::Stage,
        Trouble::Checkpoint => Point::Checkpoint,
        Trouble::Init => Point::Hook("init"),
        Trouble::Before => Point::Hook("before_reload"),
        Trouble::After => Point::Hook("after_reload"),
        Trouble::Migration => Point::Migration,
        Trouble::Pour => Point::Pour,
    }
}
