//! From the engine's events to the lines of the history: one when a reload begins, one with all of it when it has ended.

use std::time::Duration;

use graceful_core::{Event, EventKind};

use super::lines::What;
use crate::options::Cause;
use crate::wire::{Failure, ModuleChange, PhaseEntry, PlanStep, ReloadEntry, word_fields};

pub(crate) struct Recorder {
    pub(crate) run: u64,
    /// Who asks, unless a script does.
    pub(crate) cause: Cause,
    reload: u64,
    running: ReloadEntry,
    shut_at: Option<Duration>,
}

impl Recorder {
    /// After `reload` of them, over all runs.
    pub(crate) fn new(run: u64, reload: u64) -> Self {
        Self { run, cause: Cause::Start, reload, running: ReloadEntry::default(), shut_at: None }
    }

    /// Notes an event. Returns the line that it makes.
    pub(crate) fn note(&mut self, event: &Event, at_ms: u64) -> Option<What> {
        let running = &mut self.running;
        if event.reload == 0 {
            return None;
        }
        match &event.kind {
            EventKind::ReloadStarted => {
                let (begun, entry) = self.next(self.cause, at_ms);
                (self.running, self.shut_at) = (entry, None);
                return Some(begun);
            }
            EventKind::Planned { steps } => {
                let changes = steps.iter().map(|step| change(word_fields(step)));
                running.modules = changes.collect();
            }
            EventKind::Staged { module, old, new, .. } => {
                if let Some(change) = running.module(module.as_str()) {
                    change.old = old.as_ref().map(ToString::to_string);
                    change.new = new.as_ref().map(ToString::to_string);
                }
            }
            EventKind::MigrationFound { module, steps } => {
                running.migrates(module.as_str(), steps.iter().map(word_fields).collect());
            }
            EventKind::PhaseEnded { phase, took, .. } => {
                running.phases.push(PhaseEntry { phase: phase.as_str().to_owned(), ms: ms(*took) });
            }
            EventKind::GatesShut { .. } => self.shut_at = Some(event.at),
            EventKind::GatesOpened { .. } => {
                if let Some(shut_at) = self.shut_at.take() {
                    running.pause_ms += ms(event.at.saturating_sub(shut_at));
                }
            }
            EventKind::Warning { module, message } => {
                let module = module.as_ref().map(|module| format!("{module}: ")).unwrap_or_default();
                running.warnings.push(format!("{module}{message}"));
            }
            EventKind::Undone { module, step, error: None } => {
                running.rolled_back.push(format!("{module}: {step}"));
            }
            EventKind::Undone { module, step, error: Some(error) } => {
                running.left.push(format!("{module}: {step}: {error}"));
            }
            EventKind::ReloadEnded { outcome, generation, purpose, by, code, message, took } => {
                let mut ended = std::mem::take(running);
                ended.outcome.clone_from(outcome);
                ended.purpose = word_fields(purpose);
                ended.generation = Some(*generation);
                if let Some(by) = by {
                    ended.asked_by = by.to_string();
                }
                ended.code.clone_from(code);
                ended.message.clone_from(message);
                ended.took_ms = ms(*took);
                return Some(What::Ended { report: Box::new(ended) });
            }
            _ => {}
        }
        None
    }

    fn next(&mut self, cause: Cause, at_ms: u64) -> (What, ReloadEntry) {
        self.reload += 1;
        let (reload, run, asked_by) = (self.reload, self.run, cause.as_str().to_owned());
        let entry = ReloadEntry { reload, run, at_ms, asked_by: asked_by.clone(), ..ReloadEntry::default() };
        (What::Begun { reload, run, asked_by }, entry)
    }

    /// The lines of a reload that ended before the engine was asked. Another one, that a script asked for, may be running.
    pub(crate) fn refused(&mut self, cause: Cause, failure: &Failure, at_ms: u64) -> [What; 2] {
        let (begun, entry) = self.next(cause, at_ms);
        let ended = ReloadEntry {
            outcome: failure.outcome.clone(),
            purpose: "reload".to_owned(),
            generation: Some(failure.generation),
            code: Some(failure.code.clone()),
            message: Some(failure.message.clone()),
            ..entry
        };
        [begun, What::Ended { report: Box::new(ended) }]
    }
}

fn change(step: PlanStep) -> ModuleChange {
    let PlanStep { module, action, reason, live, .. } = step;
    ModuleChange { module, action, reason, old: live, new: None, migration: Vec::new() }
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ManifestError;

    fn note(recorder: &mut Recorder, kind: EventKind) -> Option<What> {
        recorder.note(&Event { seq: 1, reload: 1, at: Duration::ZERO, kind }, 0)
    }

    #[test]
    fn obs_05_a_manifest_that_is_refused_leaves_the_reload_of_a_script_as_it_is() {
        let mut recorder = Recorder::new(1, 6);
        let warning = EventKind::Warning { module: None, message: "mine".to_owned() };
        let begun = note(&mut recorder, EventKind::ReloadStarted);
        assert!(matches!(begun, Some(What::Begun { reload: 7, .. })), "{begun:?}");
        assert_eq!(note(&mut recorder, warning), None);
        let file = "graceful.toml".to_owned();
        let error =
            ManifestError { file, line: 1, column: 1, message: "no".to_owned(), source_line: String::new() };
        let refused = recorder.refused(Cause::Watch, &Failure::manifest(&error, 1), 0);
        let [What::Begun { reload: 8, .. }, What::Ended { report }] = refused else { panic!("{refused:?}") };
        assert_eq!((report.reload, report.code.as_deref(), report.warnings.len()), (8, Some("GR0401"), 0));
        let (outcome, took) = ("committed".to_owned(), Duration::ZERO);
        let (purpose, by, code) = (graceful_core::event::Purpose::Reload, Some("web".into()), None);
        let ended = EventKind::ReloadEnded { outcome, generation: 2, purpose, by, code, message: None, took };
        let Some(What::Ended { report }) = note(&mut recorder, ended) else { panic!("it has no end") };
        assert_eq!(
            (report.reload, &*report.asked_by, &report.warnings[..]),
            (7, "web", &["mine".to_owned()][..])
        );
    }
}
