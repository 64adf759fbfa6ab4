//! The fault sweep: a reload of any app fails at each of its steps, one after the other, in each way; and each step of
//! the undo fails as well. Afterwards everything is as it was, or the error says *stuck*; and the next reload works.

mod case;
pub mod graphs;
mod look;
mod swept;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Engine, Limits, Reload, ReloadOptions};

use crate::clock::{ClockKind, Time};
use crate::faults::{Faults, Passed, Point, Way};
use crate::random::Random;
use crate::scenario::{App, AppBuilder};
use crate::subject::Subject;
use case::{Case, Prepared};

pub use swept::{Swept, Violation};

type Make = Box<dyn Fn(AppBuilder) -> AppBuilder>;
type Do = Box<dyn Fn(&App)>;
type Ask = Box<dyn Fn(&App) -> String>;
type By = Box<dyn Fn(&Engine) -> Reload>;

/// Sweeps one app and one edit with everything that [`Sweep`] does by default.
///
/// ```
/// use graceful_testkit::sweep::sweep;
/// use graceful_testkit::{FakeSubject, Script, op::*};
///
/// let hits = |version: &str| {
///     Script::new("hits")
///         .version(version)
///         .init([set("n", 0)])
///         .up("1.0.0", "2.0.0", [set("hits", state("n"))])
///         .before_reload([inc("n")])
///         .after_reload([inc("n")])
///         .rollback([])
/// };
/// let swept = sweep::<FakeSubject>(
///     move |app| app.module(hits("1.0.0")).module(Script::plain("web").requires("hits")),
///     move |app| app.edit(hits("2.0.0")),
/// );
/// swept.assert();
/// assert!(swept.faults > 50, "{swept:?}");
/// ```
pub fn sweep<S: Subject>(
    app: impl Fn(AppBuilder) -> AppBuilder + 'static,
    edit: impl Fn(&App) + 'static,
) -> Swept {
    Sweep::of::<S>().app(app).edit(edit).run()
}

/// A sweep to be: an app, what is done to it before, the edit, and which faults.
///
/// A run without faults counts the steps that the reload takes: sources parsed, modules staged, states copied, hooks
/// and callbacks run, migrations taken and poured in. Then the same app is made again and again, and the reload fails at
/// each of the steps in each way; for each of these the undo has steps of its own, and the reload is played once more
/// for each of them, which fails as well.
///
/// What must hold after each of them:
///
/// - the reload failed, and exactly one record says how; or the fault was at a step whose failure is only reported
///   (`stop` of a role, say), and everything is as after the reload without faults;
/// - after a failure the world is what it was: the [digest](App::digest) of the app, the very same modules, what runs
///   of roles, what the app [says](Sweep::asking) of itself; no gate is shut, and no lease is left;
/// - unless the undo failed, too: then the error is *stuck* and says what is left, and without a failure in the undo it
///   never is;
/// - the next reload, without faults, commits what the first one should have.
///
/// Modules of any kind may be in the app: texts put into [`App::sources`] by `app` or [`prepare`](Sweep::prepare), or
/// [`Script`](crate::Script)s. [`Way::Spin`] and [`Way::Memory`] need the latter.
pub struct Sweep {
    builder: fn(Time, Arc<Faults>) -> AppBuilder,
    clock: ClockKind,
    app: Make,
    prepare: Vec<Do>,
    edit: Do,
    by: By,
    asking: Ask,
    limits: Limits,
    ways: Vec<Way>,
    undo: Vec<Way>,
    fresh: bool,
    sample: Option<(usize, u64)>,
}

impl Sweep {
    /// A sweep of an app in the language of `S`, on its clock: fails with an error, a panic, a hang and a dropped
    /// reload, and with an error in the undo.
    pub fn of<S: Subject>() -> Self {
        Self {
            builder: |time, faults| AppBuilder::new::<S>(time, Some(faults)),
            clock: S::clock(),
            app: Box::new(|app| app),
            prepare: Vec::new(),
            edit: Box::new(|_| {}),
            by: Box::new(|engine| engine.reload(ReloadOptions::default())),
            asking: Box::new(|_| String::new()),
            limits: Limits::default(),
            ways: vec![Way::Error, Way::Panic, Way::Hang, Way::Drop],
            undo: vec![Way::Error],
            fresh: true,
            sample: None,
        }
    }

    /// The app before the edit.
    pub fn app(mut self, app: impl Fn(AppBuilder) -> AppBuilder + 'static) -> Self {
        self.app = Box::new(app);
        self
    }

    /// What is done to the app once it has started: roles are configured, calls are made.
    pub fn prepare(mut self, prepare: impl Fn(&App) + 'static) -> Self {
        self.prepare.push(Box::new(prepare));
        self
    }

    /// The edit whose reload is swept.
    pub fn edit(mut self, edit: impl Fn(&App) + 'static) -> Self {
        self.edit = Box::new(edit);
        self
    }

    /// How it is reloaded; by default what changed.
    pub fn by(mut self, by: impl Fn(&Engine) -> Reload + 'static) -> Self {
        self.by = Box::new(by);
        self
    }

    /// What the app says of itself besides its digest: globals, the answers of functions. Must not change anything.
    pub fn asking(mut self, ask: impl Fn(&App) -> String + 'static) -> Self {
        self.asking = Box::new(ask);
        self
    }

    /// How long things may take. A backend that stops loops measures real time, so [`Way::Spin`] takes as long.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The ways in which each step fails.
    pub fn ways(mut self, ways: impl IntoIterator<Item = Way>) -> Self {
        self.ways = ways.into_iter().collect();
        self
    }

    /// The ways in which each step of each undo fails; none leaves the undo alone.
    pub fn undo(mut self, ways: impl IntoIterator<Item = Way>) -> Self {
        self.undo = ways.into_iter().collect();
        self
    }

    /// Runs on this clock instead of the subject's.
    pub fn clock(mut self, clock: ClockKind) -> Self {
        self.clock = clock;
        self
    }

    /// Plays every fault on the same app until a reload commits or is stuck, instead of on a new one each. A fault that
    /// leaves something behind is found by the next one; that the next reload commits is seen at the end only. Much
    /// faster.
    pub fn on_one_app(mut self) -> Self {
        self.fresh = false;
        self
    }

    /// Plays only one fault in `of`, drawn from `seed`: for apps with very many steps.
    pub fn one_in(mut self, of: usize, seed: u64) -> Self {
        self.sample = Some((of, seed));
        self
    }

    /// Sweeps.
    ///
    /// # Panics
    /// If the app does not start, or its reload fails without faults.
    pub fn run(&self) -> Swept {
        let clean = self.clean();
        let mut swept = Swept { steps: clean.steps.len() as u64, ..Swept::default() };
        let (mut app, mut random) = (None, self.sample.map(|(of, seed)| (of, Random::new(seed))));
        let mut skips = move || random.as_mut().is_some_and(|(of, random)| !random.chance(1, *of));
        for (at, passed) in clean.steps.iter().enumerate() {
            for way in self.ways.iter().filter(|way| passed.point.can(**way)) {
                let case = Case { sweep: self, clean: &clean, at, way: *way, undo: None };
                if skips() {
                    continue;
                }
                let undoing = case.play(&mut app, &mut swept);
                for (nth, passed) in undoing.iter().enumerate() {
                    for again in self.undo.iter().filter(|way| passed.point.can(**way)) {
                        let undo = Some((at + 1 + nth, *again));
                        Case { undo, ..case }.play(&mut app, &mut swept);
                    }
                }
            }
        }
        if let Some(app) = app {
            let case = Case { sweep: self, clean: &clean, at: 0, way: Way::Error, undo: None };
            case.mended(&app, false).unwrap_or_else(|what| swept.violations.push(case.violation(what, &app)));
        }
        swept
    }

    /// Plays it without faults.
    fn clean(&self) -> Clean {
        let prepared = self.make();
        prepared.faults.plan([]);
        let reload = (self.by)(prepared.app.engine());
        if let Err(error) = prepared.app.time().block_on(reload) {
            panic!("{}\n{}", crate::scenario::because(&error), prepared.app.trace().text());
        }
        let steps = prepared.faults.log();
        let after = look::look(&prepared.app, &self.asking);
        Clean { steps, after }
    }

    /// The app with its edit, about to be reloaded.
    fn make(&self) -> Prepared {
        let needed = |way| self.ways.contains(&way) || self.undo.contains(&way);
        let faults = Faults::spoiling(needed(Way::Spin) || needed(Way::Memory));
        let builder = (self.builder)(Time::new(self.clock), faults.clone()).limits(self.limits.clone());
        let app = (self.app)(builder).start();
        self.prepare.iter().for_each(|prepare| prepare(&app));
        app.time().settle();
        let before = look::look(&app, &self.asking);
        let modules = look::modules(&app);
        (self.edit)(&app);
        app.trace().clear();
        Prepared { app, faults, before, modules }
    }

    /// Longer than any reload.
    fn patience(&self) -> Duration {
        let Limits { stage, exclusive, retire, .. } = self.limits;
        (stage + exclusive + retire) * 4
    }
}

/// The reload without faults.
struct Clean {
    steps: Vec<Passed>,
    after: String,
}

/// Whether a failure there is only reported: what it is about goes on, or has happened.
fn is_only_reported(point: Point) -> bool {
    let callbacks = ["stop", "before_apply_config", "on_apply_config"];
    point == Point::Hook("finalize") || matches!(point, Point::Callback(name) if callbacks.contains(&name))
}
