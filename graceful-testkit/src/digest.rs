//! Everything a failed reload must leave as it was, as text that can be compared.

use std::fmt::Write;

use graceful_core::{Engine, Export};

/// Versions, generations, exports, states, tasks and registrations of every live module. Global variables
/// are a backend's own and not in it.
pub fn digest(engine: &Engine) -> String {
    let world = engine.world();
    let mut out = String::new();
    for live in world.live_all() {
        let Some(module) = live.module() else { continue };
        let manifest = module.manifest();
        let version = manifest.version.as_ref().map_or("none".to_owned(), ToString::to_string);
        let _ = writeln!(out, "{} version {version} born {}", live.name, live.born);
        for (name, export) in &manifest.exports {
            let _ = match export {
                Export::Function => writeln!(out, "  exports {name}"),
                Export::Value(value) => writeln!(out, "  exports {name} = {}", json(value)),
            };
        }
        let _ = writeln!(out, "  hooks {:?}", manifest.hooks);
        let _ = writeln!(out, "  state {}", json(&module.save()));
        let _ = writeln!(out, "  tasks {}", live.scope.count("task"));
    }
    for ((kind, _), entry) in &*world.table.snapshot() {
        let _ = writeln!(out, "{kind} {} of {} born {}", entry.key, entry.owner, entry.born);
    }
    out
}

fn json(value: &graceful_core::Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
