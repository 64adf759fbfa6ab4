//! `graceful::class(name, methods)`: objects that follow the code. An object has a class and no methods of its own;
//! which ones it has is looked up where one is called, in the version of the class's module that the call sees.
//!
//! ```text
//! let Account = graceful::class("Account", #{
//!     deposit: |amount| { this.balance += amount; this.balance },
//! });
//! let ada = Account.create(#{ balance: 1 });
//! ada.deposit(5);
//! ```
//!
//! So there is nothing to swap at a commit, and nothing to put back after a failure. A call that began before a
//! commit goes on with the methods it began with, as it goes on with everything else.

use std::any::TypeId;
use std::sync::{Arc, PoisonError};

use graceful_core::near::{meant, nearest};
use graceful_core::{CallError, Lease};
use rhai::{
    Array, Dynamic, Engine, EvalContext, FnPtr, ImmutableString, Map, Module, NativeCallContext, Position,
};

use crate::bind::{Going, at_home, bind};
use crate::cell::Entries;
use crate::compile::{METHOD, OBJECT};
use crate::error::STUBS;
use crate::failure::{Thrown, fail, placed, thrown};
use crate::module::RhaiModule;
use crate::service::Service;
use crate::state::{kept, set, updates};
use crate::table::{Class, Object, Table};
use crate::unit::{Methods, Unit, here, tagged};
use crate::value::kind;
use crate::watch::staging;

/// How many classes may come from one another.
const DEEPEST: usize = 32;

/// The functions of `graceful` that have to do with classes.
pub(crate) fn functions(module: &mut Module) {
    module
        .set_native_fn("class", |cx: NativeCallContext, name: ImmutableString| placed(&cx, known(&cx, name)));
    module.set_native_fn("class", |cx: NativeCallContext, name: ImmutableString, methods: Map| {
        placed(&cx, make(&cx, name, None, methods))
    });
    module.set_native_fn(
        "class",
        |cx: NativeCallContext, name: ImmutableString, base: Class, methods: Map| {
            placed(&cx, make(&cx, name, Some(base), methods))
        },
    );
}

/// What classes and objects can do.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Class>("Class");
    engine.register_get("name", |class: &mut Class| class.name.clone());
    engine.register_fn("create", |class: Class| object(class, Entries::new()));
    engine.register_fn("create", |cx: NativeCallContext, class: Class, fields: Map| {
        let fields = fields.into_iter().map(|(key, value)| Ok((key.as_str().into(), kept(&cx, value)?)));
        let fields = fields.collect::<Thrown<Entries>>()?;
        let fields = fields.into_iter().filter(|(_, value)| !value.is_unit());
        Thrown::Ok(object(class, fields.collect()))
    });
    engine.register_fn("has", |class: Class, value: Dynamic| {
        value.read_lock::<Object>().is_some_and(|object| object.class == class)
    });
    engine.register_fn("==", |one: Class, other: Class| one == other);
    engine.register_fn("!=", |one: Class, other: Class| one != other);
    engine.register_type_with_name::<Object>(OBJECT);
    engine.register_indexer_get(|cx: NativeCallContext, object: &mut Object, key: ImmutableString| {
        object.fields.read(&key, updates(&cx))
    });
    engine.register_indexer_set(
        |cx: NativeCallContext, object: &mut Object, key: ImmutableString, value: Dynamic| {
            set(&cx, &object.fields, key, value)
        },
    );
    engine.register_fn("==", |one: Object, other: Object| one.fields.is(&other.fields));
    engine.register_fn("!=", |one: Object, other: Object| !one.fields.is(&other.fields));
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |class: &mut Class| format!("class {}", class.name));
        engine.register_fn(name, |object: &mut Object| {
            format!("{} {:?}", object.class.name, object.fields.entries().into_keys().collect::<Vec<_>>())
        });
    }
    let types = [TypeId::of::<Dynamic>(), TypeId::of::<ImmutableString>(), TypeId::of::<Array>()];
    engine.register_raw_fn(METHOD, types, |cx, args| stubbed(&cx, args));
    #[allow(deprecated)]
    engine.on_missing_function(missing);
}

fn object(class: Class, fields: Entries) -> Object {
    Object { class, fields: Table::of(fields) }
}

/// `class(name)`: one that this module made.
fn known(cx: &NativeCallContext, name: ImmutableString) -> Thrown<Class> {
    let unit = here(cx)?;
    if unit.class(&name).is_none() {
        let made = "its methods are given while its module loads: graceful::class(name, #{..})";
        return Err(thrown(format!("module `{}` has no class `{name}`; {made}", unit.name)));
    }
    Ok(Class { module: unit.name.clone(), name })
}

fn make(cx: &NativeCallContext, name: ImmutableString, base: Option<Class>, methods: Map) -> Thrown<Class> {
    let unit = here(cx)?;
    if staging().is_none() || unit.linked.get().is_some() {
        return Err(thrown(format!("class `{name}`: a class is made while its module loads, not later")));
    }
    let own = methods.into_iter().map(|(method, value)| match value.clone().try_cast::<FnPtr>() {
        Some(function) => Ok((method.as_str().into(), at_home(function))),
        None => {
            let got = kind(&value);
            Err(thrown(format!("class `{name}`, method `{method}`: expected a function, got {got}")))
        }
    });
    let methods = Methods { own: own.collect::<Thrown<_>>()?, base };
    let mut classes = unit.classes.lock().unwrap_or_else(PoisonError::into_inner);
    if classes.insert(name.clone(), Arc::new(methods)).is_some() {
        return Err(thrown(format!("class `{name}` is made twice")));
    }
    Ok(Class { module: unit.name.clone(), name })
}

/// A method whose name a function of the file has too.
fn stubbed(cx: &NativeCallContext, args: &mut [&mut Dynamic]) -> Thrown<Dynamic> {
    let [this, name, args] = args else { return Err(thrown("a method needs what it is called on")) };
    let (name, mut args) = (name.to_string(), args.take().cast::<Array>());
    let service = this.read_lock::<Service>().map(|service| service.clone());
    if let Some(service) = service {
        return service.call(&here(cx)?, cx.call_position(), &name, &args);
    }
    let Some(object) = this.read_lock::<Object>().map(|object| object.clone()) else {
        let mut all: Vec<&mut Dynamic> = std::iter::once(&mut **this).chain(&mut args).collect();
        return cx.call_native_fn_raw(&name, true, &mut all);
    };
    let caller = here(cx)?;
    if find(&caller, &object.class, &name).is_ok() {
        return call(Some(&caller), cx.call_level(), object, &name, args);
    }
    // The class has none, so the function is meant.
    let mut frame = caller.frame_at(cx.call_level());
    frame.lib.retain(|lib| lib.id().is_none_or(|id| id != STUBS));
    let (engine, source) = (&caller.runtime.engine, caller.program.ast.source());
    let inner = NativeCallContext::new_with_all_fields(engine, &name, source, &frame, Position::NONE);
    let mut all: Vec<&mut Dynamic> = std::iter::once(&mut **this).chain(&mut args).collect();
    inner.call_fn_raw(&name, true, true, &mut all)
}

/// Rhai found no function of that name: a method, if it is called on an object.
fn missing(
    name: &str,
    args: &mut [&mut Dynamic],
    is_method: bool,
    cx: EvalContext,
) -> Thrown<Option<Dynamic>> {
    let Some((this, args)) = args.split_first_mut().filter(|_| is_method) else { return Ok(None) };
    let service = this.read_lock::<Service>().map(|service| service.clone());
    if let (Some(service), Some(caller)) = (service, tagged(cx.tag())) {
        let args: Vec<Dynamic> = args.iter_mut().map(|arg| std::mem::take(*arg)).collect();
        return service.call(&caller, Position::NONE, name, &args).map(Some);
    }
    let Some(object) = this.read_lock::<Object>().map(|object| object.clone()) else { return Ok(None) };
    let caller = tagged(cx.tag());
    // Rhai tries functions that it passes elements to as methods of them first.
    let is_function = |unit: &Arc<Unit>| unit.program.ast.iter_fn_def().any(|f| f.name == name);
    let other = name.starts_with("anon$") || caller.as_ref().is_some_and(is_function);
    if other && caller.as_ref().is_none_or(|unit| find(unit, &object.class, name).is_err()) {
        return Ok(None);
    }
    let args: Vec<Dynamic> = args.iter_mut().map(|arg| std::mem::take(*arg)).collect();
    let at =
        caller.as_ref().and_then(|unit| unit.program.methods.get(&(name.to_owned(), args.len())).copied());
    let called = call(caller.as_ref(), cx.call_level(), object, name, args);
    // Rhai does not say where it looked for the function.
    let placed = called.map_err(|mut error| {
        if let Some(at) = at.filter(|_| error.position().is_none()) {
            error.set_position(at);
        }
        error
    });
    placed.map(Some)
}

/// Calls a method, in the module it was written in.
fn call(
    caller: Option<&Arc<Unit>>,
    level: usize,
    object: Object,
    name: &str,
    mut args: Vec<Dynamic>,
) -> Thrown<Dynamic> {
    let caller = caller.ok_or_else(|| thrown("this only works inside of a module"))?;
    let (home, method) = find(caller, &object.class, name)?;
    let abroad = !Arc::ptr_eq(&home, caller);
    if abroad {
        args.iter_mut().for_each(|arg| bind(arg, caller, Going::Abroad));
    }
    // Rhai counted the call already, and counts it again.
    let level = level.saturating_sub(2);
    let mut result = home.call_on(Some(&mut Dynamic::from(object)), level, &method, args)?;
    if abroad {
        bind(&mut result, &home, Going::Abroad);
    }
    Ok(result)
}

/// A method of a class as `caller` sees it now, and the code it belongs to.
fn find(caller: &Arc<Unit>, class: &Class, name: &str) -> Thrown<(Arc<Unit>, FnPtr)> {
    let (mut next, mut all) = (Some(class.clone()), Vec::new());
    for _ in 0..DEEPEST {
        let Some(class) = next.take() else { break };
        let home = home(caller, &class)?;
        let gone = || thrown(format!("module `{}` has no class `{}` any more", class.module, class.name));
        let methods = home.class(&class.name).ok_or_else(gone)?;
        if let Some(method) = methods.own.get(name) {
            return Ok((home, method.clone()));
        }
        all.extend(methods.own.keys().cloned());
        next = methods.base.clone();
    }
    let near = nearest(name, all.iter().map(|name| name.as_str())).map(meant).unwrap_or_default();
    Err(thrown(format!("class `{}` has no method `{name}`{near}", class.name)))
}

/// The version of a class's module that `caller` sees: that of the generation which its call is pinned to, and
/// while that module loads, the one that loads.
fn home(caller: &Arc<Unit>, class: &Class) -> Thrown<Arc<Unit>> {
    if caller.name == class.module && caller.linked.get().is_none() {
        return Ok(caller.clone());
    }
    let world = caller.runtime.world().map_err(fail)?;
    let live = world.gate.live();
    let generation = Lease::current_generation().unwrap_or(live);
    let found = [generation, live].into_iter().find_map(|generation| {
        let instance = world.instance_at(&class.module, generation)?;
        let module = instance.module()?.as_any().downcast_ref::<RhaiModule>()?;
        Some(module.unit().clone())
    });
    found.ok_or_else(|| fail(CallError::NoModule { module: class.module.to_string() }))
}

impl Unit {
    fn class(&self, name: &str) -> Option<Arc<Methods>> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
