//! The console: a line that a person typed, evaluated in the live VM as a call of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, Lease, Name, ScriptError, World};
use mlua::{Function, Lua, MultiValue, Table, Value};
use tokio::sync::oneshot;

use crate::fiber::give_way;
use crate::import::load;
use crate::record::{CONSOLE, Record};
use crate::run::{How, Run, Watched};
use crate::vm::Vm;
use crate::waits::Waiting;
use crate::{builtin, import, show};

/// Which modules the lines so far have asked for: what a line gets from them may be called by a later one.
#[derive(Default)]
pub(crate) struct Console {
    known: Arc<Mutex<BTreeSet<Name>>>,
}

/// One line: what it printed, and its leases on the modules it asked for, so that a reload that drains one of
/// them waits for the line.
struct Session {
    record: Arc<Record>,
    known: Arc<Mutex<BTreeSet<Name>>>,
    leases: Mutex<Vec<Lease>>,
    printed: Mutex<Vec<String>>,
}

impl Console {
    /// Evaluates `line`, an expression or statements. Returns what it printed, then what it returned, as text.
    /// It is cancelled once `limit` is over.
    pub(crate) async fn evaluate(
        &self,
        vm: &Arc<Vm>,
        line: &str,
        limit: Duration,
    ) -> Result<Vec<String>, CallError> {
        let (Some(world), Some(control)) = (vm.world(), vm.control()) else { return Err(CallError::Stopped) };
        let lease = control.admit(Name::from(CONSOLE)).await?;
        let (done, ended) = oneshot::channel::<()>();
        let (late, over, turns) = (world.clock.sleep(limit), lease.clone(), Arc::downgrade(&vm.turns));
        world.clock.spawn(Box::pin(async move {
            if let Either::Left(_) = select(late, ended).await {
                over.cancel();
                turns.upgrade().iter().for_each(|turns| turns.watch());
            }
        }));
        // Its clock has to run by the time the line does, which may spin on this very thread.
        give_way().await;
        let (leases, printed) = Default::default();
        let record = Arc::new(Record::console(vm));
        let session = Ended(Arc::new(Session { record, known: self.known.clone(), leases, printed }));
        let asked = lease.clone();
        let result = lease.scope(session.0.clone().run(vm.clone(), world, line.to_owned())).await;
        drop((session, done));
        match result.and_then(|result| result) {
            Err(CallError::Cancelled { .. }) if asked.is_cancelled() => {
                let message = format!("ran longer than {limit:?} and was cancelled");
                Err(CallError::Script(ScriptError::new(ScriptErrorKind::Timeout, message)))
            }
            result => result,
        }
    }
}

/// A line is over, however that came: the functions it made may live on, its leases may not.
struct Ended(Arc<Session>);

impl Drop for Ended {
    fn drop(&mut self) {
        locked(&self.0.leases).clear();
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    async fn run(
        self: Arc<Self>,
        vm: Arc<Vm>,
        world: Arc<World>,
        line: String,
    ) -> Result<Vec<String>, CallError> {
        let known: Vec<Name> = locked(&self.known).iter().cloned().collect();
        for name in known.iter().filter(|name| world.live(name).is_some()) {
            self.hold(&world, name).await;
        }
        let run = Run::new(&vm, How::call(&vm), || {
            let called = self.parse(&vm.lua, &line);
            let called = called.map(|f| Watched::new(&vm, vm.guard.call_async::<MultiValue>(f)));
            async move { Ok::<_, mlua::Error>(called?.await?.iter().map(show::value).collect::<Vec<_>>()) }
        });
        let result = run.await.unwrap_or_else(|overrun| Err(mlua::Error::external(overrun.into_error(&vm))));
        let mut said = std::mem::take(&mut *locked(&self.printed));
        said.extend(result.map_err(|error| vm.call_error(&CONSOLE.into(), &error))?);
        Ok(said)
    }

    fn parse(self: &Arc<Self>, lua: &Lua, line: &str) -> mlua::Result<Function> {
        let read = |text: &str| lua.load(text).set_name("=console").into_function();
        let function = read(&format!("return {line}")).or_else(|first| {
            // Half an expression is told as such, not as a statement that begins wrongly.
            let half = first.to_string().contains("near <eof>");
            read(line).map_err(|error| if half { first } else { error })
        })?;
        function.set_environment(self.environment(lua)?)?;
        Ok(function)
    }

    /// The globals, and before them what is the console's own.
    fn environment(self: &Arc<Self>, lua: &Lua) -> mlua::Result<Table> {
        let this = self.clone();
        let require = lua.create_async_function(move |lua, name: String| {
            let this = this.clone();
            Waiting::new(async move { this.require(&lua, &name.into()).await })
        })?;
        let this = self.clone();
        let is_module = lua.create_function(move |_, path: String| Ok(this.is_module(&path)))?;
        let this = self.clone();
        let release = lua.create_function(move |_, ()| {
            locked(&this.leases).clear();
            Ok(())
        })?;
        let this = self.clone();
        let say = lua.create_function(move |_, said: MultiValue| {
            let said: mlua::Result<Vec<String>> = said.iter().map(Value::to_string).collect();
            locked(&this.printed).push(said?.join("\t"));
            Ok(())
        })?;
        let chunk = lua.load(include_str!("lua/console.lua")).set_name("=graceful");
        chunk.call((lua.globals(), require, is_module, release, say))
    }

    /// What `name` is for a line: what it is for a module, except that no dependency comes of it.
    async fn require(&self, lua: &Lua, name: &Name) -> mlua::Result<Value> {
        let (vm, builtin) = (self.record.vm()?, || builtin::value(lua, &self.record, name));
        if **name == *builtin::FIXED
            && let Some(value) = builtin()?
        {
            return Ok(value);
        }
        if let Some(value) = vm.imports.preset(name)? {
            return Ok(value);
        }
        let world = vm.world().ok_or_else(|| mlua::Error::external(CallError::Stopped))?;
        if vm.seen(name).is_none() {
            if let Some(value) = builtin()? {
                return Ok(value);
            }
            load(&vm, &world, name).await.map_err(mlua::Error::external)?;
        }
        self.hold(&world, name).await;
        locked(&self.known).insert(name.clone());
        let missing = || mlua::Error::runtime(import::unloaded(name));
        vm.exports(&vm.seen(name).ok_or_else(missing)?)
    }

    /// From now on whoever drains `name` waits for this line.
    async fn hold(&self, world: &World, name: &Name) {
        let Some(lease) = Lease::current() else { return };
        loop {
            let changed = world.gate.listen();
            if let Ok(nested) = lease.nested(name) {
                return locked(&self.leases).push(nested);
            }
            changed.await;
        }
    }

    /// Whether the file at `path` is the source of a live module.
    fn is_module(&self, path: &str) -> bool {
        let path = path.trim_start_matches("./");
        let world = self.record.vm().ok().and_then(|vm| vm.world());
        let live = world.map(|world| world.live_all()).unwrap_or_default();
        live.iter().any(|instance| {
            let origin = instance.source.origin.as_str();
            path == origin || path.strip_suffix(origin).is_some_and(|folder| folder.ends_with('/'))
        })
    }
}

#[cfg(test)]
mod tests;
