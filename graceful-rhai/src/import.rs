//! What an `import` finds: the instance that belongs to the importing module's time, run once whoever imports
//! it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant as Moment};

use graceful_core::{CallError, Instance, Lease, Name, Place, ReloadOptions, Resolved};
use rhai::module_resolvers::DummyModuleResolver;
use rhai::{Engine, EvalAltResult, GlobalRuntimeState, ModuleResolver, Position, Scope, Shared};

use crate::compile::module_name;
use crate::error;
use crate::failure::{Failure, Thrown, fail};
use crate::module::RhaiModule;
use crate::unit::{Unit, stopped, tagged};
use crate::wait::wait;
use crate::{link, reload, watch};

/// How long an import waits for a reload that replaces what it wants.
const CLOSING: Duration = Duration::from_secs(5);

/// Gives every `import` the one instance it is to see.
pub(crate) struct Resolver;

impl ModuleResolver for Resolver {
    fn resolve(
        &self,
        engine: &Engine,
        source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Thrown<Shared<rhai::Module>> {
        DummyModuleResolver::new().resolve(engine, source, path, at)
    }

    fn resolve_raw(
        &self,
        engine: &Engine,
        frame: &mut GlobalRuntimeState,
        _: &mut Scope,
        path: &str,
        at: Position,
    ) -> Thrown<Shared<rhai::Module>> {
        let Some(unit) = tagged(&frame.tag) else {
            return self.resolve(engine, frame.source(), path, at);
        };
        if let Some(builtin) = unit.runtime.builtin.get(path) {
            return Ok(builtin.clone());
        }
        let mut placed = error::place(&unit.program.source.origin, at);
        placed.column = placed.column.filter(|_| placed.line.is_some());
        let found = instance(&unit, &module_name(path), placed).and_then(|found| module(&unit, &found));
        found.map_err(|mut error| {
            if error.position().is_none() {
                error.set_position(at);
            }
            error
        })
    }
}

/// The module that `unit` imports for an instance.
fn module(unit: &Arc<Unit>, found: &Arc<Instance>) -> Thrown<Shared<rhai::Module>> {
    let missing = || fail(CallError::NoModule { module: found.name.to_string() });
    let loaded = found.module().ok_or_else(missing)?;
    if let Some(module) = loaded.as_any().downcast_ref::<RhaiModule>() {
        return Ok(module.exports().clone());
    }
    let cached = || unit.foreign.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((instance, module)) = cached().get(&found.name)
        && instance.upgrade().is_some_and(|instance| Arc::ptr_eq(&instance, found))
    {
        return Ok(module.clone());
    }
    let made = link::foreign(&unit.runtime, found).map_err(fail)?;
    let old = cached().insert(found.name.clone(), (Arc::downgrade(found), made.clone()));
    drop(old);
    Ok(made)
}

/// The instance of `name` that `unit` sees now, loaded if it has to be.
pub(crate) fn instance(unit: &Arc<Unit>, name: &Name, place: Place) -> Thrown<Arc<Instance>> {
    let world = unit.runtime.world().map_err(fail)?;
    if let Some(session) = &unit.session {
        return match session.find(&world, name).map_err(stopped)? {
            Some(found) => Ok(found),
            None => {
                load(unit, name)?;
                let missing = || fail(CallError::NoModule { module: name.to_string() });
                session.find(&world, name).map_err(stopped)?.ok_or_else(missing)
            }
        };
    }
    let from = unit.instance().map_err(fail)?;
    let until = Moment::now() + CLOSING;
    let mut loaded = false;
    loop {
        match world.resolve(&from, name, || Some(place.clone())) {
            Resolved::Settled(found) | Resolved::Pinned(found) => return Ok(found),
            Resolved::Pending | Resolved::Absent => {
                if let Some(importer) = watch::staging().and_then(|staging| staging.importer) {
                    let import = importer.import(&from, name, Some(place.clone()));
                    // What others take to load is not this one's.
                    let imported = watch::waive(|| wait(import)).map_err(stopped)?;
                    return imported.map_err(fail);
                }
                if std::mem::replace(&mut loaded, true) {
                    return Err(fail(CallError::NoModule { module: name.to_string() }));
                }
                load(unit, name)?;
            }
            Resolved::Closing => {
                let suspended = || fail(CallError::Suspended { module: name.to_string() });
                // A call that the reload drains would keep waiting for itself.
                let drained = Lease::current().is_some_and(|lease| world.gate.is_shut(lease.root()));
                if drained || Moment::now() >= until {
                    return Err(suspended());
                }
                let (settled, awaited) = (unit.runtime.world().map_err(fail)?, name.clone());
                let either = futures_util::future::select(
                    Box::pin(async move { settled.settled(&awaited).await }),
                    world.clock.sleep(CLOSING),
                );
                wait(either).map_err(stopped)?;
            }
        }
    }
}

/// Loads a module that nobody required so far, in a reload of its own.
fn load(unit: &Arc<Unit>, name: &Name) -> Thrown<()> {
    let lease = Lease::current();
    if lease.is_some_and(|lease| lease.is_transactional()) {
        return Err(fail(CallError::NoModule { module: name.to_string() }));
    }
    let options = ReloadOptions {
        load: [name.clone()].into(),
        changed: Some(Default::default()),
        ..ReloadOptions::default()
    };
    match reload::run(unit, options)? {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(EvalAltResult::ErrorRuntime(rhai::Dynamic::from(Failure::from(&error)), Position::NONE)
                .into())
        }
    }
}
