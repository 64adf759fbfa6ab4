//! Roles in the exclusive part of a reload: the old ones stop, the new ones start, and if that fails the old ones are
//! started again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Failure, Transaction};
use crate::board::Trouble;
use crate::crew::Member;
use crate::event::Phase;
use crate::journal::Undone;
use crate::planted::{Bug, is_planted};
use crate::role::{Callback, InstanceState, Operation};
use crate::scope::Resource;
use crate::source::Name;
use crate::value::Value;

impl Transaction {
    /// Stops what runs old code, dependents first. Failures are reported, and the role is stopped all the same.
    pub(super) async fn stop_roles(&mut self) -> Result<(), Failure> {
        for member in std::mem::take(&mut self.roles.stop) {
            self.wanted()?;
            let budget = self.engine.limits.hook.min(self.left());
            let (crew, opts, stays) =
                (self.engine.crew.clone(), self.roles.opts.clone(), self.staying(&member));
            let stopping = async move {
                let mut warnings = Vec::new();
                let (stopped, error) = crew.stop(member, &opts, budget, stays, &mut warnings).await;
                warnings.extend(error.map(|error| error.to_string()));
                (stopped, warnings)
            };
            *self.roles.stopping.get_mut().unwrap() = Some(Box::pin(stopping));
            self.end_stopping().await;
        }
        Ok(())
    }

    /// A stop that has begun goes on to its end, though the reload was given up meanwhile: half of what the role has
    /// started may be released.
    pub(super) async fn end_stopping(&mut self) {
        let stopping = self.roles.stopping.get_mut().unwrap();
        let Some(ends) = stopping else { return };
        let (stopped, warnings) = ends.await;
        *stopping = None;
        let name = stopped.member.instance.name.clone();
        self.roles.stopped.push(stopped);
        warnings.into_iter().for_each(|message| self.warn(Some(name.clone()), message));
    }

    /// What a role has started that does not end with it: what is kept by name; and, unless all roles are reloaded
    /// from a clean slate, the tasks in its module's state.
    fn staying(&self, member: &Member) -> impl Fn(&[Arc<dyn Resource>]) -> BTreeSet<u64> + use<> {
        let keep = self.engine.crew.board.desk().keep.clone();
        let (instance, clean) = (member.instance.clone(), self.options.roles);
        move |started| {
            let named =
                |resource: &&Arc<dyn Resource>| keep.has(resource.kind(), &instance.name, resource.key());
            let mut stays: BTreeSet<u64> =
                started.iter().filter(named).map(|resource| resource.id()).collect();
            let tasks = started.iter().filter(|resource| resource.kind() == "task");
            let tasks: BTreeSet<u64> = tasks.map(|resource| resource.id()).collect();
            if let Some(module) = instance.module().filter(|_| !clean && !tasks.is_empty()) {
                stays.extend(module.kept(&tasks));
            }
            stays
        }
    }

    /// Starts the new code, dependencies first. What it starts goes live with the commit.
    pub(super) async fn start_roles(&mut self) -> Result<(), Failure> {
        let start = self.roles.start.clone();
        let (document, opts) = (self.roles.conf.document().clone(), self.roles.opts.clone());
        for member in &start {
            self.journal.began.insert(member.instance.name.clone());
            let args = vec![document.clone(), opts.clone()];
            if let Err(error) = self.role(member, Callback::BeforeApplyConfig, args).await {
                self.warn(Some(member.instance.name.clone()), error.to_string());
            }
        }
        for member in &start {
            if member.instance.born <= self.base {
                self.roles.begun.push(member.instance.clone());
            }
            member.instance.scope.begin_run();
            self.role(member, Callback::Init, vec![opts.clone()]).await?;
            let (name, module) = (member.role.name.clone(), member.role.module.clone());
            self.engine.crew.board.desk().coming.insert(name, module);
            if is_planted(Bug::ConfigHalf) && start.len() > 1 {
                return Ok(());
            }
            self.role(member, Callback::ApplyConfig, vec![document.clone(), opts.clone()]).await?;
        }
        Ok(())
    }

    /// The roles that were stopped run again: their old code, dependencies first. What cannot be started is left.
    pub(super) async fn bring_back(&mut self, undone: &mut Undone) {
        let (crew, budget) = (self.engine.crew.clone(), self.engine.limits.hook);
        let mut warnings = Vec::new();
        crew.board.desk().coming.clear();
        for instance in std::mem::take(&mut self.roles.begun).into_iter().rev() {
            let ended = instance.scope.end_run(&BTreeSet::new());
            instance.scope.withdraw(&ended.keys);
            crew.release(&instance, ended.resources, budget, &mut warnings).await;
        }
        let opts = self.roles.opts.clone();
        let args = vec![self.roles.conf.document().clone(), opts.clone()];
        if is_planted(Bug::RolesStayStopped) {
            self.roles.stopped.clear();
        }
        while let Some(stopped) = self.roles.stopped.pop() {
            let member = &stopped.member;
            let mut result = crew.init(member, &opts, budget, &mut warnings).await;
            if result.is_ok() {
                crew.note(&member.role.name, Some(&member.role.module));
                let (callback, args) = (Callback::ApplyConfig, args.clone());
                result = crew.together(member, callback, args, budget, &mut warnings).await;
            }
            member.instance.scope.withdraw(&stopped.keys);
            let step = format!("role {}", member.role.name);
            undone.note(&self.world, &member.instance.name, &step, result.map_err(|error| error.to_string()));
        }
        warnings.into_iter().for_each(|message| self.warn(None, message));
    }

    /// The reload failed: the state says so.
    pub(super) fn roles_failed(&mut self, code: String, message: String, phase: Phase, stuck: bool) {
        if !std::mem::take(&mut self.roles.entered) {
            return;
        }
        let generation = self.base.0;
        let board = &self.engine.crew.board;
        board.desk().trouble = Some(Trouble { code, message, phase: Some(phase), generation });
        let operation = if stuck { Operation::ReloadStuck } else { Operation::ReloadFailed };
        let _ = board.go(&self.world, operation);
    }

    /// After the commit: the new code is told that every role has the configuration.
    pub(super) async fn tell_applied(&mut self) {
        if !std::mem::take(&mut self.roles.entered) {
            return;
        }
        let (crew, document) = (self.engine.crew.clone(), self.roles.conf.document().clone());
        let state = Value::from(InstanceState::RolesConfigured.as_str());
        for member in std::mem::take(&mut self.roles.start) {
            let args = vec![document.clone(), state.clone()];
            let told = crew.tell(&member, Callback::OnApplyConfig, args, self.engine.limits.hook).await;
            if let Err(error) = told {
                self.warn(Some(member.instance.name.clone()), error.to_string());
            }
        }
        let _ = crew.board.go(&self.world, Operation::Applied);
    }

    /// There was nothing to reload. If a reload had failed before, and all its roles run, that is over.
    pub(super) fn roles_as_on_disk(&self) {
        let board = &self.engine.crew.board;
        let desk = board.desk();
        let wanted = desk.set.get_enabled_roles(&desk.enabled).unwrap_or_default();
        let whole = wanted.iter().all(|role| desk.running.contains_key(role));
        let over = desk.state == InstanceState::ReloadError && desk.config.is_some() && whole;
        drop(desk);
        if over && !self.options.check {
            for operation in [Operation::Reload, Operation::Reloaded, Operation::Applied] {
                let _ = board.go(&self.world, operation);
            }
        }
    }

    /// Whether the roles start from a clean slate: tasks in a state end as well.
    pub(super) fn is_clean(&self) -> bool {
        self.options.roles
    }

    /// What of an old generation's is taken over by name.
    pub(super) fn kept_by_name(&self, owner: &Name, resource: &dyn Resource) -> bool {
        self.engine.crew.board.desk().keep.has(resource.kind(), owner, resource.key())
    }
}
