//! The roles of an engine, as hosts and scripts hold them: registered, configured, reloaded, forbidden, stopped.

mod answers;
mod ask;
mod operate;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::board::Board;
pub use crate::board::Trouble;
use crate::config::Config;
use crate::engine::{Engine, Inner};
use crate::lease::Lease;
use crate::role::{InstanceState, Operation, RoleError};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::value::Value;

/// The roles of one engine: an instance of an application, in the words of Cartridge, whose functions of roles these
/// are. Cheap to clone; from [`Engine::roles`].
///
/// ```no_run
/// # use graceful_core::{Config, Engine, Value};
/// # use graceful_core::instance::ApplyOptions;
/// # async fn f(engine: Engine, document: Value) -> Result<(), Box<dyn std::error::Error>> {
/// let roles = engine.roles();
/// roles.set_reload_allowed(true);
/// roles.cfg(["app.storage", "app.router"]).await?;
/// let options = ApplyOptions { enabled: Some(["app.router"].into()), ..ApplyOptions::default() };
/// roles.configure(Config::new(document)?, options).await?;
/// roles.reload().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Instance {
    engine: Arc<Inner>,
}

/// With what a configuration is applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplyOptions {
    /// The roles that are to run, besides permanent ones and what they depend on; `None` are those of the last time.
    pub enabled: Option<Enabled>,
    /// What every callback is told besides: `is_master` and whatever else the application has. A map.
    pub opts: Value,
}

impl ApplyOptions {
    /// The same, with `is_master` in the options.
    pub fn master(mut self, is_master: bool) -> Self {
        let mut opts = match self.opts {
            Value::Map(map) => map,
            _ => Default::default(),
        };
        opts.insert("is_master".into(), is_master.into());
        self.opts = Value::Map(opts);
        self
    }
}

/// A role that runs, as others call it.
#[derive(Clone)]
pub struct Service {
    engine: Engine,
    module: Name,
}

impl Service {
    /// The module that is the role.
    pub fn module(&self) -> &Name {
        &self.module
    }

    /// Calls one of its exports; see [`Engine::call`].
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub async fn call(&self, function: &str, args: Vec<Value>) -> Result<Value, crate::error::CallError> {
        self.engine.call(self.module.as_str(), function, args).await
    }
}

impl Engine {
    /// The roles of this engine.
    pub fn roles(&self) -> Instance {
        Instance { engine: self.0.clone() }
    }
}

impl Instance {
    fn board(&self) -> &Board {
        &self.engine.crew.board
    }

    /// What the roles are doing.
    pub fn state(&self) -> InstanceState {
        self.board().desk().state
    }

    /// Why the state is one of failure.
    pub fn trouble(&self) -> Option<Trouble> {
        self.board().desk().trouble.clone()
    }

    /// The last configuration that was applied; what a reload validates against.
    pub fn config(&self) -> Option<Config> {
        self.board().desk().config.clone()
    }

    /// The roles that were asked for when it was applied.
    pub fn enabled(&self) -> Enabled {
        self.board().desk().enabled.clone()
    }

    /// What it was applied with.
    pub fn opts(&self) -> Value {
        self.board().desk().opts.clone()
    }

    /// The names of the roles that run, each after its dependencies.
    pub fn running(&self) -> Vec<String> {
        self.engine.crew.running().into_iter().map(|member| member.role.name).collect()
    }

    /// The role of this name, if it runs: what Cartridge's service registry gives. New code sees what has begun in its
    /// own reload.
    pub fn service_get(&self, role: &str) -> Option<Service> {
        let ahead = Lease::current().is_some_and(|lease| lease.is_ahead());
        let desk = self.board().desk();
        let coming = desk.coming.get(role).filter(|_| ahead);
        let module = coming.or_else(|| desk.running.get(role)).cloned()?;
        drop(desk);
        Some(Service { engine: Engine(self.engine.clone()), module })
    }

    /// Waits until the state is `wanted`, for `timeout` at most; from any state.
    ///
    /// # Errors
    /// The state when the time was over.
    pub async fn wait_for(&self, wanted: InstanceState, timeout: Duration) -> Result<(), InstanceState> {
        let clock = self.engine.world.clock.clone();
        let until = clock.now() + timeout;
        loop {
            let listener = self.board().listen();
            let state = self.state();
            if state == wanted {
                return Ok(());
            }
            let left = until.saturating_sub(clock.now());
            if left.is_zero() {
                return Err(state);
            }
            select(listener, clock.sleep(left)).await;
        }
    }

    /// Whether the application allows its roles to be reloaded at all. It does not unless this says so.
    pub fn set_reload_allowed(&self, allowed: bool) {
        self.board().desk().allowed = allowed;
    }

    /// Whether the application allows its roles to be reloaded at all.
    pub fn is_reload_allowed(&self) -> bool {
        self.board().desk().allowed
    }

    /// Forbids reloading roles until [`allow_reload`](Instance::allow_reload). A flag, not a counter.
    pub fn forbid_reload(&self) {
        self.board().desk().forbidden = true;
    }

    /// Undoes [`forbid_reload`](Instance::forbid_reload).
    pub fn allow_reload(&self) {
        self.board().desk().forbidden = false;
    }

    /// Whether reloading roles is forbidden, for ever or at the moment.
    pub fn is_reload_forbidden(&self) -> bool {
        let desk = self.board().desk();
        desk.forbidden || !desk.allowed
    }

    /// The task `name` of `module` lives on when the roles are reloaded from a clean slate.
    pub fn keep_task(&self, module: impl Into<Name>, name: impl Into<String>) {
        self.keep("task", module.into(), name.into());
    }

    /// The global `name` that `module` made lives on when the roles are reloaded from a clean slate.
    pub fn keep_global(&self, module: impl Into<Name>, name: impl Into<String>) {
        self.keep("global", module.into(), name.into());
    }

    fn keep(&self, kind: &'static str, module: Name, name: String) {
        self.board().desk().keep.0.insert((kind, module, name));
    }

    /// Whether `operation` is possible in the state that the roles are in.
    ///
    /// # Errors
    /// It is not.
    pub fn allows(&self, operation: Operation) -> Result<(), RoleError> {
        let state = self.state();
        state.after(operation).map(drop).ok_or(RoleError::State { operation, state })
    }

    /// The turn, unless whoever has it keeps it for longer than a reload may take.
    async fn turn(&self) -> Result<futures_util::lock::OwnedMutexGuard<()>, RoleError> {
        let limits = &self.engine.limits;
        let most = limits.stage + limits.exclusive + limits.role;
        let late = self.engine.world.clock.sleep(most);
        match select(Box::pin(self.board().turn()), late).await {
            Either::Left((turn, _)) => Ok(turn),
            Either::Right(_) => Err(RoleError::Busy),
        }
    }
}
