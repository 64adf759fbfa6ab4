//! A module as others import it: Rhai's own by direct calls into its unit, those of other backends through
//! the core.

use std::any::TypeId;
use std::sync::{Arc, Weak};

use graceful_core::{CallError, Export, Instance, Name, Value, dispatch};
use rhai::{Dynamic, FuncRegistration, Module, NativeCallContext, RhaiFunc, Shared};

use crate::bind::{Going, bind, take};
use crate::failure::{Thrown, fail, placed};
use crate::unit::{Runtime, Unit, here, stopped};
use crate::value::{from_value, to_value};
use crate::wait::wait;

/// With how many arguments a function of another backend can be called.
const MOST_ARGS: usize = 8;

/// The module that others import for `unit`, which has been run. `values` holds what it exports besides
/// functions.
///
/// What it imported itself is not in it: Rhai would index all of that again for each module that imports this
/// one.
pub(crate) fn exports(unit: &Arc<Unit>, values: Module) -> Shared<Module> {
    let mut module = Module::new();
    for (name, value) in values.iter_var() {
        let mut value = value.clone();
        bind(&mut value, unit, Going::Abroad);
        module.set_var(name, value);
    }
    for (name, params) in &unit.program.exports {
        let (unit, function) = (unit.clone(), name.clone());
        let call = move |cx: &NativeCallContext, args: Vec<Dynamic>| {
            let mut result = unit.call_named(Some(cx), &function, args)?;
            bind(&mut result, &unit, Going::Abroad);
            Ok(result)
        };
        add(&mut module, name, *params, call);
    }
    module.set_id(unit.name.as_str());
    module.build_index();
    module.into()
}

/// The module that Rhai scripts import for an instance of another backend.
pub(crate) fn foreign(runtime: &Arc<Runtime>, instance: &Arc<Instance>) -> Result<Shared<Module>, CallError> {
    let missing = || CallError::NoModule { module: instance.name.to_string() };
    let loaded = instance.module().ok_or_else(missing)?;
    let mut module = Module::new();
    for (name, export) in &loaded.manifest().exports {
        match export {
            Export::Value(value) => {
                module.set_var(name.as_str(), from_value(value.clone()));
            }
            Export::Function => {
                let callee = Callee {
                    runtime: Arc::downgrade(runtime),
                    instance: Arc::downgrade(instance),
                    name: instance.name.clone(),
                    function: name.clone(),
                };
                let callee = Arc::new(callee);
                for params in 0..=MOST_ARGS {
                    let callee = callee.clone();
                    add(&mut module, name, params, move |_: &NativeCallContext, args| callee.call(args));
                }
            }
        }
    }
    module.set_id(instance.name.as_str());
    module.build_index();
    Ok(module.into())
}

/// An exported function of another backend. Weak, because what it belongs to may import the module that holds
/// this.
struct Callee {
    runtime: Weak<Runtime>,
    instance: Weak<Instance>,
    name: Name,
    function: String,
}

impl Callee {
    fn call(&self, args: Vec<Dynamic>) -> Thrown<Dynamic> {
        let runtime = self.runtime.upgrade().ok_or_else(|| fail(CallError::Stopped))?;
        let world = runtime.world().map_err(fail)?;
        let found = self.instance.upgrade().or_else(|| world.live(&self.name));
        let gone = || fail(CallError::NoModule { module: self.name.to_string() });
        call_instance(&runtime, &found.ok_or_else(gone)?, &self.function, &args)
    }
}

/// Calls an export of an instance of any backend, with plain values.
pub(crate) fn call_instance(
    runtime: &Runtime,
    instance: &Arc<Instance>,
    function: &str,
    args: &[Dynamic],
) -> Thrown<Dynamic> {
    let world = runtime.world().map_err(fail)?;
    let plain: Result<Vec<Value>, String> = args.iter().map(to_value).collect();
    let plain = plain.map_err(|reason| {
        let reason = format!("an argument of `{function}`: {reason}");
        fail(CallError::BadValue { module: instance.name.to_string(), reason })
    })?;
    match wait(dispatch::call(&world, instance, function, plain)) {
        Ok(result) => result.map(from_value).map_err(fail),
        Err(stop) => Err(stopped(stop)),
    }
}

/// Adds a function with so many parameters of any type.
pub(crate) fn add(
    module: &mut Module,
    name: &str,
    params: usize,
    call: impl Fn(&NativeCallContext, Vec<Dynamic>) -> Thrown<Dynamic> + Send + Sync + 'static,
) {
    let func = move |cx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| {
        let cx = cx.expect("it was registered with its context");
        let caller = here(&cx).ok();
        placed(&cx, call(&cx, take(args, caller.as_ref())))
    };
    let func =
        RhaiFunc::Pure { func: Shared::new(func), has_context: true, is_pure: true, is_volatile: true };
    let types = vec![TypeId::of::<Dynamic>(); params];
    FuncRegistration::new(name).set_into_module_raw(module, types, func);
}
