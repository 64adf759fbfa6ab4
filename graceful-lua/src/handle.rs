//! The fast way in: a typed handle that goes on calling what it looked up until a gate or a commit changes.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graceful_core::{CallError, Lease, LeaseKind, Name};
use mlua::{FromLuaMulti, Function, IntoLuaMulti};

use crate::module::LuaModule;
use crate::run::{How, Run, Watched};
use crate::turns::Locked;
use crate::vm::Vm;

/// A typed handle to an exported function. It follows the live generation; inside a call it sees that call's.
///
/// As long as nothing was reloaded since its last call it costs little more than calling the function. For
/// that it keeps the function: an export that a module replaces while it runs is seen at the next reload.
pub struct LuaFunction<A, R> {
    module: Name,
    export: String,
    found: Locked<Option<Found>>,
    types: PhantomData<fn(A) -> R>,
}

struct Found {
    epoch: u64,
    function: Function,
}

enum Refused<A> {
    Shut(A),
    Failed(CallError),
}

impl<A: IntoLuaMulti, R: FromLuaMulti> LuaFunction<A, R> {
    /// Calls it on this thread. The function cannot wait for anything.
    ///
    /// # Errors
    /// [`CallError::Suspended`] at once if the module is suspended by a reload, and whatever else a call
    /// fails with.
    pub fn call(&self, args: A) -> Result<R, CallError> {
        self.attempt(args).map_err(|refused| match refused {
            Refused::Shut(_) => CallError::Suspended { module: self.module.to_string() },
            Refused::Failed(error) => error,
        })
    }

    /// The same, waiting up to `most` for a suspended module. Not to be called where Lua is running.
    ///
    /// # Errors
    /// [`CallError::GateTimeout`] if it was suspended longer, and whatever else a call fails with.
    pub fn call_wait(&self, mut args: A, most: Duration) -> Result<R, CallError> {
        let world = self.vm().world().ok_or(CallError::Stopped)?;
        let until = Instant::now() + most;
        loop {
            let listener = world.gate.listen();
            args = match self.attempt(args) {
                Ok(result) => return Ok(result),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Shut(args)) => args,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CallError::GateTimeout { module: self.module.to_string(), waited: most });
            }
            world.gate.wait_blocking(listener, left);
        }
    }

    fn attempt(&self, args: A) -> Result<R, Refused<A>> {
        self.found.with(|slot| {
            // Compared under the VM's lock: a commit needs it, so none can come between this and the call.
            if !Lease::is_held()
                && let Ok(found) = slot.try_borrow()
                && let Some(found) = &*found
                && self.vm().epoch() == Some(found.epoch)
                && !self.vm().is_veiled()
            {
                return found.function.call(args).map_err(|error| self.failed(&error));
            }
            self.attempt_anew(slot, args)
        })
    }

    #[cold]
    fn attempt_anew(&self, slot: &RefCell<Option<Found>>, args: A) -> Result<R, Refused<A>> {
        let world = self.vm().world().ok_or(Refused::Failed(CallError::Stopped))?;
        let epoch = world.gate.epoch();
        let (entered, inside) = match Lease::current() {
            Some(lease) => (lease.nested(&self.module), true),
            None => (Lease::open(&world.gate, &self.module, LeaseKind::Call), false),
        };
        let Ok(lease) = entered else {
            let closed = !inside && world.gate.is_closed();
            return Err(if closed { Refused::Failed(CallError::Stopped) } else { Refused::Shut(args) });
        };
        let _entered = lease.enter();
        let function = self.look_up(&lease).map_err(Refused::Failed)?;
        if !inside && let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = Some(Found { epoch, function: function.clone() });
        }
        let how = How::call(self.vm());
        self.vm().turn(&how, None, || function.call(args)).map_err(|error| self.failed(&error))
    }

    fn look_up(&self, lease: &Lease) -> Result<Function, CallError> {
        let missing = || CallError::NoModule { module: self.module.to_string() };
        let world = self.vm().world().ok_or(CallError::Stopped)?;
        let instance = world.instance_at(&self.module, lease.generation()).ok_or_else(missing)?;
        let module = instance.module().ok_or_else(missing)?;
        let module = module.as_any().downcast_ref::<LuaModule>().filter(|module| module.is_in(self.vm()));
        module.ok_or_else(missing)?.function(&self.export)
    }

    fn failed<T>(&self, error: &mlua::Error) -> Refused<T> {
        Refused::Failed(self.vm().call_error(&self.module, error))
    }
}

impl<A: IntoLuaMulti, R: FromLuaMulti> LuaFunction<A, R> {
    /// Calls it as a coroutine, which may wait. Waits at the gate of a suspended module.
    ///
    /// # Errors
    /// As [`Engine::call`](graceful_core::Engine::call).
    pub async fn call_async(&self, args: A) -> Result<R, CallError> {
        let lease = match Lease::current() {
            Some(lease) => lease
                .nested(&self.module)
                .map_err(|_| CallError::Suspended { module: self.module.to_string() })?,
            None => self.vm().control().ok_or(CallError::Stopped)?.admit(self.module.clone()).await?,
        };
        let found = lease.clone();
        let call = async {
            let run = Run::new(self.vm(), How::call(self.vm()), || {
                let call =
                    self.look_up(&found).map(|function| Watched::new(self.vm(), function.call_async(args)));
                async move { call?.await.map_err(|error| self.vm().call_error(&self.module, &error)) }
            });
            run.await.unwrap_or_else(|overrun| Err(CallError::Script(overrun.into_error(self.vm()))))
        };
        lease.scope(call).await?
    }
}

impl<A, R> LuaFunction<A, R> {
    pub(crate) fn new(vm: &Arc<Vm>, module: &str, export: &str) -> Self {
        let (module, export) = (module.into(), export.to_owned());
        Self { module, export, found: Locked::new(vm.clone(), None), types: PhantomData }
    }

    fn vm(&self) -> &Arc<Vm> {
        self.found.vm()
    }
}

impl<A, R> Drop for LuaFunction<A, R> {
    /// Whoever drops it need not wait for the VM's lock.
    fn drop(&mut self) {
        let found = self.found.get_mut().take();
        self.vm().grave.bury_functions(found.map(|found| found.function));
    }
}

impl<A, R> Clone for LuaFunction<A, R> {
    fn clone(&self) -> Self {
        Self::new(self.vm(), &self.module, &self.export)
    }
}
