//! Reports, plans and modules as Rhai maps.

use graceful_core::{Action, ModuleReport, Plan, Report, Version, World};
use rhai::{Array, Dynamic, Map};

/// `#{reload, outcome, generation, modules: [#{module, action, reason, old, new, migration}], pause, warnings}`.
pub(crate) fn report(report: &Report) -> Dynamic {
    map([
        ("reload", (report.reload as i64).into()),
        ("outcome", report.outcome.as_str().into()),
        ("generation", (report.generation as i64).into()),
        ("modules", report.modules.iter().map(module).collect::<Array>().into()),
        ("pause", report.pause.as_secs_f64().into()),
        ("warnings", report.warnings.iter().map(|warning| warning.clone().into()).collect::<Array>().into()),
    ])
}

fn module(module: &ModuleReport) -> Dynamic {
    map([
        ("module", module.module.to_string().into()),
        ("action", action(module.action)),
        ("reason", module.reason.to_string().into()),
        ("old", version(module.old.as_ref())),
        ("new", version(module.new.as_ref())),
        ("migration", module.migration.iter().map(|step| step.to_string().into()).collect::<Array>().into()),
    ])
}

/// `#{steps: [#{module, backend, action, reason, live}], unload, fingerprint}`.
pub(crate) fn plan(plan: &Plan) -> Dynamic {
    let steps = plan.steps.iter().map(|step| {
        map([
            ("module", step.module.to_string().into()),
            ("backend", step.backend.clone().into()),
            ("action", action(step.action)),
            ("reason", step.reason.to_string().into()),
            ("live", version(step.live.as_ref())),
        ])
    });
    map([
        ("steps", steps.collect::<Array>().into()),
        ("unload", plan.unload.iter().map(|name| name.to_string().into()).collect::<Array>().into()),
        ("fingerprint", plan.fingerprint.clone().into()),
    ])
}

/// `[#{name, version, backend, generation, registered}]` of every live module, by name.
pub(crate) fn modules(world: &World) -> Dynamic {
    let live = world.live_all();
    let modules = live.iter().map(|instance| {
        let manifest = instance.module().map(|module| module.manifest());
        map([
            ("name", instance.name.to_string().into()),
            ("version", version(manifest.and_then(|manifest| manifest.version.as_ref()))),
            ("backend", instance.source.backend.clone().into()),
            ("generation", (instance.born.0 as i64).into()),
            ("registered", manifest.is_some_and(|manifest| manifest.registered).into()),
        ])
    });
    modules.collect::<Array>().into()
}

fn map<const N: usize>(entries: [(&str, Dynamic); N]) -> Dynamic {
    Dynamic::from_map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<Map>())
}

fn version(version: Option<&Version>) -> Dynamic {
    version.map_or(Dynamic::UNIT, |version| version.to_string().into())
}

fn action(action: Action) -> Dynamic {
    word(action).into()
}

/// What is done with a module, in a word.
pub(crate) fn word(action: Action) -> &'static str {
    match action {
        Action::Load => "load",
        Action::Reload => "reload",
        Action::Remove => "remove",
        Action::Retire => "retire",
    }
}
