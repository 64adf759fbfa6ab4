//! A reload at every point where a call can yield: no call is lost, runs twice, or sees two generations.

mod points;
mod shop;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{CallError, Limits, Outcome, ReloadError, Report, Value};

use crate::clock::{ClockKind, ManualClock, Pending, Time};
use crate::scenario::{App, AppBuilder, because};
use crate::subject::Subject;
use points::Points;

pub use shop::shop;

/// Turns that one run takes at most.
const MOST_TURNS: usize = 200_000;
/// How long a reload on a real clock gets to go as far as it can.
const FAR: Duration = Duration::from_millis(15);
/// How long the calls of one run and its reload may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The calls that come during the reload come up to so many turns after its begin.
const BEHIND: usize = 24;

type Answer = Result<Value, CallError>;
type Reloading = Pending<Result<Report, ReloadError>>;

/// What came of reloading at every point.
#[derive(Clone, Debug, Default)]
pub struct Updated {
    /// At how many points it was reloaded.
    pub points: usize,
    /// How many calls were made.
    pub calls: usize,
    /// How many of those that ran while the reload did ended on the old code, and how many on the new.
    pub old: usize,
    /// See `old`.
    pub new: usize,
    /// What did not hold, with the point.
    pub violations: Vec<String>,
}

impl Updated {
    /// Everything held.
    ///
    /// # Panics
    /// If not, with the first thing that did not.
    pub fn assert(&self) {
        let all = self.violations.len();
        if let Some(first) = self.violations.first() {
            panic!("{all} violations at {} points; the first: {first}", self.points);
        }
    }
}

/// Plays `calls` of an app (module and function) once without a reload to count the points where one could come, then
/// once for each of them, with the reload of `edit` begun there.
///
/// On a clock that stands still ([`Manual`](ClockKind::Manual), [`Driven`](ClockKind::Driven)) the points are all turns:
/// before each poll of anything and each turn of a thread. On a real one they are the places of [`Script`](crate::Script)s
/// that yield or sleep: the call that comes there first stops, the reload goes as far as it can, then the call goes on.
///
/// In each run the calls are made three times: before the reload begins, soon after it began, and after it has
/// committed. All must return; what they return must be what the old code returns, or what the new code does, the last
/// ones' what the new code does; and what the app says of itself at the end (`counted`: how often something was done, say)
/// must be the same as without a reload among the calls.
///
/// ```
/// use graceful_testkit::updates::update_points;
/// use graceful_testkit::{FakeSubject, Script, op::*};
///
/// let db = |tag: &str| Script::new("db").function("get", [inc("n"), yield_now(), ret(tag)]).function("n", [ret(state("n"))]);
/// let web = |tag: &str| Script::plain("web").function("page", [ret(list([tag.into(), call("db", "get"), tag.into()]))]);
/// let updated = update_points::<FakeSubject>(
///     move |app| app.module(db("old")).module(web("old").requires("db")),
///     &[("web", "page"), ("db", "get")],
///     move |app| {
///         app.edit(db("new"));
///         app.edit(web("new").requires("db"));
///     },
///     |app| app.ask("db", "n").to_string(),
/// );
/// updated.assert();
/// assert!(updated.points > 5 && updated.old > 0 && updated.new > 0, "{updated:?}");
/// ```
///
/// # Panics
/// If the app does not start, or what is called fails without a reload.
pub fn update_points<S: Subject>(
    app: impl Fn(AppBuilder) -> AppBuilder + 'static,
    calls: &[(&str, &str)],
    edit: impl Fn(&App) + 'static,
    counted: impl Fn(&App) -> String + 'static,
) -> Updated {
    update_points_on::<S>(S::clock(), app, calls, edit, counted)
}

/// The same on a clock of this kind.
///
/// # Panics
/// As [`update_points`].
pub fn update_points_on<S: Subject>(
    clock: ClockKind,
    app: impl Fn(AppBuilder) -> AppBuilder + 'static,
    calls: &[(&str, &str)],
    edit: impl Fn(&App) + 'static,
    counted: impl Fn(&App) -> String + 'static,
) -> Updated {
    let make = move |points: &Arc<Points>| {
        let points = points.clone();
        let builder = AppBuilder::new::<S>(Time::new(clock), None).limits(limits());
        let builder = if clock.is_real() { builder.each(move |script| points.mark(script)) } else { builder };
        app(builder).start()
    };
    let play = Play { make: Box::new(make), calls, edit: Box::new(edit), counted: Box::new(counted) };
    play.all(clock)
}

/// A reload waits for every call, and a call for every reload.
fn limits() -> Limits {
    let (exclusive, call_wait) = (Duration::from_secs(8), Duration::from_secs(10));
    Limits { exclusive, call_wait, held_wait: Duration::from_secs(8), ..Limits::default() }
}

type Make = Box<dyn Fn(&Arc<Points>) -> App>;

struct Play<'a> {
    make: Make,
    calls: &'a [(&'a str, &'a str)],
    edit: Box<dyn Fn(&App)>,
    counted: Box<dyn Fn(&App) -> String>,
}

/// What is answered without a reload in between.
struct Clean {
    old: Vec<Answer>,
    new: Vec<Answer>,
    counted: String,
    turns: usize,
    places: Vec<String>,
}

impl Play<'_> {
    fn all(&self, clock: ClockKind) -> Updated {
        let (clean, mut updated) = (self.clean(), Updated::default());
        let points = if clock.is_real() { clean.places.len() } else { clean.turns + 1 };
        for point in 0..points {
            updated.points += 1;
            updated.calls += 3 * self.calls.len();
            let points = Points::new();
            let app = (self.make)(&points);
            if let Err(what) = self.at(&app, &points, point, &clean, &mut updated) {
                let place = clean.places.get(point).cloned().unwrap_or_else(|| format!("turn {point}"));
                updated.violations.push(format!("{place}: {what}\n{}", app.trace().text()));
            }
        }
        updated
    }

    fn begin(&self, app: &App) -> Vec<Pending<Answer>> {
        self.calls.iter().map(|(module, function)| app.begin_call(module, function)).collect()
    }

    fn clean(&self) -> Clean {
        let points = Points::new();
        let app = (self.make)(&points);
        points.open(&app, None);
        let first = self.begin(&app);
        let mut turns = 0;
        if let Time::Manual(clock) = app.time() {
            turns = turn(clock, MOST_TURNS, || first.iter().all(Pending::is_done));
        }
        let old = joined(first);
        let again = joined(self.begin(&app));
        assert_eq!(old, again, "what is called must answer the same each time");
        let places = points.passed(&app);
        (self.edit)(&app);
        points.open(&app, None);
        app.must_reload();
        let new = joined(self.begin(&app));
        for ((module, function), answer) in self.calls.iter().zip(old.iter().chain(&new)) {
            assert!(answer.is_ok(), "{module}.{function} fails without a reload: {answer:?}");
        }
        Clean { old, new, counted: (self.counted)(&app), turns, places }
    }

    fn at(
        &self,
        app: &App,
        points: &Points,
        point: usize,
        clean: &Clean,
        updated: &mut Updated,
    ) -> Result<(), String> {
        let stop = clean.places.get(point);
        points.open(app, stop);
        let first = self.begin(app);
        match app.time() {
            Time::Manual(clock) => drop(turn(clock, point, || false)),
            Time::Tokio(_) => {
                let reached = || stop.is_some_and(|place| Points::is_reached(app, place));
                if !app.time().until(PATIENCE, reached) {
                    return Err("no call comes there".into());
                }
            }
        }
        (self.edit)(app);
        points.open(app, stop);
        let reloading = app.begin_reload();
        if let Time::Manual(clock) = app.time() {
            turn(clock, point % BEHIND, || reloading.is_done());
        }
        let second = self.begin(app);
        if let Time::Tokio(_) = app.time() {
            app.time().until(FAR, || reloading.is_done());
            points.open(app, None);
        }
        self.ends(app, reloading)?;
        for calls in [first, second] {
            let within = app.time().until(PATIENCE, || calls.iter().all(Pending::is_done));
            if !within {
                return Err("a call does not return".into());
            }
            self.either(&joined(calls), clean, updated)?;
        }
        let third = joined(self.begin(app));
        if third != clean.new {
            return Err(format!("after the commit: {}", said(&third)));
        }
        let counted = (self.counted)(app);
        if counted == clean.counted {
            Ok(())
        } else {
            Err(format!("counted {counted}, not {}", clean.counted))
        }
    }

    fn ends(&self, app: &App, reloading: Reloading) -> Result<(), String> {
        if !app.time().until(PATIENCE, || reloading.is_done()) {
            return Err("the reload does not end".into());
        }
        match reloading.join() {
            Ok(report) if report.outcome == Outcome::Committed => Ok(()),
            Ok(report) => Err(format!("the reload is {:?}", report.outcome)),
            Err(error) => Err(format!("the reload fails: {}", because(&error))),
        }
    }

    /// Each answer is that of the old code or that of the new code.
    fn either(&self, answers: &[Answer], clean: &Clean, updated: &mut Updated) -> Result<(), String> {
        for (at, answer) in answers.iter().enumerate() {
            if *answer == clean.new[at] {
                updated.new += 1;
            } else if *answer == clean.old[at] {
                updated.old += 1;
            } else {
                let (module, function) = self.calls[at];
                return Err(format!("{module}.{function}: {}", said(std::slice::from_ref(answer))));
            }
        }
        Ok(())
    }
}

/// Takes turns until `done`, at most so many; how many.
fn turn(clock: &ManualClock, most: usize, mut done: impl FnMut() -> bool) -> usize {
    (0..most).find(|_| done() || !clock.step()).unwrap_or(most)
}

fn joined(calls: Vec<Pending<Answer>>) -> Vec<Answer> {
    calls.into_iter().map(Pending::join).collect()
}

fn said(answers: &[Answer]) -> String {
    let mut out = String::new();
    for answer in answers {
        let _ = match answer {
            Ok(value) => write!(out, "{value} "),
            Err(error) => write!(out, "failed: {error} "),
        };
    }
    out
}
