//! What is told of a reload while it runs, and its report at the end.

use super::Transaction;
use crate::event::{EventKind, Phase};
use crate::report::{ModuleReport, Outcome, PhaseTime, Report};
use crate::source::Name;

impl Transaction {
    pub(crate) fn warn(&mut self, module: Option<Name>, message: String) {
        self.warnings.push(message.clone());
        self.world.emit(EventKind::Warning { module, message });
    }

    pub(super) fn begin(&mut self, phase: Phase) {
        if self.phase.is_some_and(|(current, _)| current == phase) {
            return;
        }
        self.end_phase(true);
        self.phase = Some((phase, self.world.clock.now()));
        self.ticket.enters(phase);
        self.world.emit(EventKind::PhaseStarted { phase });
    }

    pub(super) fn end_phase(&mut self, ok: bool) {
        if let Some((phase, began)) = self.phase.take() {
            let took = self.world.clock.now().saturating_sub(began);
            self.phases.push(PhaseTime { phase, took });
            self.world.emit(EventKind::PhaseEnded { phase, took, ok });
        }
    }

    pub(super) fn report(&mut self, outcome: Outcome) -> Report {
        self.end_phase(true);
        let steps = self.plan.take().map(|plan| plan.steps).unwrap_or_default();
        let steps = self.changes.as_ref().map_or(steps, |changes| changes.plan.steps.clone());
        let modules = steps.into_iter().map(|step| {
            let (old, new) = self.versions.get(&step.module).cloned().unwrap_or_default();
            let migration = self.chains.get(&step.module).cloned().unwrap_or_default();
            ModuleReport {
                module: step.module,
                action: step.action,
                reason: step.reason,
                old,
                new,
                migration,
            }
        });
        Report {
            reload: self.id,
            outcome,
            generation: self.world.gate.live().0,
            modules: modules.collect(),
            phases: self.phases.clone(),
            pause: self.pause,
            warnings: self.warnings.clone(),
            rolled_back: Vec::new(),
        }
    }
}
