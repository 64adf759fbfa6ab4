//! Applying a configuration: validated by every role, then told to each, dependencies first. A role that fails takes
//! down what depends on it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Crew, Member};
use crate::board::Trouble;
use crate::config::Config;
use crate::role::{ApplyReport, Callback, Did, InstanceState, Operation, RoleError, RoleInfo, RoleReport};
use crate::role_set::{Enabled, RoleSet};
use crate::value::Value;

/// A configuration to be applied.
pub(crate) struct Apply {
    pub(crate) conf: Config,
    pub(crate) opts: Value,
    pub(crate) enabled: Enabled,
    /// Asks every role first.
    pub(crate) validate: bool,
}

/// One apply under way.
struct Applying<'a> {
    crew: &'a Crew,
    apply: Apply,
    set: Arc<RoleSet>,
    /// The enabled roles, each after its dependencies.
    order: Vec<RoleInfo>,
    /// The roles that failed or were skipped, with which one is to blame.
    down: BTreeMap<String, String>,
    report: ApplyReport,
}

impl Crew {
    /// Applies a configuration. Whoever calls has the turn.
    pub(crate) async fn apply(&self, apply: Apply) -> Result<ApplyReport, RoleError> {
        let set = self.board.desk().set.clone();
        let order = self.to_be_told(&set, &apply.enabled)?;
        if apply.validate {
            self.validate(&set, &apply.enabled, &apply.conf, None).await?;
        }
        self.board.go(&self.world, Operation::Apply)?;
        let report =
            ApplyReport { state: InstanceState::RolesConfigured, roles: Vec::new(), warnings: Vec::new() };
        Applying { crew: self, apply, set, order, down: BTreeMap::new(), report }.run().await
    }

    /// Asks the enabled roles of live code, dependencies first, until one refuses.
    pub(crate) async fn validate(
        &self,
        set: &RoleSet,
        enabled: &Enabled,
        new: &Config,
        old: Option<Config>,
    ) -> Result<(), RoleError> {
        let old = old.or_else(|| self.board.desk().config.clone()).unwrap_or_default();
        for name in set.get_enabled_roles(enabled)? {
            let Some(member) = set.get_role(&name).and_then(|role| self.member(role)) else { continue };
            self.fits(&member.role, new)?;
            let args = vec![new.document().clone(), old.document().clone()];
            self.tell(&member, Callback::ValidateConfig, args, self.limits.role).await?;
        }
        Ok(())
    }
}

impl Applying<'_> {
    async fn run(mut self) -> Result<ApplyReport, RoleError> {
        self.around(Callback::BeforeApplyConfig).await;
        self.stop_disabled().await;
        for role in self.order.clone() {
            self.one(&role).await;
        }
        let failed = !self.down.is_empty();
        if failed {
            self.report.state = InstanceState::OperationError;
        }
        self.around(Callback::OnApplyConfig).await;
        self.end(failed)
    }

    /// Notes what is applied now, and how that went.
    fn end(self, failed: bool) -> Result<ApplyReport, RoleError> {
        let (crew, report) = (self.crew, self.report);
        let failure = failed.then(|| RoleError::Partly { report: Box::new(report.clone()) });
        let mut desk = crew.board.desk();
        (desk.config, desk.opts) = (Some(self.apply.conf), self.apply.opts);
        desk.enabled = self.apply.enabled;
        desk.trouble = failure.as_ref().map(|error| Trouble {
            code: error.code().to_string(),
            message: error.to_string(),
            phase: None,
            generation: crew.world.gate.live().0,
        });
        drop(desk);
        let ended = if failed { Operation::ApplyFailed } else { Operation::Applied };
        // A shutdown may have begun meanwhile; then that is the state.
        let _ = crew.board.go(&crew.world, ended);
        failure.map_or(Ok(report), Err)
    }

    /// Calls back every enabled role before or after all are told. Failures are reported and fail nothing.
    async fn around(&mut self, callback: Callback) {
        let told = match callback {
            Callback::OnApplyConfig => Value::from(self.report.state.as_str()),
            _ => self.apply.opts.clone(),
        };
        let failed =
            self.crew.around(&self.order, callback, &[self.apply.conf.document().clone(), told]).await;
        self.report.warnings.extend(failed);
    }

    /// What runs and is not enabled any more, dependents first.
    async fn stop_disabled(&mut self) {
        let enabled: BTreeSet<&str> = self.order.iter().map(|role| role.name.as_str()).collect();
        let running = self.crew.running();
        let disabled =
            running.into_iter().rev().filter(|member| !enabled.contains(member.role.name.as_str()));
        for member in disabled.collect::<Vec<_>>() {
            let began = self.crew.world.clock.now();
            let role = member.role.clone();
            let (opts, budget) = (self.apply.opts.clone(), self.crew.limits.role);
            let none = |_: &[_]| BTreeSet::new();
            let (stopped, error) =
                self.crew.stop(member, &opts, budget, none, &mut self.report.warnings).await;
            stopped.member.instance.scope.withdraw(&stopped.keys);
            self.report.warnings.extend(error.as_ref().map(ToString::to_string));
            self.did(&role, Did::Stopped, began, None);
        }
    }

    async fn one(&mut self, role: &RoleInfo) {
        let began = self.crew.world.clock.now();
        let down = |module: &crate::source::Name| {
            let below = self.set.of_module(module)?;
            self.down.contains_key(&below.name).then(|| below.name.clone())
        };
        if let Some(below) = role.dependencies.iter().find_map(down) {
            let why = format!("it depends on `{below}`, which failed");
            self.down.insert(role.name.clone(), below);
            return self.did(role, Did::Skipped, began, Some((why, None)));
        }
        let (did, result) = match self.crew.member(role) {
            Some(member) => self.start_and_tell(&member).await,
            None => (Did::Failed, Err(RoleError::Unknown { role: role.name.clone(), near: None })),
        };
        match result {
            Ok(()) => self.did(role, did, began, None),
            Err(error) => {
                self.down.insert(role.name.clone(), role.name.clone());
                let (text, code) = (error.to_string(), error.code().to_string());
                self.did(role, Did::Failed, began, Some((text, Some(code))));
            }
        }
    }

    async fn start_and_tell(&mut self, member: &Member) -> (Did, Result<(), RoleError>) {
        let (crew, budget) = (self.crew, self.crew.limits.role);
        let name = &member.role.name;
        let runs = crew.board.desk().running.contains_key(name);
        let (opts, warnings) = (self.apply.opts.clone(), &mut self.report.warnings);
        if !runs {
            if let Err(error) = crew.init(member, &opts, budget, warnings).await {
                return (Did::Failed, Err(error));
            }
            crew.note(name, Some(&member.role.module));
        }
        let args = vec![self.apply.conf.document().clone(), opts];
        let told = crew.together(member, Callback::ApplyConfig, args, budget, warnings).await;
        (if runs { Did::Applied } else { Did::Started }, told)
    }

    fn did(&mut self, role: &RoleInfo, did: Did, began: Duration, failed: Option<(String, Option<String>)>) {
        let took = self.crew.world.clock.now().saturating_sub(began);
        let running = self.crew.board.desk().running.contains_key(&role.name);
        let (error, code) = failed.map_or((None, None), |(error, code)| (Some(error), code));
        let (role, module) = (role.name.clone(), role.module.clone());
        self.report.roles.push(RoleReport { role, module, did, running, error, code, took });
    }
}
