//! `http`: routes in scripts.

use std::sync::Arc;

use async_trait::async_trait;
use graceful_core::scope::Callable;
use graceful_core::{CallError, Lease, ScriptError, Value};
use rhai::{FnPtr, ImmutableString, Module, NativeCallContext};

use crate::bind::at_home;
use crate::error;
use crate::failure::{Thrown, fail, placed, thrown};
use crate::run::off_thread;
use crate::unit::{Unit, here};
use crate::value::{from_value, to_value};
use crate::watch::Watch;

/// The functions of `http`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("http");
    module.set_native_fn(
        "route",
        |cx: NativeCallContext, method: ImmutableString, path: ImmutableString, answer: FnPtr| {
            placed(&cx, route(&cx, &method, &path, answer))
        },
    );
    module.build_index();
    module
}

/// `http::route("GET", "/price/:item", |request| ...)`.
fn route(cx: &NativeCallContext, method: &str, path: &str, answer: FnPtr) -> Thrown<()> {
    if !path.starts_with('/') {
        return Err(thrown(format!("the path `{path}` does not begin with `/`: write `/{path}`")));
    }
    let unit = here(cx)?;
    let scope = unit.scope().map_err(fail)?;
    let key = format!("{} {path}", method.to_uppercase());
    let registered = scope.register("route", &key, Arc::new(Target { unit, function: at_home(answer) }));
    registered.map_err(|error| fail(ScriptError::from(error)))
}

/// A function of a module that is called by key.
struct Target {
    unit: Arc<Unit>,
    function: FnPtr,
}

#[async_trait]
impl Callable for Target {
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError> {
        let (unit, function) = (self.unit.clone(), self.function.clone());
        let world = unit.runtime.world()?;
        let work = move || {
            let result = unit.call_pointer(None, &function, args.into_iter().map(from_value).collect());
            let result = result.map_err(|thrown| error::call_error(thrown, &unit.name, &*unit))?;
            let module = || unit.name.to_string();
            to_value(&result).map_err(|reason| CallError::BadValue { module: module(), reason })
        };
        off_thread(&*world.clock, Watch::call(Lease::current()).turns(self.unit.runtime.turn), work).await?
    }
}
