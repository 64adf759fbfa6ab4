//! Running one hook: under its lease, within its budget, a panic being a failure like any other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use crate::error::Place;
use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::{Hook, HookCx, HookError};
use crate::scope::Resource;
use crate::source::Name;
use crate::staging::panic_text;

/// Why a hook failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookFailure {
    #[error("{0}")]
    Failed(HookError),
    #[error("it ran longer than {0:?}")]
    Late(Duration, Option<Place>),
}

impl HookFailure {
    /// As the cause of a failed reload.
    pub(crate) fn blame(self, module: &Name, hook: Hook) -> crate::failure::ReloadErrorKind {
        use crate::failure::ReloadErrorKind::{Hook as Failed, HookTimeout};
        let module = module.clone();
        match self {
            HookFailure::Late(budget, place) => HookTimeout { module, hook, budget, place },
            HookFailure::Failed(HookError { message, place, .. }) => Failed { module, hook, message, place },
        }
    }

    fn place(&self) -> Option<&Place> {
        match self {
            HookFailure::Failed(error) => error.place.as_ref(),
            HookFailure::Late(_, place) => place.as_ref(),
        }
    }
}

/// One hook to be run.
pub(crate) struct HookRun<'a> {
    pub(crate) instance: &'a Arc<Instance>,
    pub(crate) hook: Hook,
    pub(crate) generation: Generation,
    pub(crate) budget: Duration,
}

impl HookRun<'_> {
    /// Runs it. With `intents`, what the hook starts waits for that transaction's commit.
    pub(crate) async fn run(
        self,
        world: &Arc<World>,
        intents: Option<Arc<Intents>>,
    ) -> Result<(), HookFailure> {
        let HookRun { instance, hook, generation, budget } = self;
        let Some(module) = instance.module().cloned() else {
            return Ok(());
        };
        let cx = HookCx { module: instance.name.clone(), hook, generation, budget };
        let lease = Lease::open_at(&world.gate, &instance.name, LeaseKind::Hook, generation, intents);
        let started = world.clock.now();
        let call = lease.scope(async move {
            match hook {
                Hook::Init => module.init(&cx).await,
                Hook::BeforeReload => module.before_reload(&cx).await,
                Hook::AfterReload => module.after_reload(&cx).await,
                Hook::Rollback => module.rollback(&cx).await,
                Hook::Finalize => module.finalize(&cx).await,
            }
        });
        let flat = async move { call.await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into())) };
        let watched = world.watch.over(&instance.name, hook.as_str(), budget, flat);
        let result = bounded(world, budget, watched).await;
        let late = |error: HookError| {
            if error.timeout { HookFailure::Late(budget, error.place) } else { HookFailure::Failed(error) }
        };
        let result = result.map_err(late);
        let took = world.clock.now().saturating_sub(started);
        let error = result.as_ref().err().map(|error: &HookFailure| match error.place() {
            Some(place) => format!("{place}: {error}"),
            None => error.to_string(),
        });
        world.emit(EventKind::HookRan { module: instance.name.clone(), hook, took, error });
        result
    }
}

/// Runs `future` for at most `budget`; a panic in it is an error like any other.
pub(crate) async fn bounded<T>(
    world: &World,
    budget: Duration,
    future: impl Future<Output = Result<T, HookError>>,
) -> Result<T, HookError> {
    let work = Box::pin(AssertUnwindSafe(future).catch_unwind());
    match select(work, world.clock.sleep(budget)).await {
        Either::Left((Ok(result), _)) => result,
        Either::Left((Err(panic), _)) => Err(panic_text(&panic).into()),
        Either::Right(_) => {
            Err(HookError { timeout: true, ..HookError::new(format!("it ran longer than {budget:?}")) })
        }
    }
}

/// Releases one thing that `instance` started, within `budget`. What will not end keeps its generation in memory, and is
/// named as what holds it.
pub(crate) async fn release(
    world: &World,
    instance: &Instance,
    resource: Arc<dyn Resource>,
    budget: Duration,
    warn: impl FnOnce(String),
) {
    let (began, module) = (world.clock.now(), &instance.name);
    // At a shutdown nobody is let in any more: what a release calls comes in with this.
    let generation = world.gate.live().min(instance.last());
    let lease = Lease::open_at(&world.gate, module, LeaseKind::Hook, generation, None);
    let released =
        lease.scope(resource.release()).map(|ran| ran.unwrap_or_else(|gone| Err(gone.to_string().into())));
    let releasing = world.watch.over(module, "release", budget, released);
    let error = bounded(world, budget, releasing).await.err().map(|error| error.message);
    let (kind, key) = (resource.kind().to_owned(), resource.key());
    if let Some(error) = &error {
        warn(format!("{kind} {key} of {module} was not released: {error}"));
        if !resource.is_done() {
            instance.scope.adopt(resource);
        }
    }
    let took = world.clock.now().saturating_sub(began);
    world.emit(EventKind::Released { module: module.clone(), kind, key, took, error });
}
