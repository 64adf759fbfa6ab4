//! `graceful`: what scripts say to the engine.

use graceful_core::{Lease, LeaseKind, Name, ReloadOptions};
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map, Module, NativeCallContext};

use crate::compile::module_name;
use crate::failure::{Failure, Thrown, fail, placed, thrown};
use crate::own::own;
use crate::unit::{here, stopped};
use crate::wait::spawned;
use crate::{class, error, import, link, options, register, reload, roles, semver, shape, state};

/// The functions of `graceful`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("graceful");
    semver::functions(&mut module);
    state::functions(&mut module);
    register::functions(&mut module);
    class::functions(&mut module);
    module.set_native_fn("state", |cx: NativeCallContext| Ok(here(&cx)?.common.state.clone()));
    module.set_native_fn("me", |cx: NativeCallContext| Ok(here(&cx)?.object()));
    module.set_native_fn("reload", |cx: NativeCallContext| placed(&cx, reload(&cx, Map::new())));
    module.set_native_fn("reload", |cx: NativeCallContext, options: Map| placed(&cx, reload(&cx, options)));
    module.set_native_fn("plan", |cx: NativeCallContext| placed(&cx, plan(&cx, &Map::new())));
    module.set_native_fn("plan", |cx: NativeCallContext, options: Map| placed(&cx, plan(&cx, &options)));
    module.set_native_fn("unregister_module", |cx: NativeCallContext, name: ImmutableString| {
        placed(&cx, unregister(&cx, &name, false))
    });
    module.set_native_fn(
        "unregister_module",
        |cx: NativeCallContext, name: ImmutableString, options: Map| {
            placed(&cx, options::removal(&options).and_then(|force| unregister(&cx, &name, force)))
        },
    );
    module.set_native_fn("shutdown", |cx: NativeCallContext| placed(&cx, shutdown(&cx, &Map::new())));
    module.set_native_fn("shutdown", |cx: NativeCallContext, given: Map| placed(&cx, shutdown(&cx, &given)));
    module.set_native_fn("modules", |cx: NativeCallContext| {
        Ok(shape::modules(&*here(&cx)?.runtime.world().map_err(fail)?))
    });
    module.set_native_fn(
        "own",
        |cx: NativeCallContext, key: ImmutableString, value: Dynamic, release: FnPtr| {
            placed(&cx, own(&cx, &key, value, release))
        },
    );
    module.set_native_fn(
        "invoke",
        |cx: NativeCallContext, module: ImmutableString, function: ImmutableString, args: Array| {
            placed(&cx, invoke(&cx, &module, &function, &args))
        },
    );
    module.set_sub_module("roles", roles::module());
    module.build_index();
    module
}

/// `graceful::reload(#{ force: true })`. While a chunk loads it does nothing and returns true.
fn reload(cx: &NativeCallContext, options: Map) -> Thrown<Dynamic> {
    if refused()? {
        return Ok(Dynamic::TRUE);
    }
    run(cx, options::reload(&options)?)
}

fn unregister(cx: &NativeCallContext, name: &str, force: bool) -> Thrown<Dynamic> {
    if refused()? {
        return Err(thrown("a module cannot be unregistered while another one loads"));
    }
    let (remove, changed) = ([Name::from(name)].into(), Some(Default::default()));
    run(cx, ReloadOptions { remove, leave_dependents: force, changed, ..ReloadOptions::default() })
}

fn run(cx: &NativeCallContext, options: ReloadOptions) -> Thrown<Dynamic> {
    match reload::run(&*here(cx)?, options)? {
        Ok(report) => Ok(shape::report(&report)),
        Err(error) => Err(fail(Failure::from(&error))),
    }
}

/// Begins to shut the engine down; nobody waits for it, for it waits for the call that asked. In a reload it
/// begins with the commit.
fn shutdown(cx: &NativeCallContext, given: &Map) -> Thrown<bool> {
    let (unit, options) = (here(cx)?, options::shutdown(given)?);
    let control = unit.runtime.control().map_err(fail)?;
    let begin = move || drop(control.shutdown(options));
    match Lease::current_intents() {
        Some(_) => unit.scope().map_err(fail)?.defer(begin),
        None => begin(),
    }
    Ok(true)
}

/// Whether a top level runs; in a hook a reload is an error.
fn refused() -> Thrown<bool> {
    let Some(lease) = Lease::current().filter(Lease::is_transactional) else { return Ok(false) };
    if lease.kind() == LeaseKind::Stage {
        return Ok(true);
    }
    Err(fail(Failure::nested()))
}

/// `graceful::plan(#{ force: true })`: what such a reload would do.
fn plan(cx: &NativeCallContext, options: &Map) -> Thrown<Dynamic> {
    let options = options::reload(options)?;
    let runtime = here(cx)?.runtime.clone();
    let (world, control) = (runtime.world().map_err(fail)?, runtime.control().map_err(fail)?);
    let made = spawned(&*world.clock, control.plan(options)).map_err(stopped)?;
    made.map(|plan| shape::plan(&plan)).map_err(|error| fail(Failure::from(&error)))
}

/// `graceful::invoke(module, function, [arguments])`: a function whose name Rhai cannot say, such as `new`.
fn invoke(cx: &NativeCallContext, module: &str, function: &str, args: &[Dynamic]) -> Thrown<Dynamic> {
    let unit = here(cx)?;
    let place = error::place(&unit.program.source.origin, cx.call_position());
    let instance = import::instance(&unit, &module_name(module), place)?;
    link::call_instance(&unit.runtime, &instance, function, args)
}
