//! One reload with one fault, or with a second one in its undo.

use futures_util::future::{Either, select};
use graceful_core::status::EngineState;
use graceful_core::{Outcome, ReloadError, Report};

use super::look::{look, modules, shape};
use super::{Clean, Sweep, Swept, Violation, is_only_reported};
use crate::faults::{Faults, Passed, Way};
use crate::scenario::{App, because};

/// An app with its edit, about to be reloaded.
pub(super) struct Prepared {
    pub(super) app: App,
    pub(super) faults: std::sync::Arc<Faults>,
    pub(super) before: String,
    pub(super) modules: Vec<(graceful_core::Name, usize)>,
}

/// One fault.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) clean: &'a Clean,
    pub(super) at: usize,
    pub(super) way: Way,
    pub(super) undo: Option<(usize, Way)>,
}

/// How a reload ended.
enum Ended {
    Committed,
    Failed,
    Stuck,
}

impl Case<'_> {
    /// Plays it, and gives the steps that were taken after the fault.
    pub(super) fn play(self, slot: &mut Option<Prepared>, swept: &mut Swept) -> Vec<Passed> {
        let prepared = slot.take().unwrap_or_else(|| self.sweep.make());
        swept.faults += 1;
        swept.undo += u64::from(self.undo.is_some());
        prepared.app.trace().clear();
        prepared.faults.plan([(self.at, self.way)].into_iter().chain(self.undo));
        let result = self.reload(&prepared);
        let (steps, all_came) = (prepared.faults.log(), prepared.faults.have_come());
        prepared.faults.plan([]);
        let ended = self.ended(&prepared, &result, &steps, all_came);
        let keeps = !self.sweep.fresh && matches!(ended, Ok(Ended::Failed));
        let told = ended.and_then(|ended| {
            swept.stuck += u64::from(matches!(ended, Ended::Stuck));
            if keeps { Ok(()) } else { self.mended(&prepared, !matches!(ended, Ended::Failed)) }
        });
        if let Err(what) = told {
            swept.violations.push(self.violation(what, &prepared));
        }
        if keeps {
            *slot = Some(prepared);
        }
        steps.into_iter().skip(self.at + 1).collect()
    }

    pub(super) fn violation(&self, what: String, prepared: &Prepared) -> Violation {
        let at = self.clean.steps[self.at].clone();
        Violation { at, way: self.way, undo: self.undo, what, trace: prepared.app.trace().text() }
    }

    /// Reloads; `None` if the reload was dropped.
    fn reload(&self, prepared: &Prepared) -> Option<Result<Report, ReloadError>> {
        let Prepared { app, faults, .. } = prepared;
        let dropped = faults.dropped();
        let reload = (self.sweep.by)(app.engine());
        let result = app.time().block_on(async {
            match select(reload, dropped).await {
                Either::Left((result, _)) => Some(result),
                Either::Right((Err(_), reload)) => Some(reload.await),
                Either::Right((Ok(()), reload)) => {
                    drop(reload);
                    None
                }
            }
        });
        let idle = || app.engine().status().state != EngineState::Reloading;
        app.time().until(self.sweep.patience(), idle);
        app.time().settle();
        result
    }

    /// How it ended, and whether it may have.
    fn ended(
        &self,
        prepared: &Prepared,
        result: &Option<Result<Report, ReloadError>>,
        steps: &[Passed],
        all_came: bool,
    ) -> Result<Ended, String> {
        let app = &prepared.app;
        let foreseen = steps.len().min(self.at + 1);
        if steps[..foreseen] != self.clean.steps[..foreseen] {
            return Err(format!("the steps up to the fault are others: {steps:?}"));
        }
        // How far a reload comes before it is seen that nobody waits any more may differ where time is real.
        let may_miss = self.way == Way::Drop && self.undo.is_some();
        if !all_came && !may_miss {
            return Err("the fault did not come".into());
        }
        let records = app.trace().text().lines().filter(|line| line.starts_with("end ")).count();
        if records != 1 {
            return Err(format!("{records} records say how it ended"));
        }
        let seen = look(app, &self.sweep.asking);
        if let Some(Err(error)) =
            result.as_ref().filter(|result| result.as_ref().is_err_and(ReloadError::is_stuck))
        {
            return self.stuck(error);
        }
        let status = app.engine().status();
        if result.is_none() && status.state == EngineState::Stuck && self.undo.is_some() {
            return Ok(Ended::Stuck);
        }
        let committed = match result {
            Some(result) => result.is_ok(),
            None => status.last_reload.is_some_and(|last| last.result == "committed"),
        };
        let at = &self.clean.steps[self.at];
        if committed && self.way != Way::Drop && !is_only_reported(at.point) {
            return Err("it committed in spite of the fault".into());
        }
        let wanted = if committed { &self.clean.after } else { &prepared.before };
        if seen != *wanted {
            return Err(format!("something is left behind: {}", difference(wanted, &seen)));
        }
        if !committed && modules(app) != prepared.modules {
            return Err("the modules are not the same ones".into());
        }
        Ok(if committed { Ended::Committed } else { Ended::Failed })
    }

    /// Only a failure in the undo may end in that, and it says what is left.
    fn stuck(&self, error: &ReloadError) -> Result<Ended, String> {
        if self.undo.is_none() {
            return Err(format!(
                "it is stuck although its undo did not fail: {}: {:?}",
                because(error),
                error.left
            ));
        }
        if error.left.is_empty() {
            return Err("it is stuck and does not say what is left".into());
        }
        Ok(Ended::Stuck)
    }

    /// The next reload works. It makes what the first one should have; after one that committed it may be the second one
    /// to commit, and after one that was stuck states may be damaged, so that only what is loaded is `alike`.
    pub(super) fn mended(&self, prepared: &Prepared, alike: bool) -> Result<(), String> {
        let app = &prepared.app;
        prepared.faults.plan([]);
        let reload = (self.sweep.by)(app.engine());
        match app.time().block_on(reload) {
            Ok(report) if matches!(report.outcome, Outcome::Committed | Outcome::Unchanged) => {}
            Ok(report) => return Err(format!("the next reload is {:?}", report.outcome)),
            Err(error) => return Err(format!("the next reload fails: {}", because(&error))),
        }
        let (seen, wanted) = (look(app, &self.sweep.asking), &self.clean.after);
        let same = if alike { shape(&seen) == shape(wanted) } else { seen == *wanted };
        if same {
            return Ok(());
        }
        Err(format!("the next reload makes something else: {}", difference(wanted, &seen)))
    }
}

/// The lines that differ.
fn difference(wanted: &str, seen: &str) -> String {
    let lines = |one: &str, other: &str, sign: &str| -> String {
        let other: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).map(|line| format!("\n  {sign} {line}")).collect()
    };
    lines(wanted, seen, "-") + &lines(seen, wanted, "+")
}
