//! `graceful::roles`: the functions of roles, each with what the core makes of it; a refusal is thrown.

use graceful_core::asked::roles::{Answer, Function, Told};
use graceful_core::{Name, RoleError};
use rhai::{Dynamic, Engine, ImmutableString, Module, NativeCallContext};

use crate::failure::{Failure, Thrown, fail};
use crate::link::add;
use crate::reload::parked;
use crate::service::Service;
use crate::unit::here;
use crate::value::{from_value, to_value};

/// The functions, each with as many arguments as it may have.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    for function in Function::ALL.iter().copied() {
        for params in 0..=function.parameters() {
            add(&mut module, function.as_str(), params, move |cx: &NativeCallContext, args| {
                call(cx, function, &args)
            });
        }
    }
    module
}

fn call(cx: &NativeCallContext, function: Function, args: &[Dynamic]) -> Thrown<Dynamic> {
    let unit = here(cx)?;
    let plain: Result<Vec<_>, String> = args.iter().map(to_value).collect();
    let plain = plain.map_err(|reason| refused(function.wrong(reason)))?;
    let control = unit.runtime.control().map_err(fail)?;
    let told: Told = match control.roles(&unit.name, function, plain) {
        Answer::Now(told) => told,
        Answer::Later(work) => parked(&unit, work)?,
    };
    let value = told.map_err(|refusal| fail(Failure::from(refusal)))?;
    match (function, value.as_str()) {
        (Function::ServiceGet, Some(module)) => {
            let role = args.first().map(Dynamic::to_string).unwrap_or_default();
            let (role, module) = (ImmutableString::from(role), Name::from(module));
            Ok(Dynamic::from(Service { role, module }))
        }
        _ => Ok(from_value(value)),
    }
}

/// What a caught refusal can tell besides.
pub(crate) fn register(engine: &mut Engine) {
    for name in ["class", "file", "line", "column", "roles", "rolled_back"] {
        engine.register_get(name, move |failure: &mut Failure| {
            let Failure::Roles(refusal) = failure else { return Dynamic::UNIT };
            refusal.fields().get(name).cloned().map_or(Dynamic::UNIT, from_value)
        });
    }
}

fn refused(error: RoleError) -> Box<rhai::EvalAltResult> {
    fail(Failure::Roles(Box::new(error.into())))
}
