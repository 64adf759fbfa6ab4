//! `graceful::register_module(name, options)`: the options, checked, and `init` at the start.

use graceful_core::error::ScriptErrorKind;
use graceful_core::lifecycle::Hook;
use graceful_core::near::{meant, nearest};
use graceful_core::{CheckpointMode, Finalize, Lease, ScriptError, Version};
use rhai::{Dynamic, FnPtr, ImmutableString, Map, Module, NativeCallContext};

use crate::bind::at_home;
use crate::failure::{Thrown, fail, placed};
use crate::registration::{ModuleObject, Registration};
use crate::steps::Steps;
use crate::unit::{Unit, here};
use crate::value::{kind, to_value};
use crate::watch::{Staging, Watch, staging};

const HOOKS: [(&str, Hook); 6] = [
    ("init", Hook::Init),
    ("before_reload", Hook::BeforeReload),
    ("after_reload", Hook::AfterReload),
    ("on_reload", Hook::AfterReload),
    ("rollback", Hook::Rollback),
    ("finalize", Hook::Finalize),
];
const OPTIONS: [&str; 4] = ["version", "checkpoint", "drain", "migrations"];

/// The functions that have to do with registering.
pub(crate) fn functions(module: &mut Module) {
    module.set_native_fn("register_module", |cx: NativeCallContext, name: ImmutableString| {
        placed(&cx, register_module(&cx, &name, Map::new()))
    });
    module.set_native_fn("register_module", |cx: NativeCallContext, name: ImmutableString, options: Map| {
        placed(&cx, register_module(&cx, &name, options))
    });
}

fn register_module(cx: &NativeCallContext, name: &str, options: Map) -> Thrown<ModuleObject> {
    let unit = here(cx)?;
    let wrong = |message: String| fail(ScriptError::new(ScriptErrorKind::Registration, message));
    let Some(staging) = staging().filter(|_| unit.linked.get().is_none()) else {
        return Err(wrong(format!("module `{}` can only register itself while it loads", unit.name)));
    };
    let checked = check_name(&unit, name).and_then(|()| checked(&unit, options));
    let registration = checked.map_err(wrong)?;
    {
        let mut slot = unit.registration.lock().unwrap();
        if slot.is_some() {
            return Err(wrong(format!("module `{}` registers twice", unit.name)));
        }
        *slot = Some(registration.clone());
    }
    let object = unit.object();
    if staging.start
        && let Some(init) = registration.hook(Hook::Init)
    {
        initialise(cx, &unit, &staging, init, &object)?;
    }
    Ok(object)
}

/// Runs `init` at a start. What it starts waits for the commit like everything else.
fn initialise(
    cx: &NativeCallContext,
    unit: &std::sync::Arc<Unit>,
    staging: &Staging,
    init: &FnPtr,
    object: &ModuleObject,
) -> Thrown<()> {
    if let Some(importer) = &staging.importer {
        importer.initialising(&unit.name);
    }
    let mut args = vec![Dynamic::from(object.clone())];
    args.truncate(unit.takes(init, 1).unwrap_or(1));
    let _ = init.call_raw(cx, None, args)?;
    let Some(importer) = &staging.importer else { return Ok(()) };
    let (undo, staging) = (unit.clone(), Staging { importer: None, ..staging.clone() });
    let finalize: Finalize = Box::new(move || {
        Box::pin(async move {
            let watch = Watch::call(Lease::current()).staged(staging);
            undo.hook(Hook::Finalize, watch).await
        })
    });
    importer.initialised(&unit.name, finalize);
    Ok(())
}

/// A module is registered by the name it is loaded by; a name that another source has says both files.
fn check_name(unit: &Unit, name: &str) -> Result<(), String> {
    if *name == *unit.name {
        return Ok(());
    }
    let world = unit.runtime.world().map_err(|error| error.to_string())?;
    let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
    match world.instance_at(name, generation).or_else(|| world.live(name)) {
        Some(taken) => {
            let (first, second) = (&taken.source.origin, &unit.program.source.origin);
            Err(format!(
                "module `{}` registers `{name}`, which is taken by {first}; it is {second}",
                unit.name
            ))
        }
        None => Err(format!("module `{}` registers under another name, `{name}`", unit.name)),
    }
}

fn checked(unit: &Unit, options: Map) -> Result<Registration, String> {
    let mut registration = Registration::default();
    options.keys().try_for_each(|option| known(unit, option))?;
    if options.contains_key("after_reload") && options.contains_key("on_reload") {
        return Err(format!("module `{}`: `after_reload` and `on_reload` are the same hook", unit.name));
    }
    for (option, value) in options {
        let wrong = |expected: &str| {
            Err(format!(
                "module `{}`, option `{option}`: expected {expected}, got {}",
                unit.name,
                kind(&value)
            ))
        };
        match option.as_str() {
            "version" => {
                let plain = to_value(&value).map_err(|_| format!("expected a version, got {}", kind(&value)));
                let version = plain.and_then(|plain| Version::from_value(&plain).map_err(|e| e.to_string()));
                let told = |error| format!("module `{}`, option `version`: {error}", unit.name);
                registration.version = Some(version.map_err(told)?);
            }
            "checkpoint" => match value.as_immutable_string_ref() {
                Ok(mode) => registration.checkpoint = self::mode(unit, &mode)?,
                Err(_) => return wrong("a string"),
            },
            "migrations" => {
                let told = |error| format!("module `{}`, option `migrations`: {error}", unit.name);
                registration.steps = Steps::read(&value, at_home).map_err(told)?;
            }
            "drain" => match value.as_bool() {
                Ok(drain) => registration.drain = drain,
                Err(_) => return wrong("a boolean"),
            },
            name => match (HOOKS.iter().find(|(hook, _)| *hook == name), value.clone().try_cast::<FnPtr>()) {
                (Some((_, hook)), Some(function)) => registration.add(*hook, at_home(function)),
                _ => return wrong("a function"),
            },
        }
    }
    if registration.version.is_none() && !registration.steps.declared.is_empty() {
        return Err(format!("module `{}`, option `migrations`: they need the option `version`", unit.name));
    }
    Ok(registration)
}

fn mode(unit: &Unit, mode: &str) -> Result<CheckpointMode, String> {
    match mode {
        "auto" => Ok(CheckpointMode::Auto),
        "own" => Ok(CheckpointMode::Own),
        "none" => Ok(CheckpointMode::None),
        other => Err(format!(
            "module `{}`, option `checkpoint`: expected `auto`, `own` or `none`, got `{other}`",
            unit.name
        )),
    }
}

fn known(unit: &Unit, option: &str) -> Result<(), String> {
    let all = || HOOKS.iter().map(|(name, _)| *name).chain(OPTIONS);
    if all().any(|known| known == option) {
        return Ok(());
    }
    let near = nearest(option, all()).map(meant);
    let near = near.unwrap_or_else(|| format!("; there are: {}", all().collect::<Vec<_>>().join(", ")));
    Err(format!("module `{}`: unknown option `{option}`{near}", unit.name))
}
