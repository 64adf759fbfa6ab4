//! Roles in a reload, before anything live is touched: which there are with the new code, which of them stop and start,
//! and whether the new code takes the active configuration.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::{Failure, Transaction};
use crate::callback::CallbackRun;
use crate::changes::Inputs;
use crate::config::Config;
use crate::crew::{Member, Stopped};
use crate::gate::Generation;
use crate::generation::{Instance, World};
use crate::planted::{Bug, is_planted};
use crate::role::{Callback, Operation, RoleError, RoleInfo};
use crate::role_set::RoleSet;
use crate::source::Name;
use crate::value::Value;

/// A stop that is under way, and what it warns of.
type Stopping = BoxFuture<'static, (Stopped, Vec<String>)>;

/// What a reload does with roles.
#[derive(Default)]
pub(super) struct RoleWork {
    /// The roles as they will be; none if no role is touched.
    pub(super) next: Option<Arc<RoleSet>>,
    /// They are so now, and the graph does not know yet.
    pub(super) resolved: bool,
    /// The modules that are registered by name from then on.
    pub(super) modules: Vec<Name>,
    /// What runs and is stopped, dependents first.
    pub(super) stop: Vec<Member>,
    /// What is started, dependencies first: the new code, where there is some.
    pub(super) start: Vec<Member>,
    pub(super) conf: Config,
    pub(super) opts: Value,
    /// The stop that is under way: held here, so that it is not dropped with the way forward.
    pub(super) stopping: Mutex<Option<Stopping>>,
    /// What was stopped so far, and is brought back if the reload fails.
    pub(super) stopped: Vec<Stopped>,
    /// Live code that was started in this reload, and is stopped again if it fails.
    pub(super) begun: Vec<Arc<Instance>>,
    /// The state says that roles are being reloaded.
    pub(super) entered: bool,
}

impl From<RoleError> for Failure {
    fn from(error: RoleError) -> Self {
        Failure::Role(Box::new(error))
    }
}

impl Transaction {
    /// Whether roles may be reloaded, if this reload is one of roles: by what it was asked, or by its set.
    pub(super) fn roles_permitted(&self) -> Result<(), Failure> {
        let board = &self.engine.crew.board;
        let set = board.desk().set.clone();
        let is_role = |name: &Name| set.of_module(name).is_some();
        let replaced = self.changes.as_ref().map(|changes| changes.replaced()).unwrap_or_default();
        let touched = self.options.roles || (!is_planted(Bug::ForbidIgnored) && replaced.iter().any(is_role));
        // Where nothing was configured yet nothing runs that could be reloaded.
        let idle = !self.options.roles && board.desk().config.is_none();
        if !touched || idle || self.roles.entered || self.options.register.is_some() {
            return Ok(());
        }
        board.permits_reload().map_err(Failure::from)
    }

    /// From here on the state says that roles are being reloaded.
    pub(super) fn enter_roles(&mut self) -> Result<(), Failure> {
        if self.roles.entered || self.options.check {
            return Ok(());
        }
        self.engine.crew.board.go(&self.world, Operation::Reload)?;
        self.roles.entered = true;
        Ok(())
    }

    /// Loads what the staged roles depend on and nothing requires.
    pub(super) async fn stage_dependencies(&mut self, inputs: &Inputs) -> Result<(), Failure> {
        let mut todo = inputs.roles.clone();
        let mut seen: BTreeSet<Name> = todo.iter().cloned().collect();
        while let Some(name) = todo.pop() {
            let Some(role) = self.next_role(&name) else { continue };
            // What is wrong with it is told in *validate*.
            let Ok(role) = role else { continue };
            for module in role.dependencies {
                if self.next_instance(&module).is_none() {
                    self.stage_also(&name, &module, inputs).await?;
                }
                if seen.insert(module.clone()) {
                    todo.push(module);
                }
            }
        }
        Ok(())
    }

    async fn stage_also(&mut self, by: &Name, module: &Name, inputs: &Inputs) -> Result<(), Failure> {
        let (staging, changes) = (self.staging.as_mut(), self.changes.as_mut());
        let (staging, changes) = (staging.expect("it stages"), changes.expect("a plan was made"));
        staging.also(by, module, inputs, changes).await
    }

    /// What a module declares with the new code, if it is there then.
    fn next_role(&self, name: &Name) -> Option<Result<RoleInfo, RoleError>> {
        let instance = self.next_instance(name)?;
        Some(RoleInfo::read(instance.module()?.manifest()))
    }

    fn next_instance(&self, name: &Name) -> Option<Arc<Instance>> {
        let generation = Generation(self.base.0 + 1);
        let instance = self.world.instance_at(name, generation)?;
        let leaves = self.changes().leaving.contains_key(name) && instance.born != generation;
        (!leaves).then_some(instance)
    }

    /// Finds out what becomes of the roles, and asks the new code whether it takes the active configuration.
    pub(super) async fn validate_roles(&mut self, inputs: &Inputs) -> Result<(), Failure> {
        if !self.touches_roles(inputs) {
            return Ok(());
        }
        let next = Arc::new(self.register(inputs)?);
        let Some(wanted) = self.wanted_roles(&next)? else {
            self.roles.next = Some(next);
            return Ok(());
        };
        self.role_changes(&next, &wanted);
        self.roles.next = Some(next);
        self.enter_roles()?;
        let old = match self.options.candidate {
            Some(_) => self.engine.crew.board.desk().config.clone().unwrap_or_default(),
            None => self.roles.conf.clone(),
        };
        for member in self.roles.start.clone() {
            self.engine.crew.fits(&member.role, &self.roles.conf)?;
            let args = vec![self.roles.conf.document().clone(), old.document().clone()];
            self.role(&member, Callback::ValidateConfig, args).await?;
        }
        Ok(())
    }

    /// What is going to run: nothing is known of that before the first configuration.
    fn wanted_roles(&mut self, next: &RoleSet) -> Result<Option<Vec<String>>, Failure> {
        if let Some((config, enabled)) = self.options.candidate.clone().filter(|_| self.options.check) {
            self.roles.conf = config;
            return Ok(Some(next.get_enabled_roles(&enabled)?));
        }
        let desk = self.engine.crew.board.desk();
        if let Some(role) = desk.enabled.0.iter().find(|role| next.get_role(role).is_none()) {
            let module = desk.set.get_role(role).map(|info| info.module.clone()).unwrap_or_default();
            return Err(RoleError::Gone { role: role.clone(), module }.into());
        }
        let Some(config) = desk.config.clone() else { return Ok(None) };
        (self.roles.conf, self.roles.opts) = (config, desk.opts.clone());
        Ok(Some(next.get_enabled_roles(&desk.enabled)?))
    }

    /// Which roles stop and which start.
    fn role_changes(&mut self, next: &RoleSet, wanted: &[String]) {
        let named: BTreeSet<&String> = wanted.iter().collect();
        let crew = self.engine.crew.clone();
        let running = crew.board.desk().running.clone();
        let replaced = self.changes().replaced();
        let stops =
            |member: &Member| replaced.contains(&member.instance.name) || !named.contains(&member.role.name);
        self.roles.stop = crew.running().into_iter().rev().filter(stops).collect();
        if is_planted(Bug::RoleStopOrder) {
            self.roles.stop.reverse();
        }
        let ahead = Generation(self.base.0 + 1);
        for role in wanted.iter().filter_map(|name| next.get_role(name)) {
            let Some(instance) = self.next_instance(&role.module) else { continue };
            if instance.born == ahead || !running.contains_key(&role.name) {
                self.roles.start.push(Member { role: role.clone(), instance });
            }
        }
    }

    fn touches_roles(&self, inputs: &Inputs) -> bool {
        if self.options.roles || self.options.register.is_some() {
            return !inputs.roles.is_empty() || self.options.register.is_some();
        }
        let set = self.engine.crew.board.desk().set.clone();
        let changes = self.changes();
        let is_role = |name: &Name| set.of_module(name).is_some() || inputs.roles.contains(name);
        changes.loads.keys().chain(changes.leaving.keys()).any(is_role)
    }

    /// The roles as they will be.
    fn register(&mut self, inputs: &Inputs) -> Result<RoleSet, Failure> {
        let (mut modules, mut warnings) = (Vec::new(), Vec::new());
        let before = self.engine.crew.board.desk().set.clone();
        for name in &inputs.roles {
            let old = before.of_module(name);
            match (self.next_instance(name), old) {
                (Some(_), _) => modules.push(name.clone()),
                (None, Some(old)) if old.permanent => {
                    return Err(RoleError::Gone { role: old.name.clone(), module: name.clone() }.into());
                }
                (None, _) => warnings.push((name.clone(), format!("the module of role {name} is gone"))),
            }
        }
        for (name, message) in warnings {
            self.warn(Some(name), message);
        }
        let read = |name: &Name| {
            let gone = || {
                let reason = "it is gone, and a role depends on it".to_owned();
                RoleError::Declaration { module: name.clone(), reason }
            };
            self.next_role(name).unwrap_or_else(|| Err(gone()))
        };
        let set = RoleSet::register(&modules, read)?;
        self.roles.modules = modules;
        Ok(set)
    }

    /// Runs a callback of new code: what it does waits for the commit.
    pub(super) async fn role(
        &self,
        member: &Member,
        callback: Callback,
        args: Vec<Value>,
    ) -> Result<(), Failure> {
        self.wanted()?;
        let Member { role, instance } = member;
        let exclusive = self.shut_at.is_some();
        let budget = self.engine.limits.hook;
        let budget = if exclusive { budget.min(self.left()) } else { budget };
        let generation = Generation(self.base.0 + 1);
        let intents = self.staging.as_ref().map(|staging| staging.intents.clone());
        let run = CallbackRun { role, instance, callback, args, generation, budget };
        run.run(&self.world, intents).await.map_err(Failure::from)
    }

    /// Notes at the commit which roles there are, and which run.
    pub(super) fn commit_roles(&mut self) {
        let crew = self.engine.crew.clone();
        if let Some(next) = self.roles.next.take() {
            self.roles.resolved = true;
            let before = live_at(&self.world, self.base);
            let mut desk = crew.board.desk();
            desk.shrunk = desk.set.all().iter().any(|old| shrinks(old, &next));
            desk.baseline.get_or_insert(before);
            desk.modules = std::mem::take(&mut self.roles.modules);
            desk.set = next;
        }
        crew.board.desk().coming.clear();
        for member in &self.roles.start {
            crew.note(&member.role.name, Some(&member.role.module));
        }
        // Of code that stays, and runs no role any more.
        for stopped in std::mem::take(&mut self.roles.stopped) {
            stopped.member.instance.scope.withdraw(&stopped.keys);
        }
        self.roles.begun.clear();
        if self.roles.entered {
            let _ = crew.board.go(&self.world, Operation::Reloaded);
        }
    }

    /// Notes in the graph what the roles that were committed depend on.
    pub(super) fn settle_roles(&mut self) {
        if !std::mem::take(&mut self.roles.resolved) {
            return;
        }
        let set = self.engine.crew.board.desk().set.clone();
        let mut graph = self.world.graph.lock().unwrap();
        for role in set.all() {
            graph.add_role(&role.module, &role.dependencies);
        }
    }
}

/// Whether a role depends on less than before, or is none any more.
fn shrinks(old: &RoleInfo, next: &RoleSet) -> bool {
    let Some(new) = next.of_module(&old.module) else { return true };
    old.dependencies.iter().any(|module| !new.dependencies.contains(module))
}

/// The modules that `generation` sees.
fn live_at(world: &World, generation: Generation) -> BTreeSet<Name> {
    let modules = world.modules.read().unwrap();
    let seen = modules.iter().filter(|(_, all)| all.iter().any(|instance| instance.lives_at(generation)));
    seen.map(|(name, _)| name.clone()).collect()
}
