//! What a script asks of the world beyond its own module: requires, calls, reloads.

use std::cell::Cell;
use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{
    CallError, Export, Instance, Lease, LeaseKind, Name, OnBusy, Place, ReloadError, ReloadOptions, Report,
    Resolved, ScriptError, Value, dispatch,
};
use tokio::sync::oneshot;

use super::module::FakeModule;
use super::object::Object;
use super::room::{Room, failed};
use crate::trace::PROBE;

thread_local! {
    static BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` as code that cannot wait.
pub(crate) fn without_waiting<T>(work: impl FnOnce() -> T) -> T {
    let before = BLOCKING.replace(true);
    let result = work();
    BLOCKING.set(before);
    result
}

type Answer = Result<Report, ReloadError>;

impl Room {
    /// The instance of `module` that this module sees now. A top level that `binds` keeps what it got.
    pub(crate) async fn require(
        self: &Arc<Self>,
        module: &str,
        binds: bool,
    ) -> Result<Arc<Instance>, ScriptError> {
        if let Some(bound) = self.bound.lock().unwrap().get(module) {
            return Ok(bound.clone());
        }
        let found = self.find(&Name::from(module)).await?;
        if binds {
            self.bound.lock().unwrap().insert(module.to_owned(), found.clone());
        }
        Ok(found)
    }

    async fn find(&self, module: &Name) -> Result<Arc<Instance>, ScriptError> {
        let world = self.vm.world().map_err(failed)?;
        let from = self.instance()?;
        let place = Some(Place::file(&self.origin));
        let importer = self.importer.lock().unwrap().clone();
        let mut asked = false;
        loop {
            match (world.resolve(&from, module, || place.clone()), &importer) {
                (Resolved::Settled(found) | Resolved::Pinned(found), _) if found.module().is_some() => {
                    return Ok(found);
                }
                (Resolved::Closing, _) if !BLOCKING.get() => world.settled(module).await.map_err(failed)?,
                (Resolved::Closing, _) => return Err(import(format!("module `{module}` is being replaced"))),
                (_, Some(importer)) => return importer.import(&from, module, place).await,
                (_, None) if asked || BLOCKING.get() || in_transaction() => {
                    return Err(import(format!("module `{module}` is missing")));
                }
                (_, None) => {
                    asked = true;
                    let options = only(ReloadOptions { load: [module.clone()].into(), ..Default::default() });
                    self.ask(options).await?.map_err(|error| import(error.kind.to_string()))?;
                }
            }
        }
    }

    /// What `function` of `module` returns. Inside one backend that is a plain call; another one is entered
    /// through a lease of its own.
    pub(crate) async fn call(
        self: &Arc<Self>,
        module: &str,
        function: &str,
        dynamic: bool,
    ) -> Result<Object, ScriptError> {
        let found =
            if dynamic { self.find(&module.into()).await? } else { self.require(module, false).await? };
        let fake = found.module().and_then(|module| module.as_any().downcast_ref::<FakeModule>());
        if let Some(fake) = fake.filter(|fake| Arc::ptr_eq(&fake.room.vm, &self.vm)) {
            return fake.run(function).await;
        }
        self.dispatch(&found, function, Vec::new()).await.map(Object::from)
    }

    async fn dispatch(
        &self,
        to: &Arc<Instance>,
        function: &str,
        args: Vec<Value>,
    ) -> Result<Value, ScriptError> {
        let world = self.vm.world().map_err(failed)?;
        if BLOCKING.get() {
            return dispatch::call_blocking(&world, to, function, args).map_err(failed);
        }
        dispatch::call(&world, to, function, args).await.map_err(failed)
    }

    /// Plain data that `module` exports.
    pub(crate) async fn exported(self: &Arc<Self>, module: &str, name: &str) -> Result<Object, ScriptError> {
        let found = self.require(module, false).await?;
        match found.module().and_then(|module| module.manifest().exports.get(name)) {
            Some(Export::Value(value)) => Ok(value.clone().into()),
            _ => Ok(Object::default()),
        }
    }

    pub(crate) async fn note(self: &Arc<Self>, said: Value) -> Result<(), ScriptError> {
        let probe = self.require(PROBE, false).await?;
        self.dispatch(&probe, "note", vec![said]).await.map(drop)
    }

    pub(crate) async fn is_shut(self: &Arc<Self>, latch: &str) -> Result<bool, ScriptError> {
        let probe = self.require(PROBE, false).await?;
        Ok(self.dispatch(&probe, "open", vec![latch.into()]).await? != Value::Bool(true))
    }

    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), ScriptError> {
        let said = match Lease::current().map(|lease| lease.kind()) {
            Some(LeaseKind::Stage) => "true".to_owned(),
            _ if BLOCKING.get() => {
                let control = self.vm.control().map_err(failed)?;
                let reload = control.reload(joining());
                self.vm.clock().map_err(failed)?.spawn(Box::pin(async move { drop(reload.await) }));
                "queued".to_owned()
            }
            _ => match self.ask(joining()).await? {
                Ok(report) => report.outcome.as_str().to_owned(),
                Err(error) => error.code().to_string(),
            },
        };
        self.note(format!("reload {said}").into()).await
    }

    pub(crate) async fn unregister(self: &Arc<Self>, module: &str) -> Result<(), ScriptError> {
        let options = only(ReloadOptions { remove: [module.into()].into(), ..Default::default() });
        match self.ask(options).await? {
            Ok(_) => Ok(()),
            Err(error) => self.note(format!("unregister {}", error.code()).into()).await,
        }
    }

    /// Asks for a reload and waits for it: from a hook at once, so that it can be refused; else in a task of
    /// its own, with the calling lease parked, or drain would wait for the call that asked.
    async fn ask(&self, options: ReloadOptions) -> Result<Answer, ScriptError> {
        let (control, clock) = (self.vm.control().map_err(failed)?, self.vm.clock().map_err(failed)?);
        let reload = control.reload(options);
        if in_transaction() {
            return Ok(reload.await);
        }
        let parked = Lease::current().filter(|lease| lease.kind() != LeaseKind::Task);
        parked.iter().for_each(|lease| lease.set_parked(true));
        let (sender, answer) = oneshot::channel();
        clock.spawn(Box::pin(async move { drop(sender.send(reload.await)) }));
        let answer = answer.await;
        parked.iter().for_each(|lease| lease.set_parked(false));
        answer.map_err(|_| failed(CallError::Stopped))
    }
}

/// Who asks from inside while a reload runs gets that one's report.
fn joining() -> ReloadOptions {
    ReloadOptions { on_busy: OnBusy::Join, ..ReloadOptions::default() }
}

/// Without looking for other changes.
fn only(options: ReloadOptions) -> ReloadOptions {
    ReloadOptions { changed: Some(Default::default()), ..options }
}

fn in_transaction() -> bool {
    Lease::current().is_some_and(|lease| lease.is_transactional())
}

fn import(message: String) -> ScriptError {
    ScriptError::new(ScriptErrorKind::Import, message)
}
