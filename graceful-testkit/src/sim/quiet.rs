//! Reloads of a world in which nothing else happens: how they must end, and what is true afterwards.

use std::time::Duration;

use graceful_core::shutdown::ShutdownReport;
use graceful_core::{InstanceState, ReloadOptions};

use super::desk::Text;
use super::play::Play;
use super::rest::difference;
use super::story::*;
use super::violation::{Told, broken, hold};
use crate::clock::Pending;

impl Play<'_> {
    pub(super) fn reload_quietly(&mut self, how: How) -> Told {
        self.settle()?;
        self.app.time().pass(Duration::from_secs(3));
        self.settle()?;
        let roles = self.app.engine().roles();
        let before = (self.digest(), roles.running(), roles.state(), self.ledger.live());
        let must = self.must(how);
        let options = self.options(how);
        self.ledger.set_partial(how.told);
        let pending = self.app.begin_reload_with(options);
        let result = self.over("a reload", pending)?;
        self.read()?;
        self.ledger.told()?;
        if self.armed {
            self.faults.clear();
            self.armed = false;
        }
        match (&result, must) {
            (Err(error), Some(true)) => {
                return Err(broken("good sources are reloaded", format!("{error}: {:?}", error.kind)));
            }
            (Ok(report), Some(false)) => {
                return Err(broken("bad sources are refused", format!("{:?}", report.outcome)));
            }
            (Err(error), _) => {
                self.not_stuck(error)?;
                if error.is_stuck() {
                    return Ok(());
                }
            }
            _ => {}
        }
        match result {
            Ok(_) if !how.check => self.at_rest(how)?,
            _ => {
                let digest = self.digest();
                hold("a failed reload changes nothing", digest == before.0, || {
                    difference(&before.0, &digest)
                })?;
                let running = roles.running();
                hold("a failed reload leaves the roles running", running == before.1, || {
                    format!("{running:?} run, and {:?} did", before.1)
                })?;
                self.what_is_live_answers(&before.3)?;
            }
        }
        self.settle()
    }

    /// How a reload of a quiet world ends, where that is certain.
    pub(super) fn must(&self, how: How) -> Option<bool> {
        let desk = self.desk();
        let live = self.ledger.live();
        let changed = |at: usize, text: &Text| how.force || live.get(&name(at)) != Some(&text.tag);
        let refused = desk.now.iter().enumerate().filter_map(|(at, text)| Some((at, text.as_ref()?)));
        let refused = refused.filter(|(at, text)| changed(*at, text));
        let fatal = |text: &Text| {
            matches!(text.shape.wrong, Wrong::Syntax | Wrong::Top | Wrong::Missing)
                || text.shape.requires.iter().any(|at| desk.now[*at].is_none())
        };
        if !how.told && !how.roles && refused.into_iter().any(|(_, text)| fatal(text)) {
            return Some(false);
        }
        let stale = |role: &(RoleShape, String), at: usize| {
            live.get(&role_name(at)).is_some_and(|tag| *tag != role.1)
        };
        let roles_change = desk.roles.iter().enumerate().any(|(at, role)| stale(role, at));
        let instance = self.app.engine().roles();
        let configured = instance.config().is_some();
        if instance.is_reload_forbidden() && (how.roles || (configured && roles_change && !how.told)) {
            return Some(false);
        }
        let grumbles =
            live.values().filter_map(|tag| desk.shapes.get(tag)).any(|shape| shape.wrong != Wrong::Nothing);
        let roles_wrong = live
            .values()
            .filter_map(|tag| desk.role_shapes.get(tag))
            .any(|shape| shape.wrong != RoleWrong::Nothing);
        let roles = self.app.engine().roles();
        let reloadable = matches!(
            roles.state(),
            InstanceState::RolesConfigured | InstanceState::OperationError | InstanceState::ReloadError
        );
        let permitted = !roles.is_reload_forbidden() && reloadable && !roles_wrong;
        let roles_fit = self.story.roles.is_empty() || permitted;
        let quiet = !self.armed && (how.forgive || !grumbles) && roles_fit && (permitted || !how.roles);
        (desk.is_good() && quiet && !how.told).then_some(true)
    }

    /// Mends every source, lets everything end, and reloads once more, which must succeed.
    pub(super) fn end(&mut self) -> Told {
        self.faults.clear();
        self.armed = false;
        self.settle()?;
        for at in 0..MODULES {
            self.write(at, |desk| desk.mend(at));
        }
        for at in 0..self.story.roles.len() {
            let shape = RoleShape { wrong: RoleWrong::Nothing, ..self.desk().roles[at].0.clone() };
            self.desk().write_role(at, shape);
            self.write_role(at);
        }
        self.app.engine().roles().allow_reload();
        let pending = self.app.begin_reload_with(ReloadOptions {
            force: true,
            forgive_before_reload: true,
            ..ReloadOptions::default()
        });
        let last = self.over("the last reload", pending)?;
        self.read()?;
        self.ledger.told()?;
        last.map_err(|error| broken("good sources are reloaded", format!("{error}: {:?}", error.kind)))?;
        self.at_rest(How { force: true, ..How::default() })
    }

    pub(super) fn shut_down(&mut self, ending: Pending<ShutdownReport>) -> Told {
        let report = self.over("the shutdown", ending)?;
        self.ending = Some(self.app.time().spawn(async move { report }));
        for (dropper, pending) in std::mem::take(&mut self.reloads) {
            drop(dropper);
            self.over("a reload", pending)?;
        }
        if let Some((_, pending)) = self.applying.take() {
            let _ = self.over("applying a configuration", pending)?;
        }
        self.settle()?;
        let live = self.ledger.live();
        self.after_the_end(&live)
    }
}
