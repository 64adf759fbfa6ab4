//! Calls from outside: through the gate, at one generation, following the live one between calls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, select};

use crate::asked::roles::{Answer, Function};
use crate::backend::Control;
use crate::clock::wait;
use crate::dispatch::{nested, suspended};
use crate::engine::{Engine, Inner};
use crate::error::{CallError, ScriptError};
use crate::failure::ReloadError;
use crate::gate::{Generation, LeaseKind, Waiting};
use crate::generation::{Instance, World};
use crate::lease::Lease;
use crate::plan::Plan;
use crate::report::{ReloadOptions, Report};
use crate::role::RoleError;
use crate::scope::Registered;
use crate::shutdown::{ShutdownOptions, ShutdownReport};
use crate::source::Name;
use crate::value::Value;

impl Inner {
    /// Enters `root`, waiting at its gate. Whoever waits for a reload that was dropped drives its undo.
    async fn enter(&self, root: &Name) -> Result<Lease, CallError> {
        let until = self.world.clock.now() + self.limits.call_wait;
        let mut counted = None;
        loop {
            let listener = self.world.gate.listen();
            if let Ok(lease) = Lease::open(&self.world.gate, root, LeaseKind::Call) {
                return Ok(lease);
            }
            if self.world.gate.is_closed() {
                return Err(CallError::Stopped);
            }
            counted.get_or_insert_with(|| Waiting::at(&self.world.gate, root));
            let left = until.saturating_sub(self.world.clock.now());
            if left.is_zero() {
                let waited = self.limits.call_wait;
                return Err(CallError::GateTimeout { module: root.to_string(), waited });
            }
            let late = self.world.clock.sleep(left);
            let running = self.running.lock().unwrap().clone();
            match running.filter(|running| running.ticket.is_abandoned()) {
                Some(dropped) => drop(select(dropped.outcome, late).await),
                None => drop(select(listener, late).await),
            }
        }
    }

    fn enter_blocking(&self, root: &Name) -> Result<Lease, CallError> {
        let began = self.world.clock.now();
        let mut counted = None;
        loop {
            let listener = self.world.gate.listen();
            if let Ok(lease) = Lease::open(&self.world.gate, root, LeaseKind::Call) {
                return Ok(lease);
            }
            if self.world.gate.is_closed() {
                return Err(CallError::Stopped);
            }
            counted.get_or_insert_with(|| Waiting::at(&self.world.gate, root));
            let waited = self.world.clock.now().saturating_sub(began);
            let Some(left) = self.limits.call_wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Err(CallError::GateTimeout {
                    module: root.to_string(),
                    waited: self.limits.call_wait,
                });
            };
            let (world, there, until) = (self.world.clone(), root.clone(), began + self.limits.call_wait);
            let may_go = move || !world.gate.is_shut(&there) || world.clock.now() >= until;
            wait(may_go, || self.world.gate.wait_blocking(listener, left.min(Duration::from_millis(100))));
        }
    }

    fn seen(&self, module: &Name, generation: Generation) -> Result<Arc<Instance>, CallError> {
        let found = self.world.instance_at(module, generation);
        found.ok_or_else(|| CallError::NoModule { module: module.to_string() })
    }

    async fn call(&self, module: &Name, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let lease = match Lease::current() {
            Some(lease) => nested(&self.world, &lease, module).await?,
            None => self.enter(module).await?,
        };
        let instance = self.seen(module, lease.generation())?;
        run(lease, &instance, function, args).await
    }

    fn call_blocking(&self, module: &Name, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        let lease = match Lease::current() {
            Some(lease) => lease.nested(module).map_err(|_| suspended(module))?,
            None => self.enter_blocking(module)?,
        };
        let instance = self.seen(module, lease.generation())?;
        let _entered = lease.enter();
        let loaded = instance.module().ok_or_else(|| CallError::NoModule { module: module.to_string() })?;
        loaded.call_blocking(function, args)
    }

    async fn call_registered(
        &self,
        kind: &str,
        key: &str,
        args: impl FnOnce(&str) -> Vec<Value>,
    ) -> Result<Value, CallError> {
        let (lease, entry) = self.registered(kind, key).await?;
        let args = args(&entry.key);
        lease.scope(async move { entry.target.call(args).await }).await?
    }

    /// Enters the module that registered `key`, as whoever asks sees it.
    async fn registered(&self, kind: &str, key: &str) -> Result<(Lease, Registered), CallError> {
        let missing = || CallError::NoModule { module: format!("{kind} {key}") };
        let at = self.world.table.at_key(kind, key).map_err(|_| missing())?;
        loop {
            let outer = Lease::current();
            let seen = outer.as_ref().map_or_else(|| self.world.gate.live(), Lease::generation);
            let entry = self.world.registered(&at, seen).ok_or_else(missing)?;
            let lease = match &outer {
                Some(lease) => nested(&self.world, lease, &entry.owner).await?,
                None => self.enter(&entry.owner).await?,
            };
            // A commit while it waited: it sees another table now.
            let instance = self.world.instance_at(&entry.owner, lease.generation());
            if lease.generation() == seen || instance.is_some_and(|instance| instance.born == entry.born) {
                return Ok((lease, entry));
            }
        }
    }
}

async fn run(
    lease: Lease,
    instance: &Arc<Instance>,
    function: &str,
    args: Vec<Value>,
) -> Result<Value, CallError> {
    let missing = || CallError::NoModule { module: instance.name.to_string() };
    let module = instance.module().ok_or_else(missing)?;
    lease.scope(async move { module.call(function, args).await }).await?
}

impl Engine {
    /// Evaluates a line that a person typed in the language `backend`, and says what it returned; see
    /// [`Backend::evaluate`](crate::Backend::evaluate).
    ///
    /// # Errors
    /// [`CallError`]: what the line failed with, or the language has no console.
    pub async fn evaluate(
        &self,
        backend: &str,
        line: &str,
        limit: Duration,
    ) -> Result<Vec<String>, CallError> {
        let missing = || CallError::Script(ScriptError::runtime(format!("there is no language `{backend}`")));
        self.0.backends.get(backend).ok_or_else(missing)?.evaluate(line, limit).await
    }

    /// Calls an export. Outside of a call it waits at the module's gate and sees the live generation; inside
    /// one it sees that call's generation.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::is_retryable`] says whether the same call may be sent again.
    pub async fn call(&self, module: &str, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.0.call(&module.into(), function, args).await
    }

    /// The same, blocking this thread.
    ///
    /// # Errors
    /// As [`call`](Engine::call).
    pub fn call_blocking(&self, module: &str, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.0.call_blocking(&module.into(), function, args)
    }

    /// Calls what is registered under `kind` and `key`: a route, a subscription.
    ///
    /// # Errors
    /// As [`call`](Engine::call); `GR0201` if nothing is registered there.
    pub async fn call_registered(&self, kind: &str, key: &str, args: Vec<Value>) -> Result<Value, CallError> {
        self.0.call_registered(kind, key, |_| args).await
    }

    /// The same with arguments that are made when the call begins, from the key as the module that is called wrote it:
    /// where keys [stand for the same](crate::EngineBuilder::identity), a reload may have changed that.
    ///
    /// # Errors
    /// As [`call_registered`](Engine::call_registered).
    pub async fn call_registered_with(
        &self,
        kind: &str,
        key: &str,
        args: impl FnOnce(&str) -> Vec<Value>,
    ) -> Result<Value, CallError> {
        self.0.call_registered(kind, key, args).await
    }

    /// A handle to an export, which follows the live generation.
    pub fn handle(&self, module: &str, export: &str) -> Handle {
        Handle { engine: self.clone(), module: module.into(), export: export.to_owned() }
    }
}

/// An export held by Rust code. Each call goes to the generation that is live then (inside a call: to that
/// call's); an export that a newer version removed fails with `GR0202`.
#[derive(Clone)]
pub struct Handle {
    engine: Engine,
    module: Name,
    export: String,
}

impl Handle {
    /// Calls it. See [`Engine::call`].
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub async fn call(&self, args: Vec<Value>) -> Result<Value, CallError> {
        self.engine.0.call(&self.module, &self.export, args).await
    }

    /// Calls it, blocking this thread.
    ///
    /// # Errors
    /// As [`Engine::call`].
    pub fn call_blocking(&self, args: Vec<Value>) -> Result<Value, CallError> {
        self.engine.0.call_blocking(&self.module, &self.export, args)
    }
}

/// Scripts reach the engine through this.
impl Control for Inner {
    fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn reload(&self, mut options: ReloadOptions) -> BoxFuture<'static, Result<Report, ReloadError>> {
        options.by = Lease::current().map(|lease| lease.root().clone());
        match self.me() {
            Some(engine) => Box::pin(engine.reload(options)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn shutdown(&self, options: ShutdownOptions) -> BoxFuture<'static, ShutdownReport> {
        match self.me() {
            Some(engine) => Box::pin(engine.shutdown(options)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn roles(&self, from: &Name, function: Function, args: Vec<Value>) -> Answer {
        match self.me() {
            Some(engine) => engine.roles().ask(from, function, args),
            None => Answer::Now(Err(RoleError::Stopped.into())),
        }
    }

    fn plan(&self, options: ReloadOptions) -> BoxFuture<'static, Result<Plan, ReloadError>> {
        match self.me() {
            Some(engine) => Box::pin(async move { engine.plan(options).await }),
            None => Box::pin(std::future::pending()),
        }
    }

    fn admit(&self, root: Name) -> BoxFuture<'static, Result<Lease, CallError>> {
        let engine = self.me();
        Box::pin(async move { engine.ok_or(CallError::Stopped)?.0.enter(&root).await })
    }

    fn call(
        &self,
        module: Name,
        function: String,
        args: Vec<Value>,
    ) -> BoxFuture<'static, Result<Value, CallError>> {
        let engine = self.me();
        Box::pin(async move { engine.ok_or(CallError::Stopped)?.0.call(&module, &function, args).await })
    }

    fn call_blocking(&self, module: &Name, function: &str, args: Vec<Value>) -> Result<Value, CallError> {
        Inner::call_blocking(self, module, function, args)
    }
}

impl Inner {
    fn me(&self) -> Option<Engine> {
        self.weak.get()?.upgrade().map(Engine)
    }
}
