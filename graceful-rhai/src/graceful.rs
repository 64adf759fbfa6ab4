//! `graceful`: what scripts say to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use graceful_core::report::ModuleReport;
use graceful_core::{
    CallError, Code, HookError, Lease, LeaseKind, Name, Plan, ReloadOptions, Report, Resource, ScriptError,
};
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map, Module, NativeCallContext};

use crate::failure::{Failure, Thrown, fail, thrown};
use crate::run::off_thread;
use crate::unit::{Unit, here, stopped};
use crate::wait::spawned;
use crate::watch::Watch;
use crate::{error, import, link, register, reload, semver, state};

/// The functions of `graceful`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("graceful");
    semver::functions(&mut module);
    state::functions(&mut module);
    register::functions(&mut module);
    module.set_native_fn("state", |cx: NativeCallContext| Ok(here(&cx)?.state.clone()));
    module.set_native_fn("me", |cx: NativeCallContext| Ok(here(&cx)?.object()));
    module.set_native_fn("reload", |cx: NativeCallContext| reload(&cx, Map::new()));
    module.set_native_fn("reload", |cx: NativeCallContext, options: Map| reload(&cx, options));
    module.set_native_fn("plan", |cx: NativeCallContext| plan(&cx));
    module.set_native_fn("unregister_module", |cx: NativeCallContext, name: ImmutableString| {
        unregister(&cx, &name, false)
    });
    module.set_native_fn("unregister_module", |cx: NativeCallContext, name: ImmutableString, force: bool| {
        unregister(&cx, &name, force)
    });
    module.set_native_fn("own", own);
    module.set_native_fn("invoke", invoke);
    module.build_index();
    module
}

/// `graceful::reload(#{force: true})`. While a chunk loads it does nothing and returns true.
fn reload(cx: &NativeCallContext, options: Map) -> Thrown<Dynamic> {
    if refused()? {
        return Ok(Dynamic::TRUE);
    }
    let mut wanted = ReloadOptions::default();
    for (option, value) in options {
        match (option.as_str(), value.as_bool()) {
            ("force", Ok(force)) => wanted.force = force,
            ("force", Err(kind)) => {
                return Err(thrown(format!("option `force`: expected a boolean, got {kind}")));
            }
            (other, _) => return Err(thrown(format!("unknown option `{other}`, did you mean `force`?"))),
        }
    }
    run(cx, wanted)
}

fn unregister(cx: &NativeCallContext, name: &str, force: bool) -> Thrown<Dynamic> {
    if refused()? {
        return Err(thrown("a module cannot be unregistered while another one loads"));
    }
    let (remove, changed) = ([Name::from(name)].into(), Some(Default::default()));
    run(cx, ReloadOptions { remove, force, changed, ..ReloadOptions::default() })
}

fn run(cx: &NativeCallContext, options: ReloadOptions) -> Thrown<Dynamic> {
    match reload::run(&here(cx)?.runtime, options)? {
        Ok(report) => Ok(reported(&report)),
        Err(error) => Err(fail(Failure::from(&error))),
    }
}

/// Whether a top level runs; in a hook a reload is an error.
fn refused() -> Thrown<bool> {
    let Some(lease) = Lease::current().filter(Lease::is_transactional) else { return Ok(false) };
    if lease.kind() == LeaseKind::Stage {
        return Ok(true);
    }
    let message = "reload was called inside a reload's own hook; the running reload goes on".to_owned();
    Err(fail(Failure::Reload { code: Code("GR0116"), message, retryable: true }))
}

fn reported(report: &Report) -> Dynamic {
    let module = |module: &ModuleReport| {
        let version = |version: &Option<graceful_core::Version>| version.as_ref().map(ToString::to_string);
        let text = |text: Option<String>| text.map_or(Dynamic::UNIT, Dynamic::from);
        let action = format!("{:?}", module.action).to_lowercase();
        Dynamic::from_map(Map::from([
            ("module".into(), module.module.to_string().into()),
            ("action".into(), action.into()),
            ("reason".into(), module.reason.to_string().into()),
            ("old".into(), text(version(&module.old))),
            ("new".into(), text(version(&module.new))),
        ]))
    };
    let warnings: Array = report.warnings.iter().map(|warning| warning.clone().into()).collect();
    Dynamic::from_map(Map::from([
        ("reload".into(), (report.reload as i64).into()),
        ("outcome".into(), report.outcome.as_str().into()),
        ("generation".into(), (report.generation as i64).into()),
        ("modules".into(), report.modules.iter().map(module).collect::<Array>().into()),
        ("warnings".into(), warnings.into()),
    ]))
}

/// `graceful::plan()`: what a reload would do.
fn plan(cx: &NativeCallContext) -> Thrown<Dynamic> {
    let runtime = here(cx)?.runtime.clone();
    let (world, control) = (runtime.world().map_err(fail)?, runtime.control().map_err(fail)?);
    let made = spawned(&*world.clock, control.plan(ReloadOptions::default())).map_err(stopped)?;
    let plan: Plan = made.map_err(|error| fail(Failure::from(&error)))?;
    let steps = plan.steps.iter().map(|step| {
        Dynamic::from_map(Map::from([
            ("module".into(), step.module.to_string().into()),
            ("action".into(), format!("{:?}", step.action).to_lowercase().into()),
            ("reason".into(), step.reason.to_string().into()),
        ]))
    });
    Ok(steps.collect::<Array>().into())
}

/// `graceful::invoke(module, function, [arguments])`: a function whose name Rhai cannot say, such as `new`.
fn invoke(
    cx: NativeCallContext,
    module: ImmutableString,
    function: ImmutableString,
    args: Array,
) -> Thrown<Dynamic> {
    let unit = here(&cx)?;
    let place = error::place(&unit.program.source.origin, cx.call_position());
    let instance = import::instance(&unit, &Name::from(module.as_str()), place)?;
    link::call_instance(&unit.runtime, &instance, &function, &args)
}

/// `graceful::own(key, value, |value| ...)`: released with the module.
fn own(cx: NativeCallContext, key: ImmutableString, value: Dynamic, release: FnPtr) -> Thrown<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let unit = here(&cx)?;
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let scope = unit.scope().map_err(fail)?;
    scope.add(Arc::new(Owned {
        id,
        key: key.to_string(),
        unit,
        value,
        release,
        released: AtomicBool::new(false),
    }));
    Ok(())
}

struct Owned {
    id: u64,
    key: String,
    unit: Arc<Unit>,
    value: Dynamic,
    release: FnPtr,
    released: AtomicBool,
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
        let told = |error: CallError| HookError::new(error.to_string());
        let world = self.unit.runtime.world().map_err(told)?;
        let instance = self.unit.instance().map_err(|failure| HookError::new(failure.message()))?;
        let generation = instance.last().min(world.gate.live());
        let lease = Lease::open_at(&world.gate, &self.unit.name, LeaseKind::Nested, generation, None);
        let (unit, function, value) = (self.unit.clone(), self.release.clone(), self.value.clone());
        let work = move || {
            let done = unit.call_pointer(None, &function, vec![value]);
            done.map(drop).map_err(|thrown| error::hook_error(thrown, &unit.name, &*unit))
        };
        let watch = Watch::call(Some(lease.clone()));
        let result = lease.scope(off_thread(&*world.clock, watch, work)).await.map_err(told)?;
        self.released.store(true, Ordering::Release);
        result.map_err(|error: ScriptError| HookError::from(error))?
    }
}
