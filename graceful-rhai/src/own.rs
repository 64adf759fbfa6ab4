//! `graceful::own`: anything else under a module's care.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graceful_core::{CallError, HookError, Lease, LeaseKind, Resource, ScriptError};
use rhai::{Dynamic, FnPtr, NativeCallContext};

use crate::bind::at_home;
use crate::error;
use crate::failure::{Thrown, fail, thrown};
use crate::run::off_thread;
use crate::task::next_id;
use crate::unit::{Unit, here};
use crate::watch::Watch;

/// `graceful::own(key, value, |value| ...)`: released with the module.
pub(crate) fn own(cx: &NativeCallContext, key: &str, value: Dynamic, release: FnPtr) -> Thrown<()> {
    let unit = here(cx)?;
    let id = next_id();
    let scope = unit.scope().map_err(fail)?;
    let owned =
        Owned { id, key: key.to_owned(), unit, value, release: at_home(release), released: Arc::default() };
    scope.add(Arc::new(owned)).map_err(|replaced| thrown(replaced.to_string()))
}

struct Owned {
    id: u64,
    key: String,
    unit: Arc<Unit>,
    value: Dynamic,
    release: FnPtr,
    released: Arc<AtomicBool>,
}

#[async_trait]
impl Resource for Owned {
    fn kind(&self) -> &'static str {
        "own"
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    async fn release(&self) -> Result<(), HookError> {
        self.let_go().await
    }

    fn discard(&self) -> Option<BoxFuture<'static, Result<(), HookError>>> {
        Some(Box::pin(self.let_go()))
    }
}

impl Owned {
    fn let_go(&self) -> impl Future<Output = Result<(), HookError>> + Send + use<> {
        let (unit, function, value) = (self.unit.clone(), self.release.clone(), self.value.clone());
        let released = self.released.clone();
        async move {
            let told = |error: CallError| HookError::new(error.to_string());
            let world = unit.runtime.world().map_err(told)?;
            let lease = match Lease::current().and_then(|lease| lease.nested(&unit.name).ok()) {
                Some(nested) => nested,
                None => {
                    let instance = unit.instance().map_err(|failure| HookError::new(failure.message()))?;
                    let generation = instance.last().min(world.gate.live());
                    Lease::open_at(&world.gate, &unit.name, LeaseKind::Nested, generation, None)
                }
            };
            let work = move || {
                let done = unit.call_pointer(None, &function, vec![value]);
                done.map(drop).map_err(|thrown| error::hook_error(thrown, &unit.name, &*unit))
            };
            let watch = Watch::call(Some(lease.clone()));
            let result = lease.scope(off_thread(&*world.clock, watch, work)).await.map_err(told)?;
            released.store(true, Ordering::Release);
            result.map_err(|error: ScriptError| HookError::from(error))?
        }
    }
}
