//! Functions that leave their module: each takes its module along, because its name means nothing elsewhere.

use std::sync::Arc;

use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext, Position};

use crate::failure::Thrown;
use crate::monitor;
use crate::unit::{Unit, here, stopped};

/// The name of a function that has its module with it begins with this.
const BOUND: &str = "bound__";

/// How deep functions are looked for in what is passed.
const DEEPEST: usize = 16;

/// What a function is taken along for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Going {
    /// Into another module: every function of the script.
    Abroad,
    /// Into a state: closures only. A function with a name is looked up by that name when it is called, in
    /// the code that calls it, and so follows the live code.
    Kept,
}

/// Gives every function in `value` its module along.
pub(crate) fn bind(value: &mut Dynamic, home: &Arc<Unit>, going: Going) {
    bind_at(value, home, going, 0);
}

fn bind_at(value: &mut Dynamic, home: &Arc<Unit>, going: Going, depth: usize) {
    if depth > DEEPEST || value.is_shared() {
        return;
    }
    if value.is_fnptr() {
        let pointer = at_home(value.clone_cast::<FnPtr>());
        *value = bound(&pointer, home, going).unwrap_or(pointer).into();
    } else if value.is_array() {
        let mut items = value.as_array_mut().expect("it is an array");
        items.iter_mut().for_each(|item| bind_at(item, home, going, depth + 1));
    } else if value.is_map() {
        let mut entries = value.as_map_mut().expect("it is a map");
        entries.values_mut().for_each(|entry| bind_at(entry, home, going, depth + 1));
    }
}

/// A function whose captured handles are its own: a variable that closures share is locked while it is used, and a
/// module object, a table or a fiber is shared by itself.
pub(crate) fn at_home(mut pointer: FnPtr) -> FnPtr {
    // What graceful gives to scripts is a handle, all of it.
    let is_handle = |value: &Dynamic| value.type_name().starts_with(concat!(env!("CARGO_CRATE_NAME"), "::"));
    let curry = pointer.iter_curry_mut().filter(|value| value.is_shared());
    for value in curry {
        let inside = value.flatten_clone();
        if is_handle(&inside) {
            *value = inside;
        }
    }
    pointer
}

fn bound(pointer: &FnPtr, home: &Arc<Unit>, going: Going) -> Option<FnPtr> {
    let name = pointer.fn_name().to_owned();
    let foreign = name.starts_with(BOUND) || (going == Going::Kept && !pointer.is_anonymous());
    let ours = home.program.ast.iter_functions().any(|function| function.name == name);
    if foreign || !ours {
        return None;
    }
    let (home, inner) = (home.clone(), name.clone());
    let call = move |cx: NativeCallContext, args: &mut [&mut Dynamic]| call_home(&cx, &home, &inner, args);
    let shown = format!("{BOUND}{}", name.replace('$', "_"));
    #[allow(deprecated)]
    let mut made = FnPtr::from_dyn_fn(shown, Box::new(call)).ok()?;
    made.set_curry(pointer.curry().iter().cloned());
    Some(made)
}

/// Calls a function in its own module, from wherever it was taken.
fn call_home(
    cx: &NativeCallContext,
    home: &Arc<Unit>,
    name: &str,
    args: &mut [&mut Dynamic],
) -> Thrown<Dynamic> {
    let caller = here(cx).ok();
    let given = args.len();
    let mut result = if home.has(name, given) {
        let args = args.iter_mut().map(|arg| abroad(std::mem::take(*arg), caller.as_ref())).collect();
        home.call_named(Some(cx), name, args)?
    } else if given > 0 && home.has(name, given - 1) {
        // A function in a map that is called as the map's method: what comes first is `this`.
        let _stay = monitor::enter(&home.common.monitor).map_err(stopped)?;
        let frame = home.frame(Some(cx));
        let engine = &home.runtime.engine;
        let inner = NativeCallContext::new_with_all_fields(engine, name, None, &frame, Position::NONE);
        inner.call_fn_raw(name, true, true, args)?
    } else {
        let wanted = format!("{} ({given} arguments)", cx.fn_name());
        return Err(EvalAltResult::ErrorFunctionNotFound(wanted, Position::NONE).into());
    };
    bind(&mut result, home, Going::Abroad);
    Ok(result)
}

fn abroad(mut value: Dynamic, home: Option<&Arc<Unit>>) -> Dynamic {
    if let Some(home) = home {
        bind(&mut value, home, Going::Abroad);
    }
    value
}

/// Takes the arguments of a call out of one module into another.
pub(crate) fn take(args: &mut [&mut Dynamic], home: Option<&Arc<Unit>>) -> Vec<Dynamic> {
    args.iter_mut().map(|arg| abroad(std::mem::take(*arg).flatten(), home)).collect()
}
