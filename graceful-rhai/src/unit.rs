//! One generation of one module, ready to run: its tree, what it imported, its state; and how its functions
//! are called in a frame of their own.
//!
//! Rhai would run an imported function in the caller's frame, where functions of the same name are mixed up.
//! Here every entry into a module opens a frame that holds this module's functions and imports and nothing
//! else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use graceful_core::{CallError, Control, Instance, Lease, Name, Scope, ScriptError, Source, World};
use rhai::{
    Caches, Dynamic, Engine, EvalAltResult, EvalContext, FnPtr, GlobalRuntimeState, ImmutableString, Module,
    NativeCallContext, Position, Scope as Variables, Shared,
};

use crate::cell::Entries;
use crate::compile::{Program, Reading};
use crate::error::Files;
use crate::failure::{Failure, Thrown, fail};
use crate::linked::Linked;
use crate::monitor::Monitor;
use crate::registration::{ModuleObject, Registration};
use crate::run::Tally;
use crate::session::{CONSOLE, Session};
use crate::table::{Class, Table};
use crate::watch::Stop;
use crate::{bulk, cell, monitor};

/// What every module of one backend shares.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// How sources are read.
    pub(crate) reading: Reading,
    /// The modules that are always there.
    pub(crate) builtin: BTreeMap<&'static str, Shared<Module>>,
    /// What only lines of the console can call.
    pub(crate) console: Shared<Module>,
    pub(crate) link: OnceLock<(Weak<World>, Weak<dyn Control>)>,
    /// How long a call may run without waiting.
    pub(crate) turn: Option<Duration>,
}

impl Runtime {
    pub(crate) fn world(&self) -> Result<Arc<World>, CallError> {
        self.link.get().and_then(|(world, _)| world.upgrade()).ok_or(CallError::Stopped)
    }

    pub(crate) fn control(&self) -> Result<Arc<dyn Control>, CallError> {
        self.link.get().and_then(|(_, control)| control.upgrade()).ok_or(CallError::Stopped)
    }
}

/// What all generations of a module share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) state: Table,
    /// Lets one call at a time in.
    pub(crate) monitor: Arc<Monitor>,
    /// Hooks that run.
    pub(crate) hooks: Arc<Tally>,
}

/// Modules of other backends as one module imports them.
type Foreign = BTreeMap<Name, (Weak<Instance>, Shared<Module>)>;

/// One version of a class: its methods, and where those come from that it has not.
pub(crate) struct Methods {
    pub(crate) own: BTreeMap<ImmutableString, FnPtr>,
    pub(crate) base: Option<Class>,
}

type Classes = BTreeMap<ImmutableString, Arc<Methods>>;

/// One generation of one module.
pub(crate) struct Unit {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) name: Name,
    pub(crate) program: Arc<Program>,
    pub(crate) common: Common,
    pub(crate) linked: OnceLock<Linked>,
    pub(crate) registration: Mutex<Option<Registration>>,
    /// The classes that its top level made.
    pub(crate) classes: Mutex<Classes>,
    pub(crate) foreign: Mutex<Foreign>,
    /// It is a line of the console and no module.
    pub(crate) session: Option<Arc<Session>>,
    /// Weak, because the instance owns the module and what it started, which own this.
    instance: Weak<Instance>,
}

/// How many arguments of a callback may be missing.
const MOST_MISSING: usize = 4;

/// Marks a frame as one of this unit.
#[derive(Clone)]
struct Here(Arc<Unit>);

/// The unit that a frame marked by `tag` belongs to.
pub(crate) fn tagged(tag: &Dynamic) -> Option<Arc<Unit>> {
    tag.read_lock::<Here>().map(|here| here.0.clone())
}

/// The unit whose code calls.
pub(crate) fn here(cx: &NativeCallContext) -> Thrown<Arc<Unit>> {
    let outside = || fail(graceful_core::ScriptError::runtime("this only works inside of a module"));
    cx.tag().and_then(tagged).ok_or_else(outside)
}

/// As an error that no script can catch.
pub(crate) fn stopped(stop: Stop) -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(Dynamic::from(stop), Position::NONE).into()
}

impl Unit {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        instance: &Arc<Instance>,
        program: Arc<Program>,
        common: Common,
    ) -> Arc<Self> {
        let weak = Arc::downgrade(instance);
        Self::made(runtime, instance.name.clone(), weak, program, common, None)
    }

    /// A line of the console.
    pub(crate) fn line(runtime: Arc<Runtime>, program: Arc<Program>, session: Arc<Session>) -> Arc<Self> {
        let common =
            Common { state: Table::of(Entries::new()), monitor: Arc::default(), hooks: Arc::default() };
        Self::made(runtime, CONSOLE.into(), Weak::new(), program, common, Some(session))
    }

    fn made(
        runtime: Arc<Runtime>,
        name: Name,
        instance: Weak<Instance>,
        program: Arc<Program>,
        common: Common,
        session: Option<Arc<Session>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            name,
            program,
            common,
            linked: OnceLock::new(),
            registration: Mutex::default(),
            classes: Mutex::default(),
            foreign: Mutex::default(),
            session,
            instance,
        })
    }

    /// The instance it is the code of; the live one of its name if that was purged, which happens to old
    /// functions that were kept in a state.
    pub(crate) fn instance(&self) -> Result<Arc<Instance>, Failure> {
        let live = || self.runtime.world().ok()?.live(&self.name);
        let gone = || CallError::NoModule { module: self.name.to_string() };
        Ok(self.instance.upgrade().or_else(live).ok_or_else(gone)?)
    }

    /// Where what it starts belongs.
    pub(crate) fn scope(&self) -> Result<Arc<Scope>, Failure> {
        if self.session.is_some() {
            return Err(ScriptError::runtime(
                "the console owns nothing: what is to stay belongs to a module",
            )
            .into());
        }
        let own = self.instance()?.scope.clone();
        if !own.is_closed() {
            return Ok(own);
        }
        // A call in flight that began in this generation's time stays in it.
        let in_time = |born| Lease::current_generation().is_none_or(|generation| generation >= born);
        let live = self.runtime.world()?.live(&self.name).filter(|live| in_time(live.born));
        Ok(live.map_or(own, |live| live.scope.clone()))
    }

    /// What it registered.
    pub(crate) fn registered(&self) -> Option<Registration> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its module object.
    pub(crate) fn object(&self) -> ModuleObject {
        let version = self.registered().and_then(|registration| registration.version);
        ModuleObject { name: self.name.clone(), version, state: self.common.state.clone() }
    }

    /// A frame for its code; below `above`, as far as the depth of calls goes.
    pub(crate) fn frame(self: &Arc<Self>, above: Option<&NativeCallContext>) -> GlobalRuntimeState {
        self.frame_at(above.map_or(0, |above| above.call_level() + 1))
    }

    pub(crate) fn frame_at(self: &Arc<Self>, level: usize) -> GlobalRuntimeState {
        let mut frame = self.runtime.engine.new_global_runtime_state();
        frame.source = self.program.ast.source().map(ImmutableString::from);
        frame.lib.extend(self.session.as_ref().map(|_| self.runtime.console.clone()));
        frame.lib.extend(self.program.stubs.clone());
        frame.lib.push(self.program.ast.shared_lib().clone());
        frame.tag = Dynamic::from(Here(self.clone()));
        frame.level = level;
        bulk::entered(level == 0, self.program.blind);
        if let Some(linked) = self.linked.get() {
            linked.imports.iter().for_each(|(name, module)| frame.push_import(name.clone(), module.clone()));
        }
        frame
    }

    /// Calls one of its functions; the caller made sure that it is there.
    pub(crate) fn call_named(
        self: &Arc<Self>,
        above: Option<&NativeCallContext>,
        name: &str,
        mut args: Vec<Dynamic>,
    ) -> Thrown<Dynamic> {
        let _stay = monitor::enter(&self.common.monitor).map_err(stopped)?;
        let (mut frame, mut caches, mut variables) = (self.frame(above), Caches::new(), Variables::new());
        let mut cx = EvalContext::new(&self.runtime.engine, &mut frame, &mut caches, &mut variables, None);
        let result = cx.call_fn_raw(name, false, false, &mut args.iter_mut().collect::<Vec<_>>());
        cell::settle();
        result.map(Dynamic::flatten)
    }

    /// Calls a function of its own by pointer, with as many of `args` as it takes; what is missing is
    /// nothing.
    pub(crate) fn call_pointer(
        self: &Arc<Self>,
        above: Option<&NativeCallContext>,
        pointer: &FnPtr,
        args: Vec<Dynamic>,
    ) -> Thrown<Dynamic> {
        self.call_on(None, above.map_or(0, |above| above.call_level() + 1), pointer, args)
    }

    /// The same, with `this`, at a depth of calls.
    pub(crate) fn call_on(
        self: &Arc<Self>,
        this: Option<&mut Dynamic>,
        level: usize,
        pointer: &FnPtr,
        mut args: Vec<Dynamic>,
    ) -> Thrown<Dynamic> {
        if let Some(taken) = self.takes(pointer, args.len()) {
            args.resize(taken, Dynamic::UNIT);
        }
        let _stay = monitor::enter(&self.common.monitor).map_err(stopped)?;
        let frame = self.frame_at(level);
        let (engine, source) = (&self.runtime.engine, self.program.ast.source());
        let cx =
            NativeCallContext::new_with_all_fields(engine, pointer.fn_name(), source, &frame, Position::NONE);
        let result = pointer.call_raw(&cx, this, args);
        cell::settle();
        result.map(Dynamic::flatten)
    }

    /// How many arguments besides its own a function takes, as near to `given` as it can be; `None` if it is
    /// none of the script's.
    pub(crate) fn takes(&self, pointer: &FnPtr, given: usize) -> Option<usize> {
        let own = pointer.curry().len();
        let fewer = (0..=given).rev();
        fewer.chain(given + 1..=given + MOST_MISSING).find(|args| self.has(pointer.fn_name(), own + args))
    }

    /// Whether it has a function of this name and number of parameters.
    pub(crate) fn has(&self, name: &str, params: usize) -> bool {
        self.program.ast.shared_lib().get_script_fn(name, params).is_some()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.linked.take().into_iter().for_each(Linked::leave);
    }
}

impl Files for Unit {
    fn entered(&self) -> &str {
        &self.program.source.origin
    }

    fn source(&self, origin: &str) -> Option<Arc<Source>> {
        if *origin == self.program.source.origin {
            return Some(self.program.source.clone());
        }
        let instances = self.runtime.world().ok()?.instances();
        instances
            .into_iter()
            .rev()
            .map(|instance| instance.source.clone())
            .find(|source| source.origin == origin)
    }
}
