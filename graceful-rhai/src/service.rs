//! A role that runs, as scripts hold it: its functions are called as methods.

use std::sync::Arc;

use graceful_core::Name;
use rhai::{Array, Dynamic, Engine, ImmutableString, NativeCallContext, Position};

use crate::failure::{Thrown, placed};
use crate::unit::{Unit, here};
use crate::{error, import, link};

/// What `graceful::roles::service_get` gives. Each call sees the role's module as an import would then.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) role: ImmutableString,
    pub(crate) module: Name,
}

impl Service {
    /// Calls a function that the role's module exports.
    pub(crate) fn call(
        &self,
        caller: &Arc<Unit>,
        at: Position,
        function: &str,
        args: &[Dynamic],
    ) -> Thrown<Dynamic> {
        let place = error::place(&caller.program.source.origin, at);
        let instance = import::instance(caller, &self.module, place)?;
        link::call_instance(&caller.runtime, &instance, function, args)
    }
}

/// `service.role`, `service.module_name`, and `service.invoke(function, [arguments])` for names that Rhai cannot say.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Service>("Service");
    engine.register_get("role", |service: &mut Service| service.role.clone());
    engine.register_get("module_name", |service: &mut Service| service.module.to_string());
    engine.register_fn(
        "invoke",
        |cx: NativeCallContext, service: &mut Service, function: ImmutableString, args: Array| {
            let called =
                here(&cx).and_then(|caller| service.call(&caller, cx.call_position(), &function, &args));
            placed(&cx, called)
        },
    );
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |service: &mut Service| format!("service {}", service.role));
    }
}
